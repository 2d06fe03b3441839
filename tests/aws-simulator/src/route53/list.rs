//! Lists: start at a name, compare, and stop when past it.

use std::ops::Bound;

use super::{Route53, Zone, max_items};
use crate::{
    api::{ApiError, Success, element, field, nested},
    name::Name,
    record::{RecordKey, RecordSet, RecordType},
};

/// Where a page of zones begins and how long it is.
#[derive(Clone, Debug)]
pub(crate) struct ZonePage {
    name: Option<Name>,
    id: Option<String>,
    items: usize,
}

impl ZonePage {
    pub(super) fn parse(query: &[(String, String)]) -> Result<Self, ApiError> {
        let name = field(query, "dnsname").map(start_name).transpose()?;
        let id = field(query, "hostedzoneid").map(str::to_owned);
        if id.is_some() && name.is_none() {
            let message =
                "The HostedZoneId parameter can only be used together with the DNSName parameter";
            return Err(ApiError::new(400, "InvalidInput", message));
        }
        Ok(Self { name, id, items: max_items(query, 100)? })
    }

    pub(super) fn name(&self) -> Option<String> {
        self.name.as_ref().map(Name::plain)
    }

    pub(super) fn summary(&self) -> String {
        format!("dnsname={} items={}", self.name().unwrap_or_default(), self.items)
    }
}

fn start_name(text: &str) -> Result<Name, ApiError> {
    Name::parse(text).map_err(|error| ApiError::new(400, "InvalidDomainName", error.to_string()))
}

/// The account's zones from a name on, in the order of reversed labels; of one
/// name, by id. Private zones are among them.
pub(super) fn zones(route53: &Route53, account: &str, page: &ZonePage) -> Success {
    let start = page.name.clone().unwrap_or_else(Name::root);
    let mut zones = route53
        .zones_from(&start, page.id.as_deref().unwrap_or_default())
        .filter(|zone| zone.account.as_deref() == Some(account));
    let listed: String = zones.by_ref().take(page.items).map(Zone::xml).collect();
    let next = zones.next();
    let mut body = format!("<HostedZones>{listed}</HostedZones>");
    if let Some(start) = &page.name {
        body += &element("DNSName", start.to_string());
    }
    if let Some(id) = &page.id {
        body += &element("HostedZoneId", id);
    }
    body += &element("IsTruncated", next.is_some().to_string());
    if let Some(zone) = next {
        body += &(element("NextDNSName", zone.name.to_string())
            + &element("NextHostedZoneId", &zone.id));
    }
    body += &element("MaxItems", page.items.to_string());
    Success(body)
}

/// Where a page of record sets begins and how long it is.
#[derive(Clone, Debug)]
pub(crate) struct RecordPage {
    name: Option<Name>,
    kind: Option<RecordType>,
    identifier: Option<String>,
    items: usize,
}

impl RecordPage {
    pub(super) fn parse(query: &[(String, String)]) -> Result<Self, ApiError> {
        let invalid = |message: String| ApiError::new(400, "InvalidInput", message);
        let name = field(query, "name").map(start_name).transpose()?;
        let kind = field(query, "type")
            .map(|text| {
                RecordType::parse(text)
                    .ok_or_else(|| invalid(format!("Invalid record type: {text}")))
            })
            .transpose()?;
        if kind.is_some() && name.is_none() {
            return Err(invalid(
                "The type parameter can only be used together with the name parameter".to_owned(),
            ));
        }
        let identifier = field(query, "identifier").map(str::to_owned);
        if identifier.is_some() && kind.is_none() {
            return Err(invalid("The identifier parameter needs name and type".to_owned()));
        }
        Ok(Self { name, kind, identifier, items: max_items(query, 300)? })
    }

    pub(super) fn start(&self) -> Option<String> {
        self.name.as_ref().map(Name::plain)
    }

    pub(super) fn summary(&self) -> String {
        let kind = self.kind.map_or("", RecordType::as_str);
        format!("name={} type={kind} items={}", self.start().unwrap_or_default(), self.items)
    }

    /// The least key that the page may hold.
    fn first(&self) -> Bound<RecordKey> {
        self.name.clone().map_or(Bound::Unbounded, |name| {
            Bound::Included((name, self.kind.unwrap_or(RecordType::A), self.identifier.clone()))
        })
    }
}

/// Record sets as submitted, PENDING ones included.
pub(super) fn record_sets(zone: &Zone, page: &RecordPage) -> Success {
    let mut rest = zone.records.range((page.first(), Bound::Unbounded)).map(|(_, set)| set);
    let listed: String = rest.by_ref().take(page.items).map(xml).collect();
    let next = rest.next();
    let mut body = format!("<ResourceRecordSets>{listed}</ResourceRecordSets>");
    body += &element("IsTruncated", next.is_some().to_string());
    if let Some(set) = next {
        body += &(element("NextRecordName", set.name.to_string())
            + &element("NextRecordType", set.kind.as_str()));
        if let Some(routing) = &set.routing {
            body += &element("NextRecordIdentifier", &routing.set_identifier);
        }
    }
    body += &element("MaxItems", page.items.to_string());
    Success(body)
}

fn xml(set: &RecordSet) -> String {
    let mut body = element("Name", set.name.to_string()) + &element("Type", set.kind.as_str());
    if let Some(routing) = &set.routing {
        body += &element("SetIdentifier", &routing.set_identifier);
        body += &element(&routing.element, &routing.value);
    }
    if let Some(ttl) = set.ttl {
        let value = |value: &String| nested("ResourceRecord", &element("Value", value));
        let values: String = set.values.iter().map(value).collect();
        body += &(element("TTL", ttl.to_string()) + &nested("ResourceRecords", &values));
    }
    if let Some(alias) = &set.alias {
        let healthy = alias.evaluate_target_health.to_string();
        let target = element("HostedZoneId", &alias.hosted_zone_id)
            + &element("DNSName", &alias.dns_name)
            + &element("EvaluateTargetHealth", healthy);
        body += &nested("AliasTarget", &target);
    }
    nested("ResourceRecordSet", &body)
}
