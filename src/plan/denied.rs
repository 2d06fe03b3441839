//! What no policy allows, or allows no longer: nothing is asked of AWS for it,
//! nothing is written, and what stands is left as it is.

use super::conditions::Decided;
use super::desired::Desired;
use super::effect::{Effect, Notice, Plan};
use super::finding::Finding;
use super::inquiry::after;
use super::name_plan::NamePlan;
use super::regions::RegionPlan;
use super::remember;
use super::report::condition;
use super::scene::Scene;
use super::steps::said;
use super::world::World;
use crate::api::{ConditionType, HANDLED_MAX, RECONCILE_REQUESTED_AT, Reason, SesMailFromStatus};
use crate::authority::{Denial, Place};
use crate::mail::{MailFromDomain, Marker, Region};

/// How much of what is left in place an Event lists.
const LISTED: usize = 700;

/// The plan for an object that no policy allows what it asks for. One that is
/// being deleted goes once that has been so for `--authority-grace`: a policy
/// that is replaced, or removed by an uninstall in the wrong order, destroys
/// nothing and holds nothing up for ever.
pub(super) fn plan(
    world: &World<'_>,
    stored: &SesMailFromStatus,
    desired: &Desired,
    denial: &Denial,
) -> Plan {
    let mut memory = remember::begin(world);
    let since = world.memory.denied_since.unwrap_or(world.now);
    memory.denied_since = Some(since);
    memory.unreported = None;
    let lost = after(since, world.settings.authority_grace);
    if desired.deleting && world.now >= lost {
        let places = stored.regions.iter().map(|region| setting(&desired.domain, &region.name));
        let records = stored.records.iter().map(|r| format!("{} {}", r.name, r.rtype));
        let left: Vec<String> = places.chain(records).collect();
        return Plan { memory, ..leave(&left, &denial.to_string()) };
    }
    let finding = Finding::denied(denial);
    let message = if desired.deleting {
        format!(
            "{}; unless that changes, the object goes without cleaning up once --authority-grace is over",
            finding.sentence()
        )
    } else {
        finding.sentence()
    };
    let status = reported(world, stored, desired, &message);
    let known = condition(stored, ConditionType::Ready)
        .is_some_and(|ready| ready.reason == Reason::PolicyDenied.as_str());
    let reason = Reason::PolicyDenied.as_str();
    let notice = Notice { warning: true, reason, note: message.chars().take(1000).collect() };
    let differs = status != *stored;
    Plan {
        notices: if differs && !known { vec![notice] } else { Vec::new() },
        report: differs.then(|| Box::new(status)),
        wake: desired.deleting.then_some(lost),
        memory,
        reason: Some(Reason::PolicyDenied),
        ..Plan::default()
    }
}

/// The stored status, which keeps what stands, with the verdict over it.
fn reported(
    world: &World<'_>,
    stored: &SesMailFromStatus,
    desired: &Desired,
    message: &str,
) -> SesMailFromStatus {
    let said = |kind, status| said(world, stored, kind, status, (Reason::PolicyDenied, message));
    let kinds = ConditionType::ALL.into_iter().filter_map(|kind| match kind {
        ConditionType::Ready | ConditionType::Authorized => Some(said(kind, "False")),
        ConditionType::Stalled => Some(said(kind, "True")),
        ConditionType::Reconciling => None,
        _ => condition(stored, kind).cloned(),
    });
    let annotations = world.object.metadata.annotations.as_ref();
    let asked = annotations.and_then(|all| all.get(RECONCILE_REQUESTED_AT));
    let handled = asked.map(|text| text.chars().take(HANDLED_MAX).collect());
    SesMailFromStatus {
        observed_generation: desired.generation,
        conditions: kinds.collect(),
        mail_from_domain: Some(desired.shared.to_string()),
        last_handled_reconcile_at: handled.or_else(|| stored.last_handled_reconcile_at.clone()),
        ..stored.clone()
    }
}

/// Lets the object go although things of ours stand.
fn leave(left: &[String], why: &str) -> Plan {
    let mut list: String = left.join(", ").chars().take(LISTED).collect();
    if list.is_empty() {
        list = "nothing that status names".into();
    }
    let what = format!("{list}; {why}");
    let note = format!("left in place: {what}").chars().take(1000).collect();
    Plan {
        effects: vec![Effect::LeaveInPlace { what }],
        notices: vec![Notice { warning: true, reason: "LeftInPlace", note }],
        reason: Some(Reason::PolicyDenied),
        ..Plan::default()
    }
}

fn setting(domain: impl std::fmt::Display, region: &str) -> String {
    format!("the MAIL FROM setting of {domain} in {region}")
}

impl Scene<'_> {
    /// Enters what status records of places that no policy allows; they are
    /// kept in it until that has been so for `--authority-grace`.
    pub(super) fn keep_denied(&self, decided: &mut Decided) {
        for (place, denial) in &self.denied {
            if self.is_lost(place) {
                continue;
            }
            let finding = Finding::denied(denial);
            match place {
                Place::Region(region) => {
                    let Some(stored) = self.region_status(region) else { continue };
                    let plan = RegionPlan::resting(finding, stored.clone());
                    decided.regions.insert(region.clone(), plan);
                }
                Place::Name(name) => {
                    let records = self.stored_records(name);
                    if !records.is_empty() {
                        decided.names.insert(name.clone(), NamePlan::resting(finding, records));
                    }
                }
            }
        }
    }

    /// Whether a place has been denied for `--authority-grace`.
    pub(super) fn is_lost(&self, place: &Place) -> bool {
        let since = self.world.memory.denied.get(place).copied().unwrap_or(self.world.now);
        let lost = after(since, self.world.settings.authority_grace);
        if self.world.now < lost {
            self.inquiry.wake_at(lost);
        }
        self.world.now >= lost
    }

    /// A region that no policy allows and whose setting, as far as we know,
    /// names a name: its records must stay.
    pub(super) fn denied_holder(
        &self,
        name: &MailFromDomain,
        marker: &Marker,
    ) -> Option<(&Region, &Denial)> {
        self.denied.iter().find_map(|(place, denial)| {
            let Place::Region(region) = place else { return None };
            let status = self.region_status(region).and_then(|s| s.mail_from_domain.as_deref());
            let holds =
                marker.regions.contains_key(region.as_str()) || status == Some(name.as_str());
            holds.then_some((region, denial))
        })
    }

    /// Ends a deletion that leaves things where no policy lets us look.
    pub(super) fn leave_denied(&self) -> Option<Plan> {
        let left: Vec<String> = self
            .denied
            .keys()
            .map(|place| match place {
                Place::Region(region) => setting(&self.desired.domain, region.as_str()),
                Place::Name(name) => format!("the records of {name}"),
            })
            .collect();
        let why = self.denied.values().next()?.to_string();
        Some(leave(&left, &why))
    }

    /// Tells of what goes from status although it stands.
    pub(super) fn left_notice(&self, status: &SesMailFromStatus) -> Option<Notice> {
        let gone = |place: &&Place| match place {
            Place::Region(region) => {
                let named =
                    |s: &SesMailFromStatus| s.regions.iter().any(|r| r.name == region.as_str());
                named(self.stored) && !named(status)
            }
            Place::Name(name) => {
                let named =
                    |s: &SesMailFromStatus| s.records.iter().any(|r| r.name == name.as_str());
                named(self.stored) && !named(status)
            }
        };
        let left: Vec<String> = self.denied.keys().filter(gone).map(ToString::to_string).collect();
        let why = self.denied.values().next()?;
        let note = format!("left in place: {}; {why}", left.join(", "));
        let note = note.chars().take(1000).collect();
        (!left.is_empty()).then_some(Notice { warning: true, reason: "LeftInPlace", note })
    }
}
