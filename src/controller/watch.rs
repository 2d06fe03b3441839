//! Keeps the store as the API server shows the objects.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::store::{Change, Store};
use super::watched::{Unreadable, Watched};
use crate::authority::ObjectKey;

/// Objects a page: a page of this size takes a few hundred kilobytes.
const PAGE: u32 = 500;

/// A watch that failed counts as dead for this long. It is tried again at least
/// every 30 s, and may take 10 s to fail once more.
const TROUBLE: Duration = Duration::from_secs(45);

/// One namespace, or all.
#[derive(Clone, Debug)]
pub(super) struct Scope(pub(super) Option<String>);

/// A watch over a scope, and how it stands.
#[derive(Debug)]
pub(super) struct Watch {
    scope: Scope,
    listed: watch::Sender<bool>,
    trouble: Mutex<Option<(String, Instant)>>,
}

/// Told of what the watch brings.
pub(super) trait Audience: Send + Sync + 'static {
    /// An object is to be planned again.
    fn wake(&self, key: ObjectKey);
    /// An object does not parse; told once a version.
    fn unreadable(&self, object: Unreadable);
}

impl Watch {
    /// A watch that has not begun.
    pub(super) fn new(scope: Scope) -> Self {
        Self { scope, listed: watch::Sender::new(false), trouble: Mutex::default() }
    }

    /// Watches until dropped.
    pub(super) async fn run(&self, client: Client, store: &Store, audience: &impl Audience) {
        let api: Api<Watched> = match &self.scope.0 {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let events = watcher(api, watcher::Config::default().page_size(PAGE));
        self.follow(events.default_backoff(), store, audience).await;
    }

    /// Resolves when every object of the scope has been listed once.
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
            return Some(format!("the watch of {} failed: {}", self.scope, recent.0));
        }
        let why = trouble.map_or("not yet", |(message, _)| message);
        Some(format!("the first list of {} is not complete: {why}", self.scope))
    }

    async fn follow(
        &self,
        events: impl Stream<Item = watcher::Result<Event<Watched>>>,
        store: &Store,
        audience: &impl Audience,
    ) {
        let mut events = pin!(events);
        let mut seen = HashSet::new();
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Init) => seen.clear(),
                Ok(Event::InitApply(object)) => {
                    seen.insert(object.key());
                    tell(store.saw(object), audience);
                }
                Ok(Event::InitDone) => {
                    let gone = store.keys().into_iter();
                    let gone = gone.filter(|key| self.scope.covers(key) && !seen.contains(key));
                    for key in gone {
                        forget(store, &key, audience);
                    }
                    seen = HashSet::new();
                    self.alive();
                    if !self.listed.send_replace(true) {
                        info!(scope = %self.scope, "Listed all objects");
                    }
                }
                Ok(Event::Apply(object)) => {
                    self.alive();
                    tell(store.saw(object), audience);
                }
                Ok(Event::Delete(object)) => {
                    self.alive();
                    forget(store, &object.key(), audience);
                }
                Err(error) => self.failed(&error),
            }
        }
    }

    fn alive(&self) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn failed(&self, error: &watcher::Error) {
        let message = explained(error);
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        // The same again is no news.
        if trouble.as_ref().is_none_or(|(before, _)| *before != message) {
            warn!(scope = %self.scope, error = message, "Could not watch objects");
        }
        *trouble = Some((message, Instant::now()));
    }
}

fn tell(change: Change, audience: &impl Audience) {
    let Change { wake, unreadable } = change;
    for key in wake {
        audience.wake(key);
    }
    if let Some(unreadable) = unreadable {
        audience.unreadable(unreadable);
    }
}

/// The object itself is woken too, so that what is remembered of it goes.
fn forget(store: &Store, key: &ObjectKey, audience: &impl Audience) {
    for rival in store.forget(key) {
        audience.wake(rival);
    }
    audience.wake(key.clone());
}

/// In the API server's own words, which the error's text repeats in two forms.
fn explained(error: &watcher::Error) -> String {
    use kube::Error::Api;
    use watcher::Error::{InitialListFailed, WatchError, WatchFailed, WatchStartFailed};
    match error {
        InitialListFailed(Api(status)) if status.code == 404 => {
            "the CustomResourceDefinition sesmailfroms.mailfrom.dev is not installed".into()
        }
        InitialListFailed(Api(status))
        | WatchStartFailed(Api(status))
        | WatchFailed(Api(status))
        | WatchError(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl Scope {
    fn covers(&self, key: &ObjectKey) -> bool {
        self.0.as_ref().is_none_or(|namespace| *namespace == key.namespace)
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(namespace) => write!(f, "namespace {namespace}"),
            None => f.write_str("all namespaces"),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use futures::stream;
    use kube::core::Status;

    use super::*;
    use crate::controller::testing::{key, object, watched};
    use crate::mail::Regions;

    #[derive(Default)]
    struct Heard {
        woken: Mutex<Vec<String>>,
        unreadable: Mutex<Vec<String>>,
    }

    impl Audience for Heard {
        fn wake(&self, key: ObjectKey) {
            self.woken.lock().unwrap().push(key.name);
        }

        fn unreadable(&self, object: Unreadable) {
            self.unreadable.lock().unwrap().push(object.subject.key.name);
        }
    }

    type Events = Vec<watcher::Result<Event<Watched>>>;

    async fn follow(watch: &Watch, store: &Store, events: Events) -> Heard {
        let heard = Heard::default();
        watch.follow(stream::iter(events), store, &heard).await;
        heard
    }

    fn store() -> Store {
        Store::new("owner".into(), Regions::default())
    }

    fn in_list(name: &str, version: u64) -> Event<Watched> {
        Event::InitApply(watched(&object(name, version)))
    }

    #[tokio::test]
    async fn a_list_anew_drops_what_is_gone_from_its_own_namespace_only() {
        let (store, watch) = (store(), Watch::new(Scope(Some("mail".into()))));
        let mut elsewhere = object("c", 3);
        elsewhere.metadata.namespace = Some("other".into());
        store.saw(watched(&elsewhere));
        follow(
            &watch,
            &store,
            vec![Ok(Event::Init), Ok(in_list("a", 1)), Ok(in_list("b", 2)), Ok(Event::InitDone)],
        )
        .await;
        assert_eq!(store.keys().len(), 3);
        let heard =
            follow(&watch, &store, vec![Ok(Event::Init), Ok(in_list("a", 1)), Ok(Event::InitDone)])
                .await;
        assert!(store.view(&key("b")).is_none());
        assert_eq!(store.keys().len(), 2);
        assert!(heard.woken.lock().unwrap().contains(&"b".to_owned()), "its memory goes");
    }

    #[tokio::test]
    async fn one_that_does_not_parse_is_told_and_the_others_go_on() {
        let (store, watch) = (store(), Watch::new(Scope(None)));
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
        let (store, watch) = (store(), Watch::new(Scope(None)));
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
        let (store, watch) = (store(), Watch::new(Scope(None)));
        let failure = watcher::Error::NoResourceVersion;
        follow(&watch, &store, vec![Ok(Event::InitDone), Err(failure)]).await;
        assert!(watch.missing().unwrap().contains("the watch of all namespaces failed"));
        tokio::time::advance(TROUBLE).await;
        assert_eq!(watch.missing(), None);
    }
}
