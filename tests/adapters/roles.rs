//! Roles of other accounts, as the simulated STS gives them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_simulator::{
    ACCESS_KEY, ACCOUNT, Call, Config, Fault, Listen, Matching, Quotas, Role, Serving, SimClock,
    Simulator, Trouble, WallClock, World, ZoneSpec,
};
use jiff::Timestamp;
use ses_mailfrom::authority::{Service, ServiceCredentials};
use ses_mailfrom::aws::{Aws, Error, ErrorKind, Handed, Reply, Settings};
use ses_mailfrom::clock::Clock;
use ses_mailfrom::mail::{BehaviorOnMxFailure, Change};

use crate::stage::{
    ANY, Actor, Operator, REGION, batch, domain, fast, mail_from, object, object_with, region,
    role, sdk, ses_says, set,
};

const SES_ACCOUNT: &str = "111111111111";
const DNS_ACCOUNT: &str = "222222222222";
const SES_ROLE: &str = "arn:aws:iam::111111111111:role/team/ses";
const DNS_ROLE: &str = "arn:aws:iam::222222222222:role/dns";
const NAME: &str = "bounce.example.com";
const ASSUME: &str = "AssumeRole";

/// What reads many identities at once.
const BY_MANY: [&str; 3] = [
    "GetIdentityMailFromDomainAttributes",
    "GetIdentityVerificationAttributes",
    "ListEmailIdentities",
];

/// The operator in one account, the identity in a second, the zone in a third.
struct Stage {
    sim: Simulator,
    serving: Serving,
    now: Arc<Mutex<Timestamp>>,
}

fn trusting() -> Role {
    Role {
        trusted: vec![ACCOUNT.to_owned()],
        external_id: Some("cluster/mail".to_owned()),
        ..Role::default()
    }
}

fn furnish(world: &mut World) {
    world.add_role(SES_ROLE, trusting());
    world.add_role(DNS_ROLE, trusting());
    world.set_identity(SES_ACCOUNT, REGION, "example.com", true);
    world.create_zone(ZoneSpec::public(DNS_ACCOUNT, "example.com").id("Z1")).unwrap();
}

impl Stage {
    async fn new() -> Self {
        let begun = Timestamp::now();
        let now = Arc::new(Mutex::new(begun));
        let shown = Arc::clone(&now);
        let wall = move || shown.lock().unwrap().duration_since(begun).unsigned_abs();
        let config = Config { quotas: Quotas::off(), ..Config::default() };
        let sim = Simulator::new(config, SimClock::on(WallClock::new(wall), 0.0));
        sim.with(furnish);
        let serving = sim.serve(Listen::default()).await.unwrap();
        Self { sim, serving, now }
    }

    /// On the clock that [`Stage::pass`] moves for AWS as well.
    fn operator(&self) -> Operator {
        let settings = Settings { owner_id: "cluster".to_owned(), ..fast() };
        let now = Arc::clone(&self.now);
        let clock = Clock::from_fn(move || *now.lock().unwrap());
        Operator::new(&sdk(&self.serving.endpoint(), ACCESS_KEY, None), settings, clock)
    }

    fn pass(&self, time: Duration) {
        *self.now.lock().unwrap() += time;
    }

    fn calls(&self, action: &str) -> Vec<Call> {
        self.sim.with(|world| world.calls_of(action).cloned().collect())
    }

    fn edit(&self, edit: impl FnOnce(&mut World)) {
        self.sim.with(edit);
    }
}

fn actor(name: &str) -> Actor {
    let credentials = ServiceCredentials { ses: role(SES_ROLE), route53: role(DNS_ROLE) };
    object_with(name, &[NAME], credentials)
}

fn ask(
    operator: &Operator,
) -> impl Fn(&Aws, &Actor) -> Reply<Option<ses_mailfrom::mail::Identity>> + use<> {
    let from = operator.clock.now();
    move |aws, actor| ses_says(aws, actor, &domain("example.com"), &region(REGION), from)
}

/// Whether SES is seen to have the identity, asked now.
async fn sees_identity(operator: &mut Operator, actor: &Actor) -> bool {
    let ask = ask(operator);
    operator.known(|aws| ask(aws, actor)).await.is_some()
}

async fn refused(operator: &mut Operator, actor: &Actor) -> Error {
    let ask = ask(operator);
    operator.failed(|aws| ask(aws, actor)).await
}

#[tokio::test]
async fn each_service_is_called_in_its_own_account() {
    let stage = Stage::new().await;
    let mut operator = stage.operator();
    let (a, ambient) = (actor("a"), object("b", &[NAME]));
    assert!(sees_identity(&mut operator, &a).await);
    assert!(!sees_identity(&mut operator, &ambient).await, "the answer is not the role's");
    let zones = async |operator: &mut Operator, actor: &Actor| {
        operator.known(|aws| aws.zones(actor.sight(), &domain(NAME), ANY)).await.len()
    };
    assert_eq!(zones(&mut operator, &a).await, 1);
    assert_eq!(zones(&mut operator, &ambient).await, 0);
    for (service, account) in [(Service::Ses, SES_ACCOUNT), (Service::Route53, DNS_ACCOUNT)] {
        assert_eq!(operator.known(|aws| aws.account(a.sight(), service, ANY)).await, account);
        let own = operator.known(|aws| aws.account(ambient.sight(), service, ANY)).await;
        assert_eq!(own, ACCOUNT);
    }
    let permit = operator.permit(|aws| aws.put_permit(&a.grant(REGION), &region(REGION))).await;
    let (behavior, name) = (BehaviorOnMxFailure::UseDefaultValue, mail_from(NAME));
    let (grant, place) = (a.grant(REGION), region(REGION));
    operator.aws.put_mail_from(permit, grant, &place, Some(&name), behavior).await.unwrap();
    let mx = Change::Create(set(NAME, "MX", 300, &["10 feedback-smtp.us-east-1.amazonses.com"]));
    let batch = batch("Z1", vec![mx]);
    operator.change(a.name_grant(NAME), batch).await.unwrap();
    stage.edit(|world| {
        assert!(world.mail_from_status(SES_ACCOUNT, REGION, "example.com").is_some());
        assert!(world.record_set("Z1", NAME, aws_simulator::RecordType::MX).is_some());
    });
}

#[tokio::test]
async fn a_role_is_assumed_once_for_a_namespace_and_says_for_whom() {
    let stage = Stage::new().await;
    let mut operator = stage.operator();
    let (a, b) = (actor("a"), actor("b"));
    for actor in [&a, &b, &a] {
        assert!(sees_identity(&mut operator, actor).await);
    }
    let assumed = stage.calls(ASSUME);
    assert_eq!(assumed.len(), 1, "one session for the namespace");
    assert_eq!(
        (assumed[0].access_key.as_str(), assumed[0].account.as_str()),
        (ACCESS_KEY, ACCOUNT)
    );
    assert_eq!(assumed[0].targets, [SES_ROLE]);
    assert_eq!(
        assumed[0].parameters,
        "RoleSessionName=ses-mailfrom@mail ExternalId=cluster/mail \
         Tags=[(\"ses-mailfrom-cluster\", \"cluster\"), (\"ses-mailfrom-namespace\", \"mail\")]"
    );
    let first = stage.sim.with(|world| {
        let calls = world.calls().iter().filter(|call| call.account == SES_ACCOUNT);
        calls.map(|call| call.action.clone()).next()
    });
    assert_eq!(first.as_deref(), Some("GetCallerIdentity"), "whose it is, before anything else");
    assert!(operator.calls().contains(&"AssumeRole global OK".to_owned()), "for the metrics");
}

#[tokio::test]
async fn a_session_is_renewed_before_it_ends_and_at_most_twice_an_hour() {
    let stage = Stage::new().await;
    let mut operator = stage.operator();
    let a = actor("a");
    for _ in 0..48 {
        assert!(sees_identity(&mut operator, &a).await);
        stage.pass(Duration::from_mins(5));
    }
    let sts = stage.calls(ASSUME).len();
    assert!((4..=6).contains(&sts), "four hours took {sts} sessions");
}

#[tokio::test]
async fn a_session_goes_on_while_sts_is_in_trouble_and_no_longer_than_it_lasts() {
    let stage = Stage::new().await;
    let mut operator = stage.operator();
    let a = actor("a");
    assert!(sees_identity(&mut operator, &a).await);
    stage.edit(|world| {
        world.add_fault(Fault::always(Matching::action(ASSUME), Trouble::Fail(503)));
    });
    stage.pass(Duration::from_mins(55));
    assert!(sees_identity(&mut operator, &a).await);
    assert_eq!(stage.calls(ASSUME).len(), 2, "it was tried");
    assert!(sees_identity(&mut operator, &a).await);
    assert_eq!(stage.calls(ASSUME).len(), 2, "and left alone for a while");
    stage.pass(Duration::from_mins(6));
    let error = refused(&mut operator, &a).await;
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(SES_ROLE), "{error}");
    stage.sim.clear_faults();
    stage.pass(Duration::from_mins(1));
    assert!(sees_identity(&mut operator, &a).await);
}

#[tokio::test]
async fn a_session_that_aws_ended_early_is_replaced_within_the_question() {
    let stage = Stage::new().await;
    let mut operator = stage.operator();
    let a = actor("a");
    assert!(sees_identity(&mut operator, &a).await);
    stage.edit(World::end_sessions);
    stage.pass(Duration::from_secs(1));
    assert!(sees_identity(&mut operator, &a).await);
    assert_eq!(stage.calls(ASSUME).len(), 2);
    stage.edit(World::end_sessions);
    stage.pass(Duration::from_secs(1));
    let permit = operator.permit(|aws| aws.put_permit(&a.grant(REGION), &region(REGION))).await;
    let (behavior, name) = (BehaviorOnMxFailure::UseDefaultValue, mail_from(NAME));
    let (grant, place) = (a.grant(REGION), region(REGION));
    let put = operator.aws.put_mail_from(permit, grant, &place, Some(&name), behavior).await;
    let error = put.unwrap_err();
    assert!(error.is_transient(), "a write is not repeated by itself: {error}");
    assert!(sees_identity(&mut operator, &a).await);
}

#[tokio::test]
async fn calls_that_find_a_session_ended_together_cost_one_new_session() {
    let stage = Stage::new().await;
    let mut operator = stage.operator();
    let a = actor("a");
    assert!(sees_identity(&mut operator, &a).await);
    stage.edit(World::end_sessions);
    stage.pass(Duration::from_secs(5));
    let names: Vec<_> = (0..20).map(|n| domain(&format!("d{n}.example"))).collect();
    for name in &names {
        ses_says(&operator.aws, &a, name, &region(REGION), ANY);
    }
    for name in &names {
        operator.known(|aws| ses_says(aws, &a, name, &region(REGION), ANY)).await;
    }
    assert_eq!(stage.calls(ASSUME).len(), 2);
}

#[tokio::test]
async fn an_action_that_the_role_may_not_do_names_the_role() {
    let stage = Stage::new().await;
    let mut operator = stage.operator();
    let a = actor("a");
    stage.edit(|world| {
        for action in BY_MANY.into_iter().chain(["GetEmailIdentity"]) {
            world.add_fault(Fault::always(Matching::action(action), Trouble::AccessDenied));
        }
    });
    let error = refused(&mut operator, &a).await;
    assert_eq!(error.kind(), ErrorKind::AccessDenied);
    let says = format!(
        "ses:GetEmailIdentity on example.com in us-east-1: access denied to the role {SES_ROLE}"
    );
    assert_eq!(error.to_string(), says);
}

#[tokio::test]
async fn a_role_that_refuses_is_named_with_what_it_must_allow() {
    let stage = Stage::new().await;
    let mut operator = stage.operator();
    let a = actor("a");
    let other = Role { external_id: Some("other/mail".to_owned()), ..trusting() };
    let untagged = Role { tag_session: false, ..trusting() };
    for (wrong, action) in [(other, "sts:AssumeRole"), (untagged, "sts:TagSession")] {
        stage.edit(|world| world.add_role(SES_ROLE, wrong));
        let error = refused(&mut operator, &a).await;
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::RoleRefused, false));
        let text = error.to_string();
        assert!(text.starts_with(&format!("sts:AssumeRole on {SES_ROLE}: ")), "{text}");
        for part in ["arn:aws:iam::123456789012:user/simulated", action, "external id cluster/mail"]
        {
            assert!(text.contains(part), "{part} in {text}");
        }
        stage.pass(Duration::from_mins(2));
    }
    let asked = stage.calls("GetIdentityMailFromDomainAttributes").len();
    assert_eq!(asked, 0, "never with the operator's own credentials instead");
    stage.edit(|world| world.add_role(SES_ROLE, trusting()));
    assert!(sees_identity(&mut operator, &a).await, "it goes on by itself");
}

#[tokio::test]
async fn a_role_that_refuses_is_left_alone_however_many_objects_ask() {
    let stage = Stage::new().await;
    stage.edit(|world| world.remove_role(SES_ROLE));
    let mut operator = stage.operator();
    let actors: Vec<Actor> = (0..20).map(|n| actor(&format!("a{n}"))).collect();
    for actor in &actors {
        refused(&mut operator, actor).await;
    }
    assert_eq!(stage.calls(ASSUME).len(), 1);
}

#[tokio::test]
async fn two_roles_of_one_account_share_its_quota() {
    let config = Config { quotas: Quotas::scaled(20.0), ..Config::default() };
    let sim = Simulator::new(config, SimClock::manual());
    let second = "arn:aws:iam::111111111111:role/second";
    sim.with(|world| {
        furnish(world);
        world.add_role(second, trusting());
    });
    let serving = sim.serve(Listen::default()).await.unwrap();
    let settings = Settings { owner_id: "cluster".to_owned(), ses_rate: 19.0, ..fast() };
    let sdk = sdk(&serving.endpoint(), ACCESS_KEY, None);
    let mut operator = Operator::new(&sdk, settings, Clock::system());
    let first = actor("a");
    let other = ServiceCredentials { ses: role(second), ..ServiceCredentials::default() };
    let other = object_with("b", &[NAME], other);
    for actor in [&first, &other] {
        operator.known(|aws| aws.account(actor.sight(), Service::Ses, ANY)).await;
    }
    // One by one: more calls than AWS grants at once.
    for action in BY_MANY {
        sim.add_fault(Fault::always(Matching::action(action), Trouble::AccessDenied));
    }
    let names: Vec<_> = (0..15).map(|n| domain(&format!("d{n}.example"))).collect();
    for name in &names {
        for actor in [&first, &other] {
            ses_says(&operator.aws, actor, name, &region(REGION), ANY);
        }
    }
    for name in &names {
        for actor in [&first, &other] {
            operator.known(|aws| ses_says(aws, actor, name, &region(REGION), ANY)).await;
        }
    }
    let calls = operator.calls();
    let single = calls.iter().filter(|call| call.starts_with("GetEmailIdentity ")).count();
    let throttled = calls.iter().filter(|call| call.ends_with("Throttled")).count();
    assert!(single >= 30 && throttled <= 2, "{throttled} of {single} calls were throttled");
}

#[tokio::test]
async fn changes_to_one_zone_with_two_roles_are_never_in_one_batch() {
    let stage = Stage::new().await;
    let second = "arn:aws:iam::222222222222:role/second";
    stage.edit(|world| world.add_role(second, trusting()));
    let mut operator = stage.operator();
    let names: Vec<String> = (0..4).map(|n| format!("n{n}.example.com")).collect();
    let credentials = |arn| ServiceCredentials { ses: role(SES_ROLE), route53: role(arn) };
    let of = |n: usize, arn| object_with(&format!("a{n}"), &[&names[n]], credentials(arn));
    let roles = [DNS_ROLE, second, DNS_ROLE, second];
    let actors: Vec<Actor> = roles.into_iter().enumerate().map(|(n, arn)| of(n, arn)).collect();
    for (actor, name) in actors.iter().zip(&names) {
        let mx = Change::Create(set(name, "MX", 300, &["10 mx.example"]));
        let batch = Arc::new(batch("Z1", vec![mx]));
        assert_eq!(operator.aws.change_records(actor.name_grant(name), &batch), Handed::New);
    }
    for actor in &actors {
        operator.ended(&actor.key()).await.unwrap();
    }
    let calls = stage.calls("ChangeResourceRecordSets");
    let sent: Vec<String> = calls.iter().map(|call| call.targets.join(", ")).collect();
    assert_eq!(
        sent,
        ["Z1, n0.example.com MX, n2.example.com MX", "Z1, n1.example.com MX, n3.example.com MX",]
    );
}
