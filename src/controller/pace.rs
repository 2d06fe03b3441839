//! How fast writes leave for the API server, which others need as well.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

/// Writes that may leave at once after a pause: those of so long a time.
const SAVED: Duration = Duration::from_secs(2);

/// Writes under way at once: at 50 ms each, more than the default rate. Of a server
/// that is slow already no more is asked, for what persons change goes through it too.
const AT_ONCE: usize = 8;

/// No write waits longer for those that are under way: what it was decided on grows
/// old, and a server that answers nothing must not hold all objects up.
const PATIENCE: Duration = Duration::from_secs(5);

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
    ///
    /// # Errors
    /// So many are under way, and none of them has been answered for long.
    pub async fn turn(&self) -> Result<Turn<'_>, Stuck> {
        {
            let mut next = self.next.lock().await;
            let now = Instant::now();
            let saved = now.checked_sub(SAVED).unwrap_or(now);
            let turn = (*next).max(saved);
            *next = turn + self.interval;
            sleep_until(turn).await;
        }
        match timeout(PATIENCE, self.under_way.acquire()).await {
            // Nobody closes it.
            Ok(place) => Ok(Turn { _place: place.ok() }),
            Err(_) => Err(Stuck),
        }
    }
}

/// No turn came.
#[derive(Clone, Copy, Debug, Error)]
#[error("{} writes wait for its answer already", AT_ONCE)]
pub struct Stuck;

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
        let begun = Instant::now();
        let stuck = pace.turn().await.map(|_| ()).map_err(|stuck| stuck.to_string());
        assert_eq!(stuck, Err("8 writes wait for its answer already".to_owned()));
        assert_eq!(begun.elapsed(), PATIENCE);
        let (next, ()) = tokio::join!(pace.turn(), async { drop(under_way.pop()) });
        assert!(next.is_ok(), "an answer has come");
    }
}
