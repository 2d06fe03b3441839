//! Who acts: of all processes that run, the one that holds the Lease.
//!
//! The rules are client-go's. Whoever replaces the Lease's record by one of its
//! own, on condition of the `resourceVersion` that it knows, holds the Lease and
//! renews that record. Whoever sees a record waits from its first sight for the
//! duration that the record names, on a clock of its own; the times in the
//! record are for people. A leader acts only while its last acknowledged renewal
//! was *sent* less than the renew deadline ago, and ends once it was not.
//!
//! So two never act at once as long as
//! `(renew deadline + δ) / (lease duration) < (slow clock) / (fast clock)`, where
//! δ is the longest time between the look at the leadership and the end of the
//! write's transmission. With the defaults and clocks that agree, δ may be 5 s.
//! What no lease can prevent is a process that is stopped between that look and
//! the transmission: the one request of each connection begun before.
//!
//! [`Election`] decides and does nothing, [`Candidate`] does what it says, and
//! [`Leadership`] is what everybody else asks.

mod candidate;
mod election;
#[cfg(test)]
mod election_tests;
mod leadership;
mod moment;
#[cfg(test)]
mod property;
mod record;

pub use candidate::{Candidate, Place};
pub use election::{Election, Loss, Step, Timing};
pub use leadership::Leadership;
pub use moment::{Moment, Uptime};
pub use record::Record;
