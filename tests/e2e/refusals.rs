//! What is refused: the exact finding, and nothing written.

use aws_simulator::{
    ACCOUNT, Behavior, EventKind, MailFromStatus, RecordSet, RecordType, World, ZoneSpec,
};
use serde_json::{Value, json};
use ses_mailfrom::api::TAKE_OVER;

use crate::stage::{DOMAIN, NAME, REGIONS, Stage, ZONE, instant, region};
use crate::story::{CHANGE, PUT, puts, values};

fn at(domain: &str) -> Value {
    json!({"domain": domain, "regions": [{"name": REGIONS[0]}]})
}

/// A delegated zone and a verified identity for `domain`; the zone's id.
fn found(world: &mut World, domain: &str) -> String {
    world.set_identity(ACCOUNT, REGIONS[0], domain, true);
    world.create_zone(ZoneSpec::public(ACCOUNT, domain)).expect("a zone")
}

#[tokio::test]
async fn an_identity_is_waited_for_until_it_is_there_and_verified() {
    let stage = Stage::bare("identities", instant()).await;
    stage.aws.with(|world| {
        world.create_zone(ZoneSpec::public(ACCOUNT, DOMAIN).id(ZONE)).expect("a zone");
    });
    let _operator = stage.operator().await;
    stage.apply("example", at(DOMAIN)).await;
    for (reason, says) in [
        ("IdentityNotFound", "no identity example.com in us-east-1"),
        ("IdentityNotVerified", "not verified in us-east-1"),
    ] {
        let message = stage.condition("example", "Reconciling", &format!("True {reason}")).await;
        assert!(message.contains(says), "{message}");
        stage.condition("example", "IdentityVerified", &format!("False {reason}")).await;
        stage.rounds(4).await;
        assert_eq!(stage.writes(), Vec::<String>::new());
        let verified = reason == "IdentityNotVerified";
        stage.aws.with(|world| world.set_identity(ACCOUNT, REGIONS[0], DOMAIN, verified));
    }
    stage.ready("example").await;
    stage.condition("example", "IdentityVerified", "True Succeeded").await;
}

#[tokio::test]
async fn one_region_without_the_identity_does_not_hold_up_the_other() {
    let stage = Stage::new("half").await;
    stage.aws.with(|world| world.delete_identity(ACCOUNT, REGIONS[1], DOMAIN));
    let _operator = stage.operator().await;
    let regions = REGIONS.map(|name| json!({"name": name}));
    stage.apply("example", json!({"regions": regions})).await;
    let message = stage.condition("example", "Ready", "False IdentityNotFound").await;
    assert!(message.contains(REGIONS[1]), "{message}");
    let half = |object: &ses_mailfrom::api::SesMailFrom| {
        (object.status.as_ref()?.regions_verified.as_deref() == Some("1/2")).then_some(())
    };
    stage.until("example", "1/2", half).await;
    stage.aws.with(|world| world.set_identity(ACCOUNT, REGIONS[1], DOMAIN, true));
    stage.ready("example").await;
}

/// What stands at, around or above `bounce.<domain>`, and what is said of it.
type Held = (&'static str, &'static str, &'static str, fn(&str) -> Vec<RecordSet>);

fn set(name: &str, kind: RecordType, values: &[&str]) -> RecordSet {
    RecordSet::new(name, kind, 300, values).expect("a record set")
}

const SES_SPF: &str = "\"v=spf1 include:amazonses.com ~all\"";
const OTHERS_MARKER: &str = "ses-mailfrom-owner=v1 00112233445566778899aabbccddeeff mx=created spf=created regions=us-east-1";

const HELD: [Held; 13] = [
    ("cname.example", "NameOccupied", "CNAME", |name| {
        vec![set(name, RecordType::CNAME, &["elsewhere.example."])]
    }),
    ("address.example", "NameOccupied", "A record", |name| {
        vec![set(name, RecordType::A, &["192.0.2.1"])]
    }),
    ("address6.example", "NameOccupied", "AAAA", |name| {
        vec![set(name, RecordType::AAAA, &["2001:db8::1"])]
    }),
    ("alias.example", "NameOccupied", "alias", |name| {
        vec![RecordSet::alias(name, "lb.elsewhere.example").expect("an alias")]
    }),
    ("routed.example", "NameOccupied", "routed", |name| {
        vec![set(name, RecordType::TXT, &["\"hello\""]).weighted("one", 1)]
    }),
    ("cut.example", "NameOccupied", "NS", |name| {
        vec![set(name, RecordType::NS, &["ns1.elsewhere.example."])]
    }),
    ("wild.example", "NameOccupied", "*.wild.example", |_| {
        vec![set("*.wild.example", RecordType::A, &["192.0.2.1"])]
    }),
    ("mx.example", "RecordConflict", "10 mail.mx.example", |name| {
        vec![set(name, RecordType::MX, &["10 mail.mx.example"])]
    }),
    ("other.example", "RecordConflict", "10 feedback-smtp", |name| {
        vec![set(name, RecordType::MX, &["10 feedback-smtp.eu-central-1.amazonses.com"])]
    }),
    ("spf.example", "RecordConflict", "v=spf1 redirect=", |name| {
        vec![set(name, RecordType::TXT, &["\"v=spf1 redirect=_spf.spf.example\""])]
    }),
    ("spfs.example", "RecordConflict", "v=spf1 -all", |name| {
        vec![set(name, RecordType::TXT, &[SES_SPF, "\"v=spf1 -all\""])]
    }),
    ("damaged.example", "RecordConflict", "damaged: \"ses-mailfrom-owner=v1 ?\"", |name| {
        vec![set(name, RecordType::TXT, &["\"ses-mailfrom-\" \"owner=v1 \\007\""])]
    }),
    ("marker.example", "RecordConflict", OTHERS_MARKER, |name| {
        vec![
            set(name, RecordType::MX, &["10 feedback-smtp.us-east-1.amazonses.com"]),
            set(name, RecordType::TXT, &[SES_SPF, &format!("\"{OTHERS_MARKER}\"")]),
        ]
    }),
];

/// The changes to record sets that went through the API.
fn changes(stage: &Stage) -> Vec<(String, RecordType)> {
    let change = |event: &aws_simulator::Event| match &event.kind {
        EventKind::RecordSet { name, kind, change: Some(_), .. } => Some((name.plain(), *kind)),
        _ => None,
    };
    stage.aws.with(|world| world.events().iter().filter_map(change).collect())
}

#[tokio::test]
async fn a_name_that_is_held_is_left_as_it_is() {
    let stage = Stage::bare("held", instant()).await.flag("--resync", "3s");
    let zones = HELD.map(|(domain, _, _, sets)| {
        stage.aws.with(|world| {
            let zone = found(world, domain);
            for set in sets(&format!("bounce.{domain}")) {
                world.put_record_set(&zone, set).expect("a record set");
            }
            zone
        })
    });
    let _operator = stage.operator().await;
    for (domain, ..) in HELD {
        stage.apply(domain, at(domain)).await;
    }
    for (domain, reason, says, _) in HELD {
        let message = stage.condition(domain, "Stalled", &format!("True {reason}")).await;
        assert!(message.contains(says), "{domain}: {message}");
        assert!(message.contains(&format!("bounce.{domain}")), "{domain}: {message}");
        stage.condition(domain, "Ready", &format!("False {reason}")).await;
        stage.condition(domain, "RecordsPublished", &format!("False {reason}")).await;
    }
    stage.rounds(4).await;
    assert_eq!((stage.calls(CHANGE), stage.calls(PUT)), (0, 0), "{:?}", stage.writes());

    let zone_of = |wanted: &str| {
        let at = HELD.iter().position(|held| held.0 == wanted).expect("a case");
        zones[at].clone()
    };
    stage.aws.with(|world| {
        let name = "bounce.cname.example";
        world.delete_record_set(&zone_of("cname.example"), name, RecordType::CNAME).unwrap();
        world.flush_resolvers();
    });
    stage.edit("wild.example", json!({"dns": {"wildcardPolicy": "Override"}})).await;
    stage.ready("cname.example").await;
    stage.ready("wild.example").await;
    let wildcard = values(&stage, &zone_of("wild.example"), "*.wild.example", RecordType::A);
    assert_eq!(wildcard, ["192.0.2.1"]);
    let names = |(name, _): (String, RecordType)| name;
    let changed: Vec<String> = changes(&stage).into_iter().map(names).collect();
    let mended = ["bounce.cname.example", "bounce.wild.example"];
    assert!(changed.iter().all(|name| mended.contains(&name.as_str())), "{changed:?}");
}

#[tokio::test]
async fn another_owners_marker_is_printed_and_taken_over_by_its_exact_text_only() {
    // A cluster that was rebuilt: the same object, another owner id.
    let stage = Stage::new("rebuilt").await.flag("--owner-id", "the-first-cluster");
    let first = stage.operator().await;
    let spec = json!({"regions": [{"name": REGIONS[0]}], "deletionPolicy": "Retain"});
    stage.apply("example", spec.clone()).await;
    stage.ready("example").await;
    stage.delete("example").await;
    stage.gone("example").await;
    first.stop(crate::stage::LIMIT).await.expect("an exit code");
    let txt = values(&stage, ZONE, NAME, RecordType::TXT);
    let marker = txt.iter().find(|value| value.contains("ses-mailfrom-owner=")).unwrap();
    let marker = marker.trim_matches('"').to_owned();
    let before = (changes(&stage), puts(&stage, REGIONS[0]));

    let stage = stage.flag("--owner-id", "the-second-cluster");
    let _second = stage.operator().await;
    stage.apply("example", spec).await;
    let message = stage.condition("example", "RecordsPublished", "False RecordConflict").await;
    assert!(message.contains(&marker), "{message} does not print {marker}");
    let wrong = marker.replace(REGIONS[0], REGIONS[1]);
    stage.annotate("example", TAKE_OVER, &wrong).await;
    stage.rounds(4).await;
    stage.condition("example", "RecordsPublished", "False RecordConflict").await;
    assert_eq!((changes(&stage), puts(&stage, REGIONS[0])), before, "nothing is written");

    stage.annotate("example", TAKE_OVER, &marker).await;
    stage.ready("example").await;
    stage.rounds(3).await;
    let after = changes(&stage);
    let txt_alone = [(NAME.to_owned(), RecordType::TXT)];
    assert_eq!(after[before.0.len()..], txt_alone, "the marker is swapped, the MX is not touched");
    let swapped = values(&stage, ZONE, NAME, RecordType::TXT);
    assert!(!swapped.iter().any(|value| value.contains(&marker)), "{swapped:?}");
    assert_eq!(puts(&stage, REGIONS[0]), before.1, "SES holds what is wanted already");
}

#[tokio::test]
async fn a_mail_from_that_someone_else_has_set_is_left_as_it_is() {
    let stage = Stage::new("foreign-mf").await;
    let [ours, theirs] = REGIONS;
    let other = "mail.example.com";
    stage.aws.with(|world| {
        let status = MailFromStatus::Success;
        world
            .force_mail_from(
                ACCOUNT,
                theirs,
                DOMAIN,
                Some((other, status)),
                Behavior::RejectMessage,
            )
            .expect("an identity");
    });
    let _operator = stage.operator().await;
    let regions = REGIONS.map(|name| json!({"name": name}));
    stage.apply("example", json!({"regions": regions})).await;
    let message = stage.condition("example", "Stalled", "True MailFromConflict").await;
    assert!(message.contains(other) && message.contains(theirs), "{message}");
    let status = stage.until("example", "a status", |object| object.status.clone()).await;
    assert_eq!(status.regions_verified.as_deref(), Some("1/2"));
    assert_eq!(region(&status, ours).mail_from_domain.as_deref(), Some(NAME));
    stage.rounds(4).await;
    assert!(puts(&stage, theirs).is_empty());

    stage.aws.with(|world| {
        world
            .force_mail_from(ACCOUNT, theirs, DOMAIN, None, Behavior::UseDefaultValue)
            .expect("an identity");
    });
    stage.ready("example").await;
}

#[tokio::test]
async fn a_name_that_is_a_sending_identity_itself_is_refused() {
    let stage = Stage::new("ident").await;
    stage.aws.with(|world| world.set_identity(ACCOUNT, REGIONS[0], NAME, true));
    let _operator = stage.operator().await;
    stage.apply("example", at(DOMAIN)).await;
    let message = stage.condition("example", "Stalled", "True NameOccupied").await;
    assert!(message.contains("identity") && message.contains(NAME), "{message}");
    stage.rounds(3).await;
    assert_eq!(stage.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_region_without_ses_is_told_its_nearest_name_and_the_other_goes_on() {
    let stage = Stage::new("region").await;
    let _operator = stage.operator().await;
    let regions = json!([{"name": "us-east-1"}, {"name": "eu-wst-1"}]);
    stage.apply("example", json!({"regions": regions})).await;
    let message = stage.condition("example", "Stalled", "True InvalidSpec").await;
    assert!(message.contains("eu-wst-1") && message.contains("eu-west-1"), "{message}");
    stage.condition("example", "Ready", "False InvalidSpec").await;
    let status = stage.until("example", "a status", |object| object.status.clone()).await;
    assert_eq!(status.regions_verified.as_deref(), Some("1/2"));
    assert_eq!(puts(&stage, "us-east-1").len(), 1);
    stage.rounds(4).await;
    let asked = stage.aws.with(|world| world.calls().iter().any(|call| call.region == "eu-wst-1"));
    assert!(!asked, "AWS is not asked in a region that does not exist");

    let regions = json!([{"name": "us-east-1"}, {"name": "eu-west-1"}]);
    stage.edit("example", json!({"regions": regions})).await;
    stage.ready("example").await;
}

#[tokio::test]
async fn a_region_newer_than_the_operator_is_known_by_a_flag() {
    let mut stage = Stage::new("newer").await;
    let name = "xx-north-7";
    stage.aws.with(|world| world.set_identity(ACCOUNT, name, DOMAIN, true));
    let host = "feedback-smtp.xx-north-7.amazonses.com";
    stage.launch = stage.launch.clone().flag_too("--region", &format!("{name}={host}"));
    let _operator = stage.operator().await;
    stage.apply("example", json!({"regions": [{"name": name}]})).await;
    stage.ready("example").await;
    assert_eq!(values(&stage, ZONE, NAME, RecordType::MX), [format!("10 {host}")]);
}
