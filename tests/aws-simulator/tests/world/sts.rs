//! Roles, their trust policies, and the sessions that they give.

use std::time::Duration;

use crate::stage::{REGION, Stage, code_of, quiet, user};
use aws_sdk_sts::config::Credentials;
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder;
use aws_simulator::{
    ACCESS_KEY, ACCOUNT, Config, Quotas, Role, SimClock, StsConfig, WallClock, ZoneSpec,
};

const OTHER: &str = "210987654321";
const ROLE: &str = "arn:aws:iam::210987654321:role/team/dns";
const OPERATOR: &str = "arn:aws:iam::123456789012:user/simulated";

/// A role that trusts the account that is always there.
fn role() -> Role {
    Role { trusted: vec![ACCOUNT.to_owned()], ..Role::default() }
}

async fn stage(role: Role) -> Stage {
    let stage = Stage::quiet().await;
    stage.simulator.with(|world| world.add_role(ROLE, role));
    stage
}

fn assume(stage: &Stage, who: Credentials) -> AssumeRoleFluentBuilder {
    stage.sts_with(who).assume_role().role_arn(ROLE).role_session_name("ses-mailfrom@mail")
}

fn tag(key: &str, value: &str) -> aws_sdk_sts::types::Tag {
    aws_sdk_sts::types::Tag::builder().key(key).value(value).build().unwrap()
}

/// Code and message of a refusal.
async fn refused(call: AssumeRoleFluentBuilder) -> (String, String) {
    code_of(&call.send().await.unwrap_err())
}

async fn session(call: AssumeRoleFluentBuilder) -> (Credentials, Duration) {
    let session = call.send().await.unwrap();
    let given = session.credentials().unwrap();
    let (id, secret) = (given.access_key_id(), given.secret_access_key());
    let token = Some(given.session_token().to_owned());
    let ends = Duration::from_secs(given.expiration().secs().try_into().unwrap());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    (Credentials::new(id, secret, token, None, "test"), ends.saturating_sub(now))
}

fn denied(who: &str, action: &str) -> (String, String) {
    let message =
        format!("User: {who} is not authorized to perform: sts:{action} on resource: {ROLE}");
    ("AccessDenied".to_owned(), message)
}

#[tokio::test]
async fn a_session_is_somebody_in_the_roles_account() {
    let stage = stage(role()).await;
    let zone = stage.simulator.with(|world| {
        world.set_identity(OTHER, REGION, "example.com", true);
        world.create_zone(ZoneSpec::public(OTHER, "example.com")).unwrap()
    });
    let me = stage.sts(ACCESS_KEY).get_caller_identity().send().await.unwrap();
    assert_eq!((me.account(), me.arn()), (Some(ACCOUNT), Some(OPERATOR)));
    let (session, lasts) = session(assume(&stage, user(ACCESS_KEY))).await;
    assert!((3500..=3600).contains(&lasts.as_secs()), "an hour by default, not {lasts:?}");
    let them = stage.sts_with(session.clone()).get_caller_identity().send().await.unwrap();
    let arn = "arn:aws:sts::210987654321:assumed-role/dns/ses-mailfrom@mail";
    assert_eq!((them.account(), them.arn()), (Some(OTHER), Some(arn)), "without the path");
    assert!(them.user_id().unwrap().ends_with(":ses-mailfrom@mail"));
    stage.route53_with(session.clone()).get_hosted_zone().id(&zone).send().await.unwrap();
    assert!(stage.route53().get_hosted_zone().id(&zone).send().await.is_err());
    let ses = stage.ses_with(session, REGION);
    ses.get_email_identity().email_identity("example.com").send().await.unwrap();
    let mine = stage.ses(REGION).get_email_identity().email_identity("example.com").send().await;
    assert_eq!(code_of(&mine.unwrap_err()).0, "NotFoundException");
    let unknown = stage.route53_as("AKIANOBODY").get_hosted_zone().id(&zone).send().await;
    assert_eq!(code_of(&unknown.unwrap_err()).0, "InvalidClientTokenId");
}

#[tokio::test]
async fn a_trust_policy_names_principals_external_id_and_tags() {
    let tagged = ("namespace".to_owned(), "mail".to_owned());
    let strict =
        Role { external_id: Some("owner/mail".to_owned()), required_tags: vec![tagged], ..role() };
    let stage = stage(strict.clone()).await;
    let call = |external_id: &str, namespace: &str| {
        let call = assume(&stage, user(ACCESS_KEY)).external_id(external_id);
        call.tags(tag("cluster", "owner")).tags(tag("namespace", namespace))
    };
    for wrong in [
        call("owner/other", "mail"),
        call("owner/mail", "other"),
        assume(&stage, user(ACCESS_KEY)).tags(tag("namespace", "mail")),
    ] {
        assert_eq!(refused(wrong).await, denied(OPERATOR, "AssumeRole"));
    }
    call("owner/mail", "mail").send().await.unwrap();
    let untagged = Role { tag_session: false, ..strict.clone() };
    stage.simulator.with(|world| world.add_role(ROLE, untagged));
    assert_eq!(refused(call("owner/mail", "mail")).await, denied(OPERATOR, "TagSession"));
    for (trusted, taken) in [
        ("arn:aws:iam::123456789012:root", true),
        (OPERATOR, true),
        ("arn:aws:iam::123456789012:user/other", false),
        (OTHER, false),
    ] {
        let role = Role { trusted: vec![trusted.to_owned()], ..strict.clone() };
        stage.simulator.with(|world| world.add_role(ROLE, role));
        assert_eq!(call("owner/mail", "mail").send().await.is_ok(), taken, "{trusted}");
    }
    stage.simulator.with(|world| world.remove_role(ROLE));
    let gone = refused(call("owner/mail", "mail")).await;
    assert_eq!(gone, denied(OPERATOR, "AssumeRole"), "in the words of a role that does not trust");
}

#[tokio::test]
async fn what_the_api_does_not_take_is_a_validation_error() {
    let stage = stage(role()).await;
    let call = || assume(&stage, user(ACCESS_KEY));
    for wrong in [
        call().role_session_name("a/b"),
        call().role_session_name("x".repeat(65)),
        call().external_id("owner mail"),
        call().tags(tag("", "value")),
        call().tags(tag("key", "<value>")),
        call().duration_seconds(600),
        call().duration_seconds(7200),
        call().role_arn("dns"),
    ] {
        assert_eq!(refused(wrong).await.0, "ValidationError");
    }
}

#[tokio::test]
async fn a_role_of_a_role_gives_an_hour_at_most() {
    let stage = stage(Role { max_session: Duration::from_hours(12), ..Role::default() }).await;
    let (first, lasts) = session(assume(&stage, user(ACCESS_KEY)).duration_seconds(7200)).await;
    assert!(lasts > Duration::from_hours(1));
    let chained = assume(&stage, first).duration_seconds(7200);
    let (code, message) = refused(chained).await;
    assert!(code == "ValidationError" && message.contains("role chaining"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_time_and_its_role_and_needs_its_token() {
    let config = Config {
        quotas: Quotas::off(),
        sts: StsConfig { session: Some(Duration::from_secs(20)) },
        ..quiet()
    };
    let wall = std::sync::Arc::new(std::sync::Mutex::new(Duration::ZERO));
    let hand = std::sync::Arc::clone(&wall);
    let clock = SimClock::on(WallClock::new(move || *hand.lock().unwrap()), 0.0);
    let stage = Stage::timed(config, clock).await;
    stage.simulator.with(|world| world.add_role(ROLE, role()));
    let (session, lasts) = session(assume(&stage, user(ACCESS_KEY))).await;
    assert!(lasts <= Duration::from_secs(20), "{lasts:?}");
    let ask = async |who: &Credentials| {
        let sts = stage.sts_with(who.clone()).get_caller_identity().send().await;
        let ses = stage.ses_with(who.clone(), REGION).get_email_identity();
        let ses = ses.email_identity("example.com").send().await.unwrap_err();
        (sts.err().map(|error| code_of(&error).0), code_of(&ses).0)
    };
    assert_eq!(ask(&session).await, (None, "NotFoundException".to_owned()));
    let unknown =
        (Some("InvalidClientTokenId".to_owned()), "UnrecognizedClientException".to_owned());
    assert_eq!(ask(&user(session.access_key_id())).await, unknown, "without its token");
    *wall.lock().unwrap() = Duration::from_secs(20);
    let expired = (Some("ExpiredToken".to_owned()), "ExpiredTokenException".to_owned());
    assert_eq!(ask(&session).await, expired);
    stage.simulator.with(|world| world.remove_role(ROLE));
    assert_eq!(ask(&session).await, unknown);
}
