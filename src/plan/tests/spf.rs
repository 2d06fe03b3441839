//! The SPF record: made, merged into, edited by others, and given back.

use super::small_world::*;
use crate::api::DeletionPolicy;
use crate::mail::{Origin, RecordType, SpfAll};

const OTHER: &str = "_spf.other.example";

fn with_spf(text: &str) -> SmallWorld {
    let mut world = SmallWorld::new(ONE_REGION);
    world.object.spec.deletion_policy = DeletionPolicy::Delete;
    if !text.is_empty() {
        world.put_record_at(NAME, RecordType::Txt, 3600, &[&format!("\"{text}\"")]);
    }
    world
}

fn spf(world: &SmallWorld) -> String {
    let texts = world.texts(NAME);
    texts.into_iter().find(|text| text.starts_with("v=spf1")).unwrap_or_default()
}

fn marked(world: &SmallWorld) -> String {
    let texts = world.texts(NAME);
    let marker = texts.iter().find(|text| text.starts_with("ses-mailfrom-owner=")).unwrap();
    marker.split(' ').find(|field| field.starts_with("spf=")).unwrap().to_owned()
}

fn include(world: &mut SmallWorld, names: &[&str]) {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    world.edit(|object| object.spec.dns.spf.include = names);
    world.live(minutes(5));
}

#[test]
fn a_record_that_was_found_is_merged_into_and_given_back() {
    for (found, merged, mark) in [
        (
            "v=spf1 ip4:192.0.2.0/24  exists:%{i}.x.example -all",
            "v=spf1 ip4:192.0.2.0/24  exists:%{i}.x.example include:amazonses.com include:_spf.other.example -all",
            "spf=merged:_spf.other.example,amazonses.com",
        ),
        (
            "v=spf1 include:amazonses.com ?all exp=x.example",
            "v=spf1 include:amazonses.com include:_spf.other.example ?all exp=x.example",
            "spf=merged:_spf.other.example",
        ),
        (
            "v=spf1 include:_spf.other.example mx",
            "v=spf1 include:_spf.other.example mx include:amazonses.com",
            "spf=merged:amazonses.com",
        ),
    ] {
        let mut world = with_spf(found);
        world.object.spec.dns.spf.include = vec![OTHER.into()];
        world.live(minutes(5));
        assert_eq!(world.writes()[0], "change +MX -TXT +TXT");
        assert_eq!((spf(&world).as_str(), marked(&world).as_str()), (merged, mark));
        let record = &world.status().records[1];
        assert_eq!((record.origin, record.ttl_seconds), (Some(Origin::Adopted), 3600));
        // Edited around our terms since: they alone go.
        let marker = world.texts(NAME)[1].clone();
        let edited = merged.replace("v=spf1 ", "v=spf1 a:new.example ");
        let values = [format!("\"{edited}\""), format!("\"{marker}\"")];
        world.put_record_at(NAME, RecordType::Txt, 3600, &[&values[0], &values[1]]);
        world.live(minutes(12));
        assert_eq!(spf(&world), edited, "what others write is left");
        world.delete();
        world.live(minutes(10));
        assert_eq!(world.texts(NAME), [found.replace("v=spf1 ", "v=spf1 a:new.example ")]);
    }
}

#[test]
fn a_record_that_cannot_take_our_terms_is_left_alone() {
    let many = format!("v=spf1{} -all", " a:x.example".repeat(10));
    for (found, says) in [
        ("v=spf1 redirect=_spf.example.com", "hands over to another record"),
        (many.as_str(), "11 terms that ask DNS"),
        ("v=spf1 -include:amazonses.com ~all", "does not pass"),
        ("v=spf1 ip4:nonsense -all", "not a valid SPF record"),
    ] {
        let mut world = with_spf(found);
        world.live(minutes(20));
        assert_eq!(world.writes(), Vec::<&str>::new(), "{found}");
        assert_eq!(world.condition("Ready"), "False RecordConflict");
        assert!(world.message().contains(says), "{}", world.message());
        assert!(world.message().contains(&found[..20]), "{}", world.message());
    }
    let mut world = with_spf("");
    world.put_record(NAME, RecordType::Txt, &["\"v=spf1 -all\"", "\"v=spf1 a ~all\""]);
    world.live(minutes(20));
    assert_eq!(world.writes(), Vec::<&str>::new());
    let says = "has 2 SPF records, \"v=spf1 -all\" and \"v=spf1 a ~all\", where one may be";
    assert!(world.message().contains(says), "{}", world.message());
}

#[test]
fn senders_come_and_go_with_the_spec_in_one_batch() {
    let mut world = SmallWorld::ready(ONE_REGION);
    include(&mut world, &[OTHER]);
    assert_eq!(world.writes(), ["change -TXT +TXT"]);
    assert_eq!(spf(&world), "v=spf1 include:amazonses.com include:_spf.other.example ~all");
    assert_eq!(marked(&world), "spf=created:_spf.other.example,amazonses.com");
    world.edit(|object| {
        object.spec.dns.spf.include = vec!["b.example".into(), "a.example".into()];
        object.spec.dns.spf.all = SpfAll::Fail;
    });
    world.live(minutes(5));
    assert_eq!(world.writes()[1..], ["change -TXT +TXT"]);
    assert_eq!(
        spf(&world),
        "v=spf1 include:amazonses.com include:b.example include:a.example -all"
    );
    assert_eq!(world.condition("Ready"), "True Succeeded", "{}", world.message());
    assert!(world.notices.iter().all(|n| n.reason != "DriftRepaired"), "{:?}", world.notices);
    include(&mut world, &[]);
    assert_eq!(spf(&world), "v=spf1 include:amazonses.com -all");
    assert_eq!(marked(&world), "spf=created");
    world.object.spec.deletion_policy = DeletionPolicy::Delete;
    world.delete();
    world.live(minutes(10));
    assert_eq!(world.records.len(), 1, "{:?}", world.records);
}

#[test]
fn a_sender_of_ours_leaves_a_record_of_others_when_it_leaves_the_spec() {
    let mut world = with_spf("v=spf1 ip4:192.0.2.1 -all");
    world.object.spec.dns.spf.include = vec![OTHER.into(), "native.example".into()];
    world.live(minutes(5));
    include(&mut world, &[]);
    assert_eq!(spf(&world), "v=spf1 ip4:192.0.2.1 include:amazonses.com -all");
    assert_eq!(marked(&world), "spf=merged:amazonses.com");
}

#[test]
fn a_missing_term_of_ours_is_drift_and_a_war_over_it_ends() {
    let mut world = SmallWorld::ready(ONE_REGION);
    include(&mut world, &[OTHER]);
    world.done.clear();
    for round in 0..6 {
        let marker = world.texts(NAME)[1].clone();
        let edited = format!("\"v=spf1 include:amazonses.com ip4:192.0.2.{round} ~all\"");
        world.put_record(NAME, RecordType::Txt, &[&edited, &format!("\"{marker}\"")]);
        world.live(minutes(11));
    }
    assert_eq!(world.writes(), ["change -TXT +TXT"; 3]);
    assert_eq!(world.condition("Ready"), "False DriftLoop");
    let repaired = world.notices.iter().filter(|n| n.reason == "DriftRepaired");
    assert_eq!(repaired.count(), 3);
}

#[test]
fn a_record_of_ours_with_a_sender_more_was_edited_by_others() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let marker = world.texts(NAME)[1].clone();
    let edited = "\"v=spf1 include:amazonses.com include:theirs.example ~all\"";
    world.put_record(NAME, RecordType::Txt, &[edited, &format!("\"{marker}\"")]);
    world.live(minutes(12));
    assert_eq!(world.writes(), Vec::<&str>::new());
    world.edit(|object| object.spec.dns.spf.all = SpfAll::Fail);
    world.live(minutes(12));
    assert_eq!(world.writes(), Vec::<&str>::new(), "what others made of it is left");
    world.object.spec.deletion_policy = DeletionPolicy::Delete;
    world.delete();
    world.live(minutes(10));
    assert_eq!(world.texts(NAME), ["v=spf1 include:theirs.example ~all"]);
}

#[test]
fn a_merged_record_that_others_take_away_is_ours_when_put_back() {
    let mut world = with_spf("v=spf1 ip4:192.0.2.1 -all");
    world.live(minutes(5));
    let marker = world.texts(NAME)[1].clone();
    world.put_record(NAME, RecordType::Txt, &[&format!("\"{marker}\"")]);
    world.live(minutes(12));
    assert_eq!(spf(&world), "v=spf1 include:amazonses.com ~all");
    assert_eq!(marked(&world), "spf=created");
    world.delete();
    world.live(minutes(10));
    assert_eq!(world.texts(NAME), Vec::<String>::new());
}
