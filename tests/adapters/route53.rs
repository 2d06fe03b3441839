//! Route 53 as the simulator tells it, over HTTP.

use std::time::Duration;

use aws_simulator::{
    ACCOUNT, Fault, Matching, RecordSet as SimSet, RecordType as SimType, Trouble, ZoneSpec,
};
use ses_mailfrom::aws::{Aws, Error, ErrorKind, Reply, Settings};
use ses_mailfrom::mail::{
    Change, ChangeState, NameView, RecordSet, RecordType, Routing, Surroundings, Zone,
};

use crate::stage::{ANY, Actor, Operator, Stage, batch, domain, fast, object, set, zone_id};

const LIST: &str = "ListResourceRecordSets";
const CHANGE: &str = "ChangeResourceRecordSets";
const NAME: &str = "bounce.example.com";

/// A delegated zone `example.com` with the id Z1.
async fn example() -> (Stage, Operator, Actor) {
    let stage = Stage::with_zone().await;
    let operator = stage.operator();
    (stage, operator, object("a", &[NAME]))
}

impl Stage {
    /// More record sets than fit a page, behind everything else in their order.
    fn crowd(&self, first_letter: char) {
        for n in 0..310 {
            self.add(&format!("{first_letter}{n}.example.com"), SimType::A, &["192.0.2.1"]);
        }
    }
}

async fn zones(operator: &mut Operator, actor: &Actor, name: &str) -> Vec<Zone> {
    let from = operator.clock.now();
    operator.known(|aws| aws.zones(actor.sight(), &domain(name), from)).await
}

async fn view(operator: &mut Operator, actor: &Actor, name: &str) -> NameView {
    let from = operator.clock.now();
    operator.known(|aws| aws.name(actor.sight(), &zone_id("Z1"), &domain(name), from)).await
}

async fn around(operator: &mut Operator, actor: &Actor, name: &str) -> Surroundings {
    let (from, name, apex) = (operator.clock.now(), domain(name), domain("example.com"));
    let ask = |aws: &Aws| aws.surroundings(actor.sight(), &zone_id("Z1"), &name, &apex, from);
    operator.known(ask).await
}

async fn change(
    operator: &mut Operator,
    actor: &Actor,
    changes: Vec<Change>,
) -> Result<String, Error> {
    let made = operator.change(actor.name_grant(NAME), batch("Z1", changes)).await;
    made.map(|made| made.id)
}

fn mx(value: &str) -> RecordSet {
    set(NAME, "MX", 300, &[value])
}

#[tokio::test]
async fn zones_are_found_by_name_longest_first_whatever_their_kind() {
    let stage = Stage::new().await;
    stage.sim.with(|world| {
        for spec in [
            ZoneSpec::public(ACCOUNT, "example.com").id("Z1"),
            ZoneSpec::private(ACCOUNT, "example.com").id("Z2"),
            ZoneSpec::public(ACCOUNT, "mail.example.com").id("Z3"),
            ZoneSpec::public(ACCOUNT, "linked.example.com")
                .id("Z4")
                .linked_service("svc.amazonaws.com", "of a service"),
            ZoneSpec::public(ACCOUNT, "other.com").id("Z5"),
            ZoneSpec::public(ACCOUNT, "anexample.com").id("Z6"),
        ] {
            world.create_zone(spec).unwrap();
        }
        world.add_account("999999999999", "AKIAOTHER00000000000");
        world.create_zone(ZoneSpec::public("999999999999", "b.mail.example.com").id("Z7")).unwrap();
    });
    let (mut operator, a) = (stage.operator(), object("a", &[]));
    operator.knows_its_account().await;
    let found = zones(&mut operator, &a, "b.mail.example.com").await;
    let brief = |zone: &Zone| (zone.id.to_string(), zone.name.to_string(), zone.private);
    assert_eq!(
        found.iter().map(brief).collect::<Vec<_>>(),
        [
            ("Z3".to_owned(), "mail.example.com".to_owned(), false),
            ("Z1".to_owned(), "example.com".to_owned(), false),
            ("Z2".to_owned(), "example.com".to_owned(), true),
        ]
    );
    assert_eq!(operator.calls().len(), 1, "one page answers for all names");
    let linked = zones(&mut operator, &a, "x.linked.example.com").await;
    assert_eq!(linked[0].linked_service.as_deref(), Some("svc.amazonaws.com"));
    assert_eq!(zones(&mut operator, &a, "bounce.nowhere.org").await, []);
}

#[tokio::test]
async fn zones_are_found_among_more_than_fit_a_page() {
    let stage = Stage::new().await;
    stage.sim.with(|world| {
        for n in 0..130 {
            world.create_zone(ZoneSpec::private(ACCOUNT, &format!("d{n}.com"))).unwrap();
            world.create_zone(ZoneSpec::private(ACCOUNT, &format!("a{n}.example.com"))).unwrap();
            world.create_zone(ZoneSpec::private(ACCOUNT, "same.example.com")).unwrap();
        }
        world.create_zone(ZoneSpec::public(ACCOUNT, "example.com").id("Z1")).unwrap();
        world.create_zone(ZoneSpec::public(ACCOUNT, "x.same.example.com").id("Z2")).unwrap();
    });
    let (mut operator, a) = (stage.operator(), object("a", &[]));
    let found = zones(&mut operator, &a, "y.x.same.example.com").await;
    assert_eq!(found.len(), 132);
    assert_eq!((found[0].id.as_str(), found[131].id.as_str()), ("Z2", "Z1"));
    let calls = operator.calls().len();
    assert!(calls <= 5, "{calls} calls");
}

#[tokio::test]
async fn a_name_is_read_whole_and_byte_for_byte() {
    let (stage, mut operator, a) = example().await;
    let txt = [r#""v=spf1 include:amazonses.com ~all""#, r#""a \"quoted\" \052 one" "two""#];
    stage.add(NAME, SimType::TXT, &txt);
    stage.add(NAME, SimType::MX, &["10 Feedback-SMTP.us-east-1.amazonses.com."]);
    stage.add("a.bounce.example.com", SimType::MX, &["10 below.example"]);
    stage.add("bouncf.example.com", SimType::MX, &["10 behind.example"]);
    let seen = view(&mut operator, &a, NAME).await;
    assert_eq!(seen.sets.len(), 2, "{seen:?}");
    assert_eq!(seen.simple(&RecordType::Txt).unwrap().values, txt);
    let mx = seen.simple(&RecordType::Mx).unwrap();
    assert_eq!((mx.ttl, &mx.name), (300, &domain(NAME)));
    assert_eq!(mx.values, ["10 Feedback-SMTP.us-east-1.amazonses.com."]);
    assert_eq!(view(&mut operator, &a, "bounce2.example.com").await, NameView::default());
    let apex = view(&mut operator, &a, "example.com").await;
    assert_eq!(apex.simple(&RecordType::Ns).unwrap().values.len(), 2);
}

#[tokio::test]
async fn aliases_and_routed_sets_are_told_from_plain_ones_over_many_pages() {
    let (stage, mut operator, a) = example().await;
    stage.add_set(SimSet::alias("alias.example.com", "lb.example.net").unwrap());
    let alias = view(&mut operator, &a, "alias.example.com").await;
    assert_eq!((alias.sets[0].routing.clone(), alias.sets[0].ttl), (Routing::Alias, 0));
    assert_eq!(alias.simple(&RecordType::A), None);
    for n in 0..50 {
        let set = SimSet::new(NAME, SimType::MX, 60, &["10 a.example"]).unwrap();
        stage.add_set(set.weighted(&format!("set-{n}"), 1));
    }
    let routed = view(&mut operator, &a, NAME).await;
    assert_eq!(routed.sets.len(), 50);
    assert!(routed.sets.iter().all(|set| set.routing == Routing::Routed));
}

#[tokio::test]
async fn surroundings_are_as_rfc_4592_has_them_in_small_zones_and_large() {
    let a_record = ["192.0.2.1"];
    let none = Surroundings::default;
    let exists = || Surroundings { exists: true, ..none() };
    let wildcard = |name: &str| Surroundings { wildcard: Some(name.to_owned()), ..none() };
    let cut = |name: &str| Surroundings { delegated_at: Some(domain(name)), ..none() };
    for letter in [None, Some('z'), Some('0')] {
        let (stage, mut operator, a) = example().await;
        letter.inspect(|first| stage.crowd(*first));
        let mut check = async |name: &str, expected: Surroundings| {
            assert_eq!(around(&mut operator, &a, name).await, expected, "{name} beside {letter:?}");
        };
        check(NAME, none()).await;
        stage.add("*.example.com", SimType::A, &a_record);
        check(NAME, wildcard("*.example.com")).await;
        // Creating this would also bring b.c.example.com and c.example.com into being.
        check("a.b.c.example.com", wildcard("*.example.com")).await;
        stage.add("x.deep.example.com", SimType::A, &a_record);
        // The empty name deep.example.com is the closest encloser: the
        // wildcard above it does not answer below it.
        check("y.deep.example.com", none()).await;
        // It exists by what stands below it, so that no wildcard answers for it.
        check("deep.example.com", exists()).await;
        stage.add("*.deep.example.com", SimType::A, &a_record);
        check("y.deep.example.com", wildcard("*.deep.example.com")).await;
        check("x.deep.example.com", exists()).await;
        // Neighbours in Route 53's order, and what it escapes, stand for nothing.
        stage.add("bounce-x.example.com", SimType::A, &a_record);
        stage.add("xbounce.example.com", SimType::A, &a_record);
        check(NAME, wildcard("*.example.com")).await;
        stage.add("at\\100.odd.example.com", SimType::A, &a_record);
        check("odd.example.com", exists()).await;
        check("y.odd.example.com", none()).await;
        stage.add("cut.example.com", SimType::NS, &["ns.elsewhere.example."]);
        check("cut.example.com", Surroundings { exists: true, ..cut("cut.example.com") }).await;
        check("a.b.cut.example.com", cut("cut.example.com")).await;
    }
}

#[tokio::test]
async fn surroundings_cost_few_calls() {
    for (letter, calls) in [(None, 1), (Some('z'), 1), (Some('0'), 3)] {
        let (stage, mut operator, a) = example().await;
        letter.inspect(|first| stage.crowd(*first));
        operator.knows_its_account().await;
        around(&mut operator, &a, NAME).await;
        assert_eq!(operator.calls().len(), calls, "beside {letter:?}");
    }
}

#[tokio::test]
async fn a_change_is_made_followed_to_insync_and_shown_to_later_reads() {
    let (stage, mut operator, a) = example().await;
    assert_eq!(view(&mut operator, &a, NAME).await, NameView::default());
    assert!(!around(&mut operator, &a, NAME).await.exists);
    let first = mx("10 feedback-smtp.us-east-1.amazonses.com");
    let id = change(&mut operator, &a, vec![Change::Create(first.clone())]).await.unwrap();
    assert!(!id.contains('/'), "{id}");
    let ask = |aws: &Aws| aws.name(a.sight(), &zone_id("Z1"), &domain(NAME), ANY);
    assert_eq!(operator.known(ask).await.sets, std::slice::from_ref(&first));
    let apex = domain("example.com");
    let ask = |aws: &Aws| aws.surroundings(a.sight(), &zone_id("Z1"), &domain(NAME), &apex, ANY);
    assert!(operator.known(ask).await.exists);
    let from = operator.clock.now();
    let now = operator.known(|aws| aws.change(a.sight(), &id, from)).await;
    assert_eq!(now, ChangeState::Pending);
    stage.sim.advance(Duration::from_mins(1));
    let from = operator.clock.now();
    let now = operator.known(|aws| aws.change(a.sight(), &id, from)).await;
    assert_eq!(now, ChangeState::Insync);
    let swap = vec![Change::Delete(first), Change::Create(mx("10 other.example"))];
    change(&mut operator, &a, swap).await.unwrap();
    assert_eq!(view(&mut operator, &a, NAME).await.sets, [mx("10 other.example")]);
}

#[tokio::test]
async fn a_change_that_route_53_does_not_know_is_gone() {
    let (_stage, mut operator, a) = example().await;
    let now = operator.known(|aws| aws.change(a.sight(), "C0NONE", ANY)).await;
    assert_eq!(now, ChangeState::Gone);
}

#[tokio::test]
async fn a_lost_swap_is_outdated_and_changes_nothing() {
    let (stage, mut operator, a) = example().await;
    stage.add(NAME, SimType::MX, &["10 stands.example"]);
    for changes in [
        vec![Change::Create(mx("10 new.example"))],
        vec![Change::Delete(mx("10 was.example")), Change::Create(mx("10 new.example"))],
        vec![Change::Delete(set(NAME, "TXT", 300, &["\"x\""]))],
        vec![Change::Delete(set(NAME, "MX", 60, &["10 stands.example"]))],
    ] {
        let error = change(&mut operator, &a, changes).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidChangeBatch);
        assert!(error.is_outdated() && error.is_transient(), "{error}");
        let text = error.to_string();
        let start = "route53:ChangeResourceRecordSets on bounce.example.com in hosted zone Z1: ";
        assert!(text.starts_with(start), "{text}");
    }
    assert_eq!(view(&mut operator, &a, NAME).await.sets, [mx("10 stands.example")]);
}

#[tokio::test]
async fn a_batch_that_can_never_be_made_is_refused_and_not_outdated() {
    let (_stage, mut operator, a) = example().await;
    let changes = vec![Change::Create(set(NAME, "TXT", 300, &["not quoted"]))];
    let error = change(&mut operator, &a, changes).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.is_outdated()),
        (ErrorKind::InvalidChangeBatch, false),
        "{error}"
    );
}

#[tokio::test]
async fn a_zone_that_is_gone_is_not_found() {
    let (stage, mut operator, a) = example().await;
    stage.sim.with(|world| world.delete_zone("Z1"));
    let ask = |aws: &Aws| aws.name(a.sight(), &zone_id("Z1"), &domain(NAME), ANY);
    assert_eq!(operator.failed(ask).await.kind(), ErrorKind::NotFound);
    let error = change(&mut operator, &a, vec![Change::Create(mx("10 a.example"))]).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn troubles_of_a_change_are_told_apart() {
    let (stage, mut operator, a) = example().await;
    let busy = 4;
    let prior = Trouble::Refuse {
        status: 400,
        code: "PriorRequestNotComplete".to_owned(),
        message: "The request was rejected because Route 53 was still processing a prior request."
            .to_owned(),
    };
    for (trouble, times, kind, transient) in [
        (prior, busy, ErrorKind::PriorRequest, true),
        (Trouble::AccessDenied, 1, ErrorKind::AccessDenied, false),
        (Trouble::Throttle, busy, ErrorKind::Throttled, true),
        (Trouble::Fail(500), 1, ErrorKind::Unavailable, true),
    ] {
        stage.sim.add_fault(Fault::once(Matching::action(CHANGE), trouble).times(times));
        let error = change(&mut operator, &a, vec![Change::Create(mx("10 a.example"))]).await;
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (kind, transient), "{error}");
    }
    change(&mut operator, &a, vec![Change::Create(mx("10 a.example"))]).await.unwrap();
}

#[tokio::test]
async fn whatever_becomes_of_a_change_answers_from_before_it_do_not_count() {
    for trouble in [Trouble::LoseAnswer, Trouble::FailAfter(503), Trouble::HangAfter] {
        let (stage, _, a) = example().await;
        let settings = Settings { request_timeout: Duration::from_millis(700), ..fast() };
        let mut operator = stage.operator_with(settings);
        assert_eq!(view(&mut operator, &a, NAME).await, NameView::default());
        stage.sim.add_fault(Fault::once(Matching::action(CHANGE), trouble.clone()));
        let wanted = mx("10 feedback-smtp.us-east-1.amazonses.com");
        let error = change(&mut operator, &a, vec![Change::Create(wanted.clone())]).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::Unavailable, "{trouble:?}");
        let ask = |aws: &Aws| aws.name(a.sight(), &zone_id("Z1"), &domain(NAME), ANY);
        assert_eq!(ask(&operator.aws), Reply::NotYet, "{trouble:?}");
        assert_eq!(operator.known(ask).await.sets, [wanted]);
    }
}

#[tokio::test]
async fn a_change_that_iam_forbids_leaves_what_was_read_as_it_is() {
    let (stage, mut operator, a) = example().await;
    assert_eq!(view(&mut operator, &a, NAME).await, NameView::default());
    let ask = |aws: &Aws| aws.name(a.sight(), &zone_id("Z1"), &domain(NAME), ANY);
    let before = ask(&operator.aws);
    let denied = Fault::once(Matching::action(CHANGE), Trouble::AccessDenied);
    stage.sim.add_fault(denied);
    let made = change(&mut operator, &a, vec![Change::Create(mx("10 a.example"))]).await;
    assert_eq!(made.unwrap_err().kind(), ErrorKind::AccessDenied);
    assert_eq!(ask(&operator.aws), before);
    // What Route 53 says of the record itself may tell of what stands there.
    let never = set(NAME, "TXT", 300, &["not quoted"]);
    change(&mut operator, &a, vec![Change::Create(never)]).await.unwrap_err();
    assert_eq!(ask(&operator.aws), Reply::NotYet);
}

#[tokio::test]
async fn an_answer_stands_for_all_who_ask_until_it_is_too_old_for_them() {
    let (stage, mut operator, a) = example().await;
    let lists = || stage.sim.with(|world| world.calls_of(LIST).count());
    view(&mut operator, &a, NAME).await;
    let b = object("b", &[NAME]);
    let ask = |aws: &Aws| aws.name(b.sight(), &zone_id("Z1"), &domain(NAME), ANY);
    assert!(matches!(ask(&operator.aws), Reply::Known { .. }));
    assert_eq!(lists(), 1);
    view(&mut operator, &b, NAME).await;
    assert_eq!(lists(), 2);
}

#[tokio::test]
async fn what_stands_after_a_change_is_known_without_reading_it_again() {
    let (stage, mut operator, a) = example().await;
    let lists = || stage.sim.with(|world| world.calls_of(LIST).count());
    let other = set(NAME, "TXT", 60, &["\"theirs\""]);
    stage.add(NAME, SimType::TXT, &["\"theirs\""]);
    stage.sim.with(|world| {
        let theirs = SimSet::new(NAME, SimType::TXT, 60, &["\"theirs\""]).unwrap();
        world.put_record_set("Z1", theirs).unwrap();
    });
    let ask = |aws: &Aws| aws.name(a.sight(), &zone_id("Z1"), &domain(NAME), ANY);
    let read = operator.settle(ask).await;
    let Reply::Known { sent, .. } = read else { panic!("{read:?}") };
    let (first, second) = (mx("10 one.example"), mx("10 two.example"));
    change(&mut operator, &a, vec![Change::Create(first.clone())]).await.unwrap();
    let swap = vec![Change::Delete(first), Change::Create(second.clone())];
    change(&mut operator, &a, swap).await.unwrap();
    let value = NameView { sets: vec![other, second] };
    assert_eq!(ask(&operator.aws), Reply::Known { sent, value: value.clone() });
    assert_eq!(lists(), 1);
    let later = sent + Duration::from_nanos(1);
    let ask = |aws: &Aws| aws.name(a.sight(), &zone_id("Z1"), &domain(NAME), later);
    assert_eq!(ask(&operator.aws), Reply::NotYet, "of the rest it tells no more than before");
    let mut seen = operator.known(ask).await.sets;
    seen.sort_by(|one, other| other.ttl.cmp(&one.ttl).reverse());
    assert_eq!(seen, value.sets);
}

#[tokio::test]
async fn one_record_that_can_never_be_made_costs_a_full_batch_few_calls() {
    let (stage, mut operator, _) = example().await;
    let names: Vec<String> = (0..250).map(|n| format!("n{n}.example.com")).collect();
    let actors: Vec<Actor> =
        names.iter().enumerate().map(|(n, name)| object(&format!("o{n}"), &[name])).collect();
    let hand_over = |aws: &Aws, at: usize, value: &str| {
        let set = set(&names[at], "TXT", 300, &[value, "\"b\"", "\"c\"", "\"d\""]);
        let batch = batch("Z1", vec![Change::Create(set)]);
        aws.change_records(actors[at].name_grant(&names[at]), &std::sync::Arc::new(batch));
    };
    for at in 0..250 {
        hand_over(&operator.aws, at, if at == 171 { "not quoted" } else { "\"a\"" });
    }
    for (at, actor) in actors.iter().enumerate() {
        let ended = operator.ended(&actor.key()).await;
        assert_eq!(ended.is_ok(), at != 171, "{at}: {ended:?}");
    }
    let calls = || stage.sim.with(|world| world.calls_of(CHANGE).count());
    assert!(calls() <= 1 + 2 * 8, "{} calls", calls());
    let before = calls();
    hand_over(&operator.aws, 171, "not quoted");
    operator.ended(&actors[171].key()).await.unwrap_err();
    assert_eq!(calls(), before + 1);
}
