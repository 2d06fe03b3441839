//! Objects in memory, under the rules by which the API server keeps them.
//! `object_rules` holds both to the same cases.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;
use ses_mailfrom::api::{FINALIZER, SesMailFrom, SesMailFromSpec, SesMailFromStatus};
use ses_mailfrom::clock::Clock;
use ses_mailfrom::controller::{ObjectError, Objects, Subject, has_finalizer};
use ses_mailfrom::plan::Notice;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

use crate::lifeline::Lifeline;

pub(crate) const NAMESPACE: &str = "mail";
/// A request and its answer are on their way so long.
const WAY: Duration = Duration::from_millis(3);

/// What the next write of a process meets.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Mishap {
    /// It is not made.
    Refused,
    /// It is made, and the answer is lost.
    LostAnswer,
}

/// What the watch tells.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub due: Instant,
    /// Gone, if there is none.
    pub object: Option<SesMailFrom>,
    pub name: String,
}

#[derive(Debug, Default)]
struct State {
    version: u64,
    created: u64,
    objects: BTreeMap<String, SesMailFrom>,
    told: Vec<Told>,
    lag: Duration,
    mishaps: Vec<Mishap>,
    status_writes: usize,
}

/// All objects of one namespace.
#[derive(Clone, Debug)]
pub(crate) struct Cluster {
    state: Arc<Mutex<State>>,
    pub changed: Arc<Notify>,
    clock: Clock,
}

impl Cluster {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { state: Arc::default(), changed: Arc::default(), clock }
    }

    pub(crate) fn create(&self, name: &str, spec: SesMailFromSpec) -> SesMailFrom {
        let mut state = self.state.lock().unwrap();
        state.created += 1;
        let mut object = SesMailFrom::new(name, spec);
        let metadata = &mut object.metadata;
        metadata.namespace = Some(NAMESPACE.into());
        metadata.uid = Some(format!("uid-{}", state.created));
        metadata.generation = Some(1);
        metadata.creation_timestamp = Some(self.time());
        object.status = fresh_status();
        state.store(object)
    }

    pub(crate) fn get(&self, name: &str) -> Option<SesMailFrom> {
        self.state.lock().unwrap().objects.get(name).cloned()
    }

    pub(crate) fn all(&self) -> Vec<SesMailFrom> {
        self.state.lock().unwrap().objects.values().cloned().collect()
    }

    /// What a person edits. A change of the spec is a new generation.
    pub(crate) fn edit(&self, name: &str, edit: impl FnOnce(&mut SesMailFrom)) {
        let mut state = self.state.lock().unwrap();
        let Some(old) = state.objects.get(name).cloned() else { return };
        let mut object = old.clone();
        edit(&mut object);
        if object.status.is_none() {
            object.status = fresh_status();
        }
        if object.spec != old.spec {
            object.metadata.generation = old.metadata.generation.map(|generation| generation + 1);
        }
        state.replace(&old, object);
        drop(state);
        self.changed.notify_one();
    }

    pub(crate) fn delete(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        let Some(old) = state.objects.get(name).cloned() else { return };
        let mut object = old.clone();
        if object.metadata.deletion_timestamp.is_none() {
            object.metadata.deletion_timestamp = Some(self.time());
            object.metadata.deletion_grace_period_seconds = Some(0);
            object.metadata.generation = old.metadata.generation.map(|generation| generation + 1);
        }
        state.replace(&old, object);
        drop(state);
        self.changed.notify_one();
    }

    /// How long the watch takes from now on.
    pub(crate) fn set_lag(&self, lag: Duration) {
        self.state.lock().unwrap().lag = lag;
    }

    /// What goes wrong with the next write.
    pub(crate) fn add_mishap(&self, mishap: Mishap) {
        self.state.lock().unwrap().mishaps.push(mishap);
    }

    pub(crate) fn clear_mishaps(&self) {
        self.state.lock().unwrap().mishaps.clear();
    }

    /// How often a status was written that differed from the one before.
    pub(crate) fn status_writes(&self) -> usize {
        self.state.lock().unwrap().status_writes
    }

    /// What a watch that begins now has told already.
    pub(crate) fn told(&self) -> usize {
        self.state.lock().unwrap().told.len()
    }

    /// The `at`th thing that watches tell.
    pub(crate) fn tell(&self, at: usize) -> Option<Told> {
        self.state.lock().unwrap().told.get(at).cloned()
    }

    fn time(&self) -> Time {
        Time(Timestamp::from_second(self.clock.now().as_second()).unwrap())
    }

    /// A conditional write.
    fn write(
        &self,
        seen: &SesMailFrom,
        change: impl FnOnce(&mut SesMailFrom) -> Result<(), ObjectError>,
    ) -> Result<SesMailFrom, ObjectError> {
        let name = seen.metadata.name.as_deref().unwrap_or_default();
        let mut state = self.state.lock().unwrap();
        let mishap = state.mishaps.pop();
        let refused = || ObjectError::Unavailable("a mishap".into());
        if matches!(mishap, Some(Mishap::Refused)) {
            return Err(refused());
        }
        let old = state.objects.get(name).cloned();
        let old = old.ok_or_else(|| ObjectError::Raced("not found".into()))?;
        if old.metadata.uid != seen.metadata.uid {
            return Err(ObjectError::Raced("another uid".into()));
        }
        if old.metadata.resource_version != seen.metadata.resource_version {
            return Err(ObjectError::Raced("the object has been modified".into()));
        }
        let mut object = old.clone();
        change(&mut object)?;
        if object.status != old.status {
            state.status_writes += 1;
        }
        let written = state.replace(&old, object);
        drop(state);
        self.changed.notify_one();
        if mishap.is_some() { Err(refused()) } else { Ok(written) }
    }
}

impl State {
    /// Stores what differs; an object that is being deleted and that nobody
    /// holds any more goes.
    fn replace(&mut self, old: &SesMailFrom, object: SesMailFrom) -> SesMailFrom {
        let held = object.metadata.finalizers.as_ref().is_some_and(|all| !all.is_empty());
        if object.metadata.deletion_timestamp.is_some() && !held {
            let name = object.metadata.name.clone().unwrap_or_default();
            self.objects.remove(&name);
            self.version += 1;
            self.told(name, None);
            // Its end is no version of it, as seen by who brought it about.
            return object;
        }
        if object == *old { object } else { self.store(object) }
    }

    fn store(&mut self, mut object: SesMailFrom) -> SesMailFrom {
        self.version += 1;
        object.metadata.resource_version = Some(self.version.to_string());
        // As it is written and read back.
        let object: SesMailFrom =
            serde_json::from_value(serde_json::to_value(&object).unwrap()).unwrap();
        let name = object.metadata.name.clone().unwrap_or_default();
        self.objects.insert(name.clone(), object.clone());
        self.told(name, Some(object.clone()));
        object
    }

    fn told(&mut self, name: String, object: Option<SesMailFrom>) {
        let earliest = self.told.last().map_or(Instant::now(), |told| told.due);
        let due = earliest.max(Instant::now() + self.lag);
        self.told.push(Told { due, object, name });
    }
}

/// The CRD's default.
fn fresh_status() -> Option<SesMailFromStatus> {
    serde_json::from_value(json!({"observedGeneration": -1})).unwrap()
}

/// The cluster as one process writes to it.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub cluster: Cluster,
    pub lifeline: Lifeline,
}

impl Client {
    async fn write(
        &self,
        seen: &SesMailFrom,
        change: impl FnOnce(&mut SesMailFrom) -> Result<(), ObjectError>,
    ) -> Result<SesMailFrom, ObjectError> {
        sleep(WAY).await;
        let write = async { self.cluster.write(seen, change) };
        let written = self.lifeline.call(true, write).await;
        sleep(WAY).await;
        written
    }

    async fn set_finalizers(
        &self,
        seen: &SesMailFrom,
        finalizers: Vec<String>,
    ) -> Result<SesMailFrom, ObjectError> {
        let set = |object: &mut SesMailFrom| {
            let deleting = object.metadata.deletion_timestamp.is_some();
            let held = object.metadata.finalizers.clone().unwrap_or_default();
            if deleting && finalizers.iter().any(|finalizer| !held.contains(finalizer)) {
                return Err(ObjectError::Raced("no new finalizers while deleting".into()));
            }
            object.metadata.finalizers = Some(finalizers).filter(|all| !all.is_empty());
            Ok(())
        };
        self.write(seen, set).await
    }
}

fn others(object: &SesMailFrom) -> Vec<String> {
    let all = object.metadata.finalizers.iter().flatten().cloned();
    all.filter(|finalizer| finalizer != FINALIZER).collect()
}

impl Objects for Client {
    async fn add_finalizer(&self, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        let mut finalizers = others(object);
        finalizers.push(FINALIZER.to_owned());
        self.set_finalizers(object, finalizers).await
    }

    async fn remove_finalizer(&self, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        if !has_finalizer(object) {
            return Ok(object.clone());
        }
        self.set_finalizers(object, others(object)).await
    }

    async fn apply_status(
        &self,
        object: &SesMailFrom,
        status: &SesMailFromStatus,
    ) -> Result<SesMailFrom, ObjectError> {
        let set = |object: &mut SesMailFrom| {
            let kept = serde_json::to_value(status).unwrap();
            object.status = serde_json::from_value(kept).unwrap();
            Ok(())
        };
        self.write(object, set).await
    }

    async fn post_event(&self, _: &Subject, _: &Notice) -> Result<(), ObjectError> {
        Ok(())
    }
}
