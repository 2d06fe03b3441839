//! STS: whose credentials these are.

use super::Error;
use super::access::{Ask, LaneKey, Reader};
use super::call::{Operation, Target};
use super::clients::Clients;
use super::memo::{Asked, Memo};
use super::memos::Memos;

/// The account of the credentials that it is asked with.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Account;

impl Ask for Account {
    type Value = String;

    fn memo(memos: &Memos) -> &Memo<Asked<Self>, String> {
        &memos.account
    }

    async fn read(&self, reader: &Reader) -> Result<String, Error> {
        let target = Target::global(Operation::GetCallerIdentity, reader.credentials());
        let send = |clients: &Clients| clients.sts.get_caller_identity().send();
        let answer = reader.call(|_| LaneKey::Sts, &target, send).await?;
        let account = answer.account.ok_or_else(|| Error::incomplete(&target, "the account"))?;
        reader.is_of(&account);
        Ok(account)
    }
}
