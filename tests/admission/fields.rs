//! The other fields: what they take, keep and default to.

use serde_json::{Value, json};

use crate::bench::{Bench, LABEL_63, fields_at_fault, with};

#[tokio::test]
async fn words_and_numbers_are_those_that_are_listed() {
    let bench = Bench::new().await;
    let words = [
        ("behaviorOnMxFailure", "\"UseDefaultValue\", \"RejectMessage\""),
        ("rollout", "\"WhenVerified\", \"Immediate\""),
        ("mode", "\"Manage\", \"Observe\", \"Suspend\""),
        ("adoptionPolicy", "\"IfIdentical\", \"Never\", \"Always\""),
        ("deletionPolicy", "\"RetainDNS\", \"Delete\", \"Retain\""),
    ];
    for (field, allowed) in words {
        let path = format!("spec.{field}");
        let allowed = format!("supported values: {allowed}");
        bench.refuses(json!({ field: "Sometimes" }), &path, &allowed).await;
    }
    let dns = [
        (json!({ "provider": "External" }), "provider", "supported values: \"Route53\""),
        (json!({ "wildcardPolicy": "No" }), "wildcardPolicy", "\"Refuse\", \"Override\""),
        (json!({ "ttlSeconds": 59 }), "ttlSeconds", "greater than or equal to 60"),
        (json!({ "ttlSeconds": 86_401 }), "ttlSeconds", "less than or equal to 86400"),
        (json!({ "spf": { "all": "~all" } }), "spf.all", "\"SoftFail\", \"Fail\""),
        (json!({ "hostedZoneID": "" }), "hostedZoneID", "must be the id of a Route 53 hosted zone"),
        (json!({ "hostedZoneID": "z123" }), "hostedZoneID", "upper-case letters and digits"),
        (json!({ "hostedZoneID": "/hostedzone/Z1" }), "hostedZoneID", "without /hostedzone/"),
    ];
    for (changes, field, allowed) in dns {
        bench.refuses(json!({ "dns": changes }), &format!("spec.dns.{field}"), allowed).await;
    }
    for missing in ["domain", "subdomain", "regions"] {
        bench.refuses(json!({ missing: null }), &format!("spec.{missing}"), "Required value").await;
    }
}

#[tokio::test]
async fn senders_are_plain_names_and_few() {
    let bench = Bench::new().await;
    let dns = |include: Value| json!({ "dns": { "spf": { "include": include } } });
    for bad in [
        "",
        "example",
        "Spf.example",
        "spf.example.",
        ".spf.example",
        "spf..example",
        "-spf.example",
        "*.example",
        "include:spf.example",
        "spf.example -all",
        "%{i}.example",
        "spf.example/24",
    ] {
        bench.refuses(dns(json!([bad])), "spec.dns.spf.include", "_spf.other.example").await;
    }
    let long = format!("{LABEL_63}.{LABEL_63}");
    bench.refuses(dns(json!([long])), "spec.dns.spf.include[0]", "Too long").await;
    let twice = json!(["spf.example", "spf.example"]);
    bench.refuses(dns(twice), "spec.dns.spf.include[1]", "Duplicate value").await;
    let many = |count| (0..count).map(|n| json!(format!("_spf{n}.x-1.example"))).collect();
    bench.refuses(dns(Value::Array(many(10))), "spec.dns.spf.include", "at most 9 items").await;
    bench.create("senders", &with(&dns(Value::Array(many(9))))).await.expect("nine senders");
}

#[tokio::test]
async fn a_role_is_one_of_the_regions_partition_and_may_change() {
    let bench = Bench::new().await;
    let account = "arn:aws:iam::123456789012";
    for wrong in [
        String::new(),
        "ses-mailfrom".to_owned(),
        "arn:aws:iam::12345:role/ses".to_owned(),
        "arn:aws:sts::123456789012:assumed-role/ses/session".to_owned(),
        "arn:aws-cn:iam::123456789012:role/ses".to_owned(),
        format!("{account}:user/ses"),
        format!("{account}:role/"),
        format!("{account}:role//ses"),
        format!("{account}:role/s es"),
        format!("{account}:role/ses\n"),
        format!("{account}:role/{}", "r".repeat(65)),
    ] {
        let says = "must be the ARN of an IAM role";
        bench.refuses(json!({ "roleARN": wrong }), "spec.roleARN", says).await;
        bench.refuses(json!({ "dns": { "roleARN": wrong } }), "spec.dns.roleARN", says).await;
    }
    let elsewhere = "arn:aws-us-gov:iam::123456789012:role/ses";
    let says = "a role of the regions' partition";
    bench.refuses(json!({ "roleARN": elsewhere }), "spec.roleARN", says).await;
    bench.refuses(json!({ "dns": { "roleARN": elsewhere } }), "spec.dns.roleARN", says).await;
    let gov = json!({ "regions": [{ "name": "us-gov-west-1" }], "roleARN": format!("{account}:role/ses") });
    bench.refuses(gov, "spec.roleARN", says).await;
    bench
        .create("moving", &with(&json!({ "roleARN": format!("{account}:role/one") })))
        .await
        .unwrap();
    for role in [json!(format!("{account}:role/two")), json!(null)] {
        bench.merge("moving", &json!({ "roleARN": role })).await.expect("a role may change");
    }
}

#[tokio::test]
async fn what_cannot_change_says_how_to_get_it_changed() {
    let bench = Bench::new().await;
    let cure = "delete this object with deletionPolicy Retain and create it anew under the same \
                namespace and name";
    let refuses = async |patch: Value, field: &str| {
        let status = bench.merge("fixed", &patch).await.expect_err("accepted");
        assert_eq!(fields_at_fault(&status), [field], "{patch}: {status:?}");
        assert!(status.message.contains("immutable"), "{}", status.message);
        assert!(status.message.contains(cure), "{}", status.message);
    };
    bench.create("fixed", &with(&json!({}))).await.unwrap();
    refuses(json!({ "domain": "example.org" }), "spec.domain").await;
    bench.merge("fixed", &json!({ "dns": { "hostedZoneID": "Z1" } })).await.expect("set later");
    for patch in [
        json!({ "dns": { "hostedZoneID": "Z2" } }),
        json!({ "dns": { "hostedZoneID": null } }),
        json!({ "dns": null }),
    ] {
        refuses(patch, "spec.dns.hostedZoneID").await;
    }
    let free = json!({
        "subdomain": "mail",
        "regions": [{ "name": "eu-west-1", "subdomain": "eu" }, { "name": "eu-west-3" }],
        "mxRegion": "eu-west-3",
        "behaviorOnMxFailure": "RejectMessage",
        "rollout": "Immediate",
        "deletionPolicy": "Delete",
        "adoptionPolicy": "Always",
        "mode": "Observe",
        "dns": {
            "ttlSeconds": 60,
            "wildcardPolicy": "Override",
            "spf": { "include": ["_spf.other.example"], "all": "Fail" },
        },
    });
    bench.merge("fixed", &free).await.expect("everything else may change");
}

#[tokio::test]
async fn what_is_meant_to_work_is_accepted() {
    let bench = Bench::new().await;
    let many: Vec<_> =
        (1..=32).map(|number| json!({ "name": format!("us-east-{number}") })).collect();
    let accepted = [
        json!({}),
        json!({ "domain": "xn--bcher-kva.example", "subdomain": "a.b.c" }),
        json!({ "domain": "3.example", "subdomain": "0" }),
        json!({ "domain": format!("{LABEL_63}.example"), "subdomain": LABEL_63 }),
        json!({ "subdomain": "example" }),
        json!({ "subdomain": "notexample.com" }),
        json!({ "subdomain": "example.com.mail" }),
        json!({ "regions": [{ "name": "us-gov-east-1" }, { "name": "us-gov-west-1" }] }),
        json!({ "regions": [{ "name": "eusc-de-east-1" }] }),
        json!({ "regions": [{ "name": "ap-southeast-5" }, { "name": "il-central-1" }] }),
        json!({ "regions": [
            { "name": "us-east-1", "subdomain": "a" },
            { "name": "us-west-2", "subdomain": "b" },
        ]}),
        json!({ "regions": many }),
        json!({ "dns": { "hostedZoneID": "Z0123456789ABCDEFGHIJ", "ttlSeconds": 86_400 } }),
        json!({ "roleARN": "arn:aws:iam::123456789012:role/team/ses+a=b,c.d@e_f-g" }),
        json!({ "dns": { "roleARN": format!("arn:aws:iam::123456789012:role/{}", "r".repeat(64)) } }),
        json!({
            "regions": [{ "name": "us-gov-east-1" }],
            "roleARN": "arn:aws-us-gov:iam::123456789012:role/ses",
            "dns": { "roleARN": "arn:aws-us-gov:iam::210987654321:role/dns" },
        }),
        json!({
            "regions": [{ "name": "eusc-de-east-1" }],
            "roleARN": "arn:aws-eusc:iam::123456789012:role/ses",
        }),
    ];
    for (number, changes) in accepted.into_iter().enumerate() {
        let answer = bench.create(&format!("accepted-{number}"), &with(&changes)).await;
        assert!(answer.is_ok(), "{changes}: {answer:?}");
    }
}

#[tokio::test]
async fn defaults_are_filled_in_also_for_an_explicit_null() {
    let bench = Bench::new().await;
    let nulls = json!({
        "behaviorOnMxFailure": null, "rollout": null, "deletionPolicy": null,
        "adoptionPolicy": null, "mode": null,
        "dns": { "provider": null, "ttlSeconds": null, "wildcardPolicy": null, "spf": null },
    });
    for (name, changes) in
        [("absent", json!({})), ("null", nulls), ("no-dns", json!({ "dns": null }))]
    {
        let created = bench.create(name, &with(&changes)).await.unwrap();
        let expected = with(&json!({
            "behaviorOnMxFailure": "UseDefaultValue",
            "rollout": "WhenVerified",
            "deletionPolicy": "RetainDNS",
            "adoptionPolicy": "IfIdentical",
            "mode": "Manage",
            "dns": {
                "provider": "Route53",
                "ttlSeconds": 300,
                "wildcardPolicy": "Refuse",
                "spf": { "all": "SoftFail" },
            },
        }));
        assert_eq!(created.data["spec"], expected, "{name}");
    }
}
