//! AWS and DNS as they are.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use super::lookups::Lookups;
use super::outside::{Endings, Outside};
use super::reconcile::Wake;
use crate::api::Reason;
use crate::authority::{Grant, ObjectKey, Sight};
use crate::aws::{self, Aws, Error, ErrorKind, Handed, PutPermit, Reply};
use crate::clock::Clock;
use crate::dns::Dns;
use crate::mail::{BehaviorOnMxFailure, ChangeBatch, DomainName, MailFromDomain, Region};
use crate::plan::{Answer, Fault, Question, Value};

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

    fn ask(&self, sight: Sight, question: &Question, not_before: Timestamp) -> Answer {
        let (aws, from) = (&self.aws, not_before);
        match question {
            Question::Account(service) => {
                answer(aws.account(sight, *service, from), Value::Account)
            }
            Question::Identity(domain, region) => {
                answer(aws.identity(sight, domain, region, from), Value::Identity)
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

    fn put_permit(&self, grant: &Grant, region: &Region) -> Option<PutPermit> {
        self.aws.put_permit(grant, region)
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
        message: error.to_string(),
    }
}
