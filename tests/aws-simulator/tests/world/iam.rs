//! What IAM refuses, in the words and shapes of each service.

use aws_sdk_route53::types::{ChangeAction, RrType};
use aws_simulator::{ACCESS_KEY, Role};

use crate::stage::{MX, REGION, Stage, batch, code_of, quiet, set, user};

const ME: &str = "arn:aws:iam::123456789012:user/simulated";
const IDENTITY: &str = "arn:aws:ses:us-east-1:123456789012:identity/example.com";

fn attach(stage: &Stage, principal: &str, statements: &str) {
    let policy = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
    stage.simulator.with(|world| world.attach_policy(principal, &policy)).unwrap();
}

fn allow(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect": "Allow", "Action": "{action}", "Resource": "{resource}"}}"#)
}

#[tokio::test]
async fn each_service_says_in_its_shape_what_is_denied_on_what() {
    let (stage, zone) = Stage::example(quiet()).await;
    attach(&stage, ACCESS_KEY, &allow("ses:ListEmailIdentities", "*"));
    let implicit = |code: &str, action: &str, on: &str| {
        let text = format!(
            "User: {ME} is not authorized to perform: {action} on resource: {on} because no identity-based policy allows the {action} action"
        );
        (code.to_owned(), text)
    };
    let ses = stage.ses(REGION);
    let get = ses.get_email_identity().email_identity("example.com").send().await;
    let expected = implicit("AccessDeniedException", "ses:GetEmailIdentity", IDENTITY);
    assert_eq!(code_of(&get.unwrap_err()), expected);
    ses.list_email_identities().send().await.unwrap();

    let route53 = stage.route53();
    let list = route53.list_hosted_zones_by_name().send().await;
    let expected = implicit("AccessDenied", "route53:ListHostedZonesByName", "*");
    assert_eq!(code_of(&list.unwrap_err()), expected);
    let read = route53.list_resource_record_sets().hosted_zone_id(&zone).send().await;
    let on = format!("arn:aws:route53:::hostedzone/{zone}");
    let expected = implicit("AccessDenied", "route53:ListResourceRecordSets", &on);
    assert_eq!(code_of(&read.unwrap_err()), expected);
    let poll = route53.get_change().id("C1").send().await;
    let expected = implicit("AccessDenied", "route53:GetChange", "arn:aws:route53:::change/C1");
    assert_eq!(code_of(&poll.unwrap_err()), expected);

    stage.sts(ACCESS_KEY).get_caller_identity().send().await.unwrap();
    stage.simulator.with(|world| world.detach_policy(ACCESS_KEY));
    route53.list_hosted_zones_by_name().send().await.unwrap();
}

#[tokio::test]
async fn a_change_is_judged_by_every_name_type_and_action_in_it() {
    let (stage, zone) = Stage::example(quiet()).await;
    let key = |name: &str| format!("route53:ChangeResourceRecordSets{name}");
    let statement = format!(
        r#"{{"Effect": "Allow", "Action": "route53:ChangeResourceRecordSets",
            "Resource": "arn:aws:route53:::hostedzone/{zone}",
            "Condition": {{"ForAllValues:StringEquals": {{
                "{}": ["bounce.example.com", "\\052.example.com"],
                "{}": ["MX", "TXT"], "{}": ["CREATE", "DELETE"]}}}}}}"#,
        key("NormalizedRecordNames"),
        key("RecordTypes"),
        key("Actions")
    );
    attach(&stage, ACCESS_KEY, &statement);
    let route53 = stage.route53();
    let change = async |action: ChangeAction, name: &str, kind: RrType, value: &str| {
        let first = (ChangeAction::Create, set("bounce.example.com", RrType::Txt, 60, &["\"a\""]));
        let batch = batch([first, (action, set(name, kind, 60, &[value]))]);
        let sent = route53.change_resource_record_sets().hosted_zone_id(&zone).change_batch(batch);
        sent.send().await.map_err(|error| code_of(&error).0)
    };
    for (action, name, kind, value) in [
        (ChangeAction::Upsert, "bounce.example.com", RrType::Mx, MX),
        (ChangeAction::Create, "other.example.com", RrType::Mx, MX),
        (ChangeAction::Create, "bounce.example.com", RrType::A, "192.0.2.1"),
    ] {
        let refused = change(action.clone(), name, kind, value).await.unwrap_err();
        assert_eq!(refused, "AccessDenied", "{action:?} {name}");
    }
    assert!(stage.simulator.with(|world| {
        world.record_set(&zone, "bounce.example.com", aws_simulator::RecordType::TXT).is_none()
    }));
    change(ChangeAction::Create, "*.Example.com.", RrType::Mx, MX).await.unwrap();
}

#[tokio::test]
async fn a_session_has_the_policy_of_its_role_and_a_deny_says_so() {
    const ROLE: &str = "arn:aws:iam::210987654321:role/dns";
    let stage = Stage::quiet().await;
    stage.simulator.with(|world| world.add_role(ROLE, Role::default()));
    let deny = r#"{"Effect": "Deny", "Action": "*", "Resource": "*"}"#;
    attach(&stage, ROLE, &format!("{deny}, {}", allow("*", "*")));
    attach(&stage, ACCESS_KEY, &allow("sts:AssumeRole", ROLE));
    let sts = stage.sts_with(user(ACCESS_KEY));
    let given = sts.assume_role().role_arn(ROLE).role_session_name("me").send().await.unwrap();
    let given = given.credentials().unwrap();
    let credentials = aws_sdk_sts::config::Credentials::new(
        given.access_key_id(),
        given.secret_access_key(),
        Some(given.session_token().to_owned()),
        None,
        "test",
    );
    let refused = stage.route53_with(credentials).list_hosted_zones_by_name().send().await;
    let (code, message) = code_of(&refused.unwrap_err());
    assert_eq!(code, "AccessDenied");
    let who = "arn:aws:sts::210987654321:assumed-role/dns/me";
    assert!(message.starts_with(&format!("User: {who} is not authorized")), "{message}");
    assert!(message.ends_with("with an explicit deny in an identity-based policy"), "{message}");
}
