//! A put: whether it may be made now, and what status says before it is sent.

use super::finding::Finding;
use super::inquiry::{Reading, after};
use super::names::humane;
use super::regions::RegionPlan;
use super::scene::Scene;
use super::world::Said;
use crate::api::{Reason, RegionStatus};
use crate::authority::{Grant, Place, Service};
use crate::mail::{BehaviorOnMxFailure, MailFromDomain, Origin, Region};

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

/// What should be done in a region, before it is asked whether it may be done now.
pub(super) enum Step {
    Rest(Finding),
    /// No put is wanted: SES holds what it is to hold, or what is another's.
    Right(Finding),
    Put(Intent),
}

/// A put that is wanted.
pub(super) struct Intent {
    /// Shown while the put has to wait.
    pub finding: Finding,
    pub mail_from: Option<MailFromDomain>,
    pub behavior: BehaviorOnMxFailure,
    /// What it repairs, if it does.
    pub repairs: Option<String>,
    /// Not held off: the reading is later than the put that it answers.
    pub exempt: bool,
    /// Counts as a restart.
    pub restart: bool,
    /// RejectMessage cost the Success.
    pub reject_failed: bool,
}

impl Intent {
    pub(super) fn put(
        mail_from: Option<&MailFromDomain>,
        behavior: BehaviorOnMxFailure,
        why: String,
    ) -> Self {
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
    /// Whether the put may be made now, and what status says before it.
    pub(super) fn carry_out(
        &self,
        region: &Region,
        mut status: RegionStatus,
        step: Step,
        (grant, origin): (Grant, Option<Origin>),
    ) -> RegionPlan {
        let place = Place::Region(region.clone());
        let counted = self.counted_repairs(&status.repair_times);
        let right = matches!(step, Step::Right(_));
        let intent = match step {
            Step::Rest(finding) | Step::Right(finding) => {
                status.repair_times = self.settled_repairs(counted, &place);
                return RegionPlan { right, ..RegionPlan::resting(finding, status) };
            }
            Step::Put(intent) => intent,
        };
        if self.desired.observes() {
            return Self::observed_put(intent, status);
        }
        if intent.reject_failed {
            status.reject_tried_generation = Some(self.desired.generation);
        }
        status.repair_times = counted;
        let again = self.failed_before(&status);
        if intent.repairs.is_some() && !again && Self::is_loop(&status.repair_times) {
            let text = format!(
                "the MAIL FROM setting in {region} was repaired three times within {}; something else keeps changing it",
                humane(self.world.settings.drift_loop_window)
            );
            return RegionPlan::resting(Finding::new(Reason::DriftLoop, text), status);
        }
        let shown =
            if intent.reject_failed { reject_unreachable(region) } else { intent.finding.clone() };
        if let Err(finding) = self.may_put(region, &intent, &status, &shown) {
            return RegionPlan::resting(finding, status);
        }
        let origin = origin.unwrap_or(Origin::Created);
        let ahead = self.ahead(&status, &intent, origin);
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

    /// Whether the put may be made now; if not, what is shown meanwhile.
    fn may_put(
        &self,
        region: &Region,
        intent: &Intent,
        status: &RegionStatus,
        shown: &Finding,
    ) -> Result<(), Finding> {
        if let Some(finding) = self.paused(&Place::Region(region.clone())) {
            return Err(finding);
        }
        let last_put = status.last_put_time.as_ref().map(|time| time.0);
        let due = last_put.map(|at| after(at, self.world.settings.put_hold_off));
        // A put that SES refused, throttled for one, has changed nothing that a
        // reading could miss.
        let refused = self.world.memory.faults.get(&Place::Region(region.clone()));
        let refused = refused.is_some_and(|failed| failed.fault.said != Said::Nothing);
        let exempt = intent.exempt || refused;
        if let Some(due) = due.filter(|due| self.world.now < *due && !exempt) {
            self.inquiry.wake_at(due);
            return Err(shown.clone());
        }
        let age = self.world.settings.max_observation_age.min(self.resync());
        match self.inquiry.identity(&self.desired.domain, region, age) {
            Reading::Known { .. } if self.answering(Service::Ses).is_some() => Ok(()),
            _ => Err(shown.clone()),
        }
    }

    fn failed_before(&self, status: &RegionStatus) -> bool {
        let mut failed = self.world.memory.faults.keys();
        failed.any(|place| matches!(place, Place::Region(r) if r.as_str() == status.name))
    }

    /// What status must say before the put is sent, of a setting of this origin.
    fn ahead(&self, status: &RegionStatus, intent: &Intent, origin: Origin) -> RegionStatus {
        let account = self.answering(Service::Ses).or(status.account.as_ref()).cloned();
        // A put that failed is tried again, and is still the same repair.
        let counts = intent.repairs.is_some() && !self.failed_before(status);
        let repair_times = if counts {
            self.with_repair(&status.repair_times)
        } else {
            status.repair_times.clone()
        };
        let named = intent.mail_from.as_ref().map(ToString::to_string);
        // Lowered by ourselves: to raise it again later repairs nothing.
        let lowered = intent.behavior != self.desired.behavior;
        let behavior = lowered.then_some(intent.behavior).or(status.behavior_on_mx_failure);
        RegionStatus {
            behavior_on_mx_failure: behavior,
            account,
            origin: Some(origin),
            adopted_time: status.adopted_time.clone().filter(|_| origin == Origin::Adopted),
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
        self.carry_out(region, status, Step::Put(intent), (grant, None))
    }

    /// What stays in SES is not to refuse mail for the want of an MX that goes.
    pub(super) fn lowering(
        &self,
        region: &Region,
        held: &MailFromDomain,
        status: RegionStatus,
        grant: Grant,
    ) -> RegionPlan {
        let why = format!("taking RejectMessage back in {region} before the MX of {held} goes");
        let intent = Intent::put(Some(held), BehaviorOnMxFailure::UseDefaultValue, why);
        self.carry_out(region, status, Step::Put(intent), (grant, Some(Origin::Adopted)))
    }
}

pub(super) fn reject_unreachable(region: &Region) -> Finding {
    Finding::new(
        Reason::RejectMessageUnreachable,
        format!("SES in {region} dropped its Success when RejectMessage was asked for"),
    )
}
