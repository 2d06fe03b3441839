//! What can be set: durations, quotas, and one switch for each behaviour of
//! AWS that is documented nowhere.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything that can be set about the simulated world.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Simple Email Service.
    pub ses: SesConfig,
    /// Route 53.
    pub route53: Route53Config,
    /// The name servers and resolvers.
    pub dns: DnsConfig,
    /// Request quotas.
    pub quotas: Quotas,
    /// Security Token Service.
    pub sts: StsConfig,
}

/// How SES behaves. Times are simulated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SesConfig {
    /// How long SES looks for the MX before it gives up.
    pub window: Duration,
    /// When SES looks for the MX.
    pub checks: CheckSchedule,
    /// For how long after a put reads still return the old state.
    pub stale_reads: Duration,
    /// Whether a put of the values that stand resets Success.
    pub equal_put: EqualPut,
    /// Whether a put of another behaviour alone resets Success.
    pub behavior_put: BehaviorPut,
    /// Whether a put restarts Failed.
    pub put_in_failed: PutInFailed,
    /// Whether an MX that names another region's endpoint counts.
    pub foreign_mx: ForeignMx,
    /// What several MX records at the name do.
    pub several_mx: SeveralMx,
    /// What a put without `MailFromDomain` does.
    pub omitted_member: OmittedMember,
    /// The error for a put to an identity that does not exist.
    pub unknown_identity: UnknownIdentity,
}

impl Default for SesConfig {
    fn default() -> Self {
        Self {
            window: Duration::from_hours(72),
            checks: CheckSchedule::default(),
            stale_reads: Duration::ZERO,
            equal_put: EqualPut::Keeps,
            behavior_put: BehaviorPut::Keeps,
            put_in_failed: PutInFailed::Restarts,
            foreign_mx: ForeignMx::Accepted,
            several_mx: SeveralMx::WindowRunsOut,
            omitted_member: OmittedMember::Ignored,
            unknown_identity: UnknownIdentity::BadRequest,
        }
    }
}

/// When SES looks for the MX: right after the put and then ever less often
/// (reported for domain verification; AWS documents no figures).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckSchedule {
    /// From the put to the first look.
    pub first: Duration,
    /// From the first miss to the second look.
    pub interval: Duration,
    /// By what each further interval is longer.
    pub growth: f64,
    /// The longest interval while SES is looking.
    pub longest: Duration,
    /// Between looks while the state is Success.
    pub keep: Duration,
}

impl Default for CheckSchedule {
    fn default() -> Self {
        Self {
            first: Duration::ZERO,
            interval: Duration::from_mins(1),
            growth: 1.5,
            longest: Duration::from_hours(1),
            keep: Duration::from_hours(1),
        }
    }
}

impl CheckSchedule {
    /// Looks every simulated minute, for ever.
    pub fn eager() -> Self {
        Self {
            growth: 1.0,
            longest: Duration::from_mins(1),
            keep: Duration::from_mins(1),
            ..Self::default()
        }
    }
}

/// Declares a two- or three-way switch with its variants' documentation.
macro_rules! switch {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }
    };
}

switch! {
    /// What a put of the values that stand does to Success and to a running window.
    EqualPut {
        /// Nothing.
        Keeps,
        /// Pending again, with a window of its own.
        Resets,
    }
}
switch! {
    /// What a put of another behaviour for the same name does to Success and to a running window.
    BehaviorPut {
        /// Only the behaviour changes.
        Keeps,
        /// Pending again, with a window of its own.
        Resets,
    }
}
switch! {
    /// What a put of the same name does in Failed.
    PutInFailed {
        /// Pending again, with a window of its own.
        Restarts,
        /// Still Failed: only a clear and a put start anew.
        Ignored,
    }
}
switch! {
    /// What an MX that names another region's feedback endpoint is to SES.
    ForeignMx {
        /// As good as its own.
        Accepted,
        /// No MX.
        Refused,
    }
}
switch! {
    /// "If you have several MX records, the setup will fail": when.
    SeveralMx {
        /// When the window has run out, as without an MX.
        WindowRunsOut,
        /// When SES sees them.
        FailsAtOnce,
    }
}
switch! {
    /// What a put without `MailFromDomain` is.
    OmittedMember {
        /// The name stays; only a behaviour that is given is taken.
        Ignored,
        /// The same as the empty string.
        Clears,
        /// A `BadRequestException`.
        Refused,
    }
}
switch! {
    /// What a put to an identity that does not exist answers.
    UnknownIdentity {
        /// `BadRequestException`, as reported.
        BadRequest,
        /// `NotFoundException`, as modelled.
        NotFound,
    }
}

/// How Route 53 behaves. Times are simulated.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Route53Config {
    /// From PENDING to INSYNC.
    pub in_sync_after: Duration,
    /// How long a zone answers `PriorRequestNotComplete` after a change.
    pub submission: Duration,
    /// TTL of a new zone's SOA record.
    pub soa_ttl: u32,
    /// Minimum field of a new zone's SOA record. The lesser of the two is how
    /// long "no such name" is remembered (RFC 2308 section 5).
    pub soa_minimum: u32,
    /// Record sets that one zone may hold.
    pub record_sets_per_zone: usize,
}

impl Default for Route53Config {
    fn default() -> Self {
        Self {
            in_sync_after: Duration::from_secs(30),
            submission: Duration::ZERO,
            soa_ttl: 900,
            soa_minimum: 86_400,
            record_sets_per_zone: 10_000,
        }
    }
}

/// The name servers and resolvers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DnsConfig {
    /// Delegation sets, of two name servers each, that there are to give out;
    /// at most 100.
    pub delegation_sets: u8,
    /// TTL of the parents' delegations, and of their "no such name".
    pub delegation_ttl: u32,
    /// Whether SES asks the same recursive resolver as everyone else, and so
    /// shares its memory of a name that was asked for too early.
    pub ses_shares_resolver: bool,
}

impl Default for DnsConfig {
    fn default() -> Self {
        Self { delegation_sets: 12, delegation_ttl: 900, ses_shares_resolver: true }
    }
}

/// Sessions of roles. They count wall time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StsConfig {
    /// How long a session really lasts, and says that it does; none: as long
    /// as was asked.
    pub session: Option<Duration>,
}

/// Token buckets. They count wall time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// By what every rate is multiplied; 0 turns all quotas off.
    pub scale: f64,
    /// Requests a second to SES, per account and region and, as `ses_bucket`
    /// says, per action.
    pub ses_rate: f64,
    /// What shares an SES bucket.
    pub ses_bucket: SesBucket,
    /// Requests a second to Route 53, per account.
    pub route53_rate: f64,
    /// Burst of Route 53; none gives 1 + 0.1 s × rate.
    pub route53_burst: Option<f64>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self {
            scale: 1.0,
            ses_rate: 1.0,
            ses_bucket: SesBucket::PerAction,
            route53_rate: 5.0,
            route53_burst: None,
        }
    }
}

impl Quotas {
    /// No request is ever throttled.
    pub fn off() -> Self {
        Self::scaled(0.0)
    }

    /// AWS's quotas, `scale` times as wide.
    pub fn scaled(scale: f64) -> Self {
        Self { scale, ..Self::default() }
    }
}

switch! {
    /// What shares a bucket of SES, per account and region.
    SesBucket {
        /// Each action has its own.
        PerAction,
        /// All actions share one.
        Shared,
    }
}
