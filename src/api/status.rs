//! `status`: what was seen and done.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::conditions;
use crate::mail::{BehaviorOnMxFailure, MailFromStatus, Origin};

/// What the operator sees and has done.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SesMailFromStatus {
    /// The metadata.generation that the rest of the status speaks of. -1 until
    /// the operator has looked at the object for the first time.
    #[serde(default = "unobserved")]
    #[schemars(range(min = -1))]
    pub observed_generation: i64,
    /// Whether the object is Ready, and why (not), one by one: Ready,
    /// Authorized, IdentityVerified, RecordsPublished, MailFromVerified and
    /// Aligned; Reconciling or Stalled only while true, never both.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "conditions::schema")]
    pub conditions: Vec<Condition>,
    /// The MAIL FROM domain of the regions without a subdomain of their own.
    /// Example: `bounce.example.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub mail_from_domain: Option<String>,
    /// In how many regions SES says Success, of all. Example: `1/2`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub regions_verified: Option<String>,
    /// What SES holds and does in each region. A region that was taken out of
    /// the spec stays here until it is cleaned up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 128),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub regions: Vec<RegionStatus>,
    /// What must stand in DNS, in the form of a zone file, so that a person can
    /// compare it or publish it by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 512),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name", "type"])
    )]
    pub records: Vec<RecordStatus>,
    /// The hosted zones that records were, or are about to be, written to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["id"])
    )]
    pub zones: Vec<ZoneStatus>,
    /// The last value of the annotation `mailfrom.dev/reconcile-requested-at`
    /// that was acted on. Example: `2026-08-01T12:00:00Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub last_handled_reconcile_at: Option<String>,
}

fn unobserved() -> i64 {
    -1
}

/// One region.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionStatus {
    /// The region as AWS writes it. Example: `us-east-1`.
    #[schemars(length(max = 32))]
    pub name: String,
    /// The AWS account in which the setting was, or is about to be, made.
    /// Another account answering now is never written to. Example:
    /// `123456789012`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 12))]
    pub account: Option<String>,
    /// Where the setting came from. `Created`: this operator made it and may
    /// clear it. `Adopted`: it was there, and is kept up but never cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Origin")]
    pub origin: Option<Origin>,
    /// When the setting was adopted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopted_time: Option<Time>,
    /// The MAIL FROM domain that was, or is about to be, set in this region.
    /// Example: `bounce.example.com`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub mail_from_domain: Option<String>,
    /// SES's word on the MAIL FROM domain. `NotStarted`: none is set.
    /// `Pending`: it looks for the MX, for 72 hours. `Success`: it saw the MX and
    /// keeps checking. `TemporaryFailure`: it does not see the MX any more and
    /// looks for 72 hours. `Failed`: it gave up.
    #[serde(default)]
    pub mail_from_status: MailFromStatus,
    /// What SES does, by its present setting, with a message while it cannot
    /// see the MX: `UseDefaultValue` or `RejectMessage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "BehaviorOnMxFailure")]
    pub behavior_on_mx_failure: Option<BehaviorOnMxFailure>,
    /// What happens to a message sent now. `CustomMailFrom`: leaves under the
    /// MAIL FROM domain. `DefaultMailFrom`: leaves under a subdomain of
    /// amazonses.com, so SPF does not align. `Rejected`: refused with
    /// MailFromDomainNotVerified. `NotSending`: the identity is missing or
    /// unverified. `Unknown`: SES could not be read.
    pub sending: Sending,
    /// When `mailFromStatus` began: the later of our last put and its first
    /// sight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When SES gives up, 72 hours after `since`; there while Pending or
    /// TemporaryFailure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Time>,
    /// When SES was last told; written just before it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_put_time: Option<Time>,
    /// How often a Failed setup was started again since the last Success.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub restarts: i32,
    /// The metadata.generation for which SES dropped its Success when
    /// RejectMessage was asked for; not tried again until the spec changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub reject_tried_generation: Option<i64>,
    /// When the setting was repaired within the last hour: three times make a
    /// DriftLoop, in which nothing is repaired any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub repair_times: Vec<Time>,
    /// What is going on in this region and what to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 32_768))]
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
    /// The name at which the record set stands. Example: `bounce.example.com`.
    #[schemars(length(max = 253))]
    pub name: String,
    /// Its type, `MX` or `TXT`.
    #[schemars(length(max = 16))]
    #[serde(rename = "type")]
    pub rtype: String,
    /// Its TTL in seconds.
    #[schemars(range(min = 0))]
    pub ttl_seconds: i32,
    /// The values that this object wants there; other TXT values at the name
    /// are kept and not listed. Example: `10
    /// feedback-smtp.us-east-1.amazonses.com`.
    #[schemars(length(max = 100), inner(length(max = 4096)))]
    pub values: Vec<String>,
    /// The id of the hosted zone. Example: `Z0123456789ABCDEFGHIJ`.
    #[schemars(length(max = 32))]
    pub zone: String,
    /// Where it is on its way. `Planned`: about to be written, or written and
    /// not yet seen. `Published`: the zone's name servers answer with it.
    /// `Draining`: no longer wanted, kept for late bounces, then deleted.
    /// `Conflict`: something else stands in its place and is left alone.
    pub state: RecordState,
    /// Where it came from. `Created`: this operator made it and may delete it.
    /// `Adopted`: it was there, and is kept up but never deleted; of an SPF
    /// record that it merged terms into, only those go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Origin")]
    pub origin: Option<Origin>,
    /// When it was adopted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub adopted_time: Option<Time>,
    /// When `state` began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When the record set was repaired within the last hour: three times make
    /// a DriftLoop, in which nothing is repaired any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
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
    /// The id of the hosted zone. Example: `Z0123456789ABCDEFGHIJ`.
    #[schemars(length(max = 32))]
    pub id: String,
    /// The AWS account that holds it. Example: `123456789012`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 12))]
    pub account: Option<String>,
    /// Route 53's id of the last change, asked after until it is in sync.
    #[schemars(length(max = 64))]
    #[serde(rename = "changeID", skip_serializing_if = "Option::is_none")]
    pub change_id: Option<String>,
}
