//! What AWS answered, with which credentials, who waits for what, and which
//! answers still count.
//!
//! An answer counts for an object if its request was sent no earlier than the
//! object asks for. No write of ours makes it old.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Mutex;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::lock;
use super::{Error, Reply};
use crate::authority::{Credentials, ObjectKey};

/// A question as it is asked with some credentials: others may get another
/// answer.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Asked<Q> {
    pub(super) credentials: Credentials,
    pub(super) question: Q,
}

/// Answers older than this are forgotten.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(2);

/// More answers than this are not kept, whatever their age.
const MAX_ENTRIES: usize = 100_000;

/// How often the old ones are looked for, in answers.
const SWEEP_EVERY: u32 = 512;

/// Answers to questions of one kind.
#[derive(Debug)]
pub(super) struct Memo<Q, V> {
    retry: Backoff,
    state: Mutex<State<Q, V>>,
}

#[derive(Debug)]
struct State<Q, V> {
    entries: HashMap<Q, Entry<V>>,
    answered: u32,
}

/// How long a failed read is left alone: `min`, doubling up to `max`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) min: Duration,
    pub(super) max: Duration,
}

#[derive(Debug)]
struct Entry<V> {
    answer: Option<(Timestamp, V)>,
    failures: Failures,
    flight: Option<Flight>,
    waiters: HashSet<ObjectKey>,
}

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self { answer: None, failures: Failures::default(), flight: None, waiters: HashSet::new() }
    }
}

/// Failures in a row, and how long to leave it alone after the last.
#[derive(Debug, Default)]
pub(super) struct Failures(Option<Failure>);

#[derive(Debug)]
struct Failure {
    error: Error,
    retry_at: Timestamp,
    count: u32,
}

/// A question on its way.
#[derive(Debug, Default)]
struct Flight {
    sent: Option<Timestamp>,
}

impl<Q: Clone + Eq + Hash, V: Clone> Memo<Q, V> {
    pub(super) fn new(retry: Backoff) -> Self {
        let state = State { entries: HashMap::new(), answered: 0 };
        Self { retry, state: Mutex::new(state) }
    }

    /// The answer as far as it is known, and whether the question must be sent
    /// on its way. On `NotYet` the object is among those to be woken.
    pub(super) fn look(
        &self,
        question: &Q,
        object: &ObjectKey,
        not_before: Timestamp,
        now: Timestamp,
    ) -> (Reply<V>, bool) {
        let mut state = lock(&self.state);
        let entry = state.entries.entry(question.clone()).or_default();
        if let Some((sent, value)) = entry.answer.as_ref().filter(|(sent, _)| *sent >= not_before) {
            return (Reply::Known { sent: *sent, value: value.clone() }, false);
        }
        let idle = entry.flight.is_none();
        if let Some((error, retry_at)) = entry.failures.at(now).filter(|_| idle) {
            return (Reply::Failed { error, retry_at }, false);
        }
        entry.waiters.insert(object.clone());
        entry.flight.get_or_insert_default();
        (Reply::NotYet, idle)
    }

    /// The question leaves for AWS now: who asks for a later answer than this
    /// does not get this one.
    pub(super) fn sent(&self, question: &Q, now: Timestamp) {
        let mut state = lock(&self.state);
        if let Some(entry) = state.entries.get_mut(question) {
            entry.flight = Some(Flight { sent: Some(now) });
        }
    }

    /// The question did not leave: what it was asked on has changed. Returns
    /// those to be woken, who ask again if they still may.
    pub(super) fn dropped(&self, question: &Q) -> Vec<ObjectKey> {
        let mut state = lock(&self.state);
        let Some(entry) = state.entries.get_mut(question) else { return Vec::new() };
        entry.flight = None;
        entry.waiters.drain().collect()
    }

    /// AWS answered, or failed to. Returns those to be woken; who needs a later
    /// answer asks again, by a leave of its own.
    pub(super) fn landed(
        &self,
        question: &Q,
        result: Result<V, Error>,
        now: Timestamp,
    ) -> Vec<ObjectKey> {
        let mut state = lock(&self.state);
        state.sweep(now);
        let entry = state.entries.entry(question.clone()).or_default();
        let flight = entry.flight.take().unwrap_or_default();
        match result {
            Ok(value) => {
                entry.failures.forget();
                entry.answer = Some((flight.sent.unwrap_or(now), value));
            }
            Err(error) => {
                entry.failures.note(error, self.retry, question, now);
            }
        }
        entry.waiters.drain().collect()
    }
}

impl<Q: Eq + Hash, V> State<Q, V> {
    fn sweep(&mut self, now: Timestamp) {
        self.answered += 1;
        if self.answered < SWEEP_EVERY {
            return;
        }
        self.answered = 0;
        let young = |at: Timestamp| now.duration_since(at) < MAX_AGE;
        self.entries.retain(|_, entry| {
            let answer = entry.answer.as_ref().is_some_and(|(sent, _)| young(*sent));
            let failure = entry.failures.0.as_ref().is_some_and(|f| young(f.retry_at));
            entry.flight.is_some() || answer || failure
        });
        if self.entries.len() > MAX_ENTRIES {
            self.entries.retain(|_, entry| entry.flight.is_some());
        }
    }
}

impl Failures {
    /// One more.
    pub(super) fn note(&mut self, error: Error, pace: Backoff, of: &impl Hash, now: Timestamp) {
        let count = self.0.as_ref().map_or(0, |failure| failure.count) + 1;
        self.0 = Some(Failure { error, retry_at: now + pace.pause(of, count), count });
    }

    /// Whether there are none.
    pub(super) fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// A success ends the row.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }

    /// The last, while it is to be left alone, and until when.
    pub(super) fn at(&self, now: Timestamp) -> Option<(Error, Timestamp)> {
        let failure = self.0.as_ref().filter(|failure| now < failure.retry_at)?;
        Some((failure.error.clone(), failure.retry_at))
    }

    /// The last, while it is to be left alone.
    pub(super) fn error_at(&self, now: Timestamp) -> Option<Error> {
        self.at(now).map(|(error, _)| error)
    }
}

impl Backoff {
    /// The pause after the `count`th failure in a row, shortened by up to half
    /// and differently for each question, so that they do not all come at once.
    fn pause(self, question: &impl Hash, count: u32) -> Duration {
        let doubled = self.min.saturating_mul(1u32.checked_shl(count - 1).unwrap_or(u32::MAX));
        let mut hash = DefaultHasher::new();
        (question, count).hash(&mut hash);
        let share = u32::try_from(hash.finish() % 512).unwrap_or(0);
        let full = doubled.min(self.max);
        full * (1024 - share) / 1024
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::call::{Operation, Target};
    use super::*;

    const BACKOFF: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_mins(1) };

    fn memo() -> Memo<&'static str, u32> {
        Memo::new(BACKOFF)
    }

    fn object(name: &str) -> ObjectKey {
        ObjectKey::new("mail", name)
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn error() -> Error {
        Error::incomplete(&Target::global(Operation::GetChange, "change C1"), "everything")
    }

    /// Asks on behalf of `a`, sends at `second`, and has it answered.
    fn answered(memo: &Memo<&'static str, u32>, second: i64, value: u32) -> Vec<ObjectKey> {
        memo.look(&"q", &object("a"), at(second), at(second));
        memo.sent(&"q", at(second));
        memo.landed(&"q", Ok(value), at(second + 1))
    }

    #[test]
    fn an_answer_counts_from_when_its_request_was_sent() {
        let memo = memo();
        assert_eq!(answered(&memo, 10, 7), [object("a")]);
        let known = Reply::Known { sent: at(10), value: 7 };
        assert_eq!(memo.look(&"q", &object("b"), at(10), at(20)), (known, false));
        assert_eq!(memo.look(&"q", &object("b"), at(11), at(20)), (Reply::NotYet, true));
    }

    #[test]
    fn who_asks_before_it_is_sent_joins_and_who_needs_a_later_one_asks_again() {
        let memo = memo();
        assert!(memo.look(&"q", &object("a"), at(1), at(1)).1);
        assert!(!memo.look(&"q", &object("b"), at(5), at(5)).1);
        memo.sent(&"q", at(6));
        assert!(!memo.look(&"q", &object("c"), at(7), at(7)).1);
        let mut woken = memo.landed(&"q", Ok(1), at(8));
        woken.sort();
        assert_eq!(woken, ["a", "b", "c"].map(object));
        let known = Reply::Known { sent: at(6), value: 1 };
        assert_eq!(memo.look(&"q", &object("b"), at(5), at(8)), (known, false));
        assert_eq!(memo.look(&"q", &object("c"), at(7), at(8)), (Reply::NotYet, true));
        memo.sent(&"q", at(9));
        assert_eq!(memo.landed(&"q", Ok(2), at(10)), [object("c")]);
    }

    #[test]
    fn a_question_that_was_not_sent_is_asked_again_by_those_who_still_may() {
        let memo = memo();
        assert!(memo.look(&"q", &object("a"), at(1), at(1)).1);
        memo.look(&"q", &object("b"), at(1), at(1));
        let mut woken = memo.dropped(&"q");
        woken.sort();
        assert_eq!(woken, ["a", "b"].map(object));
        assert_eq!(memo.look(&"q", &object("b"), at(1), at(2)), (Reply::NotYet, true));
    }

    #[test]
    fn a_failure_is_left_alone_for_longer_each_time() {
        let memo = memo();
        let mut now = at(100);
        let mut pauses = Vec::new();
        for _ in 0..9 {
            assert!(memo.look(&"q", &object("a"), now, now).1);
            memo.sent(&"q", now);
            assert_eq!(memo.landed(&"q", Err(error()), now), [object("a")]);
            let (Reply::Failed { retry_at, .. }, false) = memo.look(&"q", &object("b"), now, now)
            else {
                unreachable!("a failure that is not shown")
            };
            pauses.push(retry_at.duration_since(now).as_secs_f64());
            now = retry_at;
        }
        for (n, pause) in pauses.iter().enumerate() {
            let full = f64::from(1u32 << n).min(60.0);
            assert!((full / 2.0..=full).contains(pause), "{pauses:?}");
        }
        answered(&memo, now.as_second() + 1, 3);
        let later = now + Duration::from_secs(10);
        memo.look(&"q", &object("a"), later, later);
        memo.landed(&"q", Err(error()), later);
        let (Reply::Failed { retry_at, .. }, _) = memo.look(&"q", &object("a"), later, later)
        else {
            unreachable!("a failure that is not shown")
        };
        assert!(retry_at <= later + Duration::from_secs(1), "a success starts it over");
    }

    #[test]
    fn a_good_answer_that_is_fresh_enough_outlives_a_failure() {
        let memo = memo();
        answered(&memo, 10, 7);
        memo.look(&"q", &object("a"), at(50), at(50));
        memo.landed(&"q", Err(error()), at(51));
        let known = Reply::Known { sent: at(10), value: 7 };
        assert_eq!(memo.look(&"q", &object("b"), at(5), at(51)).0, known);
    }

    #[test]
    fn old_answers_are_forgotten() {
        let memo: Memo<u32, u32> = Memo::new(BACKOFF);
        for n in 0..SWEEP_EVERY * 4 {
            let now = at(i64::from(n) * 60);
            memo.look(&n, &object("a"), now, now);
            memo.sent(&n, now);
            memo.landed(&n, Ok(n), now);
        }
        let kept = lock(&memo.state).entries.len();
        assert!(kept <= usize::try_from(SWEEP_EVERY).unwrap() + 121, "{kept}");
    }
}
