//! Changes to a living object: regions, names, the region of the MX.

use std::collections::BTreeSet;

use aws_simulator::{ACCOUNT, EventKind, MailFromStatus, RecordType, Sending, World};
use harness::Operator;
use serde_json::{Value, json};
use ses_mailfrom::api::RecordState;
use ses_mailfrom::mail::BehaviorOnMxFailure;

use crate::stage::{DOMAIN, LIMIT, NAME, REGIONS, Stage, ZONE, region};

const US: &str = REGIONS[0];
const EU: &str = REGIONS[1];
const PUT: &str = "PutEmailIdentityMailFromAttributes";

async fn converged(test: &str, spec: Value) -> (Stage, Operator) {
    let stage = Stage::new(test).await;
    let operator = stage.operator().await;
    stage.apply("living", spec).await;
    stage.ready("living").await;
    (stage, operator)
}

fn both() -> Value {
    json!(REGIONS.map(|name| json!({"name": name})))
}

/// The MAIL FROM domain and status that SES holds in a region.
fn held(world: &World, region: &str) -> Option<(String, MailFromStatus)> {
    world.mail_from(ACCOUNT, region, DOMAIN)?.domain.clone()
}

fn succeeded(name: &str) -> Option<(String, MailFromStatus)> {
    Some((name.to_owned(), MailFromStatus::Success))
}

fn mx(world: &World, name: &str) -> Option<Vec<String>> {
    world.record_set(ZONE, name, RecordType::MX).map(|set| set.values.clone())
}

fn mx_of(region: &str) -> Option<Vec<String>> {
    Some(vec![format!("10 feedback-smtp.{region}.amazonses.com")])
}

/// How often SES was told something in a region.
fn puts(stage: &Stage, region: &str) -> usize {
    stage.aws.with(|world| world.calls_of(PUT).filter(|call| call.region == region).count())
}

/// The place in the log up to which things have happened.
fn now(stage: &Stage) -> u64 {
    stage.aws.with(|world| {
        let last_call = world.calls().last().map_or(0, |call| call.order);
        last_call.max(world.events().last().map_or(0, |event| event.order))
    })
}

/// What happened after that place, in order.
fn since(stage: &Stage, place: u64) -> Vec<(u64, EventKind)> {
    stage.aws.with(|world| {
        let later = world.events().iter().filter(|event| event.order > place);
        later.map(|event| (event.order, event.kind.clone())).collect()
    })
}

fn refusals(events: &[(u64, EventKind)]) -> Vec<&EventKind> {
    let refuses = |kind: &EventKind| {
        matches!(kind, EventKind::Sending { to: Sending::Rejected | Sending::NotVerified, .. })
    };
    events.iter().map(|(_, kind)| kind).filter(|kind| refuses(kind)).collect()
}

#[tokio::test]
async fn a_region_that_joins_leaves_the_others_alone() {
    let (stage, _operator) = converged("joins", json!({"regions": [{"name": US}]})).await;
    let told = puts(&stage, US);
    stage.edit("living", json!({"regions": both()})).await;
    let status = stage.ready("living").await;
    assert_eq!(status.regions_verified.as_deref(), Some("2/2"));
    stage.aws.with(|world| {
        assert_eq!(held(world, EU), succeeded(NAME));
        assert_eq!(held(world, US), succeeded(NAME));
        assert_eq!(mx(world, NAME), mx_of(US), "the MX that stood stays");
    });
    assert_eq!(puts(&stage, US), told, "the region that was there is told nothing");
}

#[tokio::test]
async fn a_region_that_leaves_is_cleared_and_forgotten() {
    let (stage, _operator) = converged("leaves", json!({"regions": both()})).await;
    let (told, place) = (puts(&stage, US), now(&stage));
    stage.edit("living", json!({"regions": [{"name": US}]})).await;
    stage.world("the region cleared", |world| held(world, EU).is_none().then_some(())).await;
    stage
        .until("living", "the region forgotten", |object| {
            let regions = &object.status.as_ref()?.regions;
            (regions.len() == 1 && regions[0].name == US).then_some(())
        })
        .await;
    let status = stage.ready("living").await;
    assert_eq!(status.regions_verified.as_deref(), Some("1/1"));
    stage.rounds(3).await;
    stage.aws.with(|world| {
        assert_eq!(held(world, US), succeeded(NAME));
        assert_eq!(mx(world, NAME), mx_of(US));
    });
    assert_eq!(puts(&stage, US), told);
    assert_eq!(refusals(&since(&stage, place)), Vec::<&EventKind>::new());
}

#[tokio::test]
async fn a_region_moves_to_a_subdomain_of_its_own() {
    let spec = json!({"regions": both(), "behaviorOnMxFailure": "RejectMessage"});
    let (stage, _operator) = converged("own", spec).await;
    let (told, place) = (puts(&stage, US), now(&stage));
    let own = "bounce-eu.example.com";
    let regions = json!([{"name": US}, {"name": EU, "subdomain": "bounce-eu"}]);
    stage.edit("living", json!({"regions": regions})).await;
    let status = stage.ready("living").await;
    assert_eq!(region(&status, EU).mail_from_domain.as_deref(), Some(own));
    stage.aws.with(|world| {
        assert_eq!(held(world, EU), succeeded(own));
        assert_eq!(mx(world, own), mx_of(EU));
        assert_eq!(held(world, US), succeeded(NAME));
        assert_eq!(mx(world, NAME), mx_of(US));
    });
    assert_eq!(puts(&stage, US), told);
    assert_eq!(refusals(&since(&stage, place)), Vec::<&EventKind>::new());
}

#[tokio::test]
async fn the_mx_moves_to_another_region_while_none_refuses_mail() {
    let spec = json!({
        "regions": both(), "mxRegion": US, "behaviorOnMxFailure": "RejectMessage",
    });
    let (stage, _operator) = converged("mxregion", spec).await;
    let place = now(&stage);
    stage.edit("living", json!({"mxRegion": EU})).await;
    stage.world("the MX swapped", |world| (mx(world, NAME) == mx_of(EU)).then_some(())).await;
    let status = stage.ready("living").await;
    for name in REGIONS {
        let behavior = region(&status, name).behavior_on_mx_failure;
        assert_eq!(behavior, Some(BehaviorOnMxFailure::RejectMessage));
    }
    let events = since(&stage, place);
    let swaps: Vec<&(u64, EventKind)> = events
        .iter()
        .filter(|(_, kind)| {
            matches!(kind, EventKind::RecordSet { kind, .. } if *kind == RecordType::MX)
        })
        .collect();
    assert_eq!(swaps.len(), 1, "one batch, in which the MX is never absent: {swaps:#?}");
    let swapped = swaps[0].0;
    for name in REGIONS {
        let told: Vec<(bool, &str)> = events
            .iter()
            .filter_map(|(order, kind)| match kind {
                EventKind::MailFromPut { identity, behavior, .. } if identity.region == name => {
                    Some((*order < swapped, behavior.as_str()))
                }
                _ => None,
            })
            .collect();
        assert_eq!(told, [(true, "USE_DEFAULT_VALUE"), (false, "REJECT_MESSAGE")], "{name}");
    }
    assert_eq!(refusals(&events), Vec::<&EventKind>::new());
}

#[tokio::test]
async fn another_subdomain_costs_no_message_and_the_old_name_drains() {
    let spec = json!({"regions": both(), "behaviorOnMxFailure": "RejectMessage"});
    let (stage, operator) = converged("subdomain", spec).await;
    let place = now(&stage);
    let new = "return.example.com";
    stage.edit("living", json!({"subdomain": "return"})).await;
    let status = stage.ready("living").await;
    stage.aws.with(|world| {
        for name in REGIONS {
            assert_eq!(held(world, name), succeeded(new));
        }
        assert_eq!(mx(world, new), mx_of(US));
    });
    let events = since(&stage, place);
    assert_eq!(refusals(&events), Vec::<&EventKind>::new());
    published_before_told(&events, new);

    // The old name stays for mail in flight …
    let draining: BTreeSet<&str> = status
        .records
        .iter()
        .filter(|record| record.state == RecordState::Draining)
        .map(|record| record.name.as_str())
        .collect();
    assert_eq!(draining, [NAME].into());
    stage.rounds(4).await;
    stage.aws.with(|world| {
        assert_eq!(mx(world, NAME), mx_of(US));
        assert!(world.record_set(ZONE, NAME, RecordType::TXT).is_some());
    });

    // … and goes once the drain window is over.
    operator.stop(LIMIT).await.expect("a graceful end");
    let stage = stage.flag("--drain-window", "1s");
    let _operator = stage.operator().await;
    stage
        .world("the old name removed", |world| {
            let left = |kind| world.record_set(ZONE, NAME, kind).is_some();
            (!left(RecordType::MX) && !left(RecordType::TXT)).then_some(())
        })
        .await;
    stage
        .until("living", "the old name forgotten", |object| {
            let records = &object.status.as_ref()?.records;
            records.iter().all(|record| record.name == new).then_some(())
        })
        .await;
    stage.ready("living").await;
    stage.aws.with(|world| assert_eq!(mx(world, new), mx_of(US)));
}

/// Every put that names `name` came after its records were served.
fn published_before_told(events: &[(u64, EventKind)], name: &str) {
    let change = events.iter().find_map(|(_, kind)| match kind {
        EventKind::RecordSet { name: at, kind, change, .. }
            if at.to_string().trim_end_matches('.') == name && *kind == RecordType::MX =>
        {
            change.clone()
        }
        _ => None,
    });
    let change = change.expect("the change that published the new name");
    let in_sync = events.iter().find_map(|(order, kind)| {
        matches!(kind, EventKind::InSync { change: id, .. } if *id == change).then_some(*order)
    });
    let in_sync = in_sync.expect("the change in sync");
    let told: Vec<u64> = events
        .iter()
        .filter(|(_, kind)| matches!(kind, EventKind::MailFromPut { domain, .. } if domain == name))
        .map(|(order, _)| *order)
        .collect();
    assert!(told.len() >= REGIONS.len(), "each region was told");
    assert!(told.iter().all(|order| *order > in_sync), "{told:?} against {in_sync}");
}

#[tokio::test]
async fn another_behaviour_is_one_put_and_another_ttl_one_batch() {
    let (stage, _operator) = converged("small", json!({"regions": [{"name": US}]})).await;
    let before = stage.writes().len();
    stage.edit("living", json!({"behaviorOnMxFailure": "RejectMessage"})).await;
    stage.ready("living").await;
    stage.rounds(2).await;
    let writes = stage.writes().split_off(before);
    assert_eq!(writes.len(), 1, "{writes:#?}");
    assert!(writes[0].starts_with(PUT), "{writes:#?}");
    let place = now(&stage);
    stage.edit("living", json!({"dns": {"provider": "Route53", "ttlSeconds": 120}})).await;
    stage
        .world("the new TTL", |world| {
            let ttl = |kind| world.record_set(ZONE, NAME, kind).and_then(|set| set.ttl);
            (ttl(RecordType::MX) == Some(120) && ttl(RecordType::TXT) == Some(120)).then_some(())
        })
        .await;
    stage.ready("living").await;
    stage.rounds(2).await;
    let writes = stage.writes().split_off(before + 1);
    assert_eq!(writes.len(), 1, "{writes:#?}");
    assert!(writes[0].starts_with("ChangeResourceRecordSets"), "{writes:#?}");
    assert_eq!(refusals(&since(&stage, place)), Vec::<&EventKind>::new());
}

#[tokio::test]
async fn a_region_that_joins_while_another_fails_does_not_wait_for_it() {
    let (stage, _operator) = converged("beside", json!({"regions": [{"name": US}]})).await;
    stage.aws.with(|world| world.delete_identity(ACCOUNT, EU, DOMAIN));
    stage.aws.with(|world| world.set_identity(ACCOUNT, "eu-central-1", DOMAIN, true));
    let regions = json!([{"name": US}, {"name": EU}, {"name": "eu-central-1"}]);
    stage.edit("living", json!({"regions": regions})).await;
    stage
        .world("the new region", |world| {
            (held(world, "eu-central-1") == succeeded(NAME)).then_some(())
        })
        .await;
    stage.condition("living", "Ready", "False IdentityNotFound").await;
}
