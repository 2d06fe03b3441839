//! One MAIL FROM domain: what is published there, and whether the world sees it.

use super::adoption::adopted;
use super::dns::Visible;
use super::finding::Finding;
use super::name_plan::{NameChange, NamePlan, Stance};
use super::recorded::change_type;
use super::records::{self, Conflict, Difference, Wanted};
use super::scene::{Holding, Scene};
use super::survey::{Mark, Survey, Surveyed};
use super::world::Fault;
use crate::api::{Reason, RecordState, RecordStatus, TAKE_OVER};
use crate::authority::{Grant, Place};
use crate::mail::{
    BehaviorOnMxFailure, Change, ChangeBatch, MailFromDomain, MailFromStatus, Marker, Origin,
    RecordType, Region,
};

impl<'a> Scene<'a> {
    /// Decides for a MAIL FROM domain that the spec wants.
    pub(super) fn wanted_name(&self, name: &MailFromDomain, group: &[Region]) -> NamePlan {
        let stored = self.stored_records(name);
        let surveyed = match &self.names[name] {
            Survey::Waiting => return self.unread_name(name, self.said_records(name), None),
            Survey::Failed(fault) => {
                return self.unread_name(name, self.said_records(name), Some(fault));
            }
            Survey::NoZone(finding) => return NamePlan::resting(finding.clone(), stored),
            Survey::Known(surveyed) => surveyed,
        };
        match self.may_publish(name, surveyed) {
            Ok((grant, marker)) => {
                self.published_name(name, group, surveyed, grant, marker.as_ref())
            }
            Err(finding) => {
                let conflict = matches!(finding.reason, Reason::RecordConflict);
                let records = if conflict { as_conflict(stored) } else { stored };
                let zone = Some(surveyed.zone.clone());
                let spf = surveyed.spf_fault();
                NamePlan { spf, zone, ..NamePlan::resting(finding, records) }
            }
        }
    }

    pub(super) fn unread_name(
        &self,
        name: &MailFromDomain,
        records: Vec<RecordStatus>,
        fault: Option<&Fault>,
    ) -> NamePlan {
        let finding = self.unread(&Place::Name(name.clone()), fault);
        // A definite refusal is an answer; a transient fault is none.
        let definite = fault.is_some_and(|fault| !fault.transient);
        // Of an idle name the regions speak, also while it is read again.
        let idle = self.world.memory.idle.get(name.name());
        let (stance, finding) = match (definite, idle) {
            (true, _) => (Stance::Open, finding),
            (false, Some((reason, text))) => (Stance::Idle, Finding::new(*reason, &**text)),
            (false, None) => (Stance::Unread, finding),
        };
        NamePlan { stance, ..NamePlan::resting(finding, records) }
    }

    pub(super) fn stored_records(&self, name: &MailFromDomain) -> Vec<RecordStatus> {
        self.stored.records.iter().filter(|record| record.name == name.as_str()).cloned().collect()
    }

    /// Whether the name is this object's to write at; and the marker that
    /// stands there on its behalf, if one does.
    pub(super) fn may_publish(
        &self,
        name: &MailFromDomain,
        surveyed: &Surveyed<'_>,
    ) -> Result<(Grant, Option<Marker>), Finding> {
        if let Some(finding) = self.zone_elsewhere(surveyed.zone.id.as_str()) {
            return Err(finding);
        }
        let standing = self.world.standing;
        let place = Place::Name(name.clone());
        let grant = standing.claim(&place, surveyed.mark.marker()).map_err(|refusal| {
            let what = format!("the MAIL FROM domain {name}");
            Finding::refused(&refusal, standing.key(), &what)
        })?;
        match &surveyed.mark {
            Mark::None => Ok((grant, None)),
            Mark::Mine(marker) => Ok((grant, Some(marker.clone()))),
            Mark::Other(marker, text) if self.takes_over(text) => match standing.may_take_over() {
                Ok(()) => Ok((grant, Some(Marker { owner: *standing.owner(), ..marker.clone() }))),
                Err(denial) => Err(Finding::new(
                    Reason::RecordConflict,
                    format!(
                        "{name} carries another owner's marker \"{text}\", and it is not taken over: {denial}"
                    ),
                )),
            },
            Mark::Other(_, text) => Err(Finding::new(
                Reason::RecordConflict,
                format!(
                    "{name} carries another owner's marker \"{text}\"; if that owner is gone, annotate this object with {TAKE_OVER} set to that text"
                ),
            )),
            Mark::Unreadable(what) => {
                Err(Finding::new(Reason::RecordConflict, format!("at {name} {what}")))
            }
        }
    }

    fn takes_over(&self, text: &str) -> bool {
        let annotations = self.world.object.metadata.annotations.as_ref();
        let asked = annotations.and_then(|all| all.get(TAKE_OVER));
        asked.is_some_and(|asked| asked == text) && self.world.standing.taken_from().is_none()
    }

    fn published_name(
        &self,
        name: &MailFromDomain,
        group: &[Region],
        surveyed: &Surveyed<'a>,
        grant: Grant,
        marker: Option<&Marker>,
    ) -> NamePlan {
        let stored = self.stored_records(name);
        let admissible: Vec<&Region> =
            group.iter().filter(|region| self.is_admissible(region, name)).collect();
        let regions = &self.world.settings.regions;
        let mx_region = self.mx_region(name, group, surveyed);
        let wanted = self.wanted(name, &mx_region, surveyed, marker, &admissible);
        if marker.is_none()
            && let Err(plan) = self.may_begin(&wanted, surveyed, &admissible)
        {
            return *plan;
        }
        let (mut difference, conflicts) = records::difference(surveyed, &wanted, regions);
        let lowering = self.lowers_first(name, group, surveyed, &difference);
        if lowering {
            difference.without_mx();
        }
        let draft = NamePlan {
            lowering,
            mx_region: Some(mx_region),
            listed: surveyed.mark.mine().map(|m| m.regions.clone()).unwrap_or_default(),
            dns: self.dns_verdict(name, group, surveyed, &wanted),
            spf: surveyed.spf_fault(),
            zone: Some(surveyed.zone.clone()),
            ..NamePlan::resting(Finding::new(Reason::Succeeded, ""), stored)
        };
        self.settle_name(draft, surveyed, &wanted, difference, &conflicts, grant)
    }

    /// Whether the MX is to be swapped while a region that shares it refuses
    /// mail that it cannot verify: such regions are lowered first.
    fn lowers_first(
        &self,
        name: &MailFromDomain,
        group: &[Region],
        surveyed: &Surveyed<'_>,
        difference: &Difference,
    ) -> bool {
        let swaps = surveyed.mx().is_some() && difference.moved.contains(&RecordType::Mx);
        let refuses = |region: &Region| match self.holding(region) {
            Holding::Ours(held, mail_from) => {
                let sends = !matches!(
                    mail_from.status,
                    MailFromStatus::TemporaryFailure | MailFromStatus::Failed
                );
                held == *name && sends && mail_from.behavior == BehaviorOnMxFailure::RejectMessage
            }
            // About to be adopted, and lowered then.
            Holding::Foreign(mail_from) => {
                self.taking(region, name) == Some(Origin::Adopted)
                    && mail_from.behavior == BehaviorOnMxFailure::RejectMessage
            }
            Holding::Unknown => self.region_status(region).is_some_and(|status| {
                status.behavior_on_mx_failure == Some(BehaviorOnMxFailure::RejectMessage)
            }),
            _ => false,
        };
        swaps && !self.desired.immediate && group.iter().any(refuses)
    }

    fn settle_name(
        &self,
        draft: NamePlan,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        difference: Difference,
        conflicts: &[Conflict],
        grant: Grant,
    ) -> NamePlan {
        let name = &wanted.name;
        let place = Place::Name(name.clone());
        let repaired = self.repaired(surveyed, wanted, &difference);
        let mut records = self.record_statuses(surveyed, wanted, &difference, conflicts);
        let again = self.is_repaired_again(name, &difference.changes, &difference.moved);
        if self.count_repairs(&mut records, &repaired, &place, again) {
            let text = format!(
                "the {} at {name} was repaired three times within {}; something else keeps changing it",
                repaired[0],
                humane(self.world.settings.drift_loop_window)
            );
            return NamePlan { records, ..draft }.found(Reason::DriftLoop, text);
        }
        let conflict = conflicts.first();
        if self.desired.observes() {
            let draft = NamePlan { records, ..draft };
            return self.observed_name(draft, surveyed, wanted, &difference, conflict);
        }
        if !difference.changes.is_empty() {
            let missing = repaired.iter().any(|rtype| difference.moved.contains(rtype));
            let change = self.name_change(surveyed, wanted, difference, repaired, grant);
            let change = self.gated_change(change, name);
            let (finding, change) = match (change, conflict) {
                (Err(fault), _) => (fault, None),
                (Ok(change), Some(conflict)) => {
                    (Finding::new(Reason::RecordConflict, conflict.message.clone()), change)
                }
                (Ok(change), None) => (
                    Finding::new(Reason::Publishing, format!("publishing the records of {name}")),
                    change,
                ),
            };
            let seen = records.iter().all(|r| r.state == RecordState::Published);
            let standing = seen && !missing;
            let finding = if standing && finding.reason == Reason::Publishing {
                Finding::new(Reason::Succeeded, format!("the records of {name} stand"))
            } else {
                finding
            };
            let ready = standing && conflict.is_none();
            let stance = if ready { Stance::Ready } else { Stance::Open };
            return NamePlan { finding, change, records, stance, ..draft };
        }
        if let Some(conflict) = conflict {
            return NamePlan { records, ..draft }.found(Reason::RecordConflict, &*conflict.message);
        }
        self.await_dns(draft, surveyed, wanted, records)
    }

    pub(super) fn await_dns(
        &self,
        draft: NamePlan,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        mut records: Vec<RecordStatus>,
    ) -> NamePlan {
        let name = &wanted.name;
        if draft.lowering {
            let text = format!(
                "the MX of {name} is swapped once its regions send with the default MAIL FROM"
            );
            return NamePlan { records, ..draft }.found(Reason::Publishing, text);
        }
        for record in &mut records {
            self.take_as_seen(name, record);
        }
        let visible = if records.iter().all(|r| r.state == RecordState::Published) {
            Visible::Yes
        } else {
            self.visible(surveyed, wanted, &records)
        };
        let (finding, ready) = match visible {
            Visible::Yes => {
                (Finding::new(Reason::Succeeded, format!("the records of {name} stand")), true)
            }
            Visible::Blind(why) => (
                Finding::new(
                    Reason::Succeeded,
                    format!(
                        "the records of {name} stand in Route 53; DNS could not be asked: {why}"
                    ),
                ),
                true,
            ),
            Visible::NotYet(why) => (Finding::new(Reason::WaitingForDNS, why), false),
            Visible::Failed(fault) => {
                (self.unread(&Place::Name(name.clone()), Some(&fault)), false)
            }
        };
        if ready {
            for record in records.iter_mut().filter(|r| r.state != RecordState::Published) {
                record.state = RecordState::Published;
                record.since = Some(self.now());
            }
        }
        let stance = if ready { Stance::Ready } else { Stance::Open };
        NamePlan { finding, records, stance, right: ready, ..draft }
    }

    /// What was seen in DNS already, and no status says yet, counts as seen.
    fn take_as_seen(&self, name: &MailFromDomain, record: &mut RecordStatus) {
        let seen = self.world.memory.seen.get(name.name()).into_iter().flatten();
        let same = |seen: &&RecordStatus| {
            (&seen.rtype, &seen.values, &seen.zone) == (&record.rtype, &record.values, &record.zone)
        };
        if let Some(seen) = seen.into_iter().find(same) {
            record.state = RecordState::Published;
            record.since.clone_from(&seen.since);
        }
    }

    fn name_change(
        &self,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        difference: Difference,
        repaired: Vec<RecordType>,
        grant: Grant,
    ) -> NameChange {
        let batch = ChangeBatch {
            zone: surveyed.zone.id.clone(),
            changes: difference.changes,
            comment: self.comment(),
        };
        let adopted = adopted(surveyed.mark.marker(), &wanted.marker);
        NameChange { grant, batch, repaired, moved: difference.moved, adopted }
    }

    /// Whether these changes were handed over already: they are counted and
    /// announced, and only wait to be sent.
    pub(super) fn is_handed(&self, name: &MailFromDomain, changes: &[Change]) -> bool {
        let handed = self.world.memory.handed.get(name.name());
        handed.is_some_and(|handed| handed.batch.changes == changes)
    }

    /// Whether a repair by these changes is counted already: they were handed over,
    /// or a try failed and the name did not come right since.
    pub(super) fn is_repaired_again(
        &self,
        name: &MailFromDomain,
        changes: &[Change],
        moved: &[RecordType],
    ) -> bool {
        let failed = self.world.memory.faults.get(&Place::Name(name.clone()));
        let told = moved.iter().all(|rtype| {
            let stored = self.record_status(name, rtype.as_str());
            stored.is_none_or(|stored| stored.state != RecordState::Published)
        });
        self.is_handed(name, changes) || (told && failed.is_some_and(|failed| failed.repair))
    }

    /// Shown in Route 53's own log of changes.
    pub(super) fn comment(&self) -> String {
        let text = format!("ses-mailfrom: SesMailFrom {}", self.world.standing.key());
        text.chars().take(256).collect()
    }
}

impl Difference {
    /// Leaves the MX for later.
    fn without_mx(&mut self) {
        self.moved.retain(|rtype| *rtype != RecordType::Mx);
        self.changes.retain(|change| *change_type(change) != RecordType::Mx);
    }
}

fn as_conflict(mut records: Vec<RecordStatus>) -> Vec<RecordStatus> {
    for record in &mut records {
        record.state = RecordState::Conflict;
    }
    records
}

/// A duration as a person says it.
pub(super) fn humane(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        s if s >= 3600 && s % 3600 == 0 => format!("{} h", s / 3600),
        s if s >= 60 && s % 60 == 0 => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
