//! The main job, end to end, for a person to watch: a real API server, simulated
//! AWS, the operator's binary as its Deployment would run it, and the life of two
//! objects with one line per transition. Ends by itself, with exit code 0 when
//! everything went as told.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a person reads it")]

mod aws;
mod narrate;
mod setting;
mod story;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use harness::ControlPlane;

use crate::setting::Setting;

/// What anything here may fail with; all of it is told to a person.
type Failure = Box<dyn std::error::Error>;

/// How long the whole may take.
const LIMIT: Duration = Duration::from_secs(90);

/// Shows the operator at work on a real API server and simulated AWS.
#[derive(Parser)]
struct Args {
    /// The operator's binary.
    operator: PathBuf,
    /// Stay up at the end, with nothing deleted, until interrupted.
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = tokio::select! {
        // An interrupt is how one that is kept ends, and no failure then.
        biased;
        outcome = run(&args) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("demo: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let told = async {
        println!(
            "Starting etcd and kube-apiserver, and AWS simulated at 4,320 times its pace: 72 hours in a minute."
        );
        let plane = ControlPlane::start().await?;
        let setting = Setting::build(plane, &args.operator).await?;
        let outcome = story::tell(&setting, args.keep).await;
        outcome.map_err(|failure| setting.explain(&failure))?;
        Ok::<_, Failure>(setting)
    };
    let setting = tokio::time::timeout(LIMIT, told)
        .await
        .map_err(|_| format!("not done within {LIMIT:?}"))??;
    if args.keep { setting.stay().await } else { setting.close().await }
}
