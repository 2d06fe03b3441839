//! The simulated world, driven by the real SDK and a real resolver. Each case
//! is a fact about AWS or the DNS.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batches;
mod dns;
mod doors;
mod faults;
mod iam;
mod route53;
mod ses;
mod ses_states;
mod stage;
mod sts;
mod trust;
