//! What others do, behind the API: accounts, zones, identities and edits.

use std::net::Ipv4Addr;

use thiserror::Error;

use crate::{
    dns::{self, PARENT},
    faults::{Fault, FaultId, Gate, GatePoint, Matching},
    log::{EventKind, IdentityKey, MailFromStatus, Sending},
    name::{Name, NameError},
    record::{RecordKey, RecordSet, RecordType},
    route53::{Delegation, Edit, Zone, ZoneSpec},
    ses::{self, Behavior, Identity, MailFromView},
    sts::Role,
    world::World,
};

/// An edit that the world cannot take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    /// Not a domain name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No zone of that id.
    #[error("there is no zone {0}")]
    NoZone(String),
    /// No such identity.
    #[error("there is no identity {0:?}")]
    NoIdentity(IdentityKey),
    /// Zones of the same name, or of one above or below it, take a delegation
    /// set each, and none is left.
    #[error("no delegation set is left for {0}: raise dns.delegation_sets")]
    NoDelegationSet(String),
}

/// Addresses of the two servers of a delegation set.
pub(crate) fn set_addresses(set: u8) -> [Ipv4Addr; 2] {
    [Ipv4Addr::new(127, 53, 2, 2 * (set % 100) + 1), Ipv4Addr::new(127, 53, 2, 2 * (set % 100) + 2)]
}

impl World {
    /// Adds an account, reached with that access key.
    pub fn add_account(&mut self, account: &str, access_key: &str) {
        self.add_key(access_key, account, format!("arn:aws:iam::{account}:user/simulated"));
    }

    /// Adds a role that `AssumeRole` gives; its account stands in the ARN.
    pub fn add_role(&mut self, arn: &str, role: Role) {
        self.add_role_entry(arn, role);
    }

    /// Adds a zone and returns its id, without `/hostedzone/`.
    pub fn create_zone(&mut self, spec: ZoneSpec) -> Result<String, EditError> {
        let name = Name::parse(&spec.name)?;
        let id = spec.id.unwrap_or_else(|| self.route53.fresh_id('Z'));
        let elsewhere = spec.account.is_none();
        let servers = if spec.private { Vec::new() } else { self.take_servers(&name, elsewhere)? };
        let mut zone = Zone {
            id: id.clone(),
            account: spec.account,
            name: name.clone(),
            private: spec.private,
            linked_service: spec.linked_service,
            servers: servers.clone(),
            records: std::collections::BTreeMap::new(),
            served: std::collections::BTreeMap::new(),
            busy_until: crate::clock::SimTime::ZERO,
            in_submission: 0,
            in_sync_due: crate::clock::SimTime::ZERO,
        };
        let (sets, named) = self.first_records(&zone, &spec.vanity);
        zone.records.extend(sets.into_iter().map(|set| (set.key(), set)));
        zone.served.clone_from(&zone.records);
        for (_, address) in &servers {
            self.dns.served_by.entry(*address).or_default().insert(id.clone());
        }
        self.route53.zones.insert(id.clone(), zone);
        match spec.delegation {
            Delegation::Here => self.delegate_hosts(&name, named),
            Delegation::Elsewhere(hosts) => self.delegate(&spec.name, &hosts)?,
            Delegation::None => self.add_registry(&name),
        }
        Ok(id)
    }

    /// A delegation set on which no zone stands that could be mistaken for
    /// this one's parent or child: sharing a server would hide a missing
    /// delegation.
    fn take_servers(
        &mut self,
        name: &Name,
        elsewhere: bool,
    ) -> Result<Vec<(Name, Ipv4Addr)>, EditError> {
        let free = |set: &u8| {
            let zones = self.dns.served_by.get(&set_addresses(*set)[0]);
            zones
                .into_iter()
                .flatten()
                .filter_map(|id| self.route53.zones.get(id))
                .all(|zone| !zone.name.is_within(name) && !name.is_within(&zone.name))
        };
        let set = (0..self.config().dns.delegation_sets)
            .find(free)
            .ok_or_else(|| EditError::NoDelegationSet(name.plain()))?;
        let provider = if elsewhere { "other-dns" } else { "awsdns" };
        let mut servers = Vec::new();
        for (index, (address, suffix)) in
            set_addresses(set).into_iter().zip(["com", "net"]).enumerate()
        {
            let host = Name::parse(&format!(
                "ns-{}.{provider}-{set:02}.{suffix}",
                usize::from(set) * 2 + index
            ))?;
            self.dns.hosts.insert(host.clone(), address);
            servers.push((host, address));
        }
        Ok(servers)
    }

    /// SOA and NS of a new zone, and the names that its parent is to give.
    fn first_records(&mut self, zone: &Zone, vanity: &[String]) -> (Vec<RecordSet>, Vec<Name>) {
        let config = &self.config().route53;
        let hosts: Vec<Name> = if vanity.is_empty() {
            zone.servers.iter().map(|(host, _)| host.clone()).collect()
        } else {
            vanity.iter().map(|label| zone.name.child(label)).collect()
        };
        let primary =
            hosts.first().map_or_else(|| "ns-0.awsdns-00.com.".to_owned(), Name::to_string);
        let soa = format!(
            "{primary} awsdns-hostmaster.amazon.com. 1 7200 900 1209600 {}",
            config.soa_minimum
        );
        let names = hosts.iter().map(Name::to_string).collect();
        let mut sets = vec![
            RecordSet::of(zone.name.clone(), RecordType::SOA, config.soa_ttl, vec![soa]),
            RecordSet::of(zone.name.clone(), RecordType::NS, 172_800, names),
        ];
        if !vanity.is_empty() {
            for (host, (_, address)) in hosts.iter().zip(zone.servers.iter().cycle()) {
                self.dns.glue.entry(host.clone()).or_default().push(*address);
                sets.push(RecordSet::of(
                    host.clone(),
                    RecordType::A,
                    172_800,
                    vec![address.to_string()],
                ));
            }
        }
        (sets, hosts)
    }

    /// Removes a zone, as if someone had deleted it with all its records.
    pub fn delete_zone(&mut self, id: &str) {
        self.route53.zones.remove(id);
        for zones in self.dns.served_by.values_mut() {
            zones.remove(id);
        }
    }

    /// Has the parent send the world to these name servers. The parent is the
    /// closest zone above that is itself delegated, else the top-level domain.
    pub fn delegate(&mut self, name: &str, servers: &[String]) -> Result<(), EditError> {
        let name = Name::parse(name)?;
        let hosts = servers.iter().map(|host| Name::parse(host)).collect::<Result<_, _>>()?;
        self.delegate_hosts(&name, hosts);
        Ok(())
    }

    /// Takes a delegation away.
    pub fn undelegate(&mut self, name: &str) -> Result<(), EditError> {
        self.delegate(name, &[])
    }

    fn delegate_hosts(&mut self, name: &Name, hosts: Vec<Name>) {
        self.add_registry(name);
        let servers = hosts.iter().map(Name::to_string).collect::<Vec<_>>();
        if let Some(parent) = self.parent_zone(name) {
            let key: RecordKey = (name.clone(), RecordType::NS, None);
            let edit = if hosts.is_empty() {
                Edit::Remove(key)
            } else {
                Edit::Set(RecordSet::of(name.clone(), RecordType::NS, 172_800, servers.clone()))
            };
            self.edit_and_serve(&parent, edit);
        } else if hosts.is_empty() {
            self.dns.delegations.remove(name);
        } else {
            self.dns.delegations.insert(name.clone(), hosts);
        }
        self.record(EventKind::Delegation { name: name.clone(), servers });
    }

    /// The closest zone above the name that the world is sent to.
    fn parent_zone(&self, name: &Name) -> Option<String> {
        name.ancestors().skip(1).find_map(|above| {
            let mut zones =
                self.route53.zones.values().filter(|zone| zone.name == above && !zone.private);
            let sent = |zone: &&Zone| self.is_delegated(zone);
            zones.find(sent).map(|zone| zone.id.clone())
        })
    }

    /// Whether the servers that the parent names serve this zone.
    fn is_delegated(&self, zone: &Zone) -> bool {
        let named = match self.parent_zone(&zone.name) {
            Some(parent) => self.route53.zones.get(&parent).and_then(|parent| {
                let set = parent.served.get(&(zone.name.clone(), RecordType::NS, None))?;
                Some(
                    set.values.iter().filter_map(|host| Name::parse(host).ok()).collect::<Vec<_>>(),
                )
            }),
            None => self.dns.delegations.get(&zone.name).cloned(),
        };
        named.into_iter().flatten().any(|host| {
            let address = self.dns.hosts.get(&host).copied();
            let glue = self.dns.glue.get(&host).into_iter().flatten().copied();
            address
                .into_iter()
                .chain(glue)
                .any(|address| zone.servers.iter().any(|(_, own)| *own == address))
        })
    }

    /// Knows the top-level domain of a name.
    fn add_registry(&mut self, name: &Name) {
        let top = name.ancestors().find(|above| above.labels().count() == 1);
        if let Some(top) = top {
            let host = Name::parse(&dns::server_name(&top));
            self.dns.hosts.extend(host.map(|host| (host, PARENT)));
            self.dns.registries.insert(top);
        }
    }

    /// Creates or replaces a record set, served at once.
    pub fn put_record_set(&mut self, zone: &str, set: RecordSet) -> Result<(), EditError> {
        self.zone(zone).ok_or_else(|| EditError::NoZone(zone.to_owned()))?;
        self.edit_and_serve(zone, Edit::Set(set));
        Ok(())
    }

    /// Removes a record set without routing, at once. Where there is none,
    /// nothing happens.
    pub fn delete_record_set(
        &mut self,
        zone: &str,
        name: &str,
        kind: RecordType,
    ) -> Result<(), EditError> {
        self.zone(zone).ok_or_else(|| EditError::NoZone(zone.to_owned()))?;
        self.edit_and_serve(zone, Edit::Remove((Name::parse(name)?, kind, None)));
        Ok(())
    }

    fn edit_and_serve(&mut self, zone: &str, edit: Edit) {
        self.edit_record_set(zone, &edit, None);
        if let Some(zone) = self.route53.zones.get_mut(zone) {
            zone.serve(edit);
        }
    }

    /// Has a name server, the parents' or the resolver not answer any more, or
    /// answer again.
    pub fn silence(&mut self, server: Ipv4Addr, silent: bool) {
        if silent {
            self.dns.silent.insert(server);
        } else {
            self.dns.silent.remove(&server);
        }
    }

    /// Has the resolvers forget everything.
    pub fn flush_resolvers(&mut self) {
        self.dns.public_cache.flush();
        self.dns.ses_cache.flush();
    }

    /// Adds an identity, or verifies it or takes its verification away.
    pub fn set_identity(&mut self, account: &str, region: &str, identity: &str, verified: bool) {
        let key = IdentityKey::new(account, region, identity);
        let from = ses::sending(self.ses.identities.get(&key));
        let entry =
            self.ses.identities.entry(key.clone()).or_insert_with(|| Identity::new(verified));
        entry.verified = verified;
        let to = ses::sending(Some(entry));
        self.record(EventKind::Identity { identity: key.clone(), verified: Some(verified) });
        self.note_sending(&key, from, to);
    }

    /// Removes an identity and its setting.
    pub fn delete_identity(&mut self, account: &str, region: &str, identity: &str) {
        let key = IdentityKey::new(account, region, identity);
        if let Some(gone) = self.ses.identities.remove(&key) {
            self.record(EventKind::Identity { identity: key.clone(), verified: None });
            self.note_sending(&key, ses::sending(Some(&gone)), Sending::NotVerified);
        }
    }

    /// Sets MAIL FROM as another client of SES would, by a put.
    pub fn put_mail_from(
        &mut self,
        account: &str,
        region: &str,
        identity: &str,
        domain: &str,
        behavior: Behavior,
    ) -> Result<(), EditError> {
        let key = IdentityKey::new(account, region, identity);
        let put = ses::Put {
            identity: identity.to_owned(),
            domain: Some(domain.to_owned()),
            behavior: Some(behavior.v2().to_owned()),
        };
        ses::put(self, &key, &put).map_err(|_| EditError::NoIdentity(key))
    }

    /// Sets a state directly, its window beginning now; no domain clears it.
    pub fn force_mail_from(
        &mut self,
        account: &str,
        region: &str,
        identity: &str,
        domain: Option<(&str, MailFromStatus)>,
        behavior: Behavior,
    ) -> Result<(), EditError> {
        let key = IdentityKey::new(account, region, identity);
        if !self.ses.identities.contains_key(&key) {
            return Err(EditError::NoIdentity(key));
        }
        let domain = domain.map(|(name, status)| (name.to_owned(), status));
        ses::force(self, &key, MailFromView { domain, behavior });
        Ok(())
    }

    /// Has SES look for the MX now, besides its schedule.
    pub fn check_mail_from(&mut self, account: &str, region: &str, identity: &str) {
        ses::take_look(self, &IdentityKey::new(account, region, identity));
    }

    /// Scripts a fault.
    pub fn add_fault(&mut self, fault: Fault) -> FaultId {
        self.script.add(fault)
    }

    /// Removes a scripted fault.
    pub fn remove_fault(&mut self, id: FaultId) {
        self.script.remove(id);
    }

    /// Removes all scripted faults; gates stay.
    pub fn clear_faults(&mut self) {
        self.script.clear();
    }

    /// Stops the `nth` matching call from now (0 is the next) at a gate. When
    /// several gates match one call, the rest wait for the calls after it.
    pub fn gate(&mut self, matching: Matching, point: GatePoint, nth: usize) -> Gate {
        self.script.gate(matching, point, nth)
    }
}
