//! What holds of two or three objects that are after the same things, whoever's
//! turn it is and whatever others do between.

mod actors;
mod casts;
mod ledger;
mod story;
mod turn;
mod world;

use proptest::prelude::*;
use proptest::sample::select;

use self::actors::Leave;
use self::casts::{Cast, Found, casts, found, stage};
use self::story::{Event, event};
use self::world::Crowd;
use crate::api::Reason;
use crate::mail::MailFromStatus;

/// For what an object is stalled that another keeps from what it wants.
const CONFLICTS: [&str; 3] = ["DomainConflict", "RecordConflict", "MailFromConflict"];

fn leave() -> impl Strategy<Value = [Leave; 2]> {
    use Leave::{Everything, Nothing, OneRegion};
    let second = select(vec![Everything, Everything, OneRegion, Nothing]);
    second.prop_map(|second| [Everything, second])
}

/// Plays a story, lets the world come to rest, and deletes one object after the other.
fn live(casts: &[Cast], leave: [Leave; 2], found: Option<&Found>, events: &[Event]) {
    let mut crowd = stage(casts, leave, found);
    for event in events {
        crowd.happen(event);
    }
    crowd.heal(leave);
    crowd.rest();
    crowd.is_right();
    for operator in 0..crowd.operators.len() {
        crowd.restart(operator);
    }
    assert_eq!(crowd.rest(), (0, 0), "a second run: {:?}", crowd.done.last());
    for who in 0..crowd.actors.len() {
        if !crowd.actors[who].gone {
            crowd.delete(who);
            crowd.rest();
            assert!(crowd.actors[who].gone, "{who} is not let go: {}", crowd.ready(who));
            crowd.is_right();
        }
    }
    crowd.is_as_found();
}

impl Crowd {
    fn ready(&self, who: usize) -> String {
        let status = self.actors[who].object.status.as_ref();
        let conditions = status.map(|status| status.conditions.as_slice()).unwrap_or_default();
        let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
        ready.map_or_else(String::new, |ready| format!("{} {}", ready.reason, ready.message))
    }

    /// Every object is Ready or says what keeps it; where nobody else has meddled,
    /// that is another object, and somebody has got what he wants.
    fn is_right(&self) {
        let (mut stalled, mut kept_out) = (false, false);
        for (who, actor) in self.actors.iter().enumerate().filter(|(_, actor)| !actor.gone) {
            let is = |kind| actor.condition(kind).filter(|(status, _)| *status == "True");
            if is("Ready").is_some() {
                self.stands(who);
                continue;
            }
            let (_, reason) = is("Stalled").unwrap_or_else(|| panic!("{who}: {}", self.ready(who)));
            let denied = reason == Reason::PolicyDenied.as_str();
            assert_eq!(denied, !self.is_allowed(actor), "{who}: {}", self.ready(who));
            stalled |= !denied;
            let meddled = self.ledger.meddled || denied;
            assert!(meddled || CONFLICTS.contains(&reason), "{who}: {}", self.ready(who));
            // What it published while it was allowed stays.
            kept_out |= denied && self.is_marked(who);
        }
        let quiet = self.ledger.records.is_empty() && self.ledger.settings.is_empty();
        let alone = quiet && !kept_out && self.ledger.excused.is_empty();
        let mut held = self.identities.values().filter_map(|identity| identity.mail_from.as_ref());
        let somebody = held.any(|held| held.status == MailFromStatus::Success);
        assert!(!alone || !stalled || somebody, "everybody is in everybody's way");
    }

    fn stands(&self, who: usize) {
        let actor = &self.actors[who];
        let spec = &actor.object.spec;
        for region in &spec.regions {
            let held = self.identities[&actor.setting(&region.name)].mail_from.as_ref();
            let name = format!("{}.{}", spec.subdomain, spec.domain);
            let right = held.is_some_and(|held| {
                held.domain == name.as_str()
                    && held.status == MailFromStatus::Success
                    && held.behavior == spec.behavior_on_mx_failure
            });
            assert!(right, "{who} is Ready, and SES in {} holds {held:?}", region.name);
        }
    }
}

proptest! {
    #[test]
    fn rivals_under_one_operator_harm_nobody_and_come_to_rest(
        casts in casts(Just(0)),
        leave in leave(),
        found in prop::option::of(found()),
        events in prop::collection::vec(event(), 0..20),
    ) {
        live(&casts, leave, found.as_ref(), &events);
    }

    #[test]
    fn two_operators_on_the_same_domains_harm_nobody_and_come_to_rest(
        casts in casts(0..2usize),
        leave in leave(),
        found in prop::option::of(found()),
        events in prop::collection::vec(event(), 0..20),
    ) {
        live(&casts, leave, found.as_ref(), &events);
    }
}
