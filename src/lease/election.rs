//! The decisions of one candidate. No client, no clock, no wall time: what was
//! seen and when goes in, the next step comes out.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::moment::Moment;
use super::record::Record;

/// The three durations.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// How long others wait from the first sight of a record before they take
    /// the Lease from whoever wrote it.
    pub lease_duration: Duration,
    /// How long a leader acts on one renewal, from when it was sent.
    pub renew_deadline: Duration,
    /// From the start of one attempt to the start of the next.
    pub retry_period: Duration,
}

/// What a candidate does next.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Step {
    /// Read the Lease.
    Look,
    /// Create the Lease.
    Create(Record),
    /// Replace the Lease if it still has this version.
    Replace {
        /// Its `resourceVersion`.
        version: String,
        /// What it is to say.
        record: Record,
    },
    /// Nothing before this moment.
    Wait {
        /// When to ask again.
        until: Moment,
        /// What to watch meanwhile: the Lease, from this version on.
        watch: Option<String>,
    },
    /// The process must end: it leads no more, and never will again.
    End(Loss),
}

/// Why a leader is one no more.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Loss {
    /// No renewal within the renew deadline, which is given.
    NotRenewed(Duration),
    /// The Lease names another holder, or none.
    Taken(String),
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRenewed(deadline) => {
                write!(f, "it could not be renewed within --renew-deadline {deadline:?}")
            }
            Self::Taken(holder) if holder.is_empty() => {
                f.write_str("somebody else took its holder out")
            }
            Self::Taken(holder) => write!(f, "{holder} holds it now"),
        }
    }
}

/// One candidate's view.
#[derive(Clone, Debug)]
pub struct Election {
    identity: String,
    timing: Timing,
    /// The Lease as it was last seen.
    seen: Option<Sight>,
    /// Whether that may be acted on; if not, the Lease is read first.
    current: bool,
    /// When the last record of another that was seen runs out.
    free_at: Moment,
    /// Until when this one leads, once it does.
    leads_until: Option<Moment>,
    /// Nothing is sent before.
    not_before: Moment,
}

#[derive(Clone, Debug)]
enum Sight {
    Absent,
    Record { version: String, record: Record },
}

impl Election {
    /// A candidate that has seen nothing yet. `identity` is no other process's,
    /// now or before.
    pub fn new(identity: String, timing: Timing) -> Self {
        Self {
            identity,
            timing,
            seen: None,
            current: false,
            free_at: Moment::default(),
            leads_until: None,
            not_before: Moment::default(),
        }
    }

    /// What to do at this moment.
    pub fn next(&self, now: Moment) -> Step {
        if let Some(until) = self.leads_until {
            self.next_of_leader(now, until)
        } else {
            self.next_of_candidate(now)
        }
    }

    /// Until when this one leads; `None` where it does not yet.
    pub fn leads_until(&self) -> Option<Moment> {
        self.leads_until
    }

    /// Who holds the Lease as far as is known; empty where nobody does.
    pub fn holder(&self) -> &str {
        match &self.seen {
            Some(Sight::Record { record, .. }) => &record.holder,
            Some(Sight::Absent) | None => "",
        }
    }

    /// The version that was seen last, as a number.
    #[cfg(test)]
    pub(super) fn version(&self) -> Option<u64> {
        match &self.seen {
            Some(Sight::Record { version, .. }) => version.parse().ok(),
            Some(Sight::Absent) | None => None,
        }
    }

    /// The Lease was read, or the watch has shown it; `None`: there is none.
    pub fn saw(&mut self, now: Moment, lease: Option<(String, Record)>) {
        self.current = true;
        let Some((version, record)) = lease else {
            // Whoever held it may not know yet: `free_at` stands.
            self.seen = Some(Sight::Absent);
            return;
        };
        // Seen again it is not younger.
        if !matches!(&self.seen, Some(Sight::Record { version: old, .. }) if *old == version) {
            let others = !record.holder.is_empty() && record.holder != self.identity;
            self.free_at = if others { now + self.duration_of(&record) } else { now };
            self.seen = Some(Sight::Record { version, record });
        }
    }

    /// The watch that began at `since` has ended: what was seen may be outdated.
    pub fn lost_sight(&mut self, since: Moment) {
        self.current = false;
        self.failed(since);
    }

    /// A write sent at `sent` was acknowledged by `now`, and the Lease is this.
    pub fn wrote(&mut self, sent: Moment, now: Moment, version: String, record: Record) {
        self.current = true;
        self.seen = Some(Sight::Record { version, record });
        let until = sent + self.timing.renew_deadline;
        // An answer that took so long makes no leader of who is none, or none any more.
        if now < until && self.leads_until.is_none_or(|until| now < until) {
            self.leads_until = Some(until);
            self.not_before = sent + self.timing.retry_period;
        }
    }

    /// A write was refused because the Lease is not what it was taken for.
    pub fn conflicted(&mut self) {
        self.current = false;
    }

    /// A request sent at `sent` failed or had no answer in time. A write may
    /// have been made: then the next one conflicts.
    pub fn failed(&mut self, sent: Moment) {
        self.not_before = sent + self.timing.retry_period;
    }

    /// What to write to give the Lease up; `None` where it is not held.
    pub fn resignation(&self) -> Option<Step> {
        let Some(Sight::Record { version, record }) = &self.seen else { return None };
        if record.holder != self.identity {
            return None;
        }
        let record = Record {
            holder: String::new(),
            seconds: 1,
            transitions: record.transitions,
            acquired: None,
        };
        Some(Step::Replace { version: version.clone(), record })
    }

    fn next_of_leader(&self, now: Moment, until: Moment) -> Step {
        if now >= until {
            return Step::End(Loss::NotRenewed(self.timing.renew_deadline));
        }
        if let (true, Some(Sight::Record { record, .. })) = (self.current, &self.seen)
            && record.holder != self.identity
        {
            return Step::End(Loss::Taken(record.holder.clone()));
        }
        self.paced(now, until)
    }

    fn next_of_candidate(&self, now: Moment) -> Step {
        if self.current && now < self.free_at {
            let watch = match &self.seen {
                Some(Sight::Record { version, .. }) => Some(version.clone()),
                Some(Sight::Absent) | None => None,
            };
            return Step::Wait { until: self.free_at, watch };
        }
        self.paced(now, self.not_before)
    }

    /// The next request, or the wait for it, at most until this moment.
    fn paced(&self, now: Moment, until: Moment) -> Step {
        if now < self.not_before {
            return Step::Wait { until: self.not_before.min(until), watch: None };
        }
        if self.current { self.claim() } else { Step::Look }
    }

    /// Makes the Lease one's own, or stays its holder.
    fn claim(&self) -> Step {
        match &self.seen {
            None => Step::Look,
            Some(Sight::Absent) => Step::Create(self.record(0, None)),
            Some(Sight::Record { version, record }) => {
                let record = if record.holder == self.identity {
                    self.record(record.transitions, record.acquired)
                } else {
                    self.record(record.transitions.saturating_add(1), None)
                };
                Step::Replace { version: version.clone(), record }
            }
        }
    }

    fn record(&self, transitions: i32, acquired: Option<Timestamp>) -> Record {
        // Rounded up: others may wait longer than they must, never shorter.
        let duration = self.timing.lease_duration;
        let seconds = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
        let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
        Record { holder: self.identity.clone(), seconds, transitions, acquired }
    }

    /// The holder's word counts, because the holder may run with other flags.
    fn duration_of(&self, record: &Record) -> Duration {
        match u64::try_from(record.seconds) {
            Ok(seconds) if seconds > 0 => Duration::from_secs(seconds),
            _ => self.timing.lease_duration,
        }
    }
}
