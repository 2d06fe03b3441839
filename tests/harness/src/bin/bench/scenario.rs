//! What is measured: how many domains, in which zones and regions, under which
//! quotas.

use std::time::Duration;

/// What the operator's default allowances are of AWS's quotas: `--ses-rate` of
/// one request a second, `--route53-rate` of five.
const SES_ALLOWANCE: f64 = 0.98;
const ROUTE53_ALLOWANCE: f64 = 4.0;
/// Route 53's quota before it is scaled: the older one, still widely met.
const ROUTE53_QUOTA: f64 = 5.0;

/// The regions of a scenario are the first of these.
pub(crate) const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-southeast-2"];

/// Which hosted zones the domains lie in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Zones {
    /// All in one.
    One,
    /// Ten in each.
    OfTen,
}

/// What a run goes through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Course {
    /// One object alone, then all; at rest; restarted.
    Life,
    /// As [`Course::Life`] up to all Ready, with another client at half the quota.
    Shared,
    /// Changes of people while all converge, and SIGTERM while all wait.
    Interactive,
    /// The records alone, timed.
    DnsPath,
    /// One change that Route 53 refuses in a full batch; by name, or not.
    Culprit {
        /// Whether Route 53's message names it.
        named: bool,
    },
}

/// One run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) course: Course,
    pub(crate) n: usize,
    pub(crate) zones: Zones,
    pub(crate) regions: usize,
    /// RejectMessage with `rollout: WhenVerified`, else UseDefaultValue.
    pub(crate) reject: bool,
    /// How many times AWS's quotas are as wide, and the operator's allowances.
    pub(crate) ses_scale: f64,
    pub(crate) route53_scale: f64,
    /// From PENDING to INSYNC.
    pub(crate) in_sync_after: Duration,
    /// From a put to SES's first look for the MX.
    pub(crate) first_look: Duration,
    /// For how long the converged operator is watched; none is zero.
    pub(crate) steady: Duration,
    /// `--resync`, where it is not the default.
    pub(crate) resync: Option<Duration>,
    /// `--poll-min`, where it is not the default.
    pub(crate) poll_min: Option<Duration>,
}

/// `--resync` by default.
const RESYNC: Duration = Duration::from_mins(10);

impl Scenario {
    /// All in one zone, one region, quotas scaled ×20, watched over two of the
    /// default resyncs.
    fn new(name: &'static str, n: usize, course: Course) -> Self {
        Self {
            name,
            course,
            n,
            zones: Zones::One,
            regions: 1,
            reject: false,
            ses_scale: 20.0,
            route53_scale: 20.0,
            in_sync_after: Duration::from_secs(30),
            // Late enough for Pending to be seen.
            first_look: Duration::from_secs(5),
            steady: Duration::ZERO,
            resync: None,
            poll_min: None,
        }
    }

    /// What stands in the report's `scenario`.
    pub(crate) fn label(&self) -> String {
        self.name.to_owned()
    }

    /// Its regions.
    pub(crate) fn regions(&self) -> &'static [&'static str] {
        REGIONS.get(..self.regions).unwrap_or(&REGIONS)
    }

    /// Requests per second that the operator allows itself, per SES bucket.
    pub(crate) fn ses_allowance(&self) -> f64 {
        SES_ALLOWANCE * self.ses_scale
    }

    /// Requests per second that the operator allows itself of Route 53.
    pub(crate) fn route53_allowance(&self) -> f64 {
        ROUTE53_ALLOWANCE * self.route53_scale
    }

    /// Requests per second that Route 53 grants the account.
    pub(crate) fn route53_quota(&self) -> f64 {
        ROUTE53_QUOTA * self.route53_scale
    }

    /// Puts that one domain takes in one region: RejectMessage is asked for by a
    /// second one, once SES has said Success.
    pub(crate) fn puts_per_domain(&self) -> usize {
        if self.reject { 2 } else { 1 }
    }

    /// Puts that all its domains take in one region.
    pub(crate) fn puts(&self) -> usize {
        self.n * self.puts_per_domain()
    }

    /// How many zones its domains lie in.
    pub(crate) fn zone_count(&self) -> usize {
        match self.zones {
            Zones::One => 1,
            Zones::OfTen => self.n.div_ceil(10),
        }
    }

    /// How often the operator looks at a settled object.
    pub(crate) fn resync(&self) -> Duration {
        self.resync.unwrap_or(RESYNC)
    }
}

/// The whole benchmark.
pub(crate) fn full() -> Vec<Scenario> {
    let mut all = Vec::new();
    for n in [100, 1_000, 10_000] {
        // Two resyncs where the bounds are told, else one.
        let steady = Duration::from_mins(if n == 10_000 { 20 } else { 11 });
        let scale = scale(n);
        let one = Scenario {
            ses_scale: scale,
            route53_scale: scale,
            ..Scenario::new("one-zone", n, Course::Life)
        };
        all.push(Scenario { steady, ..one.clone() });
        all.push(Scenario { name: "zones-of-ten", zones: Zones::OfTen, ..one.clone() });
        all.push(Scenario {
            name: "one-zone-reject",
            reject: true,
            // Two puts an object: half as many objects a second.
            ses_scale: 20.0,
            route53_scale: 20.0,
            ..one.clone()
        });
        all.push(Scenario {
            name: "three-regions",
            regions: 3,
            ses_scale: scale / 2.0,
            route53_scale: scale / 2.0,
            ..one.clone()
        });
        all.push(Scenario { name: "shared-quota", course: Course::Shared, ..one.clone() });
        all.push(Scenario { name: "interactive", course: Course::Interactive, ..one });
    }
    all.extend(apart());
    all
}

/// How many times AWS's quotas are as wide, with one region and one put a domain; half
/// as much with three regions. With ten thousand objects the API server needs so much
/// for each write that at ×20 it alone takes 1.3 CPUs: on two of them the run would be
/// void, and at ×14 on two that are half as slow again.
fn scale(n: usize) -> f64 {
    if n < 10_000 { 20.0 } else { 10.0 }
}

/// N = 1,000 in under six minutes: what does not wait for quota is shortened,
/// on AWS's side and the operator's, and a resync comes at rest.
pub(crate) fn quick() -> Vec<Scenario> {
    let one = Scenario {
        in_sync_after: Duration::from_secs(2),
        first_look: Duration::from_secs(1),
        poll_min: Some(Duration::from_secs(2)),
        ..Scenario::new("one-zone", 1_000, Course::Life)
    };
    let steady = Duration::from_secs(30);
    let resync = Some(Duration::from_secs(25));
    let mut all = vec![
        Scenario { steady, resync, ..one.clone() },
        Scenario { name: "zones-of-ten", zones: Zones::OfTen, ..one.clone() },
        Scenario { name: "interactive", course: Course::Interactive, ..one },
    ];
    all.extend(apart().into_iter().filter(|scenario| scenario.name != "culprit-unnamed"));
    all
}

/// AWS's quotas as they are.
pub(crate) fn real() -> Vec<Scenario> {
    let one =
        Scenario { ses_scale: 1.0, route53_scale: 1.0, ..Scenario::new("", 100, Course::Life) };
    let steady = Duration::from_mins(20);
    vec![
        Scenario { name: "one-zone", steady, ..one.clone() },
        Scenario { name: "zones-of-ten", zones: Zones::OfTen, ..one },
    ]
}

/// What has a size of its own.
fn apart() -> Vec<Scenario> {
    let instant = Scenario {
        in_sync_after: Duration::ZERO,
        first_look: Duration::ZERO,
        ..Scenario::new("dns-path", 500, Course::DnsPath)
    };
    let culprit = |name, named, steady| Scenario {
        name,
        course: Course::Culprit { named },
        // What the linger gathers first, a full batch, and more that wait.
        n: 500,
        steady: Duration::from_secs(steady),
        resync: Some(Duration::from_secs(5)),
        ..instant.clone()
    };
    vec![
        // All quotas as they are.
        Scenario { ses_scale: 1.0, route53_scale: 1.0, ..instant.clone() },
        culprit("culprit-named", true, 10),
        // A retry of what was found alone falls due meanwhile.
        culprit("culprit-unnamed", false, 40),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_scaled_by_no_more_than_is_allowed() {
        for scenario in full().into_iter().chain(quick()) {
            let most = if scenario.regions == 1 { 20.0 } else { 10.0 };
            assert!(scenario.ses_scale <= most && scenario.route53_scale <= most, "{scenario:?}");
        }
        assert!(real().iter().all(|one| one.ses_scale + one.route53_scale <= 2.0));
    }

    #[test]
    fn the_quick_benchmark_has_six_minutes() {
        let seconds = |scenario: &Scenario| {
            let puts = match scenario.course {
                Course::DnsPath => 0.0,
                _ => crate::figures::number(scenario.n) / scenario.ses_allowance(),
            };
            // As measured: 31 s to start, to be alone, to create, to stop and restart;
            // 16 s without the object alone and the restart.
            let others = if scenario.course == Course::Life { 32.0 } else { 18.0 };
            puts + scenario.steady.as_secs_f64() + others
        };
        let all: f64 = quick().iter().map(seconds).sum();
        assert!(all < 360.0, "{all}");
    }

    #[test]
    fn allowances_are_below_the_quotas() {
        for scenario in full() {
            assert!(scenario.ses_allowance() < scenario.ses_scale);
            assert!(scenario.route53_allowance() < scenario.route53_quota());
        }
    }
}
