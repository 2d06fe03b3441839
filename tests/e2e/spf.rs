//! The SPF record through the API: senders that come and go, and records that
//! others wrote.

use aws_simulator::{RecordSet, RecordType};
use serde_json::json;

use crate::adoption::one_region;
use crate::held::held;
use crate::stage::{NAME, Stage, ZONE};
use crate::story::{CHANGE, values};

const OBJECT: &str = "example";

fn spf(stage: &Stage) -> String {
    let txt = values(stage, ZONE, NAME, RecordType::TXT);
    txt.into_iter().find(|value| value.starts_with("\"v=spf1")).unwrap_or_default()
}

fn put(stage: &Stage, values: &[&str]) {
    let set = RecordSet::new(NAME, RecordType::TXT, 3600, values).expect("a record set");
    stage.aws.with(|world| world.put_record_set(ZONE, set)).expect("a record");
}

#[tokio::test]
async fn a_change_of_the_senders_is_one_batch() {
    let stage = Stage::new("senders").await;
    let found = held(&stage);
    let _operator = stage.operator().await;
    stage.apply(OBJECT, one_region(json!({"deletionPolicy": "Delete"}))).await;
    stage.ready(OBJECT).await;
    assert_eq!(spf(&stage), "\"v=spf1 include:amazonses.com ~all\"");
    let senders = json!({"spf": {"include": ["_spf.b.example", "a.example"], "all": "Fail"}});
    for (dns, expected) in [
        (senders, "\"v=spf1 include:amazonses.com include:_spf.b.example include:a.example -all\""),
        (json!({"spf": null}), "\"v=spf1 include:amazonses.com ~all\""),
    ] {
        let before = stage.calls(CHANGE);
        stage.edit(OBJECT, json!({"dns": dns})).await;
        stage.ready(OBJECT).await;
        stage.rounds(2).await;
        assert_eq!(spf(&stage), expected);
        assert_eq!(stage.calls(CHANGE), before + 1);
    }
    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    assert_eq!(held(&stage), found);
}

#[tokio::test]
async fn of_a_record_of_others_our_terms_alone_go_whatever_was_edited_since() {
    let stage = Stage::new("merged").await;
    put(&stage, &["\"v=spf1  ip4:192.0.2.0/24 \" \"exists:%{i}.x.example -all\""]);
    let _operator = stage.operator().await;
    let spec = json!({"deletionPolicy": "Delete", "dns": {"spf": {"include": ["a.example"]}}});
    stage.apply(OBJECT, one_region(spec)).await;
    stage.ready(OBJECT).await;
    let ours = "include:amazonses.com include:a.example ";
    let merged = format!("\"v=spf1  ip4:192.0.2.0/24 \" \"exists:%{{i}}.x.example {ours}-all\"");
    assert_eq!(spf(&stage), merged);

    let edited = merged.replace("-all", "include:theirs.example ?all");
    let marker = values(&stage, ZONE, NAME, RecordType::TXT).pop().expect("the marker");
    assert!(marker.contains(" spf=merged:a.example,amazonses.com "), "{marker}");
    put(&stage, &[&edited, &marker, "\"another\""]);
    let before = stage.calls(CHANGE);
    stage.rounds(3).await;
    assert_eq!((spf(&stage), stage.calls(CHANGE)), (edited.clone(), before), "theirs is left");

    put(&stage, &[&edited.replace("include:a.example ", ""), &marker, "\"another\""]);
    stage
        .world("our term put back", |world| {
            let set = world.record_set(ZONE, NAME, RecordType::TXT)?;
            set.values.iter().any(|value| value.contains("include:a.example")).then_some(())
        })
        .await;
    stage.ready(OBJECT).await;
    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    let left = values(&stage, ZONE, NAME, RecordType::TXT);
    assert_eq!(left, [edited.replace(ours, ""), "\"another\"".to_owned()]);
}
