//! Conditions ("JSON policy elements: Condition operators", "Set operators for
//! multivalued context keys").

use std::collections::BTreeMap;

use super::document::{PolicyError, glob};

/// One operator over one key: every condition of a statement must hold.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    set: Option<Set>,
    comparison: Comparison,
    if_exists: bool,
    key: String,
    values: Vec<String>,
}

/// How the values of a request are taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    /// Every one; a request without any satisfies it.
    ForAllValues,
    /// At least one.
    ForAnyValue,
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Text {
        negated: bool,
        ignoring_case: bool,
        wildcards: bool,
    },
    /// ARNs, segment by segment, always with wildcards.
    Arn {
        negated: bool,
    },
    Bool,
    /// Whether the key is absent.
    Null,
}

impl Condition {
    pub(super) fn new(operator: &str, key: &str, values: Vec<String>) -> Result<Self, PolicyError> {
        let (set, rest) = match operator.split_once(':') {
            Some(("ForAllValues", rest)) => (Some(Set::ForAllValues), rest),
            Some(("ForAnyValue", rest)) => (Some(Set::ForAnyValue), rest),
            _ => (None, operator),
        };
        let bare = rest.strip_suffix("IfExists");
        let comparison = Comparison::parse(bare.unwrap_or(rest));
        let comparison = comparison.ok_or_else(|| PolicyError::Operator(operator.to_owned()))?;
        let key = key.to_ascii_lowercase();
        Ok(Self { set, comparison, if_exists: bare.is_some(), key, values })
    }

    pub(super) fn holds(&self, keys: &BTreeMap<String, Vec<String>>) -> bool {
        let asked = keys.get(&self.key).filter(|values| !values.is_empty());
        if matches!(self.comparison, Comparison::Null) {
            let absent = asked.is_none().to_string();
            return self.values.iter().any(|value| value.eq_ignore_ascii_case(&absent));
        }
        let one = |value: &String| self.comparison.holds(value, &self.values);
        match (asked, self.set) {
            (None, Some(Set::ForAllValues)) => true,
            (None, Some(Set::ForAnyValue)) => self.if_exists,
            (None, None) => self.if_exists || self.comparison.negated(),
            (Some(asked), Some(Set::ForAllValues)) => asked.iter().all(one),
            (Some(asked), Some(Set::ForAnyValue) | None) => asked.iter().any(one),
        }
    }
}

impl Comparison {
    fn parse(name: &str) -> Option<Self> {
        let text =
            |negated, ignoring_case, wildcards| Self::Text { negated, ignoring_case, wildcards };
        Some(match name {
            "StringEquals" => text(false, false, false),
            "StringNotEquals" => text(true, false, false),
            "StringEqualsIgnoreCase" => text(false, true, false),
            "StringNotEqualsIgnoreCase" => text(true, true, false),
            "StringLike" => text(false, false, true),
            "StringNotLike" => text(true, false, true),
            "ArnEquals" | "ArnLike" => Self::Arn { negated: false },
            "ArnNotEquals" | "ArnNotLike" => Self::Arn { negated: true },
            "Bool" => Self::Bool,
            "Null" => Self::Null,
            _ => return None,
        })
    }

    fn negated(self) -> bool {
        matches!(self, Self::Text { negated: true, .. } | Self::Arn { negated: true })
    }

    /// Several values of a policy are alternatives; of a negated operator none
    /// may match.
    fn holds(self, asked: &str, values: &[String]) -> bool {
        values.iter().any(|value| self.matches(asked, value)) != self.negated()
    }

    fn matches(self, asked: &str, value: &str) -> bool {
        match self {
            Self::Text { wildcards: true, .. } => glob(value, asked),
            Self::Text { ignoring_case: false, .. } => asked == value,
            Self::Text { .. } | Self::Bool | Self::Null => asked.eq_ignore_ascii_case(value),
            Self::Arn { .. } => {
                let segments =
                    |arn: &str| arn.splitn(6, ':').map(str::to_owned).collect::<Vec<_>>();
                let (asked, value) = (segments(asked), segments(value));
                asked.len() == value.len()
                    && value.iter().zip(&asked).all(|(value, asked)| glob(value, asked))
            }
        }
    }
}
