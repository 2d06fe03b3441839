//! What SES says of a sending identity in one region.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::SharedText;

/// What SES does with a message while it cannot see the MX record
/// (SES API v2, `BehaviorOnMxFailure`).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Deserialize,
    Eq,
    Hash,
    JsonSchema,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
)]
pub enum BehaviorOnMxFailure {
    /// Sent with a subdomain of amazonses.com: SPF passes and does not align.
    #[default]
    UseDefaultValue,
    /// Refused with `MailFromDomainNotVerified`.
    RejectMessage,
}

impl BehaviorOnMxFailure {
    /// The name as the CRD writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UseDefaultValue => "UseDefaultValue",
            Self::RejectMessage => "RejectMessage",
        }
    }
}

/// SES's word on a MAIL FROM domain (SES developer guide, "custom MAIL FROM").
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Deserialize,
    Eq,
    Hash,
    JsonSchema,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
)]
pub enum MailFromStatus {
    /// No MAIL FROM domain is set, or SES reports a status that it does not document.
    #[default]
    NotStarted,
    /// SES looks for the MX, for 72 hours.
    Pending,
    /// The MX was seen; SES keeps checking.
    Success,
    /// The MX was there and is not any more; SES looks for 72 hours.
    TemporaryFailure,
    /// SES gave up: nothing happens until the setup is restarted.
    Failed,
}

impl MailFromStatus {
    /// The name as the CRD and the metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotStarted => "NotStarted",
            Self::Pending => "Pending",
            Self::Success => "Success",
            Self::TemporaryFailure => "TemporaryFailure",
            Self::Failed => "Failed",
        }
    }

    /// Every status, for metrics that show one series each.
    pub const ALL: [Self; 5] =
        [Self::NotStarted, Self::Pending, Self::Success, Self::TemporaryFailure, Self::Failed];
}

/// Whether mail may be sent from an identity in one region.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verification {
    /// SES knows no such identity.
    Missing,
    /// The identity is there, and its verification is not done, or has failed.
    Unverified,
    /// Mail may be sent from it.
    Verified,
}

/// An SES identity in one region. That SES knows no such identity is an
/// answer too: `Option<Identity>` is what a read yields.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Identity {
    /// Whether mail may be sent from it (`VerifiedForSendingStatus`).
    pub verified: bool,
    /// The MAIL FROM domain that is set, if one is.
    pub mail_from: Option<MailFrom>,
}

/// A custom MAIL FROM setting as SES holds it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct MailFrom {
    /// The MAIL FROM domain, lower case, as SES returned it: it may be
    /// anybody's text, so it is not a [`super::MailFromDomain`].
    pub domain: SharedText,
    /// SES's word on it.
    pub status: MailFromStatus,
    /// What happens while the MX is not seen.
    pub behavior: BehaviorOnMxFailure,
}
