//! What happened, in order: calls and changes of state.

use std::net::Ipv4Addr;

use serde::Serialize;

use crate::{clock::SimTime, name::Name, record::RecordType};

/// An AWS service, by its signing name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Simple Email Service, v1 and v2.
    Ses,
    /// Route 53.
    Route53,
    /// Security Token Service.
    Sts,
}

/// One request to AWS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Call {
    /// Its place among all calls and events of the world.
    pub order: u64,
    /// Simulated time at which it came in.
    pub at: SimTime,
    /// The account whose credentials it carries; empty if they are unknown.
    pub account: String,
    /// The access key that it was signed with.
    pub access_key: String,
    /// The region that it was signed for.
    pub region: String,
    /// The service.
    pub service: Service,
    /// Such as `PutEmailIdentityMailFromAttributes`.
    pub action: String,
    /// What it is about: identities; the zone's id and, for a change, the
    /// record sets as `name type`; a change's id; a role.
    pub targets: Vec<String>,
    /// The parameters in short.
    pub parameters: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// Not answered: at a gate, hanging, or its client went away.
    Unanswered,
    /// Answered with success.
    Ok,
    /// Answered with an error of this HTTP status and code.
    Error {
        /// HTTP status.
        status: u16,
        /// AWS error code.
        code: String,
    },
    /// The connection was cut instead of an answer.
    Lost,
}

impl Outcome {
    /// Whether it is an error of that code.
    pub fn is_error(&self, wanted: &str) -> bool {
        matches!(self, Self::Error { code, .. } if code == wanted)
    }
}

/// One question that came to a name server or resolver over the network.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DnsQuestion {
    /// Its place among all calls and events of the world.
    pub order: u64,
    /// Simulated time.
    pub at: SimTime,
    /// Who was asked.
    pub server: Ipv4Addr,
    /// The name that was asked for.
    #[serde(serialize_with = "as_text")]
    pub name: Name,
    /// The type that was asked for.
    pub kind: RecordType,
}

/// A change of state that has happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Its place among all calls and events of the world.
    pub order: u64,
    /// Simulated time.
    pub at: SimTime,
    /// What changed.
    pub kind: EventKind,
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum EventKind {
    /// A record set of a zone is another one now; the DNS does not serve it yet.
    RecordSet {
        /// Zone id.
        zone: String,
        /// Its name.
        #[serde(serialize_with = "as_text")]
        name: Name,
        /// Its type.
        kind: RecordType,
        /// Its values before; none if there was no such record set.
        from: Option<Vec<String>>,
        /// Its values now; none if it is gone.
        to: Option<Vec<String>>,
        /// The change that did it; none for an edit behind the API's back.
        change: Option<String>,
    },
    /// A change is served by the zone's name servers from now on.
    InSync {
        /// Zone id.
        zone: String,
        /// Change id.
        change: String,
    },
    /// SES took a put.
    MailFromPut {
        /// Whose setting.
        identity: IdentityKey,
        /// The MAIL FROM domain; empty to clear it.
        domain: String,
        /// The behaviour, as in SES v2.
        behavior: String,
    },
    /// The status of a MAIL FROM domain changed.
    MailFromStatus {
        /// Whose status.
        identity: IdentityKey,
        /// The MAIL FROM domain that it speaks of.
        domain: String,
        /// Before.
        from: Option<MailFromStatus>,
        /// Now; none when cleared.
        to: Option<MailFromStatus>,
    },
    /// What happens to a message sent now changed.
    Sending {
        /// Of whom.
        identity: IdentityKey,
        /// Before.
        from: Sending,
        /// Now.
        to: Sending,
    },
    /// SES looked for the MX and found something other than the time before.
    MxSeen {
        /// For whom.
        identity: IdentityKey,
        /// The MAIL FROM domain.
        domain: String,
        /// What it found.
        finding: String,
    },
    /// The parent's servers name other servers for a domain now.
    Delegation {
        /// The domain.
        #[serde(serialize_with = "as_text")]
        name: Name,
        /// The name servers; empty when the delegation is gone.
        servers: Vec<String>,
    },
    /// An identity came, went, or was verified or not.
    Identity {
        /// Which.
        identity: IdentityKey,
        /// Whether it is there and verified; none when gone.
        verified: Option<bool>,
    },
}

fn as_text<S: serde::Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(name)
}

/// Names one identity in one account and region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct IdentityKey {
    /// Account id.
    pub account: String,
    /// Region.
    pub region: String,
    /// Domain or e-mail address.
    pub identity: String,
}

impl IdentityKey {
    /// A key from its parts; the identity is taken in lower case.
    pub fn new(account: &str, region: &str, identity: &str) -> Self {
        Self {
            account: account.to_owned(),
            region: region.to_owned(),
            identity: identity.to_ascii_lowercase(),
        }
    }
}

/// SES's word on a MAIL FROM domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum MailFromStatus {
    /// SES is looking for the MX.
    Pending,
    /// The MX was there at the last look.
    Success,
    /// It was there and is not any more.
    TemporaryFailure,
    /// SES has stopped looking.
    Failed,
}

impl MailFromStatus {
    /// As SES v2 says it.
    pub fn v2(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Success => "SUCCESS",
            Self::TemporaryFailure => "TEMPORARY_FAILURE",
            Self::Failed => "FAILED",
        }
    }

    /// As SES v1 says it.
    pub fn v1(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Success => "Success",
            Self::TemporaryFailure => "TemporaryFailure",
            Self::Failed => "Failed",
        }
    }
}

/// What happens to a message sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Sending {
    /// Sent with the custom MAIL FROM domain.
    CustomMailFrom,
    /// Sent with a subdomain of amazonses.com.
    DefaultMailFrom,
    /// Refused: `MailFromDomainNotVerified`.
    Rejected,
    /// Refused: the identity is not verified, or not there.
    NotVerified,
}
