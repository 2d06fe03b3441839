//! The handle that tests hold: one world, shared, with its clock.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use thiserror::Error;
use tokio::{sync::watch, time::Instant};

use crate::{
    api::{ApiError, Success, malformed},
    clock::{SimClock, SimTime},
    config::Config,
    dns::{PARENT, RESOLVER},
    faults::{Fault, FaultId, Gate, GatePoint, Matching, Stop, Trouble, Verdict, WasCut},
    log::{Outcome, Service},
    request::{Parsed, Scope},
    world::World,
};

/// The account that is always there.
pub const ACCOUNT: &str = "123456789012";
/// Its access key; any secret will do, because signatures are not checked.
pub const ACCESS_KEY: &str = "AKIASIMULATED0000001";

/// AWS and the DNS in this process. Clones share one world.
#[derive(Clone)]
pub struct Simulator(Arc<Inner>);

struct Inner {
    clock: SimClock,
    world: Mutex<World>,
    changed: watch::Sender<u64>,
}

/// The connection was cut instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the connection was cut before an answer")]
pub struct ConnectionLost;

/// Something that was waited for did not come.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what} did not come within {limit:?}; last seen: {last_seen}")]
pub struct NotSeen {
    /// What was waited for.
    pub what: String,
    /// For how long, on the wall.
    pub limit: Duration,
    /// The latest call and event.
    pub last_seen: String,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Simulator").field("clock", &self.0.clock).finish_non_exhaustive()
    }
}

impl Simulator {
    /// A world with one account ([`ACCOUNT`]), no zone and no identity.
    pub fn new(config: Config, clock: SimClock) -> Self {
        let mut world = World::new(config, clock.wall().clone());
        world.add_account(ACCOUNT, ACCESS_KEY);
        let (changed, _) = watch::channel(0);
        Self(Arc::new(Inner { clock, world: Mutex::new(world), changed }))
    }

    /// The clock of this world.
    pub fn clock(&self) -> &SimClock {
        &self.0.clock
    }

    fn lock(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads or edits the world, all that has fallen due having happened, and
    /// wakes those who wait. Must not be called within itself.
    pub fn with<R>(&self, body: impl FnOnce(&mut World) -> R) -> R {
        let now = self.0.clock.now();
        let mut world = self.lock();
        world.tick(now);
        let result = body(&mut world);
        // What the body scheduled for this very moment happens now.
        world.tick(now);
        drop(world);
        self.0.changed.send_modify(|revision| *revision += 1);
        result
    }

    /// Simulated time since the world began.
    pub fn now(&self) -> SimTime {
        self.0.clock.now()
    }

    /// Moves simulated time forward and lets everything happen that falls due
    /// on the way, in order.
    pub fn advance(&self, by: Duration) {
        self.0.clock.advance(by);
        self.with(|_| ());
    }

    /// Takes a request of another client out of the bucket that this account's
    /// requests of that kind are counted in, and tells whether it was granted.
    /// What others do is in no log here.
    pub fn draw(&self, service: Service, account: &str, region: &str, action: &str) -> bool {
        let wall = self.0.clock.wall().now();
        let mut world = self.lock();
        let quotas = world.config().quotas.clone();
        world.buckets.take(&quotas, wall, service, (account, region, action))
    }

    /// Scripts a fault.
    pub fn add_fault(&self, fault: Fault) -> FaultId {
        self.with(|world| world.add_fault(fault))
    }

    /// Removes a scripted fault.
    pub fn remove_fault(&self, id: FaultId) {
        self.with(|world| world.remove_fault(id));
    }

    /// Removes all scripted faults.
    pub fn clear_faults(&self) {
        self.with(World::clear_faults);
    }

    /// Stops the `nth` matching call from now (0 is the next) at a gate.
    pub fn gate(&self, matching: Matching, point: GatePoint, nth: usize) -> Gate {
        self.with(|world| world.gate(matching, point, nth))
    }

    /// Address of the recursive resolver.
    pub fn resolver(&self) -> Ipv4Addr {
        RESOLVER
    }

    /// Address of the parents' server: the root and the top-level domains.
    pub fn parent(&self) -> Ipv4Addr {
        PARENT
    }

    /// Answers a DNS message as the server at that address does; none where no
    /// server answers. The answer is as long as it is: only a datagram is cut.
    pub fn dns(&self, server: IpAddr, query: &[u8]) -> Option<Vec<u8>> {
        match server {
            IpAddr::V4(server) => self.with(|world| world.answer_dns(server, query)),
            IpAddr::V6(_) => None,
        }
    }

    /// Waits until `found` returns something, looking after every change and
    /// whenever something falls due by itself. `limit` is on the wall.
    pub async fn wait_for<T>(
        &self,
        what: &str,
        limit: Duration,
        mut found: impl FnMut(&World) -> Option<T>,
    ) -> Result<T, NotSeen> {
        let end = Instant::now() + limit;
        let mut changed = self.0.changed.subscribe();
        loop {
            changed.mark_unchanged();
            let due = {
                let now = self.0.clock.now();
                let mut world = self.lock();
                if world.tick(now) {
                    self.0.changed.send_modify(|revision| *revision += 1);
                    changed.mark_unchanged();
                }
                if let Some(result) = found(&world) {
                    return Ok(result);
                }
                world.next_due()
            };
            let next = due
                .and_then(|due| self.0.clock.until(due))
                .map_or(end, |wall| end.min(Instant::now() + wall));
            if tokio::time::timeout_at(next, changed.changed()).await.is_err()
                && Instant::now() >= end
            {
                return Err(NotSeen { what: what.to_owned(), limit, last_seen: self.last_seen() });
            }
        }
    }

    fn last_seen(&self) -> String {
        let world = self.lock();
        format!("{:?}, {:?}, at {:?}", world.calls().last(), world.events().last(), world.now())
    }

    /// Lets things happen when they fall due also while no one asks. Ends never.
    pub(crate) async fn run(&self) {
        let mut changed = self.0.changed.subscribe();
        loop {
            let due = self.lock().next_due().and_then(|due| self.0.clock.until(due));
            let Some(wall) = due else {
                if changed.changed().await.is_err() {
                    return;
                }
                continue;
            };
            if tokio::time::timeout(wall, changed.changed()).await.is_err() {
                self.with(|_| ());
            }
        }
    }

    /// Serves any AWS request in this process: give it to the SDK as its HTTP
    /// client. Hangs for ever where a fault says so; drop the future then.
    pub async fn handle(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ConnectionLost> {
        let parsed = Parsed::read(&request);
        let (index, admitted, verdict) = self.admit(&parsed);
        let request_id = format!("00000000-0000-4000-8000-{index:012}");
        let respond_error = |error: &ApiError| error.response(parsed.protocol, &request_id);
        let account = match admitted {
            Ok(account) => account,
            Err(error) => {
                self.finish(index, error.outcome());
                return Ok(respond_error(&error));
            }
        };
        let Verdict { trouble, before, after } = verdict;
        let submission = Submission::begin(self, &parsed);
        self.pass(before, index).await?;
        let refusal = self.refuse(&parsed, &account, trouble.as_ref()).await;
        let forbidden = || self.with(|world| world.forbidden(&parsed, &account));
        if let Some(refusal) = refusal.or_else(forbidden) {
            self.finish(index, refusal.outcome());
            return Ok(respond_error(&refusal));
        }
        submission.end();
        let result = self.with(|world| parsed.run(world, &account));
        self.pass(after, index).await?;
        self.answer(&parsed, index, trouble, result, &request_id).await
    }

    /// Stops at a gate, if there is one.
    async fn pass(&self, gate: Option<Stop>, index: usize) -> Result<(), ConnectionLost> {
        let Some(stop) = gate else { return Ok(()) };
        stop.wait().await.map_err(|WasCut| {
            self.finish(index, Outcome::Lost);
            ConnectionLost
        })
    }

    /// Notes a call and what is scripted for it; no account for a key that is
    /// unknown or has expired.
    fn admit(&self, parsed: &Parsed) -> (usize, Result<String, ApiError>, Verdict) {
        let wall = self.0.clock.wall().now();
        self.with(|world| {
            let Scope { access_key, token, .. } = &parsed.scope;
            let name = world.keys.account(access_key).unwrap_or_default().to_owned();
            let index = world.begin(parsed.call(&name));
            let refusal = world.keys.refusal(access_key, token.as_deref(), wall, parsed.protocol);
            if let Some(error) = refusal {
                return (index, Err(error), Verdict::default());
            }
            let quotas = world.config().quotas.clone();
            let payer = (name.as_str(), parsed.scope.region.as_str(), parsed.action);
            let mut verdict = Verdict::default();
            if world.buckets.take(&quotas, wall, parsed.protocol.service(), payer) {
                verdict = world.script.judge(&parsed.asked(&name));
            } else {
                verdict.trouble = Some(Trouble::Throttle);
            }
            (index, Ok(name), verdict)
        })
    }

    /// The error of a call that is not carried out; never returns for one that hangs.
    async fn refuse(
        &self,
        parsed: &Parsed,
        account: &str,
        trouble: Option<&Trouble>,
    ) -> Option<ApiError> {
        match trouble? {
            Trouble::Hang => std::future::pending().await,
            Trouble::Fail(status) => Some(ApiError::server(*status)),
            Trouble::Throttle => Some(ApiError::throttled(parsed.protocol)),
            Trouble::AccessDenied => {
                let who = self.with(|world| world.principal(&parsed.scope.access_key, account));
                let on = parsed.resource(account);
                Some(ApiError::access_denied(parsed.protocol, &who, parsed.action, &on))
            }
            Trouble::Refuse { status, code, message } => {
                Some(ApiError::new(*status, code, message.clone()))
            }
            Trouble::LoseAnswer
            | Trouble::FailAfter(_)
            | Trouble::HangAfter
            | Trouble::Malformed
            | Trouble::Slow(_) => None,
        }
    }

    async fn answer(
        &self,
        parsed: &Parsed,
        index: usize,
        trouble: Option<Trouble>,
        mut result: Result<Success, ApiError>,
        request_id: &str,
    ) -> Result<Response<Bytes>, ConnectionLost> {
        match trouble {
            Some(Trouble::LoseAnswer) => {
                self.finish(index, Outcome::Lost);
                return Err(ConnectionLost);
            }
            Some(Trouble::HangAfter) => std::future::pending().await,
            Some(Trouble::Slow(wall)) => tokio::time::sleep(wall).await,
            Some(Trouble::Malformed) => {
                self.finish(index, Outcome::Ok);
                return Ok(malformed(request_id));
            }
            Some(Trouble::FailAfter(status)) => result = Err(ApiError::server(status)),
            _ => {}
        }
        self.finish(index, result.as_ref().err().map_or(Outcome::Ok, ApiError::outcome));
        Ok(match result {
            Ok(success) => success.response(parsed.protocol, parsed.action, request_id),
            Err(error) => error.response(parsed.protocol, request_id),
        })
    }

    fn finish(&self, index: usize, outcome: Outcome) {
        self.with(|world| world.finish(index, outcome));
    }
}

/// While a change waits at a gate, its zone is busy with it.
struct Submission<'a> {
    simulator: &'a Simulator,
    zone: Option<String>,
}

impl<'a> Submission<'a> {
    fn begin(simulator: &'a Simulator, parsed: &Parsed) -> Self {
        let zone = parsed.changed_zone().map(str::to_owned);
        if let Some(id) = &zone {
            simulator.with(|world| world.submit(id, true));
        }
        Self { simulator, zone }
    }

    /// Its own turn has come.
    fn end(self) {
        drop(self);
    }
}

impl Drop for Submission<'_> {
    fn drop(&mut self) {
        if let Some(id) = &self.zone {
            self.simulator.with(|world| world.submit(id, false));
        }
    }
}
