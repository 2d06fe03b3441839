//! Finding the zones that a name could lie in. `ListHostedZonesByName` is
//! ordered and starts *at* a name, so that one page answers for every name
//! within its range, absent ones included.

use aws_sdk_route53::types as sdk;

use super::super::Error;
use super::super::access::{Ask, LaneKey, Reader};
use super::super::call::{Operation, Target};
use super::super::clients::Clients;
use super::super::memo::{Asked, Memo};
use super::super::memos::Memos;
use super::names::{is_before, plain};
use crate::mail::{DomainName, HostedZoneId, Zone};

/// The most zones that Route 53 returns at once.
const WHOLE_PAGE: i32 = 100;

/// The zones that are named like this name or one above it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in super::super) struct ZonesFor(pub(in super::super) DomainName);

impl Ask for ZonesFor {
    type Value = Vec<Zone>;

    fn memo(memos: &Memos) -> &Memo<Asked<Self>, Vec<Zone>> {
        &memos.zones
    }

    async fn read(&self, reader: &Reader) -> Result<Vec<Zone>, Error> {
        let mut candidates: Vec<DomainName> = self.0.ancestors_and_self().collect();
        candidates.reverse();
        let mut found = Vec::new();
        let mut reach = Reach::Before(String::new());
        for candidate in &candidates {
            let mut start = Start { name: candidate.to_string(), id: None };
            while !reach.is_past(candidate) {
                let page = read_page(reader, &self.0, &start).await?;
                found.extend(page.zones.into_iter().filter_map(zone));
                reach = page.next.as_ref().map_or(Reach::All, |n| Reach::Before(n.name.clone()));
                start = page.next.unwrap_or(start);
            }
        }
        found.retain(|zone| candidates.contains(&zone.name));
        found.sort_by_key(|zone| (usize::MAX - zone.name.as_str().len(), zone.id.clone()));
        found.dedup();
        Ok(found)
    }
}

/// How far the zones are known, in Route 53's order.
enum Reach {
    Before(String),
    All,
}

impl Reach {
    fn is_past(&self, name: &DomainName) -> bool {
        match self {
            Self::Before(next) => is_before(name.as_str(), next),
            Self::All => true,
        }
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Start {
    name: String,
    id: Option<String>,
}

struct Page {
    zones: Vec<sdk::HostedZone>,
    next: Option<Start>,
}

async fn read_page(reader: &Reader, name: &DomainName, start: &Start) -> Result<Page, Error> {
    let operation = Operation::ListHostedZonesByName;
    let target = Target::global(operation, format_args!("the zones of {name}"));
    let send = |clients: &Clients| {
        clients
            .route53
            .list_hosted_zones_by_name()
            .dns_name(&start.name)
            .set_hosted_zone_id(start.id.clone())
            .max_items(WHOLE_PAGE)
            .send()
    };
    let answer = reader.call(LaneKey::Route53, &target, send).await?;
    let id = answer.next_hosted_zone_id;
    let next = answer.next_dns_name.filter(|_| answer.is_truncated).map(|name| Start { name, id });
    if next.as_ref() == Some(start) {
        return Err(Error::incomplete(&target, "a next page"));
    }
    Ok(Page { zones: answer.hosted_zones, next })
}

/// `None` for a zone whose name no MAIL FROM domain can lie in.
fn zone(zone: sdk::HostedZone) -> Option<Zone> {
    let owner = |service: sdk::LinkedService| {
        let known = service.service_principal.or(service.description);
        known.unwrap_or_else(|| "another AWS service".to_owned())
    };
    Some(Zone {
        id: HostedZoneId::parse(&zone.id)?,
        name: DomainName::parse(&plain(&zone.name)).ok()?,
        private: zone.config.is_some_and(|config| config.private_zone),
        linked_service: zone.linked_service.map(owner),
    })
}
