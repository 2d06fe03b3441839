//! SIGKILL before and after every write of a life, and what is found afterwards.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_simulator::{ACCOUNT, Gate, GatePoint, Matching, RecordType};
use futures::StreamExt as _;
use harness::{ApiGate, ApiRequest, Hit, Operator, Side};
use serde_json::{Value, json};
use ses_mailfrom::api::RecordStatus;
use tokio::time::timeout;

use crate::held::{Held, assert_never_worse, held, held_in, history, timeless, written};
use crate::stage::{LIMIT, NAME, REGIONS, Stage, ZONE, is_write, region};

const OBJECT: &str = "example";
const MOVED: &str = "post.example.com";
/// How many lives are led side by side: they wait more than they work.
const SIDE_BY_SIDE: usize = 4;

/// Where a life is cut.
#[derive(Clone, Debug)]
enum Cut {
    /// Before or after the nth call of a write action is carried out.
    Aws(GatePoint, String, usize),
    /// Before or after the nth write to the object: its finalizer or its status.
    Api(Side, usize),
}

/// What happens to the object between kill and restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meanwhile {
    Nothing,
    SubdomainChanged,
    RegionRemoved,
    Deleted,
    StatusWiped,
}

/// A request that is to be stopped.
enum Stop {
    Aws(Gate),
    Api(Hit, Arc<AtomicBool>),
}

/// An object, its AWS and the operator that keeps it.
struct Life {
    stage: Arc<Stage>,
    gate: ApiGate,
    operator: Operator,
}

/// How a life stands when it has come to rest.
#[derive(Debug)]
struct End {
    held: Held,
    history: Vec<String>,
    /// How many writes that took: the marker may grow in one step or two.
    writes: usize,
    status: Value,
}

impl Life {
    /// A running operator behind a gate.
    async fn begin(name: &str) -> Self {
        let mut stage = Stage::new(name).await.flag("--drain-window", "1s");
        let gate = ApiGate::start(stage.plane).await.expect("a gate");
        stage.launch = stage.launch.through(gate.url());
        let operator = stage.operator().await;
        Self { stage: Arc::new(stage), gate, operator }
    }

    async fn apply(&self, meanwhile: Meanwhile) {
        let mut spec = json!({
            "regions": REGIONS.map(|name| json!({"name": name})),
            "behaviorOnMxFailure": "RejectMessage",
            "deletionPolicy": "Delete",
        });
        match meanwhile {
            Meanwhile::SubdomainChanged => spec["subdomain"] = json!("post"),
            Meanwhile::RegionRemoved => spec["regions"] = json!([{"name": REGIONS[0]}]),
            _ => {}
        }
        self.stage.apply(OBJECT, spec).await;
    }

    async fn meanwhile(&self, meanwhile: Meanwhile) {
        match meanwhile {
            Meanwhile::Nothing => {}
            Meanwhile::SubdomainChanged | Meanwhile::RegionRemoved => self.apply(meanwhile).await,
            Meanwhile::Deleted => self.stage.delete(OBJECT).await,
            Meanwhile::StatusWiped => {
                let patch = r#"[{"op": "replace", "path": "/status", "value": {}}]"#;
                let namespace = &self.stage.namespace;
                let wipe = ["patch", "smf", OBJECT, "-n", namespace, "--subresource=status"];
                let wipe = wipe.into_iter().chain(["--type=json", "-p", patch]);
                self.stage.plane.kubectl(wipe).await.expect("a wiped status");
            }
        }
    }

    fn stop(&self, cut: &Cut) -> Stop {
        match cut {
            Cut::Aws(point, action, nth) => {
                Stop::Aws(self.stage.aws.gate(Matching::action(action), *point, *nth))
            }
            Cut::Api(side, nth) => {
                let armed = Arc::new(AtomicBool::new(true));
                let (still, mut left) = (Arc::clone(&armed), *nth);
                let hit = self.gate.stop(*side, move |request| {
                    let counts = still.load(Ordering::Relaxed) && is_object_write(request);
                    let here = counts && left == 0;
                    left -= usize::from(counts && !here);
                    here
                });
                Stop::Api(hit, armed)
            }
        }
    }

    /// Leads the life on until the cut or, where there is none, until `done`.
    /// Killed at the cut, the operator is started again. Says whether it was.
    async fn cut(
        &mut self,
        stop: Option<Stop>,
        meanwhile: Meanwhile,
        done: impl Future<Output = ()>,
    ) -> bool {
        let Some(mut stop) = stop else {
            done.await;
            return false;
        };
        let reached = tokio::select! {
            biased;
            () = stop.reached() => true,
            () = done => timeout(Duration::from_secs(2), stop.reached()).await.is_ok(),
        };
        if reached {
            self.operator.kill();
        }
        stop.dispose();
        if reached {
            self.meanwhile(meanwhile).await;
            self.operator = self.stage.operator().await;
        }
        reached
    }

    /// Waits for Ready, and until the operator has looked at everything again.
    async fn end(&self) -> End {
        self.stage.ready(OBJECT).await;
        self.stage.rounds(2 * REGIONS.len()).await;
        let status = self.stage.ready(OBJECT).await;
        End {
            held: held(&self.stage),
            history: history(&self.stage, 0),
            writes: written(&self.stage),
            status: timeless(&status),
        }
    }
}

impl Stop {
    async fn reached(&mut self) {
        match self {
            Self::Aws(gate) => gate.reached().await,
            Self::Api(hit, _) => {
                hit.reached(LIMIT).await.expect("the API write to be cut at");
            }
        }
    }

    /// Its sender is dead, or it will not come any more.
    fn dispose(self) {
        match self {
            Self::Aws(gate) => gate.cut(),
            Self::Api(hit, armed) => {
                armed.store(false, Ordering::Relaxed);
                hit.lose();
            }
        }
    }
}

fn is_object_write(request: &ApiRequest) -> bool {
    request.is_write() && request.path.contains("/sesmailfroms/")
}

/// What an undisturbed life writes, and how it ends.
struct Undisturbed {
    end: End,
    found: Held,
    /// The cuts of its way to Ready, and of its deletion.
    life: Vec<Cut>,
    deletion: Vec<Cut>,
    deletion_history: Vec<String>,
}

/// Leads a life through to its deletion without a kill.
async fn undisturbed() -> Undisturbed {
    let life = Life::begin("kill-none").await;
    let found = held(&life.stage);
    let seen = Arc::new(Mutex::new(0));
    let count = Arc::clone(&seen);
    let _never = life.gate.stop(Side::Before, move |request| {
        *count.lock().unwrap() += usize::from(is_object_write(request));
        false
    });
    life.apply(Meanwhile::Nothing).await;
    let end = life.end().await;
    let (aws, api) = (writes(&life.stage), *seen.lock().unwrap());
    life.stage.delete(OBJECT).await;
    life.stage.gone(OBJECT).await;
    assert_eq!(held(&life.stage), found, "a deletion without a kill");
    let (all_aws, all_api) = (writes(&life.stage), *seen.lock().unwrap());
    Undisturbed {
        deletion_history: history(&life.stage, end.writes),
        end,
        found,
        life: cuts(&aws, api),
        deletion: cuts(&all_aws[aws.len()..], all_api - api),
    }
}

/// The write actions that were called.
fn writes(stage: &Stage) -> Vec<String> {
    stage.aws.with(|world| {
        let actions = world.calls().iter().map(|call| call.action.clone());
        actions.filter(|action| is_write(action)).collect()
    })
}

/// A cut on either side of each write.
fn cuts(aws: &[String], api: usize) -> Vec<Cut> {
    let nth = |at: usize| aws[..at].iter().filter(|action| **action == aws[at]).count();
    let aws = (0..aws.len()).flat_map(|at| {
        let cut = |point| Cut::Aws(point, aws[at].clone(), nth(at));
        [cut(GatePoint::Before), cut(GatePoint::After)]
    });
    let api = (0..api).flat_map(|at| [Cut::Api(Side::Before, at), Cut::Api(Side::After, at)]);
    aws.chain(api).collect()
}

/// Cuts a life on its way to Ready, restarts it, then cuts its deletion, and
/// compares both with what happens without a kill.
async fn lead(whole: &Undisturbed, cut: Option<&Cut>, deletion: Option<&Cut>) -> [bool; 2] {
    let context = format!("cut at {cut:?}, then at {deletion:?}");
    let mut life = Life::begin("kill").await;
    let stop = cut.map(|cut| life.stop(cut));
    life.apply(Meanwhile::Nothing).await;
    let stage = Arc::clone(&life.stage);
    let ready = async {
        stage.ready(OBJECT).await;
        stage.rounds(REGIONS.len()).await;
    };
    let killed = life.cut(stop, Meanwhile::Nothing, ready).await;
    let end = life.end().await;
    assert_eq!(end.held, whole.end.held, "{context}");
    assert_eq!(end.history, whole.end.history, "{context}");
    assert_eq!(end.status, whole.end.status, "{context}");
    let most = whole.end.history.len() + REGIONS.len() - 1;
    assert!(end.writes <= most, "{context}: {} writes, the marker's among them", end.writes);
    let stop = deletion.map(|cut| life.stop(cut));
    stage.delete(OBJECT).await;
    let killed_again = life.cut(stop, Meanwhile::Nothing, stage.gone(OBJECT)).await;
    stage.gone(OBJECT).await;
    assert_eq!(held(&stage), whole.found, "{context}");
    assert_eq!(history(&stage, end.writes), whole.deletion_history, "{context}");
    assert_never_worse(&stage, &context);
    [killed, killed_again]
}

#[tokio::test]
async fn killed_at_any_write_a_life_ends_as_if_it_had_not_been() {
    let whole = undisturbed().await;
    assert_eq!(whole.end.history.len(), 2 * REGIONS.len() + 2, "{:?}", whole.end.history);
    let lives = (0..whole.life.len().max(whole.deletion.len())).map(|at| {
        let whole = &whole;
        async move {
            let (cut, deletion) = (whole.life.get(at), whole.deletion.get(at));
            let killed = lead(whole, cut, deletion).await;
            [cut, deletion]
                .into_iter()
                .zip(killed)
                .filter(|(_, killed)| !killed)
                .filter_map(|(cut, _)| cut)
                .cloned()
                .collect::<Vec<_>>()
        }
    });
    let missed: Vec<Cut> =
        futures::stream::iter(lives).buffer_unordered(SIDE_BY_SIDE).concat().await;
    // Both regions' answers may come in together: then a life has one change and
    // some status writes fewer than the one that was led without a kill.
    let never = |cut: &Cut| match cut {
        Cut::Aws(_, action, nth) => *nth == 0 || action.starts_with("Put"),
        Cut::Api(_, nth) => *nth < 3,
    };
    assert!(!missed.iter().any(never), "not reached: {missed:?}");
}

/// Some cuts of each kind, and what happens before the restart.
fn some_cuts() -> Vec<Cut> {
    let (change, put) = ("ChangeResourceRecordSets", "PutEmailIdentityMailFromAttributes");
    vec![
        Cut::Api(Side::After, 0),
        Cut::Api(Side::After, 1),
        Cut::Aws(GatePoint::Before, change.to_owned(), 0),
        Cut::Aws(GatePoint::After, change.to_owned(), 0),
        Cut::Aws(GatePoint::Before, put.to_owned(), 0),
        Cut::Aws(GatePoint::After, put.to_owned(), 0),
        Cut::Aws(GatePoint::After, put.to_owned(), 2),
    ]
}

/// Cuts a life at some of its writes, changes the object before the restart and
/// compares with a life that was led like that from its beginning.
async fn changed_at_some_cuts(meanwhile: Meanwhile) {
    let expected = {
        let life = Life::begin("kill-changed").await;
        life.apply(meanwhile).await;
        life.end().await
    };
    let expected = &expected;
    let lives = some_cuts().into_iter().map(async |cut| {
        let context = format!("{meanwhile:?} at {cut:?}");
        let mut life = Life::begin("kill-changed").await;
        let stop = life.stop(&cut);
        life.apply(Meanwhile::Nothing).await;
        assert!(life.cut(Some(stop), meanwhile, never()).await);
        let stage = &life.stage;
        stage.ready(OBJECT).await;
        let wanted = |world: &_| (held_in(world) == expected.held).then_some(());
        let came = stage.aws.wait_for(&context, LIMIT, wanted).await;
        assert!(came.is_ok(), "{context}: {:#?}\nnot {:#?}", held(stage), expected.held);
        let forgotten = |object: &ses_mailfrom::api::SesMailFrom| {
            (timeless(object.status.as_ref()?) == expected.status).then_some(())
        };
        stage
            .until(OBJECT, &format!("{context}: the status of {:#}", expected.status), forgotten)
            .await;
        let end = life.end().await;
        assert_eq!(end.held, expected.held, "{context}");
        assert_never_worse(stage, &context);
        if meanwhile == Meanwhile::StatusWiped {
            assert_eq!(end.history, expected.history, "{context}");
        }
    });
    futures::stream::iter(lives).buffer_unordered(SIDE_BY_SIDE).collect::<Vec<()>>().await;
}

/// The cut must come first.
async fn never() {
    timeout(LIMIT, std::future::pending::<()>()).await.expect("the cut to be reached");
}

#[tokio::test]
async fn killed_and_moved_to_another_subdomain() {
    changed_at_some_cuts(Meanwhile::SubdomainChanged).await;
}

#[tokio::test]
async fn killed_and_rid_of_a_region() {
    changed_at_some_cuts(Meanwhile::RegionRemoved).await;
}

#[tokio::test]
async fn killed_and_its_status_wiped() {
    changed_at_some_cuts(Meanwhile::StatusWiped).await;
}

#[tokio::test]
async fn killed_and_deleted() {
    let lives = some_cuts().into_iter().map(async |cut| {
        let context = format!("deleted at {cut:?}");
        let mut life = Life::begin("kill-deleted").await;
        let found = held(&life.stage);
        let stop = life.stop(&cut);
        life.apply(Meanwhile::Nothing).await;
        assert!(life.cut(Some(stop), Meanwhile::Deleted, never()).await);
        life.stage.gone(OBJECT).await;
        assert_eq!(held(&life.stage), found, "{context}");
        assert_never_worse(&life.stage, &context);
    });
    futures::stream::iter(lives).buffer_unordered(SIDE_BY_SIDE).collect::<Vec<()>>().await;
}

/// Asserts that status names the records at `name`, and the zone's account.
async fn assert_names(stage: &Stage, name: &str) {
    let object = stage.api().get(OBJECT).await.expect("the object");
    let status = object.status.expect("a status");
    for rtype in ["MX", "TXT"] {
        let there = |record: &&RecordStatus| record.name == name && record.rtype == rtype;
        let record = status.records.iter().find(there);
        let record = record.unwrap_or_else(|| panic!("{name} {rtype} in {status:?}"));
        assert_eq!(record.zone, ZONE);
    }
    let zone = status.zones.iter().find(|zone| zone.id == ZONE).expect("the zone in status");
    assert_eq!(zone.account.as_deref(), Some(ACCOUNT));
}

/// Stops the first put in each region, asserts that status and marker name it,
/// and lets it go on.
async fn assert_named_before_each_put(stage: &Stage, gates: Vec<(&str, Gate)>, name: &str) {
    let looks = gates.into_iter().map(async |(place, gate)| {
        timeout(LIMIT, gate.reached()).await.expect("a put at the gate");
        let status = stage.api().get(OBJECT).await.expect("the object").status.expect("a status");
        let found = region(&status, place);
        assert_eq!(found.account.as_deref(), Some(ACCOUNT), "{found:?}");
        assert_eq!(found.mail_from_domain.as_deref(), Some(name), "{found:?}");
        assert!(found.last_put_time.is_some(), "{found:?}");
        let marked = stage.aws.with(|world| {
            let txt = world.served_record_set(ZONE, name, RecordType::TXT).expect("a TXT record");
            txt.values.iter().any(|value| value.contains("owner=v1") && value.contains(place))
        });
        assert!(marked, "{place} in the marker");
        gate.release();
    });
    futures::future::join_all(looks).await;
}

#[tokio::test]
async fn status_names_each_place_before_the_first_write_there() {
    let life = Life::begin("write-ahead").await;
    let stage = &life.stage;
    let change = || {
        let changes = Matching::action("ChangeResourceRecordSets");
        stage.aws.gate(changes, GatePoint::Before, 0)
    };
    let puts = |regions: &[&'static str]| -> Vec<(&'static str, Gate)> {
        let gate = |region: &&'static str| {
            let puts = Matching::action("PutEmailIdentityMailFromAttributes").region(region);
            (*region, stage.aws.gate(puts, GatePoint::Before, 0))
        };
        regions.iter().map(gate).collect()
    };
    let (first, gates) = (change(), puts(&REGIONS[..1]));
    life.apply(Meanwhile::RegionRemoved).await;
    timeout(LIMIT, first.reached()).await.expect("a change at the gate");
    assert_names(stage, NAME).await;
    first.release();
    assert_named_before_each_put(stage, gates, NAME).await;
    stage.ready(OBJECT).await;

    let gates = puts(&REGIONS[1..]);
    life.apply(Meanwhile::Nothing).await;
    assert_named_before_each_put(stage, gates, NAME).await;
    stage.ready(OBJECT).await;

    let (moved, gates) = (change(), puts(&REGIONS));
    life.apply(Meanwhile::SubdomainChanged).await;
    timeout(LIMIT, moved.reached()).await.expect("a change at the gate");
    assert_names(stage, NAME).await;
    assert_names(stage, MOVED).await;
    moved.release();
    assert_named_before_each_put(stage, gates, MOVED).await;
    stage.ready(OBJECT).await;
}
