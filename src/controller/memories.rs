//! What is remembered of each object from one plan to the next.

use std::collections::HashMap;
use std::mem::take;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::api::SesMailFrom;
use crate::authority::{ObjectKey, Place};
use crate::controller::objects::key_of;
use crate::plan::{Memory, Remembered};

/// The memories of all objects.
#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<ObjectKey, Box<Kept>>>);

/// A memory, with the uid of the object that it is of: one made anew under the
/// same name starts without.
#[derive(Debug)]
struct Kept {
    uid: Option<Box<str>>,
    fresh_from: Option<Timestamp>,
    fresh_for: (i64, Option<String>),
    findings: Box<[(Place, Remembered)]>,
    started: Option<Timestamp>,
    observed: bool,
    /// The rest: none of an object with which nothing is going on, and at rest that is
    /// what ten thousand of them are.
    more: Option<Box<Memory>>,
}

impl Kept {
    fn new(uid: Option<Box<str>>, mut memory: Memory) -> Self {
        Self {
            uid,
            fresh_from: memory.fresh_from.take(),
            fresh_for: take(&mut memory.fresh_for),
            findings: take(&mut memory.findings).into_iter().collect(),
            started: memory.started.take(),
            observed: take(&mut memory.observed),
            more: (memory != Memory::default()).then(|| Box::new(memory)),
        }
    }

    fn memory(&self) -> Memory {
        Memory {
            fresh_from: self.fresh_from,
            fresh_for: self.fresh_for.clone(),
            findings: self.findings.iter().cloned().collect(),
            started: self.started,
            observed: self.observed,
            ..self.more.as_deref().cloned().unwrap_or_default()
        }
    }
}

impl Memories {
    /// What is remembered of an object.
    pub fn of(&self, object: &SesMailFrom) -> Memory {
        let memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let uid = object.metadata.uid.as_deref();
        let found = memories.get(&key_of(object)).filter(|kept| kept.uid.as_deref() == uid);
        found.map(|kept| kept.memory()).unwrap_or_default()
    }

    /// Whether anything is remembered of an object.
    pub fn holds(&self, key: &ObjectKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Remembers this from now on.
    pub fn keep(&self, object: &SesMailFrom, memory: Memory) {
        let uid = object.metadata.uid.as_deref().map(Box::from);
        let mut memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memories.insert(key_of(object), Box::new(Kept::new(uid, memory)));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::api::Reason;
    use crate::controller::testing::{key, object};
    use crate::mail::{DomainName, MailFromDomain};

    fn settled() -> Memory {
        let at = |second| Timestamp::from_second(second).unwrap();
        let name = MailFromDomain::new("bounce", &DomainName::parse("example.com").unwrap());
        let (reason, message) = (Reason::Succeeded, "all is well".to_owned());
        let found = Remembered { reason, message, first: at(1), last: at(2) };
        Memory {
            fresh_from: Some(at(1)),
            fresh_for: (3, Some("now".to_owned())),
            findings: [(Place::Name(name.unwrap()), found)].into_iter().collect(),
            started: Some(at(0)),
            observed: true,
            ..Memory::default()
        }
    }

    #[test]
    fn whatever_is_kept_comes_back_and_little_is_held_of_what_is_settled() {
        let object = object("a", 1);
        let memories = Memories::default();
        let name = DomainName::parse("bounce.example.com").unwrap();
        let under_way = Memory { dns_wrong: [name].into(), ..settled() };
        for (memory, is_settled) in [(settled(), true), (under_way, false), (settled(), true)] {
            memories.keep(&object, memory.clone());
            assert_eq!(memories.of(&object), memory);
            let kept = memories.0.lock().unwrap();
            assert_eq!(kept[&key("a")].more.is_none(), is_settled);
        }
        let mut anew = object.clone();
        anew.metadata.uid = Some("another".into());
        assert_eq!(memories.of(&anew), Memory::default());
    }
}
