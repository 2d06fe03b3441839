//! A change as Route 53 is told of it, and where it is afterwards.

use aws_sdk_route53::error::BuildError;
use aws_sdk_route53::types as sdk;

use super::super::access::{Ask, LaneKey, Reader};
use super::super::call::{Operation, Target};
use super::super::clients::Clients;
use super::super::memo::{Asked, Memo};
use super::super::memos::Memos;
use super::super::{Error, ErrorKind};
use crate::mail::{Change, ChangeState};

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

/// What goes into one request.
///
/// # Errors
/// A change lacks a part that Route 53 wants.
pub(super) fn sdk_batch<'a>(
    comment: &str,
    changes: impl IntoIterator<Item = &'a Change>,
) -> Result<sdk::ChangeBatch, BuildError> {
    let changes = changes.into_iter().map(sdk_change).collect::<Result<_, _>>()?;
    sdk::ChangeBatch::builder().comment(comment).set_changes(Some(changes)).build()
}

fn sdk_change(change: &Change) -> Result<sdk::Change, BuildError> {
    let action = match change {
        Change::Create(_) => sdk::ChangeAction::Create,
        Change::Delete(_) => sdk::ChangeAction::Delete,
    };
    let set = change.record();
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
