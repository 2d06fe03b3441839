//! The adapters to AWS and DNS, on a simulated world or on canned answers: what they
//! send, byte for byte, how they read what comes back, and who is woken.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod batches;
mod canned;
mod dns;
mod dns_answers;
mod reads;
mod requests;
mod roles;
mod route53;
mod ses;
mod stage;
