//! Changes of many objects in one batch: who leaves together, when, and what
//! becomes of each where Route 53 refuses. On canned answers and a paused clock.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ses_mailfrom::authority::ServiceCredentials;
use ses_mailfrom::aws::{Aws, Changed, Error, ErrorKind, Handed, Settings};
use ses_mailfrom::mail::{Change, ChangeState};
use tokio::sync::Notify;
use tokio::time::{Instant, advance, sleep};

use crate::canned::{Answer, Canned, Sent};
use crate::stage::{Actor, Operator, batch, domain, object, object_with, role, set};

const LINGER: Duration = Duration::from_millis(200);
const DNS_ROLE: &str = "arn:aws:iam::222222222222:role/dns";

/// Rates that no test waits for, and a linger to measure.
fn settings() -> Settings {
    Settings {
        route53_rate: 1000.0,
        linger: LINGER,
        linger_max: Duration::from_secs(10),
        ..Settings::default()
    }
}

fn changed(id: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><ChangeResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeInfo><Id>/change/{id}</Id><Status>PENDING</Status><SubmittedAt>2026-08-01T10:00:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>"#
    )
}

fn refusal(code: &str, message: &str) -> Answer {
    let text = format!(
        r#"<?xml version="1.0"?><ErrorResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error><RequestId>0a1b2c3d-0000-1111-2222-333344445555</RequestId></ErrorResponse>"#
    );
    Answer::Body(400, text)
}

fn denied() -> Answer {
    refusal("AccessDenied", "User: arn is not authorized")
}

fn exists(name: &str) -> String {
    format!("Tried to create resource record set [name='{name}.', type='MX'] but it already exists")
}

/// Where a change is.
fn followed(id: &str, status: &str) -> String {
    format!(
        r#"<?xml version="1.0"?><GetChangeResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeInfo><Id>/change/{id}</Id><Status>{status}</Status><SubmittedAt>2026-08-01T10:00:00Z</SubmittedAt></ChangeInfo></GetChangeResponse>"#
    )
}

/// What STS answers who assumes a role.
fn assumed(access_key: &str) -> String {
    format!(
        r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>{access_key}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2036-08-01T10:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"#
    )
}

fn name(object: &str) -> String {
    format!("{object}.example.com")
}

fn actors<const N: usize>(names: [&str; N]) -> [Actor; N] {
    names.map(|actor| object(actor, &[&name(actor)]))
}

/// An object whose zone is changed with a role.
fn with_role(actor: &str, arn: &str) -> Actor {
    let credentials = ServiceCredentials { route53: role(arn), ..ServiceCredentials::default() };
    object_with(actor, &[&name(actor)], credentials)
}

/// Hands over an MX at the object's name.
fn hand_over(operator: &Operator, actor: &Actor, value: &str) -> Handed {
    hand_over_to("Z1", operator, actor, &[value])
}

fn hand_over_to(zone: &str, operator: &Operator, actor: &Actor, values: &[&str]) -> Handed {
    let name = name(actor.key().name());
    let mut batch = batch(zone, vec![Change::Create(set(&name, "MX", 300, values))]);
    batch.comment = format!("ours: {}", actor.key());
    operator.aws.change_records(actor.name_grant(&name), &Arc::new(batch))
}

async fn all(operator: &mut Operator, actors: &[Actor]) -> Vec<Result<Changed, Error>> {
    let mut ended = Vec::new();
    for actor in actors {
        ended.push(operator.ended(&actor.key()).await);
    }
    ended
}

/// The names in a request, in order.
fn named(sent: &Sent) -> Vec<String> {
    let names = sent.body.split("<Name>").skip(1);
    names.map(|rest| rest.split("</Name>").next().unwrap().to_owned()).collect()
}

fn sent(canned: &Canned) -> Vec<Vec<String>> {
    canned.sent().iter().map(named).collect()
}

async fn until_sent(canned: &Canned, count: usize) {
    while canned.sent().len() < count {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_changes_of_many_objects_leave_in_one_request_and_have_one_id_and_time() {
    let canned = Canned::default();
    canned.ok(&changed("C1"));
    let mut operator = canned.operator(settings()).await;
    let actors = actors(["a", "b", "c", "d", "e"]);
    for actor in &actors {
        assert_eq!(hand_over(&operator, actor, "10 mx.example"), Handed::New);
    }
    let ended = all(&mut operator, &actors).await;
    let first = ended[0].clone().unwrap();
    assert_eq!(first.id, "C1");
    assert!(ended.iter().all(|ended| *ended == Ok(first.clone())), "{ended:?}");
    let sent = canned.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].line, "POST /2013-04-01/hostedzone/Z1/rrset");
    let changes: String = ["a", "b", "c", "d", "e"]
        .map(|object| {
            format!(
                "<Change><Action>CREATE</Action><ResourceRecordSet><Name>{object}.example.com</Name><Type>MX</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>10 mx.example</Value></ResourceRecord></ResourceRecords></ResourceRecordSet></Change>"
            )
        })
        .concat();
    let expected = format!(
        r#"<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeBatch><Comment>ours: mail/a, mail/b, mail/c and 2 more</Comment><Changes>{changes}</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"#
    );
    assert_eq!(sent[0].body, expected);
    assert_eq!(operator.calls(), ["ChangeResourceRecordSets global OK"]);
}

#[tokio::test(start_paused = true)]
async fn one_question_at_a_time_follows_a_batch_for_all_objects_in_it() {
    let canned = Canned::default();
    canned.ok(&changed("C1"));
    let mut operator = canned.operator(settings()).await;
    let actors = actors(["a", "b"]);
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
    }
    let ids = all(&mut operator, &actors).await.into_iter().map(|ended| ended.unwrap().id);
    assert!(ids.eq(["C1", "C1"]));
    for (asked, status) in ["PENDING", "INSYNC"].into_iter().enumerate() {
        canned.ok(&followed("C1", status));
        let from = operator.clock.now();
        let ask = |aws: &Aws, n: usize| aws.change(actors[n].sight(), "C1", from);
        let expected = [ChangeState::Pending, ChangeState::Insync][asked];
        assert_eq!(operator.all_known(actors.len(), ask).await, [expected; 2]);
        sleep(Duration::from_mins(1)).await;
        let polls: Vec<String> = canned.sent().into_iter().skip(1).map(|sent| sent.line).collect();
        assert_eq!(polls, vec!["GET /2013-04-01/change/C1"; asked + 1]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_leaves_when_nobody_has_come_for_a_while() {
    let canned = Canned::default();
    canned.ok(&changed("C1"));
    let mut operator = canned.operator(settings()).await;
    let actors = actors(["a", "b", "c"]);
    let began = Instant::now();
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
        sleep(Duration::from_millis(150)).await;
    }
    all(&mut operator, &actors).await;
    let left = canned.sent()[0].at - began;
    assert_eq!(sent(&canned).len(), 1);
    let due = Duration::from_millis(500);
    assert!(left >= due && left < due + Duration::from_millis(10), "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn a_batch_does_not_wait_for_ever_while_others_keep_coming() {
    let canned = Canned::default();
    canned.ok(&changed("C1")).ok(&changed("C2"));
    let mut operator = canned.operator(settings()).await;
    let actors: Vec<Actor> =
        (0..10).map(|n| object(&format!("o{n}"), &[&name(&format!("o{n}"))])).collect();
    let began = Instant::now();
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
        sleep(Duration::from_millis(150)).await;
    }
    all(&mut operator, &actors).await;
    let left = canned.sent()[0].at - began;
    let due = Duration::from_secs(1);
    assert!(left >= due && left < due + Duration::from_millis(10), "{left:?}");
    assert_eq!(sent(&canned).iter().map(Vec::len).collect::<Vec<_>>(), [7, 3]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_a_person_waits_for_closes_the_batch() {
    let canned = Canned::default();
    canned.ok(&changed("C1")).ok(&changed("C2"));
    let mut operator = canned.operator(settings()).await;
    let [a, person, c, d] = actors(["a", "b", "c", "d"]);
    let began = Instant::now();
    hand_over(&operator, &a, "10 mx.example");
    sleep(Duration::from_millis(150)).await;
    let person = person.with_urgency();
    hand_over(&operator, &person, "10 mx.example");
    for actor in [&c, &d] {
        sleep(Duration::from_millis(150)).await;
        hand_over(&operator, actor, "10 mx.example");
    }
    for actor in [&a, &person, &c, &d] {
        operator.ended(&actor.key()).await.unwrap();
    }
    let left = canned.sent()[0].at - began;
    let due = Duration::from_millis(350);
    assert!(left >= due && left < due + Duration::from_millis(10), "{left:?}");
    assert_eq!(sent(&canned)[0], ["b.example.com", "a.example.com", "c.example.com"]);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_a_person_joins_while_it_waits_for_its_turn_goes_before_others() {
    let canned = Canned::default();
    for _ in 0..10 {
        canned.ok(&changed("C"));
    }
    let operator = canned.operator(Settings { route53_rate: 1.0, ..settings() }).await;
    for n in 0..10 {
        let actor = object(&format!("o{n}"), &[&name(&format!("o{n}"))]);
        hand_over_to(&format!("Z{n}"), &operator, &actor, &["10 mx.example"]);
    }
    until_sent(&canned, 1).await;
    let [person] = actors(["person"]);
    hand_over_to("Z9", &operator, &person.with_urgency(), &["10 mx.example"]);
    until_sent(&canned, 10).await;
    let lines: Vec<_> = canned.sent().iter().map(|sent| sent.line.clone()).collect();
    let place = lines.iter().position(|line| line.contains("/Z9/")).unwrap();
    assert!(place <= 2, "one may have left meanwhile: {lines:?}");
    assert_eq!(sent(&canned)[place].len(), 2, "it and who waited there");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_a_refused_batch_goes_before_others_once_a_person_waits_behind_it() {
    let (canned, answered) = (Canned::default(), Arc::new(Notify::new()));
    let message = format!("[{}]", exists("a.example.com"));
    let Answer::Body(status, text) = refusal("InvalidChangeBatch", &message) else { panic!() };
    canned.answer(Answer::When(Arc::clone(&answered), status, text));
    for _ in 0..8 {
        canned.ok(&changed("C"));
    }
    let operator = canned.operator(Settings { route53_rate: 1.0, ..settings() }).await;
    let [a, b, person] = actors(["a", "b", "person"]);
    hand_over(&operator, &a, "10 mx.example");
    hand_over(&operator, &b, "10 mx.example");
    until_sent(&canned, 1).await;
    for n in 2..8 {
        let actor = object(&format!("o{n}"), &[&name(&format!("o{n}"))]);
        hand_over_to(&format!("Z{n}"), &operator, &actor, &["10 mx.example"]);
    }
    sleep(Duration::from_millis(300)).await;
    answered.notify_one();
    sleep(Duration::from_millis(1)).await;
    hand_over(&operator, &person.with_urgency(), "10 mx.example");
    until_sent(&canned, 9).await;
    let sent = sent(&canned);
    assert_eq!(sent[1], ["b.example.com"], "{sent:?}");
    assert_eq!(sent[2], ["person.example.com"], "{sent:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_leaves_at_once_within_route_53s_limits() {
    let long = format!("\"{}\"", "x".repeat(248));
    let many: Vec<&str> = vec!["10 mx.example"; 3];
    let few: Vec<&str> = vec![&long; 16];
    for (values, count, first) in [(many, 334, 333), (few, 9, 8)] {
        let canned = Canned::default();
        canned.ok(&changed("C1")).ok(&changed("C2"));
        let mut operator = canned.operator(settings()).await;
        let actors: Vec<Actor> =
            (0..count).map(|n| object(&format!("o{n}"), &[&name(&format!("o{n}"))])).collect();
        let began = Instant::now();
        for actor in &actors {
            assert_eq!(hand_over_to("Z1", &operator, actor, &values), Handed::New);
        }
        all(&mut operator, &actors).await;
        let sizes: Vec<usize> = sent(&canned).iter().map(Vec::len).collect();
        assert_eq!(sizes, [first, count - first]);
        let left = canned.sent()[0].at - began;
        assert!(left < Duration::from_millis(10), "{left:?}");
        for sent in canned.sent() {
            let values: Vec<&str> = sent.body.split("<Value>").skip(1).collect();
            let length = |value: &&str| {
                let value = value.split("</Value>").next().unwrap();
                value.replace("&quot;", "\"").chars().count()
            };
            assert!(values.len() <= 1_000, "{} values", values.len());
            let characters: usize = values.iter().map(length).sum();
            assert!(characters <= 32_000, "{characters} characters");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_named_as_the_culprit_is_told_so_and_the_rest_goes_again_at_once() {
    let canned = Canned::default();
    let message = format!("[{}, {}]", exists("B.example.com"), exists(r"\144.example.com"));
    canned.answer(refusal("InvalidChangeBatch", &message)).ok(&changed("C1"));
    let mut operator = canned.operator(settings()).await;
    let actors = actors(["a", "b", "c", "d"]);
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
    }
    let ended = all(&mut operator, &actors).await;
    let made: Vec<bool> = ended.iter().map(Result::is_ok).collect();
    assert_eq!(made, [true, false, true, false]);
    for (at, object, said) in [(1, "b", "B.example.com"), (3, "d", r"\144.example.com")] {
        let error = ended[at].clone().unwrap_err();
        assert!(error.is_outdated(), "{error}");
        let expected = format!(
            "route53:ChangeResourceRecordSets on {object}.example.com in hosted zone Z1: [{}]",
            exists(said)
        );
        assert_eq!(error.to_string(), expected);
    }
    let sent = sent(&canned);
    assert_eq!(sent[1], ["a.example.com", "c.example.com"]);
    assert_eq!(sent.len(), 2);
    assert!(canned.sent()[1].at - canned.sent()[0].at < LINGER);
}

#[tokio::test(start_paused = true)]
async fn who_was_refused_goes_alone_until_it_is_made() {
    let canned = Canned::default();
    let message = format!("[{}]", exists("b.example.com"));
    let refused = || refusal("InvalidChangeBatch", &message);
    canned.answer(refused()).ok(&changed("C1"));
    let mut operator = canned.operator(settings()).await;
    let [a, b] = actors(["a", "b"]);
    for actor in [&a, &b] {
        hand_over(&operator, actor, "10 mx.example");
    }
    operator.ended(&a.key()).await.unwrap();
    let first = operator.ended(&b.key()).await.unwrap_err();

    canned.answer(refused()).ok(&changed("C2"));
    for actor in [&a, &b] {
        hand_over(&operator, actor, "20 mx.example");
    }
    let again = operator.ended(&b.key()).await.unwrap_err();
    assert_eq!(again, first, "in company and alone it is told the same");
    operator.ended(&a.key()).await.unwrap();

    canned.ok(&changed("C3")).ok(&changed("C4"));
    hand_over(&operator, &b, "30 mx.example");
    operator.ended(&b.key()).await.unwrap();
    for actor in [&a, &b] {
        hand_over(&operator, actor, "40 mx.example");
    }
    operator.ended(&b.key()).await.unwrap();
    let alone = vec!["b.example.com".to_owned()];
    let other = vec!["a.example.com".to_owned()];
    let both = vec![other[0].clone(), alone[0].clone()];
    let sent = sent(&canned);
    assert_eq!(sent, [both.clone(), other.clone(), alone.clone(), other, alone, both]);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_not_named_is_found_by_halves_and_has_its_own_message() {
    let canned = Canned::default();
    let message = "[Invalid Resource Record: 'FATAL problem: X encountered with 'y'']";
    let refused = || refusal("InvalidChangeBatch", message);
    // Of a to h, f: all, a to d, e to h, e and f, e, f, g and h.
    canned.answer(refused()).ok(&changed("C1")).answer(refused()).answer(refused());
    canned.ok(&changed("C2")).answer(refused()).ok(&changed("C3"));
    let mut operator = canned.operator(settings()).await;
    let actors = actors(["a", "b", "c", "d", "e", "f", "g", "h"]);
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
    }
    let ended = all(&mut operator, &actors).await;
    let failed: Vec<usize> = (0..8).filter(|at| ended[*at].is_err()).collect();
    assert_eq!(failed, [5]);
    let error = ended[5].clone().unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::InvalidChangeBatch, false));
    assert!(error.to_string().ends_with(&format!("on f.example.com in hosted zone Z1: {message}")));
    assert_eq!(canned.sent().len(), 7, "no more than two for each halving");
}

#[tokio::test(start_paused = true)]
async fn where_everything_is_denied_it_costs_few_calls_and_each_hears_of_it() {
    let canned = Canned::default();
    for _ in 0..17 {
        canned.answer(denied());
    }
    let mut operator = canned.operator(settings()).await;
    let actors: Vec<Actor> =
        (0..100).map(|n| object(&format!("o{n}"), &[&name(&format!("o{n}"))])).collect();
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
    }
    for (n, ended) in all(&mut operator, &actors).await.into_iter().enumerate() {
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AccessDenied);
        let expected = format!(
            "route53:ChangeResourceRecordSets on o{n}.example.com in hosted zone Z1: access denied to the operator's credentials"
        );
        assert_eq!(error.to_string(), expected);
    }
    // All, six halvings down to one, that one and two more by themselves, and what is
    // left of each halving.
    assert_eq!(canned.sent().len(), 17);
}

#[tokio::test(start_paused = true)]
async fn who_stands_behind_some_that_are_denied_is_sent_all_the_same() {
    let canned = Canned::default();
    // All, a to d, a and b, a, b, c and d, c; then d, and e to h.
    for _ in 0..7 {
        canned.answer(denied());
    }
    canned.ok(&changed("C1")).ok(&changed("C2"));
    let mut operator = canned.operator(settings()).await;
    let actors = actors(["a", "b", "c", "d", "e", "f", "g", "h"]);
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
    }
    let ended = all(&mut operator, &actors).await;
    for (ended, denied) in ended.iter().zip([true, true, true, false, false, false, false, false]) {
        assert_eq!(
            ended.as_ref().err().map(Error::kind),
            denied.then_some(ErrorKind::AccessDenied)
        );
    }
    assert_eq!(canned.sent().len(), 9);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_gone_is_not_looked_for_in_halves() {
    let canned = Canned::default();
    canned.answer(refusal("NoSuchHostedZone", "No hosted zone found with ID: Z1"));
    let mut operator = canned.operator(settings()).await;
    let actors = actors(["a", "b"]);
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
    }
    for ended in all(&mut operator, &actors).await {
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(canned.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_sent_once_and_as_it_was_handed_over_last() {
    let canned = Canned::default();
    let released = Arc::new(Notify::new());
    canned.answer(Answer::When(Arc::clone(&released), 200, changed("C1")));
    let mut operator = canned.operator(settings()).await;
    let [a] = actors(["a"]);
    assert_eq!(hand_over(&operator, &a, "10 mx.example"), Handed::New);
    assert_eq!(hand_over(&operator, &a, "10 mx.example"), Handed::Already);
    assert_eq!(hand_over(&operator, &a, "20 mx.example"), Handed::New);
    until_sent(&canned, 1).await;
    assert!(operator.aws.endings(&a.key()).on_its_way);
    assert_eq!(hand_over(&operator, &a, "20 mx.example"), Handed::Already);
    assert_eq!(hand_over(&operator, &a, "30 mx.example"), Handed::Refused);
    released.notify_one();
    operator.ended(&a.key()).await.unwrap();
    assert!(!operator.aws.endings(&a.key()).on_its_way);
    advance(Duration::from_mins(1)).await;
    let sent = canned.sent();
    assert_eq!(sent.len(), 1);
    assert!(sent[0].body.contains("20 mx.example") && !sent[0].body.contains("10 mx.example"));
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_sent_once_with_the_credentials_that_it_was_handed_over_with_last() {
    const OTHER_ROLE: &str = "arn:aws:iam::333333333333:role/dns";
    let canned = Canned::default();
    canned.ok(&assumed("ASIASECOND")).ok(&changed("C1"));
    let mut operator = canned.operator(settings()).await;
    let [first, second] = [DNS_ROLE, OTHER_ROLE].map(|arn| with_role("a", arn));
    assert_eq!(hand_over(&operator, &first, "10 mx.example"), Handed::New);
    sleep(LINGER / 2).await;
    assert_eq!(hand_over(&operator, &second, "10 mx.example"), Handed::New);
    operator.ended(&second.key()).await.unwrap();
    sleep(Duration::from_mins(1)).await;
    let sent = canned.sent();
    assert_eq!(sent.len(), 2);
    assert!(sent[0].body.contains("333333333333"), "{}", sent[0].body);
    assert_eq!(named(&sent[1]), ["a.example.com"]);
    assert_eq!(sent[1].access_key, "ASIASECOND");
}

#[tokio::test(start_paused = true)]
async fn what_waits_can_be_taken_back_and_what_has_left_cannot() {
    let canned = Canned::default();
    let released = Arc::new(Notify::new());
    canned.answer(Answer::When(Arc::clone(&released), 200, changed("C1")));
    let mut operator = canned.operator(settings()).await;
    let [a, b] = actors(["a", "b"]);
    let none = BTreeSet::new();
    let kept = BTreeSet::from([domain("a.example.com")]);
    for actor in [&a, &b] {
        hand_over(&operator, actor, "10 mx.example");
    }
    assert!(operator.aws.withdraw(&a.key(), &kept));
    assert!(operator.aws.withdraw(&b.key(), &none));
    until_sent(&canned, 1).await;
    assert!(!operator.aws.withdraw(&a.key(), &none));
    released.notify_one();
    assert_eq!(operator.woken().await, a.key());
    assert!(!operator.aws.withdraw(&a.key(), &none), "how it ended was not heard yet");
    operator.ended(&a.key()).await.unwrap();
    assert!(operator.aws.withdraw(&a.key(), &none));
    advance(Duration::from_mins(1)).await;
    assert_eq!(sent(&canned), [["a.example.com"]]);
    assert!(!operator.anybody_woken());
    hand_over(&operator, &b, "10 mx.example");
    operator.aws.forget(&b.key());
    sleep(Duration::from_mins(1)).await;
    assert_eq!(sent(&canned).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn whose_authority_ends_while_it_waits_is_left_behind() {
    let canned = Canned::default();
    canned.ok(&changed("C1"));
    let mut operator = canned.operator(settings()).await;
    let [a, b] = actors(["a", "b"]);
    for actor in [&a, &b] {
        hand_over(&operator, actor, "10 mx.example");
    }
    a.lose_authority();
    let error = operator.ended(&a.key()).await.unwrap_err();
    assert_eq!((error.kind(), error.is_outdated()), (ErrorKind::Revoked, true));
    operator.ended(&b.key()).await.unwrap();
    assert_eq!(sent(&canned), [["b.example.com"]]);
    hand_over(&operator, &a, "10 mx.example");
    let error = operator.ended(&a.key()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Revoked, "and none is sent for it alone");
    assert_eq!(canned.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_a_failure_of_all_who_were_sent() {
    let canned = Canned::default();
    canned.answer(Answer::Broken);
    let mut operator = canned.operator(settings()).await;
    let actors = actors(["a", "b"]);
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
    }
    for (ended, object) in all(&mut operator, &actors).await.into_iter().zip(["a", "b"]) {
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let start = format!("route53:ChangeResourceRecordSets on {object}.example.com in ");
        assert!(error.to_string().starts_with(&start), "{error}");
    }
    assert_eq!(canned.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn while_route_53_is_busy_the_same_goes_again_and_in_the_end_fails() {
    let canned = Canned::default();
    let busy = || refusal("PriorRequestNotComplete", "still processing");
    canned.answer(busy()).answer(refusal("Throttling", "Rate exceeded")).ok(&changed("C1"));
    let mut operator = canned.operator(Settings { route53_rate: 4.0, ..settings() }).await;
    let actors = actors(["a", "b"]);
    for actor in &actors {
        hand_over(&operator, actor, "10 mx.example");
    }
    for ended in all(&mut operator, &actors).await {
        ended.unwrap();
    }
    let sent = canned.sent();
    assert!(sent.iter().all(|again| again.body == sent[0].body));
    assert!(sent[1].at - sent[0].at >= Duration::from_millis(250), "each waits for its turn");
    for _ in 0..4 {
        canned.answer(busy());
    }
    for actor in &actors {
        hand_over(&operator, actor, "20 mx.example");
    }
    for ended in all(&mut operator, &actors).await {
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::PriorRequest);
    }
    assert_eq!(canned.sent().len(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_zone_has_one_writer_at_a_time_and_zones_do_not_wait_for_each_other() {
    let canned = Canned::default();
    let released = Arc::new(Notify::new());
    canned.answer(Answer::When(Arc::clone(&released), 200, changed("C1")));
    canned.ok(&changed("C2")).ok(&changed("C3"));
    let mut operator = canned.operator(settings()).await;
    let [a, b, c] = actors(["a", "b", "c"]);
    hand_over_to("Z1", &operator, &a, &["10 mx.example"]);
    until_sent(&canned, 1).await;
    hand_over_to("Z1", &operator, &b, &["10 mx.example"]);
    hand_over_to("Z2", &operator, &c, &["10 mx.example"]);
    assert_eq!(operator.ended(&c.key()).await.unwrap().id, "C2");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(canned.sent().len(), 2);
    released.notify_one();
    assert_eq!(operator.ended(&b.key()).await.unwrap().id, "C3");
    operator.ended(&a.key()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_objects_at_one_name_are_not_in_one_batch() {
    let canned = Canned::default();
    canned.ok(&changed("C1")).ok(&changed("C2"));
    let mut operator = canned.operator(settings()).await;
    let (a, b) = (object("a", &["x.example.com"]), object("b", &["x.example.com"]));
    for (actor, value) in [(&a, "10 a.example"), (&b, "10 b.example")] {
        let change = vec![Change::Create(set("x.example.com", "MX", 300, &[value]))];
        let grant = actor.name_grant("x.example.com");
        operator.aws.change_records(grant, &Arc::new(batch("Z1", change)));
    }
    assert_eq!(operator.ended(&a.key()).await.unwrap().id, "C1");
    assert_eq!(operator.ended(&b.key()).await.unwrap().id, "C2");
}

#[tokio::test(start_paused = true)]
async fn closed_it_waits_for_what_has_left_and_sends_nothing_more() {
    let canned = Canned::default();
    let released = Arc::new(Notify::new());
    let message = format!("[{}]", exists("b.example.com"));
    let Answer::Body(status, body) = refusal("InvalidChangeBatch", &message) else { panic!() };
    canned.answer(Answer::When(Arc::clone(&released), status, body));
    let operator = canned.operator(settings()).await;
    let [a, b, c] = actors(["a", "b", "c"]);
    for actor in [&a, &b] {
        hand_over(&operator, actor, "10 mx.example");
    }
    until_sent(&canned, 1).await;
    hand_over(&operator, &c, "10 mx.example");
    let closing = operator.aws.close();
    tokio::pin!(closing);
    let soon = tokio::time::timeout(Duration::from_secs(5), &mut closing).await;
    assert!(soon.is_err(), "what has left is still on its way");
    released.notify_one();
    closing.await;
    sleep(Duration::from_mins(1)).await;
    assert_eq!(canned.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn closed_it_waits_for_no_turn() {
    let message = format!("[{}]", exists("b.example.com"));
    for again in [
        refusal("InvalidChangeBatch", &message),
        refusal("PriorRequestNotComplete", "still processing"),
    ] {
        let canned = Canned::default();
        canned.answer(again);
        let operator = canned.operator(Settings { route53_rate: 0.01, ..settings() }).await;
        for actor in &actors(["a", "b"]) {
            hand_over(&operator, actor, "10 mx.example");
        }
        until_sent(&canned, 1).await;
        sleep(Duration::from_secs(1)).await;
        let began = Instant::now();
        operator.aws.close().await;
        assert_eq!(began.elapsed(), Duration::ZERO);
        sleep(Duration::from_hours(1)).await;
        assert_eq!(canned.sent().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn closed_it_waits_for_no_session() {
    let (canned, released) = (Canned::default(), Arc::new(Notify::new()));
    let Answer::Body(status, body) = refusal("ExpiredToken", "expired") else { panic!() };
    canned.ok(&assumed("ASIAFIRST"));
    canned.answer(Answer::When(Arc::clone(&released), status, body)).answer(Answer::Hang);
    let operator = canned.operator(settings()).await;
    let a = with_role("a", DNS_ROLE);
    hand_over(&operator, &a, "10 mx.example");
    until_sent(&canned, 2).await;
    // A session is not given up as soon as it was had.
    sleep(Duration::from_secs(2)).await;
    released.notify_one();
    until_sent(&canned, 3).await;
    let began = Instant::now();
    operator.aws.close().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(canned.sent()[2].body.contains("Action=AssumeRole"));
}
