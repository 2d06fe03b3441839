//! Who is there, and what they find.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::super::small_world::{ACCOUNT, DEFAULT, REJECT};
use super::actors::{Actor, Leave, Operator, role};
use super::story::{FOREIGN_NAME, FOREIGN_TXT, SUBDOMAINS};
use super::world::{BELOW, Crowd, DOMAIN, NAMESPACES, OTHER_ACCOUNT, OWNERS, REGIONS, record_set};
use crate::api::{AdoptionPolicy, Mode, SesMailFrom};
use crate::authority::{Credentials, ServiceCredentials};
use crate::mail::{BehaviorOnMxFailure, RecordType, RoleArn};

/// One object as it is created.
#[derive(Clone, Debug)]
pub(super) struct Cast {
    pub operator: usize,
    namespace: &'static str,
    /// Of the identity below.
    below: bool,
    subdomain: &'static str,
    regions: Vec<&'static str>,
    /// Hours after the first.
    age: u64,
    role: Option<&'static str>,
    behavior: BehaviorOnMxFailure,
    adoption: AdoptionPolicy,
    mode: Mode,
}

fn cast(operator: impl Strategy<Value = usize>) -> impl Strategy<Value = Cast> {
    use AdoptionPolicy::{Always, IfIdentical, Never};
    let regions = vec![vec![REGIONS[0]], vec![REGIONS[1]], REGIONS.to_vec(), REGIONS.to_vec()];
    (
        (operator, select(NAMESPACES.to_vec()), prop::bool::weighted(0.25)),
        (select(SUBDOMAINS.to_vec()), select(regions), 0..3u64),
        select(vec![None, None, None, Some(ACCOUNT), Some(OTHER_ACCOUNT)]),
        select(vec![DEFAULT, DEFAULT, REJECT]),
        select(vec![IfIdentical, IfIdentical, IfIdentical, Never, Always]),
        select(vec![Mode::Manage, Mode::Manage, Mode::Manage, Mode::Manage, Mode::Observe]),
    )
        .prop_map(|((operator, namespace, below), place, role, behavior, adoption, mode)| {
            let (subdomain, regions, age) = place;
            let subdomain = if below && subdomain == "a.b" { "a" } else { subdomain };
            Cast {
                operator,
                namespace,
                below,
                subdomain,
                regions,
                age,
                role,
                behavior,
                adoption,
                mode,
            }
        })
}

/// Two or three objects of operators that `operator` yields.
pub(super) fn casts(
    operator: impl Strategy<Value = usize> + Clone,
) -> impl Strategy<Value = Vec<Cast>> {
    prop::collection::vec(cast(operator), 2..=3)
}

impl Cast {
    fn actor(&self, at: usize) -> Actor {
        let object: SesMailFrom = serde_json::from_value(json!({
            "apiVersion": "mailfrom.dev/v1alpha1",
            "kind": "SesMailFrom",
            "metadata": {
                "name": format!("o{at}"), "namespace": self.namespace, "uid": format!("u{at}"),
                "generation": 1, "creationTimestamp": format!("2026-01-01T0{}:00:00Z", self.age),
            },
            "spec": {
                "domain": if self.below { BELOW } else { DOMAIN },
                "subdomain": self.subdomain,
                "regions": self.regions.iter().map(|r| json!({"name": r})).collect::<Vec<_>>(),
                "roleARN": self.role.map(role),
                "behaviorOnMxFailure": self.behavior.as_str(),
                "adoptionPolicy": self.adoption,
                "mode": self.mode,
                "deletionPolicy": "Delete",
            },
        }))
        .unwrap();
        let ses = self.role.map_or(Credentials::Ambient, |account| {
            Credentials::role(RoleArn::parse(&role(account)).unwrap(), self.namespace)
        });
        Actor::new(self.operator, ServiceCredentials { ses, ..Default::default() }, object)
    }
}

/// What others made before.
#[derive(Clone, Debug)]
pub(super) struct Found {
    name: &'static str,
    mx: Option<&'static str>,
    txt: Vec<&'static str>,
    ttl: u32,
    /// The name that SES holds, by the place in [`REGIONS`].
    held: [Option<&'static str>; 2],
}

pub(super) fn found() -> impl Strategy<Value = Found> {
    let mx = vec!["10 feedback-smtp.us-east-1.amazonses.com", "10 mx.example.com"];
    let txt =
        vec![FOREIGN_TXT, "\"v=spf1 include:amazonses.com -all\"", "\"v=spf1 ip4:192.0.2.1 ~all\""];
    let names = ["bounce.example.com", "mail.example.com", "a.b.example.com"];
    let held = || prop::option::weighted(0.3, select(vec![names[0], names[0], FOREIGN_NAME]));
    (
        select(names.to_vec()),
        prop::option::of(select(mx)),
        prop::sample::subsequence(txt, 0..=2),
        select(vec![300, 3600]),
        [held(), held()],
    )
        .prop_map(|(name, mx, txt, ttl, held)| Found { name, mx, txt, ttl, held })
}

/// A world before anything has happened in it.
pub(super) fn stage(casts: &[Cast], leave: [Leave; 2], found: Option<&Found>) -> Crowd {
    let leave: BTreeMap<_, _> = NAMESPACES.into_iter().zip(leave).collect();
    let operators = OWNERS.map(|owner_id| Operator::new(owner_id, leave.clone()));
    let actors = casts.iter().enumerate().map(|(at, cast)| cast.actor(at)).collect();
    let mut crowd = Crowd::new(operators.into(), actors);
    let Some(Found { name, mx, txt, ttl, held }) = found else { return crowd };
    crowd.ledger.meddled = true;
    let mut sets = Vec::new();
    sets.extend(mx.map(|mx| record_set(name, RecordType::Mx, &[mx])));
    if !txt.is_empty() {
        sets.push(record_set(name, RecordType::Txt, txt));
    }
    for mut set in sets {
        set.ttl = *ttl;
        crowd.put_in_zone(&set);
    }
    for (region, held) in REGIONS.iter().zip(held) {
        let setting = (ACCOUNT.to_owned(), DOMAIN.to_owned(), (*region).to_owned());
        crowd.set_by_others(&setting, *held);
    }
    crowd
}
