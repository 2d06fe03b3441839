//! STS: who am I, and roles of other accounts.

use crate::{
    api::{ApiError, Protocol, Success, element, field},
    world::World,
};

/// Far away: the SDK compares it with the real date, which is not the world's.
const SESSION_END: &str = "2099-01-01T00:00:00Z";

/// A request that was understood.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    GetCallerIdentity,
    AssumeRole(AssumeRole),
}

/// The parameters of `AssumeRole` that the simulator looks at.
#[derive(Clone, Debug)]
pub(crate) struct AssumeRole {
    role_arn: String,
    session: String,
    external_id: Option<String>,
    tags: Vec<(String, String)>,
}

/// A role and whom it trusts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// Accounts whose credentials may assume it; empty: any.
    pub trusted_accounts: Vec<String>,
    /// The external id that must be given.
    pub external_id: Option<String>,
    /// Session tags that must be given, with these values.
    pub required_tags: Vec<(String, String)>,
}

impl Input {
    pub(crate) fn parse(form: &[(String, String)]) -> Result<Self, (&'static str, ApiError)> {
        match field(form, "Action") {
            Some("GetCallerIdentity") => Ok(Self::GetCallerIdentity),
            Some("AssumeRole") => {
                let text = |key| field(form, key).unwrap_or_default().to_owned();
                Ok(Self::AssumeRole(AssumeRole {
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
                }))
            }
            other => {
                let what = format!("action {}", other.unwrap_or("without a name"));
                Err(("Unknown", ApiError::unknown_action(Protocol::Sts, &what)))
            }
        }
    }

    pub(crate) fn action(&self) -> &'static str {
        match self {
            Self::GetCallerIdentity => "GetCallerIdentity",
            Self::AssumeRole(_) => "AssumeRole",
        }
    }

    pub(crate) fn targets(&self) -> Vec<String> {
        match self {
            Self::GetCallerIdentity => Vec::new(),
            Self::AssumeRole(request) => vec![request.role_arn.clone()],
        }
    }

    pub(crate) fn parameters(&self) -> String {
        match self {
            Self::GetCallerIdentity => String::new(),
            Self::AssumeRole(request) => format!(
                "RoleSessionName={} ExternalId={} Tags={:?}",
                request.session,
                request.external_id.as_deref().unwrap_or("omitted"),
                request.tags
            ),
        }
    }
}

/// Carries out a request.
pub(crate) fn run(
    world: &mut World,
    account: &str,
    access_key: &str,
    input: &Input,
) -> Result<Success, ApiError> {
    match input {
        Input::GetCallerIdentity => {
            let arn = world.principal(access_key, account);
            let id = element("UserId", access_key);
            Ok(Success(element("Arn", arn) + &id + &element("Account", account)))
        }
        Input::AssumeRole(request) => assume(world, account, request),
    }
}

fn assume(world: &mut World, account: &str, request: &AssumeRole) -> Result<Success, ApiError> {
    let trusted = world.role(&request.role_arn).is_some_and(|role| {
        let tagged = role.required_tags.iter().all(|tag| request.tags.contains(tag));
        let from = role.trusted_accounts.is_empty()
            || role.trusted_accounts.iter().any(|trusted| trusted == account);
        let external = role.external_id.is_none() || role.external_id == request.external_id;
        tagged && from && external
    });
    let target = request.role_arn.split(':').nth(4).filter(|_| trusted).map(str::to_owned);
    let Some(target) = target else {
        let message = format!(
            "User: arn:aws:iam::{account}:user/simulated is not authorized to perform: sts:AssumeRole on resource: {}",
            request.role_arn
        );
        return Err(ApiError::new(403, "AccessDenied", message));
    };
    let role = request.role_arn.rsplit('/').next().unwrap_or_default();
    let arn = format!("arn:aws:sts::{target}:assumed-role/{role}/{}", request.session);
    let key = world.session_key(&target, &arn);
    let credentials = element("AccessKeyId", &key)
        + &element("SecretAccessKey", "simulated")
        + &element("SessionToken", format!("session-{key}"))
        + &element("Expiration", SESSION_END);
    let user = element("AssumedRoleId", format!("AROASIMULATED:{}", request.session))
        + &element("Arn", arn);
    Ok(Success(format!(
        "<Credentials>{credentials}</Credentials><AssumedRoleUser>{user}</AssumedRoleUser>"
    )))
}
