//! From `kubectl apply` to Success.

use serde_json::json;

use crate::stage::{REGIONS, Stage, region};

#[tokio::test]
async fn two_regions_come_to_success_with_one_mx() {
    let stage = Stage::new("life").await;
    let _operator = stage.operator().await;
    let regions = REGIONS.map(|name| json!({"name": name}));
    stage.apply("example", json!({"regions": regions})).await;
    let status = stage.ready("example").await;
    assert_eq!(status.regions_verified.as_deref(), Some("2/2"));
    for name in REGIONS {
        assert_eq!(region(&status, name).mail_from_domain.as_deref(), Some(crate::stage::NAME));
    }
}
