//! What one refused change costs.

use std::collections::BTreeSet;

use aws_simulator::{Call, Outcome};

use super::{CHANGE, Logs, number, route53, seconds};

/// How many names a full batch changes at the least: 32,000 characters of values hold
/// 186 domains here, some 172 of each, the markers included. As many with longer
/// markers are full as well.
pub(crate) const FULL: usize = 170;

/// How many names the first refused batch changes. None where nothing was refused.
pub(crate) fn batch(logs: &Logs) -> Option<usize> {
    first_refused(logs).map(|call| names(call).len())
}

fn first_refused(logs: &Logs) -> Option<&Call> {
    logs.of(CHANGE).find(|call| is_refused(call))
}

/// Calls beyond those of a batch that nothing is wrong with, for the first refused
/// one, in which `victim` is the name that cannot be changed. Without it one call
/// would have done; so extra is every change with a name of that batch, from the
/// refused one on, but one. Once the victim was refused alone it has been found: that
/// it is tried again is counted by [`retries`]. Reads are extra where they ask for the
/// victim by name, and where they ask once more for what was asked before, until the
/// last of those changes: later ones are the sweeps'. None where nothing was refused,
/// or the batch changes fewer names than a `full` one: it would cost less than that.
pub(crate) fn cost(logs: &Logs, victim: &str, full: usize) -> Option<usize> {
    let refused = first_refused(logs)?;
    let names = names(refused);
    if names.len() < full {
        return None;
    }
    let shares = |call: &&Call| names_of(call).any(|name| names.contains(name));
    let found = found_alone(logs, victim);
    let retry = |call: &&Call| is_retry(call, victim, found);
    let later = logs.of(CHANGE).filter(|call| call.order > refused.order);
    let again: Vec<&Call> = later.filter(shares).filter(|call| !retry(call)).collect();
    let last = again.last().map_or(refused.order, |call| call.order);
    let (before, after): (Vec<&Call>, Vec<&Call>) =
        route53::reads_of(logs).partition(|call| call.order < refused.order);
    let known: BTreeSet<(&str, &[String])> = before.iter().map(|call| key(call)).collect();
    let repeats = |call: &&&Call| call.order < last && known.contains(&key(call));
    let reread = after.iter().filter(|call| names_victim(call, victim) || repeats(call)).count();
    Some(again.len() + reread)
}

/// The first change that was refused of the victim alone. None where it was found by
/// its name.
pub(crate) fn found_alone<'l>(logs: &'l Logs, victim: &str) -> Option<&'l Call> {
    logs.of(CHANGE).find(|call| is_refused(call) && is_alone(call, victim))
}

/// How often the victim was tried again by itself once it had been found so.
pub(crate) fn retries(logs: &Logs, victim: &str, found: Option<&Call>) -> usize {
    logs.of(CHANGE).filter(|call| is_retry(call, victim, found)).count()
}

/// How many retries the operator's schedule holds from when the victim was found alone
/// to the `end`: the pause is 5 s and doubles, so the kth is due 5 (2^k - 1) s later.
/// That it doubles up to an hour only is of no account: no run is that long.
pub(crate) fn retries_allowed(found: Option<&Call>, end: f64) -> f64 {
    let lasted = found.map_or(0.0, |call| (end - seconds(call.at)).max(0.0));
    (lasted / 5.0 + 1.0).log2().floor()
}

/// Whether a change is the victim's alone, made after it had been found so.
fn is_retry(call: &Call, victim: &str, found: Option<&Call>) -> bool {
    found.is_some_and(|found| call.order > found.order) && is_alone(call, victim)
}

fn is_refused(call: &Call) -> bool {
    matches!(call.outcome, Outcome::Error { .. })
}

fn is_alone(call: &Call, victim: &str) -> bool {
    names_of(call).all(|name| name == victim)
}

/// Whether a call is about that very name.
fn names_victim(call: &Call, victim: &str) -> bool {
    names_of(call).any(|name| name == victim)
}

fn key(call: &Call) -> (&str, &[String]) {
    (&call.action, &call.targets)
}

fn names(call: &Call) -> BTreeSet<&str> {
    names_of(call).collect()
}

/// The first target of a change is its zone; the others are `name type`.
fn names_of(call: &Call) -> impl Iterator<Item = &str> {
    call.targets.iter().skip(1).map(|target| target.split(' ').next().unwrap_or(target))
}

/// How many extra calls one culprit may cost: two where Route 53's message names
/// it (drop it, send the rest; look at it once), else what halving the batch takes.
pub(crate) fn bound(named: bool, batch: usize) -> f64 {
    if named { 2.0 } else { 2.0 * number(batch.max(1)).log2().ceil() }
}

/// Changes, and reads of the victim by name, for each sweep at rest: a sweep must not
/// bring a refused change back. The victim's retries are none of its: they have their
/// own schedule, see [`retries_allowed`]. None without sweeps.
pub(crate) fn extra_at_rest(
    logs: &Logs,
    victim: &str,
    found: Option<&Call>,
    sweeps: f64,
) -> Option<f64> {
    let changes = logs.of(CHANGE).filter(|call| !is_retry(call, victim, found)).count();
    let reads = route53::reads_of(logs).filter(|call| names_victim(call, victim)).count();
    (sweeps > 0.0).then(|| number(changes + reads) / sweeps)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::figures::by_hand::{call, logs, refused, same};

    fn in_order(mut calls: Vec<Call>) -> Logs {
        for (order, call) in (0..).zip(&mut calls) {
            call.order = order;
        }
        logs(calls)
    }

    const LIST: &str = "ListResourceRecordSets";
    const ALL: [&str; 5] = ["Z", "a. MX", "a. TXT", "b. MX", "c. MX"];

    #[test]
    fn the_rest_again_and_one_look_at_the_culprit_are_two() {
        let logs = in_order(vec![
            call(0.0, LIST, &["Z", "a."]),
            call(0.0, LIST, &["Z", "page."]),
            refused(1.0, CHANGE, &ALL, "InvalidChangeBatch"),
            call(2.0, LIST, &["Z", "a."]),
            call(2.0, CHANGE, &["Z", "b. MX", "c. MX"]),
            call(2.0, LIST, &["Z", "other."]),
            call(3.0, CHANGE, &["Z", "d. MX"]),
            call(9.0, LIST, &["Z", "page."]),
        ]);
        assert_eq!(cost(&logs, "a.", 3), Some(2));
    }

    #[test]
    fn a_page_again_before_the_rest_is_sent_is_extra_and_the_victim_always() {
        let logs = in_order(vec![
            call(0.0, LIST, &["Z", "page."]),
            refused(1.0, CHANGE, &ALL, "InvalidChangeBatch"),
            call(2.0, LIST, &["Z", "page."]),
            call(3.0, CHANGE, &["Z", "b. MX", "c. MX"]),
            call(4.0, LIST, &["Z", "a."]),
            call(5.0, LIST, &["Z", "a."]),
        ]);
        assert_eq!(cost(&logs, "a.", 3), Some(4));
    }

    #[test]
    fn halving_costs_two_a_level() {
        let names: Vec<String> = ["Z"]
            .into_iter()
            .map(str::to_owned)
            .chain((0..4).map(|n| format!("{n}. MX")))
            .collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let denied = |targets: &[&str]| refused(0.0, CHANGE, targets, "AccessDenied");
        let logs = in_order(vec![
            denied(&names),
            call(0.0, CHANGE, &["Z", names[1], names[2]]),
            denied(&["Z", names[3], names[4]]),
            call(0.0, CHANGE, &["Z", names[3]]),
            denied(&["Z", names[4]]),
        ]);
        assert_eq!((batch(&logs), cost(&logs, "3.", 4)), (Some(4), Some(4)));
        assert!(same(bound(false, 4), 4.0));
        assert!(same(bound(true, 4), 2.0));
        assert!(same(bound(false, 5), 6.0));
    }

    #[test]
    fn once_the_victim_was_found_its_retries_are_counted_apart() {
        let denied = |targets: &[&str]| refused(0.0, CHANGE, targets, "AccessDenied");
        let logs = in_order(vec![
            denied(&["Z", "a. MX", "b. MX"]),
            denied(&["Z", "a. MX"]),
            call(0.0, CHANGE, &["Z", "b. MX"]),
            denied(&["Z", "a. MX"]),
            denied(&["Z", "a. MX"]),
        ]);
        assert_eq!(cost(&logs, "a.", 2), Some(2));
        let found = found_alone(&logs, "a.");
        assert_eq!(found.map(|call| call.order), Some(1));
        assert_eq!((retries(&logs, "a.", found), retries(&logs, "a.", None)), (2, 0));
    }

    #[test]
    fn retries_are_allowed_after_pauses_that_double_from_when_it_was_found_alone() {
        let found = refused(100.0, CHANGE, &["Z", "a. MX"], "AccessDenied");
        for (lasted, allowed) in
            [(0.0, 0.0), (4.9, 0.0), (5.1, 1.0), (14.9, 1.0), (15.1, 2.0), (35.1, 3.0), (74.9, 3.0)]
        {
            let reckoned = retries_allowed(Some(&found), 100.0 + lasted);
            assert!(same(reckoned, allowed), "{lasted} s: {reckoned}");
        }
        assert!(same(retries_allowed(None, 1_000.0), 0.0), "found by its name");
    }

    #[test]
    fn without_a_refusal_there_is_no_cost() {
        let logs = in_order(vec![call(0.0, CHANGE, &ALL)]);
        assert_eq!((batch(&logs), cost(&logs, "a.", 1)), (None, None));
    }

    #[test]
    fn a_batch_that_is_not_full_has_no_cost_even_if_a_later_one_is() {
        let denied = |targets: &[&str]| refused(0.0, CHANGE, targets, "InvalidChangeBatch");
        let logs = in_order(vec![denied(&["Z", "a. MX", "b. MX"]), denied(&ALL)]);
        assert_eq!((batch(&logs), cost(&logs, "a.", 3)), (Some(2), None));
        assert!(cost(&logs, "a.", 2).is_some());
    }

    #[test]
    fn at_rest_nothing_is_sent_again() {
        let logs = in_order(vec![
            refused(0.0, CHANGE, &ALL, "AccessDenied"),
            call(1.0, LIST, &["Z", "a."]),
            call(2.0, LIST, &["Z", "b."]),
        ]);
        assert!(same(extra_at_rest(&logs, "a.", None, 4.0).unwrap(), 0.5));
        assert_eq!(extra_at_rest(&logs, "a.", None, 0.0), None);
    }

    #[test]
    fn a_retry_of_the_victim_alone_is_no_sweeps_and_any_other_change_is() {
        let denied = |targets: &[&str]| refused(0.0, CHANGE, targets, "AccessDenied");
        let mut logs = in_order(vec![
            denied(&["Z", "a. MX"]),
            denied(&["Z", "a. MX", "a. TXT"]),
            call(0.0, CHANGE, &["Z", "b. MX"]),
            denied(&["Z", "a. MX", "b. MX"]),
        ]);
        let found = logs.calls.remove(0);
        let extra = |found| extra_at_rest(&logs, "a.", found, 1.0).unwrap();
        assert!(same(extra(Some(&found)), 2.0));
        assert!(same(extra(None), 3.0), "found by its name, it is not tried again");
    }
}
