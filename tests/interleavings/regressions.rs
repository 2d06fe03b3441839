//! Schedules that once showed a defect.

use std::time::Duration;

use aws_simulator::{Config, Quotas};

use crate::property::run;
use crate::schedule::{DnsEdit, Event, Rival, SesEdit, Setting, Step};

fn plain() -> Setting {
    let config = Config { quotas: Quotas::off(), ..Config::default() };
    Setting { config, reject: true, immediate: false, regions: 2, rival: Rival::None }
}

#[test]
fn nothing_happens() {
    run(&plain(), &[]).unwrap();
}

/// On deletion our MX goes from beside somebody else's, which stays.
#[test]
fn a_second_mx_does_not_keep_ours() {
    let step = |event, minutes| Step { who: 0, event, wait: Duration::from_mins(minutes) };
    let steps = [step(Event::Nothing, 10), step(Event::Dns(0, DnsEdit::SecondMx), 10)];
    run(&plain(), &steps).unwrap();
}

/// A repair that waits for quota is counted once it is made, not by each report
/// on the way: else one edit of somebody ends in a drift loop.
#[test]
fn a_repair_that_waits_for_quota_is_one_repair() {
    let step = |event, minutes| Step { who: 0, event, wait: Duration::from_mins(minutes) };
    let steps = [step(Event::Nothing, 20), step(Event::Dns(0, DnsEdit::MxTtl), 30)];
    run(&plain(), &steps).unwrap();
}

/// Whoever loses stays stalled, and goes on once the other is gone.
#[test]
fn two_that_want_the_same_come_to_rest() {
    for rival in [Rival::Identity, Rival::Name, Rival::Operator] {
        run(&Setting { rival, ..plain() }, &[]).unwrap();
    }
}

/// A name that SES holds and that is not ours does not grow old unread.
#[test]
fn a_foreign_setting_stays_a_conflict() {
    let step = |event, minutes| Step { who: 0, event, wait: Duration::from_mins(minutes) };
    let steps = [step(Event::Nothing, 20), step(Event::Ses(1, SesEdit::Foreign), 90)];
    run(&plain(), &steps).unwrap();
}
