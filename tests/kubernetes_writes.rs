//! The operator's writes to Kubernetes, on a real API server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::{Duration, Instant};

use harness::{ControlPlane, wait_until};
use k8s_openapi::api::events::v1::Event;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use ses_mailfrom::api::{FINALIZER, SesMailFrom, SesMailFromStatus, crds};
use ses_mailfrom::clock::Clock;
use ses_mailfrom::controller::{Kubernetes, ObjectError, Objects as _, Pace, Subject};
use ses_mailfrom::lease::Leadership;
use ses_mailfrom::plan::Notice;
use tokio::sync::OnceCell;

const LIMIT: Duration = Duration::from_mins(1);
const OTHER: &str = "other.example/finalizer";

/// Two that apply it at once would both find it missing.
static CRD: OnceCell<()> = OnceCell::const_new();

struct Stage {
    namespace: String,
    objects: Api<SesMailFrom>,
    events: Api<Event>,
    writer: Kubernetes,
}

async fn stage() -> Stage {
    let plane = ControlPlane::shared().await.unwrap();
    let crd = async || drop(plane.apply(&crds().unwrap()[0].yaml).await.unwrap());
    CRD.get_or_init(crd).await;
    let namespace = plane.namespace("writes").await.unwrap();
    let client = plane.client().await.unwrap();
    let stage = Stage {
        objects: Api::namespaced(client.clone(), &namespace),
        events: Api::namespaced(client.clone(), &namespace),
        writer: writer(client, 100.0),
        namespace,
    };
    // A CRD is served a moment after it was accepted.
    wait_until("the CRD is served", LIMIT, async || {
        stage.objects.list(&ListParams::default()).await.map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    stage
}

/// Writes so often a second.
fn writer(client: Client, rate: f64) -> Kubernetes {
    let leadership = Leadership::without_election();
    Kubernetes::new(client, "test".into(), Clock::system(), leadership, Pace::new(rate))
}

impl Stage {
    async fn create(&self, finalizers: &[&str]) -> SesMailFrom {
        let object = serde_json::from_value(json!({
            "apiVersion": "mailfrom.dev/v1alpha1",
            "kind": "SesMailFrom",
            "metadata": {
                "name": "a", "namespace": self.namespace, "labels": {"team": "x"},
                "finalizers": finalizers,
            },
            "spec": {
                "domain": "example.com", "subdomain": "bounce",
                "regions": [{"name": "us-east-1"}],
            },
        }))
        .unwrap();
        self.objects.create(&PostParams::default(), &object).await.unwrap()
    }
}

fn status(regions: &[&str]) -> SesMailFromStatus {
    let region = |name: &&str| json!({"name": name, "sending": "Unknown"});
    let regions: Vec<_> = regions.iter().map(region).collect();
    serde_json::from_value(json!({"observedGeneration": 1, "regions": regions})).unwrap()
}

fn regions(object: &SesMailFrom) -> Vec<&str> {
    let status = object.status.as_ref().unwrap();
    status.regions.iter().map(|region| region.name.as_str()).collect()
}

fn raced<T>(written: &Result<T, ObjectError>) -> bool {
    matches!(written, Err(ObjectError::Raced(_)))
}

#[tokio::test]
async fn a_finalizer_is_added_beside_others_and_nothing_else_changes() {
    let stage = stage().await;
    let object = stage.create(&[OTHER]).await;
    let written = stage.writer.add_finalizer(&object).await.unwrap();
    assert_eq!(written.metadata.finalizers.as_deref(), Some(&[OTHER.into(), FINALIZER.into()][..]));
    assert_eq!(written.metadata.labels, object.metadata.labels);
    assert_eq!(written.metadata.generation, object.metadata.generation);
    assert_eq!(written.spec, object.spec);
    assert!(raced(&stage.writer.remove_finalizer(&written_before(&written, &object)).await));
    let written = stage.writer.remove_finalizer(&written).await.unwrap();
    assert_eq!(written.metadata.finalizers.as_deref(), Some(&[OTHER.into()][..]));
}

/// `written` as it would be known if the write before had been missed.
fn written_before(written: &SesMailFrom, before: &SesMailFrom) -> SesMailFrom {
    let mut stale = written.clone();
    stale.metadata.resource_version.clone_from(&before.metadata.resource_version);
    stale
}

#[tokio::test]
async fn a_status_replaces_the_last_one_and_only_on_the_object_as_known() {
    let stage = stage().await;
    let object = stage.create(&[]).await;
    let first = stage.writer.apply_status(&object, &status(&["eu-west-1", "us-east-1"])).await;
    let first = first.unwrap();
    assert_eq!(regions(&first), ["eu-west-1", "us-east-1"]);
    assert!(raced(&stage.writer.apply_status(&object, &status(&["eu-west-1"])).await));
    let second = stage.writer.apply_status(&first, &status(&["us-east-1"])).await.unwrap();
    assert_eq!(regions(&second), ["us-east-1"], "what is not in the new status goes");
    assert_eq!(second.metadata.generation, object.metadata.generation);
    let same = stage.writer.apply_status(&second, &status(&["us-east-1"])).await.unwrap();
    assert_eq!(same.metadata.resource_version, second.metadata.resource_version);
}

#[tokio::test]
async fn a_status_wiped_by_a_person_is_written_whole_again() {
    let stage = stage().await;
    let object = stage.create(&[]).await;
    stage.writer.apply_status(&object, &status(&["us-east-1"])).await.unwrap();
    let wipe = Patch::Merge(json!({"status": null}));
    let wiped = stage.objects.patch_status("a", &PatchParams::default(), &wipe).await.unwrap();
    assert!(wiped.status.as_ref().is_none_or(|status| status.regions.is_empty()));
    let written = stage.writer.apply_status(&wiped, &status(&["us-east-1"])).await.unwrap();
    assert_eq!(regions(&written), ["us-east-1"]);
}

#[tokio::test]
async fn what_somebody_else_put_into_a_status_does_not_stay() {
    let stage = stage().await;
    let object = stage.create(&[]).await;
    let ours = status(&["eu-west-1", "us-east-1"]);
    stage.writer.apply_status(&object, &ours).await.unwrap();
    // Entries and fields under field managers of their own, which an apply of ours
    // leaves in place.
    let entry = json!({"name": "us-west-2", "sending": "Unknown", "account": "999999999999"});
    let forged = json!({
        "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
        "status": {
            "regions": [entry, {"name": "us-east-1", "account": "999999999999"}],
            "zones": [{"id": "Z0VICTIM"}], "lastHandledReconcileAt": "never",
        },
    });
    let apply = PatchParams::apply("tenant").force();
    let forged = stage.objects.patch_status("a", &apply, &Patch::Apply(&forged)).await.unwrap();
    assert_eq!(regions(&forged).len(), 3, "{:?}", forged.status);
    let written = stage.writer.apply_status(&forged, &ours).await.unwrap();
    assert_eq!(written.status.as_ref(), Some(&ours));
    assert_eq!(stage.objects.get("a").await.unwrap().status.as_ref(), Some(&ours));
    let same = stage.writer.apply_status(&written, &ours).await.unwrap();
    assert_eq!(same.metadata.resource_version, written.metadata.resource_version);
    // The tenant's field manager still has its name to the entry of us-east-1.
    let fewer = stage.writer.apply_status(&same, &status(&["eu-west-1"])).await.unwrap();
    assert_eq!(fewer.status.as_ref(), Some(&status(&["eu-west-1"])));
    let none = stage.writer.apply_status(&fewer, &status(&[])).await.unwrap();
    assert_eq!(none.status.as_ref(), Some(&status(&[])), "what is ours is ours to take away");
}

#[tokio::test]
async fn what_is_gone_or_made_anew_is_a_lost_race() {
    let stage = stage().await;
    let old = stage.create(&[]).await;
    stage.objects.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(raced(&stage.writer.apply_status(&old, &status(&[])).await));
    assert!(raced(&stage.writer.add_finalizer(&old).await));
    stage.create(&[]).await;
    assert!(raced(&stage.writer.apply_status(&old, &status(&[])).await));
    assert!(raced(&stage.writer.add_finalizer(&old).await));
}

#[tokio::test]
async fn an_object_that_is_going_takes_no_finalizer_and_goes_with_ours() {
    let stage = stage().await;
    let before = stage.create(&[OTHER]).await;
    stage.objects.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(raced(&stage.writer.add_finalizer(&before).await), "it was not going yet");
    let going = stage.objects.get("a").await.unwrap();
    let refused = stage.writer.add_finalizer(&going).await;
    assert!(matches!(refused, Err(ObjectError::Refused(_))), "{refused:?}");
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    stage.objects.patch("a", &PatchParams::default(), &free).await.unwrap();

    let held = stage.create(&[FINALIZER]).await;
    stage.objects.delete("a", &DeleteParams::default()).await.unwrap();
    assert!(raced(&stage.writer.remove_finalizer(&held).await), "it was not going yet");
    let going = stage.objects.get("a").await.unwrap();
    stage.writer.remove_finalizer(&going).await.unwrap();
    assert!(stage.objects.get_opt("a").await.unwrap().is_none());
}

#[tokio::test]
async fn a_status_that_the_schema_forbids_is_refused_and_no_race() {
    let stage = stage().await;
    let object = stage.create(&[]).await;
    let long =
        SesMailFromStatus { last_handled_reconcile_at: Some("x".repeat(300)), ..status(&[]) };
    let refused = stage.writer.apply_status(&object, &long).await;
    assert!(matches!(refused, Err(ObjectError::Refused(_))), "{refused:?}");
}

#[tokio::test]
async fn events_are_accepted_and_name_the_object() {
    let stage = stage().await;
    let object = stage.create(&[]).await;
    let notice = Notice { warning: true, reason: "ZoneNotFound", note: "n".repeat(2000) };
    for _ in 0..2 {
        stage.writer.post_event(&Subject::of(&object), &notice).await.unwrap();
    }
    let events = stage.events.list(&ListParams::default()).await.unwrap().items;
    assert_eq!(events.len(), 2);
    for event in events {
        assert_eq!(event.regarding.unwrap().uid, object.metadata.uid);
        assert_eq!(event.reason.as_deref(), Some("ZoneNotFound"));
    }
}

#[tokio::test]
async fn each_write_takes_a_turn_of_the_rate() {
    let stage = stage().await;
    let mut object = stage.create(&[]).await;
    let about = Subject::of(&object);
    let begun = Instant::now();
    let writer = writer(stage.events.clone().into_client(), 4.0);
    for region in ["eu-west-1", "us-east-1", "us-west-2"] {
        object = writer.add_finalizer(&object).await.unwrap();
        object = writer.apply_status(&object, &status(&[region])).await.unwrap();
        let notice = Notice { warning: false, reason: "Succeeded", note: region.to_owned() };
        writer.post_event(&about, &notice).await.unwrap();
        object = writer.remove_finalizer(&object).await.unwrap();
    }
    // The first waits for nothing.
    let least = Duration::from_millis(11 * 250);
    assert!(begun.elapsed() >= least, "{:?}", begun.elapsed());
}
