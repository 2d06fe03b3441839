//! `spec`: what a person asks for.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::SesMailFromStatus;
use crate::mail::BehaviorOnMxFailure;

/// A custom MAIL FROM domain for one SES identity, in every region that sends.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "mailfrom.dev",
    version = "v1alpha1",
    kind = "SesMailFrom",
    namespaced,
    shortname = "smf",
    category = "ses",
    status = "SesMailFromStatus",
    derive = "PartialEq"
)]
#[serde(rename_all = "camelCase")]
pub struct SesMailFromSpec {
    /// The verified SES identity.
    pub domain: String,
    /// The MAIL FROM domain's labels below `domain`.
    pub subdomain: String,
    /// The SES regions that send mail for `domain`.
    pub regions: Vec<RegionSpec>,
    /// The region whose feedback endpoint the shared MX names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mx_region: Option<String>,
    /// What SES does with a message while it cannot see the MX.
    #[serde(default)]
    pub behavior_on_mx_failure: BehaviorOnMxFailure,
    /// When RejectMessage is asked of SES.
    #[serde(default)]
    pub rollout: Rollout,
    /// Where the records are published.
    #[serde(default)]
    pub dns: DnsSpec,
    /// What goes when the object goes.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

/// A region, and optionally a MAIL FROM domain of its own.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RegionSpec {
    /// As AWS writes it.
    pub name: String,
    /// A MAIL FROM domain, and so an MX, of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
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

/// Where the records are published.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DnsSpec {
    /// Who publishes them.
    #[serde(default)]
    pub provider: DnsProvider,
    /// The hosted zone; found when absent.
    #[serde(rename = "hostedZoneID", skip_serializing_if = "Option::is_none")]
    pub hosted_zone_id: Option<String>,
    /// TTL of the records that we create.
    #[serde(default = "default_ttl")]
    pub ttl_seconds: i32,
    /// What to do where a wildcard answers for the name today.
    #[serde(default)]
    pub wildcard_policy: WildcardPolicy,
}

impl Default for DnsSpec {
    fn default() -> Self {
        Self {
            provider: DnsProvider::default(),
            hosted_zone_id: None,
            ttl_seconds: default_ttl(),
            wildcard_policy: WildcardPolicy::default(),
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
