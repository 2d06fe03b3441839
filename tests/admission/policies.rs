//! What a `SesMailFromPolicy` may say. Nothing is kept: every policy is tried dry.

use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{GroupVersionKind, Status};
use kube::discovery::ApiResource;
use serde_json::{Value, json};

use crate::bench::{Bench, fields_at_fault, status_of};

/// A policy that is accepted, with `changes` to its spec.
async fn tried(bench: &Bench, changes: &Value) -> Result<DynamicObject, Status> {
    let mut spec = json!({ "namespaceSelector": {}, "domains": ["example.org"] });
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    let kind = GroupVersionKind::gvk("mailfrom.dev", "v1alpha1", "SesMailFromPolicy");
    let resource = ApiResource::from_gvk_with_plural(&kind, "sesmailfrompolicies");
    let policies: Api<DynamicObject> =
        Api::all_with(bench.plane.client().await.unwrap(), &resource);
    let policy = json!({
        "apiVersion": "mailfrom.dev/v1alpha1",
        "kind": "SesMailFromPolicy",
        "metadata": { "name": "tried" },
        "spec": spec,
    });
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let policy = serde_json::from_value(policy).unwrap();
    policies.create(&params, &policy).await.map_err(status_of)
}

async fn refuses(bench: &Bench, changes: Value, field: &str, words: &str) {
    let Err(status) = tried(bench, &changes).await else { panic!("accepted: {changes}") };
    assert_eq!(fields_at_fault(&status), [field], "{changes}: {status:?}");
    assert!(status.message.contains(words), "{changes}: no \"{words}\" in {}", status.message);
}

#[tokio::test]
async fn what_is_left_out_of_a_policy_is_denied() {
    let bench = Bench::new().await;
    let accepted = tried(&bench, &json!({})).await.expect("the least policy");
    let expected = json!({
        "namespaceSelector": {},
        "domains": ["example.org"],
        "regions": [],
        "roleARNs": [],
        "ambientCredentials": "Deny",
        "takeOver": "Deny",
        "spfIncludes": [],
    });
    assert_eq!(accepted.data["spec"], expected);
    for missing in ["namespaceSelector", "domains"] {
        let field = format!("spec.{missing}");
        refuses(&bench, json!({ missing: null }), &field, "Required value").await;
    }
    refuses(&bench, json!({ "domains": [] }), "spec.domains", "at least 1 items").await;
}

#[tokio::test]
async fn domains_are_names_names_below_one_or_all() {
    let bench = Bench::new().await;
    for good in ["example.org", "*.example.org", "*", "co.uk"] {
        tried(&bench, &json!({ "domains": [good] })).await.expect(good);
    }
    for bad in ["", "Example.org", "example.org.", "a.*.example.org", "*example.org", "ex ample"] {
        let says = "must be a lower-case domain name";
        refuses(&bench, json!({ "domains": [bad] }), "spec.domains[0]", says).await;
    }
    let twice = json!({ "domains": ["example.org", "example.org"] });
    refuses(&bench, twice, "spec.domains[1]", "Duplicate value").await;
}

#[tokio::test]
async fn regions_roles_and_senders_are_bounded() {
    let bench = Bench::new().await;
    let role = "arn:aws:iam::123456789012:role/team/mail-from";
    let good = json!({
        "regions": ["us-east-1"], "roleARNs": [role], "spfIncludes": ["*", "_spf.other.example"],
        "ambientCredentials": "Allow", "takeOver": "Allow",
    });
    tried(&bench, &good).await.expect("all of it");
    for bad in ["arn:aws:iam::123456789012:role/*", "arn:aws:iam::123456789012:user/x", "*"] {
        let says = "must be the ARN of an IAM role";
        refuses(&bench, json!({ "roleARNs": [bad] }), "spec.roleARNs[0]", says).await;
    }
    refuses(&bench, json!({ "regions": ["Ohio"] }), "spec.regions[0]", "region").await;
    refuses(&bench, json!({ "spfIncludes": ["a b"] }), "spec.spfIncludes[0]", "include:").await;
    for field in ["ambientCredentials", "takeOver"] {
        let says = "supported values: \"Allow\", \"Deny\"";
        refuses(&bench, json!({ field: "Yes" }), &format!("spec.{field}"), says).await;
    }
}

#[tokio::test]
async fn a_selector_says_whole_conditions() {
    let bench = Bench::new().await;
    let selector =
        |requirement: Value| json!({ "namespaceSelector": { "matchExpressions": [requirement] } });
    let whole = json!({ "key": "team", "operator": "In", "values": ["mail"] });
    tried(&bench, &selector(whole)).await.expect("a whole condition");
    for (operator, values) in [("In", json!([])), ("Exists", json!(["mail"]))] {
        let broken = json!({ "key": "team", "operator": operator, "values": values });
        let field = "spec.namespaceSelector.matchExpressions[0].values";
        refuses(&bench, selector(broken), field, "must be given for In and NotIn").await;
    }
}
