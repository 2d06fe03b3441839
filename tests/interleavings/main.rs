//! Thousands of worlds, schedules and outside edits in one process: the real
//! adapters on the real AWS SDK, the simulator as its HTTP client and as the
//! DNS, objects in memory, a paused clock, and a generated schedule.
//!
//! `property` says how to try more of them, and how to play one again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod behalf;
mod checks;
mod cluster;
mod forgotten;
mod lifeline;
mod log;
mod object_rules;
mod others;
mod outside;
mod parts;
mod process;
mod property;
mod regressions;
mod schedule;
mod stage;
mod trace;
mod weave;
