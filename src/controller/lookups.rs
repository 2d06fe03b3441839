//! DNS look-ups that nobody waits for: asked in the background, remembered with
//! the time at which they were sent, and whoever asked is woken.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::reconcile::Wake;
use crate::authority::ObjectKey;
use crate::clock::Clock;
use crate::plan::{Answer, Question, Value};

/// Look-ups on their way at once.
const AT_ONCE: usize = 64;
/// Answers remembered at most; who needs one that was forgotten asks anew. Names are
/// asked about until they are seen, and while SES does not see their MX.
const REMEMBERED: usize = 1536;
/// How long it is remembered what servers answered for a name: a resync by default,
/// and no plan relies on what is older.
const SEEN_FOR: SignedDuration = SignedDuration::from_mins(10);
/// How often the old ones are looked for.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// What was asked, and what came back. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lookups {
    all: Arc<Mutex<All>>,
    room: Arc<Semaphore>,
    clock: Clock,
    wake: Wake,
}

#[derive(Default)]
struct All {
    asked: HashMap<Question, Asked>,
    /// Whether somebody looks for the old ones.
    sweeping: bool,
}

#[derive(Default)]
struct Asked {
    answer: Option<(Timestamp, Value)>,
    /// Set while a look-up is on its way: whom to wake.
    on_its_way: Option<BTreeSet<ObjectKey>>,
}

impl Lookups {
    pub(super) fn new(clock: Clock, wake: Wake) -> Self {
        let room = Arc::new(Semaphore::new(AT_ONCE));
        Self { all: Arc::default(), room, clock, wake }
    }

    /// The answer, if one was sent for at `not_before` or later; else `look_up`
    /// is run, unless it runs already, and `object` is woken when it has ended.
    /// One that runs may have been sent too early: the object, once woken, asks
    /// again.
    pub(super) fn ask<F>(
        &self,
        object: &ObjectKey,
        question: &Question,
        not_before: Timestamp,
        look_up: impl FnOnce() -> F,
    ) -> Answer
    where
        F: Future<Output = Value> + Send + 'static,
    {
        let mut all = self.lock();
        if !std::mem::replace(&mut all.sweeping, true) {
            tokio::spawn(self.clone().sweep());
        }
        if all.asked.len() >= REMEMBERED && !all.asked.contains_key(question) {
            all.forget_oldest();
        }
        let asked = all.asked.entry(question.clone()).or_default();
        if let Some((sent, value)) = asked.answer.as_ref().filter(|(sent, _)| *sent >= not_before) {
            return Answer::Known { sent: *sent, value: value.clone() };
        }
        if let Some(waiting) = &mut asked.on_its_way {
            waiting.insert(object.clone());
        } else {
            asked.on_its_way = Some([object.clone()].into());
            tokio::spawn(self.clone().run(question.clone(), look_up()));
        }
        Answer::NotYet
    }

    async fn run(self, question: Question, look_up: impl Future<Output = Value>) {
        // Fails only once closed, which it never is.
        let _room = self.room.acquire().await;
        let sent = self.clock.now();
        let value = look_up.await;
        let waiting = {
            let mut all = self.lock();
            let asked = all.asked.entry(question).or_default();
            asked.answer = Some((sent, value));
            asked.on_its_way.take()
        };
        for object in waiting.into_iter().flatten() {
            (self.wake)(&object);
        }
    }

    /// Now and then, forgets what servers answered some time ago: also where nobody
    /// asks any more, for then everything is well.
    async fn sweep(self) {
        loop {
            sleep(SWEEP_EVERY).await;
            let mut all = self.lock();
            all.forget_old(self.clock.now());
            if !all.asked.keys().any(is_of_a_name) {
                all.sweeping = false;
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl All {
    fn forget_old(&mut self, now: Timestamp) {
        self.asked.retain(|question, asked| {
            let young = asked.sent().is_none_or(|sent| now.duration_since(sent) < SEEN_FOR);
            young || asked.on_its_way.is_some() || !is_of_a_name(question)
        });
        self.asked.shrink_to_fit();
    }

    /// Forgets the older half of the answers that are there.
    fn forget_oldest(&mut self) {
        let mut times: Vec<_> = self.asked.values().filter_map(Asked::sent).collect();
        times.sort_unstable();
        let Some(middle) = times.get(times.len() / 2).copied() else { return };
        self.asked.retain(|_, asked| {
            asked.on_its_way.is_some() || asked.sent().is_none_or(|at| at > middle)
        });
    }
}

impl Asked {
    fn sent(&self) -> Option<Timestamp> {
        self.answer.as_ref().map(|(sent, _)| *sent)
    }
}

/// Not what a parent says of a zone, which is asked for as long as the zone is used.
fn is_of_a_name(question: &Question) -> bool {
    matches!(question, Question::Seen(..))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::Instant;

    use super::*;
    use crate::controller::testing::key;
    use crate::mail::{Delegation, DomainName, Seen};

    fn question(name: &str) -> Question {
        Question::Seen(DomainName::parse(name).unwrap(), vec!["ns1.example".into()])
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    async fn answer() -> Value {
        tokio::time::sleep(Duration::from_secs(3)).await;
        Value::Seen(Seen::Differing)
    }

    async fn never() -> Value {
        unreachable!("asked again")
    }

    fn lookups() -> (Lookups, UnboundedReceiver<ObjectKey>) {
        let (waker, woken) = unbounded_channel();
        let began = Instant::now();
        let clock = Clock::from_fn(move || at(100).saturating_add(began.elapsed()).unwrap());
        (Lookups::new(clock, Arc::new(move |key| drop(waker.send(key.clone())))), woken)
    }

    #[tokio::test(start_paused = true)]
    async fn answers_not_yet_wakes_all_who_asked_and_remembers() {
        let (lookups, mut woken) = lookups();
        let question = question("a.example");
        assert_eq!(lookups.ask(&key("a"), &question, at(100), answer), Answer::NotYet);
        assert_eq!(lookups.ask(&key("b"), &question, at(100), never), Answer::NotYet);
        let both = [woken.recv().await.unwrap(), woken.recv().await.unwrap()];
        assert_eq!(both, [key("a"), key("b")]);
        let known = Answer::Known { sent: at(100), value: Value::Seen(Seen::Differing) };
        assert_eq!(lookups.ask(&key("a"), &question, at(100), never), known);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_sent_too_early_is_asked_for_again() {
        let (lookups, mut woken) = lookups();
        let question = question("a.example");
        lookups.ask(&key("a"), &question, at(100), answer);
        woken.recv().await.unwrap();
        assert_eq!(lookups.ask(&key("a"), &question, at(101), answer), Answer::NotYet);
        woken.recv().await.unwrap();
        let Answer::Known { sent, .. } = lookups.ask(&key("a"), &question, at(101), never) else {
            unreachable!("not known")
        };
        assert_eq!(sent, at(103));
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_the_oldest_when_there_are_too_many() {
        let (lookups, mut woken) = lookups();
        for n in 0..=REMEMBERED {
            lookups.ask(&key("a"), &question(&format!("n{n}.example")), at(100), answer);
        }
        for _ in 0..=REMEMBERED {
            woken.recv().await.unwrap();
        }
        lookups.ask(&key("a"), &question("one-more.example"), at(100), answer);
        let left = lookups.lock().asked.len();
        assert!(left < REMEMBERED, "{left} left");
        assert!(lookups.lock().asked.contains_key(&question("one-more.example")));
    }

    #[tokio::test(start_paused = true)]
    async fn forgets_what_servers_answered_for_a_name_and_not_what_a_parent_says_of_a_zone() {
        let (lookups, mut woken) = lookups();
        let zone = Question::Delegation(DomainName::parse("example").unwrap(), Vec::new());
        let delegated = || async { Value::Delegation(Delegation::Delegated) };
        lookups.ask(&key("a"), &zone, at(100), delegated);
        woken.recv().await.unwrap();
        for n in 0..9 {
            lookups.ask(&key("a"), &question(&format!("n{n}.example")), at(100), answer);
            woken.recv().await.unwrap();
        }
        assert_eq!(lookups.lock().asked.len(), 10);
        // Nobody asks for anything meanwhile.
        sleep(SEEN_FOR.unsigned_abs() + SWEEP_EVERY).await;
        assert_eq!(lookups.lock().asked.keys().collect::<Vec<_>>(), [&zone]);
        lookups.ask(&key("a"), &question("late.example"), at(100), answer);
        woken.recv().await.unwrap();
        sleep(SEEN_FOR.unsigned_abs() + SWEEP_EVERY).await;
        assert_eq!(lookups.lock().asked.keys().collect::<Vec<_>>(), [&zone]);
    }
}
