//! What runs decide: which of two is judged, and whether all is good.

use crate::BUSIEST;
use crate::figures::Figure;
use crate::report::Results;

/// One run of a scenario.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) figures: Vec<Figure>,
    /// How busy the machine was in the run's busiest part, from 0 to 1.
    pub(crate) busy: f64,
}

impl Run {
    /// Whether the machine was too busy for its figures to say anything.
    pub(crate) fn is_void(&self) -> bool {
        self.busy > BUSIEST
    }
}

/// Which runs are repeated.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Repeat {
    /// None.
    Never,
    /// What is void.
    Void,
    /// Also what is over its bound: a change is to be decided on.
    VoidOrOver,
}

/// How many figures are over their bounds.
fn over(figures: &[Figure]) -> usize {
    figures.iter().filter(|figure| !figure.is_good()).count()
}

/// Why a first run is repeated. None where it is not.
pub(crate) fn again(first: &Run, repeat: Repeat) -> Option<String> {
    let over = over(&first.figures);
    if first.is_void() && repeat != Repeat::Never {
        Some(format!("void, the CPUs were {:.0} % busy", first.busy * 100.0))
    } else if over > 0 && repeat == Repeat::VoidOrOver {
        Some(format!("{over} figures over their bounds"))
    } else {
        None
    }
}

/// Which of two runs is judged: the second, for why the first was repeated may have
/// been the machine; but what is void takes nothing back of what counts.
pub(crate) fn judged(first: Run, second: Run) -> Run {
    if second.is_void() && !first.is_void() { first } else { second }
}

/// Good only where something was judged, every run counts, unless it is a gate, and
/// every figure keeps its bound. Else what is not.
pub(crate) fn verdict(results: &Results, gate: bool) -> Result<(), String> {
    let over = over(&results.figures);
    let (void, broken) = (results.voids.len(), results.broken.len());
    let counts = format!("{over} figures over their bounds, {void} runs void, {broken} broken off");
    if results.figures.is_empty() {
        return Err(format!("no figure was judged: {counts}"));
    }
    let good = over + broken == 0 && (gate || void == 0);
    if good { Ok(()) } else { Err(counts) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Broken, Void};
    use crate::scenario::quick;

    /// A run with one figure, whose bound is 1.
    fn run(value: f64, busy: f64) -> Run {
        let figure = Figure {
            name: "converge_ratio",
            scenario: "one-zone".to_owned(),
            n: 1_000,
            value: Some(value),
            unit: "of floor",
            floor: None,
            bound: Some(1.0),
        };
        Run { figures: vec![figure], busy }
    }

    const QUIET: f64 = BUSIEST - 0.1;
    const BUSY: f64 = BUSIEST + 0.1;

    #[test]
    fn what_is_void_is_repeated_and_for_a_gate_what_is_over() {
        let repeated = |run: Run| {
            [Repeat::Never, Repeat::Void, Repeat::VoidOrOver]
                .map(|repeat| again(&run, repeat).is_some())
        };
        assert_eq!(repeated(run(1.0, QUIET)), [false, false, false]);
        assert_eq!(repeated(run(1.0, BUSY)), [false, true, true]);
        assert_eq!(repeated(run(2.0, QUIET)), [false, false, true]);
    }

    #[test]
    fn a_repeat_that_is_void_takes_nothing_back_of_a_run_that_counts() {
        let (over, good) = (run(2.0, QUIET), run(1.0, QUIET));
        assert_eq!(judged(over.clone(), good.clone()), good);
        assert_eq!(judged(over.clone(), run(1.0, BUSY)), over);
        assert_eq!(judged(run(2.0, BUSY), good.clone()), good);
        assert_eq!(judged(run(2.0, BUSY), run(1.0, BUSY)), run(1.0, BUSY));
    }

    #[test]
    fn a_gate_forgives_what_is_void_only_beside_what_was_judged() {
        let scenario = || quick().remove(0);
        let void = || Void { scenario: scenario(), busy: BUSY, figures: Vec::new() };
        let judged = Results { figures: run(1.0, QUIET).figures, ..Results::default() };
        assert_eq!(verdict(&judged, false), Ok(()));
        let beside = Results { voids: vec![void()], ..judged };
        assert_eq!(verdict(&beside, true), Ok(()));
        assert!(verdict(&beside, false).is_err());
        let alone = Results { voids: vec![void()], ..Results::default() };
        assert!(verdict(&alone, true).is_err_and(|why| why.contains("no figure was judged")));
    }

    #[test]
    fn what_is_over_or_broke_off_is_never_good() {
        let over = Results { figures: run(2.0, QUIET).figures, ..Results::default() };
        let broken = Broken { scenario: quick().remove(0), why: "it died".to_owned() };
        let figures = run(1.0, QUIET).figures;
        let broken = Results { figures, broken: vec![broken], ..Results::default() };
        assert!(verdict(&over, true).is_err() && verdict(&broken, true).is_err());
    }
}
