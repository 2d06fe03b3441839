//! Reading the facts: what is known, what has yet to be asked, when to look again.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::world::{Answer, Fault, Question, Upkeep, Value, World};
use crate::authority::Service;
use crate::mail::{
    ChangeState, Delegation, DomainName, HostedZoneId, MailFrom, NameView, Region, Seen,
    SharedText, Surroundings, Verification, Zone,
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

/// What SES says of an identity in one region.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity<'a> {
    /// Whether mail may be sent from it.
    pub verified: bool,
    /// The MAIL FROM domain that is set, if one is.
    pub mail_from: Option<&'a MailFrom>,
}

/// Collects the questions of one plan, and how their answers are kept up.
#[derive(Debug)]
pub(super) struct Inquiry<'a> {
    world: &'a World<'a>,
    fresh_from: Timestamp,
    questions: RefCell<BTreeMap<Question, Timestamp>>,
    watch: RefCell<BTreeMap<Question, Upkeep>>,
    wake: Cell<Option<Timestamp>>,
}

/// What an inquiry came to.
#[derive(Debug)]
pub(super) struct Asked {
    pub questions: BTreeMap<Question, Timestamp>,
    pub watch: BTreeMap<Question, Upkeep>,
    pub wake: Option<Timestamp>,
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
        let (questions, watch) = (RefCell::default(), RefCell::default());
        Self { world, fresh_from, questions, watch, wake: Cell::new(None) }
    }

    /// Asks for an answer sent at `not_before` or later.
    fn ask(&self, question: Question, not_before: Timestamp) -> Reading<&'a Value> {
        let not_before = not_before.max(self.fresh_from);
        let answer = self.world.facts.answers.get(&question);
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
        ask_verification -> Verification(Verification);
        ask_mail_from -> MailFrom(Option<MailFrom>);
        ask_zones -> Zones(Vec<Zone>);
        ask_delegation -> Delegation(Delegation);
        ask_name -> Name(NameView);
        ask_surroundings -> Surroundings(Surroundings);
        ask_change -> Change(ChangeState);
        ask_seen -> Seen(Seen);
    }

    /// The account of the credentials for a service.
    pub(super) fn account(&self, service: Service) -> Reading<&'a String> {
        let (question, kept) = (Question::Account(service), self.world.settings.zone_cache);
        let asked = self.ask_account(question.clone(), self.ago(kept));
        self.polled(question, asked, kept)
    }

    /// What SES says of an identity, kept up at `max_age`; `None` where it knows no
    /// such identity. That one is verified is believed for a resync: should it be
    /// so no longer, SES refuses the put.
    pub(super) fn identity(
        &self,
        domain: &DomainName,
        region: &Region,
        max_age: Duration,
    ) -> Reading<Option<Identity<'a>>> {
        let lasting = max_age.max(self.world.settings.resync);
        let verification = match self.verification(domain, region, lasting) {
            Reading::Known { value: Verification::Verified, sent } => {
                Reading::Known { value: Verification::Verified, sent }
            }
            Reading::Known { .. } => self.verification(domain, region, max_age),
            other => other,
        };
        let question = Question::MailFrom(domain.clone(), region.clone());
        let asked = self.ask_mail_from(question.clone(), self.ago(max_age));
        match (verification, self.polled(question, asked, max_age)) {
            (Reading::Failed(fault), _) | (_, Reading::Failed(fault)) => Reading::Failed(fault),
            (Reading::Known { value, .. }, Reading::Known { sent, value: mail_from }) => {
                let verified = value == Verification::Verified;
                let identity = Identity { verified, mail_from: mail_from.as_ref() };
                let value = (value != Verification::Missing).then_some(identity);
                Reading::Known { sent, value }
            }
            _ => Reading::Waiting,
        }
    }

    /// Whether the MAIL FROM setting of an identity was asked for at `not_before` or
    /// later.
    pub(super) fn is_read_since(
        &self,
        domain: &DomainName,
        region: &Region,
        not_before: Timestamp,
    ) -> bool {
        let question = Question::MailFrom(domain.clone(), region.clone());
        matches!(self.ask_mail_from(question, not_before), Reading::Known { .. })
    }

    /// Whether an identity is there and verified, kept up at `max_age`.
    pub(super) fn verification(
        &self,
        domain: &DomainName,
        region: &Region,
        max_age: Duration,
    ) -> Reading<Verification> {
        let question = Question::Verification(domain.clone(), region.clone());
        let asked = self.ask_verification(question.clone(), self.ago(max_age));
        match self.polled(question, asked, max_age) {
            Reading::Known { sent, value } => Reading::Known { sent, value: *value },
            Reading::Failed(fault) => Reading::Failed(fault),
            Reading::Waiting => Reading::Waiting,
        }
    }

    /// The zones that `name` could lie in, as of `max_age` ago at most.
    pub(super) fn zones(&self, name: &DomainName, max_age: Duration) -> Reading<&'a Vec<Zone>> {
        self.ask_zones(Question::Zones(name.clone()), self.ago(max_age))
    }

    /// Whether the parent names any of a zone's own servers.
    pub(super) fn delegation(&self, zone: &Zone, max_age: Duration) -> Reading<&'a Delegation> {
        match self.servers(&zone.id, &zone.name) {
            Reading::Known { value, .. } => {
                let question = Question::Delegation(zone.name.clone(), value);
                let asked = self.ask_delegation(question.clone(), self.ago(max_age));
                self.polled(question, asked, max_age)
            }
            Reading::Failed(fault) => Reading::Failed(fault),
            Reading::Waiting => Reading::Waiting,
        }
    }

    /// The servers that a zone's apex NS record set names, vanity names included.
    pub(super) fn servers(
        &self,
        zone: &HostedZoneId,
        apex: &DomainName,
    ) -> Reading<Vec<SharedText>> {
        let question = Question::Name(zone.clone(), apex.clone());
        match self.ask_name(question, self.ago(self.world.settings.zone_cache)) {
            Reading::Known { sent, value } => {
                let ns = value.simple(&crate::mail::RecordType::Ns);
                let names = ns.into_iter().flat_map(|set| &set.values);
                let bare = |name: &String| name.trim_end_matches('.').to_ascii_lowercase().into();
                let mut servers: Vec<SharedText> = names.map(bare).collect();
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
        let asked = self.ask_name(question.clone(), self.ago(max_age));
        self.polled(question, asked, max_age)
    }

    /// What stands around a name that is about to be made: as old as a reading of the
    /// name itself may be.
    pub(super) fn surroundings(&self, zone: &Zone, name: &DomainName) -> Reading<&'a Surroundings> {
        let question = Question::Surroundings(zone.id.clone(), name.clone(), zone.name.clone());
        self.ask_surroundings(question, self.ago(self.world.settings.resync))
    }

    /// Where a change is.
    pub(super) fn change(&self, id: &str, max_age: Duration) -> Reading<&'a ChangeState> {
        let question = Question::Change(id.to_owned());
        let asked = self.ask_change(question.clone(), self.ago(max_age));
        self.polled(question, asked, max_age)
    }

    /// What the zone's own servers answer for a name.
    pub(super) fn seen(
        &self,
        name: &DomainName,
        servers: Vec<SharedText>,
        max_age: Duration,
    ) -> Reading<&'a Seen> {
        let question = Question::Seen(name.clone(), servers);
        let asked = self.ask_seen(question.clone(), self.ago(max_age));
        self.polled(question, asked, max_age)
    }

    /// Has the answer kept up at the shortest pace that is asked for. Should it
    /// not come any more, the object is to say so in time.
    fn polled<T>(&self, question: Question, reading: Reading<T>, pace: Duration) -> Reading<T> {
        if let Reading::Known { sent, .. } = reading {
            let mut watch = self.watch.borrow_mut();
            let upkeep = watch.entry(question).or_insert(Upkeep { pace, known: sent });
            upkeep.pace = pace.min(upkeep.pace);
            let stale = after(sent, self.world.settings.stale_after);
            // What may be kept for longer than that is asked again when it is due.
            if stale > self.world.now {
                self.wake_at(stale);
            }
        }
        reading
    }

    /// When what was asked and matches was last read well, whatever the age of that:
    /// the oldest of it. None where any was never read.
    pub(super) fn last_read(&self, of: impl Fn(&Question) -> bool) -> Option<Timestamp> {
        let facts = self.world.facts;
        let asked = facts.answers.iter().filter(|(question, _)| of(question));
        let read = asked.map(|(question, answer)| match answer {
            Answer::Known { sent, .. } => Some(*sent),
            Answer::NotYet | Answer::Failed { .. } => facts.last_read.get(question).copied(),
        });
        // None is before all others.
        read.min().flatten()
    }

    fn ago(&self, age: Duration) -> Timestamp {
        before(self.world.now, age)
    }

    /// Asks for the object to be planned again at `at`, or earlier.
    pub(super) fn wake_at(&self, at: Timestamp) {
        let earliest = self.wake.get().map_or(at, |wake| wake.min(at));
        self.wake.set(Some(earliest));
    }

    /// The questions, what is kept up, and when to plan again.
    pub(super) fn finish(self) -> Asked {
        let (questions, watch) = (self.questions.into_inner(), self.watch.into_inner());
        Asked { questions, watch, wake: self.wake.get() }
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
