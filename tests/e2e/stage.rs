//! What every test here stands on.

use std::fmt::Debug;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_simulator::{
    ACCOUNT, CheckSchedule, Config, Delegation, Listen, Quotas, Route53Config, Serving, SesConfig,
    SimClock, Simulator, ZoneSpec,
};
use harness::{ControlPlane, Deployment, Launch, Operator, wait_until};
use k8s_openapi::api::authorization::v1::LocalSubjectAccessReview;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use ses_mailfrom::api::{RegionStatus, SesMailFrom, SesMailFromStatus};
use tokio::sync::OnceCell;

/// How long anything may take that should take seconds, on a busy machine.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
pub(crate) const ZONE: &str = "Z0EXAMPLE";
pub(crate) const DOMAIN: &str = "example.com";
pub(crate) const NAME: &str = "bounce.example.com";
pub(crate) const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// Every role that a test has assumed.
const ROLES: [&str; 6] = [
    "arn:aws:iam::111111111111:role/ses",
    "arn:aws:iam::111111111111:role/ses-mailfrom/ses",
    "arn:aws:iam::111111111111:role/ses-mailfrom/second",
    "arn:aws:iam::222222222222:role/dns",
    "arn:aws:iam::333333333333:role/ses",
    "arn:aws:iam::123456789012:role/mail-from",
];

/// The label of a namespace that the policy `default` is not for.
pub(crate) const OWN_POLICIES: &str = "own-policies";

/// The operator's durations, compressed so that what takes minutes takes a
/// fraction of a second. The simulated AWS has a clock of its own.
const DURATIONS: [(&str, &str); 16] = [
    ("--verification-window", "1h"),
    ("--drain-window", "1h"),
    ("--poll-min", "100ms"),
    ("--poll-max", "2s"),
    ("--resync", "1s"),
    ("--restart-pause-min", "300ms"),
    ("--restart-pause-max", "2s"),
    ("--put-hold-off", "200ms"),
    ("--stall-grace", "1s"),
    ("--authority-grace", "1s"),
    ("--stale-after", "10m"),
    ("--drift-loop-window", "10m"),
    ("--insync-fallback", "1s"),
    ("--max-observation-age", "2s"),
    ("--zone-cache", "1s"),
    ("--ses-rate", "500"),
];

/// A namespace, an AWS with `example.com` in it, and how to start an operator.
pub(crate) struct Stage {
    pub plane: &'static ControlPlane,
    pub namespace: String,
    pub aws: Simulator,
    /// Serves for as long as it is held.
    _serving: Serving,
    pub launch: Launch,
    client: kube::Client,
}

/// SES that looks at once and then every simulated minute; Route 53 in sync at
/// once; no quotas. Tests set what they are about.
pub(crate) fn instant() -> Config {
    Config {
        ses: SesConfig { checks: CheckSchedule::eager(), ..SesConfig::default() },
        route53: Route53Config { in_sync_after: Duration::ZERO, ..Route53Config::default() },
        quotas: Quotas::off(),
        ..Config::default()
    }
}

async fn plane() -> &'static ControlPlane {
    static INSTALLED: OnceCell<()> = OnceCell::const_new();
    let plane = ControlPlane::shared().await.expect("a control plane");
    let install = || async {
        plane.apply_kustomize("deploy").await.expect("kubectl apply -k deploy");
        // Namespaces with this label are ruled by the policies of their tests alone.
        let others = json!({"matchExpressions": [
            {"key": OWN_POLICIES, "operator": "DoesNotExist"},
        ]});
        let spec = json!({"spec": {"namespaceSelector": others}}).to_string();
        let patch = ["patch", "smfp/default", "--type=merge", "-p", &spec];
        plane.kubectl(patch).await.expect("a patched policy");
        // What the policy `default` does not give.
        let trusted = json!({
            "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFromPolicy",
            "metadata": {"name": "trusted"},
            "spec": {
                "namespaceSelector": others, "domains": ["*"], "spfIncludes": ["*"],
                "ambientCredentials": "Allow", "takeOver": "Allow", "roleARNs": ROLES,
            },
        });
        plane.apply(&trusted.to_string()).await.expect("a policy");
    };
    INSTALLED.get_or_init(install).await;
    plane
}

/// Gives the operator, in the namespace of a test, what it may do in its own:
/// the operators of each test have a Lease of their own.
async fn may_elect_leaders_in(
    client: &kube::Client,
    objects: &[Value],
    namespace: &str,
    user: &str,
) {
    let of_kind = |kind: &str| {
        let found = objects.iter().filter(|object| object["kind"] == kind);
        let moved = found.map(|object| {
            let mut object = object.clone();
            object["metadata"]["namespace"] = json!(namespace);
            object
        });
        moved.collect::<Vec<_>>()
    };
    for role in of_kind("Role") {
        let role: Role = serde_json::from_value(role).expect("a Role");
        let roles = Api::namespaced(client.clone(), namespace);
        roles.create(&PostParams::default(), &role).await.expect("a role of the test's own");
    }
    for binding in of_kind("RoleBinding") {
        let binding: RoleBinding = serde_json::from_value(binding).expect("a RoleBinding");
        let bindings = Api::namespaced(client.clone(), namespace);
        bindings.create(&PostParams::default(), &binding).await.expect("a binding of its own");
    }
    // The authorizer learns of them by a watch of its own.
    let reviews: Api<LocalSubjectAccessReview> = Api::namespaced(client.clone(), namespace);
    let review = json!({"metadata": {"namespace": namespace}, "spec": {"user": user, "resourceAttributes": {
        "namespace": namespace, "verb": "patch", "group": "coordination.k8s.io",
        "resource": "leases", "name": "ses-mailfrom",
    }}});
    let review: LocalSubjectAccessReview = serde_json::from_value(review).expect("a review");
    let allowed = wait_until("the role counts", LIMIT, async || {
        let answer = reviews.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| error.to_string())?.status;
        if answer.as_ref().is_some_and(|status| status.allowed) {
            Ok(())
        } else {
            Err(format!("{answer:?}"))
        }
    });
    allowed.await.unwrap_or_else(|error| panic!("{error}"));
}

impl Stage {
    /// A stage with a delegated zone and a verified identity in both regions.
    pub(crate) async fn new(test: &str) -> Self {
        Self::with(test, instant()).await
    }

    pub(crate) async fn with(test: &str, config: Config) -> Self {
        let stage = Self::bare(test, config).await;
        stage.aws.with(|world| {
            for region in REGIONS {
                world.set_identity(ACCOUNT, region, DOMAIN, true);
            }
            let zone = ZoneSpec::public(ACCOUNT, DOMAIN).id(ZONE).delegation(Delegation::Here);
            world.create_zone(zone).expect("a zone");
        });
        stage
    }

    /// A stage whose AWS is empty.
    pub(crate) async fn bare(test: &str, config: Config) -> Self {
        let plane = plane().await;
        let namespace = plane.namespace(test).await.expect("a namespace");
        let aws = Simulator::new(config, SimClock::manual());
        let serving = aws.serve(Listen::default()).await.expect("a served AWS");
        let objects = plane.kustomize("deploy").await.expect("kubectl kustomize deploy");
        let deployment = Deployment::find(&objects).expect("the Deployment");
        let client = plane.client().await.expect("a client");
        may_elect_leaders_in(&client, &objects, &namespace, &deployment.user()).await;
        let launch = Launch::new(deployment, env!("CARGO_BIN_EXE_ses-mailfrom"))
            .env("POD_NAMESPACE", &namespace)
            .aws(&serving.endpoint())
            .dns(serving.resolver(), serving.dns_port())
            .watch_namespace(&namespace)
            .flag("--route53-rate", "500");
        let launch =
            DURATIONS.iter().fold(launch, |launch, (flag, value)| launch.flag(flag, value));
        Self { plane, namespace, aws, _serving: serving, launch, client }
    }

    /// Sets a flag of the operators that are started from now on.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        self.launch = self.launch.flag(name, value);
        self
    }

    pub(crate) fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Starts the only operator there is and waits until it is ready. If one was
    /// killed before, its lease is taken for run out.
    pub(crate) async fn operator(&self) -> Operator {
        let (all, params) = (ListParams::default(), DeleteParams::default());
        self.leases().delete_collection(&params, &all).await.expect("no lease");
        let operator = self.launch.start(self.plane).await.expect("an operator");
        operator.ready(LIMIT).await.expect("a ready operator");
        operator
    }

    pub(crate) fn api(&self) -> Api<SesMailFrom> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub(crate) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Applies a `SesMailFrom` with this spec, for `example.com` and `bounce`
    /// where it does not say otherwise.
    pub(crate) async fn apply(&self, name: &str, spec: Value) -> SesMailFrom {
        let mut whole = json!({"domain": DOMAIN, "subdomain": "bounce"});
        let fields = spec.as_object().expect("an object").clone();
        whole.as_object_mut().expect("an object").extend(fields);
        let object = json!({
            "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
            "metadata": {"name": name}, "spec": whole,
        });
        let params = PatchParams::apply("person").force();
        self.api().patch(name, &params, &Patch::Apply(&object)).await.expect("an applied object")
    }

    /// Changes fields of the spec by a merge patch.
    pub(crate) async fn edit(&self, name: &str, spec: Value) {
        let patch = json!({"spec": spec});
        let params = PatchParams::default();
        self.api().patch(name, &params, &Patch::Merge(&patch)).await.expect("an edited object");
    }

    pub(crate) async fn annotate(&self, name: &str, key: &str, value: &str) {
        let patch = json!({"metadata": {"annotations": {key: value}}});
        let params = PatchParams::default();
        self.api().patch(name, &params, &Patch::Merge(&patch)).await.expect("an annotated object");
    }

    pub(crate) async fn delete(&self, name: &str) {
        self.api().delete(name, &DeleteParams::default()).await.expect("a deletion");
    }

    /// Waits until the object is gone.
    pub(crate) async fn gone(&self, name: &str) {
        let api = self.api();
        wait_until(format!("{name} to be gone"), LIMIT, async || match api.get_opt(name).await {
            Ok(None) => Ok(()),
            Ok(Some(object)) => Err(shown(&object)),
            Err(error) => Err(error.to_string()),
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until `probe` is content with the object.
    pub(crate) async fn until<T>(
        &self,
        name: &str,
        what: &str,
        probe: impl Fn(&SesMailFrom) -> Option<T>,
    ) -> T {
        let api = self.api();
        wait_until(format!("{name}: {what}"), LIMIT, async || match api.get(name).await {
            Ok(object) => probe(&object).ok_or_else(|| shown(&object)),
            Err(error) => Err(error.to_string()),
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"))
    }

    /// Waits for a condition to have this status and reason, for the generation
    /// that stands. Yields its message.
    pub(crate) async fn condition(&self, name: &str, kind: &str, expected: &str) -> String {
        self.until(name, &format!("{kind} {expected}"), |object| {
            let status = object.status.as_ref()?;
            let current = Some(status.observed_generation) == object.metadata.generation;
            let found = status.conditions.iter().find(|condition| condition.type_ == kind)?;
            let said = format!("{} {}", found.status, found.reason);
            (current && said == expected).then(|| found.message.clone())
        })
        .await
    }

    /// Waits for `Ready`.
    pub(crate) async fn ready(&self, name: &str) -> SesMailFromStatus {
        self.condition(name, "Ready", "True Succeeded").await;
        self.until(name, "a status", |object| object.status.clone()).await
    }

    /// Waits until the truth of the simulated AWS is as asked.
    pub(crate) async fn world<T>(
        &self,
        what: &str,
        probe: impl FnMut(&aws_simulator::World) -> Option<T>,
    ) -> T {
        let seen = self.aws.wait_for(what, LIMIT, probe).await;
        seen.unwrap_or_else(|error| panic!("{error}"))
    }

    /// The writes to AWS so far, in order: `ChangeResourceRecordSets` and
    /// `PutEmailIdentityMailFromAttributes`.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.aws.with(|world| {
            let writes = world.calls().iter().filter(|call| is_write(&call.action));
            writes
                .map(|call| format!("{} {} {}", call.action, call.region, call.parameters))
                .collect()
        })
    }

    /// How many requests of this action there have been.
    pub(crate) fn calls(&self, action: &str) -> usize {
        self.aws.with(|world| world.calls_of(action).count())
    }

    /// Waits until every answer of AWS has been looked at anew: `rounds` more
    /// reads of the identity, which a settled object does once a resync.
    pub(crate) async fn rounds(&self, rounds: usize) {
        let before = self.calls("GetIdentityMailFromDomainAttributes");
        self.world("more reads of SES", |world| {
            (world.calls_of("GetIdentityMailFromDomainAttributes").count() >= before + rounds)
                .then_some(())
        })
        .await;
    }

    /// Waits until a second begins: status tells whole seconds, and what simulated
    /// time moves by days in one of them looks as if it were at once.
    pub(crate) async fn next_second(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
        tokio::time::sleep(Duration::from_secs(now.as_secs() + 1).saturating_sub(now)).await;
    }
}

pub(crate) fn is_write(action: &str) -> bool {
    matches!(action, "ChangeResourceRecordSets" | "PutEmailIdentityMailFromAttributes")
}

/// What `region` of a status says.
pub(crate) fn region<'s>(status: &'s SesMailFromStatus, name: &str) -> &'s RegionStatus {
    status.regions.iter().find(|region| region.name == name).expect("the region in status")
}

fn shown(object: &impl Debug) -> String {
    format!("{object:?}")
}
