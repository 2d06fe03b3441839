//! Moments of which many are kept.

use std::num::NonZeroU64;

use jiff::Timestamp;

/// The sign of an i64.
const SIGN: u64 = 1 << 63;

/// A moment in one word, to the nanosecond, also where there may be none. What lies
/// before 1678 or after 2261 counts as the first or last that fits.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Nanos(
    /// Since 1970, with the sign turned round: in order, and nothing but the first
    /// moment of all is zero.
    NonZeroU64,
);

impl From<Timestamp> for Nanos {
    fn from(at: Timestamp) -> Self {
        let bound = if at < Timestamp::UNIX_EPOCH { i64::MIN } else { i64::MAX };
        let since = i64::try_from(at.as_nanosecond()).unwrap_or(bound);
        Self(NonZeroU64::new(since.cast_unsigned() ^ SIGN).unwrap_or(NonZeroU64::MIN))
    }
}

impl From<Nanos> for Timestamp {
    fn from(Nanos(turned): Nanos) -> Self {
        let since = (turned.get() ^ SIGN).cast_signed();
        // That many nanoseconds are well within what a timestamp spans.
        Self::from_nanosecond(since.into()).unwrap_or(Self::MAX)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_moment_comes_back_to_the_nanosecond_and_in_order() {
        assert_eq!(size_of::<Option<Nanos>>(), 8);
        let texts = [
            "1969-12-31T23:59:59.9Z",
            "1970-01-01T00:00:00Z",
            "2026-08-01T12:00:00.123456789Z",
            "2100-01-01T00:00:00Z",
        ];
        let moments = texts.map(|text| text.parse::<Timestamp>().unwrap());
        assert_eq!(moments.map(|at| Timestamp::from(Nanos::from(at))), moments);
        let [never, ever] = [Timestamp::MIN, Timestamp::MAX].map(Nanos::from);
        let [a, b, c, d] = moments.map(Nanos::from);
        assert!([never, a, b, c, d, ever].is_sorted_by(|one, next| one < next));
    }
}
