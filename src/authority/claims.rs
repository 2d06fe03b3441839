//! Exactly one object holds an identity in a region, and a MAIL FROM domain.
//!
//! Whoever's marker stands wins, then the older. Decided from an index, never
//! by scanning all objects.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::credentials::ServiceCredentials;
use super::grant::{Grant, ObjectKey, Place, Sight};
use crate::mail::{DomainName, Marker, Owner};

/// An object that claims places: one that is not being deleted, or that is and
/// still has its finalizer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claimant {
    /// Who.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// Who its markers speak for.
    pub owner: Owner,
    /// The identity.
    pub domain: DomainName,
    /// Every region of spec and status, and every MAIL FROM domain of both.
    pub places: BTreeSet<Place>,
    /// With what it looks and writes.
    pub credentials: ServiceCredentials,
    /// The owner of the marker that the take-over annotation spells out, if any.
    pub take_over: Option<Owner>,
}

/// Another object that claims the same place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rival {
    /// Who.
    pub key: ObjectKey,
    /// Who its markers speak for.
    pub owner: Owner,
}

/// Claims by age: older first, then by UID.
type Rank = (Timestamp, String, ObjectKey);

/// What is contested: an identity in a region, or a name, which only one
/// object may hold whatever its identity.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Contested(Option<DomainName>, Place);

/// The index of all claims.
#[derive(Debug, Default)]
pub struct Claims {
    claimants: HashMap<ObjectKey, Claimant>,
    ranks: HashMap<Contested, BTreeSet<Rank>>,
    owners: HashMap<Owner, ObjectKey>,
}

impl Claims {
    /// Adds an object or replaces what it claimed before. Returns the objects
    /// whose standing may have changed with it.
    pub fn put(&mut self, claimant: Claimant) -> BTreeSet<ObjectKey> {
        if self.claimants.get(&claimant.key) == Some(&claimant) {
            return BTreeSet::new();
        }
        let mut touched = self.remove(&claimant.key);
        for contested in claimant.contested() {
            let ranks = self.ranks.entry(contested).or_default();
            touched.extend(ranks.iter().map(|(_, _, key)| key.clone()));
            ranks.insert(claimant.rank());
        }
        self.owners.insert(claimant.owner.clone(), claimant.key.clone());
        self.claimants.insert(claimant.key.clone(), claimant);
        touched
    }

    /// Forgets an object. Returns the objects that contested a place with it.
    pub fn remove(&mut self, key: &ObjectKey) -> BTreeSet<ObjectKey> {
        let Some(old) = self.claimants.remove(key) else { return BTreeSet::new() };
        self.owners.remove(&old.owner);
        let mut touched = BTreeSet::new();
        for contested in old.contested() {
            let Some(ranks) = self.ranks.get_mut(&contested) else { continue };
            ranks.remove(&old.rank());
            touched.extend(ranks.iter().map(|(_, _, key)| key.clone()));
            if ranks.is_empty() {
                self.ranks.remove(&contested);
            }
        }
        touched
    }

    /// How an object stands against all others. `None` where it claims nothing.
    pub fn standing(&self, key: &ObjectKey) -> Option<Standing> {
        let me = self.claimants.get(key)?;
        let mut rivals = BTreeMap::new();
        for contested in me.contested() {
            let ranks = self.ranks.get(&contested).into_iter().flatten();
            let mine = me.rank();
            let others = ranks.filter(|rank| rank.2 != *key);
            let rivals_here = others.filter_map(|rank| {
                let owner = self.claimants.get(&rank.2)?.owner.clone();
                Some((Rival { key: rank.2.clone(), owner }, *rank < mine))
            });
            rivals.insert(contested.1, rivals_here.collect());
        }
        let taken_from = me.take_over.as_ref().and_then(|owner| self.owners.get(owner)).cloned();
        Some(Standing { me: me.clone(), rivals, taken_from })
    }
}

impl Claimant {
    fn rank(&self) -> Rank {
        (self.created, self.uid.clone(), self.key.clone())
    }

    fn contested(&self) -> impl Iterator<Item = Contested> {
        self.places.iter().map(|place| match place {
            Place::Region(_) => Contested(Some(self.domain.clone()), place.clone()),
            Place::Name(_) => Contested(None, place.clone()),
        })
    }
}

/// How one object stands against all others, at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    me: Claimant,
    /// Per place, the other claimants and whether each goes before us.
    rivals: BTreeMap<Place, Vec<(Rival, bool)>>,
    /// The object of this operator that the take-over annotation would rob.
    taken_from: Option<ObjectKey>,
}

impl Standing {
    /// Who the object's markers speak for.
    pub fn owner(&self) -> &Owner {
        &self.me.owner
    }

    /// The object.
    pub fn key(&self) -> &ObjectKey {
        &self.me.key
    }

    /// Leave to look.
    pub fn sight(&self) -> Sight {
        Sight::new(self.me.key.clone(), self.me.credentials.clone())
    }

    /// Leave to write at `place`, where `marker` is the marker that decides
    /// there: the one at the name, or at the name that SES holds.
    ///
    /// # Errors
    /// The rival that holds the place instead.
    pub fn claim(&self, place: &Place, marker: Option<&Marker>) -> Result<Grant, Rival> {
        let rivals = self.rivals.get(place).map_or(&[][..], Vec::as_slice);
        let by_marker_of = marker.map(|marker| &marker.owner);
        let grant = || {
            let credentials = self.me.credentials.of(place.service()).clone();
            Grant::new(self.me.key.clone(), self.me.domain.clone(), place.clone(), credentials)
        };
        if by_marker_of == Some(&self.me.owner) {
            return Ok(grant());
        }
        let by_marker = rivals.iter().find(|(rival, _)| Some(&rival.owner) == by_marker_of);
        let by_age = || rivals.iter().find(|(_, before_us)| *before_us);
        match by_marker.or_else(by_age) {
            Some((rival, _)) => Err(rival.clone()),
            None => Ok(grant()),
        }
    }

    /// The object of this operator whose marker the take-over annotation
    /// spells out: such a marker is never handed over.
    pub fn taken_from(&self) -> Option<&ObjectKey> {
        self.taken_from.as_ref()
    }
}
