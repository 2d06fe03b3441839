//! Trust policies: who may be a role.

use super::document::{Document, Statement};
use crate::mail::{CLUSTER_TAG, NAMESPACE_TAG};

/// Who is to be trusted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Trust {
    /// The operator's ServiceAccount, by the cluster's OpenID Connect provider
    /// (IAM roles for service accounts).
    Irsa {
        /// `aws`, `aws-us-gov` or `aws-eusc`.
        partition: String,
        /// The account in which the provider is registered.
        account: String,
        /// The issuer without `https://`.
        issuer: String,
        /// Namespace and name.
        service_account: (String, String),
    },
    /// The operator's ServiceAccount, by EKS Pod Identity.
    PodIdentity {
        /// Namespace and name.
        service_account: (String, String),
    },
    /// The operator's own role, on behalf of namespaces: for the roles that
    /// objects name.
    AssumedRole {
        /// ARN of the role that the operator runs with.
        operator: String,
        /// The operator's `--owner-id`.
        owner_id: String,
        /// Whose objects may name the role; at least one.
        namespaces: Vec<String>,
    },
}

impl Trust {
    /// The trust policy.
    pub fn document(&self) -> Document {
        match self {
            Self::Irsa { partition, account, issuer, service_account: (namespace, name) } => {
                let provider = format!("arn:{partition}:iam::{account}:oidc-provider/{issuer}");
                let subject = format!("system:serviceaccount:{namespace}:{name}");
                let statement = Statement::allow("Irsa", &["sts:AssumeRoleWithWebIdentity"])
                    .to("Federated", &provider)
                    .when("StringEquals", format!("{issuer}:aud"), ["sts.amazonaws.com"])
                    .when("StringEquals", format!("{issuer}:sub"), [subject]);
                Document::new(vec![statement])
            }
            // Pod Identity tags every session, so both actions are needed.
            Self::PodIdentity { service_account: (namespace, name) } => {
                let tag = |key: &str| format!("aws:RequestTag/kubernetes-{key}");
                let statement =
                    Statement::allow("PodIdentity", &["sts:AssumeRole", "sts:TagSession"])
                        .to("Service", "pods.eks.amazonaws.com")
                        .when("StringEquals", tag("namespace"), [namespace])
                        .when("StringEquals", tag("service-account"), [name]);
                Document::new(vec![statement])
            }
            Self::AssumedRole { operator, owner_id, namespaces } => {
                assumed(operator, owner_id, namespaces)
            }
        }
    }
}

/// The external id keeps a namespace from naming a role that trusts the same
/// operator for another: the operator sets it, whatever an object says.
fn assumed(operator: &str, owner_id: &str, namespaces: &[String]) -> Document {
    const SAME: &str = "StringEquals";
    let external_ids = namespaces.iter().map(|namespace| format!("{owner_id}/{namespace}"));
    let tag = |key: &str| format!("aws:RequestTag/{key}");
    Document::new(vec![
        Statement::allow("AssumeForNamespaces", &["sts:AssumeRole"]).to("AWS", operator).when(
            SAME,
            "sts:ExternalId",
            external_ids,
        ),
        Statement::allow("TagWithClusterAndNamespace", &["sts:TagSession"])
            .to("AWS", operator)
            .when(SAME, tag(CLUSTER_TAG), [owner_id])
            .when(SAME, tag(NAMESPACE_TAG), namespaces.iter().cloned())
            .when("ForAllValues:StringEquals", "aws:TagKeys", [CLUSTER_TAG, NAMESPACE_TAG]),
    ])
}
