//! `spec`: what a person asks for. The docs of the fields are what `kubectl
//! explain` prints, where neither defaults nor an enum's variants are shown:
//! so each field says what it means, its default and an example.

// The columns of `kubectl get` share types, which are not attributes of their own.
#![allow(clippy::duplicated_attributes)]

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{rules, status::SesMailFromStatus};
use crate::mail::{BehaviorOnMxFailure, SpfAll};

/// What MAIL FROM domain is wanted, for which SES identity, in which regions.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "mailfrom.dev",
    version = "v1alpha1",
    kind = "SesMailFrom",
    doc = "A custom MAIL FROM domain for one Amazon SES identity, in every region that sends: its MX and SPF records, the setting in SES, and the watch over both.",
    namespaced,
    shortname = "smf",
    category = "ses",
    status = "SesMailFromStatus",
    derive = "PartialEq",
    selectable = ".spec.domain",
    printcolumn(name = "Domain", type_ = "string", json_path = ".spec.domain"),
    printcolumn(name = "MailFrom", type_ = "string", json_path = ".status.mailFromDomain"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason"
    ),
    printcolumn(
        name = "Regions",
        type_ = "string",
        json_path = ".status.regionsVerified",
        description = "Regions in which SES says Success, of all."
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "MX-Failure",
        type_ = "string",
        json_path = ".spec.behaviorOnMxFailure",
        description = "What SES is to do with a message while it cannot see the MX.",
        priority = 1
    ),
    printcolumn(
        name = "Zone",
        type_ = "string",
        json_path = ".status.zones[*].id",
        description = "The hosted zone that holds the records.",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::spec()))]
pub struct SesMailFromSpec {
    /// The SES identity: a domain that is verified, or being verified, in
    /// every one of the regions. Immutable.
    ///
    /// Default: none, it must be given. Example: `example.com`.
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = rules::domain()))]
    pub domain: String,
    /// The MAIL FROM domain's labels below `domain`: `bounce` makes it
    /// bounce.example.com. The name must be a fresh one that serves nothing
    /// else, no web site and no mailboxes.
    ///
    /// Default: none, it must be given. Example: `bounce`.
    #[schemars(length(max = 251), extend("x-kubernetes-validations" = rules::subdomain()))]
    pub subdomain: String,
    /// The AWS regions that send mail for `domain`, 1 to 32, each named once,
    /// all of one partition.
    ///
    /// Default: none, it must be given. Example: `[{name: us-east-1}, {name:
    /// eu-west-1}]`.
    #[schemars(
        length(min = 1, max = 32),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["name"],
            "x-kubernetes-validations" = rules::regions()
        )
    )]
    pub regions: Vec<RegionSpec>,
    /// The region to whose feedback endpoint the MX of `subdomain` points:
    /// SES allows one MX, which the regions without a subdomain of their own
    /// share. Must be one of those.
    ///
    /// Default: the region that our published MX names already, else the first
    /// of them. Example: `us-east-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub mx_region: Option<String>,
    /// What SES does with a message while it cannot see the MX.
    /// `UseDefaultValue`: it leaves under a subdomain of amazonses.com, so that
    /// SPF passes but does not align. `RejectMessage`: it is refused with
    /// MailFromDomainNotVerified.
    ///
    /// Default: UseDefaultValue. Example: `RejectMessage`.
    #[serde(default)]
    pub behavior_on_mx_failure: BehaviorOnMxFailure,
    /// When RejectMessage, where `behaviorOnMxFailure` asks for it, is told to
    /// SES. `WhenVerified`: only once SES says Success, so that setting up
    /// refuses no mail. `Immediate`: at once, and mail is refused until SES has
    /// seen the MX.
    ///
    /// Default: WhenVerified. Example: `Immediate`.
    #[serde(default)]
    pub rollout: Rollout,
    /// Where and how the MX and SPF records are published.
    ///
    /// Default: {}, which is Route 53, in the zone that is found. Example:
    /// `{hostedZoneID: Z0123456789ABCDEFGHIJ, ttlSeconds: 600}`.
    #[serde(default)]
    #[schemars(extend("default" = json!({})))]
    pub dns: DnsSpec,
    /// Whether this object acts. `Manage`: it publishes, sets, repairs and cleans
    /// up. `Observe`: it reads AWS and DNS and says in its status what Manage
    /// would change, and changes nothing; Ready is True where all is as the spec
    /// wants it. `Suspend`: nothing is read or changed. In the latter two it
    /// holds no claim on its names against other objects, and deleting it leaves
    /// everything as it is.
    ///
    /// Default: Manage. Example: `Observe`.
    #[serde(default)]
    pub mode: Mode,
    /// What to do with what stands already and this object did not make: a
    /// MAIL FROM domain that SES holds, and records at the MAIL FROM domain.
    /// `IfIdentical`: what is as the spec wants it is adopted as it stands: the
    /// same MAIL FROM domain in SES, an MX with the same host at any preference
    /// and TTL, and one SPF record, into which SES is merged where it is
    /// missing; anything else is reported and left alone. `Never`: all of it is
    /// reported and left alone. `Always`: as `IfIdentical`, and another MX or
    /// MAIL FROM domain is replaced, and counts as made by this object. What is
    /// adopted is kept up and never deleted.
    ///
    /// Default: IfIdentical. Example: `Never`.
    #[serde(default)]
    pub adoption_policy: AdoptionPolicy,
    /// The IAM role that the operator assumes to read and set MAIL FROM, where
    /// the SES identity lies in another account than the operator. It is
    /// assumed with the external id `<owner id>/<namespace>`, which its trust
    /// policy is to ask for, and with session tags, for which the policy has to
    /// allow `sts:TagSession`. May change to another role of the same account.
    ///
    /// Default: none, the operator's own credentials. Example:
    /// `arn:aws:iam::123456789012:role/ses-mailfrom`.
    #[serde(rename = "roleARN", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 640), extend("x-kubernetes-validations" = rules::role_arn()))]
    pub role_arn: Option<String>,
    /// What is undone, of what this object made, when it is deleted; what it
    /// adopted stays. `RetainDNS`: the setting in SES is cleared and the records
    /// stay, so that late bounces still arrive; an object created anew adopts
    /// them, unless its adoptionPolicy is Never. `Delete`: the setting is cleared
    /// and the records go. `Retain`: nothing is touched, and an object created
    /// anew under the same namespace and name takes everything up again.
    ///
    /// Default: RetainDNS. Example: `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// A region, and optionally a MAIL FROM domain of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionSpec {
    /// The region as AWS writes it.
    ///
    /// Default: none, it must be given. Example: `us-east-1`.
    #[schemars(length(max = 32), extend("x-kubernetes-validations" = rules::region_name()))]
    pub name: String,
    /// Labels below `domain` for a MAIL FROM domain, and so an MX, of this
    /// region alone: `bounce-eu` makes it bounce-eu.example.com. No other
    /// region may have the same, nor may it equal `spec.subdomain`.
    ///
    /// Default: none, the region shares `spec.subdomain`. Example: `bounce-eu`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 251), extend("x-kubernetes-validations" = rules::subdomain()))]
    pub subdomain: Option<String>,
}

/// When RejectMessage is asked of SES.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub enum Rollout {
    /// Only where SES says Success.
    #[default]
    WhenVerified,
    /// With the first put: mail is refused until SES has seen the MX.
    Immediate,
}

/// Whether an object acts.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Mode {
    /// It publishes, sets, repairs and cleans up.
    #[default]
    Manage,
    /// It looks, and says what it would do.
    Observe,
    /// It does not even look.
    Suspend,
}

/// What to do with what somebody else made.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum AdoptionPolicy {
    /// Taken as it stands where it is as the spec wants it.
    #[default]
    IfIdentical,
    /// Reported and left alone.
    Never,
    /// As `IfIdentical`, and replaced where it is not.
    Always,
}

/// Who publishes the records.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub enum DnsProvider {
    /// This operator, in a Route 53 hosted zone.
    #[default]
    Route53,
}

/// What to do where a wildcard answers for the name today.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub enum WildcardPolicy {
    /// Change nothing and say so.
    #[default]
    Refuse,
    /// Publish; the wildcard stops answering for the name.
    Override,
}

/// Where and how the records are published.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = rules::dns()))]
pub struct DnsSpec {
    /// Who publishes the records. `Route53`: this operator, in a public Route
    /// 53 hosted zone. Immutable.
    ///
    /// Default: Route53. Example: `Route53`.
    #[serde(default)]
    #[schemars(extend("x-kubernetes-validations" = rules::provider()))]
    pub provider: DnsProvider,
    /// The hosted zone that holds every MAIL FROM domain of this object.
    /// Needed only where it cannot be found: several public zones of one name,
    /// say. May be set later, but once set is immutable.
    ///
    /// Default: none, the most specific public zone that the parent zone
    /// delegates to is found and kept. Example: `Z0123456789ABCDEFGHIJ`.
    #[serde(rename = "hostedZoneID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-validations" = rules::hosted_zone_id()))]
    pub hosted_zone_id: Option<String>,
    /// How long resolvers may keep the records, in seconds, 60 to 86400.
    ///
    /// Default: 300. Example: `3600`.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 60, max = 86_400))]
    pub ttl_seconds: i32,
    /// What to do where a wildcard record answers for the MAIL FROM domain, or
    /// for an empty name above it, today: making the name switches the wildcard
    /// off there (RFC 4592). `Refuse`: change nothing and say so. `Override`:
    /// publish all the same.
    ///
    /// Default: Refuse. Example: `Override`.
    #[serde(default)]
    pub wildcard_policy: WildcardPolicy,
    /// What the SPF record at the MAIL FROM domain says beside Amazon SES.
    ///
    /// Default: {}, which is `v=spf1 include:amazonses.com ~all`. Example:
    /// `{include: [spf.other.example], all: Fail}`.
    #[serde(default)]
    #[schemars(extend("default" = json!({})))]
    pub spf: SpfSpec,
    /// The IAM role that the operator assumes to find the hosted zone and to
    /// change its records, where the zone lies in another account than the
    /// operator. It is assumed as `spec.roleARN` is, and may change to another
    /// role of the same account.
    ///
    /// Default: none, the operator's own credentials, whatever `spec.roleARN`
    /// says. Example: `arn:aws:iam::210987654321:role/ses-mailfrom-dns`.
    #[serde(rename = "roleARN", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 640), extend("x-kubernetes-validations" = rules::role_arn()))]
    pub role_arn: Option<String>,
}

/// Who may send beside Amazon SES, and what becomes of all others.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpfSpec {
    /// Further senders that are allowed at the MAIL FROM domain: names of SPF
    /// records to include, up to 9, each at most 118 characters long. They are
    /// put before the `all` of the one SPF record, whoever made it, and taken
    /// out again when they leave this list; amazonses.com is always there.
    ///
    /// Default: [], Amazon SES alone. Example: `[spf.other.example]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 9),
        inner(length(max = 118)),
        extend("x-kubernetes-list-type" = "set", "x-kubernetes-validations" = rules::includes())
    )]
    pub include: Vec<String>,
    /// What the SPF record that this operator creates says of all other
    /// senders. `SoftFail`: `~all`. `Fail`: `-all`. In a record that stood
    /// before it is left as it is.
    ///
    /// Default: SoftFail. Example: `Fail`.
    #[serde(default)]
    pub all: SpfAll,
}

impl Default for DnsSpec {
    fn default() -> Self {
        Self {
            provider: DnsProvider::default(),
            hosted_zone_id: None,
            ttl_seconds: default_ttl(),
            wildcard_policy: WildcardPolicy::default(),
            spf: SpfSpec::default(),
            role_arn: None,
        }
    }
}

fn default_ttl() -> i32 {
    300
}

/// What goes when the object goes.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub enum DeletionPolicy {
    /// SES is cleared; MX and SPF stay, so that late bounces still arrive.
    #[default]
    RetainDNS,
    /// SES is cleared and the records go.
    Delete,
    /// Nothing is touched; the marker stays.
    Retain,
}
