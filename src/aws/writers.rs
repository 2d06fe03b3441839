//! One writer per hosted zone: Route 53 refuses a change while another one to
//! the same zone is being made (`PriorRequestNotComplete`). Changes are handed
//! over to it, wait for company and for quota, and leave in batches. How each
//! ended is kept until it is asked for.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::Error;
use super::line::{Line, Linger, Waiting};
use super::route53::Load;
use crate::authority::{Credentials, Grant, ObjectKey, Place};
use crate::mail::{ChangeBatch, DomainName, HostedZoneId, SharedText};

/// What became of a change that was handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Handed {
    /// It waits to be sent; the object is woken when it has ended.
    New,
    /// The same waits, or is on its way.
    Already,
    /// Another one of this object and place is on its way, or has ended and
    /// was not asked for: it must be looked at first. The object is woken.
    Refused,
}

/// A change that was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Changed {
    /// The bare id, the same for all that were made together.
    pub id: String,
    /// When Route 53 answered.
    pub at: Timestamp,
}

/// How the changes of an object ended.
#[derive(Debug, Default)]
pub struct Endings {
    /// Nothing was changed where there is an error, unless it is of the kind
    /// [`super::ErrorKind::Unavailable`]: then the answer may have been lost.
    pub ended: Vec<(Place, Result<Changed, Error>)>,
    /// Whether another one is on its way.
    pub on_its_way: bool,
}

/// One object's change to one name.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) grant: Grant,
    pub(super) name: DomainName,
    pub(super) batch: Arc<ChangeBatch>,
}

/// Those who may be sent together.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct LineKey {
    pub(super) credentials: Credentials,
    /// Was refused before, and goes by itself so that it holds up nobody.
    alone: bool,
}

/// What the writer of a zone has to do.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Duty {
    /// Nobody waits: it ends.
    Nothing,
    Wait(Instant),
    /// On behalf of this namespace.
    Send {
        line: LineKey,
        namespace: SharedText,
    },
}

#[derive(Debug)]
enum State {
    Waiting { zone: HostedZoneId, line: LineKey, number: u64, batch: Arc<ChangeBatch> },
    OnItsWay(Arc<ChangeBatch>),
    Ended(Result<Changed, Error>),
}

#[derive(Debug, Default)]
struct Lines {
    /// The next to be served first.
    waiting: VecDeque<(LineKey, Line<Member>)>,
    /// Up to when the next batch counts as one of many: the last one left not long
    /// before.
    busy_until: Option<Instant>,
    /// Somebody has come or gone.
    changed: Arc<Notify>,
}

/// All zones.
#[derive(Debug)]
pub(super) struct Writers {
    linger: Linger,
    /// Those that have a writer.
    zones: HashMap<HostedZoneId, Lines>,
    changes: HashMap<ObjectKey, BTreeMap<Place, State>>,
    /// Whose last change was refused on its own account.
    culprits: HashMap<ObjectKey, BTreeSet<Place>>,
    numbers: u64,
    /// Nothing is sent any more.
    closed: bool,
    sending: usize,
}

impl Writers {
    pub(super) fn new(linger: Linger) -> Self {
        Self {
            linger,
            zones: HashMap::new(),
            changes: HashMap::new(),
            culprits: HashMap::new(),
            numbers: 0,
            closed: false,
            sending: 0,
        }
    }

    /// Takes a change in. Tells also whether a writer must start for its zone.
    pub(super) fn hand_over(&mut self, member: Member, now: Instant) -> (Handed, bool) {
        let (object, place) = (member.grant.object().clone(), member.grant.place().clone());
        let alone = self.culprits.get(&object).is_some_and(|places| places.contains(&place));
        let line = LineKey { credentials: member.grant.credentials().clone(), alone };
        let zone = member.batch.zone.clone();
        match self.changes.get(&object).and_then(|places| places.get(&place)) {
            Some(State::OnItsWay(batch)) if *batch == member.batch => {
                return (Handed::Already, false);
            }
            Some(State::OnItsWay(_) | State::Ended(_)) => return (Handed::Refused, false),
            Some(State::Waiting { zone: before, line: beside, number, batch })
                if *before == zone && *beside == line =>
            {
                let same = *batch == member.batch;
                let number = *number;
                self.replace(&zone, &line, number, member, now);
                return (if same { Handed::Already } else { Handed::New }, false);
            }
            Some(State::Waiting { .. }) => self.remove(&object, &place),
            None => {}
        }
        (Handed::New, self.push(zone, line, member, now))
    }

    fn push(&mut self, zone: HostedZoneId, line: LineKey, member: Member, now: Instant) -> bool {
        let number = self.numbers;
        self.numbers += 1;
        let (object, place) = (member.grant.object().clone(), member.grant.place().clone());
        let waiting = Waiting {
            namespace: object.namespace().clone(),
            name: member.name.clone(),
            load: Load::of(&member.batch),
            since: now,
            urgent: member.grant.is_urgent(),
            item: member,
        };
        let batch = Arc::clone(&waiting.item.batch);
        let start = !self.zones.contains_key(&zone);
        let lines = self.zones.entry(zone.clone()).or_default();
        let at = lines.waiting.iter().position(|(key, _)| *key == line);
        let at = at.unwrap_or_else(|| {
            lines.waiting.push_back((line.clone(), Line::default()));
            lines.waiting.len() - 1
        });
        lines.waiting[at].1.push(number, waiting);
        lines.changed.notify_one();
        let state = State::Waiting { zone, line, number, batch };
        self.changes.entry(object).or_default().insert(place, state);
        start
    }

    /// What waits is the newer one from now on, with the newer leave.
    fn replace(
        &mut self,
        zone: &HostedZoneId,
        line: &LineKey,
        number: u64,
        member: Member,
        now: Instant,
    ) {
        let (object, place) = (member.grant.object().clone(), member.grant.place().clone());
        let newer = Arc::clone(&member.batch);
        if let Some(State::Waiting { batch, .. }) =
            self.changes.get_mut(&object).and_then(|places| places.get_mut(&place))
        {
            *batch = newer;
        }
        let Some(lines) = self.zones.get_mut(zone) else { return };
        if let Some((_, line)) = lines.waiting.iter_mut().find(|(key, _)| key == line) {
            if member.grant.is_urgent() {
                line.urge(number, now);
            }
            let load = Load::of(&member.batch);
            line.replace(number, member, load);
            lines.changed.notify_one();
        }
    }

    /// Takes back what waits at a place.
    fn remove(&mut self, object: &ObjectKey, place: &Place) {
        let Some(places) = self.changes.get_mut(object) else { return };
        let Some(State::Waiting { zone, line, number, .. }) = places.remove(place) else { return };
        if places.is_empty() {
            self.changes.remove(object);
        }
        let Some(lines) = self.zones.get_mut(&zone) else { return };
        if let Some((_, line)) = lines.waiting.iter_mut().find(|(key, _)| *key == line) {
            line.remove(number);
        }
        lines.changed.notify_one();
    }

    /// Takes back what an object no longer wants changed. `false` where that has
    /// left already: the object is woken when it has ended.
    pub(super) fn withdraw(&mut self, object: &ObjectKey, but: &BTreeSet<DomainName>) -> bool {
        let Some(places) = self.changes.get(object) else { return true };
        let kept = |place: &&Place| matches!(place, Place::Name(name) if but.contains(name.name()));
        let unwanted: Vec<_> = places.keys().filter(|place| !kept(place)).cloned().collect();
        let waits = |place: &Place| matches!(places[place], State::Waiting { .. });
        let all_wait = unwanted.iter().all(waits);
        let waiting: Vec<_> = unwanted.into_iter().filter(waits).collect();
        for place in waiting {
            self.remove(object, &place);
        }
        all_wait
    }

    /// The object is gone.
    pub(super) fn forget(&mut self, object: &ObjectKey) {
        self.withdraw(object, &BTreeSet::new());
        self.endings(object);
        self.culprits.remove(object);
    }

    /// How the changes of an object ended; told once.
    pub(super) fn endings(&mut self, object: &ObjectKey) -> Endings {
        let mut endings = Endings::default();
        let Some(places) = self.changes.get_mut(object) else { return endings };
        for (place, state) in std::mem::take(places) {
            match state {
                State::Ended(result) => endings.ended.push((place, result)),
                state => {
                    endings.on_its_way |= matches!(state, State::OnItsWay(_));
                    places.insert(place, state);
                }
            }
        }
        if places.is_empty() {
            self.changes.remove(object);
        }
        endings
    }

    /// What the writer of a zone has to do now, and what tells it of a change. It
    /// stays for a while after a batch, to know the next one from a first.
    pub(super) fn duty(&mut self, zone: &HostedZoneId, now: Instant) -> (Duty, Arc<Notify>) {
        let Some(lines) = self.zones.get_mut(zone) else {
            return (Duty::Nothing, Arc::default());
        };
        let changed = Arc::clone(&lines.changed);
        lines.waiting.retain(|(_, line)| !line.is_empty());
        let busy_until = lines.busy_until.filter(|until| *until > now);
        let (linger, busy) = (self.linger, busy_until.is_some());
        let due = |(key, line): &(LineKey, Line<Member>)| {
            // Who goes alone has no company to wait for.
            if key.alone { Some(now) } else { line.due(linger, busy) }
        };
        let first = lines.waiting.iter().find(|line| due(line).is_some_and(|due| due <= now));
        let duty = match first {
            _ if self.closed => Duty::Nothing,
            Some((key, line)) => Duty::Send { line: key.clone(), namespace: line.namespace() },
            None => {
                let due = lines.waiting.iter().filter_map(due).min();
                due.or(busy_until).map_or(Duty::Nothing, Duty::Wait)
            }
        };
        if duty == Duty::Nothing {
            self.zones.remove(zone);
        }
        (duty, changed)
    }

    /// Whether a person waits in any line of a zone: whatever is on its way there holds
    /// them up.
    pub(super) fn is_waited_for(&self, zone: &HostedZoneId) -> bool {
        let mut lines = self.zones.get(zone).into_iter().flat_map(|lines| &lines.waiting);
        lines.any(|(_, line)| line.is_urgent())
    }

    /// The next batch of a line, which then goes behind the other lines. Empty
    /// where all have left it.
    pub(super) fn take(&mut self, zone: &HostedZoneId, key: &LineKey, now: Instant) -> Vec<Member> {
        let longest = self.linger.longest;
        let Some(lines) = self.zones.get_mut(zone).filter(|_| !self.closed) else {
            return Vec::new();
        };
        let Some(at) = lines.waiting.iter().position(|(other, _)| other == key) else {
            return Vec::new();
        };
        let Some((_, mut line)) = lines.waiting.remove(at) else { return Vec::new() };
        let batch = line.take(if key.alone { 1 } else { usize::MAX });
        lines.busy_until = Some(now + longest);
        lines.waiting.push_back((key.clone(), line));
        let members: Vec<Member> = batch.into_iter().map(|waiting| waiting.item).collect();
        for Member { grant, batch, .. } in &members {
            let places = self.changes.entry(grant.object().clone()).or_default();
            places.insert(grant.place().clone(), State::OnItsWay(Arc::clone(batch)));
        }
        self.sending += usize::from(!members.is_empty());
        members
    }

    /// Whether the writers may go on.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// A change has ended. One refused on its own account goes alone until it
    /// is made.
    pub(super) fn ended(&mut self, grant: &Grant, result: Result<Changed, Error>, culprit: bool) {
        let (object, place) = (grant.object(), grant.place());
        if culprit {
            self.culprits.entry(object.clone()).or_default().insert(place.clone());
        } else if let Some(places) = self.culprits.get_mut(object).filter(|_| result.is_ok()) {
            places.remove(place);
        }
        if self.culprits.get(object).is_some_and(BTreeSet::is_empty) {
            self.culprits.remove(object);
        }
        let places = self.changes.entry(object.clone()).or_default();
        places.insert(place.clone(), State::Ended(result));
    }

    /// A batch is through.
    pub(super) fn sent(&mut self) {
        self.sending = self.sending.saturating_sub(1);
    }

    /// Nothing leaves any more.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for lines in self.zones.values() {
            lines.changed.notify_one();
        }
    }

    /// Whether nothing is on its way.
    pub(super) fn is_idle(&self) -> bool {
        self.sending == 0
    }
}
