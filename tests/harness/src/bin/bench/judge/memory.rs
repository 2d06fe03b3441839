//! What memory the operator may take.

use crate::figures::number;

const MIB: f64 = 1_048_576.0;

/// What memory may take at rest, in MiB. Told are those with 100 objects and with
/// 10,000; a few hundred have every connection, buffer and kind of page in use, and
/// each object from there on adds its own.
const RSS_STEADY: [(f64, f64); 3] = [(100.0, 25.0), (1_000.0, 33.0), (10_000.0, 60.0)];

/// On the lines between those.
pub(super) fn rss_bound(n: usize) -> f64 {
    let [few, some, many] = RSS_STEADY;
    let (from, to) = if number(n) <= some.0 { (few, some) } else { (some, many) };
    (from.1 + (to.1 - from.1) * (number(n) - from.0) / (to.0 - from.0)) * MIB
}

/// What it may take beyond that while converging.
pub(super) const RSS_PEAK: f64 = 30.0 * MIB;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::by_hand::same;

    #[test]
    fn memory_has_the_bounds_that_are_told_for_100_and_for_10_000() {
        assert!(same(rss_bound(100), 25.0 * MIB));
        assert!(same(rss_bound(1_000), 33.0 * MIB));
        assert!(same(rss_bound(10_000), 60.0 * MIB));
        assert!(same(rss_bound(10_000) + RSS_PEAK, 90.0 * MIB));
    }
}
