//! What status says of a region: SES's word as it was read.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::drift::whole_seconds;
use super::inquiry::{Identity, Reading, after};
use super::scene::{Holding, Scene};
use super::survey::Survey;
use super::window::deadline;
use super::world::{Digest, Unreported};
use crate::api::{RecordStatus, RegionStatus, Sending, SesMailFromStatus};
use crate::authority::Service;
use crate::mail::{BehaviorOnMxFailure, MailFrom, MailFromDomain, MailFromStatus, Origin, Region};

impl Scene<'_> {
    /// The status as it was last decided, written or not. What cannot be read
    /// just now stands there as it was read last; the stored status may be
    /// older than the findings that are remembered.
    pub(super) fn said(&self) -> &SesMailFromStatus {
        self.said.get_or_init(|| {
            let unreported = self.world.memory.unreported.as_ref();
            let over = |unreported: &&Unreported| unreported.over == self.stored_digest();
            let said = unreported.filter(over).and_then(|unreported| unreported.status.open());
            said.map_or(Cow::Borrowed(self.stored), Cow::Owned)
        })
    }

    /// Of the stored status.
    pub(super) fn stored_digest(&self) -> Digest {
        *self.digest.get_or_init(|| Digest::of(self.stored))
    }

    pub(super) fn said_records(&self, name: &MailFromDomain) -> Vec<RecordStatus> {
        let said = self.said().records.iter();
        said.filter(|record| record.name == name.as_str()).cloned().collect()
    }

    /// What status says of a region, with SES's word as it was read.
    pub(super) fn mirrored(&self, region: &Region) -> RegionStatus {
        let old = self.region_status(region).cloned().unwrap_or_else(|| new_status(region));
        let old = RegionStatus { last_put_time: self.last_put(region), ..old };
        let Some(Reading::Known { sent, value }) = self.regions.get(region) else { return old };
        let identity = value.as_ref();
        let held = identity.and_then(|identity| identity.mail_from);
        let status = held.map_or(MailFromStatus::NotStarted, |held| held.status);
        let first_sight = old.since.as_ref().filter(|_| old.mail_from_status == status);
        let first_sight = first_sight.map_or(*sent, |time| time.0);
        let last_put = old.last_put_time.as_ref().map_or(first_sight, |time| time.0);
        let since = held.map(|_| whole_seconds(first_sight.max(last_put)));
        let ends = since.and_then(|since| deadline(status, since, self.world.settings));
        let ours = self.named(region);
        let account = self.answering(Service::Ses).filter(|_| ours.is_some()).cloned();
        // Just after a put, status knows better than SES what was set and by whom.
        let ours = if self.stale_until(region).is_some() { None } else { ours };
        let origin = self.setting_origin(region).filter(|_| ours.is_some()).or(old.origin);
        let adopted = origin == Some(Origin::Adopted);
        let tried = old.reject_tried_generation.filter(|tried| *tried == self.desired.generation);
        RegionStatus {
            mail_from_status: status,
            behavior_on_mx_failure: held.map(|held| held.behavior),
            sending: sending(identity, held),
            since: since.map(Time),
            deadline: ends.map(Time),
            restarts: if status == MailFromStatus::Success { 0 } else { old.restarts },
            reject_tried_generation: tried,
            // A status that was lost is made whole from what the marker proves.
            account: old.account.or(account),
            origin,
            adopted_time: adopted.then(|| old.adopted_time.unwrap_or_else(|| self.now())),
            mail_from_domain: ours.or(old.mail_from_domain),
            ..old
        }
    }

    /// The MAIL FROM domain that SES holds in a region, where it is ours or will
    /// be once it is adopted.
    fn named(&self, region: &Region) -> Option<String> {
        let target = self.desired.regions.get(region);
        match self.holding(region) {
            Holding::Ours(name, _) => Some(name.to_string()),
            Holding::Foreign(_) => {
                let adopts = |target: &&_| self.taking(region, target) == Some(Origin::Adopted);
                target.filter(adopts).map(ToString::to_string)
            }
            _ => None,
        }
    }
}

impl Scene<'_> {
    /// When SES in a region was last told anything by us, as far as is known.
    pub(super) fn last_put(&self, region: &Region) -> Option<Time> {
        let stored = self.region_status(region).and_then(|status| status.last_put_time.clone());
        stored.or_else(|| self.forgotten_put(region))
    }

    /// Our marker lists the region and status knows nothing of the marker's name:
    /// status was lost, and with it when the last put was made. That may have been
    /// just now, and what SES says may be older.
    pub(super) fn forgotten_put(&self, region: &Region) -> Option<Time> {
        let is_lost = |(name, survey): (&MailFromDomain, &Survey<'_>)| match survey {
            Survey::Known(surveyed) => {
                let marker = surveyed.mark.mine();
                marker.is_some_and(|marker| marker.regions.contains_key(region.as_str()))
                    && self.record_status(name, "TXT").is_none()
            }
            _ => false,
        };
        self.names.iter().any(is_lost).then(|| self.now())
    }

    /// Until when an answer that nothing is set in a region may be older than a
    /// put of ours. `None` where it may be believed.
    pub(super) fn doubted_until(&self, region: &Region) -> Option<Timestamp> {
        let stored = self.region_status(region);
        let seen_set = stored.is_some_and(|s| s.mail_from_status != MailFromStatus::NotStarted);
        let put = self.last_put(region).filter(|_| !seen_set)?;
        let due = after(put.0, self.world.settings.put_hold_off);
        (self.world.now < due).then_some(due)
    }
}

pub(super) fn new_status(region: &Region) -> RegionStatus {
    RegionStatus {
        name: region.to_string(),
        account: None,
        origin: None,
        adopted_time: None,
        mail_from_domain: None,
        mail_from_status: MailFromStatus::NotStarted,
        behavior_on_mx_failure: None,
        sending: Sending::Unknown,
        since: None,
        deadline: None,
        last_put_time: None,
        restarts: 0,
        reject_tried_generation: None,
        repair_times: Vec::new(),
        message: String::new(),
    }
}

/// What happens to a message sent now (SES developer guide, custom MAIL FROM).
fn sending(identity: Option<&Identity<'_>>, held: Option<&MailFrom>) -> Sending {
    match (identity, held) {
        (None | Some(Identity { verified: false, .. }), _) => Sending::NotSending,
        (Some(_), None) => Sending::DefaultMailFrom,
        (Some(_), Some(held)) => match (held.status, held.behavior) {
            (MailFromStatus::Success, _) => Sending::CustomMailFrom,
            (_, BehaviorOnMxFailure::RejectMessage) => Sending::Rejected,
            (_, BehaviorOnMxFailure::UseDefaultValue) => Sending::DefaultMailFrom,
        },
    }
}
