//! Thousands of worlds, schedules and outside edits in one process: the real
//! adapters on the real AWS SDK, the simulator as its HTTP client and as the
//! DNS, objects in memory, a paused clock, and a generated schedule.
//!
//! `INTERLEAVINGS_CASES` and `INTERLEAVINGS_SEED` set which schedules are tried.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checks;
mod cluster;
mod lifeline;
mod object_rules;
mod outside;
mod parts;
mod process;
mod property;
mod regressions;
mod schedule;
mod stage;
