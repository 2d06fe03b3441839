//! What the object wants no longer: regions to clear, names to drain, and at
//! last everything.

use super::desired::drain_window;
use super::finding::Finding;
use super::inquiry::{Reading, after};
use super::name_plan::{NameChange, NamePlan};
use super::records::{self, Removal};
use super::regions::RegionPlan;
use super::scene::{Holding, Scene};
use super::survey::{Mark, Survey, Surveyed};
use crate::api::{DeletionPolicy, Reason, RecordState, RecordStatus, RegionStatus};
use crate::authority::{Place, Refusal, Service};
use crate::mail::{BehaviorOnMxFailure, ChangeBatch, MailFromDomain, Marker, Origin, Region};

impl Scene<'_> {
    /// Decides for a region that is not in the spec. `None` where there is
    /// nothing of ours in it.
    pub(super) fn leaving_region(&self, region: &Region) -> Option<RegionPlan> {
        let stored = self.region_status(region);
        let holding = self.holding(region);
        let known = stored.is_some() || self.forgotten_put(region).is_some();
        if !known && !matches!(holding, Holding::Ours(..)) {
            return None;
        }
        let status = self.mirrored(region);
        let rest = |finding: Finding| Some(self.waiting(finding, status.clone()));
        if self.account_changed(Service::Ses, stored.and_then(|s| s.account.as_ref())) {
            return rest(
                self.other_account(Service::Ses, &format!("the MAIL FROM setting in {region}")),
            );
        }
        // "Nothing there" is believed of the recorded account alone.
        match &self.accounts[&Service::Ses] {
            Reading::Known { .. } => {}
            Reading::Waiting => return Some(self.unread_leaving(region, None)),
            Reading::Failed(fault) => return Some(self.unread_leaving(region, Some(fault))),
        }
        match &self.regions[region] {
            Reading::Waiting => return Some(self.unread_leaving(region, None)),
            Reading::Failed(fault) => return Some(self.unread_leaving(region, Some(fault))),
            Reading::Known { .. } => {}
        }
        match holding {
            Holding::Unknown => Some(self.unread_leaving(region, None)),
            Holding::Missing => None,
            Holding::Foreign(_) => self.taken_over(region, status),
            Holding::Empty => self.cleared(region, status),
            Holding::Ours(..) if self.is_left_in_place(region) => None,
            Holding::Ours(held, _) => {
                let place = Place::Region(region.clone());
                let marker = self.deciding_mark(region).and_then(Mark::marker);
                match self.world.standing.claim(&place, marker) {
                    Ok(grant) => {
                        let plan = match self.setting_origin(region) {
                            Some(Origin::Adopted) => self.lowering(region, &held, status, grant),
                            _ => self.clearing(region, &held, status, grant),
                        };
                        let finding = plan.finding.clone();
                        let policy = self.desired.deletion;
                        let deleting = self.desired.deleting;
                        let finding =
                            if deleting { finding.waiting_deletion(policy) } else { finding };
                        Some(RegionPlan { finding, ..plan })
                    }
                    // Another object has it now; what it holds is not ours to clear.
                    Err(Refusal::Lost(_)) => None,
                    Err(Refusal::Undecided | Refusal::Denied(_)) => {
                        Some(self.unread_leaving(region, None))
                    }
                }
            }
        }
    }

    /// Whether what SES holds stays as it is when the region goes: it was
    /// adopted, and no MX that goes with us makes SES refuse mail.
    fn is_left_in_place(&self, region: &Region) -> bool {
        let Holding::Ours(name, held) = self.holding(region) else { return false };
        let marker = self.surveyed(&name).and_then(|surveyed| surveyed.mark.mine());
        let mx_goes = marker.is_some_and(|marker| marker.mx == Origin::Created)
            && self.removal() == Removal::Records
            && !self.desired.names.contains_key(&name);
        let refuses = held.behavior == BehaviorOnMxFailure::RejectMessage;
        self.setting_origin(region) == Some(Origin::Adopted) && !(mx_goes && refuses)
    }

    /// SES says that nothing is set. Just after a first put that may be an old
    /// answer, and believing it would forget a setting of ours.
    fn cleared(&self, region: &Region, status: RegionStatus) -> Option<RegionPlan> {
        let due = self.doubted_until(region)?;
        self.inquiry.wake_at(due);
        let text = format!("making sure that SES in {region} holds nothing of ours");
        Some(self.waiting(Finding::new(Reason::SettingMailFrom, text), status))
    }

    /// Somebody else has set another name, or SES shows what it held before our last
    /// put.
    fn taken_over(&self, region: &Region, status: RegionStatus) -> Option<RegionPlan> {
        let due = self.stale_until(region)?;
        if self.world.now < due {
            self.inquiry.wake_at(due);
        } else {
            self.inquiry.is_read_since(&self.desired.domain, region, due);
        }
        let text = format!("making sure of what SES in {region} holds");
        Some(self.waiting(Finding::new(Reason::SettingMailFrom, text), status))
    }

    fn waiting(&self, finding: Finding, status: RegionStatus) -> RegionPlan {
        let finding = self.said_in_deletion(finding);
        RegionPlan::resting(finding, status)
    }

    fn unread_leaving(&self, region: &Region, fault: Option<&super::world::Fault>) -> RegionPlan {
        let plan = self.unread_region(region, fault);
        let finding = self.said_in_deletion(plan.finding.clone());
        RegionPlan { finding, ..plan }
    }

    fn said_in_deletion(&self, finding: Finding) -> Finding {
        let waits = self.desired.deleting && !finding.message.contains("deletionPolicy");
        if waits { finding.waiting_deletion(self.desired.deletion) } else { finding }
    }

    /// Decides for a name that is not in the spec. `None` where there is
    /// nothing of ours at it.
    pub(super) fn leaving_name(&self, name: &MailFromDomain) -> Option<NamePlan> {
        let stored = self.stored_records(name);
        // Read only because SES holds it: the region that does speaks for it.
        let unknown = matches!(self.names[name], Survey::Waiting | Survey::Failed(_));
        let place = Place::Name(name.clone());
        let remembered = self.world.memory.findings.contains_key(&place);
        if unknown && stored.is_empty() && !remembered && !self.desired.deleting {
            return None;
        }
        let surveyed = match &self.names[name] {
            Survey::Waiting => return Some(self.unread_name_leaving(name, stored, None)),
            Survey::Failed(fault) => {
                return Some(self.unread_name_leaving(name, stored, Some(fault)));
            }
            // Without a zone nothing stands that could be taken away; but the
            // zones of another account say nothing of ours.
            Survey::NoZone(_) => {
                let zone = stored.first()?.zone.clone();
                if !self.stored.zones.iter().any(|known| known.id == zone) {
                    return None;
                }
                match &self.accounts[&Service::Route53] {
                    Reading::Known { .. } => {}
                    Reading::Waiting => return Some(self.unread_name_leaving(name, stored, None)),
                    Reading::Failed(fault) => {
                        return Some(self.unread_name_leaving(name, stored, Some(fault)));
                    }
                }
                return self
                    .zone_elsewhere(&zone)
                    .map(|finding| NamePlan::resting(self.said_in_deletion(finding), stored));
            }
            Survey::Known(surveyed) => surveyed,
        };
        let marker = surveyed.mark.mine()?.clone();
        let stored = if stored.is_empty() { self.found_records(name, surveyed) } else { stored };
        let grant = match self.may_publish(name, surveyed) {
            Ok((grant, _)) => grant,
            Err(finding) => {
                return Some(NamePlan::resting(self.said_in_deletion(finding), stored));
            }
        };
        if let Some((region, denial)) = self.denied_holder(name, &marker) {
            let text =
                format!("the records of {name} stay, for SES in {region} may use them: {denial}");
            let finding = Finding::new(Reason::PolicyDenied, text);
            let lost = self.is_lost(&Place::Region(region.clone()));
            return (!lost).then(|| NamePlan::resting(finding, stored));
        }
        if let Some(holder) = self.holder(name, &marker) {
            let text = format!("the records of {name} stay while SES in {holder} uses them");
            let reason = if self.desired.deleting { Reason::Deleting } else { Reason::Succeeded };
            return Some(NamePlan::resting(Finding::new(reason, text), stored));
        }
        let records = self.draining(stored);
        let begun = records.iter().filter_map(|r| r.since.as_ref()).map(|time| time.0).max();
        let window = drain_window(&self.desired, self.world.settings.drain_window);
        let due = begun.map_or(self.world.now, |begun| after(begun, window));
        if self.world.now < due {
            self.inquiry.wake_at(due);
            let text = format!("the records of {name} stay for late bounces");
            return Some(NamePlan::resting(Finding::new(Reason::Succeeded, text), records));
        }
        Some(self.removed(name, surveyed, &marker, grant, records))
    }

    fn unread_name_leaving(
        &self,
        name: &MailFromDomain,
        stored: Vec<RecordStatus>,
        fault: Option<&super::world::Fault>,
    ) -> NamePlan {
        let plan = self.unread_name(name, stored, fault);
        let finding = self.said_in_deletion(plan.finding.clone());
        NamePlan { finding, ..plan }
    }

    /// A region whose setting of ours names, or may name, the name.
    fn holder(&self, name: &MailFromDomain, marker: &Marker) -> Option<&Region> {
        let may_hold = |region: &Region| {
            marker.regions.contains_key(region.as_str()) || self.was_told(region, name)
        };
        let holds = |region: &&Region| match self.holding(region) {
            Holding::Ours(held, _) if held == *name => !self.is_left_in_place(region),
            Holding::Ours(..) | Holding::Foreign(_) => self.may_come_to_hold(region, name),
            Holding::Unknown => may_hold(region),
            Holding::Empty => {
                let leaves = || self.desired.deleting && self.leaving_region(region).is_some();
                may_hold(region) && (self.doubted_until(region).is_some() || leaves())
            }
            Holding::Missing => false,
        };
        self.regions.keys().find(holds)
    }

    fn draining(&self, mut records: Vec<RecordStatus>) -> Vec<RecordStatus> {
        for record in records.iter_mut().filter(|r| r.state != RecordState::Draining) {
            record.state = RecordState::Draining;
            record.since = Some(self.now());
        }
        records
    }

    /// How much goes of a name that is wanted no longer.
    fn removal(&self) -> Removal {
        let keeps_records =
            self.desired.deleting && self.desired.deletion == DeletionPolicy::RetainDNS;
        if keeps_records { Removal::Marker } else { Removal::Records }
    }

    fn removed(
        &self,
        name: &MailFromDomain,
        surveyed: &Surveyed<'_>,
        marker: &Marker,
        grant: crate::authority::Grant,
        records: Vec<RecordStatus>,
    ) -> NamePlan {
        let regions = &self.world.settings.regions;
        let changes = records::removal(surveyed, marker, self.removal(), regions);
        if self.desired.observes() {
            return Self::observed_removal(name, &changes, records);
        }
        let batch =
            ChangeBatch { zone: surveyed.zone.id.clone(), changes, comment: self.comment() };
        let (repaired, moved, adopted) = (Vec::new(), Vec::new(), Vec::new());
        let change = NameChange { grant, batch, repaired, moved, adopted };
        let text = format!("taking what is ours from {name}");
        match self.gated_change(change, name) {
            Ok(change) => {
                let finding = Finding::new(Reason::Deleting, text);
                NamePlan { change, ..NamePlan::resting(finding, records) }
            }
            Err(finding) => NamePlan::resting(self.said_in_deletion(finding), records),
        }
    }
}
