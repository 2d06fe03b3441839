//! Watches that keep caches as the API server shows things.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::watched::Unreadable;
use crate::authority::ObjectKey;

/// Objects a page: a page of this size takes a few hundred kilobytes.
const PAGE: u32 = 500;

/// A watch that failed counts as dead for this long. It is tried again at least
/// every 30 s, and may take 10 s to fail once more.
const TROUBLE: Duration = Duration::from_secs(45);

/// A watch, and how it stands.
#[derive(Debug)]
pub(super) struct Watch {
    /// Of what, for a person.
    what: String,
    /// The CustomResourceDefinition that it needs.
    crd: &'static str,
    listed: watch::Sender<bool>,
    trouble: Mutex<Option<(String, Instant)>>,
}

/// Where a watch puts what it brings.
pub(super) trait Cache<K>: Send + Sync {
    /// Tells entries apart.
    type Key: Eq + Hash + Send + Sync;

    /// Which entry it is.
    fn key(object: &K) -> Self::Key;
    /// It is there, or has changed.
    fn saw(&self, object: K);
    /// It is gone.
    fn forget(&self, key: &Self::Key);
    /// Every entry of this watch.
    fn keys(&self) -> Vec<Self::Key>;
}

/// Told of what the watches bring.
pub(super) trait Audience: Send + Sync + 'static {
    /// An object is to be planned again.
    fn wake(&self, key: ObjectKey);
    /// An object does not parse; told once a version.
    fn unreadable(&self, object: Unreadable);
    /// A policy does not parse, and so allows nothing; told once a version.
    fn unreadable_policy(&self, name: &str, error: &str);
}

/// How every watch lists.
pub(super) fn config() -> watcher::Config {
    watcher::Config::default().page_size(PAGE)
}

impl Watch {
    /// A watch that has not begun.
    pub(super) fn new(what: String, crd: &'static str) -> Self {
        Self { what, crd, listed: watch::Sender::new(false), trouble: Mutex::default() }
    }

    /// Follows a watcher's events until dropped.
    pub(super) async fn run<K: Debug + Send>(
        &self,
        events: impl Stream<Item = watcher::Result<Event<K>>> + Send,
        cache: &impl Cache<K>,
    ) {
        self.follow(events.default_backoff(), cache).await;
    }

    /// Resolves when everything has been listed once.
    pub(super) async fn listed(&self) {
        // Fails only without a sender, and this is the sender.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }

    /// What is missing: the first list, or a watch that lives.
    pub(super) fn missing(&self) -> Option<String> {
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let trouble = trouble.as_ref();
        if *self.listed.borrow() {
            let recent = trouble.filter(|(_, at)| at.elapsed() < TROUBLE)?;
            return Some(format!("the watch of {} failed: {}", self.what, recent.0));
        }
        let why = trouble.map_or("not yet", |(message, _)| message);
        Some(format!("the first list of {} is not complete: {why}", self.what))
    }

    async fn follow<K, C: Cache<K>>(
        &self,
        events: impl Stream<Item = watcher::Result<Event<K>>>,
        cache: &C,
    ) {
        let mut events = pin!(events);
        // Of those known before a list, the ones that it has not shown yet.
        let mut unseen = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => unseen = cache.keys().into_iter().collect(),
                Ok(Event::InitApply(object)) => {
                    unseen.remove(&C::key(&object));
                    cache.saw(object);
                }
                Ok(Event::InitDone) => {
                    for key in std::mem::take(&mut unseen) {
                        cache.forget(&key);
                    }
                    self.alive();
                    if !self.listed.send_replace(true) {
                        info!(what = self.what, "Listed everything");
                    }
                }
                Ok(Event::Apply(object)) => {
                    self.alive();
                    cache.saw(object);
                }
                Ok(Event::Delete(object)) => {
                    self.alive();
                    cache.forget(&C::key(&object));
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    fn alive(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failed(&self, error: &watcher::Error) {
        let message = self.explained(error);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // The same again is no news.
        if trouble.as_ref().is_none_or(|(before, _)| *before != message) {
            warn!(what = self.what, error = message, "Could not watch");
        }
        *trouble = Some((message, Instant::now()));
    }

    /// In the API server's own words, which the error's text repeats in two forms.
    fn explained(&self, error: &watcher::Error) -> String {
        use kube::Error::Api;
        use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
        match error {
            InitialListFailed(Api(status)) if status.code == 404 => {
                format!("the CustomResourceDefinition {} is not installed", self.crd)
            }
            InitialListFailed(Api(status))
            | WatchStartFailed(Api(status))
            | WatchFailed(Api(status))
            | WatchError(status) => status.message.clone(),
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use futures::stream;
    use kube::core::Status;

    use super::super::caches::{Namespaces, Objects, Policies};
    use super::super::policies::WatchedPolicy;
    use super::super::store::Store;
    use super::super::watched::Watched;
    use super::*;
    use crate::controller::testing::{key, object, permit, watched};
    use crate::mail::Regions;

    #[derive(Default)]
    struct Heard {
        woken: Mutex<Vec<String>>,
        unreadable: Mutex<Vec<String>>,
    }

    const CRD: &str = "sesmailfroms.mailfrom.dev";

    fn watch() -> Watch {
        Watch::new("all namespaces".into(), CRD)
    }

    impl Audience for Heard {
        fn wake(&self, key: ObjectKey) {
            self.woken.lock().unwrap().push(key.name().to_string());
        }

        fn unreadable(&self, object: Unreadable) {
            self.unreadable.lock().unwrap().push(object.subject.key.name().to_string());
        }

        fn unreadable_policy(&self, name: &str, _: &str) {
            self.unreadable.lock().unwrap().push(name.to_owned());
        }
    }

    type Events = Vec<watcher::Result<Event<Watched>>>;

    async fn follow(watch: &Watch, store: &Arc<Store>, events: Events) -> Arc<Heard> {
        follow_in(watch, store, None, events).await
    }

    async fn follow_in(
        watch: &Watch,
        store: &Arc<Store>,
        namespace: Option<String>,
        events: Events,
    ) -> Arc<Heard> {
        let audience = Arc::new(Heard::default());
        let (store, heard) = (Arc::clone(store), Arc::clone(&audience));
        watch.follow(stream::iter(events), &Objects { store, audience, namespace }).await;
        heard
    }

    fn store() -> Arc<Store> {
        let store = Store::new("owner".into(), Regions::default());
        permit(&store);
        Arc::new(store)
    }

    fn in_list(name: &str, version: u64) -> Event<Watched> {
        Event::InitApply(watched(&object(name, version)))
    }

    #[tokio::test]
    async fn a_list_anew_drops_what_is_gone_from_its_own_namespace_only() {
        let (store, watch) = (store(), watch());
        let mail = || Some("mail".to_owned());
        let mut elsewhere = object("c", 3);
        elsewhere.metadata.namespace = Some("other".into());
        store.saw(watched(&elsewhere));
        follow_in(
            &watch,
            &store,
            mail(),
            vec![Ok(Event::Init), Ok(in_list("a", 1)), Ok(in_list("b", 2)), Ok(Event::InitDone)],
        )
        .await;
        assert_eq!(store.keys().len(), 3);
        let anew = vec![Ok(Event::Init), Ok(in_list("a", 1)), Ok(Event::InitDone)];
        let heard = follow_in(&watch, &store, mail(), anew).await;
        assert!(store.view(&key("b")).is_none());
        assert_eq!(store.keys().len(), 2);
        assert!(heard.woken.lock().unwrap().contains(&"b".to_owned()), "its memory goes");
    }

    #[tokio::test]
    async fn one_that_does_not_parse_is_told_and_the_others_go_on() {
        let (store, watch) = (store(), watch());
        let broken: Watched = serde_json::from_value(serde_json::json!({
            "metadata": {"namespace": "mail", "name": "bad", "resourceVersion": "1"}, "spec": 5,
        }))
        .unwrap();
        let events = vec![
            Ok(Event::Init),
            Ok(Event::InitApply(broken.clone())),
            Ok(in_list("good", 2)),
            Ok(Event::InitDone),
            Ok(Event::Apply(broken)),
        ];
        let heard = follow(&watch, &store, events).await;
        assert_eq!(*heard.unreadable.lock().unwrap(), ["bad"], "once a version");
        assert_eq!(*heard.woken.lock().unwrap(), ["good"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_missing_crd_is_waited_for_and_said() {
        let (store, watch) = (store(), watch());
        let missing = || {
            let status = Status { code: 404, ..Status::default() };
            Err(watcher::Error::InitialListFailed(kube::Error::Api(status.boxed())))
        };
        follow(&watch, &store, vec![Ok(Event::Init), missing(), Ok(Event::Init), missing()]).await;
        let said = watch.missing().unwrap();
        assert!(said.contains("sesmailfroms.mailfrom.dev is not installed"), "{said}");
        follow(&watch, &store, vec![Ok(Event::Init), Ok(Event::InitDone)]).await;
        watch.listed().await;
        assert_eq!(watch.missing(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_failed_is_not_ready_for_a_while() {
        let (store, watch) = (store(), watch());
        let failure = watcher::Error::NoResourceVersion;
        follow(&watch, &store, vec![Ok(Event::InitDone), Err(failure)]).await;
        assert!(watch.missing().unwrap().contains("the watch of all namespaces failed"));
        tokio::time::advance(TROUBLE).await;
        assert_eq!(watch.missing(), None);
    }

    fn policy(name: &str, spec: &serde_json::Value) -> WatchedPolicy {
        serde_json::from_value(serde_json::json!({
            "metadata": {"name": name, "resourceVersion": "1"}, "spec": spec,
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_policy_that_does_not_parse_allows_nothing_and_hides_no_other() {
        let store = Arc::new(Store::new("owner".into(), Regions::default()));
        store.saw_namespace("mail", crate::authority::Labels::new());
        store.saw(watched(&object("a", 1)));
        let allowed = || store.view(&key("a")).unwrap().1.authorized().is_ok();
        let audience = Arc::new(Heard::default());
        let told = Mutex::default();
        let cache = Policies { store: Arc::clone(&store), audience: Arc::clone(&audience), told };
        let all = serde_json::json!({
            "namespaceSelector": {}, "domains": ["*"], "ambientCredentials": "Allow",
        });
        let mut bad = all.clone();
        bad["ambientCredentials"] = "Perhaps".into();
        let list = |policies: Vec<WatchedPolicy>| {
            let policies = policies.into_iter().map(|policy| Ok(Event::InitApply(policy)));
            let events = [Ok(Event::Init)].into_iter().chain(policies);
            stream::iter(events.chain([Ok(Event::InitDone)]).collect::<Vec<_>>())
        };
        let bad = policy("bad", &bad);
        watch().follow(list(vec![bad.clone(), bad.clone()]), &cache).await;
        assert!(!allowed());
        assert_eq!(*audience.unreadable.lock().unwrap(), ["bad"], "once a version");
        watch().follow(list(vec![bad, policy("good", &all)]), &cache).await;
        assert!(allowed());
        assert_eq!(store.policies(), ["bad", "good"]);
        watch().follow(list(vec![]), &cache).await;
        assert!(!allowed(), "what a new list does not name is gone");
        assert!(audience.woken.lock().unwrap().len() >= 2);
    }

    #[tokio::test]
    async fn an_object_whose_namespace_is_not_known_yet_is_not_decided_on() {
        let store = Arc::new(Store::new("owner".into(), Regions::default()));
        store.saw(watched(&object("a", 1)));
        assert!(store.view(&key("a")).is_none());
        let audience = Arc::new(Heard::default());
        let cache = Namespaces { store: Arc::clone(&store), audience: Arc::clone(&audience) };
        let namespace = serde_json::from_value(serde_json::json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": "mail", "labels": {"team": "mail"}},
        }))
        .unwrap();
        watch().follow(stream::iter([Ok(Event::Apply(namespace))]), &cache).await;
        assert!(store.view(&key("a")).is_some());
        assert_eq!(*audience.woken.lock().unwrap(), ["a"]);
    }
}
