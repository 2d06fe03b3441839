//! The status that follows from what was decided, and when it is worth a write.

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::conditions::Decided;
use super::effect::Notice;
use super::name_plan::NamePlan;
use super::scene::Scene;
use crate::api::{
    ConditionType, HANDLED_MAX, Progress, RECONCILE_REQUESTED_AT, Reason, RecordState,
    SesMailFromStatus, ZoneStatus,
};
use crate::authority::Service;
use crate::mail::MailFromStatus;

/// How long progress must last before it is written: most of it is over sooner,
/// and every status write costs the API server more than a read costs AWS.
const PROGRESS_DELAY: Duration = Duration::from_secs(2);

/// What is on its way to a write to AWS.
const TURNS: [Reason; 4] =
    [Reason::Observing, Reason::Publishing, Reason::WaitingForDNS, Reason::SettingMailFrom];

impl Scene<'_> {
    /// The status that says what was decided.
    pub(super) fn report(&self, decided: &Decided) -> SesMailFromStatus {
        let regions: Vec<_> =
            decided.regions.values().filter_map(|plan| plan.status.clone()).collect();
        let records: Vec<_> =
            decided.names.values().flat_map(|plan| plan.records.iter().cloned()).collect();
        let verified = self.desired.regions.iter().filter(|(region, target)| {
            let target = Some(target.to_string());
            regions.iter().any(|status| {
                status.name == region.as_str()
                    && status.mail_from_status == MailFromStatus::Success
                    && status.mail_from_domain == target
            })
        });
        let wanted = self.desired.regions.len() + self.desired.unusable.len();
        let counted = (!self.desired.deleting)
            .then(|| format!("{}/{wanted}", verified.count()))
            .or_else(|| self.stored.regions_verified.clone());
        SesMailFromStatus {
            observed_generation: self.desired.generation,
            conditions: self.conditions(decided),
            mail_from_domain: Some(self.desired.shared.to_string()),
            regions_verified: counted,
            zones: self.zone_statuses(decided, &records),
            regions,
            records,
            last_handled_reconcile_at: self.handled(decided),
        }
    }

    fn zone_statuses(
        &self,
        decided: &Decided,
        records: &[crate::api::RecordStatus],
    ) -> Vec<ZoneStatus> {
        let mut ids: Vec<&str> = records.iter().map(|record| record.zone.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        let status = |id: &str| {
            let stored = self.stored.zones.iter().find(|zone| zone.id == id);
            let recorded = stored.and_then(|zone| zone.account.as_ref());
            let account = recorded.or(self.answering(Service::Route53)).cloned();
            let submitted = decided
                .names
                .iter()
                .filter(|(_, plan)| plan.zone.as_ref().is_some_and(|zone| zone.id.as_str() == id));
            let newest = submitted
                .filter_map(|(name, _)| self.world.memory.changes.get(name.name()))
                .max_by_key(|(_, at)| *at)
                .map(|(change, _)| change.clone());
            let change_id = newest.or_else(|| stored.and_then(|zone| zone.change_id.clone()));
            ZoneStatus { id: id.to_owned(), account, change_id }
        };
        ids.into_iter().map(status).collect()
    }

    /// The requested reconcile counts as handled once everything was read for it.
    fn handled(&self, decided: &Decided) -> Option<String> {
        let annotations = self.world.object.metadata.annotations.as_ref();
        let asked = annotations.and_then(|all| all.get(RECONCILE_REQUESTED_AT));
        let read = decided.regions.values().all(|plan| plan.read)
            && decided.names.values().all(NamePlan::is_read);
        let stored = self.stored.last_handled_reconcile_at.clone();
        asked.filter(|_| read).map(|text| text.chars().take(HANDLED_MAX).collect()).or(stored)
    }

    /// Whether a status that differs from the stored one is written now; else
    /// it is only progress, and may be over before it is worth a write.
    pub(super) fn is_urgent(&self, status: &SesMailFromStatus) -> bool {
        let old = condition(self.stored, ConditionType::Ready);
        let new = condition(status, ConditionType::Ready);
        let stalled = |status: &SesMailFromStatus| {
            condition(status, ConditionType::Stalled).map(|stalled| stalled.reason.clone())
        };
        let became = old.map(|old| &old.status) != new.map(|new| &new.status);
        let first = self.stored.observed_generation < 0;
        let handled = self.stored.last_handled_reconcile_at != status.last_handled_reconcile_at;
        let is_ready = new.is_some_and(|new| new.status == "True");
        is_ready || (became && !first) || stalled(self.stored) != stalled(status) || handled
    }

    /// How long progress must last before it is written. What waits for its turn
    /// is followed by a write that is due anyway, that ahead of a change or of a
    /// put, and rides on it: ten thousand objects take turns for many minutes. But
    /// no status is older than a resync.
    pub(super) fn progress_delay(&self, status: &SesMailFromStatus) -> Duration {
        let ready = condition(status, ConditionType::Ready);
        let waits =
            ready.is_some_and(|ready| TURNS.iter().any(|reason| ready.reason == reason.as_str()));
        let resync = self.world.settings.resync;
        if waits { resync.max(PROGRESS_DELAY) } else { PROGRESS_DELAY }
    }

    /// The Events that tell a person of what changed.
    pub(super) fn transitions(&self, status: &SesMailFromStatus) -> Vec<Notice> {
        let mut notices = Vec::new();
        notices.extend(self.published_notice(status));
        notices.extend(self.left_notice(status));
        let old = condition(self.stored, ConditionType::Ready);
        let Some(new) = condition(status, ConditionType::Ready) else { return notices };
        let changed = old.is_none_or(|old| old.reason != new.reason || old.status != new.status);
        let reason = Reason::ALL.iter().find(|reason| reason.as_str() == new.reason);
        let Some(reason) = reason.filter(|reason| changed && is_news(**reason)) else {
            return notices;
        };
        let warning = *reason != Reason::Succeeded;
        notices.push(Notice { warning, reason: reason.as_str(), note: new.message.clone() });
        notices
    }

    pub(super) fn published_notice(&self, status: &SesMailFromStatus) -> Option<Notice> {
        let stands = |status: &SesMailFromStatus, name: &str| {
            let mut here = status.records.iter().filter(|r| r.name == name).peekable();
            here.peek().is_some() && here.all(|r| r.state == RecordState::Published)
        };
        let name = self.desired.names.keys().map(ToString::to_string);
        let new: Vec<String> =
            name.filter(|name| stands(status, name) && !stands(self.stored, name)).collect();
        let note = format!("the records of {} are published", new.join(", "));
        let news = !new.is_empty() && !self.desired.observes();
        news.then_some(Notice { warning: false, reason: "RecordsPublished", note })
    }
}

/// What a person wants to be told of: that it is done, that they must act, and
/// that what was done has come undone. Mere progress is not news.
fn is_news(reason: Reason) -> bool {
    let undone = matches!(
        reason,
        Reason::TemporaryFailure
            | Reason::Restarting
            | Reason::VerificationOverdue
            | Reason::ObservationStale
            | Reason::ZoneNotFound
            | Reason::IdentityNotFound
            | Reason::IdentityNotVerified
            | Reason::Succeeded
    );
    undone || matches!(reason.progress(), Progress::Stalled | Progress::StalledAfterGrace)
}

pub(super) fn condition(status: &SesMailFromStatus, kind: ConditionType) -> Option<&Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind.as_str())
}
