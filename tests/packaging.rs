//! What is shipped to run the operator: the kustomize base, the chart, the
//! samples and what the README says about them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{collections::BTreeMap, fs, path::PathBuf, process::Command};

use harness::{ControlPlane, workspace_dir};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const CHART: &str = "charts/ses-mailfrom-operator";
const NAMESPACE: &str = "ses-mailfrom-system";
const ACCOUNT: &str = "--as=system:serviceaccount:ses-mailfrom-system:ses-mailfrom";

/// Rendered objects by kind and name.
type Objects = BTreeMap<(String, String), Value>;

fn by_name(objects: impl IntoIterator<Item = Value>) -> Objects {
    let key = |object: &Value| {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&object["kind"]), text(&object["metadata"]["name"]))
    };
    objects.into_iter().map(|object| (key(&object), object)).collect()
}

fn documents(yaml: &str) -> Vec<Value> {
    let all =
        serde_yaml_ng::Deserializer::from_str(yaml).map(|text| Value::deserialize(text).unwrap());
    all.filter(|document| !document.is_null()).collect()
}

/// `helm template` with `values` over the chart's, or what it said when it refused.
fn helm(values: &Value) -> Result<Objects, String> {
    let bin = std::env::var_os("HELM_BIN").filter(|dir| !dir.is_empty());
    let helm =
        workspace_dir().join(bin.map_or_else(|| "target/helm".into(), PathBuf::from)).join("helm");
    assert!(helm.is_file(), "no {}: run `make helm`", helm.display());
    let args = ["template", "any-release", CHART, "--include-crds", "--namespace", NAMESPACE];
    let values = values.as_object().unwrap().iter();
    let sets = values.map(|(name, value)| format!("--set-json={name}={value}"));
    let output = Command::new(helm)
        .args(args)
        .args(sets)
        .current_dir(workspace_dir())
        .env_clear()
        .output()
        .unwrap();
    if output.status.success() {
        Ok(by_name(documents(&String::from_utf8(output.stdout).unwrap())))
    } else {
        Err(String::from_utf8(output.stderr).unwrap())
    }
}

/// `kubectl kustomize deploy`.
async fn kustomize() -> Objects {
    let plane = ControlPlane::shared().await.unwrap();
    by_name(plane.kustomize("deploy").await.unwrap())
}

/// A control plane on which `kubectl apply -k deploy` was run.
async fn installed() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let plane = ControlPlane::shared().await.unwrap();
    let install = async || {
        plane.apply_kustomize("deploy").await.unwrap();
    };
    INSTALLED.get_or_init(install).await;
    plane
}

fn deployment(objects: &Objects) -> &Value {
    &objects[&("Deployment".to_owned(), "ses-mailfrom".to_owned())]
}

#[tokio::test]
async fn chart_and_base_render_the_same_objects() {
    let mut base = kustomize().await;
    // Helm installs into a namespace that is there; the README applies this one.
    base.remove(&("Namespace".to_owned(), NAMESPACE.to_owned())).expect("the namespace");
    let mut chart = helm(&json!({})).unwrap();
    for labels in chart.values_mut().filter_map(|object| object.pointer_mut("/metadata/labels")) {
        let labels = labels.as_object_mut().unwrap();
        labels.remove("helm.sh/chart").expect("Helm's labels");
        labels.remove("app.kubernetes.io/managed-by").expect("Helm's labels");
    }
    let names = |objects: &Objects| objects.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&chart), names(&base));
    for (name, object) in base {
        assert!(
            chart[&name] == object,
            "{name:?} differs: see `helm template` and `kubectl kustomize`"
        );
    }
}

#[test]
fn each_value_of_the_chart_goes_where_it_belongs_and_nowhere_else() {
    let plain = helm(&json!({})).unwrap();
    let env = json!([{ "name": "AWS_REGION", "value": "us-east-1" }]);
    let resources = json!({ "limits": { "memory": "1Gi" } });
    let tolerations = json!([{ "operator": "Exists" }]);
    let affinity = json!({ "nodeAffinity": {} });
    let set = helm(&json!({
        "replicas": 1,
        "image": { "repository": "registry.example/op", "tag": "1.2.3", "pullPolicy": "Always" },
        "imagePullSecrets": [{ "name": "pull" }],
        "serviceAccount": { "annotations": { "eks.amazonaws.com/role-arn": "arn" } },
        "extraArgs": ["--resync=5m"],
        "extraEnv": env,
        "resources": resources,
        "podAnnotations": { "a": "1" },
        "podLabels": { "l": "2" },
        "nodeSelector": { "n": "3" },
        "tolerations": tolerations,
        "affinity": affinity,
    }))
    .unwrap();

    let mut expected = plain.clone();
    let account = ("ServiceAccount".to_owned(), "ses-mailfrom".to_owned());
    expected.get_mut(&account).unwrap()["metadata"]["annotations"] =
        json!({ "eks.amazonaws.com/role-arn": "arn" });
    let deployment = ("Deployment".to_owned(), "ses-mailfrom".to_owned());
    let spec = &mut expected.get_mut(&deployment).unwrap()["spec"];
    spec["replicas"] = json!(1);
    let template = &mut spec["template"];
    template["metadata"]["annotations"] = json!({ "a": "1" });
    template["metadata"]["labels"]["l"] = json!("2");
    let pod = &mut template["spec"];
    pod["imagePullSecrets"] = json!([{ "name": "pull" }]);
    pod["nodeSelector"] = json!({ "n": "3" });
    pod["tolerations"] = tolerations;
    pod["affinity"] = affinity;
    let container = &mut pod["containers"][0];
    container["image"] = json!("registry.example/op:1.2.3");
    container["imagePullPolicy"] = json!("Always");
    container["args"] = json!(["--resync=5m"]);
    // Behind what the operator needs itself.
    container["env"].as_array_mut().unwrap().extend(env.as_array().unwrap().clone());
    // Maps are merged with the chart's own.
    container["resources"]["limits"] = resources["limits"].clone();
    assert_eq!(set, expected);
}

#[test]
fn the_default_policy_and_the_right_to_edit_are_one_value_each() {
    let plain = helm(&json!({})).unwrap();
    let policy = ("SesMailFromPolicy".to_owned(), "default".to_owned());
    let edit = ("ClusterRole".to_owned(), "ses-mailfrom-edit".to_owned());
    assert!(plain.contains_key(&policy) && !plain.contains_key(&edit));
    let mut expected = plain.clone();
    expected.remove(&policy);
    assert_eq!(helm(&json!({ "defaultPolicy": { "enabled": false } })).unwrap(), expected);

    let mut told = helm(&json!({ "rbac": { "aggregateToEdit": true } })).unwrap();
    let role = told.remove(&edit).unwrap();
    assert_eq!(told, plain);
    assert_eq!(role["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"], "true");
    let rules = json!([{
        "apiGroups": ["mailfrom.dev"],
        "resources": ["sesmailfroms"],
        "verbs": ["create", "update", "patch", "delete", "deletecollection"],
    }]);
    assert_eq!(role["rules"], rules);
}

#[tokio::test]
async fn who_views_or_edits_a_namespace_sees_objects_and_no_policies() {
    let plane = installed().await;
    let user = "--as=tenant";
    for role in ["view", "edit"] {
        // No controller manager runs here, which would fill the aggregated roles in.
        let rules = plane.kubectl(["get", "clusterrole", role, "-o", "json"]).await.unwrap();
        let rule: Value = serde_json::from_str(&rules).unwrap();
        let selectors = rule["aggregationRule"]["clusterRoleSelectors"].as_array().unwrap().clone();
        let selects = |labels: &Value| {
            selectors.iter().any(|selector| {
                let wanted = selector["matchLabels"].as_object().unwrap();
                wanted.iter().all(|(key, value)| labels[key] == *value)
            })
        };
        let base = kustomize().await;
        let ours = base.iter().filter(|((kind, _), role)| {
            kind == "ClusterRole" && selects(&role["metadata"]["labels"])
        });
        let granted: Vec<_> = ours.map(|(_, role)| role["rules"].clone()).collect();
        let seen = json!([{
            "apiGroups": ["mailfrom.dev"], "resources": ["sesmailfroms"],
            "verbs": ["get", "list", "watch"],
        }]);
        let expected = if role == "view" { vec![seen] } else { vec![] };
        assert_eq!(granted, expected, "{role}");
    }
    for verb in ["create", "get", "list"] {
        let args = ["auth", "can-i", verb, "sesmailfrompolicies.mailfrom.dev", user];
        assert!(plane.kubectl(args).await.is_err(), "anybody may {verb} policies");
    }
}

#[test]
fn the_chart_refuses_values_that_it_would_ignore_or_break_on() {
    let bad = [
        (json!({ "replicaCount": 2 }), "replicaCount"),
        (json!({ "replicas": 0 }), "replicas"),
        (json!({ "image": { "name": "x" } }), "name"),
        (json!({ "image": { "pullPolicy": "Sometimes" } }), "pullPolicy"),
        (json!({ "extraArgs": ["resync=5m"] }), "extraArgs"),
        (json!({ "extraEnv": [{ "value": "x" }] }), "extraEnv"),
        (json!({ "podLabels": { "a": 1 } }), "podLabels"),
        (json!({ "defaultPolicy": { "enable": false } }), "enable"),
        (json!({ "rbac": { "aggregateToEdit": "no" } }), "aggregateToEdit"),
    ];
    for (values, named) in bad {
        let said = helm(&values).expect_err(&values.to_string());
        assert!(said.contains("don't meet the specifications of the schema"), "{values}: {said}");
        assert!(said.contains(named), "{values}: {said}");
    }
}

#[test]
fn versions_agree() {
    let version = env!("CARGO_PKG_VERSION");
    let chart =
        documents(&fs::read_to_string(workspace_dir().join(CHART).join("Chart.yaml")).unwrap());
    assert_eq!(chart[0]["version"], version);
    assert_eq!(chart[0]["appVersion"], version);
    let rendered = helm(&json!({})).unwrap();
    let image = &deployment(&rendered)["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(*image, format!("ses-mailfrom:{version}"));
}

#[tokio::test]
async fn the_pod_passes_the_restricted_standard_that_its_namespace_enforces() {
    let plane = installed().await;
    let base = kustomize().await;
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": "as-deployed", "namespace": NAMESPACE },
        "spec": deployment(&base)["spec"]["template"]["spec"],
    });
    let create = ["create", "--dry-run=server", "-f", "-"];
    plane.kubectl_with_input(create, &pod.to_string()).await.unwrap();

    pod["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = json!(true);
    let said = plane.kubectl_with_input(create, &pod.to_string()).await.unwrap_err().to_string();
    assert!(said.contains("violates PodSecurity \"restricted:"), "{said}");
}

#[tokio::test]
async fn the_operator_may_do_its_work_and_nothing_near_it() {
    let plane = installed().await;
    let may = async |verb: &str, resource: &str| {
        let args = ["auth", "can-i", verb, resource, ACCOUNT, "--all-namespaces"];
        plane.kubectl(args).await.is_ok()
    };
    for (verb, resource) in [
        ("list", "sesmailfroms.mailfrom.dev"),
        ("watch", "sesmailfroms.mailfrom.dev"),
        ("patch", "sesmailfroms.mailfrom.dev"),
        ("patch", "sesmailfroms.mailfrom.dev/status"),
        ("list", "sesmailfrompolicies.mailfrom.dev"),
        ("watch", "sesmailfrompolicies.mailfrom.dev"),
        ("list", "namespaces"),
        ("watch", "namespaces"),
        ("create", "events.events.k8s.io"),
        ("get", "namespaces/kube-system"),
    ] {
        assert!(may(verb, resource).await, "may not {verb} {resource}");
    }
    let may_here = async |verb: &str, resource: &str, namespace: &str| {
        let args = ["auth", "can-i", verb, resource, ACCOUNT, "-n", namespace];
        plane.kubectl(args).await.is_ok()
    };
    for verb in ["get", "watch", "patch"] {
        let own = "leases.coordination.k8s.io/ses-mailfrom";
        assert!(may_here(verb, own, NAMESPACE).await, "may not {verb} its Lease");
        assert!(!may_here(verb, own, "kube-system").await, "may {verb} leases elsewhere");
        let other = "leases.coordination.k8s.io/other";
        assert!(!may_here(verb, other, NAMESPACE).await, "may {verb} others' leases");
    }
    assert!(may_here("create", "leases.coordination.k8s.io", NAMESPACE).await);
    for verb in ["create", "list", "update", "delete"] {
        let leases = "leases.coordination.k8s.io";
        assert!(!may_here(verb, leases, "kube-system").await, "may {verb} leases elsewhere");
        assert!(verb == "create" || !may_here(verb, leases, NAMESPACE).await, "may {verb} leases");
    }
    for (verb, resource) in [
        ("create", "sesmailfroms.mailfrom.dev"),
        ("update", "sesmailfroms.mailfrom.dev"),
        ("delete", "sesmailfroms.mailfrom.dev"),
        ("update", "sesmailfroms.mailfrom.dev/status"),
        ("get", "secrets"),
        ("list", "secrets"),
        ("list", "events.events.k8s.io"),
        ("get", "namespaces/default"),
        ("patch", "namespaces"),
        ("patch", "sesmailfrompolicies.mailfrom.dev"),
        ("create", "sesmailfrompolicies.mailfrom.dev"),
        ("list", "pods"),
        ("impersonate", "users"),
    ] {
        assert!(!may(verb, resource).await, "may {verb} {resource}");
    }
}

#[tokio::test]
async fn samples_and_the_readmes_examples_are_accepted() {
    let plane = installed().await;
    let samples = workspace_dir().join("deploy/samples");
    let create = ["create", "--dry-run=server", "-o", "name", "-f", samples.to_str().unwrap()];
    let names = plane.kubectl(create).await.unwrap();
    let names: Vec<_> = names.lines().map(|name| name.rsplit('/').next().unwrap()).collect();
    assert_eq!(names, ["example-com", "undelegated-example"]);

    let readme = fs::read_to_string(workspace_dir().join("README.md")).unwrap();
    let blocks = readme.split("```yaml\n").skip(1).map(|block| block.split("```").next().unwrap());
    let blocks: Vec<_> = blocks.filter(|block| block.contains("kind: ")).collect();
    assert_eq!(blocks.len(), 2, "a policy and an object");
    for example in blocks {
        let example = example.replace("namespace: mail\n", "namespace: default\n");
        let create = ["create", "--dry-run=server", "-f", "-"];
        plane.kubectl_with_input(create, &example).await.unwrap();
    }
}
