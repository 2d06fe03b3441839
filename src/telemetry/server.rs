//! `/livez`, `/readyz` and `/metrics`.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::metrics::Metrics;

/// What the text format is called (OpenMetrics 1.0).
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Lists what is missing before the operator is ready; nothing when it is.
pub type Health = Arc<dyn Fn() -> Vec<String> + Send + Sync>;

/// A bound socket.
#[derive(Debug)]
pub struct Listener(TcpListener);

impl Listener {
    /// Binds the first of these addresses that can be bound: `[::]` is not
    /// there on machines without IPv6.
    ///
    /// # Errors
    /// Why the last could not be bound.
    pub async fn bind(addresses: &[SocketAddr]) -> io::Result<Self> {
        TcpListener::bind(addresses).await.map(Self)
    }

    /// Where it answers.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// Answers until `stop` resolves.
///
/// # Errors
/// The socket failed.
pub async fn serve(
    listener: Listener,
    metrics: Arc<Metrics>,
    health: Health,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = router(metrics, health);
    axum::serve(listener.0, router).with_graceful_shutdown(stop).await
}

fn router(metrics: Arc<Metrics>, health: Health) -> Router {
    let turn = Arc::new(Mutex::new(()));
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readiness(&health()) }))
        .route("/metrics", get(move || exposition(Arc::clone(&metrics), Arc::clone(&turn))))
}

fn readiness(missing: &[String]) -> (StatusCode, String) {
    if missing.is_empty() {
        (StatusCode::OK, "ok\n".into())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n")
    }
}

/// All objects are looked at for it, which takes a tenth of a second where there are ten
/// thousand: on a thread of its own, for nothing else would go on meanwhile, and in
/// turn, so that whoever asks often takes no thread from others.
async fn exposition(metrics: Arc<Metrics>, turn: Arc<Mutex<()>>) -> impl IntoResponse {
    let turn = turn.lock_owned().await;
    let content_type = [(header::CONTENT_TYPE, OPEN_METRICS)];
    let failed = |error: &dyn std::error::Error| {
        (StatusCode::INTERNAL_SERVER_ERROR, content_type.clone(), error.to_string())
    };
    let rendered = spawn_blocking(move || {
        // Ends with the work, which goes on where nobody waits for it any more.
        let _turn = turn;
        metrics.render()
    });
    match rendered.await {
        Ok(Ok(text)) => (StatusCode::OK, content_type, text),
        Ok(Err(error)) => failed(&error),
        Err(error) => failed(&error),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Mutex, mpsc};
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
    use tokio::sync::oneshot;

    use super::*;
    use crate::authority::ObjectKey;
    use crate::telemetry::{Population, Shown};

    async fn listener() -> (Listener, SocketAddr) {
        let listener = Listener::bind(&["127.0.0.1:0".parse().unwrap()]).await.unwrap();
        let address = listener.address().unwrap();
        (listener, address)
    }

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn says_what_is_missing_and_shows_metrics() {
        let (listener, address) = listener().await;
        let health: Health = Arc::new(|| vec!["the first list of mail is not complete".into()]);
        let (stop, stopped) = oneshot::channel::<()>();
        let stopped = async { drop(stopped.await) };
        let server = tokio::spawn(serve(listener, Arc::default(), health, stopped));
        let ready = fetch(address, "/readyz").await;
        assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
        assert!(ready.contains("the first list of mail is not complete"), "{ready}");
        assert!(fetch(address, "/livez").await.starts_with("HTTP/1.1 200"));
        let metrics = fetch(address, "/metrics").await;
        assert!(metrics.contains("sesmailfrom_build_info{"), "{metrics}");
        assert!(metrics.contains("openmetrics-text"), "{metrics}");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }

    /// So many objects that looking at them takes until something else is answered.
    #[derive(Debug)]
    struct Many {
        looking: UnboundedSender<()>,
        answered: Mutex<mpsc::Receiver<()>>,
    }

    impl Population for Many {
        fn each(&self, _: &mut dyn FnMut(&ObjectKey, Shown)) {
            self.looking.send(()).unwrap();
            let answered = self.answered.lock().unwrap();
            answered.recv_timeout(Duration::from_secs(30)).unwrap();
        }
    }

    #[tokio::test]
    async fn goes_on_answering_while_many_objects_are_looked_at() {
        let (listener, address) = listener().await;
        let (looking, mut looks) = unbounded_channel();
        let (answers, answered) = mpsc::channel();
        let many = Many { looking, answered: Mutex::new(answered) };
        let metrics = Arc::new(Metrics::new(Some(Box::new(many))));
        let server = serve(listener, metrics, Arc::new(Vec::new), std::future::pending());
        let meanwhile = async {
            looks.recv().await.unwrap();
            assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
            answers.send(()).unwrap();
        };
        tokio::select! {
            ended = server => panic!("{ended:?}"),
            (text, ()) = async { tokio::join!(fetch(address, "/metrics"), meanwhile) } => {
                assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            }
        }
    }

    /// Notes how many look at once.
    #[derive(Debug, Default)]
    struct Watched {
        looking: AtomicUsize,
        most: Arc<AtomicUsize>,
    }

    impl Population for Watched {
        fn each(&self, _: &mut dyn FnMut(&ObjectKey, Shown)) {
            let looking = self.looking.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(looking, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            self.looking.fetch_sub(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn shows_metrics_to_one_at_a_time() {
        let (listener, address) = listener().await;
        let most = Arc::default();
        let watched = Watched { most: Arc::clone(&most), ..Watched::default() };
        let metrics = Arc::new(Metrics::new(Some(Box::new(watched))));
        let server = serve(listener, metrics, Arc::new(Vec::new), std::future::pending());
        let all = futures::future::join_all([0; 4].map(|_| fetch(address, "/metrics")));
        tokio::select! {
            ended = server => panic!("{ended:?}"),
            texts = all => {
                let good = |text: &String| text.starts_with("HTTP/1.1 200");
                assert!(texts.iter().all(good), "{texts:?}");
            }
        }
        assert_eq!(most.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn ready_when_nothing_is_missing() {
        assert_eq!(readiness(&[]).0, StatusCode::OK);
    }
}
