//! AWS fails: nothing is said too early, nothing is doubled, and what works goes on.

use std::time::{Duration, Instant};

use aws_simulator::{
    ACCOUNT, EventKind, Fault, MailFromStatus, Matching, RecordType, Service, Trouble, World,
};
use harness::{Version, Watched, condition};
use serde_json::{Value, json};

use crate::stage::{DOMAIN, LIMIT, NAME, REGIONS, Stage, ZONE, region};

const READS: [&str; 6] = [
    "GetCallerIdentity",
    "GetIdentityMailFromDomainAttributes",
    "GetIdentityVerificationAttributes",
    "ListHostedZonesByName",
    "ListResourceRecordSets",
    "GetChange",
];
const CHANGE: &str = "ChangeResourceRecordSets";
const PUT: &str = "PutEmailIdentityMailFromAttributes";
const US: &str = REGIONS[0];
const SETTINGS: &str = "GetIdentityMailFromDomainAttributes";

fn watch(stage: &Stage) -> Watched {
    let (api_version, kind) = ("mailfrom.dev/v1alpha1", "SesMailFrom");
    Watched::start(stage.client(), api_version, kind, Some(&stage.namespace))
}

/// Waits for this many more failed calls of an action.
async fn failures(stage: &Stage, action: &str, count: usize) {
    let before = stage.calls(action);
    let what = format!("{count} more calls of {action}");
    stage
        .world(&what, |world| (world.calls_of(action).count() >= before + count).then_some(()))
        .await;
}

fn ready_of(version: &Version) -> Option<(String, String)> {
    let ready = condition(version.object.as_ref()?, "Ready")?;
    let text = |field: &str| ready[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason")))
}

#[tokio::test]
async fn trouble_with_every_action_changes_no_condition() {
    let stage = Stage::new("hour").await;
    let _operator = stage.operator().await;
    stage.apply("kept", json!({"regions": REGIONS.map(|name| json!({"name": name}))})).await;
    stage.ready("kept").await;
    stage.rounds(2).await;
    let (watched, writes) = (watch(&stage), stage.writes());
    let seen =
        |objects: &harness::Objects| (!objects.is_empty()).then_some(()).ok_or("none".into());
    watched.wait_for("the object", LIMIT, seen).await.expect("a watch");
    let before = watched.history().len();
    // Each trouble stays until the reads have met it.
    let troubles = [Trouble::Fail(503), Trouble::Throttle, Trouble::LoseAnswer, Trouble::Malformed];
    for trouble in troubles {
        let fault = stage.aws.add_fault(Fault::always(Matching::any(), trouble));
        failures(&stage, SETTINGS, 2).await;
        stage.aws.remove_fault(fault);
        stage.rounds(2).await;
    }
    let status = stage.ready("kept").await;
    assert_eq!(status.regions_verified.as_deref(), Some("2/2"));
    let history = watched.history().split_off(before);
    assert!(history.is_empty(), "nothing was written to the object: {history:#?}");
    assert_eq!(stage.writes(), writes);
}

#[tokio::test]
async fn past_stale_after_there_is_exactly_one_write() {
    let stale_after = Duration::from_secs(4);
    let stage = Stage::new("stale").await.flag("--stale-after", "4s");
    let _operator = stage.operator().await;
    stage.apply("kept", json!({"regions": [{"name": US}]})).await;
    stage.ready("kept").await;
    stage.rounds(2).await;
    let (watched, writes) = (watch(&stage), stage.writes());
    let seen =
        |objects: &harness::Objects| (!objects.is_empty()).then_some(()).ok_or("none".into());
    watched.wait_for("the object", LIMIT, seen).await.expect("a watch");
    let before = watched.history().len();
    let begun = Instant::now();
    stage.aws.add_fault(Fault::always(Matching::any(), Trouble::Fail(500)));
    stage.condition("kept", "Ready", "Unknown ObservationStale").await;
    stage.condition("kept", "Reconciling", "True ObservationStale").await;
    // The failure goes on, and nothing more is said of it.
    failures(&stage, SETTINGS, 1).await;
    let history = watched.history().split_off(before);
    let stale = ("Unknown".to_owned(), "ObservationStale".to_owned());
    let said = history.iter().map(ready_of).collect::<Vec<_>>();
    assert_eq!(said, [Some(stale)], "{history:#?}");
    // The last good reading is at most a resync older than the first fault.
    let waited = history[0].at.duration_since(begun);
    assert!(waited + Duration::from_secs(1) > stale_after, "said after {waited:?}");

    stage.aws.clear_faults();
    stage.ready("kept").await;
    stage.rounds(3).await;
    // SES and Route 53 are each read again when their own pause is over.
    let history = watched.history().split_off(before + 1);
    let ready = ("True".to_owned(), "Succeeded".to_owned());
    assert_eq!(history.last().and_then(ready_of), Some(ready));
    assert!(history.len() <= 2, "{history:#?}");
    assert_eq!(stage.writes(), writes);
}

fn holds(world: &World, region: &str) -> Option<()> {
    let (name, status) = world.mail_from(ACCOUNT, region, DOMAIN)?.domain.as_ref()?;
    (name == NAME && *status == MailFromStatus::Success).then_some(())
}

fn three() -> Value {
    json!([{"name": REGIONS[0]}, {"name": REGIONS[1]}, {"name": "eu-central-1"}])
}

async fn beside(test: &str, trouble: Trouble) -> Stage {
    let stage = Stage::new(test).await;
    stage.aws.with(|world| world.set_identity(ACCOUNT, "eu-central-1", DOMAIN, true));
    let broken = Matching::service(Service::Ses).region(REGIONS[1]);
    stage.aws.add_fault(Fault::always(broken, trouble));
    stage
}

#[tokio::test]
async fn two_regions_come_to_success_beside_one_that_fails_for_good() {
    let stage = beside("beside", Trouble::Fail(500)).await;
    let _operator = stage.operator().await;
    stage.apply("kept", json!({"regions": three()})).await;
    for name in [US, "eu-central-1"] {
        stage.world("a healthy region", |world| holds(world, name)).await;
    }
    stage
        .until("kept", "2/3", |object| {
            let status = object.status.as_ref()?;
            (status.regions_verified.as_deref() == Some("2/3")).then_some(())
        })
        .await;
    stage.condition("kept", "Reconciling", "True AwsUnavailable").await;
    // What stands is kept up, whatever else fails.
    stage.aws.with(|world| {
        world.delete_record_set(ZONE, NAME, RecordType::MX).expect("the MX");
    });
    stage
        .world("the repair", |world| world.record_set(ZONE, NAME, RecordType::MX).map(|_| ()))
        .await;
    stage.aws.clear_faults();
    let status = stage.ready("kept").await;
    assert_eq!(status.regions_verified.as_deref(), Some("3/3"));
}

#[tokio::test]
async fn two_regions_come_to_success_beside_one_that_is_refused() {
    let stage = beside("refused", Trouble::AccessDenied).await;
    let _operator = stage.operator().await;
    stage.apply("kept", json!({"regions": three()})).await;
    let said = stage.condition("kept", "Stalled", "True AccessDenied").await;
    assert!(said.contains("GetEmailIdentity") && said.contains(REGIONS[1]), "{said}");
    let status = stage
        .until("kept", "2/3", |object| {
            let status = object.status.clone()?;
            (status.regions_verified.as_deref() == Some("2/3")).then_some(status)
        })
        .await;
    for name in [US, "eu-central-1"] {
        assert_eq!(region(&status, name).mail_from_domain.as_deref(), Some(NAME));
    }
    stage.aws.clear_faults();
    stage.ready("kept").await;
}

/// Runs the life of an object of one region while each of these actions meets
/// the trouble once, and checks that nothing was done twice.
async fn comes_through(test: &str, actions: &[&str], trouble: &Trouble) {
    let stage = Stage::new(test).await;
    for action in actions {
        stage.aws.add_fault(Fault::once(Matching::action(action), trouble.clone()));
    }
    let _operator = stage.operator().await;
    stage.apply("kept", json!({"regions": [{"name": US}]})).await;
    stage.world("Success", |world| holds(world, US)).await;
    stage.ready("kept").await;
    stage.rounds(2).await;
    stage.aws.with(|world| {
        for action in actions {
            let met = world.calls_of(action).any(|call| call.outcome != aws_simulator::Outcome::Ok);
            assert!(met || *trouble == Trouble::Malformed, "{action} met no trouble");
        }
        let mx = world.record_set(ZONE, NAME, RecordType::MX).expect("the MX");
        assert_eq!(mx.values, ["10 feedback-smtp.us-east-1.amazonses.com"]);
        let txt = world.record_set(ZONE, NAME, RecordType::TXT).expect("the TXT");
        assert_eq!(txt.values.len(), 2, "{:?}", txt.values);
        let changed = |event: &&aws_simulator::Event| {
            matches!(event.kind, EventKind::RecordSet { ref name, .. }
                if name.to_string().trim_end_matches('.') == NAME)
        };
        let changed: Vec<_> = world.events().iter().filter(changed).collect();
        assert_eq!(changed.len(), 2, "MX and TXT once each: {changed:#?}");
        let put =
            |event: &&aws_simulator::Event| matches!(event.kind, EventKind::MailFromPut { .. });
        let puts: Vec<_> = world.events().iter().filter(put).collect();
        assert_eq!(puts.len(), 1, "{puts:#?}");
    });
}

fn all() -> Vec<&'static str> {
    READS.into_iter().chain([CHANGE, PUT]).collect()
}

#[tokio::test]
async fn throttling_of_each_action_is_come_through() {
    comes_through("throttled", &all(), &Trouble::Throttle).await;
}

#[tokio::test]
async fn a_server_error_of_each_action_is_come_through() {
    comes_through("fails", &all(), &Trouble::Fail(503)).await;
}

#[tokio::test]
async fn a_server_error_after_the_deed_is_come_through() {
    comes_through("failsafter", &[CHANGE, PUT], &Trouble::FailAfter(500)).await;
}

#[tokio::test]
async fn a_lost_answer_of_each_read_is_come_through() {
    comes_through("losesread", &READS, &Trouble::LoseAnswer).await;
}

// Where the answer to the change is lost, so is its id, and GetChange is not asked.

#[tokio::test]
async fn a_lost_answer_of_each_write_is_come_through() {
    comes_through("loses", &[CHANGE, PUT], &Trouble::LoseAnswer).await;
}

#[tokio::test]
async fn an_answer_that_is_none_is_come_through() {
    comes_through("malformed", &all(), &Trouble::Malformed).await;
}

// A hang lasts for the whole time limit of a request, so reads and writes run
// beside each other.

#[tokio::test]
async fn reads_that_hang_are_come_through() {
    comes_through("hangs", &READS, &Trouble::Hang).await;
}

#[tokio::test]
async fn writes_that_hang_are_come_through() {
    comes_through("hangswrite", &[CHANGE, PUT], &Trouble::Hang).await;
}

#[tokio::test]
async fn writes_that_are_done_and_hang_are_come_through() {
    comes_through("hangsafter", &[CHANGE, PUT], &Trouble::HangAfter).await;
}
