//! What fits a change batch, and how one goes through Route 53: whole, and where
//! that is refused, without its culprits or in halves. Pure.

use std::collections::{BTreeSet, VecDeque};
use std::ops::{AddAssign, SubAssign};

use super::super::access::THROTTLED_TRIES;
use crate::mail::{Change, ChangeBatch};

/// The most record values that Route 53 takes in a batch, DELETE and CREATE alike.
const MAX_VALUES: usize = 1_000;
/// The most characters that these values may have together.
const MAX_CHARACTERS: usize = 32_000;
/// So many members refused each by itself, and none accepted: the rest may well be
/// too. It is sent on as it is, and halved only once something is accepted.
const ENOUGH_REFUSED: usize = 3;

/// What changes count towards Route 53's limits of a batch.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(in super::super) struct Load {
    pub(in super::super) values: usize,
    pub(in super::super) characters: usize,
}

impl Load {
    pub(in super::super) fn of(batch: &ChangeBatch) -> Self {
        let sets = batch.changes.iter().map(Change::record);
        sets.fold(Self::default(), |load, set| Self {
            values: load.values + set.values.len().max(1),
            characters: load.characters
                + set.values.iter().map(|value| value.chars().count()).sum::<usize>(),
        })
    }

    /// Whether all of it may be sent in one batch.
    pub(in super::super) fn fits(self) -> bool {
        self.values <= MAX_VALUES && self.characters <= MAX_CHARACTERS
    }

    /// Whether nothing more fits beside it.
    pub(in super::super) fn is_full(self) -> bool {
        self.values >= MAX_VALUES || self.characters >= MAX_CHARACTERS
    }
}

impl AddAssign for Load {
    fn add_assign(&mut self, other: Self) {
        self.values += other.values;
        self.characters += other.characters;
    }
}

impl SubAssign for Load {
    fn sub_assign(&mut self, other: Self) {
        self.values -= other.values;
        self.characters -= other.characters;
    }
}

/// What became of the part of a batch that was sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Answer {
    Accepted,
    /// Nothing of it was made. The members that Route 53 names as the reason, if any.
    Refused(BTreeSet<usize>),
    /// Not looked at; the same may be sent again.
    Busy,
    /// It is not known what was made, or nothing else would fare better.
    Failed,
}

/// Members of whom it is known how they ended.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Ended {
    pub(super) made: Vec<usize>,
    /// Refused each on its own account.
    pub(super) culprits: Vec<usize>,
    /// Not made: so many were refused before that the rest were not tried any further,
    /// or it is not known.
    pub(super) alike: Vec<usize>,
}

/// A batch on its way. Its members are known by their places in it.
#[derive(Debug)]
pub(super) struct Passage {
    /// Not decided yet. The first is sent next.
    parts: VecDeque<Vec<usize>>,
    /// Refused as they are. Halved once something is accepted.
    shelved: VecDeque<Vec<usize>>,
    /// How often the first was sent without having been looked at.
    busy: u32,
    accepted: bool,
    refused: usize,
}

impl Passage {
    /// Of a batch of so many members.
    pub(super) fn new(members: usize) -> Self {
        let parts = VecDeque::from([(0..members).collect()]);
        Self { parts, shelved: VecDeque::new(), busy: 0, accepted: false, refused: 0 }
    }

    /// Whom to send next, together; `None` when all have ended.
    pub(super) fn next(&mut self) -> Option<Vec<usize>> {
        for parts in [&mut self.parts, &mut self.shelved] {
            parts.retain(|part| !part.is_empty());
        }
        if self.parts.is_empty() {
            // Those whose answer was to decide about these have left.
            self.parts.extend(self.shelved.pop_front());
        }
        self.parts.front().cloned()
    }

    /// A member is not to be sent any more.
    pub(super) fn leave(&mut self, member: usize) {
        for part in self.parts.iter_mut().chain(&mut self.shelved) {
            part.retain(|other| *other != member);
        }
    }

    /// Takes in what became of those who were next.
    pub(super) fn answered(&mut self, answer: Answer) -> Ended {
        let Some(part) = self.parts.pop_front() else { return Ended::default() };
        if answer == Answer::Busy && self.busy + 1 < THROTTLED_TRIES {
            self.busy += 1;
            self.parts.push_front(part);
            return Ended::default();
        }
        self.busy = 0;
        match answer {
            Answer::Accepted => {
                self.accepted = true;
                for part in std::mem::take(&mut self.shelved) {
                    self.halve(&part);
                }
                Ended { made: part, ..Ended::default() }
            }
            Answer::Refused(named) => self.refused(part, &named),
            Answer::Busy | Answer::Failed => {
                let alike = part.into_iter().chain(self.rest()).collect();
                Ended { alike, ..Ended::default() }
            }
        }
    }

    fn refused(&mut self, part: Vec<usize>, named: &BTreeSet<usize>) -> Ended {
        let (culprits, innocent): (Vec<_>, Vec<_>) =
            part.into_iter().partition(|member| named.contains(member));
        if !culprits.is_empty() {
            self.parts.push_front(innocent);
            return Ended { culprits, ..Ended::default() };
        }
        let mut culprits = Vec::new();
        if innocent.len() == 1 {
            self.refused += 1;
            culprits = innocent;
        } else if self.refused >= ENOUGH_REFUSED && !self.accepted {
            self.shelved.push_back(innocent);
        } else {
            self.halve(&innocent);
        }
        let none_left = self.parts.iter().all(Vec::is_empty);
        let alike = if none_left { self.rest() } else { Vec::new() };
        Ended { culprits, alike, ..Ended::default() }
    }

    fn halve(&mut self, part: &[usize]) {
        let (first, second) = part.split_at(part.len().div_ceil(2));
        self.parts.push_front(second.to_vec());
        self.parts.push_front(first.to_vec());
    }

    fn rest(&mut self) -> Vec<usize> {
        self.parts.drain(..).chain(self.shelved.drain(..)).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends a batch whose changes Route 53 refuses where one of `bad` is in it,
    /// naming those of them that `names` tells. Returns how all ended, and the calls.
    fn send(members: usize, bad: &[usize], names: fn(usize) -> bool) -> (Ended, usize) {
        let (mut passage, mut all, mut calls) = (Passage::new(members), Ended::default(), 0);
        while let Some(part) = passage.next() {
            calls += 1;
            let found: BTreeSet<usize> = part.iter().copied().filter(|m| bad.contains(m)).collect();
            let answer = if found.is_empty() {
                Answer::Accepted
            } else {
                Answer::Refused(found.into_iter().filter(|member| names(*member)).collect())
            };
            let Ended { made, culprits, alike } = passage.answered(answer);
            all.made.extend(made);
            all.culprits.extend(culprits);
            all.alike.extend(alike);
        }
        (all, calls)
    }

    #[test]
    fn named_culprits_leave_together_and_the_rest_goes_again_at_once() {
        let (ended, calls) = send(333, &[7, 300], |_| true);
        assert_eq!((ended.culprits, ended.made.len(), calls), (vec![7, 300], 331, 2));
    }

    #[test]
    fn one_that_is_not_named_is_found_by_halves() {
        for members in [1, 2, 3, 8, 100, 333] {
            for bad in [0, members / 2, members - 1] {
                let (ended, calls) = send(members, &[bad], |_| false);
                assert_eq!(ended.culprits, [bad]);
                assert_eq!(ended.made.len(), members - 1);
                assert!(ended.alike.is_empty());
                let halvings = usize::BITS - (members - 1).leading_zeros();
                assert!(calls <= 1 + 2 * halvings as usize, "{calls} calls for {members}");
            }
        }
    }

    #[test]
    fn who_is_named_and_who_is_not_are_both_found() {
        let (ended, _) = send(64, &[3, 40], |member| member == 3);
        assert_eq!(ended.culprits, [3, 40]);
        assert_eq!(ended.made.len(), 62);
    }

    #[test]
    fn where_all_are_refused_few_are_tried_for_it() {
        for members in 1..=333 {
            let everybody: Vec<usize> = (0..members).collect();
            let (ended, calls) = send(members, &everybody, |_| false);
            assert!(ended.made.is_empty());
            assert!(ended.culprits.starts_with(&everybody[..members.min(3)]));
            assert!(ended.culprits.len() <= 4, "{:?} tried alone", ended.culprits);
            let mut all = [ended.culprits, ended.alike].concat();
            all.sort_unstable();
            assert_eq!(all, everybody);
            // Down to the first one, what it takes to refuse two more, and once more
            // each half that was left on the way.
            let halvings = (usize::BITS - (members - 1).leading_zeros()) as usize;
            assert!(calls <= 2 * halvings + 3, "{calls} calls for {members}");
        }
    }

    #[test]
    fn who_stands_behind_some_that_are_refused_is_sent_without_them() {
        for members in [16, 100, 333] {
            for culprits in 3..=6 {
                let bad: Vec<usize> = (0..culprits).collect();
                let (ended, _) = send(members, &bad, |_| false);
                assert_eq!((ended.culprits, ended.alike), (bad, Vec::new()));
                assert_eq!(ended.made.len(), members - culprits);
            }
        }
    }

    #[test]
    fn each_ends_once_and_where_any_is_made_none_is_taken_for_a_culprit() {
        const MEMBERS: usize = 10;
        let naming: [fn(usize) -> bool; 2] = [|_| false, |member| member % 3 == 0];
        for (world, names) in (0..1_usize << MEMBERS).flat_map(|world| naming.map(|n| (world, n))) {
            let (bad, good): (Vec<usize>, Vec<usize>) =
                (0..MEMBERS).partition(|member| world & (1 << member) != 0);
            let (mut ended, _) = send(MEMBERS, &bad, names);
            ended.culprits.sort_unstable();
            ended.made.sort_unstable();
            if ended.made.is_empty() {
                let mut all = [ended.culprits, ended.alike].concat();
                all.sort_unstable();
                assert_eq!(all, (0..MEMBERS).collect::<Vec<_>>());
            } else {
                assert_eq!((ended.made, ended.culprits, ended.alike), (good, bad, Vec::new()));
            }
        }
    }

    #[test]
    fn who_was_refused_in_company_goes_again_where_those_still_to_be_sent_have_left() {
        let mut passage = Passage::new(16);
        let last: Vec<usize> = (8..16).collect();
        while let Some(part) = passage.next().filter(|part| *part != last) {
            let Ended { alike, .. } = passage.answered(Answer::Refused(BTreeSet::new()));
            assert!(alike.is_empty(), "{alike:?} after {part:?}");
        }
        for member in last {
            passage.leave(member);
        }
        assert_eq!(passage.next(), Some(vec![4, 5, 6, 7]));
        assert_eq!(passage.answered(Answer::Accepted).made, [4, 5, 6, 7]);
        assert_eq!(passage.next(), None);
    }

    #[test]
    fn once_something_was_accepted_everyone_is_tried() {
        let bad: Vec<usize> = (0..16).filter(|member| member % 4 != 0).collect();
        let (ended, _) = send(16, &bad, |_| false);
        assert_eq!(ended.culprits, bad);
        assert_eq!(ended.made, [0, 4, 8, 12]);
    }

    #[test]
    fn the_same_goes_again_while_route_53_is_busy_but_not_for_ever() {
        let mut passage = Passage::new(2);
        for _ in 1..THROTTLED_TRIES {
            assert_eq!(passage.next(), Some(vec![0, 1]));
            assert_eq!(passage.answered(Answer::Busy), Ended::default());
        }
        let ended = passage.answered(Answer::Busy);
        assert_eq!(ended, Ended { alike: vec![0, 1], ..Ended::default() });
        assert_eq!(passage.next(), None);
    }

    #[test]
    fn a_lost_answer_ends_all_and_nothing_more_is_sent() {
        let mut passage = Passage::new(4);
        assert_eq!(passage.answered(Answer::Refused(BTreeSet::new())), Ended::default());
        assert_eq!(passage.next(), Some(vec![0, 1]));
        let ended = passage.answered(Answer::Failed);
        assert_eq!(ended, Ended { alike: vec![0, 1, 2, 3], ..Ended::default() });
        assert_eq!(passage.next(), None);
    }

    #[test]
    fn who_leaves_is_not_sent() {
        let mut passage = Passage::new(3);
        passage.leave(1);
        assert_eq!(passage.next(), Some(vec![0, 2]));
        passage.leave(0);
        passage.leave(2);
        assert_eq!(passage.next(), None);
    }
}
