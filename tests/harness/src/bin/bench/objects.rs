//! The objects of a run and what people do to them, by way of the API server.

use futures::{StreamExt, TryStreamExt, stream};
use serde_json::{Value, json};

use crate::Failure;
use crate::scenario::Scenario;
use crate::world::{SUBDOMAIN, domain};

/// How many requests are on their way at once.
const AT_ONCE: usize = 32;
/// The namespace of six objects in ten.
const LARGE: &str = "bench-large";
/// How many namespaces share the others.
const SMALL: usize = 7;

/// The namespace of an object.
pub(crate) fn namespace(number: usize) -> String {
    if number % 10 < 6 { LARGE.to_owned() } else { format!("bench-{}", number % SMALL) }
}

fn name(number: usize) -> String {
    format!("d{number:05}")
}

fn path(number: usize) -> String {
    let (namespace, name) = (namespace(number), name(number));
    format!("/apis/mailfrom.dev/v1alpha1/namespaces/{namespace}/sesmailfroms/{name}")
}

/// The objects of a scenario.
#[derive(Clone)]
pub(crate) struct Objects {
    client: kube::Client,
    scenario: Scenario,
}

impl Objects {
    pub(crate) fn of(client: kube::Client, scenario: &Scenario) -> Self {
        Self { client, scenario: scenario.clone() }
    }

    /// Makes the namespaces.
    pub(crate) async fn namespaces(&self) -> Result<(), Failure> {
        let small = (0..SMALL).map(|number| format!("bench-{number}"));
        for name in small.chain([LARGE.to_owned()]) {
            let namespace =
                json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            self.send("POST", "/api/v1/namespaces", "application/json", &namespace).await?;
        }
        Ok(())
    }

    /// Creates the objects of these numbers, many at once.
    pub(crate) async fn create(
        &self,
        numbers: impl IntoIterator<Item = usize>,
    ) -> Result<(), Failure> {
        let creations = numbers.into_iter().map(|number| self.create_one(number));
        stream::iter(creations).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await?;
        Ok(())
    }

    /// Creates one object.
    pub(crate) async fn create_one(&self, number: usize) -> Result<(), Failure> {
        let whole = path(number);
        let collection = whole.rsplit_once('/').map_or(whole.as_str(), |(before, _)| before);
        self.send("POST", collection, "application/json", &self.object(number)).await
    }

    fn object(&self, number: usize) -> Value {
        let regions: Vec<Value> =
            self.scenario.regions().iter().map(|region| json!({"name": region})).collect();
        json!({
            "apiVersion": "mailfrom.dev/v1alpha1",
            "kind": "SesMailFrom",
            "metadata": {"name": name(number), "namespace": namespace(number)},
            "spec": {
                "domain": domain(self.scenario.zones, number),
                "subdomain": SUBDOMAIN,
                "regions": regions,
                "behaviorOnMxFailure": behavior(self.scenario.reject),
            },
        })
    }

    /// Asks for a reconcile now.
    pub(crate) async fn request(&self, number: usize, text: &str) -> Result<(), Failure> {
        let annotations = json!({"mailfrom.dev/reconcile-requested-at": text});
        self.merge(number, &json!({"metadata": {"annotations": annotations}})).await
    }

    /// Wants the other behaviour, or the scenario's again.
    pub(crate) async fn change(&self, number: usize, other: bool) -> Result<(), Failure> {
        let wanted = behavior(self.scenario.reject != other);
        self.merge(number, &json!({"spec": {"behaviorOnMxFailure": wanted}})).await
    }

    /// Removes an object that no operator looks after.
    pub(crate) async fn remove(&self, number: usize) -> Result<(), Failure> {
        self.merge(number, &json!({"metadata": {"finalizers": null}})).await?;
        self.send("DELETE", &path(number), "application/json", &json!({})).await
    }

    async fn merge(&self, number: usize, patch: &Value) -> Result<(), Failure> {
        self.send("PATCH", &path(number), "application/merge-patch+json", patch).await
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        kind: &str,
        body: &Value,
    ) -> Result<(), Failure> {
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", kind)
            .body(body.to_string().into_bytes())?;
        let answer = self.client.request::<Value>(request).await;
        answer.map_err(|error| format!("{method} {path}: {error}"))?;
        Ok(())
    }
}

fn behavior(reject: bool) -> &'static str {
    if reject { "RejectMessage" } else { "UseDefaultValue" }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn one_namespace_is_large_and_the_others_are_all_used() {
        let mut sizes = BTreeMap::<String, usize>::new();
        for number in 0..1_000 {
            *sizes.entry(namespace(number)).or_default() += 1;
        }
        assert_eq!(sizes.get(LARGE), Some(&600));
        assert_eq!(sizes.len(), SMALL + 1);
    }
}
