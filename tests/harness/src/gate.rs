use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, Response, header};
use kube::Config;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{Access, ControlPlane, Error, Result, TimedOut, own_loopback};

/// The largest request body that is let through, far above etcd's own limit.
const BODY_LIMIT: usize = 16 << 20;

/// Stands between one operator and the API server, reads the requests that go
/// past (the operator speaks plain HTTP to it) and can stop one of them just
/// before the server sees it, or just before the operator sees the answer. Lives
/// on the runtime that started it.
#[derive(Debug)]
pub struct ApiGate {
    url: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

/// One request, as the gate shows it to those who choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRequest {
    /// The HTTP method.
    pub method: Method,
    /// The path, without the query.
    pub path: String,
    /// The query, empty where there is none.
    pub query: String,
    /// The body, empty where there is none.
    pub body: Bytes,
}

impl ApiRequest {
    /// Whether it would change something.
    pub fn is_write(&self) -> bool {
        ![Method::GET, Method::HEAD].contains(&self.method)
    }

    /// Whether it would change the status of an object of this plural name.
    pub fn is_status_write(&self, plural: &str) -> bool {
        let mut parts = self.path.rsplit('/');
        self.is_write()
            && parts.next() == Some("status")
            && parts.nth(1).is_some_and(|found| found == plural)
    }
}

/// On which side of the change a request is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The API server has not seen the request.
    Before,
    /// The API server has answered and the operator has not heard it.
    After,
}

/// A place where one request will be stopped. Dropped, the request is lost.
#[derive(Debug)]
pub struct Hit {
    reached: oneshot::Receiver<ApiRequest>,
    pass: oneshot::Sender<()>,
}

struct Stop {
    side: Side,
    chosen: Box<dyn FnMut(&ApiRequest) -> bool + Send>,
    reached: oneshot::Sender<ApiRequest>,
    pass: oneshot::Receiver<()>,
}

struct Shared {
    server: kube::Client,
    stops: Mutex<Vec<Stop>>,
}

impl ApiGate {
    /// Starts one in front of `plane`.
    pub async fn start(plane: &ControlPlane) -> Result<Self> {
        let shared =
            Arc::new(Shared { server: anonymous_client(plane.admin())?, stops: Mutex::default() });
        let listener =
            TcpListener::bind((own_loopback(), 0)).await.map_err(Error::io("bind a gate"))?;
        let address = listener.local_addr().map_err(Error::io("bind a gate"))?;
        let router = axum::Router::new().fallback(carry).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            // It serves until it is dropped and has nobody to tell of an error.
            let _ = axum::serve(listener, router).await;
        });
        let url = format!("http://{address}");
        Ok(Self { url, shared, serving })
    }

    /// Its URL, for [`crate::Launch::through`].
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Will stop the first request from now on that `chosen` says true of, once.
    /// Every request is shown to it until then, in the order of arrival.
    pub fn stop(
        &self,
        side: Side,
        chosen: impl FnMut(&ApiRequest) -> bool + Send + 'static,
    ) -> Hit {
        let (reached, is_reached) = oneshot::channel();
        let (pass, may_pass) = oneshot::channel();
        self.shared.lock().push(Stop { side, chosen: Box::new(chosen), reached, pass: may_pass });
        Hit { reached: is_reached, pass }
    }
}

impl Drop for ApiGate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Hit {
    /// Waits until a request stands at the place, and shows it.
    pub async fn reached(&mut self, limit: Duration) -> Result<ApiRequest, TimedOut> {
        let nothing = |last_seen: &str| TimedOut {
            what: "a request stopped at the gate".to_owned(),
            limit,
            last_seen: last_seen.to_owned(),
        };
        match timeout(limit, &mut self.reached).await {
            Ok(Ok(request)) => Ok(request),
            Ok(Err(_)) => Err(nothing("the request was given up by its sender")),
            Err(_) => Err(nothing("no request that was chosen")),
        }
    }

    /// Lets the request, or the answer, go on.
    pub fn pass(self) {
        // Fails where its sender has gone meanwhile.
        let _ = self.pass.send(());
    }

    /// Loses the request, or the answer: its sender's connection ends.
    pub fn lose(self) {}
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Stop>> {
        self.stops.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_stop(&self, request: &ApiRequest) -> Option<Stop> {
        let mut stops = self.lock();
        let at = stops.iter_mut().position(|stop| (stop.chosen)(request))?;
        Some(stops.remove(at))
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

/// Passes on what comes, with whatever credentials it brings.
fn anonymous_client(admin: &Access) -> Result<kube::Client> {
    let url = admin
        .server
        .parse()
        .map_err(|_| Error::Malformed(format!("{} is no URL", admin.server)))?;
    let mut config = Config::new(url);
    config.root_cert_file = Some(admin.certificate_authority.clone());
    // Whether to try again is for the operator to decide.
    config.default_retry = false;
    kube::Client::try_from(config).map_err(Error::kube("a client for the gate"))
}

async fn carry(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (mut parts, body) = request.into_parts();
    let Ok(body) = to_bytes(body, BODY_LIMIT).await else {
        return lost();
    };
    let shown = ApiRequest {
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        body: body.clone(),
    };
    let stop = shared.take_stop(&shown);
    let (before, after) = match stop {
        Some(stop) if stop.side == Side::Before => (Some(stop), None),
        stop => (None, stop),
    };
    if !passes(before, &shown).await {
        return lost();
    }
    // They speak of the connection to the gate.
    parts.headers.remove(header::HOST);
    parts.headers.remove(header::CONNECTION);
    let request = Request::from_parts(parts, body.to_vec().into());
    let Ok(response) = shared.server.send(request).await else {
        return lost();
    };
    if !passes(after, &shown).await {
        return lost();
    }
    response.map(Body::new)
}

/// Holds a request at its stop, if it has one, until it is decided on.
async fn passes(stop: Option<Stop>, request: &ApiRequest) -> bool {
    let Some(stop) = stop else {
        return true;
    };
    // Nobody need be waiting for it to be there.
    let _ = stop.reached.send(request.clone());
    stop.pass.await.is_ok()
}

/// An answer that breaks off: the connection ends in its middle.
fn lost() -> Response<Body> {
    let broken =
        futures::stream::once(async { Err::<Bytes, _>(std::io::Error::other("lost at the gate")) });
    Response::new(Body::from_stream(broken))
}
