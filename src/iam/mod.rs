//! IAM documents: the least that the operator needs, and who may be it. Pure.
//!
//! Sources: the service authorization reference for SES v2 and Route 53 (which
//! actions know which resources), and Route 53's developer guide, "Using IAM
//! policy conditions for fine-grained access control".

mod document;
mod need;
mod policy;
mod trust;

pub use document::{Document, OneOrMany, Statement};
pub use need::{Holder, Need, NeedError};
pub use policy::{Part, Reads, policy};
pub use trust::Trust;
