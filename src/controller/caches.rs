//! Where the watches put what they bring: objects, policies, namespaces.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::api::core::v1::Namespace;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;

use super::policies::WatchedPolicy;
use super::store::{Change, Store};
use super::watch::{Audience, Cache};
use super::watched::Watched;
use crate::authority::ObjectKey;

/// The objects of one namespace, or of all.
pub(super) struct Objects<A> {
    pub(super) store: Arc<Store>,
    pub(super) audience: Arc<A>,
    /// `None` for all.
    pub(super) namespace: Option<String>,
}

impl<A: Audience> Cache<Watched> for Objects<A> {
    type Key = ObjectKey;

    fn key(object: &Watched) -> ObjectKey {
        object.key()
    }

    fn saw(&self, object: Watched) {
        let Change { wake, unreadable } = self.store.saw(object);
        for key in wake {
            self.audience.wake(key);
        }
        if let Some(unreadable) = unreadable {
            self.audience.unreadable(unreadable);
        }
    }

    /// The object itself is woken too, so that what is remembered of it goes.
    fn forget(&self, key: &ObjectKey) {
        for rival in self.store.forget(key) {
            self.audience.wake(rival);
        }
        self.audience.wake(key.clone());
    }

    fn keys(&self) -> Vec<ObjectKey> {
        let covers = |key: &ObjectKey| {
            self.namespace.as_ref().is_none_or(|namespace| **namespace == **key.namespace())
        };
        self.store.keys().into_iter().filter(covers).collect()
    }
}

/// All policies.
pub(super) struct Policies<A> {
    pub(super) store: Arc<Store>,
    pub(super) audience: Arc<A>,
    /// The version of each policy that does not parse, told once.
    pub(super) told: Mutex<HashMap<String, Option<String>>>,
}

impl<A: Audience> Cache<WatchedPolicy> for Policies<A> {
    type Key = String;

    fn key(policy: &WatchedPolicy) -> String {
        policy.name_any()
    }

    fn saw(&self, policy: WatchedPolicy) {
        let (name, version) = (policy.name_any(), policy.resource_version());
        let (wake, error) = self.store.saw_policy(policy);
        for key in wake {
            self.audience.wake(key);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) => {
                if told.insert(name.clone(), version.clone()) != Some(version) {
                    self.audience.unreadable_policy(&name, &error);
                }
            }
            None => drop(told.remove(&name)),
        }
    }

    fn forget(&self, name: &String) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        for key in self.store.forget_policy(name) {
            self.audience.wake(key);
        }
    }

    fn keys(&self) -> Vec<String> {
        self.store.policies()
    }
}

/// All namespaces, of which only the labels are kept.
pub(super) struct Namespaces<A> {
    pub(super) store: Arc<Store>,
    pub(super) audience: Arc<A>,
}

impl<A: Audience> Cache<PartialObjectMeta<Namespace>> for Namespaces<A> {
    type Key = String;

    fn key(namespace: &PartialObjectMeta<Namespace>) -> String {
        namespace.name_any()
    }

    fn saw(&self, namespace: PartialObjectMeta<Namespace>) {
        let labels = namespace.metadata.labels.unwrap_or_default();
        let name = namespace.metadata.name.unwrap_or_default();
        let wake = self.store.saw_namespace(&name, labels);
        for key in wake {
            self.audience.wake(key);
        }
    }

    fn forget(&self, name: &String) {
        for key in self.store.forget_namespace(name) {
            self.audience.wake(key);
        }
    }

    fn keys(&self) -> Vec<String> {
        self.store.namespaces()
    }
}
