//! What a zone's own servers answer for a name: never a recursive resolver,
//! which would remember a "no" for as long as the zone's SOA says (RFC 2308).

use futures::future::join_all;
use hickory_resolver::proto::rr::RecordType;

use super::Dns;
use super::message::{Verdict, authoritative, mx, question, txt};
use crate::mail::{DomainName, Seen, SharedText};

/// MX and TXT as one server answers.
#[derive(PartialEq)]
struct Shown {
    mx: Vec<String>,
    txt: Vec<String>,
}

impl Dns {
    pub(super) async fn find_seen(&self, name: &DomainName, servers: &[SharedText]) -> Seen {
        let all = join_all(servers.iter().map(|server| self.shown_by(name, server))).await;
        let (shown, failed): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        let mut shown = shown.into_iter().filter_map(Result::ok);
        let Some(first) = shown.next() else {
            let why = failed.into_iter().find_map(Result::err);
            return Seen::Unaskable(why.unwrap_or_else(|| "no server to ask".to_owned()));
        };
        if shown.any(|other| other != first) {
            return Seen::Differing;
        }
        Seen::Answered { mx: first.mx, txt: first.txt }
    }

    async fn shown_by(&self, name: &DomainName, server: &str) -> Result<Shown, String> {
        let address = self.address_of(server).await?;
        let ask = |rtype| async move {
            let query = question(name.as_str(), rtype, false)
                .ok_or_else(|| format!("{name} is not a DNS name"))?;
            let answer = self.ask_one(server, address, query).await?;
            match authoritative(&answer, rtype) {
                Verdict::Found | Verdict::Nothing => Ok(answer),
                Verdict::Referral { zone, .. } => {
                    Err(format!("{server} refers to other servers for {zone}"))
                }
                Verdict::Useless(why) => Err(format!("{server} {why}")),
            }
        };
        let (for_mx, for_txt) = futures::try_join!(ask(RecordType::MX), ask(RecordType::TXT))?;
        Ok(Shown { mx: mx(&for_mx), txt: txt(&for_txt) })
    }
}
