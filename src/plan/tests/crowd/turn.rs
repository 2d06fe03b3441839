//! One reconcile of one object, in as many parts as the story has it.

use super::super::small_aws;
use super::actors::{Pending, account_of};
use super::world::Crowd;
use crate::api::{FINALIZER, Reason};
use crate::authority::Place;
use crate::mail::{
    ChangeBatch, ChangeState, Delegation, DomainName, Identity, MailFromDomain, NameView,
    RecordSet, RecordType, Region, Seen, Surroundings, Verification,
};
use crate::plan::{
    Answer, Effect, Facts, Fault, Plan, Question, Said, Upkeep, Value, World, WriteFault, plan,
};

impl Crowd {
    /// Plans an object, unless effects of an earlier plan are still to be done,
    /// and does at most `most` effects. False where there was nothing to do.
    pub(super) fn turn(&mut self, who: usize, most: usize) -> bool {
        if self.actors[who].gone {
            return false;
        }
        if self.actors[who].pending.is_none() {
            let plan = self.planned(who);
            let actor = &mut self.actors[who];
            actor.memory = plan.memory;
            actor.wake = plan.watch.values().map(Upkeep::due).chain(plan.wake).min();
            if plan.effects.is_empty() {
                let Some(report) = plan.report else { return false };
                self.write_status(who, &report);
                return true;
            }
            self.check_authority(who, &plan.effects);
            let (decided, version) = (self.moves, self.versions[who]);
            let effects = plan.effects.into();
            self.actors[who].pending = Some(Pending { effects, decided, version });
        }
        for _ in 0..most {
            let Some(mut pending) = self.actors[who].pending.take() else { break };
            let Some(effect) = pending.effects.pop_front() else { break };
            if self.carry_out(who, &effect, &mut pending) && !pending.effects.is_empty() {
                self.actors[who].pending = Some(pending);
            }
        }
        true
    }

    fn planned(&mut self, who: usize) -> Plan {
        let mut facts = Facts::default();
        let mut open = std::mem::take(&mut self.actors[who].asked);
        for _ in 0..12 {
            for question in open {
                let answer = Answer::Known { sent: self.now, value: self.answer(who, &question) };
                facts.answers.insert(question, answer);
            }
            let actor = &self.actors[who];
            let standing = self.operators[actor.operator].claims.standing(&actor.key()).unwrap();
            let plan = plan(&World {
                now: self.now,
                settings: &self.settings,
                object: &actor.object,
                standing: &standing,
                facts: &facts,
                memory: &actor.memory,
            });
            open =
                plan.questions.keys().filter(|q| !facts.answers.contains_key(q)).cloned().collect();
            if open.is_empty() {
                self.actors[who].asked = plan.questions.keys().cloned().collect();
                return plan;
            }
        }
        panic!("never stops asking");
    }

    fn identity(&self, who: usize, name: &DomainName, region: &Region) -> Option<&Identity> {
        let account = self.actors[who].account().to_owned();
        self.identities.get(&(account, name.to_string(), region.to_string()))
    }

    fn answer(&mut self, who: usize, question: &Question) -> Value {
        let actor = &self.actors[who];
        match question {
            Question::Account(service) => {
                let credentials = actor.credentials.of(*service);
                let account = account_of(credentials).to_owned();
                self.operators[actor.operator].claims.learn(credentials, &account);
                Value::Account(account)
            }
            Question::Verification(name, region) => {
                Value::Verification(match self.identity(who, name, region) {
                    None => Verification::Missing,
                    Some(identity) if identity.verified => Verification::Verified,
                    Some(_) => Verification::Unverified,
                })
            }
            Question::MailFrom(name, region) => {
                let identity = self.identity(who, name, region);
                Value::MailFrom(identity.and_then(|identity| identity.mail_from.clone()))
            }
            Question::Zones(name) => Value::Zones(small_aws::zones_above(&self.zones, name)),
            Question::Delegation(..) => Value::Delegation(Delegation::Delegated),
            Question::Name(_, name) => {
                let here = |set: &&RecordSet| set.name == *name;
                let sets = self.records.iter().map(|(_, set)| set).filter(here).cloned().collect();
                Value::Name(NameView { sets })
            }
            Question::Surroundings(..) => Value::Surroundings(Surroundings::default()),
            Question::Change(_) => Value::Change(ChangeState::Insync),
            Question::Seen(name, _) => {
                let set = |rtype| self.at(name.as_str(), &rtype);
                Value::Seen(Seen::Answered {
                    mx: set(RecordType::Mx).map(|set| set.values.clone()).unwrap_or_default(),
                    txt: set(RecordType::Txt).map(small_aws::joined).unwrap_or_default(),
                })
            }
        }
    }

    /// Does one effect. False where it was not done, and the rest is to be
    /// decided anew.
    fn carry_out(&mut self, who: usize, effect: &Effect, pending: &mut Pending) -> bool {
        match effect {
            Effect::AddFinalizer => {
                self.actors[who].object.metadata.finalizers = Some(vec![FINALIZER.into()]);
                self.claim(who);
                true
            }
            Effect::RemoveFinalizer => {
                self.goes(who);
                true
            }
            Effect::LeaveInPlace { .. } => {
                self.leave_in_place(who);
                self.goes(who);
                true
            }
            Effect::WriteStatus(status) => {
                let raced = self.versions[who] != pending.version;
                if !raced {
                    self.write_status(who, status);
                    pending.version = self.versions[who];
                }
                !raced
            }
            // Queued writes whose policies have changed are not sent.
            Effect::ChangeRecords { grant, .. } | Effect::PutMailFrom { grant, .. }
                if !grant.stands() =>
            {
                false
            }
            Effect::ChangeRecords { grant, batch, repair } => {
                self.change_records(who, grant.place(), batch, *repair)
            }
            Effect::PutMailFrom { region, mail_from, behavior, .. } => {
                let setting = self.actors[who].setting(region.as_str());
                let put = (mail_from.as_ref(), *behavior);
                let changed = self.touched.get(&setting).is_some_and(|at| *at > pending.decided);
                self.check_put(who, &setting, put, changed);
                let name = mail_from.as_ref().map_or("none", MailFromDomain::as_str);
                self.done.push(format!("{who}: put {region} {name} {}", behavior.as_str()));
                let identity = self.identities.get_mut(&setting).unwrap();
                identity.mail_from =
                    small_aws::put(identity.mail_from.as_ref(), put.0, put.1, true);
                self.touch(&setting);
                true
            }
        }
    }

    fn change_records(
        &mut self,
        who: usize,
        place: &Place,
        batch: &ChangeBatch,
        repair: bool,
    ) -> bool {
        let before = self.records.clone();
        let Place::Name(name) = place else { panic!("a change at {place}") };
        let lost = small_aws::submit(&mut self.records, batch).is_err();
        let memory = &mut self.actors[who].memory;
        if lost {
            let fault = Fault {
                reason: Reason::AwsUnavailable,
                transient: true,
                outdated: true,
                said: Said::No,
                message: "it has changed meanwhile".into(),
            };
            let count = memory.faults.get(place).map_or(0, |before| before.count) + 1;
            memory.faults.insert(place.clone(), WriteFault { fault, at: self.now, count, repair });
            return false;
        }
        memory.faults.remove(place);
        memory.changes.insert(name.name().clone(), ("C1".into(), self.now));
        self.moves += 1;
        self.done.push(format!("{who}: change {name}"));
        self.check_change(who, name.as_str(), &before);
        true
    }

    /// The names that decided changes are still to be made at.
    pub(super) fn about_to_change(&self, who: usize) -> Vec<String> {
        let pending = self.actors[who].pending.iter().flat_map(|pending| &pending.effects);
        let name = |effect: &Effect| match effect {
            Effect::ChangeRecords { grant, .. } => Some(grant.place().to_string()),
            _ => None,
        };
        pending.filter_map(name).collect()
    }
}
