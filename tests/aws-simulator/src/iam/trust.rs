//! Trust policies: the resource-based policies of roles ("AWS JSON policy
//! elements: Principal", "Passing session tags in AWS STS").

use super::condition::Condition;
use super::document::{
    Decision, Effect, Patterns, PolicyError, PrincipalText, StatementText, conditions, glob,
    statements,
};
use super::request::Question;
use crate::sts::Caller;

/// Characters of a trust policy, white space not counted (IAM quotas; without a
/// raise).
const MOST_CHARACTERS: usize = 2_048;

/// A trust policy that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Trust(Vec<Statement>);

#[derive(Clone, Debug)]
struct Statement {
    effect: Effect,
    principals: Vec<Principal>,
    actions: Patterns,
    conditions: Vec<Condition>,
}

/// Whom a statement speaks of.
#[derive(Clone, Debug)]
enum Principal {
    Everybody,
    /// An account, or the ARN of a user, a role, or one session of a role.
    Aws(String),
    /// A service or an identity provider: nobody who calls with keys.
    Elsewhere,
}

impl Trust {
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let statements = statements(text, MOST_CHARACTERS)?;
        statements.into_iter().map(Statement::new).collect::<Result<_, _>>().map(Self)
    }

    /// The first of what is asked that is not allowed to the caller.
    pub(crate) fn refuses<'q>(
        &self,
        caller: &Caller<'_>,
        questions: &'q [Question],
    ) -> Option<&'q Question> {
        questions.iter().find(|question| self.decide(caller, question) != Decision::Allowed)
    }

    fn decide(&self, caller: &Caller<'_>, question: &Question) -> Decision {
        Decision::of(|effect| {
            let all = self.0.iter().filter(|statement| statement.effect == effect);
            all.into_iter().any(|statement| statement.applies(caller, question))
        })
    }
}

impl Statement {
    fn new(text: StatementText) -> Result<Self, PolicyError> {
        // What it is about is the role that it stands at.
        if text.resource.is_some() || text.not_resource.is_some() {
            return Err(PolicyError::Prohibited("Resource"));
        }
        let principals = match text.principal {
            None => return Err(PolicyError::Principal(String::new())),
            Some(PrincipalText::Everybody(all)) => vec![Principal::aws(&all)?],
            Some(PrincipalText::Named(named)) => {
                let each = named.into_iter().flat_map(|(kind, names)| {
                    let parse = move |name: String| Principal::parse(&kind, &name);
                    names.into_vec().into_iter().map(parse)
                });
                each.collect::<Result<_, _>>()?
            }
        };
        let actions = Patterns::new("Action", text.action, text.not_action)?;
        let conditions = conditions(text.condition)?;
        Ok(Self { effect: text.effect, principals, actions, conditions })
    }

    fn applies(&self, caller: &Caller<'_>, question: &Question) -> bool {
        let action = question.action.to_ascii_lowercase();
        self.principals.iter().any(|principal| principal.is(caller))
            && self.actions.matches(|pattern| glob(&pattern.to_ascii_lowercase(), &action))
            && self.conditions.iter().all(|condition| condition.holds(&question.keys))
    }
}

impl Principal {
    fn parse(kind: &str, name: &str) -> Result<Self, PolicyError> {
        match kind {
            "AWS" => Self::aws(name),
            "Service" | "Federated" => Ok(Self::Elsewhere),
            _ => Err(PolicyError::Principal(kind.to_owned())),
        }
    }

    /// A wildcard means everybody; it does not stand for a part of a name or ARN.
    fn aws(name: &str) -> Result<Self, PolicyError> {
        let account = name.len() == 12 && name.bytes().all(|c| c.is_ascii_digit());
        let parts: Vec<&str> = name.splitn(6, ':').collect();
        let arn = match parts[..] {
            ["arn", _, "iam", "", _, who] => {
                who == "root" || who.starts_with("user/") || who.starts_with("role/")
            }
            ["arn", _, "sts", "", _, who] => who.starts_with("assumed-role/"),
            _ => false,
        };
        match name {
            "*" => Ok(Self::Everybody),
            _ if (account || arn) && !name.contains(['*', '?']) => Ok(Self::Aws(name.to_owned())),
            _ => Err(PolicyError::Principal(name.to_owned())),
        }
    }

    fn is(&self, caller: &Caller<'_>) -> bool {
        match self {
            Self::Everybody => true,
            Self::Aws(name) => caller.is(name),
            Self::Elsewhere => false,
        }
    }
}
