//! Identity-based policies, and the trust policies of roles, evaluated as the
//! IAM user guide describes it ("Policy evaluation logic", "JSON policy element
//! reference"): an explicit deny wins, then an allow, else the request is denied.
//!
//! What stands in a policy and is not understood here is refused when the
//! policy is attached, so that nothing is enforced by halves.

mod condition;
mod document;
mod request;
#[cfg(test)]
mod tests;
mod trust;

use std::collections::BTreeMap;

pub use document::PolicyError;
pub(crate) use document::{Decision, Policy};
pub(crate) use request::Question;
pub(crate) use trust::Trust;

use crate::{api::ApiError, request::Parsed, world::World};

/// The policies that are attached, by access key of a user or ARN of a role.
#[derive(Clone, Debug, Default)]
pub(crate) struct Iam {
    attached: BTreeMap<String, Policy>,
    /// Trust policies, by ARN of their role.
    trust: BTreeMap<String, Trust>,
}

impl Iam {
    pub(crate) fn trust(&self, role: &str) -> Option<&Trust> {
        self.trust.get(role)
    }

    pub(crate) fn forget_role(&mut self, role: &str) {
        self.trust.remove(role);
    }
}

impl World {
    /// Attaches a policy to a user, by an access key, or to a role, by its ARN,
    /// in the place of what was attached. Who has none may do everything.
    pub fn attach_policy(&mut self, principal: &str, policy: &str) -> Result<(), PolicyError> {
        let policy = Policy::parse(policy)?;
        self.iam.attached.insert(principal.to_owned(), policy);
        Ok(())
    }

    /// Takes a policy away again.
    pub fn detach_policy(&mut self, principal: &str) {
        self.iam.attached.remove(principal);
    }

    /// Gives a role a trust policy as a document, which counts in the place of
    /// what [`crate::Role`] says of whom it trusts. Adding the role again, or
    /// removing it, takes the document away.
    pub fn trust_policy(&mut self, role: &str, policy: &str) -> Result<(), PolicyError> {
        let policy = Trust::parse(policy)?;
        self.iam.trust.insert(role.to_owned(), policy);
        Ok(())
    }

    /// Why IAM does not let a request through; none where it does.
    pub(crate) fn forbidden(&self, parsed: &Parsed, account: &str) -> Option<ApiError> {
        let access_key = &parsed.scope.access_key;
        let policy = self.iam.attached.get(self.keys.role(access_key).unwrap_or(access_key))?;
        let who = self.principal(access_key, account);
        let questions = parsed.questions(&who, account);
        questions.iter().find_map(|question| refusal(policy, question, &who, parsed))
    }
}

fn refusal(policy: &Policy, question: &Question, who: &str, parsed: &Parsed) -> Option<ApiError> {
    let why = match policy.decide(question) {
        Decision::Allowed => return None,
        Decision::Implicit => {
            format!("because no identity-based policy allows the {} action", question.action)
        }
        Decision::Explicit => "with an explicit deny in an identity-based policy".to_owned(),
    };
    let action = question.action.split(':').next_back().unwrap_or_default();
    let mut error = ApiError::access_denied(parsed.protocol, who, action, &question.resource);
    error.message = format!("{} {why}", error.message);
    Some(error)
}
