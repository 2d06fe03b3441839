//! Who watches what AWS holds: each object by one leave, which ends when the
//! object watches anew, is gone, or may not look any more.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use super::lock;
use crate::authority::{Credentials, ObjectKey, Service, Sight};

/// An object that watches.
#[derive(Debug)]
pub(super) struct Watcher {
    sight: Sight,
    ended: AtomicBool,
}

impl Watcher {
    pub(super) fn credentials(&self, service: Service) -> &Credentials {
        self.sight.credentials(service)
    }

    pub(super) fn object(&self) -> &ObjectKey {
        self.sight.object()
    }

    /// Whether it watches still, and may.
    pub(super) fn is_current(&self) -> bool {
        !self.ended.load(Ordering::Relaxed) && self.sight.stands()
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Watchers(Mutex<HashMap<ObjectKey, Arc<Watcher>>>);

impl Watchers {
    /// The object watches anew: what it watched before, it does no longer.
    pub(super) fn begin(&self, sight: Sight) -> Arc<Watcher> {
        let object = sight.object().clone();
        let watcher = Arc::new(Watcher { sight, ended: AtomicBool::new(false) });
        let before = lock(&self.0).insert(object, Arc::clone(&watcher));
        if let Some(before) = before {
            before.ended.store(true, Ordering::Relaxed);
        }
        watcher
    }

    /// The object watches nothing any more.
    pub(super) fn end(&self, object: &ObjectKey) {
        if let Some(before) = lock(&self.0).remove(object) {
            before.ended.store(true, Ordering::Relaxed);
        }
    }
}
