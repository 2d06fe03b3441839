//! Domains and subdomains.

use serde_json::json;

use crate::bench::{Bench, LABEL_63, name_of, with};

/// What is wrong with a name, whoever's it is.
fn bad_names() -> Vec<String> {
    let long_label = format!("{LABEL_63}4");
    let bad = [
        "",
        ".",
        ".bounce",
        "bounce.",
        "a..b",
        "Bounce",
        "bo unce",
        "bo_unce",
        "*",
        "*.bounce",
        "-bounce",
        "bounce-",
        "b\u{fc}cher",
        &long_label,
    ];
    bad.map(str::to_owned).to_vec()
}

#[tokio::test]
async fn a_domain_is_a_lower_case_name_of_two_labels_or_more() {
    let bench = Bench::new().await;
    let allowed = "must be a lower-case DNS name of two or more labels, each of 1 to 63 \
                    letters, digits and '-'";
    for bad in bad_names() {
        bench.refuses(json!({ "domain": bad }), "spec.domain", allowed).await;
        let below_com = format!("{bad}.com");
        bench.refuses(json!({ "domain": below_com }), "spec.domain", allowed).await;
    }
    bench.refuses(json!({ "domain": "com" }), "spec.domain", allowed).await;
    let long = name_of(254);
    let words = "Too long: may not be more than 253 bytes";
    bench.refuses(json!({ "domain": long }), "spec.domain", words).await;
}

#[tokio::test]
async fn a_subdomain_is_labels_below_the_domain() {
    let bench = Bench::new().await;
    let allowed =
        "must be one or more lower-case DNS labels, each of 1 to 63 letters, digits and '-'";
    for bad in bad_names() {
        bench.refuses(json!({ "subdomain": bad }), "spec.subdomain", allowed).await;
        let regions = json!([{ "name": "us-east-1", "subdomain": bad }]);
        bench.refuses(json!({ "regions": regions }), "spec.regions[0].subdomain", allowed).await;
    }
}

#[tokio::test]
async fn the_whole_name_has_at_most_253_characters() {
    let bench = Bench::new().await;
    let fits = 253 - ".example.com".len();
    let own = |subdomain: String| json!([{ "name": "us-east-1", "subdomain": subdomain }]);
    let words = "at most 253 characters long";
    let long = name_of(fits + 1);
    bench.refuses(json!({ "subdomain": long }), "spec.subdomain", words).await;
    bench.refuses(json!({ "regions": own(name_of(fits + 1)) }), "spec.regions", words).await;
    let words = "Too long: may not be more than 251 bytes";
    let long = name_of(252);
    bench.refuses(json!({ "subdomain": long }), "spec.subdomain", words).await;
    bench.create("whole", &with(&json!({ "subdomain": name_of(fits) }))).await.unwrap();
    bench.create("own", &with(&json!({ "regions": own(name_of(fits)) }))).await.unwrap();
}

#[tokio::test]
async fn a_subdomain_does_not_repeat_the_domain() {
    let bench = Bench::new().await;
    let words = "must be written without spec.domain, which is appended to it: bounce, \
                    not bounce.example.com";
    for pasted in ["example.com", "bounce.example.com"] {
        bench.refuses(json!({ "subdomain": pasted }), "spec.subdomain", words).await;
        let regions = json!([{ "name": "us-east-1", "subdomain": pasted }]);
        bench.refuses(json!({ "regions": regions }), "spec.regions", words).await;
    }
}
