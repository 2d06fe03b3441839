//! The identities of one region, as one set of credentials sees them.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as StdError;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::super::access::{Access, LaneKey};
use super::super::board::{Board, Draw};
use super::super::call::{Operation, Target};
use super::super::caller::Caller;
use super::super::clients::Clients;
use super::super::rank::Rank;
use super::super::{Error, Settings, lock};
use super::calls::AT_ONCE;
use crate::authority::{Credentials, ObjectKey};
use crate::mail::{DomainName, Identity, MailFrom, Region, Verification};

/// An action that IAM has refused is not tried again for so long.
const REFUSED_FOR: SignedDuration = SignedDuration::from_hours(1);

/// For so long a refusal is not doubted, whatever else is refused.
const REFUSAL_IS_NEWS: SignedDuration = SignedDuration::from_secs(2);

/// Calls that fail in a row for want of quota or of a session, before all who
/// wait are told.
const PATIENCE: u32 = 4;

/// What is asked of identities.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in super::super) enum Subject {
    /// Their MAIL FROM settings.
    MailFrom,
    /// Whether they are there and verified.
    Verification,
}

/// How the next questions are asked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Way {
    /// A hundred at once.
    Batch(Operation),
    /// By the list of all identities.
    List,
    /// `GetEmailIdentity`: IAM allows nothing else.
    OneByOne,
}

impl Way {
    pub(super) fn operation(self) -> Operation {
        match self {
            Self::Batch(operation) => operation,
            Self::List => Operation::ListEmailIdentities,
            Self::OneByOne => Operation::GetEmailIdentity,
        }
    }

    /// How many questions one call answers.
    pub(super) fn most(self) -> usize {
        match self {
            Self::Batch(_) => AT_ONCE,
            Self::List => usize::MAX,
            Self::OneByOne => 1,
        }
    }
}

/// The identities of one region, as one set of credentials sees them.
#[derive(Debug)]
pub(in super::super) struct Group {
    credentials: Credentials,
    region: Region,
    state: Mutex<State>,
    pub(super) mail_from_changed: Notify,
    pub(super) verification_changed: Notify,
}

/// A list of all identities on its way, page by page.
#[derive(Debug)]
pub(super) struct Listing {
    rank: Mutex<Rank>,
    /// Somebody has come to wait for it who goes before those of until now.
    pub(super) hastened: Notify,
}

impl Listing {
    pub(super) fn new(rank: Rank) -> Self {
        Self { rank: Mutex::new(rank), hastened: Notify::new() }
    }

    pub(super) fn rank(&self) -> Rank {
        *lock(&self.rank)
    }

    fn hasten(&self, to: Rank) {
        let mut rank = lock(&self.rank);
        if to < *rank {
            *rank = to;
            self.hastened.notify_one();
        }
    }
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) mail_from: Board<DomainName, Option<MailFrom>>,
    pub(super) verification: Board<DomainName, Verification>,
    /// Pages of the last list of all identities.
    pages: usize,
    /// The lists of all identities that are on their way, by when each left.
    pub(super) lists: BTreeMap<Timestamp, Arc<Listing>>,
    /// Whether anybody serves each subject.
    pub(super) working: [bool; 2],
    refused: HashMap<Operation, Timestamp>,
    /// Calls in a row that are to be made again.
    in_vain: u32,
}

impl Group {
    pub(in super::super) fn new(
        credentials: Credentials,
        region: Region,
        settings: &Settings,
    ) -> Self {
        let retry = settings.backoff();
        let state = State {
            mail_from: Board::new(retry),
            verification: Board::new(retry),
            pages: 1,
            lists: BTreeMap::new(),
            working: [false; 2],
            refused: HashMap::new(),
            in_vain: 0,
        };
        Self {
            credentials,
            region,
            state: Mutex::new(state),
            mail_from_changed: Notify::new(),
            verification_changed: Notify::new(),
        }
    }

    /// A put to an identity has ended: what was asked before may miss it.
    pub(in super::super) fn put_ended(&self, identity: &DomainName, now: Timestamp) {
        self.lock().mail_from.invalidate(identity, now);
        self.mail_from_changed.notify_one();
    }

    pub(super) fn region(&self) -> &Region {
        &self.region
    }

    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// When an identity was last read well.
    pub(in super::super) fn last(&self, subject: Subject, name: &DomainName) -> Option<Timestamp> {
        let state = self.lock();
        match subject {
            Subject::MailFrom => state.mail_from.last(name),
            Subject::Verification => state.verification.last(name),
        }
    }

    pub(super) fn changed(&self, subject: Subject) -> &Notify {
        match subject {
            Subject::MailFrom => &self.mail_from_changed,
            Subject::Verification => &self.verification_changed,
        }
    }
}

impl State {
    /// The cheapest way that IAM allows, for so many questions as may be asked.
    pub(super) fn way(&self, subject: Subject, now: Timestamp) -> Way {
        let allowed = |operation: &Operation| {
            let refused = self.refused.get(operation);
            refused.is_none_or(|at| now.duration_since(*at) > REFUSED_FOR)
        };
        let batch = match subject {
            Subject::MailFrom => Operation::GetIdentityMailFromDomainAttributes,
            Subject::Verification => Operation::GetIdentityVerificationAttributes,
        };
        let batch = Some(batch).filter(allowed);
        let list = Some(Operation::ListEmailIdentities)
            .filter(|list| subject == Subject::Verification && allowed(list));
        match (batch, list) {
            (Some(batch), Some(_))
                if self.verification.wanted(now).div_ceil(AT_ONCE) <= self.pages =>
            {
                Way::Batch(batch)
            }
            (_, Some(_)) => Way::List,
            (Some(batch), None) => Way::Batch(batch),
            (None, None) => Way::OneByOne,
        }
    }

    /// IAM has refused an action; another way is to be found.
    pub(super) fn refuse(&mut self, operation: Operation, now: Timestamp) {
        self.refused.insert(operation, now);
    }

    /// Refusals that are not news are forgotten: one identity that is denied by
    /// itself says nothing of the calls for many.
    pub(super) fn forget_refusals(&mut self, now: Timestamp) {
        self.refused.retain(|_, at| now.duration_since(*at) < REFUSAL_IS_NEWS);
    }

    /// A call that was throttled, or that AWS would not take from the session:
    /// whether it is made again.
    pub(super) fn again(&mut self) -> bool {
        self.in_vain += 1;
        let again = self.in_vain < PATIENCE;
        if !again {
            self.in_vain = 0;
        }
        again
    }

    /// A call has ended otherwise.
    pub(super) fn answered(&mut self) {
        self.in_vain = 0;
    }

    /// What `GetEmailIdentity` said answers both subjects.
    pub(super) fn identity(
        &mut self,
        subject: Subject,
        name: &DomainName,
        identity: Option<Identity>,
        (sent, now): (Timestamp, Timestamp),
    ) -> Vec<ObjectKey> {
        let verification = match &identity {
            None => Verification::Missing,
            Some(identity) if identity.verified => Verification::Verified,
            Some(_) => Verification::Unverified,
        };
        let mail_from = identity.and_then(|identity| identity.mail_from);
        match subject {
            Subject::MailFrom => {
                let mut woken = self.mail_from.brought(name, Ok(mail_from), (sent, now));
                woken.extend(self.verification.record(name, sent, verification));
                woken
            }
            Subject::Verification => {
                let mut woken = self.verification.brought(name, Ok(verification), (sent, now));
                woken.extend(self.mail_from.overheard(name, sent, mail_from));
                woken
            }
        }
    }

    /// In whose name the next call is made: what only keeps answers up is nobody's in
    /// particular.
    pub(super) fn namespace(&self, subject: Subject) -> String {
        let first = match subject {
            Subject::MailFrom => self.mail_from.first_namespace(),
            Subject::Verification => self.verification.first_namespace(),
        };
        first.unwrap_or_default().to_owned()
    }

    /// Of what rank the next call is.
    pub(super) fn rank(&self, subject: Subject) -> Rank {
        let (urgent, asked) = match subject {
            Subject::MailFrom => (self.mail_from.is_urgent(), self.mail_from.is_asked()),
            Subject::Verification => (self.verification.is_urgent(), self.verification.is_asked()),
        };
        if urgent {
            Rank::Urgent
        } else if asked {
            Rank::Asked
        } else {
            Rank::Watched
        }
    }

    /// An object waits to hear whether an identity is verified: the list that is to
    /// tell it goes on as fast as the object may ask. So do all, where none is: they are
    /// waited for before another is asked for.
    pub(super) fn awaited(&self, name: &DomainName, rank: Rank) {
        let left = self.verification.left(name);
        for (sent, list) in &self.lists {
            match left {
                None => list.hasten(rank.max(Rank::Asked)),
                Some(left) if left == *sent => list.hasten(rank),
                Some(_) => {}
            }
        }
    }

    /// When something that is watched is to be asked.
    pub(super) fn next_due(&self, subject: Subject) -> Option<Timestamp> {
        match subject {
            Subject::MailFrom => self.mail_from.next_due(),
            Subject::Verification => self.verification.next_due(),
        }
    }

    pub(super) fn draw(
        &mut self,
        subject: Subject,
        now: Timestamp,
        most: usize,
        early: u32,
    ) -> Draw<DomainName> {
        match subject {
            Subject::MailFrom => self.mail_from.draw(now, most, early),
            Subject::Verification => self.verification.draw(now, most, early),
        }
    }

    pub(super) fn fail(
        &mut self,
        subject: Subject,
        name: &DomainName,
        error: Error,
        times: (Timestamp, Timestamp),
    ) -> Vec<ObjectKey> {
        match subject {
            Subject::MailFrom => self.mail_from.brought(name, Err(error), times),
            Subject::Verification => self.verification.brought(name, Err(error), times),
        }
    }

    pub(super) fn ask_again(&mut self, subject: Subject, name: &DomainName, sent: Timestamp) {
        match subject {
            Subject::MailFrom => self.mail_from.ask_again(name, sent),
            Subject::Verification => self.verification.ask_again(name, sent),
        }
    }

    /// The whole list has come, asked for at `sent`: it speaks of every
    /// identity, absent ones included.
    pub(super) fn listed(
        &mut self,
        drawn: &[DomainName],
        found: &HashMap<DomainName, Verification>,
        pages: usize,
        (sent, now): (Timestamp, Timestamp),
    ) -> Vec<ObjectKey> {
        self.pages = pages;
        let of = |name| found.get(name).copied().unwrap_or(Verification::Missing);
        let mut woken = Vec::new();
        for name in drawn {
            woken.extend(self.verification.brought(name, Ok(of(name)), (sent, now)));
        }
        let others: Vec<DomainName> = self.verification.questions().cloned().collect();
        for name in &others {
            woken.extend(self.verification.record(name, sent, of(name)));
        }
        woken
    }
}

/// A way to call: one attempt, whose token is taken already.
pub(super) struct Line<'a> {
    access: &'a Arc<Access>,
    caller: &'a Caller,
    clients: &'a Clients,
    region: &'a Region,
}

impl<'a> Line<'a> {
    pub(super) fn new(
        access: &'a Arc<Access>,
        caller: &'a Caller,
        clients: &'a Clients,
        region: &'a Region,
    ) -> Self {
        Self { access, caller, clients, region }
    }

    pub(super) fn region(&self) -> &Region {
        self.region
    }

    /// Makes a call, whose token is taken already, once it may leave.
    pub(super) async fn transmit<T, E, F>(
        &self,
        operation: Operation,
        about: &str,
        send: impl FnOnce(&Clients) -> F,
    ) -> Result<T, Error>
    where
        E: StdError + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let target = Target::regional(operation, self.region, about);
        let key = LaneKey::Ses(self.caller.payer(), operation, self.region.clone());
        let lane = self.access.lane(&key);
        let under_way = lane.leave().await;
        let call = Box::pin(async {
            let answer = send(self.clients).await;
            drop(under_way);
            answer
        });
        self.caller.transmit(self.access, &key, &target, call).await
    }
}
