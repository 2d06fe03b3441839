//! People who create, edit and delete objects, and restart the operator.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_simulator::{Fault, Matching, Simulator, Trouble};
use fastrand::Rng;
use harness::{ControlPlane, wait_until};
use serde_json::{Value, json};

use crate::Failure;
use crate::others::Others;
use crate::setting::{LABELS, REGIONS, Slot, policy, slots};

/// A policy that was taken away is back after so long, well within the operator's
/// `--authority-grace`.
const AWAY: Duration = Duration::from_secs(15);
const POLICIES: &str = "/apis/mailfrom.dev/v1alpha1/sesmailfrompolicies";

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
    others: Others,
    /// Since when the tenants' policy is away.
    away: Mutex<Option<Instant>>,
}

impl People {
    /// With the tenants' policy in its place.
    pub(crate) async fn of(plane: &ControlPlane, others: &Others) -> Result<Self, Failure> {
        let (simulator, others) = (others.simulator.clone(), others.clone());
        let client = plane.client().await?;
        let people = Self { client, simulator, others, away: Mutex::default() };
        people.give_leave().await?;
        Ok(people)
    }

    /// One thing that somebody does.
    pub(crate) async fn act(&self, rng: &mut Rng) -> Result<Act, Failure> {
        let slot = slots().nth(rng.usize(0..slots().count())).unwrap_or_default();
        let names = slot.objects();
        let object = path(slot, &names[rng.usize(0..names.len())]);
        if self.away().is_some_and(|since| since.elapsed() > AWAY) {
            self.give_leave().await?;
        }
        match rng.u16(0..1600) {
            0..=159 => self.apply(&object, &spec(slot, rng)).await?,
            160..=191 if slot.forgets() => self.delete(&object).await?,
            160..=191 => self.tidy_away(&object).await?,
            192..=223 if slot.forgets() => self.wipe(&object).await?,
            224..=271 => self.trouble(rng),
            272..=319 => self.ask(&object, rng).await?,
            320..=335 if self.away().is_none() => self.take_leave().await?,
            336..=351 => self.give_leave().await?,
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
    async fn apply(&self, object: &str, spec: &Value) -> Result<(), Failure> {
        if self.is_leaving(object).await? {
            return Ok(());
        }
        let name = object.rsplit('/').next();
        let applied = json!({
            "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
            "metadata": {"name": name}, "spec": spec,
        });
        let uri = format!("{object}?fieldManager=person&force=true");
        self.send("PATCH", &uri, "application/apply-patch+yaml", &applied).await
    }

    /// Whether an object is on its way out. Nobody but these people deletes any.
    async fn is_leaving(&self, object: &str) -> Result<bool, Failure> {
        let get = http::Request::get(object).body(Vec::new())?;
        match self.client.request::<Value>(get).await {
            Ok(found) => Ok(!found["metadata"]["deletionTimestamp"].is_null()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes an object in the one mode in which what is its own goes with it.
    async fn tidy_away(&self, object: &str) -> Result<(), Failure> {
        let tidy = json!({"spec": {"deletionPolicy": "Delete", "mode": "Manage"}});
        self.send("PATCH", object, "application/merge-patch+json", &tidy).await?;
        self.delete(object).await
    }

    async fn delete(&self, object: &str) -> Result<(), Failure> {
        self.send("DELETE", object, "application/json", &json!({})).await
    }

    /// A backup that brings objects back brings them without status.
    async fn wipe(&self, object: &str) -> Result<(), Failure> {
        let uri = format!("{object}/status");
        let nothing = json!({"status": null});
        self.send("PATCH", &uri, "application/merge-patch+json", &nothing).await
    }

    async fn ask(&self, object: &str, rng: &mut Rng) -> Result<(), Failure> {
        let at = rng.u32(..).to_string();
        let asked =
            json!({"metadata": {"annotations": {"mailfrom.dev/reconcile-requested-at": at}}});
        self.send("PATCH", object, "application/merge-patch+json", &asked).await
    }

    fn away(&self) -> Option<Instant> {
        *self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An administrator takes the tenants' policy away.
    async fn take_leave(&self) -> Result<(), Failure> {
        self.delete(&format!("{POLICIES}/tenant")).await?;
        let domains = slots().filter(|slot| slot.is_tenant()).map(Slot::domain);
        self.others.ledger(|ledger| ledger.bar(&self.simulator, domains));
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        Ok(())
    }

    /// An administrator puts the tenants' policy in its place.
    async fn give_leave(&self) -> Result<(), Failure> {
        self.others.ledger(|ledger| ledger.unbar(&self.simulator));
        let uri = format!("{POLICIES}/tenant?fieldManager=admin&force=true");
        self.send("PATCH", &uri, "application/apply-patch+yaml", &policy()).await?;
        *self.away.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(())
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
        self.give_leave().await?;
        let paths = |slot: Slot| slot.objects().into_iter().map(move |name| path(slot, &name));
        for object in slots().flat_map(paths) {
            self.tidy_away(&object).await?;
        }
        let list = "/apis/mailfrom.dev/v1alpha1/sesmailfroms";
        wait_until("every object is gone", limit, async || {
            let get = http::Request::get(list).body(Vec::new()).map_err(|e| e.to_string())?;
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

fn path(slot: Slot, name: &str) -> String {
    let namespace = slot.namespace();
    format!("/apis/mailfrom.dev/v1alpha1/namespaces/{namespace}/sesmailfroms/{name}")
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
    let mut spec = json!({
        "domain": slot.domain(),
        "subdomain": LABELS[label],
        "regions": regions,
        "behaviorOnMxFailure": pick(rng, &["UseDefaultValue", "RejectMessage"]),
        "rollout": pick(rng, &["WhenVerified", "WhenVerified", "Immediate"]),
        "adoptionPolicy": pick(rng, adoption),
        "mode": pick(rng, &["Manage", "Manage", "Manage", "Observe", "Suspend"]),
        "deletionPolicy": "Delete",
        "dns": {"provider": "Route53", "ttlSeconds": rng.i32(60..900), "spf": {"include": include}},
    });
    if let Some(role) = slot.role() {
        spec["roleARN"] = json!(role);
    }
    spec
}
