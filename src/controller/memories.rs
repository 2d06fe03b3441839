//! What is remembered of each object from one plan to the next.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::api::SesMailFrom;
use crate::authority::ObjectKey;
use crate::controller::objects::key_of;
use crate::plan::Memory;

/// The memories of all objects.
#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<ObjectKey, Box<Kept>>>);

/// A memory, with the uid of the object that it is of: one made anew under the
/// same name starts without.
#[derive(Debug)]
struct Kept {
    uid: Option<Box<str>>,
    memory: Memory,
}

impl Memories {
    /// What is remembered of an object.
    pub fn of(&self, object: &SesMailFrom) -> Memory {
        let memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = object.metadata.uid.as_deref();
        let found = memories.get(&key_of(object)).filter(|kept| kept.uid.as_deref() == uid);
        found.map(|kept| kept.memory.clone()).unwrap_or_default()
    }

    /// Whether anything is remembered of an object.
    pub fn holds(&self, key: &ObjectKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Remembers this from now on.
    pub fn keep(&self, object: &SesMailFrom, mut memory: Memory) {
        memory.findings.shrink_to_fit();
        let uid = object.metadata.uid.as_deref().map(Box::from);
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memories.insert(key_of(object), Box::new(Kept { uid, memory }));
    }

    /// Changes what is remembered of an object.
    pub fn amend(&self, object: &SesMailFrom, change: impl FnOnce(&mut Memory)) {
        let mut memory = self.of(object);
        change(&mut memory);
        self.keep(object, memory);
    }

    /// The object is gone.
    pub fn forget(&self, key: &ObjectKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
