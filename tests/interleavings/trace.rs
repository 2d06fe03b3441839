//! What happened last in a world, for a person who looks into a failure.

use std::fmt::Write;

use aws_simulator::World;

use crate::cluster::Told;
use crate::stage::Stage;

const CALLS: usize = 12;
const WRITES: usize = 16;
const VERSIONS: usize = 16;

/// The last calls, the last writes, what the object's conditions were, and the
/// object.
pub(crate) fn last_of(stage: &Stage) -> String {
    let mut text = format!("after {} steps\n", stage.odometer.so_far());
    stage.aws.with(|world| calls(world, &mut text));
    for operator in &stage.operators {
        let cluster = &operator.setup.cluster;
        writeln!(text, "of the operator {:?}:", operator.setup.owner_id).unwrap();
        let told = cluster.told();
        for at in told.saturating_sub(VERSIONS)..told {
            version(cluster.tell(at), &mut text);
        }
        for object in cluster.all() {
            writeln!(text, "{}", serde_json::to_string_pretty(&object).unwrap()).unwrap();
        }
    }
    text
}

fn calls(world: &World, text: &mut String) {
    let is_write = |action: &str| action.starts_with("Change") || action.starts_with("Put");
    for (title, writes, count) in [("writes", true, WRITES), ("reads", false, CALLS)] {
        writeln!(text, "the last {title}:").unwrap();
        let all = world.calls().iter().rev().filter(|call| is_write(&call.action) == writes);
        let mut last: Vec<_> = all.take(count).collect();
        last.reverse();
        for call in last {
            let (at, action, region) = (call.at, &call.action, &call.region);
            let (who, outcome) = (&call.access_key, &call.outcome);
            let what = &call.parameters;
            writeln!(text, "  {at:?} {who} {action} {region} {what} {outcome:?}").unwrap();
        }
    }
}

fn version(told: Option<Told>, text: &mut String) {
    let Some(Told { object, name, .. }) = told else { return };
    let Some(object) = object else {
        writeln!(text, "{name} is gone").unwrap();
        return;
    };
    let version = object.metadata.resource_version.as_deref().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    let told = conditions.filter(|c| matches!(&*c.type_, "Ready" | "Reconciling" | "Stalled"));
    let told = told.map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message));
    let told: Vec<_> = told.collect();
    writeln!(text, "{name} v{version} g{generation} {}", told.join("; ")).unwrap();
}
