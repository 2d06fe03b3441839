//! Questions answered by as few pages of a list as will do.
//!
//! A page that starts at one name answers for all names that it reaches, so
//! the questions are taken in Route 53's order: what is dense costs its pages,
//! what is sparse a call a name, and never more.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::rank::Rank;
use super::listing::{Listing, Page, Start};
use super::names::{dotted, plain};

/// A question, as far as its answer is found.
pub(super) trait Look {
    type Item;
    type Told;

    /// Goes on as far as `listing` tells as of `not_before`: to the answer, with
    /// when the first request that it rests on was sent, or to the name of which
    /// more must be known.
    fn go_on(
        &mut self,
        listing: &Listing<Self::Item>,
        not_before: Timestamp,
    ) -> Result<(Timestamp, Self::Told), String>;
}

/// The first first.
const RANKS: [Rank; 3] = [Rank::Urgent, Rank::Asked, Rank::Watched];

/// An answer.
#[derive(Debug)]
pub(super) struct Answered<L: Look> {
    pub(super) look: L,
    pub(super) rank: Rank,
    /// When the first request that it rests on was sent.
    pub(super) sent: Timestamp,
    pub(super) told: L::Told,
}

/// A list that is being read.
#[derive(Debug)]
pub(super) struct Reading<L: Look> {
    pub(super) listing: Listing<L::Item>,
    /// By rank, and by the dotted name that each has to know more of.
    open: [BTreeMap<String, Vec<Open<L>>>; 3],
}

#[derive(Debug)]
struct Open<L> {
    look: L,
    place: String,
    not_before: Timestamp,
}

impl<L: Look> Reading<L> {
    /// Holds so many pages at most.
    pub(super) fn holding(pages: usize) -> Self {
        Self { listing: Listing::holding(pages), open: Default::default() }
    }

    /// Adds a question, unless what is held answers it.
    pub(super) fn ask(
        &mut self,
        look: L,
        rank: Rank,
        not_before: Timestamp,
    ) -> Option<Answered<L>> {
        self.go_on(rank, Open { look, place: String::new(), not_before })
    }

    /// A person waits for these now.
    pub(super) fn hasten(&mut self, which: impl Fn(&L) -> bool) {
        let [urgent, asked, _] = &mut self.open;
        for (place, open) in asked.iter_mut() {
            let hastened: Vec<_> = open.extract_if(.., |open| which(&open.look)).collect();
            if !hastened.is_empty() {
                urgent.entry(place.clone()).or_default().extend(hastened);
            }
        }
        asked.retain(|_, open| !open.is_empty());
    }

    /// Whether there is a question of this rank.
    pub(super) fn has(&self, rank: Rank) -> bool {
        !self.open[rank as usize].is_empty()
    }

    /// Of what rank the next call is.
    pub(super) fn next(&self) -> Option<Rank> {
        RANKS.into_iter().find(|rank| self.has(*rank))
    }

    /// Where to read, at the first name of which more must be known, and by
    /// whose leave. Questions that have none any more go to `dropped`.
    pub(super) fn start<T>(
        &mut self,
        leave: impl Fn(&L) -> Option<T>,
        dropped: &mut Vec<L>,
    ) -> Option<(Start, T)> {
        loop {
            let rank = self.next()?;
            let mut first = self.open[rank as usize].first_entry()?;
            let mut given = None;
            let without = first.get_mut().extract_if(.., |open| {
                let leave = leave(&open.look);
                let without = leave.is_none();
                given = leave.or(given.take());
                without
            });
            dropped.extend(without.map(|open| open.look));
            let latest = first.get().iter().max_by_key(|open| open.not_before);
            if let Some((Open { place, not_before, .. }, leave)) = latest.zip(given) {
                return Some((self.listing.start(place, *not_before), leave));
            }
            first.remove();
        }
    }

    /// Takes in the page that was asked for at `start`; returns what it answers.
    pub(super) fn take_in(
        &mut self,
        sent: Timestamp,
        start: &Start,
        page: Page<L::Item>,
    ) -> Vec<Answered<L>> {
        let from = dotted(&plain(&start.name));
        let to = page.next.as_ref().map(|next| dotted(&plain(&next.name)));
        self.listing.insert(sent, start, page);
        let mut answered = Vec::new();
        for rank in RANKS {
            let open = &mut self.open[rank as usize];
            let mut reached = open.split_off(&from);
            if let Some(to) = to.as_ref().filter(|to| **to > from) {
                open.append(&mut reached.split_off(to));
            }
            let reached = reached.into_values().flatten();
            answered.extend(reached.filter_map(|open| self.go_on(rank, open)));
        }
        answered
    }

    /// Gives all questions up.
    pub(super) fn give_up(&mut self) -> Vec<(Rank, L)> {
        let open = RANKS.into_iter().zip(std::mem::take(&mut self.open));
        let looks = |(rank, open): (Rank, BTreeMap<_, Vec<Open<L>>>)| {
            open.into_values().flatten().map(move |open| (rank, open.look))
        };
        open.flat_map(looks).collect()
    }

    fn go_on(&mut self, rank: Rank, mut open: Open<L>) -> Option<Answered<L>> {
        match open.look.go_on(&self.listing, open.not_before) {
            Ok((sent, told)) => Some(Answered { look: open.look, rank, sent, told }),
            Err(place) => {
                let key = dotted(&place);
                open.place = place;
                // Nearly all names are asked about once.
                let of_a_name = || Vec::with_capacity(1);
                self.open[rank as usize].entry(key).or_insert_with(of_a_name).push(open);
                None
            }
        }
    }
}
