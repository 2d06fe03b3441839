//! Takes part in the election: reads, watches and writes the Lease.

use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Client, Config};
use tokio::time::timeout;
use tracing::{error, info, warn};

use super::election::{Election, Loss, Step, Timing};
use super::leadership::Leadership;
use super::moment::{Moment, Uptime};
use super::record::Record;
use crate::api::FIELD_MANAGER;

/// How often giving the Lease up is tried: a renewal that was cut short may
/// have been made, and then the first try conflicts.
const RESIGNATIONS: usize = 3;

/// Which Lease is contended for, and as whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Place {
    /// The Lease's namespace.
    pub namespace: String,
    /// The Lease's name.
    pub name: String,
    /// Names this process to people; a suffix of its own is added to it.
    pub process: String,
}

/// A process that leads, or would.
pub struct Candidate {
    leases: Api<Lease>,
    watched: Api<Lease>,
    place: Place,
    identity: String,
    timing: Timing,
    uptime: Uptime,
    election: Election,
    leadership: Leadership,
    watch: Option<Watch>,
    /// The last failure, said once.
    trouble: Option<String>,
    /// Whom it was last said to wait for.
    waits_for: Option<String>,
}

struct Watch {
    began: Moment,
    events: Pin<Box<dyn Stream<Item = kube::Result<WatchEvent<Lease>>> + Send>>,
}

/// What became of a request.
enum Failure {
    /// The Lease is not what it was taken for.
    Conflict,
    /// It failed, or nothing came back in time.
    Other(String),
}

impl Candidate {
    /// A candidate that has not begun.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    pub fn new(config: &Config, place: Place, timing: Timing) -> kube::Result<Self> {
        let uptime = Uptime::system();
        let identity = format!("{}_{}", place.process, suffix(&place));
        Ok(Self {
            leases: Api::namespaced(client(config, Some(timing.retry_period))?, &place.namespace),
            watched: Api::namespaced(client(config, None)?, &place.namespace),
            election: Election::new(identity.clone(), timing),
            leadership: Leadership::elected(uptime.clone()),
            place,
            identity,
            timing,
            uptime,
            watch: None,
            trouble: None,
            waits_for: None,
        })
    }

    /// Whether it leads.
    pub fn leadership(&self) -> Leadership {
        self.leadership.clone()
    }

    /// Takes part, once it stands, until it has led and leads no more.
    pub async fn run(&mut self) -> Loss {
        self.leadership.standing().await;
        loop {
            match self.election.next(self.uptime.now()) {
                Step::Look => self.look().await,
                Step::Create(record) => self.write(None, record).await,
                Step::Replace { version, record } => self.write(Some(version), record).await,
                Step::Wait { until, watch } => self.wait(until, watch).await,
                Step::End(loss) => {
                    self.leadership.end();
                    let last_error = self.trouble.as_deref().unwrap_or("none");
                    let lease = self.place.to_string();
                    error!(lease, identity = self.identity, last_error, "Lost the lease: {loss}");
                    return loss;
                }
            }
        }
    }

    /// Gives the Lease up, if this process holds it, so that another need not
    /// wait for it to run out. Nothing is written any more from here on.
    pub async fn resign(mut self) {
        self.leadership.end();
        for _ in 0..RESIGNATIONS {
            let Some(Step::Replace { version, record }) = self.election.resignation() else {
                return;
            };
            match self.send(Some(version), &record).await {
                Ok(_) => {
                    info!(lease = %self.place, "Released the lease");
                    return;
                }
                Err(Failure::Conflict) => self.look().await,
                Err(Failure::Other(error)) => {
                    warn!(lease = %self.place, error, "Could not release the lease; it runs out");
                    return;
                }
            }
        }
    }

    async fn look(&mut self) {
        let sent = self.uptime.now();
        let limit = self.limit(sent);
        let found = match timeout(limit, self.leases.get_opt(&self.place.name)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return self.failed(sent, explained(error)),
            Err(_) => return self.failed(sent, format!("no answer within {limit:?}")),
        };
        self.answered();
        self.election.saw(self.uptime.now(), found.map(Record::read));
    }

    /// Creates the Lease, or replaces the one of a version.
    async fn write(&mut self, version: Option<String>, record: Record) {
        let sent = self.uptime.now();
        match self.send(version, &record).await {
            Ok((version, record)) => {
                self.answered();
                self.election.wrote(sent, self.uptime.now(), version, record);
                if let Some(until) = self.election.leads_until() {
                    if !self.leadership.leads() {
                        info!(lease = %self.place, identity = self.identity, "Leading");
                    }
                    self.leadership.extend(until);
                }
            }
            Err(Failure::Conflict) => {
                // A watch that had not shown it may be dead.
                self.watch = None;
                self.election.conflicted();
            }
            Err(Failure::Other(error)) => self.failed(sent, error),
        }
    }

    async fn send(
        &self,
        version: Option<String>,
        record: &Record,
    ) -> Result<(String, Record), Failure> {
        let name = &self.place.name;
        let replaces = version.is_some();
        let lease = record.write(name, version, Timestamp::now());
        let limit = self.limit(self.uptime.now());
        let request = async {
            let field_manager = Some(FIELD_MANAGER.to_owned());
            if replaces {
                // Labels and annotations that others have set are left.
                let params = PatchParams { field_manager, ..PatchParams::default() };
                self.leases.patch(name, &params, &Patch::Merge(&lease)).await
            } else {
                let params = PostParams { field_manager, ..PostParams::default() };
                self.leases.create(&params, &lease).await
            }
        };
        match timeout(limit, request).await {
            Ok(Ok(lease)) => Ok(Record::read(lease)),
            Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 409) => {
                Err(Failure::Conflict)
            }
            Ok(Err(error)) => Err(Failure::Other(explained(error))),
            Err(_) => Err(Failure::Other(format!("no answer within {limit:?}"))),
        }
    }

    /// How long a request may take: no longer than until the next one is due,
    /// nor than the leadership that it would prolong.
    fn limit(&self, now: Moment) -> Duration {
        let left = self.election.leads_until().filter(|_| self.leadership.leads());
        let left = left.map_or(Duration::MAX, |until| until.since(now));
        left.min(self.timing.retry_period)
    }

    async fn wait(&mut self, until: Moment, watch: Option<String>) {
        let limit = until.since(self.uptime.now());
        let Some(version) = watch else {
            return tokio::time::sleep(limit).await;
        };
        self.say_whom_it_waits_for();
        let mut watch = match self.watch.take() {
            Some(watch) => watch,
            None => match self.begin_to_watch(&version).await {
                Some(watch) => watch,
                None => return,
            },
        };
        let Ok(event) = timeout(limit, watch.events.next()).await else {
            self.watch = Some(watch);
            return;
        };
        let now = self.uptime.now();
        match event {
            Some(Ok(WatchEvent::Added(lease) | WatchEvent::Modified(lease))) => {
                self.election.saw(now, Some(Record::read(lease)));
            }
            Some(Ok(WatchEvent::Deleted(_))) => self.election.saw(now, None),
            Some(Ok(WatchEvent::Bookmark(_))) => {}
            // Its time was over.
            None => return self.election.lost_sight(watch.began),
            Some(Ok(WatchEvent::Error(status))) => {
                return self.watch_failed(watch.began, status.message);
            }
            Some(Err(error)) => return self.watch_failed(watch.began, explained(error)),
        }
        self.watch = Some(watch);
    }

    async fn begin_to_watch(&mut self, version: &str) -> Option<Watch> {
        let began = self.uptime.now();
        let params = WatchParams::default().fields(&format!("metadata.name={}", self.place.name));
        let watch = timeout(self.timing.retry_period, self.watched.watch(&params, version)).await;
        match watch {
            Ok(Ok(events)) => Some(Watch { began, events: Box::pin(events) }),
            Ok(Err(error)) => {
                self.watch_failed(began, explained(error));
                None
            }
            Err(_) => {
                self.watch_failed(began, "no answer to the watch".into());
                None
            }
        }
    }

    fn watch_failed(&mut self, began: Moment, error: String) {
        self.election.lost_sight(began);
        self.say(error);
    }

    fn failed(&mut self, sent: Moment, error: String) {
        self.election.failed(sent);
        self.say(error);
    }

    fn say(&mut self, error: String) {
        // The same again is no news.
        if self.trouble.as_ref() != Some(&error) {
            warn!(lease = %self.place, error, "Could not reach the lease");
        }
        let said = format!("the Lease {} cannot be reached: {error}", self.place);
        self.leadership.trouble(Some(said));
        self.trouble = Some(error);
    }

    fn answered(&mut self) {
        self.trouble = None;
        self.leadership.trouble(None);
    }

    fn say_whom_it_waits_for(&mut self) {
        let holder = self.election.holder();
        if self.waits_for.as_deref() != Some(holder) {
            info!(lease = %self.place, holder, "Waiting for the lease");
            self.waits_for = Some(holder.to_owned());
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// No two processes have the same, on one machine or many, before or after.
fn suffix(place: &Place) -> String {
    let now = (std::process::id(), Timestamp::now().as_nanosecond());
    format!("{:016x}", RandomState::new().hash_one((&place.process, now)))
}

/// A client without retries: a request is sent when it is due or not at all. A
/// watch may be silent for as long as nothing happens: it has no limit.
fn client(config: &Config, limit: Option<Duration>) -> kube::Result<Client> {
    let mut config = config.clone();
    config.default_retry = false;
    config.read_timeout = limit;
    config.reset_reader_on_write = limit.is_some();
    config.connect_timeout = limit.or(config.connect_timeout);
    config.write_timeout = limit.or(config.write_timeout);
    Client::try_from(config)
}

/// In the API server's own words, which the error's text repeats in two forms.
fn explained(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    }
}
