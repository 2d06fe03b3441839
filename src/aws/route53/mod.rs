//! Route 53: zones found by name, record sets read page by page, changes made
//! by compare-and-swap and followed to INSYNC.

mod change;
mod names;
mod records;
mod surroundings;
mod zones;

pub(super) use change::{ChangeOf, change_records};
pub(super) use records::NameAt;
pub(super) use surroundings::Around;
pub(super) use zones::ZonesFor;
