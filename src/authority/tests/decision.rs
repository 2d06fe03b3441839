//! One table: what is asked, under which policies, and what comes of it.

use super::*;

fn denied(wish: &Wish, policies: &Policies) -> String {
    wish.under(policies).expect_err("denied").to_string()
}

#[test]
fn without_a_policy_nothing_is_allowed() {
    let said = denied(&Wish::new("mail", "example.org"), &Policies::default());
    assert_eq!(said, "no SesMailFromPolicy is for the namespace mail");
}

#[test]
fn a_namespace_is_selected_by_its_labels() {
    let wish = Wish::new("mail", "example.org");
    let by = |selector: Value| {
        wish.under(&policies(vec![("p", policy(&json!({"namespaceSelector": selector})))])).is_ok()
    };
    assert!(by(json!({})));
    assert!(by(json!({"matchLabels": {"name": "mail"}})));
    assert!(!by(json!({"matchLabels": {"name": "news"}})));
    assert!(!by(json!({"matchLabels": {"name": "mail", "team": "x"}})), "all must hold");
    let expression = |operator: &str, values: Value| {
        by(json!({"matchExpressions": [{"key": "name", "operator": operator, "values": values}]}))
    };
    assert!(expression("In", json!(["news", "mail"])));
    assert!(!expression("NotIn", json!(["news", "mail"])));
    assert!(expression("Exists", json!(null)));
    assert!(!expression("DoesNotExist", json!(null)));
}

#[test]
fn a_domain_is_allowed_exactly_by_wildcard_or_with_all() {
    for (pattern, allowed, refused) in [
        ("example.org", vec!["example.org"], vec!["a.example.org", "org", "xexample.org"]),
        ("*.example.org", vec!["a.example.org", "a.b.example.org"], vec!["example.org", "a.org"]),
        ("*", vec!["example.org", "a.b.c.example"], vec![]),
    ] {
        let policies = policies(vec![("p", policy(&json!({"domains": [pattern]})))]);
        for identity in allowed {
            assert_eq!(Wish::new("mail", identity).under(&policies), Ok(()), "{pattern}");
        }
        for identity in refused.into_iter().filter(|identity| *identity != "org") {
            let said = denied(&Wish::new("mail", identity), &policies);
            let expected = format!(
                "no SesMailFromPolicy for the namespace mail allows the domain {identity} (spec.domain)"
            );
            assert_eq!(said, expected);
        }
    }
}

#[test]
fn each_field_denies_what_it_does_not_name() {
    let policies = policies(vec![(
        "team",
        policy(&json!({
            "domains": ["example.org"], "regions": ["us-east-1"], "roleARNs": [ROLE],
            "ambientCredentials": "Deny", "spfIncludes": ["spf.other.example"],
        })),
    )]);
    let mut wish = Wish::new("mail", "example.org");
    wish.credentials = on_roles(ROLE, "mail");
    wish.includes = ["SPF.other.example".to_owned()].into();
    assert_eq!(wish.under(&policies), Ok(()), "SPF names have no case");
    let said = |change: &dyn Fn(&mut Wish)| {
        let mut wish = wish.clone();
        change(&mut wish);
        denied(&wish, &policies)
    };
    let start = "the SesMailFromPolicy team allows example.org, but not ";
    for (change, lack) in [
        (
            Box::new(|wish: &mut Wish| wish.places.extend([region("eu-west-1")]))
                as Box<dyn Fn(&mut Wish)>,
            "the region eu-west-1",
        ),
        (
            Box::new(|wish| wish.credentials.ses = Credentials::Ambient),
            "the operator's own AWS credentials, which an object without spec.roleARN uses",
        ),
        (
            Box::new(|wish| wish.credentials.route53 = Credentials::Ambient),
            "the operator's own AWS credentials, which an object without spec.dns.roleARN uses",
        ),
        (
            Box::new(|wish| {
                wish.credentials.route53 = role("arn:aws:iam::111111111111:role/x", "mail");
            }),
            "the role arn:aws:iam::111111111111:role/x (spec.dns.roleARN)",
        ),
        (
            Box::new(|wish| wish.credentials.ses = role(ROLE, "news")),
            "the role arn:aws:iam::123456789012:role/mail-from (spec.roleARN)",
        ),
        (
            Box::new(|wish| wish.includes.extend(["z.example\n".to_owned()])),
            "the sender z.example\\n (spec.dns.spf.include)",
        ),
        (
            Box::new(|wish| wish.take_over = true),
            "taking over a marker (its spec.takeOver is Deny)",
        ),
    ] {
        assert_eq!(said(&change), format!("{start}{lack}"));
    }
}

#[test]
fn what_is_left_out_is_any_region_but_no_role_no_include_and_no_take_over() {
    let policies = policies(vec![("p", policy(&json!({})))]);
    let mut wish = Wish::new("mail", "example.org");
    wish.places.push(region("ap-south-2"));
    assert_eq!(wish.under(&policies), Ok(()));
    let strict = Policy::parse(
        &serde_json::from_value(json!({"namespaceSelector": {}, "domains": ["*"]})).unwrap(),
    );
    let strict = super::policies(vec![("p", strict.unwrap())]);
    assert!(denied(&wish, &strict).contains("own AWS credentials"));
    for change in [
        (|wish: &mut Wish| wish.credentials = on_roles(ROLE, "mail")) as fn(&mut Wish),
        |wish| wish.includes.extend(["spf.other.example".to_owned()]),
        |wish| wish.take_over = true,
    ] {
        let mut wish = wish.clone();
        change(&mut wish);
        denied(&wish, &policies);
    }
}

#[test]
fn nothing_is_added_up_across_policies() {
    let us = ("us", policy(&json!({"regions": ["us-east-1"]})));
    let eu = ("eu", policy(&json!({"regions": ["eu-west-1"]})));
    let policies = policies(vec![us, eu]);
    let mut wish = Wish::new("mail", "example.org");
    assert_eq!(wish.under(&policies), Ok(()));
    wish.places.push(region("eu-west-1"));
    denied(&wish, &policies);
}

#[test]
fn a_name_that_a_closer_policy_covers_needs_that_policy_as_well() {
    let above = ("above", only("mail", &json!({"domains": ["example.org"]})));
    let wish = |subdomain: &str| Wish::new("mail", "example.org").named(subdomain);
    let under = |closer: Policy, subdomain: &str| {
        wish(subdomain).under(&policies(vec![above.clone(), ("closer", closer)]))
    };
    let theirs = only("news", &json!({"domains": ["b.example.org"]}));
    let said = under(theirs.clone(), "b").unwrap_err().to_string();
    assert_eq!(
        said,
        "b.example.org lies in a domain below example.org that a SesMailFromPolicy names, and \
         none that names it is for the namespace mail"
    );
    assert!(under(theirs.clone(), "x.b").is_err(), "an identity brings the names below it");
    assert_eq!(under(theirs, "bounce"), Ok(()));

    let below = only("news", &json!({"domains": ["*.b.example.org"]}));
    assert!(under(below.clone(), "x.b").is_err());
    assert_eq!(under(below, "b"), Ok(()), "it names only what is below");
    let all_below = only("news", &json!({"domains": ["*.example.org"]}));
    assert!(under(all_below, "bounce").is_err());
    assert_eq!(under(only("news", &json!({"domains": ["*"]})), "b"), Ok(()), "`*` is never closer");
    let beside = only("news", &json!({"domains": ["example.org", "b.example.net"]}));
    assert_eq!(under(beside, "b"), Ok(()));

    assert_eq!(under(only("mail", &json!({"domains": ["b.example.org"]})), "b"), Ok(()));
    let narrow = only("mail", &json!({"domains": ["b.example.org"], "regions": ["eu-west-1"]}));
    let said = under(narrow, "b").unwrap_err().to_string();
    let expected =
        "the SesMailFromPolicy closer allows b.example.org, but not the region us-east-1";
    assert_eq!(said, expected);
}

#[test]
fn of_closer_policies_the_closest_decides_and_one_of_them_suffices() {
    let above = ("above", only("mail", &json!({"domains": ["example.org"]})));
    let theirs = ("theirs", only("news", &json!({"domains": ["b.example.org"]})));
    let ours = ("ours", only("mail", &json!({"domains": ["x.b.example.org"]})));
    let too = ("too", only("mail", &json!({"domains": ["b.example.org"]})));
    let wish = |subdomain: &str| Wish::new("mail", "example.org").named(subdomain);
    let all = policies(vec![above.clone(), theirs.clone(), ours]);
    assert_eq!(wish("x.b").under(&all), Ok(()));
    assert!(wish("y.b").under(&all).is_err());
    assert_eq!(wish("y.b").under(&policies(vec![above, theirs, too])), Ok(()));
}

#[test]
fn a_policy_that_does_not_parse_allows_nothing_and_still_keeps_what_it_names() {
    let above = ("above", policy(&json!({"domains": ["example.org"]})));
    let broken = || Policy::unreadable(["b.example.org", "no name"].into_iter());
    let policies = policies(vec![above, ("broken", broken())]);
    assert!(Wish::new("mail", "b.example.org").under(&policies).is_err());
    assert!(Wish::new("mail", "example.org").named("b").under(&policies).is_err());
    assert_eq!(Wish::new("mail", "example.org").under(&policies), Ok(()));
}

#[test]
fn a_denial_names_no_policy_that_is_not_for_the_namespace() {
    let secret = ("secret", only("news", &json!({"domains": ["example.org", "b.example.net"]})));
    let ours = ("ours", only("mail", &json!({"domains": ["example.net"]})));
    let policies = policies(vec![secret, ours]);
    for wish in [
        Wish::new("mail", "example.org"),
        Wish::new("mail", "example.net").named("b"),
        Wish::new("else", "example.org"),
    ] {
        let said = denied(&wish, &policies);
        assert!(!said.contains("secret") && !said.contains("news"), "{said}");
    }
}
