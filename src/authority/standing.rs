//! How one object stands against policies and all others, at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::claims::Claimant;
use super::credentials::Service;
use super::decision::{Ask, Denial, Policies};
use super::grant::{Footing, Grant, Look, ObjectKey, Place, Sight};
use super::policy::Labels;
use crate::mail::{DomainName, MailFromDomain, Marker, Owner};

/// Another object that claims the same place.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rival {
    /// Who.
    pub key: ObjectKey,
    /// Who its markers speak for.
    pub owner: Owner,
}

/// Why a place is not the object's to write to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// No policy allows it.
    Denied(Denial),
    /// Another object holds it.
    Lost(Rival),
    /// Another object claims it with other credentials, and whether those are
    /// of the same account is not known yet.
    Undecided,
}

/// Whether two objects mean the same thing by the same place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Same {
    Yes,
    No,
    Unknown,
}

/// A rival, and whether it goes before us by age.
#[derive(Clone, Debug)]
pub(super) struct Contender {
    pub(super) rival: Rival,
    pub(super) before_us: bool,
    pub(super) same: Same,
}

/// How one object stands against policies and all others, at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    me: Arc<Claimant>,
    contenders: BTreeMap<Place, Vec<Contender>>,
    /// The object of this operator that the take-over annotation would rob.
    taken_from: Option<ObjectKey>,
    policies: Arc<Policies>,
    labels: Arc<Labels>,
    footing: Footing,
    verdict: Result<(), Denial>,
    urgent: bool,
}

impl Standing {
    pub(super) fn new(
        me: Arc<Claimant>,
        contenders: BTreeMap<Place, Vec<Contender>>,
        taken_from: Option<ObjectKey>,
        policies: Arc<Policies>,
        labels: Arc<Labels>,
        footing: Footing,
    ) -> Self {
        let verdict = policies.decide(&me.ask(&labels));
        let urgent = false;
        Self { me, contenders, taken_from, policies, labels, footing, verdict, urgent }
    }

    /// The same for an object whose change a person waits for, or not: what it
    /// asks for goes before what is done anyway.
    #[must_use]
    pub fn with_urgency(self, urgent: bool) -> Self {
        Self { urgent, ..self }
    }

    /// Whether a person waits for what the object asks for.
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// Who the object's markers speak for.
    pub fn owner(&self) -> &Owner {
        &self.me.owner
    }

    /// The object.
    pub fn key(&self) -> &ObjectKey {
        &self.me.key
    }

    /// Whether the object may have the whole of what its spec asks for.
    ///
    /// # Errors
    /// Why not.
    pub fn authorized(&self) -> Result<(), Denial> {
        self.verdict.clone()
    }

    /// Whether the object may deal with a place, which only its status or a
    /// marker may have named, on top of what its spec asks for.
    ///
    /// # Errors
    /// Why not.
    pub fn allows(&self, place: &Place) -> Result<(), Denial> {
        self.authorized()?;
        if self.me.asked.contains(place) {
            return Ok(());
        }
        self.policies.decide(&Ask { also: Some(place), ..self.me.ask(&self.labels) })
    }

    /// Whether the object may take over a marker that somebody else left.
    ///
    /// # Errors
    /// Why not.
    pub fn may_take_over(&self) -> Result<(), Denial> {
        self.policies.decide(&Ask { take_over: true, ..self.me.ask(&self.labels) })
    }

    /// Leave to look at one thing.
    ///
    /// # Errors
    /// Why it may not be looked at on the object's behalf.
    pub fn sight(&self, look: Look<'_>) -> Result<Sight, Denial> {
        self.authorized()?;
        match look {
            Look::Account(_) => {}
            Look::Identity(identity, region) => {
                self.allows(&Place::Region(region.clone()))?;
                if *identity != self.me.domain {
                    self.allows_name(identity)?;
                }
            }
            Look::Name(name) => self.allows_around(name)?,
        }
        let Claimant { key, credentials, .. } = &*self.me;
        Ok(Sight::new(key.clone(), credentials.clone(), self.footing.clone(), self.urgent))
    }

    fn allows_name(&self, name: &DomainName) -> Result<(), Denial> {
        match MailFromDomain::below(name.as_str(), &self.me.domain) {
            Ok(name) => self.allows(&Place::Name(name)),
            Err(_) => Err(Denial::Domain {
                namespace: self.me.key.namespace().to_string(),
                domain: name.clone(),
            }),
        }
    }

    /// A name of the object's, or one above such a name: a zone's apex.
    fn allows_around(&self, name: &DomainName) -> Result<(), Denial> {
        if self.me.domain.is_at_or_below(name) {
            return Ok(());
        }
        let below = self.me.places.iter().any(|place| match place {
            Place::Name(own) => own.name().is_below(name) && self.allows(place).is_ok(),
            Place::Region(_) => false,
        });
        if below { Ok(()) } else { self.allows_name(name) }
    }

    /// Leave to write at `place`, where `marker` is the marker that decides
    /// there: the one at the name, or at the name that SES holds.
    ///
    /// # Errors
    /// Why not.
    pub fn claim(&self, place: &Place, marker: Option<&Marker>) -> Result<Grant, Refusal> {
        self.allows(place).map_err(Refusal::Denied)?;
        let contenders = self.contenders.get(place).map_or(&[][..], Vec::as_slice);
        let by_marker_of = marker.map(|marker| &marker.owner);
        if by_marker_of == Some(&self.me.owner) {
            return Ok(self.grant(place));
        }
        let stands = |contender: &&Contender| Some(&contender.rival.owner) == by_marker_of;
        let by_marker = contenders.iter().find(stands);
        let by_age = || {
            let mut before = contenders.iter().filter(|contender| contender.before_us);
            before.clone().find(|contender| contender.same == Same::Yes).or_else(|| before.next())
        };
        match by_marker.or_else(by_age) {
            Some(contender) if contender.same == Same::Unknown => Err(Refusal::Undecided),
            Some(contender) => Err(Refusal::Lost(contender.rival.clone())),
            None => Ok(self.grant(place)),
        }
    }

    fn grant(&self, place: &Place) -> Grant {
        let Claimant { key, domain, credentials, .. } = &*self.me;
        let credentials = credentials.of(place.service()).clone();
        let (footing, urgent) = (self.footing.clone(), self.urgent);
        Grant::new(key.clone(), domain.clone(), place.clone(), credentials, footing, urgent)
    }

    /// The object of this operator whose marker the take-over annotation
    /// spells out: such a marker is never handed over.
    pub fn taken_from(&self) -> Option<&ObjectKey> {
        self.taken_from.as_ref()
    }

    /// The credentials for a service, to tell whose account an answer is of.
    pub fn credentials(&self, service: Service) -> &super::Credentials {
        self.me.credentials.of(service)
    }
}
