//! Route 53: zones found by name, record sets read page by page, changes made
//! by compare-and-swap, many in a batch, and followed to INSYNC.

mod batch;
mod change;
mod comment;
mod in_zone;
mod listing;
mod names;
mod reader;
mod reading;
#[cfg(test)]
mod reading_tests;
mod records;
mod refusal;
mod sending;
mod surroundings;
mod writer;
mod zone;
#[cfg(test)]
mod zone_tests;
mod zones;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

pub(super) use batch::Load;
pub(super) use change::ChangeOf;
pub(super) use in_zone::{InZone, Told};
pub(super) use refusal::clauses;
pub(super) use zone::ZoneView;
pub(super) use zones::{ZoneBook, zones};

use super::Reply;
use super::access::Access;
use super::watchers::Watcher;
use crate::authority::Sight;
use crate::mail::{DomainName, NameView, Surroundings};

/// Questions that come together are answered together: how long the first waits.
const GATHER: Duration = Duration::from_millis(20);

/// What stands at a name.
pub(super) fn name(
    access: &Arc<Access>,
    view: &Arc<ZoneView>,
    name: &DomainName,
    (sight, not_before): (Sight, Timestamp),
) -> Reply<NameView> {
    let reply = look(access, view, &InZone::At(name.clone()), sight, not_before);
    reply.and_then(|told| match told {
        Told::At(view) => Some(view),
        Told::Around(_) => None,
    })
}

/// What stands around a name, up to the zone's apex.
pub(super) fn surroundings(
    access: &Arc<Access>,
    view: &Arc<ZoneView>,
    (name, apex): (&DomainName, &DomainName),
    (sight, not_before): (Sight, Timestamp),
) -> Reply<Surroundings> {
    let question = InZone::Around { name: name.clone(), apex: apex.clone() };
    look(access, view, &question, sight, not_before).and_then(|told| match told {
        Told::Around(surroundings) => Some(surroundings),
        Told::At(_) => None,
    })
}

fn look(
    access: &Arc<Access>,
    view: &Arc<ZoneView>,
    question: &InZone,
    sight: Sight,
    not_before: Timestamp,
) -> Reply<Told> {
    let now = access.clock.now();
    let (reply, woken) = view.lock().look(question, sight, not_before, now);
    access.wake_all(&woken);
    if reply == Reply::NotYet {
        reader::start(access, view);
    }
    reply
}

/// Keeps up what a watcher knows of a name. Returns whether there is a later
/// answer than that.
pub(super) fn watch(
    access: &Arc<Access>,
    view: &Arc<ZoneView>,
    name: &DomainName,
    (watcher, pace, known): (&Arc<Watcher>, Duration, Timestamp),
) -> bool {
    let later = view.lock().board.watch(&InZone::At(name.clone()), watcher, pace, known);
    reader::start(access, view);
    later
}
