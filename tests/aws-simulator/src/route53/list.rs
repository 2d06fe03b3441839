//! Lists: start at a name, compare, and stop when past it.

use std::ops::Bound;

use super::{Route53, Zone, max_items};
use crate::{
    api::{ApiError, Success, element, field},
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
pub(super) fn zones(
    route53: &Route53,
    account: &str,
    page: &ZonePage,
) -> Result<Success, ApiError> {
    let mut zones: Vec<&Zone> =
        route53.zones.values().filter(|zone| zone.account.as_deref() == Some(account)).collect();
    zones.sort_by(|one, other| (&one.name, &one.id).cmp(&(&other.name, &other.id)));
    let from = page.name.as_ref().map_or(0, |start| {
        let id = page.id.as_deref().unwrap_or_default();
        zones.partition_point(|zone| (&zone.name, zone.id.as_str()) < (start, id))
    });
    let listed = &zones[from..zones.len().min(from + page.items)];
    let next = zones.get(from + page.items);
    let mut body = format!(
        "<HostedZones>{}</HostedZones>",
        listed.iter().map(|zone| zone.xml()).collect::<String>()
    );
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
    Ok(Success(body))
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
pub(super) fn record_sets(zone: &Zone, page: &RecordPage) -> Result<Success, ApiError> {
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
    Ok(Success(body))
}

fn xml(set: &RecordSet) -> String {
    let mut body = element("Name", set.name.to_string()) + &element("Type", set.kind.as_str());
    if let Some(routing) = &set.routing {
        body += &element("SetIdentifier", &routing.set_identifier);
        body += &element(&routing.element, &routing.value);
    }
    if let Some(ttl) = set.ttl {
        let values: String = set
            .values
            .iter()
            .map(|value| format!("<ResourceRecord>{}</ResourceRecord>", element("Value", value)))
            .collect();
        body += &format!("<TTL>{ttl}</TTL><ResourceRecords>{values}</ResourceRecords>");
    }
    if let Some(alias) = &set.alias {
        body += &format!(
            "<AliasTarget>{}{}{}</AliasTarget>",
            element("HostedZoneId", &alias.hosted_zone_id),
            element("DNSName", &alias.dns_name),
            element("EvaluateTargetHealth", alias.evaluate_target_health.to_string()),
        );
    }
    format!("<ResourceRecordSet>{body}</ResourceRecordSet>")
}
