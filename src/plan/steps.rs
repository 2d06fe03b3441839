//! From what was decided to what is done, one effect after another.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::conditions::Decided;
use super::effect::{Effect, Notice, Plan};
use super::inquiry::after;
use super::name_plan::NameChange;
use super::puts::Put;
use super::report::condition;
use super::scene::Scene;
use super::world::{Memory, Unreported, World};
use crate::api::{
    ConditionType, Reason, RecordState, RecordStatus, RegionStatus, SesMailFromStatus,
};
use crate::authority::Place;
use crate::compact::Compact;
use crate::mail::{MailFromDomain, RecordType, Region};

/// Lets the object go without touching anything.
pub(super) fn release(world: &World<'_>, why: &str) -> Plan {
    Plan {
        effects: vec![Effect::RemoveFinalizer],
        notices: vec![Notice { warning: false, reason: "Released", note: why.to_owned() }],
        memory: world.memory.clone(),
        reason: Some(Reason::Deleting),
        ..Plan::default()
    }
}

/// Reports a spec that the CRD's own rules should have refused.
pub(super) fn refuse(world: &World<'_>, stored: &SesMailFromStatus, why: &str) -> Plan {
    let said = |kind, status| said(world, stored, kind, status, (Reason::InvalidSpec, why));
    let conditions =
        vec![said(ConditionType::Ready, "False"), said(ConditionType::Stalled, "True")];
    report_alone(world, stored, conditions, Reason::InvalidSpec)
}

/// Says once that nothing is looked at; what was said before stands.
pub(super) fn suspend(world: &World<'_>, stored: &SesMailFromStatus) -> Plan {
    const KINDS: [ConditionType; 3] =
        [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled];
    let why = "mode is Suspend: nothing is read or changed";
    let ready = said(world, stored, ConditionType::Ready, "Unknown", (Reason::Suspended, why));
    let others = stored.conditions.iter();
    let others = others.filter(|old| KINDS.iter().all(|kind| kind.as_str() != old.type_));
    let conditions = [ready].into_iter().chain(others.cloned()).collect();
    let mut plan = report_alone(world, stored, conditions, Reason::Suspended);
    let reason = Reason::Suspended.as_str();
    if condition(stored, ConditionType::Ready).is_none_or(|old| old.reason != reason) {
        plan.notices.push(Notice { warning: false, reason, note: why.to_owned() });
    }
    plan
}

/// A condition that does not come of looking.
pub(super) fn said(
    world: &World<'_>,
    stored: &SesMailFromStatus,
    kind: ConditionType,
    status: &str,
    (reason, why): (Reason, &str),
) -> Condition {
    let old = condition(stored, kind).filter(|old| old.status == status);
    let now = || Time(super::drift::whole_seconds(world.now));
    Condition {
        type_: kind.as_str().to_owned(),
        status: status.to_owned(),
        reason: reason.as_str().to_owned(),
        message: why.to_owned(),
        observed_generation: world.object.metadata.generation,
        last_transition_time: old.map_or_else(now, |old| old.last_transition_time.clone()),
    }
}

fn report_alone(
    world: &World<'_>,
    stored: &SesMailFromStatus,
    conditions: Vec<Condition>,
    reason: Reason,
) -> Plan {
    let observed_generation = world.object.metadata.generation.unwrap_or(0);
    let report = SesMailFromStatus { observed_generation, conditions, ..stored.clone() };
    Plan {
        report: (report != *stored).then(|| Box::new(report)),
        memory: world.memory.clone(),
        reason: Some(reason),
        ..Plan::default()
    }
}

/// The effects of what was decided; where there are none, the report.
pub(super) fn steps(scene: &Scene<'_>, mut decided: Decided, memory: Memory, held: bool) -> Plan {
    let status = scene.report(&decided);
    let mut memory = scene.remember(&decided, memory);
    let ready = condition(&status, ConditionType::Ready);
    let reason = ready.and_then(|c| Reason::ALL.iter().find(|r| r.as_str() == c.reason)).copied();
    if scene.desired.observes() {
        let mut plan = Plan { reason, ..Plan::default() };
        plan.memory = settle(scene, status, memory, decided.is_read(), &mut plan);
        return plan;
    }
    if !held {
        return Plan { effects: vec![Effect::AddFinalizer], memory, reason, ..Plan::default() };
    }
    let nothing_left = decided.regions.is_empty() && decided.names.is_empty();
    if scene.desired.deleting && nothing_left {
        if let Some(plan) = scene.leave_denied() {
            return Plan { memory, ..plan };
        }
        let done = "SES is cleared; the records were treated by deletionPolicy";
        let plan = release(scene.world, done);
        return Plan { memory, ..plan };
    }
    let draft = Cow::Borrowed(&status);
    let mut effects = Effects { scene, draft, names_a_place: false, plan: Plan::default() };
    let changes = decided.names.iter_mut();
    for (name, change) in changes.filter_map(|(name, plan)| Some((name, plan.change.take()?))) {
        effects.change(name, change);
    }
    let puts = decided.regions.iter_mut();
    let mut puts: Vec<(&Region, Put)> =
        puts.filter_map(|(region, plan)| Some((region, plan.put.take()?))).collect();
    puts.sort_by_key(|(region, _)| scene.world.facts.no_permit.contains(region));
    for (region, put) in puts {
        effects.put(region, put);
    }
    let Effects { names_a_place, mut plan, .. } = effects;
    plan.undecided = scene.undecided(&decided, &memory);
    if plan.effects.is_empty() {
        let read = decided.is_read();
        memory = settle(scene, status, memory, read, &mut plan);
    } else {
        // Shown if the effects have to wait for quota. What names a place stands
        // then for the write ahead of it.
        if plan.effects.iter().any(|effect| matches!(effect, Effect::WriteStatus(_))) {
            plan.notices.extend(scene.published_notice(&status));
        }
        let differs = status != *scene.stored && may_report(scene, &memory);
        if differs && (names_a_place || lasts(scene, &status, &mut memory, &mut plan)) {
            plan.report = Some(Box::new(status));
        }
    }
    Plan { memory, reason, ..plan }
}

/// Reports, now or once it has lasted.
fn settle(
    scene: &Scene<'_>,
    status: SesMailFromStatus,
    mut memory: Memory,
    read: bool,
    plan: &mut Plan,
) -> Memory {
    if status == *scene.stored || !may_report(scene, &memory) {
        // Of what is being read anew, the plan repeats what stands.
        if read {
            memory.unreported = None;
        }
        return memory;
    }
    if lasts(scene, &status, &mut memory, plan) {
        plan.notices = scene.transitions(&status);
        plan.report = Some(Box::new(status));
    }
    memory
}

/// Whether a status that differs from the stored one is written now; else it is
/// remembered, and looked at again when it is due.
fn lasts(
    scene: &Scene<'_>,
    status: &SesMailFromStatus,
    memory: &mut Memory,
    plan: &mut Plan,
) -> bool {
    let now = scene.world.now;
    let over = scene.stored_digest();
    let before = memory.unreported.take().filter(|unreported| unreported.over == over);
    let since = before.map_or(now, |unreported| unreported.since);
    let due = after(since, scene.progress_delay(status));
    if scene.is_urgent(status) || now >= due {
        return true;
    }
    plan.wake = Some(due);
    memory.unreported = Some(Unreported { since, over, status: Compact::of(status) });
    false
}

/// Until everything was observed once since the process started, a status that
/// speaks of this generation stays as it was.
fn may_report(scene: &Scene<'_>, memory: &Memory) -> bool {
    let speaks = scene.stored.observed_generation == scene.desired.generation;
    let stale = memory.started.is_some_and(|started| {
        super::scene::elapsed(started, scene.world.now) > scene.world.settings.stale_after
    });
    memory.observed || stale || !speaks
}

/// Builds the effects, each write behind the status that names its place.
struct Effects<'s, 'a> {
    scene: &'s Scene<'a>,
    /// The status as it will stand once the effects so far are done.
    draft: Cow<'s, SesMailFromStatus>,
    /// Whether records are written where status names none yet.
    names_a_place: bool,
    plan: Plan,
}

impl Effects<'_, '_> {
    fn change(&mut self, name: &MailFromDomain, change: NameChange) {
        let zone = change.batch.zone.as_str();
        let stored = self.scene.stored;
        let named =
            stored.records.iter().any(|record| record.name == name.as_str() && record.zone == zone)
                && stored.zones.iter().any(|known| known.id == zone);
        let removing = !self.scene.desired.names.contains_key(name);
        let handed = self.scene.is_handed(name, &change.batch.changes);
        let again = self.scene.is_repaired_again(name, &change.batch.changes, &change.moved);
        let counts = !change.repaired.is_empty() && !again;
        self.names_a_place |= !removing && !named;
        if !removing && (!named || counts) {
            for known in self.draft.to_mut().zones.iter_mut().filter(|known| known.id == zone) {
                known.change_id = None;
            }
            if counts {
                self.count_repairs(name, &change);
            }
            self.write_ahead();
        }
        if !handed {
            self.announce_change(name, &change);
        }
        let NameChange { grant, batch, repaired, .. } = change;
        let repair = !repaired.is_empty();
        self.plan.effects.push(Effect::ChangeRecords { grant, batch, repair });
    }

    fn announce_change(&mut self, name: &MailFromDomain, change: &NameChange) {
        if !change.adopted.is_empty() {
            let what = change.adopted.join(", ");
            let note = format!("adopted as found, never to be deleted, at {name}: {what}");
            let notice = Notice { warning: false, reason: "Adopted", note };
            self.announce(Place::Name(name.clone()), notice);
        }
        if !change.repaired.is_empty() {
            let types: Vec<String> = change.repaired.iter().map(ToString::to_string).collect();
            let note = format!(
                "the {} at {name} had been changed or removed; publishing it again",
                types.join(" and ")
            );
            let notice = Notice { warning: true, reason: "DriftRepaired", note };
            self.announce(Place::Name(name.clone()), notice);
        }
    }

    fn announce(&mut self, place: Place, notice: Notice) {
        self.plan.announcements.entry(place).or_default().push(notice);
    }

    fn count_repairs(&mut self, name: &MailFromDomain, change: &NameChange) {
        let is = |types: &[RecordType], record: &RecordStatus| {
            types.iter().any(|rtype| rtype.as_str() == record.rtype)
        };
        for record in self.draft.to_mut().records.iter_mut().filter(|r| r.name == name.as_str()) {
            if !is(&change.repaired, record) {
                continue;
            }
            record.repair_times = self.scene.with_repair(&record.repair_times);
            if is(&change.moved, record) {
                record.state = RecordState::Planned;
                record.since = Some(self.scene.now());
            }
        }
    }

    fn put(&mut self, region: &Region, put: Put) {
        let Put { grant, mail_from, behavior, ahead, repairs } = put;
        self.enter(ahead);
        self.write_ahead();
        let repair = repairs.is_some();
        if let Some(what) = repairs {
            let note = format!("{what} by somebody else; putting it back");
            let notice = Notice { warning: true, reason: "DriftRepaired", note };
            self.announce(Place::Region(region.clone()), notice);
        }
        let region = region.clone();
        let effect = Effect::PutMailFrom { grant, region, mail_from, behavior, repair };
        self.plan.effects.push(effect);
    }

    fn enter(&mut self, ahead: RegionStatus) {
        let regions = &mut self.draft.to_mut().regions;
        match regions.iter_mut().find(|status| status.name == ahead.name) {
            Some(status) => *status = ahead,
            None => regions.push(ahead),
        }
    }

    fn write_ahead(&mut self) {
        let status = Box::new(self.draft.clone().into_owned());
        self.plan.effects.push(Effect::WriteStatus(status));
    }
}
