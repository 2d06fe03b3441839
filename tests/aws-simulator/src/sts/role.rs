//! Roles, and whom their trust policies trust.

use std::time::Duration;

use super::keys::Caller;

/// A role with its trust policy, as far as the simulator evaluates one. By
/// default anybody may assume it, with any external id and any session tags,
/// for an hour, as IAM has it for a role made without a longer duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The principals: account ids, `arn:…:root`, or the ARN of a user or of a
    /// role whose sessions may assume this one; empty: any.
    pub trusted: Vec<String>,
    /// The condition `StringEquals` on `sts:ExternalId`.
    pub external_id: Option<String>,
    /// Whether the policy allows `sts:TagSession` beside `sts:AssumeRole`.
    pub tag_session: bool,
    /// Conditions `StringEquals` on `aws:RequestTag/…`.
    pub required_tags: Vec<(String, String)>,
    /// The longest session.
    pub max_session: Duration,
}

impl Default for Role {
    fn default() -> Self {
        Self {
            trusted: Vec::new(),
            external_id: None,
            tag_session: true,
            required_tags: Vec::new(),
            max_session: Duration::from_hours(1),
        }
    }
}

impl Role {
    /// The action that the trust policy does not allow, if there is one.
    pub(super) fn refuses(
        &self,
        caller: &Caller<'_>,
        external_id: Option<&str>,
        tags: &[(String, String)],
    ) -> Option<&'static str> {
        let known = self.trusted.is_empty() || self.trusted.iter().any(|p| caller.is(p));
        let external = self.external_id.is_none() || self.external_id.as_deref() == external_id;
        let tagged = self.required_tags.iter().all(|tag| tags.contains(tag));
        if !(known && external && tagged) {
            Some("AssumeRole")
        } else if !tags.is_empty() && !self.tag_session {
            Some("TagSession")
        } else {
            None
        }
    }
}
