//! One memory of answers for each kind of question, and what a write of ours
//! makes old in them.

use std::collections::HashSet;

use jiff::Timestamp;

use super::Settings;
use super::memo::{Asked, Memo};
use super::route53::{Around, ChangeOf, NameAt, ZonesFor};
use super::sts::Account;
use crate::mail::{Change, ChangeState, DomainName, HostedZoneId, NameView, Surroundings, Zone};

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

    /// Changes to these names have ended. They may also have made or unmade the
    /// empty names above them, which other names share.
    pub(super) fn changed(&self, zone: &HostedZoneId, names: &HashSet<DomainName>) {
        let at = |q: &NameAt| q.zone == *zone && names.contains(&q.name);
        self.names.invalidate(|asked| at(&asked.question));
        let above: HashSet<_> =
            names.iter().flat_map(|name| name.ancestors_and_self().collect::<Vec<_>>()).collect();
        let shares = |q: &Around| {
            let inside = q.name.ancestors_and_self().take_while(|n| n.is_below(&q.apex));
            q.zone == *zone && inside.into_iter().any(|n| above.contains(&n))
        };
        self.surroundings.invalidate(|asked| shares(&asked.question));
    }

    /// What stands at a name once these changes were made, as far as an answer
    /// that was asked before tells: with the time of that answer, for of the
    /// record sets that were not changed it still is what is known.
    pub(super) fn after(
        &self,
        asked: &Asked<NameAt>,
        changes: &[Change],
    ) -> Option<(Timestamp, NameView)> {
        let (sent, before) = self.names.last(asked)?;
        Some((sent, before.after(changes)?))
    }
}
