//! Route 53's change batches, and the texts with which it refuses them.

use std::time::Duration;

use crate::route53::names;
use crate::stage::{LIMIT, MX, Stage, batch, quiet, set};
use aws_sdk_route53::{
    Client,
    error::SdkError,
    operation::change_resource_record_sets::ChangeResourceRecordSetsError,
    types::{AliasTarget, ChangeAction, ResourceRecordSet, RrType},
};
use aws_simulator::{ACCOUNT, Config, GatePoint, Matching, Route53Config, ZoneSpec};

type Refused = SdkError<ChangeResourceRecordSetsError>;

pub(crate) async fn change(
    client: &Client,
    zone: &str,
    changes: impl IntoIterator<Item = (ChangeAction, ResourceRecordSet)>,
) -> Result<String, Box<Refused>> {
    let sent = client
        .change_resource_record_sets()
        .hosted_zone_id(zone)
        .change_batch(batch(changes))
        .send()
        .await;
    Ok(sent
        .map_err(Box::new)?
        .change_info()
        .unwrap()
        .id()
        .to_owned())
}

/// The message of an `InvalidChangeBatch`.
async fn refused(
    client: &Client,
    zone: &str,
    changes: impl IntoIterator<Item = (ChangeAction, ResourceRecordSet)>,
) -> String {
    let error = change(client, zone, changes)
        .await
        .unwrap_err()
        .into_service_error();
    let ChangeResourceRecordSetsError::InvalidChangeBatch(invalid) = &error else {
        panic!("{error:?}")
    };
    assert!(invalid.messages().is_empty(), "the texts arrive in message");
    invalid.message.clone().unwrap()
}

use ChangeAction::{Create, Delete, Upsert};

#[tokio::test]
async fn a_batch_is_all_or_nothing_and_names_every_fault() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let old = set("bounce.example.com", RrType::Mx, 300, &[MX]);
    change(&client, &zone, [(Create, old.clone())])
        .await
        .unwrap();
    let message = refused(
        &client,
        &zone,
        [
            (Create, set("new.example.com", RrType::Txt, 60, &["\"x\""])),
            (Create, old),
            (Delete, set("gone.example.com", RrType::Txt, 60, &["\"x\""])),
        ],
    )
    .await;
    assert_eq!(
        message,
        "[Tried to create resource record set [name='bounce.example.com.', type='MX'] but it already exists, \
         Tried to delete resource record set [name='gone.example.com.', type='TXT'] but it was not found]"
    );
    assert!(
        !names(&client, &zone, None)
            .await
            .contains(&"new.example.com. TXT".to_owned())
    );
}

#[tokio::test]
async fn delete_must_repeat_ttl_and_values_so_that_delete_and_create_compare_and_swap() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let txt = |ttl, values: &[&str]| set("bounce.example.com", RrType::Txt, ttl, values);
    change(&client, &zone, [(Create, txt(300, &["\"a\"", "\"b\""]))])
        .await
        .unwrap();
    let mismatch = "[Tried to delete resource record set [name='bounce.example.com.', type='TXT'] but the values \
                    provided do not match the current values]";
    for other in [
        txt(60, &["\"a\"", "\"b\""]),
        txt(300, &["\"a\""]),
        txt(300, &["\"a\"", "\"B\""]),
    ] {
        assert_eq!(refused(&client, &zone, [(Delete, other)]).await, mismatch);
    }
    let swap = [
        (Delete, txt(300, &["\"b\"", "\"a\""])),
        (Create, txt(300, &["\"c\""])),
    ];
    change(&client, &zone, swap.clone()).await.unwrap();
    let again = refused(&client, &zone, swap).await;
    assert!(again.contains("do not match the current values"), "{again}");
}

#[tokio::test]
async fn the_same_record_set_may_be_deleted_and_created_but_not_changed_otherwise_twice() {
    let (stage, zone) = Stage::example(quiet()).await;
    let txt = set("a.example.com", RrType::Txt, 60, &["\"x\""]);
    for actions in [[Create, Create], [Upsert, Create], [Create, Delete]] {
        let message = refused(
            &stage.route53(),
            &zone,
            actions.map(|action| (action, txt.clone())),
        )
        .await;
        assert!(
            message.contains("The request contains an invalid set of changes for a resource record set 'TXT a.example.com.'"),
            "{message}"
        );
    }
}

#[tokio::test]
async fn values_are_checked_and_duplicates_refused() {
    let (stage, zone) = Stage::example(quiet()).await;
    let long = format!("\"{}\"", "x".repeat(256));
    let full = vec![format!("\"{}\"", "x".repeat(255)); 16].join(" ");
    for (kind, values, text) in [
        (
            RrType::Txt,
            vec!["v=spf1 ~all"],
            "InvalidCharacterString (Value should be enclosed in quotation marks)",
        ),
        (
            RrType::Txt,
            vec![long.as_str()],
            "CharacterStringTooLong (Value is too long)",
        ),
        (
            RrType::Txt,
            vec![full.as_str()],
            "CharacterStringTooLong (Value is too long)",
        ),
        (
            RrType::Txt,
            vec!["\"a\"", "\"a\""],
            "Duplicate Resource Record: '\"a\"'",
        ),
        (
            RrType::Mx,
            vec!["feedback-smtp.us-east-1.amazonses.com"],
            "MX record doesn't have 2 fields",
        ),
        (RrType::A, vec!["1.2.3"], "not a valid IPv4 address"),
        (
            RrType::Cname,
            vec!["a.example", "b.example"],
            "must have exactly one value",
        ),
    ] {
        let message = refused(
            &stage.route53(),
            &zone,
            [(Create, set("a.example.com", kind, 60, &values))],
        )
        .await;
        assert!(message.contains(text), "{message}");
    }
}

#[tokio::test]
async fn a_batch_holds_1000_records_and_32000_characters_and_upsert_counts_twice() {
    let config = Config {
        route53: Route53Config {
            in_sync_after: Duration::ZERO,
            ..Route53Config::default()
        },
        ..quiet()
    };
    let (stage, zone) = Stage::example(config).await;
    let client = stage.route53();
    let many = |action: ChangeAction, from: usize, count: usize| {
        (from..from + count).map(move |i| {
            (
                action.clone(),
                set(&format!("n{i}.example.com"), RrType::Txt, 60, &["\"x\""]),
            )
        })
    };
    let records = "[Number of records limit of 1000 exceeded.]";
    assert_eq!(
        refused(&client, &zone, many(Create, 0, 1_001)).await,
        records
    );
    change(&client, &zone, many(Create, 0, 1_000))
        .await
        .unwrap();
    assert_eq!(refused(&client, &zone, many(Upsert, 0, 501)).await, records);
    change(&client, &zone, many(Upsert, 0, 500)).await.unwrap();
    let value = format!("\"{}\"", "x".repeat(248));
    let long = |count: usize| {
        let value = value.clone();
        (0..count).map(move |i| {
            (
                Create,
                set(&format!("l{i}.example.com"), RrType::Txt, 60, &[&value]),
            )
        })
    };
    assert_eq!(
        refused(&client, &zone, long(129)).await,
        "[RDATA character limit of 32000 exceeded.]"
    );
    change(&client, &zone, long(128)).await.unwrap();
}

#[tokio::test]
async fn a_zone_holds_its_limit_of_record_sets_and_no_more() {
    let config = Config {
        route53: Route53Config {
            record_sets_per_zone: 3,
            ..Route53Config::default()
        },
        ..quiet()
    };
    let (stage, zone) = Stage::example(config).await;
    let client = stage.route53();
    let txt = |name, value| set(name, RrType::Txt, 60, &[value]);
    change(&client, &zone, [(Create, txt("a.example.com", "\"x\""))])
        .await
        .unwrap();
    let message = refused(&client, &zone, [(Create, txt("b.example.com", "\"x\""))]).await;
    assert_eq!(
        message,
        format!("[Exceeded limit MAX_RRSETS_BY_ZONE for zone: {zone}]")
    );
    let swap = [
        (Delete, txt("a.example.com", "\"x\"")),
        (Create, txt("a.example.com", "\"y\"")),
    ];
    change(&client, &zone, swap).await.unwrap();
}

#[tokio::test]
async fn a_cname_stands_alone_and_never_at_the_apex() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let cname = |name| set(name, RrType::Cname, 60, &["elsewhere.example"]);
    change(&client, &zone, [(Create, cname("web.example.com"))])
        .await
        .unwrap();
    change(
        &client,
        &zone,
        [(Create, set("mail.example.com", RrType::Mx, 60, &[MX]))],
    )
    .await
    .unwrap();
    let message = refused(
        &client,
        &zone,
        [(Create, set("web.example.com", RrType::Mx, 60, &[MX]))],
    )
    .await;
    assert!(
        message.contains(
            "because a conflicting RRSet of type  CNAME with the same DNS name already exists"
        ),
        "{message}"
    );
    let message = refused(&client, &zone, [(Create, cname("mail.example.com"))]).await;
    assert!(
        message
            .contains("is not permitted as it conflicts with other records with the same DNS name"),
        "{message}"
    );
    let message = refused(&client, &zone, [(Create, cname("example.com"))]).await;
    assert!(
        message.contains("is not permitted at apex in zone example.com."),
        "{message}"
    );
    let swap = [
        (Delete, cname("web.example.com")),
        (Create, set("web.example.com", RrType::Mx, 60, &[MX])),
    ];
    change(&client, &zone, swap).await.unwrap();
}

#[tokio::test]
async fn a_simple_record_set_cannot_stand_beside_routed_ones() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let simple = set("a.example.com", RrType::Txt, 60, &["\"x\""]);
    let mut weighted = simple.clone();
    weighted.set_identifier = Some("blue".to_owned());
    weighted.weight = Some(10);
    change(&client, &zone, [(Create, weighted.clone())])
        .await
        .unwrap();
    let message = refused(&client, &zone, [(Create, simple.clone())]).await;
    assert!(
        message.contains(
            "type TXT cannot be created as other RRSets exist with the same name and type."
        ),
        "{message}"
    );
    let listed = client
        .list_resource_record_sets()
        .hosted_zone_id(&zone)
        .start_record_name("a.example.com");
    let listed = listed.send().await.unwrap();
    assert_eq!(listed.resource_record_sets()[0], {
        weighted.name = "a.example.com.".to_owned();
        weighted.clone()
    });
    change(
        &client,
        &zone,
        [(Delete, weighted.clone()), (Create, simple)],
    )
    .await
    .unwrap();
    let message = refused(&client, &zone, [(Create, weighted)]).await;
    assert!(
        message.contains("SetIdentifier blue cannot be created as a non-weighted set exists"),
        "{message}"
    );
}

#[tokio::test]
async fn a_zone_keeps_its_soa_and_ns_and_takes_no_names_of_others() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let apex = client
        .list_resource_record_sets()
        .hosted_zone_id(&zone)
        .send()
        .await
        .unwrap()
        .resource_record_sets;
    let message = refused(&client, &zone, [(Delete, apex[0].clone())]).await;
    assert!(
        message.contains("must contain at least one NS record for the zone itself"),
        "{message}"
    );
    let message = refused(&client, &zone, [(Delete, apex[1].clone())]).await;
    assert!(
        message.contains("must contain exactly one SOA record"),
        "{message}"
    );
    let message = refused(
        &client,
        &zone,
        [(Create, set("a.example.org", RrType::Txt, 60, &["\"x\""]))],
    )
    .await;
    assert_eq!(
        message,
        "[RRSet with DNS name a.example.org. is not permitted in zone example.com.]"
    );
}

#[tokio::test]
async fn aliases_have_no_ttl_and_come_back_as_they_were() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let target = AliasTarget::builder()
        .hosted_zone_id("Z35SXDOTRQ7X7K")
        .dns_name("lb.example.")
        .evaluate_target_health(false);
    let alias = ResourceRecordSet::builder()
        .name("example.com.")
        .r#type(RrType::A)
        .alias_target(target.build().unwrap())
        .build()
        .unwrap();
    change(&client, &zone, [(Create, alias.clone())])
        .await
        .unwrap();
    let listed = client
        .list_resource_record_sets()
        .hosted_zone_id(&zone)
        .send()
        .await
        .unwrap();
    assert_eq!(listed.resource_record_sets()[0], alias);
    let neither = ResourceRecordSet::builder()
        .name("a.example.com")
        .r#type(RrType::A)
        .ttl(60)
        .build()
        .unwrap();
    let error = change(&client, &zone, [(Create, neither)])
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_invalid_input(), "{error:?}");
}

#[tokio::test]
async fn one_change_of_a_zone_at_a_time() {
    let (stage, zone) = Stage::example(quiet()).await;
    let other = stage.simulator.with(|world| {
        world
            .create_zone(ZoneSpec::public(ACCOUNT, "example.org"))
            .unwrap()
    });
    let gate = stage.simulator.gate(
        Matching::action("ChangeResourceRecordSets"),
        GatePoint::Before,
        0,
    );
    let (client, first_zone) = (stage.route53(), zone.clone());
    let first = tokio::spawn(async move {
        change(
            &client,
            &first_zone,
            [(Create, set("a.example.com", RrType::Txt, 60, &["\"x\""]))],
        )
        .await
    });
    tokio::time::timeout(LIMIT, gate.reached()).await.unwrap();
    let client = stage.route53();
    let second = [(Create, set("b.example.com", RrType::Txt, 60, &["\"x\""]))];
    let error = change(&client, &zone, second.clone())
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_prior_request_not_complete(), "{error:?}");
    change(
        &client,
        &other,
        [(Create, set("b.example.org", RrType::Txt, 60, &["\"x\""]))],
    )
    .await
    .unwrap();
    gate.release();
    first.await.unwrap().unwrap();
    change(&client, &zone, second).await.unwrap();
}

#[tokio::test]
async fn a_zone_may_stay_busy_after_a_change() {
    let config = Config {
        route53: Route53Config {
            submission: Duration::from_secs(1),
            ..Route53Config::default()
        },
        ..quiet()
    };
    let (stage, zone) = Stage::example(config).await;
    let client = stage.route53();
    let txt = |name| [(Create, set(name, RrType::Txt, 60, &["\"x\""]))];
    change(&client, &zone, txt("a.example.com")).await.unwrap();
    let error = change(&client, &zone, txt("b.example.com"))
        .await
        .unwrap_err()
        .into_service_error();
    assert!(error.is_prior_request_not_complete());
    stage.simulator.advance(Duration::from_secs(1));
    change(&client, &zone, txt("b.example.com")).await.unwrap();
}
