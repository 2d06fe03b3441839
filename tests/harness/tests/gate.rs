//! The gate stops a request where it is told to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use harness::{ApiGate, ControlPlane, Side};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::PostParams;

const LIMIT: Duration = Duration::from_mins(1);

fn config_map(name: &str) -> ConfigMap {
    let mut map = ConfigMap::default();
    map.metadata.name = Some(name.to_owned());
    map
}

#[tokio::test]
async fn a_request_is_stopped_before_or_after_it_counts_and_can_be_lost() {
    let plane = ControlPlane::shared().await.unwrap();
    let namespace = plane.namespace("gate").await.unwrap();
    let gate = ApiGate::start(plane).await.unwrap();
    let client = plane.admin().clone().through(gate.url()).client().await;
    let through: Api<ConfigMap> = Api::namespaced(client.unwrap(), &namespace);
    let direct: Api<ConfigMap> = Api::namespaced(plane.client().await.unwrap(), &namespace);
    let create = async |name: &str| through.create(&PostParams::default(), &config_map(name)).await;
    create("plain").await.expect("nothing is stopped unasked");

    for side in [Side::Before, Side::After] {
        let name = format!("{side:?}-lost").to_lowercase();
        let mut hit = gate.stop(side, harness::ApiRequest::is_write);
        let (created, ()) = tokio::join!(create(&name), async {
            let request = hit.reached(LIMIT).await.unwrap();
            assert!(String::from_utf8_lossy(&request.body).contains("-lost"));
            let exists = direct.get_opt(&name).await.unwrap().is_some();
            assert_eq!(exists, side == Side::After);
            hit.lose();
        });
        created.expect_err("the answer was lost");
        let exists = direct.get_opt(&name).await.unwrap().is_some();
        assert_eq!(exists, side == Side::After);

        let name = format!("{side:?}-passed").to_lowercase();
        let mut hit = gate.stop(side, harness::ApiRequest::is_write);
        let (created, ()) = tokio::join!(create(&name), async {
            hit.reached(LIMIT).await.unwrap();
            hit.pass();
        });
        created.expect("it was let through");
        assert!(direct.get_opt(&name).await.unwrap().is_some());
    }
}
