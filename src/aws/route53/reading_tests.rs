//! Whatever a zone holds, however Route 53 orders it and wherever its pages
//! end, each question gets the answer that the zone read whole would give.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use jiff::Timestamp;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::rank::Rank;
use super::in_zone::{InZone, Inspection, Told};
use super::listing::{Page, Start};
use super::names::{is_at_or_below, plain};
use super::reading::{Answered, Reading};
use super::records::Set;
use crate::mail::{DomainName, NameView, RecordType, Routing, Surroundings};

const APEX: &str = "z.example";

const MIXED: [Rank; 4] = [Rank::Asked, Rank::Asked, Rank::Watched, Rank::Urgent];

/// An order that Route 53 may have: of names by their labels or as a text with
/// dots, with escapes or without.
#[derive(Clone, Copy, Debug)]
struct Order {
    dotted: bool,
    escaped: bool,
}

impl Order {
    fn key(self, name: &str) -> Vec<Vec<u8>> {
        let octets = |label: &str| {
            let [from, to] = if self.escaped { ["*", "\\052"] } else { ["\\100", "@"] };
            label.replace(from, to).into_bytes()
        };
        let labels: Vec<Vec<u8>> = name.rsplit('.').map(octets).collect();
        if !self.dotted {
            return labels;
        }
        let end = |label: Vec<u8>| label.into_iter().chain(*b".");
        vec![labels.into_iter().flat_map(end).collect()]
    }
}

/// A zone as Route 53 lists it. Of a record set: name, type, identifier.
#[derive(Clone, Debug)]
struct Zone {
    order: Order,
    sets: Vec<(String, RecordType, Option<String>)>,
}

impl Zone {
    fn new(order: Order, names: &[(String, RecordType, u8)]) -> Self {
        let apex = [RecordType::Ns, RecordType::Other("SOA".into())];
        let mut sets: Vec<_> = apex.map(|rtype| (APEX.to_owned(), rtype, None)).into();
        for (name, rtype, routed) in names.iter().filter(|(name, ..)| name != APEX) {
            let id = |n| Some(format!("s{n}"));
            let ids = if *routed == 0 { vec![None] } else { (0..*routed).map(id).collect() };
            sets.extend(ids.into_iter().map(|id| (name.clone(), rtype.clone(), id)));
        }
        let mut zone = Self { order, sets };
        zone.sets.sort_by_cached_key(|set| zone.order.place(set));
        zone.sets.dedup();
        zone
    }

    fn page(&self, start: &Start, limit: usize) -> Page<Set> {
        let rtype = start.rtype.as_deref().map_or(RecordType::A, RecordType::from_name);
        let from = (plain(&start.name), rtype, start.id.clone());
        let from = match start.rtype {
            Some(_) => self.order.place(&from),
            None => (self.order.key(&from.0), String::new(), None),
        };
        let mut rest = self.sets.iter().filter(|set| self.order.place(set) >= from);
        let item = |(name, rtype, id): &(String, RecordType, Option<String>)| {
            (name.clone(), set(rtype.clone(), id.clone()))
        };
        let items = rest.by_ref().take(limit).map(item).collect();
        let next = rest.next().map(|(name, rtype, id)| Start {
            name: format!("{}.", name.replace('*', "\\052")),
            rtype: Some(rtype.as_str().to_owned()),
            id: id.clone(),
        });
        Page { items, next }
    }

    /// What the zone, read whole, tells.
    fn truth(&self, question: &InZone) -> Told {
        match question {
            InZone::At(name) => {
                let here = self.sets.iter().filter(|(owner, ..)| owner == name.as_str());
                let named = here.map(|(_, rtype, id)| set(rtype.clone(), id.clone()).named(name));
                Told::At(NameView { sets: named.collect() })
            }
            InZone::Around { name, apex } => Told::Around(self.around(name, apex)),
        }
    }

    fn around(&self, name: &DomainName, apex: &DomainName) -> Surroundings {
        let exists = |name: &str| self.sets.iter().any(|(owner, ..)| is_at_or_below(owner, name));
        let upward: Vec<DomainName> = name.ancestors_and_self().collect();
        let below: Vec<_> = upward.iter().take_while(|name| name.is_below(apex)).collect();
        let cut = below.iter().rev().find(|name| {
            self.sets
                .iter()
                .any(|(owner, rtype, _)| owner == name.as_str() && *rtype == RecordType::Ns)
        });
        let encloser = upward.iter().find(|name| exists(name.as_str())).unwrap();
        let wildcard = format!("*.{encloser}");
        let stands = self.sets.iter().any(|(owner, ..)| *owner == wildcard);
        Surroundings {
            exists: encloser == name,
            wildcard: (stands && encloser != name).then_some(wildcard),
            delegated_at: cut.map(|name| (*name).clone()),
        }
    }
}

impl Order {
    fn place(
        self,
        (name, rtype, id): &(String, RecordType, Option<String>),
    ) -> (Vec<Vec<u8>>, String, Option<String>) {
        (self.key(name), rtype.as_str().to_owned(), id.clone())
    }
}

fn set(rtype: RecordType, id: Option<String>) -> Set {
    let routing = if id.is_some() { Routing::Routed } else { Routing::Simple };
    Set { rtype, ttl: 300, values: id.into_iter().collect(), routing }
}

fn at(second: usize) -> Timestamp {
    Timestamp::from_second(i64::try_from(second).unwrap()).unwrap()
}

/// Every answer, with when it was sent, and how many calls they took: the first
/// is made at second 1.
fn read(
    zone: &Zone,
    questions: &[InZone],
    limit: usize,
    ranks: &[Rank],
) -> (BTreeMap<InZone, (Timestamp, Told)>, usize) {
    let mut reading: Reading<Inspection> = Reading::holding(8);
    let mut answers = BTreeMap::new();
    for (question, rank) in questions.iter().zip(ranks.iter().cycle()) {
        assert!(reading.ask(question.clone().into(), *rank, at(1)).is_none());
    }
    let (mut calls, mut dropped) = (0, Vec::new());
    while let Some((start, ())) = reading.start(|_| Some(()), &mut dropped) {
        calls += 1;
        assert!(calls <= 2000, "it does not end");
        for Answered { look, sent, told, .. } in
            reading.take_in(at(calls), &start, zone.page(&start, limit))
        {
            assert!(sent >= at(1) && sent <= at(calls));
            answers.insert(look.question(), (sent, told));
        }
    }
    assert!(dropped.is_empty() && reading.next().is_none());
    (answers, calls)
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn around(text: &str) -> InZone {
    InZone::Around { name: name(text), apex: name(APEX) }
}

fn orders() -> impl Strategy<Value = Order> {
    any::<[bool; 2]>().prop_map(|[dotted, escaped]| Order { dotted, escaped })
}

/// Names of a few labels that are alike, and sort differently in each order.
fn names() -> impl Strategy<Value = String> {
    let label = select(vec!["a", "a-b", "a-", "ab", "0", "_", "b", "*", "a\\100b"]);
    prop::collection::vec(label, 0..4).prop_map(|labels| {
        let labels: Vec<&str> = labels.into_iter().chain([APEX]).collect();
        labels.join(".")
    })
}

fn types() -> impl Strategy<Value = RecordType> {
    select(vec![RecordType::A, RecordType::Mx, RecordType::Ns, RecordType::Txt])
}

fn zones() -> impl Strategy<Value = Zone> {
    let routed = prop_oneof![3 => Just(0u8), 1 => 1u8..9];
    let names = prop::collection::vec((names(), types(), routed), 0..24);
    (orders(), names).prop_map(|(order, names)| Zone::new(order, &names))
}

fn questions() -> impl Strategy<Value = Vec<InZone>> {
    let asked = names().prop_filter_map("not a name to ask for", |text| {
        Some((DomainName::parse(&text).ok()?, text))
    });
    let question = (asked, any::<bool>()).prop_map(|((name, _), at)| {
        let apex = self::name(APEX);
        if at { InZone::At(name) } else { InZone::Around { name, apex } }
    });
    prop::collection::hash_set(question, 1..12).prop_map(|all| all.into_iter().collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_answer_is_that_of_the_whole_zone(
        zone in zones(),
        questions in questions(),
        limit in 1usize..12,
    ) {
        let (answers, _) = read(&zone, &questions, limit, &MIXED);
        for question in &questions {
            prop_assert_eq!(&answers[question].1, &zone.truth(question), "{:?}", question);
        }
    }

    #[test]
    fn no_more_calls_are_made_than_there_are_names_to_learn_of(
        zone in zones(),
        questions in questions(),
    ) {
        let at: Vec<_> = questions.iter().filter(|q| matches!(q, InZone::At(_))).cloned().collect();
        let (answers, calls) = read(&zone, &at, 300, &MIXED);
        prop_assert_eq!(answers.len(), at.len());
        prop_assert!(calls <= at.len(), "{} calls for {} names", calls, at.len());
    }

    #[test]
    fn what_was_read_before_a_question_counts_only_if_it_is_young_enough(
        zone in zones(),
        questions in questions(),
    ) {
        let mut reading: Reading<Inspection> = Reading::holding(8);
        reading.ask(InZone::At(name(APEX)).into(), Rank::Asked, at(5));
        let (start, ()) = reading.start(|_| Some(()), &mut Vec::new()).unwrap();
        reading.take_in(at(5), &start, zone.page(&start, 300));
        for question in questions {
            let late = reading.ask(question.clone().into(), Rank::Asked, at(6));
            prop_assert!(late.is_none());
            reading.give_up();
            let known = reading.ask(question.clone().into(), Rank::Asked, at(5)).unwrap();
            prop_assert_eq!((known.sent, known.told), (at(5), zone.truth(&question)));
        }
    }
}

const PLAIN: Order = Order { dotted: true, escaped: false };

fn dense(count: usize) -> Zone {
    let sets = (0..count).flat_map(|n| {
        [RecordType::Mx, RecordType::Txt].map(|rtype| (format!("n{n}.{APEX}"), rtype, 0))
    });
    Zone::new(PLAIN, &sets.collect::<Vec<_>>())
}

#[test]
fn what_is_dense_costs_its_pages() {
    let questions: Vec<_> = (0..450).map(|n| InZone::At(name(&format!("n{n}.{APEX}")))).collect();
    let apex = [InZone::At(name(APEX))];
    let (answers, calls) =
        read(&dense(450), &[&apex[..], &questions].concat(), 300, &[Rank::Asked]);
    assert_eq!((answers.len(), calls), (451, 4), "902 record sets");
}

#[test]
fn an_empty_zone_costs_one_page_whatever_is_asked() {
    let names = (0..500).map(|n| format!("n{n}.{APEX}"));
    let questions = names.flat_map(|text| [InZone::At(name(&text)), around(&text)]);
    let (answers, calls) = read(&dense(0), &questions.collect::<Vec<_>>(), 300, &MIXED);
    assert_eq!((answers.len(), calls), (1000, 1));
}

#[test]
fn what_is_sparse_costs_a_call_a_name() {
    let zone = dense(1500);
    let questions: Vec<_> =
        (100..110).map(|n| InZone::At(name(&format!("n{}.{APEX}", n * 10)))).collect();
    let (answers, calls) = read(&zone, &questions, 5, &MIXED);
    assert_eq!((answers.len(), calls), (10, 10));
}

#[test]
fn a_person_is_answered_before_those_that_come_first_in_the_zone() {
    let zone = dense(100);
    let mut reading: Reading<Inspection> = Reading::holding(8);
    for n in 10..90 {
        reading.ask(InZone::At(name(&format!("n{n}.{APEX}"))).into(), Rank::Asked, at(1));
    }
    let last = InZone::At(name(&format!("n89.{APEX}")));
    reading.hasten(|look| look.is(&last));
    assert_eq!(reading.next(), Some(Rank::Urgent));
    let (start, ()) = reading.start(|_| Some(()), &mut Vec::new()).unwrap();
    let told = reading.take_in(at(1), &start, zone.page(&start, 2));
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].look.question(), told[0].rank), (last, Rank::Urgent));
    assert_eq!(reading.next(), Some(Rank::Asked));
}

#[test]
fn who_may_not_ask_any_more_costs_no_call() {
    let mut reading: Reading<Inspection> = Reading::holding(8);
    for n in [1, 2] {
        reading.ask(InZone::At(name(&format!("n{n}.{APEX}"))).into(), Rank::Asked, at(1));
    }
    let first = InZone::At(name(&format!("n1.{APEX}")));
    let mut dropped = Vec::new();
    let (start, ()) = reading.start(|look| (!look.is(&first)).then_some(()), &mut dropped).unwrap();
    assert_eq!(start, Start::at(&format!("n2.{APEX}")));
    assert_eq!(dropped.iter().map(Inspection::question).collect::<Vec<_>>(), [first]);
}
