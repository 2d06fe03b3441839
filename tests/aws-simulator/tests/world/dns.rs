//! The name servers and the resolver, asked by a real resolver library.
use std::{net::Ipv4Addr, time::Duration};

use crate::stage::{MX, Stage, quiet};
use aws_simulator::{ACCOUNT, Delegation, RecordSet, RecordType, ZoneSpec};
use hickory_resolver::{
    TokioResolver,
    proto::{
        op::{Message, ResponseCode},
        rr::{Name, RData, RecordType as Kind},
    },
};

/// The values that a resolver finds, or the response code without any.
async fn look(resolver: &TokioResolver, name: &str, kind: Kind) -> Result<Vec<String>, String> {
    match resolver.lookup(name, kind).await {
        Ok(found) => {
            let mut values: Vec<String> =
                found.answers().iter().map(|record| record.data.to_string()).collect();
            values.sort();
            Ok(values)
        }
        Err(error) => Err(error.to_string()),
    }
}

/// One server's own message, without a resolver in between.
fn ask(stage: &Stage, server: Ipv4Addr, name: &str, kind: Kind) -> Message {
    let mut query = Message::query();
    query.add_query(hickory_resolver::proto::op::Query::query(
        Name::from_ascii(name).unwrap(),
        kind,
    ));
    let answer = stage.simulator.dns(server.into(), &query.to_vec().unwrap()).unwrap();
    let answer = Message::from_vec(&answer).unwrap();
    assert_eq!(answer.metadata.id, query.metadata.id);
    answer
}

fn names(records: &[hickory_resolver::proto::rr::Record]) -> Vec<String> {
    records.iter().map(|record| format!("{} {}", record.name, record.data)).collect()
}

fn record(name: &str, kind: RecordType, values: &[&str]) -> RecordSet {
    RecordSet::new(name, kind, 300, values).unwrap()
}

#[tokio::test]
async fn the_resolver_answers_every_type_that_is_asked_for() {
    let (stage, zone) = Stage::example(quiet()).await;
    stage.simulator.with(|world| {
        world.put_record_set(&zone, record("bounce.example.com", RecordType::MX, &[MX])).unwrap();
        let values = ["\"v=spf1 include:amazonses.com \" \"~all\"", "\"other\""];
        world
            .put_record_set(&zone, record("bounce.example.com", RecordType::TXT, &values))
            .unwrap();
    });
    let resolver = stage.dns(stage.simulator.resolver());
    assert_eq!(look(&resolver, "bounce.example.com.", Kind::MX).await.unwrap(), [format!("{MX}.")]);
    let found = resolver.txt_lookup("bounce.example.com.").await.unwrap();
    let RData::TXT(spf) = &found.answers()[0].data else { panic!() };
    assert_eq!(spf.txt_data.len(), 2, "two strings of one value");
    assert_eq!(found.answers().len(), 2);
    assert_eq!(look(&resolver, "example.com.", Kind::SOA).await.unwrap().len(), 1);
    let servers = look(&resolver, "example.com.", Kind::NS).await.unwrap();
    assert_eq!(servers.len(), 2);
    let address = look(&resolver, &servers[0], Kind::A).await.unwrap();
    let known = stage.simulator.with(|world| world.zone(&zone).unwrap().servers().to_vec());
    assert!(known.iter().any(|(_, ip)| address == [ip.to_string()]));
    assert_eq!(look(&resolver, "com.", Kind::NS).await.unwrap(), ["a.nic.com."]);
    assert_eq!(
        look(&resolver, "a.nic.com.", Kind::A).await.unwrap(),
        [stage.simulator.parent().to_string()]
    );
}

#[tokio::test]
async fn a_parent_refers_and_does_not_answer_for_the_child() {
    let (stage, zone) = Stage::example(quiet()).await;
    let answer = ask(&stage, stage.simulator.parent(), "example.com.", Kind::NS);
    assert!(!answer.metadata.authoritative);
    assert!(answer.answers.is_empty());
    let servers = stage.simulator.with(|world| world.zone(&zone).unwrap().servers().to_vec());
    let expected: Vec<_> = servers.iter().map(|(host, _)| format!("example.com. {host}")).collect();
    assert_eq!(names(&answer.authorities), expected);
    let own = ask(&stage, servers[0].1, "example.com.", Kind::NS);
    assert!(own.metadata.authoritative);
    assert_eq!(own.answers.len(), 2);
}

#[tokio::test]
async fn the_parent_knows_a_name_below_which_something_is_delegated() {
    let stage = Stage::quiet().await;
    stage.simulator.with(|world| {
        world.create_zone(ZoneSpec::public(ACCOUNT, "deep.below.example")).unwrap();
        world.create_zone(ZoneSpec::public(ACCOUNT, "belower.example")).unwrap();
    });
    let code =
        |name: &str| ask(&stage, stage.simulator.parent(), name, Kind::NS).metadata.response_code;
    assert_eq!(code("below.example."), ResponseCode::NoError, "an empty non-terminal");
    assert_eq!(code("belo.example."), ResponseCode::NXDomain, "the next name is not below it");
    assert_eq!(code("zzz.example."), ResponseCode::NXDomain, "the last of all");
}

#[tokio::test]
async fn a_zone_that_is_not_delegated_answers_at_its_servers_and_nowhere_else() {
    let stage = Stage::quiet().await;
    let zone = stage.simulator.with(|world| {
        world
            .create_zone(ZoneSpec::public(ACCOUNT, "example.com").delegation(Delegation::None))
            .unwrap()
    });
    let parent = ask(&stage, stage.simulator.parent(), "example.com.", Kind::NS);
    assert_eq!(parent.metadata.response_code, ResponseCode::NXDomain);
    assert!(parent.metadata.authoritative);
    assert_eq!(parent.authorities.len(), 1, "the SOA");
    let resolver = stage.dns(stage.simulator.resolver());
    assert!(look(&resolver, "example.com.", Kind::NS).await.is_err());
    assert!(look(&stage.dns(stage.server_of(&zone)), "example.com.", Kind::NS).await.is_ok());
    stage.simulator.with(|world| {
        let hosts: Vec<_> =
            world.zone(&zone).unwrap().servers().iter().map(|(host, _)| host.plain()).collect();
        world.delegate("example.com", &hosts).unwrap();
    });
    assert!(look(&resolver, "example.com.", Kind::NS).await.is_err(), "the no is remembered");
    stage.simulator.advance(Duration::from_mins(15));
    assert!(look(&resolver, "example.com.", Kind::NS).await.is_ok());
}

#[tokio::test]
async fn of_two_zones_of_one_name_the_world_sees_the_delegated_one() {
    let stage = Stage::quiet().await;
    let (hidden, seen) = stage.simulator.with(|world| {
        let hidden = world
            .create_zone(ZoneSpec::public(ACCOUNT, "example.com").delegation(Delegation::None))
            .unwrap();
        let seen = world.create_zone(ZoneSpec::elsewhere("example.com")).unwrap();
        world
            .put_record_set(&hidden, record("a.example.com", RecordType::TXT, &["\"hidden\""]))
            .unwrap();
        world
            .put_record_set(&seen, record("a.example.com", RecordType::TXT, &["\"seen\""]))
            .unwrap();
        (hidden, seen)
    });
    let at = async |server| look(&stage.dns(server), "a.example.com.", Kind::TXT).await.unwrap();
    assert_eq!(at(stage.simulator.resolver()).await, at(stage.server_of(&seen)).await);
    assert_ne!(at(stage.server_of(&hidden)).await, at(stage.server_of(&seen)).await);
}

#[tokio::test]
async fn vanity_names_stand_in_the_zone_and_at_the_parent_with_glue() {
    let stage = Stage::quiet().await;
    stage.simulator.with(|world| {
        world
            .create_zone(ZoneSpec::public(ACCOUNT, "example.com").vanity(&["ns1", "ns2"]))
            .unwrap();
    });
    let answer = ask(&stage, stage.simulator.parent(), "x.example.com.", Kind::A);
    assert_eq!(
        names(&answer.authorities),
        ["example.com. ns1.example.com.", "example.com. ns2.example.com."]
    );
    assert_eq!(answer.additionals.len(), 2);
    let resolver = stage.dns(stage.simulator.resolver());
    let expected = ["ns1.example.com.", "ns2.example.com."];
    assert_eq!(look(&resolver, "example.com.", Kind::NS).await.unwrap(), expected);
    assert_eq!(look(&resolver, "ns1.example.com.", Kind::A).await.unwrap().len(), 1);
}

#[tokio::test]
async fn names_below_ns_records_go_elsewhere() {
    let (stage, zone) = Stage::example(quiet()).await;
    let child = stage.simulator.with(|world| {
        let child = world.create_zone(ZoneSpec::public(ACCOUNT, "mail.example.com")).unwrap();
        world
            .put_record_set(
                &child,
                record("bounce.mail.example.com", RecordType::TXT, &["\"child\""]),
            )
            .unwrap();
        world
            .put_record_set(
                &zone,
                record("bounce.mail.example.com", RecordType::TXT, &["\"parent\""]),
            )
            .unwrap();
        child
    });
    assert_ne!(
        stage.server_of(&zone),
        stage.server_of(&child),
        "sharing a server would hide the cut"
    );
    let answer = ask(&stage, stage.server_of(&zone), "bounce.mail.example.com.", Kind::TXT);
    assert!(answer.answers.is_empty() && !answer.metadata.authoritative);
    assert_eq!(answer.authorities.len(), 2);
    let resolver = stage.dns(stage.simulator.resolver());
    let found = look(&resolver, "bounce.mail.example.com.", Kind::TXT).await.unwrap();
    assert!(found[0].contains("child"), "{found:?}");
}

#[tokio::test]
async fn a_wildcard_answers_until_a_name_or_an_empty_name_stands_there() {
    // RFC 4592 section 2.2.
    let (stage, zone) = Stage::example(quiet()).await;
    stage.simulator.with(|world| {
        world
            .put_record_set(
                &zone,
                record("*.example.com", RecordType::MX, &["10 wild.example.com"]),
            )
            .unwrap();
        world
            .put_record_set(&zone, record("deep.under.example.com", RecordType::TXT, &["\"x\""]))
            .unwrap();
    });
    let server = stage.server_of(&zone);
    let mx = |name: &str| {
        let answer = ask(&stage, server, name, Kind::MX);
        (answer.metadata.response_code, names(&answer.answers))
    };
    let wild = |name: &str| (ResponseCode::NoError, vec![format!("{name} 10 wild.example.com.")]);
    let none = (ResponseCode::NoError, vec![]);
    assert_eq!(mx("bounce.example.com."), wild("bounce.example.com."));
    assert_eq!(mx("a.b.example.com."), wild("a.b.example.com."));
    assert_eq!(mx("under.example.com."), none, "an empty non-terminal exists");
    assert_eq!(
        mx("other.under.example.com."),
        (ResponseCode::NXDomain, vec![]),
        "its closest encloser has no wildcard"
    );
    stage.simulator.with(|world| {
        world
            .put_record_set(&zone, record("bounce.example.com", RecordType::TXT, &["\"x\""]))
            .unwrap();
    });
    assert_eq!(
        mx("bounce.example.com."),
        none,
        "a name with another type switches the wildcard off"
    );
}

#[tokio::test]
async fn no_such_name_and_no_such_type_come_with_the_soa() {
    let (stage, zone) = Stage::example(quiet()).await;
    stage.simulator.with(|world| {
        world.put_record_set(&zone, record("a.example.com", RecordType::TXT, &["\"x\""])).unwrap();
    });
    for (name, code) in
        [("b.example.com.", ResponseCode::NXDomain), ("a.example.com.", ResponseCode::NoError)]
    {
        let answer = ask(&stage, stage.server_of(&zone), name, Kind::MX);
        assert_eq!((answer.metadata.response_code, answer.metadata.authoritative), (code, true));
        assert!(answer.answers.is_empty());
        assert!(matches!(answer.authorities[0].data, RData::SOA(_)));
        assert_eq!(answer.authorities[0].ttl, 900);
    }
    let refused = ask(&stage, stage.server_of(&zone), "example.org.", Kind::MX);
    assert_eq!(refused.metadata.response_code, ResponseCode::Refused);
}

#[tokio::test]
async fn the_resolver_remembers_a_no_for_the_lesser_of_soa_ttl_and_minimum_and_a_yes_for_its_ttl() {
    // RFC 2308 section 5: min(900, 86400).
    let (stage, zone) = Stage::example(quiet()).await;
    let resolver = stage.dns(stage.simulator.resolver());
    let mx = async || look(&resolver, "bounce.example.com.", Kind::MX).await;
    assert!(mx().await.is_err());
    stage.simulator.with(|world| {
        world.put_record_set(&zone, record("bounce.example.com", RecordType::MX, &[MX])).unwrap();
    });
    assert!(
        look(&stage.dns(stage.server_of(&zone)), "bounce.example.com.", Kind::MX).await.is_ok()
    );
    stage.simulator.advance(Duration::from_secs(899));
    assert!(mx().await.is_err());
    stage.simulator.advance(Duration::from_secs(1));
    assert!(mx().await.is_ok());
    stage.simulator.with(|world| {
        world.delete_record_set(&zone, "bounce.example.com", RecordType::MX).unwrap();
    });
    stage.simulator.advance(Duration::from_secs(299));
    assert!(mx().await.is_ok());
    stage.simulator.advance(Duration::from_secs(1));
    assert!(mx().await.is_err());
}

#[tokio::test]
async fn cnames_are_followed_across_zones_and_aliases_answer_as_addresses() {
    let (stage, zone) = Stage::example(quiet()).await;
    stage.simulator.with(|world| {
        let other = world.create_zone(ZoneSpec::public(ACCOUNT, "example.org")).unwrap();
        world.put_record_set(&other, record("mx.example.org", RecordType::MX, &[MX])).unwrap();
        world
            .put_record_set(
                &zone,
                record("bounce.example.com", RecordType::CNAME, &["mx.example.org"]),
            )
            .unwrap();
        world
            .put_record_set(&zone, RecordSet::alias("example.com", "lb.example.").unwrap())
            .unwrap();
    });
    let resolver = stage.dns(stage.simulator.resolver());
    let found = look(&resolver, "bounce.example.com.", Kind::MX).await.unwrap();
    assert!(found.contains(&format!("{MX}.")), "{found:?}");
    assert_eq!(look(&resolver, "example.com.", Kind::A).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let (stage, zone) = Stage::example(quiet()).await;
    let values: Vec<String> = (0..15).map(|index| format!("\"{index:0>250}\"")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    stage.simulator.with(|world| {
        world.put_record_set(&zone, record("big.example.com", RecordType::TXT, &values)).unwrap();
    });
    for server in [stage.server_of(&zone), stage.simulator.resolver()] {
        assert_eq!(
            look(&stage.dns(server), "big.example.com.", Kind::TXT).await.unwrap().len(),
            15
        );
    }
}

#[tokio::test]
async fn a_silent_server_does_not_answer_and_the_resolver_takes_the_other() {
    let (stage, zone) = Stage::example(quiet()).await;
    let servers = stage.simulator.with(|world| world.zone(&zone).unwrap().servers().to_vec());
    stage.simulator.with(|world| world.silence(servers[0].1, true));
    assert!(look(&stage.dns(servers[0].1), "example.com.", Kind::SOA).await.is_err());
    let resolver = stage.dns(stage.simulator.resolver());
    assert!(look(&resolver, "example.com.", Kind::SOA).await.is_ok());
    stage.simulator.with(|world| {
        world.flush_resolvers();
        world.silence(servers[1].1, true);
    });
    assert!(look(&resolver, "example.com.", Kind::SOA).await.is_err());
}
