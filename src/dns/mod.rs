//! What the world sees: asked past the cluster's own view, at the name servers
//! themselves. A recursive resolver only tells where those are.

mod delegation;
mod exchange;
mod message;
mod resolve;
mod seen;
mod system;

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use exchange::{Exchange, ExchangeError, Network};

use crate::mail::{Delegation, DomainName, Seen, SharedText};

/// A question is a few look-ups one after another, each bounded by
/// [`Settings::timeout`]; together they have so many times as long.
const STEPS: u32 = 4;

/// Where to ask, and how long.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Recursive resolvers, the next tried where one fails.
    pub resolvers: Vec<SocketAddr>,
    /// Where name servers answer: 53.
    pub port: u16,
    /// How long one server has to answer; a whole question takes at most four
    /// times as long.
    pub timeout: Duration,
}

impl Settings {
    /// The resolvers of `/etc/resolv.conf`.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn system() -> std::io::Result<Self> {
        let resolvers = system::resolvers(Path::new("/etc/resolv.conf"))?;
        Ok(Self { resolvers, ..Self::default() })
    }
}

impl Default for Settings {
    /// No resolvers: a name server can then not be found.
    fn default() -> Self {
        Self { resolvers: Vec::new(), port: 53, timeout: Duration::from_secs(3) }
    }
}

/// Asks name servers. Its answers come within four times
/// [`Settings::timeout`]; nothing is remembered.
#[derive(Clone)]
pub struct Dns {
    settings: Settings,
    exchange: Arc<dyn Exchange>,
}

impl Dns {
    /// Over the network.
    pub fn new(settings: Settings) -> Self {
        let exchange = Arc::new(Network { timeout: settings.timeout });
        Self::with_exchange(settings, exchange)
    }

    /// Over something else.
    pub fn with_exchange(settings: Settings, exchange: Arc<dyn Exchange>) -> Self {
        Self { settings, exchange }
    }

    /// Whether the parent of `apex` names any of `servers`, the hosts of the
    /// zone's apex NS record set: lower case, without trailing dot. Asks the
    /// parent's servers; that they could not be asked is not a "no".
    pub async fn delegation(&self, apex: &DomainName, servers: &[SharedText]) -> Delegation {
        let question = self.find_delegation(apex, servers);
        let late = || Delegation::Unaskable(format!("the parent of {apex} did not answer in time"));
        self.in_time(question).await.unwrap_or_else(late)
    }

    /// What `servers`, those of the zone itself, answer for `name`. Servers that
    /// cannot be asked are left out, unless that is all of them.
    pub async fn seen(&self, name: &DomainName, servers: &[SharedText]) -> Seen {
        let question = self.find_seen(name, servers);
        let late = || Seen::Unaskable("the zone's name servers did not answer in time".to_owned());
        self.in_time(question).await.unwrap_or_else(late)
    }

    async fn in_time<T>(&self, question: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout(self.settings.timeout * STEPS, question).await.ok()
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dns").field("settings", &self.settings).finish_non_exhaustive()
    }
}
