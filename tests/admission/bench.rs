//! A place to try objects in.

use std::time::Duration;

use harness::{ControlPlane, wait_until};
use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use kube::core::{GroupVersionKind, Status};
use kube::discovery::ApiResource;
use serde_json::{Value, json};
use ses_mailfrom::api::{FIELD_MANAGER, SesMailFromStatus};
use tokio::sync::OnceCell;

pub(crate) const LABEL_63: &str = "a23456789012345678901234567890123456789012345678901234567890123";

/// A namespace of a control plane that has the CRD.
pub(crate) struct Bench {
    pub(crate) plane: &'static ControlPlane,
    pub(crate) namespace: String,
    objects: Api<DynamicObject>,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        static INSTALLED: OnceCell<()> = OnceCell::const_new();
        let plane = ControlPlane::shared().await.unwrap();
        INSTALLED.get_or_init(|| install(plane)).await;
        let namespace = plane.namespace("admission").await.unwrap();
        let kind = GroupVersionKind::gvk("mailfrom.dev", "v1alpha1", "SesMailFrom");
        let resource = ApiResource::from_gvk_with_plural(&kind, "sesmailfroms");
        let client = plane.client().await.unwrap();
        let objects = Api::namespaced_with(client, &namespace, &resource);
        Self { plane, namespace, objects }
    }

    pub(crate) async fn create(&self, name: &str, spec: &Value) -> Result<DynamicObject, Status> {
        let object = serde_json::from_value(object(name, spec)).unwrap();
        self.objects.create(&PostParams::default(), &object).await.map_err(status_of)
    }

    pub(crate) async fn merge(&self, name: &str, spec: &Value) -> Result<DynamicObject, Status> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.objects.patch(name, &PatchParams::default(), &patch).await.map_err(status_of)
    }

    /// As the operator writes it.
    pub(crate) async fn apply_status(
        &self,
        name: &str,
        status: &SesMailFromStatus,
    ) -> DynamicObject {
        let mut patch = object(name, &Value::Null);
        patch.as_object_mut().unwrap().remove("spec");
        patch["status"] = serde_json::to_value(status).unwrap();
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.objects.patch_status(name, &params, &Patch::Apply(patch)).await.unwrap()
    }

    pub(crate) async fn kubectl(&self, args: &[&str]) -> harness::Result<String> {
        let mut all = vec!["--namespace", &self.namespace];
        all.extend(args);
        self.plane.kubectl(all).await
    }

    /// Creating [`with`] `changes` is refused for one reason, which speaks of
    /// `field` and says `words`.
    pub(crate) async fn refuses(&self, changes: Value, field: &str, words: &str) {
        let answer = self.create("refused", &with(&changes)).await;
        let Err(status) = answer else { panic!("accepted: {changes}") };
        assert_eq!(fields_at_fault(&status), [field], "{changes}: {status:?}");
        assert!(status.message.contains(words), "{changes}: no \"{words}\" in {}", status.message);
    }
}

/// Applies the CRD and waits until it is served and documented.
async fn install(plane: &ControlPlane) {
    plane.apply_kustomize("crds").await.unwrap();
    let wait = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    plane.kubectl(wait).await.unwrap();
    let documented = async || {
        let explained = plane.kubectl(["explain", "sesmailfrom.spec"]).await;
        explained.map_err(|error| error.to_string())
    };
    wait_until("the CRD's documentation", Duration::from_mins(1), documented).await.unwrap();
}

pub(crate) fn status_of(error: kube::Error) -> Status {
    match error {
        kube::Error::Api(status) => *status,
        other => panic!("{other}"),
    }
}

/// The field of each cause of an object's being invalid. That rules were left
/// unchecked because of another cause is none of its own.
pub(crate) fn fields_at_fault(status: &Status) -> Vec<&str> {
    assert_eq!(status.code, 422, "{status:?}");
    let causes = &status.details.as_ref().expect("details").causes;
    let real = causes.iter().filter(|cause| !cause.message.contains("were not checked"));
    real.map(|cause| cause.field.as_str()).collect()
}

pub(crate) fn object(name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "mailfrom.dev/v1alpha1",
        "kind": "SesMailFrom",
        "metadata": { "name": name },
        "spec": spec,
    })
}

/// A spec that is accepted, with `changes` to its top-level fields.
pub(crate) fn with(changes: &Value) -> Value {
    let mut spec = json!({
        "domain": "example.com",
        "subdomain": "bounce",
        "regions": [{ "name": "us-east-1" }, { "name": "eu-west-1" }],
    });
    for (field, value) in changes.as_object().unwrap() {
        spec[field] = value.clone();
    }
    spec
}

/// Names of `length` characters, in labels of 63 at most.
pub(crate) fn name_of(length: usize) -> String {
    let mut name = [LABEL_63; 4].join(".");
    name.truncate(length);
    assert!(name.len() == length && !name.ends_with('.'), "{name}");
    name
}
