//! An object as the watch delivers it: parsed, or what is wrong with it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::objects::Subject;
use crate::api::{SesMailFrom, SesMailFromSpec, SesMailFromStatus};
use crate::authority::ObjectKey;
use crate::mail::DomainName;

/// An object of our kind. One that does not parse keeps its metadata, so that
/// it fails alone and not the whole list that it came in.
#[derive(Clone, Debug)]
pub struct Watched {
    metadata: ObjectMeta,
    body: Result<Body, String>,
}

#[derive(Clone, Debug)]
struct Body {
    spec: Box<SesMailFromSpec>,
    status: Option<Box<SesMailFromStatus>>,
}

/// An object that does not parse.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unreadable {
    /// Which.
    pub subject: Subject,
    /// `metadata.resourceVersion`.
    pub version: String,
    /// What is wrong with it.
    pub error: String,
}

impl Watched {
    /// The object with only the metadata that decisions look at, or what is
    /// wrong with it.
    pub fn into_object(self) -> Result<SesMailFrom, Unreadable> {
        match self.body {
            Ok(Body { spec, status }) => {
                let status = status.map(|status| *status);
                Ok(pruned(SesMailFrom { metadata: self.metadata, spec: *spec, status }))
            }
            Err(error) => Err(Unreadable {
                version: self.metadata.resource_version.unwrap_or_default(),
                subject: Subject {
                    uid: self.metadata.uid.unwrap_or_default(),
                    key: ObjectKey::new(
                        self.metadata.namespace.unwrap_or_default(),
                        self.metadata.name.unwrap_or_default(),
                    ),
                },
                error,
            }),
        }
    }

    /// Namespace and name.
    pub fn key(&self) -> ObjectKey {
        ObjectKey::new(
            self.metadata.namespace.as_deref().unwrap_or_default(),
            self.metadata.name.as_deref().unwrap_or_default(),
        )
    }
}

/// Drops what no decision looks at and what may be large: `managedFields`,
/// labels, and all annotations but ours (`last-applied-configuration` repeats
/// the whole object).
pub(super) fn pruned(mut object: SesMailFrom) -> SesMailFrom {
    object.metadata.managed_fields = None;
    object.metadata.labels = None;
    object.metadata.owner_references = None;
    if let Some(annotations) = &mut object.metadata.annotations {
        annotations.retain(|name, _| name.starts_with("mailfrom.dev/"));
    }
    object
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
    #[serde(default)]
    status: Value,
}

impl<'de> Deserialize<'de> for Watched {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Raw { metadata, spec, status } = Raw::deserialize(deserializer)?;
        Ok(Self { metadata, body: body(&spec, &status) })
    }
}

fn body(spec: &Value, status: &Value) -> Result<Body, String> {
    let spec = SesMailFromSpec::deserialize(spec).map_err(|error| format!("spec: {error}"))?;
    DomainName::parse(&spec.domain).map_err(|error| format!("spec.domain: {error}"))?;
    let status = Option::<Box<SesMailFromStatus>>::deserialize(status)
        .map_err(|error| format!("status: {error}"))?;
    Ok(Body { spec: Box::new(spec), status })
}

/// Watches a kind by a type that parses it leniently: what the API server is
/// asked for is `$kind`, and the metadata is the field of that name.
macro_rules! watched_as {
    ($watched:ty, $kind:ty) => {
        impl kube::Resource for $watched {
            type DynamicType = ();
            type Scope = <$kind as kube::Resource>::Scope;

            fn kind((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as kube::Resource>::kind(&())
            }

            fn group((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as kube::Resource>::group(&())
            }

            fn version((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as kube::Resource>::version(&())
            }

            fn plural((): &()) -> std::borrow::Cow<'_, str> {
                <$kind as kube::Resource>::plural(&())
            }

            fn meta(&self) -> &ObjectMeta {
                &self.metadata
            }

            fn meta_mut(&mut self) -> &mut ObjectMeta {
                &mut self.metadata
            }
        }
    };
}

pub(super) use watched_as;

watched_as!(Watched, SesMailFrom);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn watched(spec: &Value, status: &Value) -> Result<SesMailFrom, Unreadable> {
        let metadata = json!({
            "namespace": "mail", "name": "a", "uid": "u", "resourceVersion": "7",
            "labels": {"team": "x"}, "managedFields": [{"manager": "kubectl"}],
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
                "mailfrom.dev/reconcile-requested-at": "now",
            },
        });
        let object = json!({"metadata": metadata, "spec": spec, "status": status});
        serde_json::from_value::<Watched>(object).unwrap().into_object()
    }

    fn spec() -> Value {
        json!({"domain": "example.com", "subdomain": "bounce", "regions": [{"name": "us-east-1"}]})
    }

    #[test]
    fn keeps_only_what_decisions_look_at() {
        let object = watched(&spec(), &Value::Null).unwrap();
        assert_eq!(object.metadata.labels, None);
        assert_eq!(object.metadata.managed_fields, None);
        let annotations: Vec<_> = object.metadata.annotations.unwrap().into_keys().collect();
        assert_eq!(annotations, ["mailfrom.dev/reconcile-requested-at"]);
        assert_eq!(object.spec.domain, "example.com");
        assert_eq!(object.metadata.resource_version.as_deref(), Some("7"));
    }

    #[test]
    fn what_does_not_parse_says_where_and_keeps_its_name() {
        let unreadable = watched(&json!({"domain": 7}), &Value::Null).unwrap_err();
        assert_eq!(unreadable.subject.key.to_string(), "mail/a");
        assert_eq!(unreadable.version, "7");
        assert!(unreadable.error.starts_with("spec: "), "{}", unreadable.error);
        let mut bad = spec();
        bad["domain"] = "not a name".into();
        assert!(watched(&bad, &Value::Null).unwrap_err().error.starts_with("spec.domain: "));
        let status = watched(&spec(), &json!({"observedGeneration": "x"})).unwrap_err();
        assert!(status.error.starts_with("status: "), "{}", status.error);
    }
}
