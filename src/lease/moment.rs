//! A clock that nobody sets.

use std::fmt;
use std::ops::Add;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Counts on while the machine sleeps or is suspended, unlike the clock of
/// [`std::time::Instant`]: a leader that slept past its lease must notice.
#[cfg(any(target_os = "linux", target_os = "android"))]
const CLOCK: ClockId = ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const CLOCK: ClockId = ClockId::Monotonic;

/// A reading of one process's clock. Says nothing to another process.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub struct Moment(Duration);

impl Moment {
    /// So long after the clock began.
    pub fn at(since: Duration) -> Self {
        Self(since)
    }

    /// How long after the clock began.
    pub fn since_start(self) -> Duration {
        self.0
    }

    /// The time from `earlier` to this; nothing where that is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(later))
    }
}

/// Tells how long the machine has been up. Cheap to clone.
#[derive(Clone)]
pub struct Uptime(Arc<dyn Fn() -> Moment + Send + Sync>);

impl Uptime {
    /// The machine's.
    pub fn system() -> Self {
        Self::from_fn(|| {
            let now = clock_gettime(CLOCK);
            let [seconds, nanos] = [now.tv_sec, now.tv_nsec].map(u64::try_from);
            let nanos = Duration::from_nanos(nanos.unwrap_or_default());
            Moment(Duration::from_secs(seconds.unwrap_or_default()) + nanos)
        })
    }

    /// One that asks `now`.
    pub fn from_fn(now: impl Fn() -> Moment + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The moment now.
    pub fn now(&self) -> Moment {
        (self.0)()
    }
}

impl fmt::Debug for Uptime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Uptime({:?})", self.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_clock_goes_forward_and_counts_as_std_does() {
        let (uptime, std) = (Uptime::system(), std::time::Instant::now());
        let first = uptime.now();
        while std.elapsed() < Duration::from_millis(5) {
            std::hint::spin_loop();
        }
        let passed = uptime.now().since(first);
        assert!(passed >= Duration::from_millis(4), "{passed:?}");
        assert!(passed <= std.elapsed() + Duration::from_millis(1), "{passed:?}");
    }
}
