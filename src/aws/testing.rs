//! Leave to look, for tests of who asks what.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::json;

use crate::authority::{
    Claimant, Claims, Labels, Look, ObjectKey, Policy, Service, ServiceCredentials, Sight,
};
use crate::mail::{DomainName, Owner};

pub(super) fn object(name: &str) -> ObjectKey {
    ObjectKey::new("mail", name)
}

/// An object that may look at everything until its policy goes.
pub(super) struct Looker {
    claims: Claims,
    key: ObjectKey,
}

impl Looker {
    pub(super) fn new(name: &str) -> Self {
        Self::of(object(name))
    }

    pub(super) fn of(key: ObjectKey) -> Self {
        let mut claims = Claims::default();
        claims.put_namespace(key.namespace(), Labels::new());
        let everything = json!({
            "namespaceSelector": {}, "domains": ["*"], "ambientCredentials": "Allow",
        });
        let everything = serde_json::from_value(everything).unwrap();
        claims.put_policy("default", Policy::parse(&everything).unwrap());
        claims.put(Claimant {
            key: key.clone(),
            uid: key.name().into(),
            created: Timestamp::UNIX_EPOCH,
            owner: Owner::of("test", key.namespace(), key.name()),
            domain: DomainName::parse("example.com").unwrap(),
            asked: Arc::default(),
            places: Arc::default(),
            credentials: ServiceCredentials::default(),
            spf_includes: BTreeSet::new(),
            manages: true,
            take_over: None,
        });
        Self { claims, key }
    }

    pub(super) fn sight(&self, urgent: bool) -> Sight {
        let standing = self.claims.standing(&self.key).unwrap().with_urgency(urgent);
        standing.sight(Look::Account(Service::Ses)).unwrap()
    }

    pub(super) fn lose_authority(&mut self) {
        self.claims.remove_policy("default");
    }
}
