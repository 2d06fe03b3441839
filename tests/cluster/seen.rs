//! What a person sees besides conditions: metrics and Events.

use aws_simulator::RecordType;
use harness::wait_until;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::ListParams;
use serde_json::json;

use crate::alone;
use crate::stage::{LIMIT, NAME, REGIONS, Stage, ZONE};

#[tokio::test]
async fn the_metrics_have_the_names_that_are_promised() {
    let _alone = alone().await;
    let stage = Stage::new("metrics").await;
    let operator = stage.operator().await;
    stage.apply("kept", json!({"regions": [{"name": REGIONS[0]}]})).await;
    stage.ready("kept").await;
    stage.aws.with(|world| {
        world.delete_record_set(ZONE, NAME, RecordType::MX).expect("the MX");
    });
    let namespace = &stage.namespace;
    let object = format!("namespace=\"{namespace}\",name=\"kept\"");
    let call =
        "service=\"ses\",operation=\"GetIdentityMailFromDomainAttributes\",region=\"us-east-1\"";
    let expected = [
        "sesmailfrom_reconcile_total{result=\"settled\"} ".to_owned(),
        "sesmailfrom_reconcile_duration_seconds_count".to_owned(),
        "sesmailfrom_reconcile_duration_seconds_bucket{le=".to_owned(),
        format!("sesmailfrom_resource_ready_status{{{object},condition=\"True\"}} 1"),
        format!(
            "sesmailfrom_region_mail_from_status{{{object},region=\"us-east-1\",status=\"Success\"}} 1"
        ),
        format!("sesmailfrom_aws_requests_total{{{call},code="),
        format!("sesmailfrom_aws_request_duration_seconds_count{{{call}}} "),
        "sesmailfrom_drift_corrected_total{kind=\"records\"} 1".to_owned(),
        "sesmailfrom_leader 1".to_owned(),
        "sesmailfrom_build_info{version=".to_owned(),
    ];
    let all = wait_until("the metrics promised", LIMIT, async || {
        let text = operator.metrics().await.map_err(|error| error.to_string())?;
        let missing: Vec<_> = expected
            .iter()
            .filter(|start| !text.lines().any(|line| line.starts_with(start.as_str())))
            .collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("no {missing:?} in:\n{text}")) }
    });
    all.await.unwrap_or_else(|error| panic!("{error}"));
}

async fn events(stage: &Stage) -> Vec<String> {
    let api: Api<Event> = Api::namespaced(stage.client(), &stage.namespace);
    let all = api.list(&ListParams::default()).await.expect("Events");
    all.items.into_iter().filter_map(|event| event.reason).collect()
}

#[tokio::test]
async fn events_tell_of_transitions_only() {
    let _alone = alone().await;
    let stage = Stage::new("events").await;
    let _operator = stage.operator().await;
    stage.apply("kept", json!({"regions": REGIONS.map(|name| json!({"name": name}))})).await;
    stage.ready("kept").await;
    let said = wait_until("the Event of the end", LIMIT, async || {
        let said = events(&stage).await;
        if said.iter().any(|reason| reason == "Succeeded") {
            Ok(said)
        } else {
            Err(format!("{said:?}"))
        }
    });
    let told = said.await.unwrap_or_else(|error| panic!("{error}"));
    assert!(told.len() <= 2, "{told:?}");
    stage.rounds(10).await;
    assert_eq!(events(&stage).await, told, "nothing happened, so nothing is told");
    let describe = ["describe", "smf/kept", "-n", stage.namespace.as_str()];
    let described = stage.plane.kubectl(describe).await.expect("kubectl describe");
    let (_, shown) = described.split_once("Events:").expect("Events");
    for part in ["Normal", "Succeeded", "ses-mailfrom"] {
        assert!(shown.contains(part), "no {part} in:\n{described}");
    }

    let foreign = aws_simulator::RecordSet::new(NAME, RecordType::MX, 300, &["10 mx.mail.example"]);
    stage.aws.with(|world| world.put_record_set(ZONE, foreign.expect("an MX")).expect("a zone"));
    stage.condition("kept", "Stalled", "True RecordConflict").await;
    stage.rounds(6).await;
    let said = events(&stage).await;
    let conflicts = said.iter().filter(|reason| *reason == "RecordConflict").count();
    assert_eq!((said.len(), conflicts), (told.len() + 1, 1), "{said:?}");
}
