//! The one MX record of a MAIL FROM domain.

use super::name::DomainName;

/// AWS documents 10 and no other; whether SES accepts others is not known.
pub const MX_PREFERENCE: u16 = 10;

/// An MX value in zone-file form, `10 feedback-smtp.us-east-1.amazonses.com`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mx {
    /// Lower is tried first (RFC 5321 section 5.1).
    pub preference: u16,
    /// The host, compared without case and trailing dot.
    pub host: DomainName,
}

impl Mx {
    /// The value that SES asks for.
    pub fn to_feedback(host: DomainName) -> Self {
        Self { preference: MX_PREFERENCE, host }
    }

    /// Parses `preference host`; `None` where it is anything else.
    pub fn parse(value: &str) -> Option<Self> {
        let mut words = value.split_ascii_whitespace();
        let preference = words.next()?.parse().ok()?;
        let host = DomainName::parse(words.next()?).ok()?;
        words.next().is_none().then_some(Self { preference, host })
    }

    /// In zone-file form, host without trailing dot.
    pub fn to_value(&self) -> String {
        format!("{} {}", self.preference, self.host)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn case_and_trailing_dot_do_not_matter() {
        let mx = Mx::parse("10 Feedback-SMTP.us-east-1.amazonses.com.").unwrap();
        assert_eq!(mx.to_value(), "10 feedback-smtp.us-east-1.amazonses.com");
    }

    #[test]
    fn other_shapes_are_no_mx() {
        for bad in ["", "10", "host", "10 a b", "70000 host.example", "10 .", "x host.example"] {
            assert_eq!(Mx::parse(bad), None, "{bad:?}");
        }
    }
}
