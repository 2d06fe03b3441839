//! The states of a MAIL FROM domain (developer guide, "Using a custom MAIL FROM
//! domain"): SES looks for the MX for 72 hours after the setup and after it
//! has lost sight of it, and does nothing any more once it has given up.

use super::{Behavior, Identity, Put, Window, v2::bad_request};
use crate::{
    api::ApiError,
    config::{
        BehaviorPut, EqualPut, ForeignMx, OmittedMember, PutInFailed, SesConfig, SeveralMx,
        UnknownIdentity,
    },
    dns::Lookup,
    log::{EventKind, IdentityKey, MailFromStatus, Sending},
    name::Name,
    record::RecordType,
    world::{Timer, World},
};

/// What happens to a message that this identity sends now.
pub(crate) fn sending(identity: Option<&Identity>) -> Sending {
    let Some(identity) = identity.filter(|identity| identity.verified) else {
        return Sending::NotVerified;
    };
    match &identity.state.domain {
        Some((_, MailFromStatus::Success)) => Sending::CustomMailFrom,
        Some(_) if identity.state.behavior == Behavior::RejectMessage => Sending::Rejected,
        None | Some(_) => Sending::DefaultMailFrom,
    }
}

/// What a put asks for, the switches applied.
enum Wish {
    Clear,
    Set(String, Behavior),
    Behavior(Behavior),
}

/// `PutEmailIdentityMailFromAttributes`: a plain overwrite.
pub(crate) fn put(world: &mut World, key: &IdentityKey, request: &Put) -> Result<(), ApiError> {
    let (now, config) = (world.now(), world.config().ses.clone());
    let Some(identity) = world.ses.identities.get(key) else {
        return Err(match config.unknown_identity {
            UnknownIdentity::BadRequest => {
                bad_request(format!("Identity <{}> does not exist.", key.identity))
            }
            UnknownIdentity::NotFound => {
                let message = format!("Email identity {} does not exist.", key.identity);
                ApiError::new(404, "NotFoundException", message)
            }
        });
    };
    let wish = wish(request, &config)?;
    if let Wish::Set(domain, _) = &wish {
        check_name(domain, key, identity.verified)?;
    }
    let visible = identity.read(now).clone();
    world.record(EventKind::MailFromPut {
        identity: key.clone(),
        domain: request.domain.clone().unwrap_or_default(),
        behavior: request.behavior.clone().unwrap_or_default(),
    });
    world.change_identity(key, |identity| overwrite(identity, wish, &config));
    if let Some(identity) = world.ses.identities.get_mut(key) {
        identity.stale =
            (!config.stale_reads.is_zero()).then(|| (now + config.stale_reads, visible));
        let look =
            identity.window.as_mut().filter(|window| window.interval.is_zero()).map(|window| {
                // An interval of zero marks a window that has just been opened.
                (window.since, window.interval) = (now, config.checks.interval);
                identity.epoch
            });
        if let Some(epoch) = look {
            world.schedule(now + config.checks.first, Timer::MxCheck(key.clone(), epoch));
        }
    }
    Ok(())
}

fn wish(request: &Put, config: &SesConfig) -> Result<Wish, ApiError> {
    let behavior = match request.behavior.as_deref() {
        None => None,
        Some("USE_DEFAULT_VALUE") => Some(Behavior::UseDefaultValue),
        Some("REJECT_MESSAGE") => Some(Behavior::RejectMessage),
        Some(other) => {
            return Err(bad_request(format!(
                "1 validation error detected: Value '{other}' at 'behaviorOnMxFailure' failed to satisfy constraint: \
                 Member must satisfy enum value set: [USE_DEFAULT_VALUE, REJECT_MESSAGE]"
            )));
        }
    };
    match (request.domain.as_deref(), config.omitted_member) {
        (Some(""), _) | (None, OmittedMember::Clears) => Ok(Wish::Clear),
        (Some(domain), _) => Ok(Wish::Set(
            domain.to_ascii_lowercase(),
            behavior.unwrap_or(Behavior::UseDefaultValue),
        )),
        (None, OmittedMember::Refused) => Err(bad_request("MailFromDomain must be specified.")),
        (None, OmittedMember::Ignored) => {
            Ok(Wish::Behavior(behavior.unwrap_or(Behavior::UseDefaultValue)))
        }
    }
}

/// The name must be a subdomain of the identity, and the identity verified.
fn check_name(domain: &str, key: &IdentityKey, verified: bool) -> Result<(), ApiError> {
    let identity = &key.identity;
    let parent = identity.rsplit_once('@').map_or(identity.as_str(), |(_, domain)| domain);
    let (Ok(name), Ok(parent)) = (Name::parse(domain), Name::parse(parent)) else {
        return Err(bad_request(format!("Invalid MAIL-FROM domain <{domain}>.")));
    };
    if name == parent || !name.is_within(&parent) {
        return Err(bad_request(format!(
            "Provided MAIL-FROM domain <{domain}> is not subdomain of the domain of the identity <{identity}>"
        )));
    }
    if !verified {
        return Err(bad_request(format!(
            "Provided MAIL-FROM domain <{domain}> or its parents are not verified for identity <{identity}>"
        )));
    }
    Ok(())
}

fn overwrite(identity: &mut Identity, wish: Wish, config: &SesConfig) {
    let (domain, behavior) = match wish {
        Wish::Clear => {
            identity.state = super::MailFromView::default();
            identity.window = None;
            identity.epoch += 1;
            return;
        }
        Wish::Behavior(behavior) => {
            identity.state.behavior = behavior;
            return;
        }
        Wish::Set(domain, behavior) => (domain, behavior),
    };
    let other_behavior = std::mem::replace(&mut identity.state.behavior, behavior) != behavior;
    let starts = match &identity.state.domain {
        Some((standing, status)) if *standing == domain => match status {
            MailFromStatus::Failed => config.put_in_failed == PutInFailed::Restarts,
            _ if other_behavior => config.behavior_put == BehaviorPut::Resets,
            _ => config.equal_put == EqualPut::Resets,
        },
        _ => true,
    };
    if starts {
        identity.state.domain = Some((domain, MailFromStatus::Pending));
        identity.window = Some(Window {
            since: crate::clock::SimTime::ZERO,
            interval: crate::clock::SimTime::ZERO,
        });
        identity.finding = None;
        identity.epoch += 1;
    }
}

/// A scheduled look for the MX; one of an earlier setup does nothing.
pub(crate) fn check(world: &mut World, key: &IdentityKey, epoch: u64) {
    let current = world.ses.identities.get(key).filter(|identity| identity.epoch == epoch);
    if current.is_some() {
        take_look(world, key);
        schedule_next(world, key);
    }
}

/// Has SES look for the MX now.
pub(crate) fn take_look(world: &mut World, key: &IdentityKey) {
    let Some((domain, status)) =
        world.ses.identities.get(key).and_then(|identity| identity.state.domain.clone())
    else {
        return;
    };
    if status == MailFromStatus::Failed {
        return;
    }
    let (now, config) = (world.now(), world.config().ses.clone());
    let sight = look_up(world, &domain, &key.region, config.foreign_mx);
    note(world, key, &domain, sight.describe());
    world.change_identity(key, |identity| {
        let over =
            identity.window.as_ref().is_some_and(|window| now >= window.since + config.window);
        let fatal =
            matches!(sight, Sight::Several(_)) && config.several_mx == SeveralMx::FailsAtOnce;
        let next = match status {
            _ if sight == Sight::Right => MailFromStatus::Success,
            MailFromStatus::Success => MailFromStatus::TemporaryFailure,
            _ if over || (fatal && status == MailFromStatus::Pending) => MailFromStatus::Failed,
            same => same,
        };
        match (status, next) {
            (MailFromStatus::Success, MailFromStatus::TemporaryFailure) => {
                identity.window = Some(Window { since: now, interval: config.checks.interval });
            }
            (_, MailFromStatus::Success | MailFromStatus::Failed) => identity.window = None,
            _ => {}
        }
        identity.state.domain = Some((domain.clone(), next));
    });
}

fn note(world: &mut World, key: &IdentityKey, domain: &str, finding: String) {
    let Some(identity) = world.ses.identities.get_mut(key) else {
        return;
    };
    if identity.finding.as_ref() != Some(&finding) {
        identity.finding = Some(finding.clone());
        world.record(EventKind::MxSeen {
            identity: key.clone(),
            domain: domain.to_owned(),
            finding,
        });
    }
}

/// The next look: rarer each time while SES is looking, but one at the end of
/// the window; none once it has failed.
fn schedule_next(world: &mut World, key: &IdentityKey) {
    let (now, config) = (world.now(), world.config().ses.clone());
    let Some(identity) = world.ses.identities.get_mut(key) else {
        return;
    };
    let due = match (&identity.state.domain, &mut identity.window) {
        (Some((_, MailFromStatus::Success)), _) => now + config.checks.keep,
        (Some((_, MailFromStatus::Pending | MailFromStatus::TemporaryFailure)), Some(window)) => {
            let due = now + window.interval;
            window.interval =
                window.interval.mul_f64(config.checks.growth.max(1.0)).min(config.checks.longest);
            due.min(window.since + config.window)
        }
        _ => return,
    };
    let epoch = identity.epoch;
    world.schedule(due, Timer::MxCheck(key.clone(), epoch));
}

/// What SES sees at the MAIL FROM domain.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sight {
    Right,
    OtherHost(String),
    Several(usize),
    Nothing,
    NoAnswer,
}

impl Sight {
    fn describe(&self) -> String {
        match self {
            Self::Right => "the MX".to_owned(),
            Self::OtherHost(host) => format!("an MX that names {host}"),
            Self::Several(count) => format!("{count} MX records"),
            Self::Nothing => "no MX".to_owned(),
            Self::NoAnswer => "no answer from the DNS".to_owned(),
        }
    }
}

fn look_up(world: &mut World, domain: &str, region: &str, foreign: ForeignMx) -> Sight {
    let Ok(name) = Name::parse(domain) else {
        return Sight::Nothing;
    };
    let answer = match world.resolve_for_ses(&name, RecordType::MX) {
        Lookup::Answer(answer) => answer,
        Lookup::Failure => return Sight::NoAnswer,
    };
    let hosts: Vec<String> = answer
        .answers
        .iter()
        .filter(|record| record.kind == RecordType::MX)
        .filter_map(|record| record.value.split(' ').nth(1))
        .map(|host| host.trim_end_matches('.').to_ascii_lowercase())
        .collect();
    match hosts.as_slice() {
        [] => Sight::Nothing,
        [host] if is_feedback_host(host, region, foreign) => Sight::Right,
        [host] => Sight::OtherHost(host.clone()),
        several => Sight::Several(several.len()),
    }
}

/// `feedback-smtp.<region>.amazonses.com` (developer guide, endpoints table).
fn is_feedback_host(host: &str, region: &str, foreign: ForeignMx) -> bool {
    let of =
        host.strip_prefix("feedback-smtp.").and_then(|rest| rest.strip_suffix(".amazonses.com"));
    match foreign {
        ForeignMx::Refused => of == Some(region),
        ForeignMx::Accepted => of.is_some_and(|named| named == region || looks_like_region(named)),
    }
}

/// `eu-west-1`, `us-gov-east-1`: words joined by hyphens, a digit at the end.
fn looks_like_region(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let words = parts.len() >= 3
        && parts[..parts.len() - 1].iter().all(|part| part.bytes().all(|b| b.is_ascii_lowercase()));
    words
        && parts
            .last()
            .is_some_and(|last| last.len() == 1 && last.bytes().all(|b| b.is_ascii_digit()))
}

/// Sets state behind SES's back, for tests that begin in the middle.
pub(crate) fn force(world: &mut World, key: &IdentityKey, view: super::MailFromView) {
    let (now, config) = (world.now(), world.config().ses.clone());
    world.change_identity(key, |identity| {
        let looking = matches!(
            view.domain,
            Some((_, MailFromStatus::Pending | MailFromStatus::TemporaryFailure))
        );
        identity.window =
            looking.then_some(Window { since: now, interval: config.checks.interval });
        identity.stale = None;
        identity.finding = None;
        identity.epoch += 1;
        identity.state = view;
    });
    schedule_next(world, key);
}
