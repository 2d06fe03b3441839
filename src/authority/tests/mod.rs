#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod claims;
mod decision;
mod property;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Ask, Credentials, Denial, Labels, Place, Policies, Policy, Service, ServiceCredentials,
};
use crate::mail::{DomainName, MailFromDomain, Regions};

const ROLE: &str = "arn:aws:iam::123456789012:role/mail-from";

/// A policy for everybody and every domain on the operator's own credentials,
/// with `changes` to its spec.
fn policy(changes: &Value) -> Policy {
    let mut spec =
        json!({"namespaceSelector": {}, "domains": ["*"], "ambientCredentials": "Allow"});
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    Policy::parse(&serde_json::from_value(spec).unwrap()).unwrap()
}

/// A policy for one namespace.
fn only(namespace: &str, changes: &Value) -> Policy {
    let mut all = json!({"namespaceSelector": {"matchLabels": {"name": namespace}}});
    all.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    policy(&all)
}

fn policies(all: Vec<(&str, Policy)>) -> Policies {
    let mut policies = Policies::default();
    for (name, policy) in all {
        policies.put(name, policy);
    }
    policies
}

fn labels(namespace: &str) -> Labels {
    [("name".to_owned(), namespace.to_owned())].into()
}

fn domain(name: &str) -> DomainName {
    DomainName::parse(name).unwrap()
}

fn region(name: &str) -> Place {
    Place::Region(Regions::default().get(name).unwrap())
}

fn name(name: &str, domain: &DomainName) -> Place {
    Place::Name(MailFromDomain::below(name, domain).unwrap())
}

fn role(arn: &str, namespace: &str) -> Credentials {
    Credentials::role(crate::mail::RoleArn::parse(arn).unwrap(), namespace)
}

/// What a test asks for, owned.
#[derive(Clone, Debug)]
struct Wish {
    namespace: String,
    labels: Labels,
    domain: DomainName,
    places: Vec<Place>,
    credentials: ServiceCredentials,
    includes: BTreeSet<String>,
    take_over: bool,
}

impl Wish {
    /// For `bounce.<domain>` in us-east-1.
    fn new(namespace: &str, identity: &str) -> Self {
        let identity = domain(identity);
        let bounce = name(&format!("bounce.{identity}"), &identity);
        Self {
            namespace: namespace.into(),
            labels: labels(namespace),
            domain: identity,
            places: [region("us-east-1"), bounce].into(),
            credentials: ServiceCredentials::default(),
            includes: BTreeSet::new(),
            take_over: false,
        }
    }

    fn named(self, subdomain: &str) -> Self {
        let bounce = name(&format!("{subdomain}.{}", self.domain), &self.domain);
        Self { places: [region("us-east-1"), bounce].into(), ..self }
    }

    fn ask(&self) -> Ask<'_> {
        Ask {
            namespace: &self.namespace,
            labels: &self.labels,
            domain: &self.domain,
            places: &self.places,
            also: None,
            credentials: &self.credentials,
            spf_includes: &self.includes,
            take_over: self.take_over,
        }
    }

    fn under(&self, policies: &Policies) -> Result<(), Denial> {
        policies.decide(&self.ask())
    }
}

/// The service is not read where only its role counts.
fn on_roles(arn: &str, namespace: &str) -> ServiceCredentials {
    let credentials =
        ServiceCredentials { ses: role(arn, namespace), route53: role(arn, namespace) };
    assert_eq!(credentials.of(Service::Ses), credentials.of(Service::Route53));
    credentials
}
