//! Reading the facts: what is known, what has yet to be asked, when to look again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::world::{Answer, Fault, Question, Value, World};
use crate::authority::Service;
use crate::mail::{
    ChangeState, Delegation, DomainName, HostedZoneId, Identity, NameView, Region, Seen,
    Surroundings, Zone,
};

/// Something that was looked up.
#[derive(Clone, Debug)]
pub(super) enum Reading<T> {
    /// Asked, and not answered yet.
    Waiting,
    /// The last try failed.
    Failed(Fault),
    /// Known as of `sent`.
    Known { sent: Timestamp, value: T },
}

/// Collects the questions of one plan, and the moment at which an answer grows old.
#[derive(Debug)]
pub(super) struct Inquiry<'a> {
    world: &'a World<'a>,
    fresh_from: Timestamp,
    questions: RefCell<BTreeMap<Question, Timestamp>>,
    wake: Cell<Option<Timestamp>>,
}

macro_rules! typed {
    ($($name:ident -> $variant:ident($type:ty);)+) => {$(
        fn $name(&self, question: Question, not_before: Timestamp) -> Reading<&'a $type> {
            match self.ask(question, not_before) {
                Reading::Known { sent, value: Value::$variant(value) } => Reading::Known { sent, value },
                Reading::Failed(fault) => Reading::Failed(fault),
                Reading::Known { .. } | Reading::Waiting => Reading::Waiting,
            }
        }
    )+};
}

impl<'a> Inquiry<'a> {
    pub(super) fn new(world: &'a World<'a>, fresh_from: Timestamp) -> Self {
        Self { world, fresh_from, questions: RefCell::default(), wake: Cell::new(None) }
    }

    /// Asks for an answer sent at `not_before` or later.
    fn ask(&self, question: Question, not_before: Timestamp) -> Reading<&'a Value> {
        let not_before = not_before.max(self.fresh_from);
        let answer = self.world.facts.0.get(&question);
        let mut questions = self.questions.borrow_mut();
        let asked = questions.entry(question).or_insert(not_before);
        *asked = not_before.max(*asked);
        match answer {
            Some(Answer::Known { sent, value }) if *sent >= not_before => {
                Reading::Known { sent: *sent, value }
            }
            Some(Answer::Failed { fault, retry_at }) => {
                self.wake_at(*retry_at);
                Reading::Failed(fault.clone())
            }
            _ => Reading::Waiting,
        }
    }

    typed! {
        ask_account -> Account(String);
        ask_identity -> Identity(Option<Identity>);
        ask_zones -> Zones(Vec<Zone>);
        ask_delegation -> Delegation(Delegation);
        ask_name -> Name(NameView);
        ask_surroundings -> Surroundings(Surroundings);
        ask_change -> Change(ChangeState);
        ask_seen -> Seen(Seen);
    }

    /// The account of the credentials for a service.
    pub(super) fn account(&self, service: Service) -> Reading<&'a String> {
        self.ask_account(Question::Account(service), self.ago(self.world.settings.zone_cache))
    }

    /// An identity, looked at again once the answer is `max_age` old.
    pub(super) fn identity(
        &self,
        domain: &DomainName,
        region: &Region,
        max_age: Duration,
    ) -> Reading<&'a Option<Identity>> {
        let question = Question::Identity(domain.clone(), region.clone());
        self.polled(self.ask_identity(question, self.ago(max_age)), max_age)
    }

    /// The zones that `name` could lie in, remembered for `--zone-cache`.
    pub(super) fn zones(&self, name: &DomainName) -> Reading<&'a Vec<Zone>> {
        let not_before = self.ago(self.world.settings.zone_cache);
        self.ask_zones(Question::Zones(name.clone()), not_before)
    }

    /// Whether the parent names any of a zone's own servers.
    pub(super) fn delegation(&self, zone: &Zone, max_age: Duration) -> Reading<&'a Delegation> {
        match self.servers(&zone.id, &zone.name) {
            Reading::Known { value, .. } => {
                let question = Question::Delegation(zone.name.clone(), value);
                self.polled(self.ask_delegation(question, self.ago(max_age)), max_age)
            }
            Reading::Failed(fault) => Reading::Failed(fault),
            Reading::Waiting => Reading::Waiting,
        }
    }

    /// The servers that a zone's apex NS record set names, vanity names included.
    pub(super) fn servers(&self, zone: &HostedZoneId, apex: &DomainName) -> Reading<Vec<String>> {
        let question = Question::Name(zone.clone(), apex.clone());
        match self.ask_name(question, self.ago(self.world.settings.zone_cache)) {
            Reading::Known { sent, value } => {
                let ns = value.simple(&crate::mail::RecordType::Ns);
                let names = ns.into_iter().flat_map(|set| &set.values);
                let bare = |name: &String| name.trim_end_matches('.').to_ascii_lowercase();
                let mut servers: Vec<String> = names.map(bare).collect();
                servers.sort();
                Reading::Known { sent, value: servers }
            }
            Reading::Failed(fault) => Reading::Failed(fault),
            Reading::Waiting => Reading::Waiting,
        }
    }

    /// Every record set at a name, looked at again once the answer is `max_age` old.
    pub(super) fn name(
        &self,
        zone: &HostedZoneId,
        name: &DomainName,
        max_age: Duration,
    ) -> Reading<&'a NameView> {
        let question = Question::Name(zone.clone(), name.clone());
        self.polled(self.ask_name(question, self.ago(max_age)), max_age)
    }

    /// What stands around a name that is about to be made.
    pub(super) fn surroundings(&self, zone: &Zone, name: &DomainName) -> Reading<&'a Surroundings> {
        let question = Question::Surroundings(zone.id.clone(), name.clone(), zone.name.clone());
        let max_age = self.world.settings.max_observation_age;
        self.ask_surroundings(question, self.ago(max_age))
    }

    /// Where a change is.
    pub(super) fn change(&self, id: &str, max_age: Duration) -> Reading<&'a ChangeState> {
        let question = Question::Change(id.to_owned());
        self.polled(self.ask_change(question, self.ago(max_age)), max_age)
    }

    /// What the zone's own servers answer for a name.
    pub(super) fn seen(
        &self,
        name: &DomainName,
        servers: Vec<String>,
        max_age: Duration,
    ) -> Reading<&'a Seen> {
        let question = Question::Seen(name.clone(), servers);
        self.polled(self.ask_seen(question, self.ago(max_age)), max_age)
    }

    fn polled<T>(&self, reading: Reading<T>, max_age: Duration) -> Reading<T> {
        if let Reading::Known { sent, .. } = reading {
            self.wake_at(after(sent, max_age));
        }
        reading
    }

    fn ago(&self, age: Duration) -> Timestamp {
        before(self.world.now, age)
    }

    /// Asks for the object to be planned again at `at`, or earlier.
    pub(super) fn wake_at(&self, at: Timestamp) {
        let earliest = self.wake.get().map_or(at, |wake| wake.min(at));
        self.wake.set(Some(earliest));
    }

    /// The questions, and when to plan again.
    pub(super) fn finish(self) -> (BTreeMap<Question, Timestamp>, Option<Timestamp>) {
        (self.questions.into_inner(), self.wake.get())
    }
}

/// `at` plus a duration, at the end of time where there is no such moment.
pub(super) fn after(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_add(duration).unwrap_or(Timestamp::MAX)
}

/// `at` less a duration, at the beginning of time where there is no such moment.
pub(super) fn before(at: Timestamp, duration: Duration) -> Timestamp {
    at.checked_sub(duration).unwrap_or(Timestamp::MIN)
}
