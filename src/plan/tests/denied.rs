//! What no policy allows, or allows no longer.

use serde_json::json;

use super::small_world::*;
use crate::api::DeletionPolicy;
use crate::authority::{Labels, Policy};
use crate::mail::{MailFromStatus, RecordType};

/// No policy is left.
fn forbid(world: &mut SmallWorld) {
    world.claims.remove_policy("default");
}

fn allow(world: &mut SmallWorld, changes: &serde_json::Value) {
    world.claims.put_policy("default", policy(changes));
}

/// A policy that names what is below ours for another namespace.
fn give_away(world: &mut SmallWorld, domain: &str) {
    world.claims.put_namespace("else", [("name".to_owned(), "else".to_owned())].into());
    let spec = json!({
        "namespaceSelector": {"matchLabels": {"name": "else"}}, "domains": [domain],
    });
    let given = Policy::parse(&serde_json::from_value(spec).unwrap()).unwrap();
    world.claims.put_policy("given", given);
}

#[test]
fn without_authority_nothing_is_asked_and_nothing_is_done() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.object.metadata.finalizers = None;
    world.object.status = None;
    forbid(&mut world);
    world.live(hours(1));
    assert_eq!(world.done, ["status"], "said once and at once");
    assert!(world.last.questions.is_empty());
    for kind in ["Ready", "Authorized"] {
        assert_eq!(world.condition(kind), "False PolicyDenied");
    }
    assert_eq!(world.condition("Stalled"), "True PolicyDenied");
    assert_eq!(world.condition("Reconciling"), "absent");
    let said = world.message();
    assert!(said.contains("no SesMailFromPolicy is for the namespace mail"), "{said}");
    assert!(said.contains("ask a cluster administrator"), "{said}");
    assert_eq!(world.notices.len(), 1, "{:?}", world.notices);
    allow(&mut world, &json!({}));
    world.live(minutes(1));
    assert_eq!(world.condition("Authorized"), "True Succeeded");
    assert_eq!(world.condition("Stalled"), "absent");
    assert_eq!(world.writes().len(), 2, "{:?}", world.writes());
}

#[test]
fn losing_authority_keeps_what_stands_in_aws_and_in_status() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let (records, before) = (world.records.clone(), world.status().clone());
    forbid(&mut world);
    world.remove(NAME, &RecordType::Mx);
    world.live(hours(3));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Stalled"), "True PolicyDenied");
    assert_eq!(world.condition("MailFromVerified"), "True Succeeded", "as last seen");
    let after = world.status();
    assert_eq!((&after.regions, &after.records), (&before.regions, &before.records));
    allow(&mut world, &json!({}));
    world.live(minutes(30));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    let mx = |all: &[(String, crate::mail::RecordSet)]| {
        all.iter().map(|(_, set)| set).find(|set| set.rtype == RecordType::Mx).cloned()
    };
    assert_eq!(mx(&world.records), mx(&records), "repaired once it may be");
}

#[test]
fn deleted_without_authority_it_goes_after_the_grace_and_leaves_all_in_place() {
    for policy in [DeletionPolicy::Delete, DeletionPolicy::RetainDNS] {
        let mut world = SmallWorld::ready(ONE_REGION);
        world.edit(|object| object.spec.deletion_policy = policy);
        world.live(minutes(1));
        world.done.clear();
        let (records, identities) = (world.records.clone(), world.identities.clone());
        forbid(&mut world);
        world.settle();
        world.pass(minutes(1));
        world.delete();
        world.live(minutes(3));
        assert!(!world.finalizer_gone, "a policy may come back");
        let said = world.message();
        assert!(said.contains("without cleaning up once --authority-grace is over"), "{said}");
        world.live(minutes(2));
        assert!(world.finalizer_gone);
        assert_eq!((&world.records, &world.identities), (&records, &identities));
        let said = *world.writes().last().unwrap();
        for part in ["the MAIL FROM setting of example.com in us-east-1", "bounce.example.com MX"] {
            assert!(said.contains(part), "{said}");
        }
        let told = world.notices.last().unwrap();
        assert!(told.warning && told.reason == "LeftInPlace", "{told:?}");
    }
}

#[test]
fn a_policy_that_comes_back_within_the_grace_has_everything_cleaned_up() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.edit(|object| object.spec.deletion_policy = DeletionPolicy::Delete);
    forbid(&mut world);
    world.delete();
    world.live(minutes(4));
    allow(&mut world, &json!({}));
    world.live(minutes(2));
    assert!(world.finalizer_gone);
    assert!(
        world.at(NAME, &RecordType::Mx).is_none() && world.ses("us-east-1").mail_from.is_none()
    );
    // Authority that was back in between counts from anew.
    let mut world = SmallWorld::ready(ONE_REGION);
    forbid(&mut world);
    world.live(minutes(4));
    allow(&mut world, &json!({}));
    world.live(minutes(1));
    forbid(&mut world);
    world.delete();
    world.live(minutes(4));
    assert!(!world.finalizer_gone);
}

#[test]
fn retain_lets_it_go_at_once_with_or_without_authority() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.edit(|object| object.spec.deletion_policy = DeletionPolicy::Retain);
    forbid(&mut world);
    world.delete();
    world.settle();
    assert!(world.finalizer_gone);
}

#[test]
fn a_region_that_leaves_where_no_policy_allows_it_is_left_in_place_with_its_records() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    allow(&mut world, &json!({"regions": ["us-east-1"]}));
    world.live(minutes(1));
    assert_eq!(world.condition("Stalled"), "True PolicyDenied", "the spec names it still");
    world.edit(|object| object.spec.regions.truncate(1));
    world.live(minutes(1));
    assert_eq!(world.condition("Ready"), "False PolicyDenied");
    assert_eq!(world.region("eu-west-1").mail_from_status, MailFromStatus::Success);
    world.live(minutes(10));
    assert_eq!(world.condition("Ready"), "True Succeeded", "{}", world.message());
    assert!(world.status().regions.iter().all(|region| region.name == "us-east-1"));
    assert!(world.notices.iter().any(|notice| notice.reason == "LeftInPlace"));
    assert!(world.mail_from("eu-west-1").domain == NAME, "untouched");

    world.edit(|object| object.spec.deletion_policy = DeletionPolicy::Delete);
    world.delete();
    world.live(minutes(20));
    assert!(world.finalizer_gone);
    assert!(world.ses("us-east-1").mail_from.is_none());
    assert!(world.at(NAME, &RecordType::Mx).is_some(), "SES in eu-west-1 may need it");
}

#[test]
fn what_a_forged_status_names_is_never_asked_about() {
    let mut world = SmallWorld::ready(ONE_REGION);
    allow(&mut world, &json!({"regions": ["us-east-1"]}));
    give_away(&mut world, "b.example.com");
    let status = world.object.status.as_mut().unwrap();
    let mut forged = status.regions[0].clone();
    forged.name = "us-west-2".into();
    status.regions.push(forged);
    let mut record = status.records[0].clone();
    record.name = "x.b.example.com".into();
    status.records.push(record);
    world.claim();
    for deleted in [false, true] {
        if deleted {
            world.delete();
        }
        for _ in 0..40 {
            world.step();
            let asked = format!("{:?}", world.last.questions);
            assert!(!asked.contains("us-west-2") && !asked.contains("b.example.com"), "{asked}");
            world.pass(minutes(1));
        }
    }
    assert!(world.finalizer_gone);
}

#[test]
fn the_labels_of_the_namespace_decide_as_well() {
    let mut world = SmallWorld::new(ONE_REGION);
    let selector = json!({"matchLabels": {"team": "mail"}});
    allow(&mut world, &json!({"namespaceSelector": selector}));
    world.live(minutes(1));
    assert_eq!(world.condition("Stalled"), "True PolicyDenied");
    let labels: Labels = [("team".to_owned(), "mail".to_owned())].into();
    world.claims.put_namespace("mail", labels);
    world.live(minutes(1));
    assert_eq!(world.condition("Authorized"), "True Succeeded");
}

#[test]
fn a_marker_is_taken_over_only_where_the_policy_says_so() {
    let marker =
        "ses-mailfrom-owner=v1 00112233445566778899aabbccddeeff mx=created spf=created regions=";
    let mut world = SmallWorld::new(ONE_REGION);
    world.put_record(NAME, RecordType::Txt, &[&format!("\"{marker}\"")]);
    let asked = (crate::api::TAKE_OVER.to_owned(), marker.to_owned());
    world.object.metadata.annotations = Some([asked].into());
    world.claim();
    allow(&mut world, &json!({"takeOver": "Deny"}));
    world.live(minutes(1));
    assert_eq!(world.condition("Stalled"), "True RecordConflict");
    assert!(world.message().contains("its spec.takeOver is Deny"), "{}", world.message());
    assert_eq!(world.writes(), Vec::<&str>::new());
    allow(&mut world, &json!({"takeOver": "Allow"}));
    world.live(minutes(1));
    assert_eq!(world.writes()[0], "change +MX -TXT +TXT");
}
