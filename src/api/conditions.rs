//! `status.conditions`: their types, and their schema.

use schemars::{Schema, SchemaGenerator, json_schema};

/// The types of condition that `status.conditions` may hold.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum ConditionType {
    /// Every region is in Success with the wanted behaviour and the records stand.
    Ready,
    /// Something can still advance by itself; there only while true.
    Reconciling,
    /// A person must act; there only while true.
    Stalled,
    /// A policy allows what the object asks for, and it holds its claims.
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

    /// What it answers when it is True, for the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Ready => {
                "SES says Success in every region, with the behaviour that is asked for, and the \
                 records stand. Always there."
            }
            Self::Reconciling => {
                "Not Ready yet, but something can still advance by itself. There only while True."
            }
            Self::Stalled => {
                "Nothing can advance by itself any more: a person must act. There only while True; \
                 looked at again at every resync, so it heals by itself once the cause is gone. \
                 A write that AWS refused is tried again within an hour, or when a reconcile is \
                 requested."
            }
            Self::Authorized => {
                "A SesMailFromPolicy allows the whole of what the object asks for, and no other \
                 object holds the same identity in the same region and account, or the same MAIL \
                 FROM domain."
            }
            Self::IdentityVerified => "The SES identity exists and is verified in every region.",
            Self::RecordsPublished => {
                "MX and SPF stand in the hosted zone and its name servers answer with them."
            }
            Self::MailFromVerified => "SES says Success in every region.",
            Self::Aligned => {
                "Mail sent now passes DMARC by SPF. False where SES or the text of the SPF record \
                 rules it out, else Unknown: the domain's DMARC record is not read yet."
            }
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

/// A list of `metav1.Condition`, with the bounds that its Go type carries as
/// markers (k8s.io/apimachinery, meta/v1) and k8s-openapi leaves out.
pub(super) fn schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["lastTransitionTime", "message", "reason", "status", "type"],
            "properties": {
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "description": "When `status` last changed.",
                },
                "message": {
                    "type": "string",
                    "maxLength": 32_768,
                    "description": "What was found and what to do about it. Stable: no times, no counts, no request ids.",
                },
                "observedGeneration": {
                    "type": "integer",
                    "format": "int64",
                    "minimum": 0,
                    "description": "The metadata.generation that this condition speaks of.",
                },
                "reason": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 1024,
                    "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                    "description": "Why, in one word; docs/reasons.md lists them with their cures.",
                },
                "status": { "type": "string", "enum": ["True", "False", "Unknown"], "description": "Whether it holds." },
                "type": {
                    "type": "string",
                    "maxLength": 316,
                    "description": "What is answered: Ready, Reconciling, Stalled, Authorized, IdentityVerified, RecordsPublished, MailFromVerified or Aligned.",
                },
            },
        },
    })
}
