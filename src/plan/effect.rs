//! What a plan asks to be done.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::world::{Memory, Question, Upkeep};
use crate::api::{Reason, SesMailFromStatus};
use crate::authority::{Grant, Place};
use crate::mail::{BehaviorOnMxFailure, ChangeBatch, DomainName, MailFromDomain, Region};

/// One thing to do. They are done in order, one at a time, and a cut between
/// any two must be safe.
#[derive(Debug)]
pub enum Effect {
    /// Add our finalizer.
    AddFinalizer,
    /// Take our finalizer away: nothing is left to clean up.
    RemoveFinalizer,
    /// Take our finalizer away although things of ours stand that nobody may
    /// touch on the object's behalf.
    LeaveInPlace {
        /// What stands, and why it was left, for a person.
        what: String,
    },
    /// Write ahead what is about to be done. The next effects are not done
    /// unless this succeeds.
    WriteStatus(Box<SesMailFromStatus>),
    /// Hand over one change of the records of one name, to be sent with those of
    /// others.
    ChangeRecords {
        /// Leave to write at the name.
        grant: Grant,
        /// What to submit.
        batch: ChangeBatch,
        /// Whether this mends drift, for the metric.
        repair: bool,
    },
    /// Set or clear the MAIL FROM domain of the identity in a region.
    PutMailFrom {
        /// Leave to write in the region.
        grant: Grant,
        /// Where.
        region: Region,
        /// The MAIL FROM domain; `None` clears it.
        mail_from: Option<MailFromDomain>,
        /// What SES does while it does not see the MX.
        behavior: BehaviorOnMxFailure,
        /// Whether this mends drift, for the metric.
        repair: bool,
    },
}

/// An Event for a person, posted on transitions only.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Notice {
    /// Warning or Normal.
    pub warning: bool,
    /// UpperCamelCase, bounded.
    pub reason: &'static str,
    /// At most 1,024 bytes.
    pub note: String,
}

/// What a plan comes to.
#[derive(Debug, Default)]
pub struct Plan {
    /// What must be known before this plan counts, and from when on an answer
    /// counts. While a question here is new to the facts, ask it and plan again.
    pub questions: BTreeMap<Question, Timestamp>,
    /// What to do. After the first that fails, and after the last, plan again; but
    /// where all was handed over before already, it is waited for.
    pub effects: Vec<Effect>,
    /// Names that could not be judged now. A change that was handed over for one
    /// stays so; every other that is not among the effects is taken back.
    pub undecided: BTreeSet<DomainName>,
    /// What to report when there is nothing to do now, where that differs from
    /// the status that the API server holds.
    pub report: Option<Box<SesMailFromStatus>>,
    /// Posted once the report is written, or, where there are effects, once one of them
    /// has written the object, or all are done.
    pub notices: Vec<Notice>,
    /// Each posted once AWS has been told of its place.
    pub announcements: BTreeMap<Place, Vec<Notice>>,
    /// What is to be asked again and again. Plan again when an answer differs
    /// from the one that was planned on.
    pub watch: BTreeMap<Question, Upkeep>,
    /// When to plan again if nothing wakes the object earlier.
    pub wake: Option<Timestamp>,
    /// What to remember.
    pub memory: Memory,
    /// Why, for logs and metrics: the reason of `Ready`.
    pub reason: Option<Reason>,
}
