//! The objects as far as they are known: the newer of what the watch shows and
//! what our own writes returned, with the claims that follow from them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem::replace;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use tokio::task::yield_now;

use super::claimant::claimant;
use super::objects::key_of;
use super::policies::WatchedPolicy;
use super::watched::{Unreadable, Watched, pruned};
use crate::api::{HANDLED_MAX, RECONCILE_REQUESTED_AT, SesMailFrom, SesMailFromStatus};
use crate::authority::{Claimant, Claims, Credentials, Labels, ObjectKey, Standing};
use crate::compact::Compact;
use crate::mail::Regions;

/// What is held is moved together once such a part of it is new.
const PACKED_AFTER: usize = 8;

/// So many are moved at once: more than the allocator keeps back of what is freed, to
/// hand it out again first.
const MOVED_AT_ONCE: usize = 1024;

/// All objects and their claims.
///
/// A reply to one of our writes is kept until the watch shows it or something
/// newer, so nothing is ever decided on an object older than our last write.
#[derive(Debug)]
pub struct Store {
    owner_id: String,
    regions: Regions,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    held: HashMap<ObjectKey, Held>,
    /// How many were held since they were last moved together.
    held_since_packed: usize,
    claims: Claims,
    /// Whether everything was there once: what comes now, a person has done.
    complete: bool,
    /// What persons have asked for since, as long as no status has seen it.
    awaited: HashSet<ObjectKey>,
}

#[derive(Debug)]
enum Held {
    Object(Compact<SesMailFrom>),
    Unreadable { version: Box<str> },
}

/// What is held, opened: the version, and the object where it parses.
struct Opened {
    version: String,
    object: Option<SesMailFrom>,
}

/// What an event of the watch means for others.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Change {
    /// The objects to plan again.
    pub wake: BTreeSet<ObjectKey>,
    /// Set once for each version of an object that does not parse.
    pub unreadable: Option<Unreadable>,
}

impl Store {
    /// An empty store. `owner_id` is whom the objects' markers speak for.
    pub fn new(owner_id: String, regions: Regions) -> Self {
        Self { owner_id, regions, known: Mutex::default() }
    }

    /// Takes in an object that the watch shows.
    pub fn saw(&self, watched: Watched) -> Change {
        let mut known = self.lock();
        match watched.into_object() {
            Ok(object) => {
                let key = key_of(&object);
                let held = known.held.get(&key).map(Held::open);
                let held = held.as_ref();
                if held.is_some_and(|held| !is_newer(version(&object), &held.version)) {
                    return Change::default();
                }
                let concerns_us = held.is_none_or(|held| held.differs(&object));
                let asked = if known.complete {
                    held.is_none_or(|held| held.asks_less_than(&object))
                } else {
                    has_waited(&object)
                };
                if asked {
                    known.awaited.insert(key.clone());
                }
                let mut wake = self.hold(&mut known, &key, &object);
                if concerns_us {
                    wake.insert(key);
                }
                Change { wake, unreadable: None }
            }
            Err(unreadable) => {
                let Unreadable { subject, version, .. } = &unreadable;
                let held = known.held.get(&subject.key).map(Held::open);
                if held.is_some_and(|held| !is_newer(version, &held.version)) {
                    return Change::default();
                }
                // What it claimed while it parsed, it claims still: its records stand.
                let held = Held::Unreadable { version: version.as_str().into() };
                known.held.insert(subject.key.clone(), held);
                Change { wake: BTreeSet::new(), unreadable: Some(unreadable) }
            }
        }
    }

    /// Takes in the reply to one of our own writes. Returns the other objects
    /// whose standing may have changed with it.
    pub fn wrote(&self, object: SesMailFrom) -> BTreeSet<ObjectKey> {
        let object = pruned(object);
        let key = key_of(&object);
        let mut known = self.lock();
        // Gone meanwhile, or made anew under the same name: the watch knows better.
        let held = known.held.get(&key).map(Held::open);
        let current = held.is_some_and(|held| {
            held.is(&object) && (is_newer(version(&object), &held.version) || has_gone(&object))
        });
        if current { self.hold(&mut known, &key, &object) } else { BTreeSet::new() }
    }

    /// Forgets an object that is gone. Returns the other objects whose standing
    /// may have changed with it.
    pub fn forget(&self, key: &ObjectKey) -> BTreeSet<ObjectKey> {
        let mut known = self.lock();
        known.held.remove(key);
        known.awaited.remove(key);
        known.claims.remove(key)
    }

    /// The object, and how it stands against the others. `None` where it is
    /// gone, does not parse, or claims nothing.
    pub fn view(&self, key: &ObjectKey) -> Option<(Arc<SesMailFrom>, Standing)> {
        let (held, standing) = {
            let known = self.lock();
            let (held, standing) = (known.held.get(key)?.object()?, known.claims.standing(key)?);
            (held, standing.with_urgency(known.is_awaited(key)))
        };
        Some((Arc::new(held.open()?), standing))
    }

    /// Everything has been listed: what objects ask for from now on is what
    /// persons have done, and goes before what is done anyway. So does, of what was
    /// there before, what status does not speak of yet though it speaks.
    pub fn listed(&self) {
        self.lock().complete = true;
    }

    /// Whether a person waits for what the object asks for.
    pub fn is_awaited(&self, key: &ObjectKey) -> bool {
        self.lock().is_awaited(key)
    }

    /// Whether this version of an object is the one known, and does not parse.
    pub(super) fn is_unreadable(&self, key: &ObjectKey, of: &str) -> bool {
        let known = self.lock();
        matches!(known.held.get(key), Some(Held::Unreadable { version }) if **version == *of)
    }

    /// Every object known, those that do not parse included.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.lock().held.keys().cloned().collect()
    }

    /// Moves what is held together, where enough of it has changed since it was: some
    /// at once, for whoever needs an object waits meanwhile.
    pub async fn pack(&self) {
        let keys: Vec<ObjectKey> = {
            let mut known = self.lock();
            if known.held_since_packed < (known.held.len() / PACKED_AFTER).max(1) {
                return;
            }
            known.held_since_packed = 0;
            known.held.keys().cloned().collect()
        };
        for some in keys.chunks(MOVED_AT_ONCE) {
            self.lock().pack(some);
            yield_now().await;
        }
    }

    /// Visits every object that parses, opening of one after another what `P` reads.
    pub fn each<P: DeserializeOwned>(&self, visit: &mut dyn FnMut(&ObjectKey, P)) {
        for key in self.keys() {
            let held = self.lock().held.get(&key).and_then(Held::object);
            if let Some(part) = held.as_ref().and_then(Compact::open_part) {
                visit(&key, part);
            }
        }
    }

    /// Takes in which account credentials turned out to be of. Returns the
    /// objects whose standing may have changed with it.
    pub fn learn(&self, credentials: &Credentials, account: &str) -> BTreeSet<ObjectKey> {
        self.lock().claims.learn(credentials, account)
    }

    /// Takes in a policy that the watch shows. Returns the objects to plan
    /// again, and what is wrong with the policy if it does not parse.
    pub fn saw_policy(&self, policy: WatchedPolicy) -> (BTreeSet<ObjectKey>, Option<String>) {
        let (name, policy, error) = policy.into_policy();
        (self.lock().claims.put_policy(&name, policy), error)
    }

    /// Forgets a policy that is gone. Returns the objects to plan again.
    pub fn forget_policy(&self, name: &str) -> BTreeSet<ObjectKey> {
        self.lock().claims.remove_policy(name)
    }

    /// The names of all policies, those that do not parse included.
    pub fn policies(&self) -> Vec<String> {
        self.lock().claims.policies()
    }

    /// Takes in a namespace's labels. Returns the objects to plan again.
    pub fn saw_namespace(&self, name: &str, labels: Labels) -> BTreeSet<ObjectKey> {
        self.lock().claims.put_namespace(name, labels)
    }

    /// Forgets a namespace that is gone. Returns the objects to plan again.
    pub fn forget_namespace(&self, name: &str) -> BTreeSet<ObjectKey> {
        self.lock().claims.remove_namespace(name)
    }

    /// The names of all namespaces.
    pub fn namespaces(&self) -> Vec<String> {
        self.lock().claims.namespaces()
    }

    fn hold(
        &self,
        known: &mut Known,
        key: &ObjectKey,
        object: &SesMailFrom,
    ) -> BTreeSet<ObjectKey> {
        // The key that the indexes share, where there is one.
        let key = known.held.get_key_value(key).map_or(key, |(key, _)| key).clone();
        let touched = match claimant(object, &self.owner_id, &self.regions) {
            Some(claimant) => known.claims.put(Claimant { key: key.clone(), ..claimant }),
            None => known.claims.remove(&key),
        };
        if has_seen(object) {
            known.awaited.remove(&key);
        }
        known.held.insert(key, Held::Object(Compact::of(object)));
        known.held_since_packed += 1;
        touched
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_awaited(&self, key: &ObjectKey) -> bool {
        self.awaited.contains(key)
    }

    /// Moves some together. What objects were on their way lay between what they are
    /// now, and a page that is mostly empty is taken as well: copies fill the pages
    /// that have room, and those that are left go back to the system.
    fn pack(&mut self, some: &[ObjectKey]) {
        let copy = |key| self.held.get(key).and_then(Held::object);
        let copies: Vec<_> = some.iter().map(copy).collect();
        // None goes before all are copied: its place would be taken at once.
        let mut left = Vec::with_capacity(some.len());
        for (key, copy) in some.iter().zip(copies) {
            if let (Some(held @ Held::Object(_)), Some(copy)) = (self.held.get_mut(key), copy) {
                left.push(replace(held, Held::Object(copy)));
            }
        }
    }
}

impl Held {
    fn open(&self) -> Opened {
        let object = self.object().as_ref().and_then(Compact::open);
        let version = match (self, &object) {
            (Self::Unreadable { version }, _) => version.to_string(),
            (Self::Object(_), object) => object.as_ref().map_or("", version).to_owned(),
        };
        Opened { version, object }
    }

    fn object(&self) -> Option<Compact<SesMailFrom>> {
        match self {
            Self::Object(object) => Some(object.clone()),
            Self::Unreadable { .. } => None,
        }
    }
}

impl Opened {
    fn is(&self, object: &SesMailFrom) -> bool {
        self.object.as_ref().is_some_and(|held| held.metadata.uid == object.metadata.uid)
    }

    /// Whether `object` asks for something that this one did not: another spec,
    /// its end, or to be looked at.
    fn asks_less_than(&self, object: &SesMailFrom) -> bool {
        let Some(held) = &self.object else { return true };
        let (old, new) = (&held.metadata, &object.metadata);
        old.uid != new.uid
            || old.generation != new.generation
            || old.deletion_timestamp != new.deletion_timestamp
            || requested(held) != requested(object)
    }

    /// Whether an event brings anything that a plan looks at. Status is part of
    /// it: one that a person wiped must be noticed.
    fn differs(&self, object: &SesMailFrom) -> bool {
        let Some(held) = &self.object else { return true };
        let (old, new) = (&held.metadata, &object.metadata);
        old.uid != new.uid
            || old.generation != new.generation
            || old.deletion_timestamp != new.deletion_timestamp
            || old.finalizers != new.finalizers
            || old.annotations != new.annotations
            || held.status != object.status
    }
}

fn requested(object: &SesMailFrom) -> Option<&String> {
    object.metadata.annotations.as_ref()?.get(RECONCILE_REQUESTED_AT)
}

/// Whether status speaks of all that the object asks for. One that is being
/// deleted asks until it is gone.
fn has_seen(object: &SesMailFrom) -> bool {
    object.metadata.deletion_timestamp.is_none()
        && object.status.as_ref().is_some_and(|status| speaks_of(status, object))
}

/// Whether a status speaks of the generation and of the request.
fn speaks_of(status: &SesMailFromStatus, object: &SesMailFrom) -> bool {
    let handled = requested(object).is_none_or(|text| {
        let seen = status.last_handled_reconcile_at.as_deref();
        seen.is_some_and(|seen| seen.chars().eq(text.chars().take(HANDLED_MAX)))
    });
    object.metadata.generation == Some(status.observed_generation) && handled
}

/// Whether a person has asked for something while no operator was there: status
/// speaks of what was asked before.
fn has_waited(object: &SesMailFrom) -> bool {
    let speaks = object.status.as_ref().filter(|status| status.observed_generation >= 0);
    speaks.is_some_and(|status| !speaks_of(status, object))
}

fn version(object: &SesMailFrom) -> &str {
    object.metadata.resource_version.as_deref().unwrap_or_default()
}

/// Whether the write that this is the reply to has removed the object with its last
/// finalizer: such a reply has the version of before.
fn has_gone(object: &SesMailFrom) -> bool {
    let metadata = &object.metadata;
    metadata.deletion_timestamp.is_some() && metadata.finalizers.as_ref().is_none_or(Vec::is_empty)
}

/// Whether resource version `a` is newer than `b` (comparable as integers
/// since Kubernetes 1.35, and in practice always). Versions of another
/// form are taken as newer when they differ.
fn is_newer(a: &str, b: &str) -> bool {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a > b,
        _ => a != b,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
    use serde_json::json;

    use super::*;
    use crate::api::FINALIZER;
    use crate::controller::testing::{key, object, permit, watched};

    fn store() -> Store {
        let store = Store::new("owner".into(), Regions::default());
        permit(&store);
        store
    }

    fn held_version(store: &Store, name: &str) -> String {
        let (object, _) = store.view(&key(name)).unwrap();
        version(&object).to_owned()
    }

    #[test]
    fn an_own_write_is_seen_before_the_watch_shows_it_and_is_not_undone_by_it() {
        let store = store();
        store.saw(watched(&object("a", 5)));
        let mut reply = object("a", 8);
        reply.metadata.finalizers = Some(vec!["mailfrom.dev/cleanup".into()]);
        store.wrote(reply.clone());
        assert_eq!(held_version(&store, "a"), "8");

        assert_eq!(store.saw(watched(&object("a", 7))), Change::default(), "older than our write");
        assert_eq!(held_version(&store, "a"), "8");
        assert_eq!(store.saw(watched(&reply)), Change::default(), "an own write wakes nobody");
        let mut edited = reply.clone();
        edited.metadata.resource_version = Some("9".into());
        edited.metadata.generation = Some(2);
        assert_eq!(store.saw(watched(&edited)).wake, BTreeSet::from([key("a")]));
    }

    #[test]
    fn a_wiped_status_wakes_and_a_new_label_does_not() {
        let store = store();
        let mut seen = object("a", 5);
        seen.status = serde_json::from_value(json!({"observedGeneration": 1})).unwrap();
        store.saw(watched(&seen));
        seen.metadata.resource_version = Some("6".into());
        seen.metadata.labels = Some([("team".to_owned(), "x".to_owned())].into());
        assert_eq!(store.saw(watched(&seen)), Change::default());
        assert_eq!(held_version(&store, "a"), "6");
        seen.metadata.resource_version = Some("7".into());
        seen.status = None;
        assert_eq!(store.saw(watched(&seen)).wake, BTreeSet::from([key("a")]));
    }

    #[tokio::test]
    async fn what_is_held_is_packed_once_enough_of_it_is_new_and_stays_what_it_was() {
        let store = store();
        for number in 0..2 * PACKED_AFTER as u64 {
            store.saw(watched(&object(&format!("o{number}"), number)));
        }
        let places = || -> BTreeSet<usize> {
            let known = store.lock();
            let objects = known.held.values().filter_map(|held| match held {
                Held::Object(object) => Some(object.place()),
                Held::Unreadable { .. } => None,
            });
            objects.collect()
        };
        let new_after_packing = async || {
            store.pack().await;
            store.lock().held_since_packed
        };
        let opened = || {
            let mut all = Vec::new();
            store.each(&mut |_, object: SesMailFrom| all.push(object));
            all
        };
        let (before, objects) = (places(), opened());
        assert_eq!(new_after_packing().await, 0);
        assert_eq!(opened(), objects);
        assert_eq!(places().len(), before.len());
        assert!(places().is_disjoint(&before), "none where another was");
        store.saw(watched(&object("o3", 99)));
        assert_eq!(new_after_packing().await, 1, "not worth it");
        store.saw(watched(&object("o4", 100)));
        assert_eq!(new_after_packing().await, 0);
        assert_eq!(
            (held_version(&store, "o3"), held_version(&store, "o5")),
            ("99".into(), "5".into())
        );
    }

    #[test]
    fn an_object_that_does_not_parse_is_told_once_and_recovers() {
        let store = store();
        store.saw(watched(&object("good", 1)));
        let broken: Watched = serde_json::from_value(json!({
            "metadata": {"namespace": "mail", "name": "bad", "resourceVersion": "2"},
            "spec": {"domain": 1},
        }))
        .unwrap();
        assert!(store.saw(broken.clone()).unreadable.is_some());
        assert_eq!(store.saw(broken), Change::default(), "told once a version");
        assert!(store.view(&key("bad")).is_none());
        assert!(store.view(&key("good")).is_some());
        assert_eq!(
            store.saw(watched(&object("bad", 3))).wake,
            BTreeSet::from([key("bad"), key("good")])
        );
        assert!(store.view(&key("bad")).is_some());
    }

    #[test]
    fn a_reply_does_not_bring_back_what_is_gone_or_replaced() {
        let store = store();
        store.saw(watched(&object("a", 5)));
        store.forget(&key("a"));
        store.wrote(object("a", 6));
        assert!(store.view(&key("a")).is_none());
        let mut anew = object("a", 7);
        anew.metadata.uid = Some("other".into());
        store.saw(watched(&anew));
        store.wrote(object("a", 8));
        assert_eq!(held_version(&store, "a"), "7");
    }

    #[test]
    fn what_went_with_its_last_finalizer_claims_nothing_before_the_watch_shows_it() {
        let store = store();
        let mut leaving = object("a", 5);
        leaving.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        leaving.metadata.finalizers = Some(vec![FINALIZER.into()]);
        store.saw(watched(&leaving));
        assert!(store.view(&key("a")).is_some());
        let gone = SesMailFrom {
            metadata: ObjectMeta { finalizers: None, ..leaving.metadata.clone() },
            ..leaving
        };
        store.wrote(gone);
        assert!(store.view(&key("a")).is_none());
    }

    #[test]
    fn rivals_are_woken_when_a_claim_comes_or_goes() {
        let store = store();
        store.saw(watched(&object("a", 1)));
        let change = store.saw(watched(&object("b", 2)));
        assert_eq!(change.wake, BTreeSet::from([key("a"), key("b")]));
        assert_eq!(store.forget(&key("a")), BTreeSet::from([key("b")]));
    }

    #[test]
    fn what_a_person_asks_for_is_awaited_until_status_has_seen_it() {
        let store = store();
        let mut listed = object("a", 1);
        store.saw(watched(&listed));
        assert!(!store.is_awaited(&key("a")), "it was there before");
        store.listed();
        listed.metadata.resource_version = Some("2".into());
        listed.status = serde_json::from_value(json!({"observedGeneration": 1})).unwrap();
        store.saw(watched(&listed));
        assert!(!store.is_awaited(&key("a")), "nobody asked for anything");
        let mut asked = listed.clone();
        asked.metadata.resource_version = Some("3".into());
        asked.metadata.annotations = Some([(RECONCILE_REQUESTED_AT.into(), "now".into())].into());
        store.saw(watched(&asked));
        assert!(store.is_awaited(&key("a")));
        asked.metadata.resource_version = Some("4".into());
        asked.status = serde_json::from_value(
            json!({"observedGeneration": 1, "lastHandledReconcileAt": "now"}),
        )
        .unwrap();
        store.wrote(asked);
        assert!(!store.is_awaited(&key("a")), "it was handled");
        store.saw(watched(&object("b", 5)));
        assert!(store.is_awaited(&key("b")), "a new object");
        store.forget(&key("b"));
        assert!(!store.is_awaited(&key("b")));
    }

    #[test]
    fn what_a_person_asked_for_while_no_operator_was_there_is_awaited_too() {
        let store = store();
        let settled = |name: &str| {
            let mut object = object(name, 1);
            object.status = serde_json::from_value(json!({"observedGeneration": 1})).unwrap();
            object
        };
        let mut edited = settled("edited");
        edited.metadata.generation = Some(2);
        let mut requested = settled("requested");
        let request = [(RECONCILE_REQUESTED_AT.into(), "now".into())];
        requested.metadata.annotations = Some(request.into());
        let mut leaving = settled("leaving");
        leaving.metadata.deletion_timestamp = Some(Time(Timestamp::UNIX_EPOCH));
        leaving.metadata.finalizers = Some(vec!["mailfrom.dev/cleanup".into()]);
        let begun: Vec<SesMailFrom> = vec![settled("settled"), object("new", 1), leaving];
        for object in begun.iter().chain([&edited, &requested]) {
            store.saw(watched(object));
        }
        store.listed();
        let all = ["settled", "new", "leaving", "edited", "requested"];
        let awaited = all.map(|name| store.is_awaited(&key(name)));
        assert_eq!(awaited, [false, false, false, true, true]);
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert!(is_newer("10", "9"));
        assert!(!is_newer("9", "9"));
        assert!(is_newer("b", "a") && is_newer("a", "b") && !is_newer("a", "a"));
    }
}
