//! What of a request a policy is asked about.

use std::collections::BTreeMap;

/// One request, as IAM sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Question {
    /// `service:Action`.
    pub(crate) action: String,
    /// The resource's ARN, or `*` for an action without one.
    pub(crate) resource: String,
    /// The condition keys that the request carries, in lower case: IAM compares
    /// their names without regard to case.
    pub(crate) keys: BTreeMap<String, Vec<String>>,
}

impl Question {
    pub(crate) fn new(action: &str, resource: &str) -> Self {
        let (action, resource) = (action.to_owned(), resource.to_owned());
        Self { action, resource, keys: BTreeMap::new() }
    }

    /// Adds a condition key with its values.
    #[must_use]
    pub(crate) fn with(
        mut self,
        key: &str,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let values = values.into_iter().map(Into::into).collect();
        self.keys.insert(key.to_ascii_lowercase(), values);
        self
    }
}
