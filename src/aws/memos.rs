//! One memory of answers for each kind of question, and what a write of ours
//! makes old in them.

use super::Settings;
use super::memo::{Backoff, Memo};
use super::route53::{Around, ChangeOf, NameAt, ZonesFor};
use super::ses::IdentityIn;
use super::sts::Account;
use crate::mail::{
    ChangeState, DomainName, HostedZoneId, Identity, NameView, Region, Surroundings, Zone,
};

/// All answers.
#[derive(Debug)]
pub(super) struct Memos {
    pub(super) account: Memo<Account, String>,
    pub(super) identities: Memo<IdentityIn, Option<Identity>>,
    pub(super) zones: Memo<ZonesFor, Vec<Zone>>,
    pub(super) names: Memo<NameAt, NameView>,
    pub(super) surroundings: Memo<Around, Surroundings>,
    pub(super) changes: Memo<ChangeOf, ChangeState>,
}

impl Memos {
    pub(super) fn new(settings: &Settings) -> Self {
        let retry = Backoff { min: settings.retry_min, max: settings.retry_max };
        Self {
            account: Memo::new(retry),
            identities: Memo::new(retry),
            zones: Memo::new(retry),
            names: Memo::new(retry),
            surroundings: Memo::new(retry),
            changes: Memo::new(retry),
        }
    }

    /// A put to an identity has ended.
    pub(super) fn put(&self, identity: &DomainName, region: &Region) {
        self.identities.invalidate(|q| q.identity == *identity && q.region == *region);
    }

    /// A change to a name has ended. It may also have made or unmade the empty
    /// names above it, which other names share.
    pub(super) fn changed(&self, zone: &HostedZoneId, name: &DomainName) {
        self.names.invalidate(|q| q.zone == *zone && q.name == *name);
        let shares = |q: &Around| {
            let above = name.ancestors_and_self().take_while(|n| n.is_below(&q.apex));
            above.into_iter().any(|n| q.name.is_at_or_below(&n))
        };
        self.surroundings.invalidate(|q| q.zone == *zone && shares(q));
    }
}
