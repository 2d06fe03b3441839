//! One question of a board: what is known, who watches it, and what is going on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use smallvec::SmallVec;

use super::memo::Failures;
use super::watchers::Watcher;
use crate::authority::{ObjectKey, Sight};
use crate::compact::Nanos;

/// A question. Three or four of them are kept for each of ten thousand objects, so
/// it is small at rest.
#[derive(Debug)]
pub(super) struct Entry<V> {
    answer: Option<(Nanos, V)>,
    /// Nearly always one.
    watchers: SmallVec<[Watch; 1]>,
    due: Option<Nanos>,
    /// What most questions have not at rest.
    busy: Option<Box<Busy>>,
}

/// An object that watches, and how old the answer may grow for it.
#[derive(Debug)]
struct Watch {
    watcher: Arc<Watcher>,
    nanoseconds: u64,
}

/// What is going on with a question.
#[derive(Debug, Default)]
pub(super) struct Busy {
    /// When the last write of ours ended that the answer may miss.
    pub(super) written: Option<Timestamp>,
    pub(super) failures: Failures,
    pub(super) flight: Flight,
    /// Who is woken whatever comes, and may ask.
    pub(super) waiters: BTreeMap<ObjectKey, Sight>,
}

/// Where a question stands on its way to AWS.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Flight {
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

impl Watch {
    fn pace(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds)
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

impl<V> Default for Entry<V> {
    fn default() -> Self {
        Self { answer: None, watchers: SmallVec::new(), due: None, busy: None }
    }
}

impl<V: PartialEq> Entry<V> {
    /// Takes an answer in; returns whether it differs from the last.
    pub(super) fn take(&mut self, sent: Timestamp, value: V) -> bool {
        let differs = self.answer.as_ref().is_none_or(|(_, before)| *before != value);
        self.answer = Some((sent.into(), value));
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
    /// The last good answer, and when it was sent for.
    pub(super) fn answer(&self) -> Option<(Timestamp, &V)> {
        self.answer.as_ref().map(|(sent, value)| ((*sent).into(), value))
    }

    /// When the last good answer was sent for.
    pub(super) fn sent(&self) -> Option<Timestamp> {
        self.answer().map(|(sent, _)| sent)
    }

    /// A write of ours has ended: what is known may miss it.
    pub(super) fn invalidate(&mut self, now: Timestamp) {
        self.answer = None;
        let busy = self.busy();
        busy.written = Some(now);
        if let Flight::Sent { outdated, .. } = &mut busy.flight {
            *outdated = true;
        }
    }

    /// When it is to be asked again.
    pub(super) fn due(&self) -> Option<Nanos> {
        self.due
    }

    pub(super) fn set_due(&mut self, due: Option<Nanos>) {
        self.due = due;
    }

    pub(super) fn may_be_asked(&self) -> bool {
        let watched = self.watchers.iter().any(|watch| watch.watcher.is_current());
        let waits = |busy: &Busy| busy.waiters.values().any(Sight::stands);
        watched || self.busy.as_ref().is_some_and(|busy| waits(busy))
    }

    /// What is going on, to be changed.
    pub(super) fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }

    /// What is going on, if anything is.
    pub(super) fn going_on(&self) -> Option<&Busy> {
        self.busy.as_deref()
    }

    pub(super) fn flight(&self) -> Flight {
        self.busy.as_ref().map_or(Flight::Idle, |busy| busy.flight)
    }

    /// It is not on its way any more. Returns who waited.
    pub(super) fn land(&mut self) -> Vec<ObjectKey> {
        if let Some(busy) = &mut self.busy {
            busy.flight = Flight::Idle;
        }
        let woken = self.drain_waiters();
        self.rest();
        woken
    }

    pub(super) fn drain_waiters(&mut self) -> Vec<ObjectKey> {
        let waiters = self.busy.as_mut().map(|busy| std::mem::take(&mut busy.waiters));
        waiters.unwrap_or_default().into_keys().collect()
    }

    /// Holds nothing of what is over.
    fn rest(&mut self) {
        self.busy.take_if(|busy| busy.is_over());
    }

    pub(super) fn watch(&mut self, watcher: &Arc<Watcher>, pace: Duration) {
        self.forget_ended();
        let nanoseconds = u64::try_from(pace.as_nanos()).unwrap_or(u64::MAX);
        self.watchers.push(Watch { watcher: Arc::clone(watcher), nanoseconds });
    }

    /// Forgets those that watch no longer.
    pub(super) fn forget_ended(&mut self) {
        self.watchers.retain(|watch| watch.watcher.is_current());
    }

    /// Whether it is on its way, as for all who wait, or will be.
    pub(super) fn is_wanted(&self) -> bool {
        self.flight() != Flight::Idle || self.due.is_some()
    }

    pub(super) fn is_watched(&self) -> bool {
        !self.watchers.is_empty()
    }

    pub(super) fn watching(&self) -> impl Iterator<Item = ObjectKey> {
        let current = self.watchers.iter().filter(|watch| watch.watcher.is_current());
        current.map(|watch| watch.watcher.object().clone())
    }

    /// The shortest that any watcher wants.
    pub(super) fn pace(&self) -> Option<Duration> {
        let current = self.watchers.iter().filter(|watch| watch.watcher.is_current());
        current.map(Watch::pace).min()
    }

    /// When what was sent for then is to be asked again.
    pub(super) fn next_due(&self, sent: Timestamp) -> Option<Timestamp> {
        let pace = self.pace()?;
        Some(sent.checked_add(pace).unwrap_or(Timestamp::MAX))
    }
}
