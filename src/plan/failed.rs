//! SES gave up: whether, when and how the setup is started again.

use super::dns::DnsVerdict;
use super::finding::Finding;
use super::inquiry::after;
use super::name_plan::{NamePlan, Stance};
use super::puts::{Intent, Step};
use super::scene::{Holding, Scene};
use super::window::restart_pause;
use crate::api::{Progress, Reason, RegionStatus};
use crate::mail::{BehaviorOnMxFailure, MailFromDomain, MailFromStatus, Region};

impl Scene<'_> {
    /// SES gave up. It never tries again by itself, so we start it again, once
    /// DNS is right and the pause is over.
    pub(super) fn in_failed(
        &self,
        region: &Region,
        target: &MailFromDomain,
        name: &NamePlan,
        stored: Option<&RegionStatus>,
    ) -> Step {
        let status = self.mirrored(region);
        let gave_up = format!("SES in {region} gave up on the MX of {target}");
        let foreign_mx = name.mx_region.as_ref().filter(|mx| *mx != region);
        let restarted = status.restarts >= 1 && !put_did_nothing(&status);
        let accused = |mx: &&Region| self.saw_it_before(mx, target, &status);
        if let Some(mx) =
            foreign_mx.filter(accused).filter(|_| restarted && name.dns == DnsVerdict::Right)
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
            DnsVerdict::Unknown | DnsVerdict::Asking if name.stance == Stance::Open => {
                let finding = &name.finding;
                let reason = match finding.reason.progress() {
                    Progress::Reconciling => Reason::Restarting,
                    _ => Reason::VerificationFailed,
                };
                return Step::Rest(Finding::new(reason, format!("{gave_up}: {}", finding.message)));
            }
            DnsVerdict::Unknown | DnsVerdict::Asking => {
                return Step::Rest(Finding::new(
                    Reason::Restarting,
                    format!("{gave_up}; asking DNS"),
                ));
            }
            DnsVerdict::Right if !name.is_ready() => {
                return Step::Rest(Finding::new(
                    Reason::Restarting,
                    format!("{gave_up}: {}", name.finding.message),
                ));
            }
            DnsVerdict::Right => {}
        }
        self.restart(target, name, &status, stored, &gave_up)
    }

    /// Whether the region whose endpoint the MX names saw it before the other one
    /// gave up: else the MX may just not have been there. One that is not told of the
    /// name says nothing either way.
    fn saw_it_before(&self, mx: &Region, target: &MailFromDomain, gave_up: &RegionStatus) -> bool {
        match self.holding(mx) {
            Holding::Ours(held, _) if held == *target => {}
            // What status says of it stands until it is read again.
            Holding::Unknown if self.was_told(mx, target) => {}
            Holding::Unknown => return false,
            _ => return true,
        }
        let seen = self.mirrored(mx);
        let since = seen.since.filter(|_| seen.mail_from_status == MailFromStatus::Success);
        since.zip(gave_up.since.as_ref()).is_some_and(|(seen, failed)| seen.0 < failed.0)
    }

    fn restart(
        &self,
        target: &MailFromDomain,
        name: &NamePlan,
        status: &RegionStatus,
        stored: Option<&RegionStatus>,
        gave_up: &str,
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
        let cleared = put_did_nothing(status) && stored.is_some();
        let mail_from = (!cleared).then_some(target);
        let behavior = if cleared { BehaviorOnMxFailure::UseDefaultValue } else { self.careful() };
        let put = Intent::put(mail_from, behavior, String::new());
        Step::Put(Intent { finding, restart: !cleared, ..put })
    }
}

/// Whether the last restart was none: `since` is the later of the last put and
/// the first sight of Failed, so where the two are equal SES has said nothing
/// else since, and the put changed nothing.
fn put_did_nothing(status: &RegionStatus) -> bool {
    status.restarts >= 1 && status.since == status.last_put_time
}
