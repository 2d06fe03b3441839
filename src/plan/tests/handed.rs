//! A change that was handed over and has not ended: decided, and not done.

use std::sync::Arc;

use super::small_world::*;
use crate::mail::{DomainName, HostedZoneId, RecordType};
use crate::plan::{Effect, Handed, Plan, Question};

/// Writes the plan's status and hands its change over.
fn hand_over(world: &mut SmallWorld) -> Plan {
    let plan = world.planned();
    world.memory = plan.memory.clone();
    for effect in &plan.effects {
        match effect {
            Effect::WriteStatus(status) => world.object.status = Some((**status).clone()),
            Effect::ChangeRecords { grant, batch, repair } => {
                let handed = Handed { batch: Arc::new(batch.clone()), repair: *repair };
                let crate::authority::Place::Name(name) = grant.place() else { unreachable!() };
                world.memory.handed.insert(name.name().clone(), handed);
            }
            other => unreachable!("{other:?}"),
        }
    }
    plan
}

fn set_ttl(world: &mut SmallWorld, ttl: u32) {
    let mx = world.records.iter_mut().find(|(_, set)| set.rtype == RecordType::Mx);
    mx.unwrap().1.ttl = ttl;
}

/// Ready, with two repairs behind it, and the TTL of the MX changed again.
fn in_a_war() -> SmallWorld {
    let mut world = SmallWorld::ready(ONE_REGION);
    for _ in 0..2 {
        set_ttl(&mut world, 60);
        world.live(minutes(11));
    }
    set_ttl(&mut world, 60);
    world.pass(minutes(11));
    world
}

fn question() -> Question {
    let name = DomainName::parse(NAME).unwrap();
    Question::Name(HostedZoneId::parse(ZONE).unwrap(), name)
}

#[test]
fn a_repair_that_waits_to_be_sent_is_one_repair_and_no_loop() {
    let mut world = in_a_war();
    let first = hand_over(&mut world);
    assert!(matches!(&first.effects[..], [Effect::WriteStatus(_), Effect::ChangeRecords { .. }]));
    assert_eq!(first.announcements.len(), 1);
    let again = world.planned();
    assert!(matches!(&again.effects[..], [Effect::ChangeRecords { .. }]), "{:?}", again.effects);
    assert!(again.announcements.is_empty(), "it was announced already");
    assert_eq!(again.report, None, "nothing has changed since it was written ahead");

    world.memory.handed.clear();
    let lost = world.planned();
    assert!(lost.effects.is_empty(), "three were counted, and who forgot this one stops");
}

#[test]
fn another_change_than_the_one_that_waits_is_counted_and_announced() {
    let mut world = SmallWorld::ready(ONE_REGION);
    set_ttl(&mut world, 60);
    world.pass(minutes(11));
    hand_over(&mut world);
    set_ttl(&mut world, 90);
    let other = world.planned();
    assert!(matches!(&other.effects[..], [Effect::WriteStatus(_), Effect::ChangeRecords { .. }]));
    assert_eq!(other.announcements.len(), 1);
}

#[test]
fn what_waits_does_not_have_its_name_read_again_for_waiting() {
    let mut world = in_a_war();
    let age =
        |world: &SmallWorld, plan: &Plan| world.now.duration_since(plan.questions[&question()]);
    let first = hand_over(&mut world);
    assert!(age(&world, &first) <= minutes(2).try_into().unwrap());
    let again = world.planned();
    assert!(age(&world, &again) >= minutes(9).try_into().unwrap());
}

#[test]
fn what_is_only_added_may_rest_on_a_reading_as_old_as_a_resync_and_what_takes_away_not() {
    let mut world = SmallWorld::new(ONE_REGION);
    world.object.metadata.finalizers = Some(vec![crate::api::FINALIZER.to_owned()]);
    let age =
        |world: &SmallWorld, plan: &Plan| world.now.duration_since(plan.questions[&question()]);
    let adds = hand_over(&mut world);
    assert!(age(&world, &adds) >= minutes(9).try_into().unwrap());
    let mut world = in_a_war();
    let swaps = hand_over(&mut world);
    assert!(age(&world, &swaps) <= minutes(2).try_into().unwrap());
}

#[test]
fn a_name_that_is_being_read_is_undecided_unless_the_spec_has_changed() {
    let mut world = in_a_war();
    let first = hand_over(&mut world);
    assert!(first.undecided.is_empty());
    world.silent.insert(question());
    let unread = world.planned();
    assert!(unread.effects.is_empty());
    assert!(unread.undecided.contains(&DomainName::parse(NAME).unwrap()));
    world.edit(|object| object.spec.dns.ttl_seconds = 600);
    assert!(world.planned().undecided.is_empty(), "it was decided for the spec before");
}
