//! From nothing to Ready, and through the 72 hours.

use std::collections::BTreeSet;
use std::time::Duration;

use super::small_world::*;
use crate::mail::{ChangeState, MailFromStatus, RecordType, Seen};
use crate::plan::window::resync_pace;

#[test]
fn two_regions_share_one_mx_and_reach_ready() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    world.settle_and_report();
    assert_eq!(
        world.writes(),
        [
            "change +MX +TXT",
            "put eu-west-1 bounce.example.com UseDefaultValue",
            "put us-east-1 bounce.example.com UseDefaultValue"
        ]
    );
    let mx = world.at(NAME, &RecordType::Mx).unwrap();
    assert_eq!(mx.values, ["10 feedback-smtp.us-east-1.amazonses.com"]);
    let texts = world.texts(NAME);
    assert_eq!(texts[0], "v=spf1 include:amazonses.com ~all");
    assert!(texts[1].ends_with(" mx=created spf=created regions=eu-west-1,us-east-1"), "{texts:?}");
    assert_eq!(world.condition("Ready"), "False Pending");
    assert_eq!(world.condition("Reconciling"), "True Pending");
    assert_eq!(world.condition("Aligned"), "False MailFromNotVerified");
    world.set_all(MailFromStatus::Success);
    world.live(minutes(2));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(world.condition("Reconciling"), "absent");
    assert_eq!(world.condition("Aligned"), "Unknown DmarcNotChecked");
    assert_eq!(world.status().regions_verified.as_deref(), Some("2/2"));
}

#[test]
fn regions_that_answer_one_after_another_still_make_one_batch() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    let setting = world.setting_in("us-east-1");
    world.silent.insert(setting);
    world.settle();
    assert_eq!(world.writes(), Vec::<&str>::new());
    world.silent.clear();
    world.settle();
    assert_eq!(world.writes().iter().filter(|w| w.starts_with("change")).count(), 1);
}

#[test]
fn one_region_costs_at_most_four_status_writes_and_two_events() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.settle();
    world.pass(Duration::from_secs(3));
    world.settle();
    world.set_all(MailFromStatus::Success);
    world.live(minutes(1));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    let status_writes = world.done.iter().filter(|done| *done == "status").count();
    assert!(status_writes <= 4, "{:?}", world.done);
    assert!(world.notices.len() <= 2, "{:?}", world.notices);
}

#[test]
fn objects_are_looked_at_within_a_resync_and_not_together() {
    let settings = settings();
    let pace = |n| resync_pace(&format!("uid-{n}"), &settings);
    let paces: BTreeSet<Duration> = (0..1_000).map(pace).collect();
    let (least, most) = (settings.resync * 9 / 10, settings.resync);
    assert!(paces.iter().all(|pace| (least..=most).contains(pace)), "{paces:?}");
    assert!(paces.len() > 10, "{paces:?}");
}

#[test]
fn a_converged_object_costs_nothing_for_ten_resyncs() {
    let mut world = SmallWorld::ready(TWO_REGIONS);
    world.live(minutes(100));
    assert_eq!(world.done, Vec::<String>::new());
    assert_eq!(world.notices, []);
}

#[test]
fn status_names_the_place_before_the_first_write_there() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.step();
    world.step();
    assert_eq!(world.done, ["status", "change +MX +TXT"]);
    let record = &world.status().records[0];
    assert_eq!((record.name.as_str(), record.zone.as_str()), (NAME, ZONE));
    assert_eq!(world.status().zones[0].account.as_deref(), Some(ACCOUNT));
}

#[test]
fn the_put_waits_for_insync_and_for_the_name_servers() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.change = ChangeState::Pending;
    world.live(minutes(11));
    assert_eq!(world.writes(), ["change +MX +TXT"]);
    assert_eq!(world.condition("Ready"), "False WaitingForDNS");
    world.change = ChangeState::Insync;
    world.seen = Some(Seen::Answered { mx: vec![], txt: vec![] });
    world.live(minutes(5));
    assert_eq!(world.writes(), ["change +MX +TXT"]);
    world.seen = None;
    world.live(minutes(5));
    assert_eq!(world.writes().len(), 2, "{:?}", world.done);
}

#[test]
fn a_closed_port_53_is_a_finding_and_no_blockade() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.seen = Some(Seen::Unaskable("timed out".into()));
    world.settle_and_report();
    assert_eq!(world.writes().len(), 2, "{:?}", world.done);
    let published = world.status().conditions.iter().find(|c| c.type_ == "RecordsPublished");
    assert!(published.unwrap().message.contains("timed out"), "{published:?}");
}

#[test]
fn a_lost_change_id_falls_back_to_time_where_dns_cannot_be_asked() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.seen = Some(Seen::Unaskable("timed out".into()));
    world.change = ChangeState::Pending;
    world.settle_and_report();
    world.memory = crate::plan::Memory::default();
    world.object.status.as_mut().unwrap().zones[0].change_id = None;
    world.settle();
    assert_eq!(world.writes().len(), 1);
    world.live(minutes(3));
    assert_eq!(world.writes().len(), 2);
}

#[test]
fn reject_message_comes_only_after_a_fresh_success() {
    let spec = format!("{ONE_REGION}  behaviorOnMxFailure: RejectMessage\n");
    let mut world = SmallWorld::new(&spec);
    world.live(hours(2));
    assert_eq!(world.writes().last(), Some(&"put us-east-1 bounce.example.com UseDefaultValue"));
    assert_eq!(world.writes().len(), 2);
    world.set_all(MailFromStatus::Success);
    world.live(minutes(12));
    assert_eq!(world.writes().last(), Some(&"put us-east-1 bounce.example.com RejectMessage"));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(world.writes().len(), 3);
}

#[test]
fn immediate_asks_for_reject_message_at_once() {
    let spec = format!("{ONE_REGION}  behaviorOnMxFailure: RejectMessage\n  rollout: Immediate\n");
    let mut world = SmallWorld::new(&spec);
    world.settle();
    assert_eq!(world.writes().last(), Some(&"put us-east-1 bounce.example.com RejectMessage"));
}

#[test]
fn a_success_lost_to_reject_message_is_rescued_once_and_not_tried_again() {
    let spec = format!("{ONE_REGION}  behaviorOnMxFailure: RejectMessage\n");
    let mut world = SmallWorld::new(&spec);
    world.settle();
    world.pass(minutes(2));
    world.set_all(MailFromStatus::Success);
    while world.writes().len() < 3 {
        assert!(world.step());
    }
    world.mail_from("us-east-1").status = MailFromStatus::Pending;
    world.pass(Duration::from_secs(2));
    world.settle();
    assert_eq!(world.writes()[3..], ["put us-east-1 bounce.example.com UseDefaultValue"]);
    assert_eq!(world.region("us-east-1").reject_tried_generation, Some(1));
    world.set_all(MailFromStatus::Success);
    world.live(hours(3));
    assert_eq!(world.writes().len(), 4, "it is not tried again: {:?}", world.done);
    assert_eq!(world.condition("Ready"), "False RejectMessageUnreachable");
    assert_eq!(world.condition("Stalled"), "True RejectMessageUnreachable");
    world.edit(|object| object.spec.dns.ttl_seconds = 600);
    world.live(minutes(2));
    assert_eq!(world.writes().last(), Some(&"put us-east-1 bounce.example.com RejectMessage"));
}

#[test]
fn pending_has_a_deadline_and_is_overdue_after_it() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.live(hours(1));
    let region = world.region("us-east-1");
    let window =
        region.deadline.as_ref().unwrap().0.duration_since(region.since.as_ref().unwrap().0);
    assert_eq!(window.as_secs(), 72 * 3600);
    world.live(hours(70));
    assert_eq!(world.condition("Ready"), "False Pending");
    world.live(hours(2));
    assert_eq!(world.condition("Ready"), "False VerificationOverdue");
    assert_eq!(world.condition("Reconciling"), "True VerificationOverdue");
    assert_eq!(world.writes().len(), 2, "overdue is no reason to put: {:?}", world.done);
}

#[test]
fn a_failed_setup_is_put_again_when_dns_is_right() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.live(hours(71));
    world.set_all(MailFromStatus::Failed);
    world.live(minutes(12));
    assert_eq!(world.writes().len(), 3, "{:?}", world.writes());
    assert_eq!(world.region("us-east-1").restarts, 1);
    world.set_all(MailFromStatus::Success);
    world.live(minutes(12));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(world.region("us-east-1").restarts, 0);
}

#[test]
fn a_put_that_does_not_restart_is_followed_by_clear_and_put() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.live(hours(71));
    world.set_all(MailFromStatus::Failed);
    world.put_restarts = false;
    world.live(minutes(12));
    assert_eq!(world.writes().len(), 3);
    world.live(minutes(90));
    assert_eq!(world.writes().len(), 3, "the pause after one restart is two hours");
    world.live(minutes(45));
    assert_eq!(
        world.writes()[3..],
        ["put us-east-1 none UseDefaultValue", "put us-east-1 bounce.example.com UseDefaultValue"]
    );
}

#[test]
fn wrong_dns_stalls_a_failed_setup_and_right_dns_restarts_it_at_once() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.live(hours(71));
    world.set_all(MailFromStatus::Failed);
    world.delegation = crate::mail::Delegation::Missing;
    world.live(minutes(30));
    assert_eq!(world.writes().len(), 2);
    assert_eq!(world.condition("Stalled"), "True VerificationFailed");
    assert!(world.message().contains("does not delegate"), "{}", world.message());
    world.delegation = crate::mail::Delegation::Delegated;
    world.live(minutes(12));
    assert_eq!(world.writes().len(), 3);
}

#[test]
fn a_put_that_restarts_nothing_does_not_speak_against_a_shared_mx() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    world.live(hours(71));
    world.set_all(MailFromStatus::Failed);
    world.put_restarts = false;
    world.live(hours(3));
    assert_eq!(world.condition("Stalled"), "absent", "{}", world.message());
    let shared = "put eu-west-1 none UseDefaultValue";
    assert!(world.writes().contains(&shared), "{:?}", world.writes());
}

#[test]
fn a_region_that_refuses_the_shared_mx_is_told_to_take_its_own() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    world.live(hours(1));
    world.mail_from("us-east-1").status = MailFromStatus::Success;
    world.mail_from("eu-west-1").status = MailFromStatus::Failed;
    world.live(hours(2));
    world.mail_from("eu-west-1").status = MailFromStatus::Failed;
    world.live(hours(1));
    assert_eq!(world.condition("Stalled"), "True SharedMxNotAccepted");
    assert!(world.message().contains("a subdomain of its own"), "{}", world.message());
    assert_eq!(world.region("us-east-1").mail_from_status, MailFromStatus::Success);
}

#[test]
fn a_refused_mx_stays_blamed_while_its_own_region_cannot_be_read() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    world.live(hours(1));
    world.mail_from("us-east-1").status = MailFromStatus::Success;
    for _ in 0..2 {
        world.mail_from("eu-west-1").status = MailFromStatus::Failed;
        world.live(hours(2));
    }
    assert_eq!(world.condition("Stalled"), "True SharedMxNotAccepted");
    let before = world.writes().len();
    let question = world.setting_in("us-east-1");
    world.silent.insert(question.clone());
    world.live(hours(3));
    assert_eq!(world.writes().len(), before, "{:?}", world.done);
    world.silent.clear();
    world.failing.insert(question, unavailable());
    world.live(hours(2));
    assert_eq!(world.writes().len(), before, "{:?}", world.done);
}

#[test]
fn a_shared_mx_is_not_blamed_while_its_own_region_does_not_see_it_either() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    world.live(hours(1));
    for _ in 0..2 {
        world.set_all(MailFromStatus::Failed);
        world.live(hours(2));
        assert_eq!(world.condition("Stalled"), "absent", "{}", world.message());
    }
    world.mail_from("us-east-1").status = MailFromStatus::Success;
    for stalled in ["absent", "True SharedMxNotAccepted"] {
        world.mail_from("eu-west-1").status = MailFromStatus::Failed;
        world.live(hours(9));
        assert_eq!(world.condition("Stalled"), stalled, "{}", world.message());
    }
}

#[test]
fn a_second_put_waits_for_the_hold_off_because_reads_may_be_stale() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.stale_reads = Some(world.identities.clone());
    world.settle();
    assert_eq!(world.writes().len(), 2);
    world.live(Duration::from_secs(50));
    assert_eq!(world.writes().len(), 2, "{:?}", world.done);
    world.live(Duration::from_secs(15));
    assert_eq!(world.writes().len(), 3, "{:?}", world.done);
}
