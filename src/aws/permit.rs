//! Leave to send one write now. Dropped unspent, it goes back.

use std::sync::Arc;

use super::access::Access;
use super::lane::{Holder, Token};
use crate::mail::{HostedZoneId, Region};

/// Leave to put once to an identity in a region.
#[derive(Debug)]
pub struct PutPermit {
    token: Token,
    region: Region,
}

impl PutPermit {
    pub(super) fn new(token: Token, region: Region) -> Self {
        Self { token, region }
    }

    /// Where.
    pub fn region(&self) -> &Region {
        &self.region
    }

    pub(super) fn spend(&mut self) {
        self.token.spend();
    }
}

/// Leave to submit one change batch to a zone; while it exists, nobody else
/// has one for that zone.
pub struct ChangePermit {
    token: Token,
    holder: Holder,
    zone: HostedZoneId,
    access: Arc<Access>,
}

impl ChangePermit {
    pub(super) fn new(
        token: Token,
        holder: Holder,
        zone: HostedZoneId,
        access: Arc<Access>,
    ) -> Self {
        Self { token, holder, zone, access }
    }

    /// Where.
    pub fn zone(&self) -> &HostedZoneId {
        &self.zone
    }

    pub(super) fn spend(&mut self) {
        self.token.spend();
    }
}

impl Drop for ChangePermit {
    fn drop(&mut self) {
        self.access.release(&self.holder, true);
    }
}

impl std::fmt::Debug for ChangePermit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChangePermit").field("holder", &self.holder).finish_non_exhaustive()
    }
}
