//! SES: identities read a hundred at once, and the MAIL FROM setting.

mod calls;
mod group;
mod reader;

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sesv2::types as sdk;
use jiff::Timestamp;

pub(super) use group::{Group, Subject};

use super::access::{Access, LaneKey};
use super::call::{Operation, Target};
use super::permit::PutPermit;
use super::rank::Rank;
use super::watchers::Watcher;
use super::{Error, Reply};
use crate::authority::{Grant, Place, Sight};
use crate::mail::{
    BehaviorOnMxFailure, DomainName, MailFrom, MailFromDomain, Region, Verification,
};

/// The MAIL FROM setting of an identity.
pub(super) fn mail_from(
    access: &Arc<Access>,
    group: &Arc<Group>,
    identity: &DomainName,
    (sight, not_before): (Sight, Timestamp),
) -> Reply<Option<MailFrom>> {
    let now = access.clock.now();
    let rank = Rank::of(&sight);
    let mut state = group.lock();
    let reply = state.mail_from.look(identity, sight, not_before, now);
    if reply == Reply::NotYet {
        if rank == Rank::Urgent {
            state.mail_from.overtake(identity, not_before);
        }
        drop(state);
        reader::start(access, group, Subject::MailFrom);
    }
    reply
}

/// Whether an identity is there and verified.
pub(super) fn verification(
    access: &Arc<Access>,
    group: &Arc<Group>,
    identity: &DomainName,
    (sight, not_before): (Sight, Timestamp),
) -> Reply<Verification> {
    let now = access.clock.now();
    let rank = Rank::of(&sight);
    let mut state = group.lock();
    let reply = state.verification.look(identity, sight, not_before, now);
    if reply == Reply::NotYet {
        if rank == Rank::Urgent {
            state.verification.overtake(identity, not_before);
        }
        state.awaited(identity, rank);
        drop(state);
        reader::start(access, group, Subject::Verification);
    }
    reply
}

/// Keeps up what a watcher knows of an identity. Returns whether there is a
/// later answer than that.
pub(super) fn watch(
    access: &Arc<Access>,
    group: &Arc<Group>,
    subject: Subject,
    identity: &DomainName,
    (watcher, pace, known): (&Arc<Watcher>, Duration, Timestamp),
) -> bool {
    let later = {
        let mut state = group.lock();
        match subject {
            Subject::MailFrom => state.mail_from.watch(identity, watcher, pace, known),
            Subject::Verification => state.verification.watch(identity, watcher, pace, known),
        }
    };
    reader::start(access, group, subject);
    later
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
        self.access.put_ended(self.identity, self.region);
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
    let key = LaneKey::Ses(caller.payer(), operation, region.clone());
    let lane = access.lane(&key);
    let under_way = lane.leave().await;
    if !grant.stands() {
        under_way.unsent();
        return Err(Error::revoked(&target));
    }
    let call = client
        .put_email_identity_mail_from_attributes()
        .email_identity(identity.as_str())
        .mail_from_domain(mail_from.map_or("", MailFromDomain::as_str))
        .behavior_on_mx_failure(sdk_behavior(behavior));
    permit.spend();
    let _putting = Putting { access, identity, region };
    let sent = Box::pin(async {
        let answer = call.send().await;
        drop(under_way);
        answer
    });
    caller.transmit(access, &key, &target, sent).await.map(|_| ())
}
