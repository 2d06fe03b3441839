//! May this namespace have what it asks for? Pure, and denied by default.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use super::credentials::ServiceCredentials;
use super::grant::Place;
use super::policy::{Labels, Lack, Pattern, Policy};
use crate::mail::{DomainName, MailFromDomain};

/// What is asked, the whole of which one policy must allow.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// By whom.
    pub namespace: &'a str,
    /// Its labels.
    pub labels: &'a Labels,
    /// The identity.
    pub domain: &'a DomainName,
    /// The regions and MAIL FROM domains of the spec.
    pub places: &'a [Place],
    /// One more of either, which only status or a marker names.
    pub also: Option<&'a Place>,
    /// With what to look and write.
    pub credentials: &'a ServiceCredentials,
    /// The senders beside SES that the SPF record is to let in.
    pub spf_includes: &'a BTreeSet<String>,
    /// Whether a marker is to be taken over.
    pub take_over: bool,
}

/// Why something is not allowed. Names no policy but one that is for the
/// namespace that asks.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Denial {
    /// No policy is for the namespace.
    Namespace {
        /// Which.
        namespace: String,
    },
    /// No policy that is for the namespace names the domain.
    Domain {
        /// By whom it was asked for.
        namespace: String,
        /// Which.
        domain: DomainName,
    },
    /// The nearest policy allows the domain, but not this.
    Part {
        /// Its name.
        policy: String,
        /// Which domain it allows.
        domain: DomainName,
        /// What it does not.
        lack: Lack,
    },
    /// A policy names a domain further down that covers the MAIL FROM domain,
    /// and none that names that one allows it.
    Covered {
        /// By whom it was asked for.
        namespace: String,
        /// What is asked for.
        name: MailFromDomain,
        /// The identity that it is asked for with.
        domain: DomainName,
    },
}

/// Every policy, by its name and by what it covers.
#[derive(Clone, Debug, Default)]
pub struct Policies {
    by_name: BTreeMap<String, Arc<Policy>>,
    naming: HashMap<Pattern, BTreeSet<String>>,
}

impl Policies {
    /// Adds a policy or replaces it. Returns whether that changes anything.
    pub fn put(&mut self, name: &str, policy: Policy) -> bool {
        if self.by_name.get(name).is_some_and(|old| **old == policy) {
            return false;
        }
        self.remove(name);
        for pattern in &policy.domains {
            self.naming.entry(pattern.clone()).or_default().insert(name.to_owned());
        }
        self.by_name.insert(name.to_owned(), Arc::new(policy));
        true
    }

    /// Takes a policy away. Returns whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let Some(old) = self.by_name.remove(name) else { return false };
        for pattern in &old.domains {
            let Some(names) = self.naming.get_mut(pattern) else { continue };
            names.remove(name);
            if names.is_empty() {
                self.naming.remove(pattern);
            }
        }
        true
    }

    /// The names of all policies.
    pub fn names(&self) -> impl Iterator<Item = &String> {
        self.by_name.keys()
    }

    /// Whether one policy allows the whole of it.
    ///
    /// # Errors
    /// What the nearest policy does not allow.
    pub fn decide(&self, ask: &Ask<'_>) -> Result<(), Denial> {
        let naming =
            covering(ask.domain).into_iter().filter_map(|pattern| self.naming.get(&pattern));
        self.one_allows(naming.flatten(), ask, ask.domain).map_err(|denial| {
            let selected = || self.by_name.values().any(|policy| policy.selects(ask.labels));
            match denial {
                Denial::Domain { namespace, .. } if !selected() => Denial::Namespace { namespace },
                denial => denial,
            }
        })?;
        let mut names = ask.places.iter().chain(ask.also).filter_map(|place| match place {
            Place::Name(name) => Some(name),
            Place::Region(_) => None,
        });
        names.try_for_each(|name| self.decide_name(name, ask))
    }

    /// Of the policies that name a domain further down than the identity that
    /// covers the MAIL FROM domain, one of those that come closest to it must
    /// allow it as well: so nobody takes `b.example.org` as the subdomain `b`
    /// of `example.org`.
    fn decide_name(&self, name: &MailFromDomain, ask: &Ask<'_>) -> Result<(), Denial> {
        let mut closer = further_down(name.name(), ask.domain).into_iter();
        let Some(naming) = closer.find_map(|pattern| self.naming.get(&pattern)) else {
            return Ok(());
        };
        self.one_allows(naming.iter(), ask, name.name()).map_err(|denial| match denial {
            Denial::Part { .. } => denial,
            _ => Denial::Covered {
                namespace: ask.namespace.to_owned(),
                name: name.clone(),
                domain: ask.domain.clone(),
            },
        })
    }

    fn one_allows<'a>(
        &self,
        naming: impl Iterator<Item = &'a String>,
        ask: &Ask<'_>,
        domain: &DomainName,
    ) -> Result<(), Denial> {
        let mut nearest: Option<(u8, &String, Lack)> = None;
        for name in naming {
            let Some(policy) = self.by_name.get(name).filter(|p| p.selects(ask.labels)) else {
                continue;
            };
            let Some((reached, lack)) = policy.lacks(ask) else { return Ok(()) };
            if nearest.as_ref().is_none_or(|(before, ..)| *before < reached) {
                nearest = Some((reached, name, lack));
            }
        }
        let domain = domain.clone();
        Err(match nearest {
            Some((_, policy, lack)) => Denial::Part { policy: policy.clone(), domain, lack },
            None => Denial::Domain { namespace: ask.namespace.to_owned(), domain },
        })
    }
}

/// Every pattern that covers a domain.
fn covering(domain: &DomainName) -> Vec<Pattern> {
    let above = domain.ancestors_and_self().skip(1).map(Pattern::Below);
    [Pattern::Exact(domain.clone()), Pattern::All].into_iter().chain(above).collect()
}

/// Every pattern that covers a name below `domain`, and with it nothing but
/// names below `domain`; the closest first.
fn further_down(name: &DomainName, domain: &DomainName) -> Vec<Pattern> {
    let mut patterns = Vec::new();
    for above in name.ancestors_and_self().take_while(|above| above.is_at_or_below(domain)) {
        if above != *name {
            patterns.push(Pattern::Below(above.clone()));
        }
        // An identity brings the MAIL FROM domains below it.
        if above != *domain {
            patterns.push(Pattern::Exact(above));
        }
    }
    patterns
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace { namespace } => {
                write!(f, "no SesMailFromPolicy is for the namespace {namespace}")
            }
            Self::Domain { namespace, domain } => write!(
                f,
                "no SesMailFromPolicy for the namespace {namespace} allows the domain {domain} (spec.domain)"
            ),
            Self::Part { policy, domain, lack } => {
                write!(f, "the SesMailFromPolicy {policy} allows {domain}, but not {lack}")
            }
            Self::Covered { namespace, name, domain } => write!(
                f,
                "{name} lies in a domain below {domain} that a SesMailFromPolicy names, and none that names it is for the namespace {namespace}"
            ),
        }
    }
}
