//! Figures with their floors and bounds, from what was seen of a run.

use crate::apart::{Culprit, DnsPath, sweeps_at_rest};
use crate::figures::{
    Figure, Logs, Span, culprit, dns, kubernetes, number, people, quota, route53, seconds, ses,
};
use crate::interactive::Interactive;
use crate::life::{Life, Restart, Steady};
use crate::scenario::{Scenario, Zones};
use crate::world::SUBDOMAIN;

const MIB: f64 = 1_048_576.0;
/// For how many objects the bounds of totals are told.
const MANY: usize = 10_000;

/// The smallest of the sizes that are measured.
const FEW: usize = 100;

/// Figures of one scenario as they come.
struct Sheet<'a> {
    scenario: &'a Scenario,
    figures: Vec<Figure>,
}

impl<'a> Sheet<'a> {
    fn of(scenario: &'a Scenario) -> Self {
        Self { scenario, figures: Vec::new() }
    }

    fn add(
        &mut self,
        name: &'static str,
        unit: &'static str,
        value: impl Into<Option<f64>>,
        (floor, bound): (Option<f64>, Option<f64>),
    ) {
        let (scenario, n) = (self.scenario.label(), self.scenario.n);
        self.figures.push(Figure { name, scenario, n, value: value.into(), unit, floor, bound });
    }

    /// The same, of one region of several.
    fn add_of(
        &mut self,
        region: &str,
        name: &'static str,
        unit: &'static str,
        value: impl Into<Option<f64>>,
        limits: (Option<f64>, Option<f64>),
    ) {
        self.add(name, unit, value, limits);
        if let Some(figure) = self.figures.last_mut().filter(|_| self.scenario.regions > 1) {
            figure.scenario = format!("{}/{region}", figure.scenario);
        }
    }

    /// A bound that is told for one region.
    fn one_region(&self, bound: f64) -> Option<f64> {
        (self.scenario.regions == 1).then_some(bound)
    }

    /// A bound of a ratio to so few seconds or calls with [`FEW`] objects that one
    /// more, or a second's rounding, would decide.
    fn not_few(&self, bound: f64) -> Option<f64> {
        (self.scenario.n > FEW).then_some(bound)
    }

    /// A bound that is told for [`MANY`] objects and means nothing for few.
    fn many(&self, bound: f64) -> Option<f64> {
        (self.scenario.n >= MANY).then_some(bound)
    }
}

/// What memory may take at rest, in MiB. Told are those with 100 objects and with
/// 10,000; a few hundred have every connection, buffer and kind of page in use, and
/// each object from there on adds its own.
const RSS_STEADY: [(f64, f64); 3] = [(100.0, 25.0), (1_000.0, 33.0), (10_000.0, 60.0)];

/// On the lines between those.
fn rss_bound(n: usize) -> f64 {
    let [few, some, many] = RSS_STEADY;
    let (from, to) = if number(n) <= some.0 { (few, some) } else { (some, many) };
    (from.1 + (to.1 - from.1) * (number(n) - from.0) / (to.0 - from.0)) * MIB
}

/// What it may take beyond that while converging.
const RSS_PEAK: f64 = 30.0 * MIB;

/// Of a whole life.
pub(crate) fn life(scenario: &Scenario, seen: &Life) -> Vec<Figure> {
    let mut sheet = Sheet::of(scenario);
    let converging = seen.logs.within(seen.converging.span);
    converge(&mut sheet, seen);
    writes(&mut sheet, &converging);
    route53_of(&mut sheet, &converging, seen.converging.span);
    let per_object = |count: usize| number(count) / number(scenario.n);
    let queries = per_object(dns::questions(&converging));
    sheet.add("dns_queries_per_object", "queries", queries, (None, Some(10.0)));
    let dmarc = per_object(dns::dmarc_questions(&converging));
    sheet.add("dns_queries_dmarc_per_object", "queries", dmarc, (None, None));
    let throttled = quota::throttled_share(&seen.logs);
    sheet.add("throttled_share", "share", throttled, (Some(0.0), Some(0.0)));
    // Of one process: another one has to ask anew.
    let end = seen.steady.as_ref().map_or(seen.converging.span, |steady| steady.measured.span).to;
    let process = seen.logs.within(Span { to: end, ..seen.converging.span });
    let sts = number(quota::sts_calls_per_hour(&process));
    sheet.add("sts_calls", "calls per credential and hour", sts, (None, Some(2.0)));
    let peak = sheet.one_region(rss_bound(scenario.n) + RSS_PEAK);
    sheet.add("rss_peak_bytes", "bytes", seen.rss_peak, (None, peak));
    sheet.add("cpu_seconds_converging", "CPU-seconds", seen.converging.cpu, (None, None));
    if !scenario.steady.is_zero() {
        steady(&mut sheet, seen);
    }
    restart(&mut sheet, &seen.logs, seen.restart.as_ref());
    sheet.figures
}

fn converge(sheet: &mut Sheet<'_>, seen: &Life) {
    let scenario = sheet.scenario;
    let puts = scenario.n * scenario.puts_per_domain();
    let floor =
        seen.alone.map(|alone| quota::converge_floor(puts, scenario.ses_allowance(), alone));
    let took = seen.converge.map(Span::length);
    sheet.add("alone_seconds", "s", seen.alone, (None, None));
    sheet.add("converge_seconds", "s", took, (floor, None));
    let ratio = took.zip(floor).map(|(took, floor)| took / floor);
    sheet.add("converge_ratio", "of floor", ratio, (Some(1.0), sheet.not_few(1.05)));
    sheet.add("sigterm_exit_seconds", "s", seen.exit, (None, Some(5.0)));
}

fn writes(sheet: &mut Sheet<'_>, converging: &Logs) {
    let (n, floor) = (sheet.scenario.n, number(sheet.scenario.puts_per_domain()));
    for region in sheet.scenario.regions() {
        let puts = ses::writes_per_domain(converging, region, n);
        sheet.add_of(region, "ses_writes_per_domain", "puts", puts, (Some(floor), Some(floor)));
    }
    let calls = number(converging.calls.len());
    sheet.add("aws_calls", "calls", calls, (None, None));
    let writes = kubernetes::writes(converging);
    sheet.add("api_writes", "requests", number(writes), (None, None));
    // One finalizer, a status ahead of the records and of each put, Pending, Ready,
    // and two Events.
    let bound = sheet.one_region(6.0 + floor);
    let each = number(writes) / number(n);
    sheet.add("api_writes_per_object", "requests", each, (None, bound));
}

fn route53_of(sheet: &mut Sheet<'_>, converging: &Logs, span: Span) {
    let scenario = sheet.scenario;
    let each = |count: usize| number(count) / number(scenario.n);
    let one = scenario.zones == Zones::One;
    // Few domains cannot share what is there once.
    let writes = each(route53::least_writes(converging));
    let bound = one.then_some(writes.max(0.01));
    let value = each(route53::writes(converging));
    sheet.add("route53_writes_per_domain", "changes", value, (Some(writes), bound));
    let reads = each(route53::least_reads(scenario.zone_count()));
    let bound: f64 = if one { 0.01 } else { 0.22 };
    let value = each(route53::reads(converging));
    let sweeps = sweeps_meanwhile(scenario, converging, span);
    let bound = bound.max(reads) + sweeps * each(route53::sweep_pages(scenario));
    sheet.add("route53_reads_per_domain", "reads", value, (Some(reads), Some(bound)));
    let bound = if one { 6.0 } else { 4.0 };
    let polls = route53::polls_per_batch(converging);
    sheet.add("getchange_per_batch", "polls", polls, (Some(1.0), Some(bound)));
}

/// How often all names were due to be read again while objects converged, beyond the
/// once that the told bounds hold.
fn sweeps_meanwhile(scenario: &Scenario, converging: &Logs, span: Span) -> f64 {
    let resync = seconds(scenario.resync());
    if scenario.resync.is_some() {
        // Shortened for the benchmark, it comes while names are still published.
        return span.length() / resync;
    }
    // The first that is due takes the others along, and the jitter is a tenth.
    let shortest = 0.9 * resync;
    let first = route53::first_change(converging).unwrap_or(span.to) + shortest;
    ((span.to - first) / shortest).floor().max(0.0)
}

fn steady(sheet: &mut Sheet<'_>, seen: &Life) {
    let scenario = sheet.scenario;
    let logs = seen.steady.as_ref().map(|steady| seen.logs.within(steady.measured.span));
    let value = |of: &dyn Fn(&Logs) -> Option<f64>| logs.as_ref().and_then(of);
    for region in scenario.regions() {
        let ratio = value(&|logs| ses::reads_ratio(logs, region, scenario.n));
        let limits = (Some(1.0), sheet.not_few(1.0));
        sheet.add_of(region, "ses_reads_per_sweep_ratio", "of floor", ratio, limits);
    }
    let home = scenario.regions().first().copied().unwrap_or_default();
    let sweeps = value(&|logs| Some(ses::sweeps(logs, home, scenario.n)));
    sheet.add("sweeps_at_rest", "sweeps", sweeps, (None, None));
    let queries = sweeps.filter(|sweeps| *sweeps > 0.0).and_then(|sweeps| {
        value(&|logs| Some(number(dns::questions(logs)) / number(scenario.n) / sweeps))
    });
    let limits = (Some(0.0), Some(0.0));
    sheet.add("dns_queries_per_object_and_resync", "queries", queries, limits);
    let calls = value(&|logs| Some(number(logs.calls.len())));
    sheet.add("aws_calls_at_rest", "calls", calls, (None, None));
    let writes = value(&|logs| Some(number(kubernetes::writes(logs))));
    sheet.add("api_writes_at_rest", "requests", writes, (None, None));
    processor(sheet, seen.steady.as_ref(), sweeps);
}

fn processor(sheet: &mut Sheet<'_>, steady: Option<&Steady>, sweeps: Option<f64>) {
    let n = sheet.scenario.n;
    let rss = sheet.one_region(rss_bound(n));
    sheet.add("rss_steady_bytes", "bytes", steady.map(|steady| steady.rss), (None, rss));
    let most = steady.map(|steady| steady.rss_most);
    sheet.add("rss_steady_most_bytes", "bytes", most, (None, None));
    let measured = steady.map(|steady| steady.measured);
    let share = measured.map(|measured| measured.cpu / measured.span.length());
    // The share is told for the default intervals.
    let bound = sheet.one_region(0.02).filter(|_| sheet.scenario.resync.is_none());
    sheet.add("cpu_steady_share", "cores", share, (None, bound));
    let per_sweep = measured
        .zip(sweeps.filter(|sweeps| *sweeps > 0.0))
        .map(|(measured, sweeps)| measured.cpu / sweeps);
    let bound = sheet.one_region(12.0 * number(n) / number(MANY)).filter(|_| n >= 1_000);
    sheet.add("cpu_seconds_per_sweep", "CPU-seconds", per_sweep, (None, bound));
}

fn restart(sheet: &mut Sheet<'_>, logs: &Logs, restart: Option<&Restart>) {
    let scenario = sheet.scenario;
    let complete = restart.filter(|restart| restart.complete);
    let logs = restart.map(|restart| logs.within(restart.measured.span));
    let count = |of: &dyn Fn(&Logs) -> usize| logs.as_ref().map(|logs| number(of(logs)));
    let none = (Some(0.0), Some(0.0));
    let aws = |logs: &Logs| {
        let puts = logs.of(crate::figures::PUT).count();
        puts + route53::writes(logs)
    };
    sheet.add("restart_aws_writes", "calls", count(&aws), none);
    sheet.add("restart_status_writes", "requests", count(&kubernetes::status_writes), none);
    sheet.add("restart_events", "requests", count(&kubernetes::events), none);
    let sets = 2 * scenario.n.div_ceil(scenario.zone_count()) + 2;
    let least = quota::LeastReads::of(scenario.n, scenario.zone_count(), sets);
    let floor = least.seconds(scenario.ses_allowance(), scenario.route53_allowance());
    let took = complete.and(logs.as_ref()).and_then(quota::look_over).map(Span::length);
    sheet.add("restart_seconds", "s", took, (Some(floor), None));
    let bound = sheet.many(1.2);
    sheet.add("restart_ratio", "of floor", took.map(|took| took / floor), (Some(1.0), bound));
    let synced = restart.map(|restart| restart.synced);
    sheet.add("restart_synced_seconds", "s", synced, (None, None));
    let peak = restart.map(|restart| restart.rss_peak);
    sheet.add("rss_peak_relist_bytes", "bytes", peak, (None, None));
}

/// Of a life beside another client.
pub(crate) fn shared(scenario: &Scenario, seen: &Life) -> Vec<Figure> {
    let mut sheet = Sheet::of(scenario);
    let converging = seen.logs.within(seen.converging.span);
    let throttled = quota::throttled_share(&converging);
    sheet.add("throttled_share", "share", throttled, (None, Some(0.01)));
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
    sheet.add("interactive_unseen", "changes", number(never), (Some(0.0), None));
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
    let cost = culprit::cost(&seen.logs.within(seen.converging.span), &seen.victim);
    let batch = cost.map(|cost| number(cost.batch));
    sheet.add("culprit_batch", "objects", batch, (None, None));
    let bound = culprit::bound(named, cost.map_or(1, |cost| cost.batch));
    let extra = cost.map(|cost| number(cost.extra));
    sheet.add("route53_extra_calls_per_culprit", "calls", extra, (None, Some(bound)));
    let retries = number(culprit::retries(&seen.logs, &seen.victim));
    sheet.add("culprit_retries", "calls", Some(retries), (None, None));
    sheet.add("culprit_others_ready_seconds", "s", seen.others, (None, None));
    let at_rest = seen.logs.within(seen.at_rest.span);
    let sweeps = sweeps_at_rest(scenario, seen.at_rest);
    let later = culprit::extra_at_rest(&at_rest, &seen.victim, sweeps);
    let limits = (Some(0.0), Some(0.0));
    sheet.add("route53_extra_calls_per_culprit_and_sweep", "calls", later, limits);
    sheet.figures
}

/// How each floor is reckoned, for the report.
pub(crate) const FLOORS: [(&str, &str); 11] = [
    (
        "converge_seconds",
        "(puts - 1) / allowance + T(1): puts are those of one region, since each region has a bucket of its own; T(1) is one object alone from the operator's start to Ready, in the same run",
    ),
    ("ses_writes_per_domain", "one put a region; two where RejectMessage waits for Success"),
    (
        "ses_reads_per_sweep_ratio",
        "ceil(N/100) GetIdentityMailFromDomainAttributes + ceil(N/1000) ListEmailIdentities for each time that all identities were read",
    ),
    (
        "api_writes_per_object",
        "no floor; bound: one finalizer, two Events, and a status ahead of the records, ahead of each put, for Pending and for Ready",
    ),
    (
        "route53_writes_per_domain",
        "per zone the larger of ceil(values/1000) and ceil(characters/32000), of the values that were written",
    ),
    (
        "route53_reads_per_domain",
        "ceil(zones/100) pages of zones and one List for each zone, before anything is published; bound: besides, the pages of each resync but the first in which names were due again, or of each at all where it is shortened",
    ),
    ("getchange_per_batch", "one poll that finds INSYNC"),
    (
        "restart_seconds",
        "the slowest bucket: ceil(N/100)/SES allowance, ceil(N/1000)/SES allowance, or (pages of 300 record sets + pages of 100 zones)/Route 53 allowance",
    ),
    ("dns_path_seconds", "(Route 53 calls of the floor - 1) / Route 53 allowance"),
    ("dns_path_route53_calls", "reads of one empty zone and the batches for what was written"),
    (
        "rss_steady_bytes",
        "no floor; the mean of samples that are 10 s apart, with a scrape each 30 s, since what a scrape takes is given back some seconds later; 25 MiB with 100 objects, 33 with 1,000, 60 with 10,000, and on the lines between those; the peak may be 30 MiB above",
    ),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;
    use crate::figures::CHANGE;
    use crate::figures::by_hand::{call, logs, same};
    use crate::scenario::full;

    #[test]
    fn memory_has_the_bounds_that_are_told_for_100_and_for_10_000() {
        assert!(same(rss_bound(100), 25.0 * MIB));
        assert!(same(rss_bound(1_000), 33.0 * MIB));
        assert!(same(rss_bound(10_000), 60.0 * MIB));
        assert!(same(rss_bound(10_000) + RSS_PEAK, 90.0 * MIB));
    }

    #[test]
    fn a_bound_of_one_region_binds_no_more() {
        let scenarios = full();
        for scenario in &scenarios {
            let sheet = Sheet::of(scenario);
            assert_eq!(sheet.one_region(1.0).is_some(), scenario.name != "three-regions");
            assert_eq!(sheet.many(1.0).is_some(), scenario.n == 10_000);
        }
    }

    #[test]
    fn of_all_resyncs_meanwhile_the_first_is_in_the_bound_already() {
        let changed = logs(vec![call(20.0, CHANGE, &["Z"]), call(100.0, CHANGE, &["Z"])]);
        let one = full().swap_remove(0);
        let sweeps =
            |scenario: &Scenario, to| sweeps_meanwhile(scenario, &changed, Span { from: 0.0, to });
        let twice = 20.0 + 2.0 * 540.0;
        assert!(same(sweeps(&one, 50.0), 0.0) && same(sweeps(&one, twice - 1.0), 0.0));
        assert!(same(sweeps(&one, twice + 1.0), 1.0) && same(sweeps(&one, twice + 541.0), 2.0));
        let short = Scenario { resync: Some(Duration::from_secs(25)), ..one };
        assert!(same(sweeps(&short, 110.0), 4.4));
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
