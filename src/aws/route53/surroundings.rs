//! What stands around a name that is about to be made (RFC 4592).
//!
//! A small zone is read whole, in one call. In a larger one the names between
//! apex and name are looked at from the top: what is at or below a name comes
//! right behind it in Route 53's order, so one call tells whether it exists.

use aws_sdk_route53::types as sdk;

use super::super::Error;
use super::super::access::{Ask, Reader};
use super::super::memo::{Asked, Memo};
use super::super::memos::Memos;
use super::names::{is_at_or_below, is_before, plain};
use super::records::{AtName, Page, Start, WHOLE_PAGE, read_name, read_page};
use crate::mail::{DomainName, HostedZoneId, Surroundings};

/// What stands around `name`, up to `apex`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in super::super) struct Around {
    pub(in super::super) zone: HostedZoneId,
    pub(in super::super) name: DomainName,
    pub(in super::super) apex: DomainName,
}

impl Ask for Around {
    type Value = Surroundings;

    fn memo(memos: &Memos) -> &Memo<Asked<Self>, Surroundings> {
        &memos.surroundings
    }

    async fn read(&self, reader: &Reader) -> Result<Surroundings, Error> {
        let start = Start::at(self.apex.as_str());
        let first = read_page(reader, &self.zone, &start, WHOLE_PAGE).await?;
        if first.next.is_none() {
            return Ok(self.survey_whole_zone(&first));
        }
        let mut survey = Survey::new(self);
        for name in self.between() {
            let at = read_name(reader, &self.zone, name.as_str()).await?;
            if !survey.note(&name, exists(&name, &at), has_ns(&at.sets)) {
                break;
            }
        }
        let Some(wildcard) = survey.wildcard() else { return Ok(survey.found) };
        let stands = match on_page(&first, &wildcard) {
            Some(known) => known,
            None => !read_name(reader, &self.zone, &wildcard).await?.sets.is_empty(),
        };
        survey.found.wildcard = stands.then_some(wildcard);
        Ok(survey.found)
    }
}

impl Around {
    /// The names below the apex down to the name itself.
    fn between(&self) -> Vec<DomainName> {
        let upward = self.name.ancestors_and_self();
        let mut names: Vec<_> = upward.take_while(|name| name.is_below(&self.apex)).collect();
        names.reverse();
        names
    }

    fn survey_whole_zone(&self, zone: &Page) -> Surroundings {
        let owners: Vec<String> = zone.sets.iter().map(|set| plain(&set.name)).collect();
        let mut survey = Survey::new(self);
        for name in self.between() {
            let exists = owners.iter().any(|owner| is_at_or_below(owner, name.as_str()));
            let here = owners.iter().zip(&zone.sets).filter(|(owner, _)| *owner == name.as_str());
            let ns = here.into_iter().any(|(_, set)| set.r#type == sdk::RrType::Ns);
            if !survey.note(&name, exists, ns) {
                break;
            }
        }
        let wildcard = survey.wildcard().filter(|name| owners.contains(name));
        Surroundings { wildcard, ..survey.found }
    }
}

fn exists(name: &DomainName, at: &AtName) -> bool {
    let below = |other: &String| is_at_or_below(other, name.as_str());
    !at.sets.is_empty() || at.following.as_ref().is_some_and(below)
}

fn has_ns(sets: &[sdk::ResourceRecordSet]) -> bool {
    sets.iter().any(|set| set.r#type == sdk::RrType::Ns)
}

/// Whether a wildcard stands, if a page from the apex on can tell: it can where
/// the page shows it, or reaches past it. A star may sort as itself or as its
/// escape `\052`, so the page must reach past both.
fn on_page(page: &Page, wildcard: &str) -> Option<bool> {
    if page.sets.iter().any(|set| plain(&set.name) == wildcard) {
        return Some(true);
    }
    let last = page.sets.last()?.name.to_ascii_lowercase();
    let parent = wildcard.strip_prefix("*.")?;
    let past = |star| is_before(&format!("{star}.{parent}"), &last);
    (past("*") && past("\\052")).then_some(false)
}

/// Notes, from the apex down, which names exist.
struct Survey<'a> {
    name: &'a DomainName,
    /// The lowest name that exists (RFC 4592 section 3.3.1).
    encloser: DomainName,
    found: Surroundings,
}

impl<'a> Survey<'a> {
    fn new(question: &'a Around) -> Self {
        let (name, encloser) = (&question.name, question.apex.clone());
        Self { name, encloser, found: Surroundings::default() }
    }

    /// Returns whether to look further down: below a name that does not exist
    /// nothing does.
    fn note(&mut self, name: &DomainName, exists: bool, delegated: bool) -> bool {
        if exists {
            self.encloser = name.clone();
            self.found.exists = name == self.name;
        }
        if delegated && self.found.delegated_at.is_none() {
            self.found.delegated_at = Some(name.clone());
        }
        exists
    }

    /// The wildcard that would answer for the name and for every empty name
    /// that it brings into being: that of the closest encloser, and no other.
    fn wildcard(&self) -> Option<String> {
        (!self.found.exists).then(|| format!("*.{}", self.encloser))
    }
}
