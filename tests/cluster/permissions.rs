//! What the documented IAM policy allows is what is used, no more and no less.
//! `tests/permissions.rs` says the same of RBAC.

use std::collections::BTreeSet;

use aws_simulator::{Outcome, RecordType, Service};
use serde_json::{Value, json};

use crate::alone;
use crate::stage::{NAME, REGIONS, Stage, ZONE};

/// A whole life: made, repaired, changed, deleted.
async fn life(stage: &Stage) {
    let regions = REGIONS.map(|name| json!({"name": name}));
    stage.apply("life", json!({"regions": regions, "deletionPolicy": "Delete"})).await;
    stage.ready("life").await;
    stage.aws.with(|world| {
        world.delete_record_set(ZONE, NAME, RecordType::MX).expect("the MX");
    });
    stage
        .world("the repair", |world| world.record_set(ZONE, NAME, RecordType::MX).map(|_| ()))
        .await;
    stage.edit("life", json!({"behaviorOnMxFailure": "RejectMessage"})).await;
    stage.ready("life").await;
    stage.delete("life").await;
    stage.gone("life").await;
}

fn texts(value: &Value) -> Vec<String> {
    let one = value.as_str().map(|text| vec![text.to_owned()]);
    let many = || serde_json::from_value(value.clone()).unwrap_or_default();
    one.unwrap_or_else(many)
}

/// The actions that the documented IAM policy allows.
fn allowed() -> BTreeSet<String> {
    let file = harness::workspace_dir().join("docs/iam-policy.json");
    let text = std::fs::read_to_string(file).expect("docs/iam-policy.json");
    let policy: Value = serde_json::from_str(&text).expect("JSON");
    let statements = policy["Statement"].as_array().expect("statements");
    statements.iter().flat_map(|statement| texts(&statement["Action"])).collect()
}

#[tokio::test]
async fn the_aws_actions_used_in_a_whole_life_are_those_of_the_policy() {
    let _alone = alone().await;
    let stage = Stage::new("iam").await;
    let _operator = stage.operator().await;
    // More than one call for a hundred tells of: then a list of all is cheaper.
    for n in 0..101 {
        let domain = format!("crowd{n}.example");
        stage
            .apply(
                &format!("crowd{n}"),
                json!({"domain": domain, "regions": [{"name": REGIONS[0]}]}),
            )
            .await;
    }
    stage
        .world("a list of all identities", |world| {
            world.calls_of("ListEmailIdentities").next().map(drop)
        })
        .await;
    life(&stage).await;
    let used: BTreeSet<String> = stage.aws.with(|world| {
        let answered = world.calls().iter().filter(|call| call.outcome == Outcome::Ok);
        answered
            .filter_map(|call| match call.service {
                Service::Ses => Some(format!("ses:{}", call.action)),
                Service::Route53 => Some(format!("route53:{}", call.action)),
                // GetCallerIdentity needs no permission.
                Service::Sts if call.action == "GetCallerIdentity" => None,
                Service::Sts => Some(format!("sts:{}", call.action)),
            })
            .collect()
    });
    assert_eq!(used, allowed());
}
