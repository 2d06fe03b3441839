//! Drift, conflicts, loops, and AWS that cannot be read.

use std::time::Duration;

use super::small_world::*;
use crate::api::{AdoptionPolicy, RECONCILE_REQUESTED_AT, Reason, RecordState};
use crate::mail::{DomainName, HostedZoneId, MailFrom, MailFromStatus, RecordType};
use crate::plan::{Facts, Fault, Question, Said};

#[test]
fn a_missing_mx_is_put_back_and_announced() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    world.remove(NAME, &RecordType::Mx);
    world.live(minutes(12));
    assert_eq!(world.writes(), ["change +MX"]);
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(world.notices[0].reason, "DriftRepaired");
    assert!(world.notices[0].note.contains("MX at bounce.example.com"), "{:?}", world.notices);
}

#[test]
fn a_changed_preference_or_ttl_of_ours_is_drift() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.put_record(NAME, RecordType::Mx, &["20 feedback-smtp.us-east-1.amazonses.com"]);
    world.live(minutes(12));
    assert_eq!(world.writes(), ["change -MX +MX"]);
    assert_eq!(world.notices[0].reason, "DriftRepaired", "a war over it would end, too");
    world.records.iter_mut().find(|(_, s)| s.rtype == RecordType::Mx).unwrap().1.ttl = 60;
    world.live(minutes(12));
    assert_eq!(world.writes(), ["change -MX +MX", "change -MX +MX"]);
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn a_foreign_mx_is_reported_and_untouched() {
    for values in [
        vec!["10 mail.example.com"],
        vec!["10 feedback-smtp.us-east-1.amazonses.com", "20 mail.example.com"],
    ] {
        let mut world = SmallWorld::ready(ONE_REGION);
        world.put_record(NAME, RecordType::Mx, &values);
        world.live(minutes(30));
        assert_eq!(world.writes(), Vec::<&str>::new());
        assert_eq!(world.condition("Stalled"), "True RecordConflict");
        assert!(world.message().contains("mail.example.com"), "{}", world.message());
        world.put_record(NAME, RecordType::Mx, &["10 feedback-smtp.us-east-1.amazonses.com"]);
        world.live(minutes(12));
        assert_eq!(world.condition("Ready"), "True Succeeded", "it recovers by itself");
        assert_eq!(world.writes(), Vec::<&str>::new());
    }
}

#[test]
fn our_spf_term_is_put_back_and_others_are_left() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let marker = world.texts(NAME)[1].clone();
    let edited = "\"v=spf1 ip4:192.0.2.0/24 -all\"";
    world.put_record(NAME, RecordType::Txt, &[edited, &format!("\"{marker}\""), "\"other\""]);
    world.live(minutes(12));
    assert_eq!(world.writes(), ["change -TXT +TXT"]);
    let texts = world.texts(NAME);
    assert_eq!(texts[0], "v=spf1 ip4:192.0.2.0/24 include:amazonses.com -all");
    assert_eq!(texts[1..], [marker, "other".to_owned()]);
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn a_second_spf_record_is_a_conflict_and_rules_alignment_out() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let texts = world.texts(NAME);
    let values: Vec<String> = texts.iter().map(|text| format!("\"{text}\"")).collect();
    world.put_record(NAME, RecordType::Txt, &[&values[0], &values[1], "\"v=spf1 -all\""]);
    world.live(minutes(12));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Ready"), "False RecordConflict");
    assert_eq!(world.condition("Aligned"), "False SpfNotPassing");
}

#[test]
fn a_lost_marker_is_restored_and_what_stood_without_it_counts_as_adopted() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.remove(NAME, &RecordType::Txt);
    world.live(minutes(12));
    assert_eq!(world.writes(), ["change +TXT"]);
    let marker = &world.texts(NAME)[1];
    assert!(marker.ends_with("mx=adopted spf=created regions=us-east-1:adopted"), "{marker}");
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn a_cleared_or_changed_ses_setting_is_drift() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    world.ses("eu-west-1").mail_from = None;
    world.live(minutes(12));
    assert_eq!(world.writes(), ["put eu-west-1 bounce.example.com UseDefaultValue"]);
    assert_eq!(world.notices[0].reason, "DriftRepaired");
    world.set_all(MailFromStatus::Success);
    world.live(minutes(12));
    world.mail_from("eu-west-1").behavior = REJECT;
    world.live(minutes(12));
    assert_eq!(world.writes().len(), 2);
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn another_mail_from_in_place_of_ours_is_a_conflict() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.mail_from("us-east-1").domain = "theirs.example.com".into();
    world.live(minutes(30));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Stalled"), "True MailFromConflict");
}

/// SES still holds the old name, where our marker stands; once it holds the new
/// one, nothing else leads there.
#[test]
fn an_old_name_that_a_lost_status_knew_is_drained_all_the_same() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.object.status = None;
    world.edit(|object| object.spec.subdomain = "mail".into());
    world.live(minutes(12));
    assert_eq!(world.mail_from("us-east-1").domain, "mail.example.com");
    world.set_all(MailFromStatus::Success);
    world.live(hours(119));
    assert!(world.at(NAME, &RecordType::Mx).is_some(), "late bounces still come");
    world.live(hours(2));
    assert!(world.at(NAME, &RecordType::Mx).is_none(), "{:?}", world.done);
    assert!(world.texts(NAME).is_empty());
}

/// Nothing of ours stands at that name, so nothing of ours grows old with it.
#[test]
fn a_conflict_stays_stalled_while_the_other_name_is_read_again() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    world.mail_from("us-east-1").domain = "theirs.example.com".into();
    world.live(hours(3));
    assert_eq!(world.condition("Stalled"), "True MailFromConflict");
    let theirs = DomainName::parse("theirs.example.com").unwrap();
    world.silent.insert(Question::Name(HostedZoneId::parse(ZONE).unwrap(), theirs));
    let before = world.status().clone();
    world.live(minutes(30));
    assert_eq!(*world.status(), before);
}

/// The region says why nothing is published; the name has nothing to add.
#[test]
fn an_idle_name_that_is_read_again_does_not_grow_old() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.ses("us-east-1").verified = false;
    world.live(hours(3));
    assert_eq!(world.condition("Ready"), "False IdentityNotVerified");
    let name = DomainName::parse(NAME).unwrap();
    world.silent.insert(Question::Name(HostedZoneId::parse(ZONE).unwrap(), name));
    let before = world.status().clone();
    world.live(minutes(30));
    assert_eq!(*world.status(), before);
}

#[test]
fn a_war_ends_in_a_drift_loop() {
    let mut world = SmallWorld::ready(ONE_REGION);
    for _ in 0..6 {
        world.remove(NAME, &RecordType::Mx);
        world.live(minutes(11));
    }
    assert_eq!(world.writes(), ["change +MX"; 3]);
    assert_eq!(world.condition("Stalled"), "True DriftLoop");
    world.live(hours(5));
    assert_eq!(world.writes().len(), 3, "while it stands wrong nothing is repaired");
    let request = [(RECONCILE_REQUESTED_AT.to_owned(), "now".to_owned())];
    world.object.metadata.annotations = Some(request.into());
    world.live(minutes(12));
    assert_eq!(world.writes().len(), 4, "a person may ask for one more");
    assert_eq!(world.status().last_handled_reconcile_at.as_deref(), Some("now"));
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn a_war_with_a_writer_that_is_faster_than_dns_ends_too() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.change = crate::mail::ChangeState::Pending;
    for _ in 0..6 {
        world.remove(NAME, &RecordType::Mx);
        world.live(minutes(11));
    }
    assert_eq!(world.writes(), ["change +MX"; 3]);
    assert_eq!(world.condition("Stalled"), "True DriftLoop");
}

#[test]
fn a_war_over_a_ttl_ends_too_and_is_said_once() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let mx = world.at(NAME, &RecordType::Mx).unwrap().values[0].clone();
    for _ in 0..6 {
        world.put_record_at(NAME, RecordType::Mx, 900, &[&mx]);
        world.live(minutes(11));
    }
    assert_eq!(world.writes(), ["change -MX +MX"; 3]);
    assert_eq!(world.condition("Stalled"), "True DriftLoop");
    let done = world.done.clone();
    world.live(hours(5));
    assert_eq!(world.done, done, "nothing new is known, so nothing is said");
}

/// Nobody but AWS is to blame for it.
#[test]
fn a_repair_that_is_lost_is_tried_again_as_the_same_repair() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let mx = world.at(NAME, &RecordType::Mx).unwrap().values[0].clone();
    let repairs = |world: &SmallWorld| {
        let records = &world.status().records;
        records.iter().find(|record| record.rtype == "MX").unwrap().repair_times.len()
    };
    world.put_record_at(NAME, RecordType::Mx, 900, &[&mx]);
    world.lost_changes = 5;
    world.live(minutes(25));
    assert_eq!(world.writes(), ["lost", "lost", "lost", "lost", "lost", "change -MX +MX"]);
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(repairs(&world), 1);
    // The next drift is one of its own, also where the last answer was lost.
    for counted in [2, 3, 3] {
        world.put_record_at(NAME, RecordType::Mx, 900, &[&mx]);
        world.live(minutes(11));
        assert_eq!(repairs(&world), counted);
    }
    assert_eq!(world.condition("Stalled"), "True DriftLoop");
}

#[test]
fn a_war_over_the_ses_setting_ends_too() {
    let mut world = SmallWorld::ready(ONE_REGION);
    for _ in 0..6 {
        world.ses("us-east-1").mail_from = None;
        world.live(minutes(11));
        world.set_all(MailFromStatus::Success);
        world.live(minutes(1));
    }
    assert_eq!(world.writes().len(), 3, "{:?}", world.writes());
    assert_eq!(world.condition("Stalled"), "True DriftLoop");
}

#[test]
fn what_was_said_of_a_region_stands_while_its_name_is_read_anew() {
    let mut world = SmallWorld::ready(ONE_REGION);
    for _ in 0..6 {
        world.ses("us-east-1").mail_from = None;
        world.live(minutes(11));
        world.set_all(MailFromStatus::Success);
    }
    world.ses("us-east-1").mail_from = None;
    world.live(minutes(12));
    assert_eq!(world.condition("Stalled"), "True DriftLoop");
    let names = |question: &Question| matches!(question, Question::Name(..));
    let names: Vec<Question> = world.planned().questions.into_keys().filter(names).collect();
    world.failing = names.into_iter().map(|question| (question, unavailable())).collect();
    let done = world.done.clone();
    world.live(minutes(30));
    assert_eq!(world.done, done, "nothing new is known, so nothing is said");
    assert_eq!(world.condition("Stalled"), "True DriftLoop");
}

#[test]
fn temporary_failure_is_reported_with_its_own_deadline_and_left_to_ses() {
    let spec = format!("{ONE_REGION}  behaviorOnMxFailure: RejectMessage\n");
    let mut world = SmallWorld::ready(&spec);
    world.mail_from("us-east-1").status = MailFromStatus::TemporaryFailure;
    world.live(minutes(12));
    assert_eq!(world.condition("Ready"), "False TemporaryFailure");
    assert!(world.region("us-east-1").deadline.is_some());
    assert_eq!(world.region("us-east-1").sending, crate::api::Sending::Rejected);
    world.set_all(MailFromStatus::Success);
    world.live(minutes(12));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(world.writes(), Vec::<&str>::new());
}

#[test]
fn an_hour_without_aws_changes_nothing_and_two_make_one_write() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let questions: Vec<Question> = world.planned().questions.into_keys().collect();
    world.failing = questions.into_iter().map(|question| (question, unavailable())).collect();
    world.live(hours(1));
    assert_eq!(world.done, Vec::<String>::new());
    world.live(hours(3));
    assert_eq!(world.done, ["status"]);
    assert_eq!(world.condition("Ready"), "Unknown ObservationStale");
    assert_eq!(world.condition("Reconciling"), "True ObservationStale");
    world.failing.clear();
    world.live(minutes(12));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(world.writes(), Vec::<&str>::new());
}

#[test]
fn what_goes_dark_one_after_the_other_is_told_once() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    for question in world.planned().questions.into_keys().collect::<Vec<_>>() {
        world.failing.insert(question, unavailable());
        world.live(minutes(1));
    }
    world.live(hours(5));
    assert_eq!(world.done, ["status"]);
    assert_eq!(world.condition("Ready"), "Unknown ObservationStale");
}

#[test]
fn what_was_read_without_a_plan_at_different_moments_goes_dark_at_once() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    let places =
        |question: &Question| matches!(question, Question::Name(..) | Question::MailFrom(..));
    let questions: Vec<_> = world.planned().questions.into_keys().collect();
    let moments = (1..).map(|step| world.now.checked_add(minutes(6 * step)).unwrap());
    world.kept_up =
        questions.iter().filter(|question| places(question)).cloned().zip(moments).collect();
    assert!(world.kept_up.len() > 2, "{questions:?}");
    world.failing = questions.into_iter().map(|question| (question, unavailable())).collect();
    world.live(hours(2));
    assert_eq!(world.done, Vec::<String>::new(), "the last was read less than that ago");
    world.live(hours(3));
    assert_eq!(world.done, ["status"]);
    assert_eq!(world.condition("Ready"), "Unknown ObservationStale");
}

#[test]
fn a_region_goes_dark_by_either_of_the_two_readings_that_it_takes() {
    let is_verification: fn(&Question) -> bool = |q| matches!(q, Question::Verification(..));
    let is_mail_from: fn(&Question) -> bool = |q| matches!(q, Question::MailFrom(..));
    for fails in [is_verification, is_mail_from] {
        let mut world = SmallWorld::ready(ONE_REGION);
        let questions = world.planned().questions.into_keys().filter(fails);
        world.failing = questions.map(|question| (question, unavailable())).collect();
        assert!(!world.failing.is_empty());
        world.live(hours(3));
        assert_eq!(world.done, ["status"]);
        assert_eq!(world.condition("Ready"), "Unknown ObservationStale");
    }
}

#[test]
fn a_region_that_is_named_later_is_not_dark_from_the_start() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.live(hours(3));
    let setting = world.setting_in("eu-west-1");
    world.failing.insert(setting, unavailable());
    world.add_region("eu-west-1");
    world.live(hours(1));
    assert_eq!(world.condition("Reconciling"), "True AwsUnavailable");
    world.live(hours(2));
    assert_eq!(world.condition("Ready"), "Unknown ObservationStale");
}

#[test]
fn a_region_that_fails_from_the_start_does_not_hide_the_others() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    let setting = world.setting_in("eu-west-1");
    world.failing.insert(setting, unavailable());
    world.live(minutes(5));
    world.set_all(MailFromStatus::Success);
    world.live(minutes(30));
    assert_eq!(world.status().regions_verified.as_deref(), Some("1/2"));
    assert_eq!(world.condition("Reconciling"), "True AwsUnavailable");
}

#[test]
fn a_restart_with_aws_away_leaves_the_status_as_it_was() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    let questions: Vec<Question> = world.planned().questions.into_keys().collect();
    world.failing = questions.into_iter().map(|question| (question, unavailable())).collect();
    world.memory = crate::plan::Memory::default();
    world.live(minutes(90));
    assert_eq!(world.done, Vec::<String>::new());
}

#[test]
fn access_denied_is_told_at_once_and_stalls_after_its_grace() {
    let mut world = SmallWorld::new(ONE_REGION);
    let setting = world.setting_in("us-east-1");
    let denied = Fault {
        reason: Reason::AccessDenied,
        transient: false,
        outdated: false,
        said: Said::Nothing,
        message: "ses:GetEmailIdentity on example.com in us-east-1 is denied".into(),
    };
    world.failing.insert(setting, denied);
    world.settle_and_report();
    assert_eq!(world.condition("Ready"), "False AccessDenied");
    assert_eq!(world.condition("Stalled"), "absent");
    world.live(minutes(20));
    assert_eq!(world.condition("Stalled"), "True AccessDenied");
    assert!(world.message().contains("ses:GetEmailIdentity"), "{}", world.message());
    world.failing.clear();
    world.live(minutes(2));
    assert_eq!(world.writes().len(), 2);
}

#[test]
fn another_account_is_never_written_to_and_nothing_is_believed_gone() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let before = world.region("us-east-1").clone();
    world.account = "999999999999".into();
    world.identities.clear();
    world.zones.clear();
    world.remove(NAME, &RecordType::Mx);
    world.remove(NAME, &RecordType::Txt);
    world.live(hours(2));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Stalled"), "True AccountChanged");
    assert_eq!(world.condition("RecordsPublished"), "False AccountChanged");
    assert_eq!(world.condition("IdentityVerified"), "True Succeeded", "as it was last known");
    let after = world.region("us-east-1").clone();
    assert_eq!((after.sending, after.mail_from_status), (before.sending, before.mail_from_status));
    world.delete();
    world.live(hours(1));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert!(!world.finalizer_gone);
}

#[test]
fn a_wiped_status_is_rebuilt_from_the_markers_without_a_write_to_aws() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    world.object.status = None;
    world.memory = crate::plan::Memory::default();
    world.live(minutes(2));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.status().regions_verified.as_deref(), Some("2/2"));
    let region = world.region("eu-west-1");
    assert_eq!(region.account.as_deref(), Some(ACCOUNT));
    assert_eq!(region.mail_from_domain.as_deref(), Some(NAME));
}

#[test]
fn a_setting_put_at_a_name_of_ours_by_somebody_else_counts_by_the_marker() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let text = world.texts(NAME)[1].clone();
    assert!(text.contains("regions=us-east-1"));
    let set = MailFrom { domain: NAME.into(), status: MailFromStatus::Success, behavior: DEFAULT };
    let verified = crate::mail::Identity { verified: true, mail_from: Some(set) };
    world.identities.insert(("example.com".into(), "eu-west-1".into()), verified);
    world.add_region("eu-west-1");
    world.object.spec.adoption_policy = AdoptionPolicy::Never;
    world.live(minutes(2));
    assert_eq!(world.writes(), Vec::<&str>::new());
    assert_eq!(world.condition("Ready"), "False MailFromConflict");
    world.edit(|object| object.spec.adoption_policy = AdoptionPolicy::IfIdentical);
    world.live(minutes(2));
    assert_eq!(world.writes(), ["change -TXT +TXT"]);
    assert!(world.texts(NAME)[1].ends_with(" regions=eu-west-1:adopted,us-east-1"));
    assert_eq!(world.condition("Ready"), "True Succeeded");
}

#[test]
fn a_restart_of_the_operator_writes_nothing() {
    let spec = format!("{TWO_REGIONS}  behaviorOnMxFailure: RejectMessage\n");
    let mut world = SmallWorld::ready(&spec);
    world.memory = crate::plan::Memory::default();
    world.live(minutes(25));
    assert_eq!(world.done, Vec::<String>::new());
    assert_eq!(world.notices, []);
}

#[test]
fn what_was_read_and_not_written_yet_is_not_forgotten_while_it_is_read_again() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    world.settle();
    world.pass(Duration::from_secs(3));
    let plan = world.plan_with(&Facts::default());
    let status = plan.report.expect("progress that has lasted");
    let seen: Vec<_> = status.regions.iter().map(|region| region.mail_from_status).collect();
    assert_eq!(seen, [MailFromStatus::Pending, MailFromStatus::Pending]);
    assert!(status.records.iter().all(|record| record.state == RecordState::Published));
}

#[test]
fn a_conflict_stays_stalled_while_ses_misses_the_mx() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.put_record(NAME, RecordType::Mx, &["10 mail.example.com"]);
    world.set_all(MailFromStatus::TemporaryFailure);
    world.live(minutes(12));
    assert_eq!(world.condition("Stalled"), "True RecordConflict");
    assert!(world.message().starts_with("bounce.example.com has the MX"), "{}", world.message());
    assert!(world.region("us-east-1").message.contains("does not see the MX"));
}

#[test]
fn what_dns_showed_stands_while_it_is_asked_again() {
    let mut world = SmallWorld::ready(ONE_REGION);
    world.set_all(MailFromStatus::TemporaryFailure);
    world.delegation = crate::mail::Delegation::Missing;
    world.live(minutes(12));
    assert!(world.message().contains("does not delegate"), "{}", world.message());
    let asked = |question: &Question| matches!(question, Question::Delegation(..));
    let asked: Vec<_> = world.planned().questions.into_keys().filter(asked).collect();
    world.silent.extend(asked);
    let done = world.done.clone();
    world.live(minutes(30));
    assert_eq!(world.done, done, "nothing new is known, so nothing is said");
}
