//! People who change objects while the operator brings thousands to Ready.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::Failure;
use crate::figures::people::{self, Change};
use crate::figures::{Logs, PUT, number, quota};
use crate::stage::{Measured, Phase, Running, Stage};
use crate::world::{SUBDOMAIN, domain};

/// How many changes there are.
pub(crate) const CHANGES: usize = 201;
/// How many objects must have been put before SIGTERM finds the others waiting.
const BEGUN: usize = 5;
/// How long the last changes may take to be seen.
const LATEST: f64 = 30.0;
/// The least time over which the changes are spread, in seconds.
const SPREAD: f64 = 20.0;

/// What was seen of it.
pub(crate) struct Interactive {
    pub(crate) logs: Logs,
    pub(crate) changes: Vec<Change>,
    /// From SIGTERM to the end, nearly all objects waiting.
    pub(crate) exit: Option<f64>,
    /// How many were waiting then.
    pub(crate) waiting: usize,
    pub(crate) measured: Measured,
}

/// Objects that are created by people on the way.
pub(crate) fn newcomers() -> usize {
    CHANGES.div_ceil(3)
}

/// SIGTERM while all wait, then changes all along the way.
pub(crate) async fn run(stage: &Stage) -> Result<Interactive, Failure> {
    let n = stage.scenario.n;
    stage.create(0..n).await?;
    let running = stage.start().await?;
    let begun = || stage.simulator.with(|world| world.calls_of(PUT).count() >= BEGUN);
    stage.wait(&running, 120.0, "until all wait", begun).await?;
    let waiting = n - stage.population.ready().min(n);
    let exit = stage.stop(&running).await?;
    drop(running);

    let running = stage.start().await?;
    let phase = Phase::begin(stage, &running)?;
    let changes = change_all(stage, &running).await?;
    let answered = || {
        let calls = stage.simulator.with(|world| world.calls().to_vec());
        let waits = people::waits(&Logs { calls, ..Logs::default() }, &changes, SUBDOMAIN);
        waits.iter().all(|wait| wait.is_finite())
    };
    stage.wait(&running, LATEST, "until all changes are seen", answered).await?;
    let measured = phase.end(stage, &running)?;
    stage.stop(&running).await?;
    let logs = stage.logs()?;
    tell_slowest(stage, &logs, &changes);
    Ok(Interactive { logs, changes, exit, waiting, measured })
}

/// Which of them waited longest: where the figure is over its bound, one asks.
fn tell_slowest(stage: &Stage, logs: &Logs, changes: &[Change]) {
    let waits = people::waits(logs, changes, SUBDOMAIN);
    let mut slowest: Vec<(f64, &Change)> = waits.into_iter().zip(changes).collect();
    slowest.sort_by(|one, other| other.0.total_cmp(&one.0));
    for (wait, Change { identity, replied, .. }) in slowest.iter().take(5) {
        stage.tell(&format!("{identity}, changed at {replied:.1} s, waited {wait:.2} s"));
    }
}

/// In turn: a reconcile asked for, another behaviour wanted, a new object; evenly
/// over the time that all puts take.
async fn change_all(stage: &Stage, running: &Running) -> Result<Vec<Change>, Failure> {
    let scenario = &stage.scenario;
    let puts = scenario.n * scenario.puts_per_domain();
    let whole = quota::converge_floor(puts, scenario.ses_allowance(), 0.0).max(SPREAD);
    let pause = whole / number(CHANGES);
    let (mut changes, mut flipped) = (Vec::new(), BTreeSet::new());
    for turn in 0..CHANGES {
        let due = running.from + number(turn) * pause;
        let what = format!("{turn} of {CHANGES} changes");
        stage.wait(running, f64::INFINITY, &what, || stage.now() >= due).await?;
        // A step that has no divisor in common with any N here visits all.
        let number = (turn * 7_919) % scenario.n;
        let number = if turn % 3 == 2 { scenario.n + turn / 3 } else { number };
        let sent = stage.now();
        match turn % 3 {
            0 => stage.objects.request(number, &format!("change-{turn}")).await?,
            1 => {
                // What is changed once more is changed back.
                let other = flipped.insert(number) || !flipped.remove(&number);
                stage.objects.change(number, other).await?;
            }
            _ => stage.objects.create_one(number).await?,
        }
        let identity = domain(scenario.zones, number);
        changes.push(Change { identity, sent, replied: stage.now() });
    }
    stage.tell(&format!("{CHANGES} changes made over {:?}", Duration::from_secs_f64(whole)));
    Ok(changes)
}
