//! Every version of an object is seen and kept.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::{ControlPlane, Watched};

const LIMIT: Duration = Duration::from_mins(1);

#[tokio::test]
async fn every_version_is_kept_and_the_present_one_is_waited_for() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("watched").await.unwrap();
    let client = plane.client().await.unwrap();
    let watched = Watched::start(client, "v1", "ConfigMap", Some(&namespace));
    let key = format!("{namespace}/knot");
    let is_there = watched.wait_for("the map", Duration::from_millis(200), |objects| {
        objects.get(&key).cloned().ok_or_else(|| format!("{} maps", objects.len()))
    });
    let late = is_there.await.unwrap_err().to_string();
    assert!(late.contains("the map") && late.contains("0 maps"), "{late}");

    for turns in ["1", "2"] {
        let map = format!(
            "{{apiVersion: v1, kind: ConfigMap, data: {{turns: '{turns}'}}, \
             metadata: {{name: knot, namespace: {namespace}}}}}"
        );
        plane.apply(&map).await.unwrap();
        let turned = watched.wait_for("the turn", LIMIT, |objects| {
            let seen = objects.get(&key).map(|map| map["data"]["turns"].clone());
            if seen == Some(turns.into()) { Ok(()) } else { Err(format!("{seen:?}")) }
        });
        turned.await.unwrap();
    }
    plane.kubectl(["delete", "configmap", "knot", "-n", &namespace]).await.unwrap();
    let gone = watched.wait_for("its end", LIMIT, |objects| {
        if objects.contains_key(&key) { Err("it is there".to_owned()) } else { Ok(()) }
    });
    gone.await.unwrap();

    let history = watched.history();
    let turns: Vec<_> = history
        .iter()
        .filter(|version| version.key == key)
        .map(|version| version.object.as_ref().map(|map| map["data"]["turns"].clone()))
        .collect();
    assert_eq!(turns, [Some("1".into()), Some("2".into()), None]);
    assert_eq!(watched.after(history.len() - 1).await.len(), 1);
}
