//! Tells persons which of their objects do not parse.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{debug, warn};

use super::objects::{ObjectError, Objects};
use super::store::Store;
use super::watched::Unreadable;
use crate::api::Reason;
use crate::authority::ObjectKey;
use crate::lease::Leadership;
use crate::plan::Notice;

/// Whoever could not be told is told after so long.
const PAUSE: Duration = Duration::from_secs(10);

/// Objects that do not parse and of which nobody has been told: of each name only the
/// version that was seen last, however long a process stands by.
#[derive(Debug, Default)]
pub(super) struct Unreadables {
    untold: Mutex<HashMap<ObjectKey, Unreadable>>,
    added: Notify,
}

impl Unreadables {
    /// An object does not parse.
    pub(super) fn add(&self, object: Unreadable) {
        self.untold().insert(object.subject.key.clone(), object);
        self.added.notify_one();
    }

    /// Posts an Event about each, while this process leads. One at a time: thousands
    /// of them would hold up every other write.
    pub(super) async fn tell(
        &self,
        objects: &impl Objects,
        store: &Store,
        leadership: &Leadership,
    ) -> Infallible {
        leadership.gained().await;
        // There is no status to say it.
        let mut again = Vec::new();
        loop {
            let Some(object) = self.next() else {
                if again.is_empty() {
                    self.added.notified().await;
                } else {
                    sleep(PAUSE).await;
                    self.put_back(again.drain(..));
                }
                continue;
            };
            let is_news = store.is_unreadable(&object.subject.key, &object.version);
            if is_news && !post(objects, &object).await {
                again.push(object);
            }
        }
    }

    /// Objects of which nobody could be told, unless a newer version is there.
    fn put_back(&self, objects: impl Iterator<Item = Unreadable>) {
        let mut untold = self.untold();
        for object in objects {
            untold.entry(object.subject.key.clone()).or_insert(object);
        }
    }

    fn next(&self) -> Option<Unreadable> {
        let mut untold = self.untold();
        let key = untold.keys().next()?.clone();
        untold.remove(&key)
    }

    fn untold(&self) -> MutexGuard<'_, HashMap<ObjectKey, Unreadable>> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `false` where it may be posted later.
async fn post(objects: &impl Objects, object: &Unreadable) -> bool {
    let Unreadable { subject, error, .. } = object;
    let note = format!("the object does not parse and is left alone: {error}");
    let notice = Notice { warning: true, reason: Reason::InvalidSpec.as_str(), note };
    let Err(error) = objects.post_event(subject, &notice).await else { return true };
    if matches!(error, ObjectError::NotLeading) {
        debug!(object = %subject.key, %error, "Could not post an Event");
    } else {
        warn!(object = %subject.key, %error, "Could not post an Event");
    }
    !matches!(error, ObjectError::Unavailable(_))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;
    use tokio::time::timeout;

    use super::*;
    use crate::controller::scripted::InMemory;
    use crate::controller::testing::key;
    use crate::lease::{Moment, Uptime};
    use crate::mail::Regions;

    /// Has the store see an object that does not parse.
    fn broken(store: &Store, name: &str, version: u64) -> Unreadable {
        let watched = json!({
            "metadata": {
                "namespace": "mail", "name": name, "uid": format!("uid-{name}-{version}"),
                "resourceVersion": version.to_string(),
            },
            "spec": {"domain": 1},
        });
        store.saw(serde_json::from_value(watched).unwrap()).unreadable.unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn who_leads_tells_once_of_the_last_version_of_each_that_still_does_not_parse() {
        let store = Store::new("owner".into(), Regions::default());
        let kubernetes = InMemory::default();
        let leadership = Leadership::elected(Uptime::from_fn(|| Moment::at(Duration::ZERO)));
        let unreadables = Unreadables::default();
        for version in 1..=3 {
            unreadables.add(broken(&store, "a", version));
        }
        unreadables.add(broken(&store, "gone", 4));
        store.forget(&key("gone"));
        assert_eq!(unreadables.untold().len(), 2, "one for each object");
        let wait = Duration::from_secs(1);
        let tell = || timeout(wait, unreadables.tell(&kubernetes, &store, &leadership));
        assert!(tell().await.is_err());
        assert_eq!(*kubernetes.log.lock().unwrap(), [""; 0], "another leads");
        leadership.extend(Moment::at(wait));
        let (told, ()) = tokio::join!(tell(), async {
            tokio::time::sleep(wait / 2).await;
            unreadables.add(broken(&store, "late", 5));
        });
        assert!(told.is_err());
        let expected = ["event uid-a-3 InvalidSpec", "event uid-late-5 InvalidSpec"];
        assert_eq!(*kubernetes.log.lock().unwrap(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn who_could_not_be_told_is_told_later_unless_kubernetes_has_said_no() {
        for (error, times) in [
            (ObjectError::Unavailable("429".into()), 2),
            (ObjectError::Refused("forbidden".into()), 1),
        ] {
            let store = Store::new("owner".into(), Regions::default());
            let kubernetes = InMemory::default();
            kubernetes.replies.lock().unwrap().push_back(error);
            let leadership = Leadership::elected(Uptime::from_fn(|| Moment::at(Duration::ZERO)));
            leadership.extend(Moment::at(PAUSE));
            let unreadables = Unreadables::default();
            unreadables.add(broken(&store, "a", 1));
            unreadables.add(broken(&store, "b", 1));
            let telling = unreadables.tell(&kubernetes, &store, &leadership);
            assert!(timeout(3 * PAUSE, telling).await.is_err());
            let told = kubernetes.log.lock().unwrap().clone();
            assert_ne!(told[0], told[1], "one does not hold up another");
            assert_eq!(told.len(), 1 + times);
            assert!(told.iter().filter(|one| **one == told[0]).count() == times, "{told:?}");
        }
    }
}
