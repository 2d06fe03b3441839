//! One writer per hosted zone: Route 53 refuses a change while another one to
//! the same zone is being made (`PriorRequestNotComplete`).

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::access::{Access, LaneKey};
use super::caller::Payer;
use super::lane::{Asked, Holder};
use super::lock;
use super::permit::ChangePermit;
use crate::authority::{Grant, ObjectKey};
use crate::mail::HostedZoneId;

/// Who writes to which zone, and who waits to.
#[derive(Debug, Default)]
pub(super) struct Writers(HashMap<HostedZoneId, Line>);

#[derive(Debug)]
struct Line {
    /// Has the zone: waits for a permit, or has one.
    first: ObjectKey,
    /// A permit for the zone exists.
    writing: bool,
    /// With who pays for the write of each.
    behind: VecDeque<(ObjectKey, Payer)>,
}

impl Writers {
    /// Whether the object has the zone now; if not, it stands in line.
    fn join(&mut self, zone: &HostedZoneId, object: &ObjectKey, payer: &Payer) -> bool {
        let Some(line) = self.0.get_mut(zone) else {
            let line = Line { first: object.clone(), writing: false, behind: VecDeque::new() };
            self.0.insert(zone.clone(), line);
            return true;
        };
        let has_it = line.first == *object && !line.writing;
        if !has_it && !line.behind.iter().any(|(other, _)| other == object) {
            line.behind.push_back((object.clone(), payer.clone()));
        }
        has_it
    }

    fn writes(&mut self, zone: &HostedZoneId) {
        if let Some(line) = self.0.get_mut(zone) {
            line.writing = true;
        }
    }

    /// The object is done with the zone: it has written, or it let its permit
    /// lapse unless it has another one by now. Returns who has the zone next.
    fn leave(
        &mut self,
        zone: &HostedZoneId,
        object: &ObjectKey,
        wrote: bool,
    ) -> Option<(ObjectKey, Payer)> {
        let line = self.0.get_mut(zone)?;
        if line.first != *object || line.writing != wrote {
            return None;
        }
        let next = line.behind.pop_front();
        if let Some((next, _)) = &next {
            (line.first, line.writing) = (next.clone(), false);
        } else {
            self.0.remove(zone);
        }
        next
    }
}

impl Access {
    /// A permit to change the zone, if the object has both the zone and a token.
    pub(super) fn change_permit(
        self: &Arc<Self>,
        grant: &Grant,
        zone: &HostedZoneId,
    ) -> Option<ChangePermit> {
        let object = grant.object();
        let payer = self.caller(grant.credentials()).payer();
        let holder = Holder { object: object.clone(), zone: Some(zone.clone()) };
        let lane = self.lane(&LaneKey::Route53(payer.clone()));
        let mut writers = lock(&self.writers);
        if !writers.join(zone, object, &payer) {
            return None;
        }
        match lane.ask(&holder, grant.is_urgent()) {
            Asked::Now(token) => {
                writers.writes(zone);
                drop(writers);
                Some(ChangePermit::new(token, holder, zone.clone(), Arc::clone(self)))
            }
            Asked::Later { start } => {
                drop(writers);
                if start {
                    self.work(lane);
                }
                None
            }
        }
    }

    /// Passes a zone on; the next in line gets a permit when a token is there.
    pub(super) fn release(self: &Arc<Self>, holder: &Holder, wrote: bool) {
        let Some(zone) = &holder.zone else { return };
        let next = lock(&self.writers).leave(zone, &holder.object, wrote);
        let Some((next, payer)) = next else { return };
        let lane = self.lane(&LaneKey::Route53(payer));
        if lane.queue_permit(&Holder { object: next, zone: Some(zone.clone()) }, false) {
            self.work(lane);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(id: &str) -> Option<HostedZoneId> {
        HostedZoneId::parse(id)
    }

    fn object(name: &str) -> ObjectKey {
        ObjectKey { namespace: "mail".into(), name: name.into() }
    }

    fn join(writers: &mut Writers, zone: &HostedZoneId, name: &str) -> bool {
        writers.join(zone, &object(name), &Payer::Account(name.to_owned()))
    }

    fn leave(
        writers: &mut Writers,
        zone: &HostedZoneId,
        name: &str,
        wrote: bool,
    ) -> Option<String> {
        let (next, payer) = writers.leave(zone, &object(name), wrote)?;
        assert_eq!(payer, Payer::Account(next.name.to_string()), "each pays for its own write");
        Some(next.name.to_string())
    }

    #[test]
    fn a_zone_has_one_writer_and_the_others_stand_in_line_once() {
        let mut writers = Writers::default();
        let (Some(z1), Some(z2)) = (zone("Z1"), zone("Z2")) else { unreachable!("legal ids") };
        assert!(join(&mut writers, &z1, "a"));
        assert!(join(&mut writers, &z1, "a"), "asking again changes nothing");
        assert!(join(&mut writers, &z2, "b"), "zones do not wait for each other");
        for name in ["b", "c", "b"] {
            assert!(!join(&mut writers, &z1, name));
        }
        writers.writes(&z1);
        assert!(!join(&mut writers, &z1, "a"), "a second permit beside the first");
        assert_eq!(leave(&mut writers, &z1, "a", true), Some("b".to_owned()));
        assert!(join(&mut writers, &z1, "b"));
        assert_eq!(leave(&mut writers, &z1, "b", false), Some("c".to_owned()));
        assert_eq!(leave(&mut writers, &z1, "c", false), Some("a".to_owned()));
        assert_eq!(leave(&mut writers, &z1, "a", false), None);
        assert!(join(&mut writers, &z1, "d"), "an idle zone is free");
    }

    #[test]
    fn only_who_has_the_zone_can_pass_it_on() {
        let mut writers = Writers::default();
        let Some(z1) = zone("Z1") else { unreachable!("a legal id") };
        join(&mut writers, &z1, "a");
        join(&mut writers, &z1, "b");
        assert_eq!(leave(&mut writers, &z1, "b", false), None);
        writers.writes(&z1);
        let lapsed = leave(&mut writers, &z1, "a", false);
        assert_eq!(lapsed, None, "an old permit lapsed, but a new one is in use");
    }
}
