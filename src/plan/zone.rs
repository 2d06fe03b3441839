//! The hosted zone that a MAIL FROM domain lies in: the most specific public
//! one that is really delegated.

use std::time::Duration;

use super::desired::Desired;
use super::finding::Finding;
use super::inquiry::{Inquiry, Reading};
use super::world::{Fault, Settings};
use crate::api::Reason;
use crate::mail::{Delegation, DomainName, HostedZoneId, Zone};

/// What came of looking for the zone.
#[derive(Debug)]
pub(super) enum ZoneChoice {
    /// This one.
    Chosen(Zone),
    /// Not all is known yet.
    Waiting,
    /// AWS could not be asked.
    Failed(Fault),
    /// There is none that could be used.
    Refused(Finding),
}

/// Chooses the zone of `name`. One that was found before is kept as long as it
/// exists, whatever the parent says today. Zones are remembered for
/// `--zone-cache`, but while none of them will do, a person may be making one.
pub(super) fn choose(
    inquiry: &Inquiry<'_>,
    settings: &Settings,
    desired: &Desired,
    name: &DomainName,
    kept: Option<&HostedZoneId>,
) -> ZoneChoice {
    match choose_as_of(settings.zone_cache, inquiry, settings, desired, (name, kept)) {
        ZoneChoice::Refused(_) => {
            let recent = settings.resync.min(settings.zone_cache);
            choose_as_of(recent, inquiry, settings, desired, (name, kept))
        }
        choice => choice,
    }
}

fn choose_as_of(
    max_age: Duration,
    inquiry: &Inquiry<'_>,
    settings: &Settings,
    desired: &Desired,
    (name, kept): (&DomainName, Option<&HostedZoneId>),
) -> ZoneChoice {
    let zones = match inquiry.zones(name, max_age) {
        Reading::Known { value, .. } => value,
        Reading::Waiting => return ZoneChoice::Waiting,
        Reading::Failed(fault) => return ZoneChoice::Failed(fault),
    };
    if let Some(zone) = kept.and_then(|id| zones.iter().find(|zone| zone.id == *id)) {
        return ZoneChoice::Chosen(zone.clone());
    }
    if let Some(id) = &desired.zone {
        return match zones.iter().find(|zone| zone.id == *id) {
            Some(zone) => match usable(zone, name) {
                Ok(()) => confirm(inquiry, settings, &[zone], name, desired.deleting),
                Err(refused) => ZoneChoice::Refused(refused),
            },
            None => ZoneChoice::Refused(Finding::new(
                Reason::ZoneNotFound,
                format!("the account has no hosted zone {id} that {name} lies in"),
            )),
        };
    }
    search(inquiry, settings, zones, name, desired.deleting)
}

fn search(
    inquiry: &Inquiry<'_>,
    settings: &Settings,
    zones: &[Zone],
    name: &DomainName,
    deleting: bool,
) -> ZoneChoice {
    let public: Vec<&Zone> = zones.iter().filter(|zone| !zone.private).collect();
    if public.is_empty() {
        let found = match zones.first() {
            Some(zone) => format!(
                "only the private hosted zone {} ({}) holds {name}, and SES does not see it",
                zone.id, zone.name
            ),
            None => format!("the account has no hosted zone that {name} lies in"),
        };
        return ZoneChoice::Refused(Finding::new(Reason::ZoneNotFound, found));
    }
    confirm(inquiry, settings, &public, name, deleting)
}

/// The first of `zones`, longest name first, that the parent delegates to.
fn confirm(
    inquiry: &Inquiry<'_>,
    settings: &Settings,
    zones: &[&Zone],
    name: &DomainName,
    deleting: bool,
) -> ZoneChoice {
    let mut refused = None;
    for zone in zones {
        let twins: Vec<&str> =
            zones.iter().filter(|z| z.name == zone.name).map(|z| z.id.as_str()).collect();
        if twins.len() > 1 {
            return ZoneChoice::Refused(Finding::new(
                Reason::ZoneAmbiguous,
                format!("the hosted zones {} are all named {}", twins.join(", "), zone.name),
            ));
        }
        match inquiry.delegation(zone, settings.resync) {
            Reading::Waiting => return ZoneChoice::Waiting,
            Reading::Failed(fault) => return ZoneChoice::Failed(fault),
            Reading::Known { value: Delegation::Delegated | Delegation::Unaskable(_), .. } => {
                return match usable(zone, name) {
                    Ok(()) => ZoneChoice::Chosen((*zone).clone()),
                    Err(refused) => ZoneChoice::Refused(refused),
                };
            }
            Reading::Known { value, .. } => {
                let finding = Finding::new(Reason::ZoneNotDelegated, not_delegated(zone, value));
                refused.get_or_insert(finding);
            }
        }
    }
    match refused {
        // What is ours is taken away where it stands, whoever is asked for the name.
        Some(refused) => {
            let mut standing = zones.iter().filter(|zone| deleting && usable(zone, name).is_ok());
            let zone = standing.next().map(|zone| (*zone).clone());
            zone.map_or(ZoneChoice::Refused(refused), ZoneChoice::Chosen)
        }
        None => ZoneChoice::Waiting,
    }
}

fn usable(zone: &Zone, name: &DomainName) -> Result<(), Finding> {
    if zone.private {
        let text = format!("the hosted zone {} ({}) of {name} is private", zone.id, zone.name);
        return Err(Finding::new(Reason::ZoneNotFound, text));
    }
    match &zone.linked_service {
        Some(service) => Err(Finding::new(
            Reason::ZoneNotEditable,
            format!("the hosted zone {} ({}) is owned by {service}", zone.id, zone.name),
        )),
        None => Ok(()),
    }
}

/// What the parent says of a zone that it does not delegate to.
pub(super) fn not_delegated(zone: &Zone, delegation: &Delegation) -> String {
    match delegation {
        Delegation::Elsewhere(servers) => format!(
            "the parent zone delegates {} to {}, not to the hosted zone {}",
            zone.name,
            servers.join(", "),
            zone.id
        ),
        _ => format!("the parent zone does not delegate {}, hosted zone {}", zone.name, zone.id),
    }
}
