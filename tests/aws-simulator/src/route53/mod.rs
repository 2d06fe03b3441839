//! Route 53: hosted zones, change batches and lists.

mod batch;
mod batch_xml;
mod list;
mod zone;

use std::collections::{BTreeMap, BTreeSet};

use http::Method;
use jiff::{Timestamp, ToSpan as _};

pub(crate) use self::batch::{Batch, Edit};
use self::list::{RecordPage, ZonePage};
pub use self::zone::{Delegation, Zone, ZoneSpec};
use crate::{
    api::{ApiError, Success, element, field},
    clock::SimTime,
    iam::Question,
    name::Name,
    record::RecordKey,
    world::World,
};

/// A request that was understood.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    ListHostedZonesByName(ZonePage),
    GetHostedZone(String),
    ListResourceRecordSets(String, RecordPage),
    ChangeResourceRecordSets(String, Batch),
    GetChange(String),
}

impl Input {
    /// Reads path, query and body (API reference, 2013-04-01).
    pub(crate) fn parse(
        method: &Method,
        path: &str,
        query: &[(String, String)],
        body: &str,
    ) -> Result<Self, (&'static str, ApiError)> {
        let path = path.strip_prefix("/2013-04-01/").unwrap_or(path);
        let parts: Vec<&str> = path.split('/').collect();
        match (method, parts.as_slice()) {
            (&Method::GET, ["hostedzonesbyname"]) => {
                let action = "ListHostedZonesByName";
                ZonePage::parse(query)
                    .map(Self::ListHostedZonesByName)
                    .map_err(|error| (action, error))
            }
            (&Method::GET, ["hostedzone", id]) => Ok(Self::GetHostedZone((*id).to_owned())),
            (&Method::GET, ["hostedzone", id, "rrset"]) => {
                let page =
                    RecordPage::parse(query).map_err(|error| ("ListResourceRecordSets", error))?;
                Ok(Self::ListResourceRecordSets((*id).to_owned(), page))
            }
            (&Method::POST, ["hostedzone", id, "rrset" | "rrset/"]) => {
                let batch =
                    batch_xml::parse(body).map_err(|error| ("ChangeResourceRecordSets", error))?;
                Ok(Self::ChangeResourceRecordSets((*id).to_owned(), batch))
            }
            (&Method::GET, ["change", id]) => Ok(Self::GetChange((*id).to_owned())),
            _ => {
                let what = format!("{method} {path}");
                Err(("Unknown", ApiError::unknown_action(crate::api::Protocol::Route53, &what)))
            }
        }
    }

    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::ListHostedZonesByName(_) => "ListHostedZonesByName",
            Self::GetHostedZone(_) => "GetHostedZone",
            Self::ListResourceRecordSets(..) => "ListResourceRecordSets",
            Self::ChangeResourceRecordSets(..) => "ChangeResourceRecordSets",
            Self::GetChange(_) => "GetChange",
        }
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        match self {
            Self::ListHostedZonesByName(page) => page.name().into_iter().collect(),
            Self::GetHostedZone(id) | Self::GetChange(id) => vec![id.clone()],
            Self::ListResourceRecordSets(id, page) => {
                std::iter::once(id.clone()).chain(page.start()).collect()
            }
            Self::ChangeResourceRecordSets(id, batch) => {
                std::iter::once(id.clone()).chain(batch.targets()).collect()
            }
        }
    }

    /// The zone that this request changes.
    pub(crate) fn changed_zone(&self) -> Option<&str> {
        match self {
            Self::ChangeResourceRecordSets(id, _) => Some(id),
            _ => None,
        }
    }

    /// Adds the condition keys of Route 53.
    pub(crate) fn describe_to_iam(&self, question: Question) -> Question {
        match self {
            Self::ChangeResourceRecordSets(_, batch) => batch.describe_to_iam(question),
            _ => question,
        }
    }

    pub(crate) fn parameters(&self) -> String {
        match self {
            Self::ChangeResourceRecordSets(_, batch) => batch.summary(),
            Self::ListHostedZonesByName(page) => page.summary(),
            Self::ListResourceRecordSets(_, page) => page.summary(),
            Self::GetHostedZone(_) | Self::GetChange(_) => String::new(),
        }
    }
}

/// A submitted change.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    zone: String,
    account: String,
    submitted: SimTime,
    in_sync: bool,
    comment: Option<String>,
    edits: Vec<Edit>,
}

/// All zones and changes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Route53 {
    pub(crate) zones: BTreeMap<String, Zone>,
    by_name: BTreeSet<(Name, String)>,
    changes: BTreeMap<String, Change>,
    next_id: u64,
}

impl Route53 {
    /// A fresh id that looks like Route 53's.
    pub(crate) fn fresh_id(&mut self, first: char) -> String {
        self.next_id += 1;
        format!("{first}{:013}SIM", self.next_id)
    }

    pub(crate) fn insert(&mut self, zone: Zone) {
        self.by_name.insert((zone.name.clone(), zone.id.clone()));
        self.zones.insert(zone.id.clone(), zone);
    }

    pub(crate) fn remove(&mut self, id: &str) {
        if let Some(zone) = self.zones.remove(id) {
            self.by_name.remove(&(zone.name, zone.id));
        }
    }

    /// All zones from a name and an id on, in the order of lists.
    pub(crate) fn zones_from(&self, name: &Name, id: &str) -> impl Iterator<Item = &Zone> {
        let first = (name.clone(), id.to_owned());
        self.by_name.range(first..).filter_map(|(_, id)| self.zones.get(id))
    }

    /// The zones of exactly this name, in any account and in none.
    pub(crate) fn zones_named<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Zone> {
        self.zones_from(name, "").take_while(move |zone| zone.name == *name)
    }

    /// Has changes that are still on their way leave a record set alone that
    /// someone has edited since.
    pub(crate) fn overtake(&mut self, zone: &str, key: &RecordKey) {
        for change in
            self.changes.values_mut().filter(|change| !change.in_sync && change.zone == zone)
        {
            change.edits.retain(|edit| edit.key() != *key);
        }
    }

    /// A zone of that account.
    fn zone_of(&self, account: &str, id: &str) -> Result<&Zone, ApiError> {
        self.zones.get(id).filter(|zone| zone.account.as_deref() == Some(account)).ok_or_else(
            || {
                let message = format!("No hosted zone found with ID: {id}");
                ApiError::new(404, "NoSuchHostedZone", message)
            },
        )
    }
}

/// Carries out a request.
pub(crate) fn run(world: &mut World, account: &str, input: &Input) -> Result<Success, ApiError> {
    match input {
        Input::ListHostedZonesByName(page) => Ok(list::zones(&world.route53, account, page)),
        Input::GetHostedZone(id) => world.route53.zone_of(account, id).map(get_zone),
        Input::ListResourceRecordSets(id, page) => {
            world.route53.zone_of(account, id).map(|zone| list::record_sets(zone, page))
        }
        Input::ChangeResourceRecordSets(id, batch) => change(world, account, id, batch),
        Input::GetChange(id) => get_change(&world.route53, account, id),
    }
}

fn get_zone(zone: &Zone) -> Success {
    let servers: String =
        zone.servers.iter().map(|(host, _)| element("NameServer", host.plain())).collect();
    let delegation = if zone.private {
        "<VPCs><VPC><VPCRegion>us-east-1</VPCRegion><VPCId>vpc-0123456789abcdef0</VPCId></VPC></VPCs>".to_owned()
    } else {
        format!("<DelegationSet><NameServers>{servers}</NameServers></DelegationSet>")
    };
    Success(format!("{}{delegation}", zone.xml()))
}

fn change(world: &mut World, account: &str, id: &str, batch: &Batch) -> Result<Success, ApiError> {
    let (now, config) = (world.now(), world.config().route53.clone());
    let zone = world.route53.zone_of(account, id)?;
    if let Some((principal, description)) = &zone.linked_service {
        let message = format!(
            "The resource hostedzone/{id} can only be managed through {principal} ({description})"
        );
        return Err(ApiError::new(403, "AccessDenied", message));
    }
    if zone.in_submission > 0 || now < zone.busy_until {
        let message =
            "The request was rejected because Route 53 was still processing a prior request.";
        return Err(ApiError::new(400, "PriorRequestNotComplete", message));
    }
    let edits = batch.check(zone, config.record_sets_per_zone).map_err(|faults| {
        ApiError::new(400, "InvalidChangeBatch", format!("[{}]", faults.join(", ")))
    })?;
    let change_id = world.route53.fresh_id('C');
    let due = (now + config.in_sync_after).max(zone_due(world, id));
    if let Some(zone) = world.route53.zones.get_mut(id) {
        zone.busy_until = now + config.submission;
        zone.in_sync_due = due;
    }
    for edit in &edits {
        world.edit_record_set(id, edit, Some(&change_id));
    }
    let change = Change {
        zone: id.to_owned(),
        account: account.to_owned(),
        submitted: now,
        in_sync: false,
        comment: batch.comment.clone(),
        edits,
    };
    let answer = Success(change.xml(&change_id));
    world.route53.changes.insert(change_id.clone(), change);
    world.schedule(due, crate::world::Timer::InSync(change_id));
    Ok(answer)
}

/// Changes of one zone come in sync in the order of their submission.
fn zone_due(world: &World, id: &str) -> SimTime {
    world.route53.zones.get(id).map_or(SimTime::ZERO, |zone| zone.in_sync_due)
}

/// Has the zone's name servers serve a change.
pub(crate) fn put_in_sync(world: &mut World, id: &str) {
    let Some(change) = world.route53.changes.get_mut(id) else {
        return;
    };
    if std::mem::replace(&mut change.in_sync, true) {
        return;
    }
    let (zone_id, edits) = (change.zone.clone(), std::mem::take(&mut change.edits));
    if let Some(zone) = world.route53.zones.get_mut(&zone_id) {
        for edit in edits {
            zone.serve(edit);
        }
    }
    world.record(crate::log::EventKind::InSync { zone: zone_id, change: id.to_owned() });
}

fn get_change(route53: &Route53, account: &str, id: &str) -> Result<Success, ApiError> {
    route53
        .changes
        .get(id)
        .filter(|change| change.account == account)
        .map(|change| Success(change.xml(id)))
        .ok_or_else(|| {
            ApiError::new(404, "NoSuchChange", format!("Could not find resource with ID: {id}"))
        })
}

impl Change {
    fn xml(&self, id: &str) -> String {
        let status = if self.in_sync { "INSYNC" } else { "PENDING" };
        let comment =
            self.comment.as_ref().map_or_else(String::new, |comment| element("Comment", comment));
        format!(
            "<ChangeInfo><Id>/change/{id}</Id><Status>{status}</Status><SubmittedAt>{}</SubmittedAt>{comment}</ChangeInfo>",
            timestamp(self.submitted)
        )
    }
}

/// Simulated time as a date: the world begins with the year 2026.
pub(crate) fn timestamp(at: SimTime) -> Timestamp {
    const BEGINNING: i64 = 1_767_225_600;
    let milliseconds = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_second(BEGINNING)
        .and_then(|beginning| beginning.checked_add(milliseconds.milliseconds()))
        .unwrap_or(Timestamp::MAX)
}

/// A page size from the query, at most `most`.
fn max_items(query: &[(String, String)], most: usize) -> Result<usize, ApiError> {
    match field(query, "maxitems") {
        None => Ok(most),
        Some(text) => match text.parse::<usize>() {
            Ok(items) if items > 0 => Ok(items.min(most)),
            _ => Err(ApiError::new(
                400,
                "InvalidInput",
                format!("Invalid value for 'maxitems': {text}"),
            )),
        },
    }
}
