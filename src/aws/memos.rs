//! One memory of answers for each kind of question that is asked by itself.

use super::Settings;
use super::memo::{Asked, Memo};
use super::route53::ChangeOf;
use super::sts::Account;
use crate::mail::ChangeState;

/// All answers.
#[derive(Debug)]
pub(super) struct Memos {
    pub(super) account: Memo<Asked<Account>, String>,
    pub(super) changes: Memo<Asked<ChangeOf>, ChangeState>,
}

impl Memos {
    pub(super) fn new(settings: &Settings) -> Self {
        let retry = settings.backoff();
        Self { account: Memo::new(retry), changes: Memo::new(retry) }
    }
}
