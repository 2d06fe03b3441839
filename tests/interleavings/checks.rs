//! What is looked for at rest and after the end.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_simulator::{ACCOUNT, BehaviorPut, ForeignMx, MailFromStatus, World};
use ses_mailfrom::api::{Reason, SesMailFrom, SesMailFromSpec};
use ses_mailfrom::mail::BehaviorOnMxFailure;

use crate::log::{self, is_spf};
use crate::others::{FOREIGN_NAME, Mark};
use crate::parts::theirs_of;
use crate::schedule::REGIONS;
use crate::stage::{Actor, BELOW, DOMAIN, Stage, ZONE};

const HOUR: Duration = Duration::from_hours(1);
/// Several windows of SES, with the pauses between them: whatever is to come has come.
const HOURS: usize = 18;
/// Longer than any pause, than a reading lasts, and than SES looks for the MX of a
/// name: status mirrors how that ends, whoever set it.
const QUIET: Duration = Duration::from_mins(100);

/// Writes to AWS, and writes that changed a status.
fn writes(stage: &Stage) -> (usize, usize) {
    let is_write = |action: &str| {
        matches!(action, "ChangeResourceRecordSets" | "PutEmailIdentityMailFromAttributes")
    };
    let count =
        |world: &mut World| world.calls().iter().filter(|call| is_write(&call.action)).count();
    let statuses = stage.operators.iter().map(|operator| operator.setup.cluster.status_writes());
    (stage.aws.with(count), statuses.sum())
}

/// With everything well again, nothing is written any more after a while, and
/// neither by a process that remembers nothing.
pub(crate) async fn comes_to_rest(stage: &mut Stage) -> Result<(), String> {
    let mut wrong = String::new();
    for _ in 0..HOURS {
        let before = writes(stage);
        stage.live(QUIET).await?;
        wrong = match is_right_at_rest(stage) {
            Ok(()) if writes(stage) == before => return stays_at_rest(stage).await,
            Ok(()) => "still writing".into(),
            Err(wrong) => wrong,
        };
    }
    Err(format!("does not come to rest: {wrong}"))
}

async fn stays_at_rest(stage: &mut Stage) -> Result<(), String> {
    let before = writes(stage);
    stage.kill_all().await;
    stage.live(HOUR).await?;
    // Where a shared MX is not accepted, a new process first says that it asks DNS,
    // and then the same again as the one before.
    let refused = stage.aws.with(|world| world.config().ses.foreign_mx == ForeignMx::Refused);
    let now = writes(stage);
    let same = now.0 == before.0 && (now.1 == before.1 || refused);
    if same { Ok(()) } else { Err("a second run writes".into()) }
}

/// Unless somebody is in the way, every object is as its spec wants it.
pub(crate) fn is_right_at_rest(stage: &Stage) -> Result<(), String> {
    let objects = stage.actors.iter().filter_map(|actor| Some((actor, stage.object(actor)?)));
    for (actor, object) in objects {
        let right = is_right(stage, actor, &object);
        right.map_err(|wrong| format!("{} {wrong}", actor.access_key()))?;
    }
    Ok(())
}

fn is_right(stage: &Stage, actor: &Actor, object: &SesMailFrom) -> Result<(), String> {
    if object.metadata.deletion_timestamp.is_some() {
        return Err("is not let go".into());
    }
    if stage.others.has(Mark::Foreign) || stage.others.has(Mark::Unmarked) {
        return Ok(());
    }
    let conditions = object.status.iter().flat_map(|status| &status.conditions);
    let true_of = |kind: &str| {
        let mut all = conditions.clone().filter(|c| c.type_ == kind && c.status == "True");
        all.next().map(|condition| condition.reason.clone())
    };
    if true_of("Ready").is_some() {
        return stands(stage, actor, &object.spec);
    }
    let stalled = true_of("Stalled").ok_or("is neither Ready nor Stalled")?;
    let excused = excuses(stage, object).into_iter().any(|reason| reason.as_str() == stalled);
    if excused { Ok(()) } else { Err(format!("is Stalled for {stalled}")) }
}

/// For what an object may be stalled in a world without anybody else's values.
fn excuses(stage: &Stage, object: &SesMailFrom) -> Vec<Reason> {
    let mut excuses = Vec::new();
    let ses = stage.aws.with(|world| world.config().ses.clone());
    let spec = &object.spec;
    let reject = spec.behavior_on_mx_failure == BehaviorOnMxFailure::RejectMessage;
    // SES takes the Success back whenever RejectMessage is asked for, or just then.
    if reject && (ses.behavior_put == BehaviorPut::Resets || stage.others.has(Mark::Dropped)) {
        excuses.push(Reason::RejectMessageUnreachable);
    }
    // SES never says Success for a name whose MX is another region's.
    let sharing = spec.regions.iter().filter(|region| region.subdomain.is_none()).count();
    if ses.foreign_mx == ForeignMx::Refused && sharing > 1 {
        excuses.push(Reason::SharedMxNotAccepted);
    }
    // What only a status knew that was wiped outlives its object.
    let own = spec.regions.iter().filter_map(|region| region.subdomain.as_ref());
    let mut names = own.chain([&spec.subdomain]).map(|sub| format!("{sub}.{}", spec.domain));
    if names.any(|name| stage.forgotten.has(&name)) {
        excuses.push(Reason::RecordConflict);
    }
    // Another object was first, or the other operator's was.
    if stage.population() > 1 {
        excuses.extend([Reason::DomainConflict, Reason::RecordConflict, Reason::MailFromConflict]);
    }
    excuses
}

fn stands(stage: &Stage, actor: &Actor, spec: &SesMailFromSpec) -> Result<(), String> {
    let reject = spec.behavior_on_mx_failure == BehaviorOnMxFailure::RejectMessage;
    let behavior = if reject { "REJECT_MESSAGE" } else { "USE_DEFAULT_VALUE" };
    for region in &spec.regions {
        let held =
            stage.aws.with(|world| world.mail_from(ACCOUNT, &region.name, actor.domain).cloned());
        let own = region.subdomain.as_ref().unwrap_or(&spec.subdomain);
        let expected = Some((format!("{own}.{}", actor.domain), MailFromStatus::Success));
        let held = held.map(|held| (held.domain, held.behavior.v2()));
        if held != Some((expected, behavior)) {
            return Err(format!("is Ready, and SES in {} holds {held:?}", region.name));
        }
    }
    Ok(())
}

/// After deletion with `Delete`, one object after the other, nothing of ours is
/// left, and everything of others is. Who was in the way of one that stays is not
/// any more.
pub(crate) async fn leaves_everything_as_found(stage: &mut Stage) -> Result<(), String> {
    for actor in stage.actors.clone() {
        stage.cluster(&actor).delete(actor.name);
        let mut hours = 0;
        while stage.object(&actor).is_some() {
            if hours == HOURS {
                return Err(format!("{} is not let go", actor.access_key()));
            }
            stage.live(HOUR).await?;
            hours += 1;
        }
        if stage.population() > 0 {
            comes_to_rest(stage).await?;
        }
    }
    as_found(stage)
}

fn as_found(stage: &Stage) -> Result<(), String> {
    let theirs = log::read(stage)?;
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
    if stage.others.has(Mark::Unmarked) {
        return Ok(());
    }
    let forgotten = &stage.forgotten;
    let mut left = standing.iter().filter(|value| !theirs.contains(*value));
    if let Some(left) = left.find(|value| !forgotten.has(&value.0)) {
        return Err(format!("{left:?} of ours is left"));
    }
    if let Some(name) = kept.iter().find(|name| !forgotten.has(name)) {
        return Err(format!("a term of ours is left in the SPF record of {name}"));
    }
    let identities = [DOMAIN, BELOW].map(|identity| REGIONS.map(|region| (identity, region)));
    for (identity, region) in identities.into_iter().flatten() {
        let held = stage.aws.with(|world| world.mail_from(ACCOUNT, region, identity).cloned());
        let held = held.and_then(|held| held.domain).map(|(name, _)| name);
        let known = |name: &String| {
            name != FOREIGN_NAME && !forgotten.has(name) && !forgotten.has_region(identity, region)
        };
        if let Some(left) = held.filter(known) {
            return Err(format!("{left} of ours is left in SES in {region}"));
        }
    }
    Ok(())
}
