//! Deletion, at every stage and under every policy.

use super::small_world::*;
use crate::api::{DeletionPolicy, Reason};
use crate::authority::Service;
use crate::mail::{MailFromStatus, RecordType};
use crate::plan::{Fault, Question, Said};

fn with_policy(spec: &str, policy: DeletionPolicy) -> SmallWorld {
    let mut world = SmallWorld::ready(spec);
    world.edit(|object| object.spec.deletion_policy = policy);
    world.live(minutes(12));
    world.done.clear();
    world
}

#[test]
fn what_is_ours_goes_also_where_the_zone_is_not_delegated_any_more() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::Delete);
    world.delegation = crate::mail::Delegation::Missing;
    world.object.status = None;
    world.delete();
    world.live(minutes(5));
    assert_eq!(world.writes(), ["put us-east-1 none UseDefaultValue", "change -MX -TXT"]);
    assert!(world.finalizer_gone);
}

/// Route 53 takes no value twice.
#[test]
fn an_spf_record_that_is_left_like_another_is_left_once() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::Delete);
    let mut values = world.at(NAME, &RecordType::Txt).unwrap().values.clone();
    values[0] = "\"v=spf1 a include:amazonses.com -all\"".into();
    values[1] = values[1].replace("spf=created", "spf=merged:amazonses.com");
    values.push("\"v=spf1 a -all\"".into());
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    world.put_record(NAME, RecordType::Txt, &values);
    world.delete();
    world.live(minutes(5));
    assert!(world.finalizer_gone, "{:?}", world.done);
    assert_eq!(world.at(NAME, &RecordType::Txt).unwrap().values, ["\"v=spf1 a -all\""]);
}

#[test]
fn delete_clears_ses_first_and_then_takes_the_records() {
    let mut world = with_policy(TWO_REGIONS, DeletionPolicy::Delete);
    world.delete();
    world.live(minutes(5));
    assert_eq!(
        world.writes(),
        [
            "put eu-west-1 none UseDefaultValue",
            "put us-east-1 none UseDefaultValue",
            "change -MX -TXT"
        ]
    );
    assert!(world.finalizer_gone);
    assert_eq!(world.records.len(), 1, "only the apex NS is left: {:?}", world.records);
}

#[test]
fn retain_dns_takes_the_marker_alone() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::RetainDNS);
    world.delete();
    world.live(minutes(5));
    assert!(world.finalizer_gone);
    assert!(world.at(NAME, &RecordType::Mx).is_some());
    assert_eq!(world.texts(NAME), ["v=spf1 include:amazonses.com ~all"]);
    assert_eq!(world.ses("us-east-1").mail_from, None);
}

#[test]
fn retain_touches_nothing_and_the_marker_stays_for_the_next() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::Retain);
    world.delete();
    world.settle();
    assert!(world.finalizer_gone);
    assert_eq!(world.writes(), Vec::<&str>::new());
    let (identities, records) = (world.identities.clone(), world.records.clone());
    let mut again = SmallWorld::new(ONE_REGION);
    again.identities = identities;
    again.records = records;
    again.live(minutes(2));
    assert_eq!(again.writes(), Vec::<&str>::new());
    assert_eq!(again.condition("Ready"), "True Succeeded");
    let region = &again.status().regions[0];
    assert_eq!(region.mail_from_domain.as_deref(), Some(NAME));
    assert!(region.account.is_some() && region.origin.is_some(), "{region:?}");
    assert_eq!(again.status().regions_verified.as_deref(), Some("1/1"));
}

#[test]
fn after_retain_dns_a_new_object_adopts_the_records() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::RetainDNS);
    world.delete();
    world.live(minutes(5));
    let mut again = SmallWorld::new(ONE_REGION);
    again.records = world.records;
    again.live(minutes(5));
    assert_eq!(
        again.writes(),
        ["change -TXT +TXT", "put us-east-1 bounce.example.com UseDefaultValue"]
    );
    let marker = &again.texts(NAME)[1];
    assert!(marker.ends_with(" mx=adopted spf=adopted regions=us-east-1"), "{marker}");
}

#[test]
fn other_txt_values_and_edited_spf_survive_a_deletion() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::Delete);
    let marker = format!("\"{}\"", world.texts(NAME)[1]);
    let spf = "\"v=spf1 ip4:192.0.2.1 include:amazonses.com -all\"";
    world.put_record(NAME, RecordType::Txt, &["\"other\"", spf, &marker]);
    world.delete();
    world.live(minutes(5));
    assert!(world.finalizer_gone);
    assert_eq!(world.texts(NAME), ["other", "v=spf1 ip4:192.0.2.1 -all"]);
    assert_eq!(world.at(NAME, &RecordType::Mx), None);
}

#[test]
fn foreign_values_survive_a_deletion() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::Delete);
    world.put_record(NAME, RecordType::Mx, &["10 mail.example.com"]);
    world.mail_from("us-east-1").domain = "theirs.example.com".into();
    world.delete();
    world.live(minutes(5));
    assert!(world.finalizer_gone);
    assert_eq!(world.at(NAME, &RecordType::Mx).unwrap().values, ["10 mail.example.com"]);
    assert_eq!(world.texts(NAME), Vec::<String>::new());
    assert_eq!(world.mail_from("us-east-1").domain, "theirs.example.com");
}

#[test]
fn a_name_that_ses_was_just_told_of_stays_until_the_clear_is_seen() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.object.spec.deletion_policy = DeletionPolicy::Delete;
    world.edit(|object| object.spec.subdomain = "mail".into());
    let before = world.identities.clone();
    world.settle();
    assert_eq!(world.mail_from("us-east-1").domain, "mail.example.com");
    world.stale_reads = Some(before);
    world.delete();
    world.settle();
    assert!(!world.texts("mail.example.com").is_empty(), "{:?}", world.writes());
    world.stale_reads = None;
    world.live(hours(1));
    assert!(world.finalizer_gone);
    assert!(world.ses("us-east-1").mail_from.is_none());
    assert!(world.texts("mail.example.com").is_empty(), "{:?}", world.done);
    assert!(world.texts(NAME).is_empty(), "{:?}", world.done);
}

#[test]
fn a_region_that_fails_for_good_keeps_its_name_and_holds_up_no_other() {
    let spec = "  domain: example.com\n  subdomain: bounce\n  regions: [{name: us-east-1, subdomain: a}, {name: eu-west-1, subdomain: b}]\n  deletionPolicy: Delete\n";
    let mut world = SmallWorld::ready(spec);
    let setting = world.setting_in("eu-west-1");
    let denied = Fault {
        reason: Reason::AccessDenied,
        transient: false,
        outdated: false,
        said: Said::Nothing,
        message: "ses:GetEmailIdentity on example.com in eu-west-1 is denied".into(),
    };
    world.failing.insert(setting, denied);
    world.delete();
    world.live(minutes(30));
    assert_eq!(world.writes(), ["put us-east-1 none UseDefaultValue", "change -MX -TXT"]);
    assert!(world.at("b.example.com", &RecordType::Mx).is_some());
    assert!(!world.finalizer_gone);
    assert!(world.message().contains("deletionPolicy to Retain"), "{}", world.message());
    world.edit(|object| object.spec.deletion_policy = DeletionPolicy::Retain);
    world.settle();
    assert!(world.finalizer_gone, "Retain releases the object at once");
}

#[test]
fn what_is_gone_already_is_fine() {
    let mut world = with_policy(TWO_REGIONS, DeletionPolicy::Delete);
    world.identities.clear();
    world.zones.clear();
    world.delete();
    world.live(minutes(12));
    assert!(world.finalizer_gone);
    assert_eq!(world.writes(), Vec::<&str>::new());
}

#[test]
fn what_is_being_deleted_is_not_ready_while_aws_is_away() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::Delete);
    let away = Fault {
        reason: Reason::AwsUnavailable,
        transient: true,
        outdated: false,
        said: Said::Nothing,
        message: "no answer".into(),
    };
    let questions: Vec<Question> = world.planned().questions.into_keys().collect();
    world.failing = questions.into_iter().map(|question| (question, away.clone())).collect();
    world.delete();
    world.live(minutes(1));
    assert_eq!(world.condition("Ready"), "False Deleting");
    assert_eq!(world.condition("Reconciling"), "True Deleting");
}

#[test]
fn a_zone_of_another_account_is_not_believed_gone() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::Delete);
    world.ses("us-east-1").mail_from = None;
    world.object.status.as_mut().unwrap().regions.clear();
    world.account = "999999999999".into();
    world.zones.clear();
    world.delete();
    world.live(minutes(12));
    assert!(!world.finalizer_gone);
    assert_eq!(world.condition("Ready"), "False AccountChanged");
}

#[test]
fn nothing_is_believed_gone_before_the_account_is_known() {
    for region_left in [true, false] {
        let mut world = with_policy(ONE_REGION, DeletionPolicy::Delete);
        if !region_left {
            world.object.status.as_mut().unwrap().regions.clear();
        }
        world.identities.clear();
        world.zones.clear();
        world.silent.extend([Service::Ses, Service::Route53].map(Question::Account));
        world.delete();
        world.live(minutes(12));
        assert!(!world.finalizer_gone, "region left: {region_left}");
        world.silent.clear();
        world.live(minutes(12));
        assert!(world.finalizer_gone, "the account is the one in status, so it is gone");
    }
}

#[test]
fn a_zone_that_went_while_it_was_remembered_is_gone() {
    let mut world = with_policy(ONE_REGION, DeletionPolicy::Delete);
    let name = crate::mail::DomainName::parse(NAME).unwrap();
    let gone = Fault {
        reason: Reason::ZoneNotFound,
        transient: false,
        outdated: false,
        said: Said::Nothing,
        message: "route53 ListResourceRecordSets in Z1: no such hosted zone".into(),
    };
    let zone = crate::mail::HostedZoneId::parse(ZONE).unwrap();
    world.failing.insert(Question::Name(zone, name), gone);
    world.delete();
    world.live(minutes(12));
    assert!(world.finalizer_gone, "{}", world.message());
}

#[test]
fn deletion_right_after_the_first_put_does_not_believe_an_old_answer() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.object.spec.deletion_policy = DeletionPolicy::Delete;
    world.stale_reads = Some(world.identities.clone());
    world.settle();
    assert_eq!(world.writes().len(), 2);
    world.delete();
    world.live(std::time::Duration::from_secs(30));
    assert!(!world.finalizer_gone, "SES may hold what it does not show yet");
    world.stale_reads = None;
    world.live(minutes(5));
    assert!(world.finalizer_gone);
    assert_eq!(world.ses("us-east-1").mail_from, None);
    assert_eq!(world.records.len(), 1);
}

/// The marker lists a region before its first put; with status gone nobody knows
/// when that put was, and SES may not show it yet.
#[test]
fn a_region_that_only_the_marker_knows_is_not_forgotten_for_an_old_answer() {
    for deleted in [true, false] {
        let spec = format!("{TWO_REGIONS}  deletionPolicy: Delete\n");
        let mut world = SmallWorld::new(&spec);
        world.stale_reads = Some(world.identities.clone());
        world.settle();
        world.object.status = None;
        world.edit(|object| object.spec.regions.truncate(1));
        if deleted {
            world.delete();
        }
        world.live(std::time::Duration::from_secs(30));
        world.stale_reads = None;
        world.live(minutes(12));
        assert_eq!(world.ses("eu-west-1").mail_from, None, "deleted: {deleted}");
        let marker = world.texts(NAME).pop();
        assert_eq!(marker.is_none(), deleted, "{marker:?}");
        assert!(marker.is_none_or(|marker| marker.ends_with("regions=us-east-1")));
    }
}

#[test]
fn deletion_at_every_step_of_the_life_leaves_nothing() {
    for cut in 0..12 {
        let spec = format!("{TWO_REGIONS}  deletionPolicy: Delete\n");
        let mut world = SmallWorld::new(&spec);
        for _ in 0..cut {
            world.step();
        }
        if cut > 9 {
            world.set_all(MailFromStatus::Success);
        }
        world.delete();
        world.live(minutes(30));
        let held = world.object.metadata.finalizers.is_some();
        assert!(!held, "cut {cut}: {:?}", world.done);
        assert_eq!(world.records.len(), 1, "cut {cut}: {:?}", world.done);
        assert!(world.identities.values().all(|identity| identity.mail_from.is_none()));
    }
}
