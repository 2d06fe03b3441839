//! The operator's binary is run as its Deployment says, and signalled.
//! A shell stands in for it: what is run is what these tests are about.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::{ControlPlane, Deployment, Launch, is_running};

const LIMIT: Duration = Duration::from_mins(1);

const MANIFESTS: &str = r"
apiVersion: v1
kind: ServiceAccount
metadata: {name: robot, namespace: NAMESPACE}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: robot, namespace: NAMESPACE}
spec:
  selector: {matchLabels: {app: robot}}
  template:
    metadata: {labels: {app: robot}}
    spec:
      serviceAccountName: robot
      containers:
      - name: robot
        image: robot
        command: [/robot, -c, SCRIPT, robot]
        args: ['--listen=:8080']
        env:
        - {name: WHERE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
";

/// Applies the manifests with a script for the shell, and reads them back.
async fn launch(plane: &ControlPlane, script: &str) -> Launch {
    let namespace = plane.namespace("operator").await.unwrap();
    let manifests = MANIFESTS
        .replace("NAMESPACE", &namespace)
        .replace("SCRIPT", &serde_json::to_string(script).unwrap());
    plane.apply(&manifests).await.unwrap();
    Launch::new(Deployment::from_yaml(&manifests).unwrap(), "/bin/sh").aws("http://127.0.0.1:1")
}

#[tokio::test]
async fn it_has_the_deployments_environment_a_token_and_nothing_of_ours() {
    let plane = ControlPlane::shared().await.unwrap();
    let launch = launch(plane, r#"env; echo "args: $*"; echo done"#).await;
    let namespace = launch.deployment().namespace.clone();
    let operator = launch.env("EXTRA", "1").start(plane).await.unwrap();
    assert_eq!(operator.process().wait(LIMIT).await.unwrap(), 0);
    operator.output().wait_for_line("done", LIMIT).await.unwrap();

    let said = operator.output().tail(usize::MAX);
    let listen = format!("args: --listen={}", operator.address());
    for expected in [
        format!("WHERE={namespace}"),
        "EXTRA=1".to_owned(),
        "AWS_ENDPOINT_URL_ROUTE_53=http://127.0.0.1:1".to_owned(),
        "AWS_EC2_METADATA_DISABLED=true".to_owned(),
        listen,
    ] {
        assert!(said.lines().any(|line| line == expected), "{expected} in\n{said}");
    }
    assert!(!said.contains("CARGO"), "our environment leaks:\n{said}");

    let kubeconfig = said.lines().find_map(|line| line.strip_prefix("KUBECONFIG=")).unwrap();
    let user =
        plane.kubectl(["auth", "whoami", "-o", "json", "--kubeconfig", kubeconfig]).await.unwrap();
    let expected = format!("system:serviceaccount:{namespace}:robot");
    assert!(user.contains(&expected), "{user}");
}

#[tokio::test]
async fn it_is_terminated_killed_and_measured() {
    let plane = ControlPlane::shared().await.unwrap();
    let script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    let launch = launch(plane, script).await;
    let operator = launch.start(plane).await.unwrap();
    let line = operator.output().wait_for_line("up", LIMIT).await.unwrap();
    assert_eq!(line.text, "up");
    assert!(operator.process().rss_bytes().unwrap() > 100_000);
    assert_eq!(operator.stop(LIMIT).await.unwrap(), 7);
    operator.output().wait_for_line("bye", LIMIT).await.unwrap();
    operator.process().terminate().expect_err("it has ended");

    let operator = launch.start(plane).await.unwrap();
    let pid = operator.process().pid();
    operator.output().wait_for_line("up", LIMIT).await.unwrap();
    operator.kill();
    assert!(!is_running(pid));
    assert_eq!(operator.process().exit_code(), Some(137));
    drop(operator);

    let operator = launch.start(plane).await.unwrap();
    let pid = operator.process().pid();
    drop(operator);
    assert!(!is_running(pid));
}

#[tokio::test]
async fn it_is_not_started_where_aws_could_be_the_real_one() {
    let plane = ControlPlane::shared().await.unwrap();
    let launch = launch(plane, "echo started").await;
    let real = launch.env("AWS_ENDPOINT_URL_STS", "https://sts.amazonaws.com");
    let refused = real.start(plane).await.unwrap_err().to_string();
    assert!(refused.contains("AWS_ENDPOINT_URL_STS"), "{refused}");
}

#[tokio::test]
async fn a_wait_for_a_line_says_what_came_instead() {
    let plane = ControlPlane::shared().await.unwrap();
    let launch = launch(plane, "echo something else; exec sleep 600").await;
    let operator = launch.start(plane).await.unwrap();
    let output = operator.output();
    output.wait_for_line("something", LIMIT).await.unwrap();
    let late = output.wait_for_line("up", Duration::from_millis(200)).await;
    let said = late.unwrap_err().to_string();
    assert!(said.contains("something else"), "{said}");
}
