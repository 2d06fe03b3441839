//! Regions, their subdomains and the region of the MX.

use serde_json::json;

use crate::bench::{Bench, with};

#[tokio::test]
async fn regions_are_of_one_partition_that_has_ses_each_named_once() {
    let bench = Bench::new().await;
    let named = |names: &[&str]| {
        let regions: Vec<_> = names.iter().map(|name| json!({ "name": name })).collect();
        json!({ "regions": regions })
    };
    let shape = "must be the name of an AWS region, as in us-east-1";
    for bad in ["", "us-east", "useast1", "US-EAST-1", "us-east-1a", "us east 1", "us--east-1", "*"]
    {
        bench.refuses(named(&[bad]), "spec.regions[0].name", shape).await;
    }
    let no_ses = "must be a region that has SES: the China (cn-*) and isolated (*-iso*) \
                    partitions have none";
    for bad in ["cn-north-1", "cn-northwest-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1"]
    {
        bench.refuses(named(&["us-east-1", bad]), "spec.regions[1].name", no_ses).await;
    }
    let mixed = "must all lie in one AWS partition: only commercial, only GovCloud \
                    (us-gov-*) or only European";
    for (one, other) in [
        ("us-east-1", "us-gov-west-1"),
        ("us-gov-west-1", "us-east-1"),
        ("us-east-1", "eusc-de-east-1"),
        ("eusc-de-east-1", "us-gov-east-1"),
    ] {
        bench.refuses(named(&[one, other]), "spec.regions", mixed).await;
    }
    let twice = named(&["us-east-1", "eu-west-1", "us-east-1"]);
    bench.refuses(twice, "spec.regions[2]", "Duplicate value: {\"name\":\"us-east-1\"}").await;
    bench.refuses(named(&[]), "spec.regions", "should have at least 1 items").await;
    let many: Vec<_> = (1..=33).map(|number| format!("us-east-{number}")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    bench.refuses(named(&many), "spec.regions", "must have at most 32 items").await;
    let long = format!("us-{}-1", "e".repeat(28));
    bench.refuses(named(&[&long]), "spec.regions[0].name", "may not be more than 32 bytes").await;
}

#[tokio::test]
async fn a_region_has_a_subdomain_that_nobody_else_has() {
    let bench = Bench::new().await;
    let regions = |one: &str, other: &str| {
        json!({ "regions": [
            { "name": "us-east-1", "subdomain": one },
            { "name": "eu-west-1", "subdomain": other },
        ]})
    };
    let words = "must each have a subdomain that no other region has";
    bench.refuses(regions("own", "own"), "spec.regions", words).await;
    let words =
        "must not repeat spec.subdomain: regions without a subdomain share spec.subdomain already";
    bench.refuses(regions("own", "bounce"), "spec.regions", words).await;
}

#[tokio::test]
async fn the_mx_region_is_one_that_shares_the_subdomain() {
    let bench = Bench::new().await;
    let words = "must be one of spec.regions that share spec.subdomain, that is, have no \
                    subdomain of their own";
    for not_one in ["us-west-2", "", "eu"] {
        bench.refuses(json!({ "mxRegion": not_one }), "spec.mxRegion", words).await;
    }
    let own = json!([{ "name": "us-east-1" }, { "name": "eu-west-1", "subdomain": "eu" }]);
    let changes = json!({ "mxRegion": "eu-west-1", "regions": own });
    bench.refuses(changes, "spec.mxRegion", words).await;
    bench.create("one", &with(&json!({ "mxRegion": "us-east-1", "regions": own }))).await.unwrap();
}
