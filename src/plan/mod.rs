//! The decisions, pure: a total function of the object, what was observed, what
//! is remembered, and now. It knows no client, no clock, no async.

mod effect;
mod world;

pub use effect::{Effect, Notice, Plan};
pub use world::{
    Answer, Facts, Fault, Memory, Question, Remembered, Settings, Value, World, WriteFault,
};

/// Decides what to ask, to do and to report.
pub fn plan(world: &World<'_>) -> Plan {
    let _ = world;
    Plan::default()
}
