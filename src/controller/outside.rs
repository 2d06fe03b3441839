//! What a reconcile asks of and tells the world outside Kubernetes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;

use crate::authority::{Grant, ObjectKey, Place, Sight};
use crate::aws::{Changed, Handed};
use crate::mail::{BehaviorOnMxFailure, ChangeBatch, DomainName, MailFromDomain, Region};
use crate::plan::{Answer, Fault, Question, Upkeep};

/// How the changes of an object ended.
#[derive(Debug, Default)]
pub struct Endings {
    /// By their places.
    pub ended: Vec<(Place, Result<Changed, Fault>)>,
    /// Whether another one is on its way: until it has ended nothing that was
    /// read at its name tells what stands there.
    pub on_its_way: bool,
}

/// AWS and DNS. Nothing here waits for quota: what is not there now is *not
/// yet*, and the object is woken when it is.
///
/// The permit of a put is asked for before its write-ahead, so that status never
/// names the time of a put that then waits. Dropped, it goes back. A change of
/// records is handed over instead, to be sent with those of other objects, and
/// the object is woken when it has ended.
pub trait Outside: Send + Sync + 'static {
    /// Leave of the quota to make one put.
    type PutPermit: Send;

    /// This process acts from now on; until now another may have.
    fn open(&self);

    /// Answers at once. An answer sent before `not_before` does not count.
    fn ask(&self, sight: Sight, question: &Question, not_before: Timestamp) -> Answer;

    /// When a question was last answered well, whatever the age of that.
    fn last_read(&self, sight: &Sight, question: &Question) -> Option<Timestamp>;

    /// Keeps the answers up from now on, each at its pace, and wakes the object
    /// when one differs from what it knows. What it watched before, it does no
    /// longer. Returns when the first of those that are not kept up grows old.
    fn watch(&self, sight: Sight, watch: &BTreeMap<Question, Upkeep>) -> Option<Timestamp>;

    /// The object may watch nothing.
    fn unwatch(&self, object: &ObjectKey);

    /// A permit for [`Outside::put_mail_from`], or `None`: not yet.
    fn put_permit(&self, grant: &Grant, region: &Region) -> Option<Self::PutPermit>;

    /// Whether there is such a permit: it is kept for the object, which comes for it
    /// soon. As with [`Outside::put_permit`] it waits for one where there is none.
    fn reserve_put_permit(&self, grant: &Grant, region: &Region) -> bool;

    /// Hands over the change of the records at the grant's name, in place of the
    /// one that was handed over before and is not sent yet.
    fn change_records(&self, grant: Grant, batch: &Arc<ChangeBatch>) -> Handed;

    /// Takes back what was handed over for an object, but what is for these
    /// names. `false` where some of it has left already: what was decided did
    /// not know how it ends, and the object is woken when it has.
    fn withdraw(&self, object: &ObjectKey, but: &BTreeSet<DomainName>) -> bool;

    /// How the changes that were handed over ended, each told once.
    fn endings(&self, object: &ObjectKey) -> Endings;

    /// The object is gone.
    fn forget(&self, object: &ObjectKey);

    /// Sends no more changes. Resolves when none is on its way.
    fn close(&self) -> impl Future<Output = ()> + Send;

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
