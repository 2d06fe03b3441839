use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::{Result, TimedOut};

/// The objects that there are, as JSON, by `<namespace>/<name>`.
pub type Objects = BTreeMap<String, Value>;

/// All objects of one kind as they change, every version of them kept. Lives on
/// the runtime that started it.
#[derive(Debug)]
pub struct Watched {
    seen: watch::Sender<Seen>,
    watching: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Seen {
    current: Objects,
    history: Vec<Version>,
}

/// One version of an object.
#[derive(Debug, Clone)]
pub struct Version {
    /// `<namespace>/<name>`.
    pub key: String,
    /// The object, none where it is gone.
    pub object: Option<Value>,
    /// When it was heard of.
    pub at: Instant,
}

impl Watched {
    /// Watches a kind, such as `mailfrom.dev/v1alpha1`, `SesMailFrom`, in a
    /// namespace or, with none, in all.
    pub fn start(
        client: kube::Client,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Self {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind));
        let api = match namespace {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        };
        let seen = watch::Sender::default();
        let watching = tokio::spawn(follow(api, seen.clone()));
        Self { seen, watching }
    }

    /// Waits until `found` gives something, looking at every change. It says what
    /// it sees instead otherwise.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut found: impl FnMut(&Objects) -> Result<T, String>,
    ) -> Result<T, TimedOut> {
        let mut seen = self.seen.subscribe();
        let mut last_seen = String::new();
        let search = async {
            loop {
                match found(&seen.borrow_and_update().current) {
                    Ok(found) => return Some(found),
                    Err(instead) => last_seen = instead,
                }
                seen.changed().await.ok()?;
            }
        };
        let found = timeout(limit, search).await.ok().flatten();
        found.ok_or_else(|| TimedOut { what: what.to_owned(), limit, last_seen })
    }

    /// All versions so far, of all objects, in the order in which they came.
    /// Those that stood when the watch began are the first.
    pub fn history(&self) -> Vec<Version> {
        self.seen.borrow().history.clone()
    }

    /// The versions after the first `known`, once there are any.
    pub async fn after(&self, known: usize) -> Vec<Version> {
        let mut seen = self.seen.subscribe();
        // It fails only where nobody can send any more, and then nothing is new.
        let grown = seen.wait_for(|seen| seen.history.len() > known).await;
        grown.map_or_else(|_| Vec::new(), |seen| seen.history[known..].to_vec())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

async fn follow(api: Api<DynamicObject>, seen: watch::Sender<Seen>) {
    let stream = watcher(api, watcher::Config::default()).default_backoff();
    let mut stream = std::pin::pin!(stream);
    while let Some(event) = stream.next().await {
        let (object, gone) = match event {
            Ok(Event::Apply(object) | Event::InitApply(object)) => (object, false),
            Ok(Event::Delete(object)) => (object, true),
            // Watching goes on by itself, and errors are tried again.
            Ok(Event::Init | Event::InitDone) | Err(_) => continue,
        };
        seen.send_modify(|seen| seen.note(&object, gone));
    }
}

impl Seen {
    fn note(&mut self, object: &DynamicObject, gone: bool) {
        let metadata = &object.metadata;
        let namespace = metadata.namespace.as_deref().unwrap_or_default();
        let key = format!("{namespace}/{}", metadata.name.as_deref().unwrap_or_default());
        let object = (!gone).then(|| serde_json::to_value(object).unwrap_or_default());
        match &object {
            Some(object) => {
                // A watch that had to begin again tells what is known.
                if self.current.get(&key) == Some(object) {
                    return;
                }
                self.current.insert(key.clone(), object.clone());
            }
            None => {
                self.current.remove(&key);
            }
        }
        self.history.push(Version { key, object, at: Instant::now() });
    }
}

/// An object's condition of that type, if it has it.
pub fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}
