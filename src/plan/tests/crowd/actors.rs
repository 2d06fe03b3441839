//! The operators of a world and their objects, each with what its process knows.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use jiff::Timestamp;
use serde_json::json;

use super::super::small_world::{ACCOUNT, policy};
use super::world::{NAMESPACES, OTHER_ACCOUNT, OWNERS, REGIONS, Setting};
use crate::api::SesMailFrom;
use crate::authority::{Claims, Credentials, Labels, ObjectKey, ServiceCredentials};
use crate::mail::Owner;
use crate::plan::{Effect, Memory, Question};

/// What the policies of an operator give a namespace.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Leave {
    Everything,
    /// `us-east-1` alone.
    OneRegion,
    Nothing,
}

pub(super) struct Operator {
    pub owner_id: &'static str,
    pub claims: Claims,
    pub leave: BTreeMap<&'static str, Leave>,
}

/// One object, and what its operator's process knows of it.
pub(super) struct Actor {
    pub operator: usize,
    pub credentials: ServiceCredentials,
    pub object: SesMailFrom,
    pub gone: bool,
    pub memory: Memory,
    /// Asked by the last plan, and so likely by the next.
    pub asked: BTreeSet<Question>,
    pub pending: Option<Pending>,
    pub wake: Option<Timestamp>,
}

/// Effects that were decided on and are not all done.
pub(super) struct Pending {
    pub effects: VecDeque<Effect>,
    /// What the count of moves was when they were.
    pub decided: u64,
    /// The object's resourceVersion, as far as the process knows.
    pub version: u64,
}

impl Actor {
    pub(super) fn new(
        operator: usize,
        credentials: ServiceCredentials,
        object: SesMailFrom,
    ) -> Self {
        let (memory, asked) = (Memory::default(), BTreeSet::new());
        let (pending, wake) = (None, None);
        Self { operator, credentials, object, gone: false, memory, asked, pending, wake }
    }

    pub(super) fn key(&self) -> ObjectKey {
        let metadata = &self.object.metadata;
        ObjectKey::new(metadata.namespace.clone().unwrap(), metadata.name.clone().unwrap())
    }

    pub(super) fn owner(&self) -> Owner {
        let key = self.key();
        Owner::of(OWNERS[self.operator], key.namespace(), key.name())
    }

    pub(super) fn account(&self) -> &str {
        account_of(&self.credentials.ses)
    }

    pub(super) fn setting(&self, region: &str) -> Setting {
        (self.account().to_owned(), self.object.spec.domain.clone(), region.to_owned())
    }

    pub(super) fn is_deleting(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    pub(super) fn condition(&self, kind: &str) -> Option<(&str, &str)> {
        let conditions = &self.object.status.as_ref()?.conditions;
        let found = conditions.iter().find(|condition| condition.type_ == kind)?;
        Some((&found.status, &found.reason))
    }
}

pub(super) fn account_of(credentials: &Credentials) -> &str {
    match credentials {
        Credentials::Ambient => ACCOUNT,
        Credentials::Role(role) => role.arn.account(),
    }
}

impl Operator {
    pub(super) fn new(owner_id: &'static str, leave: BTreeMap<&'static str, Leave>) -> Self {
        let mut operator = Self { owner_id, claims: Claims::default(), leave };
        operator.start();
        operator
    }

    /// A process that knows the policies and nothing else.
    pub(super) fn start(&mut self) {
        self.claims = Claims::default();
        for namespace in NAMESPACES {
            let labels = Labels::from([("name".to_owned(), namespace.to_owned())]);
            self.claims.put_namespace(namespace, labels);
            self.judge(namespace);
        }
    }

    fn judge(&mut self, namespace: &'static str) {
        let regions = match self.leave[namespace] {
            Leave::Everything => json!([]),
            Leave::OneRegion => json!([REGIONS[0]]),
            Leave::Nothing => {
                self.claims.remove_policy(namespace);
                return;
            }
        };
        let selector = json!({"matchLabels": {"name": namespace}});
        let roles = json!([role(ACCOUNT), role(OTHER_ACCOUNT)]);
        let spec = json!({
            "namespaceSelector": selector, "regions": regions, "roleARNs": roles,
            "takeOver": "Allow",
        });
        self.claims.put_policy(namespace, policy(&spec));
    }

    pub(super) fn give(&mut self, namespace: &'static str, leave: Leave) {
        self.leave.insert(namespace, leave);
        self.judge(namespace);
    }
}

pub(super) fn role(account: &str) -> String {
    format!("arn:aws:iam::{account}:role/ses")
}
