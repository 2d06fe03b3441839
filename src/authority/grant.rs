//! The proofs of authority. Only [`super::Standing`] makes them, they cannot be
//! cloned, and adapters take them by value: an unauthorised call does not compile.

use std::fmt;

use super::credentials::{Credentials, Service, ServiceCredentials};
use crate::mail::{DomainName, MailFromDomain, Region};

/// A `SesMailFrom` by namespace and name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ObjectKey {
    /// `metadata.namespace`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
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

/// Leave to read what the decision about an object needs.
#[derive(Debug)]
pub struct Sight {
    object: ObjectKey,
    credentials: ServiceCredentials,
}

impl Sight {
    pub(super) fn new(object: ObjectKey, credentials: ServiceCredentials) -> Self {
        Self { object, credentials }
    }

    /// For whom, and who is woken when the answer is there.
    pub fn object(&self) -> &ObjectKey {
        &self.object
    }

    /// With what to look at a service.
    pub fn credentials(&self, service: Service) -> &Credentials {
        self.credentials.of(service)
    }
}

/// Leave to write to one place on behalf of one object.
#[derive(Debug)]
pub struct Grant {
    object: ObjectKey,
    domain: DomainName,
    place: Place,
    credentials: Credentials,
}

impl Grant {
    pub(super) fn new(
        object: ObjectKey,
        domain: DomainName,
        place: Place,
        credentials: Credentials,
    ) -> Self {
        Self { object, domain, place, credentials }
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
}
