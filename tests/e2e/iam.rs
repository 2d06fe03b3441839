//! The printed policy suffices for a whole life, and nothing in it is too much.

use std::process::Stdio;

use aws_simulator::{ACCESS_KEY, ACCOUNT, Call, RecordType, Role, ZoneSpec};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::stage::{DOMAIN, NAME, REGIONS, Stage, ZONE, instant};

const MOVED: &str = "moved.example.com";

/// What `ses-mailfrom iam-policy -f -` prints for an object.
async fn printed(object: &Value) -> Value {
    printed_for(object, &[]).await
}

async fn printed_for(object: &Value, more: &[&str]) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ses-mailfrom"))
        .args(["iam-policy", "-f", "-"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary");
    let text = serde_json::to_vec(object).expect("JSON");
    child.stdin.take().expect("its input").write_all(&text).await.expect("a written object");
    let output = child.wait_with_output().await.expect("its output");
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("a policy in JSON")
}

fn object(spec: &Value) -> Value {
    json!({
        "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
        "metadata": {"name": "kept", "namespace": "mail"}, "spec": spec,
    })
}

fn attach(stage: &Stage, policy: &Value) {
    attach_to(stage, ACCESS_KEY, policy);
}

fn attach_to(stage: &Stage, principal: &str, policy: &Value) {
    let policy = policy.to_string();
    let attached = stage.aws.with(|world| world.attach_policy(principal, &policy));
    attached.expect("a policy that IAM takes");
}

/// The calls that IAM refused so far.
fn refused(stage: &Stage) -> Vec<Call> {
    let denied = |call: &&Call| {
        call.outcome.is_error("AccessDenied") || call.outcome.is_error("AccessDeniedException")
    };
    stage.aws.with(|world| world.calls().iter().filter(denied).cloned().collect())
}

/// The object as `kubectl get -o yaml` gives it, status and all.
async fn live(stage: &Stage) -> Value {
    let object = stage.api().get("kept").await.expect("the object");
    serde_json::to_value(object).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_life_passes_under_exactly_the_printed_policy() {
    let stage = Stage::new("iam-life").await;
    let regions = json!([{"name": REGIONS[0]}, {"name": REGIONS[1]}]);
    let mut spec = json!({
        "domain": DOMAIN, "subdomain": "bounce", "regions": regions, "deletionPolicy": "Delete",
        "behaviorOnMxFailure": "RejectMessage", "dns": {"hostedZoneID": ZONE},
    });
    attach(&stage, &printed(&object(&spec)).await);
    let _operator = stage.operator().await;
    stage.apply("kept", spec.clone()).await;
    stage.ready("kept").await;

    // From the cluster it is narrower still, and enough to mend what others broke.
    let narrow = printed(&live(&stage).await).await;
    let identity = format!("arn:aws:ses:{}:{ACCOUNT}:identity/{DOMAIN}", REGIONS[1]);
    assert_eq!(narrow["Statement"][1]["Resource"][0], identity);
    attach(&stage, &narrow);
    stage.aws.with(|world| {
        world.delete_record_set(ZONE, NAME, RecordType::MX).expect("an MX to take away");
    });
    stage
        .world("the MX to come back", |world| {
            world.record_set(ZONE, NAME, RecordType::MX).map(drop)
        })
        .await;
    assert_eq!(refused(&stage), [], "the policy lacks something");

    // Another name needs another policy: the object says so, and recovers.
    spec["subdomain"] = json!("moved");
    stage.edit("kept", json!({"subdomain": "moved"})).await;
    let said = stage.condition("kept", "Stalled", "True AccessDenied").await;
    assert!(said.contains(&format!("route53:ChangeResourceRecordSets on {MOVED} in ")), "{said}");
    let wider = printed(&live(&stage).await).await;
    attach(&stage, &wider);
    stage.ready("kept").await;
    let only = |call: &Call| call.targets.iter().any(|target| target.starts_with(MOVED));
    assert!(refused(&stage).iter().all(only), "{:?}", refused(&stage));

    let before = refused(&stage).len();
    stage.delete("kept").await;
    stage.gone("kept").await;
    assert_eq!(refused(&stage).len(), before, "{:?}", refused(&stage));
    stage.aws.with(|world| {
        for name in [NAME, MOVED] {
            assert_eq!(world.record_set(ZONE, name, RecordType::MX), None, "{name}");
            assert_eq!(world.record_set(ZONE, name, RecordType::TXT), None, "{name}");
        }
        for region in REGIONS {
            let left = world.mail_from(ACCOUNT, region, DOMAIN).expect("the identity");
            assert_eq!(left.domain, None, "{region}");
        }
    });
}

/// Each statement of the policy, by its id, and what an object says without it.
const WITHOUT: [(&str, &str); 6] = [
    ("ReadIdentities", "ses:GetEmailIdentity on example.com in us-east-1"),
    ("SetMailFrom", "ses:PutEmailIdentityMailFromAttributes on example.com in us-east-1"),
    ("FindZone", "route53:ListHostedZonesByName on"),
    ("ReadRecords", "route53:ListResourceRecordSets on"),
    (
        "PublishRecords",
        "route53:ChangeResourceRecordSets on bounce.example.com in hosted zone Z0EXAMPLE",
    ),
    ("AwaitSync", "route53:GetChange on change C"),
];

#[tokio::test(flavor = "multi_thread")]
async fn each_statement_taken_out_breaks_something_that_the_status_names() {
    let stage = Stage::new("iam-least").await;
    let spec = json!({
        "domain": DOMAIN, "subdomain": "bounce", "regions": [{"name": "us-east-1"}],
        "deletionPolicy": "Delete", "dns": {"hostedZoneID": ZONE},
    });
    let whole = printed(&object(&spec)).await;
    let statements = whole["Statement"].as_array().expect("statements");
    let sids: Vec<&str> = statements.iter().filter_map(|s| s["Sid"].as_str()).collect();
    assert_eq!(sids, WITHOUT.map(|(sid, _)| sid), "a statement that is not tried here");
    let _operator = stage.operator().await;
    let without = WITHOUT.into_iter().enumerate().map(|(index, (sid, named))| {
        let mut less = whole.clone();
        less["Statement"].as_array_mut().expect("statements").remove(index);
        (sid, less, named)
    });
    // Where IAM holds the operator to single identities, each is needed.
    let mut unread = printed_for(&object(&spec), &["--one-by-one"]).await;
    let single = unread.clone();
    unread["Statement"][0]["Resource"] = whole["Statement"][1]["Resource"].clone();
    let name = ("the name", unread, "ses:GetEmailIdentity on bounce.example.com in us-east-1");
    let without = without.map(|(sid, less, named)| (sid, less, named, whole.clone()));
    let name = [(name.0, name.1, name.2, single)];
    for (sid, less, named, enough) in without.chain(name) {
        attach(&stage, &less);
        stage.apply("kept", spec.clone()).await;
        let said = stage.condition("kept", "Stalled", "True AccessDenied").await;
        assert!(said.contains(named), "without {sid}: {said}");
        attach(&stage, &enough);
        stage.ready("kept").await;
        stage.delete("kept").await;
        stage.gone("kept").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_and_operator_live_under_a_printed_policy_each() {
    const SES: &str = "arn:aws:iam::111111111111:role/ses";
    const DNS: &str = "arn:aws:iam::222222222222:role/dns";
    let stage = Stage::bare("iam-roles", instant()).await;
    stage.aws.with(|world| {
        world.add_role(SES, Role::default());
        world.add_role(DNS, Role::default());
        world.set_identity("111111111111", "us-east-1", DOMAIN, true);
        world.create_zone(ZoneSpec::public("222222222222", DOMAIN).id(ZONE)).expect("a zone");
    });
    let spec = json!({
        "domain": DOMAIN, "subdomain": "bounce", "regions": [{"name": "us-east-1"}],
        "deletionPolicy": "Delete", "roleARN": SES, "dns": {"hostedZoneID": ZONE, "roleARN": DNS},
    });
    let object = object(&spec);
    for role in [SES, DNS] {
        attach_to(&stage, role, &printed_for(&object, &["--role-arn", role]).await);
    }
    let operator = printed(&object).await;
    assert_eq!(operator["Statement"].as_array().map(Vec::len), Some(1), "{operator}");
    let mut untagged = operator.clone();
    untagged["Statement"][0]["Action"] = json!("sts:AssumeRole");
    attach(&stage, &untagged);
    let _operator = stage.operator().await;
    stage.apply("kept", spec).await;
    stage
        .until("kept", "a word on the role", |object| {
            let conditions = &object.status.as_ref()?.conditions;
            let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
            let named = [SES, DNS].iter().any(|role| ready.message.contains(role));
            (ready.status == "False" && named).then_some(())
        })
        .await;
    assert!(refused(&stage).iter().all(|call| call.action == "AssumeRole"));
    attach(&stage, &operator);
    stage.ready("kept").await;
    let before = refused(&stage).len();
    stage.delete("kept").await;
    stage.gone("kept").await;
    assert_eq!(refused(&stage).len(), before, "{:?}", refused(&stage));
}
