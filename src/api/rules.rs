//! What the API server refuses at admission, in CEL, each with the field it
//! speaks of and a message that says what is allowed.
//!
//! Each function yields the `x-kubernetes-validations` of one schema. CEL's
//! `fieldPath` takes no list index, so what concerns one region stands on the
//! region, and what needs the whole spec stands on the spec.

use serde_json::{Value, json};

/// A DNS label as SES and every mail server take it (RFC 1123, section 2.1).
const LABEL: &str = "[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?";

const IMMUTABLE: &str = "is immutable: delete this object with deletionPolicy Retain and create \
                         it anew under the same namespace and name";

/// On `spec.domain`.
pub(super) fn domain() -> Value {
    json!([
        {
            "rule": format!("self.matches('^{LABEL}([.]{LABEL})+$')"),
            "message": "must be a lower-case DNS name of two or more labels, each of 1 to 63 \
                        letters, digits and '-' with no '-' at its ends, separated by single \
                        dots, at most 253 characters in all, for example example.com",
        },
        { "rule": "self == oldSelf", "message": IMMUTABLE },
    ])
}

/// On `spec.subdomain` and on a region's `subdomain`.
pub(super) fn subdomain() -> Value {
    json!([{
        "rule": format!("self.matches('^{LABEL}([.]{LABEL})*$')"),
        "message": "must be one or more lower-case DNS labels, each of 1 to 63 letters, digits \
                    and '-' with no '-' at its ends, separated by single dots, for example bounce",
    }])
}

/// On a region's `name`.
pub(super) fn region_name() -> Value {
    json!([
        {
            "rule": "self.matches('^[a-z]+(-[a-z]+)+-[0-9]+$')",
            "message": "must be the name of an AWS region, as in us-east-1",
        },
        {
            "rule": "!self.matches('^(cn|[a-z]+-iso[a-z]*)-')",
            "message": "must be a region that has SES: the China (cn-*) and isolated (*-iso*) \
                        partitions have none; allowed are commercial, GovCloud (us-gov-*) and \
                        European Sovereign Cloud (eusc-*) regions",
        },
    ])
}

/// On `spec.regions`. That no region is named twice follows from the list's key.
pub(super) fn regions() -> Value {
    json!([
        {
            "rule": "self.all(r, r.name.startsWith('us-gov-') == self[0].name.startsWith('us-gov-') \
                     && r.name.startsWith('eusc-') == self[0].name.startsWith('eusc-'))",
            "message": "must all lie in one AWS partition: only commercial, only GovCloud \
                        (us-gov-*) or only European Sovereign Cloud (eusc-*) regions; make one \
                        object for each partition",
        },
        {
            "rule": "self.all(r, !has(r.subdomain) || \
                     self.exists_one(q, has(q.subdomain) && q.subdomain == r.subdomain))",
            "message": "must each have a subdomain that no other region has: regions that are to \
                        share a MAIL FROM domain leave theirs out and share spec.subdomain",
        },
    ])
}

/// On `spec`.
pub(super) fn spec() -> Value {
    json!([
        {
            "rule": "size(self.subdomain) + 1 + size(self.domain) <= 253",
            "fieldPath": ".subdomain",
            "message": "must leave <subdomain>.<domain> at most 253 characters long",
        },
        {
            "rule": relative("self.subdomain"),
            "fieldPath": ".subdomain",
            "message": RELATIVE,
        },
        {
            "rule": "self.regions.all(r, !has(r.subdomain) || \
                     size(r.subdomain) + 1 + size(self.domain) <= 253)",
            "fieldPath": ".regions",
            "message": "must each leave <subdomain>.<domain> at most 253 characters long",
        },
        {
            "rule": format!("self.regions.all(r, !has(r.subdomain) || ({}))", relative("r.subdomain")),
            "fieldPath": ".regions",
            "message": format!("a region's subdomain {RELATIVE}"),
        },
        {
            "rule": "self.regions.all(r, !has(r.subdomain) || r.subdomain != self.subdomain)",
            "fieldPath": ".regions",
            "message": "must not repeat spec.subdomain: regions without a subdomain share \
                        spec.subdomain already",
        },
        {
            "rule": "!has(self.mxRegion) || \
                     self.regions.exists(r, r.name == self.mxRegion && !has(r.subdomain))",
            "fieldPath": ".mxRegion",
            "message": "must be one of spec.regions that share spec.subdomain, that is, have no \
                        subdomain of their own; leave it out where none does",
        },
        {
            "rule": in_partition("self.roleARN"),
            "fieldPath": ".roleARN",
            "message": IN_PARTITION,
        },
        {
            "rule": format!("!has(self.dns) || ({})", in_partition("self.dns.roleARN")),
            "fieldPath": ".dns.roleARN",
            "message": IN_PARTITION,
        },
    ])
}

const RELATIVE: &str = "must be written without spec.domain, which is appended to it: bounce, not \
                        bounce.example.com";

fn relative(subdomain: &str) -> String {
    format!("{subdomain} != self.domain && !{subdomain}.endsWith('.' + self.domain)")
}

const IN_PARTITION: &str = "must be a role of the regions' partition: arn:aws: for commercial \
                            regions, arn:aws-us-gov: for GovCloud (us-gov-*), arn:aws-eusc: for \
                            European Sovereign Cloud (eusc-*)";

fn in_partition(role: &str) -> String {
    format!(
        "!has({role}) || size(self.regions) == 0 || \
         ({role}.startsWith('arn:aws-us-gov:') == self.regions[0].name.startsWith('us-gov-') && \
         {role}.startsWith('arn:aws-eusc:') == self.regions[0].name.startsWith('eusc-'))"
    )
}

/// On `spec.roleARN` and `spec.dns.roleARN`.
pub(super) fn role_arn() -> Value {
    json!([{
        "rule": "self.matches('^arn:(aws|aws-us-gov|aws-eusc):iam::[0-9]{12}:role(/[A-Za-z0-9_+=,.@-]+)*/[A-Za-z0-9_+=,.@-]{1,64}$')",
        "message": "must be the ARN of an IAM role in a partition that has SES (aws, aws-us-gov, \
                    aws-eusc), for example arn:aws:iam::123456789012:role/ses-mailfrom",
    }])
}

/// On `spec.dns`.
pub(super) fn dns() -> Value {
    json!([{
        "rule": "!has(oldSelf.hostedZoneID) || \
                 (has(self.hostedZoneID) && self.hostedZoneID == oldSelf.hostedZoneID)",
        "fieldPath": ".hostedZoneID",
        "message": format!("once set, {IMMUTABLE}"),
    }])
}

/// On `spec.dns.provider`.
pub(super) fn provider() -> Value {
    json!([{ "rule": "self == oldSelf", "message": IMMUTABLE }])
}

/// On `spec.dns.spf.include`.
pub(super) fn includes() -> Value {
    let label = "[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?";
    json!([{
        "rule": format!("self.all(i, i.matches('^{label}([.]{label})+$'))"),
        "message": "must each be a lower-case DNS name of two or more labels, each of 1 to 63 \
                    letters, digits, '_' and '-' with no '-' at its ends, without include: before \
                    it, for example _spf.other.example",
    }])
}

/// On `spec.dns.hostedZoneID`.
pub(super) fn hosted_zone_id() -> Value {
    json!([{
        "rule": "self.matches('^[A-Z0-9]{1,32}$')",
        "message": "must be the id of a Route 53 hosted zone: upper-case letters and digits, at \
                    most 32, without /hostedzone/ before them, for example Z0123456789ABCDEFGHIJ",
    }])
}

/// On each of a policy's `domains`.
pub(super) fn domain_pattern() -> Value {
    json!([{
        "rule": format!("self == '*' || self.matches('^([*][.])?{LABEL}([.]{LABEL})*$')"),
        "message": "must be a lower-case domain name such as example.org, *.example.org for any \
                    name below it, or * for every domain",
    }])
}

/// On each of a policy's `spfIncludes`.
pub(super) fn spf_include_pattern() -> Value {
    json!([{
        "rule": "self == '*' || self.matches('^[!-)+-~]+$')",
        "message": "must be what follows include: in an SPF record, such as spf.other.example, or \
                    * for any",
    }])
}

/// On each of a selector's `matchExpressions`.
pub(super) fn requirement() -> Value {
    json!([{
        "rule": "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
        "fieldPath": ".values",
        "message": "must be given for In and NotIn, and be left out for Exists and DoesNotExist",
    }])
}
