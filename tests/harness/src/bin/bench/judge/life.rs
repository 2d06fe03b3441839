//! A whole life: of the way to Ready, and what follows it.

use std::time::Duration;

use super::memory::{RSS_PEAK, rss_bound};
use super::rest::{restart, steady};
use super::sheet::Sheet;
use crate::figures::{Figure, Logs, Span, dns, kubernetes, number, quota, route53, seconds, ses};
use crate::life::Life;
use crate::scenario::{Scenario, Zones};

/// `--poll-min` and `--put-hold-off` by default.
const POLL_MIN: Duration = Duration::from_secs(15);
const PUT_HOLD_OFF: Duration = Duration::from_mins(1);

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
    let (puts, allowance) = (scenario.puts(), scenario.ses_allowance());
    let floor = seen.alone.map(|alone| quota::converge_floor(puts, allowance, alone));
    let took = seen.converge.map(Span::length);
    sheet.add("alone_seconds", "s", seen.alone, (None, Some(alone_bound(scenario))));
    sheet.add("converge_seconds", "s", took, (floor, None));
    let ratio = took.zip(floor).map(|(took, floor)| took / floor);
    sheet.add("converge_ratio", "of floor", ratio, (Some(1.0), converge_bound(scenario)));
    sheet.add("sigterm_exit_seconds", "s", seen.exit, (None, Some(5.0)));
}

/// How long one object alone may take, in seconds: what AWS takes, and polls that find
/// out. A floor is reckoned from it, so it may not grow unseen.
fn alone_bound(scenario: &Scenario) -> f64 {
    let poll = scenario.poll_min.unwrap_or(POLL_MIN);
    let between_puts = if scenario.reject { PUT_HOLD_OFF } else { Duration::ZERO };
    let aws = scenario.in_sync_after + scenario.first_look;
    seconds(aws + 2 * poll + between_puts) + 2.0
}

/// What the time may be of its floor, where the puts alone take half a minute: of less
/// the rounding of a second would decide.
fn converge_bound(scenario: &Scenario) -> Option<f64> {
    (quota::converge_floor(scenario.puts(), scenario.ses_allowance(), 0.0) >= 30.0).then_some(1.05)
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
    let writes = each(route53::least_writes(converging));
    let bound = one.then(|| writes_bound(scenario.n));
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

/// How many changes a domain may take in one zone: as is told, whatever is written. So
/// few as make more than that of a single batch have one.
fn writes_bound(n: usize) -> f64 {
    (1.0 / number(n)).max(0.01)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::CHANGE;
    use crate::figures::by_hand::{call, logs, same};
    use crate::scenario::{Course, full, quick, real};

    #[test]
    fn the_time_to_ready_is_bound_where_the_puts_take_half_a_minute() {
        let bound = |scenarios: Vec<Scenario>| {
            let lives = scenarios.into_iter().filter(|one| one.course == Course::Life);
            lives.map(|one| (one.n, converge_bound(&one).is_some())).collect::<Vec<_>>()
        };
        assert_eq!(bound(quick()), [(1_000, true); 2]);
        assert_eq!(bound(real()), [(100, true); 2]);
        assert!(bound(full()).into_iter().all(|(n, bound)| bound == (n > 100)));
    }

    #[test]
    fn one_zone_takes_a_hundredth_of_a_change_a_domain_or_one_batch() {
        assert!(same(writes_bound(10_000), 0.01) && same(writes_bound(100), 0.01));
        assert!(same(writes_bound(20), 0.05));
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
}
