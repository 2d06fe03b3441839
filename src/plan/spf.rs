//! The SPF record at a name: what it is to say, and which of its terms are ours.

use std::collections::BTreeSet;

use super::desired::Desired;
use super::records::bounded;
use crate::mail::{
    MailFromDomain, MergeRefusal, Origin, Spf, SpfInclude, SpfOrigin, edit_txt, encode_txt,
};

/// What the SPF record at a name is to be.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SpfRecord {
    /// Where it stands among the TXT values; `None` where there is none yet.
    pub at: Option<usize>,
    /// The TXT value, in Route 53's form.
    pub value: String,
    /// What the marker says of it.
    pub origin: SpfOrigin,
    /// Whether it says something else than what stands.
    pub moved: bool,
}

/// The SPF record wanted at `name` where the TXT `values` stand, each with its
/// strings joined in `texts`. `marked` is what our marker says of it, where it
/// stands. `Err` holds why there can be none.
pub(super) fn spf_record(
    name: &MailFromDomain,
    (values, texts): (&[String], &[String]),
    marked: Option<&SpfOrigin>,
    desired: &Desired,
) -> Result<SpfRecord, String> {
    let found = texts.iter().enumerate().filter_map(|(at, text)| Some((at, Spf::parse(text)?)));
    let found: Vec<(usize, Spf)> = found.collect();
    match found.as_slice() {
        [] => Ok(created(marked, desired)),
        [(at, found)] => {
            let standing = Standing { at: *at, value: &values[*at], text: &texts[*at], found };
            standing.wanted(marked, desired).map_err(|refusal| {
                let text = bounded(&texts[*at]);
                format!("the SPF record {text} at {name} cannot be merged into: {refusal}")
            })
        }
        several => {
            let shown: Vec<String> = several.iter().map(|(at, _)| bounded(&texts[*at])).collect();
            Err(format!(
                "{name} has {} SPF records, {}, where one may be (RFC 7208 section 4.5)",
                several.len(),
                shown.join(" and ")
            ))
        }
    }
}

/// A record that was adopted as it stood is put back and stays adopted; of one
/// that we merged into, nothing is left but what we make now.
fn created(marked: Option<&SpfOrigin>, desired: &Desired) -> SpfRecord {
    let kept = marked.filter(|marked| **marked == SpfOrigin::adopted());
    let ours = || SpfOrigin { record: Origin::Created, added: wanted(desired) };
    SpfRecord {
        at: None,
        value: encode_txt(desired.spf().to_string().as_bytes()),
        origin: kept.cloned().unwrap_or_else(ours),
        moved: true,
    }
}

fn wanted(desired: &Desired) -> BTreeSet<SpfInclude> {
    desired.senders.iter().cloned().collect()
}

/// The one SPF record that stands.
struct Standing<'s> {
    at: usize,
    value: &'s str,
    text: &'s str,
    found: &'s Spf,
}

impl Standing<'_> {
    fn wanted(
        &self,
        marked: Option<&SpfOrigin>,
        desired: &Desired,
    ) -> Result<SpfRecord, MergeRefusal> {
        let SpfOrigin { record, added } = marked.cloned().unwrap_or_else(SpfOrigin::adopted);
        let wanted = wanted(desired);
        if record == Origin::Created && is_built(self.text, &added) {
            let origin = SpfOrigin { record, added: wanted };
            return Ok(self.become_text(&desired.spf().to_string(), origin));
        }
        let gone: Vec<&SpfInclude> = added.difference(&wanted).collect();
        let (mut spf, mut value) = without(self.value, self.found, &gone);
        let mut ours: BTreeSet<SpfInclude> = added.intersection(&wanted).cloned().collect();
        for sender in &desired.senders {
            let merged = spf.merge(std::slice::from_ref(sender))?;
            value = edited(&value, &spf, &merged.record);
            spf = merged.record;
            ours.extend(merged.added);
        }
        let moved = value != self.value;
        let origin = SpfOrigin { record, added: ours };
        Ok(SpfRecord { at: Some(self.at), value, origin, moved })
    }

    fn become_text(&self, text: &str, origin: SpfOrigin) -> SpfRecord {
        let moved = text != self.text;
        let value = if moved { encode_txt(text.as_bytes()) } else { self.value.to_owned() };
        SpfRecord { at: Some(self.at), value, origin, moved }
    }
}

/// One term at a time, so that each leaves the value as it was before it came.
fn without(value: &str, spf: &Spf, gone: &[&SpfInclude]) -> (Spf, String) {
    let (mut spf, mut value) = (spf.clone(), value.to_owned());
    for sender in gone {
        let left = spf.unmerge(std::slice::from_ref(*sender));
        value = edited(&value, &spf, &left);
        spf = left;
    }
    (spf, value)
}

/// `value`, which says `before`, made to say `after`.
fn edited(value: &str, before: &Spf, after: &Spf) -> String {
    if before == after { value.to_owned() } else { edit_txt(value, &after.to_string()) }
}

/// What is left of an SPF record when the terms that the marker lists go.
/// `None` where nothing of others is.
pub(super) fn left_of(value: &str, text: &str, origin: &SpfOrigin) -> Option<String> {
    if origin.record == Origin::Created && is_built(text, &origin.added) {
        return None;
    }
    let gone: Vec<&SpfInclude> = origin.added.iter().collect();
    let left = Spf::parse(text).map(|spf| without(value, &spf, &gone).1);
    Some(left.unwrap_or_else(|| value.to_owned()))
}

/// Whether a record is one that we could have made for exactly these senders:
/// one with a sender more was edited by others, however alike it looks.
pub(super) fn is_built(text: &str, senders: &BTreeSet<SpfInclude>) -> bool {
    let as_ours = Spf::parse(text).is_some_and(|spf| spf.created_all().is_some());
    let includes = text.split(' ').filter_map(|term| term.strip_prefix("include:"));
    let named: BTreeSet<SpfInclude> =
        includes.filter_map(|name| SpfInclude::parse(name).ok()).collect();
    as_ours && named == *senders
}
