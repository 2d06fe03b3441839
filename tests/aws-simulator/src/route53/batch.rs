//! Change batches: all or nothing, with Route 53's own words for what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use super::Zone;
use crate::{
    iam::Question,
    name::Name,
    record::{RecordKey, RecordSet, RecordType, value_fault},
};

/// What a change of a batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Create,
    Delete,
    Upsert,
}

/// A change batch as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) comment: Option<String>,
    changes: Vec<(Action, RecordSet)>,
}

/// One step that a zone takes.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Set(RecordSet),
    Remove(RecordKey),
}

impl Edit {
    pub(crate) fn key(&self) -> RecordKey {
        match self {
            Self::Set(set) => set.key(),
            Self::Remove(key) => key.clone(),
        }
    }
}

impl Batch {
    pub(super) fn new(comment: Option<String>, changes: Vec<(Action, RecordSet)>) -> Self {
        Self { comment, changes }
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = String> {
        self.changes.iter().map(|(_, set)| format!("{} {}", set.name.plain(), set.kind))
    }

    /// "Using IAM policy conditions for fine-grained access control to manage
    /// resource record sets": names in lower case, with octal escapes and
    /// without a final dot.
    pub(super) fn describe_to_iam(&self, question: Question) -> Question {
        let normalized = |name: &Name| {
            let shown = name.to_string();
            shown.strip_suffix('.').unwrap_or(&shown).to_owned()
        };
        let of = |key: &str| format!("route53:ChangeResourceRecordSets{key}");
        let changes = || self.changes.iter();
        question
            .with(&of("NormalizedRecordNames"), changes().map(|(_, set)| normalized(&set.name)))
            .with(&of("RecordTypes"), changes().map(|(_, set)| set.kind.as_str()))
            .with(&of("Actions"), changes().map(|(action, _)| format!("{action:?}").to_uppercase()))
    }

    pub(super) fn summary(&self) -> String {
        let changes: Vec<String> = self
            .changes
            .iter()
            .map(|(action, set)| {
                format!("{action:?} {} {} {:?}", set.name.plain(), set.kind, set.values)
            })
            .collect();
        changes.join("; ")
    }

    /// What the zone would do, or every fault of the batch.
    pub(super) fn check(&self, zone: &Zone, most: usize) -> Result<Vec<Edit>, Vec<String>> {
        let faults = self.size_faults();
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut trial =
            Trial { zone, overlay: BTreeMap::new(), seen: BTreeMap::new(), faults: Vec::new() };
        for (action, set) in &self.changes {
            trial.take(*action, set);
        }
        trial.check_end_state(most);
        if trial.faults.is_empty() { Ok(trial.into_edits()) } else { Err(trial.faults) }
    }

    /// 1,000 records and 32,000 value characters a batch, UPSERT counted twice.
    fn size_faults(&self) -> Vec<String> {
        let (mut records, mut characters) = (0, 0);
        for (action, set) in &self.changes {
            let weight = if *action == Action::Upsert { 2 } else { 1 };
            records += weight * set.values.len().max(1);
            characters +=
                weight * set.values.iter().map(|value| value.chars().count()).sum::<usize>();
        }
        let mut faults = Vec::new();
        if records > 1_000 {
            faults.push("Number of records limit of 1000 exceeded.".to_owned());
        }
        if characters > 32_000 {
            faults.push("RDATA character limit of 32000 exceeded.".to_owned());
        }
        faults
    }
}

/// A batch tried out on a zone that stays as it is.
struct Trial<'a> {
    zone: &'a Zone,
    overlay: BTreeMap<RecordKey, Option<RecordSet>>,
    seen: BTreeMap<RecordKey, Vec<Action>>,
    faults: Vec<String>,
}

impl Trial<'_> {
    fn current(&self, key: &RecordKey) -> Option<&RecordSet> {
        match self.overlay.get(key) {
            Some(changed) => changed.as_ref(),
            None => self.zone.records.get(key),
        }
    }

    fn take(&mut self, action: Action, set: &RecordSet) {
        let (key, before) = (set.key(), self.faults.len());
        if !set.name.is_within(&self.zone.name) {
            let fault = format!(
                "RRSet with DNS name {} is not permitted in zone {}",
                set.name, self.zone.name
            );
            return self.faults.push(fault);
        }
        let seen = self.seen.entry(key.clone()).or_default();
        seen.push(action);
        if !matches!(seen.as_slice(), [_] | [Action::Delete, Action::Create]) {
            let fault = format!(
                "The request contains an invalid set of changes for a resource record set '{} {}'",
                set.kind, set.name
            );
            return self.faults.push(fault);
        }
        match action {
            Action::Delete => self.delete(&key, set),
            Action::Create if self.current(&key).is_some() => {
                self.faults.push(format!(
                    "Tried to create resource record set {} but it already exists",
                    shown(set)
                ));
            }
            Action::Create | Action::Upsert => self.faults.extend(value_faults(set)),
        }
        if self.faults.len() == before {
            self.overlay.insert(key, (action != Action::Delete).then(|| set.clone()));
        }
    }

    fn delete(&mut self, key: &RecordKey, set: &RecordSet) {
        let why = match self.current(key) {
            None => "it was not found",
            Some(current) if !current.same_values(set) => {
                "the values provided do not match the current values"
            }
            Some(_) => return,
        };
        self.faults.push(format!("Tried to delete resource record set {} but {why}", shown(set)));
    }

    /// Rules on what may stand beside what, on the state after the batch.
    fn check_end_state(&mut self, most: usize) {
        if !self.faults.is_empty() {
            return;
        }
        let mut faults = Vec::new();
        for set in self.overlay.values().flatten() {
            faults.extend(self.neighbour_fault(set));
        }
        for (kind, rule) in [
            (RecordType::SOA, "A HostedZone must contain exactly one SOA record."),
            (
                RecordType::NS,
                "A HostedZone must contain at least one NS record for the zone itself.",
            ),
        ] {
            if self.current(&(self.zone.name.clone(), kind, None)).is_none() {
                faults.push(rule.to_owned());
            }
        }
        let added = self.overlay.values().filter(|set| set.is_some()).count();
        let replaced =
            self.overlay.keys().filter(|key| self.zone.records.contains_key(*key)).count();
        if added > replaced && self.zone.records.len() - replaced + added > most {
            faults.push(format!("Exceeded limit MAX_RRSETS_BY_ZONE for zone: {}", self.zone.id));
        }
        self.faults = faults;
    }

    /// What stands at the name of this record set and must not.
    fn neighbour_fault(&self, set: &RecordSet) -> Option<String> {
        if set.kind == RecordType::CNAME && set.name == self.zone.name {
            return Some(format!(
                "RRSet of type CNAME with DNS name {} is not permitted at apex in zone {}",
                set.name, self.zone.name
            ));
        }
        for other in self.at(&set.name).filter(|other| other.key() != set.key()) {
            if other.kind == set.kind {
                if let Some(fault) = routing_fault(set, other) {
                    return Some(fault);
                }
            } else if set.kind == RecordType::CNAME {
                return Some(format!(
                    "RRSet of type CNAME with DNS name {} is not permitted as it conflicts with other records with \
                     the same DNS name in zone {}",
                    set.name, self.zone.name
                ));
            } else if other.kind == RecordType::CNAME {
                return Some(format!(
                    "RRSet of type {} with DNS name {} is not permitted because a conflicting RRSet of type  CNAME \
                     with the same DNS name already exists in zone {}",
                    set.kind, set.name, self.zone.name
                ));
            }
        }
        None
    }

    /// The record sets at a name after the batch.
    fn at<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a RecordSet> {
        let first = (name.clone(), RecordType::A, None);
        let standing =
            self.zone.records.range(first.clone()..).take_while(move |(key, _)| key.0 == *name);
        let changed = self.overlay.range(first..).take_while(move |(key, _)| key.0 == *name);
        let keys: BTreeSet<&RecordKey> =
            standing.map(|(key, _)| key).chain(changed.map(|(key, _)| key)).collect();
        keys.into_iter().filter_map(|key| self.current(key))
    }

    fn into_edits(self) -> Vec<Edit> {
        self.overlay
            .into_iter()
            .map(|(key, set)| set.map_or(Edit::Remove(key), Edit::Set))
            .collect()
    }
}

fn shown(set: &RecordSet) -> String {
    let identifier = set.routing.as_ref().map_or_else(String::new, |routing| {
        format!(", set-identifier='{}'", routing.set_identifier)
    });
    format!("[name='{}', type='{}'{identifier}]", set.name, set.kind)
}

fn value_faults(set: &RecordSet) -> Vec<String> {
    let mut faults: Vec<String> =
        set.values.iter().filter_map(|value| value_fault(set.kind, value)).collect();
    let mut unique = BTreeSet::new();
    for value in &set.values {
        if !unique.insert(value) {
            faults.push(format!("Duplicate Resource Record: '{value}'"));
        }
    }
    if matches!(set.kind, RecordType::CNAME | RecordType::SOA) && set.values.len() > 1 {
        faults.push(format!(
            "RRSet of type {} with DNS name {} must have exactly one value",
            set.kind, set.name
        ));
    }
    faults
}

/// A simple record set cannot stand beside routed ones of its name and type.
fn routing_fault(set: &RecordSet, other: &RecordSet) -> Option<String> {
    match (&set.routing, &other.routing) {
        (None, Some(_)) => Some(format!(
            "RRSet with DNS name {}, type {} cannot be created as other RRSets exist with the same name and type.",
            set.name, set.kind
        )),
        (Some(routing), None) => Some(format!(
            "RRSet with DNS name {}, type {}, SetIdentifier {} cannot be created as a non-{} set exists with the \
             same name and type.",
            set.name,
            set.kind,
            routing.set_identifier,
            policy(&routing.element),
        )),
        _ => None,
    }
}

fn policy(element: &str) -> &'static str {
    match element {
        "Weight" => "weighted",
        "Region" => "latency",
        "Failover" => "failover",
        _ => "multivalue answer",
    }
}
