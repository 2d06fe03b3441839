//! What the operator costs: the release binary on a real API server against
//! simulated AWS with scaled quotas, measured from outside only. Writes
//! `bench/report.json` in the target folder and prints a table; fails where a
//! figure is over its bound, or where the machine was too busy to tell.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a person reads it")]

mod apart;
mod figures;
mod interactive;
mod judge;
mod life;
mod machine;
mod objects;
mod population;
mod report;
mod scenario;
mod shared;
mod stage;
mod verdict;
mod world;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use crate::figures::Figure;
use crate::figures::growth::growth;
use crate::report::{Broken, Results, Void};
use crate::scenario::{Course, Scenario};
use crate::shared::OtherClient;
use crate::stage::Stage;
use crate::verdict::{Repeat, Run};

/// What anything here may fail with; all of it is told to a person.
type Failure = Box<dyn std::error::Error>;

/// A run in which more of the machine's CPUs were busy is void.
pub(crate) const BUSIEST: f64 = 0.70;

/// Which scenarios are run.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Profile {
    /// Everything: hours.
    Full,
    /// N = 1,000, under six minutes.
    Quick,
    /// AWS's quotas as they are, N = 100.
    Real,
}

/// Measures the operator on a real API server and simulated AWS.
#[derive(Parser)]
struct Args {
    /// The operator's binary.
    operator: PathBuf,
    /// What to run.
    #[arg(long, value_enum, default_value_t = Profile::Full)]
    profile: Profile,
    /// Only scenarios of this name; may be given several times.
    #[arg(long)]
    only: Vec<String>,
    /// Do not repeat a run in which the machine was too busy.
    #[arg(long)]
    once: bool,
    /// To decide on a change, on a machine that others use as well: what is over its
    /// bound is measured once more, and what is void decides nothing, unless all is.
    #[arg(long, conflicts_with = "once")]
    gate: bool,
    /// With so many objects, whatever the scenario says.
    #[arg(long)]
    objects: Option<usize>,
    /// Watch the converged operator for so many minutes, where the scenario has it
    /// converge and rest.
    #[arg(long)]
    at_rest: Option<u64>,
    /// Further flags of the operator, behind `--`, each as `--name=value`.
    #[arg(last = true)]
    flags: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let begin = Instant::now();
    let profile = args.profile.to_possible_value().map(|value| value.get_name().to_owned());
    let mut results = Results {
        profile: profile.unwrap_or_default(),
        flags: flags(args)?,
        scenarios: scenarios(args),
        ..Results::default()
    };
    for scenario in results.scenarios.clone() {
        match measure(args, &scenario, &results.flags).await {
            Ok(Ok(measured)) => results.figures.extend(measured),
            Ok(Err(void)) => results.voids.push(void),
            Err(failure) => {
                let why = failure.to_string();
                println!("{} n={} broke off: {why}", scenario.name, scenario.n);
                results.broken.push(Broken { scenario, why });
            }
        }
        // What is known by now outlives an interrupt.
        report::write(&report::report(&results))?;
    }
    results.figures.extend(judge::beside_another(&results.figures));
    results.figures.extend(growth(&results.figures, 1_000, 10_000));
    let path = report::write(&report::report(&results))?;
    println!("\n{}", report::table(&results.figures));
    for void in &results.voids {
        let (busy, table) = (void.busy * 100.0, report::table(&void.figures));
        println!("VOID, the CPUs were {busy:.0} % busy:\n{table}");
    }
    println!("written to {}, {:.0} s", path.display(), begin.elapsed().as_secs_f64());
    Ok(verdict::verdict(&results, args.gate)?)
}

fn scenarios(args: &Args) -> Vec<Scenario> {
    let mut scenarios = match args.profile {
        Profile::Full => scenario::full(),
        Profile::Quick => scenario::quick(),
        Profile::Real => scenario::real(),
    };
    scenarios.retain(|one| args.only.is_empty() || args.only.iter().any(|name| name == one.name));
    if let Some(objects) = args.objects {
        // The one that is nearest says what else is so with so many.
        scenarios.sort_by_key(|scenario| scenario.n.abs_diff(objects));
        let mut seen = std::collections::BTreeSet::new();
        scenarios.retain(|scenario| seen.insert(scenario.name));
        for scenario in &mut scenarios {
            scenario.n = objects;
        }
    }
    if let Some(minutes) = args.at_rest {
        let watched = scenarios.iter_mut().filter(|scenario| scenario.course == Course::Life);
        watched.for_each(|scenario| scenario.steady = Duration::from_mins(minutes));
    }
    scenarios
}

fn flags(args: &Args) -> Result<Vec<(String, String)>, Failure> {
    let split = |flag: &String| {
        let parts = flag.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        parts.ok_or_else(|| format!("{flag} is not --name=value").into())
    };
    args.flags.iter().map(split).collect()
}

/// Runs a scenario, and again where that may tell more.
async fn measure(
    args: &Args,
    scenario: &Scenario,
    flags: &[(String, String)],
) -> Result<Result<Vec<Figure>, Void>, Failure> {
    let repeat = match (args.once, args.gate) {
        (true, _) => Repeat::Never,
        (false, false) => Repeat::Void,
        (false, true) => Repeat::VoidOrOver,
    };
    if world::raises_record_quota(scenario) {
        let (name, n) = (scenario.name, scenario.n);
        println!("{name} n={n}: a zone may hold more record sets than by Route 53's first quota");
    }
    let mut run = once(args, scenario, flags).await?;
    if let Some(why) = verdict::again(&run, repeat) {
        println!("{}: {why}: again\n{}", scenario.name, report::table(&run.figures));
        let second = once(args, scenario, flags).await?;
        println!("{}: again, the CPUs were {:.0} % busy", scenario.name, second.busy * 100.0);
        run = verdict::judged(run, second);
    }
    let void = run.is_void();
    let Run { figures, busy } = run;
    println!("{}: the CPUs were {:.0} % busy at most", scenario.name, busy * 100.0);
    Ok(if void { Err(Void { scenario: scenario.clone(), busy, figures }) } else { Ok(figures) })
}

/// One run, with how busy the machine was in its busiest part.
async fn once(
    args: &Args,
    scenario: &Scenario,
    flags: &[(String, String)],
) -> Result<Run, Failure> {
    let more = match scenario.course {
        // T(1) takes one.
        Course::Life => 1,
        Course::Interactive => interactive::newcomers(),
        Course::Shared | Course::DnsPath | Course::Culprit { .. } => 0,
    };
    let count = scenario.n + more;
    let stage = Stage::build(scenario, &args.operator, flags, count).await?;
    let (figures, busy) = match scenario.course {
        Course::Life => {
            let seen = life::run(&stage).await?;
            (judge::life(scenario, &seen), seen.busy())
        }
        Course::Shared => {
            let other = OtherClient::start(stage.simulator.clone(), scenario);
            let seen = life::run(&stage).await?;
            (judge::shared(scenario, &seen, other.stop()), seen.busy())
        }
        Course::Interactive => {
            let seen = interactive::run(&stage).await?;
            (judge::interactive(scenario, &seen), seen.measured.busy)
        }
        Course::DnsPath => {
            let seen = apart::dns_path(&stage).await?;
            (judge::dns_path(scenario, &seen), seen.measured.busy)
        }
        Course::Culprit { named } => {
            let seen = apart::culprit(&stage, named).await?;
            let busy = seen.converging.busy.max(seen.at_rest.busy);
            (judge::refused(scenario, &seen, named), busy)
        }
    };
    Ok(Run { figures, busy })
}
