//! Kubernetes and AWS in memory, for tests of the driver.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::memories::Memories;
use super::objects::{ObjectError, Objects, Subject};
use super::outside::Outside;
use super::reconcile::{Outcome, Reconciler};
use super::store::Store;
use super::testing::{key, object, permit, watched};
use crate::api::{FINALIZER, SesMailFrom, SesMailFromStatus};
use crate::authority::{Grant, ObjectKey, Sight};
use crate::clock::Clock;
use crate::mail::{BehaviorOnMxFailure, ChangeBatch, MailFromDomain, Region, Regions};
use crate::plan::{Answer, Fault, Memory, Notice, Plan, Question, Settings, Upkeep, World};
use crate::telemetry::Metrics;

pub(super) const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

/// What was done, in order.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Default)]
pub(super) struct InMemory {
    pub(super) log: Log,
    /// What the next writes answer; success once used up.
    replies: Arc<Mutex<VecDeque<ObjectError>>>,
}

impl InMemory {
    fn write(&self, what: &str, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        let version = object.metadata.resource_version.clone().unwrap();
        self.log.lock().unwrap().push(format!("{what} at {version}"));
        if let Some(error) = self.replies.lock().unwrap().pop_front() {
            return Err(error);
        }
        let mut written = object.clone();
        written.metadata.resource_version = Some((version.parse::<u64>().unwrap() + 1).to_string());
        Ok(written)
    }
}

impl Objects for InMemory {
    async fn add_finalizer(&self, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        let mut written = self.write("add finalizer", object)?;
        written.metadata.finalizers = Some(vec![FINALIZER.into()]);
        Ok(written)
    }

    async fn remove_finalizer(&self, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        let mut written = self.write("remove finalizer", object)?;
        written.metadata.finalizers = None;
        Ok(written)
    }

    async fn apply_status(
        &self,
        object: &SesMailFrom,
        status: &SesMailFromStatus,
    ) -> Result<SesMailFrom, ObjectError> {
        let what = format!("status {}", status.mail_from_domain.as_deref().unwrap_or(""));
        let mut written = self.write(&what, object)?;
        written.status = Some(status.clone());
        Ok(written)
    }

    async fn post_event(&self, about: &Subject, notice: &Notice) -> Result<(), ObjectError> {
        self.log.lock().unwrap().push(format!("event {} {}", about.uid, notice.reason));
        Ok(())
    }
}

pub(super) type Answers = Arc<Mutex<Box<dyn FnMut(&Question, Timestamp) -> Answer + Send>>>;

#[derive(Clone)]
pub(super) struct Scripted {
    log: Log,
    answers: Answers,
    /// How many are left to give.
    permits: Arc<Mutex<usize>>,
    faults: Arc<Mutex<VecDeque<Fault>>>,
}

impl Scripted {
    fn write(&self, what: String) -> Result<(), Fault> {
        self.log.lock().unwrap().push(what);
        self.faults.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }

    fn permit(&self) -> Option<()> {
        let mut left = self.permits.lock().unwrap();
        *left = left.checked_sub(1)?;
        Some(())
    }
}

impl Outside for Scripted {
    type ChangePermit = ();
    type PutPermit = ();

    fn ask(&self, _: Sight, question: &Question, not_before: Timestamp) -> Answer {
        (self.answers.lock().unwrap())(question, not_before)
    }

    fn last_read(&self, _: &Sight, _: &Question) -> Option<Timestamp> {
        None
    }

    fn watch(&self, _: Sight, watch: &BTreeMap<Question, Upkeep>) -> Option<Timestamp> {
        watch.values().map(Upkeep::due).min()
    }

    fn forget(&self, _: &ObjectKey) {}

    fn change_permit(&self, _: &Grant, _: &ChangeBatch) -> Option<()> {
        self.permit()
    }

    fn put_permit(&self, _: &Grant, _: &Region) -> Option<()> {
        self.permit()
    }

    async fn change_records(&self, (): (), grant: Grant, _: &ChangeBatch) -> Result<String, Fault> {
        self.write(format!("change {}", grant.place())).map(|()| "C1".to_owned())
    }

    async fn put_mail_from(
        &self,
        (): (),
        _: Grant,
        region: &Region,
        mail_from: Option<&MailFromDomain>,
        _: BehaviorOnMxFailure,
    ) -> Result<(), Fault> {
        self.write(format!("put {region} {}", mail_from.unwrap()))
    }
}

pub(super) struct Bench {
    pub(super) log: Log,
    pub(super) replies: Arc<Mutex<VecDeque<ObjectError>>>,
    pub(super) answers: Answers,
    pub(super) permits: Arc<Mutex<usize>>,
    pub(super) faults: Arc<Mutex<VecDeque<Fault>>>,
    pub(super) woken: Arc<Mutex<Vec<ObjectKey>>>,
    pub(super) reconciler: Reconciler<InMemory, Scripted>,
}

fn settings() -> Settings {
    let hour = Duration::from_hours(1);
    Settings {
        verification_window: hour,
        drain_window: hour,
        poll_min: hour,
        poll_max: hour,
        resync: Duration::from_mins(10),
        restart_pause_min: hour,
        restart_pause_max: hour,
        put_hold_off: hour,
        stall_grace: hour,
        authority_grace: hour,
        stale_after: hour,
        drift_loop_window: hour,
        insync_fallback: hour,
        max_observation_age: hour,
        zone_cache: hour,
        regions: Regions::default(),
    }
}

/// `mail/a` at version 5, and what is planned of it.
pub(super) fn bench(planner: impl Fn(&World<'_>) -> Plan + Send + Sync + 'static) -> Bench {
    let log = Log::default();
    let objects = InMemory { log: Arc::clone(&log), replies: Arc::default() };
    let answers: Answers = Arc::new(Mutex::new(Box::new(|_, _| Answer::NotYet)));
    let outside = Scripted {
        log: Arc::clone(&log),
        answers,
        permits: Arc::new(Mutex::new(usize::MAX)),
        faults: Arc::default(),
    };
    let store = Arc::new(Store::new("owner".into(), Regions::default()));
    permit(&store);
    store.saw(watched(&object("a", 5)));
    let woken = Arc::default();
    let heard: Arc<Mutex<Vec<ObjectKey>>> = Arc::clone(&woken);
    Bench {
        log,
        replies: Arc::clone(&objects.replies),
        answers: Arc::clone(&outside.answers),
        permits: Arc::clone(&outside.permits),
        faults: Arc::clone(&outside.faults),
        woken,
        reconciler: Reconciler {
            objects,
            outside,
            store,
            memories: Memories::default(),
            settings: settings(),
            clock: Clock::from_fn(|| NOW),
            metrics: Arc::new(Metrics::default()),
            wake: Arc::new(move |key| heard.lock().unwrap().push(key.clone())),
            planner: Arc::new(planner),
        },
    }
}

impl Bench {
    pub(super) async fn reconcile(&self) -> Outcome {
        self.reconciler.reconcile(&key("a")).await
    }

    pub(super) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().drain(..).collect()
    }

    pub(super) fn memory(&self) -> Memory {
        let (object, _) = self.reconciler.store.view(&key("a")).unwrap();
        self.reconciler.memories.of(&object)
    }
}
