//! Policy documents: their JSON, what of it is refused, and what they decide.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use thiserror::Error;

use super::{Question, condition::Condition};

/// Characters of a managed policy, white space not counted (IAM quotas).
const MOST_CHARACTERS: usize = 6_144;

/// A policy that IAM does not take, or that the simulator cannot enforce.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PolicyError {
    /// No JSON, or elements that a policy does not have.
    #[error("the policy is malformed: {0}")]
    Malformed(String),
    /// Longer than a policy of its kind may be; white space is not counted.
    #[error("the policy has {0} characters, more than the {1} that it may have")]
    TooLong(usize, usize),
    /// Not the version of today's policy language.
    #[error("the version is not 2012-10-17")]
    Version,
    /// Statement ids are letters and digits, each there once.
    #[error("the statement id {0:?} is not of letters and digits, or there twice")]
    Sid(String),
    /// Exactly one of an element and its negation must stand in a statement.
    #[error("a statement needs either {0} or Not{0}")]
    Either(&'static str),
    /// An operator that is none, or that is not evaluated here.
    #[error("the condition operator {0:?} is not known")]
    Operator(String),
    /// A resource that is neither an ARN nor `*`.
    #[error("the resource {0:?} is neither an ARN nor *")]
    Resource(String),
    /// An element that this kind of policy must not have.
    #[error("the policy has the prohibited element {0}")]
    Prohibited(&'static str),
    /// A trust policy that names nobody, or nobody that IAM knows by such a name.
    #[error("the principal {0:?} is none")]
    Principal(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Text {
    version: String,
    statement: OneOrMany<StatementText>,
}

/// A document as it stands, statement ids and length looked at.
pub(super) fn statements(text: &str, longest: usize) -> Result<Vec<StatementText>, PolicyError> {
    let length = text.chars().filter(|c| !c.is_whitespace()).count();
    if length > longest {
        return Err(PolicyError::TooLong(length, longest));
    }
    let policy: Text =
        serde_json::from_str(text).map_err(|error| PolicyError::Malformed(error.to_string()))?;
    if policy.version != "2012-10-17" {
        return Err(PolicyError::Version);
    }
    let statements = policy.statement.into_vec();
    let mut sids = BTreeSet::new();
    for sid in statements.iter().filter_map(|statement| statement.sid.as_ref()) {
        if !sid.bytes().all(|c| c.is_ascii_alphanumeric()) || !sids.insert(sid) {
            return Err(PolicyError::Sid(sid.clone()));
        }
    }
    Ok(statements)
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StatementText {
    sid: Option<String>,
    pub(super) effect: Effect,
    pub(super) principal: Option<PrincipalText>,
    pub(super) action: Option<OneOrMany<String>>,
    pub(super) not_action: Option<OneOrMany<String>>,
    pub(super) resource: Option<OneOrMany<String>>,
    pub(super) not_resource: Option<OneOrMany<String>>,
    #[serde(default)]
    pub(super) condition: BTreeMap<String, BTreeMap<String, OneOrMany<String>>>,
}

/// `"*"`, or names by their kind.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum PrincipalText {
    Everybody(String),
    Named(BTreeMap<String, OneOrMany<String>>),
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> OneOrMany<T> {
    pub(super) fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(one) => vec![one],
            Self::Many(many) => many,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// How a policy answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// A statement allows it and none denies it.
    Allowed,
    /// No statement speaks of it.
    Implicit,
    /// A statement denies it.
    Explicit,
}

/// A policy that was understood.
#[derive(Clone, Debug)]
pub(crate) struct Policy(Vec<Statement>);

#[derive(Clone, Debug)]
struct Statement {
    effect: Effect,
    actions: Patterns,
    resources: Patterns,
    conditions: Vec<Condition>,
}

/// `Action` or `Resource`, or their negation.
#[derive(Clone, Debug)]
pub(super) struct Patterns {
    any_of: Vec<String>,
    negated: bool,
}

impl Policy {
    pub(crate) fn parse(text: &str) -> Result<Self, PolicyError> {
        let statements = statements(text, MOST_CHARACTERS)?;
        statements.into_iter().map(Statement::new).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn decide(&self, question: &Question) -> Decision {
        let applies = |effect| self.0.iter().any(|s| s.effect == effect && s.applies(question));
        Decision::of(applies)
    }
}

impl Decision {
    /// An explicit deny wins, then an allow.
    pub(super) fn of(applies: impl Fn(Effect) -> bool) -> Self {
        if applies(Effect::Deny) {
            Self::Explicit
        } else if applies(Effect::Allow) {
            Self::Allowed
        } else {
            Self::Implicit
        }
    }
}

impl Statement {
    fn new(text: StatementText) -> Result<Self, PolicyError> {
        if text.principal.is_some() {
            return Err(PolicyError::Prohibited("Principal"));
        }
        let actions = Patterns::new("Action", text.action, text.not_action)?;
        let resources = Patterns::new("Resource", text.resource, text.not_resource)?;
        let arn = |pattern: &&String| *pattern != "*" && pattern.split(':').count() < 6;
        if let Some(bad) = resources.any_of.iter().find(arn) {
            return Err(PolicyError::Resource(bad.clone()));
        }
        let conditions = conditions(text.condition)?;
        Ok(Self { effect: text.effect, actions, resources, conditions })
    }

    fn applies(&self, question: &Question) -> bool {
        let action = question.action.to_ascii_lowercase();
        self.actions.matches(|pattern| glob(&pattern.to_ascii_lowercase(), &action))
            && self.resources.matches(|pattern| resource_matches(pattern, &question.resource))
            && self.conditions.iter().all(|condition| condition.holds(&question.keys))
    }
}

/// Every operator over every key.
pub(super) fn conditions(
    text: BTreeMap<String, BTreeMap<String, OneOrMany<String>>>,
) -> Result<Vec<Condition>, PolicyError> {
    let all = text.into_iter().flat_map(|(operator, keys)| {
        keys.into_iter()
            .map(move |(key, values)| Condition::new(&operator, &key, values.into_vec()))
    });
    all.collect()
}

impl Patterns {
    pub(super) fn new(
        name: &'static str,
        any_of: Option<OneOrMany<String>>,
        none_of: Option<OneOrMany<String>>,
    ) -> Result<Self, PolicyError> {
        match (any_of, none_of) {
            (Some(any_of), None) => Ok(Self { any_of: any_of.into_vec(), negated: false }),
            (None, Some(none_of)) => Ok(Self { any_of: none_of.into_vec(), negated: true }),
            _ => Err(PolicyError::Either(name)),
        }
    }

    pub(super) fn matches(&self, one: impl Fn(&str) -> bool) -> bool {
        self.any_of.iter().any(|pattern| one(pattern)) != self.negated
    }
}

/// An ARN is compared segment by segment, so that a wildcard stays within its
/// own; only the last segment, the resource itself, may hold colons.
fn resource_matches(pattern: &str, resource: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (pattern, resource) = (pattern.splitn(6, ':'), resource.splitn(6, ':'));
    let resource: Vec<&str> = resource.collect();
    resource.len() == 6 && pattern.zip(resource).all(|(pattern, segment)| glob(pattern, segment))
}

/// `*` stands for any characters, also none, and `?` for one.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.chars().next().map(|c| (c, &pattern[c.len_utf8()..])) else {
        return text.is_empty();
    };
    let mut ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    let behind = |text: &str| text.chars().next().map(char::len_utf8);
    match first {
        '*' => ends.any(|at| glob(rest, &text[at..])),
        '?' => behind(text).is_some_and(|at| glob(rest, &text[at..])),
        literal => text.strip_prefix(literal).is_some_and(|text| glob(rest, text)),
    }
}
