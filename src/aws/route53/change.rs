//! Changing record sets by compare-and-swap, and following a change.

use std::collections::HashSet;
use std::sync::Arc;

use aws_sdk_route53::error::BuildError;
use aws_sdk_route53::types as sdk;

use super::super::access::{Access, Ask, LaneKey, Reader};
use super::super::call::{Operation, Target};
use super::super::clients::Clients;
use super::super::memo::{Asked, Memo};
use super::super::memos::Memos;
use super::super::permit::ChangePermit;
use super::super::{Error, ErrorKind};
use crate::authority::{Grant, Place};
use crate::mail::{Change, ChangeBatch, ChangeState, DomainName, HostedZoneId, RecordSet, Routing};

/// Where a change is, by its bare id.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(in super::super) struct ChangeOf(pub(in super::super) String);

impl Ask for ChangeOf {
    type Value = ChangeState;

    fn memo(memos: &Memos) -> &Memo<Asked<Self>, ChangeState> {
        &memos.changes
    }

    async fn read(&self, reader: &Reader) -> Result<ChangeState, Error> {
        let target = Target::global(Operation::GetChange, format_args!("change {}", self.0));
        let send = |clients: &Clients| clients.route53.get_change().id(&self.0).send();
        match reader.call(LaneKey::Route53, &target, send).await {
            Ok(answer) => match answer.change_info.map(|info| info.status) {
                Some(sdk::ChangeStatus::Insync) => Ok(ChangeState::Insync),
                Some(_) => Ok(ChangeState::Pending),
                None => Err(Error::incomplete(&target, "the change")),
            },
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(ChangeState::Gone),
            Err(error) => Err(error),
        }
    }
}

/// Whatever becomes of a change, answers asked before its end do not count.
struct Changing<'a> {
    access: &'a Access,
    zone: &'a HostedZoneId,
    name: &'a DomainName,
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.access.changed(self.zone, &HashSet::from([self.name.clone()]));
    }
}

/// Submits one batch; returns the bare id of the change.
pub(in super::super) async fn change_records(
    access: &Arc<Access>,
    mut permit: ChangePermit,
    grant: Grant,
    batch: &ChangeBatch,
) -> Result<String, Error> {
    let zone = &batch.zone;
    let Place::Name(name) = grant.place() else {
        let target = Target::global(Operation::ChangeResourceRecordSets, zone);
        return Err(Error::refused(&target, "the grant is not for a name"));
    };
    let name = name.name();
    let thing = format_args!("{name} in hosted zone {zone}").to_string();
    let target = Target::global(Operation::ChangeResourceRecordSets, thing);
    let elsewhere = batch.changes.iter().any(|change| record(change).name != *name);
    if elsewhere || *permit.zone() != *zone {
        return Err(Error::refused(&target, "neither grant nor permit is for this change"));
    }
    let plain = |change: &Change| record(change).routing == Routing::Simple;
    if batch.changes.is_empty() || !batch.changes.iter().all(plain) {
        return Err(Error::refused(&target, "only plain record sets can be changed"));
    }
    if !grant.stands() {
        return Err(Error::revoked(&target));
    }
    let body = sdk_batch(batch).map_err(|_| Error::refused(&target, "the batch lacks a part"))?;
    let caller = access.caller(grant.credentials());
    let client = &caller.clients(access).await?.route53;
    if !grant.stands() {
        return Err(Error::revoked(&target));
    }
    let call =
        client.change_resource_record_sets().hosted_zone_id(zone.as_str()).change_batch(body);
    permit.spend();
    let before = access.zone(grant.credentials(), zone).known(name);
    let changing = Changing { access, zone, name };
    let lane = LaneKey::Route53(caller.payer());
    let answer = caller.transmit(access, &lane, &target, call.send()).await;
    if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        access.zone_book.forget(zone);
    }
    let answer = answer?;
    drop(changing);
    // Made, it proves what it was computed from.
    let after = before.and_then(|(sent, view)| Some((sent, view.after(&batch.changes)?)));
    if let Some(known) = after {
        access.record(zone, name, known);
    }
    let info = answer.change_info.ok_or_else(|| Error::incomplete(&target, "the change"))?;
    Ok(info.id.strip_prefix("/change/").unwrap_or(&info.id).to_owned())
}

fn record(change: &Change) -> &RecordSet {
    match change {
        Change::Create(set) | Change::Delete(set) => set,
    }
}

fn sdk_batch(batch: &ChangeBatch) -> Result<sdk::ChangeBatch, BuildError> {
    let changes = batch.changes.iter().map(sdk_change).collect::<Result<_, _>>()?;
    sdk::ChangeBatch::builder().comment(&batch.comment).set_changes(Some(changes)).build()
}

fn sdk_change(change: &Change) -> Result<sdk::Change, BuildError> {
    let action = match change {
        Change::Create(_) => sdk::ChangeAction::Create,
        Change::Delete(_) => sdk::ChangeAction::Delete,
    };
    let set = record(change);
    let value = |value: &String| sdk::ResourceRecord::builder().value(value).build();
    let values = set.values.iter().map(value).collect::<Result<_, _>>()?;
    let set = sdk::ResourceRecordSet::builder()
        .name(set.name.as_str())
        .r#type(set.rtype.as_str().into())
        .ttl(i64::from(set.ttl))
        .set_resource_records(Some(values))
        .build()?;
    sdk::Change::builder().action(action).resource_record_set(set).build()
}
