//! Runs reconciles: at most so many at once, one an object, until told to stop.

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{error, warn};

use super::backoff::Backoff;
use super::reconcile::Again;
use super::schedule::{Rank, Schedule, Woken};
use crate::authority::ObjectKey;
use crate::clock::Clock;

/// How long running reconciles may take to end once told to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// No object comes back sooner, whatever its plan says.
const SHORTEST: Duration = Duration::from_millis(10);

/// Objects on their way to a reconcile.
///
/// Not kube's `Controller`: its runnable objects have no order, a time once set
/// is not taken back by a later run, and its store holds one namespace or all.
pub struct Queue {
    woken: UnboundedReceiver<Woken>,
    limit: usize,
    clock: Clock,
    schedule: Schedule,
    backoff: Backoff,
    runs: JoinSet<Again>,
    keys: HashMap<Id, ObjectKey>,
}

impl Queue {
    /// A queue of what `woken` brings, running at most `limit` at once, in the
    /// order of what `rank_of` says of each, apart from its news.
    pub fn new(
        woken: UnboundedReceiver<Woken>,
        limit: usize,
        clock: Clock,
        rank_of: impl Fn(&ObjectKey) -> Rank + Send + 'static,
    ) -> Self {
        Self {
            woken,
            limit,
            clock,
            schedule: Schedule::new(Box::new(rank_of)),
            backoff: Backoff::default(),
            runs: JoinSet::new(),
            keys: HashMap::new(),
        }
    }

    /// Runs `reconcile` for each object that is due until `stop` resolves; then
    /// starts nothing more and gives what runs 10 s to end.
    pub async fn run<F>(
        mut self,
        reconcile: impl Fn(ObjectKey) -> F + Send,
        stop: impl Future<Output = ()> + Send,
    ) where
        F: Future<Output = Again> + Send + 'static,
    {
        let mut stop = pin!(stop);
        loop {
            self.start_what_is_due(&reconcile);
            let due = self.schedule.next_due().filter(|_| self.has_room());
            tokio::select! {
                () = &mut stop => break,
                Some(run) = self.runs.join_next_with_id() => self.ended(run),
                Some(woken) = self.woken.recv() => self.schedule.wake(woken, Instant::now()),
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {}
                else => break,
            }
        }
        self.drain().await;
    }

    fn has_room(&self) -> bool {
        self.schedule.running() < self.limit
    }

    fn start_what_is_due<F>(&mut self, reconcile: &impl Fn(ObjectKey) -> F)
    where
        F: Future<Output = Again> + Send + 'static,
    {
        // What came together is ordered together.
        while let Ok(woken) = self.woken.try_recv() {
            self.schedule.wake(woken, Instant::now());
        }
        while self.has_room()
            && let Some(key) = self.schedule.next(Instant::now())
        {
            let run = self.runs.spawn(reconcile(key.clone()));
            self.keys.insert(run.id(), key);
        }
    }

    fn ended(&mut self, run: Result<(Id, Again), JoinError>) {
        let (id, again) = match run {
            Ok(ended) => ended,
            // One object that trips over a mistake of ours must not stop the others.
            Err(failure) => {
                error!(error = %failure, "A reconcile broke off");
                (failure.id(), Again::BackOff)
            }
        };
        let Some(key) = self.keys.remove(&id) else { return };
        let pause = self.pause(&key, again);
        let now = Instant::now();
        self.schedule.ended(&key, pause.map(|pause| now + pause), now);
    }

    fn pause(&mut self, key: &ObjectKey, again: Again) -> Option<Duration> {
        if again == Again::BackOff {
            return Some(self.backoff.failed(key));
        }
        self.backoff.ended(key);
        match again {
            Again::WhenWoken => None,
            Again::Now | Again::BackOff => Some(SHORTEST),
            Again::At(at) => {
                let pause = Duration::try_from(at.duration_since(self.clock.now()));
                Some(pause.unwrap_or_default().max(SHORTEST))
            }
        }
    }

    async fn drain(mut self) {
        let ended = timeout(DRAIN, async { while self.runs.join_next().await.is_some() {} });
        if ended.await.is_err() {
            warn!(running = self.runs.len(), "Stopped with reconciles still running");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use jiff::Timestamp;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
    use tokio::sync::oneshot;
    use tokio::task::JoinHandle;
    use tokio::time::{advance, sleep};

    use super::*;
    use crate::controller::schedule::Progress;
    use crate::controller::testing::key;

    type Log = Arc<Mutex<Vec<(String, u64)>>>;

    struct Bench {
        wake: UnboundedSender<Woken>,
        log: Log,
        stop: Option<oneshot::Sender<()>>,
        queue: JoinHandle<()>,
    }

    /// Runs a queue whose reconciles log name and second of their start, take
    /// `takes`, and come back as `again` says for the name.
    fn bench(limit: usize, takes: Duration, again: fn(&str, usize) -> Again) -> Bench {
        let (wake, woken) = unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let log = Log::default();
        let began = Instant::now();
        let clock = Clock::from_fn(move || {
            Timestamp::UNIX_EPOCH.saturating_add(began.elapsed()).unwrap_or(Timestamp::MAX)
        });
        let runs = Arc::clone(&log);
        let reconcile = move |key: ObjectKey| {
            let runs = Arc::clone(&runs);
            async move {
                let before = {
                    let mut log = runs.lock().unwrap();
                    log.push((key.name().to_string(), began.elapsed().as_secs()));
                    log.iter().filter(|(name, _)| **name == *key.name()).count()
                };
                sleep(takes).await;
                again(key.name(), before)
            }
        };
        let queue = Queue::new(woken, limit, clock, |key| Rank {
            awaited: key.name() == "awaited",
            progress: Progress::Known,
        });
        let queue = tokio::spawn(queue.run(reconcile, async { drop(stopped.await) }));
        Bench { wake, log, stop: Some(stop), queue }
    }

    impl Bench {
        fn wake(&self, names: &[&str]) {
            for name in names {
                self.wake.send(Woken { key: key(name), news: false }).unwrap();
            }
        }

        fn log(&self) -> Vec<(String, u64)> {
            self.log.lock().unwrap().clone()
        }
    }

    fn runs(expected: &[(&str, u64)]) -> Vec<(String, u64)> {
        expected.iter().map(|(name, at)| ((*name).to_owned(), *at)).collect()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn runs_at_most_so_many_at_once_in_order() {
        let bench = bench(2, SECOND, |_, _| Again::WhenWoken);
        bench.wake(&["a", "b", "c", "d", "e"]);
        sleep(10 * SECOND).await;
        assert_eq!(bench.log(), runs(&[("a", 0), ("b", 0), ("c", 1), ("d", 1), ("e", 2)]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_person_waits_for_goes_before_those_that_came_earlier() {
        let bench = bench(1, SECOND, |_, _| Again::WhenWoken);
        bench.wake(&["a", "b", "c"]);
        sleep(SECOND / 2).await;
        bench.wake(&["awaited"]);
        sleep(10 * SECOND).await;
        assert_eq!(bench.log(), runs(&[("a", 0), ("awaited", 1), ("b", 2), ("c", 3)]));
    }

    #[tokio::test(start_paused = true)]
    async fn comes_back_when_the_plan_says_and_earlier_when_woken() {
        let again = |_: &str, runs: usize| match runs {
            1 => Again::At(Timestamp::from_second(60).unwrap_or(Timestamp::MAX)),
            _ => Again::WhenWoken,
        };
        let bench = bench(8, Duration::ZERO, again);
        bench.wake(&["a", "b"]);
        sleep(30 * SECOND).await;
        bench.wake(&["b"]);
        sleep(600 * SECOND).await;
        assert_eq!(bench.log(), runs(&[("a", 0), ("b", 0), ("b", 30), ("a", 60)]));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_breaks_off_is_tried_again_and_stops_nobody() {
        let again = |name: &str, runs: usize| {
            assert!(name != "bad" || runs > 3, "as meant");
            Again::WhenWoken
        };
        let bench = bench(1, Duration::ZERO, again);
        bench.wake(&["bad", "good"]);
        sleep(60 * SECOND).await;
        let names: Vec<_> = bench.log().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["bad", "good", "bad", "bad", "bad"]);
    }

    #[tokio::test(start_paused = true)]
    async fn told_to_stop_it_ends_what_runs_and_starts_nothing() {
        let mut bench = bench(1, 5 * SECOND, |_, _| Again::Now);
        bench.wake(&["a", "b"]);
        sleep(SECOND).await;
        drop(bench.stop.take());
        let began = Instant::now();
        (&mut bench.queue).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 4, "waited for the one that ran");
        assert_eq!(bench.log(), runs(&[("a", 0)]));
    }

    #[tokio::test(start_paused = true)]
    async fn told_to_stop_it_waits_ten_seconds_at_most() {
        let mut bench = bench(1, 3600 * SECOND, |_, _| Again::Now);
        bench.wake(&["a"]);
        advance(SECOND).await;
        sleep(SECOND).await;
        drop(bench.stop.take());
        let began = Instant::now();
        (&mut bench.queue).await.unwrap();
        assert_eq!(began.elapsed().as_secs(), 10);
    }
}
