//! How few calls Route 53 is read with, and what an answer must rest on.

use std::time::Duration;

use aws_simulator::{ACCOUNT, Fault, Matching, RecordType as SimType, Trouble, ZoneSpec};
use ses_mailfrom::aws::{Aws, ErrorKind, Reply, Settings, Thing, Watched};
use ses_mailfrom::mail::{Change, DomainName, NameView, Surroundings};

use crate::canned::Canned;
use crate::stage::{ANY, Actor, LIMIT, Operator, Stage, batch, domain, fast, object, set, zone_id};

const LIST: &str = "ListResourceRecordSets";
const ZONES: &str = "ListHostedZonesByName";
const ROUTE53: [&str; 2] = [LIST, ZONES];

/// A zone `example.com` with the id Z1, and the account known.
async fn example() -> (Stage, Operator, Actor) {
    let stage = Stage::with_zone().await;
    let mut operator = stage.operator();
    operator.knows_its_account().await;
    (stage, operator, object("a", &[]))
}

impl Stage {
    fn calls(&self, action: &str) -> usize {
        self.sim.with(|world| world.calls_of(action).count())
    }

    async fn until(&self, holds: impl Fn() -> bool) {
        let until = async {
            while !holds() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(LIMIT, until).await.expect("it did not come to pass");
    }
}

fn names(count: usize) -> Vec<DomainName> {
    (0..count).map(|n| domain(&format!("bounce.n{n}.example.com"))).collect()
}

#[tokio::test]
async fn five_hundred_new_domains_in_an_empty_zone_are_read_by_three_calls() {
    let (stage, mut operator, a) = example().await;
    let (names, apex, from) = (names(500), domain("example.com"), operator.clock.now());
    let ask = |aws: &Aws, n: usize| aws.zones(a.sight(), &names[n], from);
    let zones = operator.all_known(names.len(), ask).await;
    assert!(zones.iter().all(|zones| zones.len() == 1 && zones[0].id == zone_id("Z1")));
    // The zone's servers are asked for first: the parent must name them.
    let ask = |aws: &Aws| aws.name(a.sight(), &zone_id("Z1"), &apex, from);
    assert_eq!(operator.known(ask).await.sets.len(), 2);
    let ask = |aws: &Aws, n: usize| aws.name(a.sight(), &zone_id("Z1"), &names[n], from);
    let views = operator.all_known(names.len(), ask).await;
    assert!(views.iter().all(|view| *view == NameView::default()));
    let ask =
        |aws: &Aws, n: usize| aws.surroundings(a.sight(), &zone_id("Z1"), &names[n], &apex, from);
    let around = operator.all_known(names.len(), ask).await;
    assert!(around.iter().all(|around| *around == Surroundings::default()));
    let [lists, zones] = ROUTE53.map(|action| stage.calls(action));
    assert!(lists <= 2 && zones == 1, "{lists} of record sets, {zones} of zones");
}

#[tokio::test]
async fn published_names_cost_the_pages_of_their_zone() {
    let (stage, mut operator, a) = example().await;
    let names = names(450);
    for name in &names {
        stage.add(name.as_str(), SimType::MX, &["10 feedback-smtp.us-east-1.amazonses.com"]);
        stage.add(name.as_str(), SimType::TXT, &["\"v=spf1 include:amazonses.com ~all\""]);
    }
    let from = operator.clock.now();
    let ask = |aws: &Aws, n: usize| aws.name(a.sight(), &zone_id("Z1"), &names[n], from);
    let views = operator.all_known(names.len(), ask).await;
    for (name, view) in names.iter().zip(&views) {
        assert!(view.sets.len() == 2 && view.sets.iter().all(|set| set.name == *name), "{view:?}");
    }
    assert_eq!(stage.calls(LIST), 3, "900 record sets");
}

#[tokio::test]
async fn names_far_apart_cost_a_call_each() {
    let (stage, mut operator, a) = example().await;
    for n in 0..1500 {
        stage.add(&format!("x{n:04}.example.com"), SimType::A, &["192.0.2.1"]);
    }
    let names = ["x0000", "x0500", "x1000"].map(|label| domain(&format!("{label}.example.com")));
    let from = operator.clock.now();
    let ask = |aws: &Aws, n: usize| aws.name(a.sight(), &zone_id("Z1"), &names[n], from);
    let views = operator.all_known(names.len(), ask).await;
    assert!(views.iter().all(|view| view.sets.len() == 1));
    assert_eq!(stage.calls(LIST), 3);
}

#[tokio::test]
async fn a_thousand_zones_are_found_by_their_pages() {
    let stage = Stage::new().await;
    stage.sim.with(|world| {
        for n in 0..1000 {
            world.create_zone(ZoneSpec::private(ACCOUNT, &format!("d{n}.com"))).unwrap();
        }
    });
    let (mut operator, a) = (stage.operator(), object("a", &[]));
    operator.knows_its_account().await;
    let names: Vec<_> = (0..2000).map(|n| domain(&format!("bounce.d{n}.com"))).collect();
    let from = operator.clock.now();
    let ask = |aws: &Aws, n: usize| aws.zones(a.sight(), &names[n], from);
    let found = operator.all_known(names.len(), ask).await;
    for (n, zones) in found.iter().enumerate() {
        let shown: Vec<_> = zones.iter().map(|zone| zone.name.to_string()).collect();
        let expected = if n < 1000 { vec![format!("d{n}.com")] } else { Vec::new() };
        assert_eq!(shown, expected);
    }
    assert_eq!(stage.calls(ZONES), 10);
    let ask = |aws: &Aws, n: usize| aws.zones(a.sight(), &names[n], from);
    operator.all_known(names.len(), ask).await;
    assert_eq!(stage.calls(ZONES), 10, "remembered");
}

#[tokio::test]
async fn a_zone_that_is_gone_is_forgotten_at_once() {
    let (stage, mut operator, a) = example().await;
    let (name, from) = (domain("bounce.example.com"), operator.clock.now());
    let zones = |aws: &Aws| aws.zones(a.sight(), &name, from);
    assert_eq!(operator.known(zones).await.len(), 1);
    stage.sim.with(|world| world.delete_zone("Z1"));
    assert_eq!(operator.known(zones).await.len(), 1, "nobody has said so yet");
    let view = |aws: &Aws| aws.name(a.sight(), &zone_id("Z1"), &name, ANY);
    assert_eq!(operator.failed(view).await.kind(), ErrorKind::NotFound);
    assert_eq!(operator.known(zones).await, []);
}

#[tokio::test]
async fn so_is_one_whose_change_says_that_it_is_gone() {
    let (stage, mut operator, _) = example().await;
    let a = object("a", &["bounce.example.com"]);
    let (name, from) = (domain("bounce.example.com"), operator.clock.now());
    let zones = |aws: &Aws| aws.zones(a.sight(), &name, from);
    operator.known(zones).await;
    stage.sim.with(|world| world.delete_zone("Z1"));
    let created = vec![Change::Create(set(name.as_str(), "MX", 300, &["10 a.example"]))];
    let made = operator.change(a.name_grant(name.as_str()), batch("Z1", created)).await;
    assert_eq!(made.unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(operator.known(zones).await, []);
}

/// Zones `d0.com` to `d9.com` with the ids Z0 to Z9, and a rate at which they take
/// their turns.
async fn ten_zones() -> (Stage, Operator) {
    let stage = Stage::new().await;
    for n in 0..10 {
        let zone = ZoneSpec::public(ACCOUNT, &format!("d{n}.com")).id(&format!("Z{n}"));
        stage.sim.with(|world| world.create_zone(zone)).unwrap();
    }
    let mut operator = stage.operator_with(Settings { route53_rate: 5.0, ..fast() });
    operator.knows_its_account().await;
    (stage, operator)
}

#[tokio::test]
async fn a_read_that_a_person_joins_while_it_waits_for_its_turn_goes_before_the_others() {
    let (stage, operator) = ten_zones().await;
    let (a, person) = (object("a", &[]), object("person", &[]).with_urgency());
    let ask = |actor: &Actor, n: usize| {
        let (zone, name) = (zone_id(&format!("Z{n}")), domain(&format!("bounce.d{n}.com")));
        operator.aws.name(actor.sight(), &zone, &name, ANY)
    };
    for n in 0..10 {
        assert_eq!(ask(&a, n), Reply::NotYet);
    }
    stage.until(|| stage.calls(LIST) >= 1).await;
    assert_eq!(ask(&person, 9), Reply::NotYet);
    stage.until(|| stage.calls(LIST) == 10).await;
    let order: Vec<String> =
        stage.sim.with(|world| world.calls_of(LIST).map(|call| call.targets[0].clone()).collect());
    let place = order.iter().position(|zone| zone == "Z9").unwrap();
    assert!(place <= 2, "one may have left meanwhile: {order:?}");
}

#[tokio::test]
async fn what_is_held_of_a_zone_does_not_outlive_a_change_to_it() {
    let (stage, mut operator, _) = example().await;
    let a = object("a", &["bounce.example.com"]);
    let (name, other) = (domain("bounce.example.com"), domain("x.bounce.example.com"));
    let (apex, z1) = (domain("example.com"), zone_id("Z1"));
    let view = |aws: &Aws| aws.name(a.sight(), &z1, &name, ANY);
    let around = |aws: &Aws| aws.surroundings(a.sight(), &z1, &other, &apex, ANY);
    let servers = |aws: &Aws| aws.name(a.sight(), &z1, &apex, ANY);
    operator.known(servers).await;
    assert_eq!(operator.known(view).await, NameView::default());
    stage.add("*.bounce.example.com", SimType::A, &["192.0.2.1"]);
    let held = operator.known(around).await;
    assert_eq!((held, stage.calls(LIST)), (Surroundings::default(), 1), "of the page before");
    let grant = a.name_grant(name.as_str());
    let created = set(name.as_str(), "MX", 300, &["10 a.example"]);
    let batch = batch("Z1", vec![Change::Create(created.clone())]);
    operator.change(grant, batch).await.unwrap();
    assert_eq!(operator.known(view).await.sets, [created]);
    assert_eq!(operator.known(around).await.wildcard.unwrap(), "*.bounce.example.com");
}

#[tokio::test]
async fn what_is_watched_is_swept_by_pages_and_only_who_sees_a_difference_is_woken() {
    const PACE: Duration = Duration::from_secs(2);
    let (stage, mut operator, a) = example().await;
    let names = names(450);
    for name in &names {
        stage.add(name.as_str(), SimType::MX, &["10 feedback-smtp.us-east-1.amazonses.com"]);
    }
    let from = operator.clock.now();
    let ask = |aws: &Aws, n: usize| aws.name(a.sight(), &zone_id("Z1"), &names[n], from);
    operator.all_known(names.len(), ask).await;
    let read = stage.calls(LIST);
    let watch = |name: &DomainName| {
        let thing = Thing::Name(zone_id("Z1"), name.clone());
        let known = operator.aws.last_read(&a.sight(), &thing).unwrap();
        Watched { thing, pace: PACE, known }
    };
    operator.aws.watch(a.sight(), &names.iter().map(watch).collect::<Vec<_>>());
    let swept = || stage.calls(LIST) - read;
    stage.until(|| swept() >= 4).await;
    assert!(!operator.anybody_woken(), "nothing has changed in two sweeps");
    let before = swept();
    stage.add(names[449].as_str(), SimType::TXT, &["\"drift\""]);
    assert_eq!(operator.woken().await, a.key());
    assert!(swept() <= before + 4, "{} more calls, of two a sweep", swept() - before);
    let view = operator.known(|aws| ask(aws, 449)).await;
    assert_eq!(view.sets.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_zone_keeps_its_place_among_those_that_are_swept() {
    const PACE: Duration = Duration::from_hours(1);
    const EMPTY: &str = r#"<ListResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ResourceRecordSets></ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>300</MaxItems></ListResourceRecordSetsResponse>"#;
    let canned = Canned::default();
    for _ in 0..3 {
        canned.ok(EMPTY);
    }
    let operator = canned.operator(Settings { route53_rate: 0.1, ..fast() }).await;
    let watch = |object: &str, zone: &str| {
        let thing = Thing::Name(zone_id(zone), domain(&format!("{object}.example.com")));
        let watched = Watched { thing, pace: PACE, known: operator.clock.now() };
        operator.aws.watch(self::object(object, &[]).sight(), &[watched]);
    };
    let sent = async |count: usize| {
        while canned.sent().len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let zones = canned.sent().into_iter().map(|sent| sent.line);
        zones.map(|line| line.split('/').nth(3).unwrap().to_owned()).collect::<Vec<_>>()
    };
    for (object, zone) in [("a", "Z1"), ("b", "Z2"), ("c", "Z3")] {
        watch(object, zone);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(sent(1).await, ["Z1"]);
    tokio::time::sleep(Duration::from_secs(10)).await;
    watch("d", "Z2");
    assert_eq!(sent(3).await, ["Z1", "Z2", "Z3"]);
}

#[tokio::test]
async fn a_name_is_not_read_again_for_a_change_that_was_made() {
    let (stage, mut operator, _) = example().await;
    let a = object("a", &["bounce.example.com"]);
    let (name, z1) = (domain("bounce.example.com"), zone_id("Z1"));
    let view = |aws: &Aws| aws.name(a.sight(), &z1, &name, ANY);
    operator.known(view).await;
    let old = set(name.as_str(), "MX", 300, &["10 a.example"]);
    let new = set(name.as_str(), "MX", 60, &["10 b.example"]);
    let create = vec![Change::Create(old.clone())];
    let swap = vec![Change::Delete(old), Change::Create(new.clone())];
    for changes in [create, swap] {
        let grant = a.name_grant(name.as_str());
        operator.change(grant, batch("Z1", changes)).await.unwrap();
    }
    assert_eq!(operator.known(view).await.sets, [new]);
    assert_eq!(stage.calls(LIST), 1);
}

#[tokio::test]
async fn a_call_that_fails_is_told_to_all_who_wait_for_it() {
    let (stage, mut operator, a) = example().await;
    stage.sim.add_fault(Fault::once(Matching::action(LIST), Trouble::Fail(500)));
    let names = names(20);
    let from = operator.clock.now();
    let ask = |aws: &Aws, n: usize| aws.name(a.sight(), &zone_id("Z1"), &names[n], from);
    for n in 0..names.len() {
        assert!(matches!(ask(&operator.aws, n), Reply::NotYet));
    }
    for n in 0..names.len() {
        let error = operator.failed(|aws| ask(aws, n)).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable);
    }
    assert_eq!(stage.calls(LIST), 1);
}

#[tokio::test]
async fn a_call_that_is_throttled_is_made_again_for_all() {
    let (stage, _, a) = example().await;
    let settings = Settings { retry_min: Duration::from_mins(10), ..fast() };
    let mut operator = stage.operator_with(settings);
    let fault = Fault::once(Matching::action(LIST), Trouble::Throttle);
    stage.sim.add_fault(fault);
    let (names, from) = (names(20), operator.clock.now());
    let ask = |aws: &Aws, n: usize| aws.name(a.sight(), &zone_id("Z1"), &names[n], from);
    operator.all_known(names.len(), ask).await;
    assert_eq!(stage.calls(LIST), 2);
}
