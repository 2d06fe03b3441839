//! Objects for this module's own tests.
#![allow(clippy::unwrap_used)]

use serde_json::json;

use super::store::Store;
use super::watched::Watched;
use crate::api::SesMailFrom;
use crate::authority::ObjectKey;

/// `mail/<name>` for bounce.example.com in us-east-1, at a resource version.
pub(crate) fn object(name: &str, version: u64) -> SesMailFrom {
    serde_json::from_value(json!({
        "apiVersion": "mailfrom.dev/v1alpha1",
        "kind": "SesMailFrom",
        "metadata": {
            "namespace": "mail", "name": name, "uid": format!("uid-{name}"), "generation": 1,
            "resourceVersion": version.to_string(),
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {
            "domain": "example.com", "subdomain": "bounce", "regions": [{"name": "us-east-1"}],
        },
    }))
    .unwrap()
}

/// Has the store know the namespace `mail`, and a policy that allows everything.
pub(crate) fn permit(store: &Store) {
    store.saw_namespace("mail", crate::authority::Labels::new());
    let policy = json!({
        "metadata": {"name": "default", "resourceVersion": "1"},
        "spec": {
            "namespaceSelector": {}, "domains": ["*"], "spfIncludes": ["*"],
            "ambientCredentials": "Allow",
        },
    });
    store.saw_policy(serde_json::from_value(policy).unwrap());
}

/// The object as the watch delivers it.
pub(crate) fn watched(object: &SesMailFrom) -> Watched {
    serde_json::from_value(serde_json::to_value(object).unwrap()).unwrap()
}

/// `mail/<name>`.
pub(crate) fn key(name: &str) -> ObjectKey {
    ObjectKey::new("mail", name)
}
