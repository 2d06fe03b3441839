//! One run of the operator, from its start to its death.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws_simulator::Simulator;
use serde_json::json;
use ses_mailfrom::authority::{Labels, ObjectKey};
use ses_mailfrom::aws::{self, Aws};
use ses_mailfrom::clock::Clock;
use ses_mailfrom::controller::{
    Change, Live, Memories, Queue, Reconciler, Store, Wake, Watched, Woken, planner,
};
use ses_mailfrom::dns::{self, Dns};
use ses_mailfrom::mail::Regions;
use ses_mailfrom::plan::Settings;
use ses_mailfrom::telemetry::Metrics;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::behalf::{Behalf, Overheard};
use crate::cluster::{Client, Cluster, NAMESPACE, Told};
use crate::lifeline::{Lifeline, Odometer};
use crate::others::Others;
use crate::outside::{Servers, WRITER, sdk};

/// Where an operator runs, one process after another.
#[derive(Clone)]
pub(crate) struct Setup {
    pub aws: Simulator,
    pub cluster: Cluster,
    pub clock: Clock,
    pub odometer: Odometer,
    pub others: Others,
    pub behalf: Behalf,
    pub owner_id: &'static str,
}

/// By which an object's writes are told from another's.
pub(crate) fn access_key(owner_id: &str, object: &str) -> String {
    format!("{owner_id}-{object}")
}

/// A running operator.
pub(crate) struct Process {
    pub lifeline: Lifeline,
    store: Arc<Store>,
    waker: UnboundedSender<Woken>,
    queue: JoinHandle<()>,
    told: usize,
}

/// What SES and Route 53 take hours for takes fewer here: time costs nothing on
/// a paused clock, but every look at the world does.
pub(crate) fn settings() -> Settings {
    let (seconds, minutes) = (Duration::from_secs, Duration::from_mins);
    Settings {
        verification_window: minutes(90),
        drain_window: minutes(60),
        poll_min: seconds(15),
        poll_max: minutes(15),
        resync: minutes(15),
        restart_pause_min: minutes(15),
        restart_pause_max: minutes(60),
        put_hold_off: seconds(60),
        stall_grace: minutes(15),
        authority_grace: minutes(5),
        stale_after: minutes(60),
        drift_loop_window: minutes(30),
        insync_fallback: seconds(120),
        max_observation_age: seconds(120),
        zone_cache: minutes(60),
        regions: Regions::default(),
    }
}

pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new(NAMESPACE, name)
}

impl Process {
    /// Starts, with everything listed and nothing remembered.
    pub(crate) fn start(setup: &Setup) -> Self {
        let Setup { aws, cluster, clock, odometer, owner_id, .. } = setup;
        let owner_id = *owner_id;
        let lifeline = Lifeline::new(odometer.clone());
        let (waker, woken) = unbounded_channel();
        let send = waker.clone();
        let news = move |key: &ObjectKey| drop(send.send(Woken { key: key.clone(), news: true }));
        let wake: Wake = Arc::new(news);
        let by_aws = Arc::clone(&wake);
        let adapter = Aws::new(
            &sdk(setup, &lifeline),
            aws::Settings::default(),
            clock.clone(),
            Arc::new(move |key| by_aws(key)),
            Arc::new(|_| {}),
        );
        let resolvers = vec![SocketAddr::from((aws.resolver(), 53))];
        let servers = Servers { aws: aws.clone(), lifeline: lifeline.clone() };
        let dns = dns::Settings { resolvers, ..dns::Settings::default() };
        let dns = Dns::with_exchange(dns, Arc::new(servers));
        let settings = settings();
        let store = Arc::new(Store::new(owner_id.into(), settings.regions.clone()));
        let reconciler = Arc::new(Reconciler {
            objects: Client { cluster: cluster.clone(), lifeline: lifeline.clone() },
            outside: Overheard {
                live: Live::new(adapter, dns, clock.clone(), Arc::clone(&wake)),
                behalf: setup.behalf.clone(),
                owner_id,
            },
            store: Arc::clone(&store),
            memories: Memories::default(),
            settings,
            clock: clock.clone(),
            metrics: Arc::new(Metrics::default()),
            wake,
            planner: planner(),
        });
        let ranking = Arc::clone(&reconciler);
        let rank_of = move |key: &ObjectKey| ranking.rank(key);
        let queue = Queue::new(woken, 4, clock.clone(), rank_of);
        let steps = lifeline.clone();
        let queue = tokio::spawn(async move {
            let reconcile = move |key: ObjectKey| {
                steps.step();
                let reconciler = Arc::clone(&reconciler);
                let writer = access_key(owner_id, key.name());
                WRITER.scope(writer, async move { reconciler.reconcile(&key).await.again })
            };
            queue.run(reconcile, std::future::pending()).await;
        });
        store.saw_namespace(NAMESPACE, Labels::new());
        let policy = json!({
            "metadata": {"name": "default", "resourceVersion": "1"},
            "spec": {
                "namespaceSelector": {}, "domains": ["*"], "ambientCredentials": "Allow",
                "spfIncludes": ["*"], "takeOver": "Allow",
            },
        });
        store.saw_policy(serde_json::from_value(policy).unwrap());
        let process = Self { lifeline, store, waker, queue, told: cluster.told() };
        for object in cluster.all() {
            let object = serde_json::from_value(serde_json::to_value(&object).unwrap()).unwrap();
            process.saw(object);
        }
        process.store.listed();
        process
    }

    pub(crate) fn wake(&self, name: &str) {
        self.look_at(key(name));
    }

    fn look_at(&self, key: ObjectKey) {
        // Fails only once the process is gone.
        let _ = self.waker.send(Woken { key, news: false });
    }

    /// Takes in what the watch tells until now; yields when it tells more.
    pub(crate) fn watch(&mut self, cluster: &Cluster) -> Option<Instant> {
        while let Some(Told { due, object, name }) = cluster.tell(self.told) {
            if due > Instant::now() {
                return Some(due);
            }
            self.told += 1;
            if let Some(object) = object {
                let object = serde_json::to_value(&object).unwrap();
                self.saw(serde_json::from_value(object).unwrap());
            } else {
                let others = self.store.forget(&key(&name));
                self.wake(&name);
                for other in others {
                    self.wake(other.name());
                }
            }
        }
        None
    }

    fn saw(&self, object: Watched) {
        let Change { wake, unreadable } = self.store.saw(object);
        assert_eq!(unreadable, None, "an object that does not parse");
        for key in wake {
            self.look_at(key);
        }
    }

    /// Dies at once: nothing of it does anything any more.
    pub(crate) async fn kill(self) {
        let Self { lifeline, queue, .. } = self;
        lifeline.kill();
        queue.abort();
        let ended = queue.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "the queue broke off by itself");
    }
}
