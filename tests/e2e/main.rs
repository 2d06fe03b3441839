//! The real binary, as its Deployment runs it, against a real API server and a
//! simulated AWS. One control plane for all tests here; a namespace, an AWS and
//! an operator of its own for each.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod claims;
mod deletion;
mod faults;
mod held;
mod keep;
mod kill;
mod life;
mod living;
mod refusals;
mod stage;
mod story;
mod window;
mod zones;
