//! One MAIL FROM domain: what is published there, and whether the world sees it.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::dns::{DnsVerdict, Visible};
use super::finding::Finding;
use super::inquiry::Reading;
use super::records::{self, Conflict, Difference, Wanted, quoted};
use super::scene::{Holding, Scene};
use super::survey::{self, Mark, Survey, Surveyed};
use super::world::Fault;
use crate::api::{Reason, RecordState, RecordStatus, TAKE_OVER};
use crate::authority::{Grant, Place};
use crate::mail::{
    BehaviorOnMxFailure, ChangeBatch, MailFromDomain, MailFromStatus, Marker, Origin, RecordType,
    Region, Spf, SpfFault, Zone,
};

/// What was decided for one MAIL FROM domain.
#[derive(Debug)]
pub(super) struct NamePlan {
    pub finding: Finding,
    /// The batch to submit, if one is due.
    pub change: Option<NameChange>,
    /// What status is to say of its records.
    pub records: Vec<RecordStatus>,
    /// Whether MX and SPF stand and were seen, so that SES may be told.
    pub ready: bool,
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
    /// Whether the name was read well.
    pub read: bool,
    /// Whether nothing is to be published before a region may use the name:
    /// the region's own finding then says all there is to say.
    pub idle: bool,
}

/// A batch for one name.
#[derive(Debug)]
pub(super) struct NameChange {
    pub grant: Grant,
    pub batch: ChangeBatch,
    /// The types that this repairs, for a notice.
    pub repaired: Vec<RecordType>,
}

impl NamePlan {
    pub(super) fn resting(finding: Finding, records: Vec<RecordStatus>) -> Self {
        Self {
            finding,
            change: None,
            records,
            ready: false,
            lowering: false,
            mx_region: None,
            listed: BTreeSet::new(),
            dns: DnsVerdict::Unknown,
            spf: None,
            zone: None,
            read: true,
            idle: false,
        }
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
            Survey::Waiting => return self.unread_name(name, stored, None),
            Survey::Failed(fault) => return self.unread_name(name, stored, Some(fault)),
            Survey::NoZone(finding) => return NamePlan::resting(finding.clone(), stored),
            Survey::Known(surveyed) => surveyed,
        };
        match self.may_publish(name, surveyed) {
            Ok((grant, marker)) => self.published_name(name, group, surveyed, grant, marker),
            Err(finding) => {
                let conflict = matches!(finding.reason, Reason::RecordConflict);
                let records = if conflict { as_conflict(stored) } else { stored };
                let zone = Some(surveyed.zone.clone());
                let spf = self.spf_fault(surveyed);
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
        let read = fault.is_some_and(|fault| !fault.transient);
        NamePlan { read, ..NamePlan::resting(finding, records) }
    }

    pub(super) fn stored_records(&self, name: &MailFromDomain) -> Vec<RecordStatus> {
        self.stored.records.iter().filter(|record| record.name == name.as_str()).cloned().collect()
    }

    pub(super) fn spf_fault(&self, surveyed: &Surveyed<'_>) -> Option<SpfFault> {
        Spf::fault(surveyed.spf_texts().iter().map(String::as_str))
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
        if self.account_changed(recorded.and_then(|known| known.account.as_ref())) {
            return Err(self.other_account(&format!("the hosted zone {zone}")));
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
        marker: Option<Marker>,
    ) -> NamePlan {
        let stored = self.stored_records(name);
        let admissible: Vec<&Region> =
            group.iter().filter(|region| self.is_admissible(region, name)).collect();
        if marker.is_none() {
            if let Err(plan) = self.may_begin(name, surveyed, &admissible, group) {
                return *plan;
            }
        }
        let mx_region = self.mx_region(name, group, surveyed);
        let wanted = Wanted {
            name: name.clone(),
            host: self.world.settings.regions.feedback_host(&mx_region),
            ttl: self.desired.ttl,
            marker: self.wanted_marker(name, surveyed, marker.as_ref(), &admissible),
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
            spf: self.spf_fault(surveyed),
            zone: Some(surveyed.zone.clone()),
            ..NamePlan::resting(Finding::new(Reason::Succeeded, ""), stored)
        };
        self.settle_name(draft, surveyed, &wanted, difference, &conflicts, grant)
    }

    /// Whether a name without our marker may be published at: nothing stands
    /// there that is not ours, and something is to be sent by it.
    fn may_begin(
        &self,
        name: &MailFromDomain,
        surveyed: &Surveyed<'a>,
        admissible: &[&Region],
        group: &[Region],
    ) -> Result<(), Box<NamePlan>> {
        let stored = self.stored_records(name);
        let was_published = |rtype| {
            let record = self.record_status(name, rtype);
            record.is_some_and(|r| r.state == RecordState::Published)
        };
        let refuse = |finding| {
            let zone = Some(surveyed.zone.clone());
            Err(Box::new(NamePlan { zone, ..NamePlan::resting(finding, stored.clone()) }))
        };
        if let Some(found) = survey::occupied(surveyed.view, name.name()) {
            return refuse(found);
        }
        let spf = surveyed.spf_texts();
        if let Some(mx) = surveyed.mx().filter(|mx| !self.is_published_mx(name, &mx.values)) {
            return refuse(not_ours(name, "MX", &mx.values));
        }
        if !spf.is_empty() && !was_published("TXT") {
            return refuse(not_ours(name, "SPF", &spf));
        }
        if admissible.is_empty() {
            let zone = Some(surveyed.zone.clone());
            let plan = NamePlan::resting(self.idle(name, group), stored);
            return Err(Box::new(NamePlan { zone, idle: true, ..plan }));
        }
        if was_published("MX") || was_published("TXT") {
            return Ok(());
        }
        match survey::surrounded(self.inquiry, &self.desired, &surveyed.zone, name) {
            Ok(None) => {}
            Ok(Some(found)) => return refuse(found),
            Err(Reading::Failed(fault)) => {
                return Err(Box::new(self.unread_name(name, stored, Some(&fault))));
            }
            Err(_) => return Err(Box::new(self.unread_name(name, stored, None))),
        }
        for region in admissible {
            match self.inquiry.identity(name.name(), region, self.world.settings.zone_cache) {
                Reading::Known { value: None, .. } => {}
                Reading::Known { value: Some(_), .. } => {
                    let text = format!("{name} is itself an SES identity in {region}");
                    return refuse(Finding::new(Reason::NameOccupied, text));
                }
                Reading::Failed(fault) => {
                    return Err(Box::new(self.unread_name(name, stored, Some(&fault))));
                }
                Reading::Waiting => {
                    return Err(Box::new(self.unread_name(name, stored, None)));
                }
            }
        }
        Ok(())
    }

    fn is_published_mx(&self, name: &MailFromDomain, values: &[String]) -> bool {
        self.record_status(name, "MX")
            .is_some_and(|r| r.state == RecordState::Published && r.values == values)
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
    /// there, holds nothing that is not ours, and no other object claims it.
    fn is_admissible(&self, region: &Region, name: &MailFromDomain) -> bool {
        let mark = self.deciding_mark(region).and_then(Mark::marker);
        let place = Place::Region(region.clone());
        let recorded = self.region_status(region).and_then(|status| status.account.as_ref());
        self.desired.regions.get(region) == Some(name)
            && self.verified(region) == Some(true)
            && matches!(self.holding(region), Holding::Empty | Holding::Ours(..))
            && self.world.standing.claim(&place, mark).is_ok()
            && !self.account_changed(recorded)
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
        let mut listed: BTreeSet<String> =
            admissible.iter().map(|region| region.to_string()).collect();
        let known = &self.world.settings.regions;
        let kept = |text: &&String| match known.get(text) {
            Ok(region) => {
                let holding = self.holding(&region);
                self.desired.regions.get(&region) == Some(name)
                    || matches!(holding, Holding::Unknown)
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
            let standing = records.iter().all(|r| r.state == RecordState::Published);
            let finding = if standing && finding.reason == Reason::Publishing {
                Finding::new(Reason::Succeeded, format!("the records of {name} stand"))
            } else {
                finding
            };
            let ready = standing && conflict.is_none();
            return NamePlan { finding, change, ready, records, ..draft };
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
        NamePlan { finding, ready, records, ..draft }
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
        NameChange { grant, batch, repaired }
    }

    /// Shown in Route 53's own log of changes.
    pub(super) fn comment(&self) -> String {
        let text = format!("ses-mailfrom: SesMailFrom {}", self.world.standing.key());
        text.chars().take(256).collect()
    }

    /// The types whose values were right before and are not any more.
    fn repaired(
        &self,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        difference: &Difference,
    ) -> Vec<RecordType> {
        let marked = surveyed.mark.mine().is_some();
        let drifted = |rtype: &RecordType, value: &str, ttl: u32, found: Option<u32>| {
            let Some(stored) = self.record_status(&wanted.name, rtype.as_str()) else {
                return false;
            };
            let was_right = stored.values.first().is_some_and(|first| first == value)
                && matches!(stored.state, RecordState::Published | RecordState::Conflict);
            let same_ttl = u32::try_from(stored.ttl_seconds).ok() == Some(ttl);
            let ttl_moved = same_ttl && found.is_some_and(|found| found != ttl);
            let changes = difference.changes.iter().any(|change| change_type(change) == rtype);
            let lost_marker = *rtype == RecordType::Txt && !marked;
            was_right && changes && (difference.moved.contains(rtype) || ttl_moved || lost_marker)
        };
        let mut repaired = Vec::new();
        let mx = wanted.mx().to_value();
        if drifted(&RecordType::Mx, &mx, wanted.ttl, surveyed.mx().map(|set| set.ttl)) {
            repaired.push(RecordType::Mx);
        }
        let texts = surveyed.txt().map(survey::txt_texts).unwrap_or_default();
        let spf = wanted.txt_values(&texts).swap_remove(0);
        let ttl = surveyed.txt().map(|set| set.ttl).filter(|_| texts.len() <= 2);
        if drifted(&RecordType::Txt, &spf, wanted.ttl, ttl) {
            repaired.push(RecordType::Txt);
        }
        repaired
    }

    /// Counts what is about to be repaired. True where that would feed a war.
    fn count_repairs(
        &self,
        records: &mut [RecordStatus],
        repaired: &[RecordType],
        place: &Place,
    ) -> bool {
        let mut looping = false;
        for record in records {
            let counted = self.counted_repairs(&record.repair_times);
            let is_repaired = repaired.iter().any(|rtype| rtype.as_str() == record.rtype);
            record.repair_times = match is_repaired {
                true if Self::is_loop(&counted) => {
                    looping = true;
                    record.state = RecordState::Conflict;
                    counted
                }
                true => self.with_repair(&counted),
                false => self.settled_repairs(counted, place),
            };
        }
        looping
    }

    fn record_statuses(
        &self,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        difference: &Difference,
        conflicts: &[Conflict],
    ) -> Vec<RecordStatus> {
        let texts = surveyed.txt().map(survey::txt_texts).unwrap_or_default();
        let mx = (RecordType::Mx, vec![wanted.mx().to_value()], wanted.marker.mx);
        let txt = (RecordType::Txt, wanted.txt_values(&texts), wanted.marker.spf);
        let status = |(rtype, values, origin): (RecordType, Vec<String>, Origin)| {
            let stored = self.record_status(&wanted.name, rtype.as_str());
            let seen = stored.is_some_and(|s| {
                let kept = matches!(s.state, RecordState::Published | RecordState::Draining);
                kept && s.values.first() == values.first()
            });
            let state = if conflicts.iter().any(|conflict| conflict.rtype == rtype) {
                RecordState::Conflict
            } else if seen && !difference.moved.contains(&rtype) {
                RecordState::Published
            } else {
                RecordState::Planned
            };
            let unchanged = stored.filter(|s| s.state == state);
            RecordStatus {
                name: wanted.name.to_string(),
                rtype: rtype.to_string(),
                ttl_seconds: i32::try_from(wanted.ttl).unwrap_or(i32::MAX),
                values,
                zone: surveyed.zone.id.to_string(),
                state,
                origin: Some(origin),
                since: unchanged.and_then(|s| s.since.clone()).or_else(|| Some(self.now())),
                repair_times: stored.map(|s| s.repair_times.clone()).unwrap_or_default(),
            }
        };
        [mx, txt].map(status).into()
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

fn change_type(change: &crate::mail::Change) -> &RecordType {
    match change {
        crate::mail::Change::Create(set) | crate::mail::Change::Delete(set) => &set.rtype,
    }
}

fn as_conflict(mut records: Vec<RecordStatus>) -> Vec<RecordStatus> {
    for record in &mut records {
        record.state = RecordState::Conflict;
    }
    records
}

fn not_ours(name: &MailFromDomain, what: &str, values: &[String]) -> Finding {
    Finding::new(
        Reason::RecordConflict,
        format!("{name} has {what} records that this object did not make: {}", quoted(values)),
    )
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
