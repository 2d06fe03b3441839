//! A role that trusts exactly whom `iam-policy --trust assumed-role` says: the
//! operator, on behalf of the namespaces that it was printed for.

use aws_simulator::{ACCOUNT, RecordType, Role, World, ZoneSpec};
use serde_json::json;
use tokio::process::Command;

use crate::stage::{DOMAIN, NAME, REGIONS, Stage, ZONE, instant};

const SES: &str = "111111111111";
const SES_ROLE: &str = "arn:aws:iam::111111111111:role/ses";
const OPERATOR: &str = "arn:aws:iam::123456789012:role/operator";
const OWNER: &str = "e2e-cluster";
const OBJECT: &str = "example";

/// What `ses-mailfrom iam-policy --trust assumed-role` prints.
async fn printed(operator: &str, owner_id: &str, namespaces: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ses-mailfrom"))
        .args(["iam-policy", "--trust", "assumed-role", "--operator-role", operator])
        .args(["--owner-id", owner_id])
        .args(namespaces.iter().flat_map(|name| ["--namespace", name]))
        .output()
        .await
        .expect("the binary");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("text")
}

fn trust(stage: &Stage, policy: &str) {
    let given = stage.aws.with(|world| world.trust_policy(SES_ROLE, policy));
    given.expect("a trust policy that IAM takes");
}

/// How often roles were asked for.
fn asked(world: &World) -> usize {
    world.calls_of("AssumeRole").count()
}

/// The identity in another account, and the operator with a session of its role.
async fn stage() -> Stage {
    let mut stage = Stage::bare("trust", instant()).await.flag("--owner-id", OWNER);
    let (access_key, token) = stage.aws.with(|world| {
        world.add_role(OPERATOR, Role::default());
        world.add_role(SES_ROLE, Role::default());
        world.set_identity(SES, REGIONS[0], DOMAIN, true);
        world.create_zone(ZoneSpec::public(ACCOUNT, DOMAIN).id(ZONE)).expect("a zone");
        world.give_session(OPERATOR, "pod")
    });
    let launch = stage.launch.env("AWS_ACCESS_KEY_ID", &access_key);
    stage.launch = launch.env("AWS_SESSION_TOKEN", &token);
    stage
}

#[tokio::test]
async fn the_printed_trust_policy_lets_in_the_operator_for_its_namespaces_alone() {
    let stage = stage().await;
    let namespace = stage.namespace.clone();
    let external_id = format!("external id {OWNER}/{namespace}");
    trust(&stage, &printed(OPERATOR, OWNER, &["another"]).await);
    let _operator = stage.operator().await;
    let spec = json!({
        "regions": [{"name": REGIONS[0]}], "roleARN": SES_ROLE, "deletionPolicy": "Delete",
    });
    stage.apply(OBJECT, spec).await;
    // Trusted for another namespace, for another cluster, and of another operator.
    let stranger = "arn:aws:iam::123456789012:role/stranger";
    for policy in [
        printed(OPERATOR, OWNER, &["another"]).await,
        printed(OPERATOR, "another-cluster", &[&namespace]).await,
        printed(stranger, OWNER, &[&namespace]).await,
    ] {
        trust(&stage, &policy);
        let before = stage.aws.with(|world| asked(world));
        let again = |world: &World| (asked(world) > before).then_some(());
        stage.world("another try to assume the role", again).await;
        let said = stage.condition(OBJECT, "Stalled", "True RoleNotAssumable").await;
        for part in [SES_ROLE, "sts:AssumeRole", &external_id, "trust policy"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        assert!(stage.writes().is_empty(), "{:?}", stage.writes());
    }
    trust(&stage, &printed(OPERATOR, OWNER, &["another", &namespace]).await);
    stage.ready(OBJECT).await;
    stage.delete(OBJECT).await;
    stage.gone(OBJECT).await;
    stage.aws.with(|world| {
        assert_eq!(world.record_set(ZONE, NAME, RecordType::MX), None);
        assert_eq!(world.mail_from(SES, REGIONS[0], DOMAIN).expect("the identity").domain, None);
    });
}

#[tokio::test]
async fn without_leave_to_tag_the_session_the_role_is_refused_and_says_so() {
    let stage = stage().await;
    let whole = printed(OPERATOR, OWNER, &[&stage.namespace]).await;
    let mut untagged: serde_json::Value = serde_json::from_str(&whole).expect("JSON");
    let taken = untagged["Statement"].as_array_mut().expect("statements").pop();
    assert_eq!(taken.expect("a statement")["Action"], "sts:TagSession");
    trust(&stage, &untagged.to_string());
    let _operator = stage.operator().await;
    let spec = json!({
        "regions": [{"name": REGIONS[0]}], "roleARN": SES_ROLE, "deletionPolicy": "Delete",
    });
    stage.apply(OBJECT, spec).await;
    let said = stage.condition(OBJECT, "Stalled", "True RoleNotAssumable").await;
    for part in [SES_ROLE, "sts:TagSession", "trust policy"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    trust(&stage, &whole);
    stage.ready(OBJECT).await;
}
