//! What is asked for first.

use crate::authority::Sight;

/// For whom a call is made. The first goes first.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Rank {
    /// A person waits for it.
    Urgent,
    /// An object waits for it.
    Asked,
    /// Nobody waits: it is kept up.
    Watched,
}

impl Rank {
    /// Of what this object asks.
    pub(super) fn of(sight: &Sight) -> Self {
        if sight.is_urgent() { Self::Urgent } else { Self::Asked }
    }
}
