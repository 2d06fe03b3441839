//! Where a process dies: at its n-th call or write, just before it is carried
//! out or just after, before the answer is in.

use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

/// When a process is to die.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cut {
    /// So many calls are let through before.
    pub after: usize,
    /// Only writes count, to AWS and to Kubernetes.
    pub writes_only: bool,
    /// The last call is still carried out; its answer is not heard.
    pub carried_out: bool,
}

/// A world that has made so many steps has no end. The longest that ends makes a
/// fifth of them.
const MOST_STEPS: usize = 10_000;

/// Counts what all processes of a world do: calls, writes and reconciles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Odometer(Arc<AtomicUsize>);

impl Odometer {
    pub(crate) fn so_far(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.so_far() > MOST_STEPS
    }
}

/// What one process hangs by. Once cut, nothing of it does anything any more.
#[derive(Clone, Debug)]
pub(crate) struct Lifeline(Arc<Line>);

#[derive(Debug, Default)]
struct Line {
    odometer: Odometer,
    dead: AtomicBool,
    cut: Mutex<Option<Cut>>,
    died: Notify,
}

impl Lifeline {
    pub(crate) fn new(odometer: Odometer) -> Self {
        Self(Arc::new(Line { odometer, ..Line::default() }))
    }

    /// Counts a step. A world that makes too many dies of it.
    pub(crate) fn step(&self) {
        self.0.odometer.0.fetch_add(1, Ordering::Relaxed);
        if self.0.odometer.is_over() {
            self.kill();
        }
    }

    /// Has the process die at a call to come.
    pub(crate) fn cut(&self, cut: Cut) {
        *self.0.cut.lock().unwrap() = Some(cut);
    }

    pub(crate) fn kill(&self) {
        self.0.dead.store(true, Ordering::Relaxed);
        self.0.died.notify_one();
    }

    /// Resolves when the process has died by a cut.
    pub(crate) async fn died(&self) {
        self.0.died.notified().await;
    }

    /// Makes a call, unless the process dies at it; then never returns.
    pub(crate) async fn call<T>(&self, write: bool, call: impl Future<Output = T>) -> T {
        self.step();
        if self.0.dead.load(Ordering::Relaxed) {
            return pending().await;
        }
        let Some(cut) = self.due(write) else {
            let answer = call.await;
            if self.0.dead.load(Ordering::Relaxed) {
                return pending().await;
            }
            return answer;
        };
        if cut.carried_out {
            drop(call.await);
        }
        self.kill();
        pending().await
    }

    fn due(&self, write: bool) -> Option<Cut> {
        let mut cut = self.0.cut.lock().unwrap();
        let next = cut.as_mut().filter(|cut| write || !cut.writes_only)?;
        if next.after == 0 {
            return cut.take();
        }
        next.after -= 1;
        None
    }
}
