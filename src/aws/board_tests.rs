//! What is asked, kept up and told of, on a board by itself.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use jiff::Timestamp;

use super::board::{Board, Draw, SWEEP_EVERY};
use super::call::{Operation, Target};
use super::memo::Backoff;
use super::testing::{Looker, object};
use super::watchers::Watchers;
use super::{Error, Reply};
use crate::authority::ObjectKey;

type Answers = Board<&'static str, u32>;

fn board() -> Answers {
    Board::new(Backoff { min: Duration::from_secs(1), max: Duration::from_mins(1) })
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn error(operation: Operation) -> Error {
    Error::incomplete(&Target::global(operation, "everything"), "the rest")
}

fn look(board: &mut Answers, question: &'static str, who: &str, second: i64) -> Reply<u32> {
    board.look(&question, Looker::new(who).sight(false), at(second), at(second))
}

/// Draws all that was asked, and has it answered with `value`.
fn answered(board: &mut Answers, second: i64, value: u32) -> Vec<String> {
    let draw = board.draw(at(second), usize::MAX, 4);
    let land = |question| board.landed(question, Ok(value), at(second));
    let woken: Vec<_> = draw.questions.iter().flat_map(land).collect();
    woken.into_iter().map(|key| key.name().to_string()).collect()
}

fn names(draw: &Draw<&'static str>) -> Vec<&'static str> {
    draw.questions.clone()
}

const PACE: Duration = Duration::from_secs(100);

#[test]
fn all_who_ask_are_woken_by_one_answer_which_counts_from_when_it_was_sent() {
    let mut board = board();
    assert_eq!(look(&mut board, "q", "a", 5), Reply::NotYet);
    assert_eq!(look(&mut board, "q", "b", 5), Reply::NotYet);
    assert_eq!(answered(&mut board, 6, 7), ["a", "b"]);
    assert_eq!(look(&mut board, "q", "a", 6), Reply::Known { sent: at(6), value: 7 });
    assert_eq!(look(&mut board, "q", "a", 7), Reply::NotYet);
    assert!(board.is_asked());
}

#[test]
fn a_call_takes_what_fits_urgent_first_and_each_question_once() {
    let mut board = board();
    for question in ["a", "b", "c", "d"] {
        look(&mut board, question, "x", 1);
    }
    board.look(&"c", Looker::new("y").sight(true), at(1), at(1));
    assert!(board.is_urgent());
    assert_eq!(names(&board.draw(at(1), 2, 4)), ["c", "a"]);
    assert!(!board.is_urgent());
    assert_eq!(names(&board.draw(at(1), 9, 4)), ["b", "d"]);
    assert_eq!(names(&board.draw(at(1), 9, 4)), [""; 0]);
}

#[test]
fn a_question_of_a_small_namespace_does_not_wait_for_all_of_a_large_one() {
    let mut board = board();
    for question in ["a", "b", "c", "d"] {
        look(&mut board, question, "x", 1);
    }
    let small = Looker::of(ObjectKey::new("small", "x"));
    board.look(&"z", small.sight(false), at(1), at(1));
    assert_eq!(names(&board.draw(at(1), 2, 4)), ["a", "z"]);
}

#[test]
fn what_nobody_may_ask_any_more_is_not_asked() {
    let mut board = board();
    let mut looker = Looker::new("a");
    board.look(&"q", looker.sight(false), at(1), at(1));
    looker.lose_authority();
    let draw = board.draw(at(1), 9, 4);
    assert_eq!((names(&draw), draw.dropped), (vec![], vec![object("a")]));
    assert_eq!(look(&mut board, "q", "b", 1), Reply::NotYet);
    assert_eq!(names(&board.draw(at(1), 9, 4)), ["q"]);
}

#[test]
fn what_is_watched_is_asked_at_its_pace_and_wakes_only_when_it_differs() {
    let (mut board, watchers) = (board(), Watchers::default());
    look(&mut board, "q", "a", 0);
    answered(&mut board, 0, 7);
    let watcher = watchers.begin(Looker::new("a").sight(false));
    assert!(!board.watch(&"q", &watcher, PACE, at(0)), "it knows the last answer");
    assert_eq!(board.next_due(), Some(at(100)));
    assert_eq!(names(&board.draw(at(99), 9, 4)), [""; 0]);
    assert_eq!(answered(&mut board, 100, 7), [""; 0], "the same again");
    assert_eq!(board.next_due(), Some(at(200)));
    assert_eq!(answered(&mut board, 200, 8), ["a"]);
    watchers.end(&object("a"));
    assert_eq!(names(&board.draw(at(400), 9, 4)), [""; 0]);
    assert_eq!(board.next_due(), None);
}

#[test]
fn a_watcher_that_knows_an_older_answer_is_told_to_look_again() {
    let (mut board, watchers) = (board(), Watchers::default());
    look(&mut board, "q", "a", 0);
    answered(&mut board, 0, 7);
    look(&mut board, "q", "b", 5);
    answered(&mut board, 5, 8);
    let watcher = watchers.begin(Looker::new("a").sight(false));
    assert!(board.watch(&"q", &watcher, PACE, at(0)));
    board.invalidate(&"q", at(6));
    assert!(board.watch(&"q", &watcher, PACE, at(5)), "a write has ended since");
    assert_eq!(board.next_due(), Some(at(6)));
}

#[test]
fn calls_are_filled_with_what_is_due_soon_and_so_stay_full() {
    let (mut board, watchers) = (board(), Watchers::default());
    let questions = ["a", "b", "c", "d", "e"];
    for (second, question) in (0..).zip(questions) {
        look(&mut board, question, "x", second * 10);
        answered(&mut board, second * 10, 1);
        let watcher = watchers.begin(Looker::new(question).sight(false));
        board.watch(&question, &watcher, PACE, at(second * 10));
    }
    assert_eq!(names(&board.draw(at(100), 9, 4)), ["a", "b", "c"], "within a quarter");
    for question in ["a", "b", "c"] {
        board.landed(&question, Ok(1), at(101));
    }
    assert_eq!(names(&board.draw(at(131), 1, 4)), ["d"], "no more than fit");
    board.landed(&"d", Ok(1), at(131));
    assert_eq!(names(&board.draw(at(140), 9, 4)), ["e"]);
    board.landed(&"e", Ok(1), at(140));
    assert_eq!(names(&board.draw(at(200), 9, 4)), ["a", "b", "c"]);
    look(&mut board, "z", "x", 230);
    assert_eq!(names(&board.draw(at(230), 9, 4)), ["z", "d", "e"], "room in a call is used");
}

#[test]
fn an_answer_on_its_way_when_a_write_ends_does_not_count() {
    let mut board = board();
    look(&mut board, "q", "a", 1);
    board.draw(at(2), 9, 4);
    board.invalidate(&"q", at(3));
    assert_eq!(board.landed(&"q", Ok(1), at(4)), [object("a")]);
    assert_eq!(look(&mut board, "q", "a", 1), Reply::NotYet);
    assert_eq!(board.draw(at(5), 9, 4).questions, ["q"]);
}

#[test]
fn a_failure_is_told_to_who_asks_and_to_watchers_only_if_it_stays() {
    let (mut board, watchers) = (board(), Watchers::default());
    look(&mut board, "q", "a", 0);
    answered(&mut board, 0, 7);
    let watcher = watchers.begin(Looker::new("w").sight(false));
    board.watch(&"q", &watcher, PACE, at(0));
    board.draw(at(100), 9, 4);
    let passing = error(Operation::GetEmailIdentity);
    assert!(passing.is_transient());
    assert!(board.landed(&"q", Err(passing), at(100)).is_empty());
    assert!(board.next_due().unwrap() <= at(101), "tried again soon");
    assert_eq!(board.last(&"q"), Some(at(0)));
    assert!(matches!(look(&mut board, "q", "a", 100), Reply::Failed { .. }));
    board.draw(at(101), 9, 4);
    let refused = Error::refused(&Target::global(Operation::GetEmailIdentity, "q"), "no");
    assert_eq!(board.landed(&"q", Err(refused), at(101)), [object("w")]);
}

#[test]
fn an_answer_without_a_question_serves_who_waits_and_puts_the_next_off() {
    let (mut board, watchers) = (board(), Watchers::default());
    assert!(board.record(&"q", at(1), 1).is_empty(), "nobody wants to know");
    look(&mut board, "q", "a", 1);
    assert_eq!(board.record(&"q", at(1), 1), [object("a")]);
    assert!(board.draw(at(2), 9, 4).questions.is_empty());
    let watcher = watchers.begin(Looker::new("w").sight(false));
    board.watch(&"q", &watcher, PACE, at(1));
    assert!(board.record(&"q", at(50), 1).is_empty());
    assert_eq!(board.next_due(), Some(at(150)));
    assert!(board.record(&"q", at(40), 2).is_empty(), "older than what is known");
    assert_eq!(board.record(&"q", at(60), 2), [object("w")]);
}

#[test]
fn what_nobody_wants_is_forgotten() {
    let mut board: Board<u32, u32> =
        Board::new(Backoff { min: Duration::from_secs(1), max: Duration::from_mins(1) });
    let looker = Looker::new("a");
    for n in 0..20_000u32 {
        let now = at(i64::from(n) * 60);
        board.look(&n, looker.sight(false), now, now);
        board.draw(now, 9, 4);
        board.landed(&n, Ok(n), now);
    }
    let kept = board.questions().count();
    assert!(kept < 2 * SWEEP_EVERY, "{kept}");
}

#[test]
fn what_was_overheard_from_before_a_write_does_not_count() {
    let mut board = board();
    look(&mut board, "q", "a", 1);
    answered(&mut board, 1, 1);
    board.invalidate(&"q", at(5));
    look(&mut board, "q", "a", 1);
    assert!(board.overheard(&"q", at(4), 1).is_empty());
    assert_eq!(board.last(&"q"), None);
    assert_eq!(board.overheard(&"q", at(6), 2), [object("a")]);
}

#[test]
fn an_older_answer_does_not_hide_what_it_misses() {
    let mut board = board();
    look(&mut board, "q", "a", 1);
    board.invalidate(&"q", at(5));
    board.record(&"q", at(1), 1);
    assert!(board.overheard(&"q", at(4), 3).is_empty());
    assert_eq!(board.last(&"q"), Some(at(1)), "what was overheard may miss the write");
    board.overheard(&"q", at(6), 2);
    assert_eq!(board.last(&"q"), Some(at(6)));
}

#[test]
fn a_question_at_rest_holds_its_answer_alone() {
    let mut board = board();
    look(&mut board, "q", "a", 1);
    assert!(board.is_busy(&"q"));
    board.invalidate(&"q", at(1));
    answered(&mut board, 2, 1);
    assert!(!board.is_busy(&"q"));
}

/// Has a person ask, of whom nothing from before `not_before` counts.
fn urge(board: &mut Answers, who: &Looker, not_before: i64, now: i64) -> Reply<u32> {
    let reply = board.look(&"q", who.sight(true), at(not_before), at(now));
    board.overtake(&"q", at(not_before));
    reply
}

#[test]
fn a_person_waits_for_no_call_that_left_too_early_and_all_hear_of_both() {
    let (mut board, person) = (board(), Looker::new("p"));
    look(&mut board, "q", "a", 1);
    board.draw(at(2), 9, 4);
    assert_eq!(urge(&mut board, &person, 2, 3), Reply::NotYet);
    assert!(!board.is_asked(), "what is on its way is late enough");
    assert_eq!(urge(&mut board, &person, 5, 5), Reply::NotYet);
    assert!(board.is_urgent());
    let both = [object("a"), object("p")];
    assert_eq!(board.brought(&"q", Ok(1), (at(2), at(6))), both);
    assert_eq!(look(&mut board, "q", "a", 1), Reply::Known { sent: at(2), value: 1 });
    assert_eq!(urge(&mut board, &person, 5, 6), Reply::NotYet);
    assert_eq!(names(&board.draw(at(7), 9, 4)), ["q"]);
    assert!(!board.is_asked(), "once");
    assert_eq!(board.brought(&"q", Ok(2), (at(7), at(8))), both);
    assert_eq!(urge(&mut board, &person, 5, 8), Reply::Known { sent: at(7), value: 2 });
    assert!(!board.is_busy(&"q"));
}

#[test]
fn a_call_that_was_overtaken_neither_hides_what_is_later_nor_is_made_again() {
    let (mut board, person) = (board(), Looker::new("p"));
    look(&mut board, "q", "a", 1);
    board.draw(at(2), 9, 4);
    urge(&mut board, &person, 5, 5);
    board.draw(at(6), 9, 4);
    board.ask_again(&"q", at(2));
    assert!(!board.is_asked());
    let failed = Err(error(Operation::GetEmailIdentity));
    assert!(board.brought(&"q", failed, (at(2), at(7))).is_empty());
    assert_eq!(urge(&mut board, &person, 5, 7), Reply::NotYet);
    board.brought(&"q", Ok(2), (at(6), at(8)));
    assert!(board.brought(&"q", Ok(1), (at(2), at(9))).is_empty());
    assert_eq!(urge(&mut board, &person, 5, 9), Reply::Known { sent: at(6), value: 2 });
}

#[test]
fn a_call_that_is_made_again_is_as_urgent_as_any_who_waits_for_it() {
    let mut board = board();
    look(&mut board, "q", "a", 1);
    board.look(&"q", Looker::of(ObjectKey::new("small", "p")).sight(true), at(1), at(1));
    board.draw(at(2), 9, 4);
    board.ask_again(&"q", at(2));
    assert_eq!((board.is_urgent(), board.first_namespace()), (true, Some("small")));
}

#[test]
fn a_call_that_was_overtaken_may_miss_a_write_that_has_ended_since() {
    let (mut board, person) = (board(), Looker::new("p"));
    look(&mut board, "q", "a", 1);
    board.draw(at(2), 9, 4);
    board.invalidate(&"q", at(3));
    urge(&mut board, &person, 1, 4);
    assert!(board.is_urgent(), "whatever it asks for");
    assert!(board.brought(&"q", Ok(1), (at(2), at(5))).is_empty());
    assert_eq!(board.last(&"q"), None);
}
