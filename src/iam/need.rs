//! What objects need of AWS: which identities, which names in which zones.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use crate::api::{RecordStatus, RegionSpec, SesMailFrom};
use crate::mail::{
    DomainName, HostedZoneId, MailFromDomain, NameError, Partition, RoleArn, RoleArnError,
};

/// The resources that a policy is about, as patterns of ARNs.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Need {
    pub(super) partition: Partition,
    /// ARNs of the identities whose MAIL FROM is set.
    pub(super) identities: BTreeSet<String>,
    /// ARNs of the MAIL FROM domains, as identities: one that is itself an
    /// identity that sends is refused, so each is looked for.
    pub(super) names_as_identities: BTreeSet<String>,
    /// By zone, the names that are changed there, normalised; of a zone without
    /// names, any name.
    pub(super) names: BTreeMap<ZonePattern, BTreeSet<String>>,
    /// ARNs of the roles that are assumed for the rest.
    pub(super) roles: BTreeSet<String>,
}

/// Whose policy is made: objects may name roles for their SES and their DNS.
#[derive(Clone, Copy, Debug)]
pub enum Holder<'a> {
    /// The operator itself: what no role is named for, and assuming the others.
    Operator,
    /// A role that objects name.
    Role(&'a RoleArn),
}

/// One hosted zone, or any.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum ZonePattern {
    Any,
    One(String),
}

/// Why no policy can be made for an object.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum NeedError {
    /// A domain or subdomain that admission would not let in.
    #[error("{object}: {source}")]
    Name {
        /// Which object.
        object: String,
        /// What is wrong.
        source: NameError,
    },
    /// A value that would not stand in an ARN as itself.
    #[error("{object}: \"{value}\" is not {expected}")]
    Value {
        /// Which object.
        object: String,
        /// What was found.
        value: String,
        /// What should be there.
        expected: &'static str,
    },
    /// `roleARN` is none.
    #[error("{object}: {source}")]
    Role {
        /// Which object.
        object: String,
        /// What is wrong.
        source: RoleArnError,
    },
    /// One document has ARNs of one partition.
    #[error("{0}: its regions are of another AWS partition; ask for a policy for each partition")]
    Partitions(String),
}

impl Need {
    /// Of any object: every identity, name and zone of the account.
    pub fn anything(partition: Partition) -> Self {
        let identities = BTreeSet::from([identity_arn(partition, "*", "*", "*")]);
        let names = BTreeMap::from([(ZonePattern::Any, BTreeSet::new())]);
        Self {
            partition,
            identities,
            names_as_identities: BTreeSet::new(),
            names,
            roles: BTreeSet::new(),
        }
    }

    /// Of these objects: what their specs ask for, and what their statuses say
    /// is still to be cleaned up. Accounts and zones are those that a status or
    /// spec names; where none is named, any.
    pub fn of(objects: &[SesMailFrom], holder: Holder<'_>) -> Result<Self, NeedError> {
        let first = objects.iter().flat_map(|object| &object.spec.regions).next();
        let partition = first.map_or(Partition::Aws, |region| Partition::of_name(&region.name));
        let mut need = Self {
            partition,
            identities: BTreeSet::new(),
            names_as_identities: BTreeSet::new(),
            names: BTreeMap::new(),
            roles: BTreeSet::new(),
        };
        for object in objects {
            let asking = Asking::new(object);
            if need.falls_to(holder, &asking, object.spec.role_arn.as_deref())? {
                need.add_settings(&asking)?;
            }
            if need.falls_to(holder, &asking, object.spec.dns.role_arn.as_deref())? {
                need.add_records(&asking)?;
            }
        }
        Ok(need)
    }

    /// Whether nothing is needed at all.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty() && self.names.is_empty() && self.roles.is_empty()
    }

    /// Whether a half of the work that a role is named for, or none, falls to
    /// the holder.
    fn falls_to(
        &mut self,
        holder: Holder<'_>,
        asking: &Asking<'_>,
        named: Option<&str>,
    ) -> Result<bool, NeedError> {
        let named = named.map(RoleArn::parse).transpose();
        let named =
            named.map_err(|source| NeedError::Role { object: asking.name.clone(), source })?;
        if let (Holder::Operator, Some(role)) = (holder, &named) {
            self.roles.insert(role.as_str().to_owned());
        }
        Ok(match holder {
            Holder::Operator => named.is_none(),
            Holder::Role(role) => named.as_ref() == Some(role),
        })
    }

    fn add_settings(&mut self, asking: &Asking<'_>) -> Result<(), NeedError> {
        let domain = asking.domain()?;
        for region in asking.regions() {
            asking.check(region, "a region", |c| c.is_ascii_lowercase() || c == '-')?;
            if Partition::of_name(region) != self.partition {
                return Err(NeedError::Partitions(asking.name.clone()));
            }
            let arn = self.identity(asking, region, &domain)?;
            self.identities.insert(arn);
        }
        for (region, name) in asking.names(&domain)? {
            let arn = self.identity(asking, region, name.name())?;
            self.names_as_identities.insert(arn);
        }
        Ok(())
    }

    fn add_records(&mut self, asking: &Asking<'_>) -> Result<(), NeedError> {
        let domain = asking.domain()?;
        for (_, name) in asking.names(&domain)? {
            self.change(asking, asking.zone_of(name.name()), name.name())?;
        }
        for record in asking.records() {
            let name = asking.named(MailFromDomain::below(&record.name, &domain))?;
            let zone = Some(record.zone.as_str()).filter(|zone| !zone.is_empty());
            self.change(asking, zone, name.name())?;
        }
        Ok(())
    }

    fn identity(
        &self,
        asking: &Asking<'_>,
        region: &str,
        identity: &DomainName,
    ) -> Result<String, NeedError> {
        let account = asking.account(region)?;
        Ok(identity_arn(self.partition, region, account, identity.as_str()))
    }

    fn change(
        &mut self,
        asking: &Asking<'_>,
        zone: Option<&str>,
        name: &DomainName,
    ) -> Result<(), NeedError> {
        let zone = match zone {
            None => ZonePattern::Any,
            Some(id) => {
                let parsed = HostedZoneId::parse(id);
                let parsed = parsed.ok_or_else(|| asking.bad(id, "the id of a hosted zone"))?;
                ZonePattern::One(parsed.as_str().to_owned())
            }
        };
        self.names.entry(zone).or_default().insert(normalized(name));
        Ok(())
    }
}

/// One object, with what errors call it.
struct Asking<'a> {
    object: &'a SesMailFrom,
    name: String,
}

impl<'a> Asking<'a> {
    fn new(object: &'a SesMailFrom) -> Self {
        let namespace = object.metadata.namespace.as_deref().unwrap_or("default");
        let name = object.metadata.name.as_deref().unwrap_or_default();
        Self { object, name: format!("{namespace}/{name}") }
    }

    /// Of the spec, and those that a status still has to clear.
    fn regions(&self) -> BTreeSet<&'a str> {
        let stored = self.object.status.iter().flat_map(|status| &status.regions);
        let left = stored.map(|region| region.name.as_str());
        self.object.spec.regions.iter().map(|region| region.name.as_str()).chain(left).collect()
    }

    fn domain(&self) -> Result<DomainName, NeedError> {
        self.named(DomainName::parse(&self.object.spec.domain))
    }

    /// The MAIL FROM domain of each region of the spec.
    fn names(&self, domain: &DomainName) -> Result<Vec<(&'a str, MailFromDomain)>, NeedError> {
        let spec = &self.object.spec;
        let name = |region: &'a RegionSpec| {
            let subdomain = region.subdomain.as_ref().unwrap_or(&spec.subdomain);
            let name = self.named(MailFromDomain::new(subdomain, domain))?;
            Ok((region.name.as_str(), name))
        };
        spec.regions.iter().map(name).collect()
    }

    fn records(&self) -> impl Iterator<Item = &'a RecordStatus> {
        self.object.status.iter().flat_map(|status| &status.records)
    }

    fn account(&self, region: &str) -> Result<&'a str, NeedError> {
        let mut stored = self.object.status.iter().flat_map(|status| &status.regions);
        let found = stored.find(|stored| stored.name == region);
        let Some(account) = found.and_then(|region| region.account.as_deref()) else {
            return Ok("*");
        };
        self.check(account, "an account id", |_| false).map(|()| account)
    }

    /// The zone of a name, where it is known.
    fn zone_of(&self, name: &DomainName) -> Option<&'a str> {
        let asked = self.object.spec.dns.hosted_zone_id.as_deref();
        let stands = || self.records().find(|record| record.name == name.as_str());
        asked.or_else(|| stands().map(|record| record.zone.as_str()))
    }

    fn named<T>(&self, name: Result<T, NameError>) -> Result<T, NeedError> {
        name.map_err(|source| NeedError::Name { object: self.name.clone(), source })
    }

    /// Digits are always legal.
    fn check(
        &self,
        value: &str,
        expected: &'static str,
        legal: impl Fn(char) -> bool,
    ) -> Result<(), NeedError> {
        let fits = (1..=32).contains(&value.len());
        let ok = fits && value.chars().all(|c| c.is_ascii_digit() || legal(c));
        if ok { Ok(()) } else { Err(self.bad(value, expected)) }
    }

    fn bad(&self, value: &str, expected: &'static str) -> NeedError {
        let value = value.chars().take(64).collect::<String>().escape_debug().to_string();
        NeedError::Value { object: self.name.clone(), value, expected }
    }
}

fn identity_arn(partition: Partition, region: &str, account: &str, identity: &str) -> String {
    format!("arn:{}:ses:{region}:{account}:identity/{identity}", partition.as_str())
}

/// A name as Route 53 compares it with a policy: lower case, no final dot, and
/// any character but letters, digits, `-`, `_` and `.` as `\ooo` in octal.
fn normalized(name: &DomainName) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let shown = |c: char| if plain(c) { c.to_string() } else { format!("\\{:03o}", u32::from(c)) };
    name.as_str().chars().map(shown).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_route_53_compares_them() {
        let name = DomainName::parse("*.A_b-c.Example.COM.").unwrap();
        assert_eq!(normalized(&name), "\\052.a_b-c.example.com");
    }
}
