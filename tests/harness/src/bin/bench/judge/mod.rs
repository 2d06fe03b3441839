//! Figures with their floors and bounds, from what was seen of a run.

mod courses;
mod floors;
mod life;
mod memory;
mod rest;
mod sheet;

pub(crate) use courses::{beside_another, dns_path, interactive, refused, shared};
pub(crate) use floors::FLOORS;
pub(crate) use life::life;
