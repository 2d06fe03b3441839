//! Setups that stood before the object: taken as they are, and found again as
//! they were.

use aws_simulator::{ACCOUNT, Behavior, EventKind, MailFromStatus, RecordSet, RecordType, Sending};
use futures::StreamExt as _;
use serde_json::{Value, json};
use ses_mailfrom::mail::Origin;

use crate::held::{assert_never_worse, held, history, written};
use crate::keep::told;
use crate::stage::{DOMAIN, NAME, REGIONS, Stage, ZONE, region};
use crate::story::{CHANGE, PUT};

const OBJECT: &str = "example";
const OTHER: &str = "mail.example.com";

/// What a tool leaves behind.
#[derive(Clone, Copy)]
struct Tool {
    mx: (u32, &'static str),
    spf: (u32, &'static str),
    behavior: Behavior,
}

/// The well-known Terraform modules, and CDK.
const TOOLS: [Tool; 3] = [
    Tool {
        mx: (600, "10 feedback-smtp.us-east-1.amazonses.com"),
        spf: (3600, "\"v=spf1 include:amazonses.com -all\""),
        behavior: Behavior::UseDefaultValue,
    },
    Tool {
        mx: (600, "10 feedback-smtp.us-east-1.amazonses.com."),
        spf: (600, "\"v=spf1 include:amazonses.com ~all\""),
        behavior: Behavior::RejectMessage,
    },
    Tool {
        mx: (1800, "20 Feedback-SMTP.us-east-1.amazonses.com"),
        spf: (1800, "\"v=spf1 \" \"include:amazonses.com ~all\""),
        behavior: Behavior::RejectMessage,
    },
];

fn put(stage: &Stage, kind: RecordType, ttl: u32, values: &[&str]) {
    let set = RecordSet::new(NAME, kind, ttl, values).expect("a record set");
    stage.aws.with(|world| world.put_record_set(ZONE, set)).expect("a record");
}

pub(crate) fn set_in_ses(stage: &Stage, domain: &str, behavior: Behavior) {
    let held = Some((domain, MailFromStatus::Success));
    let force = |world: &mut aws_simulator::World| {
        world.force_mail_from(ACCOUNT, REGIONS[0], DOMAIN, held, behavior)
    };
    stage.aws.with(force).expect("an identity");
}

fn stand(stage: &Stage, tool: Tool) {
    put(stage, RecordType::MX, tool.mx.0, &[tool.mx.1]);
    put(stage, RecordType::TXT, tool.spf.0, &[tool.spf.1]);
    set_in_ses(stage, NAME, tool.behavior);
}

/// A setup that works, as a Terraform module makes it.
pub(crate) fn hand_made(stage: &Stage) {
    stand(stage, TOOLS[0]);
}

pub(crate) fn one_region(fields: Value) -> Value {
    let mut spec = json!({"regions": [{"name": REGIONS[0]}]});
    spec.as_object_mut().expect("an object").extend(fields.as_object().cloned().expect("fields"));
    spec
}

/// Whether mail ever left otherwise than with the custom MAIL FROM domain.
fn was_disturbed(stage: &Stage, from: usize) -> bool {
    let disturbed = |event: &aws_simulator::Event| match &event.kind {
        EventKind::Sending { to, .. } => *to != Sending::CustomMailFrom,
        _ => false,
    };
    stage.aws.with(|world| world.events()[from..].iter().any(disturbed))
}

#[tokio::test]
async fn a_working_setup_is_adopted_by_the_marker_alone_and_found_as_it_was() {
    let lives = TOOLS.iter().zip(["Delete", "RetainDNS", "Retain"]).map(async |(tool, policy)| {
        let stage = Stage::new("adopt").await;
        stand(&stage, *tool);
        let (found, begun) = (held(&stage), stage.aws.with(|world| world.events().len()));
        let _operator = stage.operator().await;
        let behavior = match tool.behavior {
            Behavior::UseDefaultValue => "UseDefaultValue",
            Behavior::RejectMessage => "RejectMessage",
        };
        let spec = json!({"deletionPolicy": policy, "behaviorOnMxFailure": behavior});
        stage.apply(OBJECT, one_region(spec)).await;
        let status = stage.ready(OBJECT).await;
        let adopted = region(&status, REGIONS[0]);
        assert_eq!(adopted.origin, Some(Origin::Adopted));
        assert!(adopted.adopted_time.is_some());
        for record in &status.records {
            assert_eq!(record.origin, Some(Origin::Adopted), "{record:?}");
            assert!(record.adopted_time.is_some(), "{record:?}");
        }
        stage.rounds(3).await;
        assert_eq!((stage.calls(CHANGE), stage.calls(PUT)), (1, 0), "{:?}", stage.writes());
        assert_eq!(told(&stage, "Adopted").await, 1);
        assert_eq!(held(&stage).clone().unmarked(), found, "{policy}: but for the marker");
        let namespace = stage.namespace.as_str();
        let described =
            stage.plane.kubectl(["describe", "smf", OBJECT, "--namespace", namespace]).await;
        let described = described.expect("a description");
        let (origins, times) =
            (described.matches("Adopted").count(), described.matches("Adopted Time:").count());
        assert!(origins >= 6 && times == 3, "{described}");

        stage.delete(OBJECT).await;
        stage.gone(OBJECT).await;
        let left = held(&stage);
        assert_eq!(if policy == "Retain" { left.unmarked() } else { left }, found, "{policy}");
        assert_eq!(stage.calls(PUT), 0);
        assert!(!was_disturbed(&stage, begun), "{policy}: mail left otherwise");
    });
    futures::stream::iter(lives).buffer_unordered(3).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn a_behaviour_found_follows_the_spec_and_a_setting_adopted_is_kept_up() {
    let stage = Stage::new("follow").await;
    hand_made(&stage);
    let operator = stage.operator().await;
    let spec = json!({"behaviorOnMxFailure": "RejectMessage", "deletionPolicy": "Delete"});
    stage.apply(OBJECT, one_region(spec)).await;
    stage.ready(OBJECT).await;
    assert_eq!((stage.calls(CHANGE), stage.calls(PUT)), (1, 1), "{:?}", stage.writes());
    let adopted = held(&stage);

    // Taken away by somebody, also from a process that remembers nothing.
    operator.stop(crate::stage::LIMIT).await.expect("an exit code");
    stage.aws.with(|world| {
        world.delete_record_set(ZONE, NAME, RecordType::MX).expect("the MX");
        let view = (ACCOUNT, REGIONS[0], DOMAIN);
        world
            .force_mail_from(view.0, view.1, view.2, None, Behavior::UseDefaultValue)
            .expect("an identity");
        world.flush_resolvers();
    });
    let _operator = stage.operator().await;
    stage
        .world("the setting put back", |world| {
            let view = world.mail_from(ACCOUNT, REGIONS[0], DOMAIN)?;
            (view.domain.is_some() && view.behavior == Behavior::RejectMessage).then_some(())
        })
        .await;
    let status = stage.ready(OBJECT).await;
    assert_eq!(region(&status, REGIONS[0]).origin, Some(Origin::Adopted));
    assert_eq!(held(&stage).at(NAME, RecordType::TXT), adopted.at(NAME, RecordType::TXT));
    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    let left = held(&stage);
    assert_eq!(left.at(NAME, RecordType::MX).len(), 1, "never deleted: {left:?}");
    assert_eq!(left.ses, adopted.ses, "never cleared");
}

#[tokio::test]
async fn what_is_not_identical_is_replaced_by_always_alone() {
    let stage = Stage::new("always").await;
    hand_made(&stage);
    put(&stage, RecordType::MX, 600, &["10 mx.example.com"]);
    set_in_ses(&stage, OTHER, Behavior::RejectMessage);
    let found = held(&stage);
    let _operator = stage.operator().await;
    let never = json!({"adoptionPolicy": "Never", "deletionPolicy": "Delete"});
    stage.apply(OBJECT, one_region(never)).await;
    for policy in ["Never", "IfIdentical"] {
        stage.edit(OBJECT, json!({"adoptionPolicy": policy})).await;
        let message = stage.condition(OBJECT, "Stalled", "True MailFromConflict").await;
        assert!(message.contains(OTHER) && message.contains("Always would"), "{message}");
        let message = stage.condition(OBJECT, "RecordsPublished", "False RecordConflict").await;
        assert!(message.contains("10 mx.example.com"), "{message}");
        stage.rounds(3).await;
        assert_eq!(stage.writes(), Vec::<String>::new(), "{policy}");
    }
    stage.edit(OBJECT, json!({"adoptionPolicy": "Always"})).await;
    let status = stage.ready(OBJECT).await;
    assert_eq!(region(&status, REGIONS[0]).origin, Some(Origin::Created));
    let record = |rtype: &str| status.records.iter().find(|r| r.rtype == rtype).unwrap().origin;
    assert_eq!((record("MX"), record("TXT")), (Some(Origin::Created), Some(Origin::Adopted)));
    stage.rounds(3).await;
    let writes = history(&stage, 0);
    assert_eq!(writes.len(), 3, "one MX, one TXT, one put: {writes:#?}");

    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    let left = held(&stage);
    assert_eq!(
        left.at(NAME, RecordType::MX),
        <[String; 0]>::default(),
        "what was replaced is ours"
    );
    assert_eq!(left.at(NAME, RecordType::TXT), found.at(NAME, RecordType::TXT));
    assert_eq!(left.ses[0].as_ref().expect("the identity").domain, None);
}

#[tokio::test]
async fn nothing_is_adopted_by_never() {
    let stage = Stage::new("never").await;
    hand_made(&stage);
    let found = held(&stage);
    let _operator = stage.operator().await;
    stage.apply(OBJECT, one_region(json!({"adoptionPolicy": "Never"}))).await;
    let message = stage.condition(OBJECT, "Stalled", "True MailFromConflict").await;
    assert!(message.contains("IfIdentical would adopt it"), "{message}");
    stage.condition(OBJECT, "RecordsPublished", "False RecordConflict").await;
    stage.rounds(3).await;
    assert_eq!(stage.writes(), Vec::<String>::new());
    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    assert_eq!(held(&stage), found);
}

#[tokio::test]
async fn texts_of_others_survive_every_operation_byte_for_byte() {
    let stage = Stage::new("beside").await;
    let long = format!("\"{}\" \"{}\"", "a".repeat(255), "b".repeat(100));
    let others = [r#""say \"hi\" \\ \052\000""#, long.as_str(), r#""one" "" "two""#];
    let full = format!("\"v=spf1 {} -all\"", "ip4:192.0.2.10 ".repeat(16).trim_end());
    assert!(full.len() > 250, "no room for a term of ours");
    let values = [others[0], others[1], full.as_str(), others[2]];
    put(&stage, RecordType::TXT, 1234, &values);
    let found = held(&stage);
    let _operator = stage.operator().await;
    let spec = json!({"deletionPolicy": "Delete", "dns": {"spf": {"include": ["a.example"]}}});
    stage.apply(OBJECT, one_region(spec)).await;
    stage.ready(OBJECT).await;
    for change in [
        json!({"dns": {"ttlSeconds": 600}}),
        json!({"dns": {"spf": {"include": ["b.example"]}}}),
        json!({"regions": REGIONS.map(|name| json!({"name": name}))}),
        json!({"regions": [{"name": REGIONS[0]}], "behaviorOnMxFailure": "RejectMessage"}),
    ] {
        stage.edit(OBJECT, change).await;
        stage.ready(OBJECT).await;
        let now = held(&stage);
        let txt = now.at(NAME, RecordType::TXT);
        assert!(others.iter().all(|value| txt.iter().any(|v| v == value)), "{txt:#?}");
        let ttl = now.zone.iter().find(|set| set.kind == RecordType::TXT && set.name == NAME);
        assert_eq!(ttl.expect("the set").ttl, Some(1234));
    }
    let before = written(&stage);
    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    assert_eq!(held(&stage), found);
    assert!(written(&stage) > before);
    assert_never_worse(&stage, "beside others");
}
