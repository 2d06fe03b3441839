//! Another client of the account that takes half of every quota.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_simulator::{ACCOUNT, Service, Simulator};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::figures::{PUT, number, seconds};
use crate::scenario::Scenario;

/// Each of these has a bucket of its own in each region.
const ACTIONS: [&str; 5] = [
    "GetEmailIdentity",
    "GetIdentityMailFromDomainAttributes",
    "GetIdentityVerificationAttributes",
    "ListEmailIdentities",
    PUT,
];
/// How often it comes.
const PAUSE: Duration = Duration::from_millis(10);

/// The other client, until it is dropped.
pub(crate) struct OtherClient {
    begin: Instant,
    requests: Arc<Mutex<Requests>>,
    sending: JoinHandle<()>,
}

impl Drop for OtherClient {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

impl OtherClient {
    /// Takes half of what each bucket grants, evenly.
    pub(crate) fn start(simulator: Simulator, scenario: &Scenario) -> Self {
        let begin = Instant::now();
        let requests = Arc::new(Mutex::new(Requests::of(scenario)));
        let sent = Arc::clone(&requests);
        let sending = tokio::spawn(async move {
            loop {
                lock(&sent).send_until(seconds(begin.elapsed()), &simulator);
                sleep(PAUSE).await;
            }
        });
        Self { begin, requests, sending }
    }

    /// Ends it; yields its share of the quota, see [`Requests::share`].
    pub(crate) fn stop(self) -> f64 {
        lock(&self.requests).share(seconds(self.begin.elapsed()))
    }
}

fn lock(requests: &Mutex<Requests>) -> MutexGuard<'_, Requests> {
    requests.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What it has sent, and what was granted. Of SES that is counted in each bucket.
struct Requests {
    scenario: Scenario,
    ses: usize,
    route53: usize,
    /// Puts, of all regions.
    granted_puts: usize,
    granted_route53: usize,
}

impl Requests {
    fn of(scenario: &Scenario) -> Self {
        let scenario = scenario.clone();
        Self { scenario, ses: 0, route53: 0, granted_puts: 0, granted_route53: 0 }
    }

    /// Sends what is due so many seconds after the beginning. What is not granted is
    /// not sent again.
    fn send_until(&mut self, elapsed: f64, simulator: &Simulator) {
        while number(self.ses) < elapsed * self.scenario.ses_scale / 2.0 {
            self.ses += 1;
            for (region, action) in pairs(&self.scenario) {
                let granted = simulator.draw(Service::Ses, ACCOUNT, region, action);
                self.granted_puts += usize::from(granted && action == PUT);
            }
        }
        while number(self.route53) < elapsed * self.scenario.route53_quota() / 2.0 {
            self.route53 += 1;
            let granted = simulator.draw(Service::Route53, ACCOUNT, "us-east-1", "GetChange");
            self.granted_route53 += usize::from(granted);
        }
    }

    /// Which share of the quota was granted to it, from 0 to 1: of puts or of Route
    /// 53, whichever is less.
    fn share(&self, elapsed: f64) -> f64 {
        let regions = number(self.scenario.regions().len());
        let puts = number(self.granted_puts) / (self.scenario.ses_scale * regions * elapsed);
        let route53 = number(self.granted_route53) / (self.scenario.route53_quota() * elapsed);
        puts.min(route53)
    }
}

fn pairs(scenario: &Scenario) -> impl Iterator<Item = (&'static str, &'static str)> {
    let regions = scenario.regions().iter();
    regions.flat_map(|region| ACTIONS.into_iter().map(move |action| (*region, action)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use aws_simulator::{Config, Quotas, SimClock, WallClock};

    use super::*;
    use crate::scenario::full;

    /// The share after ten seconds in which `rival` draws as well, each time before
    /// the other client comes.
    fn share_beside(rival: impl Fn(&Simulator)) -> f64 {
        let scenario = full().swap_remove(0);
        let millis = Arc::new(AtomicU64::new(0));
        let shown = Arc::clone(&millis);
        let wall = WallClock::new(move || Duration::from_millis(shown.load(Ordering::Relaxed)));
        let quotas = Quotas::default();
        let quotas = Quotas {
            ses_rate: quotas.ses_rate * scenario.ses_scale,
            route53_rate: scenario.route53_quota(),
            ..quotas
        };
        let config = Config { quotas, ..Config::default() };
        let simulator = Simulator::new(config, SimClock::on(wall, 1.0));
        let mut requests = Requests::of(&scenario);
        for now in (10..=10_000).step_by(10) {
            millis.store(now, Ordering::Relaxed);
            rival(&simulator);
            requests.send_until(seconds(Duration::from_millis(now)), &simulator);
        }
        requests.share(10.0)
    }

    #[test]
    fn alone_it_is_granted_half_of_the_quota() {
        let share = share_beside(|_| ());
        assert!((share - 0.5).abs() < 0.01, "{share}");
    }

    #[test]
    fn what_is_not_granted_is_no_part_of_its_share() {
        let draw = |simulator: &Simulator| simulator.draw(Service::Ses, ACCOUNT, "us-east-1", PUT);
        let share = share_beside(|simulator| while draw(simulator) {});
        assert!(share < 0.01, "{share}");
    }
}
