//! Record sets as the rules see them, read from `ListResourceRecordSets`.

use aws_sdk_route53::operation::list_resource_record_sets::ListResourceRecordSetsOutput;
use aws_sdk_route53::types as sdk;

use super::listing::{Page, Start};
use super::names::plain;
use crate::mail::{DomainName, RecordSet, RecordType, Routing};

/// A record set without its name, which is where it is held.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Set {
    pub(super) rtype: RecordType,
    pub(super) ttl: u32,
    pub(super) values: Vec<String>,
    pub(super) routing: Routing,
}

impl Set {
    pub(super) fn named(&self, name: &DomainName) -> RecordSet {
        RecordSet {
            name: name.clone(),
            rtype: self.rtype.clone(),
            ttl: self.ttl,
            values: self.values.clone(),
            routing: self.routing.clone(),
        }
    }
}

/// The page that an answer holds.
pub(super) fn page(answer: ListResourceRecordSetsOutput) -> Page<Set> {
    let next = answer.next_record_name.filter(|_| answer.is_truncated);
    let rtype = answer.next_record_type.map(|rtype| rtype.as_str().to_owned());
    let id = answer.next_record_identifier;
    let items = answer.resource_record_sets.into_iter();
    Page {
        items: items.map(|set| (plain(&set.name), record_set(set))).collect(),
        next: next.map(|name| Start { name, rtype, id }),
    }
}

/// Values stay byte for byte.
fn record_set(set: sdk::ResourceRecordSet) -> Set {
    let managed = set.set_identifier.is_some() || set.traffic_policy_instance_id.is_some();
    let routing = match (managed, &set.alias_target) {
        (true, _) => Routing::Routed,
        (false, Some(_)) => Routing::Alias,
        (false, None) => Routing::Simple,
    };
    Set {
        rtype: RecordType::from_name(set.r#type.as_str()),
        ttl: set.ttl.and_then(|ttl| u32::try_from(ttl).ok()).unwrap_or(0),
        values: set.resource_records.unwrap_or_default().into_iter().map(|r| r.value).collect(),
        routing,
    }
}
