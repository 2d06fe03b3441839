//! What is decided for one MAIL FROM domain.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::dns::DnsVerdict;
use super::finding::Finding;
use crate::api::{Progress, Reason, RecordStatus};
use crate::authority::Grant;
use crate::mail::{ChangeBatch, Origin, RecordType, Region, SpfFault, Zone};

/// What was decided for one MAIL FROM domain.
#[derive(Debug)]
pub(super) struct NamePlan {
    pub finding: Finding,
    /// The batch to submit, if one is due.
    pub change: Option<NameChange>,
    /// What status is to say of its records.
    pub records: Vec<RecordStatus>,
    pub stance: Stance,
    /// Whether all stands as the spec wants it.
    pub right: bool,
    /// Whether regions that refuse mail must be lowered before the MX is swapped.
    pub lowering: bool,
    /// Whose endpoint the MX names.
    pub mx_region: Option<Region>,
    /// The regions that our marker lists, as Route 53 holds it, with what it
    /// says of each.
    pub listed: BTreeMap<String, Origin>,
    /// What DNS shows where SES does not see the MX.
    pub dns: DnsVerdict,
    /// In mode Observe: what Manage would do.
    pub would: Vec<String>,
    /// What the text of the SPF record rules out.
    pub spf: Option<SpfFault>,
    /// The zone, where it is known.
    pub zone: Option<Zone>,
}

/// How a name stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stance {
    /// It could not be read.
    Unread,
    /// Read; something is still to be done or to be waited for.
    Open,
    /// Nothing is to be published before a region may use the name: the
    /// region's own finding then says all there is to say.
    Idle,
    /// MX and SPF stand and were seen, so that SES may be told.
    Ready,
}

/// A batch for one name.
#[derive(Debug)]
pub(super) struct NameChange {
    pub grant: Grant,
    pub batch: ChangeBatch,
    /// The types that this repairs, for a notice.
    pub repaired: Vec<RecordType>,
    /// The types whose values differ, and so have to be seen in DNS again.
    pub moved: Vec<RecordType>,
    /// What this adopts, for a notice.
    pub adopted: Vec<String>,
}

impl NamePlan {
    pub(super) fn resting(finding: Finding, records: Vec<RecordStatus>) -> Self {
        Self {
            finding,
            change: None,
            records,
            stance: Stance::Open,
            right: false,
            lowering: false,
            mx_region: None,
            listed: BTreeMap::new(),
            dns: DnsVerdict::Unknown,
            would: Vec::new(),
            spf: None,
            zone: None,
        }
    }

    /// Whether SES may be told of the name.
    pub(super) fn is_ready(&self) -> bool {
        self.stance == Stance::Ready
    }

    /// Whether a person must act before the records can stand.
    pub(super) fn is_stalled(&self) -> bool {
        self.finding.reason.progress() == Progress::Stalled
    }

    /// Whether the name was read well.
    pub(super) fn is_read(&self) -> bool {
        self.stance != Stance::Unread
    }

    /// When the records were last seen to have become right.
    pub(super) fn published_since(&self) -> Option<Timestamp> {
        self.records.iter().filter_map(|record| record.since.as_ref()).map(|time| time.0).max()
    }

    pub(super) fn found(self, reason: Reason, message: impl Into<String>) -> Self {
        Self { finding: Finding::new(reason, message), ..self }
    }
}
