//! How fast writes leave for the API server, which others need as well.

use std::time::Duration;

use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// Writes that may leave at once after a pause: those of so long a time.
const SAVED: Duration = Duration::from_secs(2);

/// Writes under way at once: enough for any rate at an API server that answers in
/// time, and of one that is slow already no more is asked. What persons change goes
/// through the same server.
const AT_ONCE: usize = 8;

/// Lets so many writes a second leave, in the order in which they come, and a few at
/// once.
#[derive(Debug)]
pub struct Pace {
    interval: Duration,
    under_way: Semaphore,
    /// When the next may leave, long ago where writes were saved.
    next: Mutex<Instant>,
}

impl Pace {
    /// `rate` in writes per second, above zero.
    pub fn new(rate: f64) -> Self {
        Self {
            interval: Duration::from_secs_f64(1.0 / rate),
            under_way: Semaphore::new(AT_ONCE),
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for the turn of one write, to be held until its answer is there.
    pub async fn turn(&self) -> Turn<'_> {
        // Nobody closes it.
        let place = self.under_way.acquire().await.ok();
        let mut next = self.next.lock().await;
        let now = Instant::now();
        let saved = now.checked_sub(SAVED).unwrap_or(now);
        let turn = (*next).max(saved);
        *next = turn + self.interval;
        sleep_until(turn).await;
        Turn { _place: place }
    }
}

/// A write that is under way.
#[derive(Debug)]
#[must_use]
pub struct Turn<'a> {
    _place: Option<SemaphorePermit<'a>>,
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
            drop(pace.turn().await);
            left.push(begun.elapsed().as_millis());
        }
        let at_once = left.iter().filter(|at| **at == 0).count();
        assert_eq!(at_once, 9, "eight were saved, and one is due: {left:?}");
        assert_eq!(left[9..], [250, 500, 750]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_takes_no_turn_twice() {
        let pace = Pace::new(1.0);
        drop(pace.turn().await);
        let gave_up = tokio::time::timeout(Duration::from_millis(1), pace.turn()).await;
        assert!(gave_up.is_err());
        let begun = Instant::now();
        drop(pace.turn().await);
        assert!(begun.elapsed() <= Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn of_a_slow_server_no_more_is_asked() {
        let pace = Pace::new(1000.0);
        tokio::time::advance(Duration::from_mins(1)).await;
        let mut under_way = Vec::new();
        for _ in 0..AT_ONCE {
            under_way.push(pace.turn().await);
        }
        let next = tokio::time::timeout(Duration::from_mins(1), pace.turn()).await;
        assert!(next.is_err(), "it waits for an answer");
        under_way.pop();
        let next = tokio::time::timeout(Duration::from_secs(1), pace.turn()).await;
        assert!(next.is_ok());
    }
}
