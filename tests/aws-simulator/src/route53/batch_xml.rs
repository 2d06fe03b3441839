//! Change batches as they are sent.

use quick_xml::de::from_str;
use serde::Deserialize;

use super::batch::{Action, Batch};
use crate::{
    api::ApiError,
    name::Name,
    record::{AliasTarget, RecordSet, RecordType, Routing},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Request {
    change_batch: BatchXml,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct BatchXml {
    comment: Option<String>,
    changes: ChangesXml,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangesXml {
    #[serde(default)]
    change: Vec<ChangeXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ChangeXml {
    action: String,
    resource_record_set: SetXml,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SetXml {
    name: String,
    #[serde(rename = "Type")]
    kind: String,
    #[serde(rename = "TTL")]
    ttl: Option<u32>,
    set_identifier: Option<String>,
    weight: Option<String>,
    region: Option<String>,
    failover: Option<String>,
    multi_value_answer: Option<String>,
    resource_records: Option<RecordsXml>,
    alias_target: Option<AliasXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordsXml {
    #[serde(default)]
    resource_record: Vec<RecordXml>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RecordXml {
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct AliasXml {
    hosted_zone_id: String,
    #[serde(rename = "DNSName")]
    dns_name: String,
    evaluate_target_health: bool,
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new(400, "InvalidInput", message)
}

/// Reads a `ChangeResourceRecordSetsRequest`.
pub(super) fn parse(body: &str) -> Result<Batch, ApiError> {
    let request: Request =
        from_str(body).map_err(|error| invalid(format!("Unable to parse request: {error}")))?;
    let BatchXml { comment, changes } = request.change_batch;
    if changes.change.is_empty() {
        return Err(invalid("Expected at least one change in the change batch"));
    }
    let changes = changes.change.into_iter().map(ChangeXml::parse).collect::<Result<_, _>>()?;
    Ok(Batch::new(comment, changes))
}

impl ChangeXml {
    fn parse(self) -> Result<(Action, RecordSet), ApiError> {
        let action = match self.action.as_str() {
            "CREATE" => Action::Create,
            "DELETE" => Action::Delete,
            "UPSERT" => Action::Upsert,
            other => return Err(invalid(format!("Invalid change action: {other}"))),
        };
        Ok((action, self.resource_record_set.parse(&self.action)?))
    }
}

impl SetXml {
    fn parse(self, action: &str) -> Result<RecordSet, ApiError> {
        let name = Name::parse(&self.name).map_err(|error| invalid(error.to_string()))?;
        let kind = RecordType::parse(&self.kind)
            .ok_or_else(|| invalid(format!("Invalid type: {}", self.kind)))?;
        let values: Vec<String> = self
            .resource_records
            .map(|records| records.resource_record.into_iter().map(|record| record.value).collect())
            .unwrap_or_default();
        let ordinary = self.ttl.is_some() && !values.is_empty();
        if ordinary == self.alias_target.is_some()
            || (self.alias_target.is_some() && self.ttl.is_some())
        {
            let found = if ordinary { "more than one" } else { "none" };
            return Err(invalid(format!(
                "Invalid request: Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or \
                 TrafficPolicyInstanceId], but found {found} in Change with [Action={action}, Name={name}, \
                 Type={kind}, SetIdentifier={}]",
                self.set_identifier.as_deref().unwrap_or("null")
            )));
        }
        let elements = [
            ("Weight", self.weight),
            ("Region", self.region),
            ("Failover", self.failover),
            ("MultiValueAnswer", self.multi_value_answer),
        ];
        let mut given =
            elements.into_iter().filter_map(|(element, value)| value.map(|value| (element, value)));
        let routing = match (self.set_identifier, given.next()) {
            (Some(set_identifier), Some((element, value))) => {
                Some(Routing { set_identifier, element: element.to_owned(), value })
            }
            (None, None) => None,
            _ => {
                return Err(invalid(format!(
                    "Missing or unexpected SetIdentifier for {name} {kind}"
                )));
            }
        };
        let alias = self.alias_target.map(|alias| AliasTarget {
            hosted_zone_id: alias.hosted_zone_id,
            dns_name: alias.dns_name,
            evaluate_target_health: alias.evaluate_target_health,
        });
        Ok(RecordSet { name, kind, ttl: self.ttl, values, routing, alias })
    }
}
