//! When calls that have their tokens leave: evenly, one after another, and not
//! behind one that may have been held up on its way.
//!
//! AWS counts calls as they come, not as they leave. One that a busy machine or a
//! network has held up comes together with those behind it, and AWS throttles the
//! last of them, though no more have left than are allowed.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::bucket::MADE_UP;
use super::lock;

/// A call that takes so much longer than nearly all is not on its way any more: AWS
/// works on it.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// What the calls of one of SES's buckets leave through. Those to Route 53 have the margin
/// between the allowance and AWS's quota alone, which is wider.
#[derive(Debug)]
pub(super) struct Gate {
    /// Held by who leaves next.
    first: tokio::sync::Mutex<()>,
    schedule: Mutex<Schedule>,
    answered: Notify,
}

/// A call under way; answered, or given up, once it is dropped.
#[must_use = "the call is under way for as long as this is held"]
#[derive(Debug)]
pub(super) struct UnderWay<'a> {
    gate: &'a Gate,
    number: u64,
    interval: Duration,
}

impl Gate {
    pub(super) fn new(now: Instant) -> Self {
        let (first, schedule) = (tokio::sync::Mutex::new(()), Mutex::new(Schedule::new(now)));
        Self { first, schedule, answered: Notify::new() }
    }

    /// For how long calls were kept here since this was asked last, besides what is
    /// made up for: so much less is to come here.
    pub(super) fn lost(&self) -> Duration {
        std::mem::take(&mut lock(&self.schedule).lost)
    }

    /// Waits until a call may leave, `interval` behind the one before it.
    pub(super) async fn leave(&self, interval: impl Fn() -> Duration) -> UnderWay<'_> {
        let _first = self.first.lock().await;
        let (come, mut kept) = (Instant::now(), None);
        loop {
            let now = Instant::now();
            let (next, held) = lock(&self.schedule).next(now);
            if next <= now {
                let interval = interval();
                let number = lock(&self.schedule).left(now, interval, kept);
                return UnderWay { gate: self, number, interval };
            }
            kept = kept.or(held.then_some(come));
            tokio::select! {
                () = sleep_until(next) => {}
                () = self.answered.notified() => {}
            }
        }
    }
}

impl UnderWay<'_> {
    /// The call is not sent after all: this tells nothing of how long answers take.
    pub(super) fn unsent(self) {
        lock(&self.gate.schedule).under_way.remove(&self.number);
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        lock(&self.gate.schedule).answered(self.number, self.interval, Instant::now());
        self.gate.answered.notify_one();
    }
}

/// The calls under way, and when the next may leave. Pure.
#[derive(Debug)]
struct Schedule {
    next: Instant,
    /// By number, with when each left.
    under_way: BTreeMap<u64, Instant>,
    leaves: u64,
    usual: Option<Usual>,
    lost: Duration,
}

impl Schedule {
    fn new(now: Instant) -> Self {
        let (under_way, lost) = (BTreeMap::new(), Duration::ZERO);
        Self { next: now, under_way, leaves: 0, usual: None, lost }
    }

    /// Until when a call is taken to be on its way that should have been answered.
    fn held(&self, now: Instant) -> Option<Instant> {
        let longest = self.usual?.longest();
        let on_its_way = |left: &&Instant| is_on_its_way(now.duration_since(**left), longest);
        self.under_way.values().find(on_its_way).map(|left| *left + longest + ON_ITS_WAY)
    }

    /// When the next call may leave, unless an answer comes before, and whether
    /// another one keeps it.
    fn next(&self, now: Instant) -> (Instant, bool) {
        let held = self.held(now);
        (held.map_or(self.next, |end| self.next.max(end)), held.is_some())
    }

    /// A call leaves. Returns its number. `kept` tells since when it was there, if
    /// another one kept it from leaving.
    fn left(&mut self, now: Instant, interval: Duration, kept: Option<Instant>) -> u64 {
        // A process that is busy wakes late: the next ones make up for it, but for
        // no more than AWS does not notice.
        let late = now.saturating_duration_since(self.next);
        let made_up = late.min(MADE_UP).min(interval);
        if let Some(come) = kept {
            let kept = now.saturating_duration_since(self.next.max(come));
            self.lost += kept.saturating_sub(made_up);
        }
        self.next = now + interval - made_up;
        self.leaves += 1;
        self.under_way.insert(self.leaves, now);
        self.leaves
    }

    /// A call is answered, or given up.
    fn answered(&mut self, number: u64, interval: Duration, now: Instant) {
        let Some(left) = self.under_way.remove(&number) else { return };
        let took = now.duration_since(left);
        let longest = self.usual.map_or(took, Usual::longest);
        if is_on_its_way(took, longest) {
            // It may have come to AWS just now.
            let next = now + interval;
            self.lost += next.saturating_duration_since(self.next);
            self.next = self.next.max(next);
        }
        // One that was held up says little of the others, and the next that is held
        // up is to be noticed too.
        self.usual = Some(Usual::with(self.usual, took.min(longest)));
    }
}

/// Whether a call that left so long ago may still be on its way, or may have been
/// until now, where nearly all take no more than `longest`.
fn is_on_its_way(ago: Duration, longest: Duration) -> bool {
    longest < ago && ago < longest + ON_ITS_WAY
}

/// How long answers take, smoothed as RFC 6298 does to tell what is lost from what
/// is slow.
#[derive(Clone, Copy, Debug)]
struct Usual {
    mean: Duration,
    deviation: Duration,
}

impl Usual {
    fn with(before: Option<Self>, took: Duration) -> Self {
        let Some(Self { mean, deviation }) = before else {
            return Self { mean: took, deviation: took / 2 };
        };
        let deviation = (deviation * 3 + mean.abs_diff(took)) / 4;
        Self { mean: (mean * 7 + took) / 8, deviation }
    }

    /// So long nearly all take at most; never less than AWS does not notice.
    fn longest(self) -> Duration {
        self.mean + (self.deviation * 4).max(MADE_UP)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    /// A call of ten a second that is answered after so many milliseconds.
    async fn pass(gate: &Gate, took: u64) {
        let call = gate.leave(|| ms(100)).await;
        tokio::time::sleep(ms(took)).await;
        drop(call);
    }

    /// A gate that knows how long answers take.
    async fn used(took: u64) -> Gate {
        let gate = Gate::new(Instant::now());
        for _ in 0..20 {
            pass(&gate, took).await;
        }
        gate
    }

    #[tokio::test(start_paused = true)]
    async fn calls_leave_one_after_another_and_make_up_for_little() {
        let gate = Gate::new(Instant::now());
        let begun = Instant::now();
        let leaving = async |late: u64| {
            drop(gate.leave(|| ms(250)).await);
            let left = begun.elapsed().as_millis();
            // Busy with something else.
            tokio::time::advance(ms(late)).await;
            left
        };
        let together = futures::future::join_all([0, 0, 0].map(&leaving)).await;
        assert_eq!(together, [0, 250, 500]);
        assert_eq!(leaving(280).await, 750);
        assert_eq!(leaving(0).await, 1_030, "30 ms late");
        assert_eq!(leaving(400).await, 1_250, "and made up for");
        assert_eq!(leaving(0).await, 1_650, "150 ms late");
        assert_eq!(leaving(0).await, 1_850, "of which 50 ms are made up for");
        tokio::time::advance(Duration::from_mins(1)).await;
        let idle = begun.elapsed().as_millis();
        assert_eq!(leaving(0).await, idle);
        assert_eq!(leaving(0).await, idle + 200, "nothing more is owed for the past");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_leaves_behind_a_call_that_may_be_held_up() {
        let gate = used(10).await;
        let begun = Instant::now();
        let held_up = gate.leave(|| ms(100)).await;
        let wait = begun.elapsed();
        assert_eq!(wait, ms(90));
        let behind = async {
            drop(gate.leave(|| ms(100)).await);
            begun.elapsed().saturating_sub(wait)
        };
        let answer = async {
            tokio::time::sleep(ms(300)).await;
            drop(held_up);
        };
        let (left, ()) = tokio::join!(behind, answer);
        assert_eq!(left, ms(400), "it may have come with its answer");
        assert_eq!(gate.lost(), ms(300));
        assert_eq!(gate.lost(), ms(0));
    }

    #[tokio::test(start_paused = true)]
    async fn what_aws_works_on_for_long_holds_nothing_up_for_long() {
        let gate = used(0).await;
        let slow = gate.leave(|| ms(100)).await;
        let begun = Instant::now();
        drop(gate.leave(|| ms(100)).await);
        let longest = ON_ITS_WAY + MADE_UP;
        assert_eq!(begun.elapsed(), longest);
        assert_eq!(gate.lost() + ms(100) + MADE_UP, longest);
        drop(gate.leave(|| ms(100)).await);
        assert!(begun.elapsed() <= longest + ms(100), "{:?}", begun.elapsed());
        drop(slow);
        drop(gate.leave(|| ms(100)).await);
        assert!(begun.elapsed() <= longest + ms(200), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_hides_no_other_that_is_held_up() {
        let gate = used(0).await;
        let hangs = gate.leave(|| ms(100)).await;
        tokio::time::advance(ON_ITS_WAY * 2).await;
        let held_up = gate.leave(|| ms(100)).await;
        let begun = Instant::now();
        tokio::time::advance(ms(90)).await;
        let behind = async {
            let left = gate.leave(|| ms(100)).await;
            left.unsent();
            begun.elapsed()
        };
        let answer = async {
            tokio::time::sleep(ms(210)).await;
            drop(held_up);
        };
        let (left, ()) = tokio::join!(behind, answer);
        assert_eq!(left, ms(400));
        assert_eq!(gate.lost(), ms(350), "50 ms were made up for before");
        drop(hangs);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_takes_nothing_from_those_that_come_later() {
        let gate = used(0).await;
        let hangs = gate.leave(|| ms(100)).await;
        tokio::time::advance(ON_ITS_WAY * 5).await;
        drop(gate.leave(|| ms(100)).await);
        assert_eq!(gate.lost(), ms(0), "nobody was kept");
        drop(hangs);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_sent_tells_nothing_of_how_long_answers_take() {
        let gate = used(300).await;
        for _ in 0..20 {
            gate.leave(|| ms(100)).await.unsent();
        }
        pass(&gate, 300).await;
        assert_eq!(gate.lost(), ms(0), "as long as ever");
    }

    /// Calls of 14 a second, of which the last two of each hundred with four between
    /// them are held up for `held_up` with all that leave meanwhile; answers take `usual`
    /// on their way back. Returns how many a bucket of AWS's would throttle, and how long
    /// they took.
    async fn throttled(usual: impl Fn(u64) -> u64, held_up: u64) -> (usize, Duration) {
        const RATE: f64 = 14.0;
        let gate = &Gate::new(Instant::now());
        let begun = Instant::now();
        let come = &Mutex::new(Vec::new());
        let stalled = &Mutex::new(begun);
        let calls = (0..2_000_u64).map(|number| {
            let usual = usual(number);
            async move {
                let call = gate.leave(|| Duration::from_secs_f64(1.0 / (RATE * 0.98))).await;
                if matches!(number % 100, 94 | 99) {
                    *lock(stalled) = Instant::now() + ms(held_up);
                }
                let until = *lock(stalled);
                sleep_until(until).await;
                lock(come).push(begun.elapsed());
                tokio::time::sleep(ms(usual)).await;
                drop(call);
            }
        });
        futures::future::join_all(calls).await;
        let took = begun.elapsed();
        let capacity = 1.0 + 0.1 * RATE;
        let (mut tokens, mut filled, mut throttled) = (capacity, Duration::ZERO, 0);
        for at in std::mem::take(&mut *lock(come)) {
            tokens = f64::min(tokens + at.saturating_sub(filled).as_secs_f64() * RATE, capacity);
            filled = at;
            if tokens < 1.0 { throttled += 1 } else { tokens -= 1.0 }
        }
        (throttled, took)
    }

    #[tokio::test(start_paused = true)]
    async fn aws_throttles_none_of_those_behind_a_call_that_is_held_up() {
        for held_up in [0, 60, 120, 180, 400, 900] {
            let (throttled, took) = throttled(|_| 5, held_up).await;
            assert_eq!(throttled, 0, "held up for {held_up} ms");
            // Forty are held up in 2,000 calls.
            let least = Duration::from_secs_f64(1_999.0 / (14.0 * 0.98));
            let allowed = least + 40 * ms(held_up + 80);
            assert!(took <= allowed, "{took:?} of {allowed:?}, held up for {held_up} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_always_take_long_or_vary_cost_nothing() {
        let least = Duration::from_secs_f64(1_999.0 / (14.0 * 0.98));
        let answers: [fn(u64) -> u64; 3] = [|_| 700, |n| 100 + n * 37 % 300, |n| 5 + n % 40];
        for usual in answers {
            let (throttled, took) = throttled(usual, 0).await;
            assert_eq!(throttled, 0);
            assert!(took <= least + ms(2_000), "{took:?} of {least:?}");
        }
    }
}
