//! Changes of records from the plan to the writer of their zone, and back.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::info;

use super::apply::{ChangeStep, Stop};
use super::objects::{Objects, key_of};
use super::outside::{Endings, Outside};
use super::reconcile::Reconciler;
use crate::api::SesMailFrom;
use crate::authority::Place;
use crate::aws::{Changed, Handed};
use crate::mail::DomainName;
use crate::plan::{self, Effect, Fault, Memory};
use crate::telemetry::Drift;

/// How the changes stood when a round began.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Came {
    /// One failed; the memory says which and why.
    pub failed: bool,
    /// One is on its way: what was read tells nothing of its name.
    pub on_its_way: bool,
}

impl<O: Objects, X: Outside> Reconciler<O, X> {
    /// Takes in how changes ended that were handed over before.
    pub(super) fn take_endings(&self, object: &SesMailFrom) -> Came {
        let Endings { ended, on_its_way } = self.outside.endings(&key_of(object));
        let mut came = Came { failed: false, on_its_way };
        for (place, result) in ended {
            came.failed |= self.ended(object, &place, result).is_err();
        }
        came
    }

    fn ended(
        &self,
        object: &SesMailFrom,
        place: &Place,
        result: Result<Changed, Fault>,
    ) -> Result<(), Stop> {
        let Some(name) = name_of(place) else { return Ok(()) };
        let mut handed = None;
        self.memories.amend(object, |memory| handed = memory.handed.remove(name));
        // Another object of this name had handed it over.
        let Some(plan::Handed { batch, repair }) = handed else { return Ok(()) };
        let Changed { id, at } = self.settle(object, place, repair, result)?;
        self.memories.amend(object, |memory| {
            memory.changes.insert(name.clone(), (id, at));
        });
        info!(name = %place, zone = %batch.zone, repair, "Changed the records");
        if repair {
            self.metrics.drift_corrected(Drift::Records);
        }
        Ok(())
    }

    /// Takes back what the plan does not want changed any more. `false` where
    /// some of it has left, of which the plan did not know.
    pub(super) fn withdraw(
        &self,
        object: &SesMailFrom,
        effects: &[Effect],
        undecided: &BTreeSet<DomainName>,
        memory: &mut Memory,
    ) -> bool {
        let changed = |effect: &Effect| match effect {
            Effect::ChangeRecords { grant, .. } => name_of(grant.place()).cloned(),
            _ => None,
        };
        let changed = effects.iter().filter_map(changed);
        let kept: BTreeSet<DomainName> = undecided.iter().cloned().chain(changed).collect();
        let withdrawn = self.outside.withdraw(&key_of(object), &kept);
        if withdrawn {
            memory.handed.retain(|name, _| kept.contains(name));
        }
        withdrawn
    }

    pub(super) fn hand_over(&self, object: &SesMailFrom, step: ChangeStep) -> Handed {
        let ChangeStep { grant, batch, repair } = step;
        let (name, batch) = (name_of(grant.place()).cloned(), Arc::new(batch));
        let handed = self.outside.change_records(grant, &batch);
        if let (Handed::New, Some(name)) = (handed, name) {
            self.memories.amend(object, |memory| {
                memory.handed.insert(name, plan::Handed { batch, repair });
            });
        }
        handed
    }
}

fn name_of(place: &Place) -> Option<&DomainName> {
    match place {
        Place::Name(name) => Some(name.name()),
        Place::Region(_) => None,
    }
}
