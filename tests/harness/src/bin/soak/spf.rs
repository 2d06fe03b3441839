//! An SPF record term by term: which terms others wrote.

use aws_simulator::txt_strings;

/// Terms that the operator may add: SES's own, and those that the specs of the
/// run ask for. A created record also brings the version and an `all`.
pub(crate) const ADDED: [&str; 2] = ["include:amazonses.com", "include:spf.partner.example"];

/// One SPF record.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Spf {
    terms: Vec<String>,
    /// Those that others wrote, in order.
    theirs: Vec<String>,
}

impl Spf {
    /// The record in a TXT value that nobody is known to have written.
    pub(crate) fn of(value: &str) -> Option<Self> {
        let text = txt_strings(value)?.concat();
        let text = String::from_utf8(text).ok()?;
        let mut terms = text.split(' ').filter(|term| !term.is_empty()).map(str::to_owned);
        let version = terms.next()?;
        let terms = terms.collect();
        version.eq_ignore_ascii_case("v=spf1").then_some(Self { terms, theirs: Vec::new() })
    }

    /// The record in a value that others wrote over `from`: what stood before
    /// belongs to whom it did, what is new is theirs.
    pub(crate) fn edited(value: &str, from: &[String], before: &[Self]) -> Option<Self> {
        let record = Self::of(value)?;
        let old = match before {
            // Others move terms within the only record there is.
            [only] => Some(only),
            several => several.iter().find(|old| old.terms == record.terms),
        };
        let unchanged = from.iter().filter_map(|value| Self::of(value));
        let known = unchanged.flat_map(|old| old.terms).collect::<Vec<_>>();
        let is_theirs = |term: &&String| {
            old.is_some_and(|old| old.theirs.contains(term)) || !known.contains(term)
        };
        let theirs = record.terms.iter().filter(is_theirs).cloned().collect();
        Some(Self { theirs, ..record })
    }

    /// What the operator made of the records `before`, or what it did wrong.
    pub(crate) fn rewritten(before: &[Self], to: &[String]) -> Result<Vec<Self>, String> {
        let after: Vec<Self> = to.iter().filter_map(|value| Self::of(value)).collect();
        if after.len() > 1 && after.len() > before.len() {
            return Err("several records".to_owned());
        }
        let mut left = after.clone();
        let mut kept = Vec::new();
        for old in before {
            let at = left.iter().position(|new| old.lives_on_in(new));
            match at {
                Some(at) => {
                    kept.push(Self { theirs: old.theirs.clone(), ..left.remove(at) });
                }
                None if old.theirs.is_empty() => {}
                None => return Err(format!("{:?} is gone", old.theirs)),
            }
        }
        kept.extend(left);
        Ok(kept)
    }

    /// Whether `new` keeps what others wrote, in order, and has only gained what
    /// may be added.
    fn lives_on_in(&self, new: &Self) -> bool {
        let mut theirs = self.theirs.iter().peekable();
        for term in &new.terms {
            if theirs.peek() == Some(&term) {
                theirs.next();
            } else if !self.terms.contains(term) && !ADDED.contains(&term.as_str()) {
                return false;
            }
        }
        theirs.peek().is_none()
    }

    /// Whether a value is this record, and nothing of it the operator's. The
    /// `all` of a record that it once made stays with the terms of others.
    pub(crate) fn is_all_theirs(&self, value: &str) -> bool {
        let is_all = |term: &&String| term.ends_with("all");
        let mut ours =
            self.terms.iter().filter(|term| !is_all(term) && !self.theirs.contains(term));
        let same = Self::of(value).is_some_and(|found| found.terms == self.terms);
        same && ours.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn value(text: &str) -> String {
        format!("\"{text}\"")
    }

    fn theirs(text: &str) -> Spf {
        Spf::edited(&value(text), &[], &[]).unwrap()
    }

    #[test]
    fn terms_may_be_merged_in_and_taken_out_again() {
        let found = theirs("v=spf1 a ip4:192.0.2.1 ~all");
        let to = value("v=spf1 a ip4:192.0.2.1 include:amazonses.com ~all");
        let merged = Spf::rewritten(&[found], &[to]).unwrap();
        assert!(
            !merged[0].is_all_theirs(&value("v=spf1 a ip4:192.0.2.1 include:amazonses.com ~all"))
        );
        let back = value("v=spf1 a ip4:192.0.2.1 ~all");
        let back_again = Spf::rewritten(&merged, std::slice::from_ref(&back)).unwrap();
        assert!(back_again[0].is_all_theirs(&back));
    }

    #[test]
    fn a_term_of_others_may_not_go_move_or_be_joined_by_a_stranger() {
        let found = || theirs("v=spf1 a mx ~all");
        for harm in [
            "v=spf1 a ~all",
            "v=spf1 mx a ~all",
            "v=spf1 a mx -all",
            "v=spf1 a mx ip4:192.0.2.1 ~all",
        ] {
            assert!(Spf::rewritten(&[found()], &[value(harm)]).is_err(), "{harm}");
        }
        assert!(Spf::rewritten(&[found()], &[]).is_err());
    }

    #[test]
    fn a_term_that_others_write_into_a_created_record_is_theirs() {
        let created = value("v=spf1 include:amazonses.com ~all");
        let ours = Spf::rewritten(&[], std::slice::from_ref(&created)).unwrap();
        let to = value("v=spf1 include:amazonses.com ip4:192.0.2.1 ~all");
        let edited = Spf::edited(&to, &[created], &ours).unwrap();
        assert_eq!(edited.theirs, ["ip4:192.0.2.1"]);
        assert!(Spf::rewritten(std::slice::from_ref(&edited), &[]).is_err());
        assert!(Spf::rewritten(&[edited], &[value("v=spf1 ip4:192.0.2.1")]).is_ok());
    }
}
