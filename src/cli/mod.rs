//! The commands that a person runs.

mod election;
mod flags;
mod iam_policy;
mod run;
mod values;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use flags::{LogFlags, RunFlags};
pub use iam_policy::IamPolicyFlags;

use crate::api;

/// Keeps Amazon SES custom MAIL FROM domains set up, watched and repaired.
#[derive(Debug, Parser)]
#[command(name = "ses-mailfrom", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the operator.
    Run(Box<RunFlags>),
    /// Prints the CustomResourceDefinitions.
    Crd,
    /// Prints the least IAM policy that the operator needs, or a trust policy, as JSON.
    IamPolicy(Box<IamPolicyFlags>),
}

/// Runs what the command line asks for.
pub fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Run(flags) => run::run(*flags),
        Command::Crd => print_crd(),
        Command::IamPolicy(flags) => iam_policy::print(&flags),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where logs go as well; nobody is left to tell if that fails.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print_crd() -> Result<(), Box<dyn std::error::Error>> {
    let documents: Vec<String> = api::crds()?.into_iter().map(|crd| crd.yaml).collect();
    io::stdout().write_all(documents.join("---\n").as_bytes())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_flag_of_run_is_an_environment_variable_and_is_explained() {
        Cli::command().debug_assert();
        let cli = Cli::command();
        let run = cli.get_subcommands().find(|command| command.get_name() == "run").unwrap();
        for flag in run.get_arguments().filter(|flag| flag.get_id() != "help") {
            let long = flag.get_long().unwrap();
            let variable = format!("SES_MAILFROM_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(flag.get_env().unwrap(), variable.as_str(), "--{long}");
            assert!(flag.get_help().is_some(), "--{long}");
        }
    }
}
