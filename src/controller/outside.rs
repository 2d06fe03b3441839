//! What a reconcile asks of and tells the world outside Kubernetes.

use std::collections::BTreeMap;
use std::future::Future;

use jiff::Timestamp;

use crate::authority::{Grant, ObjectKey, Sight};
use crate::mail::{BehaviorOnMxFailure, ChangeBatch, MailFromDomain, Region};
use crate::plan::{Answer, Fault, Question, Upkeep};

/// AWS and DNS. Nothing here waits for quota: what is not there now is *not
/// yet*, and the object is woken when it is.
///
/// A permit is asked for before the write-ahead of what it permits, so that
/// status never names the time of a write that then waits. Dropped, it goes back.
pub trait Outside: Send + Sync + 'static {
    /// Leave of the quota to submit one change batch.
    type ChangePermit: Send;
    /// Leave of the quota to make one put.
    type PutPermit: Send;

    /// Answers at once. An answer sent before `not_before` does not count.
    fn ask(&self, sight: Sight, question: &Question, not_before: Timestamp) -> Answer;

    /// When a question was last answered well, whatever the age of that.
    fn last_read(&self, sight: &Sight, question: &Question) -> Option<Timestamp>;

    /// Keeps the answers up from now on, each at its pace, and wakes the object
    /// when one differs from what it knows. What it watched before, it does no
    /// longer. Returns when the first of those that are not kept up grows old.
    fn watch(&self, sight: Sight, watch: &BTreeMap<Question, Upkeep>) -> Option<Timestamp>;

    /// The object is gone, or watches nothing.
    fn forget(&self, object: &ObjectKey);

    /// A permit for [`Outside::change_records`], or `None`: not yet.
    fn change_permit(&self, grant: &Grant, batch: &ChangeBatch) -> Option<Self::ChangePermit>;

    /// A permit for [`Outside::put_mail_from`], or `None`: not yet.
    fn put_permit(&self, grant: &Grant, region: &Region) -> Option<Self::PutPermit>;

    /// Submits a change batch. Yields the id of the change.
    fn change_records(
        &self,
        permit: Self::ChangePermit,
        grant: Grant,
        batch: &ChangeBatch,
    ) -> impl Future<Output = Result<String, Fault>> + Send;

    /// Sets or clears (`None`) the MAIL FROM domain of the grant's identity.
    fn put_mail_from(
        &self,
        permit: Self::PutPermit,
        grant: Grant,
        region: &Region,
        mail_from: Option<&MailFromDomain>,
        behavior: BehaviorOnMxFailure,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}
