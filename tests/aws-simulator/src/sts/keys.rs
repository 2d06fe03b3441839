//! Access keys: of users, for ever, and of sessions of roles, until they expire.

use std::{collections::BTreeMap, time::Duration};

use crate::api::{ApiError, Protocol};

/// Every access key that was given out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Keys(BTreeMap<String, Key>);

/// Whom an access key belongs to.
#[derive(Clone, Debug)]
struct Key {
    account: String,
    /// `arn:aws:iam::…:user/…` or `arn:aws:sts::…:assumed-role/…`.
    arn: String,
    session: Option<Session>,
}

/// What a key of a session carries beside its owner.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The role's ARN.
    pub(super) role: String,
    /// `AROA…:<session name>`.
    pub(super) user_id: String,
    /// Must come with every request.
    pub(super) token: String,
    /// On the wall.
    pub(super) ends: Duration,
}

/// Who calls STS, as a trust policy names principals.
pub(crate) struct Caller<'a> {
    pub(super) account: &'a str,
    pub(super) arn: &'a str,
    pub(super) role: Option<&'a str>,
}

impl Caller<'_> {
    /// Whether a principal of a trust policy means this caller.
    pub(crate) fn is(&self, principal: &str) -> bool {
        let root = principal.strip_suffix(":root").and_then(|arn| arn.split(':').nth(4));
        let account = root.unwrap_or(principal);
        account == self.account || principal == self.arn || self.role == Some(principal)
    }
}

impl Keys {
    /// A user's key, which needs no token and does not expire.
    pub(crate) fn add_user(&mut self, access_key: &str, account: &str) {
        let (account, arn) = (account.to_owned(), format!("arn:aws:iam::{account}:user/simulated"));
        self.0.insert(access_key.to_owned(), Key { account, arn, session: None });
    }

    /// A session's key.
    pub(super) fn add_session(
        &mut self,
        access_key: &str,
        account: &str,
        arn: &str,
        session: Session,
    ) {
        let (account, arn) = (account.to_owned(), arn.to_owned());
        self.0.insert(access_key.to_owned(), Key { account, arn, session: Some(session) });
    }

    /// Ends every session at `now`, as if its time had come.
    pub(crate) fn end_sessions(&mut self, now: Duration) {
        let sessions = self.0.values_mut().filter_map(|key| key.session.as_mut());
        sessions.for_each(|session| session.ends = session.ends.min(now));
    }

    /// Forgets the sessions of a role that is no more.
    pub(crate) fn forget_role(&mut self, role: &str) {
        let of_role = |key: &Key| key.session.as_ref().is_some_and(|session| session.role == role);
        self.0.retain(|_, key| !of_role(key));
    }

    /// The account of a key, whether or not the key is good any more.
    pub(crate) fn account(&self, access_key: &str) -> Option<&str> {
        self.0.get(access_key).map(|key| key.account.as_str())
    }

    /// The ARN of whom a key belongs to.
    pub(crate) fn arn(&self, access_key: &str) -> Option<&str> {
        self.0.get(access_key).map(|key| key.arn.as_str())
    }

    /// The role of a session's key.
    pub(crate) fn role(&self, access_key: &str) -> Option<&str> {
        self.0.get(access_key)?.session.as_ref().map(|session| session.role.as_str())
    }

    /// As `GetCallerIdentity` gives it.
    pub(crate) fn user_id<'a>(&'a self, access_key: &'a str) -> &'a str {
        let session = self.0.get(access_key).and_then(|key| key.session.as_ref());
        session.map_or(access_key, |session| session.user_id.as_str())
    }

    pub(super) fn caller<'a>(&'a self, access_key: &str) -> Option<Caller<'a>> {
        let Key { account, arn, session } = self.0.get(access_key)?;
        let role = session.as_ref().map(|session| session.role.as_str());
        Some(Caller { account, arn, role })
    }

    /// Why AWS does not take a key with that token at `now`, if it does not.
    pub(crate) fn refusal(
        &self,
        access_key: &str,
        token: Option<&str>,
        now: Duration,
        protocol: Protocol,
    ) -> Option<ApiError> {
        let Some(key) = self.0.get(access_key) else {
            return Some(ApiError::unknown_key(protocol));
        };
        let session = key.session.as_ref()?;
        if token != Some(session.token.as_str()) {
            Some(ApiError::unknown_key(protocol))
        } else if now >= session.ends {
            Some(ApiError::expired_token(protocol))
        } else {
            None
        }
    }
}
