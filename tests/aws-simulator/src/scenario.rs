//! A world described in a file.

use serde::Deserialize;
use thiserror::Error;

use crate::{
    name::{Name, NameError},
    outside::EditError,
    record::{RecordSet, RecordType},
    route53::{Delegation, ZoneSpec},
    simulator::ACCOUNT,
    sts::Role,
    world::World,
};

/// Accounts, zones and identities to begin with, as JSON.
///
/// ```
/// # use aws_simulator::{Config, Scenario, SimClock, Simulator};
/// let scenario: Scenario = serde_json::from_str(r#"{
///   "identities": [{"region": "us-east-1", "name": "example.com"}],
///   "zones": [
///     {"name": "example.com", "records": [
///       {"name": "www.example.com", "type": "A", "ttl": 60, "values": ["192.0.2.7"]}]},
///     {"name": "example.org", "delegated": false}]
/// }"#)?;
/// let simulator = Simulator::new(Config::default(), SimClock::manual());
/// simulator.with(|world| world.apply(&scenario))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// Accounts besides the one that is always there.
    pub accounts: Vec<ScenarioAccount>,
    /// Roles that `AssumeRole` gives.
    pub roles: Vec<ScenarioRole>,
    /// SES identities.
    pub identities: Vec<ScenarioIdentity>,
    /// Hosted zones, a parent before its children.
    pub zones: Vec<ScenarioZone>,
}

/// An account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScenarioAccount {
    /// Twelve digits.
    pub id: String,
    /// Its access key; any secret will do.
    pub access_key: String,
}

/// A role that trusts any account.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ScenarioRole {
    /// `arn:aws:iam::123456789012:role/name`; its account stands in it.
    pub arn: String,
    /// The external id that must be given; any, if not given.
    #[serde(default)]
    pub external_id: Option<String>,
}

/// An SES identity.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioIdentity {
    /// Account; the one that is always there, if not given.
    #[serde(default = "default_account")]
    pub account: String,
    /// Region.
    pub region: String,
    /// Domain or e-mail address.
    pub name: String,
    /// Whether it is verified, which it is if not given.
    #[serde(default = "yes")]
    pub verified: bool,
}

/// A hosted zone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioZone {
    /// Account; the one that is always there, if not given.
    #[serde(default = "default_account")]
    pub account: String,
    /// Its name.
    pub name: String,
    /// Its id, without `/hostedzone/`; a fresh one, if not given.
    #[serde(default)]
    pub id: Option<String>,
    /// Whether it is private.
    #[serde(default)]
    pub private: bool,
    /// Whether the parent delegates to it, as it does if not given.
    #[serde(default = "yes")]
    pub delegated: bool,
    /// Record sets besides SOA and NS.
    #[serde(default)]
    pub records: Vec<ScenarioRecord>,
}

/// A simple record set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScenarioRecord {
    /// Its whole name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// Seconds.
    pub ttl: u32,
    /// In zone-file form, TXT in quotes.
    pub values: Vec<String>,
}

fn default_account() -> String {
    ACCOUNT.to_owned()
}

fn yes() -> bool {
    true
}

/// A scenario that the world cannot take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ScenarioError {
    /// An edit that is refused.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Not a domain name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A type that Route 53 does not have.
    #[error("{0:?} is not a record type")]
    Type(String),
}

impl World {
    /// Adds what a scenario describes.
    pub fn apply(&mut self, scenario: &Scenario) -> Result<(), ScenarioError> {
        for account in &scenario.accounts {
            self.add_account(&account.id, &account.access_key);
        }
        for ScenarioRole { arn, external_id } in &scenario.roles {
            let external_id = external_id.clone();
            self.add_role(arn, Role { external_id, ..Role::default() });
        }
        for identity in &scenario.identities {
            let ScenarioIdentity { account, region, name, verified } = identity;
            self.set_identity(account, region, name, *verified);
        }
        scenario.zones.iter().try_for_each(|zone| self.apply_zone(zone))
    }

    fn apply_zone(&mut self, zone: &ScenarioZone) -> Result<(), ScenarioError> {
        let mut spec = if zone.private {
            ZoneSpec::private(&zone.account, &zone.name)
        } else {
            ZoneSpec::public(&zone.account, &zone.name)
        };
        if !zone.delegated {
            spec = spec.delegation(Delegation::None);
        }
        spec.id.clone_from(&zone.id);
        let id = self.create_zone(spec)?;
        for record in &zone.records {
            let kind = RecordType::parse(&record.kind);
            let kind = kind.ok_or_else(|| ScenarioError::Type(record.kind.clone()))?;
            let name = Name::parse(&record.name)?;
            self.put_record_set(&id, RecordSet::of(name, kind, record.ttl, record.values.clone()))?;
        }
        Ok(())
    }
}
