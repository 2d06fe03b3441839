//! A tenant who may do anything to the SesMailFroms of one namespace, their
//! status included, and nothing else, tries to have the operator touch what the
//! policy does not give that namespace: through every field and every annotation.

use aws_simulator::{ACCOUNT, Delegation, RecordSet, RecordType, ZoneSpec};
use serde_json::{Value, json};
use ses_mailfrom::api::{RECONCILE_REQUESTED_AT, TAKE_OVER};

use crate::policies::{Realm, truth};
use crate::stage::{REGIONS, Stage};

const VICTIM_ZONE: &str = "Z0VICTIM";
const USER: &str = "tenant";

/// The victim's marker, of a cluster that this operator knows nothing of.
const MARKER: &str = "ses-mailfrom-owner=v1 00112233445566778899aabbccddeeff mx=created \
                      spf=created regions=us-east-1";

/// What kubectl says to the tenant.
async fn tenant(stage: &Stage, args: &[&str], input: &str) -> Result<String, String> {
    let user = format!("--as={USER}");
    let fixed = [user.as_str(), "-n", stage.namespace.as_str()];
    let all = fixed.into_iter().chain(args.iter().copied());
    stage.plane.kubectl_with_input(all, input).await.map_err(|error| error.to_string())
}

async fn empower(stage: &Stage) {
    let (namespace, role) = (stage.namespace.as_str(), "own-objects");
    let resources = "--resource=sesmailfroms.mailfrom.dev,sesmailfroms.mailfrom.dev/status";
    let create = ["-n", namespace, "create", "role", role, "--verb=*", resources];
    stage.plane.kubectl(create).await.expect("a role");
    let (role, user) = (format!("--role={role}"), format!("--user={USER}"));
    let bind = ["-n", namespace, "create", "rolebinding", "own-objects", &role, &user];
    stage.plane.kubectl(bind).await.expect("a role binding");
}

/// Another team's domain, in use, with its zone; and a name of the tenant's own
/// domain that a policy gives to that team.
fn victim(realm: &Realm) -> (String, String) {
    let (domain, name) = (format!("victim-{}", realm.domain), format!("b.{}", realm.domain));
    realm.stage.aws.with(|world| {
        for region in [REGIONS[0], REGIONS[1], "us-west-2"] {
            world.set_identity(ACCOUNT, region, &domain, true);
            world.set_identity(ACCOUNT, region, &name, true);
        }
        world.set_identity(ACCOUNT, "us-west-2", &realm.domain, true);
        let zone = ZoneSpec::public(ACCOUNT, &domain).id(VICTIM_ZONE).delegation(Delegation::Here);
        world.create_zone(zone).expect("a zone");
        let bounce = format!("bounce.{domain}");
        let marker = format!("\"{MARKER}\"");
        let values: [&str; 2] = ["\"v=spf1 include:amazonses.com ~all\"", &marker];
        let text = RecordSet::new(&bounce, RecordType::TXT, 300, &values).expect("a TXT");
        world.put_record_set(VICTIM_ZONE, text).expect("a record");
        let mx = ["10 feedback-smtp.us-east-1.amazonses.com"];
        let mx = RecordSet::new(&bounce, RecordType::MX, 300, &mx).expect("an MX");
        world.put_record_set(VICTIM_ZONE, mx).expect("a record");
    });
    (domain, name)
}

fn object(spec: &Value, annotations: &Value) -> String {
    json!({
        "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
        "metadata": {"name": "evil", "annotations": annotations}, "spec": spec,
    })
    .to_string()
}

/// A status that names what others have, as if this object had made it.
fn forged(victim: &str, given_away: &str) -> Value {
    let long_ago = "2026-01-01T00:00:00Z";
    let region = |name: &str, mail_from: &str, account: &str| {
        json!({
            "name": name, "account": account, "origin": "Created", "mailFromDomain": mail_from,
            "mailFromStatus": "Success", "sending": "CustomMailFrom", "lastPutTime": long_ago,
            "since": long_ago, "restarts": 0,
        })
    };
    let record = |name: &str, kind: &str, value: &str| {
        json!({
            "name": name, "type": kind, "ttlSeconds": 300, "values": [value],
            "zone": VICTIM_ZONE, "state": "Published", "origin": "Created", "since": long_ago,
        })
    };
    let bounce = format!("bounce.{victim}");
    let mx = "10 feedback-smtp.us-east-1.amazonses.com";
    let spf = "\"v=spf1 include:amazonses.com ~all\"";
    json!({
        "observedGeneration": 1,
        "mailFromDomain": bounce,
        "regions": [
            region(REGIONS[1], &bounce, ACCOUNT),
            region("us-west-2", given_away, ACCOUNT),
            region("eu-central-1", &bounce, "999999999999"),
        ],
        "records": [
            record(&bounce, "MX", mx), record(&bounce, "TXT", spf),
            record(given_away, "MX", mx), record(given_away, "TXT", spf),
            record(&format!("x.{given_away}"), "MX", mx),
        ],
        "zones": [{"id": VICTIM_ZONE, "account": ACCOUNT, "changeID": "C0VICTIM"}],
    })
}

/// No request of the operator named anything that is not the tenant's.
fn assert_untouched(realm: &Realm, secrets: &[&str]) {
    realm.stage.aws.with(|world| {
        for call in world.calls() {
            let said =
                format!("{} {} {:?} {}", call.action, call.region, call.targets, call.parameters);
            for secret in secrets {
                assert!(
                    !said.contains(secret),
                    "the operator was made to ask for {secret}: {said}"
                );
            }
        }
    });
}

#[tokio::test]
async fn a_tenant_reaches_nothing_beyond_the_policy_by_any_field_status_or_annotation() {
    let realm = Realm::new("tenant").await;
    let stage = &realm.stage;
    let (victim, given_away) = victim(&realm);
    let team = stage.plane.namespace("team").await.expect("a namespace");
    realm.allow(json!({"regions": [REGIONS[0]]})).await;
    realm.allow_in(&team, json!({"domains": [victim, given_away]})).await;
    empower(stage).await;
    let _operator = stage.operator().await;
    let everyone = [realm.domain.as_str(), &victim, &given_away];
    let before = truth(stage, &everyone);

    let own = json!({
        "domain": realm.domain, "subdomain": "bounce", "regions": [{"name": REGIONS[0]}],
        "deletionPolicy": "Delete",
    });
    let with = |changes: Value| {
        let mut spec = own.clone();
        spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        spec
    };
    let asking = json!({TAKE_OVER: MARKER, RECONCILE_REQUESTED_AT: "now"});
    let secrets = [
        victim.as_str(),
        &given_away,
        VICTIM_ZONE,
        "C0VICTIM",
        REGIONS[1],
        "us-west-2",
        "eu-central-1",
    ];

    // 1. Each field that could name something of somebody else.
    for (changes, reason) in [
        (json!({"domain": victim}), "PolicyDenied"),
        (json!({"domain": given_away}), "PolicyDenied"),
        (json!({"subdomain": "b"}), "PolicyDenied"),
        (json!({"subdomain": "x.b"}), "PolicyDenied"),
        (json!({"regions": [{"name": REGIONS[1]}]}), "PolicyDenied"),
        (json!({"regions": [{"name": REGIONS[0]}, {"name": "us-west-2"}]}), "PolicyDenied"),
        (json!({"regions": [{"name": REGIONS[0], "subdomain": "b"}]}), "PolicyDenied"),
        (json!({"dns": {"hostedZoneID": VICTIM_ZONE}}), "ZoneNotFound"),
    ] {
        let applied = object(&with(changes.clone()), &asking);
        tenant(stage, &["create", "-f", "-"], &applied).await.expect("an object");
        let status = forged(&victim, &given_away);
        let patch = json!({"status": status}).to_string();
        let args = ["patch", "smf/evil", "--subresource=status", "--type=merge", "-p", &patch];
        tenant(stage, &args, "").await.expect("a forged status");
        let what = format!("{changes}: {reason}");
        stage
            .until("evil", &what, |object| {
                let status = object.status.as_ref()?;
                let ready = status.conditions.iter().find(|said| said.type_ == "Ready")?;
                (ready.status == "False" && ready.reason == reason).then_some(())
            })
            .await;
        tenant(stage, &["delete", "smf/evil", "--wait=false"], "").await.expect("a deletion");
        stage.gone("evil").await;
        assert_untouched(&realm, &secrets);
        assert_eq!(truth(stage, &everyone), before, "{changes}");
    }

    // 2. A status that claims what others have, under a spec that is allowed.
    tenant(stage, &["create", "-f", "-"], &object(&own, &asking)).await.expect("an object");
    stage.ready("evil").await;
    let patch = json!({"status": forged(&victim, &given_away)}).to_string();
    let args = ["patch", "smf/evil", "--subresource=status", "--type=merge", "-p", &patch];
    tenant(stage, &args, "").await.expect("a forged status");
    realm.looked_at("evil", "after the forgery").await;
    assert_untouched(&realm, &secrets);
    stage.condition("evil", "Ready", "True Succeeded").await;
    tenant(stage, &args, "").await.expect("a forged status");
    tenant(stage, &["delete", "smf/evil", "--wait=false"], "").await.expect("a deletion");
    stage.gone("evil").await;
    assert_untouched(&realm, &secrets);
    assert_eq!(
        truth(stage, &everyone),
        before,
        "its own things are gone and nobody else's are touched"
    );

    // 3. Policies, namespaces and other namespaces' objects are out of reach.
    for args in [
        &["auth", "can-i", "create", "sesmailfrompolicies.mailfrom.dev"][..],
        &["auth", "can-i", "patch", "namespaces"],
        &["auth", "can-i", "list", "sesmailfroms.mailfrom.dev", "--all-namespaces"],
    ] {
        assert!(tenant(stage, args, "").await.is_err(), "{args:?}");
    }
    realm.forbid().await;
}

#[tokio::test]
async fn a_marker_is_taken_over_only_where_a_policy_says_so() {
    let realm = Realm::new("takeover").await;
    let stage = &realm.stage;
    let _operator = stage.operator().await;
    stage.aws.with(|world| {
        let marker = format!("\"{MARKER}\"");
        let text = RecordSet::new(&realm.name(), RecordType::TXT, 300, &[&marker]);
        world.put_record_set(crate::stage::ZONE, text.expect("a TXT")).expect("a record");
    });
    realm.allow(json!({})).await;
    let spec = json!({"domain": realm.domain, "regions": [{"name": REGIONS[0]}]});
    stage.apply("heir", spec).await;
    stage.condition("heir", "Stalled", "True RecordConflict").await;
    stage.annotate("heir", TAKE_OVER, MARKER).await;
    stage
        .until("heir", "what forbids it", |object| {
            let status = object.status.as_ref()?;
            let said = status.conditions.iter().find(|said| said.type_ == "Stalled")?;
            said.message.contains("spec.takeOver is Deny").then_some(())
        })
        .await;
    stage.rounds(2).await;
    assert!(stage.writes().is_empty(), "{:?}", stage.writes());
    realm.allow(json!({"takeOver": "Allow"})).await;
    stage.ready("heir").await;
    realm.forbid().await;
}
