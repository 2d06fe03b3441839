//! SES and Route 53 in a few lines each: what they make of a write.

use crate::mail::{
    BehaviorOnMxFailure, Change, ChangeBatch, DomainName, MailFrom, MailFromDomain, MailFromStatus,
    RecordSet, RecordType, Zone, decode_txt,
};

/// Record sets, each with the id of its zone.
pub(super) type Records = Vec<(String, RecordSet)>;

/// All of a batch, or nothing and the change that does not fit.
pub(super) fn submit<'b>(records: &mut Records, batch: &'b ChangeBatch) -> Result<(), &'b Change> {
    let mut changed = records.clone();
    let zone = batch.zone.to_string();
    for change in &batch.changes {
        let (Change::Create(set) | Change::Delete(set)) = change;
        let found = changed
            .iter()
            .position(|(id, s)| *id == zone && s.name == set.name && s.rtype == set.rtype);
        match (change, found) {
            (Change::Create(set), None) => changed.push((zone.clone(), set.clone())),
            (Change::Delete(set), Some(at)) if changed[at].1 == *set => {
                changed.remove(at);
            }
            _ => return Err(change),
        }
    }
    *records = changed;
    Ok(())
}

/// What SES holds after a put over `before`. Putting the same name keeps the
/// status: the milder reading; `restarts` says whether it starts a Failed setup again.
pub(super) fn put(
    before: Option<&MailFrom>,
    mail_from: Option<&MailFromDomain>,
    behavior: BehaviorOnMxFailure,
    restarts: bool,
) -> Option<MailFrom> {
    let name = mail_from?.as_str();
    let kept = before.filter(|before| before.domain == name).map(|before| before.status);
    let status = match kept {
        Some(MailFromStatus::Success) => MailFromStatus::Success,
        Some(MailFromStatus::Failed) if !restarts => MailFromStatus::Failed,
        _ => MailFromStatus::Pending,
    };
    Some(MailFrom { domain: name.into(), status, behavior })
}

/// The zones that a name could lie in, longest name first.
pub(super) fn zones_above(zones: &[Zone], name: &DomainName) -> Vec<Zone> {
    let holds = |zone: &&Zone| name.is_at_or_below(&zone.name);
    let mut zones: Vec<Zone> = zones.iter().filter(holds).cloned().collect();
    zones.sort_by_key(|zone| std::cmp::Reverse(zone.name.as_str().len()));
    zones
}

/// The values of a TXT record set, each with its strings joined.
pub(super) fn joined(set: &RecordSet) -> Vec<String> {
    let text = |v: &String| String::from_utf8(decode_txt(v).unwrap()).unwrap();
    set.values.iter().map(text).collect()
}

/// The record set of a name and type.
pub(super) fn at<'a>(
    records: &'a Records,
    name: &str,
    rtype: &RecordType,
) -> Option<&'a RecordSet> {
    let here = |set: &&RecordSet| set.name.as_str() == name && set.rtype == *rtype;
    records.iter().map(|(_, set)| set).find(here)
}
