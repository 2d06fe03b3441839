//! Repairs, and the point at which repairing stops being help.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::inquiry::before;
use super::scene::{Scene, elapsed};
use crate::api::RECONCILE_REQUESTED_AT;
use crate::authority::Place;

/// Three repairs of one value within the window: someone else is writing.
const LOOP: usize = 3;

impl Scene<'_> {
    /// The repairs that still count: all while the loop lasts, none once a
    /// person has changed the spec or asked for a reconcile.
    pub(super) fn counted_repairs(&self, stored: &[Time]) -> Vec<Time> {
        let object = self.world.object;
        let requested = object.metadata.annotations.as_ref();
        let requested = requested.and_then(|all| all.get(RECONCILE_REQUESTED_AT));
        let asked =
            requested.is_some() && requested != self.stored.last_handled_reconcile_at.as_ref();
        let changed = self.stored.observed_generation != self.desired.generation;
        if asked || changed { Vec::new() } else { stored.to_vec() }
    }

    /// Whether another repair would only feed a war.
    pub(super) fn is_loop(repairs: &[Time]) -> bool {
        repairs.len() >= LOOP
    }

    /// The repairs with one more, now; those outside the window are forgotten.
    pub(super) fn with_repair(&self, repairs: &[Time]) -> Vec<Time> {
        let oldest = before(self.world.now, self.world.settings.drift_loop_window);
        let recent = repairs.iter().filter(|time| time.0 > oldest).cloned();
        recent.chain([self.now()]).collect()
    }

    /// The repairs of a value that stands right: forgotten once it has done so
    /// for the whole window.
    pub(super) fn settled_repairs(&self, repairs: Vec<Time>, place: &Place) -> Vec<Time> {
        let Some(last) = repairs.iter().map(|time| time.0).max() else { return repairs };
        let remembered = self.world.memory.findings.get(place).map_or(last, |r| r.first);
        let right_for = elapsed(last.max(remembered), self.world.now);
        if right_for >= self.world.settings.drift_loop_window { Vec::new() } else { repairs }
    }

    /// Now, in whole seconds, as the API server keeps it.
    pub(super) fn now(&self) -> Time {
        Time(whole_seconds(self.world.now))
    }
}

/// The moment without its fraction: `Time` is written in seconds, and would
/// otherwise differ from what is read back.
pub(super) fn whole_seconds(at: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(at.as_second()).unwrap_or(at)
}
