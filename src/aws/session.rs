//! A session of a role, on behalf of one namespace: had before the first call,
//! renewed before it ends.
//!
//! The SDK has a provider and a cache for this. They are not used, because
//! the cache asks STS within the call that needs the session, when its quota
//! is spent already; because it asks again with each call that a refused role
//! is tried with; and because it gives up a session that still holds when STS
//! is in trouble while it is being renewed.

use std::sync::{Arc, Mutex};

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_sdk_sts::error::BuildError;
use aws_sdk_sts::types::Tag;
use jiff::{SignedDuration, Timestamp};
use sha2::{Digest as _, Sha256};

use super::access::{Access, LaneKey};
use super::call::{Operation, Target};
use super::clients::Clients;
use super::memo::Failures;
use super::{Error, lock};
use crate::mail::{CLUSTER_TAG, NAMESPACE_TAG, RoleArn};

/// What a session lasts where nothing else is asked for (STS API, `AssumeRole`).
const LASTS: SignedDuration = SignedDuration::from_hours(1);

/// No session is renewed more often than this, whatever the clocks say.
const AT_LEAST: SignedDuration = SignedDuration::from_secs(1);

/// The most characters of a session's name (STS API, `RoleSessionName`).
const NAME_MAX: usize = 64;

/// A role that is assumed on behalf of a namespace.
#[derive(Debug)]
pub(super) struct Session {
    role: RoleArn,
    namespace: String,
    owner_id: String,
    /// Only the operator's own credentials assume roles.
    ambient: Arc<Clients>,
    held: Held,
    failures: Mutex<Failures>,
    /// Had by the one that asks STS.
    asking: tokio::sync::Mutex<()>,
}

/// What is held of it; shared with the clients that sign with it.
#[derive(Clone, Debug, Default)]
pub(super) struct Held(Arc<Mutex<Option<Holding>>>);

#[derive(Clone, Debug)]
struct Holding {
    credentials: Credentials,
    begun: Timestamp,
    renew_at: Timestamp,
    ends: Timestamp,
}

/// Which session a call was made with.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct SessionId(Option<String>);

impl ProvideCredentials for Held {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let held = lock(&self.0).as_ref().map(|holding| holding.credentials.clone());
        let none = || CredentialsError::not_loaded("the session was dropped");
        future::ProvideCredentials::ready(held.ok_or_else(none))
    }
}

/// What a look at the session shows.
enum Look {
    Fresh,
    /// Still good, but due to be renewed.
    Due,
    Over,
}

impl Session {
    pub(super) fn new(
        role: &RoleArn,
        namespace: &str,
        owner_id: &str,
        ambient: Arc<Clients>,
    ) -> Self {
        Self {
            role: role.clone(),
            namespace: namespace.to_owned(),
            owner_id: owner_id.to_owned(),
            ambient,
            held: Held::default(),
            failures: Mutex::default(),
            asking: tokio::sync::Mutex::default(),
        }
    }

    pub(super) fn provider(&self) -> Held {
        self.held.clone()
    }

    /// Sees to it that there is a session to call with. One at a time asks STS,
    /// and after a failure nobody does for a while; a session that still holds
    /// is used meanwhile.
    ///
    /// # Errors
    /// Why the role cannot be assumed.
    pub(super) async fn ready(&self, access: &Arc<Access>) -> Result<(), Error> {
        let _asking = match self.look(access.clock.now()) {
            Look::Fresh => return Ok(()),
            Look::Due => match self.asking.try_lock() {
                Ok(asking) => asking,
                Err(_) => return Ok(()),
            },
            Look::Over => self.asking.lock().await,
        };
        let now = access.clock.now();
        if let Look::Fresh = self.look(now) {
            return Ok(());
        }
        let failed = lock(&self.failures).error_at(now);
        let outcome = match failed {
            Some(error) => Err(error),
            None => self.assume(access).await,
        };
        match self.look(access.clock.now()) {
            Look::Over => outcome,
            Look::Fresh | Look::Due => Ok(()),
        }
    }

    /// Which session a call that is sent now is made with.
    pub(super) fn id(&self) -> SessionId {
        let held = lock(&self.held.0);
        SessionId(held.as_ref().map(|holding| holding.credentials.access_key_id().to_owned()))
    }

    /// AWS does not take a session any more, whatever it said when it would end.
    /// Calls that were on their way with it say so one after another, and must
    /// not cost the one that has taken its place.
    pub(super) fn refused(&self, id: &SessionId, access: &Access) {
        if self.id() == *id {
            let grown = |holding: &mut Holding| {
                access.clock.now() >= holding.begun + access.settings.retry_min
            };
            lock(&self.held.0).take_if(grown);
        }
    }

    fn look(&self, now: Timestamp) -> Look {
        match &*lock(&self.held.0) {
            Some(holding) if now < holding.renew_at => Look::Fresh,
            Some(holding) if now < holding.ends => Look::Due,
            _ => Look::Over,
        }
    }

    async fn assume(&self, access: &Arc<Access>) -> Result<(), Error> {
        let obtained = self.obtain(access).await;
        let now = access.clock.now();
        let mut failures = lock(&self.failures);
        match obtained {
            Ok(holding) => {
                *lock(&self.held.0) = Some(holding);
                failures.forget();
                Ok(())
            }
            Err(error) => {
                let retry = access.settings.backoff();
                failures.note(error.clone(), retry, &(&self.role, &self.namespace), now);
                Err(error)
            }
        }
    }

    async fn obtain(&self, access: &Arc<Access>) -> Result<Holding, Error> {
        let target = Target::global(Operation::AssumeRole, &self.role);
        let tags = self.tags().map_err(|_| Error::refused(&target, "a tag lacks a part"))?;
        access.turn(&LaneKey::Sts, &self.namespace, false).await;
        let sent = access.clock.now();
        let call = self.ambient.sts.assume_role();
        let call = call
            .role_arn(self.role.as_str())
            .role_session_name(session_name(&self.namespace))
            .external_id(self.external_id())
            .set_tags(Some(tags));
        let answer = access.transmit(&LaneKey::Sts, &target, Box::pin(call.send())).await;
        let answer = answer.map_err(|error| error.of_role(&self.external_id()))?;
        let given = answer.credentials.ok_or_else(|| Error::incomplete(&target, "credentials"))?;
        let says = Timestamp::from_second(given.expiration.secs()).unwrap_or(sent + LASTS);
        let ends = says.min(sent + LASTS);
        let credentials = Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            None,
            "AssumeRole",
        );
        Ok(Holding { credentials, begun: sent, renew_at: self.renewal(sent, ends), ends })
    }

    /// Between eight and nine tenths of its time, for each session at another
    /// moment, so that those of one start do not come back together.
    fn renewal(&self, begun: Timestamp, ends: Timestamp) -> Timestamp {
        let lasts = ends.duration_since(begun).max(AT_LEAST);
        let digest = Sha256::digest(format!("{} {}", self.role, self.namespace));
        let share = i32::from(digest[0]);
        begun + (lasts * (8 * 256 + share) / (10 * 256)).max(AT_LEAST)
    }

    /// Which cluster's operator asks, and for which namespace: without it in the
    /// trust policy, any namespace could name any role that trusts the operator.
    fn external_id(&self) -> String {
        format!("{}/{}", self.owner_id, self.namespace)
    }

    fn tags(&self) -> Result<Vec<Tag>, BuildError> {
        let tag = |key, value: &str| Tag::builder().key(key).value(value).build();
        Ok(vec![tag(CLUSTER_TAG, &self.owner_id)?, tag(NAMESPACE_TAG, &self.namespace)?])
    }
}

/// What CloudTrail shows: operator and namespace. A namespace too long for it
/// is cut, and told from others by a digest.
fn session_name(namespace: &str) -> String {
    let whole = format!("ses-mailfrom@{namespace}");
    if whole.len() <= NAME_MAX {
        return whole;
    }
    let digest = Sha256::digest(namespace);
    let digest =
        format!("{:08x}", u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]));
    let cut: String = whole.chars().take(NAME_MAX - 1 - digest.len()).collect();
    format!("{cut}-{digest}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aws_config::{BehaviorVersion, SdkConfig};
    use std::time::Duration;

    use super::super::Clearance;
    use super::*;

    fn session(namespace: &str) -> Session {
        let sdk = SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build();
        let clients = Arc::new(Clients::new(&sdk, Duration::from_secs(1), Clearance::default()));
        let role = RoleArn::parse("arn:aws:iam::123456789012:role/dns").unwrap();
        Session::new(&role, namespace, "owner", clients)
    }

    #[test]
    fn a_name_tells_the_namespace_and_fits_however_long_it_is() {
        assert_eq!(session_name("mail"), "ses-mailfrom@mail");
        let longest = "n".repeat(51);
        assert_eq!(session_name(&longest), format!("ses-mailfrom@{longest}"));
        let (one, other) = (session_name(&"n".repeat(62)), session_name(&"n".repeat(63)));
        assert_eq!((one.len(), other.len()), (NAME_MAX, NAME_MAX));
        assert_ne!(one, other);
    }

    #[test]
    fn an_hour_is_renewed_early_and_not_by_all_at_once() {
        let begun = Timestamp::UNIX_EPOCH;
        let at = |namespace: &str| {
            session(namespace).renewal(begun, begun + LASTS).duration_since(begun).as_secs()
        };
        let moments: Vec<i64> = (0..20).map(|n| at(&format!("team-{n}"))).collect();
        assert!(moments.iter().all(|at| (2880..3240).contains(at)), "{moments:?}");
        let mut distinct = moments.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert!(distinct.len() > 10, "{moments:?}");
    }

    #[test]
    fn a_clock_that_is_ahead_of_aws_does_not_renew_without_pause() {
        let begun = Timestamp::UNIX_EPOCH + LASTS * 2;
        assert!(session("mail").renewal(begun, begun - LASTS) >= begun + AT_LEAST);
    }
}
