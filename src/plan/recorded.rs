//! What status says of the records at a name, and which of them were repaired.

use super::records::{Conflict, Difference, Wanted, our_mx};
use super::scene::Scene;
use super::survey::{Surveyed, own_values};
use crate::api::{RecordState, RecordStatus};
use crate::authority::Place;
use crate::mail::{Change, MailFromDomain, Mx, Origin, RecordSet, RecordType};

impl Scene<'_> {
    /// The types whose values were right before and are not any more.
    pub(super) fn repaired(
        &self,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        difference: &Difference,
    ) -> Vec<RecordType> {
        let marked = surveyed.mark.mine().is_some();
        // Another preference moves nothing, but somebody wrote it.
        let regions = &self.world.settings.regions;
        let other_mx = surveyed
            .mx()
            .and_then(|set| our_mx(set, regions))
            .is_some_and(|found| found != wanted.mx());
        let same = self.stored.observed_generation == self.desired.generation;
        let drifted = |rtype: &RecordType, value: &str, ttl: u32, found: Option<u32>| {
            let stored = self.record_status(&wanted.name, rtype.as_str());
            let Some(stored) = stored.filter(|stored| stored.origin.is_some()) else {
                return false;
            };
            let said = stored.values.first().is_some_and(|first| is_same(rtype, first, value));
            // Others may have edited the SPF record that lost our terms.
            let said = said || (same && *rtype == RecordType::Txt);
            let stood = matches!(stored.state, RecordState::Published | RecordState::Conflict);
            // Or it was repaired, and gone again before it was seen.
            let was_right = said && (stood || !stored.repair_times.is_empty());
            let same_ttl = u32::try_from(stored.ttl_seconds).ok() == Some(ttl);
            let ttl_moved = same_ttl && found.is_some_and(|found| found != ttl);
            let changes = difference.changes.iter().any(|change| change_type(change) == rtype);
            let lost_marker = *rtype == RecordType::Txt && !marked;
            let moved = difference.moved.contains(rtype) || (*rtype == RecordType::Mx && other_mx);
            was_right && changes && (moved || ttl_moved || lost_marker)
        };
        let mut repaired = Vec::new();
        let mx = wanted.mx().to_value();
        if drifted(&RecordType::Mx, &mx, wanted.ttl, surveyed.mx().map(|set| set.ttl)) {
            repaired.push(RecordType::Mx);
        }
        let spf = wanted.txt_values().swap_remove(0);
        let (txt, ttl) = (surveyed.txt(), wanted.txt_ttl(surveyed.txt()));
        if drifted(&RecordType::Txt, &spf, ttl, txt.map(|set| set.ttl)) {
            repaired.push(RecordType::Txt);
        }
        repaired
    }

    /// Tells whether another repair would feed a war, and forgets old repairs.
    /// The repair to come is counted by its write-ahead: what is reported while
    /// it waits for quota has not been done, and status says what was there. One
    /// that was handed over or was lost is counted already.
    pub(super) fn count_repairs(
        &self,
        records: &mut [RecordStatus],
        repaired: &[RecordType],
        place: &Place,
        again: bool,
    ) -> bool {
        let mut looping = false;
        for record in records {
            let counted = self.counted_repairs(&record.repair_times);
            if !repaired.iter().any(|rtype| rtype.as_str() == record.rtype) {
                record.repair_times = self.settled_repairs(counted, place);
                continue;
            }
            let stored = self
                .stored
                .records
                .iter()
                .find(|stored| (&stored.name, &stored.rtype) == (&record.name, &record.rtype));
            let feeds_a_war = Self::is_loop(&counted) && !again;
            looping |= feeds_a_war;
            record.repair_times = counted;
            match stored {
                Some(stored) if !feeds_a_war || stored.state == RecordState::Conflict => {
                    record.state = stored.state;
                    record.since.clone_from(&stored.since);
                }
                _ if feeds_a_war => record.state = RecordState::Conflict,
                _ => {}
            }
        }
        looping
    }

    /// What stands of ours at a name that status knows nothing of: status was
    /// lost, and the name would be forgotten once SES holds another.
    pub(super) fn found_records(
        &self,
        name: &MailFromDomain,
        surveyed: &Surveyed<'_>,
    ) -> Vec<RecordStatus> {
        let Some(marker) = surveyed.mark.mine() else { return Vec::new() };
        let found = [(surveyed.mx(), marker.mx), (surveyed.txt(), marker.spf.record)];
        let found = found.into_iter().filter_map(|(set, origin)| Some((set?, origin)));
        let status = |(set, origin): (&RecordSet, Origin)| RecordStatus {
            name: name.to_string(),
            rtype: set.rtype.to_string(),
            ttl_seconds: i32::try_from(set.ttl).unwrap_or(i32::MAX),
            values: own_values(set),
            zone: surveyed.zone.id.to_string(),
            state: RecordState::Published,
            origin: Some(origin),
            adopted_time: (origin == Origin::Adopted).then(|| self.now()),
            since: Some(self.now()),
            repair_times: Vec::new(),
        };
        found.map(status).collect()
    }

    pub(super) fn record_statuses(
        &self,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
        difference: &Difference,
        conflicts: &[Conflict],
    ) -> Vec<RecordStatus> {
        let mx = self.mx_shown(surveyed, wanted);
        let txt_ttl = wanted.txt_ttl(surveyed.txt());
        let txt = (RecordType::Txt, wanted.txt_values(), txt_ttl, wanted.marker.spf.record);
        let status = |(rtype, values, ttl, origin): (RecordType, Vec<String>, u32, Origin)| {
            let stored = self.record_status(&wanted.name, rtype.as_str());
            let seen = stored.is_some_and(|s| {
                let kept = matches!(s.state, RecordState::Published | RecordState::Draining);
                kept && s.values.first().is_some_and(|said| is_same(&rtype, said, &values[0]))
            });
            let state = if conflicts.iter().any(|conflict| conflict.rtype == rtype) {
                RecordState::Conflict
            } else if seen && !difference.moved.contains(&rtype) {
                RecordState::Published
            } else {
                RecordState::Planned
            };
            let unchanged = stored.filter(|s| s.state == state);
            RecordStatus {
                name: wanted.name.to_string(),
                rtype: rtype.to_string(),
                ttl_seconds: i32::try_from(ttl).unwrap_or(i32::MAX),
                values,
                zone: surveyed.zone.id.to_string(),
                state,
                origin: Some(origin),
                adopted_time: (origin == Origin::Adopted)
                    .then(|| stored.and_then(|s| s.adopted_time.clone()))
                    .map(|adopted| adopted.unwrap_or_else(|| self.now())),
                since: unchanged.and_then(|s| s.since.clone()).or_else(|| Some(self.now())),
                repair_times: stored.map(|s| s.repair_times.clone()).unwrap_or_default(),
            }
        };
        let mut records: Vec<RecordStatus> = [mx, txt].map(status).into();
        if self.desired.observes() && surveyed.mark.mine().is_none() {
            // Neither made nor adopted: only looked at.
            for record in &mut records {
                (record.origin, record.adopted_time) = (None, None);
            }
        }
        records
    }

    /// The MX as status shows it: an adopted one as it stands.
    fn mx_shown(
        &self,
        surveyed: &Surveyed<'_>,
        wanted: &Wanted,
    ) -> (RecordType, Vec<String>, u32, Origin) {
        let regions = &self.world.settings.regions;
        let origin = wanted.marker.mx;
        let found = surveyed.mx().filter(|_| origin == Origin::Adopted);
        let current = found.and_then(|found| Some((our_mx(found, regions)?, found.ttl)));
        let current = current.filter(|(mx, _)| mx.host == wanted.host);
        let (mx, ttl) = current.unwrap_or_else(|| (wanted.mx(), wanted.ttl));
        (RecordType::Mx, vec![mx.to_value()], ttl, origin)
    }
}

/// Whether two values of a type mean the same: of an MX, the host counts.
fn is_same(rtype: &RecordType, one: &str, other: &str) -> bool {
    let host = |value: &str| Mx::parse(value).map(|mx| mx.host);
    one == other || (*rtype == RecordType::Mx && host(one).is_some() && host(one) == host(other))
}

pub(super) fn change_type(change: &Change) -> &RecordType {
    match change {
        Change::Create(set) | Change::Delete(set) => &set.rtype,
    }
}
