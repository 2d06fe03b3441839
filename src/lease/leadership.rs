//! What the rest of the program asks: may it act now?

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::moment::{Moment, Uptime};

/// Whether this process leads. Cheap to clone; all clones tell the same.
#[derive(Clone)]
pub struct Leadership(Arc<Shared>);

struct Shared {
    uptime: Uptime,
    /// Until when this process leads, in nanoseconds of its uptime; 0: it does not.
    until: AtomicU64,
    elected: watch::Sender<bool>,
    stands: watch::Sender<bool>,
    /// What keeps it from taking part in the election.
    trouble: Mutex<Option<String>>,
}

impl Leadership {
    /// For a process that needs no election.
    pub fn without_election() -> Self {
        let leadership = Self::elected(Uptime::system());
        leadership.0.until.store(u64::MAX, Ordering::Relaxed);
        leadership.0.elected.send_replace(true);
        leadership
    }

    /// For a process that has to be elected first.
    pub(crate) fn elected(uptime: Uptime) -> Self {
        Self(Arc::new(Shared {
            uptime,
            until: AtomicU64::new(0),
            elected: watch::Sender::new(false),
            stands: watch::Sender::new(false),
            trouble: Mutex::default(),
        }))
    }

    /// Whether this process leads at this very moment. To be asked right before
    /// each write: who was stopped for a while does not lead any more, and
    /// nothing else has told it yet.
    pub fn leads(&self) -> bool {
        let now = self.0.uptime.now().since_start();
        now.as_nanos() < u128::from(self.0.until.load(Ordering::SeqCst))
    }

    /// Takes part in the election from now on: this process could act.
    pub fn stand(&self) {
        self.0.stands.send_replace(true);
    }

    /// Resolves once this process leads.
    pub async fn gained(&self) {
        // Fails only without a sender, and this is the sender.
        let _ = self.0.elected.subscribe().wait_for(|elected| *elected).await;
    }

    /// What keeps a process that stands from taking part in the election.
    pub fn missing(&self) -> Option<String> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Resolves once this process stands for election.
    pub(super) async fn standing(&self) {
        let _ = self.0.stands.subscribe().wait_for(|stands| *stands).await;
    }

    pub(super) fn trouble(&self, trouble: Option<String>) {
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// It leads until then.
    pub(crate) fn extend(&self, until: Moment) {
        let nanos = u64::try_from(until.since_start().as_nanos()).unwrap_or(u64::MAX);
        self.0.until.store(nanos, Ordering::SeqCst);
        self.0.elected.send_if_modified(|elected| !std::mem::replace(elected, true));
    }

    /// It leads no more.
    pub(super) fn end(&self) {
        self.0.until.store(0, Ordering::SeqCst);
    }
}

impl fmt::Debug for Leadership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leadership").field("leads", &self.leads()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn it_ends_by_itself_when_it_is_not_extended() {
        let now = Arc::new(AtomicU64::new(100));
        let clock = Arc::clone(&now);
        let moment = |seconds| Moment::at(Duration::from_secs(seconds));
        let uptime = Uptime::from_fn(move || moment(clock.load(Ordering::Relaxed)));
        let leadership = Leadership::elected(uptime);
        assert!(!leadership.leads());
        assert!(leadership.gained().now_or_never().is_none());
        leadership.extend(moment(110));
        assert!(leadership.leads());
        assert!(leadership.gained().now_or_never().is_some());
        now.store(109, Ordering::Relaxed);
        assert!(leadership.leads());
        leadership.extend(moment(119));
        now.store(118, Ordering::Relaxed);
        assert!(leadership.leads());
        now.store(119, Ordering::Relaxed);
        assert!(!leadership.leads(), "nobody had to tell");
        leadership.extend(moment(200));
        leadership.end();
        assert!(!leadership.leads());
    }

    #[test]
    fn without_election_it_always_leads() {
        let leadership = Leadership::without_election();
        assert!(leadership.leads());
        assert!(leadership.gained().now_or_never().is_some());
        assert_eq!(leadership.missing(), None);
    }
}
