//! Two operators, of which one acts. Each signs its calls with a key of its own,
//! so that AWS's log tells whose they were.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws_simulator::{ACCOUNT, GatePoint, Matching, RecordType, Service};
use harness::{ApiProxy, Operator, http_get, wait_until};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::time::timeout;

use crate::stage::{LIMIT, NAME, REGIONS, Stage, ZONE, is_write};

const FIRST: &str = "AKIASIMULATED00FIRST";
const SECOND: &str = "AKIASIMULATED0SECOND";
const OBJECT: &str = "kept";
const PUT: &str = "PutEmailIdentityMailFromAttributes";

/// Long enough for a busy machine, short enough to see one run out.
const SHORT: [(&str, &str); 3] =
    [("--lease-duration", "6s"), ("--renew-deadline", "4500ms"), ("--retry-period", "1500ms")];

async fn stage(test: &str) -> Stage {
    let stage = Stage::new(test).await;
    stage.aws.with(|world| [FIRST, SECOND].map(|key| world.add_account(ACCOUNT, key)));
    stage
}

async fn short(test: &str) -> Stage {
    let stage = stage(test).await;
    SHORT.iter().fold(stage, |stage, (flag, value)| stage.flag(flag, value))
}

/// Starts an operator beside those that run, by way of a proxy where there is one.
async fn start(stage: &Stage, key: &str, proxy: Option<&ApiProxy>) -> Operator {
    let mut launch = stage.launch.clone().env("AWS_ACCESS_KEY_ID", key);
    if let Some(proxy) = proxy {
        launch = launch.through(proxy.url());
    }
    let operator = launch.start(stage.plane).await.expect("an operator");
    operator.ready(LIMIT).await.expect("one that is ready, leading or not");
    operator
}

async fn says(operator: &Operator, line: &str) {
    let found = operator.output().wait_for_line(line, LIMIT).await;
    found.unwrap_or_else(|error| panic!("{error}"));
}

/// One that leads, and one that waits for it to go.
async fn pair(stage: &Stage, proxy: Option<&ApiProxy>) -> (Operator, Operator) {
    let first = start(stage, FIRST, proxy).await;
    says(&first, "\"Leading\"").await;
    let second = start(stage, SECOND, None).await;
    says(&second, "Waiting for the lease").await;
    (first, second)
}

async fn apply(stage: &Stage) {
    stage.apply(OBJECT, json!({"regions": REGIONS.map(|name| json!({"name": name}))})).await;
}

/// The order and the action of the calls that were signed with a key.
fn calls(stage: &Stage, key: &str) -> Vec<(u64, String)> {
    stage.aws.with(|world| {
        let calls = world.calls().iter().filter(|call| call.access_key == key);
        calls.map(|call| (call.order, call.action.clone())).collect()
    })
}

/// Asserts that an operator ended because it could not keep its lease.
async fn ended_without_its_lease(operator: &Operator, why: &str) {
    let code = operator.process().wait(LIMIT).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(code, 1, "{}", operator.output().tail(20));
    says(operator, "Lost the lease").await;
    says(operator, why).await;
}

/// Somebody takes the MX away, and whoever leads puts it back.
async fn drift_is_repaired(stage: &Stage) {
    stage.aws.with(|world| {
        world.delete_record_set(ZONE, NAME, RecordType::MX).expect("the MX");
    });
    stage
        .world("the repair", |world| world.record_set(ZONE, NAME, RecordType::MX).map(|_| ()))
        .await;
}

async fn resource_version(stage: &Stage) -> Option<String> {
    stage.api().get(OBJECT).await.expect("the object").metadata.resource_version
}

#[tokio::test]
async fn of_two_that_start_together_one_acts_and_a_dead_one_is_followed() {
    let stage = short("together").await;
    let (first, second) =
        futures::future::join(start(&stage, FIRST, None), start(&stage, SECOND, None)).await;
    apply(&stage).await;
    stage.ready(OBJECT).await;
    stage.rounds(4).await;
    let keys: BTreeSet<_> =
        stage.aws.with(|world| world.calls().iter().map(|call| call.access_key.clone()).collect());
    let leads_first = match keys.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [FIRST] => true,
        [SECOND] => false,
        ref keys => panic!("both have called AWS, or neither: {keys:?}"),
    };
    let (leader, standby) = if leads_first { (first, second) } else { (second, first) };
    for (operator, leads) in [(&leader, 1), (&standby, 0)] {
        let metrics = operator.metrics().await.expect("metrics");
        assert!(metrics.contains(&format!("\nsesmailfrom_leader {leads}\n")), "{metrics}");
    }
    let lease = stage.leases().get("ses-mailfrom").await.expect("the Lease");
    let holder = lease.spec.and_then(|spec| spec.holder_identity).unwrap_or_default();
    assert!(holder.starts_with(&format!("{}_", leader.process().name())), "{holder}");

    leader.kill();
    says(&standby, "\"Leading\"").await;
    drift_is_repaired(&stage).await;
    stage.ready(OBJECT).await;
}

#[tokio::test]
async fn frozen_past_its_lease_it_writes_nothing_and_ends() {
    let stage = short("frozen").await;
    let (first, second) = pair(&stage, None).await;
    let gate = stage.aws.gate(Matching::action(PUT), GatePoint::After, 0);
    stage.apply(OBJECT, json!({"regions": [{"name": REGIONS[0]}]})).await;
    timeout(LIMIT, gate.reached()).await.expect("a put at the gate");
    first.process().pause().expect("a stopped process");
    says(&second, "\"Leading\"").await;
    stage.ready(OBJECT).await;
    stage.rounds(2).await;

    // The answer to its last request waits for it, and would have it go on: to
    // look at SES and to write the object's status.
    let begun = calls(&stage, FIRST);
    assert!(begun.iter().any(|(_, action)| is_write(action)), "{begun:?}");
    let (before, version) = (stage.writes(), resource_version(&stage).await);
    gate.release();
    first.process().resume().expect("a process that goes on");
    ended_without_its_lease(&first, "could not be renewed").await;
    assert_eq!(calls(&stage, FIRST), begun, "a call that was begun without the lease");
    stage.rounds(2).await;
    assert_eq!(stage.writes(), before, "nothing had to be mended");
    assert_eq!(resource_version(&stage).await, version, "nothing was written to the object");
    drift_is_repaired(&stage).await;
}

/// The API server becomes unreachable for the leader alone.
async fn cut_off(test: &str, cut: impl Fn(&ApiProxy)) {
    let stage = short(test).await;
    let proxy = ApiProxy::start(stage.plane).await.expect("a proxy");
    let (first, second) = pair(&stage, Some(&proxy)).await;
    apply(&stage).await;
    stage.ready(OBJECT).await;
    cut(&proxy);
    // There is something to do all the time, for whoever may.
    drift_is_repaired(&stage).await;
    ended_without_its_lease(&first, "could not be renewed").await;
    says(&second, "\"Leading\"").await;
    drift_is_repaired(&stage).await;
    stage.ready(OBJECT).await;
    stage.rounds(2).await;
    let last = calls(&stage, FIRST).pop().expect("calls of the first");
    let next = calls(&stage, SECOND).into_iter().next().expect("calls of the second");
    assert!(last < next, "the first called {last:?} when the second had called {next:?}");
}

#[tokio::test]
async fn cut_off_from_the_api_server_it_stops_and_ends() {
    cut_off("cut", ApiProxy::cut).await;
}

#[tokio::test]
async fn without_answers_of_the_api_server_it_stops_and_ends() {
    cut_off("hung", ApiProxy::hang).await;
}

#[tokio::test]
async fn on_sigterm_the_lease_is_handed_over() {
    // With the durations of the manifests: nothing here has run out.
    let stage = stage("handover").await;
    let (first, second) = pair(&stage, None).await;
    apply(&stage).await;
    stage.ready(OBJECT).await;
    assert_eq!(calls(&stage, SECOND), [], "a standby does not even read");
    let told = Instant::now();
    first.process().terminate().expect("a signal");
    says(&second, "\"Leading\"").await;
    let leads = told.elapsed();
    let acts = stage.world("a call of the second", |world| {
        world.calls().iter().any(|call| call.access_key == SECOND).then(|| told.elapsed())
    });
    let acts = acts.await;
    assert_eq!(first.process().wait(LIMIT).await.expect("an end"), 0);
    says(&first, "Released the lease").await;
    #[expect(clippy::print_stdout, reason = "the figure is what one wants to see")]
    {
        println!("hand-over on SIGTERM: the next leads after {leads:?} and acts after {acts:?}");
    }
    assert!(acts < Duration::from_secs(10), "{acts:?}: the lease was waited for");
    drift_is_repaired(&stage).await;
    assert!(calls(&stage, FIRST).pop() < calls(&stage, SECOND).into_iter().next());
}

#[tokio::test]
async fn who_begins_to_act_waits_for_what_another_may_just_have_taken() {
    // One call in ten seconds: far longer than a start takes.
    let stage = stage("begins").await.flag("--ses-rate", "0.1");
    apply(&stage).await;
    let begun = Instant::now();
    let _operator = start(&stage, FIRST, None).await;
    let asked = stage.world("a question to SES", |world| {
        world.calls().iter().any(|call| call.service == Service::Ses).then(|| begun.elapsed())
    });
    let asked = asked.await;
    assert!(asked >= Duration::from_secs(10), "SES was asked after {asked:?}");
}

#[tokio::test]
async fn who_finds_another_in_its_place_ends() {
    let stage = short("taken").await;
    let operator = start(&stage, FIRST, None).await;
    says(&operator, "\"Leading\"").await;
    let other = Patch::Merge(json!({"spec": {"holderIdentity": "somebody"}}));
    stage.leases().patch("ses-mailfrom", &PatchParams::default(), &other).await.expect("a Lease");
    ended_without_its_lease(&operator, "somebody holds it now").await;
}

#[tokio::test]
async fn what_others_have_set_on_the_lease_is_left() {
    let stage = short("labelled").await;
    let operator = start(&stage, FIRST, None).await;
    says(&operator, "\"Leading\"").await;
    let label = Patch::Merge(json!({"metadata": {"labels": {"team": "mail"}}}));
    let labelled = stage.leases().patch("ses-mailfrom", &PatchParams::default(), &label).await;
    let before = renewed(&labelled.expect("a Lease"));
    let renewal = wait_until("a renewal", LIMIT, async || {
        let lease = stage.leases().get("ses-mailfrom").await.map_err(|error| error.to_string())?;
        if renewed(&lease) > before { Ok(lease) } else { Err(format!("{lease:?}")) }
    });
    let lease = renewal.await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(lease.metadata.labels, Some([("team".into(), "mail".into())].into()));
    operator.process().check_running().expect("one that goes on");
}

fn renewed(lease: &Lease) -> Option<MicroTime> {
    lease.spec.as_ref()?.renew_time.clone()
}

#[tokio::test]
async fn who_may_not_read_the_lease_says_so_and_does_nothing() {
    let stage = stage("barred").await.flag("--retry-period", "500ms");
    // No role was given there.
    let launch = stage.launch.clone().env("POD_NAMESPACE", "default");
    let operator = launch.start(stage.plane).await.expect("an operator");
    apply(&stage).await;
    let barred = wait_until("/readyz that says why", LIMIT, async || {
        match http_get(operator.address(), "/readyz").await {
            Ok((503, body)) if body.contains("the Lease default/ses-mailfrom") => Ok(body),
            Ok((status, body)) => Err(format!("{status} {body}")),
            Err(error) => Err(error.to_string()),
        }
    });
    let said = barred.await.unwrap_or_else(|error| panic!("{error}"));
    assert!(said.contains("cannot get resource"), "{said}");
    let calls = stage.aws.with(|world| world.calls().len());
    assert_eq!(calls, 0, "a call by one that does not lead");
    let object = stage.api().get(OBJECT).await.expect("the object");
    assert_eq!(object.metadata.finalizers, None, "{object:?}");
}

#[tokio::test]
async fn without_election_there_is_no_lease() {
    let stage = stage("alone").await.flag("--leader-elect", "false");
    let operator = start(&stage, FIRST, None).await;
    apply(&stage).await;
    stage.ready(OBJECT).await;
    let leases = stage.leases().list(&ListParams::default()).await.expect("a list");
    assert!(leases.items.is_empty(), "{leases:?}");
    let metrics = operator.metrics().await.expect("metrics");
    assert!(metrics.contains("\nsesmailfrom_leader 1\n"), "{metrics}");
}
