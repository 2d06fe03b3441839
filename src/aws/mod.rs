//! SES, Route 53 and STS, as thin adapters. Queues and quota live here and
//! nowhere else, and nobody outside waits for them:
//!
//! - A **read** answers at once: what is known and fresh enough, or that the
//!   last try failed, or *not yet*. On *not yet* the question is queued, and the
//!   object is woken when its answer is there.
//! - A **put** needs a permit, which is there now or not yet; again the object
//!   is woken. Between asking and having it, the object may be planned anew, and
//!   a permit that is not needed any more goes back by being dropped.
//! - A **change** of records is handed over to the writer of its zone, which sends
//!   those of many objects together. The object is woken when it has ended; until
//!   it is sent it can be taken back.
//!
//! Every call makes one attempt. What is throttled slows its bucket down.

mod access;
mod board;
#[cfg(test)]
mod board_tests;
mod bucket;
mod call;
mod caller;
mod clearance;
mod clients;
mod entry;
mod error;
mod gate;
mod lane;
mod line;
mod memo;
mod memos;
mod permit;
mod queue;
mod rank;
mod route53;
mod ses;
mod session;
mod sts;
#[cfg(test)]
mod testing;
mod text;
mod watchers;
mod writers;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use jiff::Timestamp;

pub use call::{Call, Operation};
pub use clearance::Clearance;
pub use clients::load_config;
pub use error::{Error, ErrorKind};
pub use permit::PutPermit;
pub use writers::{Changed, Endings, Handed};

use access::{Access, Ask, LaneKey, Tasks};
use clients::Clients;
use lane::{Asked as Permit, Lane, Reserved};
use memo::{Asked, Backoff};
use route53::ChangeOf;
use ses::Subject;
use sts::Account;
use watchers::Watcher;

use crate::authority::{Credentials, Grant, ObjectKey, Service, Sight};
use crate::clock::Clock;
use crate::mail::{
    BehaviorOnMxFailure, ChangeBatch, ChangeState, DomainName, HostedZoneId, MailFrom,
    MailFromDomain, NameView, Region, Surroundings, Verification, Zone,
};

/// Wakes an object: its answer or its permit is there. Must not block.
pub type Wake = Arc<dyn Fn(&ObjectKey) + Send + Sync>;

/// Hears of every call, for metrics. Must not block.
pub type Observer = Arc<dyn Fn(&Call) + Send + Sync>;

/// Where a question stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reply<T> {
    /// Known.
    Known {
        /// When the request was sent; of several, the first.
        sent: Timestamp,
        /// What AWS said.
        value: T,
    },
    /// Queued or on its way; the object is woken.
    NotYet,
    /// The last try failed. Nothing is sent before `retry_at`; then the next to
    /// ask sends it again.
    Failed {
        /// Why.
        error: Error,
        /// When asking again makes sense.
        retry_at: Timestamp,
    },
}

impl<T> Reply<T> {
    /// The same of what `read` makes of the answer; not yet, where it makes nothing.
    fn and_then<U>(self, read: impl FnOnce(T) -> Option<U>) -> Reply<U> {
        match self {
            Self::Known { sent, value } => {
                read(value).map_or(Reply::NotYet, |value| Reply::Known { sent, value })
            }
            Self::NotYet => Reply::NotYet,
            Self::Failed { error, retry_at } => Reply::Failed { error, retry_at },
        }
    }
}

/// Something that can be watched.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Thing {
    /// The MAIL FROM setting of an identity in a region.
    MailFrom(DomainName, Region),
    /// Whether an identity is there and verified in a region.
    Verification(DomainName, Region),
    /// Every record set at a name of a hosted zone.
    Name(HostedZoneId, DomainName),
}

/// Something that an object watches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Watched {
    /// What.
    pub thing: Thing,
    /// How old the answer may grow.
    pub pace: Duration,
    /// When the answer that the object knows was sent for.
    pub known: Timestamp,
}

/// How much is asked of AWS, and how patiently.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Requests per second to SES, per region and action. Its quota is 1.
    pub ses_rate: f64,
    /// Requests per second to Route 53, all actions together.
    pub route53_rate: f64,
    /// A call without answer has failed after this.
    pub request_timeout: Duration,
    /// A change batch waits so long for company after its last newcomer; behind
    /// another one of its zone a tenth of `linger_max`, if that is longer…
    pub linger: Duration,
    /// …and after its first member at most so long; a tenth of it, if that is longer
    /// than `linger`, where no other has left its zone for so long.
    pub linger_max: Duration,
    /// How long a failed read is left alone at first…
    pub retry_min: Duration,
    /// …doubling up to this.
    pub retry_max: Duration,
    /// Asked before each transmission.
    pub clearance: Clearance,
    /// The operator's, which the external ids of roles begin with.
    pub owner_id: String,
}

impl Settings {
    fn backoff(&self) -> Backoff {
        Backoff { min: self.retry_min, max: self.retry_max }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            ses_rate: 0.98,
            route53_rate: 4.0,
            request_timeout: Duration::from_secs(10),
            linger: Duration::from_millis(200),
            linger_max: Duration::from_secs(10),
            retry_min: Duration::from_secs(1),
            retry_max: Duration::from_mins(1),
            clearance: Clearance::default(),
            owner_id: String::new(),
        }
    }
}

/// SES, Route 53 and STS, with the operator's own credentials and those of the
/// roles that it assumes. What runs in the background ends with it.
pub struct Aws {
    access: Arc<Access>,
    _tasks: Arc<Tasks>,
}

impl Aws {
    /// Takes the operator's credentials, endpoints and HTTP client from `sdk`,
    /// whose retries and time limits are replaced.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn new(
        sdk: &SdkConfig,
        settings: Settings,
        clock: Clock,
        wake: Wake,
        observer: Observer,
    ) -> Self {
        let tasks = Arc::new(Tasks::new());
        let clients = Clients::new(sdk, settings.request_timeout, settings.clearance.clone());
        let access = Access::new(clients, settings, clock, wake, observer, &tasks);
        Self { access: Arc::new(access), _tasks: tasks }
    }

    /// Begins to act. Another process may have acted until now, and have taken what
    /// the quotas grant: nothing of that is counted on. To be called before anything
    /// is asked.
    pub fn open(&self) {
        self.access.open();
    }

    /// The account of the credentials for a service: twelve digits.
    pub fn account(&self, sight: Sight, service: Service, not_before: Timestamp) -> Reply<String> {
        let credentials = sight.credentials(service).clone();
        self.look(Account, &credentials, sight, not_before).0
    }

    /// The MAIL FROM setting of an identity; `None` where none is set, or SES
    /// knows no such identity.
    pub fn mail_from(
        &self,
        sight: Sight,
        identity: &DomainName,
        region: &Region,
        not_before: Timestamp,
    ) -> Reply<Option<MailFrom>> {
        let group = self.access.ses(sight.credentials(Service::Ses), region);
        match self.known_account(Service::Ses, sight) {
            Ok(sight) => ses::mail_from(&self.access, &group, identity, (sight, not_before)),
            Err(reply) => *reply,
        }
    }

    /// Whether an identity is there and verified.
    pub fn verification(
        &self,
        sight: Sight,
        identity: &DomainName,
        region: &Region,
        not_before: Timestamp,
    ) -> Reply<Verification> {
        let group = self.access.ses(sight.credentials(Service::Ses), region);
        match self.known_account(Service::Ses, sight) {
            Ok(sight) => ses::verification(&self.access, &group, identity, (sight, not_before)),
            Err(reply) => *reply,
        }
    }

    /// Has AWS asked again, at the pace of each, for what an object knows of, until
    /// it watches anew or is forgotten. The object is woken when an answer has
    /// changed, or cannot be had. What it watched before, it does no longer.
    pub fn watch(&self, sight: Sight, things: &[Watched]) {
        let watcher = self.access.watchers.begin(sight);
        let mut later = false;
        for Watched { thing, pace, known } in things {
            let upkeep = (&watcher, *pace, *known);
            later |= match thing {
                Thing::MailFrom(identity, region) => {
                    self.watch_ses(Subject::MailFrom, (identity, region), upkeep)
                }
                Thing::Verification(identity, region) => {
                    self.watch_ses(Subject::Verification, (identity, region), upkeep)
                }
                Thing::Name(zone, name) => {
                    let view = self.access.zone(watcher.credentials(Service::Route53), zone);
                    route53::watch(&self.access, &view, name, upkeep)
                }
            };
        }
        if later {
            (self.access.wake)(watcher.object());
        }
    }

    /// The object watches nothing any more.
    pub fn unwatch(&self, object: &ObjectKey) {
        self.access.watchers.end(object);
    }

    /// When a thing was last read well, whatever the age of that.
    pub fn last_read(&self, sight: &Sight, thing: &Thing) -> Option<Timestamp> {
        let (subject, identity, region) = match thing {
            Thing::MailFrom(identity, region) => (Subject::MailFrom, identity, region),
            Thing::Verification(identity, region) => (Subject::Verification, identity, region),
            Thing::Name(zone, name) => {
                return self.access.zone(sight.credentials(Service::Route53), zone).last(name);
            }
        };
        self.access.ses(sight.credentials(Service::Ses), region).last(subject, identity)
    }

    fn watch_ses(
        &self,
        subject: Subject,
        (identity, region): (&DomainName, &Region),
        upkeep: (&Arc<Watcher>, Duration, Timestamp),
    ) -> bool {
        let group = self.access.ses(upkeep.0.credentials(Service::Ses), region);
        ses::watch(&self.access, &group, subject, identity, upkeep)
    }

    /// Every zone, public and private, whose name is `name` or one above it,
    /// longest first.
    pub fn zones(
        &self,
        sight: Sight,
        name: &DomainName,
        not_before: Timestamp,
    ) -> Reply<Vec<Zone>> {
        match self.known_account(Service::Route53, sight) {
            Ok(sight) => route53::zones(&self.access, name, (sight, not_before)),
            Err(reply) => *reply,
        }
    }

    /// Every record set at a name.
    pub fn name(
        &self,
        sight: Sight,
        zone: &HostedZoneId,
        name: &DomainName,
        not_before: Timestamp,
    ) -> Reply<NameView> {
        let view = self.access.zone(sight.credentials(Service::Route53), zone);
        match self.known_account(Service::Route53, sight) {
            Ok(sight) => route53::name(&self.access, &view, name, (sight, not_before)),
            Err(reply) => *reply,
        }
    }

    /// What stands around a name, up to the zone's apex.
    pub fn surroundings(
        &self,
        sight: Sight,
        zone: &HostedZoneId,
        name: &DomainName,
        apex: &DomainName,
        not_before: Timestamp,
    ) -> Reply<Surroundings> {
        let view = self.access.zone(sight.credentials(Service::Route53), zone);
        match self.known_account(Service::Route53, sight) {
            Ok(sight) => {
                route53::surroundings(&self.access, &view, (name, apex), (sight, not_before))
            }
            Err(reply) => *reply,
        }
    }

    /// Where a change is, by its bare id.
    pub fn change(&self, sight: Sight, id: &str, not_before: Timestamp) -> Reply<ChangeState> {
        self.ask(ChangeOf(id.to_owned()), Service::Route53, sight, not_before)
    }

    /// Whether there is a permit to put in a region. It is kept for the object until it
    /// asks for it, for some seconds. `false`: not yet; the object is woken.
    pub fn reserve_put_permit(&self, grant: &Grant, region: &Region) -> bool {
        let lane = self.put_lane(grant, region);
        let Reserved { there, start } = lane.reserve(grant.object(), grant.is_urgent());
        if start {
            self.access.work(lane);
        }
        there
    }

    fn put_lane(&self, grant: &Grant, region: &Region) -> Arc<Lane> {
        let operation = Operation::PutEmailIdentityMailFromAttributes;
        let payer = self.access.caller(grant.credentials()).payer();
        self.access.lane(&LaneKey::Ses(payer, operation, region.clone()))
    }

    /// A permit to put in a region. `None`: not yet; the object is woken.
    pub fn put_permit(&self, grant: &Grant, region: &Region) -> Option<PutPermit> {
        let lane = self.put_lane(grant, region);
        match lane.ask(grant.object(), grant.is_urgent()) {
            Permit::Now(token) => Some(PutPermit::new(token, region.clone())),
            Permit::Later { start } => {
                if start {
                    self.access.work(lane);
                }
                None
            }
        }
    }

    /// Sets the MAIL FROM domain of the grant's identity, or clears it with `None`.
    ///
    /// # Errors
    /// Whatever the error, what SES holds must be read again: a put whose answer
    /// was lost may have been made.
    pub async fn put_mail_from(
        &self,
        permit: PutPermit,
        grant: Grant,
        region: &Region,
        mail_from: Option<&MailFromDomain>,
        behavior: BehaviorOnMxFailure,
    ) -> Result<(), Error> {
        ses::put_mail_from(&self.access, permit, grant, region, mail_from, behavior).await
    }

    /// Hands a change over to the writer of its zone. Its record sets must all be
    /// at the grant's name. It replaces what this object handed over before for
    /// the same place and is not sent yet.
    pub fn change_records(&self, grant: Grant, batch: &Arc<ChangeBatch>) -> Handed {
        self.access.hand_over(grant, batch)
    }

    /// Takes back what an object handed over and does not want any more: all but
    /// what is for these names. `false` where some of it has left already; the
    /// object is woken when that has ended.
    pub fn withdraw(&self, object: &ObjectKey, but: &BTreeSet<DomainName>) -> bool {
        lock(&self.access.writers).withdraw(object, but)
    }

    /// How the changes of an object ended. Each is told once.
    pub fn endings(&self, object: &ObjectKey) -> Endings {
        lock(&self.access.writers).endings(object)
    }

    /// The object is gone: it watches nothing, waits for no permit, and nothing more is
    /// sent for it.
    pub fn forget(&self, object: &ObjectKey) {
        self.unwatch(object);
        self.access.forget(object);
        lock(&self.access.writers).forget(object);
    }

    /// Sends no more changes. Resolves when none is on its way.
    pub async fn close(&self) {
        self.access.close().await;
    }

    /// Asks a service with the object's credentials for it, once it is known
    /// whose they are: what another account answers says nothing of ours.
    fn ask<Q: Ask>(
        &self,
        question: Q,
        service: Service,
        sight: Sight,
        not_before: Timestamp,
    ) -> Reply<Q::Value> {
        match self.known_account(service, sight) {
            Ok(sight) => {
                let credentials = sight.credentials(service).clone();
                self.look(question, &credentials, sight, not_before).0
            }
            Err(reply) => *reply,
        }
    }

    /// The sight again once it is known whose its credentials are.
    fn known_account<T>(&self, service: Service, sight: Sight) -> Result<Sight, Box<Reply<T>>> {
        let credentials = sight.credentials(service).clone();
        if self.access.caller(&credentials).is_known() {
            return Ok(sight);
        }
        match self.look(Account, &credentials, sight, Timestamp::MIN) {
            (Reply::Known { .. }, Some(sight)) => Ok(sight),
            (Reply::Failed { error, retry_at }, _) => {
                Err(Box::new(Reply::Failed { error, retry_at }))
            }
            (Reply::NotYet | Reply::Known { .. }, _) => Err(Box::new(Reply::NotYet)),
        }
    }

    /// What is known, and the leave to look where it was not needed for it.
    fn look<Q: Ask>(
        &self,
        question: Q,
        credentials: &Credentials,
        sight: Sight,
        not_before: Timestamp,
    ) -> (Reply<Q::Value>, Option<Sight>) {
        let now = self.access.clock.now();
        let asked = Asked { credentials: credentials.clone(), question };
        let memo = Q::memo(&self.access.memos);
        let (reply, start) = memo.look(&asked, sight.object(), not_before, now);
        if start {
            self.access.start(asked, sight);
            return (reply, None);
        }
        (reply, Some(sight))
    }
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("settings", &self.access.settings).finish_non_exhaustive()
    }
}

/// A lock that a panic elsewhere cannot poison: every section leaves the data whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
