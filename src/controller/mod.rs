//! The operator's hands: it watches the objects, and brings each forward by
//! observing, planning, applying and reporting.
//!
//! Every write goes through two seams, [`Objects`] for Kubernetes and
//! [`Outside`] for AWS and DNS, so that a whole life can run in one process.

mod apply;
mod backoff;
mod caches;
mod changes;
mod claimant;
mod kubernetes;
mod live;
mod lookups;
mod memories;
mod objects;
mod outside;
mod pace;
mod policies;
mod queue;
mod reconcile;
#[cfg(test)]
mod reconcile_tests;
mod run;
mod schedule;
#[cfg(test)]
mod scripted;
mod store;
#[cfg(test)]
mod testing;
mod transitions;
mod unreadables;
mod watch;
mod watched;

pub use claimant::claimant;
pub use kubernetes::{Kubernetes, api_client, watch_client};
pub use live::Live;
pub use memories::Memories;
pub use objects::{ObjectError, Objects, Subject, has_finalizer, key_of};
pub use outside::{Endings, Outside};
pub use pace::Pace;
pub use policies::WatchedPolicy;
pub use queue::Queue;
pub use reconcile::{Again, Outcome, Planner, Reconciler, Wake, planner};
pub use run::{Options, RunError, run};
pub use schedule::{Progress, Rank, Woken};
pub use store::{Change, Store};
pub use watched::{Unreadable, Watched};
