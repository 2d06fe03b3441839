//! What an operator keeps of each object, in bytes: with ten thousand of them
//! it has 60 MiB for everything. Counted by an allocator, so this is a test
//! binary of its own with a single test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::alloc::System;
use std::sync::Arc;

use cap::Cap;
use jiff::Timestamp;
use serde_json::{Value, json};
use ses_mailfrom::api::Reason;
use ses_mailfrom::authority::{Labels, ObjectKey, Place};
use ses_mailfrom::clock::Clock;
use ses_mailfrom::controller::{Again, Memories, Progress, Queue, Rank, Store, Watched, Woken};
use ses_mailfrom::mail::{DomainName, MailFromDomain, Regions};
use ses_mailfrom::plan::{Memory, Remembered};
use tokio::sync::mpsc::unbounded_channel;
use tokio::sync::oneshot;

#[global_allocator]
static COUNTED: Cap<System> = Cap::new(System, usize::MAX);

const OBJECTS: usize = 10_000;

/// Bytes an object, of what is kept in each place.
const STORE: usize = 1_060;
const MEMORIES: usize = 370;
const SCHEDULE: usize = 140;

#[test]
fn ten_thousand_objects_fit() {
    let store = store();
    let (stored, ()) = weigh(|| {
        for version in [1, 2] {
            for number in 0..OBJECTS {
                store.saw(watched(number, version));
            }
        }
    });
    let keys = store.keys();
    assert_eq!(keys.len(), OBJECTS);
    let memories = Memories::default();
    let (remembered, ()) = weigh(|| {
        for key in &keys {
            let (object, _) = store.view(key).expect("it parses");
            memories.keep(&object, memory(&object.spec.domain));
        }
    });
    let scheduled = schedule(&keys);
    println!("bytes an object: store {stored}, memories {remembered}, schedule {scheduled}");
    assert!(stored <= STORE, "store and claims: {stored}");
    assert!(remembered <= MEMORIES, "memories: {remembered}");
    assert!(scheduled <= SCHEDULE, "schedule: {scheduled}");
}

/// Bytes an object that `keep` leaves behind.
fn weigh<T>(keep: impl FnOnce() -> T) -> (usize, T) {
    let before = COUNTED.allocated();
    let kept = keep();
    ((COUNTED.allocated().saturating_sub(before)) / OBJECTS, kept)
}

fn store() -> Store {
    let store = Store::new("owner".into(), Regions::default());
    store.saw_namespace("mail", Labels::new());
    let policy = json!({
        "metadata": {"name": "default", "resourceVersion": "1"},
        "spec": {
            "namespaceSelector": {}, "domains": ["*"], "spfIncludes": ["*"],
            "ambientCredentials": "Allow",
        },
    });
    store.saw_policy(serde_json::from_value(policy).unwrap());
    store
}

fn domain(number: usize) -> String {
    format!("customer-{number:05}.example.com")
}

/// An object as the watch delivers it: new at version 1, settled at 2.
fn watched(number: usize, version: usize) -> Watched {
    let (time, domain) = ("2026-08-01T12:00:00Z", domain(number));
    let name = format!("bounce.{domain}");
    let condition = |kind: &str, status: &str, reason: &str, message: String| {
        json!({
            "type": kind, "status": status, "reason": reason, "message": message,
            "observedGeneration": 1, "lastTransitionTime": time,
        })
    };
    let aligned = format!(
        "SPF passes for the MAIL FROM domain; the DMARC record of {domain} is not read yet"
    );
    let digest = format!("{:032x}", number.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let marker = format!("ses-mailfrom-owner=v1 {digest} mx=created spf=created regions=us-east-1");
    let record = |kind: &str, values: Value| {
        json!({
            "name": name, "type": kind, "ttlSeconds": 300, "values": values,
            "zone": "Z0123456789ABCDEFGHIJ", "state": "Published", "origin": "Created",
            "since": time,
        })
    };
    let status = json!({
        "observedGeneration": 1,
        "conditions": [
            condition("Ready", "True", "Succeeded", format!("SES uses {name} in 1 region")),
            condition("Authorized", "True", "Succeeded",
                "a policy allows it, and no other object holds it".into()),
            condition("IdentityVerified", "True", "Succeeded",
                format!("{domain} is verified in every region")),
            condition("RecordsPublished", "True", "Succeeded",
                format!("the name servers of {name} answer with its records")),
            condition("MailFromVerified", "True", "Succeeded",
                "SES says Success in every region".into()),
            condition("Aligned", "Unknown", "DmarcNotChecked", aligned),
        ],
        "mailFromDomain": name,
        "regionsVerified": "1/1",
        "regions": [{
            "name": "us-east-1", "account": "123456789012", "origin": "Created",
            "mailFromDomain": name, "mailFromStatus": "Success",
            "behaviorOnMxFailure": "UseDefaultValue", "sending": "CustomMailFrom",
            "since": time, "lastPutTime": time, "restarts": 0,
            "message": format!("SES in us-east-1 uses {name}"),
        }],
        "records": [
            record("MX", json!(["10 feedback-smtp.us-east-1.amazonses.com"])),
            record("TXT", json!(["\"v=spf1 include:amazonses.com ~all\"", format!("\"{marker}\"")])),
        ],
        "zones": [{
            "id": "Z0123456789ABCDEFGHIJ", "account": "123456789012",
            "changeID": format!("C{:020}", number * 7919),
        }],
    });
    let object = json!({
        "apiVersion": "mailfrom.dev/v1alpha1",
        "kind": "SesMailFrom",
        "metadata": {
            "namespace": "mail", "name": domain.replace('.', "-"), "generation": 1,
            "uid": format!("{digest:.8}-{digest:.4}-4000-8000-{digest:.12}"),
            "resourceVersion": (number + version * OBJECTS).to_string(),
            "creationTimestamp": time, "finalizers": ["mailfrom.dev/cleanup"],
            "managedFields": [{"manager": "ses-mailfrom", "operation": "Apply"}],
        },
        "spec": {
            "domain": domain, "subdomain": "bounce", "regions": [{"name": "us-east-1"}],
            "behaviorOnMxFailure": "UseDefaultValue", "rollout": "WhenVerified",
            "adoptionPolicy": "IfIdentical", "deletionPolicy": "RetainDNS", "mode": "Manage",
            "dns": {"provider": "Route53", "ttlSeconds": 300, "wildcardPolicy": "Refuse",
                    "spf": {"all": "SoftFail"}},
        },
        "status": if version == 1 { json!({"observedGeneration": -1}) } else { status },
    });
    serde_json::from_value(object).unwrap()
}

/// What is remembered of an object at rest.
fn memory(domain: &str) -> Memory {
    let domain = DomainName::parse(domain).unwrap();
    let name = MailFromDomain::new("bounce", &domain).unwrap();
    let region = Regions::default().get("us-east-1").unwrap();
    let found = |message: String| Remembered {
        reason: Reason::Succeeded,
        message,
        first: Timestamp::UNIX_EPOCH,
        last: Timestamp::UNIX_EPOCH,
    };
    let in_dns = found(format!("the name servers of {name} answer with its records"));
    let in_ses = found(format!("SES in {region} uses {name}"));
    Memory {
        fresh_from: Some(Timestamp::UNIX_EPOCH),
        fresh_for: (1, None),
        findings: [(Place::Region(region), in_ses), (Place::Name(name), in_dns)]
            .into_iter()
            .collect(),
        started: Some(Timestamp::UNIX_EPOCH),
        observed: true,
        ..Memory::default()
    }
}

/// Runs every object once and lets each wait for its next turn; bytes an object.
fn schedule(keys: &[ObjectKey]) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let (wake, woken) = unbounded_channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let queue = Queue::new(woken, 64, Clock::system(), |_| Rank {
            awaited: false,
            progress: Progress::Known,
        });
        let (done, mut ran) = unbounded_channel();
        let done = Arc::new(done);
        let later = Timestamp::now().checked_add(jiff::SignedDuration::from_hours(1)).unwrap();
        let reconcile = move |_: ObjectKey| {
            let done = Arc::clone(&done);
            async move {
                done.send(()).unwrap();
                Again::At(later)
            }
        };
        let running = tokio::spawn(queue.run(reconcile, async { drop(stopped.await) }));
        let before = COUNTED.allocated();
        for key in keys {
            wake.send(Woken { key: key.clone(), news: false }).unwrap();
        }
        for _ in keys {
            ran.recv().await.unwrap();
        }
        tokio::task::yield_now().await;
        let kept = COUNTED.allocated().saturating_sub(before) / OBJECTS;
        drop(stop);
        running.await.unwrap();
        kept
    })
}
