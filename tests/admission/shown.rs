//! What people and tools read off an object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::{Value, json};
use ses_mailfrom::api::{
    ConditionType, Reason, RecordState, RecordStatus, RegionStatus, Sending, SesMailFromStatus,
    ZoneStatus,
};
use ses_mailfrom::mail::{BehaviorOnMxFailure, MailFromStatus, Origin};

use crate::bench::{Bench, with};

#[tokio::test]
async fn a_new_object_never_reads_as_settled() {
    let bench = Bench::new().await;
    let created = bench.create("new", &with(&json!({}))).await.unwrap();
    assert_eq!(created.metadata.generation, Some(1));
    assert_eq!(created.data["status"], json!({ "observedGeneration": -1 }));
    let wait = ["wait", "--for=condition=Ready", "smf/new", "--timeout=1s"];
    let said = bench.kubectl(&wait).await.unwrap_err().to_string();
    assert!(said.contains("timed out waiting for the condition"), "{said}");
}

#[tokio::test]
async fn an_old_answer_does_not_count_for_a_new_spec() {
    let bench = Bench::new().await;
    bench.create("changed", &with(&json!({}))).await.unwrap();
    bench.apply_status("changed", &full_status()).await;
    let wait = ["wait", "--for=condition=Ready", "smf/changed", "--timeout=30s"];
    bench.kubectl(&wait).await.expect("Ready for generation 1");
    bench.merge("changed", &json!({ "subdomain": "mail" })).await.unwrap();
    let wait = ["wait", "--for=condition=Ready", "smf/changed", "--timeout=1s"];
    let said = bench.kubectl(&wait).await.unwrap_err().to_string();
    assert!(said.contains("timed out waiting for the condition"), "{said}");
}

#[tokio::test]
async fn every_field_of_status_that_the_operator_writes_is_kept_as_written() {
    let bench = Bench::new().await;
    bench.create("full", &with(&json!({}))).await.unwrap();
    let written = full_status();
    let kept = bench.apply_status("full", &written).await;
    assert_eq!(kept.data["status"], serde_json::to_value(&written).unwrap());
}

#[tokio::test]
async fn kubectl_get_shows_what_a_person_asks_first() {
    let bench = Bench::new().await;
    bench.create("shown", &with(&json!({}))).await.unwrap();
    bench.apply_status("shown", &full_status()).await;
    let narrow = bench.kubectl(&["get", "smf"]).await.unwrap();
    let columns: Vec<_> = narrow.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(columns, ["NAME", "DOMAIN", "MAILFROM", "READY", "REASON", "REGIONS", "AGE"]);
    let row: Vec<_> = narrow.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        row[..6],
        ["shown", "example.com", "bounce.example.com", "True", "Succeeded", "1/2"]
    );
    let wide = bench.kubectl(&["get", "ses", "-o", "wide"]).await.unwrap();
    let mut lines = wide.lines();
    let columns: Vec<_> = lines.next().unwrap().split_whitespace().skip(7).collect();
    assert_eq!(columns, ["MX-FAILURE", "ZONE", "MESSAGE"]);
    let row = lines.next().unwrap();
    assert!(row.contains("UseDefaultValue   Z1     all is well"), "{wide}");
}

#[tokio::test]
async fn objects_are_found_by_their_domain() {
    let bench = Bench::new().await;
    for domain in ["one.example", "two.example"] {
        bench.create(domain, &with(&json!({ "domain": domain }))).await.unwrap();
    }
    let found = ["get", "smf", "-o", "name", "--field-selector", "spec.domain=two.example"];
    assert_eq!(bench.kubectl(&found).await.unwrap().trim(), "sesmailfrom.mailfrom.dev/two.example");
}

#[tokio::test]
async fn kubectl_explain_tells_meaning_default_and_example_of_every_field() {
    let bench = Bench::new().await;
    let crd = ["get", "crd", "sesmailfroms.mailfrom.dev", "-o", "json"];
    let crd: Value = serde_json::from_str(&bench.kubectl(&crd).await.unwrap()).unwrap();
    let spec = &crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    let mut paths = Vec::new();
    fields("sesmailfrom.spec", spec, &mut paths);
    assert!(paths.contains(&"sesmailfrom.spec.dns.hostedZoneID".to_owned()), "{paths:?}");
    assert!(paths.contains(&"sesmailfrom.spec.regions.subdomain".to_owned()), "{paths:?}");
    for path in paths {
        let text = bench.kubectl(&["explain", &path]).await.unwrap();
        let (_, text) = text.split_once("DESCRIPTION:").expect("a description");
        let text = text.split("FIELDS:").next().unwrap().split_whitespace();
        let text = text.collect::<Vec<_>>().join(" ");
        let (meaning, rest) =
            text.split_once(" Default: ").unwrap_or_else(|| panic!("{path}: no default in {text}"));
        assert!(meaning.len() > 20 && meaning.ends_with('.'), "{path}: no meaning in {text}");
        assert!(rest.contains(" Example: `"), "{path}: no example in {text}");
    }
}

fn fields(path: &str, schema: &Value, paths: &mut Vec<String>) {
    let inner = if schema["items"].is_object() { &schema["items"] } else { schema };
    for (name, field) in inner["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        fields(&path, field, paths);
        paths.push(path);
    }
}

/// A status of the first generation in which no field is left out.
fn full_status() -> SesMailFromStatus {
    let now = Time("2026-08-01T12:00:00Z".parse().unwrap());
    let condition = |kind: ConditionType| Condition {
        type_: kind.as_str().into(),
        status: "True".into(),
        reason: Reason::Succeeded.as_str().into(),
        message: "all is well".into(),
        observed_generation: Some(1),
        last_transition_time: now.clone(),
    };
    SesMailFromStatus {
        observed_generation: 1,
        conditions: ConditionType::ALL.map(condition).into(),
        mail_from_domain: Some("bounce.example.com".into()),
        regions_verified: Some("1/2".into()),
        regions: vec![RegionStatus {
            name: "us-east-1".into(),
            account: Some("123456789012".into()),
            origin: Some(Origin::Adopted),
            adopted_time: Some(now.clone()),
            mail_from_domain: Some("bounce.example.com".into()),
            mail_from_status: MailFromStatus::TemporaryFailure,
            behavior_on_mx_failure: Some(BehaviorOnMxFailure::RejectMessage),
            sending: Sending::Rejected,
            since: Some(now.clone()),
            deadline: Some(now.clone()),
            last_put_time: Some(now.clone()),
            restarts: 2,
            reject_tried_generation: Some(1),
            repair_times: vec![now.clone(); 3],
            message: "gone".into(),
        }],
        records: vec![RecordStatus {
            name: "bounce.example.com".into(),
            rtype: "MX".into(),
            ttl_seconds: 300,
            values: vec!["10 feedback-smtp.us-east-1.amazonses.com".into()],
            zone: "Z1".into(),
            state: RecordState::Draining,
            origin: Some(Origin::Adopted),
            adopted_time: Some(now.clone()),
            since: Some(now.clone()),
            repair_times: vec![now; 3],
        }],
        zones: vec![ZoneStatus {
            id: "Z1".into(),
            account: Some("123456789012".into()),
            change_id: Some("C1".into()),
        }],
        last_handled_reconcile_at: Some("now".into()),
    }
}
