//! AWS and the DNS without a network: the SDK's HTTP client and the look-ups'
//! transport, both onto the simulator.

use std::net::SocketAddr;
use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_simulator::{ACCESS_KEY, ACCOUNT, Simulator};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use futures::future::BoxFuture;
use hickory_resolver::proto::op::Message;
use ses_mailfrom::dns::{Exchange, ExchangeError};
use tokio::time::sleep;

use crate::lifeline::Lifeline;
use crate::process::Setup;

/// A request and an answer are on their way so long, which is what others cut
/// in between.
const WAY: Duration = Duration::from_millis(20);
/// How long a look-up waits for a server that is silent.
const SILENCE: Duration = Duration::from_secs(3);

tokio::task_local! {
    /// The access key that the puts of this reconcile are made with: AWS sees
    /// one process, a test which object it acted for.
    pub(crate) static WRITER: String;
}

/// One process's way to AWS.
pub(crate) fn sdk(setup: &Setup, lifeline: &Lifeline) -> SdkConfig {
    let (setup, lifeline) = (setup.clone(), lifeline.clone());
    let connector = SharedHttpConnector::new(Wire { setup, lifeline });
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new(
            ACCESS_KEY, "secret", None, None, "test",
        )))
        .http_client(http_client_fn(move |_, _| connector.clone()))
        .build()
}

#[derive(Clone)]
struct Wire {
    setup: Setup,
    lifeline: Lifeline,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").field("lifeline", &self.lifeline).finish_non_exhaustive()
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { setup, lifeline } = self.clone();
        let Setup { aws, others, behalf, owner_id, .. } = setup;
        let change = request.method() == "POST" && request.uri().contains("/rrset");
        let writer = if change {
            let key = behalf.sends(owner_id, request.body().bytes().expect("a body in memory"));
            aws.with(|world| world.add_account(ACCOUNT, &key));
            Some(key)
        } else {
            WRITER.try_with(String::clone).ok()
        };
        HttpConnectorFuture::new(async move {
            let request = outgoing(&request, writer.as_deref());
            let write = request.method() == http::Method::PUT || change;
            sleep(WAY).await;
            let handle = async {
                if change {
                    others.see_change();
                }
                aws.handle(request).await
            };
            let answer = lifeline.call(write, handle).await;
            sleep(WAY).await;
            let answer = answer.map_err(|lost| ConnectorError::io(Box::new(lost)))?;
            Ok(incoming(answer))
        })
    }
}

fn outgoing<B: From<Vec<u8>>>(request: &HttpRequest, writer: Option<&str>) -> http::Request<B> {
    let body = request.body().bytes().expect("a body in memory").to_vec();
    let mut outgoing = http::Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        outgoing = match writer.filter(|_| name == "authorization") {
            Some(writer) => outgoing.header(name, value.replacen(ACCESS_KEY, writer, 1)),
            None => outgoing.header(name, value),
        };
    }
    outgoing.body(B::from(body)).expect("a request")
}

fn incoming<B: Into<SdkBody>>(answer: http::Response<B>) -> HttpResponse {
    let (head, body) = answer.into_parts();
    let status = head.status.as_u16().try_into().expect("a status");
    let mut incoming = HttpResponse::new(status, body.into());
    for (name, value) in &head.headers {
        let value = value.to_str().expect("a header of text").to_owned();
        incoming.headers_mut().insert(name.as_str().to_owned(), value);
    }
    incoming
}

/// One process's way to the name servers.
pub(crate) struct Servers {
    pub aws: Simulator,
    pub lifeline: Lifeline,
}

impl Exchange for Servers {
    fn exchange(
        &self,
        server: SocketAddr,
        query: Message,
    ) -> BoxFuture<'_, Result<Message, ExchangeError>> {
        Box::pin(async move {
            let query = query.to_vec().map_err(|_| ExchangeError::Failed)?;
            sleep(WAY).await;
            let answer = async { self.aws.dns(server.ip(), &query) };
            let Some(answer) = self.lifeline.call(false, answer).await else {
                sleep(SILENCE).await;
                return Err(ExchangeError::Silent);
            };
            Message::from_vec(&answer).map_err(|_| ExchangeError::Failed)
        })
    }
}
