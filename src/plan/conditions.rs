//! Many findings, one answer: the conditions.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::finding::Finding;
use super::name_plan::{NamePlan, Stance};
use super::regions::RegionPlan;
use super::scene::{Scene, elapsed};
use crate::api::{ConditionType, Progress, Reason};
use crate::authority::Place;
use crate::mail::{MailFromDomain, MailFromStatus, Region};

/// The most characters of a message: all that Manage would do to 32 regions.
const MESSAGE_MAX: usize = 8192;

/// Everything decided, by place.
#[derive(Debug, Default)]
pub(super) struct Decided {
    pub regions: BTreeMap<Region, RegionPlan>,
    pub names: BTreeMap<MailFromDomain, NamePlan>,
    /// Regions that the spec names and that cannot be used.
    pub unusable: Vec<Finding>,
}

/// A condition before it is compared with the one that stands.
struct Said {
    kind: ConditionType,
    status: &'static str,
    reason: Reason,
    message: String,
}

impl Decided {
    /// Every finding with its place; findings about the spec have none.
    pub(super) fn findings(&self) -> Vec<(Option<Place>, &Finding)> {
        let regions = self.regions.iter();
        let regions =
            regions.map(|(region, plan)| (Some(Place::Region(region.clone())), &plan.finding));
        let names = self.names.iter().filter(|(_, plan)| plan.stance != Stance::Idle);
        let names = names.map(|(name, plan)| (Some(Place::Name(name.clone())), &plan.finding));
        let spec = self.unusable.iter().map(|finding| (None, finding));
        // Names first: of findings of one reason, a name's says it at its source.
        spec.chain(names).chain(regions).collect()
    }

    /// The worst of several findings: by the table's order, ties by place.
    fn worst<'f>(findings: impl Iterator<Item = &'f Finding>) -> Option<&'f Finding> {
        findings.reduce(|worst, next| if next.reason < worst.reason { next } else { worst })
    }
}

impl Scene<'_> {
    /// What `reason` means for a place where it has stood since `first`.
    fn progress(&self, place: Option<&Place>, reason: Reason) -> Progress {
        if reason.progress() != Progress::StalledAfterGrace {
            return reason.progress();
        }
        let remembered = place.and_then(|place| self.world.memory.findings.get(place));
        let first = remembered.filter(|r| r.reason == reason).map(|r| r.first);
        let grace = self.world.settings.stall_grace;
        let over = first.is_some_and(|first| elapsed(first, self.world.now) >= grace);
        // A process that has just started remembers nothing: what status says
        // has stood long enough is not given the grace again.
        let said = self.stored.conditions.iter().any(|condition| {
            condition.type_ == ConditionType::Stalled.as_str()
                && condition.reason == reason.as_str()
        });
        match first {
            Some(first) if !over => {
                self.inquiry.wake_at(super::inquiry::after(first, grace));
                if said { Progress::Stalled } else { Progress::Reconciling }
            }
            None if !said => Progress::Reconciling,
            _ => Progress::Stalled,
        }
    }

    /// The conditions that follow from what was decided.
    pub(super) fn conditions(&self, decided: &Decided) -> Vec<Condition> {
        let findings = decided.findings();
        let mut said = self.readiness(&findings);
        for said in &mut said {
            said.message = self.with_changes(std::mem::take(&mut said.message), decided);
        }
        said.push(Self::authorized(&findings));
        said.push(self.identity_verified(decided));
        said.push(self.records_published(decided));
        said.push(self.mail_from_verified(decided));
        said.push(self.aligned(decided));
        said.sort_by_key(|said| said.kind);
        said.iter().map(|said| self.condition(said)).collect()
    }

    fn condition(&self, said: &Said) -> Condition {
        let old = self.stored.conditions.iter().find(|old| old.type_ == said.kind.as_str());
        let same = old.filter(|old| old.status == said.status);
        let since: Time = same.map_or_else(|| self.now(), |old| old.last_transition_time.clone());
        let message: String = said.message.chars().take(MESSAGE_MAX).collect();
        Condition {
            type_: said.kind.as_str().to_owned(),
            status: said.status.to_owned(),
            reason: said.reason.as_str().to_owned(),
            message,
            observed_generation: Some(self.desired.generation),
            last_transition_time: since,
        }
    }

    /// `Ready`, and `Reconciling` or `Stalled` where one of them holds.
    fn readiness(&self, findings: &[(Option<Place>, &Finding)]) -> Vec<Said> {
        let open: Vec<(Progress, &Finding)> = findings
            .iter()
            .map(|(place, finding)| (self.progress(place.as_ref(), finding.reason), *finding))
            .filter(|(progress, _)| *progress != Progress::Done)
            .collect();
        let Some(worst) = Decided::worst(open.iter().map(|(_, finding)| *finding)) else {
            return if self.desired.deleting { Self::going() } else { vec![self.ready()] };
        };
        let stale = worst.reason == Reason::ObservationStale;
        let mut said = vec![Said {
            kind: ConditionType::Ready,
            status: if stale { "Unknown" } else { "False" },
            reason: worst.reason,
            message: worst.sentence(),
        }];
        let advancing = open.iter().filter(|(p, _)| *p == Progress::Reconciling);
        let (kind, shown) = match Decided::worst(advancing.map(|(_, finding)| *finding)) {
            Some(finding) => (ConditionType::Reconciling, finding),
            None => (ConditionType::Stalled, worst),
        };
        let (reason, message) = (shown.reason, shown.sentence());
        said.push(Said { kind, status: "True", reason, message });
        said
    }

    /// What is being deleted is never Ready, whatever still stands.
    fn going() -> Vec<Said> {
        let said = |kind, status| Said {
            kind,
            status,
            reason: Reason::Deleting,
            message: "taking back what is ours".to_owned(),
        };
        vec![said(ConditionType::Ready, "False"), said(ConditionType::Reconciling, "True")]
    }

    fn ready(&self) -> Said {
        let names: Vec<String> = self.desired.names.keys().map(ToString::to_string).collect();
        let count = self.desired.regions.len();
        let regions = if count == 1 { "region" } else { "regions" };
        let message = format!("SES uses {} in {count} {regions}", names.join(", "));
        Said { kind: ConditionType::Ready, status: "True", reason: Reason::Succeeded, message }
    }

    fn authorized(findings: &[(Option<Place>, &Finding)]) -> Said {
        let kind = ConditionType::Authorized;
        let unauthorized = [Reason::PolicyDenied, Reason::DomainConflict];
        let lost = findings.iter().find(|(_, f)| unauthorized.contains(&f.reason));
        match lost {
            Some((_, finding)) => {
                Said { kind, status: "False", reason: finding.reason, message: finding.sentence() }
            }
            None => Said {
                kind,
                status: "True",
                reason: Reason::Succeeded,
                message: "a policy allows it, and no other object holds it".to_owned(),
            },
        }
    }

    fn identity_verified(&self, decided: &Decided) -> Said {
        let kind = ConditionType::IdentityVerified;
        let domain = &self.desired.domain;
        let wanted = || self.desired.regions.keys().map(|region| (region, self.verified(region)));
        if let Some((region, _)) = wanted().find(|(_, verified)| *verified == Some(false)) {
            let missing = matches!(self.holding(region), super::scene::Holding::Missing);
            let (reason, text) = if missing {
                (Reason::IdentityNotFound, format!("SES has no identity {domain} in {region}"))
            } else {
                let text = format!("the SES identity {domain} is not verified in {region}");
                (Reason::IdentityNotVerified, text)
            };
            return Said { kind, status: "False", reason, message: text };
        }
        let unread = wanted().find(|(_, verified)| verified.is_none());
        match unread.and_then(|(region, _)| Some((region, decided.regions.get(region)?))) {
            Some((region, plan)) => self.as_before(kind).unwrap_or_else(|| Said {
                kind,
                status: "Unknown",
                reason: plan.finding.reason,
                message: format!("SES has not been read in {region}"),
            }),
            None => Said {
                kind,
                status: "True",
                reason: Reason::Succeeded,
                message: format!("{domain} is verified in every region"),
            },
        }
    }

    /// A condition as it stands, for what could not be read again.
    fn as_before(&self, kind: ConditionType) -> Option<Said> {
        let old = self.said().conditions.iter().find(|old| old.type_ == kind.as_str())?;
        let status = ["True", "False", "Unknown"].into_iter().find(|s| *s == old.status)?;
        let reason = Reason::ALL.iter().find(|reason| reason.as_str() == old.reason)?;
        Some(Said { kind, status, reason: *reason, message: old.message.clone() })
    }

    fn records_published(&self, decided: &Decided) -> Said {
        let kind = ConditionType::RecordsPublished;
        let wanted = decided.names.iter().filter(|(name, _)| self.desired.names.contains_key(name));
        let open = wanted.clone().filter(|(_, plan)| plan.finding.reason != Reason::Succeeded);
        if let Some(worst) = Decided::worst(open.map(|(_, plan)| &plan.finding)) {
            let (reason, message) = (worst.reason, worst.sentence());
            return Said { kind, status: "False", reason, message };
        }
        // That DNS could not be asked is found out once, when the records become
        // visible, and stays said for the generation.
        let same = self.stored.observed_generation == self.desired.generation;
        if let Some(said) = self.as_before(kind).filter(|said| same && said.status == "True") {
            return said;
        }
        let notes: Vec<&str> = wanted.map(|(_, plan)| plan.finding.message.as_str()).collect();
        let message = if notes.is_empty() { "nothing to publish".into() } else { notes.join("; ") };
        Said { kind, status: "True", reason: Reason::Succeeded, message }
    }

    fn mail_from_verified(&self, decided: &Decided) -> Said {
        let kind = ConditionType::MailFromVerified;
        match self.unverified(decided) {
            Some((finding, _)) => {
                let (reason, message) = (finding.reason, finding.sentence());
                Said { kind, status: "False", reason, message }
            }
            None => Said {
                kind,
                status: "True",
                reason: Reason::Succeeded,
                message: "SES says Success in every region".to_owned(),
            },
        }
    }

    /// The worst region in which SES does not say Success of the name wanted.
    fn unverified<'f>(&self, decided: &'f Decided) -> Option<(&'f Finding, &'f Region)> {
        let open = decided.regions.iter().filter(|(region, plan)| {
            let target = self.desired.regions.get(*region).map(ToString::to_string);
            let right = plan.status.as_ref().is_some_and(|status| {
                status.mail_from_status == MailFromStatus::Success
                    && status.mail_from_domain == target
                    && plan.finding.reason != Reason::MailFromConflict
            });
            target.is_some() && !right
        });
        open.map(|(region, plan)| (&plan.finding, region)).min_by_key(|(f, _)| f.reason)
    }

    /// Whether mail sent now passes DMARC by SPF, as far as SES's status and
    /// the text of the SPF record tell.
    fn aligned(&self, decided: &Decided) -> Said {
        let kind = ConditionType::Aligned;
        if let Some((_, region)) = self.unverified(decided) {
            let message = format!(
                "mail sent from {region} does not leave with the custom MAIL FROM domain, so SPF does not align"
            );
            return Said { kind, status: "False", reason: Reason::MailFromNotVerified, message };
        }
        let broken = decided
            .names
            .iter()
            .filter(|(name, _)| self.desired.names.contains_key(name))
            .find_map(|(name, plan)| Some((name, plan.spf.as_ref()?)));
        if let Some((name, fault)) = broken {
            let message = format!("SPF does not pass for {name}: {fault}");
            return Said { kind, status: "False", reason: Reason::SpfNotPassing, message };
        }
        if !decided.unusable.is_empty() {
            let message = "a region of the spec cannot be used".to_owned();
            return Said { kind, status: "False", reason: Reason::InvalidSpec, message };
        }
        let message = format!(
            "SPF passes for the MAIL FROM domain; the DMARC record of {} is not read yet",
            self.desired.domain
        );
        Said { kind, status: "Unknown", reason: Reason::DmarcNotChecked, message }
    }
}
