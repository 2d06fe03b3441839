//! Objects at rest, as few bytes: an operator keeps ten thousand of them and
//! looks at one at a time.
//!
//! A settled object takes 6 KiB as its types lay it out, most of it allocations
//! for texts that all objects share. As JSON it takes 2, and as what differs
//! from a typical object a few hundred bytes. To open one takes some tens of
//! microseconds, and a reconcile takes milliseconds.

mod nanos;

use std::fmt;
use std::marker::PhantomData;
use std::mem::replace;
use std::sync::LazyLock;

use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tracing::error;

pub use nanos::Nanos;

use crate::api::SesMailFrom;

/// What most objects have in common: one on its way, and one settled. Only sizes
/// depend on it, so it may lag behind the messages.
static TYPICAL: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = include_str!("compact/typical.json");
    let objects = serde_json::from_str::<Vec<SesMailFrom>>(text);
    objects.and_then(|objects| serde_json::to_vec(&objects)).unwrap_or_default()
});

/// So many are moved at once: more than the allocator keeps back of what is freed, to
/// hand it out again first.
const MOVED_AT_ONCE: usize = 1024;

/// A `T` at rest. Two are equal where what they hold is.
pub struct Compact<T> {
    bytes: Box<[u8]>,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Compact<T> {
    /// Puts it to rest. `T` must be one that survives the way through JSON.
    pub fn of(value: &T) -> Self {
        let json = serde_json::to_vec(value).unwrap_or_default();
        let bytes = compress_prepend_size_with_dict(&json, &TYPICAL).into_boxed_slice();
        Self { bytes, of: PhantomData }
    }

    /// What was put to rest. `None` only where `T` breaks its promise, which is
    /// logged.
    pub fn open(&self) -> Option<T> {
        let json = decompress_size_prepended_with_dict(&self.bytes, &TYPICAL);
        let json = json.map_err(|mistake| error!(%mistake, "Could not open what was kept")).ok()?;
        let value = serde_json::from_slice(&json);
        value.map_err(|mistake| error!(%mistake, "Could not read what was kept")).ok()
    }
}

impl<T> Compact<T> {
    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// Moves all of them together. What objects were on their way lay between what they
/// are now, and a page that is mostly empty is taken as well: copies fill the pages
/// that have room, and those that are left go back to the system.
pub fn pack<'a, T: 'a>(all: impl IntoIterator<Item = &'a mut Compact<T>>) {
    let mut all = all.into_iter();
    loop {
        let mut some: Vec<_> = all.by_ref().take(MOVED_AT_ONCE).collect();
        if some.is_empty() {
            return;
        }
        let copies: Vec<_> = some.iter().map(|compact| (**compact).clone()).collect();
        // None goes before all are copied: its place would be taken at once.
        let left = some.iter_mut().zip(copies).map(|(held, copy)| replace(*held, copy));
        drop(left.collect::<Vec<_>>());
    }
}

impl<T> Clone for Compact<T> {
    fn clone(&self) -> Self {
        Self { bytes: self.bytes.clone(), of: PhantomData }
    }
}

impl<T> Eq for Compact<T> {}

impl<T> PartialEq for Compact<T> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl<T> fmt::Debug for Compact<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compact({} bytes)", self.size())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    fn settled() -> SesMailFrom {
        let text = include_str!("compact/typical.json").replace("example.com", "customer-7.test");
        serde_json::from_str::<Vec<_>>(&text).unwrap().remove(0)
    }

    #[test]
    fn opens_as_it_was() {
        let object = settled();
        let compact = Compact::of(&object);
        assert_eq!(compact.open().unwrap(), object);
        let mut other = object.clone();
        other.spec.dns.ttl_seconds += 1;
        assert_ne!(Compact::of(&other), compact);
        assert_eq!(Compact::of(&object), compact);
    }

    #[test]
    fn packed_all_are_as_they_were_and_none_where_another_was() {
        let numbered = |number: i32| {
            let mut object = settled();
            object.spec.dns.ttl_seconds += number;
            object
        };
        let mut all: Vec<_> = (0..9).map(|number| Compact::of(&numbered(number))).collect();
        let places = |all: &[Compact<SesMailFrom>]| {
            all.iter().map(|compact| compact.bytes.as_ptr().addr()).collect::<BTreeSet<_>>()
        };
        let before = places(&all);
        pack(&mut all);
        assert!(places(&all).is_disjoint(&before));
        for (number, compact) in (0..).zip(&all) {
            assert_eq!(compact.open().unwrap(), numbered(number));
        }
    }

    #[test]
    fn takes_what_differs_from_a_typical_object() {
        let object = settled();
        let (json, size) =
            (serde_json::to_vec(&object).unwrap().len(), Compact::of(&object).size());
        assert!(json > 2_000 && size < json / 3, "{size} of {json} bytes");
    }
}
