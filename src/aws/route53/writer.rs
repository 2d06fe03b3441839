//! The writer of a zone: takes changes in, and sends them when they are due.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::super::access::{Access, LaneKey};
use super::super::call::{Operation, Target};
use super::super::writers::{Duty, Handed, LineKey, Member};
use super::super::{Error, lock};
use super::sending::Sending;
use crate::authority::{Grant, Place};
use crate::mail::{Change, ChangeBatch, DomainName, HostedZoneId, Routing};

impl Access {
    /// Hands a change over to the writer of its zone.
    pub(in super::super) fn hand_over(
        self: &Arc<Self>,
        grant: Grant,
        batch: &Arc<ChangeBatch>,
    ) -> Handed {
        let name = match changed_name(&grant, batch) {
            Ok(name) => name,
            Err(error) => {
                lock(&self.writers).ended(&grant, Err(error), false);
                (self.wake)(grant.object());
                return Handed::New;
            }
        };
        let member = Member { grant, name, batch: Arc::clone(batch) };
        let (handed, start) = lock(&self.writers).hand_over(member, Instant::now());
        if start {
            self.spawn(write(Arc::clone(self), batch.zone.clone()));
        }
        handed
    }

    /// Sends no more changes. Resolves when none is on its way.
    pub(in super::super) async fn close(&self) {
        lock(&self.writers).close();
        self.closed.notify_waiters();
        loop {
            let sent = self.sent.notified();
            if lock(&self.writers).is_idle() {
                return;
            }
            sent.await;
        }
    }

    /// Resolves once no more changes are sent.
    pub(super) async fn closed(&self) {
        let closed = self.closed.notified();
        if !lock(&self.writers).is_closed() {
            closed.await;
        }
    }
}

/// The name that a change is of, if the grant is for it.
fn changed_name(grant: &Grant, batch: &ChangeBatch) -> Result<DomainName, Error> {
    let refused = |thing: &dyn std::fmt::Display, why| {
        let target = Target::global(Operation::ChangeResourceRecordSets, thing);
        Err(Error::refused(&target, why))
    };
    let Place::Name(name) = grant.place() else {
        return refused(&batch.zone, "the grant is not for a name");
    };
    let (name, thing) = (name.name(), thing(name.name(), &batch.zone));
    if batch.changes.iter().any(|change| change.record().name != *name) {
        return refused(&thing, "the grant is not for this change");
    }
    let plain = |change: &Change| change.record().routing == Routing::Simple;
    if batch.changes.is_empty() || !batch.changes.iter().all(plain) {
        return refused(&thing, "only plain record sets can be changed");
    }
    Ok(name.clone())
}

/// What a change is about, for a person.
pub(super) fn thing(name: &DomainName, zone: &HostedZoneId) -> String {
    format!("{name} in hosted zone {zone}")
}

/// Serves a zone until nobody waits for it.
async fn write(access: Arc<Access>, zone: HostedZoneId) {
    loop {
        let (duty, changed) = lock(&access.writers).duty(&zone, Instant::now());
        match duty {
            Duty::Nothing => return,
            Duty::Wait(due) => {
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = changed.notified() => {}
                }
            }
            Duty::Send { line, namespace } => {
                send(&access, &zone, &line, (&namespace, &changed)).await;
            }
        }
    }
}

/// Sends the next batch of a line, in a turn that was waited for: who comes
/// meanwhile is in it.
async fn send(
    access: &Arc<Access>,
    zone: &HostedZoneId,
    line: &LineKey,
    (namespace, changed): (&str, &Notify),
) {
    let caller = access.caller(&line.credentials);
    let ready = caller.clients(access).await.map(|_| ());
    let bucket = LaneKey::Route53(caller.payer());
    if ready.is_ok() {
        let urgent = || lock(&access.writers).is_waited_for(zone);
        access.turn_of_many(&bucket, namespace, urgent, changed).await;
    }
    let members = lock(&access.writers).take(zone, line, Instant::now());
    if members.is_empty() {
        if ready.is_ok() {
            access.lane(&bucket).give_back();
        }
        return;
    }
    let mut sending = Sending::new(access, (zone, changed), &caller, bucket, members);
    match ready {
        Ok(()) => sending.run().await,
        Err(error) => sending.fail(&error),
    }
}
