//! A policy as the watch delivers it: parsed, or what is wrong with it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::watched::watched_as;
use crate::api::{SesMailFromPolicy, SesMailFromPolicySpec};
use crate::authority::Policy;

/// A policy. One that does not parse keeps its name, so that it allows nothing
/// by itself and does not fail the whole list that it came in.
#[derive(Clone, Debug)]
pub struct WatchedPolicy {
    metadata: ObjectMeta,
    policy: Policy,
    error: Option<String>,
}

impl WatchedPolicy {
    /// Its name, what it allows, and what is wrong with it if it does not parse.
    pub fn into_policy(self) -> (String, Policy, Option<String>) {
        (self.metadata.name.unwrap_or_default(), self.policy, self.error)
    }
}

#[derive(Deserialize)]
struct Raw {
    #[serde(default)]
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Value,
}

impl<'de> Deserialize<'de> for WatchedPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Raw { metadata, spec } = Raw::deserialize(deserializer)?;
        // Only the name and the version are looked at again.
        let metadata = ObjectMeta {
            name: metadata.name,
            resource_version: metadata.resource_version,
            ..ObjectMeta::default()
        };
        Ok(match parse(&spec) {
            Ok(policy) => Self { metadata, policy, error: None },
            Err(error) => {
                let domains = spec["domains"].as_array().into_iter().flatten();
                let policy = Policy::unreadable(domains.filter_map(Value::as_str));
                Self { metadata, policy, error: Some(error) }
            }
        })
    }
}

fn parse(spec: &Value) -> Result<Policy, String> {
    let spec =
        SesMailFromPolicySpec::deserialize(spec).map_err(|error| format!("spec: {error}"))?;
    Policy::parse(&spec)
}

watched_as!(WatchedPolicy, SesMailFromPolicy);
