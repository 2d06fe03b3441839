//! The converged operator: at rest, and started anew.

use super::memory::rss_bound;
use super::sheet::{MANY, Sheet};
use crate::figures::{Logs, PUT, Span, dns, kubernetes, number, quota, route53, seconds, ses};
use crate::life::{Life, Restart, Steady};
use crate::scenario::Scenario;

/// In so many resyncs each object is looked at: one, and what a sweep takes.
const WHOLE: f64 = 1.1;

pub(super) fn steady(sheet: &mut Sheet<'_>, seen: &Life) {
    let scenario = sheet.scenario;
    let logs = seen.steady.as_ref().map(|steady| seen.logs.within(steady.measured.span));
    let value = |of: &dyn Fn(&Logs) -> Option<f64>| logs.as_ref().and_then(of);
    for region in scenario.regions() {
        let ratio = value(&|logs| ses::reads_ratio(logs, region, scenario.n));
        let limits = (Some(1.0), sheet.not_few(1.0));
        sheet.add_of(region, "ses_reads_per_sweep_ratio", "of floor", ratio, limits);
    }
    let span = seen.steady.as_ref().map_or(0.0, |steady| steady.measured.span.length());
    let most = sweeps_bound(scenario, span);
    for region in scenario.regions() {
        let sweeps = value(&|logs| Some(ses::sweeps(logs, region, scenario.n)));
        sheet.add_of(region, "sweeps_at_rest", "sweeps", sweeps, (None, Some(most)));
    }
    let reads = value(&|logs| Some(number(route53::reads(logs))));
    let pages = route53::sweep_pages(scenario);
    // The list of zones is remembered for an hour.
    let bound = number(pages) * most
        + number(scenario.zone_count().div_ceil(100)) * (span / 3_600.0).ceil();
    sheet.add("route53_reads_at_rest", "reads", reads, (None, Some(bound)));
    let unseen =
        value(&|logs| Some(number(quota::unseen(logs, scenario.regions(), scenario.n, pages))));
    let whole = span >= WHOLE * seconds(scenario.resync());
    let bound = whole.then_some(0.0);
    sheet.add("unseen_at_rest", "identities and pages", unseen, (Some(0.0), bound));
    let home = scenario.regions().first().copied().unwrap_or_default();
    let sweeps = value(&|logs| Some(ses::sweeps(logs, home, scenario.n)));
    let queries = sweeps.filter(|sweeps| *sweeps > 0.0).and_then(|sweeps| {
        value(&|logs| Some(number(dns::questions(logs)) / number(scenario.n) / sweeps))
    });
    let none = (Some(0.0), Some(0.0));
    sheet.add("dns_queries_per_object_and_resync", "queries", queries, none);
    let calls = value(&|logs| Some(number(logs.calls.len())));
    sheet.add("aws_calls_at_rest", "calls", calls, (None, None));
    let writes = value(&|logs| Some(number(aws_writes(logs))));
    sheet.add("aws_writes_at_rest", "calls", writes, none);
    let writes = value(&|logs| Some(number(kubernetes::writes(logs))));
    sheet.add("api_writes_at_rest", "requests", writes, none);
    processor(sheet, seen.steady.as_ref(), sweeps);
}

/// Puts and changes.
fn aws_writes(logs: &Logs) -> usize {
    logs.of(PUT).count() + route53::writes(logs)
}

/// How often all may be read at rest: at the shortest pace, which the jitter of a tenth
/// makes, and once more for where the span is cut.
fn sweeps_bound(scenario: &Scenario, span: f64) -> f64 {
    span / (0.9 * seconds(scenario.resync())) + 1.0
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

pub(super) fn restart(sheet: &mut Sheet<'_>, logs: &Logs, restart: Option<&Restart>) {
    let scenario = sheet.scenario;
    let unseen = restart.map(|restart| restart.unseen);
    let logs = restart.map(|restart| logs.within(restart.measured.span));
    let count = |of: &dyn Fn(&Logs) -> usize| logs.as_ref().map(|logs| number(of(logs)));
    let none = (Some(0.0), Some(0.0));
    sheet.add("restart_aws_writes", "calls", count(&aws_writes), none);
    sheet.add("restart_status_writes", "requests", count(&kubernetes::status_writes), none);
    sheet.add("restart_events", "requests", count(&kubernetes::events), none);
    let sets = 2 * scenario.n.div_ceil(scenario.zone_count()) + 2;
    let least = quota::LeastReads::of(scenario.n, scenario.zone_count(), sets);
    let floor = least.seconds(scenario.ses_allowance(), scenario.route53_allowance());
    let seen_all = logs.as_ref().filter(|_| unseen == Some(0));
    let took = seen_all.and_then(quota::look_over).map(Span::length);
    sheet.add("restart_unseen", "identities and pages", unseen.map(number), none);
    sheet.add("restart_seconds", "s", took, (Some(floor), None));
    let bound = sheet.many(1.2);
    sheet.add("restart_ratio", "of floor", took.map(|took| took / floor), (Some(1.0), bound));
    let synced = restart.map(|restart| restart.synced);
    sheet.add("restart_synced_seconds", "s", synced, (None, None));
    let peak = restart.map(|restart| restart.rss_peak);
    sheet.add("rss_peak_restart_bytes", "bytes", peak, (None, None));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::figures::by_hand::{asked, call, logs};
    use crate::figures::{CHANGE, Figure};
    use crate::judge::FLOORS;
    use crate::scenario::{Course, full};
    use crate::stage::Measured;

    /// What is seen of an hour at rest in which all identities are read each `pace`
    /// seconds, in full calls.
    fn hour(scenario: &Scenario, pace: u32) -> Life {
        let names: Vec<String> = (0..scenario.n).map(|at| at.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let times = (0..3_600 / pace).map(|turn| f64::from(turn * pace));
        let calls = times.map(|at| call(at, "GetIdentityMailFromDomainAttributes", &names));
        let span = Span { from: 0.0, to: 3_600.0 };
        let measured = Measured { span, cpu: 0.0, busy: 0.0 };
        Life {
            logs: logs(calls.collect()),
            alone: None,
            converge: None,
            converging: measured,
            rss_peak: 0.0,
            steady: Some(Steady { measured, rss: 0.0, rss_most: 0.0 }),
            restart: None,
            exit: None,
        }
    }

    fn figure(scenario: &Scenario, seen: &Life, name: &str) -> Figure {
        let mut sheet = Sheet::of(scenario);
        steady(&mut sheet, seen);
        let mut figures = sheet.figures.into_iter();
        figures.find(|figure| figure.name == name).unwrap()
    }

    #[test]
    fn who_reads_all_more_often_than_each_resync_is_over_its_bound() {
        let scenario = full().swap_remove(0);
        let good = |pace| figure(&scenario, &hour(&scenario, pace), "sweeps_at_rest").is_good();
        assert!(good(600) && good(540));
        assert!(!good(60) && !good(400));
    }

    #[test]
    fn who_leaves_one_unseen_for_longer_than_a_resync_and_a_sweep_is_over_its_bound() {
        let scenario = full().swap_remove(0);
        let mut seen = hour(&scenario, 600);
        seen.logs.calls.push(call(9.0, "ListResourceRecordSets", &["Z", "0"]));
        let good = |seen: &Life| figure(&scenario, seen, "unseen_at_rest").is_good();
        assert!(good(&seen));
        let mut blind = hour(&scenario, 600);
        assert!(!good(&blind), "no record was seen");
        blind.logs.calls = seen.logs.calls.clone();
        for call in &mut blind.logs.calls {
            call.targets.retain(|target| target != "7");
        }
        assert!(!good(&blind), "the rest is seen six times over");
        let short = Span { from: 0.0, to: 599.0 };
        blind.steady.as_mut().unwrap().measured.span = short;
        assert!(good(&blind), "it may be seen later");
    }

    #[test]
    fn who_reads_the_records_again_and_again_is_over_its_bound() {
        let scenario = full().swap_remove(0);
        let good = |times: u32| {
            let mut seen = hour(&scenario, 600);
            let read = |at| call(f64::from(at), "ListResourceRecordSets", &["Z", "0"]);
            seen.logs.calls.extend((0..times).map(read));
            figure(&scenario, &seen, "route53_reads_at_rest").is_good()
        };
        assert!(good(7) && !good(20));
    }

    #[test]
    fn how_each_floor_is_reckoned_is_in_the_report() {
        let scenario = full().swap_remove(0);
        let figures = crate::judge::life(&scenario, &hour(&scenario, 600));
        for figure in figures.iter().filter(|figure| figure.floor.is_some()) {
            assert!(FLOORS.iter().any(|(name, _)| *name == figure.name), "{}", figure.name);
        }
    }

    #[test]
    fn a_restart_that_has_not_seen_all_is_over_its_bound_with_any_number_of_objects() {
        for scenario in full().iter().filter(|scenario| scenario.course == Course::Life) {
            let good = |unseen| {
                let measured = Measured { span: Span { from: 0.0, to: 9.0 }, cpu: 0.0, busy: 0.0 };
                let seen = Restart { measured, synced: 0.0, unseen, rss_peak: 0.0 };
                let mut sheet = Sheet::of(scenario);
                restart(&mut sheet, &Logs::default(), Some(&seen));
                let mut figures = sheet.figures.into_iter();
                figures.find(|figure| figure.name == "restart_unseen").unwrap().is_good()
            };
            assert!(good(0) && !good(1), "{scenario:?}");
        }
    }

    #[test]
    fn at_rest_nothing_is_written() {
        let scenario = full().swap_remove(0);
        let quiet = hour(&scenario, 600);
        let writes = ["aws_writes_at_rest", "api_writes_at_rest"];
        assert!(writes.iter().all(|name| figure(&scenario, &quiet, name).is_good()));
        for write in [call(1.0, PUT, &["a"]), call(1.0, CHANGE, &["Z", "a. MX"])] {
            let mut seen = hour(&scenario, 600);
            seen.logs.calls.push(write);
            assert!(!figure(&scenario, &seen, "aws_writes_at_rest").is_good());
        }
        let mut seen = hour(&scenario, 600);
        seen.logs.requests.push(asked("patch", "sesmailfroms", "status"));
        assert!(!figure(&scenario, &seen, "api_writes_at_rest").is_good());
    }
}
