//! SES: identities read one by one, and the MAIL FROM setting.

use std::sync::Arc;

use aws_sdk_sesv2::types as sdk;

use super::access::{Access, Ask, LaneKey, Reader};
use super::call::{Operation, Target};
use super::clients::Clients;
use super::memo::{Asked, Memo};
use super::memos::Memos;
use super::permit::PutPermit;
use super::{Error, ErrorKind};
use crate::authority::{Grant, Place};
use crate::mail::{
    BehaviorOnMxFailure, DomainName, Identity, MailFrom, MailFromDomain, MailFromStatus, Region,
};

/// What SES says of an identity in a region.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct IdentityIn {
    pub(super) identity: DomainName,
    pub(super) region: Region,
}

impl Ask for IdentityIn {
    type Value = Option<Identity>;

    fn memo(memos: &Memos) -> &Memo<Asked<Self>, Self::Value> {
        &memos.identities
    }

    async fn read(&self, reader: &Reader) -> Result<Self::Value, Error> {
        let Self { identity, region } = self;
        let operation = Operation::GetEmailIdentity;
        let target = Target::regional(operation, region, identity);
        let send = |clients: &Clients| {
            let client = clients.ses(region);
            client.get_email_identity().email_identity(identity.as_str()).send()
        };
        let lane = |payer| LaneKey::Ses(payer, operation, region.clone());
        match reader.call(lane, &target, send).await {
            Ok(answer) => Ok(Some(Identity {
                verified: answer.verified_for_sending_status,
                mail_from: answer.mail_from_attributes.as_ref().and_then(mail_from),
            })),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The setting, if one is made: unset, the SDK shows an empty domain.
fn mail_from(attributes: &sdk::MailFromAttributes) -> Option<MailFrom> {
    let domain = attributes.mail_from_domain.trim_end_matches('.').to_ascii_lowercase();
    (!domain.is_empty()).then(|| MailFrom {
        domain,
        status: status(&attributes.mail_from_domain_status),
        behavior: behavior(&attributes.behavior_on_mx_failure),
    })
}

fn status(status: &sdk::MailFromDomainStatus) -> MailFromStatus {
    match status {
        sdk::MailFromDomainStatus::Pending => MailFromStatus::Pending,
        sdk::MailFromDomainStatus::Success => MailFromStatus::Success,
        sdk::MailFromDomainStatus::TemporaryFailure => MailFromStatus::TemporaryFailure,
        sdk::MailFromDomainStatus::Failed => MailFromStatus::Failed,
        _ => MailFromStatus::NotStarted,
    }
}

fn behavior(behavior: &sdk::BehaviorOnMxFailure) -> BehaviorOnMxFailure {
    match behavior {
        sdk::BehaviorOnMxFailure::RejectMessage => BehaviorOnMxFailure::RejectMessage,
        _ => BehaviorOnMxFailure::UseDefaultValue,
    }
}

fn sdk_behavior(behavior: BehaviorOnMxFailure) -> sdk::BehaviorOnMxFailure {
    match behavior {
        BehaviorOnMxFailure::RejectMessage => sdk::BehaviorOnMxFailure::RejectMessage,
        BehaviorOnMxFailure::UseDefaultValue => sdk::BehaviorOnMxFailure::UseDefaultValue,
    }
}

/// Whatever becomes of a put, answers asked before its end do not count.
struct Putting<'a> {
    access: &'a Access,
    identity: &'a DomainName,
    region: &'a Region,
}

impl Drop for Putting<'_> {
    fn drop(&mut self) {
        self.access.memos.put(self.identity, self.region);
    }
}

/// Sets or clears the MAIL FROM domain; both members are always sent, because
/// SES does not document what an omitted one does.
pub(super) async fn put_mail_from(
    access: &Arc<Access>,
    mut permit: PutPermit,
    grant: Grant,
    region: &Region,
    mail_from: Option<&MailFromDomain>,
    behavior: BehaviorOnMxFailure,
) -> Result<(), Error> {
    let identity = grant.domain();
    let operation = Operation::PutEmailIdentityMailFromAttributes;
    let target = Target::regional(operation, region, identity);
    if *grant.place() != Place::Region(region.clone()) || *permit.region() != *region {
        return Err(Error::refused(&target, "neither grant nor permit is for this region"));
    }
    if mail_from.is_some_and(|name| !name.name().is_below(identity)) {
        return Err(Error::refused(&target, "the MAIL FROM domain is not below the identity"));
    }
    if !grant.stands() {
        return Err(Error::revoked(&target));
    }
    let caller = access.caller(grant.credentials());
    let client = caller.clients(access).await?.ses(region);
    if !grant.stands() {
        return Err(Error::revoked(&target));
    }
    let call = client
        .put_email_identity_mail_from_attributes()
        .email_identity(identity.as_str())
        .mail_from_domain(mail_from.map_or("", MailFromDomain::as_str))
        .behavior_on_mx_failure(sdk_behavior(behavior));
    permit.spend();
    let _putting = Putting { access, identity, region };
    let key = LaneKey::Ses(caller.payer(), operation, region.clone());
    caller.transmit(access, &key, &target, call.send()).await.map(|_| ())
}
