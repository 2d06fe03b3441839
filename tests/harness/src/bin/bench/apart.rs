//! Runs with a size of their own: the path to DNS, and one refused change.

use std::time::Duration;

use aws_simulator::{Call, GatePoint, Matching, RecordSet, RecordType, Simulator};
use serde_json::json;

use crate::Failure;
use crate::figures::{CHANGE, Logs, dns, seconds};
use crate::scenario::Scenario;
use crate::stage::{Measured, Phase, Running, Stage};

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

/// Has Route 53 refuse one change of a full batch, which the second one is: the first
/// is what the linger had gathered. It is held before it is carried out, so that what
/// refuses the name in its middle meets this batch first. Where the message is to name
/// it, someone else creates an MX there; else IAM forbids that one name, and the
/// message names only the zone.
pub(crate) async fn culprit(stage: &Stage, named: bool) -> Result<Culprit, Failure> {
    stage.create(0..stage.scenario.n).await?;
    let simulator = &stage.simulator;
    let gate = simulator.gate(Matching::action(CHANGE), GatePoint::Before, 1);
    let running = stage.start().await?;
    let phase = Phase::begin(stage, &running)?;
    let held = || gate.is_reached();
    if !stage.wait(&running, BUT_ONE, "until a full batch is sent", held).await? {
        return Err("no second batch was sent".into());
    }
    let batch = simulator.with(|world| world.calls_of(CHANGE).last().cloned());
    let batch = batch.ok_or("no batch has been sent")?;
    let victim = middle(&batch).ok_or("the batch changes nothing")?.to_owned();
    let refuse = if named { occupy } else { forbid };
    refuse(simulator, &batch, &victim)?;
    gate.release();
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

/// The name in the middle of a batch: the targets are its zone, then its record sets.
fn middle(batch: &Call) -> Option<&str> {
    let sets = batch.targets.get(1..)?;
    sets.get(sets.len() / 2)?.split(' ').next()
}

/// Puts an MX at a name in the zone of a batch, as someone else.
fn occupy(simulator: &Simulator, batch: &Call, name: &str) -> Result<(), Failure> {
    let zone = batch.targets.first().ok_or("the batch is of no zone")?;
    let set = RecordSet::new(name, RecordType::MX, 300, &["10 mail.other.example"])?;
    simulator.with(|world| world.put_record_set(zone, set))?;
    Ok(())
}

/// Has IAM forbid whoever sent a batch to change a name. A scripted fault would let
/// the batch itself pass: those are looked up when a call comes in, policies when it
/// is carried out.
fn forbid(simulator: &Simulator, batch: &Call, name: &str) -> Result<(), Failure> {
    let names = format!("route53:{CHANGE}NormalizedRecordNames");
    let policy = json!({
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "*", "Resource": "*"},
            {
                "Effect": "Deny", "Action": format!("route53:{CHANGE}"), "Resource": "*",
                "Condition": {"ForAnyValue:StringEquals": {names: [name]}},
            },
        ],
    });
    simulator.with(|world| world.attach_policy(&batch.access_key, &policy.to_string()))?;
    Ok(())
}

/// For how many sweeps of all objects a scenario is watched at rest.
pub(crate) fn sweeps_at_rest(scenario: &Scenario, at_rest: Measured) -> f64 {
    at_rest.span.length() / seconds(scenario.resync())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_simulator::{ACCESS_KEY, Outcome};
    use axum::body::Bytes;
    use futures::poll;

    use super::*;
    use crate::scenario::full;
    use crate::world;

    const NAMES: [&str; 3] = ["a.bench.example", "b.bench.example", "c.bench.example"];

    /// A batch that creates a TXT at each name.
    fn batch(names: &[&str]) -> http::Request<Bytes> {
        let one = |name: &&str| {
            format!(
                "<Change><Action>CREATE</Action><ResourceRecordSet><Name>{name}</Name>\
                 <Type>TXT</Type><TTL>300</TTL><ResourceRecords><ResourceRecord>\
                 <Value>\"x\"</Value></ResourceRecord></ResourceRecords>\
                 </ResourceRecordSet></Change>"
            )
        };
        let changes: String = names.iter().map(one).collect();
        let body = format!(
            "<ChangeResourceRecordSetsRequest><ChangeBatch><Changes>{changes}</Changes>\
             </ChangeBatch></ChangeResourceRecordSetsRequest>"
        );
        let scope = format!("Credential={ACCESS_KEY}/20260101/us-east-1/route53/aws4_request");
        http::Request::post("https://route53.amazonaws.com/2013-04-01/hostedzone/ZBENCH/rrset")
            .header("authorization", format!("AWS4-HMAC-SHA256 {scope}, Signature=0"))
            .body(Bytes::from(body))
            .unwrap()
    }

    #[tokio::test]
    async fn what_is_forbidden_while_a_batch_stands_at_the_gate_refuses_that_batch() {
        let scenario = full().swap_remove(0);
        let simulator = world::build(&scenario, 1).unwrap();
        let gate = simulator.gate(Matching::action(CHANGE), GatePoint::Before, 0);
        let mut held = std::pin::pin!(simulator.handle(batch(&NAMES)));
        assert!(poll!(held.as_mut()).is_pending() && gate.is_reached());
        let call = |at: usize| simulator.with(|world| world.calls()[at].clone());
        let victim = middle(&call(0)).unwrap().to_owned();
        assert_eq!(victim, NAMES[1]);
        forbid(&simulator, &call(0), &victim).unwrap();
        gate.release();
        held.await.unwrap();
        for names in [&[NAMES[1]][..], &[NAMES[0], NAMES[2]]] {
            simulator.handle(batch(names)).await.unwrap();
        }
        let outcomes = [0, 1, 2].map(|at| call(at).outcome);
        assert!(outcomes[..2].iter().all(|outcome| outcome.is_error("AccessDenied")));
        assert_eq!(outcomes[2], Outcome::Ok);
    }
}
