//! The AWS operations that this operator calls, and what is told of each call.

use std::fmt;
use std::time::Duration;

use crate::mail::Region;

/// Every operation there is; anything else is never called.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Operation {
    /// STS: which account the credentials are of. Needs no permission.
    GetCallerIdentity,
    /// STS: a session of a role, with the operator's own credentials.
    AssumeRole,
    /// SES v1: the MAIL FROM settings of up to a hundred identities.
    GetIdentityMailFromDomainAttributes,
    /// SES v1: whether up to a hundred identities are verified.
    GetIdentityVerificationAttributes,
    /// SES: all identities, a thousand a page.
    ListEmailIdentities,
    /// SES: one identity, where IAM does not allow the actions above.
    GetEmailIdentity,
    /// SES: the only write there.
    PutEmailIdentityMailFromAttributes,
    /// Route 53.
    ListHostedZonesByName,
    /// Route 53.
    ListResourceRecordSets,
    /// Route 53.
    GetChange,
    /// Route 53: the only write there.
    ChangeResourceRecordSets,
}

impl Operation {
    /// Every operation, for IAM policies and metrics.
    pub const ALL: [Self; 11] = [
        Self::GetCallerIdentity,
        Self::AssumeRole,
        Self::GetIdentityMailFromDomainAttributes,
        Self::GetIdentityVerificationAttributes,
        Self::ListEmailIdentities,
        Self::GetEmailIdentity,
        Self::PutEmailIdentityMailFromAttributes,
        Self::ListHostedZonesByName,
        Self::ListResourceRecordSets,
        Self::GetChange,
        Self::ChangeResourceRecordSets,
    ];

    /// The service's prefix in IAM: `sts`, `ses` or `route53`.
    pub fn service(self) -> &'static str {
        match self {
            Self::GetCallerIdentity | Self::AssumeRole => "sts",
            Self::GetIdentityMailFromDomainAttributes
            | Self::GetIdentityVerificationAttributes
            | Self::ListEmailIdentities
            | Self::GetEmailIdentity
            | Self::PutEmailIdentityMailFromAttributes => "ses",
            Self::ListHostedZonesByName
            | Self::ListResourceRecordSets
            | Self::GetChange
            | Self::ChangeResourceRecordSets => "route53",
        }
    }

    /// The operation's name in the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::AssumeRole => "AssumeRole",
            Self::GetIdentityMailFromDomainAttributes => "GetIdentityMailFromDomainAttributes",
            Self::GetIdentityVerificationAttributes => "GetIdentityVerificationAttributes",
            Self::ListEmailIdentities => "ListEmailIdentities",
            Self::GetEmailIdentity => "GetEmailIdentity",
            Self::PutEmailIdentityMailFromAttributes => "PutEmailIdentityMailFromAttributes",
            Self::ListHostedZonesByName => "ListHostedZonesByName",
            Self::ListResourceRecordSets => "ListResourceRecordSets",
            Self::GetChange => "GetChange",
            Self::ChangeResourceRecordSets => "ChangeResourceRecordSets",
        }
    }

    /// As IAM policies write it, `ses:GetEmailIdentity`.
    pub fn iam_action(self) -> String {
        format!("{}:{}", self.service(), self.name())
    }
}

/// One call that was made, for metrics. Every label is bounded.
#[derive(Clone, Debug)]
pub struct Call {
    /// `sts`, `ses` or `route53`.
    pub service: &'static str,
    /// The operation's name.
    pub operation: &'static str,
    /// The SES region; `global` for STS and Route 53.
    pub region: String,
    /// `OK`, or the kind of failure.
    pub code: &'static str,
    /// From sending to the end of the answer.
    pub duration: Duration,
}

/// What a call is about.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) operation: Operation,
    pub(super) region: Option<Region>,
    /// For a person.
    pub(super) thing: String,
}

impl Target {
    pub(super) fn global(operation: Operation, thing: impl fmt::Display) -> Self {
        Self { operation, region: None, thing: thing.to_string() }
    }

    pub(super) fn regional(
        operation: Operation,
        region: &Region,
        thing: impl fmt::Display,
    ) -> Self {
        let thing = format!("{thing} in {region}");
        Self { operation, region: Some(region.clone()), thing }
    }
}
