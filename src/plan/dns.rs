//! Whether the world sees what Route 53 holds.

use jiff::Timestamp;

use super::finding::Finding;
use super::inquiry::{Reading, after};
use super::name_plan::NameChange;
use super::records::{Wanted, quoted};
use super::scene::{Holding, Scene, elapsed};
use super::survey::Surveyed;
use super::window::{poll_pace, retry_pause};
use super::world::{Fault, Question};
use super::zone::not_delegated;
use crate::api::{Reason, RecordState, RecordStatus};
use crate::authority::{Place, Service};
use crate::mail::{
    Change, ChangeState, Delegation, MailFromDomain, MailFromStatus, Mx, Region, Seen, Spf,
};

/// Whether records that were written are seen.
#[derive(Clone, Debug)]
pub(super) enum Visible {
    /// At the zone's own name servers.
    Yes,
    /// In sync, or given the time to be; DNS could not be asked, for this reason.
    Blind(String),
    /// Not yet, for this reason.
    NotYet(String),
    /// It could not be found out.
    Failed(Fault),
}

/// What DNS shows for a name at which SES does not see the MX.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum DnsVerdict {
    /// Nobody had reason to ask.
    Unknown,
    /// Asked, and not answered yet.
    Asking,
    /// What SES should find.
    Right,
    /// Something else, which is not ours to mend.
    Wrong(String),
}

impl Scene<'_> {
    /// Whether records that were written are in sync and then seen.
    pub(super) fn visible(
        &self,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        records: &[RecordStatus],
    ) -> Visible {
        let name = wanted.name.name();
        let remembered = self.world.memory.changes.get(name);
        let stored = self.stored.zones.iter().find(|zone| zone.id == surveyed.zone.id.as_str());
        let stored = stored.and_then(|zone| zone.change_id.as_ref());
        let planned = records.iter().filter(|r| r.state != RecordState::Published);
        let planned = planned.filter_map(|r| r.since.as_ref()).map(|time| time.0).max();
        let begun = remembered.map(|(_, at)| *at).or(planned).unwrap_or(self.world.now);
        let pace = poll_pace(elapsed(begun, self.world.now), self.world.settings);
        let Some(id) = remembered.map(|(id, _)| id).or(stored) else {
            return self.seen_or_waited(surveyed, wanted, begun);
        };
        match self.inquiry.change(id, pace) {
            Reading::Known { value: ChangeState::Insync, .. } => self.seen(surveyed, wanted, begun),
            Reading::Known { value: ChangeState::Gone, .. } => {
                self.seen_or_waited(surveyed, wanted, begun)
            }
            Reading::Known { value: ChangeState::Pending, .. } | Reading::Waiting => {
                Visible::NotYet(format!("Route 53 is still spreading the records of {name}"))
            }
            Reading::Failed(fault) => Visible::Failed(fault),
        }
    }

    /// The change id is lost: the name servers tell, or time does.
    fn seen_or_waited(
        &self,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        begun: jiff::Timestamp,
    ) -> Visible {
        let due = after(begun, self.world.settings.insync_fallback);
        match self.seen(surveyed, wanted, begun) {
            Visible::Blind(why) if self.world.now < due => {
                self.inquiry.wake_at(due);
                Visible::NotYet(format!(
                    "waiting for Route 53 to spread the records of {}; DNS could not be asked: {why}",
                    wanted.name
                ))
            }
            other => other,
        }
    }

    fn seen(&self, surveyed: &Surveyed<'_>, wanted: &Wanted, begun: jiff::Timestamp) -> Visible {
        let pace = poll_pace(elapsed(begun, self.world.now), self.world.settings);
        let name = &wanted.name;
        let asking = || Visible::NotYet(format!("asking the name servers of {name}"));
        let servers = match self.inquiry.servers(&surveyed.zone.id, &surveyed.zone.name) {
            Reading::Known { value, .. } => value,
            Reading::Waiting => return asking(),
            Reading::Failed(fault) => return Visible::Failed(fault),
        };
        match self.inquiry.seen(name.name(), servers, pace) {
            Reading::Waiting => asking(),
            Reading::Failed(fault) => Visible::Failed(fault),
            Reading::Known { value: Seen::Unaskable(why), .. } => Visible::Blind(why.clone()),
            Reading::Known { value: Seen::Differing, .. } => {
                Visible::NotYet(format!("the name servers of {name} do not agree yet"))
            }
            Reading::Known { value: Seen::Answered { mx, txt }, .. } => {
                mismatch(wanted, mx, txt).map_or(Visible::Yes, Visible::NotYet)
            }
        }
    }

    /// What DNS shows, asked only while a region does not see the MX.
    pub(super) fn dns_verdict(
        &self,
        name: &MailFromDomain,
        group: &[Region],
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
    ) -> DnsVerdict {
        let in_trouble = |region: &Region| match self.holding(region) {
            Holding::Ours(held, mail_from) => {
                let unseen = matches!(
                    mail_from.status,
                    MailFromStatus::Failed | MailFromStatus::TemporaryFailure
                );
                held == *name && unseen
            }
            _ => false,
        };
        if !group.iter().any(in_trouble) {
            return DnsVerdict::Unknown;
        }
        match self.inquiry.delegation(&surveyed.zone, self.resync()) {
            Reading::Known { value: Delegation::Delegated | Delegation::Unaskable(_), .. } => {}
            Reading::Known { value, .. } => {
                return DnsVerdict::Wrong(not_delegated(&surveyed.zone, value));
            }
            _ => return DnsVerdict::Asking,
        }
        let servers = self.inquiry.servers(&surveyed.zone.id, &surveyed.zone.name);
        let Reading::Known { value: servers, .. } = servers else { return DnsVerdict::Asking };
        match self.inquiry.seen(name.name(), servers, self.resync()) {
            Reading::Known { value: Seen::Answered { mx, txt }, .. } => {
                mismatch(wanted, mx, txt).map_or(DnsVerdict::Right, DnsVerdict::Wrong)
            }
            Reading::Known { value: Seen::Unaskable(_), .. } => DnsVerdict::Right,
            _ => DnsVerdict::Asking,
        }
    }

    /// A change that may be submitted now: it rests on a recent reading, and a
    /// write that failed here has been given its pause. `Err` holds why not.
    pub(super) fn gated_change(
        &self,
        change: NameChange,
        name: &MailFromDomain,
    ) -> Result<Option<NameChange>, Finding> {
        if let Some(finding) = self.paused(&Place::Name(name.clone())) {
            return Err(finding);
        }
        // It may wait longer for its turn than a reading counts; it is compared
        // with what stands when it is made.
        if self.is_handed(name, &change.batch.changes) {
            return Ok(Some(change));
        }
        // What is only added is refused where anything stands by then: many objects
        // that begin together may share a reading that is older than a put's.
        let adds = change.batch.changes.iter().all(|change| matches!(change, Change::Create(_)));
        let age = self.world.settings.max_observation_age.min(self.resync());
        let age = if adds { self.resync() } else { age };
        match self.inquiry.name(&change.batch.zone, name.name(), age) {
            Reading::Known { .. } => Ok(Some(change)),
            _ => Ok(None),
        }
    }

    /// Why a place may not be written to again yet: the last try failed.
    pub(super) fn paused(&self, place: &Place) -> Option<Finding> {
        let failed = self.world.memory.faults.get(place)?;
        // A lost compare-and-swap says that the world has moved on: the fresh
        // reading decides, and only a run of losses is given a pause.
        if failed.fault.outdated && failed.count < 3 {
            return None;
        }
        let due = after(failed.at, retry_pause(failed.count, failed.fault.transient));
        if self.world.now >= due {
            return None;
        }
        self.inquiry.wake_at(due);
        Some(Finding::of_fault(&failed.fault))
    }

    /// The finding for a place that could not be read: what was found last, as
    /// long as that may be relied on.
    pub(super) fn unread(&self, place: &Place, fault: Option<&Fault>) -> Finding {
        if let Some(fault) = fault.filter(|fault| !fault.transient) {
            return Finding::of_fault(fault);
        }
        let (now, memory) = (self.world.now, self.world.memory);
        let remembered = memory.findings.get(place);
        let last = match remembered {
            Some(_) => self.read_at(place),
            // New to this process, or to what the object asks for.
            None => self.read_at(place).max(memory.started).max(memory.fresh_from),
        };
        let last = self.went_dark(last.unwrap_or(now));
        let seen_before = self.stored.observed_generation >= 0;
        if seen_before && elapsed(last, now) > self.world.settings.stale_after {
            // Why is not said: it would change with every try.
            let text = format!("{place} has not been read for too long");
            return Finding::new(Reason::ObservationStale, text);
        }
        match (remembered, fault) {
            (Some(remembered), _) => Finding::new(remembered.reason, &*remembered.message),
            (None, Some(fault)) => Finding::of_fault(fault),
            (None, None) => Finding::new(Reason::Observing, format!("reading {place}")),
        }
    }

    /// When a place was last read well, for a plan or only to keep it up.
    fn read_at(&self, place: &Place) -> Option<Timestamp> {
        let planned = self.world.memory.findings.get(place).map(|remembered| remembered.last);
        self.inquiry.last_read(|question| speaks_of(question, place)).max(planned)
    }

    /// The last good reading of all that went dark with a place that was last
    /// read at `last`. AWS out of reach shows at each place when that is read
    /// next, within a resync or two, and is to be told once.
    fn went_dark(&self, last: Timestamp) -> Timestamp {
        let places = self.world.memory.findings.keys();
        let mut others: Vec<_> = places.filter_map(|place| self.read_at(place)).collect();
        others.sort_unstable();
        let gap = self.world.settings.resync * 2;
        let joined =
            |last: Timestamp, other| if other <= after(last, gap) { last.max(other) } else { last };
        others.into_iter().fold(last, joined)
    }

    pub(super) fn other_account(&self, service: Service, what: &str) -> Finding {
        let answering = self.answering(service).map_or("unknown", String::as_str);
        Finding::new(
            Reason::AccountChanged,
            format!("{what} belongs to another AWS account than {answering}, which answers now"),
        )
    }
}

/// Whether a question is about a place.
fn speaks_of(question: &Question, place: &Place) -> bool {
    match (question, place) {
        // Two actions of SES: either may fail alone.
        (Question::MailFrom(_, of) | Question::Verification(_, of), Place::Region(region)) => {
            of == region
        }
        (Question::Name(_, of), Place::Name(name)) => of == name.name(),
        _ => false,
    }
}

/// What keeps SES from finding what it should, by what the servers answer.
fn mismatch(wanted: &Wanted, mx: &[String], txt: &[String]) -> Option<String> {
    let hosts: Vec<_> = mx.iter().map(|value| Mx::parse(value).map(|mx| mx.host)).collect();
    let name = &wanted.name;
    if hosts != [Some(wanted.host.clone())] {
        let answer =
            if mx.is_empty() { "no MX".to_owned() } else { format!("the MX {}", quoted(mx)) };
        let expected = wanted.mx().to_value();
        return Some(format!("the name servers of {name} answer {answer}, not \"{expected}\""));
    }
    Spf::fault(txt.iter().map(String::as_str))
        .map(|fault| format!("by the name servers of {name}, {fault}"))
}
