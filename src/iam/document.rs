//! The JSON of policies, as IAM writes it.

use std::collections::BTreeMap;

use serde::Serialize;

/// A policy document of version 2012-10-17, fields in IAM's usual order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Document {
    version: &'static str,
    /// What it allows.
    pub statement: Vec<Statement>,
}

/// One statement. Every one of ours allows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// Letters and digits, unique in the document.
    pub sid: String,
    effect: &'static str,
    /// Whom a trust policy speaks of; none in a policy of permissions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub principal: Option<BTreeMap<&'static str, String>>,
    /// `service:Action`.
    pub action: OneOrMany,
    /// ARNs, or `*`; none in a trust policy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<OneOrMany>,
    /// By operator and key.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub condition: BTreeMap<&'static str, BTreeMap<String, OneOrMany>>,
}

/// IAM takes a lone value in the place of a list of one.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// Alone.
    One(String),
    /// In order.
    Many(Vec<String>),
}

impl Document {
    pub(super) fn new(statement: Vec<Statement>) -> Self {
        Self { version: "2012-10-17", statement }
    }

    /// As it is printed: indented, a line break at the end.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string_pretty(self).map(|text| text + "\n")
    }

    /// Characters as IAM counts them against its quotas: without white space.
    pub fn length(&self) -> usize {
        let text = serde_json::to_string(self).unwrap_or_default();
        text.chars().filter(|c| !c.is_whitespace()).count()
    }
}

impl Statement {
    /// Allows actions, on nothing and without a condition yet.
    pub(super) fn allow(sid: &str, actions: &[&str]) -> Self {
        Self {
            sid: sid.to_owned(),
            effect: "Allow",
            principal: None,
            action: OneOrMany::of(actions.iter().copied()),
            resource: None,
            condition: BTreeMap::new(),
        }
    }

    #[must_use]
    pub(super) fn on<T: Into<String>>(self, resources: impl IntoIterator<Item = T>) -> Self {
        Self { resource: Some(OneOrMany::of(resources)), ..self }
    }

    #[must_use]
    pub(super) fn to(self, kind: &'static str, principal: &str) -> Self {
        Self { principal: Some(BTreeMap::from([(kind, principal.to_owned())])), ..self }
    }

    #[must_use]
    pub(super) fn when<T: Into<String>>(
        mut self,
        operator: &'static str,
        key: impl Into<String>,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let values = OneOrMany::of(values);
        self.condition.entry(operator).or_default().insert(key.into(), values);
        self
    }
}

impl OneOrMany {
    fn of<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Self {
        let mut values: Vec<String> = values.into_iter().map(Into::into).collect();
        if values.len() == 1 { Self::One(values.swap_remove(0)) } else { Self::Many(values) }
    }
}
