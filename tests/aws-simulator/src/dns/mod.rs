//! The DNS: parents' servers, zones' servers, and recursive resolvers.

mod authority;
mod resolver;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

pub(crate) use self::{
    authority::{ask, server_name},
    resolver::Cache,
    wire::truncate,
};
use self::{resolver::resolve, wire::respond};
use crate::{name::Name, record::RecordType, world::World, zones::set_addresses};

/// The recursive resolver that everyone asks.
pub const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 1);
/// The server of the root and of every top-level domain.
pub const PARENT: Ipv4Addr = Ipv4Addr::new(127, 53, 1, 1);

/// One record in zone-file form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) name: Name,
    pub(crate) kind: RecordType,
    pub(crate) ttl: u32,
    pub(crate) value: String,
}

/// How a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    NoError,
    NoSuchName,
    Refused,
    ServerFailure,
}

/// A server's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) authoritative: bool,
    pub(crate) answers: Vec<Record>,
    pub(crate) authorities: Vec<Record>,
    pub(crate) additionals: Vec<Record>,
}

impl Answer {
    fn of(code: Code) -> Self {
        let (answers, authorities, additionals) = (Vec::new(), Vec::new(), Vec::new());
        Self { code, authoritative: false, answers, authorities, additionals }
    }

    fn with(code: Code, answers: Vec<Record>, soa: Option<Record>) -> Self {
        Self {
            authoritative: true,
            answers,
            authorities: soa.into_iter().collect(),
            ..Self::of(code)
        }
    }

    fn is_referral(&self) -> bool {
        !self.authoritative
            && self.answers.is_empty()
            && self.authorities.iter().any(|record| record.kind == RecordType::NS)
    }
}

/// What a recursive look-up ends with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// Records, or the authoritative word that there are none.
    Answer(Answer),
    /// No server could be asked.
    Failure,
}

/// What is above the zones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Dns {
    /// Top-level domains.
    pub(crate) registries: BTreeSet<Name>,
    /// Delegations at the top-level domains' server.
    pub(crate) delegations: BTreeMap<Name, Vec<Name>>,
    /// Addresses of name servers whose names lie in no simulated zone.
    pub(crate) hosts: BTreeMap<Name, Ipv4Addr>,
    /// Addresses that the parents' server gives with its referrals.
    pub(crate) glue: BTreeMap<Name, Vec<Ipv4Addr>>,
    /// Servers that do not answer at all.
    pub(crate) silent: BTreeSet<Ipv4Addr>,
    /// What the public resolver and SES's own remember.
    pub(crate) public_cache: Cache,
    pub(crate) ses_cache: Cache,
}

impl World {
    /// SES's own look-up.
    pub(crate) fn resolve_for_ses(&mut self, name: &Name, kind: RecordType) -> Lookup {
        if self.config().dns.ses_shares_resolver {
            return self.resolve_publicly(name, kind);
        }
        let mut cache = std::mem::take(&mut self.dns.ses_cache);
        let lookup = resolve(self, &mut cache, name, kind);
        self.dns.ses_cache = cache;
        lookup
    }

    /// A look-up by the recursive resolver that everyone asks.
    pub(crate) fn resolve_publicly(&mut self, name: &Name, kind: RecordType) -> Lookup {
        let mut cache = std::mem::take(&mut self.dns.public_cache);
        let lookup = resolve(self, &mut cache, name, kind);
        self.dns.public_cache = cache;
        lookup
    }

    /// Answers a DNS message as the server at that address.
    pub(crate) fn answer_dns(&mut self, server: Ipv4Addr, query: &[u8]) -> Option<Vec<u8>> {
        respond(query, server == RESOLVER, |name, kind| {
            self.record_question(server, name, kind);
            if server != RESOLVER {
                return ask(self, server, name, kind);
            }
            if self.dns.silent.contains(&server) {
                return None;
            }
            match self.resolve_publicly(name, kind) {
                Lookup::Answer(answer) => Some(answer),
                Lookup::Failure => Some(Answer::of(Code::ServerFailure)),
            }
        })
    }

    /// Every address at which a name server or resolver answers.
    pub fn dns_addresses(&self) -> Vec<Ipv4Addr> {
        let sets = 0..self.config().dns.delegation_sets;
        let zones = sets.flat_map(set_addresses);
        [RESOLVER, PARENT].into_iter().chain(zones).collect::<BTreeSet<_>>().into_iter().collect()
    }
}
