//! Those who wait for a zone with the same credentials, and when they leave: not
//! before there was time for company, and not long after. Pure.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::queue::FairQueue;
use super::route53::Load;
use crate::mail::{DomainName, SharedText};

/// How long a batch waits for company.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linger {
    /// From the last newcomer.
    pub(super) newcomer: Duration,
    /// From its first member, whoever else comes.
    pub(super) longest: Duration,
}

impl Linger {
    /// Where batches follow one another: they wait longer for the next newcomer,
    /// to leave full, for those who are first need not wait.
    fn among_many(self) -> Self {
        Self { newcomer: self.first_of_many(), ..self }
    }

    /// Of the first batch after a pause: where many come, the first of them are on
    /// their way early.
    fn at_first(self) -> Self {
        Self { longest: self.first_of_many(), ..self }
    }

    fn first_of_many(self) -> Duration {
        (self.longest / 10).max(self.newcomer)
    }
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiting<T> {
    pub(super) item: T,
    pub(super) namespace: SharedText,
    /// A batch changes each name on behalf of one object.
    pub(super) name: DomainName,
    pub(super) load: Load,
    pub(super) since: Instant,
    /// A person waits for it.
    pub(super) urgent: bool,
}

/// Those who wait, by the number that each was given in coming.
#[derive(Debug)]
pub(super) struct Line<T> {
    waiting: BTreeMap<u64, Waiting<T>>,
    /// Did not fit the batch before, and are the first of the next.
    left_over: VecDeque<u64>,
    order: FairQueue<u64>,
    load: Load,
    newest: Option<Instant>,
    /// Since when the first person waits, if one does.
    urgent_since: Option<Instant>,
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self {
            waiting: BTreeMap::new(),
            left_over: VecDeque::new(),
            order: FairQueue::default(),
            load: Load::default(),
            newest: None,
            urgent_since: None,
        }
    }
}

impl<T> Line<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Of who waits longest.
    pub(super) fn namespace(&self) -> SharedText {
        let first = self.waiting.values().next();
        first.map(|waiting| waiting.namespace.clone()).unwrap_or_default()
    }

    /// Whether a person waits.
    pub(super) fn is_urgent(&self) -> bool {
        self.urgent_since.is_some()
    }

    /// A newcomer, with a number above that of everybody before.
    pub(super) fn push(&mut self, number: u64, waiting: Waiting<T>) {
        self.order.push(&waiting.namespace, waiting.urgent, number);
        self.newest = Some(waiting.since);
        if waiting.urgent {
            self.urgent_since.get_or_insert(waiting.since);
        }
        self.load += waiting.load;
        self.waiting.insert(number, waiting);
    }

    /// One who waits hands something else over instead, and keeps the place.
    pub(super) fn replace(&mut self, number: u64, item: T, load: Load) {
        if let Some(waiting) = self.waiting.get_mut(&number) {
            self.load -= waiting.load;
            self.load += load;
            (waiting.item, waiting.load) = (item, load);
        }
    }

    /// A person has come to wait for it.
    pub(super) fn urge(&mut self, number: u64, now: Instant) {
        if let Some(waiting) = self.waiting.get_mut(&number).filter(|waiting| !waiting.urgent) {
            waiting.urgent = true;
            self.order.push(&waiting.namespace, true, number);
            self.urgent_since.get_or_insert(now);
        }
    }

    pub(super) fn remove(&mut self, number: u64) -> Option<Waiting<T>> {
        let gone = self.waiting.remove(&number)?;
        self.load -= gone.load;
        if gone.urgent && !self.waiting.values().any(|waiting| waiting.urgent) {
            self.urgent_since = None;
        }
        Some(gone)
    }

    /// When the next batch leaves, `busy` where another left not long before; `None`
    /// where nobody waits.
    pub(super) fn due(&self, linger: Linger, busy: bool) -> Option<Instant> {
        let (_, first) = self.waiting.first_key_value()?;
        if self.load.is_full() {
            return Some(first.since);
        }
        let newest = self.newest.unwrap_or(first.since);
        let urgent = self.urgent_since.map(|since| since + linger.newcomer);
        let linger = if busy { linger.among_many() } else { linger.at_first() };
        let plain = (newest + linger.newcomer).min(first.since + linger.longest);
        Some(urgent.map_or(plain, |urgent| urgent.min(plain)))
    }

    /// The next batch: as many as fit, of at most `most`, persons first, then
    /// round robin over namespaces.
    pub(super) fn take(&mut self, most: usize) -> Vec<Waiting<T>> {
        let (mut batch, mut load) = (Vec::new(), Load::default());
        let (mut names, mut left_over) = (HashSet::new(), VecDeque::new());
        while batch.len() < most
            && let Some(number) = self.pop()
        {
            // One who left, or was in both queues.
            let Some(waiting) = self.waiting.get(&number) else { continue };
            let mut with = load;
            with += waiting.load;
            if !batch.is_empty() && !with.fits() {
                left_over.push_back(number);
                break;
            }
            if names.contains(&waiting.name) {
                left_over.push_back(number);
                continue;
            }
            if let Some(taken) = self.remove(number) {
                load = with;
                names.insert(taken.name.clone());
                batch.push(taken);
            }
        }
        left_over.append(&mut self.left_over);
        self.left_over = left_over;
        batch
    }

    fn pop(&mut self) -> Option<u64> {
        self.left_over.pop_front().or_else(|| self.order.pop())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const LINGER: Linger =
        Linger { newcomer: Duration::from_millis(200), longest: Duration::from_secs(10) };

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A line with the time at which it began.
    struct Bench {
        line: Line<u64>,
        began: Instant,
        next: u64,
        busy: bool,
    }

    impl Bench {
        fn new() -> Self {
            Self { line: Line::default(), began: Instant::now(), next: 0, busy: false }
        }

        fn push(&mut self, namespace: &str, values: usize, at: Duration, urgent: bool) -> u64 {
            let number = self.next;
            self.next += 1;
            let name = DomainName::parse(&format!("n{number}.example.com")).unwrap();
            let (load, since) = (Load { values, characters: values }, self.began + at);
            let namespace = namespace.into();
            let waiting = Waiting { item: number, namespace, name, load, since, urgent };
            self.line.push(number, waiting);
            number
        }

        fn due(&self) -> Option<Duration> {
            self.line.due(LINGER, self.busy).map(|due| due - self.began)
        }

        fn take(&mut self) -> Vec<u64> {
            self.line.take(usize::MAX).into_iter().map(|waiting| waiting.item).collect()
        }
    }

    #[test]
    fn the_first_batch_waits_for_company_since_the_last_newcomer_but_not_for_long() {
        let mut bench = Bench::new();
        assert_eq!(bench.due(), None);
        for n in 0..9 {
            bench.push("a", 3, ms(n * 190), false);
            assert_eq!(bench.due(), Some(ms(n * 190 + 200).min(ms(1_000))));
        }
        assert_eq!(bench.take().len(), 9);
        assert_eq!(bench.due(), None);
    }

    #[test]
    fn one_that_follows_waits_longer_to_leave_full() {
        let mut bench = Bench { busy: true, ..Bench::new() };
        for n in 0..15 {
            bench.push("a", 3, ms(n * 990), false);
            assert_eq!(bench.due(), Some(ms(n * 990 + 1_000).min(ms(10_000))));
        }
        bench.push("a", 3, ms(500), true);
        assert_eq!(bench.due(), Some(ms(700)), "but not with a person in it");
    }

    #[test]
    fn a_person_waits_as_long_as_one_newcomer_whoever_else_comes() {
        let mut bench = Bench::new();
        bench.push("a", 3, ms(0), false);
        let urgent = bench.push("a", 3, ms(100), true);
        for n in 2..5 {
            bench.push("a", 3, ms(n * 90), false);
        }
        assert_eq!(bench.due(), Some(ms(300)));
        bench.line.remove(urgent).unwrap();
        assert_eq!(bench.due(), Some(ms(560)));
        bench.line.urge(0, bench.began + ms(400));
        bench.push("a", 3, ms(500), false);
        assert_eq!(bench.due(), Some(ms(600)));
        assert_eq!(bench.take()[0], 0, "once, though it stands in two queues");
        assert_eq!(bench.due(), None);
    }

    #[test]
    fn a_full_batch_leaves_at_once_and_who_did_not_fit_is_first_of_the_next() {
        let mut bench = Bench::new();
        for _ in 0..333 {
            bench.push("a", 3, ms(5), false);
        }
        assert_eq!(bench.due(), Some(ms(205)), "a thousandth value may come");
        bench.push("a", 3, ms(6), false);
        bench.push("a", 1, ms(7), false);
        assert_eq!(bench.due(), Some(ms(5)));
        assert_eq!(bench.take().len(), 333);
        assert_eq!(bench.take(), [333, 334]);
    }

    #[test]
    fn characters_fill_a_batch_too() {
        let mut bench = Bench::new();
        for _ in 0..9 {
            let number = bench.push("a", 2, ms(0), false);
            bench.line.replace(number, number, Load { values: 2, characters: 4_000 });
        }
        assert_eq!(bench.due(), Some(ms(0)));
        assert_eq!(bench.take().len(), 8);
        assert_eq!(bench.due(), Some(ms(200)));
    }

    #[test]
    fn one_that_no_batch_holds_goes_alone() {
        let mut bench = Bench::new();
        bench.push("a", 1_001, ms(0), false);
        bench.push("a", 1, ms(0), false);
        assert_eq!(bench.take(), [0]);
        assert_eq!(bench.take(), [1]);
    }

    #[test]
    fn a_large_namespace_does_not_fill_the_batch_of_a_small_one_and_persons_go_first() {
        let mut bench = Bench::new();
        for _ in 0..10 {
            bench.push("large", 300, ms(0), false);
        }
        let small = bench.push("small", 300, ms(0), false);
        let person = bench.push("large", 300, ms(0), true);
        assert_eq!(bench.take(), [person, 0, small]);
    }

    #[test]
    fn a_name_is_in_a_batch_once() {
        let mut bench = Bench::new();
        bench.push("a", 1, ms(0), false);
        let name = DomainName::parse("n0.example.com").unwrap();
        let load = Load { values: 1, characters: 1 };
        let (namespace, since) = ("b".into(), bench.began);
        bench.line.push(7, Waiting { item: 7, namespace, name, load, since, urgent: false });
        bench.next = 8;
        bench.push("a", 1, ms(0), false);
        assert_eq!(bench.take(), [0, 8]);
        assert_eq!(bench.take(), [7]);
    }

    #[test]
    fn who_left_is_not_taken_and_counts_no_more() {
        let mut bench = Bench::new();
        bench.push("a", 1_000, ms(0), false);
        bench.push("a", 1, ms(50), false);
        assert!(bench.line.remove(0).is_some());
        assert!(bench.line.remove(0).is_none());
        assert_eq!(bench.due(), Some(ms(250)));
        assert_eq!(bench.take(), [1]);
        assert!(bench.line.is_empty());
    }
}
