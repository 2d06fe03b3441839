//! What must stand at a name: whose MX, which SPF record, and what the marker
//! is to say.

use std::collections::BTreeMap;

use super::records::{self, Wanted};
use super::scene::{Holding, Scene};
use super::spf::{SpfRecord, spf_record};
use super::survey::{Surveyed, txt_texts};
use crate::mail::{MailFromDomain, Marker, Origin, Region, SpfOrigin};

impl Scene<'_> {
    /// What must stand at a name whose marker is `marker`, for the regions that
    /// SES could be told of now.
    pub(super) fn wanted(
        &self,
        name: &MailFromDomain,
        mx_region: &Region,
        surveyed: &Surveyed<'_>,
        marker: Option<&Marker>,
        admissible: &[&Region],
    ) -> Wanted {
        let host = self.world.settings.regions.feedback_host(mx_region);
        let (values, texts) = txt_of(surveyed);
        let before = marker.map(|marker| &marker.spf);
        let spf = spf_record(name, (values, &texts), before, &self.desired);
        Wanted {
            name: name.clone(),
            ttl: self.desired.ttl,
            marker: Marker {
                owner: *self.world.standing.owner(),
                mx: self.mx_origin(surveyed, marker, &host),
                spf: spf_origin(&spf, marker),
                regions: self.wanted_regions(name, marker, admissible),
            },
            host,
            spf,
            free_spf: self.desired.spf(),
            swaps: self.swaps(),
        }
    }

    /// Whose endpoint the MX names: what the spec says, else the one that our
    /// published MX names already, else the first listed.
    pub(super) fn mx_region(
        &self,
        name: &MailFromDomain,
        group: &[Region],
        surveyed: &Surveyed<'_>,
    ) -> Region {
        let regions = &self.world.settings.regions;
        let asked = self.desired.mx_region.as_ref();
        if let Some(asked) = asked.filter(|r| *name == self.desired.shared && group.contains(r)) {
            return asked.clone();
        }
        let current = surveyed.mx().and_then(|set| records::our_mx(set, regions));
        let current =
            current.and_then(|mx| group.iter().find(|r| regions.feedback_host(r) == mx.host));
        current.unwrap_or(&group[0]).clone()
    }

    /// The regions that the marker is to list, each with what it is to say of it.
    fn wanted_regions(
        &self,
        name: &MailFromDomain,
        marker: Option<&Marker>,
        admissible: &[&Region],
    ) -> BTreeMap<String, Origin> {
        let known = &self.world.settings.regions;
        let kept = |(text, origin): &(&String, &Origin)| match known.get(text) {
            Ok(region) => match self.holding(&region) {
                _ if self.desired.regions.get(&region) == Some(name) => true,
                Holding::Unknown => true,
                Holding::Empty => self.doubted_until(&region).is_some(),
                Holding::Ours(..) | Holding::Foreign(_) if self.may_come_to_hold(&region, name) => {
                    true
                }
                // What was adopted is let go without being cleared first.
                Holding::Ours(held, _) => held == *name && **origin == Origin::Created,
                _ => false,
            },
            Err(_) => true,
        };
        let before = || marker.iter().flat_map(|marker| &marker.regions);
        let mut regions: BTreeMap<String, Origin> =
            before().filter(kept).map(|(region, origin)| (region.clone(), *origin)).collect();
        for region in admissible {
            let listed = regions.get(region.as_str()).copied();
            let origin = match self.holding(region) {
                Holding::Foreign(_) => self.taking(region, name),
                Holding::Ours(held, _) if held == *name => listed.or(Some(Origin::Adopted)),
                _ => listed,
            };
            regions.insert(region.to_string(), origin.unwrap_or(Origin::Created));
        }
        regions
    }
}

fn txt_of<'s>(surveyed: &'s Surveyed<'_>) -> (&'s [String], Vec<String>) {
    let txt = surveyed.txt();
    (txt.map_or(&[], |set| set.values.as_slice()), txt.map(txt_texts).unwrap_or_default())
}

/// Where there can be no SPF record, what the marker says of it stands.
fn spf_origin(spf: &Result<SpfRecord, String>, marker: Option<&Marker>) -> SpfOrigin {
    let before = || marker.map_or_else(SpfOrigin::adopted, |marker| marker.spf.clone());
    spf.as_ref().map_or_else(|_| before(), |spf| spf.origin.clone())
}
