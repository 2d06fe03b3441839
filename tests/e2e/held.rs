//! What a zone and SES hold and how they came to hold it, in a form in which
//! the lives of two objects can be compared.

use std::collections::BTreeMap;

use aws_simulator::{ACCOUNT, EventKind, MailFromView, RecordSet, RecordType, Sending, World};
use serde_json::Value;

use crate::stage::{DOMAIN, REGIONS, Stage, ZONE};

/// All record sets of the zone and both regions' settings, none for an
/// identity that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub zone: Vec<Set>,
    pub ses: Vec<Option<MailFromView>>,
}

/// One record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set {
    pub name: String,
    pub kind: RecordType,
    pub ttl: Option<u32>,
    pub values: Vec<String>,
}

impl Held {
    /// The values at a name.
    pub(crate) fn at(&self, name: &str, kind: RecordType) -> &[String] {
        let set = self.zone.iter().find(|set| set.name == name && set.kind == kind);
        set.map_or(&[], |set| &set.values)
    }

    /// Itself without the MAIL FROM settings.
    pub(crate) fn cleared(mut self) -> Self {
        for view in self.ses.iter_mut().flatten() {
            *view = MailFromView::default();
        }
        self
    }

    /// Itself without ownership markers.
    pub(crate) fn unmarked(mut self) -> Self {
        for set in &mut self.zone {
            set.values.retain(|value| !value.contains(MARKER));
        }
        self
    }
}

const MARKER: &str = "ses-mailfrom-owner=v1 ";

/// What is held now.
pub(crate) fn held(stage: &Stage) -> Held {
    stage.aws.with(|world| held_in(world))
}

pub(crate) fn held_in(world: &World) -> Held {
    let sets = world.zone(ZONE).into_iter().flat_map(aws_simulator::Zone::records);
    let set = |set: &RecordSet| Set {
        name: set.name.plain(),
        kind: set.kind,
        ttl: set.ttl,
        values: masked(&set.values),
    };
    let zone = sets.map(set).collect();
    let view = |region: &&str| world.mail_from(ACCOUNT, region, DOMAIN).cloned();
    let ses = REGIONS.iter().map(view).collect();
    Held { zone, ses }
}

/// How many changes of record sets and puts were carried out.
pub(crate) fn written(stage: &Stage) -> usize {
    stage.aws.with(|world| world.events().iter().filter(|event| is_write(&event.kind)).count())
}

fn is_write(kind: &EventKind) -> bool {
    matches!(kind, EventKind::RecordSet { change: Some(_), .. } | EventKind::MailFromPut { .. })
}

/// The writes that were carried out after the first `skip`, sorted. Regions are
/// told in the order in which their answers come in, and the marker may name
/// them one after another: its steps are told as one.
pub(crate) fn history(stage: &Stage, skip: usize) -> Vec<String> {
    stage.aws.with(|world| {
        let events = world.events().iter().map(|event| &event.kind);
        let mut told = Vec::new();
        let mut texts = BTreeMap::new();
        for kind in events.filter(|kind| is_write(kind)).skip(skip) {
            match kind {
                EventKind::RecordSet { name, kind: RecordType::TXT, from, to, .. } => {
                    let steps = texts.entry(name.plain()).or_insert_with(Vec::new);
                    steps.push((shown(from.as_deref()), shown(to.as_deref())));
                }
                EventKind::RecordSet { name, kind, from, to, .. } => {
                    let [from, to] = [from, to].map(|values| shown(values.as_deref()));
                    told.push(format!("{name} {kind}: {from} to {to}"));
                }
                EventKind::MailFromPut { identity, domain, behavior } => {
                    told.push(format!("{}: {domain:?} {behavior}", identity.region));
                }
                _ => {}
            }
        }
        for (name, steps) in texts {
            told.push(format!("{name} TXT: {} to {}", steps[0].0, steps[steps.len() - 1].1));
        }
        told.sort();
        told
    })
}

fn shown(values: Option<&[String]>) -> String {
    format!("{:?}", values.map(masked))
}

/// Asserts what holds at every moment of every life: one MX at a name, and no
/// message refused.
pub(crate) fn assert_never_worse(stage: &Stage, context: &str) {
    stage.aws.with(|world| {
        for event in world.events() {
            match &event.kind {
                EventKind::RecordSet { kind: RecordType::MX, to: Some(values), .. } => {
                    assert_eq!(values.len(), 1, "{context}: {event:?}");
                }
                EventKind::Sending { to: Sending::Rejected, .. } => {
                    panic!("{context}: mail was refused: {event:?}");
                }
                _ => {}
            }
        }
    });
}

/// The values without the digest of the owner, which each namespace has its own.
fn masked(values: &[String]) -> Vec<String> {
    values.iter().map(|value| masked_marker(value)).collect()
}

fn masked_marker(value: &str) -> String {
    let Some(at) = value.find(MARKER) else { return value.to_owned() };
    let (before, digest) = value.split_at(at + MARKER.len());
    let rest = digest.split_once(' ').map_or("", |(_, rest)| rest);
    format!("{before}OWNER {rest}")
}

/// A status without what depends on when and how it was come by.
pub(crate) fn timeless(status: &impl serde::Serialize) -> Value {
    const TIMES: [&str; 8] = [
        "since",
        "deadline",
        "lastPutTime",
        "lastTransitionTime",
        "adoptedTime",
        "changeID",
        "observedGeneration",
        "rejectTriedGeneration",
    ];
    fn strip(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                fields.retain(|name, _| !TIMES.contains(&name.as_str()));
                fields.values_mut().for_each(strip);
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            Value::String(text) => *text = masked_marker(text),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(status).expect("a status as JSON");
    strip(&mut value);
    value
}
