//! What the roles grant the operator, against what it asked the API server for in
//! all the tests that run its binary. They come before this one in the alphabet,
//! and so in `cargo test`; their control planes leave their audit logs behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::time::Duration;

use harness::audit::{Permission, Request, kept_requests};
use harness::{target_dir, wait_until};
use serde::Deserialize;
use serde_json::Value;

/// The test binaries whose control planes the operator runs against.
const SUITE: [&str; 2] = ["cluster", "e2e"];
const OPERATOR: &str = "system:serviceaccount:ses-mailfrom-system:ses-mailfrom";
const LIMIT: Duration = Duration::from_mins(1);

fn texts(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap_or_default()
}

/// What the roles that are bound to the operator grant.
fn granted() -> BTreeSet<Permission> {
    let file = harness::workspace_dir().join("deploy/rbac.yaml");
    let yaml = std::fs::read_to_string(file).expect("deploy/rbac.yaml");
    let all = serde_yaml_ng::Deserializer::from_str(&yaml);
    let objects: Vec<Value> = all.map(|text| Value::deserialize(text).expect("YAML")).collect();
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

/// What the operator asked for in the whole suite. A log is moved to where it is
/// kept a moment after its test binary has ended.
async fn asked() -> Vec<Request> {
    let kept = target_dir().join("harness/audit");
    let suite = SUITE.map(|name| kept.join(format!("{name}-0.log")));
    let what = "the audit logs of the whole suite (`make test` runs it)";
    let requests =
        wait_until(what, LIMIT, async || match suite.iter().find(|log| !log.is_file()) {
            Some(missing) => Err(format!("{} is not there", missing.display())),
            None => kept_requests().map_err(|error| error.to_string()),
        });
    let requests = requests.await.unwrap_or_else(|error| panic!("{error}"));
    requests.into_iter().filter(|request| request.user == OPERATOR).collect()
}

#[tokio::test]
async fn the_verbs_that_the_whole_suite_uses_are_those_granted() {
    let (granted, asked) = (granted(), asked().await);
    assert!(granted.len() >= 5, "{granted:?}");
    // One test bars an operator from its Lease, in a namespace without the Role.
    let barred = |request: &Request| request.resource == "leases" && request.namespace == "default";
    let refused = asked.iter().filter(|request| request.code == 403 && !barred(request));
    let refused: Vec<_> = refused.collect();
    assert!(refused.is_empty(), "not granted: {refused:#?}");
    let used: BTreeSet<_> = asked.iter().filter_map(Request::permission).collect();
    let idle: Vec<_> = granted.difference(&used).collect();
    assert!(idle.is_empty(), "granted and never used: {idle:#?}");
    let beside: Vec<_> = used.difference(&granted).collect();
    assert!(beside.is_empty(), "used by way of another role: {beside:#?}");
}
