//! Zones, delegations and record sets, made and edited behind the API.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use crate::{
    clock::SimTime,
    dns::{self, PARENT},
    log::EventKind,
    name::Name,
    outside::EditError,
    record::{RecordKey, RecordSet, RecordType},
    route53::{Delegation, Edit, Zone, ZoneSpec},
    world::World,
};

/// Addresses of the two servers of a delegation set.
pub(crate) fn set_addresses(set: u8) -> [Ipv4Addr; 2] {
    [Ipv4Addr::new(127, 53, 2, 2 * (set % 100) + 1), Ipv4Addr::new(127, 53, 2, 2 * (set % 100) + 2)]
}

impl World {
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
            servers,
            records: BTreeMap::new(),
            served: BTreeMap::new(),
            busy_until: SimTime::ZERO,
            in_submission: 0,
            in_sync_due: SimTime::ZERO,
        };
        let (sets, named) = self.first_records(&zone, &spec.vanity);
        zone.records.extend(sets.into_iter().map(|set| (set.key(), set)));
        zone.served.clone_from(&zone.records);
        self.route53.insert(zone);
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
        let above = name.ancestors().collect::<Vec<_>>();
        let above = above.iter().flat_map(|name| self.route53.zones_named(name));
        let below = self.route53.zones_from(name, "");
        let below = below.take_while(|zone| zone.name.is_within(name));
        let taken: BTreeSet<Ipv4Addr> = above
            .chain(below)
            .flat_map(|zone| zone.servers.iter().map(|(_, address)| *address))
            .collect();
        let set = (0..self.config().dns.delegation_sets)
            .find(|set| !taken.contains(&set_addresses(*set)[0]))
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

    /// Whether a zones' server answers at that address.
    pub(crate) fn is_zone_server(&self, address: Ipv4Addr) -> bool {
        let sets = 0..self.config().dns.delegation_sets;
        sets.flat_map(set_addresses).any(|server| server == address)
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
        self.route53.remove(id);
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
            let mut zones = self.route53.zones_named(&above);
            let sent = zones.find(|zone| !zone.private && self.is_delegated(zone))?;
            Some(sent.id.clone())
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
        self.route53.overtake(zone, &edit.key());
        self.edit_record_set(zone, &edit, None);
        if let Some(zone) = self.route53.zones.get_mut(zone) {
            zone.serve(edit);
        }
    }
}
