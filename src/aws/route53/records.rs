//! Reading record sets: `ListResourceRecordSets` has start-*at* semantics, so
//! one starts at a name and stops when past it.

use aws_sdk_route53::types as sdk;

use super::super::Error;
use super::super::access::{Ask, LaneKey, Reader};
use super::super::call::{Operation, Target};
use super::super::clients::Clients;
use super::super::memo::{Asked, Memo};
use super::super::memos::Memos;
use super::names::plain;
use crate::mail::{DomainName, HostedZoneId, NameView, RecordSet, RecordType, Routing};

/// How many record sets to ask for where those of one name are looked for.
const ONE_NAME: i32 = 20;

/// The most that Route 53 returns at once.
pub(super) const WHOLE_PAGE: i32 = 300;

/// What stands at a name.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in super::super) struct NameAt {
    pub(in super::super) zone: HostedZoneId,
    pub(in super::super) name: DomainName,
}

impl Ask for NameAt {
    type Value = NameView;

    fn memo(memos: &Memos) -> &Memo<Asked<Self>, NameView> {
        &memos.names
    }

    async fn read(&self, reader: &Reader) -> Result<NameView, Error> {
        let at = read_name(reader, &self.zone, self.name.as_str()).await?;
        let sets = at.sets.into_iter().map(|set| record_set(&self.name, set)).collect();
        Ok(NameView { sets })
    }
}

/// Where a listing starts, or goes on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Start {
    name: String,
    rtype: Option<sdk::RrType>,
    identifier: Option<String>,
}

impl Start {
    pub(super) fn at(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// Record sets in Route 53's order, and where the next ones start.
pub(super) struct Page {
    pub(super) sets: Vec<sdk::ResourceRecordSet>,
    pub(super) next: Option<Start>,
}

/// One call.
pub(super) async fn read_page(
    reader: &Reader,
    zone: &HostedZoneId,
    start: &Start,
    limit: i32,
) -> Result<Page, Error> {
    let operation = Operation::ListResourceRecordSets;
    let target = Target::global(operation, format_args!("hosted zone {zone}"));
    let send = |clients: &Clients| {
        clients
            .route53
            .list_resource_record_sets()
            .hosted_zone_id(zone.as_str())
            .start_record_name(&start.name)
            .set_start_record_type(start.rtype.clone())
            .set_start_record_identifier(start.identifier.clone())
            .max_items(limit)
            .send()
    };
    let answer = reader.call(LaneKey::Route53, &target, send).await?;
    let next = answer.next_record_name.filter(|_| answer.is_truncated).map(|name| Start {
        name,
        rtype: answer.next_record_type,
        identifier: answer.next_record_identifier,
    });
    if next.as_ref() == Some(start) {
        return Err(Error::incomplete(&target, "a next page"));
    }
    Ok(Page { sets: answer.resource_record_sets, next })
}

/// The record sets at one name, and the name that comes next in the zone.
pub(super) struct AtName {
    pub(super) sets: Vec<sdk::ResourceRecordSet>,
    /// Plain; `None` at the end of the zone.
    pub(super) following: Option<String>,
}

/// Every record set at `name`, in as few calls as there are pages of them.
pub(super) async fn read_name(
    reader: &Reader,
    zone: &HostedZoneId,
    name: &str,
) -> Result<AtName, Error> {
    let mut start = Start::at(name);
    let mut sets = Vec::new();
    loop {
        let page = read_page(reader, zone, &start, ONE_NAME).await?;
        for set in page.sets {
            let owner = plain(&set.name);
            if owner != name {
                return Ok(AtName { sets, following: Some(owner) });
            }
            sets.push(set);
        }
        match page.next {
            Some(next) if plain(&next.name) == name => start = next,
            next => return Ok(AtName { sets, following: next.map(|next| plain(&next.name)) }),
        }
    }
}

/// As the rules see it; values stay byte for byte.
fn record_set(name: &DomainName, set: sdk::ResourceRecordSet) -> RecordSet {
    let managed = set.set_identifier.is_some() || set.traffic_policy_instance_id.is_some();
    let routing = match (managed, &set.alias_target) {
        (true, _) => Routing::Routed,
        (false, Some(_)) => Routing::Alias,
        (false, None) => Routing::Simple,
    };
    RecordSet {
        name: name.clone(),
        rtype: RecordType::from_name(set.r#type.as_str()),
        ttl: set.ttl.and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(0),
        values: set.resource_records.unwrap_or_default().into_iter().map(|r| r.value).collect(),
        routing,
    }
}
