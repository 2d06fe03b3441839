//! What is remembered of each object from one plan to the next.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::mem::take;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::api::{Reason, SesMailFrom};
use crate::authority::{ObjectKey, Place};
use crate::compact::Nanos;
use crate::controller::objects::key_of;
use crate::plan::{Memory, Remembered, Said, WriteFault};

/// The memories of all objects.
#[derive(Debug, Default)]
pub struct Memories(Mutex<HashMap<ObjectKey, Box<Kept>>>);

/// A memory in few bytes, with what tells the uid of the object that it is of: one
/// made anew under the same name starts without.
#[derive(Debug)]
struct Kept {
    uid: u64,
    fresh_from: Option<Nanos>,
    fresh_for: (i64, Option<Box<str>>),
    findings: Box<[Found]>,
    started: Option<Nanos>,
    observed: bool,
    /// The rest: none of an object with which nothing is going on, and at rest that is
    /// what ten thousand of them are.
    more: Option<Box<Memory>>,
}

/// What was last found at a place.
#[derive(Debug)]
struct Found {
    place: Place,
    reason: Reason,
    message: Box<str>,
    first: Nanos,
    last: Nanos,
}

impl Kept {
    fn new(uid: u64, mut memory: Memory) -> Self {
        let (generation, request) = take(&mut memory.fresh_for);
        Self {
            uid,
            fresh_from: memory.fresh_from.take().map(Nanos::from),
            fresh_for: (generation, request.map(String::into)),
            findings: take(&mut memory.findings).into_iter().map(Found::new).collect(),
            started: memory.started.take().map(Nanos::from),
            observed: take(&mut memory.observed),
            more: (memory != Memory::default()).then(|| Box::new(memory)),
        }
    }

    fn memory(&self) -> Memory {
        let (generation, request) = &self.fresh_for;
        Memory {
            fresh_from: self.fresh_from.map(Timestamp::from),
            fresh_for: (*generation, request.as_deref().map(str::to_owned)),
            findings: self.findings.iter().map(Found::remembered).collect(),
            started: self.started.map(Timestamp::from),
            observed: self.observed,
            ..self.more.as_deref().cloned().unwrap_or_default()
        }
    }
}

impl Found {
    fn new((place, found): (Place, Remembered)) -> Self {
        let Remembered { reason, message, first, last } = found;
        Self { place, reason, message: message.into(), first: first.into(), last: last.into() }
    }

    fn remembered(&self) -> (Place, Remembered) {
        let message = self.message.to_string();
        let (first, last) = (self.first.into(), self.last.into());
        (self.place.clone(), Remembered { reason: self.reason, message, first, last })
    }
}

/// Within one process, the same for the same uid and hardly ever for another.
fn fingerprint(object: &SesMailFrom) -> u64 {
    let mut hasher = DefaultHasher::new();
    object.metadata.uid.hash(&mut hasher);
    hasher.finish()
}

impl Memories {
    /// What is remembered of an object.
    pub fn of(&self, object: &SesMailFrom) -> Memory {
        let memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = memories.get(&key_of(object)).filter(|kept| kept.uid == fingerprint(object));
        found.map(|kept| kept.memory()).unwrap_or_default()
    }

    /// Whether anything is remembered of an object.
    pub fn holds(&self, key: &ObjectKey) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(key)
    }

    /// Whether SES has throttled a put for an object that is still to be made.
    pub fn was_throttled(&self, object: &SesMailFrom) -> bool {
        let memories = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = memories.get(&key_of(object)).filter(|kept| kept.uid == fingerprint(object));
        let more = found.and_then(|kept| kept.more.as_deref());
        let throttled = |(place, failed): (&Place, &WriteFault)| {
            matches!(place, Place::Region(_)) && failed.fault.said == Said::Later
        };
        more.is_some_and(|memory| memory.faults.iter().any(throttled))
    }

    /// Remembers this from now on.
    pub fn keep(&self, object: &SesMailFrom, memory: Memory) {
        let kept = Box::new(Kept::new(fingerprint(object), memory));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key_of(object), kept);
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
