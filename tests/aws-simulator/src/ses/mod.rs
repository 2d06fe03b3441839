//! Simple Email Service: identities per account and region, and their MAIL FROM.

mod mail_from;
mod v1;
mod v2;

use std::collections::BTreeMap;

pub(crate) use self::mail_from::{check, force, put, sending, take_look};
use crate::{
    api::{ApiError, Success},
    clock::SimTime,
    log::{IdentityKey, MailFromStatus},
    world::World,
};

/// What a put is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Put {
    pub(crate) identity: String,
    pub(crate) domain: Option<String>,
    pub(crate) behavior: Option<String>,
}

/// A request that was understood.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    GetEmailIdentity(String),
    Put(Put),
    ListEmailIdentities { items: usize, token: Option<String> },
    MailFromAttributes(Vec<String>),
    VerificationAttributes(Vec<String>),
}

pub(crate) use v1::parse as parse_v1;
pub(crate) use v2::parse as parse_v2;

impl Input {
    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::GetEmailIdentity(_) => "GetEmailIdentity",
            Self::Put(_) => "PutEmailIdentityMailFromAttributes",
            Self::ListEmailIdentities { .. } => "ListEmailIdentities",
            Self::MailFromAttributes(_) => "GetIdentityMailFromDomainAttributes",
            Self::VerificationAttributes(_) => "GetIdentityVerificationAttributes",
        }
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        match self {
            Self::GetEmailIdentity(identity) => vec![identity.clone()],
            Self::Put(put) => vec![put.identity.clone()],
            Self::ListEmailIdentities { .. } => Vec::new(),
            Self::MailFromAttributes(identities) | Self::VerificationAttributes(identities) => {
                identities.clone()
            }
        }
    }

    pub(crate) fn parameters(&self) -> String {
        match self {
            Self::Put(put) => {
                let shown = |value: &Option<String>| {
                    value.as_ref().map_or("omitted".to_owned(), |text| format!("{text:?}"))
                };
                format!(
                    "MailFromDomain={} BehaviorOnMxFailure={}",
                    shown(&put.domain),
                    shown(&put.behavior)
                )
            }
            Self::ListEmailIdentities { items, .. } => format!("PageSize={items}"),
            _ => String::new(),
        }
    }
}

/// A domain or an e-mail address in one account and region.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) verified: bool,
    /// What holds.
    pub(crate) state: MailFromView,
    pub(crate) window: Option<Window>,
    /// What reads still show, and until when.
    pub(crate) stale: Option<(SimTime, MailFromView)>,
    /// Tells checks scheduled for an earlier setup from those of this one.
    pub(crate) epoch: u64,
    /// What the last look for the MX found.
    pub(crate) finding: Option<String>,
}

impl Identity {
    pub(crate) fn new(verified: bool) -> Self {
        Self {
            verified,
            state: MailFromView::default(),
            window: None,
            stale: None,
            epoch: 0,
            finding: None,
        }
    }

    /// What a read shows at that time.
    fn read(&self, now: SimTime) -> &MailFromView {
        match &self.stale {
            Some((until, old)) if now < *until => old,
            _ => &self.state,
        }
    }
}

/// The MAIL FROM setting of an identity as SES tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailFromView {
    /// The MAIL FROM domain and its status; none where it is not set.
    pub domain: Option<(String, MailFromStatus)>,
    /// What happens to mail when the MX cannot be seen.
    pub behavior: Behavior,
}

impl Default for MailFromView {
    fn default() -> Self {
        Self { domain: None, behavior: Behavior::UseDefaultValue }
    }
}

/// Behaviour on MX failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Behavior {
    /// Mail goes out with a subdomain of amazonses.com.
    UseDefaultValue,
    /// Mail is refused.
    RejectMessage,
}

impl Behavior {
    /// As SES v2 says it.
    pub fn v2(self) -> &'static str {
        match self {
            Self::UseDefaultValue => "USE_DEFAULT_VALUE",
            Self::RejectMessage => "REJECT_MESSAGE",
        }
    }

    /// As SES v1 says it.
    pub fn v1(self) -> &'static str {
        match self {
            Self::UseDefaultValue => "UseDefaultValue",
            Self::RejectMessage => "RejectMessage",
        }
    }
}

/// While SES is looking: since when, and how long it waits between looks.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) since: SimTime,
    pub(crate) interval: SimTime,
}

/// All identities.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ses {
    pub(crate) identities: BTreeMap<IdentityKey, Identity>,
}

impl Ses {
    /// The identities of one account and region, by name, from one on.
    fn from<'a>(
        &'a self,
        account: &'a str,
        region: &'a str,
        first: &str,
    ) -> impl Iterator<Item = (&'a IdentityKey, &'a Identity)> {
        self.identities
            .range(IdentityKey::new(account, region, first)..)
            .take_while(move |(key, _)| key.account == account && key.region == region)
    }
}

/// Carries out a request.
pub(crate) fn run(
    world: &mut World,
    account: &str,
    region: &str,
    input: &Input,
) -> Result<Success, ApiError> {
    match input {
        Input::GetEmailIdentity(identity) => {
            v2::get(world, &IdentityKey::new(account, region, identity))
        }
        Input::Put(request) => {
            put(world, &IdentityKey::new(account, region, &request.identity), request)?;
            Ok(Success("{}".to_owned()))
        }
        Input::ListEmailIdentities { items, token } => {
            Ok(v2::list(&world.ses, account, region, *items, token.as_deref().unwrap_or_default()))
        }
        Input::MailFromAttributes(identities) => {
            Ok(v1::mail_from(world, account, region, identities))
        }
        Input::VerificationAttributes(identities) => {
            Ok(v1::verification(world, account, region, identities))
        }
    }
}
