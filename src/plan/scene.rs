//! Everything read for one plan: the identities in their regions and the
//! records at their names, before anything is decided.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::desired::{Desired, Places};
use super::finding::Finding;
use super::inquiry::{Identity, Inquiry, Reading, after};
use super::survey::{Mark, Survey, Surveyed, txt_texts};
use super::window::{poll_pace, resync_pace};
use super::world::{Digest, World};
use super::zone::{self, ZoneChoice};
use crate::api::{Reason, RecordStatus, RegionStatus, SesMailFromStatus};
use crate::authority::{Denial, Place, Service};
use crate::mail::{HostedZoneId, MailFrom, MailFromDomain, MailFromStatus, Marker, Origin, Region};

/// One plan's view of the world.
#[derive(Debug)]
pub(super) struct Scene<'a> {
    pub world: &'a World<'a>,
    pub inquiry: &'a Inquiry<'a>,
    pub desired: Desired,
    /// As the API server holds it.
    pub stored: &'a SesMailFromStatus,
    /// As it was last decided, opened when first looked at.
    pub said: OnceCell<Cow<'a, SesMailFromStatus>>,
    /// Of `stored`, when first asked for.
    pub digest: OnceCell<Digest>,
    /// The account that answers, by service.
    pub accounts: BTreeMap<Service, Reading<&'a String>>,
    /// Every region that the object wants or may still hold.
    pub regions: BTreeMap<Region, Reading<Option<Identity<'a>>>>,
    /// Every MAIL FROM domain that it wants, published, or finds SES holding.
    pub names: BTreeMap<MailFromDomain, Survey<'a>>,
    /// What status, a marker or SES names beyond the spec and no policy allows:
    /// it is neither read nor written.
    pub denied: BTreeMap<Place, Denial>,
}

/// What SES holds for the identity in a region, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Holding<'a> {
    /// It takes a reading that is not there.
    Unknown,
    /// SES knows no such identity.
    Missing,
    /// No MAIL FROM domain is set.
    Empty,
    /// A MAIL FROM domain where our marker stands and lists the region.
    Ours(MailFromDomain, &'a MailFrom),
    /// Somebody else's.
    Foreign(&'a MailFrom),
}

impl<'a> Scene<'a> {
    /// Asks for everything that every decision needs.
    pub(super) fn read(
        world: &'a World<'a>,
        inquiry: &'a Inquiry<'a>,
        desired: Desired,
        stored: &'a SesMailFromStatus,
    ) -> Self {
        let services = [Service::Ses, Service::Route53];
        let accounts = services.map(|service| (service, inquiry.account(service))).into();
        let (regions, names, denied) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (said, digest) = (OnceCell::new(), OnceCell::new());
        let mut scene = Self {
            world,
            inquiry,
            desired,
            stored,
            said,
            digest,
            accounts,
            regions,
            names,
            denied,
        };
        scene.read_claimed();
        scene.read_marked();
        scene
    }

    fn read_claimed(&mut self) {
        let places = Places::of(self.world.object, &self.world.settings.regions);
        for place in places.iter().flat_map(|places| places.claimed.iter()) {
            if !self.may_read(place) {
                continue;
            }
            match place {
                Place::Region(region) => self.read_region(region.clone()),
                Place::Name(name) => self.read_name(name.clone()),
            }
        }
    }

    /// Regions that our markers list though nothing else names them any more
    /// (a status that was lost), and the names that SES holds.
    fn read_marked(&mut self) {
        let marks = self.names.values().filter_map(|survey| match survey {
            Survey::Known(surveyed) => surveyed.mark.mine(),
            _ => None,
        });
        let listed: BTreeSet<String> =
            marks.flat_map(|marker| marker.regions.keys().cloned()).collect();
        for region in listed.iter().filter_map(|name| self.world.settings.regions.get(name).ok()) {
            if self.may_read(&Place::Region(region.clone())) {
                self.read_region(region);
            }
        }
        let held: Vec<MailFromDomain> = self
            .regions
            .values()
            .filter_map(|reading| held_name(reading, &self.desired))
            .filter(|name| !self.names.contains_key(name))
            .collect();
        for name in held {
            if self.may_read(&Place::Name(name.clone())) {
                self.read_name(name);
            }
        }
    }

    /// Whether a place may be dealt with; if not, that is remembered.
    fn may_read(&mut self, place: &Place) -> bool {
        let allowed = self.world.standing.allows(place);
        if let Err(denial) = &allowed {
            self.denied.insert(place.clone(), denial.clone());
        }
        allowed.is_ok()
    }

    fn read_region(&mut self, region: Region) {
        if self.regions.contains_key(&region) {
            return;
        }
        let pace = self.region_pace(&region);
        let reading = self.inquiry.identity(&self.desired.domain, &region, pace);
        // What another account holds is no word on what was made in this one.
        let recorded = self.region_status(&region).and_then(|status| status.account.as_ref());
        let elsewhere = self.account_changed(Service::Ses, recorded);
        let reading = if elsewhere { Reading::Waiting } else { reading };
        self.regions.insert(region, reading);
    }

    /// How old SES's word may be: fast while something is on its way.
    fn region_pace(&self, region: &Region) -> Duration {
        let settings = self.world.settings;
        let since = |at: Timestamp| {
            let lasted = elapsed(at, self.world.now);
            let pace = poll_pace(lasted, settings);
            // It is polled more slowly once it has lasted twice as long.
            self.inquiry.wake_at(after(self.world.now, lasted.max(pace)));
            pace
        };
        let remembered = self.world.memory.findings.get(&Place::Region(region.clone()));
        let begun = match self.region_status(region) {
            Some(status) if self.is_settled(status) => None,
            Some(status) => status.last_put_time.as_ref().or(status.since.as_ref()).map(|t| t.0),
            None => None,
        };
        // What waits for records or for a put does not wait for SES's word.
        let awaited =
            |reason| matches!(reason, Reason::IdentityNotFound | Reason::IdentityNotVerified);
        let unsettled = remembered.filter(|r| awaited(r.reason) || self.desired.deleting);
        let begun = begun.or(unsettled.map(|remembered| remembered.first));
        begun.map_or_else(|| self.resync(), |at| since(at).min(self.resync()))
    }

    fn is_settled(&self, status: &RegionStatus) -> bool {
        let wanted = Some(self.desired.behavior) == status.behavior_on_mx_failure;
        let settled = status.mail_from_status == MailFromStatus::Success && wanted;
        (settled || status.mail_from_status == MailFromStatus::Failed) && !self.desired.deleting
    }

    fn read_name(&mut self, name: MailFromDomain) {
        let survey = self.survey(&name);
        self.names.insert(name, survey);
    }

    fn survey(&self, name: &MailFromDomain) -> Survey<'a> {
        let kept = self.kept_zone(name);
        if let Some(finding) = kept.as_ref().and_then(|zone| self.zone_elsewhere(zone.as_str())) {
            return Survey::NoZone(finding);
        }
        let (inquiry, settings) = (self.inquiry, self.world.settings);
        let zone = match zone::choose(inquiry, settings, &self.desired, name.name(), kept.as_ref())
        {
            ZoneChoice::Chosen(zone) => zone,
            ZoneChoice::Waiting => return Survey::Waiting,
            ZoneChoice::Failed(fault) => return Survey::Failed(fault),
            ZoneChoice::Refused(finding) => return Survey::NoZone(finding),
        };
        match inquiry.name(&zone.id, name.name(), self.resync()) {
            Reading::Waiting => Survey::Waiting,
            // The zone has gone since it was found.
            Reading::Failed(fault) if fault.reason == Reason::ZoneNotFound => {
                Survey::NoZone(Finding::of_fault(&fault))
            }
            Reading::Failed(fault) => Survey::Failed(fault),
            Reading::Known { value, sent } => {
                let txt = value.simple(&crate::mail::RecordType::Txt);
                let texts = txt.map(txt_texts).unwrap_or_default();
                let mark = Mark::read(&texts, self.world.standing.owner());
                Survey::Known(Surveyed { zone, sent, view: value, mark })
            }
        }
    }

    /// The zone in which status says that the name's records are.
    pub(super) fn kept_zone(&self, name: &MailFromDomain) -> Option<HostedZoneId> {
        let record = self.record_status(name, "MX").or_else(|| self.record_status(name, "TXT"))?;
        HostedZoneId::parse(&record.zone)
    }

    /// What status holds of a record set.
    pub(super) fn record_status(
        &self,
        name: &MailFromDomain,
        rtype: &str,
    ) -> Option<&'a RecordStatus> {
        let here = |r: &&RecordStatus| r.name == name.as_str() && r.rtype == rtype;
        self.stored.records.iter().find(here)
    }

    /// What status holds of a region.
    pub(super) fn region_status(&self, region: &Region) -> Option<&'a RegionStatus> {
        self.stored.regions.iter().find(|status| status.name == region.as_str())
    }

    /// `--resync` for this object.
    pub(super) fn resync(&self) -> Duration {
        let uid = self.world.object.metadata.uid.as_deref().unwrap_or_default();
        resync_pace(uid, self.world.settings)
    }

    /// The name, where it was read.
    pub(super) fn surveyed(&self, name: &MailFromDomain) -> Option<&Surveyed<'a>> {
        match self.names.get(name) {
            Some(Survey::Known(surveyed)) => Some(surveyed),
            _ => None,
        }
    }

    /// What SES holds in a region, and whose it is.
    pub(super) fn holding(&self, region: &Region) -> Holding<'a> {
        let Some(Reading::Known { value, .. }) = self.regions.get(region) else {
            return Holding::Unknown;
        };
        let Some(identity) = value else { return Holding::Missing };
        let Some(mail_from) = identity.mail_from else { return Holding::Empty };
        let Ok(name) = MailFromDomain::below(&mail_from.domain, &self.desired.domain) else {
            return Holding::Foreign(mail_from);
        };
        if self.denied.contains_key(&Place::Name(name.clone())) {
            return Holding::Foreign(mail_from);
        }
        match self.names.get(&name) {
            Some(Survey::Known(surveyed)) => match &surveyed.mark {
                Mark::Mine(marker) if marker.regions.contains_key(region.as_str()) => {
                    Holding::Ours(name, mail_from)
                }
                Mark::None if self.was_ours(region, &name) => Holding::Ours(name, mail_from),
                _ => Holding::Foreign(mail_from),
            },
            // A name without a zone of this account carries no marker of ours.
            Some(Survey::NoZone(_)) | None if !self.was_ours(region, &name) => {
                Holding::Foreign(mail_from)
            }
            Some(Survey::NoZone(_)) => Holding::Ours(name, mail_from),
            _ => Holding::Unknown,
        }
    }

    /// Whether status says that we set `name` in `region`: what counts where
    /// the marker is gone because somebody deleted it. What was adopted we have
    /// not set: without its marker it is somebody else's again, to be adopted anew.
    pub(super) fn was_ours(&self, region: &Region, name: &MailFromDomain) -> bool {
        let status = self.region_status(region);
        let set = |s: &RegionStatus| {
            s.last_put_time.is_some()
                && s.origin != Some(Origin::Adopted)
                && s.mail_from_domain.as_deref() == Some(name.as_str())
        };
        status.is_some_and(set)
            && !self.account_changed(Service::Ses, status.and_then(|s| s.account.as_ref()))
    }

    /// Whether another account answers than the one in status.
    pub(super) fn account_changed(&self, service: Service, recorded: Option<&String>) -> bool {
        let answering = self.answering(service);
        answering.zip(recorded).is_some_and(|(answering, recorded)| answering != recorded)
    }

    /// Where another account answers than the one that status names for a zone.
    pub(super) fn zone_elsewhere(&self, zone: &str) -> Option<Finding> {
        let recorded = self.stored.zones.iter().find(|known| known.id == zone)?;
        self.account_changed(Service::Route53, recorded.account.as_ref())
            .then(|| self.other_account(Service::Route53, &format!("the hosted zone {zone}")))
    }

    /// The account that answers now, where it is known.
    pub(super) fn answering(&self, service: Service) -> Option<&'a String> {
        match self.accounts.get(&service) {
            Some(Reading::Known { value, .. }) => Some(*value),
            _ => None,
        }
    }

    /// The marker that decides who holds a region: the one at the name that SES
    /// holds, else the one at the name that we want there, where it lists the region.
    pub(super) fn deciding_mark(&self, region: &Region) -> Option<&Mark> {
        let held = self.regions.get(region).and_then(|r| held_name(r, &self.desired));
        if let Some(name) = held {
            return self.surveyed(&name).map(|surveyed| &surveyed.mark);
        }
        let mark = &self.surveyed(self.desired.regions.get(region)?)?.mark;
        let lists = |marker: &Marker| marker.regions.contains_key(region.as_str());
        mark.marker().is_some_and(lists).then_some(mark)
    }

    /// When the region's identity was read.
    pub(super) fn sent(&self, region: &Region) -> Option<Timestamp> {
        match self.regions.get(region) {
            Some(Reading::Known { sent, .. }) => Some(*sent),
            _ => None,
        }
    }
}

fn held_name(reading: &Reading<Option<Identity<'_>>>, desired: &Desired) -> Option<MailFromDomain> {
    let Reading::Known { value: Some(identity), .. } = reading else { return None };
    let held = identity.mail_from?;
    MailFromDomain::below(&held.domain, &desired.domain).ok()
}

/// How long ago `at` was; nothing where it lies ahead.
pub(super) fn elapsed(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(at)).unwrap_or(Duration::ZERO)
}
