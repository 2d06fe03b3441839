//! How long people wait.

use std::collections::BTreeMap;

use super::{Logs, seconds};

/// What a person did to an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// The SES identity of the object.
    pub(crate) identity: String,
    /// When it was sent to the API server, in seconds.
    pub(crate) sent: f64,
    /// When the API server had answered.
    pub(crate) replied: f64,
}

/// For each change the seconds from the API server's reply to the first call that
/// names the identity: as SES does, or by a record at a name below it. A call may
/// overtake the reply, and then nobody has waited. Infinite where none came.
pub(crate) fn waits(logs: &Logs, changes: &[Change], subdomain: &str) -> Vec<f64> {
    let below = format!("{subdomain}.");
    let mut named = BTreeMap::<&str, Vec<f64>>::new();
    for call in &logs.calls {
        for target in &call.targets {
            let name = target.split(' ').next().unwrap_or(target);
            let identity = name.strip_prefix(&below).unwrap_or(name);
            named.entry(identity).or_default().push(seconds(call.at));
        }
    }
    let wait = |change: &Change| {
        let times = named.get(change.identity.as_str()).map_or(&[][..], Vec::as_slice);
        let first = times.partition_point(|at| *at < change.sent);
        times.get(first).map_or(f64::INFINITY, |at| (at - change.replied).max(0.0))
    };
    changes.iter().map(wait).collect()
}

/// The value that 99 of 100 do not exceed (nearest rank). None where that is not
/// finite, or there is none.
pub(crate) fn p99(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * 99).div_ceil(100);
    let value = values.get(rank.checked_sub(1)?)?;
    value.is_finite().then_some(*value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::by_hand::{call, logs};
    use crate::figures::{CHANGE, PUT};

    fn change(identity: &str, sent: f64, replied: f64) -> Change {
        Change { identity: identity.to_owned(), sent, replied }
    }

    #[test]
    fn a_call_names_an_identity_as_ses_does_or_by_its_record() {
        let logs = logs(vec![
            call(1.0, PUT, &["a.example"]),
            call(5.0, CHANGE, &["Z", "bounce.a.example MX"]),
            call(6.0, "GetIdentityMailFromDomainAttributes", &["b.example", "c.example"]),
            call(9.0, PUT, &["a.example"]),
        ]);
        let changes = [
            change("a.example", 1.5, 2.0),
            change("c.example", 5.0, 6.5),
            change("d.example", 0.0, 0.5),
        ];
        assert_eq!(waits(&logs, &changes, "bounce"), [3.0, 0.0, f64::INFINITY]);
    }

    #[test]
    fn one_in_a_hundred_may_be_slower() {
        let most = |slow: usize| {
            let values = (0..200).map(|at| if at < slow { f64::INFINITY } else { 1.0 });
            p99(values.collect())
        };
        assert_eq!(most(2), Some(1.0));
        assert_eq!(most(3), None);
        assert_eq!(p99(vec![3.0]), Some(3.0));
        assert_eq!(p99(vec![]), None);
    }
}
