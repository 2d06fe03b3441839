//! What a source that answers many questions at once is asked: one board for
//! each pair of credentials and region, or credentials and zone.
//!
//! A question is asked because an object needs the answer now, or because
//! objects watch it: then it is asked again at the pace that they want, and they
//! are woken only when the answer has changed. Whoever has a call to make draws
//! as many questions as fit into it.
//!
//! An answer counts for an object if its request was sent no earlier than the
//! object asks for, and after the last write of ours that it could have missed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use smallvec::SmallVec;

use super::memo::{Backoff, Failures};
use super::queue::FairQueue;
use super::watchers::Watcher;
use super::{Error, Reply};
use crate::authority::{ObjectKey, Sight};

/// Answers that nobody watches are forgotten after this.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(2);

/// How often the old ones are looked for, in answers.
pub(super) const SWEEP_EVERY: usize = 4096;

/// Questions to one source, and what is known of them.
#[derive(Debug)]
pub(super) struct Board<Q, V> {
    retry: Backoff,
    /// Boxed: a table has room for many more than it holds.
    entries: HashMap<Q, Box<Entry<V>>>,
    queue: FairQueue<Q>,
    /// When what is watched is to be asked again.
    due: BTreeSet<(Timestamp, Q)>,
    landed: usize,
}

#[derive(Debug)]
struct Entry<V> {
    answer: Option<(Timestamp, V)>,
    /// Nearly always one.
    watchers: SmallVec<[(Arc<Watcher>, Duration); 1]>,
    due: Option<Timestamp>,
    /// What most questions have not at rest.
    busy: Option<Box<Busy>>,
}

/// What is going on with a question.
#[derive(Debug, Default)]
struct Busy {
    /// When the last write of ours ended that the answer may miss.
    written: Option<Timestamp>,
    failures: Failures,
    flight: Flight,
    /// Who is woken whatever comes, and may ask.
    waiters: BTreeMap<ObjectKey, Sight>,
}

/// Where a question stands on its way to AWS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Flight {
    #[default]
    Idle,
    Queued {
        urgent: bool,
    },
    Sent {
        at: Timestamp,
        /// A write finished since, so that the answer may miss it.
        outdated: bool,
    },
}

/// What is drawn for one call.
#[derive(Debug)]
pub(super) struct Draw<Q> {
    pub(super) questions: Vec<Q>,
    /// Woken because nobody may ask for them any more.
    pub(super) dropped: Vec<ObjectKey>,
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self { answer: None, watchers: SmallVec::new(), due: None, busy: None }
    }
}

impl<Q: Clone + Eq + Hash + Ord, V: Clone + PartialEq> Board<Q, V> {
    pub(super) fn new(retry: Backoff) -> Self {
        Self {
            retry,
            entries: HashMap::new(),
            queue: FairQueue::default(),
            due: BTreeSet::new(),
            landed: 0,
        }
    }

    /// The answer as far as it is known. On `NotYet` the question is on its way
    /// and the object is among those to be woken.
    pub(super) fn look(
        &mut self,
        question: &Q,
        sight: Sight,
        not_before: Timestamp,
        now: Timestamp,
    ) -> Reply<V> {
        let entry = self.entries.entry(question.clone()).or_default();
        if let Some((sent, value)) = entry.answer.as_ref().filter(|(sent, _)| *sent >= not_before) {
            return Reply::Known { sent: *sent, value: value.clone() };
        }
        let busy = entry.busy();
        let failure = busy.failures.at(now).filter(|_| busy.flight == Flight::Idle);
        if let Some((error, retry_at)) = failure {
            return Reply::Failed { error, retry_at };
        }
        let (urgent, namespace) = (sight.is_urgent(), sight.object().namespace.to_string());
        busy.waiters.insert(sight.object().clone(), sight);
        let queue = match busy.flight {
            Flight::Idle => true,
            // Queued again in front; its first place then passes it by.
            Flight::Queued { urgent: before } => urgent && !before,
            Flight::Sent { .. } => false,
        };
        if queue {
            busy.flight = Flight::Queued { urgent };
            self.queue.push(&namespace, urgent, question.clone());
        }
        Reply::NotYet
    }

    /// When the last good answer was sent for, whatever its age.
    pub(super) fn last(&self, question: &Q) -> Option<Timestamp> {
        let entry = self.entries.get(question)?;
        entry.answer.as_ref().map(|(sent, _)| *sent)
    }

    /// The last good answer, and when it was sent for, whatever its age.
    pub(super) fn known(&self, question: &Q) -> Option<&(Timestamp, V)> {
        self.entries.get(question)?.answer.as_ref()
    }

    /// Keeps a question up at `pace` for a watcher that knows the answer of
    /// `known`. Returns whether there is a later one, or none: the object must
    /// look again.
    pub(super) fn watch(
        &mut self,
        question: &Q,
        watcher: &Arc<Watcher>,
        pace: Duration,
        known: Timestamp,
    ) -> bool {
        let entry = self.entries.entry(question.clone()).or_default();
        entry.watchers.retain(|(other, _)| other.is_current());
        entry.watchers.push((Arc::clone(watcher), pace));
        let sent = entry.answer.as_ref().map(|(sent, _)| *sent);
        // Without an answer, one is due already.
        let due = match sent {
            None if entry.due.is_some() => entry.due,
            sent => entry.next_due(sent.unwrap_or(known)),
        };
        self.schedule(question, due);
        sent != Some(known)
    }

    /// Whether anything is to be asked at once.
    pub(super) fn is_asked(&self) -> bool {
        !self.queue.is_empty()
    }

    /// How many questions are to be asked at once.
    pub(super) fn asked(&self) -> usize {
        self.queue.len()
    }

    /// Whether a person waits for any of it.
    pub(super) fn is_urgent(&self) -> bool {
        self.queue.is_urgent()
    }

    /// In whose name the next call is made.
    pub(super) fn first_namespace(&self) -> Option<&str> {
        self.queue.first_namespace()
    }

    /// When the first of what is watched is to be asked again.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// How many questions the next calls would have to answer.
    pub(super) fn wanted(&self, now: Timestamp) -> usize {
        let due = self.next_due().is_some_and(|at| at <= now);
        self.queue.len() + if due { self.due.len() } else { 0 }
    }

    /// Takes up to `most` questions, now on their way: those that were asked,
    /// then those watched that are due, or will be within a `1/early` of their
    /// pace: full calls, each as late as the first of it allows.
    pub(super) fn draw(&mut self, now: Timestamp, most: usize, early: u32) -> Draw<Q> {
        let mut draw = Draw { questions: Vec::new(), dropped: Vec::new() };
        while draw.questions.len() < most
            && let Some(question) = self.queue.pop()
        {
            let Some(entry) = self.entries.get_mut(&question) else { continue };
            if !matches!(entry.flight(), Flight::Queued { .. }) {
                continue;
            }
            if entry.may_be_asked() {
                entry.busy().flight = Flight::Sent { at: now, outdated: false };
                draw.questions.push(question);
            } else {
                draw.dropped.extend(entry.land());
            }
        }
        self.draw_watched(now, most, early, &mut draw);
        draw
    }

    fn draw_watched(&mut self, now: Timestamp, most: usize, early: u32, draw: &mut Draw<Q>) {
        while draw.questions.len() < most
            && let Some((at, question)) = self.due.first().cloned()
        {
            let Some(entry) = self.entries.get_mut(&question) else {
                self.due.pop_first();
                continue;
            };
            entry.watchers.retain(|(watcher, _)| watcher.is_current());
            let Some(pace) = entry.pace() else {
                self.due.pop_first();
                entry.due = None;
                continue;
            };
            let soon = now.checked_add(pace / early).unwrap_or(Timestamp::MAX);
            if at > now && (at > soon || draw.questions.is_empty()) {
                break;
            }
            self.due.pop_first();
            entry.due = None;
            if entry.flight() == Flight::Idle {
                entry.busy().flight = Flight::Sent { at: now, outdated: false };
                draw.questions.push(question);
            }
            // Else it is on its way already, and its answer sets the next time.
        }
    }

    /// AWS answered, or failed to. Returns those to be woken.
    pub(super) fn landed(
        &mut self,
        question: &Q,
        result: Result<V, Error>,
        now: Timestamp,
    ) -> Vec<ObjectKey> {
        self.sweep(now);
        let entry = self.entries.entry(question.clone()).or_default();
        let (sent, outdated) = match entry.flight() {
            Flight::Sent { at, outdated } => (at, outdated),
            Flight::Idle | Flight::Queued { .. } => (now, false),
        };
        let mut woken = match entry.flight() {
            Flight::Queued { .. } => entry.drain_waiters(),
            Flight::Idle | Flight::Sent { .. } => entry.land(),
        };
        let due = match result {
            Ok(_) if outdated => entry.pace().map(|_| now),
            Ok(value) => {
                if entry.take(sent, value) {
                    woken.extend(entry.watching());
                }
                entry.next_due(sent)
            }
            Err(error) => {
                if !error.is_transient() {
                    woken.extend(entry.watching());
                }
                let failures = &mut entry.busy().failures;
                failures.note(error, self.retry, &"", now);
                let again = failures.at(now).map(|(_, retry_at)| retry_at);
                again.filter(|_| !entry.watchers.is_empty())
            }
        };
        self.schedule(question, due);
        woken
    }

    /// A call that was to answer it has to be made again.
    pub(super) fn ask_again(&mut self, question: &Q) {
        let Some(entry) = self.entries.get_mut(question) else { return };
        let busy = entry.busy();
        let waits = busy.waiters.values().next();
        let (namespace, urgent) = waits.map_or((String::new(), false), |sight| {
            (sight.object().namespace.to_string(), sight.is_urgent())
        });
        busy.flight = Flight::Queued { urgent };
        self.queue.push(&namespace, urgent, question.clone());
    }

    /// An answer that came without being asked for, as of `sent`. Returns those
    /// to be woken.
    pub(super) fn record(&mut self, question: &Q, sent: Timestamp, value: V) -> Vec<ObjectKey> {
        let Some(entry) = self.entries.get_mut(question) else { return Vec::new() };
        let newer = entry.answer.as_ref().is_none_or(|(before, _)| *before < sent);
        if !newer {
            return Vec::new();
        }
        let mut woken = Vec::new();
        if entry.take(sent, value) {
            woken.extend(entry.watching());
        }
        if let Flight::Queued { .. } = entry.flight() {
            woken.extend(entry.land());
        }
        let due = entry.next_due(sent);
        self.schedule(question, due);
        woken
    }

    /// The same of an answer that was not asked for, unless it may miss the last
    /// write of ours.
    pub(super) fn overheard(&mut self, question: &Q, sent: Timestamp, value: V) -> Vec<ObjectKey> {
        let busy = self.entries.get(question).and_then(|entry| entry.busy.as_ref());
        let written = busy.and_then(|busy| busy.written);
        if written.is_some_and(|at| sent <= at) {
            return Vec::new();
        }
        self.record(question, sent, value)
    }

    /// AWS answered, by requests of which the first was sent at `sent`. Returns
    /// those to be woken.
    pub(super) fn answered(
        &mut self,
        question: &Q,
        sent: Timestamp,
        value: V,
        now: Timestamp,
    ) -> Vec<ObjectKey> {
        if let Some(entry) = self.entries.get_mut(question)
            && let Some(busy) = &mut entry.busy
            && let Flight::Sent { at, .. } = &mut busy.flight
        {
            *at = sent;
        }
        self.landed(question, Ok(value), now)
    }

    /// An answer to what is being asked right now, known as of `sent`. Returns
    /// those to be woken.
    pub(super) fn note(&mut self, question: &Q, sent: Timestamp, value: V) -> Vec<ObjectKey> {
        self.entries.entry(question.clone()).or_default();
        self.record(question, sent, value)
    }

    /// On behalf of whose namespace a question may be asked: of nobody's in
    /// particular if it is only watched.
    pub(super) fn namespace_of(&self, question: &Q) -> Option<Arc<str>> {
        let entry = self.entries.get(question)?;
        let waiters = entry.busy.iter().flat_map(|busy| busy.waiters.values());
        let asks = waiters.into_iter().find(|sight| sight.stands());
        let asks = asks.map(|sight| sight.object().namespace.clone());
        asks.or_else(|| entry.pace().map(|_| "".into()))
    }

    /// Nobody may ask any more what was on its way. Returns who waited, and may
    /// ask again.
    pub(super) fn dropped(&mut self, question: &Q) -> Vec<ObjectKey> {
        let Some(entry) = self.entries.get_mut(question) else { return Vec::new() };
        if let Flight::Queued { .. } = entry.flight() {
            return Vec::new();
        }
        entry.land()
    }

    /// Once the first of what is watched is due: that, and all that will be
    /// within a `1/early` of its pace.
    pub(super) fn due(&mut self, now: Timestamp, early: u32) -> Vec<Q> {
        let mut due = Vec::new();
        while let Some((at, question)) = self.due.first().cloned()
            && at <= now
            && due.is_empty()
        {
            match self.entries.get(&question).and_then(|entry| entry.pace()) {
                None => self.schedule(&question, None),
                Some(pace) => {
                    let soon = now.checked_add(pace / early).unwrap_or(Timestamp::MAX);
                    let reached = self.due.iter().take_while(|(at, _)| *at <= soon);
                    due.extend(reached.map(|(_, question)| question.clone()));
                }
            }
        }
        due
    }

    /// A write has ended, however it ended: what was asked before may miss it.
    pub(super) fn invalidate(&mut self, question: &Q, now: Timestamp) {
        let Some(entry) = self.entries.get_mut(question) else { return };
        entry.answer = None;
        let busy = entry.busy();
        busy.written = Some(now);
        if let Flight::Sent { outdated, .. } = &mut busy.flight {
            *outdated = true;
        }
        let due = entry.pace().map(|_| now);
        self.schedule(question, due);
    }

    /// Whether anything is going on with a question.
    #[cfg(test)]
    pub(super) fn is_busy(&self, question: &Q) -> bool {
        self.entries.get(question).is_some_and(|entry| entry.busy.is_some())
    }

    /// Every question of which something is known or wanted.
    pub(super) fn questions(&self) -> impl Iterator<Item = &Q> {
        self.entries.keys()
    }

    fn schedule(&mut self, question: &Q, due: Option<Timestamp>) {
        let Some(entry) = self.entries.get_mut(question) else { return };
        if let Some(before) = entry.due.take() {
            self.due.remove(&(before, question.clone()));
        }
        if let Some(at) = due {
            entry.due = Some(at);
            self.due.insert((at, question.clone()));
        }
    }

    fn sweep(&mut self, now: Timestamp) {
        self.landed += 1;
        if self.landed >= SWEEP_EVERY.max(self.entries.len() / 2) {
            self.forget_old(now);
        }
    }

    /// Drops what nobody wants and nobody has wanted for long.
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        self.landed = 0;
        self.forget_older(now, MAX_AGE, |_| true);
    }

    /// Drops what nobody wants of `those` and nobody has for so long.
    pub(super) fn forget_older(
        &mut self,
        now: Timestamp,
        age: SignedDuration,
        those: impl Fn(&Q) -> bool,
    ) {
        let young = |at: Timestamp| now.duration_since(at) < age;
        self.entries.retain(|question, entry| {
            let answer = entry.answer.as_ref().is_some_and(|(sent, _)| young(*sent));
            entry.flight() != Flight::Idle || answer || entry.due.is_some() || !those(question)
        });
        self.entries.shrink_to_fit();
    }
}

impl Busy {
    fn is_over(&self) -> bool {
        self.flight == Flight::Idle
            && self.written.is_none()
            && self.failures.is_none()
            && self.waiters.is_empty()
    }
}

impl<V: PartialEq> Entry<V> {
    /// Takes an answer in; returns whether it differs from the last.
    fn take(&mut self, sent: Timestamp, value: V) -> bool {
        let differs = self.answer.as_ref().is_none_or(|(_, before)| *before != value);
        self.answer = Some((sent, value));
        if let Some(busy) = &mut self.busy {
            busy.failures.forget();
            // What is older than the answer does not count any more, whatever it misses.
            busy.written = busy.written.filter(|written| sent <= *written);
        }
        self.rest();
        differs
    }
}

impl<V> Entry<V> {
    fn may_be_asked(&self) -> bool {
        let watched = self.watchers.iter().any(|(watcher, _)| watcher.is_current());
        let waits = |busy: &Busy| busy.waiters.values().any(Sight::stands);
        watched || self.busy.as_ref().is_some_and(|busy| waits(busy))
    }

    fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }

    fn flight(&self) -> Flight {
        self.busy.as_ref().map_or(Flight::Idle, |busy| busy.flight)
    }

    /// It is not on its way any more. Returns who waited.
    fn land(&mut self) -> Vec<ObjectKey> {
        if let Some(busy) = &mut self.busy {
            busy.flight = Flight::Idle;
        }
        let woken = self.drain_waiters();
        self.rest();
        woken
    }

    fn drain_waiters(&mut self) -> Vec<ObjectKey> {
        let waiters = self.busy.as_mut().map(|busy| std::mem::take(&mut busy.waiters));
        waiters.unwrap_or_default().into_keys().collect()
    }

    /// Holds nothing of what is over.
    fn rest(&mut self) {
        self.busy.take_if(|busy| busy.is_over());
    }

    fn watching(&self) -> impl Iterator<Item = ObjectKey> {
        let current = self.watchers.iter().filter(|(watcher, _)| watcher.is_current());
        current.map(|(watcher, _)| watcher.object().clone())
    }

    /// The shortest that any watcher wants.
    fn pace(&self) -> Option<Duration> {
        let current = self.watchers.iter().filter(|(watcher, _)| watcher.is_current());
        current.map(|(_, pace)| *pace).min()
    }

    fn next_due(&self, sent: Timestamp) -> Option<Timestamp> {
        let pace = self.pace()?;
        Some(sent.checked_add(pace).unwrap_or(Timestamp::MAX))
    }
}
