//! How long an object waits after trouble with Kubernetes.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use crate::authority::ObjectKey;

const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_mins(5);

/// Exponential pauses, one row for each object, dropped on success and on delete.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: HashMap<ObjectKey, u32>,
    /// A fresh one is seeded at random (std), which is all that jitter needs.
    jitter: RandomState,
}

impl Backoff {
    /// The pause after one more failure in a row: half a second doubling to
    /// five minutes, of which a random half is taken off.
    pub(super) fn failed(&mut self, key: &ObjectKey) -> Duration {
        let failures = self.failures.entry(key.clone()).or_default();
        let full = FIRST.saturating_mul(1 << (*failures).min(20)).min(LONGEST);
        let draw = self.jitter.hash_one((key, *failures)) % 1000;
        *failures = failures.saturating_add(1);
        full / 2 + full * u32::try_from(draw).unwrap_or(0) / 2000
    }

    /// The row has ended.
    pub(super) fn ended(&mut self, key: &ObjectKey) {
        self.failures.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::testing::key;

    #[test]
    fn doubles_to_five_minutes_with_jitter_and_starts_over() {
        let mut backoff = Backoff::default();
        let mut full = FIRST;
        for _ in 0..40 {
            let pause = backoff.failed(&key("a"));
            assert!(pause >= full / 2 && pause <= full, "{pause:?} of {full:?}");
            full = (full * 2).min(LONGEST);
        }
        assert!(backoff.failed(&key("b")) <= FIRST, "each object has its own");
        backoff.ended(&key("a"));
        assert!(backoff.failed(&key("a")) <= FIRST);
    }

    #[test]
    fn two_objects_do_not_return_together() {
        let mut backoff = Backoff::default();
        let pauses: std::collections::BTreeSet<_> =
            (0..20).map(|n| backoff.failed(&key(&n.to_string()))).collect();
        assert!(pauses.len() > 1);
    }
}
