//! What an object that waits long for its turn costs the API server.

use std::time::Duration;

use super::small_world::*;
use crate::api::RECONCILE_REQUESTED_AT;
use crate::authority::Place;
use crate::mail::{ChangeState, MailFromDomain, MailFromStatus, RecordType, Regions};
use crate::plan::{Effect, Fault, Plan, Question, Said, WriteFault};

const SECONDS: Duration = Duration::from_secs(5);

fn status_writes(world: &SmallWorld) -> usize {
    world.done.iter().filter(|done| *done == "status").count()
}

/// Everything that is asked for SES in the one region goes unanswered.
fn silence(world: &mut SmallWorld) {
    let setting = world.setting_in("us-east-1");
    world.silent.insert(setting);
}

#[test]
fn an_object_that_waits_at_every_turn_costs_four_status_writes_and_two_events() {
    let mut world = SmallWorld::new(ONE_REGION);
    silence(&mut world);
    world.live(minutes(2));
    assert_eq!(world.done, Vec::<String>::new(), "it waits to be read");
    world.silent.clear();
    world.wait_for_a_permit(minutes(2));
    assert_eq!(world.done, ["status"], "the place is named, with or without a permit");
    assert_eq!(world.condition("Ready"), "False Publishing");
    world.change = ChangeState::Pending;
    world.live(minutes(2));
    assert_eq!(world.done, ["status", "change +MX +TXT"], "named once, and not again");
    world.change = ChangeState::Insync;
    world.wait_for_a_permit(minutes(5));
    assert_eq!(status_writes(&world), 1, "it waits for its put");
    world.live(minutes(3));
    assert_eq!(world.condition("Ready"), "False Pending");
    assert_eq!(status_writes(&world), 3, "ahead of the put, and that SES looks for the MX");
    world.set_all(MailFromStatus::Success);
    world.live(minutes(3));
    assert_eq!(world.condition("Ready"), "True Succeeded");
    assert_eq!(status_writes(&world), 4, "{:?}", world.done);
    let events: Vec<_> = world.notices.iter().map(|notice| notice.reason).collect();
    assert_eq!(events, ["RecordsPublished", "Succeeded"]);
}

#[test]
fn what_was_seen_in_dns_is_not_asked_again_while_the_put_waits() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.change = ChangeState::Pending;
    world.live(minutes(1));
    world.change = ChangeState::Insync;
    world.wait_for_a_permit(minutes(1));
    let asks = |world: &SmallWorld| {
        let mut questions = world.planned().questions.into_keys();
        questions.any(|question| matches!(question, crate::plan::Question::Seen(..)))
    };
    assert!(!asks(&world));
    // Other records are another matter.
    world.memory.seen.clear();
    assert!(asks(&world));
}

#[test]
fn no_status_is_older_than_a_resync() {
    let mut world = SmallWorld::new(ONE_REGION);
    silence(&mut world);
    world.live(minutes(11));
    assert_eq!(world.condition("Ready"), "False Observing");
    world.silent.clear();
    world.wait_for_a_permit(minutes(1));
    assert_eq!(world.condition("Ready"), "False Publishing");
    world.change = ChangeState::Pending;
    world.live(minutes(11));
    assert_eq!(world.condition("Ready"), "False WaitingForDNS");
    world.change = ChangeState::Insync;
    world.wait_for_a_permit(minutes(11));
    assert_eq!(world.condition("Ready"), "False SettingMailFrom");
}

#[test]
fn what_a_person_must_see_does_not_wait_for_a_turn() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.ses("us-east-1").verified = false;
    world.live(SECONDS);
    assert_eq!(world.condition("Ready"), "False IdentityNotVerified");
    world.put_record(NAME, crate::mail::RecordType::A, &["192.0.2.1"]);
    world.live(minutes(11));
    assert_eq!(world.condition("Stalled"), "absent", "the identity can still advance");
    world.ses("us-east-1").verified = true;
    world.live(minutes(1));
    assert_eq!(world.condition("Stalled"), "True NameOccupied");
}

#[test]
fn a_put_that_was_refused_is_tried_again_before_one_whose_answer_was_lost() {
    for said in [Said::Later, Said::No, Said::Nothing] {
        let mut world = SmallWorld::new(ONE_REGION);
        while !world.done.iter().any(|done| done.starts_with("put")) {
            assert!(world.step(), "{:?}", world.done);
        }
        world.ses("us-east-1").mail_from = None;
        let message = "ses:PutEmailIdentityMailFromAttributes: throttled".to_owned();
        let reason = crate::api::Reason::AwsUnavailable;
        let fault = Fault { reason, transient: true, outdated: false, said, message };
        let place = Place::Region(world.settings.regions.get("us-east-1").unwrap());
        world
            .memory
            .faults
            .insert(place, WriteFault { fault, at: world.now, count: 1, repair: false });
        let puts = |world: &SmallWorld| {
            let mut effects = world.planned().effects.into_iter();
            effects.any(|effect| matches!(effect, Effect::PutMailFrom { .. }))
        };
        assert!(!puts(&world), "after a pause");
        world.pass(Duration::from_secs(6));
        assert_eq!(puts(&world), said != Said::Nothing, "what was lost may have been done");
        world.pass(world.settings.put_hold_off);
        assert!(puts(&world));
    }
}

#[test]
fn a_put_that_failed_is_forgotten_once_none_is_wanted() {
    let mut world = SmallWorld::ready(ONE_REGION);
    let place = Place::Region(world.settings.regions.get("us-east-1").unwrap());
    let failed = WriteFault { fault: unavailable(), at: world.now, count: 3, repair: true };
    world.memory.faults.insert(place.clone(), failed.clone());
    world.ses("us-east-1").mail_from = None;
    world.pass(minutes(11));
    assert!(world.planned().memory.faults.contains_key(&place), "it is to be tried again");
    let mut world = SmallWorld::ready(ONE_REGION);
    world.memory.faults.insert(place.clone(), failed.clone());
    assert!(world.planned().memory.faults.is_empty(), "it was done, or another has mended it");
    world.ses("us-east-1").verified = false;
    world.pass(minutes(11));
    assert!(world.planned().memory.faults.is_empty(), "once it is verified it is tried at once");

    let mut world = SmallWorld::ready(ONE_REGION);
    world.set_all(MailFromStatus::Failed);
    world.memory.faults.insert(place.clone(), failed);
    world.pass(minutes(11));
    let questions = world.planned().questions.into_keys();
    world.silent = questions.filter(|question| matches!(question, Question::Seen(..))).collect();
    assert!(!world.silent.is_empty(), "a restart asks DNS first");
    assert!(world.planned().memory.faults.contains_key(&place), "it is only asked again");
}

#[test]
fn what_a_person_must_mend_is_left_alone_for_longer_than_what_may_pass_unless_one_asks() {
    let fault = |transient| Fault {
        reason: crate::api::Reason::AccessDenied,
        transient,
        said: Said::No,
        ..unavailable()
    };
    for (transient, longest) in [(true, minutes(5)), (false, hours(1))] {
        let mut world = SmallWorld::ready(ONE_REGION);
        world.remove(NAME, &RecordType::Mx);
        let domain = crate::mail::DomainName::parse("example.com").unwrap();
        let place = Place::Name(MailFromDomain::below(NAME, &domain).unwrap());
        let failed = WriteFault { fault: fault(transient), at: world.now, count: 99, repair: true };
        world.memory.faults.insert(place, failed);
        let changes = |world: &SmallWorld| {
            let mut effects = world.planned().effects.into_iter();
            effects.any(|effect| matches!(effect, Effect::ChangeRecords { .. }))
        };
        world.pass(longest.checked_sub(SECONDS).unwrap());
        assert!(!changes(&world), "transient: {transient}");
        let paused = world.memory.clone();
        world.pass(SECONDS);
        assert!(changes(&world), "transient: {transient}");
        world.memory = paused;
        world.memory.faults.values_mut().for_each(|failed| failed.at = world.now);
        assert!(!changes(&world), "transient: {transient}");
        let request = [(RECONCILE_REQUESTED_AT.to_owned(), "now".to_owned())];
        world.edit(|object| object.metadata.annotations = Some(request.into()));
        world.live(SECONDS);
        assert!(world.at(NAME, &RecordType::Mx).is_some(), "transient: {transient}");
    }
}

fn puts(plan: &Plan) -> Vec<String> {
    let put = |effect: &Effect| match effect {
        Effect::PutMailFrom { region, .. } => Some(region.to_string()),
        _ => None,
    };
    plan.effects.iter().filter_map(put).collect()
}

#[test]
fn where_a_put_has_no_permit_those_elsewhere_go_first_and_are_announced_alone() {
    let mut world = SmallWorld::new(TWO_REGIONS);
    while puts(&world.planned()).is_empty() {
        assert!(world.step(), "no put is planned");
    }
    assert_eq!(puts(&world.planned()), ["eu-west-1", "us-east-1"]);
    world.no_permit.insert(Regions::default().get("eu-west-1").unwrap());
    let plan = world.planned();
    assert_eq!(puts(&plan), ["us-east-1", "eu-west-1"]);
    let Some(Effect::WriteStatus(ahead)) = plan.effects.first() else { panic!("{plan:?}") };
    let announced = ahead.regions.iter().filter(|region| region.last_put_time.is_some());
    let announced: Vec<&str> = announced.map(|region| region.name.as_str()).collect();
    assert_eq!(announced, ["us-east-1"]);
}
