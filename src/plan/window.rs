//! The 72 hours: how often to look while they run, and when to start them again.

use std::time::Duration;

use jiff::Timestamp;

use super::inquiry::after;
use super::world::Settings;
use crate::mail::MailFromStatus;

/// How old SES's word may be before it is asked again. Pending is polled fast
/// at first: its pace is an eighth of the time that it has lasted.
pub(super) fn poll_pace(elapsed: Duration, settings: &Settings) -> Duration {
    (elapsed / 8).clamp(settings.poll_min, settings.poll_max.max(settings.poll_min))
}

/// `--resync` for one object, less by up to a tenth, so that objects made together do
/// not ask together for ever, and none is looked at later. Not less by more: the
/// first name of a zone that is due takes along the others that soon will be, so
/// the shortest pace is that of all.
pub(super) fn resync_pace(uid: &str, settings: &Settings) -> Duration {
    let hash = uid.bytes().fold(17u32, |hash, byte| hash.wrapping_mul(31) ^ u32::from(byte));
    let percent = 90 + hash % 11;
    settings.resync * percent / 100
}

/// When SES gives up, if it is looking for the MX.
pub(super) fn deadline(
    status: MailFromStatus,
    since: Timestamp,
    settings: &Settings,
) -> Option<Timestamp> {
    let looking = matches!(status, MailFromStatus::Pending | MailFromStatus::TemporaryFailure);
    looking.then(|| after(since, settings.verification_window))
}

/// The pause from the last put before a Failed setup is put again:
/// `--restart-pause-min`, doubling with each restart up to `--restart-pause-max`.
pub(super) fn restart_pause(restarts: i32, settings: &Settings) -> Duration {
    let doublings = u32::try_from(restarts.clamp(0, 16)).unwrap_or(0);
    settings.restart_pause_min.saturating_mul(1 << doublings).min(settings.restart_pause_max)
}

/// The pause before a write that failed for the `count`th time in a row is tried
/// again: 5 s, doubling to 5 min. What AWS refuses until a person has acted is left
/// alone for up to an hour, so that thousands of such objects leave the quota to
/// the others: nobody waits longer than it has been wrong for.
pub(super) fn retry_pause(count: u32, transient: bool) -> Duration {
    let longest = if transient { Duration::from_mins(5) } else { Duration::from_hours(1) };
    let doublings = count.saturating_sub(1).min(10);
    Duration::from_secs(5 << doublings).min(longest)
}
