//! Which object is reconciled when: of those that are due, the ones that a person
//! waits for first, then the earliest; one run an object at a time.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

use crate::authority::ObjectKey;

/// When each object is due, and which are running.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// Those that a person waits for; all are due.
    awaited: BTreeSet<(Instant, u64, ObjectKey)>,
    /// In the order in which they run; the number keeps those of one instant in
    /// the order in which they came.
    due: BTreeSet<(Instant, u64, ObjectKey)>,
    states: HashMap<ObjectKey, State>,
    count: u64,
    running: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Due(Instant, u64),
    Awaited(Instant, u64),
    /// Runs, and since it began was woken or not, by a person or not.
    Running(Woken),
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Woken {
    No,
    Yes,
    Awaited,
}

impl Schedule {
    /// Makes an object due now, before all others if a person waits for it. One
    /// that runs is due again when it has ended, because it may have looked
    /// already at what changed.
    pub(super) fn wake(&mut self, key: ObjectKey, awaited: bool, now: Instant) {
        match self.states.get_mut(&key) {
            Some(State::Running(woken)) => {
                *woken = (*woken).max(if awaited { Woken::Awaited } else { Woken::Yes });
            }
            Some(State::Awaited(..)) => {}
            Some(State::Due(at, _)) if *at <= now && !awaited => {}
            _ => self.set_due(key, now, awaited),
        }
    }

    /// Takes the first object that is due, to run it.
    pub(super) fn next(&mut self, now: Instant) -> Option<ObjectKey> {
        let first = match self.awaited.pop_first() {
            Some(first) => first,
            None if self.due.first()?.0 > now => return None,
            None => self.due.pop_first()?,
        };
        let (_, _, key) = first;
        self.states.insert(key.clone(), State::Running(Woken::No));
        self.running += 1;
        Some(key)
    }

    /// A run has ended; the object is due again at `again`, if at all, or at
    /// once where it was woken meanwhile.
    pub(super) fn ended(&mut self, key: &ObjectKey, again: Option<Instant>, now: Instant) {
        let Some(State::Running(woken)) = self.states.remove(key) else { return };
        self.running -= 1;
        if let Some(at) = if woken == Woken::No { again } else { Some(now) } {
            self.set_due(key.clone(), at, woken == Woken::Awaited);
        }
    }

    /// When the next object is due.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.awaited.first().or(self.due.first()).map(|(at, _, _)| *at)
    }

    /// How many are running.
    pub(super) fn running(&self) -> usize {
        self.running
    }

    fn set_due(&mut self, key: ObjectKey, at: Instant, awaited: bool) {
        self.count += 1;
        let number = self.count;
        let state = if awaited { State::Awaited(at, number) } else { State::Due(at, number) };
        match self.states.insert(key.clone(), state) {
            Some(State::Due(at, number)) => {
                self.due.remove(&(at, number, key.clone()));
            }
            Some(State::Awaited(at, number)) => {
                self.awaited.remove(&(at, number, key.clone()));
            }
            Some(State::Running(_)) | None => {}
        }
        let due = if awaited { &mut self.awaited } else { &mut self.due };
        due.insert((at, number, key));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::controller::testing::key;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn runs_in_the_order_of_waking_and_each_object_once() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        for name in ["b", "a", "b", "c"] {
            schedule.wake(key(name), false, now);
        }
        let order: Vec<_> = std::iter::from_fn(|| schedule.next(now)).collect();
        assert_eq!(order, [key("b"), key("a"), key("c")]);
        assert_eq!(schedule.running(), 3);
    }

    #[test]
    fn what_is_woken_while_it_runs_runs_once_more() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.wake(key("a"), false, now);
        assert_eq!(schedule.next(now), Some(key("a")));
        schedule.wake(key("a"), false, now);
        assert_eq!(schedule.next(now), None, "never two runs at once");
        schedule.ended(&key("a"), Some(now + 60 * SECOND), now);
        assert_eq!(schedule.next(now), Some(key("a")));
        schedule.ended(&key("a"), None, now);
        assert_eq!(schedule.next_due(), None);
        assert_eq!(schedule.running(), 0);
    }

    #[test]
    fn what_a_person_waits_for_runs_first_even_if_it_was_due_already() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        for name in ["a", "b", "c"] {
            schedule.wake(key(name), false, now);
        }
        schedule.wake(key("c"), true, now);
        schedule.wake(key("c"), false, now);
        assert_eq!(schedule.next(now), Some(key("c")));
        schedule.wake(key("c"), true, now);
        schedule.wake(key("c"), false, now);
        schedule.ended(&key("c"), None, now);
        let order: Vec<_> = std::iter::from_fn(|| schedule.next(now)).collect();
        assert_eq!(order, [key("c"), key("a"), key("b")]);
        assert_eq!(schedule.next_due(), None);
    }

    #[test]
    fn a_wake_brings_a_later_time_forward_and_a_new_end_replaces_it() {
        let (mut schedule, now) = (Schedule::default(), Instant::now());
        schedule.wake(key("a"), false, now);
        schedule.next(now);
        schedule.ended(&key("a"), Some(now + 60 * SECOND), now);
        assert_eq!(schedule.next(now + 59 * SECOND), None);
        schedule.wake(key("a"), false, now + SECOND);
        assert_eq!(schedule.next(now + SECOND), Some(key("a")));
        schedule.ended(&key("a"), None, now + SECOND);
        assert_eq!(schedule.next(now + 3600 * SECOND), None, "the old time is void");
    }
}
