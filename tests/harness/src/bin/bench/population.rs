//! Which objects are Ready, and since when: of each object no more is kept, for
//! ten thousand of them in every version would be the benchmark's own burden.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_simulator::SimClock;
use futures::StreamExt;
use harness::condition;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::figures::seconds;

/// What is known of an object.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Standing {
    ready: bool,
    reason: String,
}

/// All objects, by `<namespace>/<name>`.
#[derive(Debug, Default)]
struct Seen {
    standings: BTreeMap<String, Standing>,
    ready: usize,
    /// When an object last became Ready.
    latest: f64,
}

/// Watches all objects until it is dropped.
#[derive(Debug)]
pub(crate) struct Population {
    seen: Arc<Mutex<Seen>>,
    watching: JoinHandle<()>,
}

impl Population {
    /// Times are told by `clock`.
    pub(crate) fn watch(client: kube::Client, clock: SimClock) -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let kind = GroupVersionKind::gvk("mailfrom.dev", "v1alpha1", "SesMailFrom");
        let api = Api::all_with(client, &ApiResource::from_gvk(&kind));
        let watching = tokio::spawn(follow(api, Arc::clone(&seen), clock));
        Self { seen, watching }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many objects are Ready.
    pub(crate) fn ready(&self) -> usize {
        self.seen().ready
    }

    /// When an object last became Ready, in seconds of the simulator.
    pub(crate) fn latest(&self) -> f64 {
        self.seen().latest
    }

    /// How many objects there are.
    pub(crate) fn len(&self) -> usize {
        self.seen().standings.len()
    }

    /// How many stand at which reason, in words.
    pub(crate) fn reasons(&self) -> String {
        let seen = self.seen();
        let mut counts = BTreeMap::<&str, usize>::new();
        for standing in seen.standings.values() {
            *counts.entry(&standing.reason).or_default() += 1;
        }
        let mut text = String::new();
        for (reason, count) in counts {
            let reason = if reason.is_empty() { "no status" } else { reason };
            // Writing to a String cannot fail.
            let _ = write!(text, "{count} {reason} ");
        }
        text
    }
}

impl Drop for Population {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn follow(api: Api<DynamicObject>, seen: Arc<Mutex<Seen>>, clock: SimClock) {
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        let (object, gone) = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
            Ok(Event::Delete(object)) => (object, true),
            // Watching goes on by itself, and errors are tried again.
            Ok(Event::Init | Event::InitDone) | Err(_) => continue,
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.note(&object, gone, seconds(clock.now()));
    }
}

impl Seen {
    fn note(&mut self, object: &DynamicObject, gone: bool, at: f64) {
        let namespace = object.metadata.namespace.as_deref().unwrap_or_default();
        let key = format!("{namespace}/{}", object.metadata.name.as_deref().unwrap_or_default());
        let standing = standing(&object.data);
        let is_ready = !gone && standing.ready;
        let before =
            if gone { self.standings.remove(&key) } else { self.standings.insert(key, standing) };
        let was_ready = before.is_some_and(|before| before.ready);
        if is_ready && !was_ready {
            self.ready += 1;
            self.latest = at;
        } else if was_ready && !is_ready {
            self.ready -= 1;
        }
    }
}

fn standing(object: &Value) -> Standing {
    let ready = condition(object, "Ready");
    let text = |field: &str| ready.and_then(|ready| ready[field].as_str()).unwrap_or_default();
    Standing { ready: text("status") == "True", reason: text("reason").to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn object(name: &str, status: &str) -> DynamicObject {
        let condition = json!({"type": "Ready", "status": status, "reason": "Because"});
        let object = json!({
            "metadata": {"name": name, "namespace": "a"},
            "status": {"conditions": [condition]},
        });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn each_object_counts_once_and_the_last_to_become_ready_tells_the_time() {
        let mut seen = Seen::default();
        for (name, status, at) in
            [("x", "True", 1.0), ("y", "False", 2.0), ("y", "True", 3.0), ("x", "True", 4.0)]
        {
            seen.note(&object(name, status), false, at);
        }
        assert_eq!((seen.ready, seen.latest), (2, 3.0));
        seen.note(&object("y", "False"), false, 5.0);
        seen.note(&object("x", "True"), true, 6.0);
        assert_eq!((seen.ready, seen.standings.len()), (0, 1));
    }
}
