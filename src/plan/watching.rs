//! SES holds what is wanted in a region: what each of its words calls for.

use super::dns::DnsVerdict;
use super::finding::Finding;
use super::inquiry::after;
use super::name_plan::NamePlan;
use super::names::humane;
use super::puts::{Intent, Step, reject_unreachable};
use super::scene::{Scene, elapsed};
use crate::api::{Reason, RegionStatus};
use crate::authority::Place;
use crate::mail::{BehaviorOnMxFailure, MailFrom, MailFromDomain, MailFromStatus, Origin, Region};

impl Scene<'_> {
    /// SES holds what we want there: watch it.
    pub(super) fn keep(
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
        if let Some(said) = self.said_while_asking(region, name, held.status) {
            return Step::Rest(said);
        }
        match held.status {
            MailFromStatus::Success => self.in_success(region, target, name, held, stored),
            MailFromStatus::Pending | MailFromStatus::NotStarted => {
                match self.in_pending(region, target, held, stored) {
                    Step::Rest(_) | Step::Right(_) if name.is_stalled() => {
                        Step::Rest(unseen(region, target, name))
                    }
                    step => step,
                }
            }
            MailFromStatus::TemporaryFailure if name.is_stalled() => {
                Step::Rest(unseen(region, target, name))
            }
            MailFromStatus::TemporaryFailure => {
                let why = match &name.dns {
                    DnsVerdict::Wrong(why) => format!(": {why}"),
                    _ => String::new(),
                };
                Step::Right(Finding::new(
                    Reason::TemporaryFailure,
                    format!("SES in {region} does not see the MX of {target} any more{why}"),
                ))
            }
            MailFromStatus::Failed => self.in_failed(region, target, name, stored),
        }
    }

    /// While DNS is asked again, what it showed last stands: the message would
    /// else change with each look.
    fn said_while_asking(
        &self,
        region: &Region,
        name: &NamePlan,
        status: MailFromStatus,
    ) -> Option<Finding> {
        let said = self.world.memory.findings.get(&Place::Region(region.clone()))?;
        let speaks = match status {
            MailFromStatus::TemporaryFailure => said.reason == Reason::TemporaryFailure,
            MailFromStatus::Failed => matches!(
                said.reason,
                Reason::Restarting | Reason::VerificationFailed | Reason::SharedMxNotAccepted
            ),
            _ => false,
        };
        let stands = speaks && name.dns == DnsVerdict::Asking;
        stands.then(|| Finding::new(said.reason, &*said.message))
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
            return Step::Right(done());
        }
        let raise = wanted == BehaviorOnMxFailure::RejectMessage;
        let tried = stored.and_then(|s| s.reject_tried_generation);
        if raise && tried == Some(self.desired.generation) {
            return Step::Rest(reject_unreachable(region));
        }
        if raise && !self.desired.immediate && !name.is_ready() {
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
        // RejectMessage that was found and is wanted is not lowered: mail is
        // treated as it was before us.
        let found = self.setting_origin(region) == Some(Origin::Adopted)
            && stored.is_none_or(|stored| stored.last_put_time.is_none())
            && held.behavior == self.desired.behavior;
        if held.behavior != wanted && !found {
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
        Step::Right(Finding::new(Reason::Pending, text))
    }
}

/// SES looks for an MX that cannot come to stand before a person has acted.
fn unseen(region: &Region, target: &MailFromDomain, name: &NamePlan) -> Finding {
    let why = &name.finding;
    let text = format!("SES in {region} does not see the MX of {target}: {}", why.message);
    Finding::new(why.reason, text)
}
