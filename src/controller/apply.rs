//! Runs the effects of a plan, one at a time and in order.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use tokio::time::Instant;
use tracing::{info, warn};

use super::objects::{ObjectError, Objects};
use super::outside::Outside;
use super::reconcile::Reconciler;
use crate::api::{SesMailFrom, SesMailFromStatus};
use crate::authority::{Grant, Place};
use crate::aws::Handed;
use crate::mail::{BehaviorOnMxFailure, ChangeBatch, MailFromDomain, Region};
use crate::plan::{Effect, Fault, WriteFault};
use crate::telemetry::Drift;

/// How far the effects of a plan came.
#[derive(Debug, Default)]
pub(super) struct Applied {
    /// What stopped them.
    pub stop: Option<Stop>,
    /// Whether anything was done.
    pub advanced: bool,
    /// Whether the object was written.
    pub written: bool,
    /// Of which places AWS was told anything.
    pub told: BTreeSet<Place>,
}

/// Why effects were not done to the end.
#[derive(Debug)]
pub(super) enum Stop {
    /// Another change at the next one's name must end first.
    Blocked,
    /// The next has no permit yet. The regions of all puts that have none.
    NoPermit(BTreeSet<Region>),
    /// One failed; the memory says which and why.
    Failed,
    /// The object was not written.
    Unwritten(ObjectError),
    /// They have taken long.
    Late,
}

impl From<ObjectError> for Stop {
    fn from(error: ObjectError) -> Self {
        Self::Unwritten(error)
    }
}

/// What an effect has done.
enum Done {
    Nothing,
    /// The object was written.
    Written,
    /// AWS was told of a place.
    Told(Place),
}

/// An effect, and the permit that a put needs once there is one.
enum Step<X: Outside> {
    AddFinalizer,
    RemoveFinalizer,
    LeaveInPlace(String),
    WriteStatus(Box<SesMailFromStatus>),
    Change(ChangeStep),
    Put(PutStep<X>),
}

pub(super) struct ChangeStep {
    pub(super) grant: Grant,
    pub(super) batch: ChangeBatch,
    /// Whether it mends drift.
    pub(super) repair: bool,
}

struct PutStep<X: Outside> {
    permit: Option<X::PutPermit>,
    grant: Grant,
    region: Region,
    mail_from: Option<MailFromDomain>,
    behavior: BehaviorOnMxFailure,
    repair: bool,
}

impl<X: Outside> From<Effect> for Step<X> {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::AddFinalizer => Self::AddFinalizer,
            Effect::RemoveFinalizer => Self::RemoveFinalizer,
            Effect::LeaveInPlace { what } => Self::LeaveInPlace(what),
            Effect::WriteStatus(status) => Self::WriteStatus(status),
            Effect::ChangeRecords { grant, batch, repair } => {
                Self::Change(ChangeStep { grant, batch, repair })
            }
            Effect::PutMailFrom { grant, region, mail_from, behavior, repair } => {
                Self::Put(PutStep { permit: None, grant, region, mail_from, behavior, repair })
            }
        }
    }
}

impl<O: Objects, X: Outside> Reconciler<O, X> {
    /// Runs effects until all are done or one is not, and begins none after `late` but
    /// the first, and one that has just been written ahead. Each write to the object
    /// rests on the reply to the one before.
    pub(super) async fn apply(
        &self,
        object: &Arc<SesMailFrom>,
        effects: Vec<Effect>,
        late: Instant,
    ) -> Applied {
        let mut object = Arc::clone(object);
        let mut steps: VecDeque<Step<X>> = effects.into_iter().map(Step::from).collect();
        let mut applied = Applied::default();
        // What a status that was just written says is done.
        let mut announced = false;
        while let Some(step) = steps.pop_front() {
            if applied.advanced && !announced && Instant::now() >= late {
                return Applied { stop: Some(Stop::Late), ..applied };
            }
            announced = matches!(step, Step::WriteStatus(_));
            match self.take(&mut object, step, steps.make_contiguous()).await {
                Ok(Done::Nothing) => continue,
                Ok(Done::Written) => applied.written = true,
                Ok(Done::Told(place)) => drop(applied.told.insert(place)),
                Err(stop) => return Applied { stop: Some(stop), ..applied },
            }
            applied.advanced = true;
        }
        applied
    }

    /// Takes a step; `next` are those behind it.
    async fn take(
        &self,
        object: &mut Arc<SesMailFrom>,
        step: Step<X>,
        next: &mut [Step<X>],
    ) -> Result<Done, Stop> {
        match step {
            Step::AddFinalizer => {
                *object = self.took(self.objects.add_finalizer(object).await?);
                info!("Added the finalizer");
            }
            Step::RemoveFinalizer => {
                *object = self.took(self.objects.remove_finalizer(object).await?);
                info!("Removed the finalizer");
            }
            Step::LeaveInPlace(what) => {
                *object = self.took(self.objects.remove_finalizer(object).await?);
                warn!(what, "Removed the finalizer and left what stands in place");
                self.metrics.left_in_place();
            }
            Step::WriteStatus(status) => {
                if !self.permits_until_next_status(next) {
                    return Err(Stop::NoPermit(self.without_permit(next)));
                }
                *object = self.took(self.objects.apply_status(object, &status).await?);
            }
            Step::Change(step) => {
                let place = step.grant.place().clone();
                return match self.hand_over(object, step) {
                    Handed::New => Ok(Done::Told(place)),
                    Handed::Already => Ok(Done::Nothing),
                    Handed::Refused => Err(Stop::Blocked),
                };
            }
            Step::Put(step) => {
                let place = step.grant.place().clone();
                self.put_mail_from(object, step, next).await?;
                return Ok(Done::Told(place));
            }
        }
        Ok(Done::Written)
    }

    fn took(&self, reply: SesMailFrom) -> Arc<SesMailFrom> {
        self.written(reply.clone());
        Arc::new(reply)
    }

    /// Obtains a permit for each put that the status about to be written
    /// announces. Where one is missing none is kept: status must not name the
    /// time of a put that then waits.
    fn permits_until_next_status(&self, steps: &mut [Step<X>]) -> bool {
        for step in steps {
            let obtained = match step {
                Step::AddFinalizer
                | Step::RemoveFinalizer
                | Step::LeaveInPlace(_)
                | Step::Change(_) => true,
                Step::WriteStatus(_) => return true,
                Step::Put(step) => step.obtain(&self.outside),
            };
            if !obtained {
                return false;
            }
        }
        true
    }

    /// The regions of puts for which there is no permit; it has been asked for. Where
    /// there is one it is kept for the next plan, which puts there first.
    fn without_permit(&self, steps: &[Step<X>]) -> BTreeSet<Region> {
        let without = |step: &Step<X>| match step {
            Step::Put(put) if !self.outside.reserve_put_permit(&put.grant, &put.region) => {
                Some(put.region.clone())
            }
            _ => None,
        };
        steps.iter().filter_map(without).collect()
    }

    async fn put_mail_from(
        &self,
        object: &SesMailFrom,
        mut step: PutStep<X>,
        next: &mut [Step<X>],
    ) -> Result<(), Stop> {
        step.obtain(&self.outside);
        let PutStep { permit, grant, region, mail_from, behavior, repair } = step;
        let Some(permit) = permit else {
            let mut regions = self.without_permit(next);
            regions.insert(region);
            return Err(Stop::NoPermit(regions));
        };
        let place = grant.place().clone();
        let put = self.outside.put_mail_from(permit, grant, &region, mail_from.as_ref(), behavior);
        self.settle(object, &place, repair, put.await)?;
        let behavior = behavior.as_str();
        if let Some(mail_from) = mail_from {
            info!(%region, %mail_from, behavior, repair, "Set the MAIL FROM domain");
        } else {
            info!(%region, repair, "Cleared the MAIL FROM domain");
        }
        if repair {
            self.metrics.drift_corrected(Drift::MailFrom);
        }
        Ok(())
    }

    /// Remembers how a write at a place ended.
    pub(super) fn settle<T>(
        &self,
        object: &SesMailFrom,
        place: &Place,
        repair: bool,
        written: Result<T, Fault>,
    ) -> Result<T, Stop> {
        let fault = match written {
            Ok(written) => {
                self.memories.amend(object, |memory| drop(memory.faults.remove(place)));
                return Ok(written);
            }
            Err(fault) => fault,
        };
        info!(%place, reason = fault.reason.as_str(), error = fault.message, "A write to AWS failed");
        let at = self.clock.now();
        self.memories.amend(object, |memory| {
            // The pause is for as long as it has failed in this way.
            let alike = |before: &&WriteFault| before.fault.transient == fault.transient;
            let before = memory.faults.get(place).filter(alike).map_or(0, |before| before.count);
            let count = before.saturating_add(1);
            memory.faults.insert(place.clone(), WriteFault { fault, at, count, repair });
        });
        Err(Stop::Failed)
    }
}

impl<X: Outside> PutStep<X> {
    fn obtain(&mut self, outside: &X) -> bool {
        if self.permit.is_none() {
            self.permit = outside.put_permit(&self.grant, &self.region);
        }
        self.permit.is_some()
    }
}
