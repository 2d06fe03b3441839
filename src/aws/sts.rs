//! STS: whose credentials these are.

use super::Error;
use super::access::{Ask, LaneKey, Reader};
use super::call::{Operation, Target};
use super::memo::Memo;
use super::memos::Memos;
use crate::authority::Credentials;

/// The account of credentials.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Account(pub(super) Credentials);

impl Ask for Account {
    type Value = String;

    fn memo(memos: &Memos) -> &Memo<Self, String> {
        &memos.account
    }

    async fn read(&self, reader: &Reader) -> Result<String, Error> {
        let target = Target::global(Operation::GetCallerIdentity, "the operator's credentials");
        let client = &reader.access.clients.sts;
        let send = || client.get_caller_identity().send();
        let answer = reader.call(LaneKey::Sts, &target, send).await?;
        answer.account.ok_or_else(|| Error::incomplete(&target, "the account"))
    }
}
