//! Reads a zone: waits until something is to be asked, takes a turn, and asks
//! for the page that tells most.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use super::super::access::{Access, LaneKey};
use super::super::call::{Operation, Target};
use super::super::caller::Caller;
use super::super::rank::Rank;
use super::super::{Error, ErrorKind};
use super::GATHER;
use super::listing::{Page, Start};
use super::records::{self, Set};
use super::zone::{Call, ZoneView};

/// The most record sets that Route 53 returns at once. Fewer cost as much.
const WHOLE_PAGE: i32 = 300;

/// Has a zone read, unless somebody does already.
pub(super) fn start(access: &Arc<Access>, view: &Arc<ZoneView>) {
    let begun = std::mem::replace(&mut view.lock().served, true);
    view.changed.notify_one();
    if !begun {
        let (shared, view) = (Arc::clone(access), Arc::clone(view));
        access.spawn(async move { serve(&shared, &view).await });
    }
}

/// What there is to do.
enum Next {
    Call { rank: Rank, gather: bool },
    Wait(Instant),
    Nothing,
}

async fn serve(access: &Arc<Access>, view: &ZoneView) {
    loop {
        match next(access, view) {
            Next::Nothing => return,
            Next::Wait(until) => {
                tokio::select! {
                    () = sleep_until(until) => {}
                    () = view.changed.notified() => {}
                }
            }
            Next::Call { rank, gather } => {
                if gather {
                    sleep(GATHER).await;
                }
                // Boxed: most of the time there is no call, and its future is large.
                Box::pin(call(access, view, rank)).await;
            }
        }
    }
}

fn next(access: &Access, view: &ZoneView) -> Next {
    let now = access.clock.now();
    let mut state = view.lock();
    state.tidy(now);
    if let Some(rank) = state.rank(now) {
        return Next::Call { rank, gather: !state.is_reading() };
    }
    let Some(due) = state.next_due() else {
        state.served = false;
        return Next::Nothing;
    };
    let wait = Duration::try_from(due.duration_since(now)).unwrap_or_default();
    Next::Wait(Instant::now() + wait)
}

/// Makes one call, if there still is one to be made.
async fn call(access: &Arc<Access>, view: &ZoneView, rank: Rank) {
    let caller = access.caller(&view.credentials);
    let session = caller.clients(access).await.map(|_| ());
    let Some(first) = draw(access, view) else { return };
    if let Err(error) = session {
        return access.wake_all(&view.lock().fail(&error, access.clock.now()));
    }
    let lane = LaneKey::Route53(caller.payer());
    let is = |rank| view.lock().rank(access.clock.now()) == Some(rank);
    if rank == Rank::Watched {
        let lane = access.lane(&lane);
        if !lane.sweep_turn_while(|| is(Rank::Watched), &view.changed).await {
            return;
        }
    }
    let urgent = || is(Rank::Urgent);
    access.turn_of_many(&lane, &first.namespace, urgent, &view.changed).await;
    // Whoever has come meanwhile is among them.
    let Some(call) = draw(access, view) else { return access.lane(&lane).give_back() };
    let sent = access.clock.now();
    let read = read_page(access, &caller, view, &call.start).await;
    let now = access.clock.now();
    let woken = {
        let mut state = view.lock();
        match read {
            Ok(page) => state.take_in(sent, &call, page, now),
            Err(error) if is_passing(&error) && state.again() => Vec::new(),
            Err(error) => state.fail(&error, now),
        }
    };
    access.wake_all(&woken);
}

/// What is to be asked now, first of all this.
fn draw(access: &Access, view: &ZoneView) -> Option<Call> {
    let mut woken = Vec::new();
    let call = view.lock().call(access.clock.now(), &mut woken);
    access.wake_all(&woken);
    call
}

/// Whether a call is made again whoever waits.
fn is_passing(error: &Error) -> bool {
    error.kind() == ErrorKind::Throttled || error.ends_session()
}

async fn read_page(
    access: &Arc<Access>,
    caller: &Caller,
    view: &ZoneView,
    start: &Start,
) -> Result<Page<Set>, Error> {
    let zone = &view.zone;
    let operation = Operation::ListResourceRecordSets;
    let target = Target::global(operation, format_args!("hosted zone {zone}"));
    let call = caller.clients(access).await?.route53.list_resource_record_sets();
    let call = call
        .hosted_zone_id(zone.as_str())
        .start_record_name(&start.name)
        .set_start_record_type(start.rtype.as_deref().map(Into::into))
        .set_start_record_identifier(start.id.clone())
        .max_items(WHOLE_PAGE);
    let lane = LaneKey::Route53(caller.payer());
    let answer = caller.transmit(access, &lane, &target, Box::pin(call.send())).await;
    if answer.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        access.zone_book.forget(zone);
    }
    let page = records::page(answer?);
    if page.next.as_ref() == Some(start) {
        return Err(Error::incomplete(&target, "a next page"));
    }
    Ok(page)
}
