//! What stands at a MAIL FROM domain, and whose it is.

use jiff::Timestamp;

use super::desired::Desired;
use super::finding::Finding;
use super::inquiry::{Inquiry, Reading};
use super::records::bounded;
use super::world::Fault;
use crate::api::Reason;
use crate::mail::{
    DomainName, MailFromDomain, Marker, MarkerError, NameView, Owner, RecordSet, RecordType,
    Routing, Spf, SpfFault, Zone, decode_txt,
};

/// What is known of one MAIL FROM domain in its zone.
#[derive(Debug)]
pub(super) enum Survey<'a> {
    /// Not all is known yet.
    Waiting,
    /// AWS could not be asked.
    Failed(Fault),
    /// There is no zone to look in.
    NoZone(Finding),
    /// Read.
    Known(Surveyed<'a>),
}

/// A name that was read.
#[derive(Debug)]
pub(super) struct Surveyed<'a> {
    pub zone: Zone,
    /// When the view was asked for.
    pub sent: Timestamp,
    pub view: &'a NameView,
    pub mark: Mark,
}

/// Whose marker stands at a name.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    /// No marker.
    None,
    /// This object's.
    Mine(Marker),
    /// Another owner's, with its text.
    Other(Marker, String),
    /// One or more that cannot be relied on, with what is wrong and the text.
    Unreadable(String),
}

impl Mark {
    /// The marker that decides a claim here.
    pub(super) fn marker(&self) -> Option<&Marker> {
        match self {
            Self::Mine(marker) | Self::Other(marker, _) => Some(marker),
            Self::None | Self::Unreadable(_) => None,
        }
    }

    /// This object's own marker.
    pub(super) fn mine(&self) -> Option<&Marker> {
        match self {
            Self::Mine(marker) => Some(marker),
            _ => None,
        }
    }

    /// Whose marker the TXT values of a name hold.
    pub(super) fn read(texts: &[String], owner: &Owner) -> Self {
        let found: Vec<&String> = texts.iter().filter(|text| Marker::is_marker(text)).collect();
        let text = match found.as_slice() {
            [] => return Self::None,
            [one] => *one,
            many => {
                let shown: Vec<String> = many.iter().take(4).map(|text| bounded(text)).collect();
                let (count, shown) = (many.len(), shown.join(" and "));
                return Self::Unreadable(format!("there are {count} ownership markers: {shown}"));
            }
        };
        match Marker::parse(text) {
            Ok(marker) if marker.owner == *owner => Self::Mine(marker),
            Ok(marker) => Self::Other(marker, text.clone()),
            Err(error @ (MarkerError::Damaged | MarkerError::LaterVersion)) => {
                Self::Unreadable(format!("{error}: {}", bounded(text)))
            }
        }
    }
}

impl Surveyed<'_> {
    /// The plain TXT record set.
    pub(super) fn txt(&self) -> Option<&RecordSet> {
        self.view.simple(&RecordType::Txt)
    }

    /// The plain MX record set.
    pub(super) fn mx(&self) -> Option<&RecordSet> {
        self.view.simple(&RecordType::Mx)
    }

    /// What the text of the SPF record rules out.
    pub(super) fn spf_fault(&self) -> Option<SpfFault> {
        Spf::fault(self.spf_texts().iter().map(String::as_str))
    }

    /// The SPF records among the TXT values.
    pub(super) fn spf_texts(&self) -> Vec<String> {
        let texts = self.txt().map(txt_texts).unwrap_or_default();
        texts.into_iter().filter(|text| Spf::is_spf(text)).collect()
    }
}

/// The TXT values of a record set, each with its strings joined. A value that
/// Route 53 should not have returned is shown as it is.
pub(super) fn txt_texts(set: &RecordSet) -> Vec<String> {
    let text = |value: &String| match decode_txt(value) {
        Ok(octets) => String::from_utf8_lossy(&octets).into_owned(),
        Err(_) => value.clone(),
    };
    set.values.iter().map(text).collect()
}

/// The values of a set at a MAIL FROM domain that can be ours: of TXT, SPF and
/// marker; no other belongs into a status.
pub(super) fn own_values(set: &RecordSet) -> Vec<String> {
    let is_ours = |text: &String| {
        set.rtype != RecordType::Txt || Spf::is_spf(text) || Marker::is_marker(text)
    };
    let values = set.values.iter().zip(txt_texts(set)).filter(|(_, text)| is_ours(text));
    values.map(|(value, _)| value.clone()).collect()
}

/// Anything at a name that the records of a MAIL FROM domain cannot stand
/// beside (RFC 1034 section 3.6.2), or that shows the name in other use.
pub(super) fn occupied(view: &NameView, name: &DomainName) -> Option<Finding> {
    let blocking = view.sets.iter().find(|set| {
        let ours_to_share = matches!(set.rtype, RecordType::Mx | RecordType::Txt);
        let in_use = matches!(
            set.rtype,
            RecordType::Cname | RecordType::A | RecordType::Aaaa | RecordType::Ns
        );
        set.routing != Routing::Simple || (in_use && !ours_to_share)
    })?;
    let kind = match blocking.routing {
        Routing::Simple => "",
        Routing::Alias => "alias ",
        Routing::Routed => "routed ",
    };
    let text = format!("{name} has {} {kind}{} record set", article(kind), blocking.rtype);
    Some(Finding::new(Reason::NameOccupied, text))
}

fn article(kind: &str) -> &'static str {
    if kind.starts_with('a') { "an" } else { "a" }
}

/// What stands around a name that would have to be made, if it forbids it.
pub(super) fn surrounded(
    inquiry: &Inquiry<'_>,
    desired: &Desired,
    zone: &Zone,
    name: &MailFromDomain,
) -> Result<Option<Finding>, Reading<()>> {
    let around = match inquiry.surroundings(zone, name.name()) {
        Reading::Known { value, .. } => value,
        Reading::Waiting => return Err(Reading::Waiting),
        Reading::Failed(fault) => return Err(Reading::Failed(fault)),
    };
    if let Some(at) = &around.delegated_at {
        let text = format!(
            "the hosted zone {} delegates {at} elsewhere, so nothing that it holds for {name} is seen",
            zone.id
        );
        return Ok(Some(Finding::new(Reason::NameOccupied, text)));
    }
    match &around.wildcard {
        Some(wildcard) if !around.exists && !desired.override_wildcard => {
            let text = format!(
                "{wildcard} answers for {name} today and would stop to (RFC 4592); dns.wildcardPolicy Override allows it"
            );
            Ok(Some(Finding::new(Reason::NameOccupied, text)))
        }
        _ => Ok(None),
    }
}
