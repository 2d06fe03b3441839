//! What one plan hands to the next.

use std::collections::BTreeSet;

use super::conditions::Decided;
use super::dns::DnsVerdict;
use super::name_plan::Stance;
use super::scene::Scene;
use super::world::{Memory, Remembered, World};
use crate::api::{RECONCILE_REQUESTED_AT, Reason, RecordState, RecordStatus};
use crate::authority::Place;
use crate::mail::{DomainName, MailFromDomain, MailFromStatus};

/// The memory as this plan begins: a new generation or a requested reconcile
/// wants answers of its own.
pub(super) fn begin(world: &World<'_>) -> Memory {
    let mut memory = world.memory.clone();
    let first = memory.started.is_none();
    memory.started.get_or_insert(world.now);
    memory.denied_since = None;
    let metadata = &world.object.metadata;
    let requested = metadata.annotations.as_ref().and_then(|all| all.get(RECONCILE_REQUESTED_AT));
    let now_for = (metadata.generation.unwrap_or(0), requested.cloned());
    if memory.fresh_for != now_for {
        memory.fresh_for = now_for;
        // Of one that was there when the process started, all that the process
        // knows is fresh: ten thousand of them share what is read.
        let there = first && !world.standing.is_urgent();
        memory.fresh_from = (!there).then_some(world.now);
        memory.faults.clear();
    }
    memory
}

impl Scene<'_> {
    /// The memory as this plan leaves it.
    pub(super) fn remember(&self, decided: &Decided, mut memory: Memory) -> Memory {
        memory.findings = decided
            .findings()
            .into_iter()
            .filter_map(|(place, finding)| Some((place?, finding)))
            .filter_map(|(place, finding)| {
                let old = self.world.memory.findings.get(&place);
                let read = was_read(decided, &place);
                if !read && old.is_none() {
                    return None;
                }
                let same = old.filter(|old| old.reason == finding.reason);
                let remembered = Remembered {
                    reason: if read { finding.reason } else { old?.reason },
                    message: if read { finding.message.clone() } else { old?.message.clone() },
                    first: if read {
                        same.map_or(self.world.now, |old| old.first)
                    } else {
                        old?.first
                    },
                    last: if read { self.world.now } else { old?.last },
                };
                Some((place, remembered))
            })
            .collect();
        memory.denied = self
            .denied
            .keys()
            .map(|place| {
                let before = self.world.memory.denied.get(place);
                (place.clone(), before.copied().unwrap_or(self.world.now))
            })
            .collect();
        // A status that does not speak of this generation yet is going to be all
        // our own: no place has to be read first to speak of the others.
        memory.observed |= self.stored.observed_generation != self.desired.generation;
        memory.observed |= decided.is_read();
        self.remember_names(decided, &mut memory);
        // What failed in the others was done all the same, or is not wanted any more.
        memory.faults.retain(|place, _| match place {
            Place::Region(region) => decided.regions.get(region).is_some_and(|plan| !plan.right),
            Place::Name(_) => true,
        });
        memory
    }

    /// The names that could not be read. What was decided for an older spec does
    /// not outlive it.
    pub(super) fn undecided(&self, decided: &Decided, memory: &Memory) -> BTreeSet<DomainName> {
        if memory.fresh_for != self.world.memory.fresh_for {
            return BTreeSet::new();
        }
        let unread = decided.names.iter().filter(|(_, plan)| !plan.is_read());
        unread.map(|(name, _)| name.name().clone()).collect()
    }

    /// Whether the stored status says of a record that it is published.
    fn is_told(&self, name: &MailFromDomain, record: &RecordStatus) -> bool {
        let stored = self.record_status(name, &record.rtype);
        stored.is_some_and(|stored| {
            stored.state == RecordState::Published && stored.values == record.values
        })
    }

    fn remember_names(&self, decided: &Decided, memory: &mut Memory) {
        for (name, plan) in &decided.names {
            if plan.stance == Stance::Idle {
                let said = (plan.finding.reason, plan.finding.message.clone());
                memory.idle.insert(name.name().clone(), said);
            } else if plan.is_read() {
                memory.idle.remove(name.name());
            }
            let seen = plan.records.iter().all(|r| r.state == RecordState::Published);
            let told = plan.records.iter().all(|r| self.is_told(name, r));
            if plan.is_read() && seen && !told {
                memory.seen.insert(name.name().clone(), plan.records.clone());
            } else if plan.is_read() {
                memory.seen.remove(name.name());
            }
            if plan.is_read() && seen && plan.change.is_none() {
                memory.changes.remove(name.name());
            }
            if plan.right {
                // What failed there was done all the same, or by somebody else.
                memory.faults.remove(&Place::Name(name.clone()));
            }
            let troubled = self.desired.names.get(name).into_iter().flatten().any(|region| {
                let status = decided.regions.get(region).and_then(|plan| plan.status.as_ref());
                status.is_some_and(|status| status.mail_from_status == MailFromStatus::Failed)
            });
            match plan.dns {
                DnsVerdict::Wrong(_) => {
                    memory.dns_wrong.insert(name.name().clone());
                }
                _ if !troubled && plan.is_read() => {
                    memory.dns_wrong.remove(name.name());
                }
                _ => {}
            }
        }
    }
}

impl Decided {
    /// Whether every place was read well.
    pub(super) fn is_read(&self) -> bool {
        let mut findings = self.findings().into_iter();
        findings.all(|(place, _)| place.is_none_or(|place| was_read(self, &place)))
    }
}

fn was_read(decided: &Decided, place: &Place) -> bool {
    match place {
        Place::Region(region) => decided.regions.get(region).is_some_and(|plan| plan.read),
        Place::Name(name) => decided
            .names
            .get(name)
            .is_some_and(|plan| plan.is_read() && plan.finding.reason != Reason::Observing),
    }
}
