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

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::entry::{Entry, Flight};
use super::memo::Backoff;
use super::queue::FairQueue;
use super::watchers::Watcher;
use super::{Error, Reply};
use crate::authority::{ObjectKey, Sight};
use crate::compact::Nanos;
use crate::mail::SharedText;

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
    due: BTreeSet<(Nanos, Q)>,
    landed: usize,
}

/// What is drawn for one call.
#[derive(Debug)]
pub(super) struct Draw<Q> {
    pub(super) questions: Vec<Q>,
    /// Woken because nobody may ask for them any more.
    pub(super) dropped: Vec<ObjectKey>,
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
        if let Some((sent, value)) = entry.answer().filter(|(sent, _)| *sent >= not_before) {
            return Reply::Known { sent, value: value.clone() };
        }
        let busy = entry.busy();
        let failure = busy.failures.at(now).filter(|_| busy.flight == Flight::Idle);
        if let Some((error, retry_at)) = failure {
            return Reply::Failed { error, retry_at };
        }
        let (urgent, namespace) = (sight.is_urgent(), sight.object().namespace().to_string());
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
        self.entries.get(question)?.sent()
    }

    /// When the call left that is to answer it, if one is on its way.
    pub(super) fn left(&self, question: &Q) -> Option<Timestamp> {
        match self.entries.get(question)?.flight() {
            Flight::Sent { at, .. } => Some(at),
            Flight::Idle | Flight::Queued { .. } => None,
        }
    }

    /// The last good answer, and when it was sent for, whatever its age.
    pub(super) fn known(&self, question: &Q) -> Option<(Timestamp, &V)> {
        self.entries.get(question)?.answer()
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
        entry.watch(watcher, pace);
        let sent = entry.sent();
        // Without an answer, one may be due already.
        if sent.is_some() || entry.due().is_none() {
            let due = entry.next_due(sent.unwrap_or(known));
            self.schedule(question, due);
        }
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
        self.due.first().map(|(at, _)| (*at).into())
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
            && let Some((at, question)) = self.first_due()
        {
            let Some(entry) = self.entries.get_mut(&question) else {
                self.due.pop_first();
                continue;
            };
            entry.forget_ended();
            let Some(pace) = entry.pace() else {
                self.due.pop_first();
                entry.set_due(None);
                continue;
            };
            let soon = now.checked_add(pace / early).unwrap_or(Timestamp::MAX);
            if at > now && (at > soon || draw.questions.is_empty()) {
                break;
            }
            self.due.pop_first();
            entry.set_due(None);
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
        let (sent, outdated, mut woken) = match entry.flight() {
            Flight::Sent { at, outdated } => (at, outdated, entry.land()),
            Flight::Idle => (now, false, entry.land()),
            Flight::Queued { .. } => (now, false, entry.drain_waiters()),
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
                again.filter(|_| entry.is_watched())
            }
        };
        self.schedule(question, due);
        woken
    }

    /// A person waits for a later answer than that which is on its way: it is asked anew
    /// beside it, before what nobody waits for. To be told of answers by
    /// [`brought`](Self::brought) then.
    pub(super) fn overtake(&mut self, question: &Q, not_before: Timestamp) {
        let flight = self.entries.get(question).map(|entry| entry.flight());
        if let Some(Flight::Sent { at, outdated }) = flight
            && (at < not_before || outdated)
        {
            self.queue_again(question);
        }
    }

    /// What came of a call that left at `sent`. Returns those to be woken.
    pub(super) fn brought(
        &mut self,
        question: &Q,
        result: Result<V, Error>,
        (sent, now): (Timestamp, Timestamp),
    ) -> Vec<ObjectKey> {
        if self.left(question) == Some(sent) {
            return self.landed(question, result, now);
        }
        // Whoever waits for more is told by the call that has overtaken it.
        result.map_or_else(|_| Vec::new(), |value| self.overtaken(question, sent, value))
    }

    /// Who waits keeps the place, and looks whether this is late enough.
    fn overtaken(&mut self, question: &Q, sent: Timestamp, value: V) -> Vec<ObjectKey> {
        let Some(entry) = self.entries.get_mut(question) else { return Vec::new() };
        let written = entry.going_on().and_then(|busy| busy.written);
        if entry.sent().max(written) >= Some(sent) {
            return Vec::new();
        }
        let waiters = entry.going_on().into_iter().flat_map(|busy| busy.waiters.keys());
        let mut woken: Vec<_> = waiters.cloned().collect();
        if entry.take(sent, value) {
            woken.extend(entry.watching());
        }
        woken
    }

    /// The call that left at `sent` to answer it has to be made again.
    pub(super) fn ask_again(&mut self, question: &Q, sent: Timestamp) {
        if self.left(question) == Some(sent) {
            self.queue_again(question);
        }
    }

    fn queue_again(&mut self, question: &Q) {
        let Some(entry) = self.entries.get_mut(question) else { return };
        let busy = entry.busy();
        let first = busy.waiters.values().min_by_key(|sight| !sight.is_urgent());
        let (namespace, urgent) = first.map_or((String::new(), false), |sight| {
            (sight.object().namespace().to_string(), sight.is_urgent())
        });
        busy.flight = Flight::Queued { urgent };
        self.queue.push(&namespace, urgent, question.clone());
    }

    /// An answer that came without being asked for, as of `sent`. Returns those
    /// to be woken.
    pub(super) fn record(&mut self, question: &Q, sent: Timestamp, value: V) -> Vec<ObjectKey> {
        let Some(entry) = self.entries.get_mut(question) else { return Vec::new() };
        let newer = entry.sent().is_none_or(|before| before < sent);
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
        let busy = self.entries.get(question).and_then(|entry| entry.going_on());
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
            && let Flight::Sent { outdated, .. } = entry.flight()
        {
            entry.busy().flight = Flight::Sent { at: sent, outdated };
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
    pub(super) fn namespace_of(&self, question: &Q) -> Option<SharedText> {
        let entry = self.entries.get(question)?;
        let waiters = entry.going_on().into_iter().flat_map(|busy| busy.waiters.values());
        let asks = waiters.into_iter().find(|sight| sight.stands());
        let asks = asks.map(|sight| sight.object().namespace().clone());
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
        while let Some((at, question)) = self.first_due()
            && at <= now
            && due.is_empty()
        {
            match self.entries.get(&question).and_then(|entry| entry.pace()) {
                None => self.schedule(&question, None),
                Some(pace) => {
                    let soon = now.checked_add(pace / early).unwrap_or(Timestamp::MAX).into();
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
        entry.invalidate(now);
        let due = entry.pace().map(|_| now);
        self.schedule(question, due);
    }

    /// Drops what is held of a question that nobody waits for or watches. Not for one
    /// whose answer may be overheard: that it was written to has to be remembered.
    pub(super) fn forget_idle(&mut self, question: &Q) {
        if self.entries.get(question).is_some_and(|entry| !entry.is_wanted()) {
            self.entries.remove(question);
        }
    }

    /// Whether anything is going on with a question.
    #[cfg(test)]
    pub(super) fn is_busy(&self, question: &Q) -> bool {
        self.entries.get(question).is_some_and(|entry| entry.going_on().is_some())
    }

    /// Every question of which something is known or wanted.
    pub(super) fn questions(&self) -> impl Iterator<Item = &Q> {
        self.entries.keys()
    }

    fn first_due(&self) -> Option<(Timestamp, Q)> {
        self.due.first().map(|(at, question)| ((*at).into(), question.clone()))
    }

    fn schedule(&mut self, question: &Q, due: Option<Timestamp>) {
        let Some(entry) = self.entries.get_mut(question) else { return };
        if let Some(before) = entry.due() {
            self.due.remove(&(before, question.clone()));
        }
        let due = due.map(Nanos::from);
        entry.set_due(due);
        self.due.extend(due.map(|at| (at, question.clone())));
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
            let answer = entry.sent().is_some_and(young);
            entry.is_wanted() || answer || !those(question)
        });
        self.entries.shrink_to_fit();
    }
}
