//! What is granted is what is used, no more and no less.

use std::collections::BTreeSet;
use std::path::Path;

use aws_simulator::{Outcome, RecordType, Service};
use harness::audit::Permission;
use harness::wait_until;
use serde_json::{Value, json};

use crate::alone;
use crate::stage::{LIMIT, NAME, REGIONS, Stage, ZONE};

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

/// What the roles that are bound to the operator grant.
fn granted(objects: &[Value]) -> BTreeSet<Permission> {
    let is_ours = |object: &&Value| {
        matches!(object["kind"].as_str(), Some("ClusterRole" | "Role"))
            && object["metadata"]["name"] == "ses-mailfrom"
    };
    let rules = objects.iter().filter(is_ours).flat_map(|role| role["rules"].as_array().unwrap());
    let mut granted = BTreeSet::new();
    for rule in rules {
        for group in texts(&rule["apiGroups"]) {
            for resource in texts(&rule["resources"]) {
                for verb in texts(&rule["verbs"]) {
                    let (group, resource) = (group.clone(), resource.clone());
                    granted.insert(Permission { group, resource, verb });
                }
            }
        }
    }
    granted
}

#[tokio::test]
async fn the_verbs_used_in_a_whole_life_are_those_granted() {
    let _alone = alone().await;
    let stage = Stage::new("rbac").await;
    let operator = stage.operator().await;
    let standby = stage.launch.start(stage.plane).await.expect("a second operator");
    standby.ready(LIMIT).await.expect("a standby that is ready");
    life(&stage).await;
    let objects = stage.plane.kustomize("deploy").await.expect("kubectl kustomize deploy");
    let (granted, user) = (granted(&objects), stage.launch.deployment().user());
    assert!(granted.len() >= 5, "{granted:?}");
    // Events are posted, and the log is written, behind the deed.
    wait_until("verbs used that are those granted", LIMIT, async || {
        let verbs = stage.plane.permissions_used(&user).map_err(|error| error.to_string())?;
        let differ: Vec<_> = verbs.symmetric_difference(&granted).collect();
        if differ.is_empty() { Ok(()) } else { Err(format!("{differ:?}")) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    let requests = stage.plane.requests_of(&user).expect("the audit log");
    let refused: Vec<_> = requests.iter().filter(|request| request.code == 403).collect();
    assert!(refused.is_empty(), "{refused:?}\n{}", operator.output().tail(20));
}

/// The actions that the documented IAM policy allows.
fn allowed() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/iam-policy.json");
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
