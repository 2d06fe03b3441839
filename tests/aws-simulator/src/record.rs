//! Record sets as Route 53 keeps them, and what it accepts as a value.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;

use crate::name::{Name, NameError};

/// A record type that Route 53 knows. Types order by their letters, as lists do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RecordType(&'static str);

const TYPES: [&str; 17] = [
    "A", "AAAA", "CAA", "CNAME", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SPF", "SRV",
    "SSHFP", "SVCB", "TLSA", "TXT",
];

impl RecordType {
    /// IPv4 address.
    pub const A: Self = Self("A");
    /// IPv6 address.
    pub const AAAA: Self = Self("AAAA");
    /// Another name.
    pub const CNAME: Self = Self("CNAME");
    /// Delegation signer, which stands on the parent's side of a cut.
    pub const DS: Self = Self("DS");
    /// Mail exchange.
    pub const MX: Self = Self("MX");
    /// Name server.
    pub const NS: Self = Self("NS");
    /// Start of authority.
    pub const SOA: Self = Self("SOA");
    /// Text.
    pub const TXT: Self = Self("TXT");

    /// The type of that name, in capitals.
    pub fn parse(text: &str) -> Option<Self> {
        TYPES.into_iter().find(|known| *known == text).map(Self)
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        self.0
    }
}

impl std::fmt::Display for RecordType {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.0)
    }
}

/// What tells record sets of one zone apart: name, type and set identifier.
pub type RecordKey = (Name, RecordType, Option<String>);

/// One record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordSet {
    /// Its name.
    pub name: Name,
    /// Its type.
    pub kind: RecordType,
    /// TTL in seconds; none for an alias.
    pub ttl: Option<u32>,
    /// Values in zone-file form, TXT in quotes; none for an alias.
    pub values: Vec<String>,
    /// Set identifier and routing element with its value, such as `Weight` and
    /// `10`; none for a simple record set.
    pub routing: Option<Routing>,
    /// Where an alias points; none for ordinary record sets.
    pub alias: Option<AliasTarget>,
}

/// Makes a record set one of several at its name and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Routing {
    /// Tells it from the others.
    pub set_identifier: String,
    /// The element: `Weight`, `Region`, `Failover` or `MultiValueAnswer`.
    pub element: String,
    /// Its value.
    pub value: String,
}

/// What an alias record set answers for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliasTarget {
    /// Zone of the target.
    pub hosted_zone_id: String,
    /// Its DNS name.
    pub dns_name: String,
    /// Whether its health counts.
    pub evaluate_target_health: bool,
}

impl RecordSet {
    /// A simple record set.
    pub fn new(name: &str, kind: RecordType, ttl: u32, values: &[&str]) -> Result<Self, NameError> {
        Ok(Self::of(
            Name::parse(name)?,
            kind,
            ttl,
            values.iter().map(|value| (*value).to_owned()).collect(),
        ))
    }

    pub(crate) fn of(name: Name, kind: RecordType, ttl: u32, values: Vec<String>) -> Self {
        Self { name, kind, ttl: Some(ttl), values, routing: None, alias: None }
    }

    /// An alias A record set, as for a load balancer.
    pub fn alias(name: &str, target: &str) -> Result<Self, NameError> {
        Ok(Self {
            name: Name::parse(name)?,
            kind: RecordType::A,
            ttl: None,
            values: Vec::new(),
            routing: None,
            alias: Some(AliasTarget {
                hosted_zone_id: "Z35SXDOTRQ7X7K".to_owned(),
                dns_name: target.to_owned(),
                evaluate_target_health: false,
            }),
        })
    }

    /// The same, as one of several weighted ones.
    #[must_use]
    pub fn weighted(mut self, set_identifier: &str, weight: u8) -> Self {
        self.routing = Some(Routing {
            set_identifier: set_identifier.to_owned(),
            element: "Weight".to_owned(),
            value: weight.to_string(),
        });
        self
    }

    /// What tells it apart in its zone.
    pub fn key(&self) -> RecordKey {
        let identifier = self.routing.as_ref().map(|routing| routing.set_identifier.clone());
        (self.name.clone(), self.kind, identifier)
    }

    /// Whether a DELETE that repeats `other` means this record set: TTL,
    /// values (in any order), routing and alias all the same.
    pub(crate) fn same_values(&self, other: &Self) -> bool {
        let sorted = |set: &Self| {
            let mut values = set.values.clone();
            values.sort();
            values
        };
        self.ttl == other.ttl
            && sorted(self) == sorted(other)
            && self.routing == other.routing
            && self.alias == other.alias
    }
}

/// What is wrong with a value, in Route 53's words; none if nothing is.
pub(crate) fn value_fault(kind: RecordType, value: &str) -> Option<String> {
    let fault = match kind.as_str() {
        "A" if value.parse::<Ipv4Addr>().is_err() => {
            "ARRDATAIllegalIPv4Address (Value is not a valid IPv4 address)"
        }
        "AAAA" if value.parse::<Ipv6Addr>().is_err() => {
            "AAAARRDATAIllegalIPv6Address (Value is not a valid IPv6 address)"
        }
        "MX" => mx_fault(value)?,
        "TXT" | "SPF" => txt_fault(value)?,
        "CNAME" | "NS" | "PTR" if Name::parse(value).is_err() => {
            "DomainNameInvalid (Value is not a valid domain name)"
        }
        "SOA" if value.split(' ').count() != 7 => {
            "SOARRDATANotSevenFields (SOA record doesn't have 7 fields)"
        }
        _ => return None,
    };
    Some(format!("Invalid Resource Record: 'FATAL problem: {fault} encountered with '{value}''"))
}

fn mx_fault(value: &str) -> Option<&'static str> {
    let fields: Vec<&str> = value.split(' ').collect();
    let [preference, host] = fields[..] else {
        return Some("MXRRDATANotTwoFields (MX record doesn't have 2 fields)");
    };
    if preference.parse::<u16>().is_err() {
        Some("MXRRDATAIllegalPriority (MX priority is not a number from 0 to 65535)")
    } else if host != "." && Name::parse(host).is_err() {
        Some("DomainNameInvalid (Value is not a valid domain name)")
    } else {
        None
    }
}

fn txt_fault(value: &str) -> Option<&'static str> {
    let Some(strings) = txt_strings(value) else {
        return Some("InvalidCharacterString (Value should be enclosed in quotation marks)");
    };
    let too_long = value.len() > 4_000 || strings.iter().any(|string| string.len() > 255);
    too_long.then_some("CharacterStringTooLong (Value is too long)")
}

/// The character-strings of a TXT value: quoted, apart by blanks, with `\"`,
/// `\\` and octal escapes. None if it is not of that form.
pub fn txt_strings(value: &str) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    let mut rest = value.trim().as_bytes();
    while !rest.is_empty() {
        let (string, after) = quoted(rest)?;
        strings.push(string);
        rest = after.trim_ascii_start();
    }
    (!strings.is_empty()).then_some(strings)
}

fn quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut string = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Some((string, after)),
            [b'\\', a @ b'0'..=b'7', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] => {
                let code = u16::from(a - b'0') * 64 + u16::from(b - b'0') * 8 + u16::from(c - b'0');
                string.push(u8::try_from(code).ok()?);
                rest = after;
            }
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                string.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn txt_values_are_quoted_strings_of_up_to_255_characters_and_4000_in_all() {
        assert_eq!(txt_strings(r#""a b" "c\"d" "\052""#).unwrap(), [&b"a b"[..], b"c\"d", b"*"]);
        let full = format!("\"{}\"", "x".repeat(255));
        assert_eq!(value_fault(RecordType::TXT, &full), None);
        assert_eq!(value_fault(RecordType::TXT, &format!("{full} {full}")), None);
        let fault = |value: &str| value_fault(RecordType::TXT, value).unwrap();
        assert!(
            fault("v=spf1 ~all")
                .contains("InvalidCharacterString (Value should be enclosed in quotation marks)")
        );
        assert!(fault("\"open").contains("InvalidCharacterString"));
        assert!(
            fault(&format!("\"{}\"", "x".repeat(256)))
                .contains("CharacterStringTooLong (Value is too long)")
        );
        assert!(fault(&vec![full; 16].join(" ")).contains("CharacterStringTooLong"));
    }

    #[test]
    fn an_mx_is_a_preference_and_a_host() {
        let fault = |value| value_fault(RecordType::MX, value);
        assert_eq!(fault("10 feedback-smtp.us-east-1.amazonses.com"), None);
        for wrong in
            ["feedback-smtp.us-east-1.amazonses.com", "70000 a.example", "10 a..b", "10  a.b"]
        {
            assert!(fault(wrong).is_some(), "{wrong}");
        }
    }
}
