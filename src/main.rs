//! The operator.

use std::process::ExitCode;

fn main() -> ExitCode {
    ses_mailfrom::cli::main()
}
