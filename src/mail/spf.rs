//! The SPF record at a MAIL FROM domain (RFC 7208), as far as its text shows.

use std::fmt;

use thiserror::Error;

/// What SES's own senders are found under.
pub const AMAZON_SES: &str = "amazonses.com";

/// The most terms that ask DNS (RFC 7208 section 4.6.4).
const MAX_LOOKUPS: usize = 10;

/// An SPF record: its terms in order, the version left out.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spf {
    terms: Vec<String>,
}

/// Why mail sent now does not pass SPF at this name, from the text alone.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SpfFault {
    /// RFC 7208 section 4.5: no record, result `none`.
    #[error("there is no SPF record")]
    Missing,
    /// RFC 7208 section 4.5: more than one record is a permanent error.
    #[error(
        "there are {0} SPF records where one may be, which is a permanent error (RFC 7208 section 4.5)"
    )]
    Several(usize),
    /// Amazon SES is not among the senders.
    #[error("the SPF record \"{0}\" does not include amazonses.com before its `all`")]
    NotIncluded(String),
    /// RFC 7208 section 4.6.4.
    #[error(
        "the SPF record has {0} terms that ask DNS, more than the 10 that RFC 7208 section 4.6.4 allows"
    )]
    TooManyLookups(usize),
}

impl Spf {
    /// The record that we create: `v=spf1 include:amazonses.com ~all`.
    pub fn for_ses() -> Self {
        Self { terms: vec![format!("include:{AMAZON_SES}"), "~all".to_owned()] }
    }

    /// Whether a joined TXT value is an SPF record (RFC 7208 section 4.5).
    pub fn is_spf(text: &str) -> bool {
        let version = text.get(..6).is_some_and(|start| start.eq_ignore_ascii_case("v=spf1"));
        version && matches!(text.as_bytes().get(6), None | Some(b' '))
    }

    /// Reads a joined TXT value; `None` where it is no SPF record.
    pub fn parse(text: &str) -> Option<Self> {
        let terms = || text[6..].split(' ').filter(|term| !term.is_empty()).map(str::to_owned);
        Self::is_spf(text).then(|| Self { terms: terms().collect() })
    }

    /// What is wrong for mail that SES sends, among the joined TXT values of a name.
    pub fn fault<'a>(values: impl Iterator<Item = &'a str>) -> Option<SpfFault> {
        let records: Vec<Self> = values.filter_map(Self::parse).collect();
        match records.as_slice() {
            [] => Some(SpfFault::Missing),
            [one] if !one.includes_ses() => Some(SpfFault::NotIncluded(one.to_string())),
            [one] if one.lookups() > MAX_LOOKUPS => Some(SpfFault::TooManyLookups(one.lookups())),
            [_] => None,
            several => Some(SpfFault::Several(several.len())),
        }
    }

    /// Whether SES passes before an `all` ends the evaluation.
    pub fn includes_ses(&self) -> bool {
        let before_all = self.terms.iter().take_while(|term| !is_all(term));
        before_all.into_iter().any(|term| is_ses_include(term))
    }

    /// The record with `include:amazonses.com` before its `all`.
    #[must_use]
    pub fn with_ses(&self) -> Self {
        let mut terms = self.terms.clone();
        if !self.includes_ses() {
            let at = terms.iter().position(|term| is_all(term)).unwrap_or(terms.len());
            terms.insert(at, format!("include:{AMAZON_SES}"));
        }
        Self { terms }
    }

    /// The record without the term that we added.
    #[must_use]
    pub fn without_ses(&self) -> Self {
        Self { terms: self.terms.iter().filter(|term| !is_ses_include(term)).cloned().collect() }
    }

    fn lookups(&self) -> usize {
        self.terms.iter().filter(|term| asks_dns(term)).count()
    }
}

impl fmt::Display for Spf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("v=spf1")?;
        self.terms.iter().try_for_each(|term| write!(f, " {term}"))
    }
}

fn mechanism(term: &str) -> String {
    let bare = term.strip_prefix(['+', '-', '~', '?']).unwrap_or(term);
    let end = bare.find([':', '/', '=']).unwrap_or(bare.len());
    bare[..end].to_ascii_lowercase()
}

fn is_all(term: &str) -> bool {
    mechanism(term) == "all" && !term.contains('=')
}

fn is_ses_include(term: &str) -> bool {
    let bare = term.strip_prefix('+').unwrap_or(term);
    let host = bare.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("include"));
    host.is_some_and(|(_, host)| host.trim_end_matches('.').eq_ignore_ascii_case(AMAZON_SES))
}

fn asks_dns(term: &str) -> bool {
    matches!(mechanism(term).as_str(), "include" | "a" | "mx" | "ptr" | "exists" | "redirect")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fault(values: &[&str]) -> Option<SpfFault> {
        Spf::fault(values.iter().copied())
    }

    #[test]
    fn the_record_of_the_guide_passes() {
        assert_eq!(Spf::for_ses().to_string(), "v=spf1 include:amazonses.com ~all");
        assert_eq!(
            fault(&["google-site-verification=x", "v=spf1 include:amazonses.com ~all"]),
            None
        );
        assert_eq!(fault(&["V=SPF1 +Include:AmazonSES.com. -all"]), None);
    }

    #[test]
    fn what_rules_a_pass_out_is_named() {
        assert_eq!(fault(&["v=spf10 include:amazonses.com"]), Some(SpfFault::Missing));
        assert_eq!(fault(&["v=spf1 -all", "v=spf1 ~all"]), Some(SpfFault::Several(2)));
        for text in
            ["v=spf1 ~all include:amazonses.com", "v=spf1 -include:amazonses.com ~all", "v=spf1"]
        {
            assert_eq!(fault(&[text]), Some(SpfFault::NotIncluded(text.to_owned())), "{text}");
        }
        let many = format!("v=spf1 include:amazonses.com{} ~all", " a:x.example".repeat(10));
        assert_eq!(fault(&[&many]), Some(SpfFault::TooManyLookups(11)));
    }

    #[test]
    fn our_term_comes_before_all_and_goes_again() {
        let found = Spf::parse("v=spf1 ip4:192.0.2.0/24 -all").unwrap();
        let merged = found.with_ses();
        assert_eq!(merged.to_string(), "v=spf1 ip4:192.0.2.0/24 include:amazonses.com -all");
        assert_eq!(merged.with_ses(), merged);
        assert_eq!(merged.without_ses(), found);
    }
}
