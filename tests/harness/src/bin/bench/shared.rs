//! Another client of the account that takes half of every quota.

use std::time::Duration;

use aws_simulator::{ACCOUNT, Service, Simulator};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use crate::figures::{number, seconds};
use crate::scenario::Scenario;

/// Each of these has a bucket of its own in each region.
const ACTIONS: [&str; 5] = [
    "GetEmailIdentity",
    "GetIdentityMailFromDomainAttributes",
    "GetIdentityVerificationAttributes",
    "ListEmailIdentities",
    "PutEmailIdentityMailFromAttributes",
];
/// How often it comes.
const PAUSE: Duration = Duration::from_millis(10);

/// The other client, until it is dropped.
pub(crate) struct OtherClient(JoinHandle<()>);

impl Drop for OtherClient {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl OtherClient {
    /// Takes half of what each bucket grants, evenly.
    pub(crate) fn start(simulator: Simulator, scenario: &Scenario) -> Self {
        let scenario = scenario.clone();
        Self(tokio::spawn(async move {
            let begin = Instant::now();
            let (mut ses, mut route53) = (0, 0);
            loop {
                let elapsed = seconds(begin.elapsed());
                while number(ses) < elapsed * scenario.ses_scale / 2.0 {
                    ses += 1;
                    for (region, action) in pairs(&scenario) {
                        simulator.draw(Service::Ses, ACCOUNT, region, action);
                    }
                }
                while number(route53) < elapsed * scenario.route53_quota() / 2.0 {
                    route53 += 1;
                    simulator.draw(Service::Route53, ACCOUNT, "us-east-1", "GetChange");
                }
                sleep(PAUSE).await;
            }
        }))
    }
}

fn pairs(scenario: &Scenario) -> impl Iterator<Item = (&'static str, &'static str)> {
    let regions = scenario.regions().iter();
    regions.flat_map(|region| ACTIONS.into_iter().map(move |action| (*region, action)))
}
