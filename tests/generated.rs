//! Files that are generated from the source and checked in are fresh. With
//! `SES_MAILFROM_GENERATE=1`, as `make generate` sets it, they are written
//! instead of compared.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{fmt::Write, fs};

use serde_json::json;
use ses_mailfrom::api::{self, ConditionType, Progress, Reason, SesMailFrom};
use ses_mailfrom::iam::{self, Holder, Need, Part, Reads};

fn fresh(path: &str, wanted: &str) {
    let file = harness::workspace_dir().join(path);
    if std::env::var_os("SES_MAILFROM_GENERATE").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, wanted).unwrap();
        return;
    }
    let found = fs::read_to_string(&file).unwrap_or_default();
    let first = wanted.lines().zip(found.lines()).position(|(wanted, found)| wanted != found);
    let line = first.unwrap_or_else(|| wanted.lines().count().min(found.lines().count())) + 1;
    assert!(
        found == wanted,
        "{path} is stale from line {line} on: run `make generate` and commit the result"
    );
}

#[test]
fn the_crds_are_fresh() {
    for crd in api::crds().unwrap() {
        fresh(&format!("crds/{}", crd.file), &crd.yaml);
    }
}

#[test]
fn the_crds_of_the_chart_are_fresh() {
    for crd in api::crds().unwrap() {
        fresh(&format!("charts/ses-mailfrom-operator/crds/{}", crd.file), &crd.yaml);
    }
}

#[test]
fn the_page_of_reasons_is_fresh() {
    fresh("docs/reasons.md", &reasons());
}

#[test]
fn the_iam_policy_is_fresh_and_the_readme_repeats_it_and_the_conditions() {
    fresh("docs/iam-policy.json", &iam_policy());
    let readme = read("README.md");
    let policy = format!("```json\n{}```\n", iam_policy());
    let readme = with_part(&readme, "docs/iam-policy.json", &policy);
    fresh("README.md", &with_part(&readme, "conditions", &conditions()));
}

/// For one object whose zone is known.
fn iam_policy() -> String {
    let object: SesMailFrom = serde_json::from_value(json!({
        "apiVersion": "mailfrom.dev/v1alpha1",
        "kind": "SesMailFrom",
        "metadata": {"name": "example-com", "namespace": "mail"},
        "spec": {
            "domain": "example.com",
            "subdomain": "bounce",
            "regions": [{"name": "us-east-1"}, {"name": "eu-west-1"}],
            "dns": {"hostedZoneID": "Z0123456789ABCDEFGHIJ"},
        },
    }))
    .unwrap();
    let need = Need::of(&[object], Holder::Operator).unwrap();
    iam::policy(&need, &[Part::Ses, Part::Dns], Reads::ManyAtOnce).to_json().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(harness::workspace_dir().join(path)).unwrap()
}

/// `page` with what stands between the comment `name` and the next `end` replaced.
fn with_part(page: &str, name: &str, part: &str) -> String {
    let start = format!("<!-- {name} -->\n");
    let (before, rest) = page.split_once(&start).unwrap_or_else(|| panic!("no {start}"));
    let (_, after) = rest.split_once("<!-- end -->\n").expect("an end");
    format!("{before}{start}{part}<!-- end -->\n{after}")
}

fn conditions() -> String {
    let mut table = String::from("| condition | True means |\n|---|---|\n");
    for condition in ConditionType::ALL {
        writeln!(table, "| `{}` | {} |", condition.as_str(), condition.meaning()).unwrap();
    }
    table
}

fn reasons() -> String {
    let mut page = String::from(
        "<!-- Generated from src/api by `make generate`; do not edit. -->\n\
         # Reasons\n\n\
         From worst to best: of several, `Ready` shows the first.\n\n\
         | reason | it means | reported as | what to do |\n|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let progress = match reason.progress() {
            Progress::Done if *reason == Reason::Succeeded => "Ready",
            Progress::Done => "neither",
            Progress::Reconciling => "Reconciling",
            Progress::StalledAfterGrace => "Reconciling, Stalled after `--stall-grace`",
            Progress::Stalled => "Stalled",
        };
        let cure = if reason.cure().is_empty() { "nothing" } else { reason.cure() };
        writeln!(page, "| `{}` | {} | {progress} | {cure} |", reason.as_str(), reason.meaning())
            .unwrap();
    }
    page
}
