//! One queue before one bucket. Calls wait in it for their turn; objects wait
//! in it for a permit, without anything of theirs running meanwhile.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, sleep_until};

use super::bucket::Bucket;
use super::gate::{Gate, UnderWay};
use super::lock;
use super::queue::FairQueue;
use crate::authority::ObjectKey;

/// A permit that nobody fetches goes back after this time: its object was
/// woken, was planned again, and does not need it any more.
const LAPSE: Duration = Duration::from_secs(10);

/// What the lane's worker does next.
#[derive(Debug)]
pub(super) struct Step {
    /// Whose permits are there now: wake them.
    pub(super) reserved: Vec<ObjectKey>,
    /// When to look again; `None` where nothing is left to wait for.
    pub(super) next: Option<Instant>,
}

#[derive(Debug)]
enum Waiting {
    Call(oneshot::Sender<()>),
    Permit(ObjectKey),
}

#[derive(Debug)]
struct State {
    bucket: Bucket,
    queue: FairQueue<Waiting>,
    /// With whether a person waits for it.
    queued: HashMap<ObjectKey, bool>,
    /// With the moment at which each lapses.
    reserved: HashMap<ObjectKey, Instant>,
    working: bool,
}

/// A queue and its bucket.
#[derive(Debug)]
pub(super) struct Lane {
    state: Mutex<State>,
    changed: Notify,
    gate: Gate,
    /// When the next call of a sweep may be made.
    sweeps: tokio::sync::Mutex<Option<Instant>>,
}

/// A token that was taken; returned when dropped unspent.
#[derive(Debug)]
pub(super) struct Token {
    lane: Arc<Lane>,
    spent: bool,
}

impl Token {
    pub(super) fn spend(&mut self) {
        self.spent = true;
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if !self.spent {
            lock(&self.lane.state).bucket.give_back();
            self.lane.changed.notify_one();
        }
    }
}

/// What an object that asks for a permit gets, and whether a worker must start.
pub(super) enum Asked {
    Now(Token),
    Later { start: bool },
}

/// Whether there is a permit for an object, and whether a worker must start.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct Reserved {
    pub(super) there: bool,
    pub(super) start: bool,
}

impl Lane {
    /// `rate` in requests per second. Another process may have acted until `opened`;
    /// `None` where there is none.
    pub(super) fn new(rate: f64, opened: Option<Instant>) -> Arc<Self> {
        let full = || Bucket::new(rate, Instant::now());
        let state = State {
            bucket: opened.map_or_else(full, |opened| Bucket::empty(rate, opened)),
            queue: FairQueue::default(),
            queued: HashMap::new(),
            reserved: HashMap::new(),
            working: false,
        };
        let gate = Gate::new(Instant::now());
        let (state, sweeps) = (Mutex::new(state), tokio::sync::Mutex::default());
        Arc::new(Self { state, changed: Notify::new(), gate, sweeps })
    }

    /// Queues a call; the receiver hears when it is its turn, its token taken.
    /// Also says whether a worker must start.
    pub(super) fn queue_call(
        &self,
        namespace: &str,
        urgent: bool,
    ) -> (oneshot::Receiver<()>, bool) {
        let (turn, wait) = oneshot::channel();
        let mut state = lock(&self.state);
        state.queue.push(namespace, urgent, Waiting::Call(turn));
        (wait, self.start(&mut state))
    }

    /// A permit: the one that is reserved, or one that nobody waits for;
    /// otherwise the holder is queued for one, once.
    pub(super) fn ask(self: &Arc<Self>, holder: &ObjectKey, urgent: bool) -> Asked {
        let mut state = lock(&self.state);
        if state.reserved.remove(holder).is_some() || self.take_unclaimed(&mut state) {
            return Asked::Now(Token { lane: Arc::clone(self), spent: false });
        }
        Asked::Later { start: self.push_permit(&mut state, holder, urgent) }
    }

    /// As [`Lane::ask`], but what there is is only reserved for the holder, who may have
    /// to do something else first and must not lose its place over it.
    pub(super) fn reserve(&self, holder: &ObjectKey, urgent: bool) -> Reserved {
        let mut state = lock(&self.state);
        if let Some(lapses) = state.reserved.get_mut(holder) {
            *lapses = Instant::now() + LAPSE;
            return Reserved { there: true, start: false };
        }
        if self.take_unclaimed(&mut state) {
            state.reserved.insert(holder.clone(), Instant::now() + LAPSE);
            // Should nobody come for it, somebody has to see that.
            return Reserved { there: true, start: self.start(&mut state) };
        }
        Reserved { there: false, start: self.push_permit(&mut state, holder, urgent) }
    }

    /// Takes a token that nobody waits for.
    fn take_unclaimed(&self, state: &mut State) -> bool {
        state.bucket.lose(self.gate.lost());
        state.queue.is_empty() && state.bucket.take(Instant::now())
    }

    /// Queues a holder once; one that has become urgent is queued again, in
    /// front, and its first place then passes it by.
    fn push_permit(&self, state: &mut State, holder: &ObjectKey, urgent: bool) -> bool {
        let queued = state.queued.get(holder).copied();
        if queued.is_some_and(|before| before || !urgent) {
            return false;
        }
        state.queued.insert(holder.clone(), urgent);
        state.queue.push(holder.namespace(), urgent, Waiting::Permit(holder.clone()));
        self.start(state)
    }

    /// A holder is gone: it has no place any more, and what is reserved for it is the
    /// next one's.
    pub(super) fn forget(&self, holder: &ObjectKey) {
        let mut state = lock(&self.state);
        state.queued.remove(holder);
        if state.reserved.remove(holder).is_some() {
            state.bucket.give_back();
            self.changed.notify_one();
        }
    }

    fn start(&self, state: &mut State) -> bool {
        let start = !state.working;
        state.working = true;
        self.changed.notify_one();
        start
    }

    /// Serves whom it can now.
    pub(super) fn step(&self, now: Instant) -> Step {
        let mut state = lock(&self.state);
        let state = &mut *state;
        state.lapse(now);
        state.bucket.lose(self.gate.lost());
        let mut reserved = Vec::new();
        while !state.queue.is_empty() && state.bucket.take(now) {
            match state.queue.pop() {
                Some(Waiting::Permit(holder)) => {
                    if state.queued.remove(&holder).is_some() {
                        state.reserved.insert(holder.clone(), now + LAPSE);
                        reserved.push(holder);
                    } else {
                        state.bucket.give_back();
                    }
                }
                Some(Waiting::Call(turn)) => {
                    let unheard = turn.send(()).is_err();
                    // Nobody may be waiting for this turn any more.
                    unheard.then(|| state.bucket.give_back());
                }
                None => {}
            }
        }
        let lapse = state.reserved.values().min().copied();
        let token = (!state.queue.is_empty()).then(|| state.bucket.ready_at(now));
        let next = [lapse, token].into_iter().flatten().min();
        state.working = next.is_some();
        Step { reserved, next }
    }

    /// Waits until `next`, or until something changes before.
    pub(super) async fn wait(&self, next: Instant) {
        tokio::select! {
            () = sleep_until(next) => {}
            () = self.changed.notified() => {}
        }
    }

    /// A turn that came was not needed.
    pub(super) fn give_back(&self) {
        lock(&self.state).bucket.give_back();
        self.changed.notify_one();
    }

    /// Waits until a call that nobody waits for may take its turn: whoever else makes
    /// such calls here, half of what the bucket gives is left to those who wait.
    async fn sweep_turn(&self) {
        let mut next = self.sweeps.lock().await;
        if let Some(at) = *next {
            sleep_until(at).await;
        }
        *next = Some(Instant::now() + 2 * lock(&self.state).bucket.interval());
    }

    /// The same for a call that may come to be another's: whenever `changed` is told, it
    /// is asked whether it is `still` nobody's. Returns `false` once it is not. Whatever
    /// else changes, it keeps its place among those who sweep.
    pub(super) async fn sweep_turn_while(
        &self,
        still: impl Fn() -> bool,
        changed: &Notify,
    ) -> bool {
        let mut turn = pin!(self.sweep_turn());
        loop {
            tokio::select! {
                () = &mut turn => return true,
                () = changed.notified() => if !still() { return false },
            }
        }
    }

    /// Waits until a call whose token is taken may leave: tokens may be held for a
    /// while, and calls leave one after another, as evenly as tokens come. It is
    /// under way until what is returned is dropped.
    pub(super) async fn leave(&self) -> UnderWay<'_> {
        self.gate.leave(|| lock(&self.state).bucket.interval()).await
    }

    /// What AWS made of a call of this lane.
    pub(super) fn learn(&self, throttled: bool) {
        let now = Instant::now();
        let bucket = &mut lock(&self.state).bucket;
        bucket.lose(self.gate.lost());
        if throttled { bucket.on_throttled(now) } else { bucket.on_clean(now) }
    }
}

impl State {
    fn lapse(&mut self, now: Instant) {
        let before = self.reserved.len();
        self.reserved.retain(|_, at| *at > now);
        for _ in self.reserved.len()..before {
            self.bucket.give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(name: &str) -> ObjectKey {
        ObjectKey::new(name, name)
    }

    fn taken(asked: Asked) -> Option<Token> {
        match asked {
            Asked::Now(token) => Some(token),
            Asked::Later { .. } => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_is_reserved_for_who_asked_first_and_fetched_once() {
        let lane = Lane::new(1.0, None);
        let first = taken(lane.ask(&holder("a"), false));
        assert!(first.is_some(), "nobody waits and a token is there");
        if let Some(mut token) = first {
            token.spend();
        }
        assert!(matches!(lane.ask(&holder("b"), false), Asked::Later { start: true }));
        assert!(matches!(lane.ask(&holder("b"), false), Asked::Later { start: false }));
        assert!(matches!(lane.ask(&holder("c"), false), Asked::Later { start: false }));
        let now = Instant::now();
        let step = lane.step(now);
        assert!(step.reserved.is_empty());
        assert_eq!(step.next, Some(now + Duration::from_secs(1)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(lane.step(Instant::now()).reserved, [holder("b")]);
        assert!(taken(lane.ask(&holder("c"), false)).is_none(), "b's permit is not c's");
        assert!(taken(lane.ask(&holder("b"), false)).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_reserved_waits_for_who_comes_for_it_later_but_not_for_ever() {
        let lane = Lane::new(1.0, None);
        let reserve = |name| lane.reserve(&holder(name), false);
        assert_eq!(reserve("a"), Reserved { there: true, start: true }, "nobody else waits");
        assert_eq!(reserve("a"), Reserved { there: true, start: false }, "once");
        assert_eq!(reserve("b"), Reserved { there: false, start: false });
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(lane.step(Instant::now()).reserved, [holder("b")]);
        assert!(taken(lane.ask(&holder("c"), false)).is_none());
        for name in ["a", "b"] {
            assert!(reserve(name).there);
            let token = taken(lane.ask(&holder(name), false));
            assert!(token.is_some(), "what was reserved for {name}");
            if let Some(mut token) = token {
                token.spend();
            }
        }
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(lane.step(Instant::now()).reserved, [holder("c")], "its place is kept");
        assert!(reserve("c").there);
        tokio::time::advance(9 * LAPSE / 10).await;
        assert!(reserve("c").there);
        tokio::time::advance(9 * LAPSE / 10).await;
        lane.step(Instant::now());
        assert!(taken(lane.ask(&holder("d"), false)).is_some());
        assert!(reserve("c").there, "it has come a second time");
        tokio::time::advance(LAPSE).await;
        lane.step(Instant::now());
        assert!(!lane.state.lock().is_ok_and(|state| state.reserved.contains_key(&holder("c"))));
    }

    #[tokio::test(start_paused = true)]
    async fn who_acted_before_may_have_taken_what_there_was() {
        let opened = Some(Instant::now());
        let lane = Lane::new(1.0, opened);
        assert!(taken(lane.ask(&holder("a"), true)).is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(lane.step(Instant::now()).reserved, [holder("a")]);
        let later = Lane::new(1.0, opened);
        assert!(taken(later.ask(&holder("a"), true)).is_some(), "nobody else acts any more");
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_is_dropped_or_not_fetched_goes_to_the_next() {
        let lane = Lane::new(0.001, None);
        let token = taken(lane.ask(&holder("a"), false));
        assert!(taken(lane.ask(&holder("b"), false)).is_none());
        drop(token);
        assert_eq!(lane.step(Instant::now()).reserved, [holder("b")]);
        assert!(taken(lane.ask(&holder("c"), false)).is_none());
        tokio::time::advance(LAPSE).await;
        assert_eq!(lane.step(Instant::now()).reserved, [holder("c")]);
        assert!(taken(lane.ask(&holder("b"), false)).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_of_a_small_namespace_does_not_wait_for_all_of_a_large_one() {
        let lane = Lane::new(1.0, None);
        if let Some(mut token) = taken(lane.ask(&holder("a"), false)) {
            token.spend();
        }
        let large = ["0", "1", "2"].map(|name| ObjectKey::new("large", name));
        let small = ObjectKey::new("small", "x");
        for holder in large.iter().chain([&small]) {
            assert!(taken(lane.ask(holder, false)).is_none());
        }
        let mut served = Vec::new();
        for _ in 0..3 {
            tokio::time::advance(Duration::from_secs(1)).await;
            served.extend(lane.step(Instant::now()).reserved);
        }
        let [first, second, _] = large;
        assert_eq!(served, [first, small, second]);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_are_gone_cost_nothing_whether_they_wait_or_have_a_permit() {
        let lane = Lane::new(1.0, None);
        if let Some(mut token) = taken(lane.ask(&holder("a"), false)) {
            token.spend();
        }
        let gone: Vec<_> = (0..1_000).map(|n| holder(&format!("gone-{n}"))).collect();
        for holder in &gone {
            assert!(taken(lane.ask(holder, false)).is_none());
        }
        assert!(taken(lane.ask(&holder("b"), false)).is_none());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(lane.step(Instant::now()).reserved, gone[..1]);
        for holder in &gone {
            lane.forget(holder);
        }
        assert_eq!(lane.step(Instant::now()).reserved, [holder("b")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_nobody_waits_for_costs_nothing() {
        let lane = Lane::new(0.001, None);
        let (gone, start) = lane.queue_call("a", false);
        assert!(start);
        drop(gone);
        let (mut waits, _) = lane.queue_call("a", false);
        let step = lane.step(Instant::now());
        assert!(step.next.is_none(), "nothing is left to wait for: {step:?}");
        assert!(waits.try_recv().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_becomes_urgent_goes_before_the_others_and_is_served_once() {
        let lane = Lane::new(1.0, None);
        if let Some(mut token) = taken(lane.ask(&holder("a"), false)) {
            token.spend();
        }
        for (name, urgent) in [("b", false), ("c", false), ("c", true)] {
            assert!(taken(lane.ask(&holder(name), urgent)).is_none());
        }
        let mut served = Vec::new();
        for _ in 0..4 {
            tokio::time::advance(Duration::from_secs(1)).await;
            served.extend(lane.step(Instant::now()).reserved);
        }
        assert_eq!(served, [holder("c"), holder("b")]);
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_sweep_take_half_of_what_there_is_and_who_leaves_takes_nothing() {
        let lane = Lane::new(4.0, None);
        let begun = Instant::now();
        lane.sweep_turn().await;
        let gone = tokio::time::timeout(Duration::from_millis(1), lane.sweep_turn()).await;
        assert!(gone.is_err());
        let sweepers = (0..40).map(|_| lane.sweep_turn());
        futures::future::join_all(sweepers).await;
        assert_eq!(begun.elapsed(), Duration::from_secs(20));
        lane.learn(true);
        lane.sweep_turn().await;
        lane.sweep_turn().await;
        assert_eq!(begun.elapsed(), Duration::from_millis(21_500), "half of what is left of it");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_given_back_ends_the_wait_for_one() {
        let lane = Lane::new(0.001, None);
        let token = taken(lane.ask(&holder("a"), false));
        let (turn, _) = lane.queue_call("b", false);
        let next = lane.step(Instant::now()).next;
        let begun = Instant::now();
        drop(token);
        lane.wait(next.unwrap_or(begun)).await;
        lane.step(Instant::now());
        assert!(turn.await.is_ok());
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_gate_has_lost_brings_no_tokens() {
        // Whoever looks at the bucket first.
        for first in ["step", "ask", "learn"] {
            let lane = Lane::new(10.0, None);
            for _ in 0..20 {
                drop(lane.leave().await);
            }
            let held_up = lane.leave().await;
            if let Some(mut token) = taken(lane.ask(&holder("a"), false)) {
                token.spend();
            }
            let ask = || assert!(taken(lane.ask(&holder("b"), false)).is_none());
            (first != "ask").then(ask);
            tokio::time::advance(Duration::from_millis(600)).await;
            drop(held_up);
            (first == "ask").then(ask);
            (first == "learn").then(|| lane.learn(false));
            let begun = Instant::now();
            let step = lane.step(begun);
            assert!(step.reserved.is_empty(), "{first}: nothing left for so long: {step:?}");
            let next = step.next.unwrap_or(begun);
            assert!(begun < next && next < begun + Duration::from_millis(100), "{first}: {step:?}");
            tokio::time::advance(next - begun).await;
            assert_eq!(lane.step(next).reserved, [holder("b")]);
        }
    }
}
