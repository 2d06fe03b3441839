//! Route 53's zones, lists and changes, as the API reference describes them.

use std::time::Duration;

use crate::batches::change;
use crate::stage::{MX, Stage, code_of, quiet, set};
use aws_sdk_route53::{
    Client,
    types::{ChangeAction, RrType},
};
use aws_simulator::{ACCOUNT, Delegation, RecordSet, RecordType, ZoneSpec};

pub(crate) async fn names(
    client: &Client,
    zone: &str,
    start: Option<(&str, Option<RrType>)>,
) -> Vec<String> {
    let (name, kind) = start.unzip();
    let list = client.list_resource_record_sets().hosted_zone_id(zone);
    let list = list
        .set_start_record_name(name.map(str::to_owned))
        .set_start_record_type(kind.flatten());
    let sets = list.send().await.unwrap().resource_record_sets;
    sets.iter()
        .map(|set| format!("{} {}", set.name(), set.r#type().as_str()))
        .collect()
}

use ChangeAction::Create;

#[tokio::test]
async fn a_new_zone_has_soa_and_ns_and_ids_come_with_prefixes() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let got = client.get_hosted_zone().id(&zone).send().await.unwrap();
    let hosted = got.hosted_zone().unwrap();
    assert_eq!(hosted.id(), format!("/hostedzone/{zone}"));
    assert_eq!(hosted.name(), "example.com.");
    assert_eq!(hosted.resource_record_set_count(), Some(2));
    let delegation = got.delegation_set().unwrap().name_servers().to_vec();
    assert_eq!(
        names(&client, &zone, None).await,
        ["example.com. NS", "example.com. SOA"]
    );
    let listed = client
        .list_resource_record_sets()
        .hosted_zone_id(&zone)
        .send()
        .await
        .unwrap();
    let served: Vec<_> = listed.resource_record_sets()[0]
        .resource_records()
        .iter()
        .map(aws_sdk_route53::types::ResourceRecord::value)
        .collect();
    assert_eq!(
        served,
        delegation
            .iter()
            .map(|host| format!("{host}."))
            .collect::<Vec<_>>()
    );
    let soa = &listed.resource_record_sets()[1];
    assert_eq!(soa.ttl(), Some(900));
    assert!(soa.resource_records()[0].value().ends_with(" 86400"));
    let id = change(
        &client,
        &zone,
        [(Create, set("a.example.com", RrType::Txt, 60, &["\"x\""]))],
    )
    .await;
    assert!(id.unwrap().starts_with("/change/C"));
}

#[tokio::test]
async fn lists_start_at_a_name_in_the_order_of_reversed_labels_with_octal_escapes() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let txt = |name| (Create, set(name, RrType::Txt, 60, &["\"x\""]));
    let all = [
        "*.example.com",
        "B.example.com",
        "a.b.example.com",
        "b-c.example.com",
        "z.a.example.com",
    ]
    .map(txt);
    change(&client, &zone, all).await.unwrap();
    change(
        &client,
        &zone,
        [(Create, set("b.example.com", RrType::Mx, 60, &[MX]))],
    )
    .await
    .unwrap();
    let order = [
        "\\052.example.com. TXT",
        "z.a.example.com. TXT",
        "b-c.example.com. TXT",
        "b.example.com. MX",
        "b.example.com. TXT",
        "a.b.example.com. TXT",
    ];
    assert_eq!(names(&client, &zone, None).await[2..], order);
    assert_eq!(
        names(&client, &zone, Some(("b.example.com", None))).await,
        order[3..]
    );
    assert_eq!(
        names(&client, &zone, Some(("b.example.com", Some(RrType::Txt)))).await,
        order[4..]
    );
    assert_eq!(
        names(&client, &zone, Some(("a.example.com", None))).await,
        order[1..],
        "what is absent starts at the next"
    );
    assert!(
        names(&client, &zone, Some(("c.example.com", None)))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn record_sets_are_listed_300_a_page() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let many = (0..305).map(|index| {
        (
            Create,
            set(
                &format!("n{index:03}.example.com"),
                RrType::Txt,
                60,
                &["\"x\""],
            ),
        )
    });
    change(&client, &zone, many).await.unwrap();
    let first = client
        .list_resource_record_sets()
        .hosted_zone_id(&zone)
        .max_items(1_000)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (first.resource_record_sets().len(), first.is_truncated()),
        (300, true)
    );
    assert_eq!(first.next_record_name(), Some("n298.example.com."));
    let rest = names(
        &client,
        &zone,
        Some(("n298.example.com.", Some(RrType::Txt))),
    )
    .await;
    assert_eq!(rest.len(), 7);
}

#[tokio::test]
async fn what_is_pending_is_listed_but_served_only_once_in_sync() {
    let (stage, zone) = Stage::example(quiet()).await;
    let client = stage.route53();
    let id = change(
        &client,
        &zone,
        [(Create, set("bounce.example.com", RrType::Mx, 300, &[MX]))],
    )
    .await
    .unwrap();
    assert!(
        names(&client, &zone, None)
            .await
            .contains(&"bounce.example.com. MX".to_owned())
    );
    let status = async || {
        client
            .get_change()
            .id(&id)
            .send()
            .await
            .unwrap()
            .change_info()
            .unwrap()
            .status()
            .clone()
    };
    let resolver = stage.dns(stage.server_of(&zone));
    assert_eq!(status().await.as_str(), "PENDING");
    assert!(resolver.mx_lookup("bounce.example.com.").await.is_err());
    stage.simulator.advance(Duration::from_secs(29));
    assert_eq!(status().await.as_str(), "PENDING");
    stage.simulator.advance(Duration::from_secs(1));
    assert_eq!(status().await.as_str(), "INSYNC");
    assert_eq!(
        resolver
            .mx_lookup("bounce.example.com.")
            .await
            .unwrap()
            .answers()
            .len(),
        1
    );
}

#[tokio::test]
async fn an_unknown_change_or_zone_and_anothers_are_not_found() {
    let (stage, zone) = Stage::example(quiet()).await;
    stage
        .simulator
        .with(|world| world.add_account("210987654321", "AKIASIMULATED0000002"));
    let change_error = stage
        .route53()
        .get_change()
        .id("C404")
        .send()
        .await
        .unwrap_err();
    assert!(change_error.as_service_error().unwrap().is_no_such_change());
    for (client, id) in [
        (stage.route53(), "Z404"),
        (stage.route53_as("AKIASIMULATED0000002"), zone.as_str()),
    ] {
        let error = client
            .list_resource_record_sets()
            .hosted_zone_id(id)
            .send()
            .await
            .unwrap_err();
        assert!(
            error.as_service_error().unwrap().is_no_such_hosted_zone(),
            "{error:?}"
        );
    }
}

#[tokio::test]
async fn zones_are_found_by_name_private_ones_and_several_of_a_name_included() {
    let stage = Stage::quiet().await;
    stage.simulator.with(|world| {
        world.add_account("210987654321", "AKIASIMULATED0000002");
        for spec in [
            ZoneSpec::public(ACCOUNT, "example.com").id("Z2"),
            ZoneSpec::public(ACCOUNT, "example.com")
                .id("Z1")
                .delegation(Delegation::None),
            ZoneSpec::private(ACCOUNT, "corp.example.com").id("Z3"),
            ZoneSpec::public(ACCOUNT, "example-x.com").id("Z4"),
            ZoneSpec::public("210987654321", "example.com")
                .id("Z5")
                .delegation(Delegation::None),
            ZoneSpec::elsewhere("example.org"),
            ZoneSpec::public(ACCOUNT, "example.net")
                .id("Z6")
                .linked_service("servicediscovery.amazonaws.com", "x"),
        ] {
            world.create_zone(spec).unwrap();
        }
    });
    let list = async |name: &str, items: i32| {
        let list = stage
            .route53()
            .list_hosted_zones_by_name()
            .dns_name(name)
            .max_items(items)
            .send()
            .await
            .unwrap();
        let ids: Vec<_> = list
            .hosted_zones()
            .iter()
            .map(|zone| zone.id().replace("/hostedzone/", ""))
            .collect();
        (ids, list.next_hosted_zone_id().map(str::to_owned), list)
    };
    let (ids, next, all) = list("example-x.com", 10).await;
    assert_eq!(
        (ids, next),
        (
            ["Z4", "Z1", "Z2", "Z3", "Z6"].map(str::to_owned).to_vec(),
            None
        )
    );
    assert!(all.hosted_zones()[3].config().unwrap().private_zone());
    let linked = all.hosted_zones()[4].linked_service().unwrap();
    assert_eq!(
        linked.service_principal(),
        Some("servicediscovery.amazonaws.com")
    );
    assert_eq!(
        list("example.com", 2).await.0,
        ["Z1", "Z2"],
        "start at the name, not after it"
    );
    assert_eq!(list("example.com", 1).await.1.as_deref(), Some("Z2"));
    let (after, _, page) = list("bounce.example.com", 1).await;
    assert_eq!(
        (after, page.hosted_zones()[0].name()),
        (vec!["Z3".to_owned()], "corp.example.com.")
    );
}

#[tokio::test]
async fn a_zone_of_another_service_cannot_be_edited() {
    let stage = Stage::quiet().await;
    let zone = stage.simulator.with(|world| {
        let spec = ZoneSpec::public(ACCOUNT, "example.com")
            .linked_service("servicediscovery.amazonaws.com", "AWS Cloud Map");
        world.create_zone(spec).unwrap()
    });
    let refused = change(
        &stage.route53(),
        &zone,
        [(Create, set("a.example.com", RrType::Txt, 60, &["\"x\""]))],
    )
    .await;
    let (code, message) = code_of(&refused.unwrap_err());
    assert_eq!(code, "AccessDenied");
    assert!(
        message.contains("can only be managed through servicediscovery.amazonaws.com"),
        "{message}"
    );
}

#[tokio::test]
async fn an_edit_from_outside_is_not_undone_by_an_older_change_that_comes_in_sync() {
    let (stage, zone) = Stage::example(quiet()).await;
    change(
        &stage.route53(),
        &zone,
        [(Create, set("bounce.example.com", RrType::Mx, 300, &[MX]))],
    )
    .await
    .unwrap();
    stage.simulator.with(|world| {
        let foreign = RecordSet::new(
            "bounce.example.com",
            RecordType::MX,
            300,
            &["10 mx.other.example"],
        )
        .unwrap();
        world.put_record_set(&zone, foreign).unwrap();
    });
    stage.simulator.advance(Duration::from_mins(1));
    stage.simulator.with(|world| {
        let served = world
            .served_record_set(&zone, "bounce.example.com", RecordType::MX)
            .unwrap();
        assert_eq!(served.values, ["10 mx.other.example"]);
    });
}

#[tokio::test]
async fn a_deleted_zone_is_gone_from_the_api_and_the_dns() {
    let (stage, zone) = Stage::example(quiet()).await;
    let server = stage.dns(stage.server_of(&zone));
    assert!(server.soa_lookup("example.com.").await.is_ok());
    stage.simulator.with(|world| world.delete_zone(&zone));
    assert!(server.soa_lookup("example.com.").await.is_err());
    let error = stage
        .route53()
        .get_hosted_zone()
        .id(&zone)
        .send()
        .await
        .unwrap_err();
    assert!(error.as_service_error().unwrap().is_no_such_hosted_zone());
}

#[tokio::test]
async fn zones_of_one_name_take_a_delegation_set_each_until_none_is_left() {
    let mut config = quiet();
    config.dns.delegation_sets = 2;
    let stage = Stage::with(config).await;
    let create = |name: &str| {
        let spec = ZoneSpec::public(ACCOUNT, name).delegation(Delegation::None);
        stage.simulator.with(|world| world.create_zone(spec))
    };
    let (one, two) = (
        create("example.com").unwrap(),
        create("example.com").unwrap(),
    );
    assert_ne!(stage.server_of(&one), stage.server_of(&two));
    assert!(create("example.org").is_ok(), "an unrelated name may share");
    let error = create("sub.example.com").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no delegation set is left for sub.example.com"),
        "{error}"
    );
}
