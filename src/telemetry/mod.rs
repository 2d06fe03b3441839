//! What a person sees of the operator itself: metrics, logs and probes.

mod logs;
mod metrics;
mod population;
mod server;

pub use logs::{LogFormat, filter, init};
pub use metrics::{Drift, Metrics, Verdict};
pub use population::{Population, Shown};
pub use server::{Health, Listener, serve};
