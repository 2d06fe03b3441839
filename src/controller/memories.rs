//! What is remembered of each object from one plan to the next.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::api::SesMailFrom;
use crate::authority::ObjectKey;
use crate::controller::objects::key_of;
use crate::plan::Memory;

/// The memories, each with the uid of the object that it is of: one made anew
/// under the same name starts without.
#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<ObjectKey, (Option<String>, Memory)>>);

impl Memories {
    /// What is remembered of an object.
    pub fn of(&self, object: &SesMailFrom) -> Memory {
        let memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = memories.get(&key_of(object)).filter(|(uid, _)| *uid == object.metadata.uid);
        found.map(|(_, memory)| memory.clone()).unwrap_or_default()
    }

    /// Remembers this from now on.
    pub fn keep(&self, object: &SesMailFrom, memory: Memory) {
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memories.insert(key_of(object), (object.metadata.uid.clone(), memory));
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
