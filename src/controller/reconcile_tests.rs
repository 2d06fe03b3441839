//! The driver on scripted plans, with Kubernetes and AWS in memory.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::objects::{ObjectError, has_finalizer, key_of};
use super::reconcile::{Again, Outcome};
use super::scripted::{Bench, Changes, Log, NOW, Sending, bench};
use super::testing::{key, object, watched};
use crate::api::{Reason, SesMailFromStatus};
use crate::authority::{Place, Service};
use crate::mail::{
    BehaviorOnMxFailure, ChangeBatch, DomainName, HostedZoneId, MailFromDomain, Region, Regions,
};
use crate::plan::{
    Answer, Effect, Facts, Fault, Memory, Notice, Plan, Question, Said, Value, World, WriteFault,
};
use crate::telemetry::Verdict;

fn status(name: &str) -> Box<SesMailFromStatus> {
    Box::new(SesMailFromStatus { mail_from_domain: Some(name.into()), ..Default::default() })
}

fn name() -> MailFromDomain {
    MailFromDomain::new("bounce", &DomainName::parse("example.com").unwrap()).unwrap()
}

fn region() -> Region {
    Regions::default().get("us-east-1").unwrap()
}

fn change(world: &World<'_>, repair: bool) -> Effect {
    let grant = world.standing.claim(&Place::Name(name()), None).unwrap();
    let zone = HostedZoneId::parse("Z1").unwrap();
    let batch = ChangeBatch { zone, changes: vec![], comment: String::new() };
    Effect::ChangeRecords { grant, batch, repair }
}

fn put(world: &World<'_>) -> Effect {
    put_in(world, region())
}

fn put_in(world: &World<'_>, region: Region) -> Effect {
    // The one region that the object names is enough for the driver.
    let grant = world.standing.claim(&Place::Region(self::region()), None).unwrap();
    Effect::PutMailFrom {
        grant,
        region,
        mail_from: Some(name()),
        behavior: BehaviorOnMxFailure::UseDefaultValue,
        repair: false,
    }
}

fn notice() -> Vec<Notice> {
    notice_of("Published")
}

fn notice_of(reason: &'static str) -> Vec<Notice> {
    vec![Notice { warning: false, reason, note: "said".into() }]
}

/// What is to be told once AWS has been told of the name, and of the region.
fn announcements() -> BTreeMap<Place, Vec<Notice>> {
    let of_name = (Place::Name(name()), notice_of("Changing"));
    [of_name, (Place::Region(region()), notice_of("Putting"))].into()
}

fn fault() -> Fault {
    let message = "route53:ChangeResourceRecordSets Z1: slow".into();
    Fault {
        reason: Reason::AwsUnavailable,
        transient: true,
        outdated: false,
        said: Said::Nothing,
        message,
    }
}

/// What the object's status names.
fn named<'a>(world: &'a World<'_>) -> Option<&'a str> {
    world.object.status.as_ref()?.mail_from_domain.as_deref()
}

fn finalized(world: &World<'_>) -> bool {
    has_finalizer(world.object)
}

/// The whole way: finalizer, write-ahead, records, put, report.
fn whole_way(world: &World<'_>) -> Plan {
    let done = |place| world.memory.findings.contains_key(&place);
    let mut plan = Plan { memory: world.memory.clone(), ..Plan::default() };
    if finalized(world) && named(world) == Some("reported") {
        plan.wake = Some(Timestamp::constant(1_000_060, 0));
    } else if finalized(world) && named(world) == Some("ahead") && !done(Place::Region(region())) {
        plan.report = Some(status("reported"));
        plan.notices = notice();
        plan.wake = Some(Timestamp::constant(1_000_030, 0));
    } else {
        plan.effects = vec![
            Effect::AddFinalizer,
            Effect::WriteStatus(status("ahead")),
            change(world, true),
            put(world),
        ];
    }
    plan
}

#[tokio::test]
async fn runs_effects_in_order_each_on_the_reply_to_the_one_before_and_reports() {
    let bench = bench(whole_way);
    let outcome = bench.reconcile().await;
    let expected = [
        "add finalizer at 5",
        "status ahead at 6",
        "change bounce.example.com",
        "put us-east-1 bounce.example.com",
        "status reported at 7",
        "event uid-a Published",
    ];
    assert_eq!(bench.log(), expected);
    assert_eq!(outcome.verdict, Verdict::Settled);
    assert_eq!(outcome.again, Again::At(Timestamp::constant(1_000_030, 0)));
    let metrics = bench.reconciler.metrics.render().unwrap();
    assert!(
        metrics.contains(r#"sesmailfrom_drift_corrected_total{kind="records"} 1"#),
        "{metrics}"
    );
}

#[tokio::test]
async fn an_own_write_is_planned_on_before_the_watch_shows_it() {
    let bench = bench(whole_way);
    bench.reconcile().await;
    bench.log();
    bench.reconciler.store.saw(watched(&object("a", 5)));
    let outcome = bench.reconcile().await;
    assert_eq!(bench.log(), [""; 0], "nothing is left to do");
    assert_eq!(outcome.again, Again::At(Timestamp::constant(1_000_060, 0)));
}

#[tokio::test]
async fn a_write_ahead_that_fails_lets_nothing_after_it_run() {
    for (error, verdict) in [
        (ObjectError::Raced("changed".into()), Verdict::Raced),
        (ObjectError::Refused("too long".into()), Verdict::KubernetesError),
        (ObjectError::Unavailable("gone".into()), Verdict::KubernetesError),
    ] {
        let bench = bench(|world| Plan {
            effects: vec![Effect::WriteStatus(status("ahead")), change(world, false)],
            notices: notice(),
            ..Plan::default()
        });
        bench.replies.lock().unwrap().push_back(error);
        let outcome = bench.reconcile().await;
        assert_eq!(bench.log(), ["status ahead at 5"]);
        assert_eq!(outcome, Outcome { verdict, again: Again::BackOff });
    }
}

#[tokio::test]
async fn a_failed_write_is_remembered_counted_and_forgotten_on_success() {
    let bench = bench(|world| {
        let mut plan = Plan { memory: world.memory.clone(), ..Plan::default() };
        plan.memory.observed = true;
        let failed = world.memory.faults.get(&Place::Name(name()));
        let wait = failed.is_some_and(|failed| failed.count % 2 == 1 && failed.at == world.now);
        if world.memory.changes.is_empty() && !wait {
            plan.effects = vec![change(world, false), put(world)];
        }
        plan
    });
    bench.changes.lock().unwrap().faults.extend([fault()]);
    let outcome = bench.reconcile().await;
    let both = ["change bounce.example.com", "put us-east-1 bounce.example.com"];
    assert_eq!(bench.log(), both, "the put does not wait for how the change ends");
    assert_eq!(outcome.verdict, Verdict::WriteFailed);
    let memory = bench.memory();
    assert!(memory.observed, "what the plan remembers is kept");
    let failed = &memory.faults[&Place::Name(name())];
    assert_eq!((failed.count, failed.at, &failed.fault), (1, NOW, &fault()));

    bench.reconciler.memories.amend(&object("a", 5), |memory| {
        memory.faults.get_mut(&Place::Name(name())).unwrap().count = 2;
    });
    bench.reconcile().await;
    assert_eq!(bench.log(), both);
    let memory = bench.memory();
    assert!(memory.faults.is_empty() && memory.handed.is_empty());
    assert_eq!(memory.changes[name().name()], ("C1".to_owned(), NOW));
}

#[tokio::test]
async fn a_plan_that_insists_on_a_failing_write_is_not_followed_for_ever() {
    let bench = bench(|world| Plan { effects: vec![change(world, false)], ..Plan::default() });
    bench.changes.lock().unwrap().faults.extend(std::iter::repeat_n(fault(), 100));
    let outcome = bench.reconcile().await;
    assert_eq!(bench.log().len(), 2);
    assert_eq!(outcome.again, Again::BackOff);
}

#[tokio::test]
async fn without_a_permit_nothing_is_written_ahead_and_the_report_is_made() {
    let bench = bench(|world| {
        let reported = named(world) == Some("waiting");
        Plan {
            effects: vec![Effect::WriteStatus(status("ahead")), put(world)],
            report: (!reported).then(|| status("waiting")),
            notices: notice(),
            ..Plan::default()
        }
    });
    *bench.permits.lock().unwrap() = 0;
    let outcome = bench.reconcile().await;
    assert_eq!(bench.log(), ["status waiting at 5", "event uid-a Published"]);
    assert_eq!(outcome.verdict, Verdict::Waiting);
    let resync = Timestamp::constant(1_000_600, 0);
    assert_eq!(outcome.again, Again::At(resync), "should the wake be lost");
    bench.reconcile().await;
    assert_eq!(bench.log(), [""; 0], "a report that is written is not written again");
}

/// Puts in each region that has not been put, each behind a status of its own, first
/// where there are permits.
fn each_region(regions: &[&str]) -> impl Fn(&World<'_>) -> Plan + Send + Sync + 'static {
    let regions: Vec<Region> =
        regions.iter().map(|name| Regions::default().get(name).unwrap()).collect();
    move |world| {
        let done =
            |region: &Region| named(world).is_some_and(|said| said.contains(region.as_str()));
        let mut left: Vec<_> = regions.iter().filter(|region| !done(region)).collect();
        left.sort_by_key(|region| world.facts.no_permit.contains(region));
        let mut said = named(world).unwrap_or_default().to_owned();
        let mut effects = Vec::new();
        for region in left {
            said = format!("{said} {region}");
            effects.push(Effect::WriteStatus(status(&said)));
            effects.push(put_in(world, region.clone()));
        }
        Plan { effects, ..Plan::default() }
    }
}

#[tokio::test]
async fn a_region_without_a_permit_holds_up_no_other() {
    let regions = ["eu-west-1", "us-east-1", "us-west-2"];
    let bench = bench(each_region(&regions));
    let exhausted = regions[..2].iter().map(|name| Regions::default().get(name).unwrap());
    bench.exhausted.lock().unwrap().extend(exhausted);
    // It is not asked for and let go of again: others would take it.
    *bench.permits.lock().unwrap() = 1;
    let outcome = bench.reconcile().await;
    let expected = ["status  us-west-2 at 5", "put us-west-2 bounce.example.com"];
    assert_eq!(bench.log(), expected);
    assert_eq!(outcome.verdict, Verdict::Waiting);
    *bench.permits.lock().unwrap() = 2;
    bench.exhausted.lock().unwrap().clear();
    bench.reconcile().await;
    let puts: Vec<_> = bench.log().into_iter().filter(|what| what.starts_with("put")).collect();
    assert_eq!(puts, ["put eu-west-1 bounce.example.com", "put us-east-1 bounce.example.com",]);
}

#[tokio::test]
async fn what_was_done_before_a_permit_is_missing_is_told_and_the_rest_waits() {
    let bench = bench(|world| {
        let mut effects = vec![put(world)];
        if world.memory.changes.is_empty() {
            effects.insert(0, change(world, false));
        }
        let memory = world.memory.clone();
        Plan { effects, announcements: announcements(), memory, ..Plan::default() }
    });
    *bench.permits.lock().unwrap() = 0;
    let outcome = bench.reconcile().await;
    assert_eq!(bench.log(), ["change bounce.example.com", "event uid-a Changing"]);
    assert_eq!(outcome.verdict, Verdict::Waiting);
    *bench.permits.lock().unwrap() = 1;
    bench.reconcile().await;
    assert_eq!(bench.log()[..2], ["put us-east-1 bounce.example.com", "event uid-a Putting"]);
}

#[tokio::test]
async fn what_was_handed_over_is_waited_for_without_handing_it_over_again() {
    let bench = bench(|world| Plan {
        effects: vec![change(world, true)],
        report: Some(status("publishing")).filter(|_| named(world).is_none()),
        announcements: announcements(),
        memory: world.memory.clone(),
        ..Plan::default()
    });
    bench.changes.lock().unwrap().sending = Sending::Waits;
    let outcome = bench.reconcile().await;
    assert_eq!(
        bench.log(),
        ["change bounce.example.com", "event uid-a Changing", "status publishing at 5"]
    );
    let resync = Timestamp::constant(1_000_600, 0);
    let waits = Outcome { verdict: Verdict::Waiting, again: Again::At(resync) };
    assert_eq!(outcome, waits);
    assert!(bench.memory().handed[name().name()].repair);
    assert_eq!(bench.reconcile().await, waits);
    assert_eq!(bench.log(), [""; 0]);
    let metrics = bench.reconciler.metrics.render().unwrap();
    assert!(!metrics.contains(r#"drift_corrected_total{kind="records"} 1"#), "{metrics}");
}

/// Wants the change while status says so.
fn while_wanted(world: &World<'_>) -> Plan {
    let mut plan = Plan { memory: world.memory.clone(), ..Plan::default() };
    match named(world) {
        Some("wanted") => plan.effects = vec![change(world, false)],
        Some("undecided") => plan.undecided = [name().name().clone()].into(),
        _ => plan.report = Some(status("done")).filter(|_| named(world) != Some("done")),
    }
    plan
}

/// Has status name this from now on.
fn names(bench: &Bench, text: &str) {
    let (stored, _) = bench.reconciler.store.view(&key("a")).unwrap();
    let mut edited = (*stored).clone();
    let version: u64 = edited.metadata.resource_version.as_deref().unwrap().parse().unwrap();
    edited.metadata.resource_version = Some((version + 1).to_string());
    edited.status = Some(*status(text));
    bench.reconciler.store.saw(watched(&edited));
}

#[tokio::test]
async fn what_is_wanted_no_longer_is_taken_back_and_what_is_undecided_is_not() {
    let bench = bench(while_wanted);
    bench.changes.lock().unwrap().sending = Sending::Waits;
    names(&bench, "wanted");
    bench.reconcile().await;
    names(&bench, "undecided");
    bench.reconcile().await;
    assert_eq!(bench.log(), ["change bounce.example.com"]);
    assert_eq!(bench.memory().handed.len(), 1);
    names(&bench, "unwanted");
    bench.reconcile().await;
    assert_eq!(bench.log(), ["withdraw bounce.example.com", "status done at 8"]);
    assert!(bench.memory().handed.is_empty());
}

#[tokio::test]
async fn nothing_is_decided_while_a_change_is_on_its_way() {
    let plans: Arc<Mutex<usize>> = Arc::default();
    let counted = Arc::clone(&plans);
    let bench = bench(move |world| {
        *counted.lock().unwrap() += 1;
        while_wanted(world)
    });
    bench.changes.lock().unwrap().sending = Sending::Waits;
    names(&bench, "wanted");
    bench.reconcile().await;
    bench.log();
    bench.changes.lock().unwrap().sending = Sending::OnItsWay;
    let before = *plans.lock().unwrap();
    for wanted in ["wanted", "unwanted"] {
        names(&bench, wanted);
        assert_eq!(bench.reconcile().await.verdict, Verdict::Waiting);
        assert_eq!(bench.log(), [""; 0]);
    }
    assert_eq!(*plans.lock().unwrap(), before, "what was read tells nothing of what will stand");
    bench.changes.lock().unwrap().sending = Sending::Prompt;
    bench.reconcile().await;
    assert_eq!(bench.log(), ["status done at 8"]);
    assert_eq!(bench.memory().changes[name().name()].0, "C1");
}

#[tokio::test]
async fn what_leaves_while_it_is_decided_that_it_is_not_wanted_stops_that_decision() {
    let changes: Arc<Mutex<Changes>> = Arc::default();
    let leaves = Arc::clone(&changes);
    let mut bench = bench(move |world| {
        leaves.lock().unwrap().sending = Sending::OnItsWay;
        while_wanted(world)
    });
    bench.reconciler.outside.shares(&changes);
    names(&bench, "wanted");
    bench.reconcile().await;
    assert_eq!(bench.log(), ["change bounce.example.com"]);
    changes.lock().unwrap().sending = Sending::Waits;
    names(&bench, "unwanted");
    assert_eq!(bench.reconcile().await.verdict, Verdict::Waiting);
    assert_eq!(bench.log(), [""; 0]);
    assert_eq!(bench.memory().handed.len(), 1, "how it ends is still to be heard");
}

#[tokio::test]
async fn how_a_change_ended_that_an_object_of_this_name_before_handed_over_is_not_believed() {
    let bench = bench(while_wanted);
    names(&bench, "wanted");
    bench.changes.lock().unwrap().sending = Sending::Waits;
    bench.reconcile().await;
    let mut anew = object("a", 9);
    anew.metadata.uid = Some("other".into());
    bench.reconciler.store.saw(watched(&anew));
    bench.changes.lock().unwrap().sending = Sending::Prompt;
    bench.reconcile().await;
    assert_eq!(bench.memory(), Memory::default());
}

#[tokio::test]
async fn asks_for_more_as_long_as_answers_raise_questions() {
    let zone = || HostedZoneId::parse("Z1").unwrap();
    let host = || name().name().clone();
    let account = Answer::Known { sent: NOW, value: Value::Account("1".into()) };
    let expected = account.clone();
    let bench = bench(move |world| {
        let Facts { answers: facts, .. } = world.facts;
        let mut plan = Plan::default();
        plan.questions.insert(Question::Account(Service::Ses), NOW);
        if facts.get(&Question::Account(Service::Ses)) == Some(&expected) {
            plan.questions.insert(Question::Name(zone(), host()), NOW);
        }
        if facts.contains_key(&Question::Name(zone(), host())) {
            plan.report = Some(status("asked"));
        }
        plan
    });
    let asked = Log::default();
    let heard = Arc::clone(&asked);
    *bench.answers.lock().unwrap() = Box::new(move |question, _| {
        heard.lock().unwrap().push(format!("{question:?}"));
        if *question == Question::Account(Service::Ses) { account.clone() } else { Answer::NotYet }
    });
    let outcome = bench.reconcile().await;
    assert_eq!(asked.lock().unwrap().len(), 2, "each once: {asked:?}");
    assert_eq!(bench.log(), ["status asked at 5"]);
    assert_eq!(outcome.verdict, Verdict::Waiting);
}

#[tokio::test]
async fn an_answer_older_than_asked_for_is_not_shown_to_the_plan() {
    let bench = bench(|world| {
        let mut plan = Plan::default();
        plan.questions.insert(Question::Account(Service::Ses), NOW);
        match world.facts.answers.get(&Question::Account(Service::Ses)) {
            None | Some(Answer::NotYet) => {}
            other => panic!("shown {other:?}"),
        }
        plan
    });
    let sent = NOW - Duration::from_secs(1);
    *bench.answers.lock().unwrap() =
        Box::new(move |_, _| Answer::Known { sent, value: Value::Account("1".into()) });
    assert_eq!(bench.reconcile().await.verdict, Verdict::Waiting);
}

#[tokio::test]
async fn a_plan_without_end_gives_way() {
    let bench = bench(|_| Plan { effects: vec![Effect::AddFinalizer], ..Plan::default() });
    let outcome = bench.reconcile().await;
    assert_eq!(outcome, Outcome { verdict: Verdict::Requeued, again: Again::Now });
    assert_eq!(bench.log().len(), 8);
}

#[tokio::test]
async fn what_is_gone_is_forgotten_and_left_alone() {
    let bench = bench(whole_way);
    let gone = object("a", 5);
    bench.reconciler.memories.amend(&gone, |memory| memory.observed = true);
    bench.reconciler.store.forget(&key("a"));
    let outcome = bench.reconcile().await;
    assert_eq!(outcome.again, Again::WhenWoken);
    assert_eq!(bench.log(), ["forget mail/a"]);
    assert_eq!(bench.reconciler.memories.of(&gone), Memory::default());
}

#[tokio::test]
async fn an_object_made_anew_starts_without_memory() {
    let bench = bench(|_| Plan::default());
    let mut anew = object("a", 6);
    bench.reconciler.memories.amend(&anew, |memory| memory.observed = true);
    anew.metadata.uid = Some("other".into());
    assert!(!bench.reconciler.memories.of(&anew).observed);
    assert_eq!(key_of(&anew), key("a"));
}

#[tokio::test]
async fn an_own_write_that_changes_claims_wakes_the_rival() {
    let bench = bench(|world| {
        let mut plan = Plan::default();
        if !finalized(world) {
            plan.effects = vec![Effect::WriteStatus(status_in("us-west-2")), Effect::AddFinalizer];
        }
        plan
    });
    let mut rival = object("b", 9);
    rival.spec.regions[0].name = "us-west-2".into();
    rival.spec.subdomain = "other".into();
    bench.reconciler.store.saw(watched(&rival));
    bench.reconcile().await;
    assert!(bench.woken.lock().unwrap().contains(&key("b")));
}

fn status_in(region: &str) -> Box<SesMailFromStatus> {
    serde_json::from_value(serde_json::json!({
        "regions": [{"name": region, "sending": "Unknown"}],
    }))
    .unwrap()
}

#[tokio::test(start_paused = true)]
async fn one_whose_effects_take_long_gives_way_between_them() {
    let bench =
        bench(|world| Plan { effects: (0..32).map(|_| put(world)).collect(), ..Plan::default() });
    *bench.put_takes.lock().unwrap() = Duration::from_secs(5);
    let begun = Instant::now();
    let outcome = bench.reconcile().await;
    assert_eq!(outcome, Outcome { verdict: Verdict::Requeued, again: Again::Now });
    assert!(begun.elapsed() <= Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(bench.log(), ["put us-east-1 bounce.example.com"; 3]);
}

#[tokio::test]
async fn what_aws_was_told_is_told_of_though_the_object_was_not_written() {
    let bench = bench(|world| Plan {
        effects: vec![put(world), Effect::WriteStatus(status("after")), change(world, false)],
        notices: notice(),
        announcements: announcements(),
        ..Plan::default()
    });
    bench.replies.lock().unwrap().push_back(ObjectError::Raced("changed".into()));
    let outcome = bench.reconcile().await;
    let expected = ["put us-east-1 bounce.example.com", "status after at 5", "event uid-a Putting"];
    assert_eq!(bench.log(), expected, "nothing of the change and of the status");
    assert_eq!(outcome, Outcome { verdict: Verdict::Raced, again: Again::BackOff });
}

#[tokio::test(start_paused = true)]
async fn a_put_is_made_once_status_has_announced_it_however_long_that_took() {
    let bench = bench(|world| {
        let announced = |number| [Effect::WriteStatus(status(number)), put(world)];
        Plan {
            effects: ["one", "two"].into_iter().flat_map(announced).collect(),
            ..Plan::default()
        }
    });
    *bench.write_takes.lock().unwrap() = Duration::from_secs(16);
    let outcome = bench.reconcile().await;
    assert_eq!(bench.log(), ["status one at 5", "put us-east-1 bounce.example.com"]);
    assert_eq!(outcome, Outcome { verdict: Verdict::Requeued, again: Again::Now });
}

#[tokio::test]
async fn what_was_throttled_goes_before_who_came_later_and_what_was_denied_does_not() {
    let urgent = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&urgent);
    let bench = bench(move |world| {
        asked.lock().unwrap().push(world.standing.is_urgent());
        Plan { memory: world.memory.clone(), ..Plan::default() }
    });
    let refused = Fault { said: Said::No, ..fault() };
    let denied = Fault { transient: false, ..refused.clone() };
    let throttled = Fault { said: Said::Later, ..fault() };
    let put = Place::Region(region());
    // How long a batch has to wait is not one object's to say.
    let change = (Place::Name(name()), throttled.clone());
    let faults = [fault(), refused, denied, throttled].map(|fault| (put.clone(), fault));
    let faults = [None].into_iter().chain(faults.map(Some)).chain([Some(change)]);
    for fault in faults {
        let (object, _) = bench.reconciler.store.view(&key("a")).unwrap();
        bench.reconciler.memories.amend(&object, |memory| {
            let failed = |fault| WriteFault { fault, at: NOW, count: 1, repair: false };
            memory.faults =
                fault.map(|(place, fault)| (place, failed(fault))).into_iter().collect();
        });
        bench.reconcile().await;
    }
    assert_eq!(*urgent.lock().unwrap(), [false, false, false, false, true, false]);
}
