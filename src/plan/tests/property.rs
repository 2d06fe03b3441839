//! What holds in every world: generated specs, edits by others, any word of SES.

use proptest::prelude::*;

use super::small_world::*;
use crate::api::{AdoptionPolicy, DeletionPolicy, Rollout};
use crate::mail::{BehaviorOnMxFailure, MailFrom, MailFromStatus, Marker, RecordType, Spf};
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

/// What somebody made by hand before us.
#[derive(Clone, Debug)]
struct HandMade {
    mx: Option<&'static str>,
    txt: Vec<&'static str>,
    ttl: u32,
    ses: [Option<(&'static str, MailFromStatus, BehaviorOnMxFailure)>; 2],
}

const MX: [&str; 4] = [
    "10 feedback-smtp.us-east-1.amazonses.com",
    "5 Feedback-SMTP.us-east-1.amazonses.com.",
    "10 feedback-smtp.eu-central-1.amazonses.com",
    "10 mx.example.com",
];

const SPF: [&str; 7] = [
    "\"v=spf1 include:amazonses.com -all\"",
    "\"v=spf1 include:amazonses.com ~all\"",
    "\"v=spf1  ip4:192.0.2.1 \" \"-all\"",
    "\"v=spf1 include:_spf.other.example include:amazonses.com\"",
    "\"v=spf1 redirect=_spf.other.example\"",
    "\"v=spf1 a a a a a a a a a a -all\"",
    "\"v=spf1 exp=%{i} -all\"",
];

fn hand_made() -> impl Strategy<Value = HandMade> {
    let status = prop::sample::select(MailFromStatus::ALL[1..].to_vec());
    let domain = prop::sample::select(vec![NAME, NAME, "theirs.example.com"]);
    let behavior = prop::bool::ANY.prop_map(|r| if r { REJECT } else { DEFAULT });
    let held = || prop::option::of((domain.clone(), status.clone(), behavior.clone()));
    let others = vec!["\"say \\\"hi\\\" \\052\"", "\"one\" \"two\"", "\"\""];
    (
        prop::option::of(prop::sample::select(MX.to_vec())),
        prop::sample::subsequence(others, 0..=3),
        prop::sample::subsequence(SPF.to_vec(), 0..=2),
        prop::sample::select(vec![60, 300, 3600]),
        [held(), held()],
    )
        .prop_map(|(mx, others, spf, ttl, ses)| {
            let txt = others.into_iter().chain(spf).collect();
            HandMade { mx, txt, ttl, ses }
        })
}

impl HandMade {
    fn stand_in(&self, world: &mut SmallWorld) {
        if let Some(mx) = self.mx {
            world.put_record_at(NAME, RecordType::Mx, self.ttl, &[mx]);
        }
        if !self.txt.is_empty() {
            world.put_record_at(NAME, RecordType::Txt, self.ttl, &self.txt);
        }
        for (region, held) in REGIONS.iter().zip(self.ses) {
            let mail_from = held.map(|(domain, status, behavior)| MailFrom {
                domain: domain.into(),
                status,
                behavior,
            });
            world.ses(region).mail_from = mail_from;
        }
    }
}

fn adoption() -> impl Strategy<Value = AdoptionPolicy> {
    use AdoptionPolicy::{Always, IfIdentical, Never};
    prop::sample::select(vec![IfIdentical, IfIdentical, Never, Always])
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
    let ours = |text: &str| Marker::is_marker(text) || Spf::is_spf(text);
    let mut found = Vec::new();
    for (_, set) in &world.records {
        for value in &set.values {
            let text = crate::mail::decode_txt(value)
                .map_or(value.clone(), |octets| String::from_utf8_lossy(&octets).into_owned());
            let endpoint = value.to_ascii_lowercase().contains("feedback-smtp.");
            let swapped = swaps(world) && set.rtype == RecordType::Mx;
            if !ours(&text) && !endpoint && !swapped {
                found.push((set.name.to_string(), value.clone()));
            }
        }
    }
    found
}

/// The terms that others wrote into SPF records.
fn foreign_terms(world: &SmallWorld) -> Vec<String> {
    let texts = world.texts(NAME).into_iter().filter(|text| Spf::is_spf(text));
    let ours = |term: &str| {
        matches!(term, "include:amazonses.com" | "include:_spf.third.example" | "~all" | "-all")
    };
    texts
        .flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>())
        .filter(|term| !term.is_empty() && *term != "v=spf1" && !ours(term))
        .collect()
}

fn swaps(world: &SmallWorld) -> bool {
    world.object.spec.adoption_policy == AdoptionPolicy::Always
}

/// One plan and its effects, with what may never happen looked for.
fn watched_step(world: &mut SmallWorld) -> bool {
    let plan = world.planned();
    let immediate = world.object.spec.rollout == Rollout::Immediate;
    for effect in &plan.effects {
        let Effect::PutMailFrom { region, mail_from, behavior, .. } = effect else { continue };
        let held = world.ses(region.as_str()).mail_from.clone();
        if let Some(held) = held.as_ref().filter(|_| !swaps(world)) {
            assert_ne!(held.domain, "theirs.example.com", "a foreign MAIL FROM is overwritten");
        }
        if *behavior == REJECT && !immediate {
            let held = held.expect("RejectMessage on nothing");
            assert_eq!(held.status, MailFromStatus::Success, "RejectMessage without Success");
            let name = mail_from.as_ref().unwrap();
            assert!(world.at(name.as_str(), &RecordType::Mx).is_some(), "RejectMessage without MX");
        }
    }
    let (before, terms) = (foreign(world), foreign_terms(world));
    let spf = |world: &SmallWorld| world.texts(NAME).iter().filter(|t| Spf::is_spf(t)).count();
    let records = spf(world);
    let did = world.step();
    let after = foreign(world);
    assert!(spf(world) <= records.max(1), "two SPF records: {:?}", world.texts(NAME));
    assert_eq!(foreign_terms(world), terms, "terms of others");
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
    #[test]
    fn nothing_foreign_is_harmed_and_everything_comes_to_rest(
        reject: bool,
        immediate in prop::bool::weighted(0.2),
        found in prop::option::of(hand_made()),
        adoption in adoption(),
        events in prop::collection::vec((outside(), 0..4usize), 0..14),
    ) {
        let mut world = SmallWorld::new(TWO_REGIONS);
        world.object.spec.behavior_on_mx_failure = if reject { REJECT } else { DEFAULT };
        world.object.spec.deletion_policy = DeletionPolicy::Delete;
        world.object.spec.adoption_policy = adoption;
        if let Some(found) = &found {
            found.stand_in(&mut world);
        }
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
            let adopted = found.as_ref().is_some_and(|found| found.ses.iter().any(Option::is_some));
            prop_assert!(wiped || theirs || adopted || unmarked(&events), "left behind: {held:?}");
        }
    }
}

proptest! {
    #[test]
    fn what_was_made_by_hand_is_found_as_it_was(
        found in hand_made(),
        never: bool,
        reject: bool,
        sender: bool,
        cut in 0..9usize,
    ) {
        let mut world = SmallWorld::new(TWO_REGIONS);
        world.object.spec.behavior_on_mx_failure = if reject { REJECT } else { DEFAULT };
        world.object.spec.deletion_policy = DeletionPolicy::Delete;
        if never {
            world.object.spec.adoption_policy = AdoptionPolicy::Never;
        }
        if sender {
            world.object.spec.dns.spf.include = vec!["_spf.third.example".into()];
        }
        found.stand_in(&mut world);
        let sorted = |world: &SmallWorld| {
            let mut records = world.records.clone();
            records.sort_by_key(|(_, set)| (set.name.to_string(), set.rtype.to_string()));
            records
        };
        let before = sorted(&world);
        if cut == 0 {
            world.live(minutes(12));
            world.set_all(MailFromStatus::Success);
            world.live(minutes(12));
            prop_assert!(world.planned().effects.is_empty(), "a second run changes nothing");
        } else {
            for _ in 0..cut {
                watched_step(&mut world);
            }
        }
        world.delete();
        world.live(hours(1));
        prop_assert!(world.object.metadata.finalizers.is_none(), "{}", world.message());
        prop_assert_eq!(sorted(&world), before);
        for (region, held) in REGIONS.iter().zip(found.ses) {
            let now = world.ses(region).mail_from.as_ref().map(|held| held.domain.clone());
            prop_assert_eq!(now, held.map(|(domain, ..)| domain.into()));
        }
    }
}

/// Somebody took the marker away, and with it the proof that a setting is ours.
fn unmarked(events: &[(Outside, usize)]) -> bool {
    events.iter().any(|(event, _)| matches!(event, Outside::RemovesTxt))
}
