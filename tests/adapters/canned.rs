//! HTTP without a network: every request is kept, every answer given by the test.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use ses_mailfrom::aws::Settings;
use ses_mailfrom::clock::Clock;
use tokio::sync::Notify;

use crate::stage::{Operator, sdk};

const WHOSE: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

/// What the next request meets.
pub(crate) enum Answer {
    /// Status and body.
    Body(u16, String),
    /// Never answered.
    Hang,
    /// Answered once the test says so.
    When(Arc<Notify>, u16, String),
    /// The connection breaks.
    Broken,
}

/// A request as it would have left.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) line: String,
    pub(crate) body: String,
    /// The access key that it was signed with.
    pub(crate) access_key: String,
    pub(crate) at: tokio::time::Instant,
}

/// The other end of every connection.
#[derive(Clone, Default)]
pub(crate) struct Canned {
    pub(crate) sent: Arc<Mutex<Vec<Sent>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
    by_hand: Arc<AtomicBool>,
}

impl std::fmt::Debug for Canned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Canned")
    }
}

impl Canned {
    pub(crate) fn answer(&self, answer: Answer) -> &Self {
        self.answers.lock().unwrap().push_back(answer);
        self
    }

    pub(crate) fn ok(&self, body: &str) -> &Self {
        self.answer(Answer::Body(200, body.to_owned()))
    }

    /// From now on the test answers also the question whose credentials these
    /// are, which is else answered unseen: it goes before every other.
    pub(crate) fn answer_sts(&self) {
        self.by_hand.store(true, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }

    /// An operator at this end, on Tokio's clock, which knows whose its
    /// credentials are unless the test is to answer that.
    pub(crate) async fn operator(&self, settings: Settings) -> Operator {
        let begun = tokio::time::Instant::now();
        let start = jiff::Timestamp::from_second(1_790_000_000).unwrap();
        let clock = Clock::from_fn(move || start + begun.elapsed());
        let sdk = sdk("http://127.0.0.1:9", "key", Some(self.client()));
        let mut operator = Operator::new(&sdk, settings, clock);
        if !self.by_hand.load(Ordering::Relaxed) {
            operator.knows_its_account().await;
        }
        operator
    }

    fn client(&self) -> SharedHttpClient {
        let canned = self.clone();
        http_client_fn(move |_, _| SharedHttpConnector::new(canned.clone()))
    }
}

impl HttpConnector for Canned {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = request.body().bytes().map(<[u8]>::to_vec).unwrap_or_default();
        let body = String::from_utf8(body).unwrap();
        if body.contains("Action=GetCallerIdentity") && !self.by_hand.load(Ordering::Relaxed) {
            return HttpConnectorFuture::ready(Ok(response(200, WHOSE.to_owned())));
        }
        let path = request.uri().trim_start_matches("http://127.0.0.1:9");
        self.sent.lock().unwrap().push(Sent {
            line: format!("{} {path}", request.method()),
            body,
            access_key: access_key(&request),
            at: tokio::time::Instant::now(),
        });
        let answer = self.answers.lock().unwrap().pop_front();
        let answer =
            answer.unwrap_or_else(|| panic!("nobody expected {} {path}", request.method()));
        HttpConnectorFuture::new(async move {
            match answer {
                Answer::Body(status, body) => Ok(response(status, body)),
                Answer::Hang => std::future::pending().await,
                Answer::When(released, status, body) => {
                    released.notified().await;
                    Ok(response(status, body))
                }
                Answer::Broken => {
                    Err(ConnectorError::io(std::io::Error::other("connection reset").into()))
                }
            }
        })
    }
}

fn access_key(request: &HttpRequest) -> String {
    let signed = request.headers().get("authorization").unwrap_or_default();
    let scope = signed.split_once("Credential=").map_or("", |(_, scope)| scope);
    scope.split('/').next().unwrap_or_default().to_owned()
}

fn response(status: u16, body: String) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
}
