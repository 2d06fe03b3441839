//! The operator from start to stop.

use std::convert::Infallible;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher;
use kube::{Api, Client, Config};
use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch::Receiver;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{Instrument as _, info_span, warn};

use super::caches;
use super::kubernetes::{Kubernetes, api_client, watch_client};
use super::memories::Memories;
use super::outside::Outside;
use super::pace::Pace;
use super::policies::WatchedPolicy;
use super::queue::Queue;
use super::reconcile::{Reconciler, Wake, planner};
use super::schedule::Woken;
use super::store::Store;
use super::unreadables::Unreadables;
use super::watch::{self, Audience, Watch};
use super::watched::{Unreadable, Watched};
use crate::authority::ObjectKey;
use crate::clock::Clock;
use crate::lease::Leadership;
use crate::plan::Settings;
use crate::telemetry::{Health, Listener, Metrics, Population, Shown, serve};

/// How often what is held is moved together, if much of it is new.
const PACK_EVERY: Duration = Duration::from_secs(30);

/// How an operator runs.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespaces to watch; none means all.
    pub namespaces: Vec<String>,
    /// Whom the markers speak for; `None` means the UID of `kube-system`.
    pub owner_id: Option<String>,
    /// How many reconciles run at once.
    pub max_concurrent_reconciles: usize,
    /// Writes per second to the API server.
    pub kube_api_rate: f64,
    /// Names this process in Events.
    pub instance: String,
    /// Whether this process may act. While it may not, it watches, so that it can
    /// take over at once.
    pub leadership: Leadership,
    /// The durations.
    pub settings: Settings,
}

/// Why an operator ended by itself.
#[derive(Debug, Error)]
pub enum RunError {
    /// The Kubernetes configuration cannot be used.
    #[error("cannot make a Kubernetes client: {0}")]
    Client(#[from] kube::Error),
    /// Probes and metrics cannot be served any more.
    #[error("the server of probes and metrics failed: {0}")]
    Server(#[from] io::Error),
    /// A watch broke off, which is a mistake in this program.
    #[error("a watch broke off")]
    Watch,
}

/// Runs the operator until `stop` turns true, and drains it then. `outside`
/// makes what speaks to AWS and DNS, and is given the owner id.
///
/// # Errors
/// See [`RunError`]. A missing CRD or an API server out of reach is none.
pub async fn run<X: Outside>(
    options: Options,
    kubernetes: &Config,
    listener: Listener,
    outside: impl FnOnce(Wake, &Arc<Metrics>, &str) -> X,
    stop: Receiver<bool>,
) -> Result<(), RunError> {
    let client = api_client(kubernetes)?;
    let watching = watch_client(kubernetes)?;
    let state = Arc::new(State::default());
    let metrics = Arc::new(Metrics::new(Some(Box::new(Arc::clone(&state)))));
    let server = serve(
        listener,
        Arc::clone(&metrics),
        health(&state, &options.leadership),
        stopped(stop.clone()),
    );
    let work = async {
        let owner_id = tokio::select! {
            () = stopped(stop.clone()) => return Ok(()),
            owner_id = owner_id(&options, &client) => owner_id,
        };
        let regions = options.settings.regions.clone();
        let store = Store::new(owner_id.clone(), regions);
        let store = state.store.get_or_init(|| Arc::new(store));
        let watches = state.watches.get_or_init(|| Watches::new(&options.namespaces));
        let (waker, woken) = unbounded_channel();
        let pace = Pace::new(options.kube_api_rate);
        let (instance, leadership) = (options.instance.clone(), options.leadership.clone());
        let writer = Kubernetes::new(client.clone(), instance, Clock::system(), leadership, pace);
        let (waking, counting) = (waker.clone(), Arc::clone(&metrics));
        let unreadables = Unreadables::default();
        let audience = Arc::new(Told { waker: waking, unreadables, metrics: counting });
        // Fails only once the queue is gone, and then nobody has to be woken.
        let news = move |key: &ObjectKey| drop(waker.send(Woken { key: key.clone(), news: true }));
        let wake: Wake = Arc::new(news);
        let reconciler = Reconciler {
            outside: outside(Arc::clone(&wake), &metrics, &owner_id),
            objects: writer.clone(),
            store: Arc::clone(store),
            memories: Memories::default(),
            settings: options.settings.clone(),
            clock: Clock::system(),
            metrics: Arc::clone(&metrics),
            wake,
            planner: planner(),
        };
        let watching = watch_all(watches, &watching, store, &audience);
        tokio::select! {
            () = reconcile_all(&options, watches, woken, Arc::new(reconciler), &stop) => Ok(()),
            () = watching => Err(RunError::Watch),
            never = pack(store) => match never {},
            never = audience.unreadables.tell(&writer, store, &options.leadership) => match never {},
        }
    };
    tokio::select! {
        ended = work => ended,
        // Told to stop, it is done before the work is.
        Err(error) = server => Err(error.into()),
    }
}

/// What the probes and the metrics look at; known bit by bit.
#[derive(Debug, Default)]
struct State {
    store: OnceLock<Arc<Store>>,
    watches: OnceLock<Watches>,
}

impl Population for Arc<State> {
    fn each(&self, visit: &mut dyn FnMut(&ObjectKey, Shown)) {
        if let Some(store) = self.store.get() {
            store.each(visit);
        }
    }
}

/// One that does not lead is ready as well once it could: rollouts go on.
fn health(state: &Arc<State>, leadership: &Leadership) -> Health {
    let (state, leadership) = (Arc::clone(state), leadership.clone());
    Arc::new(move || match state.watches.get() {
        Some(watches) => {
            let missing = watches.all().filter_map(|watch| watch.missing());
            missing.chain(leadership.missing()).collect()
        }
        None => vec!["the owner id is not known: waiting to read the namespace kube-system".into()],
    })
}

/// What is watched: all must have been listed before anything is decided.
#[derive(Debug)]
struct Watches {
    policies: Arc<Watch>,
    namespaces: Arc<Watch>,
    /// Objects, by namespace; `None` for all.
    objects: Vec<(Option<String>, Arc<Watch>)>,
}

impl Watches {
    fn new(namespaces: &[String]) -> Self {
        let watch = |what: &str, crd| Arc::new(Watch::new(what.to_owned(), crd));
        let objects = |namespace: Option<&String>| {
            let what =
                namespace.map_or("all namespaces".into(), |name| format!("namespace {name}"));
            let what = format!("SesMailFroms in {what}");
            (namespace.cloned(), watch(&what, "sesmailfroms.mailfrom.dev"))
        };
        let named = namespaces.iter().map(|namespace| objects(Some(namespace)));
        Self {
            policies: watch("SesMailFromPolicies", "sesmailfrompolicies.mailfrom.dev"),
            namespaces: watch("namespaces", ""),
            objects: if namespaces.is_empty() { vec![objects(None)] } else { named.collect() },
        }
    }

    fn all(&self) -> impl Iterator<Item = &Arc<Watch>> {
        let objects = self.objects.iter().map(|(_, watch)| watch);
        [&self.policies, &self.namespaces].into_iter().chain(objects)
    }
}

/// Ends only if a watch breaks off.
async fn watch_all(watches: &Watches, client: &Client, store: &Arc<Store>, audience: &Arc<Told>) {
    let mut running = JoinSet::new();
    let (all, config) = (|| client.clone(), watch::config);
    let watch = Arc::clone(&watches.policies);
    let events = watcher(Api::<WatchedPolicy>::all(all()), config());
    let (of, to, told) = (Arc::clone(store), Arc::clone(audience), Mutex::default());
    let cache = caches::Policies { store: of, audience: to, told };
    running.spawn(async move { watch.run(events, &cache).await });
    let watch = Arc::clone(&watches.namespaces);
    let events = watcher(Api::<PartialObjectMeta<Namespace>>::all(all()), config());
    let cache = caches::Namespaces { store: Arc::clone(store), audience: Arc::clone(audience) };
    running.spawn(async move { watch.run(events, &cache).await });
    for (namespace, watch) in &watches.objects {
        let (watch, namespace) = (Arc::clone(watch), namespace.clone());
        let api: Api<Watched> = match &namespace {
            Some(namespace) => Api::namespaced(all(), namespace),
            None => Api::all(all()),
        };
        let events = watcher(api, config());
        let (store, audience) = (Arc::clone(store), Arc::clone(audience));
        let cache = caches::Objects { store, audience, namespace };
        running.spawn(async move { watch.run(events, &cache).await });
    }
    running.join_next().await;
}

/// Now and then moves what is held together.
async fn pack(store: &Store) -> Infallible {
    loop {
        sleep(PACK_EVERY).await;
        store.pack().await;
    }
}

/// Reconciles from the moment at which every object, and so every claim, is
/// known and this process leads, until told to stop.
async fn reconcile_all<X: Outside>(
    options: &Options,
    watches: &Watches,
    mut woken: UnboundedReceiver<Woken>,
    reconciler: Arc<Reconciler<Kubernetes, X>>,
    stop: &Receiver<bool>,
) {
    let leads = async {
        join_all(watches.all().map(|watch| watch.listed())).await;
        // What persons ask for while another leads, or nobody, they wait for.
        reconciler.store.listed();
        options.leadership.stand();
        options.leadership.gained().await;
    };
    tokio::select! {
        () = stopped(stop.clone()) => return,
        () = leads => {}
        () = let_go(&mut woken) => return,
    }
    reconciler.metrics.leads();
    reconciler.outside.open();
    for key in reconciler.store.keys() {
        (reconciler.wake)(&key);
    }
    let ranking = Arc::clone(&reconciler);
    let rank_of = move |key: &ObjectKey| ranking.rank(key);
    let queue = Queue::new(woken, options.max_concurrent_reconciles, Clock::system(), rank_of);
    let (ids, number) = (RandomState::new(), AtomicU64::new(0));
    let reconcile = |key: ObjectKey| {
        let id = ids.hash_one(number.fetch_add(1, Ordering::Relaxed));
        let span = info_span!("reconcile", object = %key, reconcileID = format!("{id:016x}"));
        let reconciler = Arc::clone(&reconciler);
        async move { reconciler.reconcile(&key).await.again }.instrument(span)
    };
    queue.run(reconcile, stopped(stop.clone())).await;
    // What has left is not to come to pass once another leads.
    reconciler.outside.close().await;
}

/// Drops what is woken, which may be for months. Ends only when nobody wakes.
async fn let_go(woken: &mut UnboundedReceiver<Woken>) {
    while woken.recv().await.is_some() {}
}

/// Resolves when told to stop.
async fn stopped(mut stop: Receiver<bool>) {
    // Fails when nobody is left who could tell: a stop as well.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Whom the markers speak for: what was given, or the UID of `kube-system`,
/// which stays the same for the life of a cluster. Tries until it has it.
async fn owner_id(options: &Options, client: &Client) -> String {
    if let Some(given) = &options.owner_id {
        return given.clone();
    }
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let mut pause = Duration::from_millis(500);
    loop {
        let found = namespaces.get("kube-system").await.map(|found| found.metadata.uid);
        match found {
            Ok(Some(uid)) => return uid,
            Ok(None) => warn!("The namespace kube-system has no UID"),
            Err(error) => warn!(%error, "Could not read the namespace kube-system"),
        }
        sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(30));
    }
}

/// What the watches tell goes to the queue, and to the person concerned.
struct Told {
    waker: UnboundedSender<Woken>,
    unreadables: Unreadables,
    metrics: Arc<Metrics>,
}

impl Audience for Told {
    fn wake(&self, key: ObjectKey) {
        // Fails only once the queue is gone.
        let _ = self.waker.send(Woken { key, news: false });
    }

    fn unreadable_policy(&self, name: &str, error: &str) {
        warn!(policy = name, error, "Could not parse a SesMailFromPolicy; it allows nothing");
        self.metrics.unreadable();
    }

    fn unreadable(&self, object: Unreadable) {
        let (key, error) = (&object.subject.key, &object.error);
        warn!(object = %key, error, "Could not parse an object; it is left alone");
        self.metrics.unreadable();
        self.unreadables.add(object);
    }
}
