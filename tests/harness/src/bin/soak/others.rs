//! Everybody else who edits the same zones and identities, most of all between
//! the moment at which the operator reads and the moment at which it writes.

use std::sync::{Arc, Mutex, PoisonError};

use aws_simulator::{
    Behavior, EditError, GatePoint, IdentityKey, MailFromStatus, Matching, Outcome, RecordSet,
    RecordType, Simulator, World,
};
use fastrand::Rng;

use crate::ledger::Ledger;
use crate::setting::{LABELS, REGIONS, Slot, slots};

/// The two actions by which the operator changes anything.
const WRITES: [&str; 2] = ["ChangeResourceRecordSets", "PutEmailIdentityMailFromAttributes"];

/// TXT values of others: several strings, quotes, escapes, and a long one.
const TEXTS: [&str; 5] = [
    "\"google-site-verification=abc\"",
    "\"two\" \"strings\"",
    "\"a \\\"quoted\\\" word and a \\\\ backslash\"",
    "\"\\303\\244\\040octal\"",
    "\"ms=ms00000000\"",
];

const FOREIGN_MX: &str = "10 mail.partner.example";

/// Where others make their edits.
#[derive(Clone)]
pub(crate) struct Others {
    pub(crate) simulator: Simulator,
    pub(crate) ledger: Arc<Mutex<Ledger>>,
    pub(crate) edits: Arc<Mutex<u64>>,
}

impl Others {
    /// Runs `body` with the ledger.
    pub(crate) fn ledger<R>(&self, body: impl FnOnce(&mut Ledger) -> R) -> R {
        body(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Stops every write that it can before it is carried out, edits something,
    /// and lets it go on. Never ends.
    pub(crate) async fn stand_between(self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        loop {
            let [changes, puts] = WRITES
                .map(|action| self.simulator.gate(Matching::action(action), GatePoint::Before, 0));
            tokio::select! {
                () = changes.reached() => {}
                () = puts.reached() => {}
            }
            self.edit(&mut rng, self.at_the_gate());
        }
    }

    /// The domain and the subdomain that the stopped write is about.
    fn at_the_gate(&self) -> Option<(Slot, &'static str)> {
        let target = self.simulator.with(|world| {
            let mut calls = world.calls().iter().rev();
            let stopped = calls.find(|call| {
                call.outcome == Outcome::Unanswered && WRITES.contains(&call.action.as_str())
            })?;
            Some(stopped.targets.join(" "))
        })?;
        let slot = slots().find(|slot| target.contains(&slot.domain()))?;
        let label = LABELS.into_iter().find(|label| target.contains(label));
        Some((slot, label.unwrap_or(LABELS[0])))
    }

    /// One edit, of the domain at hand or of any.
    pub(crate) fn edit(&self, rng: &mut Rng, at_hand: Option<(Slot, &'static str)>) {
        let any = slots().nth(rng.usize(0..slots().count())).unwrap_or_default();
        // At the very record set in question each time, nothing would ever be written.
        let (slot, label) = match at_hand {
            Some(at_hand) if rng.bool() => at_hand,
            _ => (any, LABELS[rng.usize(0..LABELS.len())]),
        };
        *self.edits.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        if rng.f32() < 0.25 {
            self.edit_setting(rng, slot);
        } else {
            self.edit_records(rng, slot, label);
        }
    }

    fn edit_setting(&self, rng: &mut Rng, slot: Slot) {
        let region = REGIONS[rng.usize(0..REGIONS.len())];
        let key = IdentityKey::new(slot.account(), region, &slot.domain());
        let theirs = format!("theirs.{}", slot.domain());
        let domain = (rng.f32() < 0.2).then_some((theirs.as_str(), MailFromStatus::Success));
        let behavior = Behavior::UseDefaultValue;
        self.ledger(|ledger| {
            ledger.edit(&self.simulator, |world| {
                let (account, identity) = (slot.account(), slot.domain());
                let forced = world.force_mail_from(account, region, &identity, domain, behavior);
                settled(forced);
            });
            ledger.set(&self.simulator, &key, domain.map(|(name, _)| name));
        });
    }

    fn edit_records(&self, rng: &mut Rng, slot: Slot, label: &str) {
        let name = format!("{label}.{}", slot.domain());
        let text = TEXTS[rng.usize(0..TEXTS.len())];
        let choice = rng.u8(0..10);
        let address = format!("ip4:192.0.2.{}", rng.u8(1..9));
        let edit = |world: &mut World| match choice {
            0..=3 => change(world, slot, &name, RecordType::TXT, |values| toggle(values, text)),
            4..=6 => change(world, slot, &name, RecordType::TXT, |values| {
                for value in values {
                    in_spf(value, &address);
                }
            }),
            7 => change(world, slot, &name, RecordType::MX, |values| toggle(values, FOREIGN_MX)),
            8 => change(world, slot, &name, RecordType::MX, Vec::clear),
            _ => change(world, slot, &format!("www.{name}"), RecordType::TXT, |values| {
                toggle(values, text);
            }),
        };
        self.ledger(|ledger| ledger.edit(&self.simulator, edit));
    }
}

/// Adds a value that is not there, and removes one that is.
fn toggle(values: &mut Vec<String>, value: &str) {
    let before = values.len();
    values.retain(|other| other != value);
    if values.len() == before {
        values.push(value.to_owned());
    }
}

/// Puts a term into an SPF record that has one include, or takes it out again.
fn in_spf(value: &mut String, term: &str) {
    if !value.starts_with("\"v=spf1 ") {
        return;
    }
    let with = format!(" {term}");
    *value = if value.contains(&with) {
        value.replace(&with, "")
    } else {
        value.replacen("\"v=spf1", &format!("\"v=spf1{with}"), 1)
    };
}

/// Others' tools do read, change and write, too; nobody comes between theirs.
pub(crate) fn change(
    world: &mut World,
    slot: Slot,
    name: &str,
    kind: RecordType,
    edit: impl FnOnce(&mut Vec<String>),
) {
    let zone = slot.zone();
    let found = world.record_set(&zone, name, kind).cloned();
    let mut values = found.as_ref().map(|set| set.values.clone()).unwrap_or_default();
    let ttl = found.and_then(|set| set.ttl).unwrap_or(3600);
    edit(&mut values);
    let done = if values.is_empty() {
        world.delete_record_set(&zone, name, kind)
    } else {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        match RecordSet::new(name, kind, ttl, &values) {
            Ok(set) => world.put_record_set(&zone, set),
            Err(error) => Err(EditError::Name(error)),
        }
    };
    settled(done);
}

/// Every edit is of a zone and an identity that this run made.
pub(crate) fn settled(done: Result<(), EditError>) {
    if let Err(error) = done {
        unreachable!("{error}");
    }
}
