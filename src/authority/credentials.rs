//! Whose credentials a call is made with.

use std::fmt;
use std::sync::Arc;

use crate::mail::{RoleArn, SharedText};

/// What an object needs credentials for; they may be of different accounts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Service {
    /// The identity and its MAIL FROM setting.
    Ses,
    /// The hosted zone and its records.
    Route53,
}

/// The credentials of one call.
#[derive(Clone, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Credentials {
    /// The operator's own.
    #[default]
    Ambient,
    /// Of a role that the operator assumes on behalf of a namespace: one session
    /// serves all objects of the namespace.
    Role(Arc<Assumed>),
}

/// A role that is assumed on behalf of a namespace.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Assumed {
    /// Which.
    pub arn: RoleArn,
    /// Named by the external id and the session's tags.
    pub namespace: SharedText,
}

impl Credentials {
    /// Of a role, on behalf of a namespace.
    pub fn role(arn: RoleArn, namespace: impl Into<SharedText>) -> Self {
        Self::Role(Arc::new(Assumed { arn, namespace: namespace.into() }))
    }
}

/// As the message about a refusal names them.
impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ambient => f.write_str("the operator's credentials"),
            Self::Role(role) => write!(f, "the role {}", role.arn),
        }
    }
}

/// The credentials that an object asks for, by service.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ServiceCredentials {
    /// Of the SES account.
    pub ses: Credentials,
    /// Of the hosted zone's account.
    pub route53: Credentials,
}

impl ServiceCredentials {
    /// Those for `service`.
    pub fn of(&self, service: Service) -> &Credentials {
        match service {
            Service::Ses => &self.ses,
            Service::Route53 => &self.route53,
        }
    }
}
