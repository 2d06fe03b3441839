//! The hosted zone: which one, and what is said where there is none to use.

use std::time::Duration;

use aws_simulator::{ACCOUNT, Config, Delegation, RecordType, Route53Config, World, ZoneSpec};
use serde_json::{Value, json};

use crate::stage::{NAME, REGIONS, Stage, ZONE, instant};
use crate::story::{CHANGE, PUT, values};

fn at(domain: &str) -> Value {
    json!({"domain": domain, "regions": [{"name": REGIONS[0]}]})
}

fn zone(world: &mut World, spec: ZoneSpec) -> String {
    world.create_zone(spec).expect("a zone")
}

fn servers(world: &World, zone: &str) -> Vec<String> {
    let servers = world.zone(zone).expect("the zone").servers();
    servers.iter().map(|(host, _)| host.to_string()).collect()
}

/// The zones of one account, none of which will do as they are: the domain,
/// the reason and what the message says.
const UNUSABLE: [(&str, &str, &str, &str); 6] = [
    ("missing.example", "Reconciling", "ZoneNotFound", "no hosted zone"),
    ("private.example", "Reconciling", "ZoneNotFound", "private"),
    ("twice.example", "Stalled", "ZoneAmbiguous", "ZTWICE1"),
    ("linked.example", "Stalled", "ZoneNotEditable", "servicediscovery"),
    ("lost.example", "Stalled", "ZoneNotDelegated", "does not delegate"),
    ("away.example", "Stalled", "ZoneNotDelegated", "ns1.elsewhere.example"),
];

fn build_unusable(world: &mut World) {
    let public = |name: &str| ZoneSpec::public(ACCOUNT, name);
    zone(world, ZoneSpec::private(ACCOUNT, "private.example"));
    zone(world, public("twice.example").id("ZTWICE1"));
    zone(world, public("twice.example").id("ZTWICE2").delegation(Delegation::None));
    zone(world, public("linked.example").linked_service("servicediscovery.amazonaws.com", "map"));
    zone(world, public("lost.example").id("ZLOST").delegation(Delegation::None));
    let elsewhere = Delegation::Elsewhere(vec!["ns1.elsewhere.example".to_owned()]);
    zone(world, public("away.example").id("ZAWAY").delegation(elsewhere));
    for (domain, ..) in UNUSABLE {
        world.set_identity(ACCOUNT, REGIONS[0], domain, true);
    }
}

#[tokio::test]
async fn a_zone_that_will_not_do_is_said_and_once_mended_used() {
    let stage = Stage::bare("zones", instant()).await.flag("--resync", "2s");
    stage.aws.with(build_unusable);
    let _operator = stage.operator().await;
    for (domain, ..) in UNUSABLE {
        stage.apply(domain, at(domain)).await;
    }
    for (domain, kind, reason, says) in UNUSABLE {
        let message = stage.condition(domain, kind, &format!("True {reason}")).await;
        assert!(message.contains(says), "{domain}: {message}");
        stage.condition(domain, "Ready", &format!("False {reason}")).await;
        stage.condition(domain, "RecordsPublished", &format!("False {reason}")).await;
    }
    stage.rounds(3 * UNUSABLE.len()).await;
    assert_eq!((stage.calls(CHANGE), stage.calls(PUT)), (0, 0), "{:?}", stage.writes());

    stage.aws.with(|world| {
        zone(world, ZoneSpec::public(ACCOUNT, "missing.example"));
        zone(world, ZoneSpec::public(ACCOUNT, "private.example"));
        for (domain, id) in [("lost.example", "ZLOST"), ("away.example", "ZAWAY")] {
            let hosts = servers(world, id);
            world.delegate(domain, &hosts).expect("a delegation");
        }
        world.flush_resolvers();
    });
    stage.edit("twice.example", json!({"dns": {"hostedZoneID": "ZTWICE1"}})).await;
    for (domain, ..) in UNUSABLE.iter().filter(|unusable| unusable.0 != "linked.example") {
        stage.ready(domain).await;
    }
    assert!(values(&stage, "ZTWICE2", "bounce.twice.example", RecordType::MX).is_empty());
}

#[tokio::test]
async fn a_zone_that_is_not_delegated_has_a_grace_before_it_counts_as_stalled() {
    let stage = Stage::bare("grace", instant()).await.flag("--stall-grace", "1h");
    stage.aws.with(build_unusable);
    let _operator = stage.operator().await;
    stage.apply("lost", at("lost.example")).await;
    stage.condition("lost", "Reconciling", "True ZoneNotDelegated").await;
    stage.rounds(4).await;
    stage.condition("lost", "Reconciling", "True ZoneNotDelegated").await;
}

#[tokio::test]
async fn vanity_name_servers_and_a_nested_zone_that_no_one_delegates_to_are_no_obstacle() {
    let stage = Stage::bare("vanity", instant()).await;
    stage.aws.with(|world| {
        let vanity = ZoneSpec::public(ACCOUNT, "vanity.example").id("ZVANITY");
        zone(world, vanity.vanity(&["ns1", "ns2"]));
        zone(world, ZoneSpec::public(ACCOUNT, "nested.example").id("ZABOVE"));
        let inner = ZoneSpec::public(ACCOUNT, "mail.nested.example").id("ZINNER");
        zone(world, inner.delegation(Delegation::None));
        for domain in ["vanity.example", "mail.nested.example"] {
            world.set_identity(ACCOUNT, REGIONS[0], domain, true);
        }
    });
    let _operator = stage.operator().await;
    stage.apply("vanity", at("vanity.example")).await;
    stage.apply("nested", at("mail.nested.example")).await;
    stage.ready("vanity").await;
    stage.ready("nested").await;
    let nested = "bounce.mail.nested.example";
    assert_eq!(values(&stage, "ZVANITY", "bounce.vanity.example", RecordType::MX).len(), 1);
    assert_eq!(values(&stage, "ZABOVE", nested, RecordType::MX).len(), 1);
    assert!(values(&stage, "ZINNER", nested, RecordType::MX).is_empty());
}

#[tokio::test]
async fn where_port_53_is_closed_it_goes_on_after_in_sync_and_says_so() {
    let config = Config { route53: Route53Config::default(), ..instant() };
    let stage = Stage::with("closed", config).await;
    // Nothing answers on port 1. A question that is never answered takes its
    // time-out of 3 s, so answers count for longer than that here.
    let stage = stage.flag("--dns-port", "1").flag("--resync", "30s");
    let stage = stage.flag("--poll-min", "5s").flag("--poll-max", "5s");
    let _operator = stage.operator().await;
    stage.apply("example", at("example.com")).await;
    let asked = |world: &World| world.calls_of("GetChange").count() >= 1;
    stage.world("a look at the change", |world| asked(world).then_some(())).await;
    assert_eq!(stage.calls(PUT), 0, "not before Route 53 says that it is in sync");
    stage.aws.advance(Duration::from_secs(30));
    stage.ready("example").await;
    let message = stage.condition("example", "RecordsPublished", "True Succeeded").await;
    assert!(message.contains("DNS could not be asked"), "{message}");
    assert_eq!(values(&stage, ZONE, NAME, RecordType::MX).len(), 1);
}
