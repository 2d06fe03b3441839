//! What others do, behind the API: accounts, zones, identities and edits.

use std::net::Ipv4Addr;

use thiserror::Error;

use crate::{
    faults::{Fault, FaultId, Gate, GatePoint, Matching},
    log::{EventKind, IdentityKey, MailFromStatus, Sending},
    name::NameError,
    ses::{self, Behavior, Identity, MailFromView},
    sts::Role,
    world::World,
};

/// An edit that the world cannot take.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EditError {
    /// Not a domain name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// No zone of that id.
    #[error("there is no zone {0}")]
    NoZone(String),
    /// No such identity.
    #[error("there is no identity {0:?}")]
    NoIdentity(IdentityKey),
    /// Zones of the same name, or of one above or below it, take a delegation
    /// set each, and none is left.
    #[error("no delegation set is left for {0}: raise dns.delegation_sets")]
    NoDelegationSet(String),
}

impl World {
    /// Adds an account, reached with that access key.
    pub fn add_account(&mut self, account: &str, access_key: &str) {
        self.keys.add_user(access_key, account);
    }

    /// Adds a role, or changes it; its account stands in the ARN. Sessions that
    /// were given out go on.
    pub fn add_role(&mut self, arn: &str, role: Role) {
        self.add_role_entry(arn, role);
    }

    /// Removes a role. The keys of its sessions are unknown from then on.
    pub fn remove_role(&mut self, arn: &str) {
        self.remove_role_entry(arn);
        self.keys.forget_role(arn);
    }

    /// Ends every session of every role, as if its time had come.
    pub fn end_sessions(&mut self) {
        let now = self.wall().now();
        self.keys.end_sessions(now);
    }

    /// Has a name server, the parents' or the resolver not answer any more, or
    /// answer again.
    pub fn silence(&mut self, server: Ipv4Addr, silent: bool) {
        if silent {
            self.dns.silent.insert(server);
        } else {
            self.dns.silent.remove(&server);
        }
    }

    /// Has the resolvers forget everything.
    pub fn flush_resolvers(&mut self) {
        self.dns.public_cache.flush();
        self.dns.ses_cache.flush();
    }

    /// Adds an identity, or verifies it or takes its verification away.
    pub fn set_identity(&mut self, account: &str, region: &str, identity: &str, verified: bool) {
        let key = IdentityKey::new(account, region, identity);
        let from = ses::sending(self.ses.identities.get(&key));
        let entry =
            self.ses.identities.entry(key.clone()).or_insert_with(|| Identity::new(verified));
        entry.verified = verified;
        let to = ses::sending(Some(entry));
        self.record(EventKind::Identity { identity: key.clone(), verified: Some(verified) });
        self.note_sending(&key, from, to);
    }

    /// Removes an identity and its setting.
    pub fn delete_identity(&mut self, account: &str, region: &str, identity: &str) {
        let key = IdentityKey::new(account, region, identity);
        if let Some(gone) = self.ses.identities.remove(&key) {
            self.record(EventKind::Identity { identity: key.clone(), verified: None });
            self.note_sending(&key, ses::sending(Some(&gone)), Sending::NotVerified);
        }
    }

    /// Sets MAIL FROM as another client of SES would, by a put.
    pub fn put_mail_from(
        &mut self,
        account: &str,
        region: &str,
        identity: &str,
        domain: &str,
        behavior: Behavior,
    ) -> Result<(), EditError> {
        let key = IdentityKey::new(account, region, identity);
        let put = ses::Put {
            identity: identity.to_owned(),
            domain: Some(domain.to_owned()),
            behavior: Some(behavior.v2().to_owned()),
        };
        ses::put(self, &key, &put).map_err(|_| EditError::NoIdentity(key))
    }

    /// Sets a state directly, its window beginning now; no domain clears it.
    pub fn force_mail_from(
        &mut self,
        account: &str,
        region: &str,
        identity: &str,
        domain: Option<(&str, MailFromStatus)>,
        behavior: Behavior,
    ) -> Result<(), EditError> {
        let key = IdentityKey::new(account, region, identity);
        if !self.ses.identities.contains_key(&key) {
            return Err(EditError::NoIdentity(key));
        }
        let domain = domain.map(|(name, status)| (name.to_owned(), status));
        ses::force(self, &key, MailFromView { domain, behavior });
        Ok(())
    }

    /// Has SES look for the MX now, besides its schedule.
    pub fn check_mail_from(&mut self, account: &str, region: &str, identity: &str) {
        ses::take_look(self, &IdentityKey::new(account, region, identity));
    }

    /// Scripts a fault.
    pub fn add_fault(&mut self, fault: Fault) -> FaultId {
        self.script.add(fault)
    }

    /// Removes a scripted fault.
    pub fn remove_fault(&mut self, id: FaultId) {
        self.script.remove(id);
    }

    /// Removes all scripted faults; gates stay.
    pub fn clear_faults(&mut self) {
        self.script.clear();
    }

    /// Stops the `nth` matching call from now (0 is the next) at a gate. When
    /// several gates match one call, the rest wait for the calls after it.
    pub fn gate(&mut self, matching: Matching, point: GatePoint, nth: usize) -> Gate {
        self.script.gate(matching, point, nth)
    }
}
