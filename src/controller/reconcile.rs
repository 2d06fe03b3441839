//! One reconcile: observe, plan, apply, and plan again until there is nothing
//! to do now; then report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::apply::{Applied, Stop};
use super::memories::Memories;
use super::objects::{ObjectError, Objects, Subject};
use super::outside::Outside;
use super::schedule::{Progress, Rank};
use super::store::Store;
use super::transitions::log_transitions;
use crate::api::{Reason, SesMailFrom, SesMailFromStatus};
use crate::authority::{Look, ObjectKey, Place, Service, Standing};
use crate::aws;
use crate::clock::Clock;
use crate::mail::Region;
use crate::plan::{
    self, Answer, Effect, Facts, Fault, Notice, Plan, Question, Said, Settings, Upkeep, Value,
    World,
};
use crate::telemetry::{Metrics, Verdict};

/// How often one reconcile plans and applies before it gives way to others.
const ROUNDS: usize = 8;
/// How often a plan may ask for more before it has to make do.
const QUESTION_ROUNDS: usize = 32;
/// A reconcile that took this long gives way, between any two of its effects but a
/// status and what it announces.
const LONG: Duration = Duration::from_secs(15);

/// Decides what to do, as [`plan::plan`] does.
pub type Planner = Arc<dyn Fn(&World<'_>) -> Plan + Send + Sync>;

/// Wakes an object: plans it again soon. Must not block.
pub type Wake = aws::Wake;

/// What every reconcile works with.
pub struct Reconciler<O, X> {
    /// Kubernetes.
    pub objects: O,
    /// AWS and DNS.
    pub outside: X,
    /// The objects as far as they are known.
    pub store: Arc<Store>,
    /// What is remembered of them.
    pub memories: Memories,
    /// The operator's durations.
    pub settings: Settings,
    /// The time of day.
    pub clock: Clock,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Plans other objects again.
    pub wake: Wake,
    /// The decisions.
    pub planner: Planner,
}

/// When to reconcile an object again if nothing wakes it earlier.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Again {
    /// Never.
    WhenWoken,
    /// At once.
    Now,
    /// At this time.
    At(Timestamp),
    /// After a pause that grows with every failure in a row.
    BackOff,
}

/// How a reconcile ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// In a word, for the metric.
    pub verdict: Verdict,
    /// When to come back.
    pub again: Again,
}

/// What a reconcile has met so far.
struct Met {
    /// When it gives way.
    late: Instant,
    /// A write to AWS has failed.
    failed: bool,
    /// Where a put had no permit.
    no_permit: BTreeSet<Region>,
}

/// What a plan tells persons.
struct Tell {
    notices: Vec<Notice>,
    announcements: BTreeMap<Place, Vec<Notice>>,
}

/// What follows effects.
enum Next {
    /// Another plan.
    Plan,
    /// Nothing, until what they wait for is there.
    Wait,
    /// The end: writes have failed twice.
    Fail,
    /// The end: it has taken long.
    GiveWay,
}

/// The planner that the operator runs with.
pub fn planner() -> Planner {
    Arc::new(plan::plan)
}

impl<O: Objects, X: Outside> Reconciler<O, X> {
    /// Where an object that has no news stands among those that are due.
    pub fn rank(&self, key: &ObjectKey) -> Rank {
        let known = self.memories.holds(key);
        Rank {
            awaited: self.store.is_awaited(key),
            progress: if known { Progress::Known } else { Progress::New },
        }
    }

    /// Brings one object as far as it gets without waiting for anything.
    pub async fn reconcile(&self, key: &ObjectKey) -> Outcome {
        let started = Instant::now();
        let outcome = match self.advance(key, started).await {
            Ok(outcome) => outcome,
            Err(error) => trouble(&error),
        };
        self.metrics.reconciled(outcome.verdict, started.elapsed());
        outcome
    }

    async fn advance(&self, key: &ObjectKey, started: Instant) -> Result<Outcome, ObjectError> {
        let late = started + LONG;
        let mut met = Met { late, failed: false, no_permit: BTreeSet::new() };
        for _ in 0..ROUNDS {
            let Some((object, standing)) = self.store.view(key) else {
                self.memories.forget(key);
                self.outside.forget(key);
                return Ok(Outcome { verdict: Verdict::Settled, again: Again::WhenWoken });
            };
            // What was throttled has had its turn: nobody who came later goes before it.
            let urgent = standing.is_urgent() || self.memories.was_throttled(&object);
            let standing = standing.with_urgency(urgent);
            let came = self.take_endings(&object);
            if came.failed && met.failed {
                return Ok(Outcome::write_failed(None));
            }
            met.failed |= came.failed;
            if came.on_its_way {
                return Ok(self.rest(true, met.failed, None));
            }
            let (plan, awaits_answer) = self.decide(&object, &standing, &met.no_permit);
            let Plan { effects, undecided, report, watch, wake, mut memory, .. } = plan;
            let tell = Tell { notices: plan.notices, announcements: plan.announcements };
            let withdrawn = self.withdraw(&object, &effects, &undecided, &mut memory);
            self.memories.keep(&object, memory);
            if !withdrawn {
                return Ok(self.rest(true, met.failed, wake));
            }

            let awaits_writes = !effects.is_empty();
            if awaits_writes {
                match self.act(&object, effects, &tell, &mut met).await? {
                    Next::Plan => continue,
                    // Nothing was done and nothing told: the report says what waits.
                    Next::Wait => {}
                    Next::Fail => return Ok(Outcome::write_failed(wake)),
                    Next::GiveWay => break,
                }
            }
            if let Some(report) = report {
                self.report(&object, &report, &tell.notices).await?;
            }
            let due = self.watch(&standing, &watch);
            let wake = [wake, due].into_iter().flatten().min();
            let waits = awaits_answer || awaits_writes;
            return Ok(self.rest(waits, met.failed, wake));
        }
        Ok(Outcome { verdict: Verdict::Requeued, again: Again::Now })
    }

    /// Runs effects and tells of them.
    async fn act(
        &self,
        object: &Arc<SesMailFrom>,
        effects: Vec<Effect>,
        tell: &Tell,
        met: &mut Met,
    ) -> Result<Next, ObjectError> {
        let puts = regions_put(&effects);
        let Applied { stop, advanced, written, told } = self.apply(object, effects, met.late).await;
        for (_, notices) in tell.announcements.iter().filter(|(place, _)| told.contains(place)) {
            self.post(object, notices).await;
        }
        if written || (stop.is_none() && advanced) {
            self.post(object, &tell.notices).await;
        }
        let waits = match stop {
            Some(Stop::Unwritten(error)) => return Err(error),
            // Once, the next plan may go on elsewhere; twice is enough for now.
            Some(Stop::Failed) if met.failed => return Ok(Next::Fail),
            Some(Stop::Failed) => {
                met.failed = true;
                false
            }
            // For what was handed over.
            Some(Stop::Blocked) | None => !advanced,
            Some(Stop::NoPermit(regions)) => {
                // The next plan puts first where there are permits.
                let elsewhere = !puts.is_subset(&regions) && regions != met.no_permit;
                met.no_permit = regions;
                !advanced && !elsewhere
            }
            Some(Stop::Late) => false,
        };
        Ok(if waits {
            Next::Wait
        } else if Instant::now() >= met.late {
            Next::GiveWay
        } else {
            Next::Plan
        })
    }

    /// Plans, asking whatever the plan asks for, until it has no new question.
    /// Tells also whether an answer is still on its way.
    fn decide(
        &self,
        object: &SesMailFrom,
        standing: &Standing,
        no_permit: &BTreeSet<Region>,
    ) -> (Plan, bool) {
        let memory = self.memories.of(object);
        let mut facts = Facts { no_permit: no_permit.clone(), ..Facts::default() };
        let mut plan = self.plan(object, standing, &facts, &memory);
        for _ in 0..QUESTION_ROUNDS {
            let new = |(question, not_before): &(&Question, &Timestamp)| {
                !counts(facts.answers.get(question), **not_before)
            };
            let open: Vec<_> = plan.questions.iter().filter(new).collect();
            if open.is_empty() {
                break;
            }
            let answers = open.into_iter().map(|(question, not_before)| {
                let answer = self.ask(standing, question, *not_before);
                (question.clone(), in_time(answer, *not_before))
            });
            let answers: Vec<_> = answers.collect();
            for (question, answer) in &answers {
                if !matches!(answer, Answer::Known { .. })
                    && let Some(at) = self.last_read(standing, question)
                {
                    facts.last_read.insert(question.clone(), at);
                }
            }
            facts.answers.extend(answers);
            plan = self.plan(object, standing, &facts, &memory);
        }
        let asked = |question| matches!(facts.answers.get(question), Some(Answer::NotYet));
        let awaits_answer = plan.questions.keys().any(asked);
        (plan, awaits_answer)
    }

    fn last_read(&self, standing: &Standing, question: &Question) -> Option<Timestamp> {
        let sight = standing.sight(look(question)).ok()?;
        self.outside.last_read(&sight, question)
    }

    /// Has the outside keep up what the object may look at. Returns when the object
    /// has to ask again for the rest.
    fn watch(&self, standing: &Standing, watch: &BTreeMap<Question, Upkeep>) -> Option<Timestamp> {
        let mut sight = None;
        let mut watch = watch.clone();
        watch.retain(|question, _| match standing.sight(look(question)) {
            Ok(leave) => {
                sight = Some(leave);
                true
            }
            Err(_) => false,
        });
        if let Some(sight) = sight {
            return self.outside.watch(sight, &watch);
        }
        self.outside.unwatch(standing.key());
        None
    }

    /// Asks on behalf of an object, if it may look there.
    fn ask(&self, standing: &Standing, question: &Question, not_before: Timestamp) -> Answer {
        let sight = match standing.sight(look(question)) {
            Ok(sight) => sight,
            Err(denial) => {
                let retry_at = later(self.clock.now(), self.settings.resync);
                let (reason, message) = (Reason::PolicyDenied, denial.to_string());
                let said = Said::Nothing;
                let fault = Fault { reason, transient: false, outdated: false, said, message };
                return Answer::Failed { fault, retry_at };
            }
        };
        let answer = self.outside.ask(sight, question, not_before);
        if let (Question::Account(service), Answer::Known { value: Value::Account(account), .. }) =
            (question, &answer)
        {
            for other in self.store.learn(standing.credentials(*service), account) {
                (self.wake)(&other);
            }
        }
        answer
    }

    fn plan(
        &self,
        object: &SesMailFrom,
        standing: &Standing,
        facts: &Facts,
        memory: &plan::Memory,
    ) -> Plan {
        (self.planner)(&World {
            now: self.clock.now(),
            settings: &self.settings,
            object,
            standing,
            facts,
            memory,
        })
    }

    async fn report(
        &self,
        object: &SesMailFrom,
        status: &SesMailFromStatus,
        notices: &[Notice],
    ) -> Result<(), ObjectError> {
        let written = self.objects.apply_status(object, status).await?;
        log_transitions(object.status.as_ref(), status);
        self.written(written);
        self.post(object, notices).await;
        Ok(())
    }

    /// Takes in the reply to an own write.
    pub(super) fn written(&self, object: SesMailFrom) {
        for other in self.store.wrote(object) {
            (self.wake)(&other);
        }
    }

    /// An Event that cannot be posted is lost: status says the same.
    async fn post(&self, object: &SesMailFrom, notices: &[Notice]) {
        for notice in notices {
            if let Err(error) = self.objects.post_event(&Subject::of(object), notice).await {
                warn!(reason = notice.reason, %error, "Could not post an Event");
            }
        }
    }

    /// Nothing more can be done now.
    fn rest(&self, waits: bool, failed: bool, wake: Option<Timestamp>) -> Outcome {
        let verdict = match (failed, waits) {
            (true, _) => Verdict::WriteFailed,
            (false, true) => Verdict::Waiting,
            (false, false) => Verdict::Settled,
        };
        let again = match wake {
            Some(at) => Again::At(at),
            // Should a wake be lost, the object is not.
            None if waits => Again::At(later(self.clock.now(), self.settings.resync)),
            None => Again::WhenWoken,
        };
        Outcome { verdict, again }
    }
}

impl Outcome {
    fn write_failed(wake: Option<Timestamp>) -> Self {
        Self { verdict: Verdict::WriteFailed, again: wake.map_or(Again::BackOff, Again::At) }
    }
}

/// The regions in which effects put.
fn regions_put(effects: &[Effect]) -> BTreeSet<Region> {
    let put = |effect: &Effect| match effect {
        Effect::PutMailFrom { region, .. } => Some(region.clone()),
        _ => None,
    };
    effects.iter().filter_map(put).collect()
}

/// What a question looks at.
fn look(question: &Question) -> Look<'_> {
    match question {
        Question::Account(service) => Look::Account(*service),
        Question::Change(_) => Look::Account(Service::Route53),
        Question::Verification(identity, region) | Question::MailFrom(identity, region) => {
            Look::Identity(identity, region)
        }
        Question::Zones(name)
        | Question::Delegation(name, _)
        | Question::Name(_, name)
        | Question::Surroundings(_, name, _)
        | Question::Seen(name, _) => Look::Name(name),
    }
}

/// A lost race is no news: the watch brings what won. The pause is for a watch
/// that lags.
fn trouble(error: &ObjectError) -> Outcome {
    let verdict = match error {
        ObjectError::Raced(_) => Verdict::Raced,
        ObjectError::Refused(_) | ObjectError::Unavailable(_) | ObjectError::NotLeading => {
            Verdict::KubernetesError
        }
    };
    match error {
        ObjectError::Raced(_) => debug!(%error, "Waiting for the watch"),
        ObjectError::Refused(_) => warn!(%error, "Could not write to Kubernetes"),
        ObjectError::Unavailable(_) => info!(%error, "Could not reach Kubernetes"),
        ObjectError::NotLeading => info!(%error, "Did not write to Kubernetes"),
    }
    Outcome { verdict, again: Again::BackOff }
}

/// Whether a fact answers a question as of `not_before`. *Not yet* and *failed*
/// were said in this very round, so asking again would bring the same.
fn counts(fact: Option<&Answer>, not_before: Timestamp) -> bool {
    match fact {
        None => false,
        Some(Answer::Known { sent, .. }) => *sent >= not_before,
        Some(Answer::NotYet | Answer::Failed { .. }) => true,
    }
}

/// An answer older than was asked for is none.
fn in_time(answer: Answer, not_before: Timestamp) -> Answer {
    if counts(Some(&answer), not_before) { answer } else { Answer::NotYet }
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}
