//! `SesMailFromPolicy`: which namespaces may speak for which domains. The docs of
//! the fields are what `kubectl explain` prints, so each says its default and an
//! example.

// The columns of `kubectl get` share types, which are not attributes of their own.
#![allow(clippy::duplicated_attributes)]

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::CustomResource;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::rules;

/// What the objects of some namespaces may ask for. Everything that one object
/// asks for must be allowed by one policy: nothing is added up across policies,
/// and what no policy allows is denied.
#[derive(Clone, CustomResource, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[kube(
    group = "mailfrom.dev",
    version = "v1alpha1",
    kind = "SesMailFromPolicy",
    plural = "sesmailfrompolicies",
    doc = "Says which namespaces may have SesMailFroms for which domains, in which regions, with which credentials. One policy must allow the whole of what an object asks; what none allows is denied.",
    shortname = "smfp",
    category = "ses",
    derive = "PartialEq",
    printcolumn(name = "Domains", type_ = "string", json_path = ".spec.domains"),
    printcolumn(name = "Ambient", type_ = "string", json_path = ".spec.ambientCredentials"),
    printcolumn(name = "TakeOver", type_ = "string", json_path = ".spec.takeOver"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Regions",
        type_ = "string",
        json_path = ".spec.regions",
        description = "Empty: any.",
        priority = 1
    ),
    printcolumn(name = "Roles", type_ = "string", json_path = ".spec.roleARNs", priority = 1)
)]
#[serde(rename_all = "camelCase")]
pub struct SesMailFromPolicySpec {
    /// The namespaces that this policy is for, by their labels; `{}` is all of
    /// them. Every namespace has the label kubernetes.io/metadata.name.
    ///
    /// Default: none, it must be given. Example: `{matchLabels:
    /// {kubernetes.io/metadata.name: mail}}`.
    #[schemars(schema_with = "selector")]
    pub namespace_selector: LabelSelector,
    /// The SES identities that may be named in `spec.domain`: `example.org`
    /// itself, `*.example.org` for any name below it, `*` for every domain. With
    /// an identity, MAIL FROM domains below it are allowed, but where some
    /// policy names a domain further down that covers the MAIL FROM domain, a
    /// policy that names that one must allow it as well.
    ///
    /// Default: none, it must be given. Example: `[example.org,
    /// "*.example.org"]`.
    #[schemars(schema_with = "domains")]
    pub domains: Vec<String>,
    /// The AWS regions that may be named in `spec.regions`.
    ///
    /// Default: []. Empty, any is allowed. Example: `[us-east-1, eu-west-1]`.
    #[serde(default)]
    #[schemars(schema_with = "regions")]
    pub regions: Vec<String>,
    /// The roles that may be assumed for an object.
    ///
    /// Default: []. Empty, none is allowed. Example:
    /// `[arn:aws:iam::123456789012:role/mail-from]`.
    #[serde(default, rename = "roleARNs")]
    #[schemars(schema_with = "roles")]
    pub role_arns: Vec<String>,
    /// Whether an object may go without a role, on the operator's own AWS
    /// credentials. `Allow`: it may. `Deny`: it must name one of `roleARNs`, for
    /// SES and for DNS.
    ///
    /// Default: Deny. Example: `Allow`.
    #[serde(default)]
    pub ambient_credentials: Permission,
    /// Whether the annotation mailfrom.dev/take-over may hand over an ownership
    /// marker that somebody else left in DNS. Markers are public, so whoever may
    /// take over can take any MAIL FROM domain of `domains` whose owner this
    /// operator does not know. `Allow` or `Deny`.
    ///
    /// Default: Deny. Example: `Allow`.
    #[serde(default)]
    pub take_over: Permission,
    /// The further senders that may be let in by `spec.dns.spf.include`: each
    /// exactly as written there, or `*` for any.
    ///
    /// Default: []. Empty, none is allowed. Example: `[spf.other.example]`.
    #[serde(default)]
    #[schemars(schema_with = "spf_includes")]
    pub spf_includes: Vec<String>,
}

/// Whether something may be done.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub enum Permission {
    /// It may.
    Allow,
    /// It may not.
    #[default]
    Deny,
}

impl Permission {
    /// Whether it is `Allow`.
    pub fn allows(self) -> bool {
        self == Self::Allow
    }
}

/// `metav1.LabelSelector`, with bounds.
fn selector(_: &mut SchemaGenerator) -> Schema {
    // A qualified name: a DNS subdomain of 253, a slash, a name of 63.
    let key = json!({
        "type": "string", "minLength": 1, "maxLength": 317,
        "description": "The label's key.",
    });
    json_schema!({
        "type": "object",
        "properties": {
            "matchLabels": {
                "type": "object",
                "maxProperties": 32,
                "additionalProperties": { "type": "string", "maxLength": 63 },
                "description": "Labels that a namespace must have, with their values. Default: {}, which asks for none. Example: `{team: mail}`.",
            },
            "matchExpressions": {
                "type": "array",
                "maxItems": 32,
                "items": {
                    "type": "object",
                    "required": ["key", "operator"],
                    "properties": {
                        "key": key,
                        "operator": {
                            "type": "string",
                            "enum": ["In", "NotIn", "Exists", "DoesNotExist"],
                            "description": "How the label is compared: In and NotIn with `values`.",
                        },
                        "values": {
                            "type": "array",
                            "maxItems": 64,
                            "items": { "type": "string", "maxLength": 63 },
                            "description": "The values for In and NotIn; empty for the others.",
                        },
                    },
                    "x-kubernetes-validations": rules::requirement(),
                },
                "description": "Conditions on labels, all of which must hold. Default: [], which asks for none. Example: `[{key: team, operator: In, values: [mail, news]}]`.",
            },
        },
    })
}

fn domains(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "minItems": 1,
        "maxItems": 64,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "maxLength": 255,
            "x-kubernetes-validations": rules::domain_pattern(),
        },
    })
}

fn regions(_: &mut SchemaGenerator) -> Schema {
    optional_set(&json!({
        "type": "string",
        "maxLength": 32,
        "x-kubernetes-validations": rules::region_name(),
    }))
}

fn roles(_: &mut SchemaGenerator) -> Schema {
    optional_set(&json!({
        "type": "string",
        // A path of 512 and a name of 64 at most (IAM quotas).
        "maxLength": 640,
        "x-kubernetes-validations": rules::role_arn(),
    }))
}

fn spf_includes(_: &mut SchemaGenerator) -> Schema {
    optional_set(&json!({
        "type": "string",
        "minLength": 1,
        "maxLength": 253,
        "x-kubernetes-validations": rules::spf_include_pattern(),
    }))
}

/// A set of up to 64 of these, none where it is left out.
fn optional_set(item: &serde_json::Value) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 64,
        "x-kubernetes-list-type": "set",
        "default": [],
        "items": item,
    })
}
