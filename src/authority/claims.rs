//! Exactly one object holds an identity in a region of an account, and a MAIL
//! FROM domain.
//!
//! Only who may have what it asks for holds anything. Whoever's marker stands
//! wins, then the older. Decided from an index, never by scanning all objects.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use smallvec::SmallVec;

use super::credentials::{Credentials, Service, ServiceCredentials};
use super::decision::{Ask, Policies};
use super::grant::{Changes, Footing, ObjectKey, Place};
use super::policy::{Labels, Policy};
use super::standing::{Contender, Rival, Same, Standing};
use crate::mail::{DomainName, Owner};

/// An object that asks for places: one that is not being deleted, or that is and
/// still has its finalizer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Claimant {
    /// Who.
    pub key: ObjectKey,
    /// `metadata.uid`.
    pub uid: Box<str>,
    /// `metadata.creationTimestamp`.
    pub created: Timestamp,
    /// Who its markers speak for.
    pub owner: Owner,
    /// The identity.
    pub domain: DomainName,
    /// Every region and MAIL FROM domain of the spec, each once.
    pub asked: Arc<[Place]>,
    /// Every region of spec and status, and every MAIL FROM domain of both, each
    /// once.
    pub places: Arc<[Place]>,
    /// With what it looks and writes.
    pub credentials: ServiceCredentials,
    /// The senders beside SES that its SPF record is to let in.
    pub spf_includes: BTreeSet<String>,
    /// Whether it takes what it may have. One that only looks stands against the
    /// others as if it did, and is in nobody's way; but its markers are not to be
    /// taken over.
    pub manages: bool,
    /// The owner of the marker that the take-over annotation spells out, if any.
    pub take_over: Option<Owner>,
}

/// Claims by age: older first, then by UID.
type Rank<'a> = (Timestamp, &'a str, &'a ObjectKey);

/// Who hold one thing, by rank; nearly always one.
type Holders = SmallVec<[Arc<Claimant>; 1]>;

/// What is contested: an identity in a region, or a name, which only one
/// object may hold whatever its identity.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct Contested(Option<DomainName>, Place);

/// A namespace that is known.
#[derive(Debug, Default)]
struct Namespace {
    labels: Arc<Labels>,
    changes: Changes,
}

/// The index of all claims, and of what they are judged by.
#[derive(Debug, Default)]
pub struct Claims {
    /// In order, so that those of a namespace stand together.
    claimants: BTreeMap<ObjectKey, Arc<Claimant>>,
    holders: HashMap<Contested, Holders>,
    owners: HashMap<Owner, ObjectKey>,
    policies: Arc<Policies>,
    changes: Changes,
    namespaces: HashMap<String, Namespace>,
    accounts: HashMap<Credentials, String>,
}

impl Claims {
    /// Adds an object or replaces what it claimed before. Returns the objects
    /// whose standing may have changed with it.
    pub fn put(&mut self, claimant: Claimant) -> BTreeSet<ObjectKey> {
        if self.claimants.get(&claimant.key).is_some_and(|old| **old == claimant) {
            return BTreeSet::new();
        }
        let mut touched = self.remove(&claimant.key);
        self.owners.insert(claimant.owner, claimant.key.clone());
        let claimant = Arc::new(claimant);
        self.claimants.insert(claimant.key.clone(), Arc::clone(&claimant));
        touched.extend(self.enter(&claimant));
        touched
    }

    /// Forgets an object. Returns the objects that contested a place with it.
    pub fn remove(&mut self, key: &ObjectKey) -> BTreeSet<ObjectKey> {
        let Some(old) = self.claimants.remove(key) else { return BTreeSet::new() };
        self.owners.remove(&old.owner);
        self.leave(&old)
    }

    /// Adds a policy or replaces it. Returns the objects to look at again.
    pub fn put_policy(&mut self, name: &str, policy: Policy) -> BTreeSet<ObjectKey> {
        self.judge(|policies| policies.put(name, policy))
    }

    /// Takes a policy away. Returns the objects to look at again.
    pub fn remove_policy(&mut self, name: &str) -> BTreeSet<ObjectKey> {
        self.judge(|policies| policies.remove(name))
    }

    /// The names of all policies.
    pub fn policies(&self) -> Vec<String> {
        self.policies.names().cloned().collect()
    }

    /// Takes in a namespace's labels. Returns the objects to look at again.
    pub fn put_namespace(&mut self, name: &str, labels: Labels) -> BTreeSet<ObjectKey> {
        match self.namespaces.get_mut(name) {
            Some(known) if *known.labels == labels => return BTreeSet::new(),
            Some(known) => {
                known.labels = Arc::new(labels);
                known.changes.count();
            }
            None => {
                let known = Namespace { labels: Arc::new(labels), changes: Changes::default() };
                self.namespaces.insert(name.to_owned(), known);
            }
        }
        self.judge_again(self.members(name))
    }

    /// Forgets a namespace. Returns the objects to look at again.
    pub fn remove_namespace(&mut self, name: &str) -> BTreeSet<ObjectKey> {
        let Some(gone) = self.namespaces.remove(name) else { return BTreeSet::new() };
        gone.changes.count();
        self.judge_again(self.members(name))
    }

    /// The names of all namespaces.
    pub fn namespaces(&self) -> Vec<String> {
        self.namespaces.keys().cloned().collect()
    }

    /// Takes in which account credentials turned out to be of. Returns the
    /// objects whose standing may have changed with it.
    pub fn learn(&mut self, credentials: &Credentials, account: &str) -> BTreeSet<ObjectKey> {
        if self.account(credentials) == Some(account) {
            return BTreeSet::new();
        }
        self.accounts.insert(credentials.clone(), account.to_owned());
        let mut touched = BTreeSet::new();
        let uses = |claimant: &&Arc<Claimant>| claimant.credentials.of(Service::Ses) == credentials;
        for claimant in self.claimants.values().filter(uses) {
            let holders = claimant.contested().filter_map(|place| self.holders.get(&place));
            let others = holders.flatten().filter(|other| other.key != claimant.key);
            let before = touched.len();
            touched.extend(others.map(|other| other.key.clone()));
            if touched.len() > before {
                touched.insert(claimant.key.clone());
            }
        }
        touched
    }

    /// How an object stands against policies and all others. `None` where it
    /// claims nothing, or where its namespace is not known yet.
    pub fn standing(&self, key: &ObjectKey) -> Option<Standing> {
        let me = self.claimants.get(key)?;
        let namespace = self.namespaces.get(&**key.namespace())?;
        let mut contenders = BTreeMap::new();
        for contested in me.contested() {
            let holders = self.holders.get(&contested).into_iter().flatten();
            let others = holders.filter(|other| other.key != *key);
            let here = others.filter_map(|other| self.contender(me, other, &contested.1));
            contenders.insert(contested.1.clone(), here.collect());
        }
        let taken_from = me.take_over.as_ref().and_then(|owner| self.owners.get(owner)).cloned();
        Some(Standing::new(
            Arc::clone(me),
            contenders,
            taken_from,
            Arc::clone(&self.policies),
            Arc::clone(&namespace.labels),
            Footing([self.changes.generation(), namespace.changes.generation()]),
        ))
    }

    fn contender(&self, me: &Claimant, other: &Claimant, place: &Place) -> Option<Contender> {
        let same = match place {
            Place::Name(_) => Same::Yes,
            Place::Region(_) => self.same_account(&me.credentials.ses, &other.credentials.ses),
        };
        let rival = Rival { key: other.key.clone(), owner: other.owner };
        (same != Same::No).then(|| Contender { rival, before_us: other.rank() < me.rank(), same })
    }

    fn same_account(&self, ours: &Credentials, theirs: &Credentials) -> Same {
        if ours == theirs {
            return Same::Yes;
        }
        match (self.account(ours), self.account(theirs)) {
            (Some(ours), Some(theirs)) if ours == theirs => Same::Yes,
            (Some(_), Some(_)) => Same::No,
            _ => Same::Unknown,
        }
    }

    /// The account that STS reported, or that a role's ARN names: a role that
    /// cannot be assumed must not leave others without a decision.
    fn account<'a>(&'a self, credentials: &'a Credentials) -> Option<&'a str> {
        let reported = self.accounts.get(credentials).map(String::as_str);
        reported.or_else(|| match credentials {
            Credentials::Ambient => None,
            Credentials::Role(role) => Some(role.arn.account()),
        })
    }

    /// Whether an object may hold what it asks for.
    fn holds(&self, claimant: &Claimant) -> bool {
        let namespace = self.namespaces.get(&**claimant.key.namespace());
        claimant.manages
            && namespace.is_some_and(|namespace| {
                self.policies.decide(&claimant.ask(&namespace.labels)).is_ok()
            })
    }

    /// Enters an object among those who hold, if it may.
    fn enter(&mut self, claimant: &Arc<Claimant>) -> BTreeSet<ObjectKey> {
        let mut touched = BTreeSet::new();
        if !self.holds(claimant) {
            return touched;
        }
        for contested in claimant.contested() {
            let holders = self.holders.entry(contested).or_default();
            touched.extend(holders.iter().map(|other| other.key.clone()));
            let at = holders.partition_point(|other| other.rank() < claimant.rank());
            holders.insert(at, Arc::clone(claimant));
        }
        touched
    }

    fn leave(&mut self, claimant: &Claimant) -> BTreeSet<ObjectKey> {
        let mut touched = BTreeSet::new();
        for contested in claimant.contested() {
            let Some(holders) = self.holders.get_mut(&contested) else { continue };
            let held = holders.binary_search_by(|other| other.rank().cmp(&claimant.rank()));
            let Ok(at) = held else { continue };
            holders.remove(at);
            touched.extend(holders.iter().map(|other| other.key.clone()));
            if holders.is_empty() {
                self.holders.remove(&contested);
            }
        }
        touched
    }

    /// After a change of the policies everybody is judged anew: changes are
    /// rare, and what a policy names tells little of whom it takes from.
    fn judge(&mut self, change: impl FnOnce(&mut Policies) -> bool) -> BTreeSet<ObjectKey> {
        if !change(Arc::make_mut(&mut self.policies)) {
            return BTreeSet::new();
        }
        self.changes.count();
        self.judge_again(self.claimants.keys().cloned().collect())
    }

    /// The objects of a namespace.
    fn members(&self, namespace: &str) -> BTreeSet<ObjectKey> {
        let first = ObjectKey::new(namespace, "");
        let from = self.claimants.range(first..).map(|(key, _)| key);
        from.take_while(|key| **key.namespace() == *namespace).cloned().collect()
    }

    fn judge_again(&mut self, keys: BTreeSet<ObjectKey>) -> BTreeSet<ObjectKey> {
        let mut touched = BTreeSet::new();
        for key in &keys {
            let Some(claimant) = self.claimants.get(key).cloned() else { continue };
            touched.extend(self.leave(&claimant));
            touched.extend(self.enter(&claimant));
        }
        touched.extend(keys);
        touched
    }
}

impl Claimant {
    fn rank(&self) -> Rank<'_> {
        (self.created, &self.uid, &self.key)
    }

    fn contested(&self) -> impl Iterator<Item = Contested> {
        self.places.iter().map(|place| match place {
            Place::Region(_) => Contested(Some(self.domain.clone()), place.clone()),
            Place::Name(_) => Contested(None, place.clone()),
        })
    }

    /// The whole of what the spec asks for.
    pub(super) fn ask<'a>(&'a self, labels: &'a Labels) -> Ask<'a> {
        Ask {
            namespace: self.key.namespace(),
            labels,
            domain: &self.domain,
            places: &self.asked,
            also: None,
            credentials: &self.credentials,
            spf_includes: &self.spf_includes,
            take_over: false,
        }
    }
}
