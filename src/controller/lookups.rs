//! DNS look-ups that nobody waits for: asked in the background, remembered with
//! the time at which they were sent, and whoever asked is woken.

use std::collections::{BTreeSet, HashMap};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::reconcile::Wake;
use crate::authority::ObjectKey;
use crate::clock::Clock;
use crate::plan::{Answer, Question, Value};

/// Look-ups on their way at once.
const AT_ONCE: usize = 64;
/// Answers remembered at most; one asks for an answer that was forgotten anew.
const REMEMBERED: usize = 4096;

/// What was asked, and what came back. Cheap to clone.
#[derive(Clone)]
pub(super) struct Lookups {
    asked: Arc<Mutex<HashMap<Question, Asked>>>,
    room: Arc<Semaphore>,
    clock: Clock,
    wake: Wake,
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
        Self { asked: Arc::default(), room, clock, wake }
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
        if all.len() >= REMEMBERED && !all.contains_key(question) {
            forget_oldest(&mut all);
        }
        let asked = all.entry(question.clone()).or_default();
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
            let asked = all.entry(question).or_default();
            asked.answer = Some((sent, value));
            asked.on_its_way.take()
        };
        for object in waiting.into_iter().flatten() {
            (self.wake)(&object);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Question, Asked>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the older half of the answers that are there.
fn forget_oldest(all: &mut HashMap<Question, Asked>) {
    let sent = |asked: &Asked| asked.answer.as_ref().map(|(sent, _)| *sent);
    let mut times: Vec<_> = all.values().filter_map(sent).collect();
    times.sort_unstable();
    let Some(middle) = times.get(times.len() / 2).copied() else { return };
    all.retain(|_, asked| asked.on_its_way.is_some() || sent(asked).is_none_or(|at| at > middle));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
    use tokio::time::Instant;

    use super::*;
    use crate::controller::testing::key;
    use crate::mail::{DomainName, Seen};

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
        let left = lookups.lock().len();
        assert!(left < REMEMBERED, "{left} left");
        assert!(lookups.lock().contains_key(&question("one-more.example")));
    }
}
