//! A recursive resolver with a memory, for "yes" and for "no" (RFC 2308).

use std::{collections::BTreeMap, net::Ipv4Addr, time::Duration};

use super::{Answer, Code, Lookup, PARENT, Record, ask};
use crate::{clock::SimTime, name::Name, record::RecordType, world::World};

/// What a resolver remembers, and until when.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cache {
    answers: BTreeMap<(Name, RecordType), (SimTime, Answer)>,
    absent: BTreeMap<Name, (SimTime, Answer)>,
    cuts: BTreeMap<Name, (SimTime, Vec<Ipv4Addr>)>,
}

impl Cache {
    /// What is remembered, its TTLs counted down.
    fn recall(&self, name: &Name, kind: RecordType, now: SimTime) -> Option<Answer> {
        let known = self.absent.get(name).or_else(|| self.answers.get(&(name.clone(), kind)));
        let (until, answer) = known.filter(|(until, _)| now < *until)?;
        let left = u32::try_from(until.saturating_sub(now).as_secs()).unwrap_or(u32::MAX);
        let mut answer = answer.clone();
        for record in answer.answers.iter_mut().chain(&mut answer.authorities) {
            record.ttl = record.ttl.min(left);
        }
        Some(answer)
    }

    /// Remembers an answer for its least TTL; a "no" for the lesser of the SOA
    /// record's TTL and its minimum field, and not at all without an SOA.
    fn remember(&mut self, name: &Name, kind: RecordType, now: SimTime, answer: &Answer) {
        let negative =
            answer.authorities.iter().find(|record| record.kind == RecordType::SOA).map(|soa| {
                let minimum = soa.value.rsplit(' ').next().and_then(|text| text.parse().ok());
                minimum.unwrap_or(soa.ttl).min(soa.ttl)
            });
        let Some(ttl) = answer.answers.iter().map(|record| record.ttl).chain(negative).min() else {
            return;
        };
        let until = now + Duration::from_secs(ttl.into());
        if answer.code == Code::NoSuchName && answer.answers.is_empty() {
            self.absent.insert(name.clone(), (until, answer.clone()));
        } else {
            self.absent.remove(name);
            self.answers.insert((name.clone(), kind), (until, answer.clone()));
        }
    }

    /// The servers of the closest zone above the name that is remembered.
    fn closest(&self, name: &Name, now: SimTime) -> Option<Vec<Ipv4Addr>> {
        name.ancestors()
            .find_map(|above| self.cuts.get(&above).filter(|(until, _)| now < *until))
            .map(|(_, servers)| servers.clone())
    }

    /// Forgets everything.
    pub(crate) fn flush(&mut self) {
        *self = Self::default();
    }
}

/// Referrals and CNAMEs that one look-up may follow.
const PATIENCE: usize = 12;

/// Looks a name up, from memory or from the servers down.
pub(crate) fn resolve(world: &World, cache: &mut Cache, name: &Name, kind: RecordType) -> Lookup {
    resolve_within(world, cache, name, kind, PATIENCE)
}

fn resolve_within(
    world: &World,
    cache: &mut Cache,
    name: &Name,
    kind: RecordType,
    patience: usize,
) -> Lookup {
    let Some(patience) = patience.checked_sub(1) else {
        return Lookup::Failure;
    };
    if let Some(answer) = cache.recall(name, kind, world.now()) {
        return Lookup::Answer(answer);
    }
    let Some(mut answer) = descend(world, cache, name, kind, patience) else {
        return Lookup::Failure;
    };
    let alias = answer
        .answers
        .last()
        .filter(|last| last.kind == RecordType::CNAME && kind != RecordType::CNAME);
    if let Some(target) = alias.and_then(|alias| Name::parse(&alias.value).ok()) {
        match resolve_within(world, cache, &target, kind, patience) {
            Lookup::Answer(rest) => {
                answer.code = rest.code;
                answer.answers.extend(rest.answers);
                answer.authorities = rest.authorities;
            }
            Lookup::Failure => return Lookup::Failure,
        }
    }
    answer.authoritative = false;
    answer.additionals.clear();
    cache.remember(name, kind, world.now(), &answer);
    Lookup::Answer(answer)
}

/// Follows referrals to a server with authority; none where no one answers.
fn descend(
    world: &World,
    cache: &mut Cache,
    name: &Name,
    kind: RecordType,
    patience: usize,
) -> Option<Answer> {
    let mut servers = cache.closest(name, world.now()).unwrap_or_else(|| vec![PARENT]);
    for _ in 0..PATIENCE {
        let answer = servers
            .iter()
            .filter_map(|server| ask(world, *server, name, kind))
            .find(|answer| answer.authoritative || answer.is_referral())?;
        if answer.authoritative {
            return Some(answer);
        }
        servers = follow(world, cache, &answer, patience);
    }
    None
}

/// The addresses of the servers that a referral names, remembered by the cut.
fn follow(world: &World, cache: &mut Cache, referral: &Answer, patience: usize) -> Vec<Ipv4Addr> {
    let mut servers = Vec::new();
    for record in &referral.authorities {
        let Ok(host) = Name::parse(&record.value) else {
            continue;
        };
        let glue: Vec<&Record> =
            referral.additionals.iter().filter(|extra| extra.name == host).collect();
        let found = if glue.is_empty() {
            match resolve_within(world, cache, &host, RecordType::A, patience) {
                Lookup::Answer(answer) => answer.answers,
                Lookup::Failure => Vec::new(),
            }
        } else {
            glue.into_iter().cloned().collect()
        };
        servers.extend(found.iter().filter_map(|record| record.value.parse::<Ipv4Addr>().ok()));
    }
    if let Some(record) = referral.authorities.first() {
        let until = world.now() + Duration::from_secs(record.ttl.into());
        cache.cuts.insert(record.name.clone(), (until, servers.clone()));
    }
    servers
}
