//! Hosted zones, and zones that others host.

use std::{collections::BTreeMap, net::Ipv4Addr};

use super::Edit;
use crate::{
    api::element,
    clock::SimTime,
    name::Name,
    record::{RecordKey, RecordSet},
};

/// A zone: what the API shows of it and what its name servers serve.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(crate) id: String,
    pub(crate) account: Option<String>,
    pub(crate) name: Name,
    pub(crate) private: bool,
    pub(crate) linked_service: Option<(String, String)>,
    pub(crate) servers: Vec<(Name, Ipv4Addr)>,
    pub(crate) records: BTreeMap<RecordKey, RecordSet>,
    pub(crate) served: BTreeMap<RecordKey, RecordSet>,
    pub(crate) busy_until: SimTime,
    pub(crate) in_submission: usize,
    pub(crate) in_sync_due: SimTime,
}

impl Zone {
    /// Its id, without `/hostedzone/`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Its name.
    pub fn name(&self) -> &Name {
        &self.name
    }

    /// Its name servers and where they answer.
    pub fn servers(&self) -> &[(Name, Ipv4Addr)] {
        &self.servers
    }

    /// The record sets that the API shows, in its order.
    pub fn records(&self) -> impl Iterator<Item = &RecordSet> {
        self.records.values()
    }

    /// The record sets that the name servers serve, in the same order.
    pub fn served(&self) -> impl Iterator<Item = &RecordSet> {
        self.served.values()
    }

    /// Whether a change is on its way in: another one is refused now.
    pub fn is_in_submission(&self) -> bool {
        self.in_submission > 0
    }

    pub(crate) fn serve(&mut self, edit: Edit) {
        match edit {
            Edit::Set(set) => {
                self.served.insert(set.key(), set);
            }
            Edit::Remove(key) => {
                self.served.remove(&key);
            }
        }
    }

    /// As Route 53 describes it.
    pub(crate) fn xml(&self) -> String {
        let linked =
            self.linked_service.as_ref().map_or_else(String::new, |(principal, description)| {
                let inner =
                    element("ServicePrincipal", principal) + &element("Description", description);
                format!("<LinkedService>{inner}</LinkedService>")
            });
        format!(
            "<HostedZone><Id>/hostedzone/{}</Id>{}<CallerReference>{}</CallerReference>\
             <Config><PrivateZone>{}</PrivateZone></Config><ResourceRecordSetCount>{}</ResourceRecordSetCount>{linked}</HostedZone>",
            self.id,
            element("Name", self.name.to_string()),
            self.id,
            self.private,
            self.records.len(),
        )
    }
}

/// Where the parent of a new zone sends the world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Delegation {
    /// To the zone's own name servers.
    #[default]
    Here,
    /// Nowhere.
    None,
    /// To these other name servers.
    Elsewhere(Vec<String>),
}

/// A zone to create.
#[derive(Clone, Debug)]
pub struct ZoneSpec {
    pub(crate) account: Option<String>,
    pub(crate) name: String,
    pub(crate) id: Option<String>,
    pub(crate) private: bool,
    pub(crate) linked_service: Option<(String, String)>,
    pub(crate) delegation: Delegation,
    pub(crate) vanity: Vec<String>,
}

impl ZoneSpec {
    /// A public zone of an account, delegated to its own name servers.
    pub fn public(account: &str, name: &str) -> Self {
        Self {
            account: Some(account.to_owned()),
            name: name.to_owned(),
            id: None,
            private: false,
            linked_service: None,
            delegation: Delegation::Here,
            vanity: Vec::new(),
        }
    }

    /// A private zone: in the API, but no name server answers for it.
    pub fn private(account: &str, name: &str) -> Self {
        Self { private: true, delegation: Delegation::None, ..Self::public(account, name) }
    }

    /// A zone that another DNS provider hosts: delegated and served, in no API.
    pub fn elsewhere(name: &str) -> Self {
        Self { account: None, ..Self::public("", name) }
    }

    /// With this id instead of a fresh one.
    #[must_use]
    pub fn id(mut self, id: &str) -> Self {
        self.id = Some(id.to_owned());
        self
    }

    /// With this delegation at the parent.
    #[must_use]
    pub fn delegation(mut self, delegation: Delegation) -> Self {
        self.delegation = delegation;
        self
    }

    /// Owned by another AWS service, which alone may change it.
    #[must_use]
    pub fn linked_service(mut self, principal: &str, description: &str) -> Self {
        self.linked_service = Some((principal.to_owned(), description.to_owned()));
        self
    }

    /// With name servers' names of its own, as labels below the zone (`ns1`):
    /// the apex NS record set and the parent name those, and they have A
    /// records in the zone and glue at the parent.
    #[must_use]
    pub fn vanity(mut self, labels: &[&str]) -> Self {
        self.vanity = labels.iter().map(|label| (*label).to_owned()).collect();
        self
    }
}
