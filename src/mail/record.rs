//! Record sets, zones and changes as Route 53 and the name servers show them.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::name::DomainName;

/// The id of a hosted zone, without the `/hostedzone/` prefix.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct HostedZoneId(String);

impl HostedZoneId {
    /// Takes an id with or without its `/hostedzone/` prefix. `None` where it
    /// is not 1 to 32 upper-case letters and digits.
    pub fn parse(text: &str) -> Option<Self> {
        let id = text.strip_prefix("/hostedzone/").unwrap_or(text);
        let legal = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
        let ok = (1..=32).contains(&id.len()) && id.chars().all(legal);
        ok.then(|| Self(id.to_owned()))
    }

    /// The bare id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostedZoneId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A hosted zone that could hold a name, as `ListHostedZonesByName` tells it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Zone {
    /// Its id.
    pub id: HostedZoneId,
    /// Its apex.
    pub name: DomainName,
    /// Answers inside VPCs only.
    pub private: bool,
    /// The service that owns it and edits it alone (`LinkedService`), if any.
    pub linked_service: Option<String>,
}

/// The type of a record set. Only what the rules speak of has a name.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    /// Mail exchanger.
    Mx,
    /// Text: SPF, the marker, and whatever else stands at the name.
    Txt,
    /// Name servers.
    Ns,
    /// Canonical name.
    Cname,
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Any other type, by its name in upper case.
    Other(String),
}

impl RecordType {
    /// The type by its name in a zone file.
    pub fn from_name(name: &str) -> Self {
        match name {
            "MX" => Self::Mx,
            "TXT" => Self::Txt,
            "NS" => Self::Ns,
            "CNAME" => Self::Cname,
            "A" => Self::A,
            "AAAA" => Self::Aaaa,
            other => Self::Other(other.to_owned()),
        }
    }

    /// Its name in a zone file.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Mx => "MX",
            Self::Txt => "TXT",
            Self::Ns => "NS",
            Self::Cname => "CNAME",
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How Route 53 answers with a record set.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub enum Routing {
    /// One plain set for everybody.
    Simple,
    /// An alias to an AWS resource.
    Alias,
    /// Weighted, latency, failover, geolocation, multivalue or CIDR routing.
    Routed,
}

/// A record set as Route 53 holds it. Values are in zone-file form, byte for
/// byte as Route 53 returned them, because a DELETE must repeat them exactly.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RecordSet {
    /// The owner name.
    pub name: DomainName,
    /// The type.
    #[serde(rename = "type")]
    pub rtype: RecordType,
    /// Seconds; zero for an alias.
    #[serde(rename = "ttlSeconds")]
    pub ttl: u32,
    /// The values, in Route 53's order.
    pub values: Vec<String>,
    /// Plain, alias or routed.
    pub routing: Routing,
}

/// What stands at one name in a zone: `ListResourceRecordSets`, all types.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct NameView {
    /// Every record set whose owner name is exactly the name.
    pub sets: Vec<RecordSet>,
}

impl NameView {
    /// The plain record set of a type.
    pub fn simple(&self, rtype: &RecordType) -> Option<&RecordSet> {
        self.sets.iter().find(|set| set.rtype == *rtype && set.routing == Routing::Simple)
    }

    /// What stands once these changes were made; `None` where they cannot have
    /// been, for they do not fit what stands here.
    pub fn after<'a>(&self, changes: impl IntoIterator<Item = &'a Change>) -> Option<Self> {
        let mut sets = self.sets.clone();
        for change in changes {
            match change {
                Change::Delete(old) => {
                    let at = sets.iter().position(|set| set == old)?;
                    sets.remove(at);
                }
                Change::Create(new) if sets.iter().any(|set| set.rtype == new.rtype) => {
                    return None;
                }
                Change::Create(new) => sets.push(new.clone()),
            }
        }
        Some(Self { sets })
    }
}

/// What stands around a name that is about to be made (RFC 4592).
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Surroundings {
    /// Whether any record set stands at or below the name already.
    pub exists: bool,
    /// The wildcard that answers today for the name, or for an empty name
    /// above it that creating the name would bring into being.
    pub wildcard: Option<String>,
    /// A name between apex (not included) and the MAIL FROM name (included)
    /// with an NS record set: everything below it is answered elsewhere.
    pub delegated_at: Option<DomainName>,
}

/// One entry of a change batch. There is no upsert: it would overwrite blindly.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// Refused by Route 53 when the record set exists.
    Create(RecordSet),
    /// Refused by Route 53 unless name, type, TTL and values are these.
    Delete(RecordSet),
}

impl Change {
    /// What comes or goes.
    pub fn record(&self) -> &RecordSet {
        match self {
            Self::Create(set) | Self::Delete(set) => set,
        }
    }
}

/// Changes to one zone that Route 53 makes together or not at all.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ChangeBatch {
    /// The zone.
    pub zone: HostedZoneId,
    /// In this order.
    pub changes: Vec<Change>,
    /// Shown in Route 53's own log of changes; at most 256 characters.
    pub comment: String,
}

/// Where a submitted change batch is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChangeState {
    /// Not all of Route 53's servers answer with it.
    Pending,
    /// They all do.
    Insync,
    /// Route 53 knows no such change (any more).
    Gone,
}

/// Whether the world finds a zone: the parent's NS against the zone's own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Delegation {
    /// The parent's servers name those of the zone's apex NS record set.
    Delegated,
    /// The parent's servers say that there is no delegation.
    Missing,
    /// The parent names other servers, these.
    Elsewhere(Vec<String>),
    /// It could not be asked, for this reason. That is not a "no".
    Unaskable(String),
}

/// What the zone's own name servers answer for a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Seen {
    /// MX and TXT as answered by every server asked, in zone-file form.
    Answered {
        /// `10 host.` values, lower case, without the trailing dot.
        mx: Vec<String>,
        /// TXT values, each with its strings joined, not quoted.
        txt: Vec<String>,
    },
    /// The servers do not agree yet.
    Differing,
    /// They could not be asked (port 53 closed, say), for this reason.
    Unaskable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(rtype: RecordType, ttl: u32, value: &str) -> RecordSet {
        let name = DomainName::parse("a.example.com").unwrap_or_else(|_| unreachable!("a name"));
        RecordSet { name, rtype, ttl, values: vec![value.to_owned()], routing: Routing::Simple }
    }

    #[test]
    fn what_stands_after_a_change_is_what_stood_with_it() {
        let (mx, txt) = (set(RecordType::Mx, 300, "10 a."), set(RecordType::Txt, 60, "\"x\""));
        let other = set(RecordType::Mx, 300, "20 b.");
        let before = NameView { sets: vec![mx.clone(), txt.clone()] };
        let swap = [Change::Delete(mx.clone()), Change::Create(other.clone())];
        assert_eq!(before.after(&swap), Some(NameView { sets: vec![txt.clone(), other.clone()] }));
        let empty = NameView::default();
        let create = [Change::Create(mx.clone()), Change::Create(txt.clone())];
        assert_eq!(empty.after(&create), Some(before.clone()));
        assert_eq!(before.after(&[Change::Delete(mx), Change::Delete(txt)]), Some(empty));
    }

    #[test]
    fn what_was_seen_before_tells_nothing_of_changes_that_do_not_fit_it() {
        let mx = set(RecordType::Mx, 300, "10 a.");
        let before = NameView { sets: vec![mx.clone()] };
        for changes in [
            vec![Change::Create(mx.clone())],
            vec![Change::Delete(set(RecordType::Mx, 60, "10 a."))],
            vec![Change::Delete(set(RecordType::Mx, 300, "10 b."))],
            vec![Change::Delete(set(RecordType::Txt, 300, "\"x\""))],
            vec![Change::Delete(mx.clone()), Change::Create(mx.clone()), Change::Create(mx)],
        ] {
            assert_eq!(before.after(&changes), None, "{changes:?}");
        }
    }
}
