//! What one server answers, from its own data alone: a parent refers, a zone's
//! server is authoritative, and neither knows what the other holds.

use std::{net::Ipv4Addr, ops::Bound};

use super::{Answer, Code, Dns, PARENT, Record};
use crate::{
    name::Name,
    record::{RecordSet, RecordType},
    route53::Zone,
    world::World,
};

/// Asks the server at that address; none if it does not answer.
pub(crate) fn ask(
    world: &World,
    server: Ipv4Addr,
    name: &Name,
    kind: RecordType,
) -> Option<Answer> {
    if world.dns.silent.contains(&server) {
        return None;
    }
    if server == PARENT {
        return Some(ask_parent(&world.dns, world.config().dns.delegation_ttl, name, kind));
    }
    if !world.is_zone_server(server) {
        return None;
    }
    let zone = name.ancestors().find_map(|above| {
        let mut zones = world.route53.zones_named(&above);
        let id = zones.find(|zone| zone.servers.iter().any(|(_, own)| *own == server))?;
        world.route53.zones.get(id.id())
    });
    Some(zone.map_or_else(|| Answer::of(Code::Refused), |zone| ask_zone(zone, name, kind)))
}

/// The server of the root and of the top-level domains.
fn ask_parent(dns: &Dns, ttl: u32, name: &Name, kind: RecordType) -> Answer {
    let registry =
        name.ancestors().find(|above| dns.registries.contains(above)).unwrap_or_else(Name::root);
    let soa = Record {
        name: registry.clone(),
        kind: RecordType::SOA,
        ttl,
        value: format!(
            "{} hostmaster.{} 1 1800 900 604800 {ttl}",
            server_name(&registry),
            server_name(&registry)
        ),
    };
    if let Some(address) = dns.hosts.get(name) {
        let found = (kind == RecordType::A).then(|| Record {
            name: name.clone(),
            kind,
            ttl,
            value: address.to_string(),
        });
        return Answer::with(
            Code::NoError,
            found.into_iter().collect(),
            found_none(kind == RecordType::A, soa),
        );
    }
    let cut = name
        .ancestors()
        .take_while(|above| *above != registry)
        .find(|above| dns.delegations.contains_key(above));
    if let Some(cut) = cut {
        return refer(dns, ttl, &cut);
    }
    if *name == registry {
        let found = match kind {
            RecordType::NS => {
                vec![Record { name: name.clone(), kind, ttl, value: server_name(&registry) }]
            }
            RecordType::SOA => vec![soa.clone()],
            _ => Vec::new(),
        };
        let answered = !found.is_empty();
        return Answer::with(Code::NoError, found, found_none(answered, soa));
    }
    // In the order of names, all that lies below one follows it.
    let from = || (Bound::Included(name), Bound::Unbounded);
    let next = [
        dns.delegations.range::<Name, _>(from()).next().map(|(other, _)| other),
        dns.hosts.range::<Name, _>(from()).next().map(|(other, _)| other),
        dns.registries.range::<Name, _>(from()).next(),
    ];
    let exists = next.into_iter().flatten().any(|other| other.is_within(name));
    Answer::with(if exists { Code::NoError } else { Code::NoSuchName }, Vec::new(), Some(soa))
}

fn found_none(found: bool, soa: Record) -> Option<Record> {
    (!found).then_some(soa)
}

/// The host name of a registry's server.
pub(crate) fn server_name(registry: &Name) -> String {
    if *registry == Name::root() {
        "a.root-servers.net.".to_owned()
    } else {
        registry.child("nic").child("a").to_string()
    }
}

fn refer(dns: &Dns, ttl: u32, cut: &Name) -> Answer {
    let servers = dns.delegations.get(cut).map(Vec::as_slice).unwrap_or_default();
    let authorities = servers
        .iter()
        .map(|host| Record {
            name: cut.clone(),
            kind: RecordType::NS,
            ttl,
            value: host.to_string(),
        })
        .collect();
    let additionals = servers
        .iter()
        .flat_map(|host| {
            dns.glue.get(host).into_iter().flatten().map(move |address| (host, address))
        })
        .map(|(host, address)| Record {
            name: host.clone(),
            kind: RecordType::A,
            ttl,
            value: address.to_string(),
        })
        .collect();
    Answer { authorities, additionals, ..Answer::of(Code::NoError) }
}

/// A zone's server, from what is in sync (RFC 1034 section 4.3.2, RFC 4592).
fn ask_zone(zone: &Zone, name: &Name, kind: RecordType) -> Answer {
    if let Some(cut) = cut(zone, name, kind) {
        let authorities = records(zone, &cut, RecordType::NS, &cut);
        let additionals = authorities
            .iter()
            .filter_map(|record| Name::parse(&record.value).ok())
            .flat_map(|host| records(zone, &host, RecordType::A, &host))
            .collect();
        return Answer { authorities, additionals, ..Answer::of(Code::NoError) };
    }
    let soa = records(zone, &zone.name, RecordType::SOA, &zone.name).pop();
    let source = if exists(zone, name) {
        Some(name.clone())
    } else {
        let encloser = name.ancestors().skip(1).find(|above| exists(zone, above));
        encloser.map(|above| above.child("*")).filter(|wildcard| has_records(zone, wildcard))
    };
    let Some(source) = source else {
        return Answer::with(Code::NoSuchName, Vec::new(), soa);
    };
    let alias = records(zone, &source, RecordType::CNAME, name);
    if kind != RecordType::CNAME && !alias.is_empty() {
        // Where it leads is the resolver's to find out.
        return Answer::with(Code::NoError, alias, None);
    }
    let found = records(zone, &source, kind, name);
    let soa = soa.filter(|_| found.is_empty());
    Answer::with(Code::NoError, found, soa)
}

/// The highest name below the apex, at or above `name`, that is delegated away.
/// DS belongs to the parent's side of the cut.
fn cut(zone: &Zone, name: &Name, kind: RecordType) -> Option<Name> {
    name.ancestors()
        .take_while(|above| *above != zone.name)
        .filter(|above| !(kind == RecordType::DS && above == name))
        .filter(|above| zone.served.contains_key(&(above.clone(), RecordType::NS, None)))
        .last()
}

/// Whether records stand at the name or below it: an empty non-terminal exists.
fn exists(zone: &Zone, name: &Name) -> bool {
    let first = Bound::Included((name.clone(), RecordType::A, None));
    zone.served
        .range((first, Bound::Unbounded))
        .next()
        .is_some_and(|(key, _)| key.0.is_within(name))
}

fn has_records(zone: &Zone, name: &Name) -> bool {
    let first = Bound::Included((name.clone(), RecordType::A, None));
    zone.served.range((first, Bound::Unbounded)).next().is_some_and(|(key, _)| key.0 == *name)
}

/// The records of a type at `source`, under the name that was asked for. Of
/// routed record sets the first one answers; an alias answers with an address.
fn records(zone: &Zone, source: &Name, kind: RecordType, shown: &Name) -> Vec<Record> {
    let first = Bound::Included((source.clone(), kind, None));
    let set = zone
        .served
        .range((first, Bound::Unbounded))
        .next()
        .filter(|(key, _)| key.0 == *source && key.1 == kind);
    let Some((_, set)) = set else {
        return Vec::new();
    };
    values(set)
        .into_iter()
        .map(|value| Record { name: shown.clone(), kind, ttl: set.ttl.unwrap_or(60), value })
        .collect()
}

/// What an alias points at is outside the simulated world; its target's
/// address is one for documentation (RFC 5737).
fn values(set: &RecordSet) -> Vec<String> {
    if set.alias.is_some() { vec!["192.0.2.1".to_owned()] } else { set.values.clone() }
}
