#![allow(clippy::unwrap_used)]

use super::document::glob;
use super::*;
use Decision::{Allowed, Explicit, Implicit};

const ZONE: &str = "arn:aws:route53:::hostedzone/Z1";
const IDENTITY: &str = "arn:aws:ses:us-east-1:123456789012:identity/example.com";

fn policy(statements: &str) -> Policy {
    Policy::parse(&format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#)).unwrap()
}

fn allow(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect": "Allow", "Action": "{action}", "Resource": "{resource}"}}"#)
}

#[test]
fn action_and_resource_decide() {
    for (action, resource, asked, on, decision) in [
        ("ses:GetEmailIdentity", IDENTITY, "ses:GetEmailIdentity", IDENTITY, Allowed),
        ("SES:getemailidentity", IDENTITY, "ses:GetEmailIdentity", IDENTITY, Allowed),
        ("ses:Get*", "*", "ses:GetEmailIdentity", IDENTITY, Allowed),
        ("*", "*", "route53:ListHostedZonesByName", "*", Allowed),
        ("ses:GetEmailIdentit?", "*", "ses:GetEmailIdentity", IDENTITY, Allowed),
        ("ses:Get", "*", "ses:GetEmailIdentity", IDENTITY, Implicit),
        ("route53:*", "*", "ses:GetEmailIdentity", IDENTITY, Implicit),
        // The resource is compared with case, segment by segment.
        (
            "ses:*",
            &IDENTITY.replace("example", "Example"),
            "ses:GetEmailIdentity",
            IDENTITY,
            Implicit,
        ),
        (
            "ses:*",
            "arn:aws:ses:*:*:identity/example.com",
            "ses:GetEmailIdentity",
            IDENTITY,
            Allowed,
        ),
        (
            "ses:*",
            "arn:aws:ses:*:identity/example.com:*:*",
            "ses:GetEmailIdentity",
            IDENTITY,
            Implicit,
        ),
        ("ses:*", "arn:aws:ses:*:*:identity/*", "ses:GetEmailIdentity", IDENTITY, Allowed),
        ("ses:*", "arn:aws:ses:eu-*:*:identity/*", "ses:GetEmailIdentity", IDENTITY, Implicit),
        ("ses:*", "arn:aws-us-gov:ses:*:*:identity/*", "ses:GetEmailIdentity", IDENTITY, Implicit),
        // An action without a resource is allowed by `*` alone.
        ("route53:*", "arn:aws:route53:::*", "route53:ListHostedZonesByName", "*", Implicit),
        (
            "route53:*",
            "arn:aws:route53:::change/*",
            "route53:GetChange",
            "arn:aws:route53:::change/C1",
            Allowed,
        ),
        (
            "route53:*",
            "arn:aws:route53:::change/*",
            "route53:ChangeResourceRecordSets",
            ZONE,
            Implicit,
        ),
    ] {
        let found = policy(&allow(action, resource)).decide(&Question::new(asked, on));
        assert_eq!(found, decision, "{action} on {resource} for {asked} on {on}");
    }
}

#[test]
fn a_deny_wins_wherever_it_stands_and_negations_negate() {
    let deny = r#"{"Effect": "Deny", "Action": ["ses:Put*", "ses:Delete*"], "Resource": "*"}"#;
    let question = |action: &str| Question::new(action, IDENTITY);
    for order in [format!("{deny}, {}", allow("*", "*")), format!("{}, {deny}", allow("*", "*"))] {
        let policy = policy(&order);
        assert_eq!(policy.decide(&question("ses:PutEmailIdentityMailFromAttributes")), Explicit);
        assert_eq!(policy.decide(&question("ses:GetEmailIdentity")), Allowed);
    }
    assert_eq!(policy(deny).decide(&question("ses:GetEmailIdentity")), Implicit);
    let not = format!(r#"{{"Effect": "Allow", "NotAction": "ses:Put*", "NotResource": "{ZONE}"}}"#);
    assert_eq!(policy(&not).decide(&question("ses:GetEmailIdentity")), Allowed);
    assert_eq!(policy(&not).decide(&question("ses:PutX")), Implicit);
    assert_eq!(policy(&not).decide(&Question::new("route53:X", ZONE)), Implicit);
}

#[test]
fn conditions_are_as_the_user_guide_says() {
    let holds = |operator: &str, values: &str, asked: Option<&[&str]>| {
        let statement = format!(
            r#"{{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {{"{operator}": {{"route53:Key": {values}}}}}}}"#
        );
        let question = Question::new("route53:ChangeResourceRecordSets", ZONE);
        let question = match asked {
            Some(values) => question.with("Route53:KEY", values.iter().copied()),
            None => question,
        };
        policy(&statement).decide(&question) == Allowed
    };
    let (ab, a) = (r#"["a", "b"]"#, r#""a""#);
    for (operator, values, asked, expected) in [
        ("StringEquals", ab, Some(&["b"] as &[_]), true),
        ("StringEquals", ab, Some(&["B"]), false),
        ("StringEquals", ab, Some(&["c"]), false),
        ("StringEquals", r#""*""#, Some(&["c"]), false),
        ("StringEquals", ab, None, false),
        ("StringEqualsIfExists", ab, None, true),
        ("StringEqualsIfExists", ab, Some(&["c"]), false),
        ("StringEqualsIgnoreCase", ab, Some(&["B"]), true),
        ("StringNotEquals", ab, Some(&["b"]), false),
        ("StringNotEquals", ab, Some(&["c"]), true),
        ("StringNotEquals", ab, None, true),
        ("StringLike", r#"["x?z", "a*"]"#, Some(&["abc"]), true),
        ("StringLike", r#"["x?z", "a*"]"#, Some(&["xz"]), false),
        ("StringNotLike", r#""a*""#, Some(&["abc"]), false),
        ("ForAllValues:StringEquals", ab, Some(&["a", "b", "a"]), true),
        ("ForAllValues:StringEquals", ab, Some(&["a", "c"]), false),
        // A request without the key satisfies it: a trap worth knowing.
        ("ForAllValues:StringEquals", ab, None, true),
        ("ForAllValues:StringEquals", ab, Some(&[]), true),
        ("ForAllValues:StringLike", r#""*.example.com""#, Some(&["a.example.com"]), true),
        ("ForAllValues:StringNotEquals", a, Some(&["b", "c"]), true),
        ("ForAllValues:StringNotEquals", a, Some(&["a", "c"]), false),
        ("ForAnyValue:StringEquals", a, Some(&["c", "a"]), true),
        ("ForAnyValue:StringEquals", a, Some(&["c"]), false),
        ("ForAnyValue:StringEquals", a, None, false),
        ("Null", r#""true""#, None, true),
        ("Null", r#""true""#, Some(&["a"]), false),
        ("Null", r#""false""#, Some(&["a"]), true),
        ("Bool", r#""true""#, Some(&["true"]), true),
        ("ArnLike", r#""arn:aws:iam::*:role/x""#, Some(&["arn:aws:iam::1:role/x"]), true),
        ("ArnLike", r#""arn:aws:iam::*:role/x""#, Some(&["arn:aws:iam::1:role/y"]), false),
    ] {
        assert_eq!(holds(operator, values, asked), expected, "{operator} {values} {asked:?}");
    }
}

#[test]
fn every_condition_of_a_statement_must_hold() {
    let statement = r#"{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {
        "ForAllValues:StringEquals": {"k:Names": "n", "k:Types": ["MX", "TXT"]},
        "StringEquals": {"k:Who": "me"}}}"#;
    let asked = |name: &str, kind: &str, who: &str| {
        Question::new("a:B", ZONE)
            .with("k:Names", [name])
            .with("k:Types", [kind])
            .with("k:Who", [who])
    };
    let policy = policy(statement);
    assert_eq!(policy.decide(&asked("n", "MX", "me")), Allowed);
    for question in [asked("o", "MX", "me"), asked("n", "A", "me"), asked("n", "MX", "you")] {
        assert_eq!(policy.decide(&question), Implicit, "{question:?}");
    }
}

#[test]
fn what_cannot_be_enforced_is_refused() {
    let statement = |more: &str| {
        format!(r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", {more}}}}}"#)
    };
    let whole = r#""Action": "*", "Resource": "*""#;
    assert!(Policy::parse(&statement(whole)).is_ok());
    let twice = format!(
        r#"{{"Version": "2012-10-17", "Statement": [{0}, {0}]}}"#,
        r#"{"Sid": "A", "Effect": "Allow", "Action": "*", "Resource": "*"}"#
    );
    for (text, part) in [
        ("{}".to_owned(), "malformed"),
        (statement(whole).replace("2012-10-17", "2008-10-17"), "version"),
        (statement(&format!(r#"{whole}, "Sid": "not-this""#)), "statement id"),
        (twice, "there twice"),
        (statement(r#""Action": "*""#), "Resource or NotResource"),
        (statement(r#""Resource": "*""#), "Action or NotAction"),
        (statement(&format!(r#"{whole}, "NotAction": "*""#)), "Action or NotAction"),
        (statement(&format!(r#"{whole}, "Principal": "*""#)), "prohibited element Principal"),
        (statement(r#""Action": "*", "Resource": "identity/x""#), "neither an ARN"),
        (
            statement(&format!(r#"{whole}, "Condition": {{"StringSame": {{"a": "b"}}}}"#)),
            "StringSame",
        ),
        (
            statement(&format!(r#""Action": "{}", "Resource": "*""#, "x".repeat(6_144))),
            "characters",
        ),
    ] {
        let error = Policy::parse(&text).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn wildcards_stand_for_characters() {
    for (pattern, text, matches) in [
        ("", "", true),
        ("*", "", true),
        ("a*c", "abbc", true),
        ("a*c", "abbcd", false),
        ("a?c", "ac", false),
        ("*.*", "a.b.c", true),
        ("\u{e9}?", "\u{e9}\u{e9}", true),
    ] {
        assert_eq!(glob(pattern, text), matches, "{pattern} {text}");
    }
}

#[test]
fn a_trust_policy_names_somebody_and_no_resource() {
    let parse = |statement: &str| {
        let text = format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#);
        Trust::parse(&text).err()
    };
    let to = |principal: &str| {
        parse(&format!(
            r#"{{"Effect": "Allow", "Principal": {principal}, "Action": "sts:AssumeRole"}}"#
        ))
    };
    for principal in [
        r#""*""#,
        r#"{"AWS": "*"}"#,
        r#"{"AWS": ["123456789012", "arn:aws:iam::123456789012:root"]}"#,
        r#"{"AWS": "arn:aws:sts::123456789012:assumed-role/op/me", "Service": "ec2.amazonaws.com"}"#,
        r#"{"Federated": "arn:aws:iam::123456789012:oidc-provider/oidc.example"}"#,
    ] {
        assert_eq!(to(principal), None, "{principal}");
    }
    for (principal, named) in [
        (r#"{"AWS": "arn:aws:iam::123456789012:role/*"}"#, "arn:aws:iam::123456789012:role/*"),
        (
            r#"{"AWS": "arn:aws:iam::123456789012:group/all"}"#,
            "arn:aws:iam::123456789012:group/all",
        ),
        (r#"{"AWS": "operator"}"#, "operator"),
        (r#"{"Role": "operator"}"#, "Role"),
    ] {
        assert_eq!(to(principal), Some(PolicyError::Principal(named.to_owned())));
    }
    let nobody = r#"{"Effect": "Allow", "Action": "sts:AssumeRole"}"#;
    assert_eq!(parse(nobody), Some(PolicyError::Principal(String::new())));
    let on = r#"{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}"#;
    assert_eq!(parse(on), Some(PolicyError::Prohibited("Resource")));
    let long = format!(r#"{{"AWS": "arn:aws:iam::123456789012:role/{}"}}"#, "x".repeat(2_000));
    assert!(matches!(to(&long), Some(PolicyError::TooLong(_, 2_048))));
    let attached = Policy::parse(&format!(r#"{{"Version": "2012-10-17", "Statement": [{on}]}}"#));
    assert_eq!(attached.err(), Some(PolicyError::Prohibited("Principal")));
}
