//! SES, Route 53, STS and the DNS, as AWS and the RFCs document them.
//!
//! One [`World`] behind a [`Simulator`] that is cheap to clone. Use it in
//! process, through [`Simulator::handle`] and [`Simulator::dns`], or over
//! loopback sockets, through [`Simulator::serve`]. Three dials for time: what
//! AWS takes is counted by a [`SimClock`], quotas by the wall and a factor
//! ([`Quotas`]), and the client's own durations are its own.
//!
//! Where AWS documents no behaviour, [`Config`] has a switch, and a client
//! must be right under every setting of it.
//!
//! ```
//! use aws_simulator::{ACCOUNT, Config, Quotas, SimClock, Simulator, ZoneSpec};
//!
//! let config = Config { quotas: Quotas::off(), ..Config::default() };
//! let simulator = Simulator::new(config, SimClock::manual());
//! let zone = simulator.with(|world| {
//!     world.set_identity(ACCOUNT, "us-east-1", "example.com", true);
//!     world.create_zone(ZoneSpec::public(ACCOUNT, "example.com"))
//! })?;
//! simulator.advance(std::time::Duration::from_hours(72));
//! # Ok::<(), aws_simulator::EditError>(())
//! ```

mod api;
mod clock;
mod config;
mod dns;
mod faults;
mod iam;
mod log;
mod name;
mod outside;
mod record;
mod request;
mod route53;
mod scenario;
mod serve;
mod ses;
mod simulator;
mod sts;
mod throttle;
mod world;
mod zones;

pub use self::{
    clock::{SimClock, SimTime, WallClock},
    config::{
        BehaviorPut, CheckSchedule, Config, DnsConfig, EqualPut, ForeignMx, OmittedMember,
        PutInFailed, Quotas, Route53Config, SesBucket, SesConfig, SeveralMx, StsConfig,
        UnknownIdentity,
    },
    dns::{PARENT, RESOLVER},
    faults::{Fault, FaultId, Gate, GatePoint, Matching, Trouble},
    iam::PolicyError,
    log::{
        Call, DnsQuestion, Event, EventKind, IdentityKey, MailFromStatus, Outcome, Sending, Service,
    },
    name::{Name, NameError},
    outside::EditError,
    record::{AliasTarget, RecordKey, RecordSet, RecordType, Routing, txt_strings},
    route53::{Delegation, Zone, ZoneSpec},
    scenario::{
        Scenario, ScenarioAccount, ScenarioError, ScenarioIdentity, ScenarioRecord, ScenarioRole,
        ScenarioZone,
    },
    serve::{Listen, ListenError, Serving},
    ses::{Behavior, MailFromView},
    simulator::{ACCESS_KEY, ACCOUNT, ConnectionLost, NotSeen, Simulator},
    sts::Role,
    world::World,
};
