//! What stands is kept: drift is repaired once, what others put there is left
//! alone, and nothing is written where nothing is wrong.

use std::time::Duration;

use aws_simulator::{
    ACCOUNT, Behavior, CheckSchedule, Config, EventKind, MailFromStatus, RecordSet, RecordType,
    SesConfig, World,
};
use harness::{Operator, Watched, condition, wait_until};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::stage::{DOMAIN, LIMIT, NAME, REGIONS, Stage, ZONE, instant, region};

const REQUESTED: &str = "mailfrom.dev/reconcile-requested-at";
const MX: &str = "10 feedback-smtp.us-east-1.amazonses.com";
const SPF: &str = "\"v=spf1 include:amazonses.com ~all\"";
const US: &str = REGIONS[0];

/// An object in one region that has come to Ready.
async fn converged(test: &str) -> (Stage, Operator) {
    let stage = Stage::new(test).await;
    let operator = stage.operator().await;
    stage.apply("kept", json!({"regions": [{"name": US}]})).await;
    stage.ready("kept").await;
    (stage, operator)
}

/// Waits until SES and Route 53 have both been read that often again.
async fn looks(stage: &Stage, count: usize) {
    let reads = ["GetIdentityMailFromDomainAttributes", "ListResourceRecordSets"];
    let before = reads.map(|action| stage.calls(action));
    stage
        .world("more reads of SES and Route 53", |world| {
            let mut all = reads.iter().zip(before);
            all.all(|(action, n)| world.calls_of(action).count() >= n + count).then_some(())
        })
        .await;
}

fn values(world: &World, kind: RecordType) -> Option<Vec<&str>> {
    let set = world.record_set(ZONE, NAME, kind)?;
    Some(set.values.iter().map(String::as_str).collect())
}

fn mx_is_right(world: &World) -> Option<()> {
    let set = world.record_set(ZONE, NAME, RecordType::MX)?;
    (set.ttl == Some(300) && set.values == [MX]).then_some(())
}

fn txt_is_right(world: &World) -> Option<()> {
    let values = values(world, RecordType::TXT)?;
    let marked = values.iter().any(|value| value.starts_with("\"ses-mailfrom-owner=v1 "));
    (marked && values.contains(&SPF)).then_some(())
}

fn put(world: &mut World, kind: RecordType, ttl: u32, values: &[&str]) {
    let set = RecordSet::new(NAME, kind, ttl, values).expect("a record set");
    world.put_record_set(ZONE, set).expect("a zone");
}

/// Does something behind the operator's back, waits until it is mended, and
/// makes sure that one write mended it.
async fn repaired_once(
    stage: &Stage,
    what: &str,
    damage: impl FnOnce(&mut World),
    mended: impl FnMut(&World) -> Option<()>,
) {
    let before = stage.writes().len();
    stage.aws.with(damage);
    stage.world(what, mended).await;
    looks(stage, 3).await;
    let writes = stage.writes().split_off(before);
    assert_eq!(writes.len(), 1, "{what}: {writes:#?}");
    stage.ready("kept").await;
}

/// How many Events of this reason there are about objects of the stage.
pub(crate) async fn events(stage: &Stage, reason: &str) -> usize {
    let api: Api<Event> = Api::namespaced(stage.client(), &stage.namespace);
    let all = api.list(&ListParams::default()).await.expect("Events");
    all.items.iter().filter(|event| event.reason.as_deref() == Some(reason)).count()
}

/// The same, once there is one: an Event is posted behind the deed.
pub(crate) async fn told(stage: &Stage, reason: &str) -> usize {
    wait_until(format!("an Event {reason}"), LIMIT, async || match events(stage, reason).await {
        0 => Err("none".to_owned()),
        count => Ok(count),
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"))
}

async fn metric(operator: &Operator, start: &str) -> String {
    let text = operator.metrics().await.expect("metrics");
    text.lines().find(|line| line.starts_with(start)).unwrap_or_default().to_owned()
}

async fn version(stage: &Stage) -> String {
    let object = stage.api().get("kept").await.expect("the object");
    object.metadata.resource_version.expect("a resourceVersion")
}

#[tokio::test]
async fn damaged_records_are_repaired_once_each() {
    let (stage, operator) = converged("records").await;
    let gone = |kind: RecordType| {
        move |world: &mut World| world.delete_record_set(ZONE, NAME, kind).expect("a record set")
    };
    let mx = RecordType::MX;
    repaired_once(&stage, "MX deleted", gone(mx), mx_is_right).await;
    let other = ["20 feedback-smtp.us-east-1.amazonses.com"];
    repaired_once(&stage, "preference changed", |w| put(w, mx, 300, &other), mx_is_right).await;
    repaired_once(&stage, "TTL changed", |w| put(w, mx, 60, &[MX]), mx_is_right).await;
    let txt = RecordType::TXT;
    repaired_once(&stage, "TXT deleted", gone(txt), txt_is_right).await;
    let without_spf = |world: &mut World| {
        let left = values(world, txt).expect("TXT").into_iter().filter(|value| *value != SPF);
        let mut left: Vec<String> = left.map(str::to_owned).collect();
        left.push("\"somebody-elses=value\"".to_owned());
        put(world, txt, 300, &left.iter().map(String::as_str).collect::<Vec<_>>());
    };
    repaired_once(&stage, "SPF removed", without_spf, txt_is_right).await;
    let kept = stage.aws.with(|world| {
        values(world, txt).is_some_and(|all| all.contains(&"\"somebody-elses=value\""))
    });
    assert!(kept, "another TXT value at the name is kept");
    let drift = metric(&operator, "sesmailfrom_drift_corrected_total{kind=\"records\"}").await;
    assert!(drift.ends_with(" 5"), "{drift}");
    told(&stage, "DriftRepaired").await;
}

#[tokio::test]
async fn a_damaged_setting_is_repaired_once_each() {
    let (stage, operator) = converged("setting").await;
    let holds = |world: &World| {
        let view = world.mail_from(ACCOUNT, US, DOMAIN)?;
        let (name, status) = view.domain.as_ref()?;
        let right = name == NAME && *status == MailFromStatus::Success;
        (right && view.behavior == Behavior::UseDefaultValue).then_some(())
    };
    let clear = |world: &mut World| {
        world.force_mail_from(ACCOUNT, US, DOMAIN, None, Behavior::UseDefaultValue).expect("SES");
    };
    repaired_once(&stage, "MAIL FROM cleared", clear, holds).await;
    let refuse = |world: &mut World| {
        world.put_mail_from(ACCOUNT, US, DOMAIN, NAME, Behavior::RejectMessage).expect("SES");
    };
    repaired_once(&stage, "behaviour changed", refuse, holds).await;
    let drift = metric(&operator, "sesmailfrom_drift_corrected_total{kind=\"mail_from\"}").await;
    assert!(drift.ends_with(" 2"), "{drift}");
}

#[tokio::test]
async fn values_of_others_are_reported_and_left_alone() {
    let (stage, _operator) = converged("foreign").await;
    let before = stage.writes();
    let foreign = ["10 mx.mail.example"];
    stage.aws.with(|world| put(world, RecordType::MX, 300, &foreign));
    let said = stage.condition("kept", "Stalled", "True RecordConflict").await;
    assert!(said.contains("mx.mail.example"), "{said}");
    looks(&stage, 3).await;
    assert_eq!(stage.writes(), before);
    assert_eq!(
        stage.aws.with(|w| w.record_set(ZONE, NAME, RecordType::MX).unwrap().values.clone()),
        foreign
    );
    stage.aws.with(|world| put(world, RecordType::MX, 300, &[MX]));
    stage.ready("kept").await;

    let other = "elsewhere.example.com";
    stage.aws.with(|world| {
        world.put_mail_from(ACCOUNT, US, DOMAIN, other, Behavior::UseDefaultValue).expect("SES");
    });
    let said = stage.condition("kept", "Stalled", "True MailFromConflict").await;
    assert!(said.contains(other), "{said}");
    looks(&stage, 3).await;
    assert_eq!(stage.writes(), before);
    let held = stage.aws.with(|w| w.mail_from(ACCOUNT, US, DOMAIN).unwrap().domain.clone());
    assert_eq!(held.expect("a MAIL FROM domain").0, other);
}

#[tokio::test]
async fn another_writer_of_the_records_ends_in_a_drift_loop() {
    let (stage, _operator) = converged("dnsloop").await;
    let delete = |world: &mut World| {
        world.delete_record_set(ZONE, NAME, RecordType::MX).expect("the MX");
    };
    for _ in 0..3 {
        repaired_once(&stage, "MX deleted", delete, mx_is_right).await;
    }
    loops_until_asked(&stage, delete, mx_is_right).await;
}

#[tokio::test]
async fn another_writer_of_the_setting_ends_in_a_drift_loop() {
    let (stage, _operator) = converged("sesloop").await;
    let clear = |world: &mut World| {
        world.force_mail_from(ACCOUNT, US, DOMAIN, None, Behavior::UseDefaultValue).expect("SES");
    };
    let set = |world: &World| {
        (world.mail_from_status(ACCOUNT, US, DOMAIN) == Some(MailFromStatus::Success)).then_some(())
    };
    for _ in 0..3 {
        repaired_once(&stage, "MAIL FROM cleared", clear, set).await;
    }
    loops_until_asked(&stage, clear, set).await;
}

/// The fourth time is not repaired any more, until a person asks for it.
async fn loops_until_asked(
    stage: &Stage,
    damage: impl FnOnce(&mut World),
    mended: impl FnMut(&World) -> Option<()>,
) {
    let before = stage.writes();
    stage.aws.with(damage);
    stage.condition("kept", "Stalled", "True DriftLoop").await;
    looks(stage, 4).await;
    assert_eq!(stage.writes(), before, "a war");
    assert_eq!(events(stage, "DriftLoop").await, 1);

    stage.annotate("kept", REQUESTED, "2026-08-01T12:00:00Z").await;
    stage.world("a repair on request", mended).await;
    let handled = stage
        .until("kept", "the request handled", |object| {
            object.status.as_ref()?.last_handled_reconcile_at.clone()
        })
        .await;
    assert_eq!(handled, "2026-08-01T12:00:00Z");
    stage.ready("kept").await;
    assert_eq!(stage.writes().len(), before.len() + 1);
}

#[tokio::test]
async fn a_requested_reconcile_is_echoed_and_writes_nothing_else() {
    let (stage, _operator) = converged("asked").await;
    let (before, status) = (stage.writes(), stage.ready("kept").await);
    stage.annotate("kept", REQUESTED, "now, please").await;
    let handled = stage
        .until("kept", "the request handled", |object| {
            object.status.clone().filter(|status| status.last_handled_reconcile_at.is_some())
        })
        .await;
    assert_eq!(handled.last_handled_reconcile_at.as_deref(), Some("now, please"));
    assert_eq!(handled.conditions, status.conditions);
    assert_eq!(stage.writes(), before);
}

#[tokio::test]
async fn ten_resyncs_write_nothing() {
    let stage = Stage::new("quiet").await;
    let _operator = stage.operator().await;
    let regions = REGIONS.map(|name| json!({"name": name}));
    let spec = json!({"regions": regions, "behaviorOnMxFailure": "RejectMessage"});
    stage.apply("kept", spec).await;
    let status = stage.ready("kept").await;
    assert_eq!(status.regions_verified.as_deref(), Some("2/2"));
    let user = stage.launch.deployment().user();
    let written = || {
        let mut requests = stage.plane.requests_of(&user).expect("the audit log");
        let reads = ["get", "list", "watch"];
        requests.retain(|r| r.namespace == stage.namespace && !reads.contains(&r.verb.as_str()));
        // The lease is renewed whatever there is to do.
        requests.retain(|request| request.resource != "leases");
        requests.len()
    };
    let (version_before, writes, requests) = (version(&stage).await, stage.writes(), written());
    looks(&stage, 20).await;
    assert_eq!(version(&stage).await, version_before);
    assert_eq!(stage.writes(), writes);
    assert_eq!(written(), requests, "no write to the API server, Events included");
}

/// SES finds the MX only when it looks for the second time.
fn patient() -> Config {
    let checks = CheckSchedule { first: Duration::from_mins(10), ..CheckSchedule::eager() };
    Config { ses: SesConfig { checks, ..SesConfig::default() }, ..instant() }
}

#[tokio::test]
async fn kubectl_wait_never_returns_early() {
    let stage = Stage::with("wait", patient()).await;
    let kind = ("mailfrom.dev/v1alpha1", "SesMailFrom");
    let watched = Watched::start(stage.client(), kind.0, kind.1, Some(&stage.namespace));
    let regions = REGIONS.map(|name| json!({"name": name}));
    let spec = json!({"regions": regions, "behaviorOnMxFailure": "RejectMessage"});
    stage.apply("kept", spec).await;
    let (plane, namespace) = (stage.plane, stage.namespace.clone());
    let waiting = tokio::spawn(async move {
        let wait = ["wait", "--for=condition=Ready", "smf/kept", "--timeout=120s", "-n"];
        plane.kubectl(wait.into_iter().chain([namespace.as_str()])).await
    });
    let _operator = stage.operator().await;
    stage.condition("kept", "Ready", "False Pending").await;
    stage.rounds(4).await;
    assert!(!waiting.is_finished(), "kubectl wait returned while SES says Pending");
    stage.aws.advance(Duration::from_mins(10));
    waiting.await.expect("a task").expect("kubectl wait");
    stage.ready("kept").await;

    let successes = stage.aws.with(|world| {
        let to = |kind: &EventKind| {
            matches!(kind, EventKind::MailFromStatus { to: Some(MailFromStatus::Success), .. })
        };
        world.events().iter().filter(|event| to(&event.kind)).count()
    });
    assert_eq!(successes, 2);
    let history = watched.history();
    let first = history.first().and_then(|version| version.object.as_ref()).expect("a version");
    assert_eq!(first["status"]["observedGeneration"], json!(-1));
    for version in history.iter().filter_map(|version| version.object.as_ref()) {
        let ready = condition(version, "Ready").is_some_and(|ready| ready["status"] == "True");
        assert!(!ready || every_region_succeeded(version), "early: {version:#}");
    }
}

fn every_region_succeeded(object: &Value) -> bool {
    let regions = object["status"]["regions"].as_array().expect("regions");
    regions.len() == 2
        && regions.iter().all(|region| {
            region["mailFromStatus"] == "Success"
                && region["behaviorOnMxFailure"] == "RejectMessage"
        })
}

#[tokio::test]
async fn a_region_that_loses_its_success_is_not_ready() {
    let (stage, _operator) = converged("lost").await;
    stage.aws.with(|world| {
        let failing = Some((NAME, MailFromStatus::TemporaryFailure));
        let behavior = Behavior::UseDefaultValue;
        world.force_mail_from(ACCOUNT, US, DOMAIN, failing, behavior).expect("SES");
    });
    let before = stage.writes();
    stage.condition("kept", "Ready", "False TemporaryFailure").await;
    looks(&stage, 3).await;
    assert_eq!(stage.writes(), before, "TemporaryFailure is not met with a put");
    stage.aws.with(|world| world.check_mail_from(ACCOUNT, US, DOMAIN));
    let status = stage.ready("kept").await;
    assert_eq!(region(&status, US).restarts, 0);
}
