//! One line of log for each transition, not for each reconcile.

use tracing::info;

use crate::api::{ConditionType, SesMailFromStatus};
use crate::mail::MailFromStatus;

/// Logs what a status that was just written says anew.
pub(super) fn log_transitions(old: Option<&SesMailFromStatus>, new: &SesMailFromStatus) {
    let before = old.and_then(ready);
    if let Some((status, reason, message)) = ready(new)
        && before
            .is_none_or(|(old_status, old_reason, _)| (old_status, old_reason) != (status, reason))
    {
        let previous = before.map_or("", |(_, reason, _)| reason);
        info!(ready = status, reason, previous, detail = message, "Changed the Ready condition");
    }
    for region in &new.regions {
        let known = old.and_then(|old| old.regions.iter().find(|known| known.name == region.name));
        let previous = known.map_or(MailFromStatus::NotStarted, |known| known.mail_from_status);
        if previous != region.mail_from_status {
            let status = region.mail_from_status.as_str();
            let previous = previous.as_str();
            info!(region = region.name, status, previous, "SES changed the MAIL FROM status");
        }
    }
}

/// Status, reason and message of the Ready condition.
fn ready(status: &SesMailFromStatus) -> Option<(&str, &str, &str)> {
    let ready = ConditionType::Ready.as_str();
    let condition = status.conditions.iter().find(|condition| condition.type_ == ready)?;
    Some((&condition.status, &condition.reason, &condition.message))
}
