//! What leaves, byte for byte, and when: on canned answers and a paused clock.

use std::sync::Arc;
use std::time::Duration;

use ses_mailfrom::authority::{Credentials, Service, ServiceCredentials};
use ses_mailfrom::aws::{Aws, Error, ErrorKind, Reply, Settings, Thing, Watched};
use ses_mailfrom::mail::{BehaviorOnMxFailure, Change, RoleArn, Verification};
use tokio::sync::Notify;

use crate::canned::{Answer, Canned};
use crate::stage::{
    ANY, Actor, Operator, REGION, batch, domain, fast, mail_from, object, object_with, region, set,
};

const UNSET: &str = r#"<GetIdentityMailFromDomainAttributesResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><GetIdentityMailFromDomainAttributesResult><MailFromDomainAttributes><entry><key>example.com</key><value><BehaviorOnMXFailure>UseDefaultValue</BehaviorOnMXFailure></value></entry></MailFromDomainAttributes></GetIdentityMailFromDomainAttributesResult></GetIdentityMailFromDomainAttributesResponse>"#;

const VERIFIED: &str = r#"<GetIdentityVerificationAttributesResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><GetIdentityVerificationAttributesResult><VerificationAttributes><entry><key>d7.example</key><value><VerificationStatus>Success</VerificationStatus></value></entry></VerificationAttributes></GetIdentityVerificationAttributesResult></GetIdentityVerificationAttributesResponse>"#;

const THROTTLED: &str = r#"<ErrorResponse xmlns="http://ses.amazonaws.com/doc/2010-12-01/"><Error><Type>Sender</Type><Code>Throttling</Code><Message>Rate exceeded</Message></Error></ErrorResponse>"#;

const ASSUMED: &str = r#"<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials><AccessKeyId>ASIAROLE</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>token</SessionToken><Expiration>2038-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"#;

const CHANGED: &str = r#"<?xml version="1.0"?><ChangeResourceRecordSetsResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/"><ChangeInfo><Id>/change/C1</Id><Status>PENDING</Status><SubmittedAt>2026-08-01T10:00:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>"#;

#[tokio::test(start_paused = true)]
async fn a_put_names_domain_and_behaviour_and_a_clear_sends_the_empty_name() {
    let canned = Canned::default();
    let operator = canned.operator(fast()).await;
    let a = object("a", &[]);
    let reject = BehaviorOnMxFailure::RejectMessage;
    for (name, behavior) in
        [(Some(mail_from("bounce.example.com")), reject), (None, BehaviorOnMxFailure::default())]
    {
        canned.ok("{}");
        tokio::time::advance(Duration::from_secs(1)).await;
        let (grant, place) = (a.grant(REGION), region(REGION));
        let permit = operator.aws.put_permit(&grant, &place).unwrap();
        let put = operator.aws.put_mail_from(permit, grant, &place, name.as_ref(), behavior);
        put.await.unwrap();
    }
    let sent = canned.sent();
    assert_eq!(sent[0].line, "PUT /v2/email/identities/example.com/mail-from");
    assert_eq!(
        sent[0].body,
        r#"{"BehaviorOnMxFailure":"REJECT_MESSAGE","MailFromDomain":"bounce.example.com"}"#
    );
    assert_eq!(sent[1].body, r#"{"BehaviorOnMxFailure":"USE_DEFAULT_VALUE","MailFromDomain":""}"#);
    assert_eq!(sent.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_sent_as_deletes_and_creates_in_order_and_never_upserts() {
    let canned = Canned::default();
    canned.ok(CHANGED);
    let mut operator = canned.operator(fast()).await;
    let name = "bounce.example.com";
    let a = object("a", &[name]);
    let changes = vec![
        Change::Delete(set(name, "TXT", 60, &["\"old\" \"\\042\""])),
        Change::Create(set(name, "TXT", 300, &["\"v=spf1 include:amazonses.com ~all\"", "\"x\""])),
        Change::Create(set(name, "MX", 300, &["10 feedback-smtp.us-east-1.amazonses.com"])),
    ];
    let made = operator.change(a.name_grant(name), batch("Z1", changes)).await.unwrap();
    assert_eq!(made.id, "C1");
    let sent = canned.sent();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].line, "POST /2013-04-01/hostedzone/Z1/rrset");
    let expected = concat!(
        r#"<ChangeResourceRecordSetsRequest xmlns="https://route53.amazonaws.com/doc/2013-04-01/">"#,
        "<ChangeBatch><Comment>mail/a</Comment><Changes>",
        "<Change><Action>DELETE</Action><ResourceRecordSet><Name>bounce.example.com</Name>",
        "<Type>TXT</Type><TTL>60</TTL><ResourceRecords>",
        r"<ResourceRecord><Value>&quot;old&quot; &quot;\042&quot;</Value></ResourceRecord>",
        "</ResourceRecords></ResourceRecordSet></Change>",
        "<Change><Action>CREATE</Action><ResourceRecordSet><Name>bounce.example.com</Name>",
        "<Type>TXT</Type><TTL>300</TTL><ResourceRecords>",
        "<ResourceRecord><Value>&quot;v=spf1 include:amazonses.com ~all&quot;</Value></ResourceRecord>",
        "<ResourceRecord><Value>&quot;x&quot;</Value></ResourceRecord>",
        "</ResourceRecords></ResourceRecordSet></Change>",
        "<Change><Action>CREATE</Action><ResourceRecordSet><Name>bounce.example.com</Name>",
        "<Type>MX</Type><TTL>300</TTL><ResourceRecords>",
        "<ResourceRecord><Value>10 feedback-smtp.us-east-1.amazonses.com</Value></ResourceRecord>",
        "</ResourceRecords></ResourceRecordSet></Change>",
        "</Changes></ChangeBatch></ChangeResourceRecordSetsRequest>",
    );
    assert_eq!(sent[0].body, expected);
}

#[tokio::test(start_paused = true)]
async fn nothing_leaves_that_grant_and_permit_are_not_for() {
    let canned = Canned::default();
    let mut operator = canned.operator(fast()).await;
    let a = object("a", &["bounce.example.com"]);
    let other = region("eu-west-1");
    let behavior = BehaviorOnMxFailure::UseDefaultValue;
    let second = || tokio::time::advance(Duration::from_secs(1));
    let permit = operator.aws.put_permit(&a.grant(REGION), &region(REGION)).unwrap();
    let wrong_region =
        operator.aws.put_mail_from(permit, a.grant(REGION), &other, None, behavior).await;
    second().await;
    let permit = operator.aws.put_permit(&a.grant(REGION), &region(REGION)).unwrap();
    let wrong_permit =
        operator.aws.put_mail_from(permit, a.grant("eu-west-1"), &other, None, behavior).await;
    for refused in [wrong_region, wrong_permit] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::BadRequest);
    }
    let mx = |name| set(name, "MX", 300, &["10 a.example"]);
    let mut alias = mx("bounce.example.com");
    alias.routing = ses_mailfrom::mail::Routing::Alias;
    for batch in [
        batch("Z1", vec![Change::Create(mx("other.example.com"))]),
        batch("Z1", vec![Change::Delete(alias)]),
        batch("Z1", vec![]),
    ] {
        let refused = operator.change(a.name_grant("bounce.example.com"), batch).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::BadRequest);
    }
    let batch = batch("Z1", vec![Change::Create(mx("bounce.example.com"))]);
    let refused = operator.change(a.grant(REGION), batch).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::BadRequest);
    assert!(canned.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn identical_questions_share_a_request_that_is_not_yet_sent() {
    let canned = Canned::default();
    canned.ok(UNSET);
    let mut operator = canned.operator(fast()).await;
    let (a, b) = (object("a", &[]), object("b", &[]));
    let identity = domain("example.com");
    for actor in [&a, &b] {
        let reply = operator.aws.mail_from(actor.sight(), &identity, &region(REGION), ANY);
        assert_eq!(reply, Reply::NotYet);
    }
    let mut woken = [operator.woken().await, operator.woken().await];
    woken.sort();
    assert_eq!(woken, [a.key(), b.key()]);
    assert_eq!(canned.sent().len(), 1);
    assert_eq!(canned.sent()[0].line, "POST /");
    assert_eq!(
        canned.sent()[0].body,
        "Action=GetIdentityMailFromDomainAttributes&Version=2010-12-01&Identities.member.1=example.com"
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_that_asks_for_later_than_what_is_on_its_way_is_sent_again() {
    let canned = Canned::default();
    let released = Arc::new(Notify::new());
    canned.answer(Answer::When(Arc::clone(&released), 200, UNSET.to_owned())).ok(UNSET);
    let mut operator = canned.operator(fast()).await;
    let (a, b) = (object("a", &[]), object("b", &[]));
    let identity = domain("example.com");
    let ask = |aws: &Aws, actor: &Actor, from| {
        aws.mail_from(actor.sight(), &identity, &region(REGION), from)
    };
    ask(&operator.aws, &a, ANY);
    while canned.sent().is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    let from = operator.clock.now();
    ask(&operator.aws, &b, from);
    released.notify_one();
    let mut woken = [operator.woken().await, operator.woken().await];
    woken.sort();
    assert_eq!(woken, [a.key(), b.key()]);
    assert!(matches!(ask(&operator.aws, &a, ANY), Reply::Known { .. }));
    let reply = operator.settle(|aws| ask(aws, &b, from)).await;
    let Reply::Known { sent, .. } = reply else { panic!("unknown") };
    assert!(sent >= from);
    assert_eq!(canned.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_question_whose_authority_ended_while_it_waited_is_not_sent() {
    let canned = Canned::default();
    canned.ok(UNSET);
    let mut operator = canned.operator(fast()).await;
    let (a, b) = (object("a", &[]), object("b", &[]));
    let identity = domain("example.com");
    let ask =
        |aws: &Aws, actor: &Actor| aws.mail_from(actor.sight(), &identity, &region(REGION), ANY);
    assert_eq!(ask(&operator.aws, &a), Reply::NotYet);
    a.lose_authority();
    assert_eq!(operator.woken().await, a.key(), "it decides anew");
    assert!(canned.sent().is_empty());
    // It was no failure: who still may asks at once, whoever asked before.
    assert_eq!(ask(&operator.aws, &a), Reply::NotYet);
    let reply = operator.settle(|aws| ask(aws, &b)).await;
    assert!(matches!(reply, Reply::Known { .. }), "{reply:?}");
    assert_eq!(canned.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_authority_has_ended_is_not_sent_and_its_permit_goes_back() {
    let canned = Canned::default();
    let operator = canned.operator(Settings { ses_rate: 1.0, ..fast() }).await;
    let a = object("a", &["bounce.example.com"]);
    let us = region(REGION);
    let put = a.grant(REGION);
    let put_permit = operator.aws.put_permit(&put, &us).unwrap();
    a.lose_authority();
    let name = mail_from("bounce.example.com");
    let default = BehaviorOnMxFailure::UseDefaultValue;
    let put = operator.aws.put_mail_from(put_permit, put, &us, Some(&name), default).await;
    let error = put.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Revoked, "{error}");
    assert!(error.is_outdated(), "it is decided again at once");
    assert!(canned.sent().is_empty());
    let b = object("b", &["bounce.example.com"]);
    assert!(operator.aws.put_permit(&b.grant(REGION), &us).is_some());
}

/// Puts, once there is a permit.
async fn put(operator: &Operator, actor: &Actor) -> Result<(), Error> {
    let (grant, place) = (actor.grant(REGION), region(REGION));
    let permit = operator.aws.put_permit(&grant, &place).expect("a permit");
    let behavior = BehaviorOnMxFailure::UseDefaultValue;
    operator.aws.put_mail_from(permit, grant, &place, None, behavior).await
}

/// Puts take no time, and then one, whose answer is to be let go, takes longer than
/// any before.
async fn one_is_held_up(canned: &Canned, operator: &Operator) -> Arc<Notify> {
    for _ in 0..20 {
        canned.ok("{}");
        tokio::time::advance(Duration::from_secs(1)).await;
        put(operator, &object("a", &[])).await.unwrap();
    }
    let answered = Arc::new(Notify::new());
    canned.answer(Answer::When(Arc::clone(&answered), 200, "{}".into())).ok("{}");
    tokio::time::advance(Duration::from_secs(1)).await;
    answered
}

#[tokio::test(start_paused = true)]
async fn a_put_does_not_leave_behind_one_that_may_be_held_up() {
    let canned = Canned::default();
    let operator = &canned.operator(Settings { ses_rate: 10.0, ..fast() }).await;
    let answered = one_is_held_up(&canned, operator).await;
    let a = object("a", &[]);
    let behind = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        put(operator, &a).await
    };
    let answer = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        answered.notify_one();
    };
    let (first, second, ()) = tokio::join!(put(operator, &a), behind, answer);
    first.and(second).unwrap();
    let sent = canned.sent();
    let [.., held_up, next] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(next.at - held_up.at, Duration::from_millis(600));
}

#[tokio::test(start_paused = true)]
async fn a_put_whose_authority_ends_behind_one_that_may_be_held_up_is_not_sent() {
    let canned = Canned::default();
    let operator = &canned.operator(Settings { ses_rate: 10.0, ..fast() }).await;
    let answered = one_is_held_up(&canned, operator).await;
    let (a, b) = (object("a", &[]), object("b", &[]));
    let behind = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        put(operator, &b).await
    };
    let answer = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        b.lose_authority();
        answered.notify_one();
    };
    let (first, second, ()) = tokio::join!(put(operator, &a), behind, answer);
    first.unwrap();
    let error = second.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Revoked, "{error}");
    assert_eq!(canned.sent().len(), 21, "those before, and the one that was held up");
    // Its permit went back; the place that it had is nobody's.
    let again = tokio::time::Instant::now();
    put(operator, &a).await.unwrap();
    assert_eq!(again.elapsed(), Duration::from_millis(100), "the next place");
}

#[tokio::test(start_paused = true)]
async fn a_read_does_not_leave_behind_one_that_may_be_held_up() {
    let canned = Canned::default();
    let mut operator = canned.operator(Settings { ses_rate: 10.0, ..fast() }).await;
    let (a, us) = (object("a", &[]), region(REGION));
    for number in 0..20 {
        canned.ok(UNSET);
        let name = domain(&format!("{number}.com"));
        operator.known(|aws| aws.mail_from(a.sight(), &name, &us, ANY)).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let answered = Arc::new(Notify::new());
    canned.answer(Answer::When(Arc::clone(&answered), 200, UNSET.to_owned())).ok(UNSET);
    for name in ["held.com", "next.com"] {
        operator.aws.mail_from(a.sight(), &domain(name), &us, ANY);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let late = tokio::time::Instant::now();
    answered.notify_one();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let sent = canned.sent();
    let next = sent.last().expect("a call");
    assert_eq!(next.at - late, Duration::from_millis(100), "a token behind the late answer");
}

#[tokio::test(start_paused = true)]
async fn a_call_without_answer_fails_after_the_time_limit() {
    let canned = Canned::default();
    canned.answer_sts();
    canned.answer(Answer::Hang);
    let settings = Settings { request_timeout: Duration::from_secs(7), ..fast() };
    let mut operator = canned.operator(settings).await;
    let a = object("a", &[]);
    let begun = tokio::time::Instant::now();
    let error = operator.failed(|aws| aws.account(a.sight(), Service::Ses, ANY)).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(
        error.to_string(),
        "sts:GetCallerIdentity on the operator's credentials: no answer in time; it is tried again"
    );
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(7) && took < Duration::from_secs(8), "{took:?}");
    assert_eq!(operator.calls(), ["GetCallerIdentity global Unavailable"]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_is_not_sent_again_before_its_time() {
    let canned = Canned::default();
    canned.answer(Answer::Broken).ok(UNSET);
    let mut operator = canned.operator(fast()).await;
    let a = object("a", &[]);
    let identity = domain("example.com");
    let ask =
        |aws: &ses_mailfrom::aws::Aws| aws.mail_from(a.sight(), &identity, &region(REGION), ANY);
    let Reply::Failed { error, retry_at } = operator.settle(ask).await else {
        panic!("no failure")
    };
    assert!(error.is_transient(), "{error}");
    for _ in 0..3 {
        assert!(matches!(ask(&operator.aws), Reply::Failed { .. }));
    }
    tokio::time::advance(retry_at.duration_since(operator.clock.now()).unsigned_abs()).await;
    assert!(matches!(operator.settle(ask).await, Reply::Known { .. }));
    assert_eq!(canned.sent().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_read_is_sent_again_at_half_the_rate() {
    let canned = Canned::default();
    canned.answer(Answer::Body(400, THROTTLED.to_owned())).ok(UNSET);
    let mut operator = canned.operator(Settings { ses_rate: 1.0, ..fast() }).await;
    let a = object("a", &[]);
    let identity = domain("example.com");
    operator.known(|aws| aws.mail_from(a.sight(), &identity, &region(REGION), ANY)).await;
    let sent = canned.sent();
    let pause = sent[1].at - sent[0].at;
    assert!(pause >= Duration::from_secs(2), "at 0.5/s a token takes 2 s, not {pause:?}");
    assert!(pause < Duration::from_millis(2100), "{pause:?}");
    assert_eq!(
        operator.calls(),
        ["Throttled", "OK"]
            .map(|code| format!("GetIdentityMailFromDomainAttributes {REGION} {code}"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_read_that_stays_throttled_fails_in_the_end() {
    let canned = Canned::default();
    for _ in 0..4 {
        canned.answer(Answer::Body(400, THROTTLED.to_owned()));
    }
    let mut operator = canned.operator(fast()).await;
    let a = object("a", &[]);
    let identity = domain("example.com");
    let error =
        operator.failed(|aws| aws.mail_from(a.sight(), &identity, &region(REGION), ANY)).await;
    assert_eq!(error.kind(), ErrorKind::Throttled);
    assert_eq!(canned.sent().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_leave_than_allowed_and_regions_do_not_wait_for_each_other() {
    let canned = Canned::default();
    let mut operator = canned.operator(Settings { ses_rate: 0.5, ..fast() }).await;
    let a = object("a", &[]);
    let names = ["a.com", "b.com", "c.com", "d.com"].map(domain);
    let begun = tokio::time::Instant::now();
    for name in &names {
        for place in [REGION, "eu-west-1"] {
            canned.ok(UNSET);
            operator.aws.mail_from(a.sight(), name, &region(place), ANY);
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    while canned.sent().len() < 4 {
        operator.woken().await;
    }
    let mut at: Vec<u128> = canned.sent().iter().map(|s| (s.at - begun).as_millis()).collect();
    at.sort_unstable();
    let seconds: Vec<u128> = at.iter().map(|ms| (ms + 100) / 1000).collect();
    assert_eq!(seconds, [0, 0, 2, 2]);
    let rest = "Identities.member.1=b.com&Identities.member.2=c.com&Identities.member.3=d.com";
    let whole = canned.sent().iter().filter(|sent| sent.body.ends_with(rest)).count();
    assert_eq!(whole, 2, "what waited leaves together: {:?}", canned.sent());
}

/// An object of a namespace of its own, with a role of its own in the account of all.
fn of_team(n: usize, name: &str) -> Actor {
    let arn = RoleArn::parse(&format!("arn:aws:iam::111111111111:role/r{n}")).unwrap();
    let ses = Credentials::role(arn, format!("team-{n}"));
    object_with(name, &[], ServiceCredentials { ses, ..ServiceCredentials::default() })
}

/// One call a second to SES, and an object of each of so many teams, whose credentials
/// are known. What was sent for that is not kept.
async fn teams(canned: &Canned, count: usize) -> (Operator, Vec<Actor>) {
    let mut operator = canned.operator(Settings { ses_rate: 1.0, ..fast() }).await;
    let actors: Vec<_> = (0..count).map(|n| of_team(n, "a")).collect();
    for actor in &actors {
        canned.ok(ASSUMED);
        operator.known(|aws| aws.account(actor.sight(), Service::Ses, ANY)).await;
    }
    canned.sent.lock().unwrap().clear();
    (operator, actors)
}

#[tokio::test(start_paused = true)]
async fn a_read_of_identities_that_a_person_joins_goes_before_those_of_all_other_teams() {
    let canned = Canned::default();
    let (operator, actors) = teams(&canned, 40).await;
    let us = region(REGION);
    let ask = |actor: &Actor, name: &str| {
        let reply = operator.aws.mail_from(actor.sight(), &domain(name), &us, ANY);
        assert_eq!(reply, Reply::NotYet);
    };
    for (n, actor) in actors.iter().enumerate() {
        canned.ok(UNSET);
        ask(actor, &format!("d{n}.example"));
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    ask(&of_team(39, "joins").with_urgency(), "d39.example");
    ask(&of_team(38, "comes-behind").with_urgency(), "other.example");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let sent: Vec<_> = canned.sent().into_iter().map(|sent| sent.body).collect();
    let next: Vec<_> =
        sent[2..4].iter().map(|body| body.split_once("member.1=").unwrap().1).collect();
    assert_eq!(next, ["d39.example", "other.example&Identities.member.2=d38.example"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_of_identities_that_a_person_joins_goes_on_before_those_of_others() {
    let canned = Canned::default();
    let (operator, actors) = teams(&canned, 4).await;
    let us = region(REGION);
    let ask = |actor: &Actor, name: &str| {
        let reply = operator.aws.verification(actor.sight(), &domain(name), &us, ANY);
        assert_eq!(reply, Reply::NotYet);
    };
    for n in 0..10 {
        canned.ok(&format!(r#"{{"EmailIdentities":[],"NextToken":"page-{n}"}}"#));
    }
    for (n, actor) in actors.iter().enumerate() {
        for k in 0..101 {
            ask(actor, &format!("d{n}-{k}.example"));
        }
    }
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    ask(&of_team(3, "person").with_urgency(), "d3-0.example");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let sent: Vec<_> = canned.sent().into_iter().map(|sent| sent.body).collect();
    assert!(sent[..4].iter().all(|body| !body.contains("NextToken")), "{sent:?}");
    for (n, body) in sent[4..7].iter().enumerate() {
        assert!(body.contains(&format!(r#""NextToken":"page-{}""#, n + 3)), "{sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_sweeps_of_all_teams_together_leave_half_of_the_calls_to_those_who_wait() {
    let canned = Canned::default();
    let (operator, actors) = teams(&canned, 40).await;
    for _ in 0..40 {
        canned.ok(UNSET);
    }
    for (n, actor) in actors.iter().enumerate() {
        let thing = Thing::MailFrom(domain(&format!("d{n}.example")), region(REGION));
        let watched = Watched { thing, pace: Duration::from_secs(1), known: ANY };
        operator.aws.watch(actor.sight(), &[watched]);
    }
    tokio::time::sleep(Duration::from_millis(20_500)).await;
    assert_eq!(canned.sent().len(), 11, "one in two seconds");
    for name in ["a.example", "b.example"] {
        let reply = operator.aws.mail_from(actors[7].sight(), &domain(name), &region(REGION), ANY);
        assert_eq!(reply, Reply::NotYet);
        tokio::time::sleep(Duration::from_millis(600)).await;
        let sent = canned.sent();
        assert!(sent.last().unwrap().body.contains(name), "{sent:?}");
        tokio::time::sleep(Duration::from_millis(1_400)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_sweep_by_the_list_leaves_half_of_the_calls_until_somebody_waits_for_it() {
    // The list will tell of the first, and what it does not tell of waits for its end.
    for asked in ["d7.example", "new.example"] {
        let canned = Canned::default();
        let (operator, actors) = teams(&canned, 1).await;
        for n in 0..20 {
            canned.ok(&format!(r#"{{"EmailIdentities":[],"NextToken":"page-{n}"}}"#));
        }
        let watched = |n: usize| {
            let thing = Thing::Verification(domain(&format!("d{n}.example")), region(REGION));
            Watched { thing, pace: Duration::from_secs(1), known: ANY }
        };
        operator.aws.watch(actors[0].sight(), &(0..101).map(watched).collect::<Vec<_>>());
        tokio::time::sleep(Duration::from_millis(6_500)).await;
        assert_eq!(canned.sent().len(), 4, "one in two seconds");
        let name = domain(asked);
        let reply = operator.aws.verification(actors[0].sight(), &name, &region(REGION), ANY);
        assert_eq!(reply, Reply::NotYet);
        tokio::time::sleep(Duration::from_millis(5_900)).await;
        let sent = canned.sent();
        assert_eq!(sent.len(), 10, "one a second for {asked}: {sent:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_person_does_not_wait_for_the_rest_of_a_list_that_began_too_early() {
    let canned = Canned::default();
    let (mut operator, actors) = teams(&canned, 1).await;
    for n in 0..2 {
        canned.ok(&format!(r#"{{"EmailIdentities":[],"NextToken":"page-{n}"}}"#));
    }
    canned.ok(VERIFIED).answer(Answer::Hang);
    for n in 0..101 {
        let name = domain(&format!("d{n}.example"));
        let reply = operator.aws.verification(actors[0].sight(), &name, &region(REGION), ANY);
        assert_eq!(reply, Reply::NotYet);
    }
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(canned.sent().len(), 2, "of the list");
    let (person, from) = (of_team(0, "person").with_urgency(), operator.clock.now());
    let name = domain("d7.example");
    let ask = |aws: &Aws| aws.verification(person.sight(), &name, &region(REGION), from);
    let begun = tokio::time::Instant::now();
    assert_eq!(operator.known(ask).await, Verification::Verified);
    assert!(begun.elapsed() < Duration::from_millis(100), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_is_dropped_goes_to_the_next_in_line() {
    let canned = Canned::default();
    let mut operator = canned.operator(Settings { ses_rate: 0.01, ..fast() }).await;
    let (a, b) = (object("a", &[]), object("b", &[]));
    let (us, eu) = (region(REGION), region("eu-west-1"));
    let first = operator.aws.put_permit(&a.grant(REGION), &us).unwrap();
    assert!(operator.aws.put_permit(&b.grant(REGION), &us).is_none());
    assert!(operator.aws.put_permit(&b.grant("eu-west-1"), &eu).is_some(), "another region");
    assert!(!operator.anybody_woken());
    let begun = tokio::time::Instant::now();
    drop(first);
    assert_eq!(operator.woken().await, b.key());
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert!(operator.aws.put_permit(&b.grant(REGION), &us).is_some());
    assert!(canned.sent().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_runs_in_the_background_ends_with_the_adapter() {
    let canned = Canned::default();
    canned.answer_sts();
    canned.answer(Answer::Hang);
    let operator =
        canned.operator(Settings { request_timeout: Duration::from_hours(1), ..fast() }).await;
    let a = object("a", &[]);
    operator.aws.account(a.sight(), Service::Ses, ANY);
    while canned.sent().is_empty() {
        tokio::task::yield_now().await;
    }
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(alive() > 0);
    drop(operator);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(alive(), 0);
}
