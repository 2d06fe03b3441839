//! Who calls: one set of credentials, its clients, and the account it is of.

use std::collections::HashMap;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::{SignedDuration, Timestamp};

use super::access::{Access, LaneKey};
use super::call::Target;
use super::clients::Clients;
use super::session::Session;
use super::{Error, lock};
use crate::authority::Credentials;

/// A caller of whom nothing was asked for so long is forgotten, session and all.
const IDLE: SignedDuration = SignedDuration::from_hours(2);

/// Who pays a call with its quota.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Payer {
    /// An account, whichever credentials call.
    Account(String),
    /// The operator's own, before STS has said whose that is.
    Unknown,
}

/// One set of credentials.
#[derive(Debug)]
pub(super) struct Caller {
    credentials: Credentials,
    clients: Arc<Clients>,
    /// Where a role has to be assumed first.
    session: Option<Session>,
    /// As STS reported it last.
    account: Mutex<Option<String>>,
}

impl Caller {
    fn new(credentials: &Credentials, ambient: &Arc<Clients>, owner_id: &str) -> Self {
        let (clients, session) = match credentials {
            Credentials::Ambient => (None, None),
            Credentials::Role(role) => {
                let (arn, namespace) = (&role.arn, &role.namespace);
                let session = Session::new(arn, namespace, owner_id, Arc::clone(ambient));
                let provider = SharedCredentialsProvider::new(session.provider());
                let clients = ambient.with_credentials(provider, arn.partition());
                (Some(Arc::new(clients)), Some(session))
            }
        };
        Self {
            credentials: credentials.clone(),
            clients: clients.unwrap_or_else(|| Arc::clone(ambient)),
            session,
            account: Mutex::default(),
        }
    }

    /// The clients, once there is a session to call with.
    ///
    /// # Errors
    /// Why the role cannot be assumed.
    pub(super) async fn clients(&self, access: &Arc<Access>) -> Result<&Clients, Error> {
        if let Some(session) = &self.session {
            session.ready(access).await?;
        }
        Ok(&self.clients)
    }

    /// Makes a call, whose token is taken already. The error names who was
    /// refused, and a session that AWS does not take any more is renewed.
    ///
    /// Boxed where it is made: the SDK's futures take some ten thousand bytes, and whoever
    /// may make one would hold the place for it all the while.
    pub(super) async fn transmit<T, E>(
        &self,
        access: &Access,
        key: &LaneKey,
        target: &Target,
        call: Pin<Box<impl Future<Output = Result<T, SdkError<E, HttpResponse>>>>>,
    ) -> Result<T, Error>
    where
        E: StdError + ProvideErrorMetadata + 'static,
    {
        let used = self.session.as_ref().map(Session::id);
        let result = access.transmit(key, target, call).await;
        result.map_err(|error| {
            let error = error.met_by(&self.credentials);
            let ended = self.session.as_ref().zip(used).filter(|_| error.ends_session());
            if let Some((session, used)) = ended {
                session.refused(&used, access);
            }
            error
        })
    }

    /// Whose quota a call draws from. A role lies in the account that its ARN
    /// names, which STS can only repeat.
    pub(super) fn payer(&self) -> Payer {
        match (&self.credentials, &*lock(&self.account)) {
            (Credentials::Role(role), _) => Payer::Account(role.arn.account().to_owned()),
            (Credentials::Ambient, Some(account)) => Payer::Account(account.clone()),
            (Credentials::Ambient, None) => Payer::Unknown,
        }
    }

    /// STS has reported the account.
    pub(super) fn is_of(&self, account: &str) {
        *lock(&self.account) = Some(account.to_owned());
    }

    /// Whether STS has reported an account since this process started.
    pub(super) fn is_known(&self) -> bool {
        lock(&self.account).is_some()
    }
}

/// Every caller there is.
#[derive(Debug)]
pub(super) struct Callers {
    ambient: Arc<Clients>,
    /// Named by external ids and session tags.
    owner_id: String,
    /// With the time of its last use.
    known: Mutex<HashMap<Credentials, (Arc<Caller>, Timestamp)>>,
}

impl Callers {
    pub(super) fn new(ambient: Clients, owner_id: &str) -> Self {
        let (ambient, owner_id) = (Arc::new(ambient), owner_id.to_owned());
        Self { ambient, owner_id, known: Mutex::default() }
    }

    /// The caller with these credentials, as of `now`.
    pub(super) fn of(&self, credentials: &Credentials, now: Timestamp) -> Arc<Caller> {
        let mut known = lock(&self.known);
        if let Some((caller, used)) = known.get_mut(credentials) {
            *used = now;
            return Arc::clone(caller);
        }
        known.retain(|_, (_, used)| now.duration_since(*used) < IDLE);
        let caller = Arc::new(Caller::new(credentials, &self.ambient, &self.owner_id));
        known.insert(credentials.clone(), (Arc::clone(&caller), now));
        caller
    }
}
