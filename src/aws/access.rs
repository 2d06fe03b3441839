//! How calls leave: each takes its turn in a lane, is timed, and tells the
//! lane's bucket what AWS made of it.

use std::collections::{HashMap, HashSet};
use std::error::Error as StdError;
use std::future::Future;
use std::hash::Hash;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::call::{Operation, Target};
use super::caller::{Caller, Callers, Payer};
use super::clients::Clients;
use super::lane::Lane;
use super::line::Linger;
use super::lock;
use super::memo::{Asked, Memo};
use super::memos::Memos;
use super::route53::{ZoneBook, ZoneView};
use super::ses::Group;
use super::watchers::Watchers;
use super::writers::Writers;
use super::{Call, Error, ErrorKind, Observer, Settings, Wake};
use crate::authority::{Credentials, ObjectKey, Sight};
use crate::clock::Clock;
use crate::mail::{DomainName, HostedZoneId, NameView, Region};

/// A call that AWS throttles is sent again so often; then it has failed.
pub(super) const THROTTLED_TRIES: u32 = 4;

/// STS has no quota that one process could meet; this keeps a fault from
/// becoming a storm.
const STS_RATE: f64 = 5.0;

/// Which bucket a call draws from.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum LaneKey {
    /// SES counts by account, region and action.
    Ses(Payer, Operation, Region),
    /// Route 53 counts by account, all actions together.
    Route53(Payer),
    Sts,
}

/// What all parts of the adapter share.
pub(super) struct Access {
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    callers: Callers,
    pub(super) memos: Memos,
    ses: Mutex<HashMap<(Credentials, Region), Arc<Group>>>,
    pub(super) zone_book: ZoneBook,
    zones: Mutex<HashMap<(Credentials, HostedZoneId), Arc<ZoneView>>>,
    pub(super) watchers: Watchers,
    pub(super) writers: Mutex<Writers>,
    /// A batch of changes is through.
    pub(super) sent: Notify,
    /// No more changes are sent.
    pub(super) closed: Notify,
    pub(super) wake: Wake,
    observer: Observer,
    lanes: Mutex<HashMap<LaneKey, Arc<Lane>>>,
    /// When this process began to act.
    opened: OnceLock<Instant>,
    tasks: Weak<Tasks>,
}

/// Everything that runs in the background; ends when dropped.
#[derive(Debug)]
pub(super) struct Tasks {
    /// A permit may be dropped outside the runtime, while it is shut down.
    runtime: Handle,
    running: Mutex<JoinSet<()>>,
}

impl Tasks {
    /// On the present runtime.
    pub(super) fn new() -> Self {
        Self { runtime: Handle::current(), running: Mutex::default() }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = lock(&self.running);
        while running.try_join_next().is_some() {}
        running.spawn_on(task, &self.runtime);
    }
}

/// A question that can be asked of AWS.
pub(super) trait Ask: Clone + Eq + Hash + Send + Sync + 'static {
    type Value: Clone + Send + 'static;

    /// Where its answers are kept.
    fn memo(memos: &Memos) -> &Memo<Asked<Self>, Self::Value>;

    /// Asks it.
    fn read(&self, reader: &Reader) -> impl Future<Output = Result<Self::Value, Error>> + Send;
}

impl Access {
    pub(super) fn new(
        clients: Clients,
        settings: Settings,
        clock: Clock,
        wake: Wake,
        observer: Observer,
        tasks: &Arc<Tasks>,
    ) -> Self {
        Self {
            memos: Memos::new(&settings),
            zone_book: ZoneBook::new(settings.backoff()),
            zones: Mutex::default(),
            callers: Callers::new(clients, &settings.owner_id),
            writers: Mutex::new(Writers::new(Linger {
                newcomer: settings.linger,
                longest: settings.linger_max,
            })),
            sent: Notify::new(),
            closed: Notify::new(),
            settings,
            clock,
            ses: Mutex::default(),
            watchers: Watchers::default(),
            wake,
            observer,
            lanes: Mutex::default(),
            opened: OnceLock::new(),
            tasks: Arc::downgrade(tasks),
        }
    }

    /// Sends a question on its way, on behalf of an object.
    pub(super) fn start<Q: Ask>(self: &Arc<Self>, asked: Asked<Q>, sight: Sight) {
        let access = Arc::clone(self);
        self.spawn(async move {
            let reader = Reader::new(&access, sight, asked.clone());
            let result = asked.question.read(&reader).await;
            let memo = Q::memo(&access.memos);
            let woken = match result {
                Err(error) if error.kind() == ErrorKind::Revoked => memo.dropped(&asked),
                result => memo.landed(&asked, result, access.clock.now()),
            };
            access.wake_all(&woken);
        });
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = self.tasks.upgrade() {
            tasks.spawn(task);
        }
    }

    /// Who calls with these credentials.
    pub(super) fn caller(&self, credentials: &Credentials) -> Arc<Caller> {
        self.callers.of(credentials, self.clock.now())
    }

    /// The identities of a region, as these credentials see them.
    pub(super) fn ses(&self, credentials: &Credentials, region: &Region) -> Arc<Group> {
        let mut groups = lock(&self.ses);
        let key = (credentials.clone(), region.clone());
        let make = || Arc::new(Group::new(key.0.clone(), key.1.clone(), &self.settings));
        Arc::clone(groups.entry(key.clone()).or_insert_with(make))
    }

    /// A put to an identity has ended. Other credentials may see the same one.
    pub(super) fn put_ended(&self, identity: &DomainName, region: &Region) {
        let groups: Vec<_> = lock(&self.ses)
            .iter()
            .filter(|((_, other), _)| other == region)
            .map(|(_, group)| Arc::clone(group))
            .collect();
        for group in groups {
            group.put_ended(identity, self.clock.now());
        }
    }

    pub(super) fn wake_all(&self, objects: &[ObjectKey]) {
        for object in objects {
            (self.wake)(object);
        }
    }

    /// A hosted zone, as these credentials see it.
    pub(super) fn zone(&self, credentials: &Credentials, zone: &HostedZoneId) -> Arc<ZoneView> {
        let mut zones = lock(&self.zones);
        let key = (credentials.clone(), zone.clone());
        if let Some(known) = zones.get(&key) {
            return Arc::clone(known);
        }
        let now = self.clock.now();
        zones.retain(|_, view| Arc::strong_count(view) > 1 || !view.is_idle(now));
        let view = ZoneView::new(credentials.clone(), zone.clone(), self.settings.backoff());
        Arc::clone(zones.entry(key).or_insert(Arc::new(view)))
    }

    /// Changes to names of a zone have ended, however they ended.
    pub(super) fn changed(&self, zone: &HostedZoneId, names: &HashSet<DomainName>) {
        for view in self.views(zone) {
            view.changed(names, self.clock.now());
        }
    }

    /// What stands at a name, known from a change of ours; of all other record
    /// sets there, as of `sent`. Only who has asked for it before is told.
    pub(super) fn record(
        &self,
        zone: &HostedZoneId,
        name: &DomainName,
        (sent, at): (Timestamp, NameView),
    ) {
        for view in self.views(zone) {
            self.wake_all(&view.record(name, sent, at.clone()));
        }
    }

    /// A zone, as all see it.
    fn views(&self, zone: &HostedZoneId) -> Vec<Arc<ZoneView>> {
        let zones = lock(&self.zones);
        let same = zones.iter().filter(|((_, other), _)| other == zone);
        same.map(|(_, view)| Arc::clone(view)).collect()
    }

    /// Waits, on behalf of a namespace, for a turn to call.
    pub(super) async fn turn(self: &Arc<Self>, key: &LaneKey, namespace: &str, urgent: bool) {
        // Its sender is dropped only with the lane, which is not dropped before.
        let _ = self.queue_call(key, namespace, urgent).await;
    }

    fn queue_call(
        self: &Arc<Self>,
        key: &LaneKey,
        namespace: &str,
        urgent: bool,
    ) -> oneshot::Receiver<()> {
        let lane = self.lane(key);
        let (turn, start) = lane.queue_call(namespace, urgent);
        if start {
            self.work(lane);
        }
        turn
    }

    /// The same of a call that many may join: once `urgent` says that a person does,
    /// it is queued anew, before all for whom nobody waits. `changed` tells when to
    /// look again.
    pub(super) async fn turn_of_many(
        self: &Arc<Self>,
        key: &LaneKey,
        namespace: &str,
        urgent: impl Fn() -> bool,
        changed: &Notify,
    ) {
        if !urgent() {
            let mut turn = self.queue_call(key, namespace, false);
            loop {
                tokio::select! {
                    _ = &mut turn => return,
                    () = changed.notified() => if urgent() { break },
                }
            }
            // A turn that has come meanwhile is taken: its token would be lost.
            turn.close();
            if turn.try_recv().is_ok() {
                return;
            }
        }
        self.turn(key, namespace, true).await;
    }

    pub(super) fn lane(&self, key: &LaneKey) -> Arc<Lane> {
        let rate = match key {
            LaneKey::Ses(..) => self.settings.ses_rate,
            LaneKey::Route53(_) => self.settings.route53_rate,
            LaneKey::Sts => STS_RATE,
        };
        let make = || Lane::new(rate, self.opened.get().copied());
        Arc::clone(lock(&self.lanes).entry(key.clone()).or_insert_with(make))
    }

    /// An object is gone: it waits in no lane.
    pub(super) fn forget(&self, object: &ObjectKey) {
        for lane in lock(&self.lanes).values() {
            lane.forget(object);
        }
    }

    /// Acts from now on. A process does so once: who stops acting ends.
    pub(super) fn open(&self) {
        self.opened.get_or_init(Instant::now);
    }

    /// Serves a lane until nobody waits in it.
    pub(super) fn work(self: &Arc<Self>, lane: Arc<Lane>) {
        let access = Arc::clone(self);
        self.spawn(async move {
            loop {
                let step = lane.step(Instant::now());
                for object in step.reserved {
                    (access.wake)(&object);
                }
                let Some(next) = step.next else { return };
                lane.wait(next).await;
            }
        });
    }

    /// Makes one call, whose token is taken already.
    pub(super) async fn transmit<T, E>(
        &self,
        key: &LaneKey,
        target: &Target,
        call: Pin<Box<impl Future<Output = Result<T, SdkError<E, HttpResponse>>>>>,
    ) -> Result<T, Error>
    where
        E: StdError + ProvideErrorMetadata + 'static,
    {
        let begun = Instant::now();
        let result = call.await.map_err(|error| Error::from_sdk(target, &error));
        let kind = result.as_ref().err().map(Error::kind);
        self.lane(key).learn(kind == Some(ErrorKind::Throttled));
        (self.observer)(&Call {
            service: target.operation.service(),
            operation: target.operation.name(),
            region: target.region.as_ref().map_or("global", Region::as_str).to_owned(),
            code: kind.map_or("OK", ErrorKind::as_str),
            duration: begun.elapsed(),
        });
        result
    }
}

impl Access {
    /// Waits for a turn and makes a call, if it still may; throttled, waits for
    /// another turn, and without the session that it left with, asks once more
    /// with a new one. `leaves` hears of each time that the request leaves.
    pub(super) async fn read<T, E, F>(
        self: &Arc<Self>,
        caller: &Caller,
        sight: &Sight,
        lane: impl Fn(Payer) -> LaneKey,
        target: &Target,
        leaves: impl Fn(),
        send: impl Fn(&Clients) -> F,
    ) -> Result<T, Error>
    where
        E: StdError + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let (mut tries, mut renewed) = (1, false);
        loop {
            if !sight.stands() {
                return Err(Error::revoked(target));
            }
            let clients = caller.clients(self).await?;
            let key = lane(caller.payer());
            self.turn(&key, sight.object().namespace(), sight.is_urgent()).await;
            if !sight.stands() {
                return Err(Error::revoked(target));
            }
            leaves();
            let call = Box::pin(send(clients));
            let result = caller.transmit(self, &key, target, call).await;
            let ended = !renewed && result.as_ref().is_err_and(Error::ends_session);
            let throttled =
                result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Throttled);
            if !ended && (!throttled || tries == THROTTLED_TRIES) {
                return result;
            }
            renewed |= ended;
            tries += 1;
        }
    }
}

/// Makes the calls of one question.
pub(super) struct Reader {
    access: Arc<Access>,
    credentials: Credentials,
    caller: Arc<Caller>,
    sight: Sight,
    /// Tells the memo that the question leaves now.
    stamp: Box<dyn Fn() + Send + Sync>,
    /// Whether its first call has been answered: the age of an answer made of
    /// several calls is that of the first.
    begun: AtomicBool,
}

impl Reader {
    fn new<Q: Ask>(access: &Arc<Access>, sight: Sight, asked: Asked<Q>) -> Self {
        let credentials = asked.credentials.clone();
        let caller = access.caller(&credentials);
        let shared = Arc::clone(access);
        let stamp = move || Q::memo(&shared.memos).sent(&asked, shared.clock.now());
        let (access, stamp) = (Arc::clone(access), Box::new(stamp));
        Self { access, credentials, caller, sight, stamp, begun: AtomicBool::new(false) }
    }

    /// With what it is asked.
    pub(super) fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// STS has said of which account these credentials are.
    pub(super) fn is_of(&self, account: &str) {
        self.caller.is_of(account);
    }

    /// Makes a call as [`Access::read`] does.
    pub(super) async fn call<T, E, F>(
        &self,
        lane: impl Fn(Payer) -> LaneKey,
        target: &Target,
        send: impl Fn(&Clients) -> F,
    ) -> Result<T, Error>
    where
        E: StdError + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let leaves = || {
            if !self.begun.load(Ordering::Relaxed) {
                (self.stamp)();
            }
        };
        let (caller, sight) = (&self.caller, &self.sight);
        let result = self.access.read(caller, sight, lane, target, leaves, send).await;
        self.begun.store(true, Ordering::Relaxed);
        result
    }
}
