//! What the DNS was asked, and how fast records were there.

use std::collections::BTreeSet;

use aws_simulator::{EventKind, RecordType, Service};

use super::{Logs, Span, seconds};

/// Questions but those for DMARC records.
pub(crate) fn questions(logs: &Logs) -> usize {
    logs.questions.len() - dmarc_questions(logs)
}

/// Questions for DMARC records, which are counted apart.
pub(crate) fn dmarc_questions(logs: &Logs) -> usize {
    let names = logs.questions.iter().map(|question| &question.name);
    names.filter(|name| name.labels().next() == Some("_dmarc")).count()
}

/// From the operator's start to the last of `n` names having both MX and TXT.
/// None where some have not.
pub(crate) fn path(logs: &Logs, start: f64, n: usize) -> Option<Span> {
    let mut complete = [BTreeSet::new(), BTreeSet::new()];
    for event in &logs.events {
        let EventKind::RecordSet { name, kind, to: Some(_), change: Some(_), .. } = &event.kind
        else {
            continue;
        };
        let of_kind = match *kind {
            RecordType::MX => 0,
            RecordType::TXT => 1,
            _ => continue,
        };
        complete[of_kind].insert(name);
        if complete.iter().all(|names| names.len() >= n) {
            return Some(Span { from: start, to: seconds(event.at) });
        }
    }
    None
}

/// Calls to Route 53 of any kind.
pub(crate) fn route53_calls(logs: &Logs) -> usize {
    logs.calls.iter().filter(|call| call.service == Service::Route53).count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use aws_simulator::{DnsQuestion, Event, Name};

    use super::*;

    fn written(at: u64, name: &str, kind: RecordType) -> Event {
        let kind = EventKind::RecordSet {
            zone: "Z".to_owned(),
            name: Name::parse(name).unwrap(),
            kind,
            from: None,
            to: Some(vec!["x".to_owned()]),
            change: Some("C".to_owned()),
        };
        Event { order: 0, at: Duration::from_secs(at), kind }
    }

    #[test]
    fn the_path_ends_with_the_last_record_of_the_last_name() {
        let mut events = vec![
            written(3, "a.example", RecordType::MX),
            written(4, "a.example", RecordType::TXT),
            written(5, "b.example", RecordType::TXT),
        ];
        let logs = |events: &Vec<Event>| Logs { events: events.clone(), ..Logs::default() };
        assert_eq!(path(&logs(&events), 1.0, 2), None);
        events.push(written(7, "b.example", RecordType::MX));
        assert_eq!(path(&logs(&events), 1.0, 2), Some(Span { from: 1.0, to: 7.0 }));
    }

    #[test]
    fn dmarc_is_counted_apart() {
        let question = |name: &str| DnsQuestion {
            order: 0,
            at: Duration::ZERO,
            server: Ipv4Addr::LOCALHOST,
            name: Name::parse(name).unwrap(),
            kind: RecordType::TXT,
        };
        let names = ["bounce.a.example", "_dmarc.a.example", "a.example"];
        let logs = Logs { questions: names.map(question).into(), ..Logs::default() };
        assert_eq!((questions(&logs), dmarc_questions(&logs)), (2, 1));
    }
}
