//! Claims under policies, and the proofs that come of them.

use jiff::Timestamp;

use super::*;
use crate::authority::{Claimant, Claims, Grant, Look, ObjectKey, Refusal, Standing};
use crate::mail::{Marker, Origin, Owner, SpfOrigin};

const MORE: &str = "eu-west-1";

type Change = fn(&mut Claims);

fn key(namespace: &str, object: &str) -> ObjectKey {
    ObjectKey::new(namespace, object)
}

/// `bounce.example.org` in us-east-1, made at a second.
fn claimant(namespace: &str, object: &str, made: i64) -> Claimant {
    let domain = domain("example.org");
    let places = [region("us-east-1"), name("bounce.example.org", &domain)];
    Claimant {
        key: key(namespace, object),
        uid: object.into(),
        created: Timestamp::from_second(made).unwrap(),
        owner: Owner::of("cluster", namespace, object),
        domain,
        asked: places.clone().into(),
        places: places.into(),
        credentials: ServiceCredentials::default(),
        spf_includes: BTreeSet::new(),
        manages: true,
        take_over: None,
    }
}

/// With the namespaces `mail` and `news`, under one policy for everybody.
fn claims() -> Claims {
    let mut claims = Claims::default();
    for namespace in ["mail", "news"] {
        claims.put_namespace(namespace, labels(namespace));
    }
    claims.put_policy("default", policy(&json!({"roleARNs": [ROLE]})));
    claims
}

fn standing(claims: &Claims, namespace: &str, object: &str) -> Standing {
    claims.standing(&key(namespace, object)).expect("a standing")
}

fn claim(claims: &Claims, namespace: &str, object: &str) -> Result<Grant, Refusal> {
    standing(claims, namespace, object).claim(&region("us-east-1"), None)
}

fn holder(refused: Result<Grant, Refusal>) -> String {
    match refused {
        Err(Refusal::Lost(rival)) => rival.key.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_may_not_have_it_does_not_keep_it_from_others() {
    let mut claims = claims();
    let only_mail = || only("mail", &json!({}));
    claims.put_policy("default", only_mail());
    claims.put(claimant("news", "squatter", 1));
    let touched = claims.put(claimant("mail", "rightful", 2));
    assert!(touched.is_empty(), "nobody else holds anything: {touched:?}");
    assert!(claim(&claims, "mail", "rightful").is_ok());
    let refused = claim(&claims, "news", "squatter").unwrap_err();
    assert!(matches!(refused, Refusal::Denied(_)), "{refused:?}");

    let touched = claims.put_policy("default", policy(&json!({})));
    assert_eq!(touched, [key("mail", "rightful"), key("news", "squatter")].into());
    assert_eq!(holder(claim(&claims, "mail", "rightful")), "news/squatter");
    claims.put_policy("default", only_mail());
    assert!(claim(&claims, "mail", "rightful").is_ok(), "it is free again at once");
}

#[test]
fn one_that_only_looks_keeps_nothing_from_others() {
    let mut claims = claims();
    claims.put(Claimant { manages: false, ..claimant("news", "looker", 1) });
    claims.put(claimant("mail", "doer", 2));
    assert!(claim(&claims, "mail", "doer").is_ok());
    let (looker, marked) = (standing(&claims, "news", "looker"), marker("mail", "doer"));
    assert_eq!(holder(looker.claim(&region("us-east-1"), Some(&marked))), "mail/doer");
}

fn marker(namespace: &str, object: &str) -> Marker {
    Marker {
        owner: Owner::of("cluster", namespace, object),
        mx: Origin::Created,
        spf: SpfOrigin::created(),
        regions: std::collections::BTreeMap::new(),
    }
}

#[test]
fn the_marker_decides_before_age_and_age_before_none() {
    let mut claims = claims();
    claims.put(claimant("mail", "old", 1));
    claims.put(claimant("news", "young", 2));
    let (old, young) = (standing(&claims, "mail", "old"), standing(&claims, "news", "young"));
    for place in [region("us-east-1"), name("bounce.example.org", &domain("example.org"))] {
        assert!(old.claim(&place, None).is_ok());
        assert_eq!(holder(young.claim(&place, None)), "mail/old");
        let theirs = marker("news", "young");
        assert_eq!(holder(old.claim(&place, Some(&theirs))), "news/young");
        assert!(young.claim(&place, Some(&theirs)).is_ok());
    }
    let touched = claims.remove(&key("mail", "old"));
    assert_eq!(touched, [key("news", "young")].into(), "the next is told");
    assert!(claim(&claims, "news", "young").is_ok());
}

#[test]
fn an_identity_is_contested_within_an_account_and_a_name_everywhere() {
    let mut claims = claims();
    claims.put(claimant("mail", "ambient", 1));
    let mut other = claimant("mail", "role", 2);
    other.credentials = on_roles(ROLE, "mail");
    let domain = domain("example.org");
    other.asked = [region("us-east-1"), region(MORE), name("b2.example.org", &domain)].into();
    other.places = other.asked.clone();
    claims.put(other);
    assert_eq!(claim(&claims, "mail", "role").unwrap_err(), Refusal::Undecided);
    assert!(claim(&claims, "mail", "ambient").is_ok(), "the older loses it in no case");
    let free = standing(&claims, "mail", "role").claim(&region(MORE), None);
    assert!(free.is_ok(), "nobody else wants it, whatever the account");

    let touched = claims.learn(&Credentials::Ambient, "210987654321");
    assert!(touched.contains(&key("mail", "role")), "{touched:?}");
    assert!(claim(&claims, "mail", "role").is_ok());
    assert!(claims.learn(&Credentials::Ambient, "210987654321").is_empty(), "no news");
    claims.learn(&Credentials::Ambient, "123456789012");
    assert_eq!(holder(claim(&claims, "mail", "role")), "mail/ambient", "the role's own account");
    claims.learn(&role(ROLE, "mail"), "999999999999");
    assert!(claim(&claims, "mail", "role").is_ok(), "what STS reports counts");

    let mut same_name = claimant("mail", "role", 2);
    same_name.credentials = on_roles(ROLE, "mail");
    claims.put(same_name);
    let contested =
        standing(&claims, "mail", "role").claim(&name("bounce.example.org", &domain), None);
    assert_eq!(holder(contested), "mail/ambient");
}

#[test]
fn proofs_end_with_the_policies_and_labels_that_they_rest_on() {
    let mut claims = claims();
    claims.put(claimant("mail", "a", 1));
    let proofs = |claims: &Claims| {
        let standing = standing(claims, "mail", "a");
        let grant = standing.claim(&region("us-east-1"), None).unwrap();
        (standing.sight(Look::Account(Service::Ses)).unwrap(), grant)
    };
    let same: [Change; 4] = [
        |claims| drop(claims.put_policy("default", policy(&json!({"roleARNs": [ROLE]})))),
        |claims| drop(claims.put_namespace("mail", labels("mail"))),
        |claims| drop(claims.put_namespace("news", labels("else"))),
        |claims| drop(claims.remove_policy("unknown")),
    ];
    for change in same {
        let (sight, grant) = proofs(&claims);
        change(&mut claims);
        assert!(sight.stands() && grant.stands());
    }
    let other: [Change; 3] = [
        |claims| drop(claims.put_policy("more", policy(&json!({})))),
        |claims| drop(claims.put_namespace("mail", labels("else"))),
        |claims| drop(claims.remove_policy("default")),
    ];
    for change in other {
        let (sight, grant) = proofs(&claims);
        change(&mut claims);
        assert!(!sight.stands() && !grant.stands());
    }
}

#[test]
fn nothing_is_decided_before_the_namespace_is_known() {
    let mut claims = claims();
    claims.put(claimant("new", "a", 1));
    assert!(claims.standing(&key("new", "a")).is_none());
    claims.put(claimant("mail", "b", 2));
    assert!(claim(&claims, "mail", "b").is_ok());
    let touched = claims.put_namespace("new", labels("new"));
    assert_eq!(touched, [key("new", "a"), key("mail", "b")].into());
    assert_eq!(holder(claim(&claims, "mail", "b")), "new/a");
}

#[test]
fn a_change_of_labels_concerns_the_namespace_and_its_rivals_alone() {
    let mut claims = claims();
    claims.put_policy("default", only("mail", &json!({})));
    claims.put(claimant("mail", "a", 1));
    claims.put(claimant("news", "b", 2));
    assert!(claim(&claims, "mail", "a").is_ok());
    assert!(claims.put_namespace("other", labels("mail")).is_empty());
    let touched = claims.put_namespace("mail", labels("x"));
    assert_eq!(touched, [key("mail", "a")].into());
    assert!(matches!(claim(&claims, "mail", "a").unwrap_err(), Refusal::Denied(_)));
}

#[test]
fn only_what_may_be_dealt_with_may_be_looked_at() {
    let mut claims = claims();
    claims.put_policy("default", only("mail", &json!({"regions": ["us-east-1"]})));
    claims.put_policy("below", only("news", &json!({"domains": ["b.example.org"]})));
    let mut me = claimant("mail", "a", 1);
    // What a forged status names.
    let forged = [region(MORE), name("b.example.org", &me.domain)];
    me.places = me.asked.iter().cloned().chain(forged).collect();
    claims.put(me);
    let standing = standing(&claims, "mail", "a");
    let Place::Region(ours) = region("us-east-1") else { unreachable!() };
    let Place::Region(other) = region(MORE) else { unreachable!() };
    let may = |look: Look<'_>| standing.sight(look).is_ok();
    let named = |name: &str| domain(name);
    assert!(may(Look::Identity(&named("example.org"), &ours)));
    assert!(may(Look::Identity(&named("bounce.example.org"), &ours)));
    assert!(may(Look::Name(&named("bounce.example.org"))));
    assert!(may(Look::Name(&named("example.org"))), "the apex");
    assert!(may(Look::Name(&named("org"))), "a zone above");
    assert!(!may(Look::Identity(&named("example.org"), &other)));
    assert!(!may(Look::Identity(&named("example.net"), &ours)));
    assert!(!may(Look::Identity(&named("b.example.org"), &ours)));
    assert!(!may(Look::Name(&named("b.example.org"))));
    assert!(!may(Look::Name(&named("example.net"))));
    assert!(standing.claim(&region(MORE), None).is_err());
    assert!(standing.claim(&name("b.example.org", &named("example.org")), None).is_err());
    // The marker of the place does not help either.
    let mine = marker("mail", "a");
    assert!(standing.claim(&region(MORE), Some(&mine)).is_err());
}
