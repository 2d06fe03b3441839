//! What others made, held beside the world: the zone and SES as they would be
//! had the operators never been. Every write is held against it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::small_aws::{self, Records};
use super::super::small_world::{REJECT, ZONE};
use super::actors::{Actor, Leave};
use super::world::{Crowd, REGIONS, Setting};
use crate::api::{AdoptionPolicy, Mode, Rollout};
use crate::authority::Place;
use crate::mail::{
    BehaviorOnMxFailure, MailFromDomain, MailFromStatus, Marker, RecordSet, RecordType, Spf,
    SpfInclude, decode_txt,
};
use crate::plan::Effect;

#[derive(Default)]
pub(super) struct Ledger {
    /// Whether others have done anything at all.
    pub meddled: bool,
    pub records: Records,
    pub settings: BTreeMap<Setting, String>,
    /// Names at which something of ours may stay, for others took away what
    /// proves that it is ours, or what was adopted and is kept up since.
    pub excused: BTreeSet<String>,
    /// The same of settings.
    pub kept_up: BTreeSet<Setting>,
}

impl Ledger {
    pub(super) fn remove(&mut self, name: &str, rtype: &RecordType) {
        self.records.retain(|(_, set)| set.name.as_str() != name || set.rtype != *rtype);
    }
}

/// A TXT value without the terms that we may have put in; any other, whole.
pub(super) fn theirs(value: &str) -> String {
    let text = decode_txt(value).ok().and_then(|octets| String::from_utf8(octets).ok());
    let spf = text.and_then(|text| Spf::parse(&text));
    let ours = [SpfInclude::amazon_ses()];
    spf.map_or_else(|| value.to_owned(), |spf| spf.unmerge(&ours).to_string())
}

fn is_spf(value: &str) -> bool {
    decode_txt(value).is_ok_and(|octets| Spf::is_spf(&String::from_utf8_lossy(&octets)))
}

fn markers(set: &RecordSet) -> Vec<Marker> {
    small_aws::joined(set).iter().filter_map(|text| Marker::parse(text).ok()).collect()
}

fn sorted(set: &RecordSet) -> RecordSet {
    let mut set = set.clone();
    set.values.sort();
    set
}

impl Crowd {
    fn always(&self, who: usize) -> bool {
        self.actors[who].object.spec.adoption_policy == AdoptionPolicy::Always
    }

    /// A batch of ours has just changed the records of a name.
    pub(super) fn check_change(&mut self, who: usize, name: &str, before: &Records) {
        let owner = self.actors[who].owner();
        let set = |records: &Records, rtype| small_aws::at(records, name, &rtype).cloned();
        let values = |set: &Option<RecordSet>| set.clone().map(|s| s.values).unwrap_or_default();
        for rtype in [RecordType::Mx, RecordType::Txt] {
            let (was, is) = (set(before, rtype.clone()), set(&self.records, rtype.clone()));
            let counted = |values: &[String]| match rtype {
                RecordType::Mx => values.len(),
                _ => values.iter().filter(|value| is_spf(value)).count(),
            };
            let (from, to) = (values(&was), values(&is));
            assert!(counted(&to) <= counted(&from).max(1), "{who}: {from:?} becomes {to:?}");
            let is_others = |marker: &Marker| marker.owner != owner;
            let marked = was.as_ref().filter(|_| rtype == RecordType::Txt).map(markers);
            assert!(
                !marked.unwrap_or_default().iter().any(is_others),
                "{who} writes at {name}, which is another's: {from:?}"
            );
            let Some(theirs_before) = small_aws::at(&self.ledger.records, name, &rtype) else {
                continue;
            };
            let kept = |value: &String| to.iter().any(|left| theirs(left) == theirs(value));
            let same = is.as_ref().is_some_and(|is| is.ttl == theirs_before.ttl);
            if !same || !theirs_before.values.iter().all(kept) {
                // The spec asks for another region's endpoint than the one adopted.
                let moved = from.iter().chain(&to).all(|value| value.contains("feedback-smtp."));
                assert!(
                    rtype == RecordType::Mx && (self.always(who) || moved),
                    "{who} harms {theirs_before:?} at {name}: {from:?} becomes {to:?}"
                );
                self.ledger.remove(name, &rtype);
                if moved {
                    self.ledger.excused.insert(name.to_owned());
                }
            }
        }
    }

    /// A put of ours is about to be made. `changed` says whether the setting was
    /// touched since it was decided: SES has no compare-and-swap.
    pub(super) fn check_put(
        &mut self,
        who: usize,
        setting: &Setting,
        put: (Option<&MailFromDomain>, BehaviorOnMxFailure),
        changed: bool,
    ) {
        let held = self.identities[setting].mail_from.clone();
        let actor = &self.actors[who];
        let name = put.0.map(MailFromDomain::as_str);
        if put.1 == REJECT && actor.object.spec.rollout != Rollout::Immediate && !changed {
            let held = held.as_ref().expect("RejectMessage on nothing");
            assert_eq!(held.status, MailFromStatus::Success, "RejectMessage without Success");
            let mx = self.at(&held.domain, &RecordType::Mx);
            assert!(mx.is_some(), "RejectMessage without MX");
        }
        let Some(held) = held.filter(|held| name != Some(&*held.domain)) else { return };
        let marker = self.marker(&held.domain);
        let listing = marker.filter(|marker| marker.regions.contains_key(&setting.2));
        let ours = listing.as_ref().is_some_and(|marker| marker.owner == actor.owner());
        let another = self.actors.iter().find(|other| {
            let owner = other.owner();
            let lists = listing.as_ref().is_some_and(|marker| marker.owner == owner);
            lists && !other.gone && owner != actor.owner()
        });
        let may_swap = self.always(who) && another.is_none_or(|o| o.operator != actor.operator);
        assert!(
            changed || may_swap || another.is_none(),
            "{who} puts {name:?} over {}, which is another's",
            held.domain
        );
        if self.ledger.settings.get(setting).is_some_and(|theirs| held.domain == theirs.as_str()) {
            assert!(changed || may_swap || ours, "{who} puts {name:?} over {}", held.domain);
            assert!(changed || name.is_some(), "{who} clears what others set in {setting:?}");
            self.ledger.settings.remove(setting);
        }
    }

    /// Whether the policies of an actor's operator, told apart by hand, give it
    /// what its spec asks for.
    pub(super) fn is_allowed(&self, actor: &Actor) -> bool {
        let namespace = actor.key().namespace().clone();
        match self.operators[actor.operator].leave[&*namespace] {
            Leave::Everything => true,
            Leave::OneRegion => actor.object.spec.regions.iter().all(|r| r.name == REGIONS[0]),
            Leave::Nothing => false,
        }
    }

    fn holds(&self, actor: &Actor) -> bool {
        let acts = actor.object.spec.mode == Mode::Manage || actor.is_deleting();
        acts && !actor.gone && self.is_allowed(actor)
    }

    /// Effects were decided on: none at a place that another object of the same
    /// operator holds.
    pub(super) fn check_authority(&self, who: usize, effects: &[Effect]) {
        for effect in effects {
            let (Effect::ChangeRecords { grant, .. } | Effect::PutMailFrom { grant, .. }) = effect
            else {
                continue;
            };
            let me = &self.actors[who];
            let place = grant.place();
            assert!(self.holds(me), "{who} may not write at {place}");
            let regions = &self.settings.regions;
            let contends = |other: &&Actor| {
                let claimed = crate::plan::Places::of(&other.object, regions).unwrap().claimed;
                let same = match place {
                    Place::Name(_) => true,
                    Place::Region(region) => {
                        other.setting(region.as_str()) == me.setting(region.as_str())
                    }
                };
                other.operator == me.operator
                    && self.holds(other)
                    && claimed.contains(place)
                    && same
            };
            let rank = |actor: &&Actor| {
                let metadata = &actor.object.metadata;
                (metadata.creation_timestamp.clone(), metadata.uid.clone())
            };
            let contenders: Vec<&Actor> = self.actors.iter().filter(contends).collect();
            let marked = self.deciding_owner(me, place);
            let by_marker = contenders.iter().find(|actor| Some(actor.owner()) == marked);
            let holder = by_marker.or_else(|| contenders.iter().min_by_key(|actor| rank(actor)));
            let holder = holder.map(|actor| actor.key());
            // What only a marker names is claimed by nobody else.
            let mine =
                marked == Some(me.owner()) || holder.as_ref().is_none_or(|key| *key == me.key());
            assert!(mine, "{who} writes at {place}, and {holder:?} holds it");
        }
    }

    /// Whose marker decides who holds a place, as `me` sees it.
    fn deciding_owner(&self, me: &Actor, place: &Place) -> Option<crate::mail::Owner> {
        let name = match place {
            Place::Name(name) => name.to_string(),
            Place::Region(region) => {
                let domain = &me.object.spec.domain;
                let held = self.held(&me.setting(region.as_str()));
                let held = held.filter(|name| name.ends_with(&format!(".{domain}")));
                let wanted = || {
                    let spec = &me.object.spec;
                    let wants = spec.regions.iter().any(|r| r.name == region.as_str());
                    (wants && !me.is_deleting()).then(|| format!("{}.{domain}", spec.subdomain))
                };
                held.map(str::to_owned).or_else(wanted)?
            }
        };
        self.marker(&name).map(|marker| marker.owner)
    }

    /// Everything that stands, or is about to, under an object's marker may stay,
    /// `but` at one name.
    pub(super) fn excuse(&mut self, who: usize, but: Option<&str>) {
        let names = self.marked(who).into_iter().chain(self.about_to_change(who));
        let names: Vec<String> = names.filter(|name| Some(name.as_str()) != but).collect();
        self.ledger.excused.extend(names);
    }

    /// The names at which an object's marker stands.
    fn marked(&self, who: usize) -> Vec<String> {
        let owner = self.actors[who].owner();
        let marked = |set: &&RecordSet| {
            set.rtype == RecordType::Txt && markers(set).iter().any(|m| m.owner == owner)
        };
        let sets = self.records.iter().map(|(_, set)| set).filter(marked);
        sets.map(|set| set.name.to_string()).collect()
    }

    pub(super) fn is_marked(&self, who: usize) -> bool {
        !self.marked(who).is_empty()
    }

    pub(super) fn leave_in_place(&mut self, who: usize) {
        self.excuse(who, None);
    }

    /// The zone and SES are as they would be had we never been.
    pub(super) fn is_as_found(&self) {
        let every = self.records.iter().chain(&self.ledger.records).map(|(_, set)| set);
        let places: BTreeSet<_> =
            every.map(|set| (set.name.to_string(), set.rtype.as_str().to_owned())).collect();
        for (name, rtype) in places.iter().filter(|(_, rtype)| rtype != "NS") {
            let rtype = RecordType::from_name(rtype);
            let is = self.at(name, &rtype).map(sorted);
            let was = small_aws::at(&self.ledger.records, name, &rtype).map(sorted);
            if !self.ledger.excused.contains(name) {
                assert_eq!(is, was, "at {name}");
            }
        }
        for setting in self.identities.keys() {
            let (is, was) = (self.held(setting), self.ledger.settings.get(setting));
            let excused = is.is_some_and(|name| self.ledger.excused.contains(name));
            if !excused && !self.ledger.kept_up.contains(setting) {
                assert_eq!(is, was.map(String::as_str), "{setting:?}");
            }
        }
    }

    /// Applies an edit of somebody else to both worlds. The zone's own TTL counts
    /// where the value comes into a record set of ours.
    pub(super) fn edit_records(&mut self, edit: impl Fn(&mut Records)) {
        edit(&mut self.records);
        edit(&mut self.ledger.records);
        self.moves += 1;
    }

    pub(super) fn put_in_zone(&mut self, set: &RecordSet) {
        self.edit_records(|records| {
            records.retain(|(_, old)| old.name != set.name || old.rtype != set.rtype);
            records.push((ZONE.into(), set.clone()));
        });
    }
}
