//! `AssumeRole`: what it takes, whom it refuses, and the session that it gives.

use std::{fmt, time::Duration};

use super::keys::Session;
use crate::{
    api::{ApiError, Protocol, Success, element, field, nested},
    iam::Question,
    world::World,
};

/// Where `DurationSeconds` is not given, whatever the role allows.
const DEFAULT_DURATION: Duration = Duration::from_hours(1);
/// What a session of a role may ask of another role at most.
const CHAINED: Duration = Duration::from_hours(1);

/// The parameters that the simulator looks at.
#[derive(Clone, Debug)]
pub(crate) struct AssumeRole {
    pub(super) role_arn: String,
    session: String,
    external_id: Option<String>,
    tags: Vec<(String, String)>,
    duration: Option<Duration>,
}

impl AssumeRole {
    pub(super) fn parse(form: &[(String, String)]) -> Result<Self, ApiError> {
        let text = |key| field(form, key).unwrap_or_default().to_owned();
        let request = Self {
            role_arn: text("RoleArn"),
            session: text("RoleSessionName"),
            external_id: field(form, "ExternalId").map(str::to_owned),
            tags: (1..)
                .map_while(|index| {
                    let key = field(form, &format!("Tags.member.{index}.Key"))?;
                    let value = field(form, &format!("Tags.member.{index}.Value"))?;
                    Some((key.to_owned(), value.to_owned()))
                })
                .collect(),
            duration: field(form, "DurationSeconds")
                .map(|seconds| Duration::from_secs(seconds.parse().unwrap_or_default())),
        };
        request.check().map_or(Ok(request), Err)
    }

    /// `sts:AssumeRole`, and `sts:TagSession` where tags are passed.
    pub(super) fn describe_to_iam(&self, question: Question) -> Vec<Question> {
        let mut question = question
            .with("sts:RoleSessionName", [self.session.as_str()])
            .with("sts:ExternalId", self.external_id.as_deref())
            .with("aws:TagKeys", self.tags.iter().map(|(key, _)| key.as_str()));
        for (key, value) in &self.tags {
            question = question.with(&format!("aws:RequestTag/{key}"), [value.as_str()]);
        }
        let tagging = Question { action: "sts:TagSession".to_owned(), ..question.clone() };
        let tagging = Some(tagging).filter(|_| !self.tags.is_empty());
        std::iter::once(question).chain(tagging).collect()
    }

    /// The constraints that stand in the API reference.
    fn check(&self) -> Option<ApiError> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        let external = |c: char| plain(c) || ":/".contains(c);
        let tag = |c: char| c.is_alphanumeric() || " _.:/=+-@".contains(c);
        let broken =
            |what: &str, value: &str, length: (usize, usize), legal: &dyn Fn(char) -> bool| {
                let fits = (length.0..=length.1).contains(&value.chars().count());
                (!fits || !value.chars().all(legal)).then(|| {
                let (least, most) = length;
                invalid(&format!(
                    "1 validation error detected: Value '{value}' at '{what}' failed to satisfy \
                     constraint: Member must have length between {least} and {most} and satisfy \
                     its regular expression pattern"
                ))
            })
            };
        let session = broken("roleSessionName", &self.session, (2, 64), &plain);
        let id = self.external_id.as_ref();
        let id = id.and_then(|id| broken("externalId", id, (2, 1224), &external));
        let tags = self.tags.iter().enumerate().find_map(|(index, (key, value))| {
            let member = |what| format!("tags.{}.member.{what}", index + 1);
            broken(&member("key"), key, (1, 128), &tag)
                .or_else(|| broken(&member("value"), value, (0, 256), &tag))
        });
        let range = Duration::from_mins(15)..=Duration::from_hours(12);
        let duration = self.duration.filter(|duration| !range.contains(duration));
        let duration = duration.map(|_| invalid("durationSeconds must lie between 900 and 43200"));
        let arn = (self.role_arn.split(':').count() != 6 || !self.role_arn.contains(":role/"))
            .then(|| invalid(&format!("{} is invalid", self.role_arn)));
        let many = (self.tags.len() > 50).then(|| invalid("at most 50 session tags"));
        session.or(id).or(tags).or(duration).or(arn).or(many)
    }
}

impl fmt::Display for AssumeRole {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { session, external_id, tags, .. } = self;
        let external_id = external_id.as_deref().unwrap_or("omitted");
        write!(formatter, "RoleSessionName={session} ExternalId={external_id} Tags={tags:?}")
    }
}

fn invalid(message: &str) -> ApiError {
    ApiError::new(400, "ValidationError", message)
}

pub(super) fn run(
    world: &mut World,
    access_key: &str,
    request: &AssumeRole,
) -> Result<Success, ApiError> {
    let longest = permit(world, access_key, request)?;
    let asked = request.duration.unwrap_or(DEFAULT_DURATION);
    if asked > longest && request.duration.is_some() {
        return Err(invalid(if longest == CHAINED && world.keys.role(access_key).is_some() {
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        } else {
            "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
        }));
    }
    let lasts = world.config().sts.session.unwrap_or(asked);
    let given = give(world, &request.role_arn, &request.session, lasts);
    let credentials = element("AccessKeyId", &given.access_key)
        + &element("SecretAccessKey", "simulated")
        + &element("SessionToken", &given.token)
        + &element("Expiration", world.wall().date(given.ends));
    let user = element("AssumedRoleId", &given.user_id) + &element("Arn", &given.arn);
    Ok(Success(nested("Credentials", &credentials) + &nested("AssumedRoleUser", &user)))
}

/// A session, and whom it makes of its user.
struct Given {
    access_key: String,
    token: String,
    user_id: String,
    arn: String,
    ends: Duration,
}

fn give(world: &mut World, role_arn: &str, name: &str, lasts: Duration) -> Given {
    let mut parts = role_arn.split(':').skip(1);
    let partition = parts.next().unwrap_or_default();
    let account = parts.nth(2).unwrap_or_default();
    let role = role_arn.rsplit('/').next().unwrap_or_default();
    let access_key = format!("ASIASIMULATED{:07}", world.next_order());
    let given = Given {
        arn: format!("arn:{partition}:sts::{account}:assumed-role/{role}/{name}"),
        user_id: format!("AROASIMULATED{}:{name}", role.to_uppercase()),
        token: format!("session-{access_key}"),
        ends: world.wall().now() + lasts,
        access_key,
    };
    let session = Session {
        role: role_arn.to_owned(),
        user_id: given.user_id.clone(),
        token: given.token.clone(),
        ends: given.ends,
    };
    world.keys.add_session(&given.access_key, account, &given.arn, session);
    given
}

impl World {
    /// Gives somebody a session of a role for an hour, as a pod or an instance is
    /// given one, whatever the trust policy says. Yields access key and token.
    pub fn give_session(&mut self, role: &str, name: &str) -> (String, String) {
        let given = give(self, role, name, DEFAULT_DURATION);
        (given.access_key, given.token)
    }
}

/// How long a session the caller may have of the role. A role that does not
/// exist is refused in the same words as one that does not trust the caller.
fn permit(world: &World, access_key: &str, request: &AssumeRole) -> Result<Duration, ApiError> {
    let denied = |action: &str, who: &str| {
        ApiError::access_denied(Protocol::Sts, who, action, &request.role_arn)
    };
    let Some(caller) = world.keys.caller(access_key) else {
        return Err(ApiError::unknown_key(Protocol::Sts));
    };
    let Some(role) = world.role(&request.role_arn) else {
        return Err(denied("AssumeRole", caller.arn));
    };
    let questions;
    let refused = if let Some(policy) = world.iam.trust(&request.role_arn) {
        let question = Question::new("sts:AssumeRole", &request.role_arn)
            .with("aws:PrincipalArn", [caller.role.unwrap_or(caller.arn)])
            .with("aws:PrincipalAccount", [caller.account]);
        questions = request.describe_to_iam(question);
        let refused = policy.refuses(&caller, &questions);
        refused.and_then(|question| question.action.strip_prefix("sts:"))
    } else {
        role.refuses(&caller, request.external_id.as_deref(), &request.tags)
    };
    match refused {
        Some(action) => Err(denied(action, caller.arn)),
        None if caller.role.is_some() => Ok(role.max_session.min(CHAINED)),
        None => Ok(role.max_session),
    }
}
