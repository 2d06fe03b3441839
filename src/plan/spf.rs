//! The SPF record at a name: what it is to say, and which of its terms are ours.

use std::collections::BTreeSet;

use super::records::bounded;
use crate::mail::{
    AMAZON_SES, MailFromDomain, Origin, Spf, SpfOrigin, VALUE_MAX, edit_txt, encode_txt,
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
    values: &[String],
    texts: &[String],
    marked: Option<&SpfOrigin>,
) -> Result<SpfRecord, String> {
    let found: Vec<usize> = (0..texts.len()).filter(|at| Spf::is_spf(&texts[*at])).collect();
    match found.as_slice() {
        [] => Ok(created(marked)),
        [at] => merged(name, *at, &values[*at], &texts[*at], marked),
        several => {
            let shown: Vec<String> = several.iter().map(|at| bounded(&texts[*at])).collect();
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
fn created(marked: Option<&SpfOrigin>) -> SpfRecord {
    let kept = marked.filter(|marked| **marked == SpfOrigin::adopted());
    SpfRecord {
        at: None,
        value: encode_txt(Spf::for_ses().to_string().as_bytes()),
        origin: kept.cloned().unwrap_or_else(SpfOrigin::created),
        moved: true,
    }
}

fn merged(
    name: &MailFromDomain,
    at: usize,
    value: &str,
    text: &str,
    marked: Option<&SpfOrigin>,
) -> Result<SpfRecord, String> {
    let spf = Spf::parse(text).ok_or_else(|| format!("{name} has no legible SPF record"))?;
    let origin = marked.cloned().unwrap_or_else(SpfOrigin::adopted);
    if spf.includes_ses() {
        return Ok(SpfRecord { at: Some(at), value: value.to_owned(), origin, moved: false });
    }
    let value = edit_txt(value, &spf.with_ses().to_string());
    if value.chars().count() > VALUE_MAX {
        return Err(format!("the SPF record at {name} has no room for include:{AMAZON_SES}"));
    }
    let mut origin = origin;
    origin.added.insert(AMAZON_SES.to_owned());
    Ok(SpfRecord { at: Some(at), value, origin, moved: true })
}

/// What is left of an SPF record when the terms that the marker lists go.
/// `None` where nothing of others is.
pub(super) fn left_of(value: &str, text: &str, origin: &SpfOrigin) -> Option<String> {
    if origin.record == Origin::Created && is_built(text, &origin.added) {
        return None;
    }
    let spf = Spf::parse(text).filter(|_| !origin.added.is_empty());
    Some(match spf {
        Some(spf) if spf.includes_ses() => edit_txt(value, &spf.without_ses().to_string()),
        _ => value.to_owned(),
    })
}

/// Whether a record is one that we could have made of these hosts.
pub(super) fn is_built(text: &str, hosts: &BTreeSet<String>) -> bool {
    let terms: Vec<&str> = text.split(' ').collect();
    let [version, includes @ .., all] = terms.as_slice() else { return false };
    let named: Option<BTreeSet<&str>> =
        includes.iter().map(|term| term.strip_prefix("include:")).collect();
    let same = named.is_some_and(|named| {
        named.len() == includes.len() && named.into_iter().eq(hosts.iter().map(String::as_str))
    });
    same && *version == "v=spf1" && matches!(*all, "~all" | "-all")
}
