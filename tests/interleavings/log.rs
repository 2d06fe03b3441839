//! What holds of all that was done to AWS, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_simulator::{Call, EventKind, IdentityKey, MailFromStatus, Outcome, SimTime};
use ses_mailfrom::mail::{Marker, Spf, decode_txt};

use crate::behalf::NOBODY;
use crate::others::FOREIGN_NAME;
use crate::parts::theirs_of;
use crate::process::settings;
use crate::stage::Stage;

/// A put is carried out so much later than status says that it is sent.
const ON_ITS_WAY: Duration = Duration::from_secs(2);

pub(crate) type Value = (String, &'static str, String);

/// The log of a world, read from its beginning.
#[derive(Default)]
struct Log {
    /// Values that others put and that nobody else took away.
    theirs: BTreeSet<Value>,
    /// What stands at each name, and since when.
    sets: BTreeMap<(String, &'static str), Vec<String>>,
    /// When an MX of SES last stood at a name, if it does not now.
    mx_lost: BTreeMap<String, SimTime>,
    held: BTreeMap<IdentityKey, Held>,
    /// Whose marker stands at a name, and since when.
    markers: BTreeMap<String, (Marker, SimTime)>,
    /// All writes to AWS, in order.
    calls: Vec<Call>,
    /// The access key of each owner of markers.
    owners: BTreeMap<String, String>,
    immediate: bool,
    /// The batch that is being read.
    batch: Option<(String, Vec<Edited>)>,
}

/// A record set that a batch of ours changed.
struct Edited {
    name: String,
    kind: &'static str,
    from: Vec<String>,
    /// The access key of who did it, if it is one of ours.
    writer: Option<String>,
}

/// A put of ours.
#[derive(Clone, Debug)]
struct Put {
    at: SimTime,
    /// Empty to clear.
    domain: String,
    behavior: String,
    /// The access key of who did it.
    writer: Option<String>,
}

/// What SES holds for an identity.
#[derive(Clone, Debug, Default)]
struct Held {
    mail_from: Option<(String, MailFromStatus)>,
    since: SimTime,
    /// The last name that was in Success, and until when.
    success: Option<(String, SimTime)>,
    /// Our last put, its name and behaviour.
    put: Option<Put>,
}

/// Reads the whole log. Returns the values that others put and that nobody else
/// took away.
///
/// # Errors
/// The first thing of ours that should not have been done.
pub(crate) fn read(stage: &Stage) -> Result<BTreeSet<Value>, String> {
    Ok(Log::read(stage)?.theirs)
}

impl Log {
    fn read(stage: &Stage) -> Result<Self, String> {
        let (happened, calls, lag) = stage.aws.with(|world| {
            let calls = world.calls().iter().filter(|call| is_write(call)).cloned();
            (world.events().to_vec(), calls.collect(), world.config().ses.stale_reads)
        });
        let owners = stage.actors.iter().map(|a| (a.owner().to_string(), a.access_key()));
        let (immediate, owners) = (stage.setting.immediate, owners.collect());
        let mut log = Self { calls, owners, immediate, ..Self::default() };
        let allowed = settings().max_observation_age + lag;
        for (index, event) in happened.iter().enumerate() {
            let theirs = stage.others.did(index);
            let wrong = |what: String| format!("at {:?}: {what}: {:?}", event.at, event.kind);
            if !matches!(&event.kind, EventKind::RecordSet { .. }) {
                log.end_batch().map_err(wrong)?;
            }
            match &event.kind {
                EventKind::RecordSet { name, kind, from, to, change, .. } => {
                    let from = from.clone().unwrap_or_default();
                    let name = name.plain();
                    let batch = change.as_ref().and_then(|_| log.changer(&name, event.order));
                    let writer = batch.and_then(|batch| stage.behalf.writer(&batch, &name));
                    if writer.as_deref() == Some(NOBODY) {
                        return Err(wrong("a change that no object handed over".into()));
                    }
                    let edited = Edited { name, kind: kind.as_str(), from, writer };
                    let to = to.clone().unwrap_or_default();
                    log.edit(edited, to, change.as_deref(), event.at, allowed).map_err(wrong)?;
                }
                EventKind::MailFromPut { identity, domain, behavior } if !theirs => {
                    let put = Put {
                        at: event.at,
                        domain: domain.clone(),
                        behavior: behavior.clone(),
                        writer: log.putter(identity, event.order),
                    };
                    log.put(identity, put, allowed).map_err(wrong)?;
                }
                EventKind::MailFromStatus { identity, domain, to, .. } => {
                    let now = to.map(|status| (domain.clone(), status));
                    log.held.entry(identity.clone()).or_default().becomes(now, event.at);
                }
                EventKind::Identity { identity, verified: None } => {
                    log.held.entry(identity.clone()).or_default().becomes(None, event.at);
                }
                _ => {}
            }
        }
        log.end_batch()?;
        Ok(log)
    }

    /// The access key of the batch that changed the records of a name: the last for it. Route 53 takes one
    /// batch at a time.
    fn changer(&self, name: &str, order: u64) -> Option<String> {
        self.caller(order, |call| {
            let names = call.targets.iter().filter_map(|target| target.split(' ').next());
            call.action.starts_with("Change")
                && names.into_iter().any(|at| at.trim_end_matches('.') == name)
        })
    }

    fn putter(&self, identity: &IdentityKey, order: u64) -> Option<String> {
        self.caller(order, |call| {
            let here = call.region == identity.region && call.targets.contains(&identity.identity);
            call.action.starts_with("Put") && here
        })
    }

    fn caller(&self, order: u64, is: impl Fn(&Call) -> bool) -> Option<String> {
        let before = self.calls.iter().rev().filter(|call| call.order < order);
        before.into_iter().find(|call| is(call)).map(|call| call.access_key.clone())
    }

    fn edit(
        &mut self,
        edited: Edited,
        to: Vec<String>,
        change: Option<&str>,
        at: SimTime,
        allowed: Duration,
    ) -> Result<(), String> {
        if self.batch.as_ref().is_some_and(|(id, _)| Some(id.as_str()) != change) {
            self.end_batch()?;
        }
        let place = (edited.name.clone(), edited.kind);
        let edited_txt = edited.kind == "TXT";
        if let (Some((marker, since)), Some(writer)) =
            (self.markers.get(&edited.name), &edited.writer)
            && let Some(owner) = self.owners.get(&marker.owner.to_string())
            && writer != owner
            // With its own marker just taken away, an MX may still go to its place.
            && (edited_txt || at > *since + allowed)
        {
            return Err(format!("a change to the records of {owner} by {writer}"));
        }
        let endpoint = |values: &[String]| values.iter().any(|v| v.contains("feedback-smtp."));
        if edited.kind == "MX" && endpoint(&edited.from) && !endpoint(&to) {
            self.mx_lost.insert(edited.name.clone(), at);
        }
        if let Some(id) = change {
            let (_, all) = self.batch.get_or_insert_with(|| (id.to_owned(), Vec::new()));
            if !all.iter().any(|known| (&known.name, known.kind) == (&place.0, place.1)) {
                all.push(edited);
            }
        } else {
            let value = |value: &String| (place.0.clone(), place.1, theirs_of(value));
            for gone in edited.from.iter().filter(|v| !to.contains(v)) {
                self.theirs.remove(&value(gone));
            }
            for new in to.iter().filter(|v| !edited.from.contains(v)) {
                if new.contains("theirs") || new == "\"v=spf1 -all\"" {
                    self.theirs.insert(value(new));
                }
            }
        }
        if edited_txt {
            self.mark(&place.0, &to, at);
        }
        self.sets.insert(place, to);
        Ok(())
    }

    /// Takes down whose marker stands at a name now.
    fn mark(&mut self, name: &str, values: &[String], at: SimTime) {
        let texts = values.iter().filter_map(|value| decode_txt(value).ok());
        let mut texts = texts.filter_map(|octets| String::from_utf8(octets).ok());
        match texts.find_map(|text| Marker::parse(&text).ok()) {
            Some(marker) => {
                let old = self.markers.get(name).filter(|(old, _)| old.owner == marker.owner);
                let since = old.map_or(at, |(_, since)| *since);
                self.markers.insert(name.to_owned(), (marker, since));
            }
            None => drop(self.markers.remove(name)),
        }
    }

    /// A batch of ours, all of it.
    fn end_batch(&mut self) -> Result<(), String> {
        let Some((_, all)) = self.batch.take() else { return Ok(()) };
        for Edited { name, kind, from, .. } in all {
            let to = self.sets.get(&(name.clone(), kind)).cloned().unwrap_or_default();
            for gone in from.iter().filter(|value| !to.contains(value)) {
                let part = theirs_of(gone);
                let theirs = self.theirs.contains(&(name.clone(), kind, part.clone()));
                // What others wrote into a record stays, whatever becomes of our terms.
                if theirs && !to.iter().any(|value| theirs_of(value) == part) {
                    return Err(format!("{gone} at {name} was not ours to remove"));
                }
            }
            let count = |values: &[String]| match kind {
                "MX" => values.len(),
                _ => values.iter().filter(|value| is_spf(value)).count(),
            };
            if count(&to) > count(&from).max(1) {
                return Err(format!("{} {kind} values at {name}: {to:?}", to.len()));
            }
        }
        Ok(())
    }

    fn put(&mut self, identity: &IdentityKey, put: Put, allowed: Duration) -> Result<(), String> {
        let Put { at, domain, behavior, writer } = &put;
        let at = *at;
        let mx = self.sets.get(&(domain.clone(), "MX"));
        let stands = mx.is_some_and(|mx| mx.iter().any(|v| v.contains("feedback-smtp.")));
        let lost = self.mx_lost.get(domain).is_some_and(|lost| at <= *lost + allowed);
        let held = self.held.entry(identity.clone()).or_default();
        let holder = held.mail_from.as_ref().and_then(|(name, _)| self.markers.get(name));
        if let Some((marker, since)) = holder
            && marker.regions.contains_key(&identity.region)
            && at > (*since).max(held.since) + allowed
            && let Some(owner) = self.owners.get(&marker.owner.to_string())
            && writer.as_ref().is_some_and(|writer| writer != owner)
        {
            return Err(format!("a put over the setting of {owner} by {writer:?}"));
        }
        held.is_held_off(&put)?;
        if let Some((name, _)) = &held.mail_from
            && name == FOREIGN_NAME
            && at > held.since + allowed
        {
            return Err("a put over somebody else's MAIL FROM domain".into());
        }
        if behavior == "REJECT_MESSAGE" && !domain.is_empty() && !self.immediate {
            let now = held.mail_from == Some((domain.clone(), MailFromStatus::Success));
            let success = held.success.as_ref();
            let before = success.is_some_and(|(name, end)| name == domain && at <= *end + allowed);
            if !now && !before {
                return Err(format!("RejectMessage without Success: {held:?}"));
            }
            if !stands && !lost {
                return Err(format!("RejectMessage without an MX: {mx:?}"));
            }
        }
        held.put = Some(put);
        Ok(())
    }
}

impl Held {
    /// No second put within `--put-hold-off`, but the rescue from RejectMessage and
    /// the put after a clear.
    fn is_held_off(&self, put: &Put) -> Result<(), String> {
        let Some(before) = self.put.as_ref().filter(|before| before.writer == put.writer) else {
            return Ok(());
        };
        let rescue = before.behavior == "REJECT_MESSAGE" && put.behavior == "USE_DEFAULT_VALUE";
        let exempt = before.domain.is_empty() || rescue;
        if exempt || put.at + ON_ITS_WAY >= before.at + settings().put_hold_off {
            return Ok(());
        }
        Err(format!("a put is not held off after {before:?}"))
    }

    fn becomes(&mut self, now: Option<(String, MailFromStatus)>, at: SimTime) {
        if let Some((name, MailFromStatus::Success)) = &self.mail_from {
            self.success = Some((name.clone(), at));
        }
        let named =
            |held: &Option<(String, MailFromStatus)>| held.as_ref().map(|(name, _)| name.clone());
        if named(&now) != named(&self.mail_from) {
            self.since = at;
        }
        self.mail_from = now;
    }
}

fn is_write(call: &Call) -> bool {
    let refused = matches!(call.outcome, Outcome::Error { status: 400..500, .. });
    let write =
        matches!(&*call.action, "ChangeResourceRecordSets" | "PutEmailIdentityMailFromAttributes");
    write && !refused
}

pub(crate) fn is_spf(value: &str) -> bool {
    let text = decode_txt(value).map(|octets| String::from_utf8_lossy(&octets).into_owned());
    text.is_ok_and(|text| Spf::is_spf(&text))
}
