//! From `kubectl apply` to Success.

use std::net::Ipv4Addr;
use std::time::Duration;

use aws_simulator::{
    ACCOUNT, BehaviorPut, CheckSchedule, Config, EventKind, MailFromStatus, PARENT, RESOLVER,
    RecordType, Route53Config, Sending as Sent, SesConfig,
};
use harness::audit::Request;
use serde_json::{Value, json};
use ses_mailfrom::api::Sending;

use crate::stage::{DOMAIN, LIMIT, NAME, REGIONS, Stage, ZONE, instant, region};
use crate::story::{
    CHANGE, DEFAULT, PUT, REJECT, became, behaviors, puts, reaches, values, was_rejected,
};

/// From a put to SES's first look for the MX.
const FIRST_LOOK: Duration = Duration::from_mins(1);

/// SES that stays Pending until simulated time is moved on.
fn patient() -> Config {
    let checks = CheckSchedule { first: FIRST_LOOK, ..CheckSchedule::eager() };
    Config { ses: SesConfig { checks, ..SesConfig::default() }, ..instant() }
}

fn rejecting(regions: &[&str], rollout: &str) -> Value {
    let regions: Vec<Value> = regions.iter().map(|name| json!({"name": name})).collect();
    json!({"regions": regions, "behaviorOnMxFailure": "RejectMessage", "rollout": rollout})
}

#[tokio::test]
async fn two_regions_come_to_success_with_one_mx_and_dns_goes_before_ses() {
    let config = Config { route53: Route53Config::default(), ..instant() };
    let stage = Stage::with("life", config).await;
    let _operator = stage.operator().await;
    let regions = REGIONS.map(|name| json!({"name": name}));
    stage.apply("example", json!({"regions": regions})).await;

    stage.condition("example", "Ready", "False WaitingForDNS").await;
    let asked = |world: &aws_simulator::World| world.calls_of("GetChange").count() >= 4;
    stage.world("four looks at the change", |world| asked(world).then_some(())).await;
    assert_eq!(stage.calls(PUT), 0, "SES is told only of what the world can see");
    stage.aws.advance(stage.aws.with(|world| world.config().route53.in_sync_after));
    let status = stage.ready("example").await;

    assert_eq!(status.regions_verified.as_deref(), Some("2/2"));
    assert_eq!(status.mail_from_domain.as_deref(), Some(NAME));
    let (published, in_sync) = stage.aws.with(|world| {
        let mx = world.events().iter().find_map(|event| match &event.kind {
            EventKind::RecordSet { kind: RecordType::MX, change, .. } => change.clone(),
            _ => None,
        });
        let seen = world.events().iter().find(
            |event| matches!(&event.kind, EventKind::InSync { change, .. } if Some(change) == mx.as_ref()),
        );
        (mx, seen.map(|event| event.order))
    });
    assert!(published.is_some(), "the MX was made through the API");
    for name in REGIONS {
        let region = region(&status, name);
        assert_eq!(region.mail_from_domain.as_deref(), Some(NAME));
        assert_eq!(region.account.as_deref(), Some(ACCOUNT));
        assert_eq!(region.sending, Sending::CustomMailFrom);
        let puts = puts(&stage, name);
        assert_eq!(puts.len(), 1, "{puts:?}");
        assert_eq!((puts[0].domain.as_str(), puts[0].behavior.as_str()), (NAME, DEFAULT));
        assert!(Some(puts[0].order) > in_sync, "{name} was told before the records were in sync");
        let from = format!("news@{DOMAIN}");
        let sent = stage.aws.with(|world| world.would_send(ACCOUNT, name, &from));
        assert_eq!(sent, Sent::CustomMailFrom);
    }
    let first_put = REGIONS.iter().map(|name| puts(&stage, name)[0].order).min();
    let asked = asked_for_mx(&stage);
    let between = |order: &u64| in_sync < Some(*order) && Some(*order) < first_put;
    assert!(
        asked.iter().any(|(server, order)| is_of_a_zone(*server) && between(order)),
        "the zone's own servers were not asked for the MX between sync and put: {asked:?}"
    );
    let early =
        asked.iter().filter(|(server, order)| !is_of_a_zone(*server) && Some(*order) < in_sync);
    assert_eq!(early.count(), 0, "a resolver would remember that there is no {NAME}: {asked:?}");
}

/// Who was asked for the MX of the MAIL FROM domain, and when in the world's order.
fn asked_for_mx(stage: &Stage) -> Vec<(Ipv4Addr, u64)> {
    stage.aws.with(|world| {
        let asked = world.dns_questions().iter();
        let asked = asked.filter(|question| question.kind == RecordType::MX);
        let asked =
            asked.filter(|question| question.name.to_string().trim_end_matches('.') == NAME);
        asked.map(|question| (question.server, question.order)).collect()
    })
}

fn is_of_a_zone(server: Ipv4Addr) -> bool {
    server != RESOLVER && server != PARENT
}

#[tokio::test]
async fn what_is_published_is_one_mx_one_spf_record_and_the_marker_made_once() {
    let stage = Stage::new("published").await;
    let _operator = stage.operator().await;
    let regions = REGIONS.map(|name| json!({"name": name}));
    stage.apply("example", json!({"regions": regions})).await;
    let status = stage.ready("example").await;
    let mx = "10 feedback-smtp.us-east-1.amazonses.com";
    assert_eq!(values(&stage, ZONE, NAME, RecordType::MX), [mx]);
    let txt = values(&stage, ZONE, NAME, RecordType::TXT);
    assert_eq!(txt.len(), 2, "{txt:?}");
    assert!(txt.contains(&"\"v=spf1 include:amazonses.com ~all\"".to_owned()), "{txt:?}");
    let marker = txt.iter().find(|value| value.contains("ses-mailfrom-owner=v1 ")).unwrap();
    for name in REGIONS {
        assert!(marker.contains(name), "{marker} is entered before {name} is told");
    }
    let shown: Vec<_> = status.records.iter().map(|record| record.values.clone()).collect();
    assert!(shown.contains(&vec![mx.to_owned()]), "{shown:?}");

    let before = stage.writes();
    assert!(!before.iter().any(|write| write.to_ascii_lowercase().contains("upsert")));
    let made = before.iter().filter(|write| write.starts_with(CHANGE) && write.contains(mx));
    assert_eq!(made.count(), 1, "{before:?}");
    assert!(before[0].contains(mx) && before[0].contains("v=spf1"), "{}", before[0]);
    assert!(before[0].contains("ses-mailfrom-owner"), "in one batch: {}", before[0]);
    stage.rounds(6).await;
    assert_eq!(stage.writes(), before, "nothing is put or published twice");
}

#[tokio::test]
async fn reject_message_is_asked_for_only_after_a_fresh_success() {
    let stage = Stage::with("verified", patient()).await;
    let _operator = stage.operator().await;
    stage.apply("example", rejecting(&REGIONS, "WhenVerified")).await;
    stage.condition("example", "Ready", "False Pending").await;
    for name in REGIONS {
        reaches(&stage, name, MailFromStatus::Pending).await;
    }
    stage.rounds(6).await;
    for name in REGIONS {
        assert_eq!(behaviors(&stage, name), [DEFAULT], "{name} while Pending");
    }
    stage.aws.advance(FIRST_LOOK);
    stage.ready("example").await;
    for name in REGIONS {
        assert_eq!(behaviors(&stage, name), [DEFAULT, REJECT]);
        let raised = puts(&stage, name)[1].order;
        let success = became(&stage, name, MailFromStatus::Success)[0];
        let read_between = stage.aws.with(|world| {
            let reads = world
                .calls_of("GetIdentityMailFromDomainAttributes")
                .filter(|call| call.region == name);
            reads.map(|call| call.order).any(|order| success < order && order < raised)
        });
        assert!(read_between, "{name}: SES was not read between Success and RejectMessage");
    }
    assert!(!was_rejected(&stage), "no message is refused on the way");
}

#[tokio::test]
async fn reject_message_goes_with_the_first_put_where_that_is_asked_for() {
    let stage = Stage::with("immediate", patient()).await;
    let _operator = stage.operator().await;
    stage.apply("example", rejecting(&REGIONS, "Immediate")).await;
    let status = stage
        .until("example", "both regions Pending in status", |object| {
            let status = object.status.clone()?;
            let pending = |region: &ses_mailfrom::api::RegionStatus| region.deadline.is_some();
            (status.regions.len() == 2 && status.regions.iter().all(pending)).then_some(status)
        })
        .await;
    for name in REGIONS {
        assert_eq!(region(&status, name).sending, Sending::Rejected, "status says so");
        assert_eq!(behaviors(&stage, name), [REJECT]);
    }
    stage.aws.advance(FIRST_LOOK);
    stage.ready("example").await;
    stage.rounds(6).await;
    for name in REGIONS {
        assert_eq!(behaviors(&stage, name), [REJECT], "one put is all that it takes");
    }
}

#[tokio::test]
async fn a_success_lost_to_reject_message_is_rescued_once_and_not_risked_again() {
    let checks = CheckSchedule { first: FIRST_LOOK, ..CheckSchedule::eager() };
    let ses = SesConfig { checks, behavior_put: BehaviorPut::Resets, ..SesConfig::default() };
    let stage = Stage::with("rescue", Config { ses, ..instant() }).await;
    let _operator = stage.operator().await;
    let name = REGIONS[0];
    stage.apply("example", rejecting(&[name], "WhenVerified")).await;
    reaches(&stage, name, MailFromStatus::Pending).await;
    stage.aws.advance(FIRST_LOOK);

    let rescued = |world: &aws_simulator::World| {
        let held = world.mail_from(ACCOUNT, name, DOMAIN)?;
        let puts = crate::story::puts_in(world, name).len();
        (puts == 3 && held.behavior == aws_simulator::Behavior::UseDefaultValue).then_some(())
    };
    stage.world("the rescue: mail is refused no more", rescued).await;
    stage.aws.advance(FIRST_LOOK);
    let message = stage.condition("example", "Stalled", "True RejectMessageUnreachable").await;
    assert!(message.contains(name), "{message}");
    stage.condition("example", "Ready", "False RejectMessageUnreachable").await;
    stage.rounds(6).await;
    assert_eq!(behaviors(&stage, name), [DEFAULT, REJECT, DEFAULT], "nothing flaps");
    let back = |object: &ses_mailfrom::api::SesMailFrom| {
        let told = region(object.status.as_ref()?, name);
        let tried = told.reject_tried_generation == object.metadata.generation;
        (tried && told.sending == Sending::CustomMailFrom).then_some(())
    };
    stage.until("example", "back on its feet", back).await;

    stage.edit("example", json!({"dns": {"ttlSeconds": 600}})).await;
    let tried_anew = |world: &aws_simulator::World| {
        (crate::story::puts_in(world, name).get(3)?.behavior == REJECT).then_some(())
    };
    stage.world("another try for another generation", tried_anew).await;
    stage.edit("example", json!({"behaviorOnMxFailure": "UseDefaultValue"})).await;
    let lowered = |world: &aws_simulator::World| {
        let held = world.mail_from(ACCOUNT, name, DOMAIN)?;
        (held.behavior == aws_simulator::Behavior::UseDefaultValue).then_some(())
    };
    stage.world("the default, as asked for", lowered).await;
    stage.aws.advance(FIRST_LOOK);
    stage.ready("example").await;
}

#[tokio::test]
async fn an_object_costs_one_finalizer_four_statuses_and_two_events_on_its_way_to_ready() {
    let config = Config { route53: Route53Config::default(), ..patient() };
    // By default; as short as it is here, no status would be older than a second.
    let stage = Stage::with("cost", config).await.flag("--resync", "10m");
    let operator = stage.operator().await;
    stage.apply("example", json!({"regions": [{"name": "us-east-1"}]})).await;
    let asked = |world: &aws_simulator::World| world.calls_of("GetChange").count() >= 4;
    stage.world("four looks at the change", |world| asked(world).then_some(())).await;
    stage.aws.advance(stage.aws.with(|world| world.config().route53.in_sync_after));
    stage.condition("example", "Ready", "False Pending").await;
    stage.aws.advance(FIRST_LOOK);
    stage.ready("example").await;
    // What it still has to write, it has written then.
    operator.stop(LIMIT).await.expect("an exit code");

    let user = stage.launch.deployment().user();
    let mut requests = stage.plane.requests_of(&user).expect("the audit log");
    requests.retain(|request| request.namespace == stage.namespace);
    let count = |verb: &str, resource: &str, subresource: &str| {
        let of = |request: &&Request| {
            request.verb == verb
                && request.resource == resource
                && request.subresource == subresource
        };
        requests.iter().filter(of).count()
    };
    assert_eq!(count("patch", "sesmailfroms", ""), 1, "the finalizer");
    let statuses = count("patch", "sesmailfroms", "status");
    assert!((3..=4).contains(&statuses), "{statuses} statuses");
    assert_eq!(count("create", "events", ""), 2, "published, and verified");
    let lists = requests.iter().filter(|request| request.verb == "list");
    let lists: Vec<&str> = lists.map(|request| request.uri.as_str()).collect();
    assert!(!lists.is_empty() && lists.iter().all(|uri| uri.contains("limit=500")), "{lists:?}");
}

#[tokio::test]
async fn a_person_sees_it_with_kubectl() {
    let stage = Stage::with("person", patient()).await;
    let _operator = stage.operator().await;
    let manifest = json!({
        "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
        "metadata": {"name": "example", "namespace": stage.namespace},
        "spec": {"domain": DOMAIN, "subdomain": "bounce",
                 "regions": [{"name": "us-east-1"}, {"name": "eu-west-1"}]},
    });
    let apply = ["apply", "-f", "-"];
    stage.plane.kubectl_with_input(apply, &manifest.to_string()).await.unwrap();
    stage.condition("example", "Ready", "False Pending").await;
    let get = |extra: &[&'static str]| {
        let namespace = stage.namespace.clone();
        let extra = extra.to_vec();
        let plane = stage.plane;
        async move {
            let mut args = vec!["get", "smf", "-n", &namespace];
            args.extend(extra);
            plane.kubectl(args).await.unwrap()
        }
    };
    let row = |text: &str| -> Vec<String> {
        text.lines().nth(1).unwrap().split_whitespace().map(str::to_owned).collect()
    };
    let waiting = get(&[]).await;
    assert_eq!(row(&waiting)[..6], ["example", DOMAIN, NAME, "False", "Pending", "0/2"]);

    stage.aws.advance(FIRST_LOOK);
    let wait = ["wait", "--for=condition=Ready", "smf/example", "--timeout=60s", "-n"];
    stage.plane.kubectl(wait.into_iter().chain([&*stage.namespace])).await.unwrap();
    let done = get(&[]).await;
    let header: Vec<&str> = done.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["NAME", "DOMAIN", "MAILFROM", "READY", "REASON", "REGIONS", "AGE"]);
    assert_eq!(row(&done)[..6], ["example", DOMAIN, NAME, "True", "Succeeded", "2/2"]);
    let wide = get(&["-o", "wide"]).await;
    let header: Vec<&str> = wide.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header[7..], ["MX-FAILURE", "ZONE", "MESSAGE"]);
    let cells = row(&wide);
    assert_eq!(cells[7..9], ["UseDefaultValue", ZONE], "{wide}");
    assert!(wide.contains(&format!("SES uses {NAME} in 2 regions")), "{wide}");
}
