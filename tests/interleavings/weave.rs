//! Runs cases, each from its own seed, over all processors.

use std::any::Any;
use std::io::{Write, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngSeed, TestRunner};

use crate::schedule::{Setting, Step, schedule, setting};

/// After so many failures no further case is begun.
const ENOUGH: usize = 8;
/// How long a shorter schedule that fails alike is looked for.
const SHRINKING: Duration = Duration::from_secs(20);

type Run = fn(&Setting, &[Step]) -> Result<(), String>;

/// Runs the cases of the seeds `first..first + cases`.
///
/// # Panics
/// Where one fails, with all that is known of it.
pub(crate) fn weave(first: u64, cases: u64, run: Run) {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let failures = Mutex::new(Vec::new());
    let work = || {
        while failures.lock().unwrap().len() < ENOUGH {
            let case = next.fetch_add(1, Ordering::Relaxed);
            if case >= cases {
                return;
            }
            let seed = first.wrapping_add(case);
            if let Err(failure) = try_case(seed, run) {
                tell(&format!("=== INTERLEAVINGS_SEED={seed} INTERLEAVINGS_CASES=1\n{failure}\n"));
                failures.lock().unwrap().push(seed);
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let failures = failures.into_inner().unwrap();
    let tried = next.into_inner().min(cases);
    tell(&format!("{tried} woven cases in {:.1?}\n", began.elapsed()));
    assert!(
        failures.is_empty(),
        "of at most {cases} cases those of these seeds failed: {failures:?}"
    );
}

/// At once, past the test's captured output: the other cases may take long.
fn tell(text: &str) {
    stderr().write_all(text.as_bytes()).unwrap();
}

fn try_case(seed: u64, run: Run) -> Result<(), String> {
    let config =
        Config { rng_seed: RngSeed::Fixed(seed), failure_persistence: None, ..Config::default() };
    let mut tree = (setting(), schedule()).new_tree(&mut TestRunner::new(config)).unwrap();
    let attempt = |(setting, steps): (Setting, Vec<Step>)| {
        catch_unwind(AssertUnwindSafe(|| run(&setting, &steps)))
            .unwrap_or_else(|panic| Err(format!("panicked: {}", said(&*panic))))
    };
    let Err(wrong) = attempt(tree.current()) else { return Ok(()) };
    let (mut wrong, mut failing) = (wrong, tree.current());
    let kind =
        |wrong: &str| wrong.lines().next().map(|line| line.split('{').next().map(str::to_owned));
    let end = Instant::now() + SHRINKING;
    let mut shorter = tree.simplify();
    while shorter && Instant::now() < end {
        // Another defect that a shorter schedule shows is not this one.
        shorter = match attempt(tree.current()) {
            Err(now) if kind(&now) == kind(&wrong) => {
                (wrong, failing) = (now, tree.current());
                tree.simplify()
            }
            _ => tree.complicate(),
        };
    }
    let (setting, steps) = failing;
    Err(format!("{wrong}\nin {setting:#?}\nby {steps:#?}"))
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no text")
}
