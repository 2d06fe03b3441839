//! Serves the boards of a region: waits until something is to be asked, takes a
//! turn, draws what fits into the call, and hands out what came back.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::access::{Access, LaneKey};
use super::super::call::Operation;
use super::super::caller::Caller;
use super::super::lane::Lane;
use super::super::rank::Rank;
use super::super::{Error, ErrorKind};
use super::calls;
use super::group::{Group, Line, Listing, State, Subject, Way};
use crate::authority::ObjectKey;
use crate::mail::{DomainName, Verification};

/// Questions that come together leave together: how long the first waits.
const GATHER: Duration = Duration::from_millis(20);

/// What is watched may be asked by so much of its pace too early, to fill a call.
const EARLY: u32 = 4;
/// The same where one call after another answers all that is watched.
const EARLY_LIST: u32 = 2;

/// Has a subject of a group served, unless somebody does already.
pub(super) fn start(access: &Arc<Access>, group: &Arc<Group>, subject: Subject) {
    let begun = std::mem::replace(&mut group.lock().working[subject as usize], true);
    group.changed(subject).notify_one();
    if !begun {
        let (shared, group) = (Arc::clone(access), Arc::clone(group));
        access.spawn(async move { serve(&shared, &group, subject).await });
    }
}

/// What there is to do.
enum Next {
    Call,
    Wait(Option<Instant>),
    Nothing,
}

async fn serve(access: &Arc<Access>, group: &Arc<Group>, subject: Subject) {
    loop {
        match next(access, group, subject) {
            Next::Nothing => return,
            Next::Wait(until) => {
                let changed = group.changed(subject).notified();
                tokio::select! {
                    () = sleep_until(until.unwrap_or_else(Instant::now)), if until.is_some() => {}
                    () = changed => {}
                }
            }
            Next::Call => {
                sleep(GATHER).await;
                call(access, group, subject).await;
            }
        }
    }
}

fn next(access: &Access, group: &Group, subject: Subject) -> Next {
    let now = access.clock.now();
    let mut state = group.lock();
    let rank = state.rank(subject);
    // What the list on its way will tell is not asked for beside it, unless a
    // person waits for it.
    let told = subject == Subject::Verification && !state.lists.is_empty();
    if rank == Rank::Urgent || (rank == Rank::Asked && !told) {
        return Next::Call;
    }
    if told {
        return Next::Wait(None);
    }
    let Some(due) = state.next_due(subject) else {
        state.working[subject as usize] = false;
        return Next::Nothing;
    };
    let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    if wait.is_zero() { Next::Call } else { Next::Wait(Some(Instant::now() + wait)) }
}

/// Sends one call on its way, if there still is one to be made.
async fn call(access: &Arc<Access>, group: &Arc<Group>, subject: Subject) {
    let caller = access.caller(group.credentials());
    if let Err(error) = caller.clients(access).await {
        return fail_all(access, group, subject, &error);
    }
    let (way, namespace) = {
        let state = group.lock();
        (state.way(subject, access.clock.now()), state.namespace(subject))
    };
    let key = LaneKey::Ses(caller.payer(), way.operation(), group.region().clone());
    let rank = || group.lock().rank(subject);
    if !sweep_turn(&access.lane(&key), rank, group.changed(subject)).await {
        return;
    }
    let urgent = || rank() == Rank::Urgent;
    access.turn_of_many(&key, &namespace, urgent, group.changed(subject)).await;
    let now = access.clock.now();
    let early = if way == Way::List { EARLY_LIST } else { EARLY };
    // Whoever has come meanwhile is among them.
    let (draw, list) = {
        let mut state = group.lock();
        let list = Arc::new(Listing::new(state.rank(subject)));
        let draw = state.draw(subject, now, way.most(), early);
        if way == Way::List && !draw.questions.is_empty() {
            state.lists.insert(now, Arc::clone(&list));
        }
        (draw, list)
    };
    access.wake_all(&draw.dropped);
    if draw.questions.is_empty() {
        access.lane(&key).give_back();
    } else {
        let asking = Asking { access: Arc::clone(access), group: Arc::clone(group), caller, list };
        let questions = draw.questions;
        access.spawn(async move { asking.ask(subject, way, questions, now).await });
    }
}

/// Waits until a call may be made that nobody waits for, if it is such a one. Returns
/// `false` where somebody has come to wait for it meanwhile.
async fn sweep_turn(lane: &Lane, rank: impl Fn() -> Rank, changed: &Notify) -> bool {
    rank() != Rank::Watched || lane.sweep_turn_while(|| rank() == Rank::Watched, changed).await
}

/// Nobody can be asked: everybody who waits is told why.
fn fail_all(access: &Access, group: &Group, subject: Subject, error: &Error) {
    let now = access.clock.now();
    let mut woken = Vec::new();
    let mut state = group.lock();
    let draw = state.draw(subject, now, usize::MAX, 1);
    for question in &draw.questions {
        woken.extend(state.fail(subject, question, error.clone(), (now, now)));
    }
    drop(state);
    access.wake_all(&draw.dropped);
    access.wake_all(&woken);
}

/// A call on its way.
struct Asking {
    access: Arc<Access>,
    group: Arc<Group>,
    caller: Arc<Caller>,
    /// What it is, where it goes by the list of all identities.
    list: Arc<Listing>,
}

impl Asking {
    async fn ask(self, subject: Subject, way: Way, questions: Vec<DomainName>, sent: Timestamp) {
        let failed = match (way, subject) {
            (Way::List, _) => self.list(&questions, sent).await,
            (Way::Batch(_), Subject::MailFrom) => self.mail_from(&questions, sent).await,
            (Way::Batch(_), Subject::Verification) => self.verification(&questions, sent).await,
            (Way::OneByOne, _) => self.one_by_one(subject, &questions, sent).await,
        };
        let now = self.access.clock.now();
        let mut state = self.group.lock();
        if way == Way::List {
            state.lists.remove(&sent);
        }
        let woken = match failed {
            Ok(woken) => {
                state.answered();
                woken
            }
            Err(error) => settle(&mut state, subject, way, &questions, &error, (sent, now)),
        };
        drop(state);
        self.access.wake_all(&woken);
        start(&self.access, &self.group, subject);
    }

    async fn mail_from(
        &self,
        questions: &[DomainName],
        sent: Timestamp,
    ) -> Result<Vec<ObjectKey>, Error> {
        let clients = self.caller.clients(&self.access).await?;
        let line = Line::new(&self.access, &self.caller, clients, self.group.region());
        let mut found = calls::mail_from_attributes(&line, questions).await?;
        let times = (sent, self.access.clock.now());
        let mut state = self.group.lock();
        let land = |name| state.mail_from.brought(name, Ok(found.remove(name)), times);
        Ok(questions.iter().flat_map(land).collect())
    }

    async fn verification(
        &self,
        questions: &[DomainName],
        sent: Timestamp,
    ) -> Result<Vec<ObjectKey>, Error> {
        let clients = self.caller.clients(&self.access).await?;
        let line = Line::new(&self.access, &self.caller, clients, self.group.region());
        let found = calls::verification_attributes(&line, questions).await?;
        let times = (sent, self.access.clock.now());
        let mut state = self.group.lock();
        let land = |name| {
            let known = found.get(name).copied().unwrap_or(Verification::Missing);
            state.verification.brought(name, Ok(known), times)
        };
        Ok(questions.iter().flat_map(land).collect())
    }

    async fn one_by_one(
        &self,
        subject: Subject,
        questions: &[DomainName],
        sent: Timestamp,
    ) -> Result<Vec<ObjectKey>, Error> {
        let clients = self.caller.clients(&self.access).await?;
        let line = Line::new(&self.access, &self.caller, clients, self.group.region());
        let mut woken = Vec::new();
        for name in questions {
            let identity = calls::identity(&line, name).await?;
            let times = (sent, self.access.clock.now());
            woken.extend(self.group.lock().identity(subject, name, identity, times));
        }
        Ok(woken)
    }

    /// Page by page; the first page's turn is taken already. Only identities
    /// that somebody asks for are kept.
    async fn list(
        &self,
        questions: &[DomainName],
        sent: Timestamp,
    ) -> Result<Vec<ObjectKey>, Error> {
        let (mut found, mut token, mut pages) = (HashMap::new(), None, 0);
        let (operation, region) = (Operation::ListEmailIdentities, self.group.region());
        loop {
            let clients = self.caller.clients(&self.access).await?;
            let line = Line::new(&self.access, &self.caller, clients, region);
            match calls::list_page(&line, token.as_ref()).await {
                Ok((page, next)) => {
                    pages += 1;
                    found.extend(page);
                    token = next;
                    self.group.lock().answered();
                    if token.is_none() {
                        let times = (sent, self.access.clock.now());
                        return Ok(self.group.lock().listed(questions, &found, pages, times));
                    }
                }
                // What has come of the list so far is kept.
                Err(error) if error.kind() == ErrorKind::Throttled && self.group.lock().again() => {
                }
                Err(error) => return Err(error),
            }
            let key = LaneKey::Ses(self.caller.payer(), operation, region.clone());
            let (rank, hastened) = (|| self.list.rank(), &self.list.hastened);
            sweep_turn(&self.access.lane(&key), rank, hastened).await;
            let urgent = || rank() == Rank::Urgent;
            self.access.turn_of_many(&key, "", urgent, hastened).await;
        }
    }
}

/// What becomes of questions whose call failed: they are asked again, in another
/// way, or those who wait are told.
fn settle(
    state: &mut State,
    subject: Subject,
    way: Way,
    questions: &[DomainName],
    error: &Error,
    (sent, now): (Timestamp, Timestamp),
) -> Vec<ObjectKey> {
    let passing = error.kind() == ErrorKind::Throttled || error.ends_session();
    let another_way = error.kind() == ErrorKind::AccessDenied && way != Way::OneByOne;
    if another_way {
        state.refuse(way.operation(), now);
    } else if error.kind() == ErrorKind::AccessDenied {
        // Nothing is allowed: whatever will be next is found out anew.
        state.forget_refusals(now);
    }
    if another_way || (passing && state.again()) {
        for question in questions {
            state.ask_again(subject, question, sent);
        }
        return Vec::new();
    }
    let fail = |question| state.fail(subject, question, error.clone(), (sent, now));
    questions.iter().flat_map(fail).collect()
}
