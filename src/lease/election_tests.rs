//! The decisions, case by case.

use std::time::Duration;

use super::election::{Election, Loss, Step, Timing};
use super::moment::Moment;
use super::record::Record;

const TIMING: Timing = Timing {
    lease_duration: Duration::from_secs(15),
    renew_deadline: Duration::from_secs(10),
    retry_period: Duration::from_secs(2),
};

fn at(seconds: u64) -> Moment {
    Moment::at(Duration::from_secs(seconds))
}

fn record(holder: &str, seconds: i32) -> Record {
    Record { holder: holder.into(), seconds, transitions: 4, acquired: None }
}

fn candidate() -> Election {
    Election::new("me".into(), TIMING)
}

/// A candidate that sees this record at 100 s.
fn that_sees(record: Record) -> Election {
    let mut election = candidate();
    election.saw(at(100), Some(("7".into(), record)));
    election
}

/// One that leads since 100 s.
fn leader() -> Election {
    let mut election = candidate();
    election.saw(at(100), None);
    election.wrote(at(100), at(101), "8".into(), record("me", 15));
    election
}

fn replaces(step: &Step) -> Option<(&str, &str, i32)> {
    match step {
        Step::Replace { version, record } => Some((version, &record.holder, record.transitions)),
        _ => None,
    }
}

#[test]
fn a_free_lease_is_taken_at_once() {
    assert_eq!(candidate().next(at(100)), Step::Look);
    let mut absent = candidate();
    absent.saw(at(100), None);
    let own = Record { holder: "me".into(), seconds: 15, transitions: 0, acquired: None };
    assert_eq!(absent.next(at(100)), Step::Create(own));
    let released = that_sees(record("", 1));
    assert_eq!(replaces(&released.next(at(100))), Some(("7", "me", 5)));
}

#[test]
fn a_record_of_another_holds_from_its_first_sight_for_what_it_says() {
    let mut election = that_sees(record("other", 20));
    let wait = |until| Step::Wait { until: at(until), watch: Some("7".into()) };
    assert_eq!(election.next(at(119)), wait(120));
    election.saw(at(119), Some(("7".into(), record("other", 20))));
    assert_eq!(replaces(&election.next(at(120))), Some(("7", "me", 5)), "the same is not younger");
    election.saw(at(119), Some(("9".into(), record("other", 20))));
    assert!(matches!(election.next(at(138)), Step::Wait { .. }), "renewed");
    let nonsense = that_sees(record("other", -1));
    assert!(matches!(nonsense.next(at(114)), Step::Wait { .. }));
    assert!(replaces(&nonsense.next(at(115))).is_some(), "the own duration then");
}

#[test]
fn a_deleted_lease_still_holds_for_who_saw_its_holder() {
    let mut election = that_sees(record("other", 15));
    election.saw(at(101), None);
    assert_eq!(election.next(at(114)), Step::Wait { until: at(115), watch: None });
    assert!(matches!(election.next(at(115)), Step::Create(_)));
}

#[test]
fn a_refused_write_is_followed_by_a_look_and_the_wait_begins_anew() {
    let mut election = that_sees(record("other", 15));
    election.conflicted();
    assert_eq!(election.next(at(115)), Step::Look);
    election.saw(at(115), Some(("9".into(), record("third", 15))));
    let Step::Wait { until, watch } = election.next(at(115)) else { unreachable!("it waits") };
    assert_eq!((until, watch.as_deref()), (at(130), Some("9")));
}

#[test]
fn who_leads_renews_and_ends_when_that_fails() {
    let mut election = leader();
    assert_eq!(election.leads_until(), Some(at(110)), "from when it was sent");
    assert_eq!(election.next(at(101)), Step::Wait { until: at(102), watch: None });
    assert_eq!(replaces(&election.next(at(102))), Some(("8", "me", 4)));
    election.failed(at(102));
    assert_eq!(election.next(at(103)), Step::Wait { until: at(104), watch: None });
    election.wrote(at(104), at(105), "9".into(), record("me", 15));
    assert_eq!(election.leads_until(), Some(at(114)));
    election.failed(at(113));
    assert_eq!(election.next(at(113)), Step::Wait { until: at(114), watch: None });
    let lost = Step::End(Loss::NotRenewed(TIMING.renew_deadline));
    assert_eq!(election.next(at(114)), lost);
    // An answer that comes too late revives nobody,
    election.wrote(at(113), at(114), "10".into(), record("me", 15));
    assert_eq!(election.next(at(114)), lost);
    // nor does one that was held up, as for a process that was stopped, helps nobody.
    election.wrote(at(104), at(200), "10".into(), record("me", 15));
    assert_eq!(election.next(at(200)), lost);
}

#[test]
fn who_finds_another_in_its_place_ends() {
    for (holder, version) in [("other", "9"), ("", "9")] {
        let mut election = leader();
        election.conflicted();
        assert_eq!(election.next(at(102)), Step::Look);
        election.saw(at(102), Some((version.into(), record(holder, 15))));
        assert_eq!(election.next(at(102)), Step::End(Loss::Taken(holder.into())));
    }
}

#[test]
fn a_renewal_whose_answer_was_lost_is_found_and_renewed() {
    let mut election = leader();
    election.failed(at(102));
    assert_eq!(replaces(&election.next(at(104))), Some(("8", "me", 4)), "as before");
    election.conflicted();
    assert_eq!(election.next(at(104)), Step::Look);
    election.saw(at(105), Some(("9".into(), record("me", 15))));
    assert_eq!(election.leads_until(), Some(at(110)), "a look renews nothing");
    assert_eq!(replaces(&election.next(at(105))), Some(("9", "me", 4)));
}

#[test]
fn a_lease_deleted_under_its_leader_is_made_again() {
    let mut election = leader();
    election.conflicted();
    election.saw(at(102), None);
    assert!(matches!(election.next(at(102)), Step::Create(_)));
    assert_eq!(election.leads_until(), Some(at(110)));
}

#[test]
fn an_acquisition_answered_too_late_makes_no_leader() {
    let mut election = that_sees(record("", 1));
    election.wrote(at(100), at(110), "8".into(), record("me", 15));
    assert_eq!(election.leads_until(), None);
    assert_eq!(replaces(&election.next(at(110))), Some(("8", "me", 4)), "it is renewed first");
}

#[test]
fn failures_of_a_candidate_are_paced() {
    let mut election = candidate();
    election.failed(at(100));
    assert_eq!(election.next(at(101)), Step::Wait { until: at(102), watch: None });
    assert_eq!(election.next(at(102)), Step::Look);
}

#[test]
fn a_watch_that_ended_is_followed_by_a_look_but_not_by_a_storm() {
    let mut election = that_sees(record("other", 15));
    election.lost_sight(at(50));
    assert_eq!(election.next(at(101)), Step::Look, "it lasted");
    election.saw(at(101), Some(("7".into(), record("other", 15))));
    election.lost_sight(at(101));
    assert_eq!(election.next(at(101)), Step::Wait { until: at(103), watch: None });
    assert_eq!(election.next(at(103)), Step::Look);
}

#[test]
fn only_who_holds_the_lease_gives_it_up() {
    assert_eq!(that_sees(record("other", 15)).resignation(), None);
    assert_eq!(candidate().resignation(), None);
    let Some(Step::Replace { version, record }) = leader().resignation() else {
        unreachable!("it holds the lease")
    };
    let released = Record { holder: String::new(), seconds: 1, transitions: 4, acquired: None };
    assert_eq!((version.as_str(), record), ("8", released));
}

#[test]
fn parts_of_a_second_are_rounded_up() {
    let timing = Timing { lease_duration: Duration::from_millis(1500), ..TIMING };
    let mut election = Election::new("me".into(), timing);
    election.saw(at(1), None);
    assert!(matches!(election.next(at(1)), Step::Create(Record { seconds: 2, .. })));
}
