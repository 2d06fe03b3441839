//! What name servers may answer, the simulator's polite ones aside, and what it
//! means: on scripted answers, without a network.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use hickory_resolver::proto::op::{Message, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, NS};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use ses_mailfrom::dns::{Dns, Exchange, ExchangeError, Settings};
use ses_mailfrom::mail::{Delegation, DomainName};

const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// What one server says to a question about the apex.
#[derive(Clone, Copy)]
enum Says {
    /// Authority section: owner and hosts.
    Refers(&'static str, &'static [&'static str]),
    /// Authoritative answer section: hosts.
    Serves(&'static [&'static str]),
    /// Authoritative, and nothing there.
    No(ResponseCode),
    /// Not authoritative, and nothing there.
    Shrugs(ResponseCode),
    Silent,
}

/// A world of one resolver that knows the zones given, and servers by host.
struct Script {
    /// Zone and its servers' hosts, as the resolver tells them.
    zones: &'static [(&'static str, &'static [&'static str])],
    /// Host and what it says.
    servers: &'static [(&'static str, Says)],
}

fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn ns(owner: &str, hosts: &[&str]) -> Vec<Record> {
    let record = |host: &&str| Record::from_rdata(name(owner), 60, RData::NS(NS(name(host))));
    hosts.iter().map(record).collect()
}

impl Script {
    fn resolve(&self, asked: &str, rtype: RecordType, answer: &mut Message) {
        if rtype == RecordType::NS {
            let zone = self.zones.iter().find(|(zone, _)| *zone == asked);
            match zone {
                Some((zone, hosts)) => answer.answers = ns(zone, hosts),
                None => answer.metadata.response_code = ResponseCode::NXDomain,
            }
        } else if let Some(at) = self.servers.iter().position(|(host, _)| *host == asked) {
            let ip = A(Ipv4Addr::new(127, 0, 1, u8::try_from(at).unwrap()));
            if rtype == RecordType::A {
                answer.answers = vec![Record::from_rdata(name(asked), 60, RData::A(ip))];
            }
        }
    }

    fn tell(&self, server: IpAddr, asked: &str, answer: &mut Message) -> Result<(), ExchangeError> {
        let IpAddr::V4(ip) = server else { panic!("no such server") };
        match self.servers[usize::from(ip.octets()[3])].1 {
            Says::Refers(owner, hosts) => answer.authorities = ns(owner, hosts),
            Says::Serves(hosts) => {
                answer.metadata.authoritative = true;
                answer.answers = ns(asked, hosts);
            }
            Says::No(code) => {
                answer.metadata.authoritative = true;
                answer.metadata.response_code = code;
            }
            Says::Shrugs(code) => answer.metadata.response_code = code,
            Says::Silent => return Err(ExchangeError::Silent),
        }
        Ok(())
    }
}

impl Exchange for Script {
    fn exchange(
        &self,
        server: SocketAddr,
        query: Message,
    ) -> BoxFuture<'_, Result<Message, ExchangeError>> {
        let asked = query.queries[0].name().to_ascii();
        let asked = if asked == "." { asked.as_str() } else { asked.trim_end_matches('.') };
        let rtype = query.queries[0].query_type();
        let mut answer = query.clone().into_response();
        let said = if server.ip() == IpAddr::V4(RESOLVER) {
            self.resolve(asked, rtype, &mut answer);
            Ok(())
        } else {
            self.tell(server.ip(), asked, &mut answer)
        };
        std::future::ready(said.map(|()| answer)).boxed()
    }
}

fn settings() -> Settings {
    let resolvers = vec![SocketAddr::new(RESOLVER.into(), 53)];
    Settings { resolvers, ..Settings::default() }
}

/// Asks for the delegation of `a.b.example.com`, whose zone names `ns1.here`
/// and `ns2.here`.
async fn delegation(
    zones: &'static [(&'static str, &'static [&'static str])],
    servers: &'static [(&'static str, Says)],
) -> Delegation {
    let dns = Dns::with_exchange(settings(), Arc::new(Script { zones, servers }));
    let apex = DomainName::parse("a.b.example.com").unwrap();
    dns.delegation(&apex, &["ns1.here".into(), "ns2.here".into()]).await
}

const TWO: &[(&str, &[&str])] = &[("example.com", &["p1", "p2"])];
const HERE: Says = Says::Refers("a.b.example.com", &["NS1.Here"]);
const THERE: Says = Says::Refers("a.b.example.com", &["ns9.there"]);
const NO: Says = Says::No(ResponseCode::NXDomain);
const ONE: &[(&str, &[&str])] = &[("example.com", &["p"])];
const DOWN: Says = Says::Refers("b.example.com", &["q"]);
const ROUND: Says = Says::Refers("b.example.com", &["p"]);
const BOTH: Says = Says::Serves(&["ns2.here", "ns3.here"]);
const OTHER: Says = Says::Serves(&["ns9.there"]);
const ROOT: &[(&str, &[&str])] = &[(".", &["r"])];

#[tokio::test]
async fn one_server_of_the_parent_that_names_one_of_ours_is_enough() {
    for other in [THERE, Says::No(ResponseCode::NXDomain), Says::Silent] {
        let servers: &[_] = Box::leak(Box::new([("p1", other), ("p2", HERE)]));
        assert_eq!(delegation(TWO, servers).await, Delegation::Delegated);
    }
}

#[tokio::test]
async fn a_no_counts_only_where_no_server_names_others() {
    let elsewhere = Delegation::Elsewhere(vec!["ns9.there".to_owned()]);
    assert_eq!(delegation(TWO, &[("p1", NO), ("p2", THERE)]).await, elsewhere);
    assert_eq!(delegation(TWO, &[("p1", NO), ("p2", Says::Silent)]).await, Delegation::Missing);
    let empty = Says::No(ResponseCode::NoError);
    let servers: &[_] = Box::leak(Box::new([("p1", empty), ("p2", empty)]));
    assert_eq!(delegation(TWO, servers).await, Delegation::Missing);
}

#[tokio::test]
async fn what_is_no_answer_is_no_no() {
    for (says, why) in [
        (Says::Shrugs(ResponseCode::Refused), "p1 answered REFUSED"),
        (Says::Shrugs(ResponseCode::ServFail), "p1 answered SERVFAIL"),
        (Says::No(ResponseCode::ServFail), "p1 answered SERVFAIL"),
        (Says::Shrugs(ResponseCode::NXDomain), "p1 does not serve the zone"),
        (Says::Shrugs(ResponseCode::NoError), "p1 does not serve the zone"),
        (Says::Refers(".", &["root"]), "p1 refers elsewhere"),
        (Says::Refers("other.com", &["x"]), "p1 refers elsewhere"),
        (Says::Silent, "name server p1 did not answer in time"),
    ] {
        let servers: &[_] = Box::leak(Box::new([("p1", says), ("p2", says)]));
        assert_eq!(delegation(TWO, servers).await, Delegation::Unaskable(why.to_owned()));
    }
    let why = Delegation::Unaskable("p1 has no address".to_owned());
    assert_eq!(delegation(&[("example.com", &["p1"])], &[]).await, why);
    let why = Delegation::Unaskable("the resolver knows no root servers".to_owned());
    assert_eq!(delegation(&[], &[]).await, why);
}

#[tokio::test]
async fn a_parent_further_down_than_the_resolver_knows_is_followed() {
    assert_eq!(delegation(ONE, &[("p", DOWN), ("q", HERE)]).await, Delegation::Delegated);
    assert_eq!(delegation(ONE, &[("p", DOWN), ("q", NO)]).await, Delegation::Missing);
    let answer = delegation(ONE, &[("p", ROUND)]).await;
    assert!(matches!(answer, Delegation::Unaskable(_)), "round and round: {answer:?}");
}

#[tokio::test]
async fn a_server_of_both_parent_and_zone_answers_for_both() {
    assert_eq!(delegation(TWO, &[("p1", BOTH), ("p2", BOTH)]).await, Delegation::Delegated);
    let elsewhere = Delegation::Elsewhere(vec!["ns9.there".to_owned()]);
    assert_eq!(delegation(TWO, &[("p1", OTHER), ("p2", OTHER)]).await, elsewhere);
}

#[tokio::test]
async fn the_parent_may_be_the_root() {
    assert_eq!(delegation(ROOT, &[("r", HERE)]).await, Delegation::Delegated);
}

/// Never answers, and keeps to no limit of its own.
struct Stuck;

impl Exchange for Stuck {
    fn exchange(&self, _: SocketAddr, _: Message) -> BoxFuture<'_, Result<Message, ExchangeError>> {
        std::future::pending().boxed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_question_has_a_limit() {
    let dns = Dns::with_exchange(settings(), Arc::new(Stuck));
    let begun = tokio::time::Instant::now();
    let apex = DomainName::parse("example.com").unwrap();
    let answer = dns.delegation(&apex, &[]).await;
    assert!(matches!(answer, Delegation::Unaskable(_)), "{answer:?}");
    assert_eq!(begun.elapsed(), Settings::default().timeout * 4);
    assert!(begun.elapsed() <= Duration::from_secs(30), "longer than a reconcile may take");
}
