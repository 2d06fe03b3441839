#![allow(clippy::unwrap_used, clippy::panic)]
use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::cli::{Cli, Command};

fn flags(arguments: &str) -> Result<IamPolicyFlags, clap::Error> {
    let words = ["ses-mailfrom", "iam-policy"].into_iter().chain(arguments.split_whitespace());
    match Cli::try_parse_from(words)?.command {
        Command::IamPolicy(flags) => Ok(*flags),
        other => panic!("{other:?}"),
    }
}

fn object(metadata: &str, spec: &str, status: &str) -> String {
    format!(
        "apiVersion: mailfrom.dev/v1alpha1\nkind: SesMailFrom\nmetadata: {metadata}\nspec: {spec}\n{status}---\n"
    )
}

fn policy(objects: &str, parts: &[Part]) -> Value {
    let need = Need::of(&parse(objects).unwrap(), Holder::Operator).unwrap();
    serde_json::to_value(iam::policy(&need, parts, Reads::OneByOne)).unwrap()
}

/// Statement ids with their resources.
fn resources(policy: &Value) -> Vec<(String, Vec<String>)> {
    let statements = policy["Statement"].as_array().unwrap();
    let texts = |value: &Value| match value {
        Value::String(text) => vec![text.clone()],
        list => serde_json::from_value(list.clone()).unwrap(),
    };
    let named = |s: &Value| (s["Sid"].as_str().unwrap().to_owned(), texts(&s["Resource"]));
    statements.iter().map(named).collect()
}

#[test]
fn without_objects_the_policy_is_for_any() {
    let flags = flags("--partition aws-us-gov --role dns").unwrap();
    let policy =
        serde_json::to_value(iam::policy(&flags.need().unwrap(), flags.parts(), flags.reads()));
    let expected = ["*", "hostedzone/*", "hostedzone/*", "change/*"].map(|resource| {
        let arn = format!("arn:aws-us-gov:route53:::{resource}");
        vec![if resource == "*" { resource.to_owned() } else { arn }]
    });
    let policy = policy.unwrap();
    assert_eq!(resources(&policy).into_iter().map(|(_, r)| r).collect::<Vec<_>>(), expected);
    assert!(policy["Statement"][2]["Condition"].to_string().contains("RecordTypes"));
    assert!(!policy.to_string().contains("RecordNames"));
}

#[test]
fn a_document_that_iam_would_not_take_is_told() {
    let trusting = |namespaces: usize| {
        let named = (0..namespaces).map(|n| format!("--namespace team-{n:03} "));
        let named = named.collect::<String>();
        let line = format!(
            "--trust assumed-role --operator-role arn:aws:iam::123456789012:role/op --owner-id owner {named}"
        );
        let flags = flags(line.trim()).unwrap();
        flags.trust(Trusted::AssumedRole).unwrap().document().length()
    };
    assert_eq!(too_long(trusting(20), true), None);
    let told = too_long(trusting(80), true).unwrap();
    assert!(told.contains("more than the 2048 of a trust policy"), "{told}");
    assert_eq!(too_long(trusting(80), false), None, "of a managed policy it is not too long");
    assert!(too_long(6_145, false).is_some());
}

#[test]
fn objects_narrow_it_to_their_regions_names_zones_and_accounts() {
    let first = object(
        "{name: a, namespace: mail}",
        "{domain: Example.com, subdomain: bounce, regions: [{name: us-east-1}, {name: eu-west-1, subdomain: eu}], dns: {hostedZoneID: Z1}}",
        "status:\n  regions: [{name: us-east-1, account: '123456789012', sending: Unknown}, {name: us-west-2, sending: Unknown}]\n  \
         records: [{name: old.example.com, type: MX, ttlSeconds: 300, values: [], zone: Z2, state: Draining}]\n",
    );
    let second = object(
        "{name: b, namespace: mail}",
        "{domain: example.org, subdomain: m, regions: [{name: us-east-1, subdomain: own}]}",
        "",
    );
    let other = "apiVersion: v1\nkind: Namespace\nmetadata: {name: mail}\n---\n";
    let policy = policy(&(first + other + &second), &[Part::Ses, Part::Dns]);
    let arn = |region: &str, account: &str, name: &str| {
        format!("arn:aws:ses:{region}:{account}:identity/{name}")
    };
    let identities = vec![
        arn("eu-west-1", "*", "example.com"),
        arn("us-east-1", "*", "example.org"),
        arn("us-east-1", "123456789012", "example.com"),
        arn("us-west-2", "*", "example.com"),
    ];
    // A MAIL FROM domain is looked for among the identities of its region.
    let mut read = identities.clone();
    read.extend([
        arn("eu-west-1", "*", "eu.example.com"),
        arn("us-east-1", "*", "own.example.org"),
        arn("us-east-1", "123456789012", "bounce.example.com"),
    ]);
    read.sort();
    let zone = |id: &str| vec![format!("arn:aws:route53:::hostedzone/{id}")];
    let expected = [
        ("ReadIdentities", read),
        ("SetMailFrom", identities),
        ("FindZone", vec!["*".to_owned()]),
        ("ReadRecords", zone("*")),
        ("PublishRecordsInAnyZone", zone("*")),
        ("PublishRecordsInZ1", zone("Z1")),
        ("PublishRecordsInZ2", zone("Z2")),
        ("AwaitSync", vec!["arn:aws:route53:::change/*".to_owned()]),
    ];
    assert_eq!(resources(&policy), expected.map(|(sid, r)| (sid.to_owned(), r)));
    let key = "route53:ChangeResourceRecordSetsNormalizedRecordNames";
    let names = |at: usize| {
        let condition = &policy["Statement"][at]["Condition"]["ForAllValues:StringEquals"];
        condition[key].clone()
    };
    // Nothing stands at spec.subdomain where every region has its own.
    assert_eq!(names(4), json!("own.example.org"));
    assert_eq!(names(5), json!(["bounce.example.com", "eu.example.com"]));
    assert_eq!(names(6), json!("old.example.com"));
}

#[test]
fn each_role_gets_what_objects_name_it_for_and_the_operator_the_rest() {
    let (ses, dns) = ("arn:aws:iam::111111111111:role/ses", "arn:aws:iam::222222222222:role/dns");
    let spec = |domain: &str, roles: &str| {
        format!("{{domain: {domain}, subdomain: b, regions: [{{name: us-east-1}}], {roles}}}")
    };
    let objects = [
        spec("example.com", &format!("roleARN: '{ses}', dns: {{roleARN: '{dns}'}}")),
        spec("example.net", &format!("roleARN: '{ses}'")),
        spec("example.org", ""),
    ];
    let objects = objects.map(|spec| object("{name: a}", &spec, "")).concat();
    let objects = parse(&objects).unwrap();
    let sids = |holder: Holder<'_>| {
        let need = Need::of(&objects, holder).unwrap();
        let policy = iam::policy(&need, &[Part::Ses, Part::Dns], Reads::OneByOne);
        let policy = serde_json::to_value(policy).unwrap();
        let shown = policy.to_string();
        let domains = ["example.com", "example.net", "example.org"];
        let of: Vec<_> = domains.into_iter().filter(|domain| shown.contains(domain)).collect();
        (resources(&policy), of)
    };
    let of_role = |arn: &str| sids(Holder::Role(&RoleArn::parse(arn).unwrap()));
    let named = |resources: Vec<(String, Vec<String>)>| {
        resources.into_iter().map(|(sid, _)| sid).collect::<Vec<_>>()
    };
    let (found, domains) = of_role(ses);
    assert_eq!(named(found), ["ReadIdentities", "SetMailFrom"]);
    assert_eq!(domains, ["example.com", "example.net"]);
    let (found, domains) = of_role(dns);
    assert_eq!(named(found), ["FindZone", "ReadRecords", "PublishRecords", "AwaitSync"]);
    assert_eq!(domains, ["example.com"]);
    let (found, _) = sids(Holder::Operator);
    let assumed = found.last().unwrap();
    assert_eq!(*assumed, ("AssumeRoles".to_owned(), vec![ses.to_owned(), dns.to_owned()]));
    assert_eq!(found[0].1.len(), 2, "one identity and its MAIL FROM domain: {found:?}");
    let other = RoleArn::parse("arn:aws:iam::111111111111:role/other").unwrap();
    assert!(Need::of(&objects, Holder::Role(&other)).unwrap().is_empty());
}

#[test]
fn lists_are_looked_into_and_what_would_widen_a_policy_is_refused() {
    let spec = r#""spec": {"domain": "example.com", "subdomain": "b", "regions": [{"name": "us-east-1"}]}"#;
    let item = |spec: &str| {
        format!(
            r#"{{"apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom", "metadata": {{"name": "a"}}, {spec}}}"#
        )
    };
    let list = format!(r#"{{"kind": "List", "items": [{0}, {0}]}}"#, item(spec));
    assert_eq!(parse(&list).unwrap().len(), 2);
    for (bad, part) in [
        (spec.replace("example.com", "*.example.com"), "not a lower-case DNS name"),
        (spec.replace("us-east-1", "*"), "is not a region"),
        (spec.replace("\"b\"", "\"*\""), "not a lower-case DNS name"),
        (
            format!(
                r#"{spec}, "status": {{"regions": [{{"name": "us-east-1", "account": "*", "sending": "Unknown"}}]}}"#
            ),
            "account id",
        ),
        (spec.replace("\"regions\"", r#""dns": {"hostedZoneID": "*"}, "regions""#), "hosted zone"),
        (spec.replace("us-east-1\"}", "us-east-1\"}, {\"name\": \"us-gov-west-1\"}"), "partition"),
    ] {
        let error =
            Need::of(&parse(&item(&bad)).unwrap(), Holder::Operator).unwrap_err().to_string();
        assert!(error.starts_with("default/a: ") && error.contains(part), "{error}");
    }
}

#[test]
fn trust_policies_name_whom_they_trust_under_which_conditions() {
    let trust = |arguments: &str| {
        let flags = flags(arguments).unwrap();
        let document = flags.trust(flags.trust.unwrap()).unwrap().document();
        serde_json::to_value(document).unwrap()["Statement"].clone()
    };
    let irsa =
        trust("--trust irsa --account 123456789012 --oidc-provider https://oidc.example/id/A");
    let provider = "arn:aws:iam::123456789012:oidc-provider/oidc.example/id/A";
    assert_eq!(irsa[0]["Principal"], json!({"Federated": provider}));
    assert_eq!(irsa[0]["Action"], "sts:AssumeRoleWithWebIdentity");
    let subject = "system:serviceaccount:ses-mailfrom-system:ses-mailfrom";
    let keys =
        json!({"oidc.example/id/A:aud": "sts.amazonaws.com", "oidc.example/id/A:sub": subject});
    assert_eq!(irsa[0]["Condition"], json!({"StringEquals": keys}));

    let pod = trust("--trust pod-identity --service-account a/b");
    assert_eq!(pod[0]["Principal"], json!({"Service": "pods.eks.amazonaws.com"}));
    assert_eq!(pod[0]["Action"], json!(["sts:AssumeRole", "sts:TagSession"]));
    let tags = json!({"aws:RequestTag/kubernetes-namespace": "a", "aws:RequestTag/kubernetes-service-account": "b"});
    assert_eq!(pod[0]["Condition"], json!({"StringEquals": tags}));

    let role = "arn:aws:iam::123456789012:role/ses-mailfrom";
    let assumed = trust(&format!(
        "--trust assumed-role --operator-role {role} --owner-id me --namespace mail --namespace ads"
    ));
    assert_eq!(assumed[0]["Principal"], json!({"AWS": role}));
    let ids = json!({"StringEquals": {"sts:ExternalId": ["me/mail", "me/ads"]}});
    assert_eq!(assumed[0]["Condition"], ids);
    assert_eq!(assumed[1]["Action"], "sts:TagSession");
}

#[test]
fn what_a_document_needs_must_be_given() {
    for arguments in [
        "--trust irsa",
        "--trust irsa --account 1 --oidc-provider a",
        "--trust assumed-role --owner-id me --namespace mail",
        "--trust assumed-role --operator-role arn:aws:iam::123456789012:role/* --owner-id me --namespace m",
        "--trust irsa -f a.yaml",
        "--role both",
        "--trust pod-identity --service-account ab",
    ] {
        assert!(flags(arguments).is_err(), "{arguments}");
    }
}
