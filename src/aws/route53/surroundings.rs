//! What stands around a name that is about to be made (RFC 4592).
//!
//! The names from the apex down are looked at one after another: what is at or
//! below a name comes right behind it in Route 53's order, so that what tells
//! of a name also tells whether it exists.

use jiff::Timestamp;

use super::listing::Listing;
use super::records::Set;
use crate::mail::{DomainName, RecordType, Surroundings};

/// A look at the names from the apex down to one, as far as it has come.
#[derive(Debug)]
pub(super) struct Survey {
    pub(super) name: DomainName,
    pub(super) apex: DomainName,
    /// When the first request that it rests on was sent.
    sent: Timestamp,
    step: Step,
    /// The lowest name that exists (RFC 4592 section 3.3.1).
    encloser: Suffix,
    delegated_at: Option<Suffix>,
}

/// A name, by where it begins in the name that it is a suffix of.
type Suffix = usize;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Whether this exists.
    Name(Suffix),
    /// Whether the wildcard below the closest encloser stands. It is the one
    /// that would answer for the name and for every empty name that it brings
    /// into being.
    Wildcard,
}

impl Survey {
    pub(super) fn new(name: DomainName, apex: DomainName) -> Self {
        let top = name.as_str().len().saturating_sub(apex.as_str().len());
        let (sent, step) = (Timestamp::MAX, Step::Name(top));
        Self { name, apex, sent, step, encloser: top, delegated_at: None }
    }

    /// Goes on as far as `listing` tells: to the end, with when the first
    /// request was sent, or to the name of which more must be known.
    pub(super) fn advance(
        &mut self,
        listing: &Listing<Set>,
        not_before: Timestamp,
    ) -> Result<(Timestamp, Surroundings), String> {
        loop {
            let name = self.name.as_str();
            let place = match self.step {
                Step::Name(at) => name[at..].to_owned(),
                Step::Wildcard => format!("*.{}", &name[self.encloser..]),
            };
            // The apex exists, whatever changes below it.
            let stretch = match self.step {
                Step::Name(at) if name[at..] == *self.apex.as_str() => {
                    listing.reaching(&place, not_before)
                }
                _ => listing.telling(&place, not_before),
            };
            let Some(stretch) = stretch else { return Err(place) };
            self.sent = self.sent.min(stretch.sent());
            let here = stretch.at(&place);
            let Step::Name(at) = self.step else {
                return Ok((self.sent, self.found((!here.is_empty()).then_some(place))));
            };
            let below_apex = place != self.apex.as_str();
            if below_apex && here.iter().any(|set| set.rtype == RecordType::Ns) {
                self.delegated_at.get_or_insert(at);
            }
            // The apex exists, and nothing does below a name that does not.
            let exists = !below_apex || stretch.holds_at_or_below(&place);
            self.encloser = if exists { at } else { self.encloser };
            self.step = match down(name, at) {
                Some(lower) if exists => Step::Name(lower),
                None if exists => return Ok((self.sent, self.found(None))),
                _ => Step::Wildcard,
            };
        }
    }

    fn found(&self, wildcard: Option<String>) -> Surroundings {
        let exists = self.encloser == 0;
        let name = |at: Suffix| DomainName::parse(&self.name.as_str()[at..]).ok();
        let delegated_at = self.delegated_at.and_then(name);
        Surroundings { exists, wildcard, delegated_at }
    }
}

/// One label further down.
fn down(name: &str, at: Suffix) -> Option<Suffix> {
    let above = name[..at].strip_suffix('.')?;
    Some(above.rfind('.').map_or(0, |dot| dot + 1))
}
