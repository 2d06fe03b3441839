//! The ownership marker: one more TXT value at a MAIL FROM domain.
//!
//! Grammar, version 1 (single spaces, this order):
//!
//! ```text
//! marker  = "ses-mailfrom-owner=v1" SP digest SP mx SP spf SP regions
//! digest  = 32 lower-case hex digits
//! mx      = "mx=" ( "created" / "adopted" )
//! spf     = "spf=" ( "created" [ ":" hosts ] / "adopted" / "merged:" hosts )
//! hosts   = [ host *( "," host ) ]              ; ascending
//! regions = "regions=" [ region *( "," region ) ]  ; ascending by name
//! region  = name [ ":adopted" ]                 ; created where it does not say
//! name    = 1*32( a-z / 0-9 / "-" )
//! host    = a host name, labels with "_" allowed, lower case, no dot at its end
//! ```
//!
//! `hosts` are the SPF terms that we added, each without its `include:`:
//! `merged` is a record that we found and added to, `created` one that we made,
//! and without a list it is made with `include:amazonses.com` alone.
//!
//! It stands in the same record set as SPF, so that one compare-and-swap guards
//! both. The digest gives nothing away in public DNS; everything behind it is
//! enough to rebuild ownership when status is lost. With 32 regions and nine
//! hosts of the length that the CRD allows it stays below the 4,000 characters
//! that Route 53 takes.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::spf::SpfInclude;

const PREFIX: &str = "ses-mailfrom-owner=";
const VERSION: &str = "v1";

/// Who a marker speaks for: a digest of owner id, namespace and name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Owner([u8; 16]);

impl Owner {
    /// The owner that an object's marker names: the first 128 bits of SHA-256
    /// over the three texts, each ended by a NUL.
    pub fn of(owner_id: &str, namespace: &str, name: &str) -> Self {
        let mut hash = Sha256::new();
        for part in [owner_id, namespace, name] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let (mut first, digest) = ([0; 16], hash.finalize());
        first.copy_from_slice(&digest[..16]);
        Self(first)
    }

    /// Of 32 lower-case hex digits.
    fn parse(text: &str) -> Option<Self> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let digits = (text.len() == 32 && text.chars().all(hex)).then_some(text)?;
        u128::from_str_radix(digits, 16).ok().map(|number| Self(number.to_be_bytes()))
    }
}

/// 32 lower-case hex digits.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Where something that stands came from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Origin {
    /// This operator made it, and may delete it.
    Created,
    /// It was there: kept up, never deleted.
    Adopted,
}

/// What a marker says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Marker {
    /// For whom.
    pub owner: Owner,
    /// Of the MX record.
    pub mx: Origin,
    /// Of the SPF record.
    pub spf: SpfOrigin,
    /// Regions whose SES setting may name this MAIL FROM domain on our behalf,
    /// by name: text of DNS, so none of them need be known here.
    pub regions: BTreeMap<String, Origin>,
}

/// Where an SPF record came from, and which of its terms are ours.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SpfOrigin {
    /// Of the record.
    pub record: Origin,
    /// The senders whose terms we put in.
    pub added: BTreeSet<SpfInclude>,
}

impl SpfOrigin {
    /// A record that we make for SES alone.
    pub fn created() -> Self {
        Self { record: Origin::Created, added: BTreeSet::from([SpfInclude::amazon_ses()]) }
    }

    /// A record that was there and needs no term of ours.
    pub fn adopted() -> Self {
        Self { record: Origin::Adopted, added: BTreeSet::new() }
    }

    fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if text == "created" => Some(Self::created()),
            None if text == "adopted" => Some(Self::adopted()),
            Some(("created", hosts)) => {
                let added = parse_hosts(hosts)?;
                let spelt_out = Self { record: Origin::Created, added };
                (spelt_out != Self::created()).then_some(spelt_out)
            }
            Some(("merged", hosts)) => {
                let added = parse_hosts(hosts).filter(|hosts| !hosts.is_empty())?;
                Some(Self { record: Origin::Adopted, added })
            }
            _ => None,
        }
    }
}

impl fmt::Display for SpfOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<&str> = self.added.iter().map(SpfInclude::as_str).collect();
        match self.record {
            _ if *self == Self::created() => f.write_str("created"),
            Origin::Created => write!(f, "created:{}", hosts.join(",")),
            Origin::Adopted if hosts.is_empty() => f.write_str("adopted"),
            Origin::Adopted => write!(f, "merged:{}", hosts.join(",")),
        }
    }
}

/// Why a marker cannot be relied on.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum MarkerError {
    /// Not this grammar.
    #[error("the ownership marker is damaged")]
    Damaged,
    /// A newer operator wrote it.
    #[error("the ownership marker is of a later version")]
    LaterVersion,
}

impl Marker {
    /// Whether a joined TXT value claims to be a marker, legible or not.
    pub fn is_marker(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Reads a joined TXT value for which [`Marker::is_marker`] holds.
    pub fn parse(text: &str) -> Result<Self, MarkerError> {
        let rest = text.strip_prefix(PREFIX).ok_or(MarkerError::Damaged)?;
        let (version, rest) = rest.split_once(' ').ok_or(MarkerError::Damaged)?;
        if version != VERSION {
            let number = version.strip_prefix('v').and_then(|n| n.parse::<u32>().ok());
            return Err(match number {
                Some(n) if n > 1 => MarkerError::LaterVersion,
                _ => MarkerError::Damaged,
            });
        }
        Self::parse_fields(rest).ok_or(MarkerError::Damaged)
    }

    fn parse_fields(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.split(' ').collect();
        let [digest, mx, spf, regions] = fields.as_slice() else { return None };
        let regions = parse_regions(regions.strip_prefix("regions=")?)?;
        Some(Self {
            owner: Owner::parse(digest)?,
            mx: Origin::parse(mx.strip_prefix("mx=")?)?,
            spf: SpfOrigin::parse(spf.strip_prefix("spf=")?)?,
            regions,
        })
    }
}

fn parse_regions(text: &str) -> Option<BTreeMap<String, Origin>> {
    let entry = |entry: &str| {
        let (name, origin) = match entry.split_once(':') {
            None => (entry, Origin::Created),
            Some((name, "adopted")) => (name, Origin::Adopted),
            Some(_) => return None,
        };
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ok = (1..=32).contains(&name.len()) && name.chars().all(legal);
        ok.then(|| (name.to_owned(), origin))
    };
    let regions: Vec<(String, Origin)> = list(text).map(entry).collect::<Option<_>>()?;
    let ascending = regions.windows(2).all(|pair| pair[0].0 < pair[1].0);
    ascending.then(|| regions.into_iter().collect())
}

fn parse_hosts(text: &str) -> Option<BTreeSet<SpfInclude>> {
    let host = |text| SpfInclude::parse(text).ok().filter(|host| host.as_str() == text);
    let hosts: Vec<SpfInclude> = list(text).map(host).collect::<Option<_>>()?;
    let ascending = hosts.windows(2).all(|pair| pair[0] < pair[1]);
    ascending.then(|| hosts.into_iter().collect())
}

fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').filter(move |_| !text.is_empty())
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "created" => Some(Self::Created),
            "adopted" => Some(Self::Adopted),
            _ => None,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Adopted => "adopted",
        }
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, mx, spf, regions } = self;
        let region = |(name, origin): (&String, &Origin)| match origin {
            Origin::Created => name.clone(),
            Origin::Adopted => format!("{name}:{}", origin.as_str()),
        };
        let regions: Vec<String> = regions.iter().map(region).collect();
        let (mx, regions) = (mx.as_str(), regions.join(","));
        write!(f, "{PREFIX}{VERSION} {owner} mx={mx} spf={spf} regions={regions}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn origin() -> impl Strategy<Value = Origin> {
        prop_oneof![Just(Origin::Created), Just(Origin::Adopted)]
    }

    proptest! {
        #[test]
        fn a_printed_marker_parses_to_itself(
            name in "[a-z]{1,20}",
            mx in origin(),
            record in origin(),
            added in proptest::collection::btree_set("[a-z_]{1,9}[.][a-z0-9-]{1,9}|amazonses[.]com", 0..9),
            regions in proptest::collection::btree_map("[a-z]{2}-[a-z]{4,9}-[1-9]", origin(), 0..32),
        ) {
            let added = added.iter().filter_map(|host| SpfInclude::parse(host).ok()).collect();
            let spf = SpfOrigin { record, added };
            let marker = Marker { owner: Owner::of("id", "ns", &name), mx, spf, regions };
            prop_assert_eq!(Marker::parse(&marker.to_string()), Ok(marker));
        }

        #[test]
        fn no_text_makes_the_parser_fall_over(text: String) {
            let _ = Marker::parse(&text);
            let _ = Marker::parse(&format!("{PREFIX}{VERSION} {text}"));
        }
    }

    #[test]
    fn the_digest_tells_owner_namespace_and_name_apart() {
        let digests = [
            Owner::of("a", "b", "c"),
            Owner::of("ab", "", "c"),
            Owner::of("a", "bc", ""),
            Owner::of("x", "b", "c"),
        ];
        let distinct: BTreeSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
        // Fixed for ever: an upgrade that changed it would orphan every record.
        assert_eq!(Owner::of("a", "b", "c").to_string(), "13e228567e8249fce53337f25d7970de");
    }

    #[test]
    fn damage_and_later_versions_are_told_apart() {
        let good = "ses-mailfrom-owner=v1 00112233445566778899aabbccddeeff mx=created spf=created regions=";
        for good in [
            good.to_owned(),
            good.replace("spf=created", "spf=adopted"),
            good.replace("spf=created", "spf=created:_spf.other.example,amazonses.com"),
            good.replace("spf=created", "spf=merged:amazonses.com"),
            good.replace("regions=", "regions=eu-west-1:adopted,us-east-1"),
        ] {
            assert_eq!(Marker::parse(&good).map(|marker| marker.to_string()), Ok(good));
        }
        assert_eq!(Marker::parse(&good.replace("v1", "v2")), Err(MarkerError::LaterVersion));
        for bad in [
            good.replace("v1", "v0"),
            good.replace("v1", "1"),
            good.replace("mx=created", "mx=made"),
            good.replace("00", "0"),
            good.replace("regions=", "regions=b-1,a-1"),
            good.replace("regions=", "regions=a-1:created"),
            good.replace("regions=", "regions=a-1,a-1:adopted"),
            good.replace("regions=", "regions=,"),
            good.replace("spf=created", "spf=merged:"),
            good.replace("spf=created", "spf=merged"),
            good.replace("spf=created", "spf=adopted:amazonses.com"),
            good.replace("spf=created", "spf=created:amazonses.com"),
            good.replace("spf=created", "spf=merged:b.example,a.example"),
            good.replace("spf=created", "spf=merged:include:a.example"),
            good.replace("spf=created", "spf=merged:\\052.example"),
            good.replace(' ', "  "),
            format!("{good} more"),
            "ses-mailfrom-owner=".to_owned(),
        ] {
            assert_eq!(Marker::parse(&bad), Err(MarkerError::Damaged), "{bad}");
        }
    }
}
