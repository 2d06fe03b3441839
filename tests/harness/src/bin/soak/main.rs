//! A long random run of the real operator, with others at the same records and
//! settings between every two of its writes: nothing of theirs may be harmed,
//! and once the last object is gone, only theirs is left.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a person reads it")]

mod ledger;
mod others;
mod person;
mod setting;
mod spf;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_simulator::Outcome;
use clap::Parser;
use fastrand::Rng;
use harness::Operator;

use crate::ledger::{Ledger, Orphan};
use crate::others::Others;
use crate::person::{Act, People};
use crate::setting::{Setting, furnish, slots};

type Failure = Box<dyn std::error::Error>;

const LIMIT: Duration = Duration::from_mins(1);
/// For all objects to go, each through a drain window and retries.
const LEAVE: Duration = Duration::from_mins(5);
/// Between two acts of people.
const PAUSE: Duration = Duration::from_millis(100);

/// Runs the operator among others who edit the same things.
#[derive(Parser)]
struct Args {
    /// The operator's binary.
    operator: PathBuf,
    /// How long to go on.
    #[arg(long, env = "SOAK_MINUTES", default_value_t = 20.0)]
    minutes: f64,
    /// What the run is drawn from; a new one each time where it is not said.
    #[arg(long, env = "SOAK_SEED")]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("soak: {} minutes, SOAK_SEED={seed}", args.minutes);
    match run(&args, seed).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("soak: SOAK_SEED={seed}: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args, seed: u64) -> Result<(), Failure> {
    let setting = Setting::build(&args.operator).await?;
    let mut ledger = Ledger::default();
    furnish(&setting.simulator, &mut ledger)?;
    let others = Others {
        simulator: setting.simulator.clone(),
        ledger: Arc::new(Mutex::new(ledger)),
        edits: Arc::default(),
    };
    let people = People::of(&setting.plane, &others).await?;
    let mut operator = start(&setting).await?;
    let between = tokio::spawn(others.clone().stand_between(seed));
    let acts = live(args, seed, &setting, &others, &people, &mut operator).await;
    // Others go home before the last objects do.
    between.abort();
    setting.simulator.clear_faults();
    let left = match acts {
        Ok(_) => people.leave(LEAVE).await,
        Err(_) => Ok(()),
    };
    others.ledger(|ledger| ledger.look(&setting.simulator));
    let tail = || operator.output().tail(30);
    let acts = acts.and_then(|acts| left.map(|()| acts));
    let acts = acts.map_err(|failure| format!("{failure}\n{}", tail()))?;
    judge(&setting, &others, acts)
}

/// Acts until the time is over; yields how many acts there were.
async fn live(
    args: &Args,
    seed: u64,
    setting: &Setting,
    others: &Others,
    people: &People,
    operator: &mut Operator,
) -> Result<u64, Failure> {
    let mut rng = Rng::with_seed(seed.wrapping_add(1));
    let end = Instant::now() + Duration::from_secs_f64(args.minutes * 60.0);
    let mut acts = 0;
    let mut told = Instant::now();
    while Instant::now() < end {
        match people.act(&mut rng).await? {
            Act::Done => {}
            Act::Kill => {
                operator.kill();
                *operator = start(setting).await?;
            }
            Act::Restart => {
                operator.stop(LIMIT).await?;
                *operator = start(setting).await?;
            }
        }
        others.edit(&mut rng, None);
        acts += 1;
        others.ledger(|ledger| ledger.look(&setting.simulator));
        operator.process().check_running()?;
        if told.elapsed() > LIMIT {
            told = Instant::now();
            println!("{}", line(setting, others, acts));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(acts)
}

async fn start(setting: &Setting) -> Result<Operator, Failure> {
    let operator = setting.launch.start(&setting.plane).await?;
    operator.ready(LIMIT).await?;
    Ok(operator)
}

fn judge(setting: &Setting, others: &Others, acts: u64) -> Result<(), Failure> {
    let left: Vec<Orphan> = others.ledger(|ledger| {
        setting.simulator.with(|world| {
            let left = slots()
                .filter(|slot| !slot.forgets())
                .map(|slot| ledger.left_over(world, &slot.zone(), &slot.identities()));
            left.flatten().collect()
        })
    });
    let harmed = others.ledger(|ledger| ledger.harmed().to_vec());
    for harm in &harmed {
        println!("harmed: {harm}");
    }
    for orphan in &left {
        println!("left over: {} {}", orphan.at, orphan.what);
    }
    for at in left.iter().map(|orphan| &orphan.at).collect::<BTreeSet<_>>() {
        println!("what happened at {at}:");
        for event in setting.simulator.with(|world| Ledger::story(world, at)) {
            println!("  {event}");
        }
    }
    println!("{}", line(setting, others, acts));
    if harmed.is_empty() && left.is_empty() {
        return Ok(());
    }
    Err(format!("{} values harmed, {} left over", harmed.len(), left.len()).into())
}

fn line(setting: &Setting, others: &Others, acts: u64) -> String {
    let edits = *others.edits.lock().unwrap_or_else(PoisonError::into_inner);
    let (conflicts, retries) = setting.simulator.with(|world| {
        let failed = |call: &&aws_simulator::Call| {
            !matches!(call.outcome, Outcome::Ok | Outcome::Unanswered)
        };
        let (lost, other): (Vec<_>, Vec<_>) = world
            .calls()
            .iter()
            .filter(failed)
            .partition(|call| call.outcome.is_error("InvalidChangeBatch"));
        (lost.len(), other.len())
    });
    let harmed = others.ledger(|ledger| ledger.harmed().len());
    let operations = acts + edits;
    format!(
        "soak: {operations} operations, {conflicts} conflicts, {retries} retries, {harmed} values harmed"
    )
}
