//! Names of IAM roles.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::region::Partition;

/// The ARN of an IAM role: `arn:aws:iam::123456789012:role/team/name`, of a
/// partition that has SES (IAM user guide, "IAM identifiers").
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct RoleArn(Arc<str>);

/// Not the ARN of an IAM role.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[error(
    "\"{}\" is not the ARN of an IAM role, for example arn:aws:iam::123456789012:role/ses-mailfrom",
    .0.escape_default()
)]
pub struct RoleArnError(String);

/// The session tag that names the cluster, by its owner id. A trust policy or a
/// policy of the role may ask for its value, as `aws:RequestTag/…` and
/// `aws:PrincipalTag/…`.
pub const CLUSTER_TAG: &str = "ses-mailfrom-cluster";

/// The session tag that names the namespace on whose behalf a role is assumed.
pub const NAMESPACE_TAG: &str = "ses-mailfrom-namespace";

/// The longest: a path of 512 characters and a name of 64 behind the account.
const MAX: usize = 640;

impl RoleArn {
    /// # Errors
    /// Not the ARN of an IAM role.
    pub fn parse(text: &str) -> Result<Self, RoleArnError> {
        let refused = || RoleArnError(text.chars().take(MAX).collect());
        let parts: Vec<&str> = text.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, resource] = parts[..] else {
            return Err(refused());
        };
        let known = partition_of(partition).is_some();
        let digits = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        let named = resource.strip_prefix("role/").is_some_and(is_path_and_name);
        if known && digits && named && text.len() <= MAX {
            Ok(Self(text.into()))
        } else {
            Err(refused())
        }
    }

    /// As AWS writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The account that it lies in: twelve digits.
    pub fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }

    /// The partition that it lies in.
    pub fn partition(&self) -> Partition {
        self.0.split(':').nth(1).and_then(partition_of).unwrap_or(Partition::Aws)
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn partition_of(text: &str) -> Option<Partition> {
    match text {
        "aws" => Some(Partition::Aws),
        "aws-us-gov" => Some(Partition::UsGov),
        "aws-eusc" => Some(Partition::Eusc),
        _ => None,
    }
}

/// Labels of the path between slashes, and a name of up to 64 at the end.
fn is_path_and_name(text: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    let mut labels = text.split('/');
    let whole = labels.clone().all(|label| !label.is_empty() && label.bytes().all(legal));
    whole && labels.next_back().is_some_and(|name| name.len() <= 64)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn tells_account_and_partition() {
        for (text, partition) in [
            ("arn:aws:iam::123456789012:role/dns", Partition::Aws),
            ("arn:aws-us-gov:iam::123456789012:role/team/a+b=c,d.e@f_g-h", Partition::UsGov),
            ("arn:aws-eusc:iam::123456789012:role/a/b/c", Partition::Eusc),
        ] {
            let arn = RoleArn::parse(text).unwrap();
            assert_eq!((arn.as_str(), arn.account()), (text, "123456789012"));
            assert_eq!(arn.partition(), partition);
        }
    }

    #[test]
    fn anything_else_is_refused_and_named() {
        let long = format!("arn:aws:iam::123456789012:role/{}", "x".repeat(65));
        for text in [
            "",
            "dns",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role//dns",
            "arn:aws:iam::123456789012:role/dns/",
            "arn:aws:iam::12345678901:role/dns",
            "arn:aws:iam::12345678901x:role/dns",
            "arn:aws:iam::123456789012:user/dns",
            "arn:aws:iam:us-east-1:123456789012:role/dns",
            "arn:aws:sts::123456789012:assumed-role/dns/session",
            "arn:aws-cn:iam::123456789012:role/dns",
            "arn:aws:iam::123456789012:role/dns\n",
            "arn:aws:iam::123456789012:role/d:ns",
            " arn:aws:iam::123456789012:role/dns",
            &long,
        ] {
            let error = RoleArn::parse(text).unwrap_err().to_string();
            assert!(error.contains("is not the ARN of an IAM role"), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
