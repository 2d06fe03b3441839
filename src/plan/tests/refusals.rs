//! What is refused, with the exact finding, and nothing written.

use std::sync::Arc;

use super::small_world::*;
use crate::api::TAKE_OVER;
use crate::authority::{Claimant, ObjectKey, ServiceCredentials};
use crate::mail::{
    Delegation, HostedZoneId, Identity, MailFrom, MailFromStatus, Owner, RecordType,
};

fn refused(world: &mut SmallWorld, reason: &str, says: &str) {
    world.settle_and_report();
    world.live(minutes(20));
    assert_eq!(world.writes(), Vec::<&str>::new());
    let ready = world.condition("Ready");
    assert_eq!(ready, format!("False {reason}"), "{}", world.message());
    assert!(world.message().contains(says), "{}", world.message());
}

#[test]
fn a_missing_identity_is_waited_for() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.identities.clear();
    refused(&mut world, "IdentityNotFound", "SES has no identity example.com in us-east-1");
    assert_eq!(world.condition("Reconciling"), "True IdentityNotFound");
    assert_eq!(world.condition("IdentityVerified"), "False IdentityNotFound");
}

#[test]
fn an_unverified_identity_is_waited_for_and_then_served() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.ses("us-east-1").verified = false;
    refused(&mut world, "IdentityNotVerified", "not verified in us-east-1");
    world.ses("us-east-1").verified = true;
    world.live(minutes(11));
    assert_eq!(world.writes().len(), 2);
}

#[test]
fn zones_that_cannot_be_used_are_told_apart() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.zones.clear();
    refused(&mut world, "ZoneNotFound", "no hosted zone that bounce.example.com lies in");

    let mut world = SmallWorld::new(ONE_REGION);
    world.zones[0].private = true;
    refused(&mut world, "ZoneNotFound", "private");

    let mut world = SmallWorld::new(ONE_REGION);
    let mut twin = world.zones[0].clone();
    twin.id = HostedZoneId::parse("Z2").unwrap();
    world.zones.push(twin);
    refused(&mut world, "ZoneAmbiguous", "Z1, Z2 are all named example.com");

    let mut world = SmallWorld::new(ONE_REGION);
    world.zones[0].linked_service = Some("cloudmap.example".into());
    refused(&mut world, "ZoneNotEditable", "cloudmap.example");

    let mut world = SmallWorld::new(ONE_REGION);
    world.delegation = Delegation::Missing;
    refused(&mut world, "ZoneNotDelegated", "does not delegate example.com");
    assert_eq!(world.condition("Stalled"), "True ZoneNotDelegated", "after the grace");

    let mut world = SmallWorld::new(ONE_REGION);
    world.delegation = Delegation::Elsewhere(vec!["ns.other.example".into()]);
    refused(&mut world, "ZoneNotDelegated", "ns.other.example");
}

#[test]
fn a_zone_that_is_not_delegated_has_its_grace() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.delegation = Delegation::Missing;
    world.settle_and_report();
    assert_eq!(world.condition("Stalled"), "absent");
    assert_eq!(world.condition("Reconciling"), "True ZoneNotDelegated");
}

#[test]
fn a_parent_that_cannot_be_asked_is_no_refusal() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.delegation = Delegation::Unaskable("timed out".into());
    world.settle();
    assert_eq!(world.writes().len(), 2);
}

#[test]
fn an_occupied_name_is_refused() {
    for (rtype, value) in [
        (RecordType::Cname, "other.example."),
        (RecordType::A, "192.0.2.1"),
        (RecordType::Aaaa, "2001:db8::1"),
        (RecordType::Ns, "ns.other.example."),
    ] {
        let mut world = SmallWorld::new(ONE_REGION);
        world.put_record(NAME, rtype.clone(), &[value]);
        refused(&mut world, "NameOccupied", &format!("a {rtype} record set"));
    }
}

#[test]
fn a_wildcard_is_refused_unless_overridden() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.wildcard = Some("*.example.com".into());
    refused(&mut world, "NameOccupied", "*.example.com answers for bounce.example.com");
    world.edit(|object| object.spec.dns.wildcard_policy = crate::api::WildcardPolicy::Override);
    world.settle();
    assert_eq!(world.writes().len(), 2);
}

#[test]
fn other_txt_values_are_kept() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.put_record(NAME, RecordType::Txt, &["\"hello\" \"world\"", "\"\\052\""]);
    world.settle();
    assert_eq!(world.writes()[0], "change +MX -TXT +TXT");
    let set = world.at(NAME, &RecordType::Txt).unwrap();
    assert_eq!(set.values[..2], ["\"hello\" \"world\"", "\"\\052\""]);
    assert_eq!(set.values.len(), 4);
}

#[test]
fn another_owners_marker_is_refused_and_taken_over_by_its_exact_text() {
    let other = Owner::of("other", "mail", "example");
    let text = format!("ses-mailfrom-owner=v1 {other} mx=created spf=created regions=us-east-1");
    let mut world = SmallWorld::new(ONE_REGION);
    world.put_record(NAME, RecordType::Mx, &["10 feedback-smtp.us-east-1.amazonses.com"]);
    let spf = "\"v=spf1 include:amazonses.com ~all\"";
    world.put_record(NAME, RecordType::Txt, &[spf, &format!("\"{text}\"")]);
    refused(&mut world, "RecordConflict", &text);

    let annotate = |world: &mut SmallWorld, text: &str| {
        let annotations = [(TAKE_OVER.to_owned(), text.to_owned())];
        world.object.metadata.annotations = Some(annotations.into());
        world.claim();
    };
    annotate(&mut world, &text.replace("us-east-1", "us-east-2"));
    refused(&mut world, "RecordConflict", &text);
    annotate(&mut world, &text);
    world.settle();
    assert_eq!(world.writes()[0], "change -TXT +TXT");
    assert!(world.texts(NAME)[1].contains(&owner().to_string()));
}

#[test]
fn the_marker_of_an_object_that_this_operator_knows_is_never_taken() {
    let other = Owner::of("cluster", "mail", "known");
    let text = format!("ses-mailfrom-owner=v1 {other} mx=created spf=created regions=");
    let mut world = SmallWorld::new(ONE_REGION);
    world.put_record(NAME, RecordType::Txt, &[&format!("\"{text}\"")]);
    world.object.metadata.annotations = Some([(TAKE_OVER.to_owned(), text.clone())].into());
    world.claims.put(Claimant {
        key: ObjectKey::new("mail", "known"),
        uid: "u0".into(),
        created: "2025-01-01T00:00:00Z".parse().unwrap(),
        owner: other,
        domain: crate::mail::DomainName::parse("other.example").unwrap(),
        asked: Arc::default(),
        places: Arc::default(),
        spf_includes: std::collections::BTreeSet::new(),
        manages: true,
        credentials: ServiceCredentials::default(),
        take_over: None,
    });
    world.claim();
    refused(&mut world, "RecordConflict", &text);
}

#[test]
fn damaged_doubled_and_later_markers_are_refused() {
    let good =
        "ses-mailfrom-owner=v1 00112233445566778899aabbccddeeff mx=created spf=created regions=";
    let later = good.replace("=v1", "=v7");
    for (values, says) in [
        (vec!["ses-mailfrom-owner=nonsense"], "damaged"),
        (vec![later.as_str()], "later version"),
        (vec![good, later.as_str()], "2 ownership markers"),
    ] {
        let mut world = SmallWorld::new(ONE_REGION);
        let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
        let quoted: Vec<&str> = quoted.iter().map(String::as_str).collect();
        world.put_record(NAME, RecordType::Txt, &quoted);
        refused(&mut world, "RecordConflict", says);
        assert!(world.message().contains(values[0]), "the text found: {}", world.message());
    }
}

#[test]
fn the_text_of_a_marker_that_is_none_is_bounded_and_escaped() {
    let mut world = SmallWorld::new(ONE_REGION);
    let text = format!("\"ses-mailfrom-owner=v1 \\012\\033[2J{}\"", "x".repeat(230));
    let more = format!("\"{}\"", "Q".repeat(255));
    world.put_record(NAME, RecordType::Txt, &[&format!("{text} {more}")]);
    refused(&mut world, "RecordConflict", "damaged: \"ses-mailfrom-owner=v1 ??[2Jxxx");
    let message = world.message();
    assert!(message.len() < 500 && !message.contains('Q'), "{message}");
    assert!(!message.chars().any(char::is_control), "{message:?}");
}

#[test]
fn a_name_that_is_an_identity_itself_is_refused() {
    let mut world = SmallWorld::new(ONE_REGION);
    let identity = Identity { verified: true, mail_from: None };
    world.identities.insert((NAME.into(), "us-east-1".into()), identity);
    refused(&mut world, "NameOccupied", "is itself an SES identity in us-east-1");
}

#[test]
fn an_older_object_holds_the_claim_and_is_named_in_the_same_namespace_only() {
    for (namespace, says) in [("mail", "the SesMailFrom older"), ("else", "another namespace")] {
        let mut world = SmallWorld::new(ONE_REGION);
        let key = ObjectKey::new("mail", "example");
        let mut rival = Claimant {
            key: ObjectKey::new(namespace, "older"),
            uid: "u0".into(),
            created: "2025-01-01T00:00:00Z".parse().unwrap(),
            owner: Owner::of("cluster", namespace, "older"),
            domain: crate::mail::DomainName::parse("example.com").unwrap(),
            asked: Arc::default(),
            places: Arc::default(),
            spf_includes: std::collections::BTreeSet::new(),
            manages: true,
            credentials: ServiceCredentials::default(),
            take_over: None,
        };
        let mine = crate::plan::Places::of(&world.object, &world.settings.regions).unwrap();
        rival.asked = mine.asked;
        rival.places = mine.claimed;
        let rival_key = rival.key.clone();
        let touched = world.claims.put(rival);
        assert!(touched.contains(&key));
        refused(&mut world, "DomainConflict", says);
        assert_eq!(world.condition("Authorized"), "False DomainConflict");
        let touched = world.claims.remove(&rival_key);
        assert!(touched.contains(&key), "the next takes over promptly");
        world.live(minutes(11));
        assert_eq!(world.writes().len(), 2);
    }
}

/// Our marker at a name says nothing of a region that it does not list.
#[test]
fn a_region_that_is_added_is_claimed_by_age_as_any_other() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let mut older = object(&ONE_REGION.replace("bounce", "mail").replace("us-east-1", "eu-west-1"));
    older.metadata.name = Some("older".into());
    older.metadata.uid = Some("u0".into());
    older.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        "2025-01-01T00:00:00Z".parse().unwrap(),
    ));
    let (credentials, regions) = (ServiceCredentials::default(), &world.settings.regions);
    world.claims.put(claimant(&older, "cluster", credentials, regions));
    let both = object(TWO_REGIONS).spec.regions;
    world.edit(|object| object.spec.regions = both);
    world.live(minutes(30));
    assert_eq!(world.condition("Ready"), "False DomainConflict");
    assert_eq!(world.writes(), Vec::<&str>::new(), "nothing of the other's is touched");
}

#[test]
fn a_region_without_ses_is_refused_and_the_others_go_on() {
    let spec = TWO_REGIONS.replace("eu-west-1", "eu-wst-1");
    let mut world = SmallWorld::new(&spec);
    world.settle_and_report();
    world.set_all(MailFromStatus::Success);
    world.live(minutes(2));
    assert_eq!(world.condition("Ready"), "False InvalidSpec");
    assert!(world.message().contains("did you mean eu-west-1?"), "{}", world.message());
    assert_eq!(world.writes().len(), 2, "{:?}", world.writes());
    assert_eq!(world.status().regions_verified.as_deref(), Some("1/2"));
}

#[test]
fn one_region_that_cannot_go_on_does_not_stall_one_that_can() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    world.ses("eu-west-1").mail_from = Some(MailFrom {
        domain: "mail.elsewhere.example".into(),
        status: MailFromStatus::Success,
        behavior: REJECT,
    });
    world.settle_and_report();
    assert_eq!(world.condition("Ready"), "False MailFromConflict");
    assert_eq!(world.condition("Reconciling"), "True Pending");
    assert_eq!(world.condition("Stalled"), "absent");
    assert_eq!(world.writes()[1..], ["put us-east-1 bounce.example.com UseDefaultValue"]);
    world.set_all(MailFromStatus::Success);
    world.live(minutes(2));
    assert_eq!(world.condition("Stalled"), "True MailFromConflict");
}
