//! What stands in DNS and SES that others made, kept from the simulated world's
//! own log and not from anything that the operator says; and what of it the
//! operator's writes have harmed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_simulator::{EventKind, IdentityKey, Name, RecordType, SimTime, Simulator, World, Zone};

use crate::setting::PACE;
use crate::spf::Spf;

/// How old a reading may be when a put that rests on it arrives: the operator's
/// `--max-observation-age`, and what a busy machine adds.
const OBSERVATION: Duration = Duration::from_secs(3);

/// How long the operator may take to learn that a policy is gone, and what is on
/// its way then to arrive.
const WORD: Duration = Duration::from_secs(3);

/// How many events a story has.
const STORY: usize = 40;

/// What belongs to others.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Events of the world that have been judged.
    judged: usize,
    /// Values as they were written, SPF records and markers apart.
    values: BTreeMap<(Name, RecordType), Vec<String>>,
    spf: BTreeMap<Name, Vec<Spf>>,
    settings: BTreeMap<IdentityKey, Held>,
    /// Domains whose object says `adoptionPolicy: Always`: its MX records and
    /// MAIL FROM settings may be swapped.
    swappable: BTreeSet<String>,
    /// Domains that no policy gives to anybody, and since when.
    barred: BTreeMap<String, SimTime>,
    harmed: Vec<String>,
}

/// A MAIL FROM domain that others set.
#[derive(Debug)]
struct Held {
    domain: String,
    since: SimTime,
}

/// What is left over, and where.
#[derive(Debug)]
pub(crate) struct Orphan {
    /// A name, or an identity.
    pub(crate) at: String,
    pub(crate) what: String,
}

impl Orphan {
    fn new(at: &str, what: String) -> Self {
        Self { at: at.to_owned(), what }
    }
}

impl Ledger {
    /// Lets the operator swap what it finds for this domain.
    pub(crate) fn let_swap(&mut self, domain: &str) {
        self.swappable.insert(domain.to_owned());
    }

    /// No policy gives these domains to anybody any more.
    pub(crate) fn bar(&mut self, simulator: &Simulator, domains: impl Iterator<Item = String>) {
        self.look(simulator);
        let now = simulator.now();
        self.barred.extend(domains.map(|domain| (domain, now)));
    }

    /// A policy is about to give every domain to somebody.
    pub(crate) fn unbar(&mut self, simulator: &Simulator) {
        self.look(simulator);
        self.barred.clear();
    }

    /// Edits the world as others do, and notes what is theirs from then on.
    pub(crate) fn edit(&mut self, simulator: &Simulator, edit: impl FnOnce(&mut World)) {
        simulator.with(|world| {
            self.judge(world);
            edit(world);
            for event in &world.events()[self.judged..] {
                if let EventKind::RecordSet { name, kind, from, to, .. } = &event.kind {
                    self.claim(name, *kind, values(from.as_ref()), values(to.as_ref()));
                }
            }
            self.judged = world.events().len();
        });
    }

    /// Others have set MAIL FROM, or cleared it, by [`Ledger::edit`].
    pub(crate) fn set(&mut self, simulator: &Simulator, key: &IdentityKey, domain: Option<&str>) {
        let since = simulator.now();
        match domain.map(str::to_owned) {
            Some(domain) => self.settings.insert(key.clone(), Held { domain, since }),
            None => self.settings.remove(key),
        };
    }

    /// Judges everything that has happened since the last time; all of it was
    /// the operator's, or SES's own.
    pub(crate) fn look(&mut self, simulator: &Simulator) {
        simulator.with(|world| self.judge(world));
    }

    /// What has been harmed, in words.
    pub(crate) fn harmed(&self) -> &[String] {
        &self.harmed
    }

    fn judge(&mut self, world: &World) {
        for event in &world.events()[self.judged..] {
            match &event.kind {
                EventKind::RecordSet { name, kind, from, to, .. } => {
                    self.trespass(event.at, &name.plain());
                    self.written(name, *kind, values(from.as_ref()), values(to.as_ref()));
                }
                EventKind::MailFromPut { identity, domain, .. } => {
                    self.trespass(event.at, &identity.identity);
                    self.put(event.at, identity, domain);
                }
                _ => {}
            }
        }
        self.judged = world.events().len();
    }

    /// Others made `to` of `from`: what is new in it is theirs.
    fn claim(&mut self, name: &Name, kind: RecordType, from: &[String], to: &[String]) {
        let key = (name.clone(), kind);
        let before = self.values.remove(&key).unwrap_or_default();
        let plain = to.iter().filter(|value| !is_marker(value) && Spf::of(value).is_none());
        let theirs = plain.filter(|value| before.contains(value) || !from.contains(value));
        self.values.insert(key, theirs.cloned().collect());
        if kind == RecordType::TXT {
            let before = self.spf.remove(name).unwrap_or_default();
            let records = to.iter().filter_map(|value| Spf::edited(value, from, &before));
            self.spf.insert(name.clone(), records.collect());
        }
    }

    /// The operator made `to` of `from`.
    fn written(&mut self, name: &Name, kind: RecordType, from: &[String], to: &[String]) {
        let theirs = self.values.get(&(name.clone(), kind)).cloned().unwrap_or_default();
        let swapped = kind == RecordType::MX && self.may_swap(&name.plain());
        for lost in theirs.iter().filter(|value| !to.contains(value) && !swapped) {
            self.harmed.push(format!("{name} {kind}: {lost} is gone: {from:?} became {to:?}"));
        }
        if swapped {
            self.values.entry((name.clone(), kind)).or_default().retain(|v| to.contains(v));
        }
        let added = to.iter().any(|value| !from.contains(value));
        if kind == RecordType::MX && added && to.len() > 1 {
            self.harmed.push(format!("{name} has several MX: {from:?} became {to:?}"));
        }
        if kind == RecordType::TXT {
            let before = self.spf.remove(name).unwrap_or_default();
            match Spf::rewritten(&before, to) {
                Ok(after) => drop(self.spf.insert(name.clone(), after)),
                Err(why) => {
                    self.harmed.push(format!("{name} SPF: {why}: {from:?} became {to:?}"));
                    self.spf.insert(name.clone(), before);
                }
            }
        }
    }

    /// SES has no compare-and-swap: a setting that is younger than the reading
    /// that a put may rest on is lost, and not by anybody's fault.
    fn put(&mut self, at: SimTime, identity: &IdentityKey, domain: &str) {
        let Some(theirs) = self.settings.get(identity) else { return };
        if theirs.domain == domain {
            return;
        }
        let seen = at > theirs.since + OBSERVATION.mul_f64(PACE);
        if seen && !self.may_swap(&identity.identity) {
            self.harmed.push(format!("{identity:?}: {:?} became {domain:?}", theirs.domain));
        }
        self.settings.remove(identity);
    }

    /// What happened at a name, or to an identity that it lies in, for a person
    /// who asks why: not what others edit beside a marker.
    pub(crate) fn story(world: &World, of: &str) -> Vec<String> {
        let told = world.events().iter().filter_map(|event| match &event.kind {
            EventKind::RecordSet { name, kind, from, to, change, .. } if name.plain() == of => {
                let (from, to) = (values(from.as_ref()), values(to.as_ref()));
                let marker = |values: &[String]| values.iter().find(|v| is_marker(v)).cloned();
                let aside = *kind == RecordType::TXT && marker(from) == marker(to);
                let change = change.as_deref().or((!aside).then_some("others"))?;
                Some(format!("{:?} {change}: {kind} {from:?} became {to:?}", event.at))
            }
            EventKind::MailFromPut { identity, domain, behavior }
                if lies_in(of, &identity.identity) =>
            {
                let region = &identity.region;
                Some(format!("{:?} put in {region}: {domain:?} {behavior}", event.at))
            }
            EventKind::MailFromStatus { identity, domain, to, .. }
                if lies_in(of, &identity.identity) =>
            {
                let region = &identity.region;
                Some(format!("{:?} SES in {region}: {domain:?} {to:?}", event.at))
            }
            _ => None,
        });
        let told: Vec<String> = told.collect();
        told[told.len().saturating_sub(STORY)..].to_vec()
    }

    /// A write of the operator at a name or an identity: a domain that it has had
    /// time to know for barred is none of its.
    fn trespass(&mut self, at: SimTime, name: &str) {
        let mut barred = self.barred.iter().filter(|(domain, _)| lies_in(name, domain));
        if barred.any(|(_, since)| at > *since + WORD.mul_f64(PACE)) {
            self.harmed.push(format!("{name}: written to although no policy allows it"));
        }
    }

    fn may_swap(&self, name: &str) -> bool {
        self.swappable.iter().any(|domain| lies_in(name, domain))
    }

    /// What stands at the names below `domain` that nobody else made: left over,
    /// once the last object is gone.
    pub(crate) fn left_over(&self, world: &World, zone: &str, keys: &[IdentityKey]) -> Vec<Orphan> {
        let mut left = Vec::new();
        for set in world.zone(zone).into_iter().flat_map(Zone::records) {
            if ![RecordType::MX, RecordType::TXT].contains(&set.kind) {
                continue;
            }
            let theirs = self.values.get(&(set.name.clone(), set.kind));
            let is_theirs = |value: &String| {
                let plain = theirs.is_some_and(|theirs| theirs.contains(value));
                let mut spf = self.spf.get(&set.name).into_iter().flatten();
                plain || spf.any(|record| record.is_all_theirs(value))
            };
            let ours = set.values.iter().filter(|value| !is_theirs(value));
            let at = set.name.plain();
            left.extend(ours.map(|value| Orphan::new(&at, format!("{} {value}", set.kind))));
        }
        for key in keys {
            let held = world.mail_from(&key.account, &key.region, &key.identity);
            let held = held.and_then(|view| view.domain.as_ref());
            if let Some((domain, _)) =
                held.filter(|(d, _)| self.settings.get(key).map(|held| &held.domain) != Some(d))
            {
                left.push(Orphan::new(&key.identity, format!("in {}: {domain}", key.region)));
            }
        }
        left
    }
}

fn values(values: Option<&Vec<String>>) -> &[String] {
    values.map_or(&[], Vec::as_slice)
}

fn lies_in(name: &str, domain: &str) -> bool {
    name == domain || name.ends_with(&format!(".{domain}"))
}

fn is_marker(value: &str) -> bool {
    value.contains("ses-mailfrom-owner=")
}
