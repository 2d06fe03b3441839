//! One MAIL FROM domain: what is published there, and whether the world sees it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::dns::{DnsVerdict, Visible};
use super::finding::Finding;
use super::recorded::change_type;
use super::records::{self, Conflict, Difference, Wanted};
use super::scene::{Holding, Scene};
use super::survey::{Mark, Survey, Surveyed};
use super::world::Fault;
use crate::api::{Progress, Reason, RecordState, RecordStatus, TAKE_OVER};
use crate::authority::{Grant, Place, Service};
use crate::mail::{
    BehaviorOnMxFailure, ChangeBatch, MailFromDomain, MailFromStatus, Marker, Origin, RecordType,
    Region, SpfFault, Zone,
};

/// What was decided for one MAIL FROM domain.
#[derive(Debug)]
pub(super) struct NamePlan {
    pub finding: Finding,
    /// The batch to submit, if one is due.
    pub change: Option<NameChange>,
    /// What status is to say of its records.
    pub records: Vec<RecordStatus>,
    pub stance: Stance,
    /// Whether regions that refuse mail must be lowered before the MX is swapped.
    pub lowering: bool,
    /// Whose endpoint the MX names.
    pub mx_region: Option<Region>,
    /// The regions that our marker lists, as Route 53 holds it.
    pub listed: BTreeSet<String>,
    /// What DNS shows where SES does not see the MX.
    pub dns: DnsVerdict,
    /// What the text of the SPF record rules out.
    pub spf: Option<SpfFault>,
    /// The zone, where it is known.
    pub zone: Option<Zone>,
}

/// How a name stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stance {
    /// It could not be read.
    Unread,
    /// Read; something is still to be done or to be waited for.
    Open,
    /// Nothing is to be published before a region may use the name: the
    /// region's own finding then says all there is to say.
    Idle,
    /// MX and SPF stand and were seen, so that SES may be told.
    Ready,
}

/// A batch for one name.
#[derive(Debug)]
pub(super) struct NameChange {
    pub grant: Grant,
    pub batch: ChangeBatch,
    /// The types that this repairs, for a notice.
    pub repaired: Vec<RecordType>,
    /// The types whose values differ, and so have to be seen in DNS again.
    pub moved: Vec<RecordType>,
}

impl NamePlan {
    pub(super) fn resting(finding: Finding, records: Vec<RecordStatus>) -> Self {
        Self {
            finding,
            change: None,
            records,
            stance: Stance::Open,
            lowering: false,
            mx_region: None,
            listed: BTreeSet::new(),
            dns: DnsVerdict::Unknown,
            spf: None,
            zone: None,
        }
    }

    /// Whether SES may be told of the name.
    pub(super) fn is_ready(&self) -> bool {
        self.stance == Stance::Ready
    }

    /// Whether a person must act before the records can stand.
    pub(super) fn is_stalled(&self) -> bool {
        self.finding.reason.progress() == Progress::Stalled
    }

    /// Whether the name was read well.
    pub(super) fn is_read(&self) -> bool {
        self.stance != Stance::Unread
    }

    /// When the records were last seen to have become right.
    pub(super) fn published_since(&self) -> Option<Timestamp> {
        self.records.iter().filter_map(|record| record.since.as_ref()).map(|time| time.0).max()
    }
}

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
        let zone = surveyed.zone.id.as_str();
        let recorded = self.stored.zones.iter().find(|known| known.id == zone);
        if self.account_changed(Service::Route53, recorded.and_then(|known| known.account.as_ref()))
        {
            return Err(self.other_account(Service::Route53, &format!("the hosted zone {zone}")));
        }
        let standing = self.world.standing;
        let place = Place::Name(name.clone());
        let grant = standing.claim(&place, surveyed.mark.marker()).map_err(|rival| {
            Finding::lost_to(&rival, standing.key(), &format!("the MAIL FROM domain {name}"))
        })?;
        match &surveyed.mark {
            Mark::None => Ok((grant, None)),
            Mark::Mine(marker) => Ok((grant, Some(marker.clone()))),
            Mark::Other(marker, text) if self.takes_over(text) => {
                Ok((grant, Some(Marker { owner: standing.owner().clone(), ..marker.clone() })))
            }
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
        let begun = match marker {
            Some(_) => Ok(()),
            None => self.may_begin(name, surveyed, &admissible, group),
        };
        if let Err(plan) = begun {
            return *plan;
        }
        let mx_region = self.mx_region(name, group, surveyed);
        let wanted = Wanted {
            name: name.clone(),
            host: self.world.settings.regions.feedback_host(&mx_region),
            ttl: self.desired.ttl,
            marker: self.wanted_marker(name, surveyed, marker, &admissible),
        };
        let regions = &self.world.settings.regions;
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

    /// Whose endpoint the MX names: what the spec says, else the one that our
    /// published MX names already, else the first listed.
    fn mx_region(
        &self,
        name: &MailFromDomain,
        group: &[Region],
        surveyed: &Surveyed<'_>,
    ) -> Region {
        let regions = &self.world.settings.regions;
        let asked = self.desired.mx_region.as_ref();
        if let Some(asked) = asked.filter(|r| *name == self.desired.shared && group.contains(r)) {
            return asked.clone();
        }
        let current = surveyed.mx().and_then(|set| records::our_mx(set, regions));
        let current =
            current.and_then(|mx| group.iter().find(|r| regions.feedback_host(r) == mx.host));
        current.unwrap_or(&group[0]).clone()
    }

    fn wanted_marker(
        &self,
        name: &MailFromDomain,
        surveyed: &Surveyed<'_>,
        marker: Option<&Marker>,
        admissible: &[&Region],
    ) -> Marker {
        let mut listed: BTreeSet<String> = admissible.iter().map(ToString::to_string).collect();
        let known = &self.world.settings.regions;
        let kept = |text: &&String| match known.get(text) {
            Ok(region) => {
                let holding = self.holding(&region);
                self.desired.regions.get(&region) == Some(name)
                    || matches!(holding, Holding::Unknown)
                    || (holding == Holding::Empty && self.doubted_until(&region).is_some())
                    || matches!(holding, Holding::Ours(held, _) if held == *name)
            }
            Err(_) => true,
        };
        listed.extend(marker.iter().flat_map(|m| m.regions.iter().filter(kept).cloned()));
        let origin = |stands: bool| if stands { Origin::Adopted } else { Origin::Created };
        Marker {
            owner: self.world.standing.owner().clone(),
            mx: marker.map_or_else(|| origin(surveyed.mx().is_some()), |m| m.mx),
            spf: marker.map_or_else(|| origin(!surveyed.spf_texts().is_empty()), |m| m.spf),
            regions: listed,
        }
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
        if self.count_repairs(&mut records, &repaired, &place) {
            let text = format!(
                "the {} at {name} was repaired three times within {}; something else keeps changing it",
                repaired[0],
                humane(self.world.settings.drift_loop_window)
            );
            return NamePlan { records, ..draft }.found(Reason::DriftLoop, text);
        }
        let conflict = conflicts.first();
        if !difference.changes.is_empty() {
            let missing = repaired.iter().any(|rtype| difference.moved.contains(rtype));
            let change = self.name_change(surveyed, difference, repaired, grant);
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

    fn await_dns(
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
        NamePlan { finding, records, stance, ..draft }
    }

    fn name_change(
        &self,
        surveyed: &Surveyed<'_>,
        difference: Difference,
        repaired: Vec<RecordType>,
        grant: Grant,
    ) -> NameChange {
        let batch = ChangeBatch {
            zone: surveyed.zone.id.clone(),
            changes: difference.changes,
            comment: self.comment(),
        };
        NameChange { grant, batch, repaired, moved: difference.moved }
    }

    /// Shown in Route 53's own log of changes.
    pub(super) fn comment(&self) -> String {
        let text = format!("ses-mailfrom: SesMailFrom {}", self.world.standing.key());
        text.chars().take(256).collect()
    }
}

impl NamePlan {
    fn found(self, reason: Reason, message: impl Into<String>) -> Self {
        Self { finding: Finding::new(reason, message), ..self }
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
