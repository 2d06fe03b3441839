//! What the spec asks for, parsed once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::api::{AdoptionPolicy, DeletionPolicy, Mode, Rollout, SesMailFrom, WildcardPolicy};
use crate::authority::Place;
use crate::mail::{
    BehaviorOnMxFailure, DomainName, HostedZoneId, MailFromDomain, NameError, Region, Regions, Spf,
    SpfAll, SpfInclude,
};

/// What the spec asks for. An object that is being deleted wants nothing.
#[derive(Clone, Debug)]
pub(super) struct Desired {
    /// The SES identity.
    pub domain: DomainName,
    /// Each region's MAIL FROM domain.
    pub regions: BTreeMap<Region, MailFromDomain>,
    /// Each MAIL FROM domain's regions, in the order of the spec.
    pub names: BTreeMap<MailFromDomain, Vec<Region>>,
    /// The name of `spec.subdomain`.
    pub shared: MailFromDomain,
    /// Whose endpoint the shared MX names, where the spec says so.
    pub mx_region: Option<Region>,
    /// What SES is to do in the end.
    pub behavior: BehaviorOnMxFailure,
    /// Whether RejectMessage goes with the first put.
    pub immediate: bool,
    /// Seconds.
    pub ttl: u32,
    /// Whether a wildcard may be switched off for the name.
    pub override_wildcard: bool,
    /// The zone that the spec names.
    pub zone: Option<HostedZoneId>,
    /// Who is to pass SPF, Amazon SES first.
    pub senders: Vec<SpfInclude>,
    /// The `all` of an SPF record that we create.
    pub all: SpfAll,
    /// What to do with what somebody else made.
    pub adoption: AdoptionPolicy,
    /// What goes when the object goes.
    pub deletion: DeletionPolicy,
    /// Whether the object is being deleted.
    pub deleting: bool,
    /// Whether what is wanted is done or only said.
    pub mode: Mode,
    /// Regions that cannot be used, and why.
    pub unusable: BTreeMap<String, String>,
    /// `metadata.generation`.
    pub generation: i64,
}

impl Desired {
    /// Whether nothing is to be done, only said.
    pub(super) fn observes(&self) -> bool {
        self.mode == Mode::Observe
    }

    /// The SPF record that we create where there is none.
    pub(super) fn spf(&self) -> Spf {
        Spf::create(&self.senders, self.all)
    }

    /// Parses the spec. The CRD's own rules refuse most of what fails here.
    pub(super) fn of(object: &SesMailFrom, known: &Regions) -> Result<Self, NameError> {
        let spec = &object.spec;
        let domain = DomainName::parse(&spec.domain)?;
        let shared = MailFromDomain::new(&spec.subdomain, &domain)?;
        let deleting = object.metadata.deletion_timestamp.is_some();
        let mut desired = Self {
            regions: BTreeMap::new(),
            names: BTreeMap::new(),
            mx_region: spec.mx_region.as_deref().and_then(|name| known.get(name).ok()),
            behavior: spec.behavior_on_mx_failure,
            immediate: spec.rollout == Rollout::Immediate,
            ttl: u32::try_from(spec.dns.ttl_seconds).unwrap_or(300),
            override_wildcard: spec.dns.wildcard_policy == WildcardPolicy::Override,
            zone: spec.dns.hosted_zone_id.as_deref().and_then(HostedZoneId::parse),
            senders: senders(&spec.dns.spf.include)?,
            all: spec.dns.spf.all,
            adoption: spec.adoption_policy,
            deletion: spec.deletion_policy,
            deleting,
            mode: spec.mode,
            unusable: BTreeMap::new(),
            generation: object.metadata.generation.unwrap_or(0),
            domain,
            shared,
        };
        if !deleting {
            desired.add_regions(object, known)?;
        }
        Ok(desired)
    }

    fn add_regions(&mut self, object: &SesMailFrom, known: &Regions) -> Result<(), NameError> {
        for entry in &object.spec.regions {
            let name = match &entry.subdomain {
                Some(own) => MailFromDomain::new(own, &self.domain)?,
                None => self.shared.clone(),
            };
            match known.get(&entry.name) {
                Ok(region) => {
                    self.names.entry(name.clone()).or_default().push(region.clone());
                    self.regions.insert(region, name);
                }
                Err(error) => {
                    self.unusable.insert(entry.name.clone(), error.to_string());
                }
            }
        }
        Ok(())
    }
}

/// Amazon SES and the others, each once.
fn senders(others: &[String]) -> Result<Vec<SpfInclude>, NameError> {
    let mut senders = vec![SpfInclude::amazon_ses()];
    for other in others {
        let other = SpfInclude::parse(other)?;
        if !senders.contains(&other) {
            senders.push(other);
        }
    }
    Ok(senders)
}

/// Where an object acts, in order and each place once.
#[derive(Clone, Debug)]
pub struct Places {
    /// The identity.
    pub domain: DomainName,
    /// Everything that the spec asks for: its regions and MAIL FROM domains.
    pub asked: Arc<[Place]>,
    /// That, and what status still tells of: everything that the object claims or
    /// may still hold. Nearly always the same.
    pub claimed: Arc<[Place]>,
}

impl Places {
    /// By spec and status. `None` where the object's domain is no name.
    pub fn of(object: &SesMailFrom, known: &Regions) -> Option<Self> {
        let domain = DomainName::parse(&object.spec.domain).ok()?;
        let asked = asked(object, &domain, known);
        let status = object.status.iter();
        let regions = status.clone().flat_map(|s| s.regions.iter().map(|r| r.name.as_str()));
        let recorded = status.flat_map(|s| s.records.iter().map(|r| r.name.as_str()));
        let names = recorded.filter_map(|name| MailFromDomain::below(name, &domain).ok());
        let regions = regions.filter_map(|name| known.get(name).ok());
        let mut claimed = asked.clone();
        claimed.extend(regions.map(Place::Region).chain(names.map(Place::Name)));
        let more = claimed.len() > asked.len();
        let asked: Arc<[Place]> = asked.into_iter().collect();
        let claimed = if more { claimed.into_iter().collect() } else { Arc::clone(&asked) };
        Some(Self { domain, asked, claimed })
    }
}

fn asked(object: &SesMailFrom, domain: &DomainName, known: &Regions) -> BTreeSet<Place> {
    let spec = &object.spec;
    let regions = spec.regions.iter().filter_map(|entry| known.get(&entry.name).ok());
    let own = spec.regions.iter().filter_map(|entry| entry.subdomain.as_deref());
    let shares = spec.regions.iter().any(|entry| entry.subdomain.is_none());
    let subdomains = shares.then_some(spec.subdomain.as_str()).into_iter().chain(own);
    let names = subdomains.filter_map(|sub| MailFromDomain::new(sub, domain).ok());
    regions.map(Place::Region).chain(names.map(Place::Name)).collect()
}

/// The drain window of an abandoned name: none for an object that goes.
pub(super) fn drain_window(desired: &Desired, window: Duration) -> Duration {
    if desired.deleting { Duration::ZERO } else { window }
}
