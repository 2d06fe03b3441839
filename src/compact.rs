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
        self.open_part()
    }
}

impl<T> Compact<T> {
    /// What of it a smaller type reads, in less time. `None` where `P` reads something
    /// else, which is logged.
    pub fn open_part<P: DeserializeOwned>(&self) -> Option<P> {
        let json = decompress_size_prepended_with_dict(&self.bytes, &TYPICAL);
        let json = json.map_err(|mistake| error!(%mistake, "Could not open what was kept")).ok()?;
        let value = serde_json::from_slice(&json);
        value.map_err(|mistake| error!(%mistake, "Could not read what was kept")).ok()
    }

    /// How many bytes it takes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Where it lies.
    #[cfg(test)]
    pub(crate) fn place(&self) -> usize {
        self.bytes.as_ptr().addr()
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
    fn takes_what_differs_from_a_typical_object() {
        let object = settled();
        let (json, size) =
            (serde_json::to_vec(&object).unwrap().len(), Compact::of(&object).size());
        assert!(json > 2_000 && size < json / 3, "{size} of {json} bytes");
    }
}
