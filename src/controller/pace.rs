//! How fast writes leave for the API server, which others need as well.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// Writes that may leave at once after a pause: those of so long a time.
const SAVED: Duration = Duration::from_secs(2);

/// Lets so many writes a second leave, in the order in which they come.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    /// When the next may leave, long ago where writes were saved.
    next: Mutex<Instant>,
}

impl Pace {
    /// `rate` in writes per second, above zero.
    pub fn new(rate: f64) -> Self {
        Self { interval: Duration::from_secs_f64(1.0 / rate), next: Mutex::new(Instant::now()) }
    }

    /// Waits for the turn of one write.
    pub async fn turn(&self) {
        let mut next = self.next.lock().await;
        let now = Instant::now();
        let saved = now.checked_sub(SAVED).unwrap_or(now);
        let turn = (*next).max(saved);
        *next = turn + self.interval;
        sleep_until(turn).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_pause_those_of_two_seconds_leave_at_once_and_then_one_after_another() {
        let pace = Pace::new(4.0);
        tokio::time::advance(Duration::from_mins(1)).await;
        let begun = Instant::now();
        let mut left = Vec::new();
        for _ in 0..12 {
            pace.turn().await;
            left.push(begun.elapsed().as_millis());
        }
        let at_once = left.iter().filter(|at| **at == 0).count();
        assert_eq!(at_once, 9, "eight were saved, and one is due: {left:?}");
        assert_eq!(left[9..], [250, 500, 750]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_takes_no_turn_twice() {
        let pace = Pace::new(1.0);
        pace.turn().await;
        let gave_up = tokio::time::timeout(Duration::from_millis(1), pace.turn()).await;
        assert!(gave_up.is_err());
        let begun = Instant::now();
        pace.turn().await;
        assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
    }
}
