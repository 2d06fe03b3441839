//! One batch on its way: each part is sent as long as its grants stand, and each
//! member hears how it ended.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use tokio::sync::Notify;

use super::super::access::{Access, LaneKey};
use super::super::call::{Operation, Target};
use super::super::caller::Caller;
use super::super::clients::Clients;
use super::super::writers::{Changed, Member};
use super::super::{Error, ErrorKind, lock};
use super::batch::{Answer, Ended, Passage};
use super::change::sdk_batch;
use super::comment::comment;
use super::refusal::names;
use super::writer::thing;
use crate::authority::Grant;
use crate::mail::HostedZoneId;

/// A batch that has left the line.
pub(super) struct Sending<'a> {
    access: &'a Arc<Access>,
    zone: &'a HostedZoneId,
    /// Told when somebody comes to wait for the zone.
    changed: &'a Notify,
    caller: &'a Caller,
    bucket: LaneKey,
    /// `None` where one has ended.
    members: Vec<Option<Member>>,
}

impl<'a> Sending<'a> {
    pub(super) fn new(
        access: &'a Arc<Access>,
        (zone, changed): (&'a HostedZoneId, &'a Notify),
        caller: &'a Caller,
        bucket: LaneKey,
        members: Vec<Member>,
    ) -> Self {
        let members = members.into_iter().map(Some).collect();
        Self { access, zone, changed, caller, bucket, members }
    }

    /// Sends it, and again what is refused of it; the first turn has come already.
    /// Nothing more of it leaves once the writers are closed.
    pub(super) async fn run(&mut self) {
        let mut passage = Passage::new(self.members.len());
        let mut turn = true;
        while let Some(part) = passage.next() {
            let clients = tokio::select! {
                // A turn that has come is not lost.
                biased;
                clients = self.clients(&part, &mut turn) => clients,
                () = self.access.closed() => break,
            };
            let clients = match clients {
                Ok(clients) => clients,
                Err(error) => {
                    self.fail(&error);
                    break;
                }
            };
            if lock(&self.access.writers).is_closed() {
                break;
            }
            let part = self.standing(part, &mut passage);
            if part.is_empty() {
                continue;
            }
            turn = false;
            let result = self.transmit(&part, clients).await;
            let ended = passage.answered(self.meaning(&part, &result));
            self.end(ended, &result);
        }
        if turn {
            self.access.lane(&self.bucket).give_back();
        }
    }

    /// The clients to send a part with, in its turn, which is waited for unless it
    /// has come.
    async fn clients(&self, part: &[usize], turn: &mut bool) -> Result<&'a Clients, Error> {
        let caller = self.caller;
        if !*turn {
            caller.clients(self.access).await?;
            self.turn(part).await;
            *turn = true;
        }
        // Had before the leaves are asked: a session may have to be renewed.
        caller.clients(self.access).await
    }

    /// Waits for a turn on behalf of a part. Whoever waits for the zone waits for it too.
    async fn turn(&self, part: &[usize]) {
        let grants = || part.iter().filter_map(|at| Some(&self.members[*at].as_ref()?.grant));
        let first = grants().next();
        let namespace = first.map(|grant| grant.object().namespace().clone()).unwrap_or_default();
        let own = grants().any(Grant::is_urgent);
        let urgent = || own || lock(&self.access.writers).is_waited_for(self.zone);
        self.access.turn_of_many(&self.bucket, &namespace, urgent, self.changed).await;
    }

    /// Ends all for the same reason.
    pub(super) fn fail(&mut self, error: &Error) {
        let alike = (0..self.members.len()).collect();
        self.end(Ended { alike, ..Ended::default() }, &Err(error.clone()));
    }

    /// Those whose leave still stands; the others end here.
    fn standing(&mut self, part: Vec<usize>, passage: &mut Passage) -> Vec<usize> {
        let stands = |at: &usize| self.members[*at].as_ref().is_some_and(|m| m.grant.stands());
        let (standing, fallen): (Vec<_>, Vec<_>) = part.into_iter().partition(stands);
        if !fallen.is_empty() {
            for member in &fallen {
                passage.leave(*member);
            }
            let target = Target::global(Operation::ChangeResourceRecordSets, self.zone);
            let revoked = Err(Error::revoked(&target));
            self.end(Ended { alike: fallen, ..Ended::default() }, &revoked);
        }
        standing
    }

    async fn transmit(&self, part: &[usize], clients: &Clients) -> Result<Changed, Error> {
        let members = || part.iter().filter_map(|at| self.members[*at].as_ref());
        let changes = members().flat_map(|member| &member.batch.changes);
        let target = Target::global(Operation::ChangeResourceRecordSets, self.zone);
        let batch = sdk_batch(&comment(members()), changes)
            .map_err(|_| Error::refused(&target, "the batch lacks a part"))?;
        let call = clients.route53.change_resource_record_sets().hosted_zone_id(self.zone.as_str());
        let call = Box::pin(call.change_batch(batch).send());
        let answer = self.caller.transmit(self.access, &self.bucket, &target, call).await?;
        let info = answer.change_info.ok_or_else(|| Error::incomplete(&target, "the change"))?;
        let id = info.id.strip_prefix("/change/").unwrap_or(&info.id).to_owned();
        Ok(Changed { id, at: self.access.clock.now() })
    }

    /// What Route 53's answer means for those who were sent.
    fn meaning(&self, part: &[usize], result: &Result<Changed, Error>) -> Answer {
        let Err(error) = result else { return Answer::Accepted };
        if error.ends_session() {
            return Answer::Busy;
        }
        match error.kind() {
            ErrorKind::Throttled | ErrorKind::PriorRequest => Answer::Busy,
            ErrorKind::InvalidChangeBatch => {
                let named = error.clauses().iter().flat_map(|clause| names(clause));
                let named: HashSet<String> = named.collect();
                let is_named = |at: &&usize| {
                    let member = self.members[**at].as_ref();
                    member.is_some_and(|member| named.contains(member.name.as_str()))
                };
                Answer::Refused(part.iter().filter(is_named).copied().collect())
            }
            ErrorKind::AccessDenied | ErrorKind::BadRequest | ErrorKind::LimitExceeded => {
                Answer::Refused(BTreeSet::new())
            }
            // Of the zone, of whoever asks, or of nobody knows what.
            ErrorKind::Credentials
            | ErrorKind::RoleRefused
            | ErrorKind::Unavailable
            | ErrorKind::NotFound
            | ErrorKind::NotVerified
            | ErrorKind::Revoked => Answer::Failed,
        }
    }

    /// Lets members go, each with what it is told, and wakes their objects.
    fn end(&mut self, ended: Ended, result: &Result<Changed, Error>) {
        let Ended { made, culprits, alike } = ended;
        let mut after = Vec::new();
        for member in made.iter().filter_map(|at| self.members[*at].as_ref()) {
            // Made, it proves what it was computed from.
            let view = self.access.zone(member.grant.credentials(), self.zone);
            let stands = view
                .known(&member.name)
                .and_then(|(sent, before)| Some((sent, before.after(&member.batch.changes)?)));
            after.extend(stands.map(|stands| (member.name.clone(), stands)));
        }
        if !result.as_ref().is_err_and(Error::leaves_readings) {
            self.invalidate(culprits.iter().chain(&alike));
        }
        self.invalidate(&made);
        for (name, stands) in after {
            self.access.record(self.zone, &name, stands);
        }
        if result.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
            self.access.zone_book.forget(self.zone);
        }
        let all = made.iter().chain(&culprits).chain(&alike);
        for at in all {
            let Some(member) = self.members[*at].take() else { continue };
            let told = result.clone().map_err(|error| told(&error, &member, self.zone));
            let culprit = culprits.contains(at);
            lock(&self.access.writers).ended(&member.grant, told, culprit);
            (self.access.wake)(member.grant.object());
        }
    }

    /// Answers from before the end of a write do not count.
    fn invalidate<'m>(&self, members: impl IntoIterator<Item = &'m usize>) {
        let members = members.into_iter().filter_map(|at| self.members[*at].as_ref());
        let names: HashSet<_> = members.map(|member| member.name.clone()).collect();
        if !names.is_empty() {
            self.access.changed(self.zone, &names);
        }
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        lock(&self.access.writers).sent();
        self.access.sent.notify_waiters();
    }
}

/// What a member is told of a failure: of Route 53's words, those that name it.
fn told(error: &Error, member: &Member, zone: &HostedZoneId) -> Error {
    let name = member.name.as_str();
    let about = |clause: &&String| names(clause).iter().any(|other| other == name);
    let said: Vec<&str> = error.clauses().iter().filter(about).map(String::as_str).collect();
    error.about(thing(&member.name, zone), &said)
}
