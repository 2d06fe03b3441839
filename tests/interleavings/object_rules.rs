//! The rules by which objects are kept, held by the cluster in memory and by a
//! real API server alike: the same cases run on both, through the operator's
//! own `Objects`.

use harness::ControlPlane;
use jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use ses_mailfrom::api::{FINALIZER, SesMailFrom, SesMailFromSpec, SesMailFromStatus};
use ses_mailfrom::clock::Clock;
use ses_mailfrom::controller::{Kubernetes, ObjectError, Objects, Pace, has_finalizer};
use ses_mailfrom::lease::Leadership;

use crate::cluster::{Client, Cluster};
use crate::lifeline::{Lifeline, Odometer};

const OTHER: &str = "other.example/hold";

/// What a person does, on either.
trait People {
    async fn create(&self, name: &str) -> SesMailFrom;
    async fn get(&self, name: &str) -> Option<SesMailFrom>;
    /// Merges a patch into the object; `"status"` is the subresource.
    async fn patch(&self, name: &str, status: bool, patch: Value) -> SesMailFrom;
    async fn delete(&self, name: &str);
}

fn spec() -> SesMailFromSpec {
    let spec = json!({
        "domain": "example.com", "subdomain": "bounce", "regions": [{"name": "us-east-1"}],
    });
    serde_json::from_value(spec).unwrap()
}

fn status(name: &str) -> SesMailFromStatus {
    SesMailFromStatus {
        observed_generation: 1,
        mail_from_domain: Some(name.into()),
        ..SesMailFromStatus::default()
    }
}

fn version(object: &SesMailFrom) -> Option<&str> {
    object.metadata.resource_version.as_deref()
}

fn raced(result: &Result<SesMailFrom, ObjectError>) -> bool {
    matches!(result, Err(ObjectError::Raced(_)))
}

impl People for Cluster {
    async fn create(&self, name: &str) -> SesMailFrom {
        Cluster::create(self, name, spec())
    }

    async fn get(&self, name: &str) -> Option<SesMailFrom> {
        Cluster::get(self, name)
    }

    async fn patch(&self, name: &str, _: bool, patch: Value) -> SesMailFrom {
        self.edit(name, |object| {
            let mut value = serde_json::to_value(&*object).unwrap();
            merge(&mut value, &patch);
            *object = serde_json::from_value(value).unwrap();
        });
        Cluster::get(self, name).unwrap()
    }

    async fn delete(&self, name: &str) {
        Cluster::delete(self, name);
    }
}

/// RFC 7396.
fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (name, value) in fields {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

impl People for Api<SesMailFrom> {
    async fn create(&self, name: &str) -> SesMailFrom {
        let object = SesMailFrom::new(name, spec());
        Api::create(self, &PostParams::default(), &object).await.unwrap()
    }

    async fn get(&self, name: &str) -> Option<SesMailFrom> {
        self.get_opt(name).await.unwrap()
    }

    async fn patch(&self, name: &str, status: bool, patch: Value) -> SesMailFrom {
        let (params, patch) = (PatchParams::default(), Patch::Merge(patch));
        let patched = if status {
            self.patch_status(name, &params, &patch).await
        } else {
            Api::patch(self, name, &params, &patch).await
        };
        patched.unwrap()
    }

    async fn delete(&self, name: &str) {
        drop(Api::delete(self, name, &DeleteParams::default()).await.unwrap());
    }
}

/// All cases, on one of the two.
async fn every_rule(people: &impl People, objects: &impl Objects) {
    a_new_object(people).await;
    writes_rest_on_the_version_seen(people, objects).await;
    an_equal_status_is_no_write(people, objects).await;
    a_status_replaces_the_one_before(people, objects).await;
    only_the_spec_makes_a_generation(people, objects).await;
    a_wiped_status_has_its_default(people, objects).await;
    an_object_made_anew_takes_no_write_for_the_old(people, objects).await;
    finalizers_of_others_are_kept(people, objects).await;
    deletion_waits_for_the_last_finalizer(people, objects).await;
    no_finalizer_joins_while_deleting(people, objects).await;
    what_is_gone_takes_no_write(people, objects).await;
}

async fn a_new_object(people: &impl People) {
    let object = people.create("new").await;
    assert_eq!(object.metadata.generation, Some(1));
    assert_eq!(object.status.as_ref().map(|status| status.observed_generation), Some(-1));
    assert!(object.metadata.uid.is_some() && version(&object).is_some());
}

async fn writes_rest_on_the_version_seen(people: &impl People, objects: &impl Objects) {
    let seen = people.create("race").await;
    people.patch("race", false, json!({"metadata": {"labels": {"team": "x"}}})).await;
    assert!(raced(&objects.add_finalizer(&seen).await));
    assert!(raced(&objects.apply_status(&seen, &status("late")).await));
    let now = people.get("race").await.unwrap();
    assert!(!has_finalizer(&now), "nothing of a lost race is written");
    let written = objects.add_finalizer(&now).await.unwrap();
    assert_ne!(version(&written), version(&now));
    assert!(raced(
        &objects
            .remove_finalizer(&{
                let mut old = now.clone();
                old.metadata.finalizers = Some(vec![FINALIZER.into()]);
                old
            })
            .await
    ));
    let written = objects.apply_status(&written, &status("next")).await.unwrap();
    assert_eq!(version(&written), version(&people.get("race").await.unwrap()));
}

async fn an_equal_status_is_no_write(people: &impl People, objects: &impl Objects) {
    let object = people.create("equal").await;
    let first = objects.apply_status(&object, &status("same")).await.unwrap();
    let second = objects.apply_status(&first, &status("same")).await.unwrap();
    assert_eq!(version(&first), version(&second));
}

async fn a_status_replaces_the_one_before(people: &impl People, objects: &impl Objects) {
    let object = people.create("replaced").await;
    let mut full = status("first");
    full.regions_verified = Some("1/2".into());
    full.regions = serde_json::from_value(json!([
        {"name": "us-east-1", "sending": "Unknown"}, {"name": "eu-west-1", "sending": "Unknown"},
    ]))
    .unwrap();
    let object = objects.apply_status(&object, &full).await.unwrap();
    let mut less = status("second");
    less.regions = full.regions[1..].to_vec();
    let object = objects.apply_status(&object, &less).await.unwrap();
    assert_eq!(object.status, Some(less), "nothing of the first is left");
}

async fn only_the_spec_makes_a_generation(people: &impl People, objects: &impl Objects) {
    let object = people.create("generation").await;
    let object = objects.add_finalizer(&object).await.unwrap();
    let object = objects.apply_status(&object, &status("x")).await.unwrap();
    assert_eq!(object.metadata.generation, Some(1));
    let edited = people.patch("generation", false, json!({"spec": {"subdomain": "other"}})).await;
    assert_eq!(edited.metadata.generation, Some(2));
    assert_eq!(edited.status, object.status);
}

async fn a_wiped_status_has_its_default(people: &impl People, objects: &impl Objects) {
    let object = people.create("wiped").await;
    objects.apply_status(&object, &status("x")).await.unwrap();
    let wiped = people.patch("wiped", true, json!({"status": null})).await;
    let status = wiped.status.unwrap();
    assert_eq!((status.observed_generation, status.mail_from_domain), (-1, None));
}

async fn an_object_made_anew_takes_no_write_for_the_old(
    people: &impl People,
    objects: &impl Objects,
) {
    let old = people.create("anew").await;
    people.delete("anew").await;
    let anew = people.create("anew").await;
    assert_ne!(old.metadata.uid, anew.metadata.uid);
    assert!(raced(&objects.apply_status(&old, &status("old")).await));
    assert!(objects.add_finalizer(&old).await.is_err());
    assert_eq!(version(&people.get("anew").await.unwrap()), version(&anew));
}

async fn finalizers_of_others_are_kept(people: &impl People, objects: &impl Objects) {
    people.create("others").await;
    let held = json!({"metadata": {"finalizers": [OTHER]}});
    let object = people.patch("others", false, held).await;
    let object = objects.add_finalizer(&object).await.unwrap();
    let finalizers = object.metadata.finalizers.clone().unwrap();
    assert_eq!(finalizers, [OTHER.to_owned(), FINALIZER.to_owned()]);
    let object = objects.remove_finalizer(&object).await.unwrap();
    assert_eq!(object.metadata.finalizers, Some(vec![OTHER.to_owned()]));
    let same = objects.remove_finalizer(&object).await.unwrap();
    assert_eq!(version(&same), version(&object), "nothing is left to take");
}

async fn deletion_waits_for_the_last_finalizer(people: &impl People, objects: &impl Objects) {
    let object = people.create("deleted").await;
    objects.add_finalizer(&object).await.unwrap();
    people.delete("deleted").await;
    let waiting = people.get("deleted").await.unwrap();
    assert!(waiting.metadata.deletion_timestamp.is_some());
    assert_eq!(waiting.metadata.generation, Some(2), "a deletion is a generation");
    let reported = objects.apply_status(&waiting, &status("going")).await.unwrap();
    assert!(raced(&objects.remove_finalizer(&waiting).await), "seen before the report");
    let gone = objects.remove_finalizer(&reported).await.unwrap();
    assert_eq!(version(&gone), version(&reported), "the end of an object is no version of it");
    assert!(people.get("deleted").await.is_none());
}

async fn no_finalizer_joins_while_deleting(people: &impl People, objects: &impl Objects) {
    people.create("late").await;
    let held = json!({"metadata": {"finalizers": [OTHER]}});
    people.patch("late", false, held).await;
    people.delete("late").await;
    let waiting = people.get("late").await.unwrap();
    assert!(objects.add_finalizer(&waiting).await.is_err());
}

async fn what_is_gone_takes_no_write(people: &impl People, objects: &impl Objects) {
    let object = people.create("gone").await;
    people.delete("gone").await;
    assert!(people.get("gone").await.is_none());
    assert!(raced(&objects.apply_status(&object, &status("x")).await));
    assert!(objects.add_finalizer(&object).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_cluster_in_memory_keeps_them() {
    let cluster = Cluster::new(Clock::from_fn(|| Timestamp::constant(1_767_225_600, 0)));
    let client = Client { cluster: cluster.clone(), lifeline: Lifeline::new(Odometer::default()) };
    every_rule(&cluster, &client).await;
}

#[tokio::test]
async fn a_real_api_server_keeps_them() {
    let plane = ControlPlane::shared().await.unwrap();
    plane.apply_kustomize("deploy").await.unwrap();
    let namespace = plane.namespace("rules").await.unwrap();
    let client = plane.client().await.unwrap();
    let people: Api<SesMailFrom> = Api::namespaced(client.clone(), &namespace);
    let leadership = Leadership::without_election();
    let objects =
        Kubernetes::new(client, "test".into(), Clock::system(), leadership, Pace::new(100.0));
    every_rule(&people, &objects).await;
}
