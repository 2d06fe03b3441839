//! The control plane starts, serves, and goes without a trace.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use harness::{ApiProxy, ControlPlane, audit, is_running, wait_until};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::Api;
use kube::api::{ListParams, PostParams};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

const LIMIT: Duration = Duration::from_mins(1);

const CRD: &str = "
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: knots.harness.test}
spec:
  group: harness.test
  names: {kind: Knot, plural: knots, singular: knot, shortNames: [kn]}
  scope: Namespaced
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
              turns:
                type: integer
                x-kubernetes-validations:
                - {rule: 'self > 0', message: a knot turns at least once}
";

const READER: &str = "
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader, namespace: NAMESPACE}
rules:
- {apiGroups: [''], resources: [configmaps], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader, namespace: NAMESPACE}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
- {kind: ServiceAccount, name: robot, namespace: NAMESPACE}
";

#[tokio::test]
async fn crds_are_applied_established_and_validated() {
    let plane = ControlPlane::shared().await.unwrap();
    plane.apply(CRD).await.unwrap();
    plane
        .kubectl(["wait", "--for=condition=Established", "--timeout=60s", "crd/knots.harness.test"])
        .await
        .unwrap();
    let namespace = plane.namespace("knots").await.unwrap();
    let knot = |turns: u8| {
        format!(
            "{{apiVersion: harness.test/v1, kind: Knot, \
             metadata: {{name: bowline, namespace: {namespace}}}, spec: {{turns: {turns}}}}}"
        )
    };
    plane.apply(&knot(1)).await.unwrap();
    let refused = plane.apply(&knot(0)).await.unwrap_err().to_string();
    assert!(refused.contains("a knot turns at least once"), "{refused}");
    let listed = plane.kubectl(["get", "kn", "-n", &namespace, "-o", "name"]).await.unwrap();
    assert_eq!(listed.trim(), "knot.harness.test/bowline");
}

#[tokio::test]
async fn a_service_account_may_do_what_rbac_says_and_the_audit_log_tells() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("rbac").await.unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(plane.client().await.unwrap(), &namespace);
    let mut robot = ServiceAccount::default();
    robot.metadata.name = Some("robot".to_owned());
    accounts.create(&PostParams::default(), &robot).await.unwrap();
    plane.apply(&READER.replace("NAMESPACE", &namespace)).await.unwrap();

    let client = plane.client_as(&namespace, "robot").await.unwrap();
    let maps: Api<ConfigMap> = Api::namespaced(client, &namespace);
    // The authorizer learns of the role by a watch of its own.
    wait_until("the role counts", LIMIT, async || {
        let listed = maps.list(&ListParams::default()).await;
        listed.map(drop).map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    let created = maps.create(&PostParams::default(), &ConfigMap::default()).await;
    let Err(kube::Error::Api(refused)) = created else {
        panic!("the API server did not answer");
    };
    assert_eq!(refused.code, 403);

    let user = format!("system:serviceaccount:{namespace}:robot");
    let permissions = plane.permissions_used(&user).unwrap();
    let permission = |verb: &str| audit::Permission {
        group: String::new(),
        resource: "configmaps".to_owned(),
        verb: verb.to_owned(),
    };
    assert_eq!(permissions, [permission("create"), permission("list")].into());
    let requests = plane.requests_of(&user).unwrap();
    assert_eq!(requests.last().map(|request| request.code), Some(403));
}

#[tokio::test]
async fn a_dropped_control_plane_leaves_only_its_audit_log() {
    let plane = ControlPlane::start().await.unwrap();
    let pids = [plane.etcd().pid(), plane.api_server().pid()];
    assert!(pids.iter().all(|pid| is_running(*pid)));
    let folder = plane.data_dir().to_owned();
    let namespace = plane.namespace("kept").await.unwrap();
    drop(plane);
    assert!(pids.iter().all(|pid| !is_running(*pid)));
    assert!(!folder.exists(), "{} is there", folder.display());
    let kept = audit::kept_requests().unwrap();
    assert!(
        kept.iter().any(|request| request.verb == "create" && request.name == namespace),
        "no trace of namespace {namespace} among {} requests",
        kept.len()
    );
}

#[tokio::test]
async fn a_killed_process_takes_its_control_plane_with_it() {
    leaves_nothing(|parent| kill_process(parent, Signal::KILL)).await;
}

#[tokio::test]
async fn a_signal_to_all_of_a_run_leaves_nothing_either() {
    leaves_nothing(|parent| kill_process_group(parent, Signal::TERM)).await;
}

/// Ends a process that has a control plane, in which nothing of ours runs then.
async fn leaves_nothing(end: impl FnOnce(Pid) -> rustix::io::Result<()>) {
    let mut parent = Command::new(env!("CARGO_BIN_EXE_control-plane"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut kubeconfig = String::new();
    BufReader::new(parent.stdout.take().unwrap()).read_line(&mut kubeconfig).unwrap();
    let kubeconfig = PathBuf::from(kubeconfig.trim());
    let folder = kubeconfig.parent().unwrap();
    let servers = processes_naming(folder);
    assert!(servers.len() >= 2, "etcd and kube-apiserver in {servers:?}");

    end(Pid::from_child(&parent)).unwrap();
    parent.wait().unwrap();
    wait_until("all of it is gone", LIMIT, async || {
        let left = processes_naming(folder);
        match (left.is_empty(), folder.exists()) {
            (true, false) => Ok(()),
            (_, folder) => Err(format!("processes {left:?}, folder there: {folder}")),
        }
    })
    .await
    .unwrap();
}

/// The processes whose command line has a path in `folder`.
fn processes_naming(folder: &Path) -> Vec<u32> {
    let needle = folder.to_str().unwrap();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            std::fs::read(format!("/proc/{pid}/cmdline"))
                .is_ok_and(|line| String::from_utf8_lossy(&line).contains(needle))
        })
        .collect()
}

#[tokio::test]
async fn a_proxy_carries_cuts_hangs_and_recovers() {
    let plane = ControlPlane::shared().await.unwrap();
    let proxy = ApiProxy::start(plane).await.unwrap();
    let access = plane.admin().clone().through(proxy.url());
    // A new client each time: none has a connection from better days.
    let version = async || {
        let client = access.client().await.map_err(|error| error.to_string())?;
        let answer = client.apiserver_version().await;
        answer.map(drop).map_err(|error| error.to_string())
    };
    version().await.unwrap();

    proxy.cut();
    version().await.unwrap_err();

    proxy.hang();
    let waiting = version();
    let mut waiting = std::pin::pin!(waiting);
    let hung = tokio::time::timeout(Duration::from_millis(500), &mut waiting);
    assert!(hung.await.is_err(), "answered through a hung proxy");
    proxy.restore();
    waiting.await.expect("what was held up is carried");
}
