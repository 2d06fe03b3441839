//! What only a status knew that a person has wiped.
//!
//! The marker lists every region, so an object finds again whatever a marker leads
//! to: from the names and regions of its spec on, to the regions that the marker
//! at a name lists, and to the names that SES holds in a region. A name that
//! drains, and a region that only the marker at such a name lists, are reached by
//! nothing; nobody can find them without reading the whole zone.

use std::collections::BTreeSet;

use aws_simulator::{ACCOUNT, RecordType, Simulator, World};
use ses_mailfrom::api::SesMailFrom;
use ses_mailfrom::mail::{Marker, decode_txt};

use crate::schedule::REGIONS;
use crate::stage::{Actor, ZONE};

/// A name, or a region for an identity.
type Places = BTreeSet<String>;

#[derive(Debug, Default)]
pub(crate) struct Forgotten {
    wiped: Vec<Actor>,
    places: Places,
}

impl Forgotten {
    /// From now on this object knows what it finds again.
    pub(crate) fn wiped(&mut self, actor: Actor) {
        self.wiped.push(actor);
    }

    /// Takes down what those objects cannot find just now.
    pub(crate) fn look(&mut self, aws: &Simulator, object: impl Fn(&Actor) -> Option<SesMailFrom>) {
        for actor in &self.wiped {
            let found = object(actor).map(|object| reach(aws, actor, &object)).unwrap_or_default();
            let left = aws.with(|world| marked(world, actor));
            self.places.extend(left.difference(&found).cloned());
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.places.contains(name)
    }

    pub(crate) fn has_region(&self, identity: &str, region: &str) -> bool {
        self.places.contains(&at(identity, region))
    }
}

fn at(identity: &str, region: &str) -> String {
    format!("{identity} in {region}")
}

/// Every name where the object's marker stands, and every region that one lists.
fn marked(world: &World, actor: &Actor) -> Places {
    let mut places = Places::new();
    for set in world.zone(ZONE).unwrap().records().filter(|set| set.kind == RecordType::TXT) {
        if let Some(marker) = marker_of(&set.values, actor) {
            places.insert(set.name.plain());
            places.extend(marker.regions.keys().map(|region| at(actor.domain, region)));
        }
    }
    places
}

fn reach(aws: &Simulator, actor: &Actor, object: &SesMailFrom) -> Places {
    let spec = &object.spec;
    let name = |sub: &str| format!("{sub}.{}", spec.domain);
    let shares = spec.regions.iter().any(|region| region.subdomain.is_none());
    let mut names: Places = shares.then(|| name(&spec.subdomain)).into_iter().collect();
    names.extend(spec.regions.iter().filter_map(|r| r.subdomain.as_deref().map(name)));
    let mut regions: Places = spec.regions.iter().map(|r| r.name.clone()).collect();
    aws.with(|world| {
        for _ in 0..=REGIONS.len() {
            for name in &names {
                let set = world.record_set(ZONE, name, RecordType::TXT);
                let marker = set.and_then(|set| marker_of(&set.values, actor));
                regions.extend(marker.into_iter().flat_map(|marker| marker.regions.into_keys()));
            }
            for region in &regions {
                let held = world.mail_from(ACCOUNT, region, actor.domain);
                names.extend(held.and_then(|held| held.domain.clone()).map(|(name, _)| name));
            }
        }
    });
    names.into_iter().chain(regions.iter().map(|region| at(actor.domain, region))).collect()
}

fn marker_of(values: &[String], actor: &Actor) -> Option<Marker> {
    let texts = values.iter().filter_map(|value| decode_txt(value).ok());
    let mut texts = texts.filter_map(|octets| String::from_utf8(octets).ok());
    texts.find_map(|text| Marker::parse(&text).ok().filter(|m| m.owner == actor.owner()))
}
