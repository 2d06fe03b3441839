//! What is known of something that Route 53 lists in the order of its names,
//! page by page: record sets of a zone, zones of an account.
//!
//! A page answers for every name from the one that it was asked for to before
//! the one that comes next, absences included. Both lists start *at* a name.

use std::collections::BTreeMap;
use std::ops::Bound;

use jiff::Timestamp;

use super::names::{dotted, is_at_or_below, is_before, plain};

/// Where a page starts, or the next one does.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Start {
    pub(super) name: String,
    /// Of a record set.
    pub(super) rtype: Option<String>,
    /// A record set's identifier, or a zone's id.
    pub(super) id: Option<String>,
}

impl Start {
    pub(super) fn at(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Whether it is in the midst of a name.
    fn goes_on(&self) -> bool {
        self.rtype.is_some() || self.id.is_some()
    }
}

/// What one call returned.
#[derive(Clone, Debug)]
pub(super) struct Page<T> {
    /// In Route 53's order, each with its plain name.
    pub(super) items: Vec<(String, T)>,
    /// What comes next; `None` at the end of the list.
    pub(super) next: Option<Start>,
}

/// A part of the list without gaps.
#[derive(Debug)]
pub(super) struct Stretch<T> {
    /// When its first request was sent.
    sent: Timestamp,
    from: Mark,
    /// The name that comes next; `None` at the end of the list.
    to: Option<Mark>,
    /// By dotted name.
    items: BTreeMap<String, Vec<T>>,
    torn: Option<Torn<T>>,
    /// How many changes had ended when it came. Of one that ended while it was on its
    /// way, the listing is told once more afterwards.
    knows: u64,
}

/// A name whose items go on behind the end of a page.
#[derive(Debug)]
struct Torn<T> {
    items: Vec<T>,
    next: Start,
}

#[derive(Debug)]
struct Mark {
    plain: String,
    dotted: String,
}

impl Mark {
    fn of(name: &str) -> Self {
        let plain = plain(name);
        Self { dotted: dotted(&plain), plain }
    }
}

/// Stretches of one list, the newest last.
#[derive(Debug)]
pub(super) struct Listing<T> {
    most: usize,
    stretches: Vec<Stretch<T>>,
    /// Changes so far.
    changes: u64,
    /// The last change to a dotted name, by its number, unless every stretch knows it.
    changed: BTreeMap<String, u64>,
}

impl<T> Listing<T> {
    /// Holds so many stretches at most.
    pub(super) fn holding(most: usize) -> Self {
        Self { most, stretches: Vec::new(), changes: 0, changed: BTreeMap::new() }
    }

    /// What tells of a plain name as of `not_before`.
    pub(super) fn telling(&self, name: &str, not_before: Timestamp) -> Option<&Stretch<T>> {
        self.find(name, not_before, |stretch, key| !self.has_changed(key, stretch.knows))
    }

    /// The same of a name where it does not matter what changed below it since.
    pub(super) fn reaching(&self, name: &str, not_before: Timestamp) -> Option<&Stretch<T>> {
        self.find(name, not_before, |_, _| true)
    }

    fn find(
        &self,
        name: &str,
        not_before: Timestamp,
        and: impl Fn(&Stretch<T>, &str) -> bool,
    ) -> Option<&Stretch<T>> {
        let key = dotted(name);
        let newest_first = self.stretches.iter().rev();
        let mut young = newest_first.filter(|stretch| stretch.sent >= not_before);
        young.find(|stretch| stretch.reaches(name, &key) && and(stretch, &key))
    }

    /// Where to read on to learn of a name.
    pub(super) fn start(&self, name: &str, not_before: Timestamp) -> Start {
        let mut torn = self.stretches.iter().rev().filter(|stretch| stretch.sent >= not_before);
        let next = torn.find_map(|stretch| {
            let torn = stretch.torn.as_ref()?;
            stretch.to.as_ref().is_some_and(|to| to.plain == name).then(|| torn.next.clone())
        });
        next.unwrap_or_else(|| Start::at(name))
    }

    /// Takes in a page that was asked for at `start`. What it replaces goes.
    pub(super) fn insert(&mut self, sent: Timestamp, start: &Start, page: Page<T>) {
        let torn_there = |s: &Stretch<T>| s.torn.as_ref().is_some_and(|torn| torn.next == *start);
        let stretch = match self.stretches.iter().position(torn_there) {
            Some(at) => self.stretches.remove(at).continued(page),
            // What it goes on from was forgotten meanwhile: by itself it tells half a
            // name, so that the name is read again from its beginning.
            None if start.goes_on() => return,
            None => Stretch::new(sent, self.changes, start, page),
        };
        self.stretches.retain(|old| !stretch.spans(old));
        if self.stretches.len() == self.most {
            // The first is of the top, where much of what is asked for is decided.
            self.stretches.remove(1.min(self.most - 1));
        }
        self.stretches.push(stretch);
        self.forget_changes();
    }

    /// When the request for the newest was sent.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.stretches.last().map(Stretch::sent)
    }

    /// What stands at a name was changed: of it, and of whether the names above it
    /// exist, nothing is known any more.
    pub(super) fn changed(&mut self, name: &str) {
        if !self.stretches.is_empty() {
            self.changes += 1;
            self.changed.insert(dotted(name), self.changes);
        }
    }

    /// Drops what is not to be relied on any more.
    pub(super) fn retain(&mut self, keep: impl Fn(&Stretch<T>) -> bool) {
        self.stretches.retain(keep);
        self.forget_changes();
    }

    /// Drops changes that every stretch knows.
    fn forget_changes(&mut self) {
        match self.stretches.iter().map(|stretch| stretch.knows).min() {
            Some(known) => self.changed.retain(|_, number| *number > known),
            None => self.changed = BTreeMap::new(),
        }
    }

    /// Whether a name, or anything below it, was changed since the first `known`.
    fn has_changed(&self, key: &str, known: u64) -> bool {
        let from_here = (Bound::Included(key), Bound::Unbounded);
        let changed = self.changed.range::<str, _>(from_here);
        let mut changed = changed.take_while(|(changed, _)| changed.starts_with(key));
        changed.any(|(_, number)| *number > known)
    }
}

impl<T> Stretch<T> {
    fn new(sent: Timestamp, knows: u64, start: &Start, page: Page<T>) -> Self {
        let (items, from) = (BTreeMap::new(), Mark::of(&start.name));
        Self { sent, from, to: None, items, torn: None, knows }.continued(page)
    }

    /// Goes on with the page that starts where this ended.
    fn continued(mut self, page: Page<T>) -> Self {
        let torn = self.torn.take().map(|torn| torn.items).unwrap_or_default();
        let at = self.to.take().map_or_else(|| self.from.dotted.clone(), |to| to.dotted);
        if !torn.is_empty() {
            self.items.entry(at.clone()).or_default().extend(torn);
        }
        let mut last = at;
        for (owner, item) in page.items {
            last = dotted(&owner);
            self.items.entry(last.clone()).or_default().push(item);
        }
        self.to = page.next.as_ref().map(|next| Mark::of(&next.name));
        self.torn = page
            .next
            .filter(|next| Mark::of(&next.name).dotted == last)
            .map(|next| Torn { items: self.items.remove(&last).unwrap_or_default(), next });
        self
    }

    pub(super) fn sent(&self) -> Timestamp {
        self.sent
    }

    pub(super) fn items(&self) -> impl Iterator<Item = &T> {
        let torn = self.torn.iter().flat_map(|torn| &torn.items);
        self.items.values().flatten().chain(torn)
    }

    /// Whether everything at a name was read, and whether anything is below it.
    fn reaches(&self, name: &str, key: &str) -> bool {
        let after_start = || self.from.dotted.as_str() < key && is_before(&self.from.plain, name);
        let at_start = self.from.plain == name;
        let before_end = |to: &Mark| {
            // What is asked for comes first, wherever the rest is.
            (at_start && to.plain != name)
                || (key < to.dotted.as_str() && is_before(name, &to.plain))
        };
        (at_start || after_start()) && self.to.as_ref().is_none_or(before_end)
    }

    /// Whether it tells whatever the other does.
    fn spans(&self, other: &Self) -> bool {
        let starts =
            self.from.plain == other.from.plain || is_before(&self.from.plain, &other.from.plain);
        let ends = match (&self.to, &other.to) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(to), Some(end)) => to.plain == end.plain || is_before(&end.plain, &to.plain),
        };
        starts && ends
    }

    /// What stands at a name that this tells of.
    pub(super) fn at(&self, name: &str) -> &[T] {
        self.items.get(&dotted(name)).map_or(&[], Vec::as_slice)
    }

    /// Whether anything stands at or below a name that this tells of: it comes
    /// right behind it, so it is here or next.
    pub(super) fn holds_at_or_below(&self, name: &str) -> bool {
        let key = dotted(name);
        let next_here = self.items.range(key.clone()..).next();
        next_here.is_some_and(|(owner, _)| owner.starts_with(&key))
            || self.to.as_ref().is_some_and(|to| is_at_or_below(&to.plain, name))
    }
}
