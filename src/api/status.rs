//! `status`: what was seen and done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::mail::{BehaviorOnMxFailure, MailFromStatus, Origin};

/// What the operator sees and has done.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SesMailFromStatus {
    /// The generation that the rest speaks of; -1 before the first look.
    #[serde(default = "unobserved")]
    pub observed_generation: i64,
    /// Ready, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// The full MAIL FROM domain of `spec.subdomain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_from_domain: Option<String>,
    /// Regions in Success out of all, `1/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub regions_verified: Option<String>,
    /// One entry a region; one taken out of the spec stays until cleaned up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<RegionStatus>,
    /// What must stand in DNS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<RecordStatus>,
    /// The hosted zones written to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<ZoneStatus>,
    /// The last `mailfrom.dev/reconcile-requested-at` that was acted on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

fn unobserved() -> i64 {
    -1
}

/// One region.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionStatus {
    /// As AWS writes it.
    pub name: String,
    /// The account where the setting was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Where the setting came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// The MAIL FROM domain that we set or are about to set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail_from_domain: Option<String>,
    /// SES's word, mirrored.
    #[serde(default)]
    pub mail_from_status: MailFromStatus,
    /// What SES holds now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior_on_mx_failure: Option<BehaviorOnMxFailure>,
    /// What happens to a message sent now.
    pub sending: Sending,
    /// When this status began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When SES gives up, while Pending or TemporaryFailure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// Written just before the put.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_put_time: Option<Time>,
    /// How often a Failed setup was put again since the last Success.
    #[serde(default)]
    pub restarts: i32,
    /// Set where RejectMessage cost the Success once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reject_tried_generation: Option<i64>,
    /// Repairs of the last hour, at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repair_times: Vec<Time>,
    /// What is going on, for a person.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What happens to a message sent now.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Sending {
    /// Leaves with the custom MAIL FROM domain.
    CustomMailFrom,
    /// Leaves with a subdomain of amazonses.com: SPF does not align.
    DefaultMailFrom,
    /// Refused with `MailFromDomainNotVerified`.
    Rejected,
    /// The identity is missing or unverified.
    NotSending,
    /// SES could not be read.
    #[default]
    Unknown,
}

/// One record set that must stand in DNS, in zone-file form.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordStatus {
    /// The owner name.
    pub name: String,
    /// MX or TXT.
    #[serde(rename = "type")]
    pub rtype: String,
    /// Seconds.
    pub ttl_seconds: i32,
    /// The values that are ours.
    pub values: Vec<String>,
    /// The hosted zone's id.
    pub zone: String,
    /// Where it is on its way.
    pub state: RecordState,
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// When this state began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Repairs of the last hour, at most three.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repair_times: Vec<Time>,
}

/// Where a record set is on its way.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum RecordState {
    /// About to be written, or written and not yet seen.
    Planned,
    /// Seen at the zone's name servers.
    Published,
    /// No longer wanted; kept for late bounces.
    Draining,
    /// Something else stands in its place.
    Conflict,
}

/// A hosted zone that records were written to.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ZoneStatus {
    /// Its id.
    pub id: String,
    /// The account that holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The last change, polled until in sync.
    #[serde(rename = "changeID", skip_serializing_if = "Option::is_none")]
    pub change_id: Option<String>,
}

/// The types of condition that `status.conditions` may hold.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ConditionType {
    /// Every region is in Success with the wanted behaviour and the records stand.
    Ready,
    /// Something can still advance by itself; there only while true.
    Reconciling,
    /// A person must act; there only while true.
    Stalled,
    /// The object holds its claims.
    Authorized,
    /// The SES identity is verified in every region.
    IdentityVerified,
    /// The records stand and are seen.
    RecordsPublished,
    /// SES says Success in every region.
    MailFromVerified,
    /// Mail sent now passes DMARC by SPF.
    Aligned,
}

impl ConditionType {
    /// As `kubectl wait --for=condition=` takes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "Ready",
            Self::Reconciling => "Reconciling",
            Self::Stalled => "Stalled",
            Self::Authorized => "Authorized",
            Self::IdentityVerified => "IdentityVerified",
            Self::RecordsPublished => "RecordsPublished",
            Self::MailFromVerified => "MailFromVerified",
            Self::Aligned => "Aligned",
        }
    }

    /// In the order in which `status.conditions` lists them.
    pub const ALL: [Self; 8] = [
        Self::Ready,
        Self::Reconciling,
        Self::Stalled,
        Self::Authorized,
        Self::IdentityVerified,
        Self::RecordsPublished,
        Self::MailFromVerified,
        Self::Aligned,
    ];
}
