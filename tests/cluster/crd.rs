//! The CRD missing at start, and objects that a looser CRD let in.

use harness::{ControlPlane, http_get, wait_until};
use serde_json::{Value, json};

use crate::alone;
use crate::stage::{LIMIT, REGIONS, Stage};

const CRD: &str = "crd/sesmailfroms.mailfrom.dev";

async fn established(plane: &ControlPlane) {
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", CRD];
    plane.kubectl(wait).await.expect("an established CRD");
}

#[tokio::test]
async fn a_missing_crd_is_waited_for() {
    let _alone = alone().await;
    let stage = Stage::new("nocrd").await;
    // A cluster of its own: this one has objects.
    let plane = ControlPlane::start().await.expect("a control plane");
    plane.apply_kustomize("deploy").await.expect("kubectl apply -k deploy");
    established(&plane).await;
    plane.kubectl(["delete", CRD, "--wait=true"]).await.expect("no CRD");
    plane.kubectl(["create", "namespace", &stage.namespace]).await.expect("a namespace");

    let namespace = stage.launch.deployment().namespace.clone();
    let launch = stage.launch.clone().env("POD_NAMESPACE", &namespace);
    let operator = launch.start(&plane).await.expect("an operator");
    let said = wait_until("/readyz that names the CRD", LIMIT, async || {
        match http_get(operator.address(), "/readyz").await {
            Ok((503, body)) if body.contains("sesmailfroms.mailfrom.dev") => Ok(body),
            Ok((status, body)) => Err(format!("{status} {body}")),
            Err(error) => Err(error.to_string()),
        }
    });
    let said = said.await.unwrap_or_else(|error| panic!("{error}"));
    assert!(said.contains("not installed"), "{said}");
    let (alive, _) = http_get(operator.address(), "/livez").await.expect("/livez");
    assert_eq!(alive, 200, "a restart would not help");

    plane.apply_kustomize("crds").await.expect("kubectl apply -k crds");
    established(&plane).await;
    operator.ready(LIMIT).await.expect("a ready operator");
    let object = json!({
        "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
        "metadata": {"name": "late", "namespace": stage.namespace},
        "spec": {"domain": "example.com", "subdomain": "bounce", "regions": [{"name": REGIONS[0]}]},
    });
    plane.apply(&object.to_string()).await.expect("an object");
    let wait = ["wait", "--for=condition=Ready", "--timeout=60s", "smf/late", "-n"];
    plane.kubectl(wait.into_iter().chain([stage.namespace.as_str()])).await.expect("Ready");
}

/// Lets anything in, does something, and takes the CRD back to what it was.
async fn loosened(stage: &Stage, within: impl AsyncFnOnce()) {
    let crd = stage.plane.kubectl(["get", CRD, "-o", "json"]).await.expect("the CRD");
    let crd: Value = serde_json::from_str(&crd).expect("JSON");
    let schema = "/spec/versions/0/schema/openAPIV3Schema/properties/spec";
    // `.spec.domain` is selectable, so the schema has to name it.
    let loose = json!({
        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
        "properties": {"domain": {"type": "string"}},
    });
    let patch = json!([{"op": "replace", "path": schema, "value": loose}]).to_string();
    stage.plane.kubectl(["patch", CRD, "--type=json", "-p", &patch]).await.expect("a loose CRD");
    within().await;
    let strict = crd.pointer(schema).expect("a schema");
    let patch = json!([{"op": "replace", "path": schema, "value": strict}]).to_string();
    stage.plane.kubectl(["patch", CRD, "--type=json", "-p", &patch]).await.expect("the CRD");
}

#[tokio::test]
async fn an_object_that_does_not_parse_stops_nobody_else() {
    let _alone = alone().await;
    let stage = Stage::new("poison").await;
    let operator = stage.operator().await;
    let poison = json!({
        "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
        "metadata": {"name": "poison", "namespace": stage.namespace},
        "spec": {"domain": "example.com", "subdomain": "bounce", "regions": "all of them"},
    })
    .to_string();
    loosened(&stage, async || {
        let applied = wait_until("an object that the loose CRD lets in", LIMIT, async || {
            stage.plane.apply(&poison).await.map_err(|error| error.to_string())
        });
        applied.await.unwrap_or_else(|error| panic!("{error}"));
    })
    .await;
    operator.output().wait_for_line("Could not parse", LIMIT).await.expect("a log line");
    stage.apply("healthy", json!({"regions": [{"name": REGIONS[0]}]})).await;
    stage.ready("healthy").await;
    // The same for an operator that finds it in its first list.
    operator.stop(LIMIT).await.expect("a graceful end");
    let operator = stage.operator().await;
    operator.output().wait_for_line("Could not parse", LIMIT).await.expect("a log line");
    stage.rounds(2).await;
    stage.ready("healthy").await;
    let metrics = operator.metrics().await.expect("metrics");
    assert!(metrics.contains("sesmailfrom_reconcile_total{result=\"unreadable\"} "), "{metrics}");
    let get = ["get", "smf/poison", "-o", "json", "-n", stage.namespace.as_str()];
    let object: Value =
        serde_json::from_str(&stage.plane.kubectl(get).await.expect("the object")).expect("JSON");
    assert_eq!(object["metadata"]["finalizers"], Value::Null, "it is left alone");
    let delete = ["delete", "smf/poison", "--timeout=30s", "-n", stage.namespace.as_str()];
    stage.plane.kubectl(delete).await.expect("a deletion");
}
