//! Kubernetes and AWS in memory, for tests of the driver.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;

use super::memories::Memories;
use super::objects::{ObjectError, Objects, Subject};
use super::outside::{Endings, Outside};
use super::reconcile::{Outcome, Reconciler};
use super::store::Store;
use super::testing::{key, object, permit, watched};
use crate::api::{FINALIZER, SesMailFrom, SesMailFromStatus};
use crate::authority::{Grant, ObjectKey, Place, Sight};
use crate::aws::{Changed, Handed};
use crate::clock::Clock;
use crate::mail::{BehaviorOnMxFailure, ChangeBatch, DomainName, MailFromDomain, Region, Regions};
use crate::plan::{Answer, Fault, Memory, Notice, Plan, Question, Settings, Upkeep, World};
use crate::telemetry::Metrics;

pub(super) const NOW: Timestamp = Timestamp::constant(1_000_000, 0);

/// What was done, in order.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

#[derive(Clone, Default)]
pub(super) struct InMemory {
    pub(super) log: Log,
    /// What the next writes answer; success once used up.
    pub(super) replies: Arc<Mutex<VecDeque<ObjectError>>>,
    /// How long each write takes.
    takes: Arc<Mutex<Duration>>,
}

impl InMemory {
    async fn write(&self, what: &str, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        take(&self.takes).await;
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
        let mut written = self.write("add finalizer", object).await?;
        written.metadata.finalizers = Some(vec![FINALIZER.into()]);
        Ok(written)
    }

    async fn remove_finalizer(&self, object: &SesMailFrom) -> Result<SesMailFrom, ObjectError> {
        let mut written = self.write("remove finalizer", object).await?;
        written.metadata.finalizers = None;
        Ok(written)
    }

    async fn apply_status(
        &self,
        object: &SesMailFrom,
        status: &SesMailFromStatus,
    ) -> Result<SesMailFrom, ObjectError> {
        let what = format!("status {}", status.mail_from_domain.as_deref().unwrap_or(""));
        let mut written = self.write(&what, object).await?;
        written.status = Some(status.clone());
        Ok(written)
    }

    async fn post_event(&self, about: &Subject, notice: &Notice) -> Result<(), ObjectError> {
        self.log.lock().unwrap().push(format!("event {} {}", about.uid, notice.reason));
        self.replies.lock().unwrap().pop_front().map_or(Ok(()), Err)
    }
}

pub(super) type Answers = Arc<Mutex<Box<dyn FnMut(&Question, Timestamp) -> Answer + Send>>>;

/// When changes that were handed over leave and end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Sending {
    /// By the time at which it is asked how they ended.
    #[default]
    Prompt,
    /// Not yet.
    Waits,
    /// They have left, and have not ended.
    OnItsWay,
}

/// The changes that were handed over.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) sending: Sending,
    /// How the next ones end; well once used up.
    pub(super) faults: VecDeque<Fault>,
    open: BTreeMap<DomainName, (Place, Arc<ChangeBatch>)>,
}

#[derive(Clone)]
pub(super) struct Scripted {
    log: Log,
    answers: Answers,
    /// How many are left to give.
    permits: Arc<Mutex<usize>>,
    /// Where there is none to give.
    exhausted: Arc<Mutex<BTreeSet<Region>>>,
    /// How long each put takes.
    put_takes: Arc<Mutex<Duration>>,
    changes: Arc<Mutex<Changes>>,
}

impl Scripted {
    /// Its changes are these from now on.
    pub(super) fn shares(&mut self, changes: &Arc<Mutex<Changes>>) {
        self.changes = Arc::clone(changes);
    }

    fn log(&self, what: String) {
        self.log.lock().unwrap().push(what);
    }

    fn permit(&self) -> Option<()> {
        let mut left = self.permits.lock().unwrap();
        *left = left.checked_sub(1)?;
        Some(())
    }
}

impl Outside for Scripted {
    type PutPermit = ();

    fn open(&self) {}

    fn ask(&self, _: Sight, question: &Question, not_before: Timestamp) -> Answer {
        (self.answers.lock().unwrap())(question, not_before)
    }

    fn last_read(&self, _: &Sight, _: &Question) -> Option<Timestamp> {
        None
    }

    fn watch(&self, _: Sight, watch: &BTreeMap<Question, Upkeep>) -> Option<Timestamp> {
        watch.values().map(Upkeep::due).min()
    }

    fn unwatch(&self, _: &ObjectKey) {}

    fn put_permit(&self, _: &Grant, region: &Region) -> Option<()> {
        if self.exhausted.lock().unwrap().contains(region) { None } else { self.permit() }
    }

    fn reserve_put_permit(&self, _: &Grant, region: &Region) -> bool {
        !self.exhausted.lock().unwrap().contains(region) && *self.permits.lock().unwrap() > 0
    }

    fn change_records(&self, grant: Grant, batch: &Arc<ChangeBatch>) -> Handed {
        let place = grant.place().clone();
        let Place::Name(name) = &place else { return Handed::Refused };
        let mut changes = self.changes.lock().unwrap();
        match changes.open.get(name.name()) {
            Some((_, before)) if before == batch => Handed::Already,
            Some(_) if changes.sending == Sending::OnItsWay => Handed::Refused,
            _ => {
                self.log(format!("change {place}"));
                changes.open.insert(name.name().clone(), (place.clone(), Arc::clone(batch)));
                Handed::New
            }
        }
    }

    fn withdraw(&self, _: &ObjectKey, but: &BTreeSet<DomainName>) -> bool {
        let mut changes = self.changes.lock().unwrap();
        let unwanted: Vec<_> =
            changes.open.keys().filter(|at| !but.contains(at)).cloned().collect();
        if !unwanted.is_empty() && changes.sending == Sending::OnItsWay {
            return false;
        }
        for name in unwanted {
            self.log(format!("withdraw {name}"));
            changes.open.remove(&name);
        }
        true
    }

    fn endings(&self, _: &ObjectKey) -> Endings {
        let mut changes = self.changes.lock().unwrap();
        if changes.sending != Sending::Prompt {
            let on_its_way = changes.sending == Sending::OnItsWay && !changes.open.is_empty();
            return Endings { on_its_way, ..Endings::default() };
        }
        let open = std::mem::take(&mut changes.open);
        let mut end = || {
            let made = Changed { id: "C1".to_owned(), at: NOW };
            changes.faults.pop_front().map_or(Ok(made), Err)
        };
        let ended = open.into_values().map(|(place, _)| (place, end())).collect();
        Endings { ended, on_its_way: false }
    }

    fn forget(&self, object: &ObjectKey) {
        self.log(format!("forget {object}"));
    }

    async fn close(&self) {}

    async fn put_mail_from(
        &self,
        (): (),
        _: Grant,
        region: &Region,
        mail_from: Option<&MailFromDomain>,
        _: BehaviorOnMxFailure,
    ) -> Result<(), Fault> {
        self.log(format!("put {region} {}", mail_from.unwrap()));
        take(&self.put_takes).await;
        Ok(())
    }
}

/// Takes so long.
async fn take(time: &Mutex<Duration>) {
    let time = *time.lock().unwrap();
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

pub(super) struct Bench {
    pub(super) log: Log,
    pub(super) replies: Arc<Mutex<VecDeque<ObjectError>>>,
    pub(super) answers: Answers,
    pub(super) permits: Arc<Mutex<usize>>,
    pub(super) exhausted: Arc<Mutex<BTreeSet<Region>>>,
    pub(super) put_takes: Arc<Mutex<Duration>>,
    pub(super) write_takes: Arc<Mutex<Duration>>,
    pub(super) changes: Arc<Mutex<Changes>>,
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
    let objects = InMemory { log: Arc::clone(&log), ..InMemory::default() };
    let answers: Answers = Arc::new(Mutex::new(Box::new(|_, _| Answer::NotYet)));
    let outside = Scripted {
        log: Arc::clone(&log),
        answers,
        permits: Arc::new(Mutex::new(usize::MAX)),
        exhausted: Arc::default(),
        put_takes: Arc::default(),
        changes: Arc::default(),
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
        exhausted: Arc::clone(&outside.exhausted),
        put_takes: Arc::clone(&outside.put_takes),
        write_takes: Arc::clone(&objects.takes),
        changes: Arc::clone(&outside.changes),
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
