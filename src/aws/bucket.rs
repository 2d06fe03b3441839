//! How fast requests may leave: a token bucket whose rate gives way when AWS
//! throttles, because others share the quota.

use std::time::Duration;

use tokio::time::Instant;

/// So much of a delay of ours is made up for by the calls behind it: half of what
/// AWS's own buckets put up with. Besides, requests leave evenly, never in bursts.
pub(super) const MADE_UP: Duration = Duration::from_millis(50);

/// The rate never falls below this share of the allowance.
const FLOOR: f64 = 0.02;

/// After the first throttling the rate falls at most once in this time.
const COOLING: Duration = Duration::from_secs(1);

/// So many calls in a row without throttling raise the rate by one percent of
/// the allowance.
const CLEAN_RUN: u32 = 25;

/// Tokens, one a request.
#[derive(Debug)]
pub(super) struct Bucket {
    /// Requests per second at best.
    allowance: f64,
    rate: f64,
    tokens: f64,
    filled: Instant,
    throttled: Option<Instant>,
    clean: u32,
}

impl Bucket {
    /// A full bucket that refills at `allowance` tokens per second.
    pub(super) fn new(allowance: f64, now: Instant) -> Self {
        // A rate of nothing would wait for ever.
        let allowance = allowance.max(0.001);
        Self { allowance, rate: allowance, tokens: 1.0, filled: now, throttled: None, clean: 0 }
    }

    /// One that was empty at `emptied`.
    pub(super) fn empty(allowance: f64, emptied: Instant) -> Self {
        Self { tokens: 0.0, ..Self::new(allowance, emptied) }
    }

    /// Takes a token if there is one.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        self.fill(now);
        // Sums of small refills may fall short of one by rounding alone.
        let there = self.tokens >= 1.0 - 1e-6;
        if there {
            self.tokens = (self.tokens - 1.0).max(0.0);
        }
        there
    }

    /// Returns a token that was taken and not spent.
    pub(super) fn give_back(&mut self) {
        self.tokens = (self.tokens + 1.0).min(self.capacity());
    }

    /// For so long nothing left: what was to leave has its tokens still.
    pub(super) fn lose(&mut self, time: Duration) {
        self.tokens -= time.as_secs_f64() * self.rate;
    }

    /// When the next token is there.
    pub(super) fn ready_at(&mut self, now: Instant) -> Instant {
        self.fill(now);
        now + Duration::from_secs_f64((1.0 - self.tokens).max(0.0) / self.rate)
    }

    /// The time between two tokens at the present rate.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.rate)
    }

    /// AWS throttled: half the rate at the first, then a tenth less at most
    /// once a second.
    pub(super) fn on_throttled(&mut self, now: Instant) {
        self.fill(now);
        self.clean = 0;
        // What is owed for time that was lost still is.
        self.tokens = self.tokens.min(0.0);
        let factor = match self.throttled {
            Some(last) if now.duration_since(last) < COOLING => return,
            Some(_) if self.rate < self.allowance => 0.9,
            _ => 0.5,
        };
        self.throttled = Some(now);
        self.rate = (self.rate * factor).max(self.allowance * FLOOR);
    }

    /// A call has ended without being throttled, answered or not.
    pub(super) fn on_clean(&mut self, now: Instant) {
        self.fill(now);
        self.clean += 1;
        if self.clean >= CLEAN_RUN {
            self.clean = 0;
            self.rate = (self.rate + self.allowance * 0.01).min(self.allowance);
        }
    }

    /// Tokens kept at most.
    fn capacity(&self) -> f64 {
        1.0 + self.rate * MADE_UP.as_secs_f64()
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.capacity());
        self.filled = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_within(bucket: &mut Bucket, start: Instant, seconds: u64) -> u32 {
        let steps = (0..seconds * 100).map(|n| start + Duration::from_millis(n * 10));
        steps.map(|now| u32::from(bucket.take(now))).sum()
    }

    #[test]
    fn no_more_leave_than_allowed() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4.0, start);
        assert_eq!(taken_within(&mut bucket, start, 10), 40);
    }

    #[test]
    fn no_more_of_idle_time_is_saved_up_than_makes_up_for_a_delay() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4.0, start);
        let later = start + Duration::from_hours(1);
        assert!(bucket.take(later));
        assert!(!bucket.take(later));
        assert_eq!(bucket.ready_at(later), later + Duration::from_millis(250) - MADE_UP);
    }

    #[test]
    fn time_that_is_lost_brings_no_tokens() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4.0, start);
        bucket.lose(Duration::from_secs(2));
        assert_eq!(bucket.ready_at(start), start + Duration::from_secs(2));
        assert_eq!(taken_within(&mut bucket, start, 10), 32);
    }

    #[test]
    fn throttling_pays_nothing_of_what_was_lost() {
        let start = Instant::now();
        let mut bucket = Bucket::new(4.0, start);
        bucket.lose(Duration::from_secs(2));
        bucket.on_throttled(start);
        assert_eq!(bucket.ready_at(start), start + Duration::from_secs(4), "at half the rate");
    }

    #[test]
    fn a_token_given_back_is_there_at_once() {
        let now = Instant::now();
        let mut bucket = Bucket::new(1.0, now);
        assert!(bucket.take(now) && !bucket.take(now));
        bucket.give_back();
        assert!(bucket.take(now));
    }

    #[test]
    fn throttling_halves_once_then_takes_a_tenth_a_second() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut bucket = Bucket::new(8.0, start);
        bucket.on_throttled(at(0));
        assert!((bucket.rate - 4.0).abs() < 1e-9);
        bucket.on_throttled(at(500));
        assert!((bucket.rate - 4.0).abs() < 1e-9, "within the same second: {}", bucket.rate);
        bucket.on_throttled(at(1000));
        assert!((bucket.rate - 3.6).abs() < 1e-9);
        for n in 2..200 {
            bucket.on_throttled(at(n * 1000));
        }
        assert!((bucket.rate - 8.0 * FLOOR).abs() < 1e-9, "never stands still: {}", bucket.rate);
    }

    #[test]
    fn clean_calls_bring_the_rate_back_and_no_further() {
        let now = Instant::now();
        let mut bucket = Bucket::new(10.0, now);
        bucket.on_throttled(now);
        for _ in 0..24 {
            bucket.on_clean(now);
        }
        assert!((bucket.rate - 5.0).abs() < 1e-9);
        bucket.on_clean(now);
        assert!((bucket.rate - 5.1).abs() < 1e-9);
        for _ in 0..25 * 100 {
            bucket.on_clean(now);
        }
        assert!((bucket.rate - 10.0).abs() < 1e-9);
    }
}
