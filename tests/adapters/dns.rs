//! What the world sees, asked of the simulator's name servers over UDP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_simulator::{
    ACCOUNT, Delegation as SimDelegation, RecordSet as SimSet, RecordType as SimType, ZoneSpec,
};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use hickory_resolver::proto::op::Message;
use ses_mailfrom::dns::{Dns, Exchange, ExchangeError, Network, Settings};
use ses_mailfrom::mail::{Delegation, Seen, SharedText};

use crate::stage::{Stage, domain};

const NAME: &str = "bounce.example.com";
const TIMEOUT: Duration = Duration::from_millis(900);

impl Stage {
    fn dns_settings(&self) -> Settings {
        let resolver = self.serving.resolver();
        assert!(resolver.ip().is_loopback(), "these tests must not ask real servers");
        Settings { resolvers: vec![resolver], port: self.serving.dns_port(), timeout: TIMEOUT }
    }

    fn dns(&self) -> Dns {
        Dns::new(self.dns_settings())
    }

    fn zone(&self, spec: ZoneSpec) -> String {
        self.sim.with(|world| world.create_zone(spec)).unwrap()
    }

    /// The hosts of a zone's apex NS record set, and where they are.
    fn servers(&self, zone: &str) -> Vec<SharedText> {
        let ns = |world: &mut aws_simulator::World| {
            let name = world.zone(zone).unwrap().name().plain();
            world.record_set(zone, &name, SimType::NS).unwrap().values.clone()
        };
        self.sim.with(ns).iter().map(|host| host.trim_end_matches('.').into()).collect()
    }

    fn addresses(&self, zone: &str) -> Vec<Ipv4Addr> {
        let of = |world: &mut aws_simulator::World| {
            world.zone(zone).unwrap().servers().iter().map(|(_, ip)| *ip).collect()
        };
        self.sim.with(of)
    }

    fn silence(&self, servers: impl IntoIterator<Item = Ipv4Addr>) {
        self.sim.with(|world| servers.into_iter().for_each(|ip| world.silence(ip, true)));
    }

    fn publish(&self, zone: &str, kind: SimType, values: &[&str]) {
        let set = SimSet::new(NAME, kind, 300, values).unwrap();
        self.sim.with(|world| world.put_record_set(zone, set)).unwrap();
        self.sim.advance(Duration::from_mins(5));
    }
}

fn public() -> ZoneSpec {
    ZoneSpec::public(ACCOUNT, "example.com")
}

#[tokio::test]
async fn a_zone_is_delegated_if_the_parent_names_its_servers() {
    let stage = Stage::new().await;
    let zone = stage.zone(public());
    let apex = domain("example.com");
    let servers = stage.servers(&zone);
    assert_eq!(stage.dns().delegation(&apex, &servers).await, Delegation::Delegated);
    let one = &servers[..1];
    assert_eq!(stage.dns().delegation(&apex, one).await, Delegation::Delegated);
}

#[tokio::test]
async fn vanity_names_are_compared_with_the_zones_own_record_set() {
    let stage = Stage::new().await;
    let zone = stage.zone(public().vanity(&["ns1", "ns2"]));
    let servers = stage.servers(&zone);
    assert_eq!(servers, ["ns1.example.com", "ns2.example.com"]);
    let dns = stage.dns();
    assert_eq!(dns.delegation(&domain("example.com"), &servers).await, Delegation::Delegated);
    stage.publish(&zone, SimType::MX, &["10 a.example"]);
    let seen = dns.seen(&domain(NAME), &servers).await;
    assert_eq!(seen, Seen::Answered { mx: vec!["10 a.example".into()], txt: vec![] });
}

#[tokio::test]
async fn no_delegation_is_missing_and_another_is_elsewhere() {
    let stage = Stage::new().await;
    let missing = stage.zone(public().delegation(SimDelegation::None));
    let servers = stage.servers(&missing);
    let dns = stage.dns();
    let apex = domain("example.com");
    assert_eq!(dns.delegation(&apex, &servers).await, Delegation::Missing);
    let others = ["ns2.provider.example".to_owned(), "ns1.provider.example".to_owned()];
    stage.sim.with(|world| world.delegate("example.com", &others)).unwrap();
    let mut named = others.to_vec();
    named.sort();
    assert_eq!(dns.delegation(&apex, &servers).await, Delegation::Elsewhere(named));
}

#[tokio::test]
async fn a_zone_within_a_zone_is_asked_of_the_zone_right_above() {
    let stage = Stage::new().await;
    let above = stage.zone(public());
    let below = stage.zone(ZoneSpec::public(ACCOUNT, "a.b.example.com"));
    let apex = domain("a.b.example.com");
    let servers = stage.servers(&below);
    let dns = stage.dns();
    assert_eq!(dns.delegation(&apex, &servers).await, Delegation::Delegated);
    stage.sim.with(|world| world.undelegate("a.b.example.com")).unwrap();
    stage.sim.advance(Duration::from_mins(5));
    assert_eq!(dns.delegation(&apex, &servers).await, Delegation::Missing);
    stage.silence(stage.addresses(&above));
    let answer = dns.delegation(&apex, &servers).await;
    assert!(matches!(answer, Delegation::Unaskable(_)), "silence is not a no: {answer:?}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_not_missing() {
    let stage = Stage::new().await;
    let zone = stage.zone(public().delegation(SimDelegation::None));
    let (apex, servers) = (domain("example.com"), stage.servers(&zone));
    let unaskable = |answer| match answer {
        Delegation::Unaskable(why) => why,
        other => panic!("{other:?}"),
    };
    stage.silence([stage.sim.parent()]);
    let why = unaskable(stage.dns().delegation(&apex, &servers).await);
    assert_eq!(why, "the resolver answered SERVFAIL for com");
    stage.silence([stage.sim.resolver()]);
    let why = unaskable(stage.dns().delegation(&apex, &servers).await);
    assert_eq!(why, "the resolver did not answer in time");
    let nobody = Settings { resolvers: vec![], ..stage.dns_settings() };
    let why = unaskable(Dns::new(nobody).delegation(&apex, &servers).await);
    assert_eq!(why, "there is no resolver to ask");
}

#[tokio::test]
async fn a_closed_port_is_told_as_such() {
    let stage = Stage::new().await;
    let zone = stage.zone(public());
    stage.publish(&zone, SimType::MX, &["10 a.example"]);
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let dns = Dns::new(Settings { port: closed, ..stage.dns_settings() });
    let servers = stage.servers(&zone);
    let seen = dns.seen(&domain(NAME), &servers).await;
    assert!(matches!(&seen, Seen::Unaskable(why) if why.starts_with("name server ")), "{seen:?}");
    let delegation = dns.delegation(&domain("example.com"), &servers).await;
    assert!(matches!(delegation, Delegation::Unaskable(_)), "{delegation:?}");
}

#[tokio::test]
async fn the_next_resolver_is_asked_where_one_is_silent() {
    let stage = Stage::new().await;
    let zone = stage.zone(public());
    let settings = stage.dns_settings();
    let silent = SocketAddr::new(Ipv4Addr::new(127, 53, 9, 9).into(), settings.port);
    let resolvers = vec![silent, settings.resolvers[0]];
    let dns = Dns::new(Settings { resolvers, ..settings });
    let answer = dns.delegation(&domain("example.com"), &stage.servers(&zone)).await;
    assert_eq!(answer, Delegation::Delegated);
}

#[tokio::test]
async fn what_all_servers_answer_is_seen_in_zone_file_form() {
    let stage = Stage::new().await;
    let zone = stage.zone(public());
    let (dns, servers) = (stage.dns(), stage.servers(&zone));
    let nothing = Seen::Answered { mx: vec![], txt: vec![] };
    assert_eq!(dns.seen(&domain(NAME), &servers).await, nothing);
    stage.publish(&zone, SimType::MX, &["10 Feedback-SMTP.us-east-1.amazonses.com."]);
    let long = format!("\"{}\" \"{}\"", "a".repeat(255), "b".repeat(255));
    let txt = [r#""v=spf1 include:amazonses.com" " ~all""#, &long, r#""q\"uote""#];
    stage.publish(&zone, SimType::TXT, &txt);
    let Seen::Answered { mx, txt } = dns.seen(&domain(NAME), &servers).await else {
        panic!("not answered")
    };
    assert_eq!(mx, ["10 feedback-smtp.us-east-1.amazonses.com"]);
    let joined = format!("{}{}", "a".repeat(255), "b".repeat(255));
    assert_eq!(txt, [joined.as_str(), "q\"uote", "v=spf1 include:amazonses.com ~all"]);
}

#[tokio::test]
async fn an_answer_too_long_for_udp_is_fetched_by_tcp() {
    let stage = Stage::new().await;
    let zone = stage.zone(public());
    let values: Vec<String> = (0..20).map(|n| format!("\"{n}-{}\"", "x".repeat(200))).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    stage.publish(&zone, SimType::TXT, &values);
    let seen = stage.dns().seen(&domain(NAME), &stage.servers(&zone)).await;
    assert!(matches!(&seen, Seen::Answered { txt, .. } if txt.len() == 20), "{seen:?}");
}

#[tokio::test]
async fn servers_that_cannot_be_asked_are_left_out_unless_all_are() {
    let stage = Stage::new().await;
    let zone = stage.zone(public());
    stage.publish(&zone, SimType::MX, &["10 a.example"]);
    let (dns, servers, addresses) = (stage.dns(), stage.servers(&zone), stage.addresses(&zone));
    stage.silence(addresses[..1].iter().copied());
    let seen = dns.seen(&domain(NAME), &servers).await;
    assert_eq!(seen, Seen::Answered { mx: vec!["10 a.example".into()], txt: vec![] });
    stage.silence(addresses);
    let seen = dns.seen(&domain(NAME), &servers).await;
    assert!(matches!(seen, Seen::Unaskable(_)), "{seen:?}");
    assert!(matches!(dns.seen(&domain(NAME), &[]).await, Seen::Unaskable(_)));
}

#[tokio::test]
async fn servers_that_do_not_agree_are_differing_and_ones_without_the_zone_do_not_count() {
    let stage = Stage::new().await;
    let one = stage.zone(public());
    let other = stage.zone(public().delegation(SimDelegation::None));
    let gone = stage.zone(public().delegation(SimDelegation::None));
    let lame = stage.servers(&gone);
    stage.sim.with(|world| world.delete_zone(&gone));
    stage.publish(&one, SimType::MX, &["10 a.example"]);
    let dns = stage.dns();
    let mixed = [stage.servers(&one), stage.servers(&other)].concat();
    assert_eq!(dns.seen(&domain(NAME), &mixed).await, Seen::Differing);
    let some_lame = [stage.servers(&one), lame.clone()].concat();
    let answered = Seen::Answered { mx: vec!["10 a.example".into()], txt: vec![] };
    assert_eq!(dns.seen(&domain(NAME), &some_lame).await, answered);
    let seen = dns.seen(&domain(NAME), &lame).await;
    assert!(matches!(&seen, Seen::Unaskable(why) if why.ends_with("REFUSED")), "{seen:?}");
}

/// Notes which server is asked for which name.
struct Overheard {
    network: Network,
    asked: Arc<Mutex<Vec<(SocketAddr, String, bool)>>>,
}

impl Exchange for Overheard {
    fn exchange(
        &self,
        server: SocketAddr,
        query: Message,
    ) -> BoxFuture<'_, Result<Message, ExchangeError>> {
        let name = query.queries[0].name().to_ascii().trim_end_matches('.').to_owned();
        let recursive = query.metadata.recursion_desired;
        self.asked.lock().unwrap().push((server, name, recursive));
        self.network.exchange(server, query).boxed()
    }
}

#[tokio::test]
async fn no_recursive_resolver_is_ever_asked_for_a_mail_from_name() {
    let stage = Stage::new().await;
    let zone = stage.zone(public());
    let (settings, asked) = (stage.dns_settings(), Arc::default());
    let network = Network { timeout: TIMEOUT };
    let overheard = Overheard { network, asked: Arc::clone(&asked) };
    let resolver = settings.resolvers[0];
    let dns = Dns::with_exchange(settings, Arc::new(overheard));
    let servers = stage.servers(&zone);
    dns.seen(&domain(NAME), &servers).await;
    dns.delegation(&domain("example.com"), &servers).await;
    // The MAIL FROM name may itself be the apex of a zone.
    dns.delegation(&domain(NAME), &servers).await;
    let asked = asked.lock().unwrap();
    assert!(asked.iter().any(|(_, name, _)| name == NAME));
    for (server, name, recursive) in asked.iter() {
        assert_eq!(*recursive, *server == resolver, "{name} at {server}");
        assert!(*server != resolver || name != NAME, "the resolver was asked for {name}");
    }
}
