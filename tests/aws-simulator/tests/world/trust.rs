//! Trust policies given as documents decide who may be a role.

use aws_sdk_sts::config::Credentials;
use aws_sdk_sts::types::Tag;
use aws_simulator::{ACCESS_KEY, ACCOUNT, Role};
use serde_json::{Value, json};

use crate::stage::{Stage, code_of, user};

const ROLE: &str = "arn:aws:iam::210987654321:role/ses";
const OPERATOR: &str = "arn:aws:iam::123456789012:role/operator";
const USER: &str = "arn:aws:iam::123456789012:user/simulated";

/// A stage on which [`OPERATOR`] trusts anybody and [`ROLE`] whom `statements` say.
async fn stage(statements: &Value) -> Stage {
    let stage = Stage::quiet().await;
    stage.simulator.with(|world| {
        world.add_role(OPERATOR, Role::default());
        world.add_role(ROLE, Role::default());
    });
    trust(&stage, statements);
    stage
}

fn trust(stage: &Stage, statements: &Value) {
    let policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string();
    stage.simulator.with(|world| world.trust_policy(ROLE, &policy)).unwrap();
}

fn allow(principal: &str, actions: &[&str], condition: &Value) -> Value {
    json!({
        "Effect": "Allow", "Principal": {"AWS": principal}, "Action": actions,
        "Condition": condition,
    })
}

/// Asks for a session of a role; yields it, or the action that was refused.
async fn assume(
    stage: &Stage,
    who: Credentials,
    role: &str,
    external_id: Option<&str>,
    tags: &[(&str, &str)],
) -> Result<Credentials, String> {
    let tag = |(key, value): &(&str, &str)| Tag::builder().key(*key).value(*value).build().unwrap();
    let call = stage.sts_with(who).assume_role().role_arn(role).role_session_name("me");
    let call = call.set_external_id(external_id.map(str::to_owned));
    let call = call.set_tags(Some(tags.iter().map(tag).collect()));
    match call.send().await {
        Ok(given) => {
            let given = given.credentials().unwrap();
            let token = Some(given.session_token().to_owned());
            let (id, secret) = (given.access_key_id(), given.secret_access_key());
            Ok(Credentials::new(id, secret, token, None, "test"))
        }
        Err(error) => {
            let (code, message) = code_of(&error);
            assert_eq!(code, "AccessDenied");
            let action = message.split("perform: ").nth(1).unwrap();
            Err(action.split(' ').next().unwrap().to_owned())
        }
    }
}

#[tokio::test]
async fn it_names_accounts_users_roles_and_single_sessions() {
    let stage = stage(&json!([])).await;
    let session = assume(&stage, user(ACCESS_KEY), OPERATOR, None, &[]).await.unwrap();
    let account_root = format!("arn:aws:iam::{ACCOUNT}:root");
    let one = "arn:aws:sts::123456789012:assumed-role/operator/me";
    for (principal, as_user, as_role) in [
        ("*", true, true),
        (ACCOUNT, true, true),
        (&account_root, true, true),
        (USER, true, false),
        (OPERATOR, false, true),
        (one, false, true),
        ("arn:aws:sts::123456789012:assumed-role/operator/another", false, false),
        ("arn:aws:iam::123456789012:role/another", false, false),
        ("210987654321", false, false),
    ] {
        trust(&stage, &json!([allow(principal, &["sts:AssumeRole"], &json!({}))]));
        let taken = assume(&stage, user(ACCESS_KEY), ROLE, None, &[]).await;
        assert_eq!(taken.is_ok(), as_user, "{principal} is the user");
        let taken = assume(&stage, session.clone(), ROLE, None, &[]).await;
        assert_eq!(taken.is_ok(), as_role, "{principal} is a session of the role");
    }
    trust(
        &stage,
        &json!([{
            "Effect": "Allow", "Principal": {"Service": "pods.eks.amazonaws.com"}, "Action": "sts:*",
        }]),
    );
    let refused = assume(&stage, session, ROLE, None, &[]).await.unwrap_err();
    assert_eq!(refused, "sts:AssumeRole", "a service is nobody who calls with keys");
}

#[tokio::test]
async fn conditions_hold_of_the_external_id_and_of_each_tag() {
    let external = json!({"StringEquals": {"sts:ExternalId": ["owner/mail", "owner/other"]}});
    let tags = json!({
        "StringEquals": {"aws:RequestTag/namespace": ["mail", "other"]},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["namespace", "cluster"]},
    });
    let stage = stage(&json!([
        allow(ACCOUNT, &["sts:AssumeRole"], &external),
        allow(ACCOUNT, &["sts:TagSession"], &tags),
    ]))
    .await;
    let mail = [("namespace", "mail")];
    let more = [("namespace", "mail"), ("cluster", "owner"), ("team", "a")];
    for (external_id, tags, expected) in [
        (Some("owner/mail"), &mail[..], Ok(())),
        (Some("owner/mail"), &more[..2], Ok(())),
        (Some("owner/mail"), &[], Ok(())),
        (Some("owner/third"), &mail[..], Err("sts:AssumeRole")),
        (None, &mail[..], Err("sts:AssumeRole")),
        (Some("owner/mail"), &[("namespace", "third")], Err("sts:TagSession")),
        (Some("owner/mail"), &[("cluster", "owner")], Err("sts:TagSession")),
        (Some("owner/mail"), &more[..], Err("sts:TagSession")),
    ] {
        let found = assume(&stage, user(ACCESS_KEY), ROLE, external_id, tags).await;
        let found = found.as_ref().map(|_| ()).map_err(String::as_str);
        assert_eq!(found, expected, "{external_id:?} {tags:?}");
    }
}

#[tokio::test]
async fn a_deny_wins_and_the_document_goes_with_its_role() {
    let every = allow("*", &["*"], &json!({}));
    let deny = json!({
        "Effect": "Deny", "Principal": {"AWS": USER}, "Action": "sts:TagSession",
    });
    let stage = stage(&json!([every, deny])).await;
    let mail = [("namespace", "mail")];
    let ask = async |tags| {
        let found = assume(&stage, user(ACCESS_KEY), ROLE, Some("owner/mail"), tags).await;
        found.map(|_| ())
    };
    assert_eq!(ask(&mail).await, Err("sts:TagSession".to_owned()));
    assert_eq!(ask(&[]).await, Ok(()));
    trust(&stage, &json!([]));
    assert_eq!(ask(&[]).await, Err("sts:AssumeRole".to_owned()), "denied by default");
    stage.simulator.with(|world| world.add_role(ROLE, Role::default()));
    assert_eq!(ask(&mail).await, Ok(()), "a new role, which trusts anybody");
}
