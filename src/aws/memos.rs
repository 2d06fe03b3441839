//! One memory of answers for each kind of question, and what a write of ours
//! makes old in them.

use super::Settings;
use super::memo::{Asked, Memo};
use super::route53::{Around, ChangeOf, NameAt, ZonesFor};
use super::sts::Account;
use crate::mail::{ChangeState, DomainName, HostedZoneId, NameView, Surroundings, Zone};

/// All answers.
#[derive(Debug)]
pub(super) struct Memos {
    pub(super) account: Memo<Asked<Account>, String>,
    pub(super) zones: Memo<Asked<ZonesFor>, Vec<Zone>>,
    pub(super) names: Memo<Asked<NameAt>, NameView>,
    pub(super) surroundings: Memo<Asked<Around>, Surroundings>,
    pub(super) changes: Memo<Asked<ChangeOf>, ChangeState>,
}

impl Memos {
    pub(super) fn new(settings: &Settings) -> Self {
        let retry = settings.backoff();
        Self {
            account: Memo::new(retry),
            zones: Memo::new(retry),
            names: Memo::new(retry),
            surroundings: Memo::new(retry),
            changes: Memo::new(retry),
        }
    }

    /// A change to a name has ended. It may also have made or unmade the empty
    /// names above it, which other names share.
    pub(super) fn changed(&self, zone: &HostedZoneId, name: &DomainName) {
        self.names.invalidate(|Asked { question: q, .. }| q.zone == *zone && q.name == *name);
        let shares = |q: &Around| {
            let above = name.ancestors_and_self().take_while(|n| n.is_below(&q.apex));
            above.into_iter().any(|n| q.name.is_at_or_below(&n))
        };
        self.surroundings.invalidate(|Asked { question: q, .. }| q.zone == *zone && shares(q));
    }
}
