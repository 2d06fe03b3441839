use std::time::Duration;

use aws_simulator::{
    ACCOUNT, CheckSchedule, Config, Delegation, EditError, Quotas, RecordSet, RecordType,
    Route53Config, SesConfig, SimClock, Simulator, ZoneSpec,
};

use crate::Failure;

/// How many times faster than the wall simulated time runs: 72 hours in a minute.
const PACE: f64 = 4320.0;

/// How many times AWS's request quotas are as wide here, and how many times the
/// operator allows itself as much.
pub(crate) const QUOTA_SCALE: f64 = 20.0;

/// Where `deploy/samples/example-com.yaml` publishes.
pub(crate) const ZONE: &str = "Z0EXAMPLECOM";
/// Its MAIL FROM domain.
pub(crate) const MAIL_FROM: &str = "bounce.example.com";
/// Its SES identity.
pub(crate) const IDENTITY: &str = "example.com";
/// Its regions.
pub(crate) const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];

/// An account with what the samples need: a delegated zone and a verified
/// identity for one, and a zone that its parent does not delegate for the other.
pub(crate) fn world() -> Result<Simulator, EditError> {
    let config = Config {
        ses: SesConfig {
            checks: CheckSchedule {
                // Late enough for Pending to be seen: 2.5 s on the wall.
                first: Duration::from_hours(3),
                keep: Duration::from_mins(30),
                ..CheckSchedule::default()
            },
            ..SesConfig::default()
        },
        route53: Route53Config {
            // A second on the wall.
            in_sync_after: Duration::from_mins(72),
            ..Route53Config::default()
        },
        quotas: Quotas::scaled(QUOTA_SCALE),
        ..Config::default()
    };
    let simulator = Simulator::new(config, SimClock::scaled(PACE));
    simulator.with(|world| {
        for region in REGIONS {
            world.set_identity(ACCOUNT, region, IDENTITY, true);
        }
        world.set_identity(ACCOUNT, REGIONS[0], "undelegated.example", true);
        world.create_zone(ZoneSpec::public(ACCOUNT, IDENTITY).id(ZONE))?;
        let undelegated = ZoneSpec::public(ACCOUNT, "undelegated.example");
        world.create_zone(undelegated.delegation(Delegation::None))
    })?;
    Ok(simulator)
}

/// The values of the MX at the MAIL FROM domain, as Route 53 shows them.
pub(crate) fn mx(simulator: &Simulator) -> Vec<String> {
    values(simulator, RecordType::MX)
}

/// The values of its TXT: SPF, the marker of ownership and what others put there.
pub(crate) fn txt(simulator: &Simulator) -> Vec<String> {
    values(simulator, RecordType::TXT)
}

fn values(simulator: &Simulator, kind: RecordType) -> Vec<String> {
    simulator.with(|world| {
        let set = world.record_set(ZONE, MAIL_FROM, kind);
        set.map(|set| set.values.clone()).unwrap_or_default()
    })
}

/// Removes the MX as someone in the console would.
pub(crate) fn delete_mx(simulator: &Simulator) -> Result<(), Failure> {
    simulator.with(|world| world.delete_record_set(ZONE, MAIL_FROM, RecordType::MX))?;
    Ok(())
}

/// Puts another MX in its place.
pub(crate) fn put_mx(simulator: &Simulator, value: &str) -> Result<(), Failure> {
    let set = RecordSet::new(MAIL_FROM, RecordType::MX, 300, &[value])?;
    simulator.with(|world| world.put_record_set(ZONE, set))?;
    Ok(())
}

/// The MAIL FROM domain that SES holds in a region, empty where none is set.
pub(crate) fn mail_from(simulator: &Simulator, region: &str) -> String {
    simulator.with(|world| {
        let view = world.mail_from(ACCOUNT, region, IDENTITY);
        let domain = view.and_then(|view| view.domain.clone());
        domain.map(|(domain, _)| domain).unwrap_or_default()
    })
}

/// How many requests of that action there have been to the zone.
pub(crate) fn zone_calls(simulator: &Simulator, action: &str) -> usize {
    simulator.with(|world| {
        let calls = world.calls_of(action);
        calls.filter(|call| call.targets.iter().any(|target| target == ZONE)).count()
    })
}
