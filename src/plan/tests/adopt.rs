//! What stands already: adopted, merged, replaced or left alone, and found as
//! it was when the object goes.

use super::small_world::*;
use crate::api::{AdoptionPolicy, DeletionPolicy};
use crate::mail::{BehaviorOnMxFailure, MailFrom, MailFromStatus, Origin, RecordSet, RecordType};

const MX: &str = "10 feedback-smtp.us-east-1.amazonses.com";
const SPF: &str = "\"v=spf1 include:amazonses.com -all\"";

fn holds(world: &mut SmallWorld, region: &str, domain: &str, behavior: BehaviorOnMxFailure) {
    let status = MailFromStatus::Success;
    world.ses(region).mail_from = Some(MailFrom { domain: domain.into(), status, behavior });
}

/// What a well-known Terraform module leaves behind: MX and SPF of its own
/// TTLs, and the setting in SES, in Success.
fn hand_made(spec: &str) -> SmallWorld {
    let mut world = SmallWorld::new(spec);
    world.put_record_at(NAME, RecordType::Mx, 600, &[MX]);
    world.put_record_at(NAME, RecordType::Txt, 3600, &[SPF]);
    holds(&mut world, "us-east-1", NAME, DEFAULT);
    world
}

/// The records in an order of their own: a swap moves a set to the end.
fn zone(world: &SmallWorld) -> Vec<(String, RecordSet)> {
    let mut records = world.records.clone();
    records.sort_by_key(|(_, set)| (set.name.to_string(), set.rtype.to_string()));
    records
}

fn adopts(world: &mut SmallWorld, policy: AdoptionPolicy) {
    world.edit(|object| object.spec.adoption_policy = policy);
    world.live(minutes(5));
}

fn marker(world: &SmallWorld) -> String {
    let texts = world.texts(NAME);
    let marker = texts.iter().find(|text| text.starts_with("ses-mailfrom-owner=v1 "));
    marker.map(|text| text[55..].to_owned()).unwrap_or_default()
}

#[test]
fn a_working_setup_is_adopted_by_one_change_and_found_again() {
    for policy in [DeletionPolicy::Delete, DeletionPolicy::RetainDNS, DeletionPolicy::Retain] {
        let mut world = hand_made(ONE_REGION);
        world.object.spec.deletion_policy = policy;
        let (found, set) = (zone(&world), world.ses("us-east-1").clone());
        world.live(minutes(5));
        assert_eq!(world.writes(), ["change -TXT +TXT"], "the marker alone");
        assert_eq!(world.condition("Ready"), "True Succeeded", "{}", world.message());
        assert_eq!(world.at(NAME, &RecordType::Txt).unwrap().ttl, 3600);
        assert_eq!(marker(&world), "mx=adopted spf=adopted regions=us-east-1:adopted");
        let told: Vec<_> = world.notices.iter().filter(|n| n.reason == "Adopted").collect();
        assert_eq!(told.len(), 1, "{:?}", world.notices);
        let says = "the MX, the SPF record, the MAIL FROM setting in us-east-1";
        assert!(told[0].note.ends_with(says), "{told:?}");
        let region = world.region("us-east-1");
        assert_eq!(region.origin, Some(Origin::Adopted));
        assert!(region.adopted_time.is_some() && region.account.is_some(), "{region:?}");
        for record in &world.status().records {
            assert_eq!(record.origin, Some(Origin::Adopted), "{record:?}");
            assert!(record.adopted_time.is_some(), "{record:?}");
        }
        assert_eq!(world.status().records[0].ttl_seconds, 600);
        world.live(hours(2));
        assert_eq!(world.writes().len(), 1, "nothing more: {:?}", world.writes());

        world.delete();
        world.live(minutes(10));
        assert!(world.finalizer_gone);
        assert_eq!(*world.ses("us-east-1"), set);
        if policy != DeletionPolicy::Retain {
            assert_eq!(zone(&world), found, "{policy:?}");
        }
    }
}

#[test]
fn any_preference_ttl_and_all_are_left_as_they_are() {
    for (mx, spf) in [
        ("20 Feedback-SMTP.us-east-1.amazonses.com.", "\"v=spf1 include:amazonses.com ~all\""),
        ("0 feedback-smtp.us-east-1.amazonses.com", "\"v=spf1 mx  include:amazonses.com ?all\""),
    ] {
        let mut world = hand_made(ONE_REGION);
        world.put_record_at(NAME, RecordType::Mx, 60, &[mx]);
        world.put_record_at(NAME, RecordType::Txt, 60, &["\"other\" \"text\"", spf]);
        let found = zone(&world);
        world.live(hours(2));
        assert_eq!(world.writes(), ["change -TXT +TXT"]);
        assert_eq!(world.at(NAME, &RecordType::Txt).unwrap().values[1], spf);
        // A person changes the preference again: nothing to us.
        world.put_record_at(NAME, RecordType::Mx, 90, &[MX]);
        world.live(minutes(12));
        assert_eq!(world.writes().len(), 1);
        assert_eq!(world.condition("Ready"), "True Succeeded", "{}", world.message());
        world.put_record_at(NAME, RecordType::Mx, 60, &[mx]);
        world.object.spec.deletion_policy = DeletionPolicy::Delete;
        world.delete();
        world.live(minutes(10));
        assert_eq!(zone(&world), found);
    }
}

#[test]
fn never_refuses_whatever_is_found() {
    type Found = fn(&mut SmallWorld);
    let cases: [(Found, &str, &str); 3] = [
        (|w| w.put_record(NAME, RecordType::Mx, &[MX]), "RecordConflict", "MX records"),
        (|w| w.put_record(NAME, RecordType::Txt, &[SPF]), "RecordConflict", "SPF records"),
        (|w| holds(w, "us-east-1", NAME, DEFAULT), "MailFromConflict", "IfIdentical would adopt"),
    ];
    for (found, reason, says) in cases {
        let mut world = SmallWorld::new(ONE_REGION);
        found(&mut world);
        adopts(&mut world, AdoptionPolicy::Never);
        assert_eq!(world.writes(), Vec::<&str>::new());
        assert_eq!(world.condition("Ready"), format!("False {reason}"));
        assert!(world.message().contains(says), "{}", world.message());
        adopts(&mut world, AdoptionPolicy::IfIdentical);
        assert!(!world.writes().is_empty(), "{says}");
    }
}

#[test]
fn another_mx_is_replaced_by_always_alone_and_then_ours() {
    for found in [
        vec!["10 mail.example.com"],
        vec!["10 feedback-smtp.eu-central-1.amazonses.com"],
        vec![MX, "20 mail.example.com"],
    ] {
        let mut world = hand_made(ONE_REGION);
        world.put_record(NAME, RecordType::Mx, &found);
        adopts(&mut world, AdoptionPolicy::IfIdentical);
        assert_eq!(world.writes(), Vec::<&str>::new());
        assert_eq!(world.condition("Ready"), "False RecordConflict");
        let says = "adoptionPolicy Always would replace it";
        assert!(world.message().contains(says), "{}", world.message());
        adopts(&mut world, AdoptionPolicy::Always);
        assert_eq!(world.writes(), ["change -MX +MX -TXT +TXT"]);
        assert_eq!(marker(&world), "mx=created spf=adopted regions=us-east-1:adopted");
        world.object.spec.deletion_policy = DeletionPolicy::Delete;
        world.delete();
        world.live(minutes(10));
        assert_eq!(world.at(NAME, &RecordType::Mx), None);
        assert_eq!(world.at(NAME, &RecordType::Txt).unwrap().values, [SPF]);
        assert_eq!(world.mail_from("us-east-1").domain, NAME);
    }
}

#[test]
fn another_mail_from_is_replaced_by_always_alone_and_then_cleared() {
    for found in ["other.example.com", "mail.elsewhere.example"] {
        let mut world = SmallWorld::new(ONE_REGION);
        holds(&mut world, "us-east-1", found, REJECT);
        adopts(&mut world, AdoptionPolicy::IfIdentical);
        assert_eq!(world.writes(), Vec::<&str>::new());
        assert_eq!(world.condition("Ready"), "False MailFromConflict");
        assert!(world.message().contains(found), "{}", world.message());
        adopts(&mut world, AdoptionPolicy::Always);
        assert_eq!(
            world.writes(),
            ["change +MX +TXT", "put us-east-1 bounce.example.com UseDefaultValue"]
        );
        assert_eq!(world.region("us-east-1").origin, Some(Origin::Created));
        world.delete();
        world.live(minutes(10));
        assert_eq!(world.ses("us-east-1").mail_from, None, "what was replaced is ours");
    }
}

#[test]
fn a_setting_under_another_owners_marker_is_never_replaced() {
    let mut world = SmallWorld::new(ONE_REGION);
    let text = "\"ses-mailfrom-owner=v1 00112233445566778899aabbccddeeff mx=created spf=created regions=us-east-1\"";
    world.put_record("other.example.com", RecordType::Txt, &[text]);
    holds(&mut world, "us-east-1", "other.example.com", DEFAULT);
    adopts(&mut world, AdoptionPolicy::Always);
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Ready"), "False MailFromConflict");
    assert!(world.message().contains("another owner's marker"), "{}", world.message());
}

#[test]
fn always_does_not_end_in_a_war() {
    for (swaps_mx, repair) in [(true, "change -MX +MX"), (false, "put us-east-1 bounce")] {
        let mut world = SmallWorld::ready(ONE_REGION);
        adopts(&mut world, AdoptionPolicy::Always);
        for _ in 0..6 {
            if swaps_mx {
                world.put_record(NAME, RecordType::Mx, &["10 mail.example.com"]);
            } else {
                holds(&mut world, "us-east-1", "other.example.com", DEFAULT);
            }
            world.live(minutes(11));
            world.set_all(MailFromStatus::Success);
        }
        let repairs = world.writes().iter().filter(|done| done.starts_with(repair)).count();
        assert_eq!(repairs, 3, "{:?}", world.writes());
        assert_eq!(world.condition("Ready"), "False DriftLoop");
    }
}

#[test]
fn reject_message_found_and_wanted_is_never_lowered() {
    for status in [MailFromStatus::Success, MailFromStatus::Pending] {
        let mut world = hand_made(ONE_REGION);
        world.object.spec.behavior_on_mx_failure = REJECT;
        holds(&mut world, "us-east-1", NAME, REJECT);
        world.mail_from("us-east-1").status = status;
        world.live(hours(1));
        assert_eq!(world.writes(), ["change -TXT +TXT"], "{status:?}");
        world.mail_from("us-east-1").status = MailFromStatus::Success;
        world.live(minutes(12));
        assert_eq!(world.writes().len(), 1, "{:?}", world.writes());
        assert_eq!(world.condition("Ready"), "True Succeeded");
    }
}

#[test]
fn a_behaviour_found_and_not_wanted_follows_the_spec() {
    for (found, wanted) in [(REJECT, DEFAULT), (DEFAULT, REJECT)] {
        let mut world = hand_made(ONE_REGION);
        world.object.spec.behavior_on_mx_failure = wanted;
        holds(&mut world, "us-east-1", NAME, found);
        world.live(minutes(5));
        let put = format!("put us-east-1 bounce.example.com {}", wanted.as_str());
        assert_eq!(world.writes(), ["change -TXT +TXT", &put]);
        assert_eq!(world.region("us-east-1").origin, Some(Origin::Adopted));
        world.delete();
        world.live(minutes(10));
        assert!(world.finalizer_gone);
        assert_eq!(world.mail_from("us-east-1").behavior, wanted, "and is not put back");
    }
}

#[test]
fn what_was_adopted_is_kept_up_and_stays_adopted() {
    let mut world = hand_made(ONE_REGION);
    world.live(minutes(5));
    world.done.clear();
    world.remove(NAME, &RecordType::Mx);
    world.live(minutes(12));
    world.ses("us-east-1").mail_from = None;
    world.live(minutes(12));
    assert_eq!(world.writes(), ["change +MX", "put us-east-1 bounce.example.com UseDefaultValue"]);
    let repairs = world.notices.iter().filter(|notice| notice.reason == "DriftRepaired").count();
    assert_eq!(repairs, 2, "{:?}", world.notices);
    assert_eq!(marker(&world), "mx=adopted spf=adopted regions=us-east-1:adopted");
    world.object.spec.deletion_policy = DeletionPolicy::Delete;
    world.delete();
    world.live(minutes(10));
    assert!(world.at(NAME, &RecordType::Mx).is_some());
    assert_eq!(world.mail_from("us-east-1").domain, NAME);
}

#[test]
fn a_status_that_was_lost_is_rebuilt_from_the_marker() {
    let mut world = hand_made(TWO_REGIONS);
    world.live(minutes(5));
    world.set_all(MailFromStatus::Success);
    world.live(minutes(12));
    assert_eq!(marker(&world), "mx=adopted spf=adopted regions=eu-west-1,us-east-1:adopted");
    world.done.clear();
    world.object.status = None;
    world.claim();
    world.memory = crate::plan::Memory::default();
    world.live(minutes(12));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.region("us-east-1").origin, Some(Origin::Adopted));
    assert_eq!(world.region("eu-west-1").origin, Some(Origin::Created));
    world.object.status = None;
    world.claim();
    world.delete();
    world.live(minutes(10));
    assert_eq!(world.writes(), ["put eu-west-1 none UseDefaultValue", "change -TXT +TXT"]);
    assert_eq!(world.mail_from("us-east-1").domain, NAME);
}

#[test]
fn an_adopted_region_that_leaves_keeps_its_setting() {
    let mut world = hand_made(TWO_REGIONS);
    holds(&mut world, "eu-west-1", NAME, DEFAULT);
    world.live(minutes(5));
    assert_eq!(world.writes(), ["change -TXT +TXT"]);
    world.edit(|object| object.spec.regions.truncate(1));
    world.live(minutes(12));
    assert_eq!(world.writes()[1..], ["change -TXT +TXT"], "the marker lists it no longer");
    assert_eq!(marker(&world), "mx=adopted spf=adopted regions=us-east-1:adopted");
    assert_eq!(world.mail_from("eu-west-1").domain, NAME);
    assert_eq!(world.status().regions.len(), 1);
}

#[test]
fn a_half_made_setup_is_completed_and_left_half_made() {
    // The setting in SES alone, and mail refused for the want of an MX.
    let mut world = SmallWorld::new(ONE_REGION);
    world.object.spec.behavior_on_mx_failure = REJECT;
    world.object.spec.deletion_policy = DeletionPolicy::Delete;
    holds(&mut world, "us-east-1", NAME, DEFAULT);
    world.mail_from("us-east-1").status = MailFromStatus::Pending;
    world.live(minutes(5));
    assert_eq!(world.writes(), ["change +MX +TXT"]);
    world.set_all(MailFromStatus::Success);
    world.live(minutes(12));
    assert_eq!(world.mail_from("us-east-1").behavior, REJECT);
    world.done.clear();
    world.delete();
    world.live(minutes(10));
    assert_eq!(
        world.writes(),
        ["put us-east-1 bounce.example.com UseDefaultValue", "change -MX -TXT"],
        "no mail is refused for the MX that goes"
    );
    assert!(world.finalizer_gone);
}

#[test]
fn several_strings_escapes_and_quotes_of_others_survive_everything() {
    let long = format!("\"{}\" \"{}\" \"\"", "a".repeat(255), "b".repeat(200));
    let others = [r#""say \"hi\" \\ \052\000""#, long.as_str(), "\"hello\" \"world\""];
    let spf = r#""v=spf1  ip4:192.0.2." "0/24 -all""#;
    let mut values = others.to_vec();
    values.insert(1, spf);
    let mut world = SmallWorld::new(ONE_REGION);
    world.object.spec.deletion_policy = DeletionPolicy::Delete;
    world.put_record_at(NAME, RecordType::Txt, 1234, &values);
    let found = zone(&world);
    let kept = |world: &SmallWorld| {
        let set = world.at(NAME, &RecordType::Txt).unwrap();
        assert_eq!(set.ttl, 1234);
        assert!(others.iter().all(|value| set.values.iter().any(|v| v == value)), "{set:?}");
    };
    world.live(minutes(5));
    kept(&world);
    world.set_all(MailFromStatus::Success);
    world.live(minutes(5));
    world.edit(|object| object.spec.subdomain = "post".into());
    world.live(minutes(5));
    kept(&world);
    world.edit(|object| object.spec.subdomain = "bounce".into());
    world.live(minutes(5));
    kept(&world);
    world.delete();
    world.live(minutes(10));
    assert!(world.finalizer_gone);
    assert_eq!(zone(&world), found);
}
