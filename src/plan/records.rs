//! The record sets of a MAIL FROM domain: what is wanted, and the one batch of
//! compare-and-swap changes that leads there.

use super::spf::{self, SpfRecord};
use super::survey::{Surveyed, txt_texts};
use crate::mail::{
    Change, DomainName, MailFromDomain, Marker, Mx, Origin, RecordSet, RecordType, Regions,
    Routing, Spf, encode_txt,
};

/// What must stand at a name.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub name: MailFromDomain,
    /// The feedback endpoint that the MX names.
    pub host: DomainName,
    /// Of the record sets that we create.
    pub ttl: u32,
    pub marker: Marker,
    /// The SPF record, or why there can be none.
    pub spf: Result<SpfRecord, String>,
    /// The SPF record that would stand there if it were free.
    pub free_spf: Spf,
    /// Whether an MX that we could not have built is replaced.
    pub swaps: bool,
}

/// The way from what stands to what is wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Difference {
    /// In the order in which Route 53 is to take them.
    pub changes: Vec<Change>,
    /// Types whose values differ, and so have to be seen in DNS again.
    pub moved: Vec<RecordType>,
}

/// Something that is not ours stands where ours must.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Conflict {
    pub rtype: RecordType,
    pub message: String,
}

impl Wanted {
    /// The MX value.
    pub(super) fn mx(&self) -> Mx {
        Mx::to_feedback(self.host.clone())
    }

    /// The TXT values that are ours: SPF and the marker.
    pub(super) fn txt_values(&self) -> Vec<String> {
        let free = || encode_txt(self.free_spf.to_string().as_bytes());
        let spf = self.spf.as_ref().map_or_else(|_| free(), |spf| spf.value.clone());
        vec![spf, encode_txt(self.marker.to_string().as_bytes())]
    }

    /// The TTL of the TXT record set. Of one that others share it is left as it is.
    pub(super) fn txt_ttl(&self, found: Option<&RecordSet>) -> u32 {
        let Some(found) = found else { return self.ttl };
        let added = &self.marker.spf.added;
        let ours = |text: &String| Marker::is_marker(text) || spf::is_built(text, added);
        let shared = !txt_texts(found).iter().all(ours);
        if self.marker.spf.record == Origin::Adopted || shared { found.ttl } else { self.ttl }
    }
}

/// The difference at a name that is free or carries our marker. A conflict at
/// one type leaves the other kept up.
pub(super) fn difference(
    found: &Surveyed<'_>,
    wanted: &Wanted,
    regions: &Regions,
) -> (Difference, Vec<Conflict>) {
    let mut difference = Difference::default();
    let mx = difference.mx(found.mx(), wanted, regions);
    let txt = difference.txt(found.txt(), wanted);
    (difference, [mx, txt].into_iter().filter_map(Result::err).collect())
}

impl Difference {
    fn mx(
        &mut self,
        found: Option<&RecordSet>,
        wanted: &Wanted,
        regions: &Regions,
    ) -> Result<(), Conflict> {
        let set = RecordSet {
            name: wanted.name.name().clone(),
            rtype: RecordType::Mx,
            ttl: wanted.ttl,
            values: vec![wanted.mx().to_value()],
            routing: Routing::Simple,
        };
        let Some(found) = found else {
            self.moved.push(RecordType::Mx);
            self.changes.push(Change::Create(set));
            return Ok(());
        };
        let current = our_mx(found, regions);
        if current.is_none() && !wanted.swaps {
            let message = format!(
                "{} has the MX {} where {} must stand alone; adoptionPolicy Always would replace it",
                wanted.name,
                quoted(&found.values),
                set.values[0]
            );
            return Err(Conflict { rtype: RecordType::Mx, message });
        }
        let same_host = current.as_ref().is_some_and(|current| current.host == wanted.host);
        let adopted = wanted.marker.mx == Origin::Adopted;
        let same = found.ttl == wanted.ttl && current == Some(wanted.mx());
        if same_host && (adopted || same) {
            return Ok(());
        }
        if !same_host {
            self.moved.push(RecordType::Mx);
        }
        self.changes.extend([Change::Delete(found.clone()), Change::Create(set)]);
        Ok(())
    }

    fn txt(&mut self, found: Option<&RecordSet>, wanted: &Wanted) -> Result<(), Conflict> {
        let spf = wanted
            .spf
            .as_ref()
            .map_err(|message| Conflict { rtype: RecordType::Txt, message: message.clone() })?;
        if spf.moved {
            self.moved.push(RecordType::Txt);
        }
        let set = RecordSet {
            name: wanted.name.name().clone(),
            rtype: RecordType::Txt,
            ttl: wanted.txt_ttl(found),
            values: txt_values(found, spf, &wanted.marker),
            routing: Routing::Simple,
        };
        match found {
            None => self.changes.push(Change::Create(set)),
            Some(found) if *found == set => {}
            Some(found) => {
                self.changes.extend([Change::Delete(found.clone()), Change::Create(set)]);
            }
        }
        Ok(())
    }
}

/// The one MX of a set, where it is one that we could have built: any region's
/// feedback endpoint, alone.
pub(super) fn our_mx(set: &RecordSet, regions: &Regions) -> Option<Mx> {
    let [value] = set.values.as_slice() else { return None };
    Mx::parse(value).filter(|mx| regions.is_feedback_host(&mx.host))
}

/// The values of the set: those of others stay where they are, byte for byte.
fn txt_values(found: Option<&RecordSet>, spf: &SpfRecord, marker: &Marker) -> Vec<String> {
    let texts = found.map(txt_texts).unwrap_or_default();
    let mut values: Vec<String> = found.map(|set| set.values.clone()).unwrap_or_default();
    match spf.at {
        Some(at) => values[at].clone_from(&spf.value),
        None => values.push(spf.value.clone()),
    }
    let marker = marker.to_string();
    match texts.iter().position(|text| Marker::is_marker(text)) {
        Some(at) if texts[at] == marker => {}
        Some(at) => values[at] = encode_txt(marker.as_bytes()),
        None => values.push(encode_txt(marker.as_bytes())),
    }
    values
}

/// How much of a name goes with its owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Removal {
    /// What we created, the terms that we added, and the marker.
    Records,
    /// The marker alone.
    Marker,
}

/// The changes that take what is ours from a name that carries our marker.
pub(super) fn removal(
    found: &Surveyed<'_>,
    marker: &Marker,
    removal: Removal,
    regions: &Regions,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let whole = removal == Removal::Records;
    if let Some(mx) = found.mx().filter(|_| whole && marker.mx == Origin::Created) {
        let theirs = |value: &&String| {
            !Mx::parse(value).is_some_and(|mx| regions.is_feedback_host(&mx.host))
        };
        // Somebody may have put another MX beside ours: theirs stays.
        let left: Vec<String> = mx.values.iter().filter(theirs).cloned().collect();
        if left != mx.values {
            changes.push(Change::Delete(mx.clone()));
            if !left.is_empty() {
                changes.push(Change::Create(RecordSet { values: left, ..mx.clone() }));
            }
        }
    }
    let Some(txt) = found.txt() else { return changes };
    let left_of = |(value, said): (&String, String)| match said {
        said if Marker::is_marker(&said) => None,
        said if whole && Spf::is_spf(&said) => spf::left_of(value, &said, &marker.spf),
        _ => Some(value.clone()),
    };
    let mut left: Vec<String> = Vec::new();
    for value in txt.values.iter().zip(txt_texts(txt)).filter_map(left_of) {
        // Without our terms a record may be the very one that somebody put beside
        // it, and Route 53 takes no value twice.
        if !left.contains(&value) {
            left.push(value);
        }
    }
    if left == txt.values {
        return changes;
    }
    changes.push(Change::Delete(txt.clone()));
    if !left.is_empty() {
        changes.push(Change::Create(RecordSet { values: left, ..txt.clone() }));
    }
    changes
}

/// Values as a message shows them: bounded, so that a status stays small.
pub(super) fn quoted(values: &[String]) -> String {
    let shown: Vec<String> = values.iter().take(4).map(|value| bounded(value)).collect();
    let more = values.len().saturating_sub(shown.len());
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

pub(super) fn bounded(value: &str) -> String {
    let printable = |c: char| if c.is_control() { '?' } else { c };
    let mut text: String = value.chars().take(200).map(printable).collect();
    if value.chars().count() > 200 {
        text.push('…');
    }
    format!("\"{text}\"")
}
