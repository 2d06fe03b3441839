use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_simulator::{Event, EventKind, Simulator};
use harness::{Version, Watched, condition};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Tells of every transition as it happens, on a line of its own.
pub(crate) struct Narrator {
    told_events: watch::Sender<usize>,
    told_versions: watch::Sender<usize>,
    telling: [JoinHandle<()>; 2],
}

impl Narrator {
    pub(crate) fn start(simulator: Simulator, objects: Arc<Watched>) -> Self {
        let start = Instant::now();
        // What stands there before the first line is the demo's own work.
        let told_events = watch::Sender::new(simulator.with(|world| world.events().len()));
        let told_versions = watch::Sender::new(0);
        let aws = tokio::spawn(tell_aws(simulator, told_events.clone(), start));
        let kubernetes = tokio::spawn(tell_objects(objects, told_versions.clone(), start));
        Self { told_events, told_versions, telling: [aws, kubernetes] }
    }

    /// Waits until so many events and versions of objects have been told of.
    pub(crate) async fn has_told(&self, events: usize, versions: usize) {
        let (mut of_aws, mut of_objects) =
            (self.told_events.subscribe(), self.told_versions.subscribe());
        // They fail only where the sender is gone, which is in `self`.
        let _ = of_aws.wait_for(|told| *told >= events).await;
        let _ = of_objects.wait_for(|told| *told >= versions).await;
    }
}

impl Drop for Narrator {
    fn drop(&mut self) {
        for task in &self.telling {
            task.abort();
        }
    }
}

fn line(start: Instant, who: &str, what: &str) {
    println!("{:6.1}s  {who:<20} {what}", start.elapsed().as_secs_f64());
}

async fn tell_aws(simulator: Simulator, told: watch::Sender<usize>, start: Instant) {
    loop {
        let known = *told.borrow();
        let fresh = simulator
            .wait_for("an event", Duration::from_mins(1), |world| {
                let fresh = world.events().get(known..)?;
                (!fresh.is_empty()).then(|| fresh.to_vec())
            })
            .await;
        let fresh = fresh.unwrap_or_default();
        for event in &fresh {
            if let Some((who, what)) = describe(event) {
                line(start, &who, &what);
            }
        }
        told.send_replace(known + fresh.len());
    }
}

/// Who tells of it and what; `None` for what the demo does itself.
fn describe(event: &Event) -> Option<(String, String)> {
    let ses = |region: &str| format!("SES {region}");
    let dns = || "Route 53".to_owned();
    Some(match &event.kind {
        EventKind::RecordSet { name, kind, to, .. } => {
            let values = to.as_ref().map_or_else(|| "is gone".to_owned(), |to| to.join(", "));
            (dns(), format!("{} {kind} {values}", name.plain()))
        }
        EventKind::InSync { change, .. } => (dns(), format!("change {change} is in sync")),
        EventKind::MailFromPut { identity, domain, behavior } if domain.is_empty() => {
            (ses(&identity.region), format!("is told: no MAIL FROM, {behavior}"))
        }
        EventKind::MailFromPut { identity, domain, behavior } => {
            (ses(&identity.region), format!("is told: {domain}, {behavior}"))
        }
        EventKind::MailFromStatus { identity, domain, to, .. } => {
            let status = to.map_or("cleared", |status| status.v1());
            (ses(&identity.region), format!("{domain} {status}"))
        }
        EventKind::Sending { identity, to, .. } => {
            (ses(&identity.region), format!("a message sent now: {to:?}"))
        }
        EventKind::MxSeen { identity, finding, .. } => {
            (ses(&identity.region), format!("looks for the MX: {finding}"))
        }
        EventKind::Delegation { .. } | EventKind::Identity { .. } => return None,
    })
}

async fn tell_objects(objects: Arc<Watched>, told: watch::Sender<usize>, start: Instant) {
    let mut last: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    loop {
        let known = *told.borrow();
        let fresh = objects.after(known).await;
        let count = fresh.len();
        for Version { key, object, .. } in fresh {
            let name = key.rsplit('/').next().unwrap_or(&key);
            let Some(object) = object else {
                line(start, name, "is deleted");
                last.remove(&key);
                continue;
            };
            let now = aspects(&object);
            let before = last.insert(key.clone(), now.clone()).unwrap_or_default();
            for (aspect, text) in now {
                if before.get(&aspect) != Some(&text) {
                    line(start, name, &text);
                }
            }
        }
        told.send_replace(known + count);
    }
}

/// The parts of an object that are told of, each when it changes.
fn aspects(object: &Value) -> BTreeMap<String, String> {
    let mut aspects = BTreeMap::new();
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    if let Some(ready) = condition(object, "Ready") {
        let progress =
            ["Reconciling", "Stalled"].into_iter().find(|kind| condition(object, kind).is_some());
        let progress = progress.map_or(String::new(), |kind| format!(", {kind}"));
        let told = format!(
            "Ready {}{progress}: {}. {}",
            text(&ready["status"]),
            text(&ready["reason"]),
            text(&ready["message"])
        );
        aspects.insert("ready".to_owned(), told);
    }
    for region in items(&object["status"]["regions"]) {
        let name = text(&region["name"]);
        let told = format!(
            "status of {name}: {}, {}, {}",
            text(&region["mailFromStatus"]),
            text(&region["behaviorOnMxFailure"]),
            text(&region["sending"])
        );
        aspects.insert(format!("region {name}"), told);
    }
    for record in items(&object["status"]["records"]) {
        let name = format!("{} {}", text(&record["name"]), text(&record["type"]));
        let told = format!("status of {name}: {}", text(&record["state"]));
        aspects.insert(format!("record {name}"), told);
    }
    aspects
}

fn items(list: &Value) -> &[Value] {
    list.as_array().map_or(&[], Vec::as_slice)
}
