//! The real binary, as its Deployment runs it, against a real API server and a
//! simulated AWS. One control plane for all tests here; a namespace, an AWS and
//! an operator of its own for each.
// A test holds its whole stage in one future, and names what it sees as the issue does.
#![allow(clippy::large_futures, clippy::similar_names, clippy::unchecked_time_subtraction)]
#![allow(clippy::unnecessary_wraps, clippy::needless_pass_by_value)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod adoption;
mod claims;
mod deletion;
mod faults;
mod held;
mod iam;
mod keep;
mod kill;
mod leases;
mod life;
mod living;
mod mode;
mod policies;
mod refusals;
mod roles;
mod spf;
mod stage;
mod story;
mod tenant;
mod trust;
mod window;
mod zones;
