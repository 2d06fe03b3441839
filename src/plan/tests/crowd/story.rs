//! What happens: turns of the objects, changes of their specs and of policies,
//! and what others do to the zone and to SES.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::super::small_aws;
use super::super::small_world::{ACCOUNT, DEFAULT, REJECT, ZONE};
use super::actors::Leave;
use super::ledger::theirs;
use super::world::{BELOW, Crowd, DOMAIN, NAMESPACES, OTHER_ACCOUNT, REGIONS, Setting, record_set};
use crate::api::Mode;
use crate::mail::{BehaviorOnMxFailure, MailFrom, MailFromStatus, Origin, RecordType};

pub(super) const SUBDOMAINS: [&str; 3] = ["bounce", "mail", "a.b"];
pub(super) const FOREIGN_NAME: &str = "theirs.example.com";
pub(super) const FOREIGN_TXT: &str = "\"somebody \\\"else\\\"\" \"'s\"";
const FOREIGN_SPF: &str = "\"v=spf1 ip4:198.51.100.7 -all\"";

/// What happens to the world from outside, or to an object.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A reconcile of an object, of so many effects.
    Turn(usize, usize),
    Waits(u64),
    Says(usize, MailFromStatus),
    Clears(usize),
    SetsForeign(usize),
    RemovesMx(usize),
    PutsForeignMx(usize),
    AddsTxt(usize, &'static str),
    RemovesTxt(usize),
    RemovesEveryTxt(usize),
    Moves(usize, &'static str),
    Regions(usize, Vec<&'static str>),
    Behaves(usize, BehaviorOnMxFailure),
    Mode(usize, Mode),
    Deletes(usize),
    WipesStatus(usize),
    Restarts(usize),
    Gives(usize, &'static str, Leave),
}

pub(super) fn event() -> impl Strategy<Value = Event> {
    use Event::*;
    let who = || 0..3usize;
    let status = select(MailFromStatus::ALL[1..].to_vec());
    let regions = vec![vec![REGIONS[0]], vec![REGIONS[1]], REGIONS.to_vec()];
    let leave = vec![Leave::Everything, Leave::OneRegion, Leave::Nothing];
    let foreign = || select(vec![FOREIGN_TXT, FOREIGN_SPF]);
    prop_oneof![
        16 => (who(), 0..4usize).prop_map(|(who, most)| Turn(who, most)),
        8 => who().prop_map(|who| Turn(who, usize::MAX)),
        2 => (1..40u64).prop_map(Waits),
        2 => (0..8usize, status).prop_map(|(at, status)| Says(at, status)),
        1 => (0..8usize).prop_map(Clears),
        1 => (0..8usize).prop_map(SetsForeign),
        1 => who().prop_map(RemovesMx),
        1 => who().prop_map(PutsForeignMx),
        2 => (who(), foreign()).prop_map(|(at, text)| AddsTxt(at, text)),
        1 => who().prop_map(RemovesTxt),
        1 => who().prop_map(RemovesEveryTxt),
        2 => (who(), select(SUBDOMAINS.to_vec())).prop_map(|(who, to)| Moves(who, to)),
        2 => (who(), select(regions)).prop_map(|(who, to)| Regions(who, to)),
        1 => (who(), select(vec![DEFAULT, REJECT])).prop_map(|(who, to)| Behaves(who, to)),
        1 => (who(), select(vec![crate::api::Mode::Manage, crate::api::Mode::Observe]))
            .prop_map(|(who, to)| Mode(who, to)),
        1 => who().prop_map(Deletes),
        1 => who().prop_map(WipesStatus),
        1 => (0..2usize).prop_map(Restarts),
        1 => ((0..2usize), select(NAMESPACES.to_vec()), select(leave))
            .prop_map(|(operator, namespace, leave)| Gives(operator, namespace, leave)),
    ]
}

impl Crowd {
    pub(super) fn set_by_others(&mut self, setting: &Setting, name: Option<&str>) {
        let identity = self.identities.get_mut(setting).unwrap();
        identity.mail_from = name.map(|name| MailFrom {
            domain: name.into(),
            status: MailFromStatus::Pending,
            behavior: DEFAULT,
        });
        match name {
            Some(name) => self.ledger.settings.insert(setting.clone(), name.to_owned()),
            None => self.ledger.settings.remove(setting),
        };
        self.touch(setting);
    }

    fn name(&self, who: usize) -> String {
        let spec = &self.actors[who % self.actors.len()].object.spec;
        format!("{}.{}", spec.subdomain, spec.domain)
    }

    /// Whether an object has decided on a change there, which may adopt what stands.
    fn is_about_to_change(&self, name: &str) -> bool {
        (0..self.actors.len()).any(|who| self.about_to_change(who).iter().any(|at| at == name))
    }

    /// Others take away or replace what a setting holds. What was adopted is put
    /// back, and then stays.
    fn others_set(&mut self, at: usize, name: Option<&str>) {
        let setting = setting(at);
        let held = self.held(&setting).map(str::to_owned);
        let marker = held.as_ref().and_then(|held| self.marker(held));
        let origin = marker.and_then(|marker| marker.regions.get(&setting.2).copied());
        let adopts = held.as_deref().is_some_and(|held| self.is_about_to_change(held));
        if origin == Some(Origin::Adopted) || adopts {
            self.ledger.kept_up.insert(setting.clone());
        }
        self.set_by_others(&setting, name);
    }

    fn others_take_mx(&mut self, name: &str) {
        let adopted = self.marker(name).is_some_and(|marker| marker.mx == Origin::Adopted);
        if adopted || self.is_about_to_change(name) {
            self.ledger.excused.insert(name.to_owned());
        }
        self.edit_records(|records| {
            records.retain(|(_, set)| set.name.as_str() != name || set.rtype != RecordType::Mx);
        });
    }

    fn others_take_every_txt(&mut self, name: &str) {
        if self.marker(name).is_some() {
            self.ledger.excused.insert(name.to_owned());
        }
        self.edit_records(|records| {
            records.retain(|(_, set)| set.name.as_str() != name || set.rtype != RecordType::Txt);
        });
    }

    fn others_add_txt(&mut self, name: &str, value: &str) {
        let ttl = self.at(name, &RecordType::Txt).map_or(300, |set| set.ttl);
        self.edit_records(|records| {
            let mut set = small_aws::at(records, name, &RecordType::Txt).cloned();
            let set = set.get_or_insert_with(|| record_set(name, RecordType::Txt, &[]));
            set.ttl = ttl;
            if !set.values.iter().any(|held| theirs(held) == theirs(value)) {
                set.values.push(value.to_owned());
            }
            records.retain(|(_, old)| (&old.name, &old.rtype) != (&set.name, &set.rtype));
            records.push((ZONE.into(), set.clone()));
        });
    }

    fn others_remove_txt(&mut self, name: &str) {
        self.edit_records(|records| {
            for (_, set) in records.iter_mut().filter(|(_, set)| set.name.as_str() == name) {
                set.values.retain(|held| held != FOREIGN_TXT);
            }
            records.retain(|(_, set)| !set.values.is_empty());
        });
    }

    pub(super) fn happen(&mut self, event: &Event) {
        let actors = self.actors.len();
        match event {
            Event::Turn(who, most) => {
                self.turn(who % actors, *most);
            }
            Event::Waits(minutes) => {
                let by = std::time::Duration::from_mins(*minutes);
                self.now = self.now.checked_add(by).unwrap();
            }
            Event::Restarts(operator) => self.restart(*operator),
            Event::Gives(operator, namespace, leave) => {
                self.operators[*operator].give(namespace, *leave);
            }
            about => {
                self.meddle(about);
                self.happen_to_object(about);
            }
        }
    }

    /// What others do in AWS.
    fn meddle(&mut self, event: &Event) {
        match event {
            Event::Says(at, status) => {
                let setting = setting(*at);
                let identity = self.identities.get_mut(&setting).unwrap();
                if let Some(held) = &mut identity.mail_from {
                    held.status = *status;
                    self.touch(&setting);
                }
            }
            Event::Clears(at) => self.others_set(*at, None),
            Event::SetsForeign(at) => self.others_set(*at, Some(FOREIGN_NAME)),
            Event::RemovesMx(who) => self.others_take_mx(&self.name(*who)),
            Event::PutsForeignMx(who) => {
                let name = self.name(*who);
                self.others_take_mx(&name);
                self.put_in_zone(&record_set(&name, RecordType::Mx, &["5 mx.example.com"]));
            }
            Event::AddsTxt(who, value) => self.others_add_txt(&self.name(*who), value),
            Event::RemovesTxt(who) => self.others_remove_txt(&self.name(*who)),
            Event::RemovesEveryTxt(who) => self.others_take_every_txt(&self.name(*who)),
            _ => return,
        }
        self.ledger.meddled = true;
    }

    fn happen_to_object(&mut self, event: &Event) {
        let (Event::Moves(who, _)
        | Event::Regions(who, _)
        | Event::Behaves(who, _)
        | Event::Mode(who, _)
        | Event::Deletes(who)
        | Event::WipesStatus(who)) = event
        else {
            return;
        };
        let who = who % self.actors.len();
        if self.actors[who].gone || self.actors[who].is_deleting() {
            return;
        }
        let below = self.actors[who].object.spec.domain == BELOW;
        match event {
            Event::Moves(_, to) => {
                let to = if below && *to == "a.b" { "a" } else { to };
                let (name, status) = (self.name(who), &self.actors[who].object.status);
                let known = status.iter().flat_map(|s| &s.records).any(|r| r.name == name);
                // Of a name that status does not know, nothing is known once the
                // spec does not either.
                if !known && to != self.actors[who].object.spec.subdomain {
                    self.excuse(who, None);
                }
                self.edit(who, |object| object.spec.subdomain = to.into());
            }
            Event::Regions(_, to) => {
                let regions: Vec<_> = to.iter().map(|name| json!({"name": name})).collect();
                let regions = serde_json::from_value(json!(regions)).unwrap();
                self.edit(who, |object| object.spec.regions = regions);
            }
            Event::Behaves(_, to) => {
                self.edit(who, |object| object.spec.behavior_on_mx_failure = *to);
            }
            Event::Mode(_, to) => self.edit(who, |object| object.spec.mode = *to),
            Event::Deletes(_) => {
                if self.actors[who].object.spec.mode != Mode::Manage {
                    self.excuse(who, None);
                }
                self.delete(who);
            }
            _ => {
                let name = self.name(who);
                self.excuse(who, Some(&name));
                self.wipe_status(who);
            }
        }
    }

    /// Whoever may act does, under the policies of the beginning.
    pub(super) fn heal(&mut self, leave: [Leave; 2]) {
        for operator in &mut self.operators {
            for (namespace, leave) in NAMESPACES.into_iter().zip(leave) {
                operator.give(namespace, leave);
            }
        }
        for who in 0..self.actors.len() {
            if !self.actors[who].gone && !self.actors[who].is_deleting() {
                self.edit(who, |object| object.spec.mode = Mode::Manage);
            }
        }
    }
}

/// One of the settings at which somebody else may be at work.
fn setting(at: usize) -> Setting {
    let account = if at & 4 == 0 { ACCOUNT } else { OTHER_ACCOUNT };
    let identity = if at & 2 == 0 { DOMAIN } else { BELOW };
    (account.to_owned(), identity.to_owned(), REGIONS[at & 1].to_owned())
}
