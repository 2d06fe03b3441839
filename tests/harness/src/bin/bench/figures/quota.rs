//! Time against what the quota allows, and what it costs others.

use std::collections::{BTreeMap, BTreeSet};

use aws_simulator::{Call, Service};

use super::{Logs, Span, is_read, is_throttled, number, seconds, succeeded};

/// What lists the record sets of a zone.
const LIST: &str = "ListResourceRecordSets";

/// The least time until all objects are Ready, in seconds: SES takes puts one at
/// a time at the allowance, so the last leaves `(puts − 1) / allowance` after the
/// first; and a single object takes `alone`, T(1), which holds everything that is
/// not waiting for quota: start, look-ups, publishing, INSYNC, SES's own look.
/// `puts` is per bucket: of one region.
pub(crate) fn converge_floor(puts: usize, allowance: f64, alone: f64) -> f64 {
    number(puts.saturating_sub(1)) / allowance + alone
}

/// Which share of the calls was throttled, from 0 to 1. None without calls.
pub(crate) fn throttled_share(logs: &Logs) -> Option<f64> {
    let all = logs.calls.iter().filter(|call| call.service != Service::Sts);
    let (mut count, mut throttled) = (0, 0);
    for call in all {
        count += 1;
        throttled += usize::from(is_throttled(call));
    }
    (count > 0).then(|| number(throttled) / number(count))
}

/// The most calls to STS that carry one access key within any hour.
pub(crate) fn sts_calls_per_hour(logs: &Logs) -> usize {
    let mut times = BTreeMap::<&str, Vec<f64>>::new();
    for call in logs.calls.iter().filter(|call| call.service == Service::Sts) {
        times.entry(&call.access_key).or_default().push(seconds(call.at));
    }
    let most = |times: Vec<f64>| {
        let within = |from: f64| {
            let hour = from..from + 3600.0;
            times.iter().filter(|at| hour.contains(*at)).count()
        };
        times.iter().map(|from| within(*from)).max().unwrap_or_default()
    };
    times.into_values().map(most).max().unwrap_or_default()
}

/// From the first call to AWS after a restart until the last thing was looked at
/// for the first time. None where nothing was read.
pub(crate) fn look_over(logs: &Logs) -> Option<Span> {
    let from = logs.calls.iter().map(|call| seconds(call.at)).reduce(f64::min)?;
    let mut looked = BTreeMap::<(&str, &str, &str), f64>::new();
    for call in logs.calls.iter().filter(|call| is_read(call) && succeeded(call)) {
        for target in looked_at(call) {
            let key = (call.region.as_str(), call.action.as_str(), target);
            looked.entry(key).or_insert(seconds(call.at));
        }
    }
    let to = looked.into_values().reduce(f64::max)?;
    Some(Span { from, to })
}

/// Identities by name; of Route 53 whatever the page begins with.
fn looked_at(call: &Call) -> Vec<&str> {
    match call.service {
        Service::Route53 => call.targets.last().map(String::as_str).into_iter().collect(),
        _ => call.targets.iter().map(String::as_str).collect(),
    }
}

/// How many of the identities have been named by a successful read in a region.
fn identities_seen(logs: &Logs, region: &str) -> usize {
    let calls = logs.calls.iter().filter(|call| {
        call.service == Service::Ses && call.region == region && is_read(call) && succeeded(call)
    });
    let seen: BTreeSet<&String> = calls.flat_map(|call| &call.targets).collect();
    seen.len()
}

/// How many pages of record sets have been listed, in all zones: each by where it
/// begins.
fn pages_seen(logs: &Logs) -> usize {
    let calls = logs.calls.iter().filter(|call| call.action == LIST && succeeded(call));
    let seen: BTreeSet<(Option<&String>, Option<&String>)> =
        calls.map(|call| (call.targets.first(), call.targets.last())).collect();
    seen.len()
}

/// What has not been seen: how many identities, of `n`, in the region where the most
/// are, and how many pages of the least that hold all record sets.
pub(crate) fn unseen(logs: &Logs, regions: &[&str], n: usize, pages: usize) -> usize {
    let identities = regions.iter().map(|region| n.saturating_sub(identities_seen(logs, region)));
    identities.max().unwrap_or(0) + pages.saturating_sub(pages_seen(logs))
}

/// What one look at everything takes of each bucket, at the least: SES tells 100
/// identities a call and lists 1,000 a page, in every region by itself; Route 53
/// lists 300 record sets a page, never of two zones, and 100 zones a page.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LeastReads {
    /// `GetIdentityMailFromDomainAttributes` in one region.
    pub(crate) mail_from: usize,
    /// `ListEmailIdentities` in one region.
    pub(crate) identities: usize,
    /// Record sets and zones together.
    pub(crate) route53: usize,
}

impl LeastReads {
    /// Of `n` domains in `zones` zones that hold `sets` record sets each.
    pub(crate) fn of(n: usize, zones: usize, sets: usize) -> Self {
        Self {
            mail_from: n.div_ceil(100),
            identities: n.div_ceil(1_000),
            route53: zones * sets.div_ceil(300) + zones.div_ceil(100),
        }
    }

    /// The time that the slowest bucket needs for them, in seconds.
    pub(crate) fn seconds(self, ses_allowance: f64, route53_allowance: f64) -> f64 {
        let ses = number(self.mail_from.max(self.identities)) / ses_allowance;
        ses.max(number(self.route53) / route53_allowance)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::figures::by_hand::{call, logs, refused, same};
    use crate::figures::{CHANGE, PUT};

    const READ: &str = "GetIdentityMailFromDomainAttributes";

    #[test]
    fn the_first_put_waits_for_no_quota() {
        assert!(same(converge_floor(1, 1.0, 42.0), 42.0));
        assert!(same(converge_floor(10_000, 19.6, 40.0), 9_999.0 / 19.6 + 40.0));
    }

    #[test]
    fn throttled_calls_are_counted_among_all_but_those_to_sts() {
        let calls = vec![
            call(0.0, "GetCallerIdentity", &[]),
            call(0.0, PUT, &["a"]),
            refused(0.0, PUT, &["b"], "TooManyRequestsException"),
            refused(0.0, CHANGE, &["Z"], "InvalidChangeBatch"),
            call(0.0, PUT, &["b"]),
        ];
        assert!(same(throttled_share(&logs(calls)).unwrap(), 0.25));
        assert_eq!(throttled_share(&logs(vec![])), None);
    }

    #[test]
    fn sts_is_counted_by_key_over_any_hour() {
        let who = |at, key: &str| Call {
            access_key: key.to_owned(),
            ..call(at, "GetCallerIdentity", &[])
        };
        let calls = vec![who(0.0, "a"), who(3_000.0, "a"), who(3_601.0, "a"), who(5.0, "b")];
        assert_eq!(sts_calls_per_hour(&logs(calls)), 2);
        assert_eq!(sts_calls_per_hour(&logs(vec![call(0.0, PUT, &[])])), 0);
    }

    #[test]
    fn a_look_over_ends_when_the_last_is_seen_for_the_first_time() {
        let calls = vec![
            call(1.0, "GetCallerIdentity", &[]),
            call(2.0, READ, &["a", "b"]),
            refused(3.0, READ, &["c"], "Throttling"),
            call(4.0, READ, &["c"]),
            call(9.0, READ, &["a", "c"]),
        ];
        let logs = logs(calls);
        assert_eq!(look_over(&logs), Some(Span { from: 1.0, to: 4.0 }));
        assert_eq!(identities_seen(&logs, "us-east-1"), 3);
        assert_eq!(identities_seen(&logs, "eu-west-1"), 0);
        assert_eq!(pages_seen(&logs), 0);
    }

    #[test]
    fn unseen_is_what_the_worst_region_lacks_and_each_page() {
        let elsewhere = Call { region: "eu-west-1".to_owned(), ..call(1.0, READ, &["a"]) };
        let calls = vec![
            call(1.0, READ, &["a", "b"]),
            elsewhere,
            call(1.0, LIST, &["Z1", "a.example"]),
            refused(1.0, LIST, &["Z2", "a.example"], "Throttling"),
        ];
        let logs = logs(calls);
        let unseen = |regions: &[&str], pages| unseen(&logs, regions, 3, pages);
        assert_eq!(unseen(&["us-east-1"], 1), 1);
        assert_eq!(unseen(&["us-east-1", "eu-west-1"], 1), 2);
        assert_eq!(unseen(&["us-east-1", "eu-west-1"], 2), 3);
    }

    #[test]
    fn two_pages_are_two_things_to_look_at() {
        let mut calls = vec![
            call(1.0, LIST, &["Z1", "a.example"]),
            call(2.0, LIST, &["Z1", "m.example"]),
            call(3.0, LIST, &["Z1", "a.example"]),
        ];
        assert_eq!(look_over(&logs(calls.clone())), Some(Span { from: 1.0, to: 2.0 }));
        calls.push(call(4.0, LIST, &["Z2", "a.other"]));
        assert_eq!(pages_seen(&logs(calls)), 3);
    }

    #[test]
    fn the_slowest_bucket_sets_the_floor() {
        let one_zone = LeastReads::of(10_000, 1, 20_002);
        assert_eq!(one_zone, LeastReads { mail_from: 100, identities: 10, route53: 68 });
        assert!(same(one_zone.seconds(19.6, 80.0), 100.0 / 19.6));
        let many = LeastReads::of(10_000, 1_000, 22);
        assert_eq!(many.route53, 1_010);
        assert!(same(many.seconds(19.6, 80.0), 1_010.0 / 80.0));
    }
}
