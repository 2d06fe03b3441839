//! Runs that are no whole life.

use super::sheet::Sheet;
use crate::apart::{Culprit, DnsPath, sweeps_at_rest};
use crate::figures::{Figure, Span, culprit, dns, number, people, quota, route53};
use crate::interactive::Interactive;
use crate::life::Life;
use crate::scenario::Scenario;
use crate::world::SUBDOMAIN;

/// Of a life beside another client, which was granted a share of the quota.
pub(crate) fn shared(scenario: &Scenario, seen: &Life, share: f64) -> Vec<Figure> {
    let mut sheet = Sheet::of(scenario);
    let converging = seen.logs.within(seen.converging.span);
    let throttled = quota::throttled_share(&converging);
    sheet.add("throttled_share", "share", throttled, (None, Some(0.01)));
    sheet.add("other_client_share", "of the quota", share, (None, None));
    let took = seen.converge.map(Span::length);
    sheet.add("converge_seconds", "s", took, (None, None));
    sheet.figures
}

/// How much longer it took beside another client, once both are known.
pub(crate) fn beside_another(figures: &[Figure]) -> Vec<Figure> {
    let of = |scenario: &'static str| {
        let converged = figures.iter().filter(|figure| figure.name == "converge_seconds");
        converged.filter(move |figure| figure.scenario == scenario)
    };
    let ratio = |shared: &Figure| {
        let sole = of("one-zone").find(|sole| sole.n == shared.n)?.value?;
        let (floor, bound) = (Some(1.0), Some(2.2));
        let value = shared.value.map(|took| took / sole);
        let (name, unit) = ("shared_time_ratio", "of the sole user's");
        Some(Figure { name, value, unit, floor, bound, ..shared.clone() })
    };
    of("shared-quota").filter_map(ratio).collect()
}

/// Of people's changes.
pub(crate) fn interactive(scenario: &Scenario, seen: &Interactive) -> Vec<Figure> {
    let mut sheet = Sheet::of(scenario);
    let waits = people::waits(&seen.logs, &seen.changes, SUBDOMAIN);
    sheet.add("interactive_changes", "changes", number(waits.len()), (None, None));
    let never = waits.iter().filter(|wait| !wait.is_finite()).count();
    sheet.add("interactive_unseen", "changes", number(never), (Some(0.0), Some(0.0)));
    sheet.add("interactive_p99_seconds", "s", people::p99(waits), (None, Some(3.0)));
    sheet.add("sigterm_waiting", "objects", number(seen.waiting), (None, None));
    sheet.add("sigterm_exit_seconds", "s", seen.exit, (None, Some(5.0)));
    sheet.figures
}

/// Of the path to DNS.
pub(crate) fn dns_path(scenario: &Scenario, seen: &DnsPath) -> Vec<Figure> {
    let mut sheet = Sheet::of(scenario);
    let path = dns::path(&seen.logs, seen.start, scenario.n);
    let least = route53::least_reads(1) + route53::least_writes(&seen.logs);
    let calls = path.map(|path| {
        // The end is excluded from a span, and the last change is of it.
        let path = Span { to: path.to + 1e-6, ..path };
        number(dns::route53_calls(&seen.logs.within(path)))
    });
    let floor = path.map(|_| number(least));
    let seconds = floor.map(|least| (least - 1.0) / scenario.route53_allowance());
    sheet.add("dns_path_seconds", "s", path.map(Span::length), (seconds, Some(10.0)));
    sheet.add("dns_path_route53_calls", "calls", calls, (floor, Some(12.0)));
    sheet.figures
}

/// Of a refused change.
pub(crate) fn refused(scenario: &Scenario, seen: &Culprit, named: bool) -> Vec<Figure> {
    let mut sheet = Sheet::of(scenario);
    let converging = seen.logs.within(seen.converging.span);
    let batch = culprit::batch(&converging);
    sheet.add("culprit_batch", "objects", batch.map(number), (None, None));
    let cost = culprit::cost(&converging, &seen.victim, culprit::FULL);
    let bound = culprit::bound(named, batch.unwrap_or(1));
    let limits = (None, Some(bound));
    sheet.add("route53_extra_calls_per_culprit", "calls", cost.map(number), limits);
    let end = seen.at_rest.span.to;
    let whole = seen.logs.within(Span { to: end, ..seen.converging.span });
    let found = culprit::found_alone(&whole, &seen.victim);
    let retries = number(culprit::retries(&whole, &seen.victim, found));
    let limits = (Some(0.0), Some(culprit::retries_allowed(found, end)));
    sheet.add("culprit_retries", "calls", retries, limits);
    // None where they never were. The culprit is not put.
    let floor = number(scenario.n.saturating_sub(2)) / scenario.ses_allowance();
    let limits = (Some(floor), Some(1.5 * floor));
    sheet.add("culprit_others_ready_seconds", "s", seen.others, limits);
    let at_rest = seen.logs.within(seen.at_rest.span);
    let sweeps = sweeps_at_rest(scenario, seen.at_rest);
    let later = culprit::extra_at_rest(&at_rest, &seen.victim, found, sweeps);
    let limits = (Some(0.0), Some(0.0));
    sheet.add("route53_extra_calls_per_culprit_and_sweep", "calls", later, limits);
    sheet.figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::PUT;
    use crate::figures::by_hand::{call, logs};
    use crate::scenario::quick;
    use crate::stage::Measured;

    #[test]
    fn one_change_of_a_thousand_that_nobody_saw_is_over_its_bound() {
        let change = |number: usize| people::Change {
            identity: format!("d{number}.example"),
            sent: 1.0,
            replied: 1.0,
        };
        let scenario = quick().swap_remove(0);
        let unseen = |made: usize| {
            let call = |number: usize| call(2.0, PUT, &[&format!("d{number}.example")]);
            let span = Span { from: 0.0, to: 9.0 };
            let seen = Interactive {
                logs: logs((0..1_000).map(call).collect()),
                changes: (0..made).map(change).collect(),
                exit: None,
                waiting: 0,
                measured: Measured { span, cpu: 0.0, busy: 0.0 },
            };
            let figures = interactive(&scenario, &seen);
            let good = |name| figures.iter().any(|one| one.name == name && one.is_good());
            (good("interactive_p99_seconds"), good("interactive_unseen"))
        };
        assert_eq!((unseen(1_000), unseen(1_001)), ((true, true), (true, false)));
    }

    #[test]
    fn the_time_beside_another_client_is_told_by_the_sole_users() {
        let figure = |scenario: &str, n, value| Figure {
            name: "converge_seconds",
            scenario: scenario.to_owned(),
            n,
            value,
            unit: "s",
            floor: None,
            bound: None,
        };
        let figures = [
            figure("one-zone", 100, Some(10.0)),
            figure("shared-quota", 100, Some(23.0)),
            figure("shared-quota", 1_000, Some(5.0)),
        ];
        let ratios = beside_another(&figures);
        assert_eq!(ratios.len(), 1);
        assert_eq!(ratios[0].value, Some(2.3));
        assert!(!ratios[0].is_good());
    }
}
