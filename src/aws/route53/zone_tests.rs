//! Who is told what of a zone, when, and what changes to it make old.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::super::Reply;
use super::super::memo::Backoff;
use super::super::rank::Rank;
use super::super::testing::{Looker, object};
use super::super::watchers::{Watcher, Watchers};
use super::in_zone::{InZone, Told};
use super::listing::{Page, Start};
use super::records::Set;
use super::zone::{Call, ZoneView};
use crate::authority::{Credentials, ObjectKey};
use crate::compact::Compact;
use crate::mail::{
    DomainName, HostedZoneId, NameView, RecordSet, RecordType, Routing, Surroundings,
};

const RETRY: Backoff = Backoff { min: Duration::from_secs(1), max: Duration::from_mins(1) };

const PACE: Duration = Duration::from_secs(100);

struct Bench {
    view: ZoneView,
    looker: Looker,
    watchers: Watchers,
}

impl Bench {
    fn new() -> Self {
        let zone = HostedZoneId::parse("Z1").unwrap();
        let view = ZoneView::new(Credentials::Ambient, zone, RETRY);
        Self { view, looker: Looker::new("a"), watchers: Watchers::default() }
    }

    fn look(&self, question: &InZone, not_before: i64, now: i64) -> Reply<Told> {
        let sight = self.looker.sight(false);
        self.view.lock().look(question, sight, at(not_before), at(now)).0
    }

    fn watcher(&self) -> Arc<Watcher> {
        self.watchers.begin(self.looker.sight(false))
    }

    fn call(&self, now: i64) -> Option<Call> {
        self.view.lock().call(at(now), &mut Vec::new())
    }

    /// Answers a call with all of a zone, one second after it.
    fn answer(&self, call: &Call, sent: i64, owners: &[&str]) -> Vec<ObjectKey> {
        let item = |owner: &&str| ((*owner).to_owned(), mx());
        let page = Page { items: owners.iter().map(item).collect(), next: None };
        self.view.lock().take_in(at(sent), call, page, at(sent + 1))
    }
}

fn mx() -> Set {
    let values = vec!["10 a.example".to_owned()];
    Set { rtype: RecordType::Mx, ttl: 300, values, routing: Routing::Simple }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn name(text: &str) -> DomainName {
    DomainName::parse(text).unwrap()
}

fn of(text: &str) -> InZone {
    InZone::At(name(text))
}

fn around(text: &str) -> InZone {
    InZone::Around { name: name(text), apex: name("z.example") }
}

fn holds(text: &str) -> Told {
    let set: RecordSet = mx().named(&name(text));
    Told::At(NameView { sets: vec![set] })
}

fn known(sent: i64, value: Told) -> Reply<Told> {
    Reply::Known { sent: at(sent), value }
}

fn nothing() -> Told {
    Told::At(NameView::default())
}

#[test]
fn one_page_answers_all_who_ask_and_for_a_while_those_who_come_later() {
    let bench = Bench::new();
    for question in [of("z.example"), of("a.z.example"), around("b.z.example")] {
        assert_eq!(bench.look(&question, 1, 1), Reply::NotYet);
    }
    let call = bench.call(2).unwrap();
    assert_eq!(call.start, Start::at("z.example"));
    assert_eq!(bench.answer(&call, 2, &["z.example", "a.z.example"]).len(), 3);
    assert_eq!(bench.look(&of("a.z.example"), 2, 3), known(2, holds("a.z.example")));
    let empty = Told::Around(Surroundings::default());
    assert_eq!(bench.look(&around("b.z.example"), 2, 3), known(2, empty));
    assert_eq!(bench.look(&of("c.z.example"), 2, 3), known(2, nothing()), "not asked before");
    assert_eq!(bench.look(&of("d.z.example"), 3, 3), Reply::NotYet, "too old for this one");
    assert!(bench.call(4).is_some_and(|call| bench.answer(&call, 4, &[]).len() == 1));
    bench.view.lock().tidy(at(123));
    assert_eq!(bench.look(&of("e.z.example"), 2, 123), known(4, nothing()), "held still");
    bench.view.lock().tidy(at(242));
    assert_eq!(bench.look(&of("f.z.example"), 2, 242), known(4, nothing()), "from 123 on");
    bench.view.lock().tidy(at(362));
    assert_eq!(bench.look(&of("g.z.example"), 2, 362), Reply::NotYet, "held no longer");
    assert_eq!(bench.look(&of("c.z.example"), 2, 362), known(2, nothing()));
}

#[test]
fn who_comes_during_a_pass_joins_it_and_a_person_goes_first() {
    let bench = Bench::new();
    for label in ["a", "b", "y"] {
        bench.look(&of(&format!("{label}.z.example")), 1, 1);
    }
    assert_eq!(bench.call(1).unwrap().start, Start::at("a.z.example"));
    for label in ["x", "y"] {
        let question = of(&format!("{label}.z.example"));
        bench.view.lock().look(&question, bench.looker.sight(true), at(2), at(2));
    }
    let call = bench.call(2).unwrap();
    assert_eq!(call.start, Start::at("x.z.example"));
    bench.answer(&call, 2, &[]);
    assert_eq!(bench.look(&of("y.z.example"), 2, 3), known(2, nothing()));
    assert_eq!(bench.call(3).unwrap().start, Start::at("a.z.example"));
}

#[test]
fn who_comes_while_a_page_is_read_has_its_answer_from_it_unless_that_is_too_old() {
    let [asked, other] = ["a.z.example", "b.z.example"].map(of);
    let cases: [(&[i64], bool); 5] =
        [(&[1], true), (&[2], true), (&[3], false), (&[1, 3, 1], false), (&[9], false)];
    for (wanted, told) in cases {
        let bench = Bench::new();
        bench.look(&asked, 1, 1);
        let call = bench.call(2).unwrap();
        for not_before in wanted {
            assert_eq!(bench.look(&other, *not_before, 3), Reply::NotYet);
        }
        assert_eq!(bench.answer(&call, 2, &["b.z.example"]), [object("a")]);
        let mut woken = Vec::new();
        let next = bench.view.lock().call(at(4), &mut woken);
        assert_eq!(next.is_none(), told, "wanted as of {wanted:?}");
        assert_eq!(woken, if told { vec![object("a")] } else { Vec::new() });
        if told {
            assert_eq!(bench.look(&other, wanted[0], 5), known(2, holds("b.z.example")));
        } else {
            assert_eq!(bench.answer(&next.unwrap(), 4, &[]), [object("a")]);
        }
    }
}

#[test]
fn who_comes_after_a_change_has_its_answer_from_no_page_that_left_before_it() {
    for changes_first in [false, true] {
        let bench = Bench::new();
        let other = of("b.z.example");
        bench.look(&of("a.z.example"), 1, 1);
        let call = bench.call(2).unwrap();
        let change = || bench.view.changed(&HashSet::from([name("b.z.example")]), at(3));
        changes_first.then(change);
        bench.look(&other, 1, 3);
        (!changes_first).then(change);
        bench.answer(&call, 2, &["b.z.example"]);
        let again = bench.call(4).unwrap();
        assert_eq!(again.start, Start::at("b.z.example"));
        bench.answer(&again, 4, &[]);
        assert_eq!(bench.look(&other, 1, 5), known(4, nothing()));
    }
}

#[test]
fn what_is_known_meanwhile_gives_way_to_no_older_page() {
    let (bench, other) = (Bench::new(), of("b.z.example"));
    let watcher = bench.watcher();
    bench.look(&of("a.z.example"), 1, 1);
    let call = bench.call(2).unwrap();
    bench.look(&other, 1, 3);
    bench.view.lock().board.watch(&other, &watcher, PACE, at(1));
    bench.answer(&call, 2, &["b.z.example"]);
    assert_eq!(bench.view.record(&name("b.z.example"), at(3), NameView::default()).len(), 2);
    assert!(bench.call(200).is_some(), "it is due");
    assert_eq!(bench.look(&other, 1, 201), known(3, nothing()));
}

#[test]
fn the_first_of_what_is_watched_has_all_read_that_is_half_as_old() {
    let bench = Bench::new();
    let watcher = bench.watcher();
    let names = ["a", "b", "c"].map(|label| name(&format!("{label}.z.example")));
    for (name, sent) in names.iter().zip([0, 40, 60]) {
        let mut state = bench.view.lock();
        let question = InZone::At(name.clone());
        state.board.note(&question, at(sent), Compact::of(&nothing()));
        assert!(!state.board.watch(&question, &watcher, PACE, at(sent)));
    }
    assert!(bench.call(99).is_none());
    assert_eq!(bench.view.lock().rank(at(100)), Some(Rank::Watched));
    let call = bench.call(100).unwrap();
    assert_eq!(call.start, Start::at("a.z.example"));
    let woken = bench.answer(&call, 100, &["b.z.example", "c.z.example"]);
    assert_eq!(woken, [object("a")], "of b, which differs");
    assert_eq!(bench.look(&of("a.z.example"), 100, 101), known(100, nothing()));
    assert_eq!(bench.look(&of("c.z.example"), 60, 101), known(60, nothing()), "too young");
    assert_eq!(bench.view.lock().board.next_due(), Some(at(160)));
    assert!(bench.call(101).is_none());
}

#[test]
fn a_change_that_ends_while_a_page_is_read_makes_it_old() {
    let bench = Bench::new();
    let watcher = bench.watcher();
    let [kept_up, recorded] = ["w.z.example", "a.z.example"].map(of);
    let [asked, other] = ["b.z.example", "c.z.example"].map(of);
    for question in [&kept_up, &recorded] {
        bench.view.lock().board.note(question, at(0), Compact::of(&nothing()));
        bench.view.lock().board.watch(question, &watcher, PACE, at(0));
    }
    bench.look(&asked, 100, 100);
    bench.look(&other, 100, 100);
    let call = bench.call(100).unwrap();
    let changed = HashSet::from(["w", "a", "b"].map(|label| name(&format!("{label}.z.example"))));
    bench.view.changed(&changed, at(101));
    bench.view.record(&name("a.z.example"), at(101), NameView::default());
    bench.answer(&call, 100, &["a.z.example", "b.z.example", "c.z.example"]);
    assert_eq!(bench.look(&recorded, 0, 102), known(101, nothing()));
    assert_eq!(bench.look(&kept_up, 0, 102), Reply::NotYet, "it may have been read before");
    assert_eq!(bench.look(&asked, 0, 102), Reply::NotYet, "asked again");
    assert_eq!(bench.look(&other, 100, 102), known(100, holds("c.z.example")));
    assert_eq!(
        bench.look(&of("d.z.example"), 100, 102),
        known(100, nothing()),
        "of others it tells"
    );
}

#[test]
fn who_waits_for_what_a_change_makes_old_is_woken_all_the_same() {
    for on_its_way in [false, true] {
        let bench = Bench::new();
        let question = around("x.n.z.example");
        bench.look(&question, 1, 1);
        let drawn = on_its_way.then(|| bench.call(1).unwrap());
        bench.view.changed(&HashSet::from([name("y.n.z.example")]), at(2));
        let call = drawn.unwrap_or_else(|| bench.call(2).unwrap());
        assert_eq!(bench.answer(&call, 2, &["z.example"]), [object("a")]);
    }
}

#[test]
fn a_change_makes_old_what_stands_around_names_that_share_empty_ones_with_it() {
    let bench = Bench::new();
    let near = [around("x.n.z.example"), around("n.z.example"), around("a.b.n.z.example")];
    let far = [around("x.m.z.example"), of("x.n.z.example"), around("xn.z.example")];
    for question in near.iter().chain(&far) {
        bench.look(question, 1, 1);
    }
    let call = bench.call(1).unwrap();
    bench.answer(&call, 1, &["z.example"]);
    bench.view.changed(&HashSet::from([name("y.n.z.example")]), at(2));
    let held: HashSet<InZone> = bench.view.lock().board.questions().cloned().collect();
    assert_eq!(held, HashSet::from(far.clone()), "nobody waits for what is known no more");
    for question in near {
        assert_eq!(bench.look(&question, 1, 3), Reply::NotYet, "{question:?}");
    }
    for question in far {
        assert!(matches!(bench.look(&question, 1, 3), Reply::Known { .. }), "{question:?}");
    }
    let changed = of("y.n.z.example");
    assert_eq!(bench.look(&changed, 1, 3), Reply::NotYet, "the page that is held is older");
}

#[test]
fn who_has_lost_the_leave_to_look_is_woken_without_a_call() {
    let mut bench = Bench::new();
    bench.look(&of("a.z.example"), 1, 1);
    bench.looker.lose_authority();
    let mut woken = Vec::new();
    assert!(bench.view.lock().call(at(2), &mut woken).is_none());
    assert_eq!(woken, [object("a")]);
    assert_eq!(bench.view.lock().rank(at(2)), None);
}

#[test]
fn what_nobody_watches_any_more_is_not_read() {
    let bench = Bench::new();
    let watcher = bench.watcher();
    bench.view.lock().board.note(&of("a.z.example"), at(0), Compact::of(&nothing()));
    bench.view.lock().board.watch(&of("a.z.example"), &watcher, PACE, at(0));
    bench.watchers.end(&object("a"));
    assert!(bench.call(200).is_none());
    assert_eq!(bench.view.lock().rank(at(200)), None);
}

#[test]
fn a_zone_that_nobody_asks_of_is_idle_once_what_is_known_is_old() {
    let bench = Bench::new();
    bench.look(&of("a.z.example"), 1, 1);
    assert!(!bench.view.is_idle(at(1)), "somebody asks");
    let call = bench.call(1).unwrap();
    bench.answer(&call, 1, &[]);
    bench.view.lock().tidy(at(200));
    assert!(!bench.view.is_idle(at(7_200)), "its answer may be asked for");
    bench.view.lock().served = true;
    assert!(!bench.view.is_idle(at(7_201)), "somebody reads");
    bench.view.lock().served = false;
    assert!(bench.view.is_idle(at(7_201)));
}

/// Reads a name that a page's end tears apart; `changed` ends before its other half
/// is there.
fn torn(changed: &str) -> Bench {
    let bench = Bench::new();
    bench.look(&of("b.z.example"), 100, 100);
    let first = bench.call(100).unwrap();
    let next = Start { rtype: Some("TXT".to_owned()), ..Start::at("b.z.example") };
    let page = Page { items: vec![("b.z.example".to_owned(), mx())], next: Some(next.clone()) };
    bench.view.lock().take_in(at(100), &first, page, at(101));
    let second = bench.call(101).unwrap();
    assert_eq!(second.start, next);
    bench.view.changed(&HashSet::from([name(changed)]), at(102));
    bench.answer(&second, 101, &["b.z.example", "c.z.example"]);
    bench
}

#[test]
fn two_halves_of_a_name_are_an_answer_unless_it_was_changed_between_them() {
    let reply = torn("other.z.example").look(&of("b.z.example"), 100, 103);
    let Reply::Known { sent, value: Told::At(view) } = reply else { unreachable!("{reply:?}") };
    assert_eq!((sent, view.sets.len()), (at(100), 2));
    let bench = torn("b.z.example");
    assert_eq!(bench.look(&of("b.z.example"), 100, 103), Reply::NotYet, "halves of two");
    let again = bench.call(103).unwrap();
    assert_eq!(again.start, Start::at("b.z.example"), "read again from its beginning");
}

#[test]
fn who_waits_for_what_a_held_page_tells_another_is_woken_too() {
    let bench = Bench::new();
    bench.look(&of("a.z.example"), 1, 1);
    let call = bench.call(1).unwrap();
    bench.look(&of("c.z.example"), 1, 1);
    bench.answer(&call, 1, &["a.z.example", "z.z.example"]);
    let other = Looker::new("b");
    let (reply, woken) =
        bench.view.lock().look(&of("c.z.example"), other.sight(false), at(1), at(2));
    assert_eq!((reply, woken), (known(1, nothing()), vec![object("a")]));
}
