//! What the API server was asked to write, by its audit log.

use super::Logs;

const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// Writes of the operator, Events included, the leader's lease apart. One that
/// was refused has cost as much.
pub(crate) fn writes(logs: &Logs) -> usize {
    count(logs, |_, resource| resource != "leases")
}

/// Writes of objects' status.
pub(crate) fn status_writes(logs: &Logs) -> usize {
    count(logs, |subresource, resource| resource == "sesmailfroms" && subresource == "status")
}

/// Events.
pub(crate) fn events(logs: &Logs) -> usize {
    count(logs, |_, resource| resource == "events")
}

fn count(logs: &Logs, wanted: impl Fn(&str, &str) -> bool) -> usize {
    let requests = logs.requests.iter().map(|asked| &asked.request);
    requests
        .filter(|request| WRITES.contains(&request.verb.as_str()))
        .filter(|request| wanted(&request.subresource, &request.resource))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::by_hand::asked;

    #[test]
    fn reads_and_the_lease_are_no_writes_and_events_are() {
        let requests = vec![
            asked("list", "sesmailfroms", ""),
            asked("watch", "sesmailfroms", ""),
            asked("patch", "sesmailfroms", ""),
            asked("patch", "sesmailfroms", "status"),
            asked("update", "leases", ""),
            asked("create", "events", ""),
        ];
        let logs = Logs { requests, ..Logs::default() };
        assert_eq!((writes(&logs), status_writes(&logs), events(&logs)), (3, 1, 1));
    }
}
