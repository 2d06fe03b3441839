//! Domain names as Route 53 and the DNS compare them.

use std::fmt;

use thiserror::Error;

/// A fully qualified domain name, lower case, kept as its labels in reverse
/// (`com.example.www.`). Its order is therefore the order in which Route 53
/// lists record sets: by that string, byte for byte, so that `-` sorts before
/// the dot (API reference, ListResourceRecordSets). All names below a name
/// share its string as a prefix.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

/// A text that is no domain name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{text:?} is not a domain name: {reason}")]
pub struct NameError {
    /// What was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Name {
    /// The root of the DNS.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// Reads a name with or without its final dot, with octal escapes such as
    /// `\052` or the characters that they stand for.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fail = |reason| NameError { text: text.to_owned(), reason };
        let plain = unescape(text).ok_or_else(|| fail("a bad escape"))?;
        let plain = plain.strip_suffix('.').unwrap_or(&plain);
        if plain.is_empty() {
            return if text == "." { Ok(Self::root()) } else { Err(fail("it is empty")) };
        }
        if plain.len() > 253 {
            return Err(fail("it is longer than 253 characters"));
        }
        let labels: Vec<&str> = plain.split('.').collect();
        if labels.iter().any(|label| label.is_empty()) {
            return Err(fail("a label is empty"));
        }
        if labels.iter().any(|label| label.len() > 63) {
            return Err(fail("a label is longer than 63 characters"));
        }
        if plain.bytes().any(|byte| !byte.is_ascii_graphic()) {
            return Err(fail("a character that is not printable ASCII"));
        }
        Ok(Self::from_labels(labels.into_iter()))
    }

    /// Puts a name together from its labels, the leftmost first.
    pub fn from_labels<'a>(labels: impl DoubleEndedIterator<Item = &'a str>) -> Self {
        let mut reversed = String::new();
        for label in labels.rev() {
            reversed.push_str(&label.to_ascii_lowercase());
            reversed.push('.');
        }
        Self(reversed)
    }

    /// The labels, the leftmost first.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.strip_suffix('.').unwrap_or(&self.0).rsplit('.').filter(|label| !label.is_empty())
    }

    /// The name without its leftmost label; none for the root.
    pub fn parent(&self) -> Option<Self> {
        let trimmed = self.0.strip_suffix('.')?;
        Some(Self(trimmed.rfind('.').map_or_else(String::new, |dot| trimmed[..=dot].to_owned())))
    }

    /// This name and everything above it, the root last.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// The name `label.self`.
    #[must_use]
    pub fn child(&self, label: &str) -> Self {
        Self(format!("{}{}.", self.0, label.to_ascii_lowercase()))
    }

    /// Whether this is `other` or lies below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Without final dot and without escapes: `*.example.com`.
    pub fn plain(&self) -> String {
        self.labels().collect::<Vec<_>>().join(".")
    }
}

/// As Route 53 returns it: `\052.example.com.`
impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return formatter.write_str(".");
        }
        for label in self.labels() {
            for character in label.chars() {
                if character.is_ascii_alphanumeric() || matches!(character, '-' | '_') {
                    write!(formatter, "{character}")?;
                } else {
                    write!(formatter, "\\{:03o}", u32::from(character))?;
                }
            }
            formatter.write_str(".")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{self}")
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

/// Replaces `\ooo` by its character; none where an escape is cut short or
/// stands for a dot or for something outside ASCII.
fn unescape(text: &str) -> Option<String> {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        plain.push_str(&rest[..at]);
        let code = u8::from_str_radix(rest.get(at + 1..at + 4)?, 8).ok()?;
        if !code.is_ascii() || code == b'.' {
            return None;
        }
        plain.push(char::from(code));
        rest = &rest[at + 4..];
    }
    plain.push_str(rest);
    Some(plain)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_come_back_lower_case_with_octal_escapes_and_final_dot() {
        let name = Name::parse("*.Example.COM").unwrap();
        assert_eq!(name.to_string(), "\\052.example.com.");
        assert_eq!(Name::parse("\\052.example.com.").unwrap(), name);
        assert_eq!(name.plain(), "*.example.com");
    }

    #[test]
    fn the_order_is_of_reversed_labels_with_hyphen_before_dot() {
        let mut names =
            ["z.example.com", "example.com", "a.b.example.com", "example-x.com", "b.example.com"]
                .map(|text| Name::parse(text).unwrap());
        names.sort();
        assert_eq!(
            names.map(|name| name.plain()),
            ["example-x.com", "example.com", "b.example.com", "a.b.example.com", "z.example.com"]
        );
    }

    #[test]
    fn within_compares_whole_labels() {
        let zone = Name::parse("example.com").unwrap();
        assert!(Name::parse("a.example.com").unwrap().is_within(&zone));
        assert!(!Name::parse("badexample.com").unwrap().is_within(&zone));
        assert!(zone.is_within(&Name::root()));
        assert_eq!(zone.ancestors().count(), 3);
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in ["", "a..b", ".a", "a\\05", "sp ace.com", &"x".repeat(64)] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
