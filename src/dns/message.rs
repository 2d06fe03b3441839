//! Questions and answers on the level of DNS records (RFC 1035, RFC 1034).

use std::net::IpAddr;

use hickory_resolver::proto::op::{Edns, Message, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// Large enough for any name server set, small enough for any path.
const UDP_PAYLOAD: u16 = 1232;

/// A question about `name`, which is absolute with or without its dot. `None`
/// where it is no DNS name.
pub(super) fn question(name: &str, rtype: RecordType, recursive: bool) -> Option<Message> {
    let mut owner = Name::from_ascii(name).ok()?;
    owner.set_fqdn(true);
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    let mut message = Message::query();
    message.metadata.recursion_desired = recursive;
    message.add_query(Query::query(owner, rtype));
    message.set_edns(edns);
    Some(message)
}

/// What an answer means.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    /// Records of the type asked for, at the name asked for or where it leads.
    Found,
    /// The server that knows says that there are none.
    Nothing,
    /// Ask these servers instead; they know the zone of this name.
    Referral { zone: String, servers: Vec<String> },
    /// No answer: refused, failed, or from a server that does not know.
    Useless(String),
}

/// Reads what `answer` says to a question that was not recursive.
pub(super) fn authoritative(answer: &Message, rtype: RecordType) -> Verdict {
    let meta = &answer.metadata;
    match meta.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain if meta.authoritative => {
            let found = answer.answers.iter().any(|record| record.record_type() == rtype);
            if found { Verdict::Found } else { Verdict::Nothing }
        }
        ResponseCode::NoError => {
            let ns = || answer.authorities.iter().filter(|r| r.record_type() == RecordType::NS);
            let Some(first) = ns().next() else {
                return Verdict::Useless("does not serve the zone".to_owned());
            };
            let zone = &first.name;
            let servers = names(ns().filter(|record| record.name == *zone));
            Verdict::Referral { zone: text(zone), servers }
        }
        ResponseCode::NXDomain => Verdict::Useless("does not serve the zone".to_owned()),
        other => Verdict::Useless(format!("answered {}", code(other))),
    }
}

/// Response codes that servers return, by the names that people know.
pub(super) fn code(code: ResponseCode) -> String {
    match code {
        ResponseCode::ServFail => "SERVFAIL".to_owned(),
        ResponseCode::Refused => "REFUSED".to_owned(),
        ResponseCode::FormErr => "FORMERR".to_owned(),
        ResponseCode::NotImp => "NOTIMP".to_owned(),
        other => format!("with code {}", u16::from(other)),
    }
}

/// The hosts that NS records name: lower case, without trailing dot, sorted.
pub(super) fn names<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<String> {
    let host = |record: &Record| match &record.data {
        RData::NS(host) => Some(text(&host.0)),
        _ => None,
    };
    sorted(records.filter_map(host))
}

/// The addresses in an answer.
pub(super) fn addresses(answer: &Message) -> Vec<IpAddr> {
    let address = |record: &Record| match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    };
    answer.answers.iter().filter_map(address).collect()
}

/// MX values in zone-file form: `10 host`.
pub(super) fn mx(answer: &Message) -> Vec<String> {
    let value = |record: &Record| match &record.data {
        RData::MX(mx) => Some(format!("{} {}", mx.preference, text(&mx.exchange))),
        _ => None,
    };
    sorted(answer.answers.iter().filter_map(value))
}

/// TXT values, the strings of each joined.
pub(super) fn txt(answer: &Message) -> Vec<String> {
    let value = |record: &Record| match &record.data {
        RData::TXT(txt) => Some(String::from_utf8_lossy(&txt.txt_data.concat()).into_owned()),
        _ => None,
    };
    sorted(answer.answers.iter().filter_map(value))
}

fn sorted(values: impl Iterator<Item = String>) -> Vec<String> {
    let mut values: Vec<String> = values.collect();
    values.sort();
    values.dedup();
    values
}

fn text(name: &Name) -> String {
    let text = name.to_ascii().to_ascii_lowercase();
    if text == "." { text } else { text.trim_end_matches('.').to_owned() }
}
