//! SES and STS as the simulator tells them, over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_simulator::{
    ACCOUNT, Behavior, Config, Fault, GatePoint, MailFromStatus as Truth, Matching, Quotas,
    SesConfig, Trouble, UnknownIdentity, ZoneSpec,
};
use jiff::Timestamp;
use ses_mailfrom::authority::Service;
use ses_mailfrom::aws::{Aws, Clearance, Error, ErrorKind, Reply, Settings, Thing, Watched};
use ses_mailfrom::mail::{
    BehaviorOnMxFailure, Change, DomainName, Identity, MailFrom, MailFromDomain, MailFromStatus,
};

use crate::stage::{
    ANY, Actor, Operator, REGION, Stage, batch, domain, fast, mail_from, object, region, ses_says,
    set, zone_id,
};

const GET: &str = "GetIdentityMailFromDomainAttributes";
const VERIFY: &str = "GetIdentityVerificationAttributes";
const LIST: &str = "ListEmailIdentities";
const ONE: &str = "GetEmailIdentity";
const PUT: &str = "PutEmailIdentityMailFromAttributes";

/// What SES says of `example.com`, asked now.
async fn read(operator: &mut Operator, actor: &Actor) -> Option<Identity> {
    let (identity, from) = (domain("example.com"), operator.clock.now());
    operator.known(|aws| ses_says(aws, actor, &identity, &region(REGION), from)).await
}

/// Why SES does not say anything of `example.com`.
async fn unread(operator: &mut Operator, actor: &Actor) -> Error {
    let (identity, from) = (domain("example.com"), operator.clock.now());
    operator.failed(|aws| ses_says(aws, actor, &identity, &region(REGION), from)).await
}

async fn put(
    operator: &mut Operator,
    actor: &Actor,
    name: Option<&MailFromDomain>,
    behavior: BehaviorOnMxFailure,
) -> Result<(), Error> {
    let grant = actor.grant(REGION);
    let place = region(REGION);
    let permit = operator.permit(|aws| aws.put_permit(&grant, &place)).await;
    operator.aws.put_mail_from(permit, grant, &place, name, behavior).await
}

async fn example() -> (Stage, Operator, Actor) {
    let stage = Stage::new().await;
    stage.sim.with(|world| world.set_identity(ACCOUNT, REGION, "example.com", true));
    let mut operator = stage.operator();
    operator.knows_its_account().await;
    (stage, operator, object("a", &[]))
}

#[tokio::test]
async fn the_account_is_that_of_the_credentials() {
    let (_stage, mut operator, a) = example().await;
    assert_eq!(operator.known(|aws| aws.account(a.sight(), Service::Ses, ANY)).await, ACCOUNT);
}

#[tokio::test]
async fn missing_unverified_and_unset_are_told_apart() {
    let (stage, mut operator, a) = example().await;
    assert_eq!(read(&mut operator, &a).await, Some(Identity { verified: true, mail_from: None }));
    stage.sim.with(|world| world.set_identity(ACCOUNT, REGION, "example.com", false));
    assert_eq!(read(&mut operator, &a).await, Some(Identity { verified: false, mail_from: None }));
    stage.sim.with(|world| world.delete_identity(ACCOUNT, REGION, "example.com"));
    assert_eq!(read(&mut operator, &a).await, None);
}

#[tokio::test]
async fn every_status_and_behaviour_is_read_as_it_is() {
    let (stage, mut operator, a) = example().await;
    for (truth, status) in [
        (Truth::Pending, MailFromStatus::Pending),
        (Truth::Success, MailFromStatus::Success),
        (Truth::TemporaryFailure, MailFromStatus::TemporaryFailure),
        (Truth::Failed, MailFromStatus::Failed),
    ] {
        for (forced, behavior) in [
            (Behavior::UseDefaultValue, BehaviorOnMxFailure::UseDefaultValue),
            (Behavior::RejectMessage, BehaviorOnMxFailure::RejectMessage),
        ] {
            let set = Some(("m.example.com", truth));
            let force = |world: &mut aws_simulator::World| {
                world.force_mail_from(ACCOUNT, REGION, "example.com", set, forced)
            };
            stage.sim.with(force).unwrap();
            let identity = read(&mut operator, &a).await.unwrap();
            let domain = "m.example.com".into();
            assert_eq!(identity.mail_from, Some(MailFrom { domain, status, behavior }));
        }
    }
}

#[tokio::test]
async fn a_put_sets_and_a_clear_clears_and_each_is_read_back() {
    let (stage, mut operator, a) = example().await;
    let name = mail_from("bounce.example.com");
    let reject = BehaviorOnMxFailure::RejectMessage;
    assert_eq!(read(&mut operator, &a).await.unwrap().mail_from, None);
    put(&mut operator, &a, Some(&name), reject).await.unwrap();
    let held =
        operator.known(|aws| ses_says(aws, &a, &domain("example.com"), &region(REGION), ANY)).await;
    let held = held.unwrap().mail_from.expect("the answer from before the put still counts");
    assert_eq!((&*held.domain, held.behavior), ("bounce.example.com", reject));
    put(&mut operator, &a, None, BehaviorOnMxFailure::UseDefaultValue).await.unwrap();
    assert_eq!(read(&mut operator, &a).await.unwrap().mail_from, None);
    let truth = |world: &mut aws_simulator::World| {
        world.mail_from(ACCOUNT, REGION, "example.com").unwrap().domain.clone()
    };
    assert_eq!(stage.sim.with(truth), None);
}

#[tokio::test]
async fn a_put_to_an_unverified_identity_says_so() {
    let (stage, mut operator, a) = example().await;
    stage.sim.with(|world| world.set_identity(ACCOUNT, REGION, "example.com", false));
    let name = mail_from("bounce.example.com");
    let error = put(&mut operator, &a, Some(&name), BehaviorOnMxFailure::default()).await;
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::NotVerified, false));
    let text = error.to_string();
    assert!(
        text.starts_with(
            "ses:PutEmailIdentityMailFromAttributes on example.com in us-east-1: Provided MAIL-FROM domain"
        ) && text.ends_with("finish its verification in SES"),
        "{text}"
    );
}

#[tokio::test]
async fn a_put_to_an_identity_that_is_gone_is_not_found_in_either_wording() {
    for unknown_identity in [UnknownIdentity::BadRequest, UnknownIdentity::NotFound] {
        let ses = SesConfig { unknown_identity, ..SesConfig::default() };
        let stage = Stage::with(Config { ses, quotas: Quotas::off(), ..Config::default() }).await;
        let (mut operator, a) = (stage.operator(), object("a", &[]));
        let name = mail_from("bounce.example.com");
        let error = put(&mut operator, &a, Some(&name), BehaviorOnMxFailure::default()).await;
        assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound, "{unknown_identity:?}");
    }
}

#[tokio::test]
async fn troubles_of_a_read_are_told_apart_and_named() {
    let (stage, _, a) = example().await;
    let refuse = |status, code: &str, message: &str| {
        let (code, message) = (code.to_owned(), message.to_owned());
        Trouble::Refuse { status, code, message }
    };
    for (trouble, kind, text) in [
        (
            Trouble::Fail(503),
            ErrorKind::Unavailable,
            "AWS answered with an error of its own; it is tried again",
        ),
        (
            Trouble::LoseAnswer,
            ErrorKind::Unavailable,
            "AWS could not be reached; it is tried again",
        ),
        (
            Trouble::Malformed,
            ErrorKind::Unavailable,
            "the answer could not be read; it is tried again",
        ),
        (
            refuse(403, "ExpiredTokenException", "expired at 2026-08-01T10:00:00Z"),
            ErrorKind::Credentials,
            "AWS credentials do not work (ExpiredTokenException); check those that the operator runs with",
        ),
        (refuse(400, "ValidationError", "Bad\nthing"), ErrorKind::BadRequest, "Bad thing"),
    ] {
        // A failure is left alone for a while: a new operator has none.
        let mut operator = stage.operator();
        operator.knows_its_account().await;
        stage.sim.add_fault(Fault::once(Matching::action(GET), trouble.clone()));
        let error = unread(&mut operator, &a).await;
        assert_eq!(error.kind(), kind, "{trouble:?}");
        assert_eq!(error.to_string(), format!("ses:{GET} on example.com in us-east-1: {text}"));
        let calls = operator.calls().into_iter().filter(|call| call.starts_with(GET));
        assert_eq!(calls.collect::<Vec<_>>(), [format!("{GET} us-east-1 {}", kind.as_str())]);
    }
}

#[tokio::test]
async fn credentials_that_aws_does_not_know_are_named() {
    let stage = Stage::new().await;
    let mut operator = stage.operator_as("AKIAUNKNOWNUNKNOWN00", fast());
    let a = object("a", &[]);
    let error = operator.failed(|aws| aws.account(a.sight(), Service::Ses, ANY)).await;
    assert_eq!(error.kind(), ErrorKind::Credentials, "{error}");
    assert_eq!(unread(&mut operator, &a).await.kind(), ErrorKind::Credentials);
}

#[tokio::test]
async fn a_throttled_read_gets_through_by_itself() {
    let (stage, mut operator, a) = example().await;
    stage.sim.add_fault(Fault::once(Matching::action(GET), Trouble::Throttle).times(2));
    assert!(read(&mut operator, &a).await.is_some());
    let lines = operator.calls();
    assert_eq!(lines.iter().filter(|line| line.ends_with("Throttled")).count(), 2, "{lines:?}");
}

#[tokio::test]
async fn a_throttled_put_is_an_error_that_passes() {
    let (stage, mut operator, a) = example().await;
    stage.sim.add_fault(Fault::once(Matching::action(PUT), Trouble::Throttle));
    let name = mail_from("bounce.example.com");
    let behavior = BehaviorOnMxFailure::default();
    let error = put(&mut operator, &a, Some(&name), behavior).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Throttled, true));
    put(&mut operator, &a, Some(&name), behavior).await.unwrap();
}

#[tokio::test]
async fn the_default_rates_stay_below_the_quotas() {
    let config = Config { quotas: Quotas::scaled(20.0), ..Config::default() };
    let stage = Stage::with(config).await;
    let scaled = Settings::default();
    let settings = Settings {
        ses_rate: scaled.ses_rate * 20.0,
        route53_rate: scaled.route53_rate * 20.0,
        ..fast()
    };
    let mut operator = stage.operator_with(settings);
    operator.knows_its_account().await;
    let a = object("a", &[]);
    // One call for each identity and each zone: far more than AWS grants at once.
    for action in [GET, VERIFY, LIST] {
        stage.sim.add_fault(Fault::always(Matching::action(action), Trouble::AccessDenied));
    }
    let zone = |n: usize| format!("Z{n}");
    let names: Vec<_> = (0..150).map(|n| domain(&format!("d{n}.com"))).collect();
    stage.sim.with(|world| {
        for (n, name) in names.iter().enumerate() {
            world.create_zone(ZoneSpec::public(ACCOUNT, name.as_str()).id(&zone(n))).unwrap();
        }
    });
    let identity = |aws: &Aws, n: usize| ses_says(aws, &a, &names[n], &region(REGION), ANY);
    let name = |aws: &Aws, n: usize| aws.name(a.sight(), &zone_id(&zone(n)), &names[n], ANY);
    for n in 0..60 {
        assert_eq!(identity(&operator.aws, n), Reply::NotYet);
    }
    operator.all_known(names.len(), name).await;
    operator.all_known(60, identity).await;
    assert!(counted(&stage, ONE) >= 60 && counted(&stage, "ListResourceRecordSets") >= 150);
    let calls = operator.calls();
    assert!(!calls.iter().any(|call| call.ends_with("Throttled")), "{calls:?}");
}

#[tokio::test]
async fn whatever_becomes_of_a_put_answers_from_before_it_do_not_count() {
    for trouble in
        [Trouble::LoseAnswer, Trouble::FailAfter(500), Trouble::HangAfter, Trouble::Malformed]
    {
        let (stage, _, a) = example().await;
        let settings = Settings { request_timeout: Duration::from_millis(700), ..fast() };
        let mut operator = stage.operator_with(settings);
        assert_eq!(read(&mut operator, &a).await.unwrap().mail_from, None);
        stage.sim.add_fault(Fault::once(Matching::action(PUT), trouble.clone()));
        let name = mail_from("bounce.example.com");
        let lost = put(&mut operator, &a, Some(&name), BehaviorOnMxFailure::default()).await;
        if trouble != Trouble::Malformed {
            let error = lost.unwrap_err();
            assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Unavailable, true));
        }
        let ask = |aws: &Aws| ses_says(aws, &a, &domain("example.com"), &region(REGION), ANY);
        assert_eq!(ask(&operator.aws), Reply::NotYet, "{trouble:?}");
        let held = operator.known(ask).await.unwrap().mail_from;
        assert_eq!(held.unwrap().domain, "bounce.example.com", "{trouble:?}");
    }
}

#[tokio::test]
async fn a_put_whose_reconcile_goes_away_still_makes_old_answers_not_count() {
    let (stage, mut operator, a) = example().await;
    read(&mut operator, &a).await;
    let gate = stage.sim.gate(Matching::action(PUT), GatePoint::After, 0);
    let name = mail_from("bounce.example.com");
    tokio::select! {
        _ = put(&mut operator, &a, Some(&name), BehaviorOnMxFailure::default()) => panic!("answered"),
        () = gate.reached() => {}
    }
    let ask = |aws: &Aws| ses_says(aws, &a, &domain("example.com"), &region(REGION), ANY);
    assert_eq!(ask(&operator.aws), Reply::NotYet);
    gate.release();
}

#[tokio::test]
async fn a_read_on_its_way_when_a_put_ends_is_asked_again() {
    let (stage, mut operator, a) = example().await;
    let gate = stage.sim.gate(Matching::action(GET), GatePoint::After, 0);
    let ask = |aws: &Aws| ses_says(aws, &a, &domain("example.com"), &region(REGION), ANY);
    assert_eq!(ask(&operator.aws), Reply::NotYet);
    gate.reached().await;
    let name = mail_from("bounce.example.com");
    put(&mut operator, &a, Some(&name), BehaviorOnMxFailure::default()).await.unwrap();
    gate.release();
    let held = operator.known(ask).await.unwrap().mail_from;
    assert_eq!(held.expect("an answer that misses the put").domain, "bounce.example.com");
    assert_eq!(stage.sim.with(|world| world.calls_of(GET).count()), 2);
}

#[tokio::test]
async fn what_is_not_cleared_does_not_leave() {
    let stage = Stage::new().await;
    stage.sim.with(|world| world.set_identity(ACCOUNT, REGION, "example.com", true));
    let open = Arc::new(AtomicBool::new(true));
    let cleared = Arc::clone(&open);
    let clearance = Clearance::from_fn(move || cleared.load(Ordering::Relaxed));
    let mut operator = stage.operator_with(Settings { clearance, ..fast() });
    let a = object("a", &["bounce.example.com"]);
    let use_default = BehaviorOnMxFailure::UseDefaultValue;
    let name = mail_from("bounce.example.com");
    put(&mut operator, &a, Some(&name), use_default).await.unwrap();
    let calls = |stage: &Stage| stage.sim.with(|world| world.calls().len());
    let before = calls(&stage);

    open.store(false, Ordering::Relaxed);
    let put = put(&mut operator, &a, None, use_default).await.unwrap_err();
    let from = operator.clock.now();
    let identity = unread(&mut operator, &a).await;
    let account = operator.failed(|aws| aws.account(a.sight(), Service::Ses, from)).await;
    let zones = domain("example.com");
    let zones = operator.failed(|aws| aws.zones(a.sight(), &zones, from)).await;
    let changes = vec![Change::Create(set("bounce.example.com", "MX", 300, &["10 mx.example"]))];
    let batch = batch("Z1", changes);
    let grant = a.name_grant("bounce.example.com");
    let change = operator.change(grant, batch).await.unwrap_err();
    for held in [put, identity, account, zones, change] {
        assert_eq!(held.kind(), ErrorKind::Unavailable);
        assert!(held.to_string().contains("does not lead"), "{held}");
    }
    assert_eq!(calls(&stage), before, "nothing has reached AWS");
}

/// So many verified identities, every other with a MAIL FROM domain.
fn many(stage: &Stage, count: usize) -> Vec<DomainName> {
    let names: Vec<_> = (0..count).map(|n| domain(&format!("d{n:05}.example"))).collect();
    stage.sim.with(|world| {
        for (n, name) in names.iter().enumerate() {
            world.set_identity(ACCOUNT, REGION, name.as_str(), true);
            let set = format!("m.{name}");
            let set = (n % 2 == 0).then_some((set.as_str(), Truth::Success));
            let behavior = Behavior::UseDefaultValue;
            world.force_mail_from(ACCOUNT, REGION, name.as_str(), set, behavior).unwrap();
        }
    });
    names
}

/// Has every name read, all asked for before any is answered.
async fn read_all(operator: &mut Operator, a: &Actor, names: &[DomainName], from: Timestamp) {
    for name in names {
        assert_eq!(ses_says(&operator.aws, a, name, &region(REGION), from), Reply::NotYet);
    }
    for (n, name) in names.iter().enumerate() {
        let said = operator.known(|aws| ses_says(aws, a, name, &region(REGION), from)).await;
        let held = said.unwrap().mail_from.map(|held| held.domain);
        assert_eq!(held, (n % 2 == 0).then(|| format!("m.{name}").into()), "{name}");
    }
}

fn counted(stage: &Stage, action: &str) -> usize {
    stage.sim.with(|world| world.calls_of(action).count())
}

#[tokio::test]
async fn identities_are_read_a_hundred_a_call_and_verification_by_the_page() {
    let (stage, mut operator, a) = example().await;
    let names = many(&stage, 2_150);
    read_all(&mut operator, &a, &names, ANY).await;
    // What is asked in one go leaves together; the first call may leave before.
    let settings = counted(&stage, GET);
    assert!((22..=23).contains(&settings), "{settings} calls for 2,150 identities");
    assert!(counted(&stage, VERIFY) <= 1, "{}", counted(&stage, VERIFY));
    let most = |action: &str| {
        stage.sim.with(|world| world.calls_of(action).map(|call| call.targets.len()).max())
    };
    assert_eq!(most(GET), Some(100));
    assert_eq!(counted(&stage, LIST), 3, "2,151 identities are three pages");
    assert_eq!(counted(&stage, ONE), 0);
}

#[tokio::test]
async fn few_identities_among_many_are_not_worth_a_list() {
    let (stage, mut operator, a) = example().await;
    let names = many(&stage, 1_500);
    read_all(&mut operator, &a, &names[..40], ANY).await;
    assert_eq!((counted(&stage, GET), counted(&stage, VERIFY), counted(&stage, LIST)), (1, 1, 0));
}

#[tokio::test]
async fn where_iam_allows_no_more_they_are_read_one_by_one_and_both_answers_are_taken() {
    let (stage, _, a) = example().await;
    // A rate at which those who read the one and the other take turns.
    let mut operator = stage.operator_with(Settings { ses_rate: 20.0, ..fast() });
    operator.knows_its_account().await;
    let names = many(&stage, 6);
    for action in [GET, VERIFY, LIST] {
        stage.sim.add_fault(Fault::always(Matching::action(action), Trouble::AccessDenied));
    }
    read_all(&mut operator, &a, &names, ANY).await;
    let from = operator.clock.now();
    read_all(&mut operator, &a, &names, from).await;
    let denied = [GET, VERIFY, LIST].map(|action| counted(&stage, action));
    assert_eq!(denied, [1, 1, 1], "found out once");
    let calls = counted(&stage, ONE);
    assert!(calls <= 2 * (names.len() + 2), "one call answers both questions: {calls}");
}

#[tokio::test]
async fn where_iam_allows_nothing_the_single_call_is_named_and_all_is_tried_again() {
    let (stage, mut operator, a) = example().await;
    let mut faults = Vec::new();
    for action in [GET, VERIFY, LIST, ONE] {
        let denied = Fault::always(Matching::action(action), Trouble::AccessDenied);
        faults.push(stage.sim.add_fault(denied));
    }
    let error = unread(&mut operator, &a).await;
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    let text = format!("ses:{ONE} on example.com in us-east-1: access denied");
    assert!(error.to_string().starts_with(&text), "{error}");
    // What IAM allows may have changed, a while later.
    let before = counted(&stage, GET);
    let tried_again = async {
        for n in 0.. {
            let name = domain(&format!("other{n}.example"));
            let error = operator.failed(|aws| ses_says(aws, &a, &name, &region(REGION), ANY)).await;
            assert_eq!(error.kind(), ErrorKind::AccessDenied);
            if counted(&stage, GET) > before {
                return;
            }
        }
    };
    tokio::time::timeout(crate::stage::LIMIT, tried_again).await.expect("never tried again");
}

#[tokio::test]
async fn what_is_watched_is_read_in_full_calls_and_wakes_only_on_news() {
    let (stage, mut operator, a) = example().await;
    let names = many(&stage, 250);
    read_all(&mut operator, &a, &names, ANY).await;
    let before = (counted(&stage, GET), counted(&stage, LIST));
    let watched = |name: &DomainName, operator: &Operator| {
        let ask = |aws: &Aws| aws.mail_from(a.sight(), name, &region(REGION), ANY);
        let Reply::Known { sent, .. } = ask(&operator.aws) else { panic!("not known") };
        let pace = Duration::from_millis(400);
        Watched { thing: Thing::MailFrom(name.clone(), region(REGION)), pace, known: sent }
    };
    let all: Vec<_> = names.iter().map(|name| watched(name, &operator)).collect();
    while operator.anybody_woken() {}
    operator.aws.watch(a.sight(), &all);
    let sweeps = |calls: usize| async move {
        loop {
            if counted(&stage, GET) >= calls {
                return stage;
            }
            tokio::task::yield_now().await;
        }
    };
    let stage = tokio::time::timeout(crate::stage::LIMIT, sweeps(before.0 + 9)).await.unwrap();
    assert!(!operator.anybody_woken(), "nothing has changed");
    assert_eq!(counted(&stage, LIST), before.1, "nobody watches that");
    let sizes = stage.sim.with(|world| {
        world.calls_of(GET).skip(before.0).map(|call| call.targets.len()).collect::<Vec<_>>()
    });
    let sum: usize = sizes.iter().take(9).sum();
    assert!(sum >= 750, "three sweeps of 250 in nine calls: {sizes:?}");
    let failed = Some(("m.d00000.example", Truth::Failed));
    stage.sim.with(|world| {
        let behavior = Behavior::UseDefaultValue;
        world.force_mail_from(ACCOUNT, REGION, "d00000.example", failed, behavior).unwrap();
    });
    assert_eq!(operator.woken().await, a.key());
    let ask = |aws: &Aws| aws.mail_from(a.sight(), &names[0], &region(REGION), ANY);
    let held = operator.known(ask).await.unwrap();
    assert_eq!(held.status, MailFromStatus::Failed);
}
