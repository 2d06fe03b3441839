//! One region: what SES is to be told, and when.

use std::collections::BTreeMap;

use super::dns::DnsVerdict;
use super::finding::Finding;
use super::inquiry::{Reading, after};
use super::names::{NamePlan, humane};
use super::scene::{Holding, Scene, elapsed};
use super::survey::Mark;
use super::window::{deadline, restart_pause};
use crate::api::{Reason, RegionStatus, Sending};
use crate::authority::{Grant, Place};
use crate::mail::{
    BehaviorOnMxFailure, Identity, MailFrom, MailFromDomain, MailFromStatus, Origin, Region,
};

/// What was decided for one region.
#[derive(Debug)]
pub(super) struct RegionPlan {
    pub finding: Finding,
    /// The put to make, if one is due.
    pub put: Option<Put>,
    /// What status is to say; `None` where the region is done with.
    pub status: Option<RegionStatus>,
    /// Whether the region was read well.
    pub read: bool,
}

impl RegionPlan {
    pub(super) fn resting(finding: Finding, status: RegionStatus) -> Self {
        let status = RegionStatus { message: finding.sentence(), ..status };
        Self { finding, put: None, status: Some(status), read: true }
    }
}

/// A put, and what status must say before it is sent.
#[derive(Debug)]
pub(super) struct Put {
    pub grant: Grant,
    /// `None` clears.
    pub mail_from: Option<MailFromDomain>,
    pub behavior: BehaviorOnMxFailure,
    pub ahead: RegionStatus,
    /// What it repairs, for a notice.
    pub repairs: Option<String>,
}

/// What should be done, before it is asked whether it may be done now.
enum Step {
    Rest(Finding),
    Put(Intent),
}

struct Intent {
    /// Shown while the put has to wait.
    finding: Finding,
    mail_from: Option<MailFromDomain>,
    behavior: BehaviorOnMxFailure,
    /// What it repairs, if it does.
    repairs: Option<String>,
    /// Not held off: the reading is later than the put that it answers.
    exempt: bool,
    /// Counts as a restart.
    restart: bool,
    /// RejectMessage cost the Success.
    reject_failed: bool,
}

impl Intent {
    fn put(mail_from: Option<&MailFromDomain>, behavior: BehaviorOnMxFailure, why: String) -> Self {
        Self {
            finding: Finding::new(Reason::SettingMailFrom, why),
            mail_from: mail_from.cloned(),
            behavior,
            repairs: None,
            exempt: false,
            restart: false,
            reject_failed: false,
        }
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
        if self.account_changed(stored.and_then(|s| s.account.as_ref())) {
            return rest(self.other_account(&format!("the MAIL FROM setting in {region}")));
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
            Err(rival) => {
                let what = format!("the identity {} in {region}", self.desired.domain);
                return rest(Finding::lost_to(&rival, self.world.standing.key(), &what));
            }
        };
        let holding = self.holding(region);
        if let Some(finding) = self.cannot_send(region, identity.as_ref()) {
            return rest(finding);
        }
        let Some(name) = names.get(target) else { return self.unread_region(region, None) };
        let step = match &holding {
            Holding::Unknown => return self.unread_region(region, None),
            Holding::Missing => return rest(self.missing(region)),
            Holding::Foreign(held) => Step::Rest(self.foreign(region, held)),
            Holding::Empty => self.begin(region, target, name, stored),
            Holding::Ours(held, _) if held != target => self.move_to(region, held, target, name),
            Holding::Ours(_, mail_from) => self.keep(region, target, name, mail_from, stored),
        };
        self.carry_out(region, status, step, grant)
    }

    pub(super) fn unread_region(
        &self,
        region: &Region,
        fault: Option<&super::world::Fault>,
    ) -> RegionPlan {
        let finding = self.unread(&Place::Region(region.clone()), fault);
        let status = self.region_status(region).cloned();
        let status = status.unwrap_or_else(|| new_status(region));
        let read = fault.is_some_and(|fault| !fault.transient);
        RegionPlan { read, ..RegionPlan::resting(finding, status) }
    }

    fn cannot_send(&self, region: &Region, identity: Option<&Identity>) -> Option<Finding> {
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

    fn foreign(&self, region: &Region, held: &MailFrom) -> Finding {
        let text = format!(
            "SES holds the MAIL FROM domain {} for {} in {region}, which this object did not set",
            super::records::bounded(&held.domain),
            self.desired.domain
        );
        Finding::new(Reason::MailFromConflict, text)
    }

    /// The behaviour that goes with a put at a name that SES has not verified.
    fn careful(&self) -> BehaviorOnMxFailure {
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
        if let Some(waits) = waits_for_name(region, target, name) {
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
        if let Some(waits) = waits_for_name(region, target, name) {
            return Step::Rest(waits);
        }
        let why = format!("moving SES in {region} from {held} to {target}");
        Step::Put(Intent::put(Some(target), self.careful(), why))
    }

    /// SES holds what we want there: watch it.
    fn keep(
        &self,
        region: &Region,
        target: &MailFromDomain,
        name: &NamePlan,
        held: &MailFrom,
        stored: Option<&RegionStatus>,
    ) -> Step {
        if let Some(rescue) = self.rescue(region, target, held, stored) {
            return rescue;
        }
        match held.status {
            MailFromStatus::Success => self.in_success(region, target, name, held, stored),
            MailFromStatus::Pending | MailFromStatus::NotStarted => {
                self.in_pending(region, target, held, stored)
            }
            MailFromStatus::TemporaryFailure => {
                let why = match &name.dns {
                    DnsVerdict::Wrong(why) => format!(": {why}"),
                    _ => String::new(),
                };
                Step::Rest(Finding::new(
                    Reason::TemporaryFailure,
                    format!("SES in {region} does not see the MX of {target} any more{why}"),
                ))
            }
            MailFromStatus::Failed => self.in_failed(region, target, name, stored),
        }
    }

    /// RejectMessage was put on a Success and SES dropped the Success: mail is
    /// refused now, so the default goes back at once, and once only.
    fn rescue(
        &self,
        region: &Region,
        target: &MailFromDomain,
        held: &MailFrom,
        stored: Option<&RegionStatus>,
    ) -> Option<Step> {
        let refuses = held.behavior == BehaviorOnMxFailure::RejectMessage;
        let wanted = self.desired.behavior == BehaviorOnMxFailure::RejectMessage;
        if self.desired.immediate || !wanted || !refuses || held.status == MailFromStatus::Success {
            return None;
        }
        let stored = stored?;
        let known = stored.reject_tried_generation == Some(self.desired.generation);
        let read_after_put =
            stored.last_put_time.as_ref().is_some_and(|put| self.sent(region) >= Some(put.0));
        let cost = stored.mail_from_status == MailFromStatus::Success
            && stored.behavior_on_mx_failure != Some(BehaviorOnMxFailure::RejectMessage)
            && read_after_put;
        let put = Intent::put(
            Some(target),
            BehaviorOnMxFailure::UseDefaultValue,
            format!("taking RejectMessage back in {region}, where it cost the Success"),
        );
        (cost || known).then_some(Step::Put(Intent { exempt: !known, reject_failed: true, ..put }))
    }

    fn in_success(
        &self,
        region: &Region,
        target: &MailFromDomain,
        name: &NamePlan,
        held: &MailFrom,
        stored: Option<&RegionStatus>,
    ) -> Step {
        let lowered = name.lowering && !self.desired.immediate;
        let wanted =
            if lowered { BehaviorOnMxFailure::UseDefaultValue } else { self.desired.behavior };
        let done = || Finding::new(Reason::Succeeded, format!("SES in {region} uses {target}"));
        if held.behavior == wanted {
            return Step::Rest(done());
        }
        let raise = wanted == BehaviorOnMxFailure::RejectMessage;
        let tried = stored.and_then(|s| s.reject_tried_generation);
        if raise && tried == Some(self.desired.generation) {
            return Step::Rest(reject_unreachable(region));
        }
        if raise && !self.desired.immediate && !name.ready {
            return Step::Rest(Finding::new(name.finding.reason, &*name.finding.message));
        }
        let published = name.published_since();
        if raise && !self.desired.immediate && self.sent(region) < published {
            // This Success may speak of the MX that stood before.
            let _ = self.inquiry.identity(
                &self.desired.domain,
                region,
                published.map_or_else(Default::default, |at| elapsed(at, self.world.now)),
            );
            return Step::Rest(Finding::new(
                Reason::SettingMailFrom,
                format!("waiting for SES in {region} to see the MX of {target} again"),
            ));
        }
        let why = format!("asking SES in {region} for {}", wanted.as_str());
        let put = Intent::put(Some(target), wanted, why);
        Step::Put(Intent { repairs: self.drifted_behavior(region, wanted, stored), ..put })
    }

    /// What a behaviour put repairs, where the behaviour was right before and
    /// the spec has not changed since.
    fn drifted_behavior(
        &self,
        region: &Region,
        wanted: BehaviorOnMxFailure,
        stored: Option<&RegionStatus>,
    ) -> Option<String> {
        let same = self.stored.observed_generation == self.desired.generation;
        let was_right = stored.is_some_and(|s| s.behavior_on_mx_failure == Some(wanted));
        let text = || format!("the behaviour on MX failure of {region} was changed");
        (same && was_right).then(text)
    }

    fn in_pending(
        &self,
        region: &Region,
        target: &MailFromDomain,
        held: &MailFrom,
        stored: Option<&RegionStatus>,
    ) -> Step {
        let wanted = self.careful();
        if held.behavior != wanted {
            let why = format!("asking SES in {region} for {}", wanted.as_str());
            let put = Intent::put(Some(target), wanted, why);
            return Step::Put(Intent {
                repairs: self.drifted_behavior(region, wanted, stored),
                ..put
            });
        }
        let since = self.mirrored(region).since.map_or(self.world.now, |time| time.0);
        let ends = after(since, self.world.settings.verification_window);
        if self.world.now >= ends {
            let window = humane(self.world.settings.verification_window);
            return Step::Rest(Finding::new(
                Reason::VerificationOverdue,
                format!("SES in {region} has not decided on {target} within {window}"),
            ));
        }
        self.inquiry.wake_at(ends);
        let text = format!("SES in {region} looks for the MX of {target}");
        Step::Rest(Finding::new(Reason::Pending, text))
    }

    /// SES gave up. It never tries again by itself, so we start it again, once
    /// DNS is right and the pause is over.
    fn in_failed(
        &self,
        region: &Region,
        target: &MailFromDomain,
        name: &NamePlan,
        stored: Option<&RegionStatus>,
    ) -> Step {
        let status = self.mirrored(region);
        let gave_up = format!("SES in {region} gave up on the MX of {target}");
        let foreign_mx = name.mx_region.as_ref().filter(|mx| *mx != region);
        if let Some(mx) =
            foreign_mx.filter(|_| status.restarts >= 1 && name.dns == DnsVerdict::Right)
        {
            return Step::Rest(Finding::new(
                Reason::SharedMxNotAccepted,
                format!("{gave_up}, which names the endpoint of {mx}, also after a restart"),
            ));
        }
        match &name.dns {
            DnsVerdict::Wrong(why) => {
                return Step::Rest(Finding::new(
                    Reason::VerificationFailed,
                    format!("{gave_up}: {why}"),
                ));
            }
            DnsVerdict::Unknown if !name.ready && name.read => {
                let finding = &name.finding;
                let reason = match finding.reason.progress() {
                    crate::api::Progress::Reconciling => Reason::Restarting,
                    _ => Reason::VerificationFailed,
                };
                return Step::Rest(Finding::new(reason, format!("{gave_up}: {}", finding.message)));
            }
            DnsVerdict::Unknown => {
                return Step::Rest(Finding::new(
                    Reason::Restarting,
                    format!("{gave_up}; asking DNS"),
                ));
            }
            DnsVerdict::Right if !name.ready => {
                return Step::Rest(Finding::new(
                    Reason::Restarting,
                    format!("{gave_up}: {}", name.finding.message),
                ));
            }
            DnsVerdict::Right => {}
        }
        self.restart(target, name, &status, stored, gave_up)
    }

    fn restart(
        &self,
        target: &MailFromDomain,
        name: &NamePlan,
        status: &RegionStatus,
        stored: Option<&RegionStatus>,
        gave_up: String,
    ) -> Step {
        let last_put = status.last_put_time.as_ref().map(|time| time.0);
        let mended = self.world.memory.dns_wrong.contains(target.name())
            || (last_put.is_some() && name.published_since() > last_put);
        let from = last_put.or(status.since.as_ref().map(|t| t.0)).unwrap_or(self.world.now);
        let due = after(from, restart_pause(status.restarts, self.world.settings));
        let finding = Finding::new(
            Reason::Restarting,
            format!("{gave_up}; DNS is right, so the setup is started again"),
        );
        if self.world.now < due && !mended {
            self.inquiry.wake_at(due);
            return Step::Rest(finding);
        }
        // `since` is the later of the last put and the first sight of Failed,
        // so where the two are equal the put changed nothing: clear first.
        let put_did_nothing = status.restarts >= 1 && status.since == status.last_put_time;
        let cleared = put_did_nothing && stored.is_some();
        let mail_from = (!cleared).then_some(target);
        let behavior = if cleared { BehaviorOnMxFailure::UseDefaultValue } else { self.careful() };
        let put = Intent::put(mail_from, behavior, String::new());
        Step::Put(Intent { finding, restart: !cleared, ..put })
    }

    /// Whether the put may be made now, and what status says before it.
    fn carry_out(
        &self,
        region: &Region,
        mut status: RegionStatus,
        step: Step,
        grant: Grant,
    ) -> RegionPlan {
        let place = Place::Region(region.clone());
        let counted = self.counted_repairs(&status.repair_times);
        let intent = match step {
            Step::Rest(finding) => {
                status.repair_times = self.settled_repairs(counted, &place);
                return RegionPlan::resting(finding, status);
            }
            Step::Put(intent) => intent,
        };
        if intent.reject_failed {
            status.reject_tried_generation = Some(self.desired.generation);
        }
        status.repair_times = counted;
        if intent.repairs.is_some() && Self::is_loop(&status.repair_times) {
            let text = format!(
                "the MAIL FROM setting in {region} was repaired three times within {}; something else keeps changing it",
                humane(self.world.settings.drift_loop_window)
            );
            return RegionPlan::resting(Finding::new(Reason::DriftLoop, text), status);
        }
        let shown =
            if intent.reject_failed { reject_unreachable(region) } else { intent.finding.clone() };
        if let Some(finding) = self.held_off(region, &intent, &status, &place) {
            let finding = finding.unwrap_or(shown);
            return RegionPlan::resting(finding, status);
        }
        let ahead = self.ahead(&status, &intent);
        let plan = RegionPlan::resting(shown, status);
        let put = Put {
            grant,
            mail_from: intent.mail_from,
            behavior: intent.behavior,
            ahead: RegionStatus { message: plan.finding.sentence(), ..ahead },
            repairs: intent.repairs,
        };
        RegionPlan { put: Some(put), ..plan }
    }

    /// `Some` where the put has to wait, with the finding to show if it is not
    /// the put's own.
    fn held_off(
        &self,
        region: &Region,
        intent: &Intent,
        status: &RegionStatus,
        place: &Place,
    ) -> Option<Option<Finding>> {
        if let Some(finding) = self.paused(place) {
            return Some(Some(finding));
        }
        let last_put = status.last_put_time.as_ref().map(|time| time.0);
        let due = last_put.map(|at| after(at, self.world.settings.put_hold_off));
        if let Some(due) = due.filter(|due| self.world.now < *due && !intent.exempt) {
            self.inquiry.wake_at(due);
            return Some(None);
        }
        let age = self.world.settings.max_observation_age.min(self.resync());
        match self.inquiry.identity(&self.desired.domain, region, age) {
            Reading::Known { .. } if matches!(self.account, Reading::Known { .. }) => None,
            _ => Some(None),
        }
    }

    /// What status must say before the put is sent.
    fn ahead(&self, status: &RegionStatus, intent: &Intent) -> RegionStatus {
        let account = match &self.account {
            Reading::Known { value, .. } => Some((*value).clone()),
            _ => status.account.clone(),
        };
        let repair_times = match intent.repairs {
            Some(_) => self.with_repair(&status.repair_times),
            None => status.repair_times.clone(),
        };
        let named = intent.mail_from.as_ref().map(ToString::to_string);
        RegionStatus {
            account,
            origin: Some(Origin::Created),
            mail_from_domain: named.or_else(|| status.mail_from_domain.clone()),
            last_put_time: Some(self.now()),
            restarts: status.restarts + i32::from(intent.restart),
            repair_times,
            ..status.clone()
        }
    }

    /// The clear of a region that the object wants no longer.
    pub(super) fn clearing(
        &self,
        region: &Region,
        held: &MailFromDomain,
        status: RegionStatus,
        grant: Grant,
    ) -> RegionPlan {
        let why = format!("clearing the MAIL FROM domain {held} in {region}");
        let intent = Intent::put(None, BehaviorOnMxFailure::UseDefaultValue, why);
        self.carry_out(region, status, Step::Put(intent), grant)
    }

    /// What status says of a region, with SES's word as it was read.
    pub(super) fn mirrored(&self, region: &Region) -> RegionStatus {
        let old = self.region_status(region).cloned().unwrap_or_else(|| new_status(region));
        let Some(Reading::Known { sent, value }) = self.regions.get(region) else { return old };
        let identity = value.as_ref();
        let held = identity.and_then(|identity| identity.mail_from.as_ref());
        let status = held.map_or(MailFromStatus::NotStarted, |held| held.status);
        let first_sight = old.since.as_ref().filter(|_| old.mail_from_status == status);
        let first_sight = first_sight.map_or(*sent, |time| time.0);
        let last_put = old.last_put_time.as_ref().map_or(first_sight, |time| time.0);
        let since = held.map(|_| super::drift::whole_seconds(first_sight.max(last_put)));
        let ends = since.and_then(|since| deadline(status, since, self.world.settings));
        let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
        let tried = old.reject_tried_generation.filter(|tried| *tried == self.desired.generation);
        RegionStatus {
            mail_from_status: status,
            behavior_on_mx_failure: held.map(|held| held.behavior),
            sending: sending(identity, held),
            since: since.map(time),
            deadline: ends.map(time),
            restarts: if status == MailFromStatus::Success { 0 } else { old.restarts },
            reject_tried_generation: tried,
            ..old
        }
    }
}

fn reject_unreachable(region: &Region) -> Finding {
    Finding::new(
        Reason::RejectMessageUnreachable,
        format!("SES in {region} dropped its Success when RejectMessage was asked for"),
    )
}

/// Why SES cannot be told of a name yet.
fn waits_for_name(region: &Region, target: &MailFromDomain, name: &NamePlan) -> Option<Finding> {
    if !name.ready {
        let text =
            format!("SES in {region} is told once {target} stands: {}", name.finding.message);
        let reason = match name.finding.reason {
            Reason::Succeeded => Reason::Publishing,
            reason => reason,
        };
        return Some(Finding::new(reason, text));
    }
    if !name.listed.contains(region.as_str()) {
        let text = format!("entering {region} in the ownership marker of {target}");
        return Some(Finding::new(Reason::Publishing, text));
    }
    None
}

pub(super) fn new_status(region: &Region) -> RegionStatus {
    RegionStatus {
        name: region.to_string(),
        account: None,
        origin: None,
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
fn sending(identity: Option<&Identity>, held: Option<&MailFrom>) -> Sending {
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
