//! Generated histories of several candidates, whose clocks run at rates of
//! their own, before an API server that answers late, not at all, or after it
//! was given up. Processes are stopped, killed and told to leave.
//!
//! Assumed, and nothing else: a replacement is made only of the version that it
//! names, a look shows the Lease as it is at some time between sending and
//! answer, and clock rates stay within their bounds. Wall clocks do not occur.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::cast_possible_truncation)]
#![allow(clippy::cast_sign_loss)]

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::election::{Election, Step, Timing};
use super::moment::Moment;
use super::record::Record;

/// Milliseconds of true time between two looks at the world.
const TICK: u64 = 20;
/// How long a history lasts.
const END: u64 = 90_000;
/// A process that ended comes back so much later, as another.
const RESTART: u64 = 1_000;

/// What becomes of a request.
#[derive(Clone, Copy, Debug)]
struct Weather {
    /// It reaches the API server after this; not at all where `None`.
    there: Option<u64>,
    /// The answer takes this; it is lost where `None`.
    back: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Blow {
    Stop { for_ms: u64 },
    Kill,
    Leave,
}

#[derive(Clone, Debug)]
struct History {
    timing: Timing,
    /// Of each process: the rate of its clock, and how far its watch lags;
    /// `None`: it shows nothing.
    processes: Vec<(f64, Option<u64>)>,
    weather: Vec<Weather>,
    /// At a time, to the process of that number, or to whoever leads.
    blows: Vec<(u64, Option<usize>, Blow)>,
}

struct Process {
    name: String,
    rate: f64,
    lag: Option<u64>,
    election: Election,
    flight: Option<Flight>,
    stopped_until: u64,
    /// Told to leave: it acts no more, and gives the Lease up when it can.
    leaving: bool,
    ended_at: Option<u64>,
}

/// A request whose answer is waited for.
struct Flight {
    number: usize,
    sent: Moment,
    /// When it is given up.
    limit: Moment,
    answer: Option<(u64, Answer)>,
}

#[derive(Clone)]
enum Answer {
    Seen(Option<(String, Record)>),
    Written(String, Record),
    Conflict,
}

struct Request {
    number: usize,
    due: u64,
    back: Option<u64>,
    step: Step,
}

/// The API server and all processes.
struct World<'h> {
    history: &'h History,
    /// Every state of the Lease and since when; the last is the present one.
    leases: Vec<(u64, Option<(String, Record)>)>,
    on_their_way: Vec<Request>,
    processes: Vec<Process>,
    requests: usize,
    born: usize,
    /// Who led when, last; those who left of themselves are not in it.
    led: Vec<(String, u64)>,
    /// Who led and did so no more.
    fallen: BTreeSet<String>,
    /// When somebody began to lead.
    reigns: Vec<(u64, String)>,
}

impl<'h> World<'h> {
    fn new(history: &'h History) -> Self {
        let mut world = Self {
            history,
            leases: vec![(0, None)],
            on_their_way: Vec::new(),
            processes: Vec::new(),
            requests: 0,
            born: 0,
            led: Vec::new(),
            fallen: BTreeSet::new(),
            reigns: Vec::new(),
        };
        for (rate, lag) in &history.processes {
            let process = world.born(*rate, *lag);
            world.processes.push(process);
        }
        world
    }

    fn born(&mut self, rate: f64, lag: Option<u64>) -> Process {
        self.born += 1;
        let name = format!("p{}", self.born);
        Process {
            election: Election::new(name.clone(), self.history.timing),
            name,
            rate,
            lag,
            flight: None,
            stopped_until: 0,
            leaving: false,
            ended_at: None,
        }
    }

    /// The longest that a write may take from the look at the leadership to the
    /// end of its transmission, as the module's documentation has it.
    fn slack(&self) -> u64 {
        let rates = self.history.processes.iter().map(|(rate, _)| *rate);
        let (slow, fast) =
            rates.fold((1.0_f64, 1.0_f64), |(s, f), rate| (s.min(rate), f.max(rate)));
        let Timing { lease_duration, renew_deadline, .. } = self.history.timing;
        let slack =
            lease_duration.as_millis() as f64 / fast - renew_deadline.as_millis() as f64 / slow;
        (slack as u64).saturating_sub(2 * TICK)
    }

    fn run(mut self) -> Result<Vec<(u64, String)>, TestCaseError> {
        for now in (0..END).step_by(TICK as usize) {
            self.serve(now);
            for blow in self.history.blows.iter().filter(|(at, ..)| (now..now + TICK).contains(at))
            {
                self.strike(now, blow.1, blow.2);
            }
            for at in 0..self.processes.len() {
                self.advance(at, now);
            }
            self.check(now)?;
        }
        Ok(self.reigns)
    }

    fn check(&mut self, now: u64) -> Result<(), TestCaseError> {
        let slack = self.slack();
        let leads = |process: &&Process| process.leads(now);
        let leaders: Vec<_> =
            self.processes.iter().filter(leads).map(|process| process.name.clone()).collect();
        prop_assert!(leaders.len() <= 1, "{leaders:?} lead at {now}");
        let gone = self.led.iter().map(|(name, _)| name).filter(|name| !leaders.contains(name));
        self.fallen.extend(gone.cloned());
        let Some(leader) = leaders.into_iter().next() else { return Ok(()) };
        prop_assert!(!self.fallen.contains(&leader), "{leader} leads again at {now}");
        for (other, last) in self.led.iter().filter(|(name, _)| *name != leader) {
            prop_assert!(now - last > slack, "{leader} leads at {now}, {other} did at {last}");
        }
        if self.reigns.last().is_none_or(|(_, last)| *last != leader) {
            self.reigns.push((now, leader.clone()));
        }
        self.led.retain(|(name, _)| *name != leader);
        self.led.push((leader, now));
        Ok(())
    }

    /// The API server does what has reached it.
    fn serve(&mut self, now: u64) {
        let (mut due, later): (Vec<_>, Vec<_>) =
            self.on_their_way.drain(..).partition(|request| request.due <= now);
        self.on_their_way = later;
        due.sort_by_key(|request| request.due);
        for Request { number, back, step, .. } in due {
            let answer = self.answer(now, step);
            let flights = self.processes.iter_mut().filter_map(|process| process.flight.as_mut());
            for flight in flights.filter(|flight| flight.number == number) {
                flight.answer = back.map(|back| (now + back, answer.clone()));
            }
        }
    }

    fn answer(&mut self, now: u64, step: Step) -> Answer {
        let current = self.leases.last().unwrap().1.clone();
        let record = match (step, &current) {
            (Step::Look, _) => return Answer::Seen(current),
            (Step::Create(record), None) => record,
            (Step::Replace { version, record }, Some((held, _))) if version == *held => record,
            _ => return Answer::Conflict,
        };
        let version = self.leases.len().to_string();
        self.leases.push((now, Some((version.clone(), record.clone()))));
        Answer::Written(version, record)
    }

    fn strike(&mut self, now: u64, whom: Option<usize>, blow: Blow) {
        let leader = self.processes.iter().position(|process| process.leads(now));
        let Some(at) = whom.or(leader) else { return };
        let process = &mut self.processes[at];
        match blow {
            Blow::Stop { for_ms } => process.stopped_until = now + for_ms,
            Blow::Kill => process.ended_at = process.ended_at.or(Some(now)),
            Blow::Leave if process.stopped_until <= now => {
                process.leaving = true;
                let name = process.name.clone();
                // It has drained before.
                self.led.retain(|(led, _)| *led != name);
            }
            Blow::Leave => {}
        }
    }

    fn send(&mut self, now: u64, step: Step) -> usize {
        self.requests += 1;
        let weather = &self.history.weather;
        let Weather { there, back } = weather[self.requests % weather.len()];
        if let Some(there) = there {
            self.on_their_way.push(Request { number: self.requests, due: now + there, back, step });
        }
        self.requests
    }

    fn advance(&mut self, at: usize, now: u64) {
        let process = &mut self.processes[at];
        if let Some(ended) = process.ended_at {
            if now >= ended + RESTART {
                let (rate, lag) = (process.rate, process.lag);
                self.processes[at] = self.born(rate, lag);
            }
            return;
        }
        if now < process.stopped_until || !process.hear(now) {
            return;
        }
        if process.leaving {
            process.ended_at = Some(now);
            if let Some(step) = process.election.resignation() {
                self.send(now, step);
            }
            return;
        }
        let here = process.clock(now);
        match process.election.next(here) {
            Step::Wait { watch: Some(_), .. } => process.look_at_the_watch(now, &self.leases),
            Step::Wait { watch: None, .. } => {}
            Step::End(_) => process.ended_at = Some(now),
            step => {
                let number = self.send(now, step);
                let Timing { retry_period, .. } = self.history.timing;
                let process = &mut self.processes[at];
                let limit = here + retry_period;
                let limit = process.election.leads_until().map_or(limit, |until| until.min(limit));
                process.flight = Some(Flight { number, sent: here, limit, answer: None });
            }
        }
    }
}

impl Process {
    fn clock(&self, now: u64) -> Moment {
        Moment::at(Duration::from_millis((now as f64 * self.rate) as u64))
    }

    fn leads(&self, now: u64) -> bool {
        let until = self.election.leads_until();
        let until = until.filter(|_| self.ended_at.is_none() && !self.leaving);
        until.is_some_and(|until| self.clock(now) < until)
    }

    /// Takes in an answer. False where one is still waited for.
    fn hear(&mut self, now: u64) -> bool {
        let here = self.clock(now);
        let Some(Flight { number, sent, limit, answer }) = self.flight.take() else { return true };
        match answer {
            Some((due, answer)) if due <= now => match answer {
                Answer::Seen(lease) => self.election.saw(here, lease),
                Answer::Written(version, record) => {
                    self.election.wrote(sent, here, version, record);
                }
                Answer::Conflict => self.election.conflicted(),
            },
            _ if here >= limit => self.election.failed(sent),
            answer => self.flight = Some(Flight { number, sent, limit, answer }),
        }
        self.flight.is_none()
    }

    fn look_at_the_watch(&mut self, now: u64, leases: &[(u64, Option<(String, Record)>)]) {
        let Some(lag) = self.lag else { return };
        let here = self.clock(now);
        let shown = leases.iter().rfind(|(since, _)| since + lag <= now);
        if let Some((_, lease)) = shown
            && self.election.version()
                < lease.as_ref().and_then(|(version, _)| version.parse().ok())
        {
            self.election.saw(here, lease.clone());
        }
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn timing() -> impl Strategy<Value = Timing> {
    select(vec![(15, 10, 2), (6, 4, 1), (10, 5, 4)]).prop_map(|(lease, renew, retry)| Timing {
        lease_duration: seconds(lease),
        renew_deadline: seconds(renew),
        retry_period: seconds(retry),
    })
}

/// Clocks may differ by a fifth: more than any real ones.
fn processes() -> impl Strategy<Value = Vec<(f64, Option<u64>)>> {
    let lag = prop_oneof![4 => (0..500_u64).prop_map(Some), 1 => (0..9_000_u64).prop_map(Some), 1 => Just(None)];
    prop::collection::vec((0.9..1.1, lag), 2..4)
}

fn weather() -> impl Strategy<Value = Vec<Weather>> {
    let way = || prop_oneof![6 => (0..300_u64).prop_map(Some), 2 => (0..9_000_u64).prop_map(Some), 1 => Just(None)];
    let weather = (way(), way()).prop_map(|(there, back)| Weather { there, back });
    prop::collection::vec(weather, 8..40)
}

fn blows() -> impl Strategy<Value = Vec<(u64, Option<usize>, Blow)>> {
    let blow = prop_oneof![
        3 => (100..30_000_u64).prop_map(|for_ms| Blow::Stop { for_ms }),
        2 => Just(Blow::Kill),
        1 => Just(Blow::Leave),
    ];
    let whom = prop_oneof![2 => Just(None), 1 => (0..2_usize).prop_map(Some)];
    prop::collection::vec((0..END, whom, blow), 0..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn never_two_lead_at_one_time(
        timing in timing(), processes in processes(), weather in weather(), blows in blows(),
    ) {
        World::new(&History { timing, processes, weather, blows }).run()?;
    }

    #[test]
    fn in_fair_weather_a_leader_stays_and_a_dead_one_is_followed(
        timing in timing(), rates in prop::collection::vec(0.9..1.1, 2..4),
        there in 0..200_u64, back in 0..200_u64, killed in 20_000..40_000_u64,
    ) {
        let processes = rates.iter().map(|rate| (*rate, Some(100))).collect();
        let weather = vec![Weather { there: Some(there), back: Some(back) }];
        let blows = vec![(killed, None, Blow::Kill)];
        let reigns = World::new(&History { timing, processes, weather, blows }).run()?;
        prop_assert_eq!(reigns.len(), 2, "{:?}", &reigns);
        prop_assert!(reigns[0].0 <= 2 * (there + back) + 1_000, "a free lease is taken at once");
        let slowest = rates.iter().fold(1.0_f64, |slowest, rate| slowest.min(*rate));
        let longest = timing.lease_duration.as_millis() as f64 / slowest;
        let gap = reigns[1].0 - killed;
        prop_assert!(gap <= longest as u64 + 2_000, "{gap} ms without a leader");
    }

    #[test]
    fn who_leaves_is_followed_at_once(timing in timing(), left in 20_000..40_000_u64) {
        let processes = vec![(1.0, Some(20)); 2];
        let weather = vec![Weather { there: Some(20), back: Some(20) }];
        let blows = vec![(left, None, Blow::Leave)];
        let reigns = World::new(&History { timing, processes, weather, blows }).run()?;
        prop_assert!(reigns.len() == 2 && reigns[1].0 - left < 500, "{reigns:?}");
    }
}
