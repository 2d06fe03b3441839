//! What the simulated AWS's own log tells, in the order in which it happened.

use aws_simulator::{ACCOUNT, EventKind, MailFromStatus, RecordType, Sending, World};

use crate::stage::{DOMAIN, Stage, ZONE};

pub(crate) const PUT: &str = "PutEmailIdentityMailFromAttributes";
pub(crate) const CHANGE: &str = "ChangeResourceRecordSets";
pub(crate) const DEFAULT: &str = "USE_DEFAULT_VALUE";
pub(crate) const REJECT: &str = "REJECT_MESSAGE";

/// A put that SES took.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Put {
    /// Its place among all calls and events.
    pub order: u64,
    /// The MAIL FROM domain; empty to clear it.
    pub domain: String,
    pub behavior: String,
}

/// The puts that SES took for `example.com` in a region.
pub(crate) fn puts(stage: &Stage, region: &str) -> Vec<Put> {
    stage.aws.with(|world| puts_in(world, region))
}

pub(crate) fn puts_in(world: &World, region: &str) -> Vec<Put> {
    let put = |event: &aws_simulator::Event| match &event.kind {
        EventKind::MailFromPut { identity, domain, behavior }
            if identity.region == region && identity.identity == DOMAIN =>
        {
            Some(Put { order: event.order, domain: domain.clone(), behavior: behavior.clone() })
        }
        _ => None,
    };
    world.events().iter().filter_map(put).collect()
}

/// The behaviours that were put in a region, in order.
pub(crate) fn behaviors(stage: &Stage, region: &str) -> Vec<String> {
    puts(stage, region).into_iter().map(|put| put.behavior).collect()
}

/// When SES's word on `example.com` in a region became `status`, each time.
pub(crate) fn became(stage: &Stage, region: &str, status: MailFromStatus) -> Vec<u64> {
    let became = |event: &aws_simulator::Event| match &event.kind {
        EventKind::MailFromStatus { identity, to, .. } => {
            let meant = identity.region == region && identity.identity == DOMAIN;
            (meant && *to == Some(status)).then_some(event.order)
        }
        _ => None,
    };
    stage.aws.with(|world| world.events().iter().filter_map(became).collect())
}

/// Whether mail of anyone was ever refused for want of an MX.
pub(crate) fn was_rejected(stage: &Stage) -> bool {
    let rejected = |event: &aws_simulator::Event| {
        matches!(&event.kind, EventKind::Sending { to: Sending::Rejected, .. })
    };
    stage.aws.with(|world| world.events().iter().any(rejected))
}

/// Waits until SES's word on `example.com` in a region is `status`.
pub(crate) async fn reaches(stage: &Stage, region: &str, status: MailFromStatus) {
    let what = format!("{status:?} in {region}");
    stage
        .world(&what, |world| {
            (world.mail_from_status(ACCOUNT, region, DOMAIN) == Some(status)).then_some(())
        })
        .await;
}

/// The parent names the zone's own servers again.
pub(crate) fn delegate(stage: &Stage) {
    stage.aws.with(|world| {
        let servers = world.zone(ZONE).expect("the zone").servers();
        let hosts: Vec<String> = servers.iter().map(|(host, _)| host.to_string()).collect();
        world.delegate(DOMAIN, &hosts).expect("a delegation");
    });
}

/// The values of a record set, as the API shows them.
pub(crate) fn values(stage: &Stage, zone: &str, name: &str, kind: RecordType) -> Vec<String> {
    stage.aws.with(|world| {
        world.record_set(zone, name, kind).map(|set| set.values.clone()).unwrap_or_default()
    })
}
