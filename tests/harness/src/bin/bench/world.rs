//! The simulated AWS of a scenario, and how its domains are called.

use aws_simulator::{
    ACCOUNT, CheckSchedule, Config, Quotas, RecordType, Route53Config, SesConfig, SimClock,
    Simulator, ZoneSpec,
};

use crate::Failure;
use crate::scenario::{Scenario, Zones};

/// The zone of [`Zones::One`].
const ONE: &str = "bench.example";
/// The subdomain of every object.
pub(crate) const SUBDOMAIN: &str = "bounce";

/// The domain, and so the SES identity, of an object.
pub(crate) fn domain(zones: Zones, number: usize) -> String {
    match zones {
        Zones::One => format!("d{number:05}.{ONE}"),
        Zones::OfTen => format!("d{number:05}.{}", zone(zones, number)),
    }
}

/// The zone that an object's records stand in.
fn zone(zones: Zones, number: usize) -> String {
    match zones {
        Zones::One => ONE.to_owned(),
        Zones::OfTen => format!("z{:04}.example", number / 10),
    }
}

/// The id of that zone.
pub(crate) fn zone_id(zones: Zones, number: usize) -> String {
    match zones {
        Zones::One => "ZBENCH".to_owned(),
        Zones::OfTen => format!("ZBENCH{:04}", number / 10),
    }
}

/// A world with zones and identities for `count` objects. Its clock goes with
/// the wall's, so that its logs are in seconds since now.
pub(crate) fn build(scenario: &Scenario, count: usize) -> Result<Simulator, Failure> {
    let simulator = Simulator::new(config(scenario, count), SimClock::scaled(1.0));
    simulator.with(|world| {
        for number in 0..count {
            let domain = domain(scenario.zones, number);
            for region in scenario.regions() {
                world.set_identity(ACCOUNT, region, &domain, true);
            }
            let id = zone_id(scenario.zones, number);
            if world.zone(&id).is_none() {
                let name = zone(scenario.zones, number);
                world.create_zone(ZoneSpec::public(ACCOUNT, &name).id(&id))?;
            }
        }
        Ok::<_, Failure>(())
    })?;
    Ok(simulator)
}

fn config(scenario: &Scenario, count: usize) -> Config {
    let default = Route53Config::default();
    let domains = match scenario.zones {
        Zones::One => count,
        Zones::OfTen => 10,
    };
    // Two record sets for each domain, and the zone's own two.
    let record_sets_per_zone = default.record_sets_per_zone.max(2 * domains + 2);
    let quotas = Quotas::default();
    Config {
        ses: SesConfig {
            checks: CheckSchedule { first: scenario.first_look, ..CheckSchedule::default() },
            ..SesConfig::default()
        },
        route53: Route53Config {
            in_sync_after: scenario.in_sync_after,
            record_sets_per_zone,
            ..default
        },
        quotas: Quotas {
            ses_rate: quotas.ses_rate * scenario.ses_scale,
            route53_rate: quotas.route53_rate * scenario.route53_scale,
            ..quotas
        },
        ..Config::default()
    }
}

/// Whether more record sets are allowed in a zone than Route 53 allows at first.
pub(crate) fn raises_record_quota(scenario: &Scenario) -> bool {
    let default = Route53Config::default().record_sets_per_zone;
    config(scenario, scenario.n + 1).route53.record_sets_per_zone > default
}

/// Removes what an object leaves behind that is not there any more.
pub(crate) fn forget(
    simulator: &Simulator,
    scenario: &Scenario,
    number: usize,
) -> Result<(), Failure> {
    let domain = domain(scenario.zones, number);
    let name = format!("{SUBDOMAIN}.{domain}");
    simulator.with(|world| {
        for region in scenario.regions() {
            world.delete_identity(ACCOUNT, region, &domain);
        }
        let zone = zone_id(scenario.zones, number);
        for kind in [RecordType::MX, RecordType::TXT] {
            world.delete_record_set(&zone, &name, kind)?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::scenario::full;

    #[test]
    fn ten_domains_share_a_zone_or_all_do() {
        assert_eq!(domain(Zones::OfTen, 29), "d00029.z0002.example");
        for scenario in full().iter().filter(|scenario| scenario.n == 100) {
            let simulator = build(scenario, 100).unwrap();
            let zones = (0..100).map(|number| zone_id(scenario.zones, number));
            let zones: std::collections::BTreeSet<_> = zones.collect();
            assert_eq!(zones.len(), scenario.zone_count());
            simulator.with(|world| {
                assert!(zones.iter().all(|id| world.zone(id).is_some()));
                let last = domain(scenario.zones, 99);
                let region = scenario.regions().last().unwrap();
                assert!(world.mail_from(ACCOUNT, region, &last).is_some());
            });
        }
    }

    #[test]
    fn the_record_set_quota_is_raised_only_where_it_is_in_the_way() {
        let raised = full().into_iter().filter(raises_record_quota);
        assert!(raised.clone().all(|scenario| scenario.n == 10_000));
        assert!(raised.count() > 0);
    }
}
