//! DNS messages.

use std::net::{Ipv4Addr, Ipv6Addr};

use hickory_proto::{
    op::{Edns, Message, MessageType, OpCode, ResponseCode},
    rr::{
        self, RData,
        rdata::{self, A, AAAA, CNAME, MX, NS, PTR, SOA, TXT},
    },
};

use super::{Answer, Code, Record};
use crate::{
    name::Name,
    record::{RecordType, txt_strings},
};

/// Reads a query, has it answered, and writes the response. None for what is
/// no query, and where the server does not answer.
pub(crate) fn respond(
    query: &[u8],
    recursive: bool,
    answer: impl FnOnce(&Name, RecordType) -> Option<Answer>,
) -> Option<Vec<u8>> {
    let query = Message::from_vec(query).ok()?;
    if query.metadata.message_type != MessageType::Query {
        return None;
    }
    let mut response = Message::response(query.metadata.id, query.metadata.op_code);
    response.metadata.recursion_desired = query.metadata.recursion_desired;
    response.metadata.recursion_available = recursive;
    response.add_queries(query.queries.iter().cloned());
    if query.edns.is_some() {
        let mut edns = Edns::new();
        edns.set_max_payload(1232);
        response.set_edns(edns);
    }
    let [question] = query.queries.as_slice() else {
        return refuse(response, ResponseCode::FormErr);
    };
    if query.metadata.op_code != OpCode::Query {
        return refuse(response, ResponseCode::NotImp);
    }
    let Some(name) = our_name(question.name()) else {
        return refuse(response, ResponseCode::NXDomain);
    };
    // A type that no zone here can hold is asked for as DS is: nothing of the
    // kind exists, and the SOA says so.
    let kind = RecordType::parse(&question.query_type().to_string()).unwrap_or(RecordType::DS);
    fill(&mut response, &answer(&name, kind)?);
    response.to_vec().ok()
}

fn refuse(mut response: Message, code: ResponseCode) -> Option<Vec<u8>> {
    response.metadata.response_code = code;
    response.to_vec().ok()
}

fn fill(response: &mut Message, answer: &Answer) {
    response.metadata.authoritative = answer.authoritative;
    response.metadata.response_code = match answer.code {
        Code::NoError => ResponseCode::NoError,
        Code::NoSuchName => ResponseCode::NXDomain,
        Code::Refused => ResponseCode::Refused,
        Code::ServerFailure => ResponseCode::ServFail,
    };
    response.add_answers(answer.answers.iter().filter_map(record));
    response.add_authorities(answer.authorities.iter().filter_map(record));
    response.add_additionals(answer.additionals.iter().filter_map(record));
}

/// What fits a datagram: the response itself, or its truncated form, which
/// sends the client to TCP.
pub(crate) fn truncate(query: &[u8], response: Vec<u8>) -> Vec<u8> {
    let most =
        Message::from_vec(query).map_or(512, |query| usize::from(query.max_payload().max(512)));
    if response.len() <= most {
        return response;
    }
    let short =
        Message::from_vec(&response).ok().and_then(|message| message.truncate().to_vec().ok());
    short.unwrap_or_default()
}

/// None for a name that no zone here can hold.
fn our_name(name: &rr::Name) -> Option<Name> {
    if name.is_root() {
        return Some(Name::root());
    }
    let labels: Option<Vec<&str>> =
        name.iter().map(|label| std::str::from_utf8(label).ok()).collect();
    let labels = labels?;
    let plain = labels
        .iter()
        .all(|label| label.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.'));
    plain.then(|| Name::from_labels(labels.into_iter()))
}

fn wire_name(name: &Name) -> Option<rr::Name> {
    let mut wire = rr::Name::from_labels(name.labels().map(str::as_bytes)).ok()?;
    wire.set_fqdn(true);
    Some(wire)
}

fn host(text: &str) -> Option<rr::Name> {
    wire_name(&if text == "." { Name::root() } else { Name::parse(text).ok()? })
}

fn record(record: &Record) -> Option<rr::Record> {
    let data = data(record.kind, &record.value)?;
    Some(rr::Record::from_rdata(wire_name(&record.name)?, record.ttl, data))
}

/// None for a type that the simulator keeps but does not serve.
fn data(kind: RecordType, value: &str) -> Option<RData> {
    let fields: Vec<&str> = value.split(' ').collect();
    Some(match kind.as_str() {
        "A" => RData::A(A::from(value.parse::<Ipv4Addr>().ok()?)),
        "AAAA" => RData::AAAA(AAAA::from(value.parse::<Ipv6Addr>().ok()?)),
        "CNAME" => RData::CNAME(CNAME(host(value)?)),
        "NS" => RData::NS(NS(host(value)?)),
        "PTR" => RData::PTR(PTR(host(value)?)),
        "MX" => RData::MX(MX::new(fields.first()?.parse().ok()?, host(fields.get(1)?)?)),
        "TXT" => {
            let strings = txt_strings(value)?;
            RData::TXT(TXT::from_bytes(strings.iter().map(Vec::as_slice).collect()))
        }
        "SOA" => RData::SOA(soa(&fields)?),
        _ => return None,
    })
}

fn soa(fields: &[&str]) -> Option<rdata::SOA> {
    let &[primary, mailbox, serial, refresh, retry, expire, minimum] = fields else {
        return None;
    };
    Some(SOA::new(
        host(primary)?,
        host(mailbox)?,
        serial.parse().ok()?,
        refresh.parse().ok()?,
        retry.parse().ok()?,
        expire.parse().ok()?,
        minimum.parse().ok()?,
    ))
}
