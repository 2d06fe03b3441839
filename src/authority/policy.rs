//! One policy, parsed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use kube::core::{Selector, SelectorExt as _};

use super::credentials::{Credentials, Service};
use super::decision::Ask;
use super::grant::Place;
use crate::api::SesMailFromPolicySpec;
use crate::mail::DomainName;

/// A namespace's labels.
pub type Labels = BTreeMap<String, String>;

/// Which domains an entry of `domains` covers.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) enum Pattern {
    /// `*`.
    All,
    /// `example.org`.
    Exact(DomainName),
    /// `*.example.org`.
    Below(DomainName),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let parse =
            |name: &str| DomainName::parse(name).map_err(|error| format!("spec.domains: {error}"));
        match (text, text.strip_prefix("*.")) {
            ("*", _) => Ok(Self::All),
            (_, Some(name)) => parse(name).map(Self::Below),
            (name, None) => parse(name).map(Self::Exact),
        }
    }
}

/// A `SesMailFromPolicy` as decisions look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Whom it is for; `None` where the policy does not parse: nobody.
    selector: Option<Selector>,
    pub(super) domains: BTreeSet<Pattern>,
    /// Empty: any.
    regions: BTreeSet<String>,
    roles: BTreeSet<String>,
    ambient: bool,
    take_over: bool,
    /// Lower case, as SPF compares names.
    spf_includes: BTreeSet<String>,
}

/// What a policy does not allow of what an object asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Lack {
    /// A region.
    Region(String),
    /// To go without a role at a service.
    Ambient(Service),
    /// A role, by its ARN.
    Role(String, Service),
    /// A sender in `spec.dns.spf.include`.
    SpfInclude(String),
    /// To take over a marker.
    TakeOver,
}

impl Policy {
    /// Parses a policy.
    ///
    /// # Errors
    /// Which field cannot be understood. The CRD's own rules refuse all that do.
    pub fn parse(spec: &SesMailFromPolicySpec) -> Result<Self, String> {
        let selector = Selector::try_from(spec.namespace_selector.clone())
            .map_err(|error| format!("spec.namespaceSelector: {error}"))?;
        let domains = spec.domains.iter().map(|text| Pattern::parse(text));
        Ok(Self {
            selector: Some(selector),
            domains: domains.collect::<Result<_, _>>()?,
            regions: spec.regions.iter().cloned().collect(),
            roles: spec.role_arns.iter().cloned().collect(),
            ambient: spec.ambient_credentials.allows(),
            take_over: spec.take_over.allows(),
            spf_includes: spec.spf_includes.iter().map(|text| text.to_ascii_lowercase()).collect(),
        })
    }

    /// A policy that does not parse: it allows nobody anything, but what it can
    /// be read to name stays kept from those who may speak for a domain above.
    pub fn unreadable<'a>(domains: impl Iterator<Item = &'a str>) -> Self {
        Self {
            selector: None,
            domains: domains.filter_map(|text| Pattern::parse(text).ok()).collect(),
            regions: BTreeSet::new(),
            roles: BTreeSet::new(),
            ambient: false,
            take_over: false,
            spf_includes: BTreeSet::new(),
        }
    }

    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.selector.as_ref().is_some_and(|selector| selector.matches(labels))
    }

    /// What of the ask is not allowed, domain and namespace apart, with how many
    /// kinds of thing are allowed before it.
    pub(super) fn lacks(&self, ask: &Ask<'_>) -> Option<(u8, Lack)> {
        let region = || {
            let named = ask.places.iter().chain(ask.also).filter_map(|place| match place {
                Place::Region(region) => Some(region.as_str()),
                Place::Name(_) => None,
            });
            let mut foreign = named.filter(|name| !self.regions.contains(*name));
            let found = if self.regions.is_empty() { None } else { foreign.next() };
            found.map(|name| (0, Lack::Region(name.to_owned())))
        };
        let credentials = || {
            let lack = |service| match ask.credentials.of(service) {
                Credentials::Ambient => (!self.ambient).then_some(Lack::Ambient(service)),
                Credentials::Role(role) => {
                    let may =
                        self.roles.contains(role.arn.as_str()) && *role.namespace == *ask.namespace;
                    (!may).then(|| Lack::Role(role.arn.to_string(), service))
                }
            };
            let found = [Service::Ses, Service::Route53].into_iter().find_map(lack);
            found.map(|lack| (1, lack))
        };
        let include = || {
            let may = |sender: &&String| {
                self.spf_includes.contains("*")
                    || self.spf_includes.contains(&sender.to_ascii_lowercase())
            };
            let found = ask.spf_includes.iter().find(|sender| !may(sender));
            found.map(|sender| (2, Lack::SpfInclude(sender.clone())))
        };
        let take_over = || (ask.take_over && !self.take_over).then_some((3, Lack::TakeOver));
        region().or_else(credentials).or_else(include).or_else(take_over)
    }
}

impl fmt::Display for Lack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role_field = |service: &Service| match service {
            Service::Ses => "spec.roleARN",
            Service::Route53 => "spec.dns.roleARN",
        };
        match self {
            Self::Region(name) => write!(f, "the region {name}"),
            Self::Ambient(service) => write!(
                f,
                "the operator's own AWS credentials, which an object without {} uses",
                role_field(service)
            ),
            Self::Role(arn, service) => write!(f, "the role {arn} ({})", role_field(service)),
            Self::SpfInclude(sender) => {
                write!(f, "the sender {} (spec.dns.spf.include)", sender.escape_default())
            }
            Self::TakeOver => f.write_str("taking over a marker (its spec.takeOver is Deny)"),
        }
    }
}
