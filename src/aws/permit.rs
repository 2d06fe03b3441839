//! Leave to make one put now. Dropped unspent, it goes back.

use super::lane::Token;
use crate::mail::Region;

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
