//! What holds in every world: generated specs, edits by others, any word of SES.

use proptest::prelude::*;

use super::small_world::*;
use crate::api::{DeletionPolicy, Rollout};
use crate::mail::{BehaviorOnMxFailure, MailFromStatus, Marker, RecordType, Spf};
use crate::plan::Effect;

/// Something that happens to the world from outside.
#[derive(Clone, Debug)]
enum Outside {
    Says(usize, MailFromStatus),
    Clears(usize),
    SetsForeign(usize),
    Raises(usize),
    RemovesMx,
    RemovesTxt,
    PutsForeignMx,
    AddsTxt,
    AddsSpf,
    Moves(&'static str),
    Behaves(BehaviorOnMxFailure),
    DropsRegion,
    WipesStatus,
    Restarts,
    Waits(u64),
}

fn outside() -> impl Strategy<Value = Outside> {
    let status = prop::sample::select(MailFromStatus::ALL[1..].to_vec());
    prop_oneof![
        4 => (0..2usize, status).prop_map(|(at, status)| Outside::Says(at, status)),
        1 => (0..2usize).prop_map(Outside::Clears),
        1 => (0..2usize).prop_map(Outside::SetsForeign),
        1 => (0..2usize).prop_map(Outside::Raises),
        1 => Just(Outside::RemovesMx),
        1 => Just(Outside::RemovesTxt),
        1 => Just(Outside::PutsForeignMx),
        1 => Just(Outside::AddsTxt),
        1 => Just(Outside::AddsSpf),
        1 => prop::sample::select(vec!["bounce", "mail", "a.b"]).prop_map(Outside::Moves),
        1 => prop::bool::ANY.prop_map(|r| Outside::Behaves(if r { REJECT } else { DEFAULT })),
        1 => Just(Outside::DropsRegion),
        1 => Just(Outside::WipesStatus),
        1 => Just(Outside::Restarts),
        4 => (1..200u64).prop_map(Outside::Waits),
    ]
}

const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

fn happen(world: &mut SmallWorld, event: &Outside) {
    let held = |world: &mut SmallWorld, at: usize| world.ses(REGIONS[at]).mail_from.clone();
    let add_txt = |world: &mut SmallWorld, value: &str| {
        if let Some(mut set) = world.at(NAME, &RecordType::Txt).cloned() {
            if !set.values.iter().any(|v| v == value) {
                set.values.push(value.to_owned());
            }
            world.remove(NAME, &RecordType::Txt);
            world.records.push((ZONE.into(), set));
        }
    };
    match event {
        Outside::Says(at, status) => {
            if held(world, *at).is_some() {
                world.mail_from(REGIONS[*at]).status = *status;
            }
        }
        Outside::Clears(at) => world.ses(REGIONS[*at]).mail_from = None,
        Outside::SetsForeign(at) => {
            if held(world, *at).is_some() {
                world.mail_from(REGIONS[*at]).domain = "theirs.example.com".into();
            }
        }
        Outside::Raises(at) => {
            if held(world, *at).is_some() {
                world.mail_from(REGIONS[*at]).behavior = REJECT;
            }
        }
        Outside::RemovesMx => world.remove(NAME, &RecordType::Mx),
        Outside::RemovesTxt => world.remove(NAME, &RecordType::Txt),
        Outside::PutsForeignMx => world.put_record(NAME, RecordType::Mx, &["5 mx.example.com"]),
        Outside::AddsTxt => add_txt(world, "\"somebody else's\""),
        Outside::AddsSpf => add_txt(world, "\"v=spf1 -all\""),
        Outside::Moves(to) => world.edit(|object| object.spec.subdomain = (*to).into()),
        Outside::Behaves(to) => world.edit(|object| object.spec.behavior_on_mx_failure = *to),
        Outside::DropsRegion => world.edit(|object| object.spec.regions.truncate(1)),
        Outside::WipesStatus => {
            world.object.status = None;
            world.claim();
        }
        Outside::Restarts => world.memory = crate::plan::Memory::default(),
        Outside::Waits(minutes_) => world.pass(minutes(*minutes_)),
    }
}

/// The values that stand in the zone and that nobody but others can have made.
fn foreign(world: &SmallWorld) -> Vec<(String, String)> {
    let ours = |text: &str| Marker::is_marker(text) || text == Spf::for_ses().to_string();
    let mut found = Vec::new();
    for (_, set) in &world.records {
        for value in &set.values {
            let text = crate::mail::decode_txt(value)
                .map_or(value.clone(), |octets| String::from_utf8_lossy(&octets).into_owned());
            let merged = Spf::parse(&text).is_some_and(|spf| spf.includes_ses());
            let endpoint = value.contains("feedback-smtp.");
            if !ours(&text) && !merged && !endpoint && !Spf::is_spf(&text) {
                found.push((set.name.to_string(), value.clone()));
            }
        }
    }
    found
}

/// One plan and its effects, with what may never happen looked for.
fn watched_step(world: &mut SmallWorld) -> bool {
    let plan = world.planned();
    let immediate = world.object.spec.rollout == Rollout::Immediate;
    for effect in &plan.effects {
        let Effect::PutMailFrom { region, mail_from, behavior, .. } = effect else { continue };
        let held = world.ses(region.as_str()).mail_from.clone();
        if let Some(held) = &held {
            assert_ne!(held.domain, "theirs.example.com", "a foreign MAIL FROM is overwritten");
        }
        if *behavior == REJECT && !immediate {
            let held = held.expect("RejectMessage on nothing");
            assert_eq!(held.status, MailFromStatus::Success, "RejectMessage without Success");
            let name = mail_from.as_ref().unwrap();
            assert!(world.at(name.as_str(), &RecordType::Mx).is_some(), "RejectMessage without MX");
        }
    }
    let before = foreign(world);
    let did = world.step();
    let after = foreign(world);
    assert!(before.iter().all(|value| after.contains(value)), "lost: {before:?} -> {after:?}");
    for (_, set) in &world.records {
        let mail = set.name.as_str() != "example.com";
        assert!(set.rtype != RecordType::Mx || !mail || set.values.len() == 1, "two MX: {set:?}");
    }
    did
}

fn rest(world: &mut SmallWorld) {
    for _ in 0..60 {
        if !watched_step(world) {
            return;
        }
    }
    panic!("never comes to rest: {:?}", world.done.iter().rev().take(10).collect::<Vec<_>>());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn nothing_foreign_is_harmed_and_everything_comes_to_rest(
        reject: bool,
        immediate in prop::bool::weighted(0.2),
        events in prop::collection::vec((outside(), 0..4usize), 0..14),
    ) {
        let mut world = SmallWorld::new(TWO_REGIONS);
        world.object.spec.behavior_on_mx_failure = if reject { REJECT } else { DEFAULT };
        world.object.spec.deletion_policy = DeletionPolicy::Delete;
        if immediate {
            world.object.spec.rollout = Rollout::Immediate;
        }
        for (event, steps) in &events {
            happen(&mut world, event);
            for _ in 0..*steps {
                watched_step(&mut world);
                world.pass(std::time::Duration::from_secs(7));
            }
        }
        rest(&mut world);
        // A second run right after coming to rest asks and changes nothing.
        let plan = world.planned();
        prop_assert!(plan.effects.is_empty(), "{:?}", plan.effects);
        world.delete();
        let end = world.now.checked_add(hours(2)).unwrap();
        while !world.finalizer_gone && world.now < end {
            rest(&mut world);
            world.pass(minutes(1));
        }
        prop_assert!(world.finalizer_gone, "never let go: {}", world.message());
        let markers = ["bounce", "mail", "a.b"]
            .iter()
            .flat_map(|sub| world.texts(&format!("{sub}.example.com")))
            .filter(|text| Marker::is_marker(text))
            .count();
        let wiped = events.iter().any(|(event, _)| matches!(event, Outside::WipesStatus));
        prop_assert!(wiped || markers == 0, "{:?}", world.records);
        for region in REGIONS {
            let held = world.ses(region).mail_from.clone();
            let theirs = held.as_ref().is_none_or(|held| held.domain == "theirs.example.com");
            prop_assert!(wiped || theirs || unmarked(&events), "left behind: {held:?}");
        }
    }
}

/// Somebody took the marker away, and with it the proof that a setting is ours.
fn unmarked(events: &[(Outside, usize)]) -> bool {
    events.iter().any(|(event, _)| matches!(event, Outside::RemovesTxt))
}
