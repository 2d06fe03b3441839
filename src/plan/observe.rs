//! Mode Observe: what Manage would do, said instead of done.

use super::conditions::Decided;
use super::finding::Finding;
use super::name_plan::NamePlan;
use super::puts::Intent;
use super::records::{Conflict, Difference, Wanted, quoted};
use super::regions::RegionPlan;
use super::scene::Scene;
use super::survey::Surveyed;
use crate::api::{Reason, RecordStatus, RegionStatus};
use crate::mail::{Change, MailFromDomain, RecordSet, RecordType};

impl Scene<'_> {
    /// A name at which nothing is published: what stands is right where only
    /// the marker is missing.
    pub(super) fn observed_name(
        &self,
        draft: NamePlan,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        difference: &Difference,
        conflict: Option<&Conflict>,
    ) -> NamePlan {
        let would = told(&difference.changes);
        let draft = NamePlan { would, ..draft };
        if let Some(conflict) = conflict {
            return draft.found(Reason::RecordConflict, &*conflict.message);
        }
        let changes_mx = difference.changes.iter().any(|change| {
            let (Change::Create(set) | Change::Delete(set)) = change;
            set.rtype == RecordType::Mx
        });
        if changes_mx || !difference.moved.is_empty() {
            let text = format!("the records of {} are not as the spec wants them", wanted.name);
            return draft.found(Reason::ChangesNeeded, text);
        }
        let records = draft.records.clone();
        self.await_dns(draft, surveyed, wanted, records)
    }

    /// A name whose records Manage would take away.
    pub(super) fn observed_removal(
        name: &MailFromDomain,
        changes: &[Change],
        records: Vec<RecordStatus>,
    ) -> NamePlan {
        let text = format!("the records of {name} are wanted no longer");
        let finding = Finding::new(Reason::ChangesNeeded, text);
        NamePlan { would: told(changes), ..NamePlan::resting(finding, records) }
    }

    /// A put that Manage would make.
    pub(super) fn observed_put(intent: Intent, status: RegionStatus) -> RegionPlan {
        let behavior = intent.behavior.as_str();
        let Finding { message, .. } = intent.finding;
        let would = match intent.mail_from {
            Some(_) => format!("{message} ({behavior})"),
            None => message.clone(),
        };
        let text = format!("SES does not hold what the spec wants: {message}");
        let plan = RegionPlan::resting(Finding::new(Reason::ChangesNeeded, text), status);
        RegionPlan { would: Some(would), ..plan }
    }

    /// What Manage would do, line by line, below what is said of Ready.
    pub(super) fn with_changes(&self, said: String, decided: &Decided) -> String {
        let names = decided.names.values().flat_map(|plan| &plan.would);
        let regions = decided.regions.values().filter_map(|plan| plan.would.as_ref());
        let lines: Vec<&String> = names.chain(regions).collect();
        if !self.desired.observes() || lines.is_empty() {
            return said;
        }
        lines.iter().fold(format!("{said}\nManage would begin with:"), |mut text, line| {
            text.push_str("\n- ");
            text.push_str(line);
            text
        })
    }
}

/// A batch as a person reads it: a DELETE and CREATE of one type are one change.
fn told(changes: &[Change]) -> Vec<String> {
    let deleted = |new: &RecordSet| {
        changes.iter().find_map(|change| match change {
            Change::Delete(old) if (&old.name, &old.rtype) == (&new.name, &new.rtype) => Some(old),
            _ => None,
        })
    };
    let created = |old: &RecordSet| {
        changes.iter().any(|change| match change {
            Change::Create(new) => (&new.name, &new.rtype) == (&old.name, &old.rtype),
            Change::Delete(_) => false,
        })
    };
    let line = |change: &Change| match change {
        Change::Create(new) => match deleted(new) {
            Some(old) => Some(difference(old, new)),
            None => Some(format!("publishing {} {}: {}", new.name, new.rtype, plain(&new.values))),
        },
        Change::Delete(old) if created(old) => None,
        Change::Delete(old) => {
            Some(format!("deleting {} {}: {}", old.name, old.rtype, plain(&old.values)))
        }
    };
    changes.iter().filter_map(line).collect()
}

fn difference(old: &RecordSet, new: &RecordSet) -> String {
    let only_in = |one: &RecordSet, other: &RecordSet| -> Vec<String> {
        one.values.iter().filter(|value| !other.values.contains(value)).cloned().collect()
    };
    let (gone, come) = (only_in(old, new), only_in(new, old));
    let mut parts = Vec::new();
    if !gone.is_empty() {
        parts.push(format!("taking out {}", plain(&gone)));
    }
    if !come.is_empty() {
        parts.push(format!("putting in {}", plain(&come)));
    }
    if old.ttl != new.ttl {
        parts.push(format!("TTL {} instead of {}", new.ttl, old.ttl));
    }
    format!("changing {} {}: {}", new.name, new.rtype, parts.join(", "))
}

/// TXT values carry quotes of their own.
fn plain(values: &[String]) -> String {
    quoted(values).replace("\"\"", "\"")
}
