//! What is looked for: at rest, after the end, and in the log of all that
//! happened.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_simulator::{
    ACCOUNT, BehaviorPut, EventKind, ForeignMx, IdentityKey, MailFromStatus, SimTime, World,
};
use ses_mailfrom::api::{SesMailFrom, SesMailFromSpec};
use ses_mailfrom::mail::{BehaviorOnMxFailure, Spf, decode_txt};

use crate::parts::theirs_of;
use crate::process::settings;
use crate::schedule::REGIONS;
use crate::stage::{DOMAIN, FOREIGN_NAME, Mark, OBJECT, Stage, ZONE};

const HOUR: Duration = Duration::from_hours(1);
/// Three windows of SES and some: whatever is to come has come.
const HOURS: usize = 36;
/// Longer than any pause: a name drains for two hours, and a restart waits as long.
const QUIET: Duration = Duration::from_hours(3);

/// Writes to AWS, and writes that changed a status.
fn writes(stage: &Stage) -> (usize, usize) {
    let is_write = |action: &str| {
        matches!(action, "ChangeResourceRecordSets" | "PutEmailIdentityMailFromAttributes")
    };
    let count =
        |world: &mut World| world.calls().iter().filter(|call| is_write(&call.action)).count();
    (stage.aws.with(count), stage.cluster.status_writes())
}

/// SES never says Success for a name whose MX is another region's, and the
/// operator never stops trying.
fn never_rests(stage: &Stage) -> bool {
    stage.aws.with(|world| world.config().ses.foreign_mx == ForeignMx::Refused)
}

/// With everything well again, nothing is written any more after a while, and
/// neither by a process that remembers nothing.
pub(crate) async fn comes_to_rest(stage: &mut Stage) -> Result<(), String> {
    if never_rests(stage) {
        stage.live(HOUR * 12).await;
        return Ok(());
    }
    let mut wrong = String::new();
    for _ in 0..HOURS / 3 {
        let before = writes(stage);
        stage.live(QUIET).await;
        wrong = match is_right_at_rest(stage) {
            Ok(()) if writes(stage) == before => return stays_at_rest(stage).await,
            Ok(()) => format!("still writing: {}", recent(stage)),
            Err(wrong) => wrong,
        };
    }
    Err(format!("does not come to rest: {wrong}"))
}

async fn stays_at_rest(stage: &mut Stage) -> Result<(), String> {
    let before = writes(stage);
    stage.play(&[crate::schedule::Step { event: crate::schedule::Event::Kill, wait: HOUR }]).await;
    if writes(stage) == before {
        return Ok(());
    }
    Err(format!("a second run writes: {}", recent(stage)))
}

fn recent(stage: &Stage) -> String {
    let calls = stage.aws.with(|world| {
        let all = world.calls().iter().rev();
        let writes =
            all.filter(|call| call.action.starts_with("Change") || call.action.starts_with("Put"));
        writes
            .take(4)
            .map(|call| {
                format!("{:?} {} {} {}", call.at, call.action, call.region, call.parameters)
            })
            .collect::<Vec<_>>()
    });
    format!("{calls:#?}\n{}", shown(stage.object().as_ref()))
}

fn shown(object: Option<&SesMailFrom>) -> String {
    object.map_or("gone".into(), |object| serde_json::to_string_pretty(object).unwrap())
}

/// Unless somebody else is in the way, the object is as its spec wants it.
pub(crate) fn is_right_at_rest(stage: &Stage) -> Result<(), String> {
    let Some(object) = stage.object() else { return Ok(()) };
    let wrong = |what: String| Err(format!("{what}\n{}", shown(Some(&object))));
    if object.metadata.deletion_timestamp.is_some() {
        return wrong("is not let go".into());
    }
    let reject = object.spec.behavior_on_mx_failure == BehaviorOnMxFailure::RejectMessage;
    let resets = stage.aws.with(|world| world.config().ses.behavior_put == BehaviorPut::Resets);
    let blocked = stage.marks.contains(&Mark::Foreign) || stage.marks.contains(&Mark::Unmarked);
    if blocked || never_rests(stage) || (reject && resets) {
        return Ok(());
    }
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    let ready = conditions.clone().find(|condition| condition.type_ == "Ready");
    if ready.is_none_or(|ready| ready.status != "True") {
        return wrong("is not Ready".into());
    }
    for region in &object.spec.regions {
        let held = stage.aws.with(|world| world.mail_from(ACCOUNT, &region.name, DOMAIN).cloned());
        let name = name_of(&object.spec, region.subdomain.as_deref());
        let expected = Some((name, MailFromStatus::Success));
        let held = held.map(|held| (held.domain, held.behavior.v2()));
        let behavior = if reject { "REJECT_MESSAGE" } else { "USE_DEFAULT_VALUE" };
        if held != Some((expected.clone(), behavior)) {
            return wrong(format!("SES in {} holds {held:?}", region.name));
        }
    }
    Ok(())
}

fn name_of(spec: &SesMailFromSpec, own: Option<&str>) -> String {
    format!("{}.{DOMAIN}", own.unwrap_or(&spec.subdomain))
}

/// After deletion with `Delete` nothing of ours is left, and everything of
/// others is.
pub(crate) async fn leaves_everything_as_found(stage: &mut Stage) -> Result<(), String> {
    let last = stage.object().map(|object| object.spec);
    stage.cluster.delete(OBJECT);
    for _ in 0..HOURS {
        stage.live(HOUR).await;
        if stage.object().is_none() {
            return as_found(stage, last.as_ref());
        }
    }
    Err(format!("is not let go: {}", recent(stage)))
}

fn as_found(stage: &Stage, spec: Option<&SesMailFromSpec>) -> Result<(), String> {
    let theirs = Log::read(stage)?.theirs;
    let (mut standing, mut kept) = (BTreeSet::new(), BTreeSet::new());
    stage.aws.with(|world| {
        for set in world.zone(ZONE).unwrap().records() {
            let kind = set.kind.as_str();
            if kind != "SOA" && kind != "NS" {
                let merged = |v: &&String| is_spf(v) && theirs_of(v) != **v;
                kept.extend(set.values.iter().filter(merged).map(|_| set.name.plain()));
                let values = set.values.iter();
                standing.extend(values.map(|v| (set.name.plain(), kind, theirs_of(v))));
            }
        }
    });
    if let Some(lost) = theirs.iter().find(|value| !standing.contains(*value)) {
        return Err(format!("{lost:?} of somebody else is lost"));
    }
    if stage.marks.contains(&Mark::Unmarked) {
        return Ok(());
    }
    // What a wiped status alone knew of is excused: names and regions that the
    // last spec does not speak of.
    let wiped = stage.marks.contains(&Mark::Wiped);
    let speaks_of = |name: &str| {
        let spec = spec.filter(|_| wiped);
        spec.is_some_and(|spec| {
            spec.regions.iter().any(|r| name_of(spec, r.subdomain.as_deref()) == name)
        })
    };
    let excused = |name: &str| wiped && !speaks_of(name);
    let left = standing.iter().find(|value| !theirs.contains(*value) && !excused(&value.0));
    if let Some(left) = left {
        return Err(format!("{left:?} of ours is left"));
    }
    if let Some(name) = kept.iter().find(|name| !excused(name)) {
        return Err(format!("a term of ours is left in the SPF record of {name}"));
    }
    for region in REGIONS {
        let held = stage.aws.with(|world| world.mail_from(ACCOUNT, region, DOMAIN).cloned());
        let held = held.and_then(|held| held.domain).map(|(name, _)| name);
        let wanted = spec.is_some_and(|spec| spec.regions.iter().any(|r| r.name == region));
        let forgotten = |name: &str| excused(name) || (wiped && !wanted);
        let left = held.filter(|name| name != FOREIGN_NAME && !forgotten(name));
        if let Some(left) = left {
            return Err(format!("{left} of ours is left in SES in {region}"));
        }
    }
    Ok(())
}

/// Checks all that was done to AWS.
pub(crate) fn log(stage: &Stage) -> Result<(), String> {
    Log::read(stage).map(|_| ())
}

type Value = (String, &'static str, String);

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
    /// The batch that is being read.
    batch: Option<(String, Vec<Edited>)>,
}

/// A record set that a batch of ours changed.
struct Edited {
    name: String,
    kind: &'static str,
    from: Vec<String>,
}

/// What SES holds for an identity.
#[derive(Clone, Debug, Default)]
struct Held {
    mail_from: Option<(String, MailFromStatus)>,
    since: SimTime,
    /// The last name that was in Success, and until when.
    success: Option<(String, SimTime)>,
    /// Our last put, its name and behaviour.
    put: Option<(SimTime, String, String)>,
}

impl Log {
    fn read(stage: &Stage) -> Result<Self, String> {
        let (happened, lag) =
            stage.aws.with(|world| (world.events().to_vec(), world.config().ses.stale_reads));
        let mut log = Self::default();
        let allowed = settings().max_observation_age + lag;
        for (index, event) in happened.iter().enumerate() {
            let theirs = stage.theirs.iter().any(|range| range.contains(&index));
            let wrong = |what: String| format!("at {:?}: {what}: {:?}", event.at, event.kind);
            if !matches!(&event.kind, EventKind::RecordSet { .. }) {
                log.end_batch().map_err(wrong)?;
            }
            match &event.kind {
                EventKind::RecordSet { name, kind, from, to, change, .. } => {
                    let from = from.clone().unwrap_or_default();
                    let edited = Edited { name: name.plain(), kind: kind.as_str(), from };
                    let to = to.clone().unwrap_or_default();
                    log.edit(edited, to, change.as_deref(), event.at).map_err(wrong)?;
                }
                EventKind::MailFromPut { identity, domain, behavior } if !theirs => {
                    log.put(identity, domain, behavior, event.at, allowed).map_err(wrong)?;
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

    fn edit(
        &mut self,
        edited: Edited,
        to: Vec<String>,
        change: Option<&str>,
        at: SimTime,
    ) -> Result<(), String> {
        if self.batch.as_ref().is_some_and(|(id, _)| Some(id.as_str()) != change) {
            self.end_batch()?;
        }
        let place = (edited.name.clone(), edited.kind);
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
        self.sets.insert(place, to);
        Ok(())
    }

    /// A batch of ours, all of it.
    fn end_batch(&mut self) -> Result<(), String> {
        let Some((_, all)) = self.batch.take() else { return Ok(()) };
        for Edited { name, kind, from } in all {
            let to = self.sets.get(&(name.clone(), kind)).cloned().unwrap_or_default();
            for gone in from.iter().filter(|value| !to.contains(value)) {
                let part = theirs_of(gone);
                let theirs = self.theirs.contains(&(name.clone(), kind, part.clone()));
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

    fn put(
        &mut self,
        identity: &IdentityKey,
        domain: &str,
        behavior: &str,
        at: SimTime,
        allowed: Duration,
    ) -> Result<(), String> {
        let mx = self.sets.get(&(domain.to_owned(), "MX"));
        let stands = mx.is_some_and(|mx| mx.iter().any(|v| v.contains("feedback-smtp.")));
        let lost = self.mx_lost.get(domain).is_some_and(|lost| at <= *lost + allowed);
        let held = self.held.entry(identity.clone()).or_default();
        if let Some((name, _)) = &held.mail_from
            && name == FOREIGN_NAME
            && at > held.since + allowed
        {
            return Err("a put over somebody else's MAIL FROM domain".into());
        }
        if behavior == "REJECT_MESSAGE" && !domain.is_empty() {
            let now = held.mail_from == Some((domain.to_owned(), MailFromStatus::Success));
            let success = held.success.as_ref();
            let before = success.is_some_and(|(name, end)| name == domain && at <= *end + allowed);
            if !now && !before {
                return Err(format!("RejectMessage without Success: {held:?}"));
            }
            if !stands && !lost {
                return Err(format!("RejectMessage without an MX: {mx:?}"));
            }
        }
        held.put = Some((at, domain.to_owned(), behavior.to_owned()));
        Ok(())
    }
}

impl Held {
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

fn is_spf(value: &str) -> bool {
    let text = decode_txt(value).map(|octets| String::from_utf8_lossy(&octets).into_owned());
    text.is_ok_and(|text| Spf::is_spf(&text))
}
