//! Runs with a size of their own: the path to DNS, and one refused change.

use std::time::Duration;

use aws_simulator::{Fault, GatePoint, Matching, RecordSet, RecordType, Trouble};

use crate::Failure;
use crate::figures::{CHANGE, Logs, dns, seconds};
use crate::scenario::Scenario;
use crate::stage::{Measured, Phase, Running, Stage};
use crate::world::{SUBDOMAIN, domain, zone_id};

/// How long all records may take before the run is given up, in seconds.
const PATH: f64 = 90.0;
/// The same for all objects but one being Ready.
const BUT_ONE: f64 = 180.0;
/// What follows the last Ready.
const AFTERWARDS: Duration = Duration::from_secs(5);

/// What was seen of the path to DNS.
pub(crate) struct DnsPath {
    pub(crate) logs: Logs,
    /// When the operator was started.
    pub(crate) start: f64,
    pub(crate) measured: Measured,
}

/// Starts the operator and waits for the last record.
pub(crate) async fn dns_path(stage: &Stage) -> Result<DnsPath, Failure> {
    let n = stage.scenario.n;
    stage.create(0..n).await?;
    let running = stage.start().await?;
    let phase = Phase::begin(stage, &running)?;
    let published = || {
        let events = stage.simulator.with(|world| world.events().to_vec());
        dns::path(&Logs { events, ..Logs::default() }, 0.0, n).is_some()
    };
    stage.wait(&running, PATH, "publishing", published).await?;
    let measured = phase.end(stage, &running)?;
    stage.stop(&running).await?;
    Ok(DnsPath { logs: stage.logs()?, start: running.from, measured })
}

/// What was seen of a refused change.
pub(crate) struct Culprit {
    pub(crate) logs: Logs,
    /// The MAIL FROM domain whose records are refused.
    pub(crate) victim: String,
    /// From the start until all others were Ready; none where they were not.
    pub(crate) others: Option<f64>,
    pub(crate) converging: Measured,
    pub(crate) at_rest: Measured,
}

/// Has Route 53 refuse one change of a batch. Where the message is to name it,
/// someone else creates an MX at the name between survey and change; else IAM
/// forbids that one name, and the message names only the zone.
pub(crate) async fn culprit(stage: &Stage, named: bool) -> Result<Culprit, Failure> {
    let n = stage.scenario.n;
    stage.create(0..n).await?;
    let gate = named.then(|| stage.simulator.gate(Matching::action(CHANGE), GatePoint::Before, 0));
    let mut victim = format!("{SUBDOMAIN}.{}", domain(stage.scenario.zones, n / 2));
    if !named {
        let denied = Matching::action(CHANGE).target(&victim);
        stage.simulator.add_fault(Fault::always(denied, Trouble::AccessDenied));
    }
    let running = stage.start().await?;
    let phase = Phase::begin(stage, &running)?;
    if let Some(gate) = gate {
        stage.wait(&running, BUT_ONE, "until a batch is sent", || gate.is_reached()).await?;
        victim = occupy(stage)?;
        gate.release();
    }
    let others = but_one(stage, &running).await?;
    stage.rest(&running, AFTERWARDS, "settling").await?;
    let converging = phase.end(stage, &running)?;
    let phase = Phase::begin(stage, &running)?;
    stage.rest(&running, stage.scenario.steady, "at rest").await?;
    let at_rest = phase.end(stage, &running)?;
    stage.stop(&running).await?;
    Ok(Culprit { logs: stage.logs()?, victim, others, converging, at_rest })
}

async fn but_one(stage: &Stage, running: &Running) -> Result<Option<f64>, Failure> {
    let n = stage.scenario.n;
    let ready = || stage.population.ready() + 1 >= n;
    let all = stage.wait(running, BUT_ONE, "converging", ready).await?;
    Ok(all.then(|| stage.population.latest() - running.from))
}

/// Puts an MX at a name in the middle of the batch that stands at the gate, and
/// yields the name.
fn occupy(stage: &Stage) -> Result<String, Failure> {
    stage.simulator.with(|world| {
        let batch = world.calls_of(CHANGE).last().map(|call| call.targets.clone());
        let batch = batch.ok_or("no batch has been sent")?;
        let names = batch.get(1..).unwrap_or_default();
        let victim = names.get(names.len() / 2).and_then(|target| target.split(' ').next());
        let victim = victim.ok_or("the batch changes nothing")?;
        let set = RecordSet::new(victim, RecordType::MX, 300, &["10 mail.other.example"])?;
        world.put_record_set(&zone_id(stage.scenario.zones, 0), set)?;
        Ok::<_, Failure>(victim.to_owned())
    })
}

/// For how many sweeps of all objects a scenario is watched at rest.
pub(crate) fn sweeps_at_rest(scenario: &Scenario, at_rest: Measured) -> f64 {
    at_rest.span.length() / seconds(scenario.resync())
}
