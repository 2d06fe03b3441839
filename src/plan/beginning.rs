//! Whether a name may be published at for the first time: nothing stands there
//! that is not ours, and a region is there to use it.

use super::finding::Finding;
use super::inquiry::{Reading, before};
use super::name_plan::{NamePlan, Stance};
use super::records::Wanted;
use super::scene::{Holding, Scene};
use super::survey::{self, Mark, Surveyed};
use crate::api::{Reason, RecordState};
use crate::authority::{Place, Service};
use crate::mail::{MailFromDomain, Origin, Region, Verification};

impl<'a> Scene<'a> {
    /// Whether a name without our marker may be published at: nothing stands
    /// there that is not ours, and something is to be sent by it.
    pub(super) fn may_begin(
        &self,
        wanted: &Wanted,
        surveyed: &Surveyed<'a>,
        admissible: &[&Region],
    ) -> Result<(), Box<NamePlan>> {
        let name = &wanted.name;
        let group = &self.desired.names[name];
        let stored = self.stored_records(name);
        let was_published = |rtype| {
            let record = self.record_status(name, rtype);
            record.is_some_and(|r| r.state == RecordState::Published && r.origin.is_some())
        };
        let refuse = |finding| {
            let zone = Some(surveyed.zone.clone());
            Err(Box::new(NamePlan { zone, ..NamePlan::resting(finding, stored.clone()) }))
        };
        if let Some(found) = survey::occupied(surveyed.view, name.name()) {
            return refuse(found);
        }
        let mx = surveyed.mx().filter(|mx| !self.is_published_mx(name, &mx.values));
        if let Some(refused) = mx.and_then(|mx| self.refuses_mx(name, mx, &wanted.host)) {
            return refuse(refused);
        }
        if let Err(why) = &wanted.spf {
            return refuse(Finding::new(Reason::RecordConflict, why));
        }
        let refused = self.refuses_spf(name, &surveyed.spf_texts());
        if let Some(refused) = refused.filter(|_| !was_published("TXT")) {
            return refuse(refused);
        }
        // The marker lists every region that may use the name: one batch, once
        // all have been heard. One that cannot be read holds nobody up.
        let waits = |region: &Region| matches!(self.regions.get(region), Some(Reading::Waiting));
        if group.iter().any(waits) {
            return Err(Box::new(self.unread_name(name, self.said_records(name), None)));
        }
        // An owner that leaves clears SES before it takes its marker away: what is
        // found beside a name without one is adopted only if it still stands then.
        let adopted = |region: &&&Region| self.taking(region, name) == Some(Origin::Adopted);
        // But a reading as young as this is taken: two that wait long for their turns
        // would else overtake each other for ever.
        let young = before(self.world.now, self.world.settings.max_observation_age / 2);
        let (domain, since) = (&self.desired.domain, surveyed.sent.min(young));
        let outlives = |region: &Region| self.inquiry.is_read_since(domain, region, since);
        let takes = !self.desired.observes();
        if takes && !admissible.iter().filter(adopted).all(|region| outlives(region)) {
            return Err(Box::new(self.unread_name(name, self.said_records(name), None)));
        }
        if admissible.is_empty() {
            let zone = Some(surveyed.zone.clone());
            let plan = NamePlan::resting(self.idle(name, group), stored);
            return Err(Box::new(NamePlan { zone, stance: Stance::Idle, ..plan }));
        }
        if was_published("MX") || was_published("TXT") {
            return Ok(());
        }
        match survey::surrounded(self.inquiry, &self.desired, &surveyed.zone, name) {
            Ok(None) => {}
            Ok(Some(found)) => return refuse(found),
            Err(Reading::Failed(fault)) => {
                return Err(Box::new(self.unread_name(
                    name,
                    self.said_records(name),
                    Some(&fault),
                )));
            }
            Err(_) => return Err(Box::new(self.unread_name(name, self.said_records(name), None))),
        }
        for region in admissible {
            let kept = self.world.settings.zone_cache;
            match self.inquiry.verification(name.name(), region, kept) {
                Reading::Known { value: Verification::Missing, .. } => {}
                Reading::Known { .. } => {
                    let text = format!("{name} is itself an SES identity in {region}");
                    return refuse(Finding::new(Reason::NameOccupied, text));
                }
                Reading::Failed(fault) => {
                    return Err(Box::new(self.unread_name(
                        name,
                        self.said_records(name),
                        Some(&fault),
                    )));
                }
                Reading::Waiting => {
                    return Err(Box::new(self.unread_name(name, self.said_records(name), None)));
                }
            }
        }
        Ok(())
    }

    fn is_published_mx(&self, name: &MailFromDomain, values: &[String]) -> bool {
        self.record_status(name, "MX").is_some_and(|r| {
            r.state == RecordState::Published && r.origin.is_some() && r.values == values
        })
    }

    /// Why nothing is published at a name yet: none of its regions can send.
    fn idle(&self, name: &MailFromDomain, group: &[Region]) -> Finding {
        let waits = |region: &&Region| {
            matches!(self.holding(region), Holding::Missing) || self.verified(region) == Some(false)
        };
        match group.iter().find(waits) {
            Some(region) if matches!(self.holding(region), Holding::Missing) => Finding::new(
                Reason::IdentityNotFound,
                format!("nothing is published at {name} before SES has the identity in {region}"),
            ),
            Some(region) => Finding::new(
                Reason::IdentityNotVerified,
                format!(
                    "nothing is published at {name} before the identity is verified in {region}"
                ),
            ),
            None => Finding::new(
                Reason::Observing,
                format!("nothing is published at {name} before a region may use it"),
            ),
        }
    }

    /// Whether SES could be told of `name` in a region now: it is verified
    /// there, holds nothing that is left alone, and no other object claims it.
    pub(super) fn is_admissible(&self, region: &Region, name: &MailFromDomain) -> bool {
        let mark = self.deciding_mark(region).and_then(Mark::marker);
        let place = Place::Region(region.clone());
        let recorded = self.region_status(region).and_then(|status| status.account.as_ref());
        let ours_to_tell = matches!(self.holding(region), Holding::Empty | Holding::Ours(..))
            || self.taking(region, name).is_some();
        self.desired.regions.get(region) == Some(name)
            && self.verified(region) == Some(true)
            && ours_to_tell
            && self.world.standing.claim(&place, mark).is_ok()
            && !self.account_changed(Service::Ses, recorded)
    }

    /// Whether the identity is verified, where it was read.
    pub(super) fn verified(&self, region: &Region) -> Option<bool> {
        match self.regions.get(region) {
            Some(Reading::Known { value, .. }) => {
                Some(value.as_ref().is_some_and(|identity| identity.verified))
            }
            _ => None,
        }
    }
}
