//! The proofs of authority. Only [`super::Standing`] makes them, they cannot be
//! cloned, and adapters take them by value: an unauthorised call does not compile.
//! Each ends with the policies and labels that it rests on.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use internment::ArcIntern;

use super::credentials::{Credentials, Service, ServiceCredentials};
use crate::mail::{DomainName, MailFromDomain, Region, SharedText};

/// A `SesMailFrom` by namespace and name, in one word: each object is entered in half
/// a dozen indexes.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey(ArcIntern<Names>);

#[derive(Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
struct Names {
    namespace: SharedText,
    name: Box<str>,
}

impl ObjectKey {
    /// Of an object's `metadata.namespace` and `metadata.name`.
    pub fn new(namespace: impl Into<SharedText>, name: impl Into<Box<str>>) -> Self {
        Self(ArcIntern::new(Names { namespace: namespace.into(), name: name.into() }))
    }

    /// `metadata.namespace`.
    pub fn namespace(&self) -> &SharedText {
        &self.0.namespace
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        &self.0.name
    }
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace(), self.name())
    }
}

/// What is claimed and written to.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Place {
    /// The MAIL FROM setting of the object's identity in a region.
    Region(Region),
    /// The record sets at a MAIL FROM domain.
    Name(MailFromDomain),
}

impl Place {
    /// Whose setting or record sets it is.
    pub fn service(&self) -> Service {
        match self {
            Self::Region(_) => Service::Ses,
            Self::Name(_) => Service::Route53,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(region) => region.fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// Counts the changes of something that decisions rest on.
#[derive(Clone, Debug, Default)]
pub(super) struct Changes(Arc<AtomicU64>);

impl Changes {
    /// It has changed: what rested on it until now stands no longer.
    pub(super) fn count(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn generation(&self) -> Generation {
        Generation { changes: self.clone(), at: self.0.load(Ordering::SeqCst) }
    }
}

/// A moment between two changes.
#[derive(Clone, Debug)]
pub(super) struct Generation {
    changes: Changes,
    at: u64,
}

/// The generations of the policies, and of the namespace's labels, that a
/// decision rests on.
#[derive(Clone, Debug)]
pub(super) struct Footing(pub(super) [Generation; 2]);

impl Footing {
    fn stands(&self) -> bool {
        self.0.iter().all(|then| then.changes.0.load(Ordering::SeqCst) == then.at)
    }
}

/// What is looked at.
#[derive(Clone, Copy, Debug)]
pub enum Look<'a> {
    /// The account behind the credentials of a service, and what needs no more
    /// than being its user.
    Account(Service),
    /// An identity in a region: the object's, or one that a MAIL FROM domain would be.
    Identity(&'a DomainName, &'a Region),
    /// What Route 53 and DNS hold at or around a name.
    Name(&'a DomainName),
}

/// Leave to read one thing that the decision about an object needs.
#[derive(Debug)]
pub struct Sight {
    object: ObjectKey,
    credentials: ServiceCredentials,
    footing: Footing,
    urgent: bool,
}

impl Sight {
    pub(super) fn new(
        object: ObjectKey,
        credentials: ServiceCredentials,
        footing: Footing,
        urgent: bool,
    ) -> Self {
        Self { object, credentials, footing, urgent }
    }

    /// Whether a person waits for it: it goes before what is looked at anyway.
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// For whom, and who is woken when the answer is there.
    pub fn object(&self) -> &ObjectKey {
        &self.object
    }

    /// With what to look at a service.
    pub fn credentials(&self, service: Service) -> &Credentials {
        self.credentials.of(service)
    }

    /// Whether what it rests on is still so. Asked when the call leaves.
    pub fn stands(&self) -> bool {
        self.footing.stands()
    }
}

/// Leave to write to one place on behalf of one object.
#[derive(Debug)]
pub struct Grant {
    object: ObjectKey,
    domain: DomainName,
    place: Place,
    credentials: Credentials,
    footing: Footing,
    urgent: bool,
}

impl Grant {
    pub(super) fn new(
        object: ObjectKey,
        domain: DomainName,
        place: Place,
        credentials: Credentials,
        footing: Footing,
        urgent: bool,
    ) -> Self {
        Self { object, domain, place, credentials, footing, urgent }
    }

    /// Whether a person waits for it: it goes before what is done anyway.
    pub fn is_urgent(&self) -> bool {
        self.urgent
    }

    /// For whom, and who is woken when a permit is there.
    pub fn object(&self) -> &ObjectKey {
        &self.object
    }

    /// The SES identity.
    pub fn domain(&self) -> &DomainName {
        &self.domain
    }

    /// Where.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// With what to write there.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Whether what it rests on is still so. Asked when the call leaves.
    pub fn stands(&self) -> bool {
        self.footing.stands()
    }
}
