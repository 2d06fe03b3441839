//! What SES was asked.

use aws_simulator::Service;

use super::{Logs, PUT, is_read, number};

/// Puts in one region, per domain: every call counts, a refused one as well.
pub(crate) fn writes_per_domain(logs: &Logs, region: &str, domains: usize) -> f64 {
    number(logs.of(PUT).filter(|call| call.region == region).count()) / number(domains)
}

/// How often the MAIL FROM of every identity was read in one region: reads that
/// name an identity, by the number of identities.
pub(crate) fn sweeps(logs: &Logs, region: &str, identities: usize) -> f64 {
    number(named(logs, region)) / number(identities)
}

/// How many identities reads of the MAIL FROM have named.
fn named(logs: &Logs, region: &str) -> usize {
    let reads = ["GetIdentityMailFromDomainAttributes", "GetEmailIdentity"];
    let calls = logs.calls.iter().filter(|call| call.region == region);
    let named = calls.filter(|call| reads.contains(&call.action.as_str()));
    named.map(|call| call.targets.len()).sum()
}

/// Reads of one region against the least that as many sweeps need: ⌈N/100⌉ calls
/// for MAIL FROM (v1, 100 identities a call) and ⌈N/1,000⌉ pages for verification
/// (v2 `ListEmailIdentities`) in each. The window may cut one round of the list
/// off from its sweep; one round more than there were sweeps is not counted. None
/// where there was no sweep.
pub(crate) fn reads_ratio(logs: &Logs, region: &str, identities: usize) -> Option<f64> {
    let sweeps = sweeps(logs, region, identities);
    let pages = number(identities.div_ceil(1_000));
    // The window may cut a call's worth off the last sweep.
    let calls = number(named(logs, region).div_ceil(100));
    let floor = calls.max(sweeps * number(identities.div_ceil(100))) + sweeps * pages;
    let reads = logs
        .calls
        .iter()
        .filter(|call| call.service == Service::Ses && call.region == region && is_read(call));
    let (mut lists, mut others) = (0, 0);
    for call in reads {
        if call.action == "ListEmailIdentities" { lists += 1 } else { others += 1 }
    }
    let due = sweeps * pages;
    let lists = number(lists);
    let lists = if lists > due { (lists - pages).max(due) } else { lists };
    (sweeps > 0.0).then(|| (number(others) + lists) / floor)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_simulator::Call;

    use super::*;
    use crate::figures::by_hand::{call, logs, refused, same};

    const REGION: &str = "us-east-1";

    fn batch(at: f64, from: usize, count: usize) -> Call {
        let names: Vec<String> = (from..from + count).map(|number| number.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        call(at, "GetIdentityMailFromDomainAttributes", &names)
    }

    #[test]
    fn a_put_that_was_refused_was_a_put() {
        let calls = vec![call(0.0, PUT, &["a"]), refused(0.0, PUT, &["b"], "Throttling")];
        let elsewhere = Call { region: "eu-west-1".to_owned(), ..call(0.0, PUT, &["a"]) };
        let logs = logs([calls, vec![elsewhere]].concat());
        assert!(same(writes_per_domain(&logs, REGION, 2), 1.0));
        assert!(same(writes_per_domain(&logs, "eu-west-1", 2), 0.5));
    }

    #[test]
    fn full_batches_and_one_page_are_the_floor() {
        let sweep = |at: f64| {
            vec![batch(at, 0, 100), batch(at, 100, 50), call(at, "ListEmailIdentities", &[])]
        };
        let logs = logs([sweep(0.0), sweep(600.0)].concat());
        assert!(same(sweeps(&logs, REGION, 150), 2.0));
        assert!(same(reads_ratio(&logs, REGION, 150).unwrap(), 1.0));
    }

    #[test]
    fn one_call_for_each_identity_is_not() {
        let calls: Vec<Call> =
            (0..150).map(|number| call(0.0, "GetEmailIdentity", &[&number.to_string()])).collect();
        assert!(same(reads_ratio(&logs(calls), REGION, 150).unwrap(), 50.0));
    }

    #[test]
    fn a_list_cut_off_by_the_window_is_forgiven_once() {
        let list = || call(0.0, "ListEmailIdentities", &[]);
        let once = logs(vec![batch(0.0, 0, 100), list(), list()]);
        assert!(same(reads_ratio(&once, REGION, 100).unwrap(), 1.0));
        let twice = logs(vec![batch(0.0, 0, 100), list(), list(), list()]);
        assert!(same(reads_ratio(&twice, REGION, 100).unwrap(), 1.5));
    }

    #[test]
    fn without_a_sweep_there_is_no_ratio() {
        assert_eq!(reads_ratio(&logs(vec![call(0.0, PUT, &["a"])]), REGION, 1), None);
    }
}
