//! The simulator's own time, apart from the wall's.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

/// Simulated time since the world began.
pub type SimTime = Duration;

/// Time on the wall, since an arbitrary beginning. Quotas and sessions are
/// counted by it.
#[derive(Clone)]
pub struct WallClock {
    source: Arc<dyn Fn() -> Duration + Send + Sync>,
    began: Timestamp,
}

impl WallClock {
    /// A wall clock from any source that never goes back; it shows the real
    /// date now.
    pub fn new(source: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        let now = Timestamp::now();
        let began = now.checked_sub(source()).unwrap_or(Timestamp::UNIX_EPOCH);
        Self { source: Arc::new(source), began }
    }

    /// The time since this clock began.
    pub fn now(&self) -> Duration {
        (self.source)()
    }

    /// The date at a time of this clock, as AWS writes it.
    pub(crate) fn date(&self, at: Duration) -> String {
        let date = self.began.checked_add(at).unwrap_or(Timestamp::MAX);
        date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// Tokio's time, so that a paused runtime pauses the simulator too.
impl Default for WallClock {
    fn default() -> Self {
        let start = Instant::now();
        Self::new(move || start.elapsed())
    }
}

impl fmt::Debug for WallClock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "WallClock({:?})", self.now())
    }
}

/// How long SES and Route 53 take is counted by this clock. It stands still
/// until [`SimClock::advance`], or runs by a factor of the wall's, or both.
#[derive(Clone, Debug)]
pub struct SimClock {
    wall: WallClock,
    factor: f64,
    advanced: Arc<Mutex<Duration>>,
}

impl SimClock {
    /// Stands still until it is advanced.
    pub fn manual() -> Self {
        Self::scaled(0.0)
    }

    /// Runs `factor` times as fast as the wall: 4,320 makes 72 hours a minute.
    /// A negative factor counts as 0.
    pub fn scaled(factor: f64) -> Self {
        Self::on(WallClock::default(), factor)
    }

    /// Runs `factor` times as fast as the given wall clock.
    pub fn on(wall: WallClock, factor: f64) -> Self {
        let factor = if factor.is_finite() { factor.max(0.0) } else { 0.0 };
        Self { wall, factor, advanced: Arc::default() }
    }

    /// Moves simulated time forward. [`crate::Simulator::advance`] also fires
    /// what falls due meanwhile and wakes those who wait.
    pub fn advance(&self, by: Duration) {
        let mut advanced = self.advanced.lock().unwrap_or_else(PoisonError::into_inner);
        *advanced = advanced.saturating_add(by);
    }

    /// Simulated time since the world began.
    pub fn now(&self) -> SimTime {
        let advanced = *self.advanced.lock().unwrap_or_else(PoisonError::into_inner);
        advanced.saturating_add(self.wall.now().mul_f64(self.factor))
    }

    /// The wall clock beneath.
    pub fn wall(&self) -> &WallClock {
        &self.wall
    }

    /// How long on the wall until simulated time is `due`; none while the
    /// clock only moves by hand.
    pub fn until(&self, due: SimTime) -> Option<Duration> {
        let left = due.saturating_sub(self.now());
        if left.is_zero() {
            Some(Duration::ZERO)
        } else if self.factor > 0.0 {
            // One millisecond more, because timers round and must not fire early.
            Duration::try_from_secs_f64(left.as_secs_f64() / self.factor)
                .ok()
                .map(|wall| wall + Duration::from_millis(1))
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_by_hand_only() {
        let clock = SimClock::manual();
        assert_eq!(clock.now(), Duration::ZERO);
        assert_eq!(clock.until(Duration::from_secs(1)), None);
        clock.advance(Duration::from_hours(72));
        assert_eq!(clock.now(), Duration::from_hours(72));
    }

    #[tokio::test(start_paused = true)]
    async fn a_scaled_clock_follows_the_paused_runtime() {
        let clock = SimClock::scaled(4320.0);
        tokio::time::sleep(Duration::from_mins(1)).await;
        assert_eq!(clock.now(), Duration::from_hours(72));
    }
}
