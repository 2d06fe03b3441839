//! People who create, edit and delete objects, and restart the operator.

use std::time::Duration;

use aws_simulator::{Fault, Matching, Simulator, Trouble};
use fastrand::Rng;
use harness::{ControlPlane, wait_until};
use serde_json::{Value, json};

use crate::Failure;
use crate::setting::{LABELS, REGIONS, Slot, slots};

const NAMESPACE: &str = "default";

/// What one act asks of the rest of the run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Act {
    /// Nothing more.
    Done,
    /// The operator is to be killed and started anew.
    Kill,
    /// The operator is to be stopped as a kubelet does, and started anew.
    Restart,
}

/// Objects by way of the API server.
pub(crate) struct People {
    client: kube::Client,
    simulator: Simulator,
}

impl People {
    pub(crate) async fn of(plane: &ControlPlane, simulator: Simulator) -> Result<Self, Failure> {
        Ok(Self { client: plane.client().await?, simulator })
    }

    /// One thing that somebody does.
    pub(crate) async fn act(&self, rng: &mut Rng) -> Result<Act, Failure> {
        let slot = slots().nth(rng.usize(0..slots().count())).unwrap_or_default();
        let names = slot.objects();
        let name = &names[rng.usize(0..names.len())];
        match rng.u16(0..1600) {
            0..=159 => self.apply(name, &spec(slot, rng)).await?,
            160..=191 => self.delete(name).await?,
            192..=223 if slot.forgets() => self.wipe(name).await?,
            224..=271 => self.trouble(rng),
            272..=319 => self.ask(name, rng).await?,
            // Rare: the next leader waits for the lease of one that was killed.
            1598 => return Ok(Act::Kill),
            1599 => return Ok(Act::Restart),
            // Others act all the time; what people want stands for a while.
            _ => {}
        }
        Ok(Act::Done)
    }

    /// Makes an object or changes its spec; one that cannot be changed so, or is
    /// on its way out, is left as it is.
    async fn apply(&self, name: &str, spec: &Value) -> Result<(), Failure> {
        let object = json!({
            "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
        });
        let uri = format!("{}?fieldManager=person&force=true", path(name));
        self.send("PATCH", &uri, "application/apply-patch+yaml", &object).await
    }

    async fn delete(&self, name: &str) -> Result<(), Failure> {
        self.send("DELETE", &path(name), "application/json", &json!({})).await
    }

    /// A backup that brings objects back brings them without status.
    async fn wipe(&self, name: &str) -> Result<(), Failure> {
        let uri = format!("{}/status", path(name));
        let nothing = json!({"status": null});
        self.send("PATCH", &uri, "application/merge-patch+json", &nothing).await
    }

    async fn ask(&self, name: &str, rng: &mut Rng) -> Result<(), Failure> {
        let at = rng.u32(..).to_string();
        let asked =
            json!({"metadata": {"annotations": {"mailfrom.dev/reconcile-requested-at": at}}});
        self.send("PATCH", &path(name), "application/merge-patch+json", &asked).await
    }

    /// AWS has a bad moment, and is over the one before: else troubles would pile
    /// up before an operator that waits ever longer between its tries.
    fn trouble(&self, rng: &mut Rng) {
        let troubles =
            [Trouble::LoseAnswer, Trouble::Fail(503), Trouble::Throttle, Trouble::FailAfter(500)];
        self.simulator.clear_faults();
        let trouble = troubles[rng.usize(0..troubles.len())].clone();
        self.simulator.add_fault(Fault::always(Matching::any(), trouble).times(rng.usize(1..6)));
    }

    /// Deletes every object, with everything that is its own, and waits until
    /// all are gone.
    pub(crate) async fn leave(&self, limit: Duration) -> Result<(), Failure> {
        let objects = || slots().flat_map(Slot::objects);
        for name in objects() {
            let tidy = json!({"spec": {"deletionPolicy": "Delete", "mode": "Manage"}});
            self.send("PATCH", &path(&name), "application/merge-patch+json", &tidy).await?;
            self.delete(&name).await?;
        }
        let list = format!("/apis/mailfrom.dev/v1alpha1/namespaces/{NAMESPACE}/sesmailfroms");
        wait_until("every object is gone", limit, async || {
            let get = http::Request::get(&list).body(Vec::new()).map_err(|e| e.to_string())?;
            let found: Value = self.client.request(get).await.map_err(|e| e.to_string())?;
            match found["items"].as_array().map(Vec::as_slice) {
                Some([]) => Ok(()),
                items => Err(format!("{items:?}")),
            }
        })
        .await?;
        Ok(())
    }

    /// Conflicts, refusals and what is not there are part of a person's life.
    async fn send(
        &self,
        method: &str,
        uri: &str,
        content: &str,
        body: &Value,
    ) -> Result<(), Failure> {
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .header("content-type", content)
            .body(body.to_string().into_bytes())?;
        match self.client.request::<Value>(request).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code < 500 => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn path(name: &str) -> String {
    format!("/apis/mailfrom.dev/v1alpha1/namespaces/{NAMESPACE}/sesmailfroms/{name}")
}

fn spec(slot: Slot, rng: &mut Rng) -> Value {
    let label = rng.usize(0..LABELS.len());
    let mut regions = Vec::new();
    for (at, region) in REGIONS.iter().enumerate() {
        let own = (at == 2 && rng.f32() < 0.3).then(|| LABELS[(label + 1) % LABELS.len()]);
        if regions.is_empty() || rng.bool() {
            let mut entry = json!({"name": region});
            if let Some(own) = own {
                entry["subdomain"] = json!(own);
            }
            regions.push(entry);
        }
    }
    let pick = |rng: &mut Rng, words: &[&str]| json!(words[rng.usize(0..words.len())]);
    let adoption =
        if slot.swaps() { &["Always", "IfIdentical"][..] } else { &["IfIdentical", "Never"] };
    let include = if rng.f32() < 0.3 { json!(["spf.partner.example"]) } else { json!([]) };
    json!({
        "domain": slot.domain(),
        "subdomain": LABELS[label],
        "regions": regions,
        "behaviorOnMxFailure": pick(rng, &["UseDefaultValue", "RejectMessage"]),
        "rollout": pick(rng, &["WhenVerified", "WhenVerified", "Immediate"]),
        "adoptionPolicy": pick(rng, adoption),
        "mode": pick(rng, &["Manage", "Manage", "Manage", "Observe", "Suspend"]),
        "deletionPolicy": "Delete",
        "dns": {"provider": "Route53", "ttlSeconds": rng.i32(60..900), "spf": {"include": include}},
    })
}
