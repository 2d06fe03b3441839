//! The identity in one account, the zone in another, and the operator in a
//! third: roles assumed, refused, changed and gone.

use std::time::Duration;

use aws_simulator::{
    ACCESS_KEY, ACCOUNT, Config, MailFromStatus, RecordType, Role, StsConfig, World, ZoneSpec,
};
use serde_json::{Value, json};

use crate::stage::{DOMAIN, NAME, REGIONS, Stage, ZONE, instant, region};

const SES: &str = "111111111111";
const DNS: &str = "222222222222";
const SES_ROLE: &str = "arn:aws:iam::111111111111:role/ses-mailfrom/ses";
const SES_ROLE_2: &str = "arn:aws:iam::111111111111:role/ses-mailfrom/second";
const DNS_ROLE: &str = "arn:aws:iam::222222222222:role/dns";
const OTHER_ROLE: &str = "arn:aws:iam::333333333333:role/ses";
const OWNER: &str = "e2e-cluster";
const OBJECT: &str = "example";

/// A trust policy as a careful administrator writes it.
fn trusting(stage: &Stage) -> Role {
    let tag = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Role {
        trusted: vec![ACCOUNT.to_owned()],
        external_id: Some(format!("{OWNER}/{}", stage.namespace)),
        required_tags: vec![
            tag("ses-mailfrom-cluster", OWNER),
            tag("ses-mailfrom-namespace", &stage.namespace),
        ],
        ..Role::default()
    }
}

/// The zone in one account, the identity in another, both trusting the operator.
async fn apart(test: &str, config: Config) -> Stage {
    let stage = Stage::bare(test, config).await.flag("--owner-id", OWNER);
    let role = trusting(&stage);
    stage.aws.with(|world| {
        for arn in [SES_ROLE, DNS_ROLE] {
            world.add_role(arn, role.clone());
        }
        for name in REGIONS {
            world.set_identity(SES, name, DOMAIN, true);
        }
        world.create_zone(ZoneSpec::public(DNS, DOMAIN).id(ZONE)).expect("a zone");
    });
    stage
}

fn spec() -> Value {
    json!({
        "regions": [{"name": REGIONS[0]}, {"name": REGIONS[1]}],
        "roleARN": SES_ROLE, "dns": {"roleARN": DNS_ROLE}, "deletionPolicy": "Delete",
    })
}

/// What mail and DNS hold of ours.
fn held(stage: &Stage) -> (Vec<Option<String>>, Vec<Option<Vec<String>>>) {
    stage.aws.with(|world| {
        let ses = REGIONS.map(|name| {
            let view = world.mail_from(SES, name, DOMAIN)?;
            view.domain.as_ref().map(|(domain, _)| domain.clone())
        });
        let set = |kind| world.record_set(ZONE, NAME, kind).map(|set| set.values.clone());
        (ses.into(), vec![set(RecordType::MX), set(RecordType::TXT)])
    })
}

fn assumed(world: &World, role: &str) -> usize {
    let of_role = |call: &&aws_simulator::Call| call.targets.iter().any(|arn| arn == role);
    world.calls_of("AssumeRole").filter(of_role).count()
}

/// Waits until the role was asked for again `times` over.
async fn asked_again(stage: &Stage, role: &str, times: usize) {
    let before = stage.aws.with(|world| assumed(world, role));
    let more = |world: &World| (assumed(world, role) >= before + times).then_some(());
    stage.world("more tries to assume the role", more).await;
}

#[tokio::test]
async fn each_account_is_reached_by_its_own_role_for_the_whole_life() {
    let stage = apart("accounts", instant()).await;
    let operator = stage.operator().await;
    stage.apply(OBJECT, spec()).await;
    let status = stage.ready(OBJECT).await;
    for name in REGIONS {
        assert_eq!(region(&status, name).account.as_deref(), Some(SES));
    }
    assert_eq!(status.zones[0].account.as_deref(), Some(DNS));
    stage.aws.with(|world| {
        for name in REGIONS {
            let status = world.mail_from_status(SES, name, DOMAIN);
            assert_eq!(status, Some(MailFromStatus::Success));
        }
        let own = world.calls().iter().filter(|call| call.access_key == ACCESS_KEY);
        assert!(own.clone().count() >= 2);
        let other: Vec<_> = own.filter(|call| call.action != "AssumeRole").collect();
        assert!(other.is_empty(), "with the operator's own credentials: {other:?}");
        assert_eq!((assumed(world, SES_ROLE), assumed(world, DNS_ROLE)), (1, 1));
    });
    let metrics = operator.metrics().await.expect("metrics");
    let counted = metrics.lines().find(|line| {
        line.contains("aws_requests_total") && line.contains("operation=\"AssumeRole\"")
    });
    assert!(counted.is_some_and(|line| line.contains("service=\"sts\"")), "{metrics}");
    stage.aws.with(|world| world.delete_record_set(ZONE, NAME, RecordType::MX)).expect("the MX");
    stage
        .world("the repair", |world| world.record_set(ZONE, NAME, RecordType::MX).map(|_| ()))
        .await;
    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    assert_eq!(held(&stage), (vec![None, None], vec![None, None]));
}

#[tokio::test]
async fn a_role_that_refuses_is_named_and_goes_on_by_itself_once_it_allows() {
    let stage = apart("refuses", instant()).await;
    let whole = trusting(&stage);
    let stranger = Role { external_id: Some("another/namespace".to_owned()), ..whole.clone() };
    let untagged = Role { tag_session: false, ..whole.clone() };
    stage.aws.with(|world| {
        world.add_role(SES_ROLE, stranger);
        world.add_role(DNS_ROLE, untagged);
    });
    let _operator = stage.operator().await;
    stage.apply(OBJECT, spec()).await;
    let external_id = format!("external id {OWNER}/{}", stage.namespace);
    let dns = stage.condition(OBJECT, "RecordsPublished", "False RoleNotAssumable").await;
    for part in [DNS_ROLE, "sts:TagSession", &external_id, "trust policy"] {
        assert!(dns.contains(part), "{part} in {dns}");
    }
    stage.condition(OBJECT, "Stalled", "True RoleNotAssumable").await;
    stage.aws.with(|world| world.add_role(DNS_ROLE, whole.clone()));
    let published = |world: &World| world.record_set(ZONE, NAME, RecordType::MX).map(|_| ());
    // Records wait for an identity that can send, which nobody could read yet.
    let said = stage.until(OBJECT, "the SES role alone", |object| {
        let conditions = &object.status.as_ref()?.conditions;
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
        let named = ready.reason == "RoleNotAssumable" && ready.message.contains(SES_ROLE);
        named.then(|| ready.message.clone())
    });
    let said = said.await;
    for part in ["sts:AssumeRole", &external_id, "user/simulated"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(held(&stage).0, [None, None]);
    stage.aws.with(|world| world.add_role(SES_ROLE, whole));
    stage.world("the records", published).await;
    stage.ready(OBJECT).await;
}

#[tokio::test]
async fn sessions_that_end_during_the_life_are_renewed() {
    let short = StsConfig { session: Some(Duration::from_secs(2)) };
    let stage = apart("renewed", Config { sts: short, ..instant() }).await;
    let _operator = stage.operator().await;
    stage.apply(OBJECT, spec()).await;
    stage.ready(OBJECT).await;
    asked_again(&stage, SES_ROLE, 2).await;
    asked_again(&stage, DNS_ROLE, 1).await;
    stage.aws.with(World::end_sessions);
    stage.edit(OBJECT, json!({"dns": {"ttlSeconds": 600}})).await;
    stage
        .world("the new TTL", |world| {
            world
                .record_set(ZONE, NAME, RecordType::MX)
                .filter(|set| set.ttl == Some(600))
                .map(|_| ())
        })
        .await;
    stage.ready(OBJECT).await;
}

#[tokio::test]
async fn another_role_of_the_account_goes_on_without_a_put() {
    let stage = apart("changed", instant()).await;
    let _operator = stage.operator().await;
    stage.apply(OBJECT, spec()).await;
    stage.ready(OBJECT).await;
    let (writes, role) = (stage.writes(), trusting(&stage));
    stage.aws.with(|world| {
        world.add_role(SES_ROLE_2, role);
        world.remove_role(SES_ROLE);
    });
    stage.edit(OBJECT, json!({"roleARN": SES_ROLE_2})).await;
    let status = stage.ready(OBJECT).await;
    assert_eq!(region(&status, REGIONS[0]).account.as_deref(), Some(SES));
    stage.rounds(4).await;
    stage.ready(OBJECT).await;
    assert_eq!(stage.writes(), writes);
    assert_eq!(stage.aws.with(|world| assumed(world, SES_ROLE_2)), 1);
}

#[tokio::test]
async fn a_role_of_another_account_writes_nothing_and_believes_nothing_gone() {
    let stage = apart("elsewhere", instant()).await;
    let _operator = stage.operator().await;
    stage.apply(OBJECT, spec()).await;
    stage.ready(OBJECT).await;
    let (writes, before, role) = (stage.writes(), held(&stage), trusting(&stage));
    stage.aws.with(|world| world.add_role(OTHER_ROLE, role));
    // First where the account has the identity as well, then where it has nothing.
    stage.aws.with(|world| world.set_identity("333333333333", REGIONS[0], DOMAIN, true));
    stage.edit(OBJECT, json!({"roleARN": OTHER_ROLE})).await;
    let said = stage.condition(OBJECT, "Stalled", "True AccountChanged").await;
    assert!(said.contains("333333333333"), "{said}");
    stage.edit(OBJECT, json!({"dns": {"roleARN": OTHER_ROLE}})).await;
    stage.condition(OBJECT, "Stalled", "True AccountChanged").await;
    stage.rounds(4).await;
    let status = stage.until(OBJECT, "a status", |object| object.status.clone()).await;
    assert_eq!(region(&status, REGIONS[0]).account.as_deref(), Some(SES));
    assert_eq!(status.zones[0].account.as_deref(), Some(DNS));
    stage.delete(OBJECT).await;
    stage.condition(OBJECT, "Ready", "False AccountChanged").await;
    stage.rounds(4).await;
    assert_eq!((stage.writes(), held(&stage)), (writes, before));
    stage.edit(OBJECT, json!({"roleARN": SES_ROLE, "dns": {"roleARN": DNS_ROLE}})).await;
    stage.gone(OBJECT).await;
    assert_eq!(held(&stage), (vec![None, None], vec![None, None]));
}

#[tokio::test]
async fn a_deletion_without_its_role_waits_and_says_how_to_let_go() {
    let stage = apart("roleless", instant()).await;
    let _operator = stage.operator().await;
    stage.apply(OBJECT, spec()).await;
    stage.ready(OBJECT).await;
    let (writes, before) = (stage.writes(), held(&stage));
    stage.aws.with(|world| world.remove_role(SES_ROLE));
    stage.delete(OBJECT).await;
    let said = stage.until(OBJECT, "how to let go", |object| {
        let conditions = &object.status.as_ref()?.conditions;
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
        let told = ready.message.contains("deletionPolicy to Retain");
        (told && ready.reason == "RoleNotAssumable").then(|| ready.message.clone())
    });
    let said = said.await;
    assert!(said.contains(SES_ROLE), "{said}");
    asked_again(&stage, SES_ROLE, 2).await;
    assert_eq!((stage.writes(), held(&stage)), (writes, before), "while SES may still use it");
    stage.edit(OBJECT, json!({"deletionPolicy": "Retain"})).await;
    stage.gone(OBJECT).await;
}
