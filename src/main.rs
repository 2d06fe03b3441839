//! The operator.

use std::process::ExitCode;

use tikv_jemallocator::Jemalloc;

/// Ten thousand objects that come and go in pieces leave glibc's heap full of holes.
/// How it is tuned stands in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    ses_mailfrom::cli::main()
}
