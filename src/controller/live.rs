//! AWS and DNS as they are.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::lookups::Lookups;
use super::outside::{Endings, Outside};
use super::reconcile::Wake;
use crate::api::Reason;
use crate::authority::{Grant, ObjectKey, Sight};
use crate::aws::{self, Aws, Error, ErrorKind, Handed, PutPermit, Reply, Thing, Watched};
use crate::clock::Clock;
use crate::dns::Dns;
use crate::mail::{BehaviorOnMxFailure, ChangeBatch, DomainName, MailFromDomain, Region};
use crate::plan::{Answer, Fault, Question, Said, Upkeep, Value};

/// The adapters behind one face.
pub struct Live {
    aws: Aws,
    dns: Dns,
    lookups: Lookups,
}

impl Live {
    /// `wake` is called when a DNS look-up has ended; `aws` has its own.
    pub fn new(aws: Aws, dns: Dns, clock: Clock, wake: Wake) -> Self {
        Self { aws, dns, lookups: Lookups::new(clock, wake) }
    }
}

impl Outside for Live {
    type PutPermit = PutPermit;

    fn open(&self) {
        self.aws.open();
    }

    fn ask(&self, sight: Sight, question: &Question, not_before: Timestamp) -> Answer {
        let (aws, from) = (&self.aws, not_before);
        match question {
            Question::Account(service) => {
                answer(aws.account(sight, *service, from), Value::Account)
            }
            Question::Verification(domain, region) => {
                answer(aws.verification(sight, domain, region, from), Value::Verification)
            }
            Question::MailFrom(domain, region) => {
                answer(aws.mail_from(sight, domain, region, from), Value::MailFrom)
            }
            Question::Zones(name) => answer(aws.zones(sight, name, from), Value::Zones),
            Question::Name(zone, name) => answer(aws.name(sight, zone, name, from), Value::Name),
            Question::Surroundings(zone, name, apex) => {
                answer(aws.surroundings(sight, zone, name, apex, from), Value::Surroundings)
            }
            Question::Change(id) => answer(aws.change(sight, id, from), Value::Change),
            Question::Delegation(apex, servers) => {
                let (dns, apex, servers) = (self.dns.clone(), apex.clone(), servers.clone());
                self.lookups.ask(sight.object(), question, from, || async move {
                    Value::Delegation(dns.delegation(&apex, &servers).await)
                })
            }
            Question::Seen(name, servers) => {
                let (dns, name, servers) = (self.dns.clone(), name.clone(), servers.clone());
                self.lookups.ask(sight.object(), question, from, || async move {
                    Value::Seen(dns.seen(&name, &servers).await)
                })
            }
        }
    }

    fn last_read(&self, sight: &Sight, question: &Question) -> Option<Timestamp> {
        self.aws.last_read(sight, &thing(question)?)
    }

    fn watch(&self, sight: Sight, watch: &BTreeMap<Question, Upkeep>) -> Option<Timestamp> {
        let kept = watch.iter().filter_map(|(question, Upkeep { pace, known })| {
            Some(Watched { thing: thing(question)?, pace: *pace, known: *known })
        });
        self.aws.watch(sight, &kept.collect::<Vec<_>>());
        let others = watch.iter().filter(|(question, _)| thing(question).is_none());
        others.map(|(_, upkeep)| upkeep.due()).min()
    }

    fn unwatch(&self, object: &ObjectKey) {
        self.aws.unwatch(object);
    }

    fn put_permit(&self, grant: &Grant, region: &Region) -> Option<PutPermit> {
        self.aws.put_permit(grant, region)
    }

    fn reserve_put_permit(&self, grant: &Grant, region: &Region) -> bool {
        self.aws.reserve_put_permit(grant, region)
    }

    fn change_records(&self, grant: Grant, batch: &Arc<ChangeBatch>) -> Handed {
        self.aws.change_records(grant, batch)
    }

    fn withdraw(&self, object: &ObjectKey, but: &BTreeSet<DomainName>) -> bool {
        self.aws.withdraw(object, but)
    }

    fn endings(&self, object: &ObjectKey) -> Endings {
        let aws::Endings { ended, on_its_way } = self.aws.endings(object);
        let ended = ended.into_iter().map(|(place, result)| {
            (place, result.map_err(|error| fault(&error, Reason::ZoneNotFound)))
        });
        Endings { ended: ended.collect(), on_its_way }
    }

    fn forget(&self, object: &ObjectKey) {
        self.aws.forget(object);
    }

    async fn close(&self) {
        self.aws.close().await;
    }

    async fn put_mail_from(
        &self,
        permit: PutPermit,
        grant: Grant,
        region: &Region,
        mail_from: Option<&MailFromDomain>,
        behavior: BehaviorOnMxFailure,
    ) -> Result<(), Fault> {
        let put = self.aws.put_mail_from(permit, grant, region, mail_from, behavior).await;
        put.map_err(|error| fault(&error, Reason::IdentityNotFound))
    }
}

/// What AWS is asked again for by itself; all else the objects ask again for.
fn thing(question: &Question) -> Option<Thing> {
    match question {
        Question::Verification(identity, region) => {
            Some(Thing::Verification(identity.clone(), region.clone()))
        }
        Question::MailFrom(identity, region) => {
            Some(Thing::MailFrom(identity.clone(), region.clone()))
        }
        Question::Name(zone, name) => Some(Thing::Name(zone.clone(), name.clone())),
        _ => None,
    }
}

fn answer<T>(reply: Reply<T>, value: impl FnOnce(T) -> Value) -> Answer {
    match reply {
        Reply::NotYet => Answer::NotYet,
        Reply::Known { sent, value: known } => Answer::Known { sent, value: value(known) },
        // A read of something that is not there is answered, not failed: what is
        // not found here is the thing that the question takes for granted.
        Reply::Failed { error, retry_at } => {
            Answer::Failed { fault: fault(&error, Reason::ZoneNotFound), retry_at }
        }
    }
}

/// `missing` is what it means that AWS knows no such thing.
fn fault(error: &Error, missing: Reason) -> Fault {
    let reason = match error.kind() {
        ErrorKind::AccessDenied | ErrorKind::Credentials => Reason::AccessDenied,
        ErrorKind::RoleRefused => Reason::RoleNotAssumable,
        ErrorKind::NotFound => missing,
        ErrorKind::NotVerified => Reason::IdentityNotVerified,
        ErrorKind::Throttled
        | ErrorKind::Unavailable
        | ErrorKind::InvalidChangeBatch
        | ErrorKind::PriorRequest
        | ErrorKind::BadRequest
        | ErrorKind::LimitExceeded
        | ErrorKind::Revoked => Reason::AwsUnavailable,
    };
    Fault {
        reason,
        transient: error.is_transient(),
        outdated: error.is_outdated(),
        said: match error.kind() {
            ErrorKind::Unavailable => Said::Nothing,
            ErrorKind::Throttled => Said::Later,
            _ => Said::No,
        },
        message: error.to_string(),
    }
}
