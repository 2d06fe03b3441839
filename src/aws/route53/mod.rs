//! Route 53: zones found by name, record sets read page by page, changes made
//! by compare-and-swap, many in a batch, and followed to INSYNC.

mod batch;
mod change;
mod comment;
mod names;
mod records;
mod refusal;
mod sending;
mod surroundings;
mod writer;
mod zones;

pub(super) use batch::Load;
pub(super) use change::ChangeOf;
pub(super) use records::NameAt;
pub(super) use refusal::clauses;
pub(super) use surroundings::Around;
pub(super) use zones::ZonesFor;
