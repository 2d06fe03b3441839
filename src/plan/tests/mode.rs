//! Observe, which only says, and Suspend, which does not even look.

use std::collections::BTreeSet;

use super::small_world::*;
use crate::api::{AdoptionPolicy, DeletionPolicy, Mode};
use crate::authority::{Claimant, ObjectKey};
use crate::mail::{MailFrom, MailFromStatus, Owner, RecordType};

const MX: &str = "10 feedback-smtp.us-east-1.amazonses.com";
const SPF: &str = "\"v=spf1 include:amazonses.com -all\"";

fn observing(spec: &str) -> SmallWorld {
    let mut world = SmallWorld::new(spec);
    world.object.spec.mode = Mode::Observe;
    world.claim();
    world
}

fn hand_made() -> SmallWorld {
    let mut world = observing(ONE_REGION);
    world.put_record_at(NAME, RecordType::Mx, 600, &[MX]);
    world.put_record_at(NAME, RecordType::Txt, 3600, &[SPF]);
    let status = MailFromStatus::Success;
    let held = MailFrom { domain: NAME.into(), status, behavior: DEFAULT };
    world.ses("us-east-1").mail_from = Some(held);
    world
}

fn turn(world: &mut SmallWorld, mode: Mode) {
    world.edit(|object| object.spec.mode = mode);
    world.live(minutes(12));
}

fn lines(world: &SmallWorld) -> Vec<String> {
    let message = world.message();
    message.lines().filter_map(|line| line.strip_prefix("- ")).map(str::to_owned).collect()
}

#[test]
fn an_empty_world_is_told_all_that_manage_would_do_and_left_empty() {
    let mut world = observing(TWO_REGIONS);
    world.object.spec.behavior_on_mx_failure = REJECT;
    world.live(minutes(12));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.object.metadata.finalizers, None);
    assert_eq!(world.condition("Ready"), "False ChangesNeeded");
    assert_eq!(world.condition("Stalled"), "True ChangesNeeded");
    let lines = lines(&world);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[0], format!("publishing {NAME} MX: \"{MX}\""));
    assert!(
        lines[1].starts_with(&format!(
            "publishing {NAME} TXT: \"v=spf1 include:amazonses.com ~all\", \"ses-mailfrom-owner=v1 "
        )),
        "{lines:?}"
    );
    for (line, region) in lines[2..].iter().zip(["eu-west-1", "us-east-1"]) {
        let told =
            format!("telling SES in {region} of the MAIL FROM domain {NAME} (UseDefaultValue)");
        assert_eq!(*line, told);
    }
    let status = world.object.status.clone();
    world.done.clear();
    world.live(hours(3));
    assert_eq!(world.done, Vec::<String>::new(), "a settled report is not written again");
    assert_eq!(world.object.status, status);
}

#[test]
fn a_world_that_matches_is_ready_and_manage_then_adds_the_marker_alone() {
    let mut world = hand_made();
    world.live(minutes(12));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Ready"), "True Succeeded", "{}", world.message());
    assert_eq!(world.status().regions_verified.as_deref(), Some("1/1"));
    let told = lines(&world);
    assert_eq!(told.len(), 1, "{told:?}");
    let says = format!("changing {NAME} TXT: putting in \"ses-mailfrom-owner=v1 ");
    assert!(told[0].starts_with(&says), "{told:?}");
    assert!(world.status().records.iter().all(|record| record.origin.is_none()));
    assert_eq!(world.region("us-east-1").origin, None);
    turn(&mut world, Mode::Manage);
    assert_eq!(world.writes(), ["change -TXT +TXT"]);
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert!(world.notices.iter().all(|n| n.reason != "DriftRepaired"), "{:?}", world.notices);
    assert_eq!(world.notices.iter().filter(|n| n.reason == "Adopted").count(), 1);
}

#[test]
fn what_was_only_observed_is_not_ours() {
    let mut world = hand_made();
    world.live(minutes(12));
    world.edit(|object| object.spec.adoption_policy = AdoptionPolicy::Never);
    turn(&mut world, Mode::Manage);
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Ready"), "False MailFromConflict");
}

#[test]
fn each_difference_is_a_line() {
    let mut world = hand_made();
    world.object.spec.behavior_on_mx_failure = REJECT;
    world.object.spec.adoption_policy = AdoptionPolicy::Always;
    world.put_record(NAME, RecordType::Mx, &["10 mail.example.com"]);
    world.put_record(NAME, RecordType::Txt, &["\"v=spf1 -all\""]);
    world.live(minutes(12));
    let told = lines(&world);
    assert_eq!(
        told[0],
        format!("changing {NAME} MX: taking out \"10 mail.example.com\", putting in \"{MX}\"")
    );
    assert!(told[1].contains("putting in \"v=spf1 include:amazonses.com -all\""), "{told:?}");
    world.put_record(NAME, RecordType::Mx, &[MX]);
    world.put_record(NAME, RecordType::Txt, &[SPF]);
    world.live(minutes(12));
    assert_eq!(world.condition("Ready"), "False ChangesNeeded");
    assert_eq!(lines(&world)[1], "asking SES in us-east-1 for RejectMessage (RejectMessage)");
    world.mail_from("us-east-1").domain = "other.example.com".into();
    world.live(minutes(12));
    let replacing = "replacing the MAIL FROM domain \"other.example.com\" in us-east-1 by bounce.example.com (UseDefaultValue)";
    assert_eq!(lines(&world)[1], replacing);
    world.edit(|object| object.spec.adoption_policy = AdoptionPolicy::IfIdentical);
    world.live(minutes(12));
    assert_eq!(world.condition("Ready"), "False MailFromConflict", "what Manage would refuse");
    assert_eq!(world.writes(), Vec::<&str>::new());
}

#[test]
fn an_object_that_is_turned_to_observe_tells_drift_and_repairs_nothing() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    turn(&mut world, Mode::Observe);
    assert_eq!(world.condition("Ready"), "True Succeeded");
    world.remove(NAME, &RecordType::Mx);
    world.ses("eu-west-1").mail_from = None;
    world.edit(|object| object.spec.subdomain = "bounce".into());
    world.live(minutes(12));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Ready"), "False ChangesNeeded");
    assert_eq!(lines(&world).len(), 2, "{}", world.message());
    world.edit(|object| object.spec.regions.truncate(1));
    world.live(minutes(12));
    assert_eq!(world.writes(), Vec::<&str>::new());
    turn(&mut world, Mode::Manage);
    assert_eq!(world.writes()[0], "change +MX -TXT +TXT");
}

#[test]
fn suspend_writes_one_status_and_asks_nothing() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let before = world.status().clone();
    world.edit(|object| object.spec.mode = Mode::Suspend);
    world.remove(NAME, &RecordType::Mx);
    world.live(hours(5));
    assert_eq!(world.done, ["status"]);
    assert_eq!(world.condition("Ready"), "Unknown Suspended");
    assert_eq!(Some(world.status().observed_generation), world.object.metadata.generation);
    assert_eq!(world.status().regions, before.regions);
    assert!(world.planned().questions.is_empty());
    assert_eq!(world.planned().wake, None);
    assert!(world.object.metadata.finalizers.is_some());
    turn(&mut world, Mode::Manage);
    assert_eq!(world.writes(), ["change +MX"]);
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn deleting_in_either_takes_the_finalizer_alone_with_an_event() {
    for mode in [Mode::Observe, Mode::Suspend] {
        let mut world = SmallWorld::ready(ONE_REGION);
        world.object.spec.deletion_policy = DeletionPolicy::Delete;
        turn(&mut world, mode);
        world.notices.clear();
        world.delete();
        world.live(minutes(5));
        assert!(world.finalizer_gone, "{mode:?}");
        assert_eq!(world.writes(), Vec::<&str>::new());
        assert_eq!(world.notices[0].reason, "Released");
        assert!(world.notices[0].note.contains("mode"), "{:?}", world.notices);
        assert_eq!(world.texts(NAME).len(), 2);
    }
}

#[test]
fn who_only_looks_is_in_nobodys_way() {
    let mut world = SmallWorld::new(ONE_REGION);
    let places = crate::plan::Places::of(&world.object, &world.settings.regions).unwrap().claimed;
    let older = Claimant {
        key: ObjectKey::new("mail", "older"),
        uid: "u0".into(),
        created: "2025-01-01T00:00:00Z".parse().unwrap(),
        owner: Owner::of("cluster", "mail", "older"),
        domain: crate::mail::DomainName::parse("example.com").unwrap(),
        asked: places.clone(),
        places,
        spf_includes: std::collections::BTreeSet::new(),
        manages: true,
        credentials: crate::authority::ServiceCredentials::default(),
        take_over: None,
    };
    let key = ObjectKey::new("mail", "example");
    assert_eq!(world.claims.put(older.clone()), BTreeSet::from([key.clone()]));
    world.live(minutes(5));
    assert_eq!(world.condition("Ready"), "False DomainConflict");
    let touched = world.claims.put(Claimant { manages: false, ..older.clone() });
    assert!(touched.contains(&key), "the next takes over promptly");
    assert!(world.claims.standing(&older.key).is_some(), "and is looked at still");
    world.live(minutes(12));
    assert_eq!(world.writes().len(), 2);
    assert_eq!(world.claims.put(older), BTreeSet::from([key]));
}
