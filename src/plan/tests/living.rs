//! Changes to a living object.

use super::small_world::*;
use crate::api::RecordState;
use crate::mail::{Identity, MailFromStatus, RecordType};

#[test]
fn a_new_subdomain_is_published_before_ses_moves_and_the_old_one_drains() {
    let spec = format!("{TWO_REGIONS}  behaviorOnMxFailure: RejectMessage\n");
    let mut world = SmallWorld::ready(&spec);
    world.edit(|object| object.spec.subdomain = "mail".into());
    world.live(minutes(2));
    let writes = world.writes();
    assert_eq!(writes[0], "change +MX +TXT");
    assert_eq!(
        writes[1..],
        [
            "put eu-west-1 mail.example.com UseDefaultValue",
            "put us-east-1 mail.example.com UseDefaultValue"
        ]
    );
    assert!(world.at(NAME, &RecordType::Mx).is_some(), "the old name's bounces still arrive");
    world.set_all(MailFromStatus::Success);
    world.live(minutes(30));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(world.mail_from("us-east-1").behavior, REJECT);
    let old = world.status().records.iter().find(|r| r.name == NAME).unwrap();
    assert_eq!(old.state, RecordState::Draining);
    world.live(hours(119));
    assert!(world.at(NAME, &RecordType::Mx).is_some());
    world.live(hours(2));
    assert_eq!(world.at(NAME, &RecordType::Mx), None);
    assert_eq!(world.at(NAME, &RecordType::Txt), None);
    assert!(world.status().records.iter().all(|r| r.name != NAME));
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn raising_again_what_a_move_has_lowered_repairs_nothing() {
    let spec = format!("{TWO_REGIONS}  behaviorOnMxFailure: RejectMessage\n");
    let mut world = SmallWorld::ready(&spec);
    world.edit(|object| object.spec.subdomain = "mail".into());
    for _ in 0..40 {
        world.step();
        // Seen at once, before any status tells of the lowered behaviour.
        world.set_all(MailFromStatus::Success);
    }
    world.live(minutes(5));
    assert_eq!(world.mail_from("us-east-1").behavior, REJECT);
    assert!(world.status().regions.iter().all(|region| region.repair_times.is_empty()));
}

#[test]
fn going_back_to_a_draining_name_keeps_its_records() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.edit(|object| object.spec.subdomain = "mail".into());
    world.live(minutes(5));
    world.set_all(MailFromStatus::Success);
    world.live(minutes(30));
    world.edit(|object| object.spec.subdomain = "bounce".into());
    world.live(minutes(5));
    world.set_all(MailFromStatus::Success);
    world.live(hours(200));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert!(world.at(NAME, &RecordType::Mx).is_some());
    assert_eq!(world.at("mail.example.com", &RecordType::Mx), None);
}

#[test]
fn a_region_leaves_cleared_and_forgotten() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    world.edit(|object| {
        object.spec.regions.remove(1);
    });
    world.live(minutes(3));
    assert_eq!(world.writes()[0], "put eu-west-1 none UseDefaultValue");
    assert!(world.status().regions.iter().all(|region| region.name != "eu-west-1"));
    assert!(world.texts(NAME)[1].ends_with("regions=us-east-1"), "{:?}", world.texts(NAME));
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn a_region_that_leaves_with_a_foreign_setting_is_left_alone() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    world.mail_from("eu-west-1").domain = "theirs.example.com".into();
    world.edit(|object| {
        object.spec.regions.remove(1);
    });
    world.live(minutes(12));
    assert!(world.writes().iter().all(|write| !write.starts_with("put")), "{:?}", world.writes());
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn a_region_joins_in_the_marker_before_its_first_put() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let verified = Identity { verified: true, mail_from: None };
    world.identities.insert(("example.com".into(), "eu-west-1".into()), verified);
    world.add_region("eu-west-1");
    world.live(minutes(2));
    assert_eq!(
        world.writes(),
        ["change -TXT +TXT", "put eu-west-1 bounce.example.com UseDefaultValue"]
    );
    assert_eq!(world.notices.iter().filter(|n| n.reason == "DriftRepaired").count(), 0);
}

#[test]
fn a_region_with_a_subdomain_of_its_own_has_an_mx_of_its_own() {
    let spec = "  domain: example.com\n  subdomain: bounce\n  regions: [{name: us-east-1, subdomain: a}, {name: eu-west-1, subdomain: b}]\n";
    let mut world = SmallWorld::ready(spec);
    let mx = |name: &str| world.at(name, &RecordType::Mx).map(|set| set.values[0].clone());
    assert_eq!(mx("a.example.com").unwrap(), "10 feedback-smtp.us-east-1.amazonses.com");
    assert_eq!(mx("b.example.com").unwrap(), "10 feedback-smtp.eu-west-1.amazonses.com");
    assert_eq!(mx(NAME), None, "where all have one, nothing is published at spec.subdomain");
    world.edit(|object| object.spec.regions[1].subdomain = Some("c".into()));
    world.live(minutes(2));
    world.set_all(MailFromStatus::Success);
    world.live(minutes(12));
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn an_mx_region_is_swapped_only_after_the_regions_were_lowered() {
    let spec = format!("{TWO_REGIONS}  behaviorOnMxFailure: RejectMessage\n");
    let mut world = SmallWorld::ready(&spec);
    world.edit(|object| object.spec.mx_region = Some("eu-west-1".into()));
    world.live(minutes(30));
    let writes = world.writes();
    let swap = writes.iter().position(|write| *write == "change -MX +MX").unwrap();
    assert!(swap >= 2, "{writes:?}");
    assert!(writes[..swap].iter().all(|write| write.ends_with("UseDefaultValue")), "{writes:?}");
    assert!(writes[swap + 1..].iter().all(|write| write.ends_with("RejectMessage")), "{writes:?}");
    assert_eq!(writes.len(), 5, "{writes:?}");
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(world.notices.iter().filter(|n| n.reason == "DriftRepaired").count(), 0);
}

#[test]
fn the_mx_stays_with_the_region_that_it_names_when_the_list_is_reordered() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    world.edit(|object| object.spec.regions.reverse());
    world.live(minutes(12));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn a_ttl_is_one_batch_and_a_behaviour_one_put() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.edit(|object| object.spec.dns.ttl_seconds = 600);
    world.live(minutes(3));
    assert_eq!(world.writes(), ["change -MX +MX -TXT +TXT"]);
    assert_eq!(world.condition("Ready"), "True Succeeded");
    world.edit(|object| object.spec.behavior_on_mx_failure = REJECT);
    world.live(minutes(3));
    assert_eq!(world.writes()[1..], ["put us-east-1 bounce.example.com RejectMessage"]);
    world.edit(|object| object.spec.behavior_on_mx_failure = DEFAULT);
    world.live(minutes(3));
    assert_eq!(world.writes()[2..], ["put us-east-1 bounce.example.com UseDefaultValue"]);
    assert_eq!(world.notices.iter().filter(|n| n.reason == "DriftRepaired").count(), 0);
}
