//! Domain names, parsed once at the edge and right from then on.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::shared::SharedText;

/// A lower-case DNS name without trailing dot. Labels are those that Route 53
/// may return: letters, digits, `-`, `_` and a leading `*`. At most 253 octets.
/// Equal names share their text, however often each was parsed: ten thousand objects
/// name each of theirs many times.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String", try_from = "String")]
pub struct DomainName(SharedText);

/// Why a text is not a name that can be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NameError {
    /// Not a DNS name.
    #[error(
        "\"{0}\" is not a lower-case DNS name: labels of 1 to 63 letters, digits and '-', separated by single dots, 253 characters at most"
    )]
    Syntax(String),
    /// Not below the identity.
    #[error(
        "{name} is not a subdomain of {domain}: SES accepts a MAIL FROM domain only below the identity that it is set on"
    )]
    NotBelow {
        /// What was given.
        name: String,
        /// The identity.
        domain: String,
    },
}

impl DomainName {
    /// Parses a name; upper case is folded and one trailing dot dropped, as
    /// Route 53 and DNS return names with both.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let legal = !name.is_empty() && name.len() <= 253 && name.split('.').all(label_is_legal);
        if legal {
            Ok(Self(name.into()))
        } else {
            Err(NameError::Syntax(text.chars().take(253).collect()))
        }
    }

    /// The name, lower case, without trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `other` or a name below it.
    pub fn is_at_or_below(&self, other: &Self) -> bool {
        self == other || self.is_below(other)
    }

    /// Whether this is a name below `other`.
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.strip_suffix(&*other.0).is_some_and(|rest| rest.ends_with('.'))
    }

    /// The name one label up, or `None` for a single label.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, rest)| Self(rest.into()))
    }

    /// This name and those above it, shortest last.
    pub fn ancestors_and_self(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }
}

impl TryFrom<String> for DomainName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::parse(&text)
    }
}

impl From<DomainName> for String {
    fn from(name: DomainName) -> Self {
        name.as_str().to_owned()
    }
}

fn label_is_legal(label: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, b'-' | b'_');
    label == "*" || ((1..=63).contains(&label.len()) && label.bytes().all(inner))
}

impl fmt::Display for DomainName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A MAIL FROM domain: a host name strictly below the identity it is set on.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct MailFromDomain(DomainName);

impl MailFromDomain {
    /// `subdomain` below `identity`; `subdomain` is relative to it.
    pub fn new(subdomain: &str, identity: &DomainName) -> Result<Self, NameError> {
        Self::below(&format!("{subdomain}.{identity}"), identity)
    }

    /// A full name that must lie below `identity`.
    pub fn below(name: &str, identity: &DomainName) -> Result<Self, NameError> {
        let parsed = DomainName::parse(name)?;
        let host = |label: &str| {
            !label.contains(['_', '*']) && !label.starts_with('-') && !label.ends_with('-')
        };
        if !parsed.as_str().split('.').all(host) {
            return Err(NameError::Syntax(name.to_owned()));
        }
        if !parsed.is_below(identity) {
            return Err(NameError::NotBelow {
                name: parsed.to_string(),
                domain: identity.to_string(),
            });
        }
        Ok(Self(parsed))
    }

    /// As a plain name.
    pub fn name(&self) -> &DomainName {
        &self.0
    }

    /// Lower case, without trailing dot.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for MailFromDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
