//! Which object is reconciled when: of those that are due, the ones that a person
//! waits for first, then those that are furthest on their way, then the earliest;
//! one run an object at a time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use crate::authority::ObjectKey;

/// Which of those that are due run first: the greater.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Rank {
    /// Whether a person waits for it.
    pub awaited: bool,
    /// How far it is on its way.
    pub progress: Progress,
}

/// How far an object is on its way. Those that are on it go before those that
/// would only begin: then the first of many are through, and writes to AWS leave,
/// while the last have not begun; and nobody's permit lapses in the queue.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Progress {
    /// Nothing was done for it since the process started.
    New,
    /// It is looked at again.
    Known,
    /// What it waited for is there, such as an answer or a permit.
    Underway,
}

impl Rank {
    /// The same, now that what the object waited for is there. One that is new
    /// has not waited.
    fn with_news(self) -> Self {
        match self.progress {
            Progress::New => self,
            Progress::Known | Progress::Underway => Self { progress: Progress::Underway, ..self },
        }
    }
}

/// An object that is to be looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Woken {
    /// Which.
    pub key: ObjectKey,
    /// Whether what it waited for is there.
    pub news: bool,
}

/// The rank of an object that is not known to have news.
pub(super) type RankOf = Box<dyn Fn(&ObjectKey) -> Rank + Send>;

/// When each object is due, and which are running.
pub(super) struct Schedule {
    rank_of: RankOf,
    /// Those that are due, first the first to run; the number keeps those of one
    /// instant in the order in which they came.
    due: BTreeSet<(Reverse<Rank>, Instant, u64, ObjectKey)>,
    /// Those that will be.
    later: BTreeSet<(Instant, u64, ObjectKey)>,
    states: HashMap<ObjectKey, State>,
    count: u64,
    running: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Due(Rank, Instant, u64),
    Later(Instant, u64),
    /// Runs, and was woken or not since it began.
    Running(Option<Rank>),
}

impl Schedule {
    /// Of objects whose ranks `rank_of` tells.
    pub(super) fn new(rank_of: RankOf) -> Self {
        Self {
            rank_of,
            due: BTreeSet::new(),
            later: BTreeSet::new(),
            states: HashMap::new(),
            count: 0,
            running: 0,
        }
    }

    /// Makes an object due now. One that runs is due again when it has ended,
    /// because it may have looked already at what changed.
    pub(super) fn wake(&mut self, Woken { key, news }: Woken, now: Instant) {
        let rank = (self.rank_of)(&key);
        let rank = if news { rank.with_news() } else { rank };
        match self.states.get_mut(&key) {
            Some(State::Running(woken)) => *woken = (*woken).max(Some(rank)),
            Some(State::Due(before, ..)) if *before >= rank => {}
            _ => self.set_due(key, rank, now),
        }
    }

    /// Takes the first object that is due, to run it.
    pub(super) fn next(&mut self, now: Instant) -> Option<ObjectKey> {
        while let Some((at, _, _)) = self.later.first()
            && *at <= now
            && let Some((at, number, key)) = self.later.pop_first()
        {
            let rank = (self.rank_of)(&key);
            self.states.insert(key.clone(), State::Due(rank, at, number));
            self.due.insert((Reverse(rank), at, number, key));
        }
        let (_, _, _, key) = self.due.pop_first()?;
        self.states.insert(key.clone(), State::Running(None));
        self.running += 1;
        Some(key)
    }

    /// A run has ended; the object is due again at `again`, if at all, or at
    /// once where it was woken meanwhile.
    pub(super) fn ended(&mut self, key: &ObjectKey, again: Option<Instant>, now: Instant) {
        let Some(State::Running(woken)) = self.states.remove(key) else { return };
        self.running -= 1;
        match (woken, again) {
            (Some(rank), _) => self.set_due(key.clone(), rank, now),
            (None, Some(at)) => {
                self.count += 1;
                self.states.insert(key.clone(), State::Later(at, self.count));
                self.later.insert((at, self.count, key.clone()));
            }
            (None, None) => {}
        }
    }

    /// When the next object is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        let due = self.due.first().map(|(_, at, _, _)| *at);
        due.or_else(|| self.later.first().map(|(at, _, _)| *at))
    }

    /// How many are running.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    fn set_due(&mut self, key: ObjectKey, rank: Rank, at: Instant) {
        self.count += 1;
        match self.states.insert(key.clone(), State::Due(rank, at, self.count)) {
            Some(State::Due(rank, at, number)) => {
                self.due.remove(&(Reverse(rank), at, number, key.clone()));
            }
            Some(State::Later(at, number)) => {
                self.later.remove(&(at, number, key.clone()));
            }
            Some(State::Running(_)) | None => {}
        }
        self.due.insert((Reverse(rank), at, self.count, key));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::controller::testing::key;

    const SECOND: Duration = Duration::from_secs(1);

    /// Names tell: a person waits for `awaited…`, and `…new` were never run.
    fn schedule() -> Schedule {
        Schedule::new(Box::new(|key| Rank {
            awaited: key.name().starts_with("awaited"),
            progress: if key.name().ends_with("new") { Progress::New } else { Progress::Known },
        }))
    }

    fn woken(name: &str) -> Woken {
        Woken { key: key(name), news: false }
    }

    fn news(name: &str) -> Woken {
        Woken { key: key(name), news: true }
    }

    fn rest(schedule: &mut Schedule, now: Instant) -> Vec<String> {
        std::iter::from_fn(|| schedule.next(now)).map(|key| key.name().to_string()).collect()
    }

    #[test]
    fn runs_in_the_order_of_waking_and_each_object_once() {
        let (mut schedule, now) = (schedule(), Instant::now());
        for name in ["b", "a", "b", "c"] {
            schedule.wake(woken(name), now);
        }
        assert_eq!(rest(&mut schedule, now), ["b", "a", "c"]);
        assert_eq!(schedule.running(), 3);
    }

    #[test]
    fn what_is_woken_while_it_runs_runs_once_more() {
        let (mut schedule, now) = (schedule(), Instant::now());
        schedule.wake(woken("a"), now);
        assert_eq!(schedule.next(now), Some(key("a")));
        schedule.wake(woken("a"), now);
        assert_eq!(schedule.next(now), None, "never two runs at once");
        schedule.ended(&key("a"), Some(now + 60 * SECOND), now);
        assert_eq!(schedule.next(now), Some(key("a")));
        schedule.ended(&key("a"), None, now);
        assert_eq!(schedule.next_due(), None);
        assert_eq!(schedule.running(), 0);
    }

    #[test]
    fn persons_first_then_what_is_underway_then_what_is_known_then_what_is_new() {
        let (mut schedule, now) = (schedule(), Instant::now());
        for name in ["new", "known", "awaited-new", "awaited"] {
            schedule.wake(woken(name), now);
        }
        for name in ["another-new", "underway", "awaited-underway"] {
            schedule.wake(news(name), now);
        }
        let order = [
            "awaited-underway",
            "awaited",
            "awaited-new",
            "underway",
            "known",
            "new",
            "another-new",
        ];
        assert_eq!(rest(&mut schedule, now), order);
    }

    #[test]
    fn news_brings_forward_what_was_due_already_and_is_not_forgotten() {
        let (mut schedule, now) = (schedule(), Instant::now());
        for name in ["a", "b", "c"] {
            schedule.wake(woken(name), now);
        }
        schedule.wake(news("c"), now);
        schedule.wake(woken("c"), now);
        assert_eq!(schedule.next(now), Some(key("c")));
        schedule.wake(news("c"), now);
        schedule.wake(woken("c"), now);
        schedule.ended(&key("c"), None, now);
        assert_eq!(rest(&mut schedule, now), ["c", "a", "b"]);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn what_has_become_due_by_its_time_goes_before_what_is_new() {
        let (mut schedule, now) = (schedule(), Instant::now());
        schedule.wake(woken("timed"), now);
        schedule.next(now);
        schedule.ended(&key("timed"), Some(now + SECOND), now);
        schedule.wake(woken("a-new"), now);
        schedule.wake(woken("known"), now + 2 * SECOND);
        assert_eq!(rest(&mut schedule, now + 2 * SECOND), ["timed", "known", "a-new"]);
    }

    #[test]
    fn a_wake_brings_a_later_time_forward_and_a_new_end_replaces_it() {
        let (mut schedule, now) = (schedule(), Instant::now());
        schedule.wake(woken("a"), now);
        schedule.next(now);
        schedule.ended(&key("a"), Some(now + 60 * SECOND), now);
        assert_eq!(schedule.next(now + 59 * SECOND), None);
        schedule.wake(woken("a"), now + SECOND);
        assert_eq!(schedule.next(now + SECOND), Some(key("a")));
        schedule.ended(&key("a"), None, now + SECOND);
        assert_eq!(schedule.next(now + 3600 * SECOND), None, "the old time is void");
    }
}
