//! What Route 53 was asked.

use std::collections::BTreeMap;

use aws_simulator::{Call, EventKind, Name, RecordType, Service};

use super::{CHANGE, Logs, POLL, is_read, number, seconds, succeeded};
use crate::scenario::Scenario;

/// Changes that were sent, refused ones included.
pub(crate) fn writes(logs: &Logs) -> usize {
    logs.of(CHANGE).count()
}

/// When the first change was sent.
pub(crate) fn first_change(logs: &Logs) -> Option<f64> {
    logs.of(CHANGE).map(|call| seconds(call.at)).reduce(f64::min)
}

/// The least number of batches for what was written: a batch is of one zone and
/// holds 1,000 records and 32,000 characters of their values (API reference,
/// quotas). Taken from the values that stand in the end, so that it says the same of
/// an operator that writes other markers, and of one that writes them again.
pub(crate) fn least_writes(logs: &Logs) -> usize {
    let mut standing = BTreeMap::<(&str, &Name, RecordType), &[String]>::new();
    for event in &logs.events {
        let EventKind::RecordSet { zone, name, kind, to, change: Some(_), .. } = &event.kind else {
            continue;
        };
        // What was taken away again, nothing had to be written for.
        standing.insert((zone, name, *kind), to.as_deref().unwrap_or_default());
    }
    let mut zones = BTreeMap::<&str, (usize, usize)>::new();
    for ((zone, ..), values) in standing {
        let (records, characters) = zones.entry(zone).or_default();
        *records += values.len();
        *characters += values.iter().map(|value| value.chars().count()).sum::<usize>();
    }
    let least = |(records, characters): (usize, usize)| {
        records.div_ceil(1_000).max(characters.div_ceil(32_000))
    };
    zones.into_values().map(least).sum()
}

/// Reads of zones and record sets, the polls of changes apart.
pub(crate) fn reads(logs: &Logs) -> usize {
    reads_of(logs).count()
}

/// Those reads.
pub(crate) fn reads_of(logs: &Logs) -> impl Iterator<Item = &Call> {
    let of_it = |call: &&Call| call.service == Service::Route53;
    logs.calls.iter().filter(of_it).filter(|call| is_read(call) && call.action != POLL)
}

/// The least number of reads before everything is published: zones are found by
/// `ListHostedZonesByName`, 100 a page, and each is listed once; what is not
/// there yet takes no page.
pub(crate) fn least_reads(zones: usize) -> usize {
    zones.div_ceil(100) + zones
}

/// The pages that one look at all published records takes, 300 record sets each:
/// MX and TXT of each domain, and the apex's own two of each zone.
pub(crate) fn sweep_pages(scenario: &Scenario) -> usize {
    let zones = scenario.zone_count();
    zones * (2 * scenario.n.div_ceil(zones) + 2).div_ceil(300)
}

/// Polls for each change that was accepted. None without changes.
pub(crate) fn polls_per_batch(logs: &Logs) -> Option<f64> {
    let batches = logs.of(CHANGE).filter(|call| succeeded(call)).count();
    (batches > 0).then(|| number(logs.of(POLL).count()) / number(batches))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use aws_simulator::Event;

    use super::*;
    use crate::figures::by_hand::{call, logs, refused, same};

    /// A TXT of a name; without values it is gone.
    fn written(zone: &str, name: &str, values: &[&str], change: Option<&str>) -> Event {
        let values: Vec<String> = values.iter().map(|&value| value.to_owned()).collect();
        let kind = EventKind::RecordSet {
            zone: zone.to_owned(),
            name: Name::parse(name).unwrap(),
            kind: RecordType::TXT,
            from: None,
            to: (!values.is_empty()).then_some(values),
            change: change.map(str::to_owned),
        };
        Event { order: 0, at: Duration::ZERO, kind }
    }

    /// The same values at so many names.
    fn all(values: &[&str], count: usize) -> Vec<Event> {
        let names = (0..count).map(|number| format!("d{number}.example"));
        names.map(|name| written("Z", &name, values, Some("C"))).collect()
    }

    fn of_events(events: Vec<Event>) -> Logs {
        Logs { events, ..Logs::default() }
    }

    #[test]
    fn a_batch_is_full_by_its_characters_or_by_its_records() {
        let events = |values: &[&str], count| of_events(all(values, count));
        let long = "x".repeat(200);
        assert_eq!(least_writes(&events(&[&long], 160)), 1, "32,000 characters");
        assert_eq!(least_writes(&events(&[&long], 161)), 2);
        assert_eq!(least_writes(&events(&["x", "y"], 500)), 1, "1,000 records");
        assert_eq!(least_writes(&events(&["x", "y"], 501)), 2);
    }

    #[test]
    fn zones_share_no_batch_and_edits_of_others_are_not_ours() {
        let events = vec![
            written("Z1", "a.example", &["x"], Some("C1")),
            written("Z2", "a.example", &["x"], Some("C2")),
            written("Z3", "a.example", &["x"], None),
        ];
        assert_eq!(least_writes(&of_events(events)), 2);
    }

    #[test]
    fn values_that_are_written_again_or_taken_away_raise_no_floor() {
        let three_times = [all(&["x", "y"], 500), all(&["x"], 500), all(&["x", "y"], 500)];
        assert_eq!(least_writes(&of_events(three_times.concat())), 1);
        let gone = [all(&["x", "y"], 501), vec![written("Z", "d0.example", &[], Some("D"))]];
        assert_eq!(least_writes(&of_events(gone.concat())), 1);
        assert_eq!(least_writes(&of_events([all(&["x"], 9), all(&[], 9)].concat())), 0);
    }

    #[test]
    fn polls_are_no_reads_and_a_refused_change_is_a_write_but_no_batch() {
        let logs = logs(vec![
            call(0.0, "ListHostedZonesByName", &["example"]),
            call(0.0, "ListResourceRecordSets", &["Z", "a.example"]),
            refused(0.0, CHANGE, &["Z"], "InvalidChangeBatch"),
            call(0.0, CHANGE, &["Z"]),
            call(0.0, POLL, &["C"]),
            call(0.0, POLL, &["C"]),
            call(0.0, "GetEmailIdentity", &["a.example"]),
        ]);
        assert_eq!((writes(&logs), reads(&logs)), (2, 2));
        assert!(same(polls_per_batch(&logs).unwrap(), 2.0));
    }

    #[test]
    fn zones_are_found_by_the_hundred_and_listed_one_by_one() {
        assert_eq!(least_reads(1), 2);
        assert_eq!(least_reads(1_000), 1_010);
    }
}
