//! One object alone, then all of them, at rest, and the operator restarted.

use std::time::Duration;

use crate::Failure;
use crate::figures::{Logs, Span, number, quota, route53, seconds};
use crate::machine::rss_peak;
use crate::scenario::Course;
use crate::stage::{Measured, Phase, Running, Stage};
use crate::world;

/// For what follows the last object's Ready, such as its Event.
const AFTERWARDS: Duration = Duration::from_secs(5);
/// For what a restarted operator might still write when it has seen all.
const AFTER_RESTART: Duration = Duration::from_secs(5);
/// How long a single object may take to be Ready.
const ALONE: f64 = 180.0;

/// What was seen of it. What comes after all were Ready is not there where they
/// were not.
pub(crate) struct Life {
    pub(crate) logs: Logs,
    /// T(1), in seconds.
    pub(crate) alone: Option<f64>,
    /// From the operator's start to the last object's Ready.
    pub(crate) converge: Option<Span>,
    /// The same, and what followed.
    pub(crate) converging: Measured,
    pub(crate) rss_peak: f64,
    pub(crate) steady: Option<Steady>,
    pub(crate) restart: Option<Restart>,
    /// From SIGTERM to the end, everything Ready.
    pub(crate) exit: Option<f64>,
}

/// The converged operator.
pub(crate) struct Steady {
    pub(crate) measured: Measured,
    /// Resident bytes, on the average.
    pub(crate) rss: f64,
    /// The most that was seen.
    pub(crate) rss_most: f64,
}

/// The operator started anew.
pub(crate) struct Restart {
    pub(crate) measured: Measured,
    /// From its start to synced caches, in seconds.
    pub(crate) synced: f64,
    /// How many identities, of the worst region, and zones were not read in time.
    pub(crate) unseen: usize,
    pub(crate) rss_peak: f64,
}

impl Life {
    /// The busier of the two parts that wait for quota or for time. A restart does
    /// what it can as fast as it can, for seconds.
    pub(crate) fn busy(&self) -> f64 {
        let steady = self.steady.as_ref().map_or(0.0, |steady| steady.measured.busy);
        self.converging.busy.max(steady)
    }
}

/// Runs the operator through it; beside another client only until all are Ready.
pub(crate) async fn run(stage: &Stage) -> Result<Life, Failure> {
    let n = stage.scenario.n;
    let whole_life = stage.scenario.course == Course::Life;
    let alone = if whole_life { alone(stage).await? } else { None };
    stage.create(0..n).await?;
    let running = stage.start().await?;
    // The operator's own CPU-seconds count from its start, not from here.
    let phase = Phase::begin(stage, &running)?;
    let all =
        stage.wait(&running, limit(stage, alone), "converging", || stage.population.ready() >= n);
    let all = all.await?;
    let converge = all.then(|| Span { from: running.from, to: stage.population.latest() });
    stage.rest(&running, AFTERWARDS, "settling").await?;
    let converging = whole(phase.end(stage, &running)?, &running)?;
    let pid = running.operator.process().pid();
    let rss_peak = rss_peak(pid)?;
    let at_rest = all && !stage.scenario.steady.is_zero();
    let steady = if at_rest { Some(steady(stage, &running).await?) } else { None };
    let exit = stage.stop(&running).await?;
    drop(running);
    let restart = if all && whole_life { Some(restart(stage).await?) } else { None };
    let logs = stage.logs()?;
    Ok(Life { logs, alone, converge, converging, rss_peak, steady, restart, exit })
}

/// From the operator's start on.
fn whole(measured: Measured, running: &Running) -> Result<Measured, Failure> {
    let span = Span { from: running.from, ..measured.span };
    let cpu = crate::machine::cpu_seconds(running.operator.process().pid())?;
    Ok(Measured { span, cpu, ..measured })
}

/// How long all may take before the run is given up: three times the floor.
fn limit(stage: &Stage, alone: Option<f64>) -> f64 {
    let scenario = &stage.scenario;
    let alone = alone.unwrap_or(60.0);
    3.0 * quota::converge_floor(scenario.puts(), scenario.ses_allowance(), alone) + 60.0
}

/// T(1): one object from the operator's start to Ready, gone without a trace
/// afterwards.
async fn alone(stage: &Stage) -> Result<Option<f64>, Failure> {
    let number = stage.scenario.n;
    stage.objects.create_one(number).await?;
    let running = stage.start().await?;
    let ready = stage.wait(&running, ALONE, "one object alone", || stage.population.ready() > 0);
    let ready = ready.await?;
    let took = stage.population.latest() - running.from;
    stage.stop(&running).await?;
    drop(running);
    stage.objects.remove(number).await?;
    world::forget(&stage.simulator, &stage.scenario, number)?;
    let gone = async || match stage.population.len() {
        0 => Ok(()),
        left => Err(format!("{left} objects")),
    };
    harness::wait_until("the first object is gone", crate::stage::LIMIT, gone).await?;
    if ready {
        stage.tell(&format!("one object alone was Ready after {took:.1} s"));
    }
    Ok(ready.then_some(took))
}

async fn steady(stage: &Stage, running: &Running) -> Result<Steady, Failure> {
    let phase = Phase::begin(stage, running)?;
    running.resident.take();
    stage.rest(running, stage.scenario.steady, "at rest").await?;
    let measured = phase.end(stage, running)?;
    let mut resident = running.resident.take();
    resident.push(running.rss()?);
    let rss = resident.iter().sum::<f64>() / number(resident.len());
    let rss_most = resident.into_iter().fold(0.0, f64::max);
    Ok(Steady { measured, rss, rss_most })
}

async fn restart(stage: &Stage) -> Result<Restart, Failure> {
    let n = stage.scenario.n;
    let known = stage.simulator.with(|world| world.calls().len());
    let running = stage.start().await?;
    let phase = Phase::begin(stage, &running)?;
    let unseen = || {
        let calls = stage.simulator.with(|world| world.calls()[known..].to_vec());
        let logs = Logs { calls, ..Logs::default() };
        quota::unseen(&logs, stage.scenario.regions(), n, route53::sweep_pages(&stage.scenario))
    };
    // One call for each object is the slowest that may be.
    let (ses, route53) = (stage.scenario.ses_allowance(), stage.scenario.route53_allowance());
    let limit = 2.0 * number(n) / ses.min(route53) + 30.0;
    let limit = limit.max(seconds(stage.scenario.resync().min(Duration::from_mins(1))));
    stage.wait(&running, limit, "restarted", || unseen() == 0).await?;
    let unseen = unseen();
    stage.rest(&running, AFTER_RESTART, "restarted, all seen").await?;
    let measured = whole(phase.end(stage, &running)?, &running)?;
    let rss_peak = rss_peak(running.operator.process().pid())?;
    let synced = running.synced - running.from;
    stage.stop(&running).await?;
    Ok(Restart { measured, synced, unseen, rss_peak })
}
