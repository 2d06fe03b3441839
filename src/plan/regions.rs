//! One region: what SES is to be told, and when.

use std::collections::BTreeMap;

use super::finding::Finding;
use super::inquiry::{Identity, Reading};
use super::mirror::new_status;
use super::name_plan::NamePlan;
use super::puts::{Intent, Put, Step};
use super::scene::{Holding, Scene};
use super::survey::Mark;
use super::world::Fault;
use crate::api::{Reason, RegionStatus};
use crate::authority::{Place, Service};
use crate::mail::{BehaviorOnMxFailure, MailFromDomain, MailFromStatus, Origin, Region};

/// What was decided for one region.
#[derive(Debug)]
pub(super) struct RegionPlan {
    pub finding: Finding,
    /// The put to make, if one is due.
    pub put: Option<Put>,
    /// What status is to say; `None` where the region is done with.
    pub status: Option<RegionStatus>,
    /// In mode Observe: what Manage would do.
    pub would: Option<String>,
    /// Whether the region was read well.
    pub read: bool,
    /// Whether, as it was read, no put is wanted, or SES would take none.
    pub right: bool,
}

impl RegionPlan {
    pub(super) fn resting(finding: Finding, status: RegionStatus) -> Self {
        let status = RegionStatus { message: finding.sentence(), ..status };
        Self { finding, put: None, status: Some(status), would: None, read: true, right: false }
    }
}

impl Scene<'_> {
    /// Decides for a region that the spec wants.
    pub(super) fn wanted_region(
        &self,
        region: &Region,
        names: &BTreeMap<MailFromDomain, NamePlan>,
    ) -> RegionPlan {
        let target = &self.desired.regions[region];
        let status = self.mirrored(region);
        let stored = self.region_status(region);
        let rest = |finding| RegionPlan::resting(finding, status.clone());
        if self.account_changed(Service::Ses, stored.and_then(|s| s.account.as_ref())) {
            return rest(
                self.other_account(Service::Ses, &format!("the MAIL FROM setting in {region}")),
            );
        }
        let identity = match &self.regions[region] {
            Reading::Waiting => return self.unread_region(region, None),
            Reading::Failed(fault) => return self.unread_region(region, Some(fault)),
            Reading::Known { value, .. } => value,
        };
        let place = Place::Region(region.clone());
        let marker = self.deciding_mark(region).and_then(Mark::marker);
        let grant = match self.world.standing.claim(&place, marker) {
            Ok(grant) => grant,
            Err(refusal) => {
                let what = format!("the identity {} in {region}", self.desired.domain);
                return rest(Finding::refused(&refusal, self.world.standing.key(), &what));
            }
        };
        let holding = self.holding(region);
        if let Some(finding) = self.cannot_send(region, identity.as_ref()) {
            return RegionPlan { right: true, ..rest(finding) };
        }
        let Some(name) = names.get(target) else { return self.unread_region(region, None) };
        if !name.is_read() && self.rests_on_name(&holding, target) {
            return self.unread_region(region, None);
        }
        let step = match &holding {
            Holding::Unknown => return self.unread_region(region, None),
            Holding::Missing => return rest(self.missing(region)),
            Holding::Foreign(held) => match self.taking(region, target) {
                Some(Origin::Adopted) if self.desired.observes() => {
                    self.keep(region, target, name, held, stored)
                }
                Some(origin) => self.take(region, target, name, held, origin),
                None => Step::Right(self.foreign(region, target, held)),
            },
            Holding::Empty => self.begin(region, target, name, stored),
            Holding::Ours(held, _) if held != target => self.move_to(region, held, target, name),
            Holding::Ours(_, mail_from) => self.keep(region, target, name, mail_from, stored),
        };
        let origin = name.listed.get(region.as_str()).copied();
        self.carry_out(region, status, step, (grant, origin))
    }

    /// Whether what is to be done in a region hangs on how the name stands. While
    /// that is read anew, what was said of the region stands: it would else
    /// change with each read, and a drift be forgotten before it is counted.
    fn rests_on_name(&self, holding: &Holding, target: &MailFromDomain) -> bool {
        match holding {
            Holding::Empty | Holding::Foreign(_) => true,
            Holding::Ours(held, mail_from) => {
                let raises = !self.desired.immediate
                    && mail_from.status == MailFromStatus::Success
                    && mail_from.behavior != self.desired.behavior
                    && self.desired.behavior == BehaviorOnMxFailure::RejectMessage;
                held != target || raises
            }
            _ => false,
        }
    }

    pub(super) fn unread_region(&self, region: &Region, fault: Option<&Fault>) -> RegionPlan {
        let finding = self.unread(&Place::Region(region.clone()), fault);
        let said = self.said().regions.iter().find(|status| status.name == region.as_str());
        let status = said.cloned().unwrap_or_else(|| new_status(region));
        let last_put_time = status.last_put_time.clone().or_else(|| self.last_put(region));
        let status = RegionStatus { last_put_time, ..status };
        let read = fault.is_some_and(|fault| !fault.transient);
        RegionPlan { read, ..RegionPlan::resting(finding, status) }
    }

    fn cannot_send(&self, region: &Region, identity: Option<&Identity<'_>>) -> Option<Finding> {
        let domain = &self.desired.domain;
        match identity {
            None => Some(self.missing(region)),
            Some(identity) if !identity.verified => Some(Finding::new(
                Reason::IdentityNotVerified,
                format!("the SES identity {domain} is not verified in {region}"),
            )),
            Some(_) => None,
        }
    }

    fn missing(&self, region: &Region) -> Finding {
        let text = format!("SES has no identity {} in {region}", self.desired.domain);
        Finding::new(Reason::IdentityNotFound, text)
    }

    /// The behaviour that goes with a put at a name that SES has not verified.
    pub(super) fn careful(&self) -> BehaviorOnMxFailure {
        if self.desired.immediate {
            self.desired.behavior
        } else {
            BehaviorOnMxFailure::UseDefaultValue
        }
    }

    /// SES holds nothing: set it, once the records are seen.
    fn begin(
        &self,
        region: &Region,
        target: &MailFromDomain,
        name: &NamePlan,
        stored: Option<&RegionStatus>,
    ) -> Step {
        if let Some(waits) = self.waits_for_name(region, target, name) {
            return Step::Rest(waits);
        }
        let put = Intent::put(
            Some(target),
            self.careful(),
            format!("telling SES in {region} of the MAIL FROM domain {target}"),
        );
        let held = stored.filter(|s| s.mail_from_domain.as_deref() == Some(target.as_str()));
        let disputed = held.is_some_and(|s| !s.repair_times.is_empty());
        match held.map(|s| s.mail_from_status) {
            // The clear of a restart has arrived.
            Some(MailFromStatus::Failed) => {
                Step::Put(Intent { exempt: true, restart: true, ..put })
            }
            Some(MailFromStatus::NotStarted) if !disputed => Step::Put(put),
            None => Step::Put(put),
            Some(_) => Step::Put(Intent {
                repairs: Some(format!("the MAIL FROM domain of {region} was cleared")),
                ..put
            }),
        }
    }

    /// SES holds another name of ours: the records of the new one come first.
    fn move_to(
        &self,
        region: &Region,
        held: &MailFromDomain,
        target: &MailFromDomain,
        name: &NamePlan,
    ) -> Step {
        if let Some(waits) = self.waits_for_name(region, target, name) {
            return Step::Rest(waits);
        }
        let why = format!("moving SES in {region} from {held} to {target}");
        Step::Put(Intent::put(Some(target), self.careful(), why))
    }

    /// Why SES cannot be told of a name yet. What only waits for us to publish
    /// does not wait where that is only said.
    pub(super) fn waits_for_name(
        &self,
        region: &Region,
        target: &MailFromDomain,
        name: &NamePlan,
    ) -> Option<Finding> {
        if self.desired.observes() && !name.would.is_empty() {
            return None;
        }
        if !name.is_ready() {
            let text =
                format!("SES in {region} is told once {target} stands: {}", name.finding.message);
            let reason = match name.finding.reason {
                Reason::Succeeded => Reason::Publishing,
                reason => reason,
            };
            return Some(Finding::new(reason, text));
        }
        if !name.listed.contains_key(region.as_str()) && !self.desired.observes() {
            let text = format!("entering {region} in the ownership marker of {target}");
            return Some(Finding::new(Reason::Publishing, text));
        }
        None
    }
}
