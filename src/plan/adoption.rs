//! What stands already and is not ours: whether `adoptionPolicy` takes it, and
//! where what is ours came from.

use jiff::Timestamp;

use super::finding::Finding;
use super::inquiry::after;
use super::name_plan::NamePlan;
use super::puts::{Intent, Step};
use super::records::{bounded, quoted};
use super::scene::{Holding, Scene};
use super::survey::{Mark, Survey, Surveyed};
use crate::api::{AdoptionPolicy, Reason};
use crate::mail::{DomainName, MailFrom, MailFromDomain, Marker, Mx, Origin, RecordSet, Region};

impl Scene<'_> {
    /// What a MAIL FROM setting that somebody else made is to count as once the
    /// marker at `target` lists the region: adopted where it names `target`,
    /// created where it is replaced. `None` where it is left alone.
    pub(super) fn taking(&self, region: &Region, target: &MailFromDomain) -> Option<Origin> {
        let Holding::Foreign(held) = self.holding(region) else { return None };
        let same = held.domain == target.as_str();
        match self.desired.adoption {
            AdoptionPolicy::Never => None,
            // Two operators must not swap each other's settings for ever.
            _ if self.is_marked_by_others(held) => None,
            _ if same => Some(Origin::Adopted),
            AdoptionPolicy::Always => Some(Origin::Created),
            AdoptionPolicy::IfIdentical => None,
        }
    }

    fn is_marked_by_others(&self, held: &MailFrom) -> bool {
        let name = MailFromDomain::below(&held.domain, &self.desired.domain).ok();
        let survey = name.and_then(|name| self.names.get(&name));
        let Some(Survey::Known(surveyed)) = survey else { return false };
        matches!(surveyed.mark, Mark::Other(..) | Mark::Unreadable(_))
    }

    /// Why a MAIL FROM setting that somebody else made is left alone.
    pub(super) fn foreign(
        &self,
        region: &Region,
        target: &MailFromDomain,
        held: &MailFrom,
    ) -> Finding {
        let cure = if self.is_marked_by_others(held) {
            "; another owner's marker stands at that name"
        } else if held.domain == target.as_str() {
            "; adoptionPolicy IfIdentical would adopt it"
        } else {
            "; adoptionPolicy Always would replace it"
        };
        let text = format!(
            "SES holds the MAIL FROM domain {} for {} in {region}, which this object did not set{cure}",
            bounded(&held.domain),
            self.desired.domain
        );
        Finding::new(Reason::MailFromConflict, text)
    }

    /// SES holds what somebody else set, and adoptionPolicy takes it: adopted by
    /// the marker alone, or replaced once the marker says that we do so.
    pub(super) fn take(
        &self,
        region: &Region,
        target: &MailFromDomain,
        name: &NamePlan,
        held: &MailFrom,
        origin: Origin,
    ) -> Step {
        if origin == Origin::Adopted {
            let (reason, text) = match name.finding.reason {
                Reason::Succeeded => {
                    let text = format!("entering {region} in the ownership marker of {target}");
                    (Reason::Publishing, text)
                }
                reason => {
                    let why = &name.finding.message;
                    (
                        reason,
                        format!("what SES holds in {region} is adopted with the records: {why}"),
                    )
                }
            };
            return Step::Rest(Finding::new(reason, text));
        }
        if let Some(waits) = self.waits_for_name(region, target, name) {
            return Step::Rest(waits);
        }
        let found = bounded(&held.domain);
        if name.listed.get(region.as_str()) != Some(&origin) && !self.desired.observes() {
            let text =
                format!("noting in the ownership marker of {target} that {region} is set anew");
            return Step::Rest(Finding::new(Reason::Publishing, text));
        }
        let why = format!("replacing the MAIL FROM domain {found} in {region} by {target}");
        let put = Intent::put(Some(target), self.careful(), why);
        Step::Put(Intent { repairs: self.swapped_away(region, target), ..put })
    }

    /// What a swap repairs, where our own MAIL FROM domain was set before.
    fn swapped_away(&self, region: &Region, target: &MailFromDomain) -> Option<String> {
        let stored = self.region_status(region)?;
        let was_ours = stored.last_put_time.is_some()
            && stored.mail_from_domain.as_deref() == Some(target.as_str());
        was_ours.then(|| format!("the MAIL FROM domain of {region} was set to another name"))
    }

    /// Where the setting that is ours in a region came from, by its marker.
    /// Where the marker is lost, status alone proves nothing that could be
    /// cleared; where the whole zone is, nothing but status is left to ask.
    pub(super) fn setting_origin(&self, region: &Region) -> Option<Origin> {
        let Holding::Ours(name, _) = self.holding(region) else { return None };
        let origin = match self.names.get(&name) {
            Some(Survey::Known(surveyed)) => {
                surveyed.mark.mine().and_then(|marker| marker.regions.get(region.as_str()).copied())
            }
            _ => self.region_status(region).and_then(|status| status.origin),
        };
        Some(origin.unwrap_or(Origin::Adopted))
    }

    /// Since when SES shows our last put, where it was read before that.
    pub(super) fn stale_until(&self, region: &Region) -> Option<Timestamp> {
        let put = self.region_status(region).and_then(|status| status.last_put_time.as_ref());
        let due = after(put?.0, self.world.settings.put_hold_off);
        self.sent(region).is_none_or(|sent| sent < due).then_some(due)
    }

    /// Whether SES may hold `name` in a region though it shows another: our last put
    /// named it, and was made after what was read.
    pub(super) fn may_come_to_hold(&self, region: &Region, name: &MailFromDomain) -> bool {
        self.stale_until(region).is_some() && self.was_told(region, name)
    }

    /// Whether our last put in a region named `name`.
    pub(super) fn was_told(&self, region: &Region, name: &MailFromDomain) -> bool {
        let told = self.region_status(region).and_then(|s| s.mail_from_domain.as_deref());
        told == Some(name.as_str())
    }

    /// Why an MX that stands at a name without our marker is left alone.
    pub(super) fn refuses_mx(
        &self,
        name: &MailFromDomain,
        found: &RecordSet,
        host: &DomainName,
    ) -> Option<Finding> {
        let identical = is_identical(found, host);
        let cure = match self.desired.adoption {
            AdoptionPolicy::Always => return None,
            AdoptionPolicy::IfIdentical if identical => return None,
            _ if identical => "IfIdentical would adopt it",
            _ => "Always would replace it",
        };
        Some(not_ours(name, "MX", &found.values, cure))
    }

    /// Why an SPF record that stands at a name without our marker is left alone.
    pub(super) fn refuses_spf(&self, name: &MailFromDomain, found: &[String]) -> Option<Finding> {
        let refused = !found.is_empty() && self.desired.adoption == AdoptionPolicy::Never;
        refused.then(|| not_ours(name, "SPF", found, "IfIdentical would adopt it"))
    }

    /// Where the MX that is wanted at a name comes from.
    pub(super) fn mx_origin(
        &self,
        surveyed: &Surveyed<'_>,
        marker: Option<&Marker>,
        host: &DomainName,
    ) -> Origin {
        let found = surveyed.mx();
        match marker {
            None if found.is_some_and(|found| is_identical(found, host)) => Origin::Adopted,
            None => Origin::Created,
            Some(_) if found.is_some_and(|found| self.swaps_mx(found)) => Origin::Created,
            Some(marker) => marker.mx,
        }
    }

    /// Whether an MX that is not one that we could have built is to be replaced.
    fn swaps_mx(&self, found: &RecordSet) -> bool {
        let regions = &self.world.settings.regions;
        self.swaps() && super::records::our_mx(found, regions).is_none()
    }

    /// Whether what is not identical is replaced.
    pub(super) fn swaps(&self) -> bool {
        self.desired.adoption == AdoptionPolicy::Always
    }
}

/// What the marker `wanted` adopts that `before` did not, for a person.
pub(super) fn adopted(before: Option<&Marker>, wanted: &Marker) -> Vec<String> {
    let new = |was: Option<Origin>, is: Origin| is == Origin::Adopted && was != Some(is);
    let mut adopted = Vec::new();
    if new(before.map(|marker| marker.mx), wanted.mx) {
        adopted.push("the MX".to_owned());
    }
    if new(before.map(|marker| marker.spf.record), wanted.spf.record) {
        adopted.push("the SPF record".to_owned());
    }
    for (region, origin) in &wanted.regions {
        if new(before.and_then(|marker| marker.regions.get(region)).copied(), *origin) {
            adopted.push(format!("the MAIL FROM setting in {region}"));
        }
    }
    adopted
}

/// The same host alone, at any preference and TTL.
fn is_identical(found: &RecordSet, host: &DomainName) -> bool {
    let [value] = found.values.as_slice() else { return false };
    Mx::parse(value).is_some_and(|mx| mx.host == *host)
}

fn not_ours(name: &MailFromDomain, what: &str, values: &[String], cure: &str) -> Finding {
    let values = quoted(values);
    Finding::new(
        Reason::RecordConflict,
        format!(
            "{name} has {what} records that this object did not make: {values}; adoptionPolicy {cure}"
        ),
    )
}
