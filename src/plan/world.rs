//! What a plan is made from: the object, what was observed, and what is remembered.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use vecmap::VecMap;

use crate::api::{Reason, RecordStatus, SesMailFrom, SesMailFromStatus};
use crate::authority::{Place, Service, Standing};
use crate::compact::Compact;
use crate::mail::{
    ChangeBatch, ChangeState, Delegation, DomainName, HostedZoneId, MailFrom, NameView, Region,
    Regions, Seen, SharedText, Surroundings, Verification, Zone,
};

/// The operator's own durations; each is a flag of the same name.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long SES looks for the MX: 72 h.
    pub verification_window: Duration,
    /// How long an abandoned name's records stay: 120 h.
    pub drain_window: Duration,
    /// Pending is polled at first at this pace…
    pub poll_min: Duration,
    /// …and at last at this.
    pub poll_max: Duration,
    /// Settled objects are looked at this often at least, jittered.
    pub resync: Duration,
    /// The first pause before a Failed setup is put again…
    pub restart_pause_min: Duration,
    /// …doubling up to this.
    pub restart_pause_max: Duration,
    /// No second put to an identity and region within this: reads may be stale.
    pub put_hold_off: Duration,
    /// How long a person has before a reason reads as Stalled.
    pub stall_grace: Duration,
    /// How long no policy must have allowed an object what it asks for before
    /// its authority counts as lost.
    pub authority_grace: Duration,
    /// How old the last good reading may be before Ready is Unknown.
    pub stale_after: Duration,
    /// Three repairs of one value within this are a loop.
    pub drift_loop_window: Duration,
    /// How long to wait for DNS where neither change id nor name servers tell.
    pub insync_fallback: Duration,
    /// The oldest observation that a put may rest on.
    pub max_observation_age: Duration,
    /// How long zones are remembered.
    pub zone_cache: Duration,
    /// The regions that SES is known to have.
    pub regions: Regions,
}

/// Everything a plan may look at.
#[derive(Debug)]
pub struct World<'a> {
    /// The moment of the decision.
    pub now: Timestamp,
    /// The operator's durations.
    pub settings: &'a Settings,
    /// Spec, metadata and the status as the API server holds it.
    pub object: &'a SesMailFrom,
    /// How the object stands against the others.
    pub standing: &'a Standing,
    /// What is known of the outside.
    pub facts: &'a Facts,
    /// What this process remembers of the object.
    pub memory: &'a Memory,
}

/// Something that a plan wants to know of the outside. Names are lower case,
/// servers sorted.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Question {
    /// The account of the credentials for a service (STS `GetCallerIdentity`).
    Account(Service),
    /// Whether an identity is there and verified in a region.
    Verification(DomainName, Region),
    /// The MAIL FROM setting of an identity in a region.
    MailFrom(DomainName, Region),
    /// The zones, public and private, that a name could lie in.
    Zones(DomainName),
    /// Whether the parent of this apex names any of these servers.
    Delegation(DomainName, Vec<SharedText>),
    /// Every record set at a name.
    Name(HostedZoneId, DomainName),
    /// What stands around a name, up to the apex given last.
    Surroundings(HostedZoneId, DomainName, DomainName),
    /// Where a change is, by its id.
    Change(String),
    /// What these servers answer for a name.
    Seen(DomainName, Vec<SharedText>),
}

/// An answer to a [`Question`], of the variant of the same name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// Twelve digits.
    Account(String),
    /// An identity that SES does not know is an answer too.
    Verification(Verification),
    /// `None` where none is set, or SES knows no such identity.
    MailFrom(Option<MailFrom>),
    /// Longest name first.
    Zones(Vec<Zone>),
    /// By the parent's servers.
    Delegation(Delegation),
    /// From Route 53's API.
    Name(NameView),
    /// From Route 53's API.
    Surroundings(Surroundings),
    /// From Route 53's API.
    Change(ChangeState),
    /// From the zone's own servers.
    Seen(Seen),
}

/// Where a question stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Answer {
    /// Asked; the object is woken when the answer is there.
    NotYet,
    /// The last try failed; asked again not before `retry_at`.
    Failed {
        /// Why.
        fault: Fault,
        /// When asking again makes sense.
        retry_at: Timestamp,
    },
    /// Known as of the moment at which the request was sent.
    Known {
        /// When the request was sent.
        sent: Timestamp,
        /// What came back.
        value: Value,
    },
}

/// What AWS has said of a request that failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Said {
    /// Not known: the answer may have been lost, or there was nothing to answer.
    Nothing,
    /// No, so that nothing was done.
    No,
    /// No for now: there were too many.
    Later,
}

/// A failure of AWS or of the way to it, as far as a decision needs it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fault {
    /// `AccessDenied`, `AwsUnavailable`, or what the adapter can tell more exactly.
    pub reason: Reason,
    /// Whether it may go away by itself.
    pub transient: bool,
    /// Whether what was decided on has changed meanwhile (a lost compare-and-swap):
    /// look again at once.
    pub outdated: bool,
    /// What AWS has said.
    pub said: Said,
    /// Names the action and the thing; stable, without request id.
    pub message: String,
}

/// What is known of the outside, by question.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The answers to what was asked.
    pub answers: BTreeMap<Question, Answer>,
    /// Where there is none that is fresh enough: when the last good one was
    /// sent for. What is watched is read without the object being planned.
    pub last_read: BTreeMap<Question, Timestamp>,
    /// Where a put has no permit yet. Each region has a quota of its own, so puts
    /// elsewhere go first.
    pub no_permit: BTreeSet<Region>,
}

/// How an answer is to be kept up while nothing has to be planned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Upkeep {
    /// How old it may grow.
    pub pace: Duration,
    /// When the answer that was planned on was sent for.
    pub known: Timestamp,
}

impl Upkeep {
    /// When the answer that was planned on is as old as it may grow.
    pub fn due(&self) -> Timestamp {
        self.known.checked_add(self.pace).unwrap_or(Timestamp::MAX)
    }
}

/// What one process remembers of one object between two plans. Losing it costs
/// time and calls, never correctness.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// Only answers sent after this count: the moment at which a new generation
    /// or a requested reconcile was first seen.
    pub fresh_from: Option<Timestamp>,
    /// The generation and the requested reconcile that `fresh_from` speaks of.
    pub fresh_for: (i64, Option<String>),
    /// What was last found at each place.
    pub findings: VecMap<Place, Remembered>,
    /// The last change submitted for a name, and when.
    pub changes: BTreeMap<DomainName, (String, Timestamp)>,
    /// Changes that were handed over to be sent, of which it is not known yet how
    /// they ended. What they need was written ahead.
    pub handed: BTreeMap<DomainName, Handed>,
    /// Records that were seen in DNS as they are here, while no status says so
    /// yet: the write of a status waits for others, and nobody is asked again.
    pub seen: BTreeMap<DomainName, Vec<RecordStatus>>,
    /// Writes that failed, by place.
    pub faults: BTreeMap<Place, WriteFault>,
    /// Names whose DNS was wrong when last looked at.
    pub dns_wrong: BTreeSet<DomainName>,
    /// Names at which nothing is published, for no region may use them, and what
    /// was said of each when it was last read.
    pub idle: BTreeMap<DomainName, (Reason, String)>,
    /// The report that differs from the stored status by progress alone.
    pub unreported: Option<Unreported>,
    /// When this process first planned the object.
    pub started: Option<Timestamp>,
    /// Since when no policy allows what the object asks for.
    pub denied_since: Option<Timestamp>,
    /// Since when no policy allows a place that only status or a marker names.
    pub denied: BTreeMap<Place, Timestamp>,
    /// Whether everything was observed once since this process started.
    pub observed: bool,
}

/// A report that is not written yet: it may be over before it is worth a write.
#[derive(Clone, Debug, PartialEq)]
pub struct Unreported {
    /// Since when there is something to report.
    pub since: Timestamp,
    /// The stored status that it goes on from.
    pub over: Digest,
    /// What it says.
    pub status: Compact<SesMailFromStatus>,
}

/// What tells one status from another within a process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Digest(u64);

impl Digest {
    /// Of a status.
    pub fn of(status: &SesMailFromStatus) -> Self {
        /// Takes in what is written.
        struct Sink(DefaultHasher);
        impl io::Write for Sink {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.write(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sink = Sink(DefaultHasher::new());
        // The sink takes everything, and a status always has a JSON form.
        let _ = serde_json::to_writer(&mut sink, status);
        Self(sink.0.finish())
    }
}

/// What was last found at a place.
#[derive(Clone, Debug, PartialEq)]
pub struct Remembered {
    /// Why.
    pub reason: Reason,
    /// For a person.
    pub message: String,
    /// Since when this reason stands.
    pub first: Timestamp,
    /// When the place was last read well.
    pub last: Timestamp,
}

/// A change that was handed over.
#[derive(Clone, Debug, PartialEq)]
pub struct Handed {
    /// What is to be sent.
    pub batch: Arc<ChangeBatch>,
    /// Whether it mends drift, for the metric.
    pub repair: bool,
}

/// A write that failed.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteFault {
    /// Why.
    pub fault: Fault,
    /// When.
    pub at: Timestamp,
    /// How often in a row.
    pub count: u32,
    /// Whether it was to repair something, and is counted as that.
    pub repair: bool,
}
