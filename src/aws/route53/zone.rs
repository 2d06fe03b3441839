//! One hosted zone, as one set of credentials sees it: what is asked of it,
//! what is known, and what is read next.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

use super::super::board::Board;
use super::super::memo::Backoff;
use super::super::rank::Rank;
use super::super::{Error, Reply, lock};
use super::in_zone::{InZone, Inspection, Told};
use super::listing::{Page, Start};
use super::reading::{Answered, Look as _, Reading};
use super::records::Set;
use crate::authority::{Credentials, ObjectKey, Sight};
use crate::compact::Compact;
use crate::mail::{DomainName, HostedZoneId, NameView, SharedText};

/// So many pages are held at most.
const PAGES: usize = 8;

/// So long after they last told something pages are held: where many objects begin,
/// those that begin last ask what the first had to read. Longer than a slow API
/// server keeps all of them from beginning: each later one would read its own name.
const HELD: SignedDuration = SignedDuration::from_mins(2);

/// When the first of what is watched is due, so is what will be within such a
/// part of its pace: one pass reads it all.
const EARLY: u32 = 2;

/// Calls that fail in a row for want of quota or of a session, before all who
/// wait are told.
const PATIENCE: u32 = 4;

/// A hosted zone, as one set of credentials sees it.
#[derive(Debug)]
pub(in super::super) struct ZoneView {
    pub(super) credentials: Credentials,
    pub(super) zone: HostedZoneId,
    state: Mutex<State>,
    /// There is something to do.
    pub(super) changed: Notify,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) board: Board<InZone, Compact<Told>>,
    reading: Reading<Inspection>,
    /// How old the answers may be to what was asked since the last call was drawn: for
    /// each question, as who wants the newest said.
    wanted: HashMap<InZone, Timestamp>,
    /// When a page was last read or told something, while pages are held.
    held_since: Option<Timestamp>,
    /// What changes of ours have ended at since the last call was drawn.
    changed: HashSet<DomainName>,
    /// Calls in a row that are to be made again.
    in_vain: u32,
    /// Somebody reads.
    pub(super) served: bool,
}

/// A call that is to be made now.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) start: Start,
    /// On behalf of whom; of nobody in particular what is kept up.
    pub(super) namespace: SharedText,
}

impl ZoneView {
    pub(in super::super) fn new(
        credentials: Credentials,
        zone: HostedZoneId,
        retry: Backoff,
    ) -> Self {
        let state = State {
            board: Board::new(retry),
            reading: Reading::holding(PAGES),
            wanted: HashMap::new(),
            held_since: None,
            changed: HashSet::new(),
            in_vain: 0,
            served: false,
        };
        Self { credentials, zone, state: Mutex::new(state), changed: Notify::new() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Whether nothing is known of it that is worth keeping, and nothing wanted.
    pub(in super::super) fn is_idle(&self, now: Timestamp) -> bool {
        let mut state = self.lock();
        if state.served {
            return false;
        }
        // What has grown old since nobody asks, nobody else forgets.
        state.board.forget_old(now);
        state.board.questions().next().is_none()
    }

    /// When a name was last read well.
    pub(in super::super) fn last(&self, name: &DomainName) -> Option<Timestamp> {
        self.lock().board.last(&InZone::At(name.clone()))
    }

    /// What stands at a name, by what was last read there, and when that was
    /// sent for.
    pub(super) fn known(&self, name: &DomainName) -> Option<(Timestamp, NameView)> {
        let state = self.lock();
        let known = state.board.known(&InZone::At(name.clone()));
        match known.and_then(|(sent, told)| Some((sent, told.open()?))) {
            Some((sent, Told::At(view))) => Some((sent, view)),
            _ => None,
        }
    }

    /// Changes to names have ended, however they ended: what was asked before
    /// may miss them. They may also have made or unmade the empty names above
    /// them, which other names share.
    pub(in super::super) fn changed(&self, names: &HashSet<DomainName>, now: Timestamp) {
        let mut state = self.lock();
        state.changed.extend(names.iter().cloned());
        state.forget_changed(names);
        let above: HashSet<DomainName> =
            names.iter().flat_map(DomainName::ancestors_and_self).collect();
        let shares = |name: &DomainName, apex: &DomainName| {
            let top = name.ancestors_and_self().take_while(|above| above.is_below(apex)).last();
            top.is_some_and(|top| above.contains(&top))
        };
        let around = state.board.questions().filter(
            |question| matches!(question, InZone::Around { name, apex } if shares(name, apex)),
        );
        let around: Vec<InZone> = around.cloned().collect();
        for question in around {
            state.board.invalidate(&question, now);
            // What has been made, nobody asks about again.
            state.board.forget_idle(&question);
        }
        for question in names.iter().cloned().map(InZone::At) {
            state.board.invalidate(&question, now);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// What stands at a name now, as a change of ours has left it. Returns those
    /// to be woken.
    pub(in super::super) fn record(
        &self,
        name: &DomainName,
        sent: Timestamp,
        view: NameView,
    ) -> Vec<ObjectKey> {
        let told = Compact::of(&Told::At(view));
        self.lock().board.record(&InZone::At(name.clone()), sent, told)
    }
}

impl State {
    /// What is known; of what is held, whatever it answers. Returns also the others
    /// to be woken, whom that answers as well.
    pub(super) fn look(
        &mut self,
        question: &InZone,
        sight: Sight,
        not_before: Timestamp,
        now: Timestamp,
    ) -> (Reply<Told>, Vec<ObjectKey>) {
        let mut woken = Vec::new();
        if self.board.last(question).is_none_or(|sent| sent < not_before) {
            let mut look = Inspection::from(question.clone());
            if let Ok((sent, told)) = look.go_on(&self.reading.listing, not_before) {
                self.held_since = Some(now);
                woken = self.board.note(question, sent, Compact::of(&told));
                woken.retain(|object| object != sight.object());
            }
        }
        let urgent = sight.is_urgent();
        let reply = self.board.look(question, sight, not_before, now);
        let reply = reply.and_then(|told| told.open());
        if reply == Reply::NotYet {
            let wanted = self.wanted.entry(question.clone()).or_insert(not_before);
            *wanted = not_before.max(*wanted);
            if urgent {
                self.reading.hasten(|look| look.is(question));
            }
        }
        (reply, woken)
    }

    /// Of what rank the next call is.
    pub(super) fn rank(&self, now: Timestamp) -> Option<Rank> {
        let asked = self.board.is_asked().then_some(Rank::Asked);
        let asked = if self.board.is_urgent() { Some(Rank::Urgent) } else { asked };
        let due = self.board.next_due().filter(|due| *due <= now).map(|_| Rank::Watched);
        [asked, self.reading.next(), due].into_iter().flatten().min()
    }

    /// Whether a pass is under way: who comes now joins it.
    pub(super) fn is_reading(&self) -> bool {
        self.reading.next().is_some()
    }

    /// When there is something to do next, of what can be foreseen.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let held_until = self.held_since.map(|since| since + HELD);
        self.board.next_due().into_iter().chain(held_until).min()
    }

    /// Pages that nobody asked for are not held for long.
    pub(super) fn tidy(&mut self, now: Timestamp) {
        if self.held_since.is_some_and(|since| now >= since + HELD) && !self.is_reading() {
            self.forget_pages();
            self.board.forget_old(now);
            // What stands around a name is asked before something is made there.
            let around = |question: &InZone| matches!(question, InZone::Around { .. });
            self.board.forget_older(now, HELD, around);
        }
    }

    /// Pages tell nothing of these names any more.
    fn forget_changed(&mut self, names: &HashSet<DomainName>) {
        for name in names {
            self.reading.listing.changed(name.as_str());
        }
    }

    fn forget_pages(&mut self) {
        self.held_since = None;
        self.reading.listing.retain(|_| false);
    }

    /// The next call, with all that is to be asked by now. Who may not look any
    /// more is woken.
    pub(super) fn call(&mut self, now: Timestamp, woken: &mut Vec<ObjectKey>) -> Option<Call> {
        let wanted = std::mem::take(&mut self.wanted);
        while self.board.is_asked() {
            let (most, rank) = if self.board.is_urgent() {
                (1, Rank::Urgent)
            } else {
                (self.board.asked(), Rank::Asked)
            };
            let draw = self.board.draw(now, most, EARLY);
            woken.extend(draw.dropped);
            for question in draw.questions {
                // A page that is held may tell already: one that has come since.
                let not_before = self.not_before(&question, wanted.get(&question), now);
                let told = self.reading.ask(question.into(), rank, not_before);
                woken.extend(told.into_iter().flat_map(|told| self.answered(told, now)));
            }
        }
        if !self.reading.has(Rank::Watched) {
            let due = self.board.due(now, EARLY);
            for question in due {
                let told = self.reading.ask(question.into(), Rank::Watched, now);
                woken.extend(told.into_iter().flat_map(|told| self.answered(told, now)));
            }
        }
        let (board, mut dropped) = (&self.board, Vec::new());
        let leave = |look: &Inspection| board.namespace_of(&look.question());
        let next = self.reading.start(leave, &mut dropped);
        for look in dropped {
            woken.extend(self.board.dropped(&look.question()));
        }
        let (start, namespace) = next?;
        self.changed.clear();
        Some(Call { start, namespace })
    }

    /// How old the answer may be to a question that is drawn now: what is known is too
    /// old for those who wait, if any still do.
    fn not_before(
        &self,
        question: &InZone,
        wanted: Option<&Timestamp>,
        now: Timestamp,
    ) -> Timestamp {
        let known = self.board.last(question);
        let wanted = wanted.filter(|wanted| known.is_none_or(|sent| sent < **wanted));
        wanted.map_or(now, |wanted| now.min(*wanted))
    }

    /// Takes in the page that a call has brought. Returns those to be woken.
    pub(super) fn take_in(
        &mut self,
        sent: Timestamp,
        call: &Call,
        page: Page<Set>,
        now: Timestamp,
    ) -> Vec<ObjectKey> {
        self.in_vain = 0;
        self.held_since = Some(now);
        let answered = self.reading.take_in(sent, &call.start, page);
        // The board knows which of what it had asked a change makes old.
        let changed = std::mem::take(&mut self.changed);
        self.forget_changed(&changed);
        let mut woken = Vec::new();
        for answered in answered {
            // What is only kept up has no flight that a change could have outdated.
            if answered.rank != Rank::Watched || changed.is_empty() {
                woken.extend(self.answered(answered, now));
            }
        }
        woken
    }

    fn answered(&mut self, answered: Answered<Inspection>, now: Timestamp) -> Vec<ObjectKey> {
        let Answered { look, rank, sent, told } = answered;
        let told = Compact::of(&told);
        match rank {
            Rank::Urgent | Rank::Asked => self.board.answered(&look.question(), sent, told, now),
            Rank::Watched => self.board.record(&look.question(), sent, told),
        }
    }

    /// A call that was throttled, or that AWS would not take from the session:
    /// whether it is made again.
    pub(super) fn again(&mut self) -> bool {
        self.in_vain += 1;
        self.in_vain < PATIENCE
    }

    /// A call has failed for good: all that was to be read is given up. Returns
    /// those to be woken.
    pub(super) fn fail(&mut self, error: &Error, now: Timestamp) -> Vec<ObjectKey> {
        self.in_vain = 0;
        let looks = self.reading.give_up().into_iter();
        let fail = |(_, look): (Rank, Inspection)| {
            self.board.landed(&look.question(), Err(error.clone()), now)
        };
        looks.flat_map(fail).collect()
    }
}
