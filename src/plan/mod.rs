//! The decisions, pure: a total function of the object, what was observed, what
//! is remembered, and now. It knows no client, no clock, no async.
//!
//! Read it in this order: [`plan`] here, `scene` (what is read), `names` (one
//! MAIL FROM domain), `regions` (one region), `watching` (what SES says of it),
//! `leaving` (what goes), `conditions` and `report` (what a person sees).

mod adoption;
mod beginning;
mod conditions;
mod denied;
mod desired;
mod dns;
mod drift;
mod effect;
mod failed;
mod finding;
mod inquiry;
mod leaving;
mod mirror;
mod name_plan;
mod names;
mod observe;
mod puts;
mod recorded;
mod records;
mod regions;
mod remember;
mod report;
mod scene;
mod spf;
mod steps;
mod survey;
mod wanted;
mod watching;
mod window;
mod world;
mod zone;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use desired::Places;
pub use effect::{Effect, Notice, Plan};
pub use world::{
    Answer, Digest, Facts, Fault, Handed, Memory, Question, Remembered, Said, Settings, Unreported,
    Upkeep, Value, World, WriteFault,
};

use self::conditions::Decided;
use self::desired::Desired;
use self::finding::Finding;
use self::inquiry::{Asked, Inquiry};
use self::scene::Scene;
use crate::api::{DeletionPolicy, FINALIZER, Mode, Reason, SesMailFromStatus};

/// Decides what to ask, to do and to report.
pub fn plan(world: &World<'_>) -> Plan {
    let object = world.object;
    let finalizers = object.metadata.finalizers.as_deref().unwrap_or_default();
    let held = finalizers.iter().any(|finalizer| finalizer == FINALIZER);
    let deleting = object.metadata.deletion_timestamp.is_some();
    if deleting && !held {
        return Plan { memory: world.memory.clone(), ..Plan::default() };
    }
    if deleting && object.spec.mode != Mode::Manage {
        return steps::release(world, "nothing was touched: mode is not Manage");
    }
    if deleting && object.spec.deletion_policy == DeletionPolicy::Retain {
        return steps::release(world, "nothing was touched: deletionPolicy is Retain");
    }
    let stored = object.status.as_ref().map_or_else(
        || Cow::Owned(SesMailFromStatus { observed_generation: -1, ..Default::default() }),
        Cow::Borrowed,
    );
    if object.spec.mode == Mode::Suspend {
        return steps::suspend(world, &stored);
    }
    let desired = match Desired::of(object, &world.settings.regions) {
        Ok(desired) => desired,
        Err(_) if deleting => return steps::release(world, "nothing was ever done for it"),
        Err(error) => return steps::refuse(world, &stored, &error.to_string()),
    };
    if let Err(denial) = world.standing.authorized() {
        return denied::plan(world, &stored, &desired, &denial);
    }
    let memory = remember::begin(world);
    let fresh_from = memory.fresh_from.unwrap_or(jiff::Timestamp::MIN);
    let inquiry = Inquiry::new(world, fresh_from);
    let scene = Scene::read(world, &inquiry, desired, &stored);
    let decided = decide(&scene);
    let resync = scene.resync();
    let steps = steps::steps(&scene, decided, memory, held);
    let Asked { questions, watch, wake } = inquiry.finish();
    // What is not as it should be is looked at every resync, whatever is watched.
    let settled = steps.reason == Some(Reason::Succeeded);
    let look = (!settled).then(|| inquiry::after(world.now, resync));
    let wake = [wake, steps.wake, look].into_iter().flatten().min();
    Plan { questions, watch, wake, ..steps }
}

/// Every place, each by its own rules: refusals are per region and per name.
fn decide(scene: &Scene<'_>) -> Decided {
    let mut decided = Decided::default();
    for (name, group) in &scene.desired.names {
        decided.names.insert(name.clone(), scene.wanted_name(name, group));
    }
    for region in scene.desired.regions.keys() {
        let plan = scene.wanted_region(region, &decided.names);
        decided.regions.insert(region.clone(), plan);
    }
    for region in scene.regions.keys().filter(|r| !scene.desired.regions.contains_key(r)) {
        if let Some(plan) = scene.leaving_region(region) {
            decided.regions.insert(region.clone(), plan);
        }
    }
    for name in scene.names.keys().filter(|name| !scene.desired.names.contains_key(name)) {
        if let Some(plan) = scene.leaving_name(name) {
            decided.names.insert(name.clone(), plan);
        }
    }
    scene.keep_denied(&mut decided);
    let refused = scene.desired.unusable.values();
    decided.unusable.extend(refused.map(|why| Finding::new(Reason::InvalidSpec, why)));
    decided
}
