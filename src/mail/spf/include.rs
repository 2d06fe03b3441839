//! Senders that an SPF record lets in by name, and the verdict on all others.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::name::{DomainName, NameError};
use super::AMAZON_SES;
use super::term::is_toplabel;

/// A sender named by `include:`: a plain name of two labels or more, without
/// macros, so that what is allowed can be compared with what is asked for.
/// Labels may begin with `_`, as those of most providers do.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SpfInclude(String);

impl SpfInclude {
    /// Parses a name; upper case is folded and one trailing dot dropped.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = DomainName::parse(text)?;
        let top = name.as_str().rsplit_once('.').map(|(_, top)| top);
        if top.is_some_and(is_toplabel) && !name.as_str().contains('*') {
            Ok(Self(name.as_str().to_owned()))
        } else {
            Err(NameError::Syntax(name.as_str().to_owned()))
        }
    }

    /// Amazon SES's own senders.
    pub fn amazon_ses() -> Self {
        Self(AMAZON_SES.to_owned())
    }

    /// The name, lower case, without trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The term that lets it in, as we write it: `include:<name>`.
    pub fn term(&self) -> String {
        format!("include:{}", self.0)
    }

    /// Whether a domain-spec names it, without regard to case and trailing dot.
    pub(super) fn is_named_by(&self, domain_spec: &str) -> bool {
        let bare = domain_spec.strip_suffix('.').unwrap_or(domain_spec);
        bare.eq_ignore_ascii_case(&self.0)
    }
}

impl fmt::Display for SpfInclude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a record that we create says of every other sender.
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
pub enum SpfAll {
    /// `~all`: probably not allowed (RFC 7208 section 8.5).
    #[default]
    SoftFail,
    /// `-all`: not allowed (RFC 7208 section 8.4).
    Fail,
}

impl SpfAll {
    /// The term.
    pub fn term(self) -> &'static str {
        match self {
            Self::SoftFail => "~all",
            Self::Fail => "-all",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_are_included() {
        let parsed = SpfInclude::parse("_SPF.Example.com.").map(|include| include.term());
        assert_eq!(parsed.as_deref(), Ok("include:_spf.example.com"));
        for bad in ["", "com", "%{d}.com", "*.example.com", "a b.com", "a.1", "a..com", "a.com/24"]
        {
            assert!(SpfInclude::parse(bad).is_err(), "{bad}");
        }
    }
}
