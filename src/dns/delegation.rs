//! Whether the parent's servers delegate an apex to the servers that the zone
//! itself names. A recursive resolver would answer NS with the child's word, so
//! the parent's own servers are asked.

use std::collections::BTreeSet;

use futures::future::join_all;
use hickory_resolver::proto::rr::RecordType;

use super::Dns;
use super::message::{Verdict, authoritative, names, question};
use crate::mail::{Delegation, DomainName, SharedText};

/// Referrals followed from the first parent found to the zone right above.
const MAX_REFERRALS: usize = 4;

/// What one of the parent's servers says of the apex.
enum Said {
    /// It names these servers.
    Named(Vec<String>),
    /// It names none.
    None,
    /// The zone above is further down: ask these.
    Below(Vec<String>),
    Useless(String),
}

impl Dns {
    pub(super) async fn find_delegation(
        &self,
        apex: &DomainName,
        servers: &[SharedText],
    ) -> Delegation {
        let mut parents = match self.parent_servers(apex).await {
            Ok(parents) => parents,
            Err(reason) => return Delegation::Unaskable(reason),
        };
        for _ in 0..MAX_REFERRALS {
            let said = self.ask_parents(apex, &parents).await;
            let below = said.iter().find_map(|said| match said {
                Said::Below(servers) => Some(servers.clone()),
                _ => None,
            });
            let Some(below) = below else { return conclude(&said, servers) };
            parents = below;
        }
        Delegation::Unaskable(format!("the parent of {apex} refers from one server to another"))
    }

    /// The servers of the zone that the apex's parent name lies in.
    async fn parent_servers(&self, apex: &DomainName) -> Result<Vec<String>, String> {
        let mut name = apex.parent();
        loop {
            let asked = name.as_ref().map_or(".", DomainName::as_str);
            let found = self.name_servers(asked).await?;
            if !found.is_empty() {
                return Ok(found);
            }
            match name {
                Some(below) => name = below.parent(),
                None => return Err("the resolver knows no root servers".to_owned()),
            }
        }
    }

    async fn ask_parents(&self, apex: &DomainName, parents: &[String]) -> Vec<Said> {
        join_all(parents.iter().map(|parent| self.ask_parent(apex, parent))).await
    }

    async fn ask_parent(&self, apex: &DomainName, parent: &str) -> Said {
        let Some(query) = question(apex.as_str(), RecordType::NS, false) else {
            return Said::Useless(format!("{apex} is not a DNS name"));
        };
        let answer = match self.ask_host(parent, query).await {
            Ok(answer) => answer,
            Err(reason) => return Said::Useless(reason),
        };
        match authoritative(&answer, RecordType::NS) {
            // The parent's server serves the apex as well.
            Verdict::Found => Said::Named(names(answer.answers.iter())),
            Verdict::Nothing => Said::None,
            Verdict::Referral { zone, servers } if zone == apex.as_str() => Said::Named(servers),
            Verdict::Referral { zone, servers } if is_between(&zone, apex) => Said::Below(servers),
            Verdict::Referral { .. } => Said::Useless(format!("{parent} refers elsewhere")),
            Verdict::Useless(why) => Said::Useless(format!("{parent} {why}")),
        }
    }
}

/// Whether a zone is one above the apex, and not the root.
fn is_between(zone: &str, apex: &DomainName) -> bool {
    DomainName::parse(zone).is_ok_and(|zone| apex.is_below(&zone))
}

/// A server named anywhere counts: while a delegation is being changed, the
/// parent's servers may differ. "No" counts only where none says otherwise.
fn conclude(said: &[Said], servers: &[SharedText]) -> Delegation {
    let named: BTreeSet<String> = said
        .iter()
        .filter_map(|said| if let Said::Named(names) = said { Some(names) } else { None })
        .flatten()
        .cloned()
        .collect();
    if servers.iter().any(|server| named.contains(&**server)) {
        return Delegation::Delegated;
    }
    if !named.is_empty() {
        return Delegation::Elsewhere(named.into_iter().collect());
    }
    if said.iter().any(|said| matches!(said, Said::None)) {
        return Delegation::Missing;
    }
    let why = said.iter().find_map(|said| match said {
        Said::Useless(why) => Some(why.clone()),
        _ => None,
    });
    Delegation::Unaskable(why.unwrap_or_else(|| "no server to ask".to_owned()))
}
