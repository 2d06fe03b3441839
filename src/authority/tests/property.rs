//! What holds for any policies and any wish.

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

const NAMESPACES: [&str; 2] = ["mail", "news"];
const DOMAINS: [&str; 7] = [
    "*",
    "example.org",
    "*.example.org",
    "b.example.org",
    "*.b.example.org",
    "x.b.example.org",
    "example.net",
];
const IDENTITIES: [&str; 3] = ["example.org", "b.example.org", "example.net"];
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
const ROLES: [&str; 2] = [ROLE, "arn:aws:iam::210987654321:role/dns"];
const INCLUDES: [&str; 3] = ["*", "spf.a.example", "spf.b.example"];

fn spec() -> impl Strategy<Value = Value> {
    let selector = prop_oneof![
        1 => Just(json!({})),
        2 => select(&NAMESPACES[..]).prop_map(|name| json!({"matchLabels": {"name": name}})),
    ];
    let permission = || select(&["Allow", "Deny"][..]);
    (
        selector,
        subsequence(&DOMAINS[..], 1..4),
        subsequence(&REGIONS[..], 0..=2),
        subsequence(&ROLES[..], 0..=2),
        subsequence(&INCLUDES[..], 0..=2),
        permission(),
        permission(),
    )
        .prop_map(|(selector, domains, regions, roles, includes, ambient, take_over)| {
            json!({
                "namespaceSelector": selector, "domains": domains, "regions": regions,
                "roleARNs": roles, "spfIncludes": includes, "ambientCredentials": ambient,
                "takeOver": take_over,
            })
        })
}

fn wish() -> impl Strategy<Value = Wish> {
    let credentials = || {
        prop_oneof![
            2 => Just(Credentials::Ambient),
            1 => select(&ROLES[..]).prop_map(|arn| role(arn, "mail")),
        ]
    };
    (
        select(&IDENTITIES[..]),
        subsequence(&["bounce", "b", "x.b"][..], 1..=2),
        subsequence(&REGIONS[..], 1..=2),
        (credentials(), credentials()),
        subsequence(&INCLUDES[1..], 0..=2),
        any::<bool>(),
    )
        .prop_map(|(identity, subdomains, regions, (ses, route53), includes, take_over)| {
            let wish = Wish::new("mail", identity);
            let full = |sub: &&str| name(&format!("{sub}.{identity}"), &wish.domain);
            let names: Vec<Place> = subdomains.iter().map(full).collect();
            Wish {
                places: regions.iter().map(|name| region(name)).chain(names).collect(),
                credentials: ServiceCredentials { ses, route53 },
                includes: includes.into_iter().map(ToOwned::to_owned).collect(),
                take_over,
                ..wish
            }
        })
}

fn compiled(specs: &[Value]) -> Policies {
    let mut policies = Policies::default();
    for (number, spec) in specs.iter().enumerate() {
        let spec = serde_json::from_value(spec.clone()).unwrap();
        policies.put(&format!("p{number}"), Policy::parse(&spec).unwrap());
    }
    policies
}

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect()
}

/// behaviour.md once more, as plainly as it can be said: whether one policy
/// allows the whole of a wish, its MAIL FROM domains apart.
fn allows(spec: &Value, wish: &Wish, domain: &str) -> bool {
    let (regions, roles) = (strings(&spec["regions"]), strings(&spec["roleARNs"]));
    let includes = strings(&spec["spfIncludes"]);
    let selected = spec["namespaceSelector"]
        .pointer("/matchLabels/name")
        .is_none_or(|name| name.as_str() == Some(&wish.namespace));
    let names = strings(&spec["domains"]).iter().any(|pattern| names(pattern, domain, false));
    let region = |place: &Place| match place {
        Place::Region(region) => regions.is_empty() || regions.contains(&region.as_str()),
        Place::Name(_) => true,
    };
    let credential = |credentials: &Credentials| match credentials {
        Credentials::Ambient => spec["ambientCredentials"] == "Allow",
        Credentials::Role(role) => roles.contains(&role.arn.as_str()),
    };
    let include = |sender: &String| includes.contains(&"*") || includes.contains(&sender.as_str());
    selected
        && names
        && wish.places.iter().all(region)
        && credential(&wish.credentials.ses)
        && credential(&wish.credentials.route53)
        && wish.includes.iter().all(include)
        && (!wish.take_over || spec["takeOver"] == "Allow")
}

/// Whether a pattern names a domain, or with `below` also what is below one.
fn names(pattern: &str, domain: &str, below: bool) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => domain.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.')),
        None if pattern == "*" => true,
        None => {
            domain == pattern
                || (below && domain.strip_suffix(pattern).is_some_and(|rest| rest.ends_with('.')))
        }
    }
}

/// Whether a pattern names a domain more specific than `domain`, so that all it
/// covers lies below it.
fn is_below(pattern: &str, domain: &str) -> bool {
    let named = pattern.strip_prefix("*.").unwrap_or(pattern);
    let strictly = named.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    pattern != "*" && (strictly || (pattern.starts_with("*.") && named == domain))
}

fn closer_covers(spec: &Value, wish: &Wish, name: &str) -> bool {
    let domain = wish.domain.as_str();
    let covers = |pattern: &&&str| is_below(pattern, domain) && names(pattern, name, true);
    strings(&spec["domains"]).iter().any(|pattern| covers(&pattern))
}

fn wanted_names(wish: &Wish) -> Vec<String> {
    let name = |place: &Place| match place {
        Place::Name(name) => Some(name.to_string()),
        Place::Region(_) => None,
    };
    wish.places.iter().filter_map(name).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn what_is_allowed_one_policy_allows_in_whole(
        specs in prop::collection::vec(spec(), 0..5), wish in wish(),
    ) {
        let allowed = wish.under(&compiled(&specs)).is_ok();
        let by_one = specs.iter().any(|spec| allows(spec, &wish, wish.domain.as_str()));
        let covered = |name: &String| specs.iter().any(|spec| closer_covers(spec, &wish, name));
        if wanted_names(&wish).iter().any(covered) {
            prop_assert!(!allowed || by_one, "a closer policy adds nothing");
        } else {
            prop_assert_eq!(allowed, by_one);
        }
    }

    #[test]
    fn a_name_that_is_covered_is_allowed_only_by_a_policy_that_names_it(
        specs in prop::collection::vec(spec(), 1..5), wish in wish(),
    ) {
        if wish.under(&compiled(&specs)).is_ok() {
            for name in wanted_names(&wish) {
                let mut closer = specs.iter().filter(|spec| closer_covers(spec, &wish, &name));
                if closer.clone().next().is_some() {
                    let gives = |spec: &Value| {
                        // Named with the identity that it would be.
                        let below = strings(&spec["domains"]).iter().any(|p| names(p, &name, true));
                        let mut all = spec.clone();
                        all["domains"] = json!(["*"]);
                        below && allows(&all, &wish, &name)
                    };
                    prop_assert!(closer.any(gives), "{name}");
                }
            }
        }
    }

    #[test]
    fn taking_a_policy_away_never_allows_more_unless_it_named_a_domain_further_down(
        specs in prop::collection::vec(spec(), 1..5), wish in wish(), at in any::<prop::sample::Index>(),
    ) {
        let gone = at.index(specs.len());
        let before = wish.under(&compiled(&specs)).is_ok();
        let mut left = compiled(&specs);
        left.remove(&format!("p{gone}"));
        let after = wish.under(&left).is_ok();
        let kept = wanted_names(&wish).iter().any(|name| closer_covers(&specs[gone], &wish, name));
        prop_assert!(before || !after || kept);
    }

    #[test]
    fn asking_for_less_is_never_denied_where_more_is_allowed(
        specs in prop::collection::vec(spec(), 0..5), wish in wish(),
    ) {
        let policies = compiled(&specs);
        if wish.under(&policies).is_ok() {
            for place in &wish.places {
                let mut less = wish.clone();
                less.places.retain(|other| other != place);
                prop_assert!(less.under(&policies).is_ok());
            }
            let less = Wish { includes: BTreeSet::new(), take_over: false, ..wish.clone() };
            prop_assert!(less.under(&policies).is_ok());
        }
    }

    #[test]
    fn a_policy_put_and_taken_away_leaves_no_trace(
        specs in prop::collection::vec(spec(), 0..4), other in spec(), wish in wish(),
    ) {
        let mut policies = compiled(&specs);
        let before = wish.under(&policies);
        let other = Policy::parse(&serde_json::from_value(other).unwrap()).unwrap();
        prop_assert!(policies.put("other", other.clone()));
        prop_assert!(!policies.put("other", other), "the same again changes nothing");
        policies.remove("other");
        prop_assert_eq!(wish.under(&policies), before);
    }
}
