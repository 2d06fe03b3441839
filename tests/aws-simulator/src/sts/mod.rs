//! STS: who am I, and sessions of roles, of this account and of others.

mod assume;
mod keys;
mod role;

pub use role::Role;

pub(crate) use keys::{Caller, Keys};

use assume::AssumeRole;

use crate::{
    api::{ApiError, Protocol, Success, element, field},
    iam::Question,
    world::World,
};

/// A request that was understood.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    GetCallerIdentity,
    AssumeRole(AssumeRole),
}

impl Input {
    pub(crate) fn parse(form: &[(String, String)]) -> Result<Self, (&'static str, ApiError)> {
        match field(form, "Action") {
            Some("GetCallerIdentity") => Ok(Self::GetCallerIdentity),
            Some("AssumeRole") => match AssumeRole::parse(form) {
                Ok(request) => Ok(Self::AssumeRole(request)),
                Err(error) => Err(("AssumeRole", error)),
            },
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

    /// Adds the condition keys of STS; session tags need a permission of their own.
    pub(crate) fn describe_to_iam(&self, question: Question) -> Vec<Question> {
        match self {
            Self::GetCallerIdentity => vec![question],
            Self::AssumeRole(request) => request.describe_to_iam(question),
        }
    }

    pub(crate) fn parameters(&self) -> String {
        match self {
            Self::GetCallerIdentity => String::new(),
            Self::AssumeRole(request) => request.to_string(),
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
            let id = element("UserId", world.keys.user_id(access_key));
            Ok(Success(element("Arn", arn) + &id + &element("Account", account)))
        }
        Input::AssumeRole(request) => assume::run(world, access_key, request),
    }
}
