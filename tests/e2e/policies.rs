//! Who may speak for which domain, and what comes of it when that changes.

use aws_simulator::{ACCOUNT, Delegation, RecordType, ZoneSpec};
use harness::{Operator, wait_until};
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use ses_mailfrom::api::{RECONCILE_REQUESTED_AT, SesMailFrom, SesMailFromPolicy};

use crate::stage::{LIMIT, OWN_POLICIES, REGIONS, Stage, ZONE, instant};

/// A namespace that no policy is for yet, and a domain that no other test has:
/// policies are of the whole cluster.
pub(crate) struct Realm {
    pub stage: Stage,
    pub domain: String,
}

impl Realm {
    pub(crate) async fn new(test: &str) -> Self {
        let stage = Stage::bare(test, instant()).await;
        disown(&stage, &stage.namespace).await;
        let domain = format!("{}.example", stage.namespace);
        stage.aws.with(|world| {
            for region in REGIONS {
                world.set_identity(ACCOUNT, region, &domain, true);
            }
            let zone = ZoneSpec::public(ACCOUNT, &domain).id(ZONE).delegation(Delegation::Here);
            world.create_zone(zone).expect("a zone");
        });
        Self { stage, domain }
    }

    pub(crate) fn name(&self) -> String {
        format!("bounce.{}", self.domain)
    }

    /// Puts a policy for the test's own namespace and domain, with `changes`.
    pub(crate) async fn allow(&self, changes: Value) {
        self.allow_in(&self.stage.namespace, changes).await;
    }

    /// Puts the policy of a namespace.
    pub(crate) async fn allow_in(&self, namespace: &str, changes: Value) {
        let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace}});
        let mut spec = json!({
            "namespaceSelector": selector, "domains": [self.domain],
            "ambientCredentials": "Allow",
        });
        let changes = changes.as_object().expect("an object").clone();
        spec.as_object_mut().expect("an object").extend(changes);
        let policy = json!({
            "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFromPolicy",
            "metadata": {"name": namespace}, "spec": spec,
        });
        let api: Api<SesMailFromPolicy> = Api::all(self.stage.client());
        let params = PatchParams::apply("admin").force();
        api.patch(namespace, &params, &Patch::Apply(&policy)).await.expect("a policy");
    }

    pub(crate) async fn forbid(&self) {
        self.forbid_in(&self.stage.namespace).await;
    }

    async fn forbid_in(&self, namespace: &str) {
        let api: Api<SesMailFromPolicy> = Api::all(self.stage.client());
        api.delete(namespace, &kube::api::DeleteParams::default()).await.expect("a deletion");
    }

    fn spec(&self, changes: Value) -> Value {
        let mut spec = json!({
            "domain": self.domain, "subdomain": "bounce", "regions": [{"name": REGIONS[0]}],
            "deletionPolicy": "Delete",
        });
        let changes = changes.as_object().expect("an object").clone();
        spec.as_object_mut().expect("an object").extend(changes);
        spec
    }

    async fn apply_in(&self, namespace: &str, name: &str) -> Api<SesMailFrom> {
        let api: Api<SesMailFrom> = Api::namespaced(self.stage.client(), namespace);
        let object = json!({
            "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
            "metadata": {"name": name}, "spec": self.spec(json!({})),
        });
        let params = PatchParams::apply("person").force();
        api.patch(name, &params, &Patch::Apply(&object)).await.expect("an applied object");
        api
    }

    /// Waits until the object is stalled because of policies. Yields the message.
    async fn denied(&self, name: &str, says: &str) {
        for (kind, status) in [("Stalled", "True"), ("Ready", "False"), ("Authorized", "False")] {
            let expected = format!("{status} PolicyDenied");
            self.stage
                .until(name, &format!("{kind} {expected}: {says}"), |object| {
                    let status = object.status.as_ref()?;
                    let said = status.conditions.iter().find(|said| said.type_ == kind)?;
                    let current = said.observed_generation == object.metadata.generation;
                    let found = format!("{} {}", said.status, said.reason);
                    (current && found == expected && said.message.contains(says)).then_some(())
                })
                .await;
        }
    }

    /// Waits until the operator has decided on the object anew.
    pub(crate) async fn looked_at(&self, name: &str, text: &str) {
        self.stage.annotate(name, RECONCILE_REQUESTED_AT, text).await;
        self.stage
            .until(name, "a look", |object| {
                let handled = object.status.as_ref()?.last_handled_reconcile_at.as_deref();
                (handled == Some(text)).then_some(())
            })
            .await;
    }
}

/// What the zones hold, and SES in every region that a test has.
pub(crate) fn truth(stage: &Stage, identities: &[&str]) -> String {
    stage.aws.with(|world| {
        let world = &*world;
        let zones = [ZONE, "Z0VICTIM"].into_iter().filter_map(|id| world.zone(id));
        let records = zones.flat_map(aws_simulator::Zone::records).map(|set| format!("{set:?}"));
        let regions = [REGIONS[0], REGIONS[1], "us-west-2"].into_iter();
        let settings = regions.flat_map(|region| {
            identities.iter().map(move |identity| {
                let view = world.mail_from(ACCOUNT, region, identity);
                format!("{region} {identity} {:?}", view.map(|view| &view.domain))
            })
        });
        records.chain(settings).collect::<Vec<_>>().join("\n")
    })
}

async fn disown(stage: &Stage, namespace: &str) {
    let label = format!("{OWN_POLICIES}=yes");
    let args = ["label", "namespace", namespace, &label];
    stage.plane.kubectl(args).await.expect("a label");
}

/// How many requests AWS has had.
fn requests(stage: &Stage) -> usize {
    stage.aws.with(|world| world.calls().len())
}

async fn events(stage: &Stage) -> Vec<(String, String)> {
    let api: Api<Event> = Api::namespaced(stage.client(), &stage.namespace);
    let all = api.list(&ListParams::default()).await.expect("Events");
    let text = |event: Event| Some((event.reason?, event.note?));
    all.items.into_iter().filter_map(text).collect()
}

async fn metric(operator: &Operator, line: &str) {
    wait_until(format!("the metric {line}"), LIMIT, async || {
        let text = operator.metrics().await.map_err(|error| error.to_string())?;
        if text.lines().any(|found| found == line) { Ok(()) } else { Err(text) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
}

#[tokio::test]
async fn nothing_is_asked_of_aws_before_a_policy_allows_the_whole() {
    let realm = Realm::new("denied").await;
    let (stage, namespace) = (&realm.stage, &realm.stage.namespace);
    let _operator = stage.operator().await;
    let regions = REGIONS.map(|name| json!({"name": name}));
    stage.apply("a", realm.spec(json!({"regions": regions}))).await;
    realm.denied("a", &format!("no SesMailFromPolicy is for the namespace {namespace}")).await;
    for (changes, says) in [
        (json!({"domains": ["other.example"]}), "allows the domain"),
        (json!({"regions": [REGIONS[0]]}), "but not the region eu-west-1"),
        (json!({"ambientCredentials": "Deny"}), "own AWS credentials"),
    ] {
        realm.allow(changes).await;
        realm.denied("a", says).await;
    }
    // Both regions, each by a policy of its own.
    realm.allow(json!({"regions": [REGIONS[0]]})).await;
    realm.denied("a", "but not the region eu-west-1").await;
    let object = stage.api().get("a").await.expect("the object");
    assert_eq!(object.metadata.finalizers, None, "nothing is to be cleaned up");
    assert_eq!(requests(stage), 0, "not even a question");
    realm.allow(json!({"regions": REGIONS})).await;
    stage.ready("a").await;
    realm.forbid().await;
}

#[tokio::test]
async fn nothing_is_asked_with_a_role_or_for_a_sender_that_no_policy_allows() {
    const ROLE: &str = "arn:aws:iam::111111111111:role/ses";
    let realm = Realm::new("undue").await;
    let stage = &realm.stage;
    stage.aws.with(|world| {
        world.add_role(ROLE, aws_simulator::Role::default());
        world.set_identity("111111111111", REGIONS[0], &realm.domain, true);
    });
    realm.allow(json!({"spfIncludes": ["spf.allowed.example"]})).await;
    let _operator = stage.operator().await;
    let sender = |host: &str| json!({"spf": {"include": [host]}});
    for (name, changes, says) in [
        ("ses", json!({"roleARN": ROLE}), format!("not the role {ROLE} (spec.roleARN)")),
        (
            "dns",
            json!({"dns": {"roleARN": ROLE}}),
            format!("not the role {ROLE} (spec.dns.roleARN)"),
        ),
        (
            "sender",
            json!({"dns": sender("spf.other.example")}),
            "not the sender spf.other.example (spec.dns.spf.include)".to_owned(),
        ),
    ] {
        stage.apply(name, realm.spec(changes)).await;
        realm.denied(name, &says).await;
        realm.looked_at(name, "again").await;
        let object = stage.api().get(name).await.expect("the object");
        assert_eq!(object.metadata.finalizers, None, "nothing is to be cleaned up");
        assert_eq!(requests(stage), 0, "not even a session, for {name}");
        stage.delete(name).await;
        stage.gone(name).await;
    }
    // The same, allowed: the refusals were the policy's.
    realm.allow(json!({"spfIncludes": ["spf.other.example"], "roleARNs": [ROLE]})).await;
    let both = json!({"roleARN": ROLE, "dns": sender("spf.other.example")});
    stage.apply("both", realm.spec(both)).await;
    stage.ready("both").await;
    stage.delete("both").await;
    stage.gone("both").await;
    realm.forbid().await;
}

#[tokio::test]
async fn a_name_that_another_policy_names_is_not_taken_as_a_subdomain() {
    let realm = Realm::new("closer").await;
    let stage = &realm.stage;
    let other = stage.plane.namespace("owner").await.expect("a namespace");
    let _operator = stage.operator().await;
    realm.allow_in(&other, json!({"domains": [realm.name()]})).await;
    realm.allow(json!({})).await;
    stage.apply("a", realm.spec(json!({}))).await;
    realm.denied("a", "lies in a domain below").await;
    let object = stage.api().get("a").await.expect("the object");
    let said = format!("{:?}", object.status);
    assert!(!said.contains(&other), "{said}");
    assert_eq!(requests(stage), 0);
    realm.allow_in(&other, json!({"domains": [format!("*.{}", realm.name())]})).await;
    stage.ready("a").await;
    realm.forbid_in(&other).await;
    realm.forbid().await;
}

#[tokio::test]
async fn losing_authority_stops_everything_and_leaves_what_stands() {
    let realm = Realm::new("lost").await;
    let stage = &realm.stage;
    let _operator = stage.operator().await;
    realm.allow(json!({})).await;
    stage.apply("a", realm.spec(json!({}))).await;
    let before = stage.ready("a").await;
    realm.forbid().await;
    realm.denied("a", "no SesMailFromPolicy").await;
    let (asked, found) = (requests(stage), truth(stage, &[&realm.domain]));
    stage.aws.with(|world| {
        world.delete_record_set(ZONE, &realm.name(), RecordType::MX).expect("the MX");
    });
    for text in ["once", "twice"] {
        realm.looked_at("a", text).await;
    }
    let status = stage.api().get("a").await.expect("the object").status.expect("a status");
    assert_eq!((&status.regions, &status.records), (&before.regions, &before.records));
    assert_eq!(requests(stage), asked, "nothing is asked and nothing repaired");
    assert_ne!(truth(stage, &[&realm.domain]), found, "the MX is gone still");
    realm.allow(json!({})).await;
    stage
        .world("the repair", |world| {
            world.record_set(ZONE, &realm.name(), RecordType::MX).map(|_| ())
        })
        .await;
    stage.ready("a").await;
    realm.forbid().await;
}

#[tokio::test]
async fn deleted_without_authority_it_goes_after_the_grace_and_says_what_it_left() {
    let realm = Realm::new("left").await;
    let stage = &realm.stage;
    let operator = stage.operator().await;
    realm.allow(json!({})).await;
    stage.apply("a", realm.spec(json!({}))).await;
    stage.ready("a").await;
    let found = truth(stage, &[&realm.domain]);
    realm.forbid().await;
    realm.denied("a", "no SesMailFromPolicy").await;
    let asked = requests(stage);
    stage.delete("a").await;
    stage.gone("a").await;
    assert_eq!((truth(stage, &[&realm.domain]), requests(stage)), (found, asked));
    metric(&operator, "sesmailfrom_left_in_place_total 1").await;
    operator.output().wait_for_line("left what stands in place", LIMIT).await.expect("a log line");
    let told = wait_until("the Event", LIMIT, async || {
        let all = events(stage).await;
        let found = all.iter().find(|(reason, _)| reason == "LeftInPlace");
        found.map(|(_, note)| note.clone()).ok_or_else(|| format!("{all:?}"))
    });
    let note = told.await.unwrap_or_else(|error| panic!("{error}"));
    let setting = format!("the MAIL FROM setting of {} in {}", realm.domain, REGIONS[0]);
    for part in [setting, format!("{} MX", realm.name()), "no SesMailFromPolicy".into()] {
        assert!(note.contains(&part), "no {part} in: {note}");
    }
}

#[tokio::test]
async fn a_policy_that_comes_back_within_the_grace_has_the_deletion_clean_up() {
    let mut realm = Realm::new("grace").await;
    realm.stage = realm.stage.flag("--authority-grace", "10m");
    let stage = &realm.stage;
    let found = truth(stage, &[&realm.domain]);
    let operator = stage.operator().await;
    realm.allow(json!({})).await;
    stage.apply("a", realm.spec(json!({}))).await;
    stage.ready("a").await;
    realm.forbid().await;
    realm.denied("a", "no SesMailFromPolicy").await;
    stage.delete("a").await;
    realm.denied("a", "without cleaning up once --authority-grace is over").await;
    realm.allow(json!({})).await;
    stage.gone("a").await;
    assert_eq!(truth(stage, &[&realm.domain]), found);
    metric(&operator, "sesmailfrom_left_in_place_total 0").await;
    realm.forbid().await;
}

#[tokio::test]
async fn who_may_not_have_a_domain_does_not_squat_it_and_the_next_takes_over() {
    let mut realm = Realm::new("rightful").await;
    let squatter = realm.stage.plane.namespace("squatter").await.expect("a namespace");
    disown(&realm.stage, &squatter).await;
    realm.stage.launch = realm.stage.launch.clone().watch_namespace(&squatter);
    let (stage, other) = (&realm.stage, realm.apply_in(&squatter, "first").await);
    let _operator = stage.operator().await;
    let stalled = async |reason: &str| {
        wait_until(format!("first: Stalled {reason}"), LIMIT, async || {
            let object = other.get("first").await.map_err(|error| error.to_string())?;
            let conditions = object.status.iter().flat_map(|status| &status.conditions);
            let found = conditions
                .filter(|said| said.type_ == "Stalled")
                .find(|said| said.reason == reason);
            found.map(|said| said.message.clone()).ok_or_else(|| format!("{:?}", object.status))
        })
        .await
        .unwrap_or_else(|error| panic!("{error}"))
    };
    stalled("PolicyDenied").await;
    realm.allow(json!({})).await;
    stage.apply("second", realm.spec(json!({}))).await;
    stage.ready("second").await;

    realm.allow_in(&squatter, json!({})).await;
    let said = stalled("DomainConflict").await;
    assert!(said.contains("another namespace"), "{said}");
    // The domain is named after the namespace, to be no other test's.
    let rest = said.replace(&realm.domain, "");
    assert!(!rest.contains("second") && !rest.contains(&stage.namespace), "{said}");
    stage.ready("second").await;

    stage.delete("second").await;
    stage.gone("second").await;
    wait_until("first to take over", LIMIT, async || {
        let object = other.get("first").await.map_err(|error| error.to_string())?;
        let conditions = object.status.iter().flat_map(|status| &status.conditions);
        let ready = conditions.clone().any(|said| said.type_ == "Ready" && said.status == "True");
        if ready { Ok(()) } else { Err(format!("{:?}", object.status)) }
    })
    .await
    .unwrap_or_else(|error| panic!("{error}"));
    realm.forbid_in(&squatter).await;
    realm.forbid().await;
}
