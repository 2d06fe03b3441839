//! `ses-mailfrom iam-policy`.

use std::error::Error;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::{fs, slice};

use clap::{Args, ValueEnum};
use serde::Deserialize as _;
use serde_json::Value;

use super::values::{namespace, owner_id};
use crate::api::SesMailFrom;
use crate::iam::{self, Holder, Need, Part, Reads, Trust};
use crate::mail::{Partition, RoleArn};

/// Characters of a managed policy (IAM quotas).
const MANAGED_MAX: usize = 6_144;

/// Characters of a trust policy, where the quota was not raised (IAM quotas).
const TRUST_MAX: usize = 2_048;

/// Which document is printed.
#[derive(Args, Clone, Debug)]
pub struct IamPolicyFlags {
    /// The half of the work that the role does; without it, both.
    #[arg(long, value_name = "ROLE", conflicts_with = "trust")]
    role: Option<Role>,
    /// A YAML or JSON file with SesMailFrom objects, as applied or as `kubectl get -o yaml` gives them, or `-` for standard input; may be given several times. Without it, the policy is for any object.
    #[arg(short, long, value_name = "FILE", conflicts_with = "trust")]
    filename: Vec<PathBuf>,
    /// A role that objects name as `roleARN`: prints what it needs for them, instead of what the operator's own credentials need.
    #[arg(long, value_name = "ARN", requires = "filename", conflicts_with = "trust", value_parser = role_arn)]
    role_arn: Option<RoleArn>,
    /// Lets identities be read one by one, which IAM can hold to single identities, instead of many at once, which it cannot. It costs a call an identity, and SES answers about one a second: for some hundred objects at most.
    #[arg(long, conflicts_with = "trust")]
    one_by_one: bool,
    /// The AWS partition, where no object tells it.
    #[arg(long, value_name = "PARTITION", default_value = "aws")]
    partition: PartitionName,
    /// Prints who may be the role, instead of what the role may do.
    #[arg(long, value_name = "WHO")]
    trust: Option<Trusted>,
    /// The operator's ServiceAccount (irsa, pod-identity).
    #[arg(long, value_name = "NAMESPACE/NAME", default_value = "ses-mailfrom-system/ses-mailfrom", value_parser = service_account)]
    service_account: (String, String),
    /// The AWS account in which the cluster's OpenID Connect provider is registered (irsa).
    #[arg(long, value_name = "ID", required_if_eq("trust", "irsa"), value_parser = account)]
    account: Option<String>,
    /// The cluster's OpenID Connect issuer, without https:// (irsa).
    #[arg(long, value_name = "HOST/PATH", required_if_eq("trust", "irsa"), value_parser = issuer)]
    oidc_provider: Option<String>,
    /// ARN of the role that the operator runs with (assumed-role).
    #[arg(long, value_name = "ARN", required_if_eq("trust", "assumed-role"), value_parser = role_arn)]
    operator_role: Option<RoleArn>,
    /// The operator's --owner-id; by default that is the UID of the namespace kube-system (assumed-role).
    #[arg(long, value_name = "TEXT", required_if_eq("trust", "assumed-role"), value_parser = owner_id)]
    owner_id: Option<String>,
    /// A namespace whose objects may name the role; may be given several times (assumed-role).
    #[arg(long, value_name = "NAME", required_if_eq("trust", "assumed-role"), value_parser = namespace)]
    namespace: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Role {
    /// Reads identities and sets their MAIL FROM.
    Ses,
    /// Reads and publishes records in Route 53.
    Dns,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Trusted {
    /// The operator, by IAM roles for service accounts.
    Irsa,
    /// The operator, by EKS Pod Identity.
    PodIdentity,
    /// The operator's own role: for the roles that objects name.
    AssumedRole,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum PartitionName {
    Aws,
    AwsUsGov,
    AwsEusc,
}

impl From<PartitionName> for Partition {
    fn from(name: PartitionName) -> Self {
        match name {
            PartitionName::Aws => Self::Aws,
            PartitionName::AwsUsGov => Self::UsGov,
            PartitionName::AwsEusc => Self::Eusc,
        }
    }
}

/// Prints the document.
pub(super) fn print(flags: &IamPolicyFlags) -> Result<(), Box<dyn Error>> {
    let document = match flags.trust {
        Some(trusted) => flags.trust(trusted)?.document(),
        None => iam::policy(&flags.need()?, flags.parts(), flags.reads()),
    };
    if let Some(warning) = too_long(document.length(), flags.trust.is_some()) {
        writeln!(io::stderr(), "warning: {warning}")?;
    }
    io::stdout().write_all(document.to_json()?.as_bytes())?;
    Ok(())
}

/// What is said of a document with more characters than IAM takes.
fn too_long(length: usize, trust: bool) -> Option<String> {
    let (longest, kind, hint) = if trust {
        let hint = "have the quota raised, or make a role for fewer namespaces";
        (TRUST_MAX, "trust policy", hint)
    } else {
        let hint = "give fewer objects a policy of their own, or print --role ses and --role dns";
        (MANAGED_MAX, "managed policy", hint)
    };
    let text = || format!("{length} characters, more than the {longest} of a {kind}: {hint}");
    (length > longest).then(text)
}

impl IamPolicyFlags {
    fn parts(&self) -> &'static [Part] {
        match self.role {
            None => &[Part::Ses, Part::Dns],
            Some(Role::Ses) => &[Part::Ses],
            Some(Role::Dns) => &[Part::Dns],
        }
    }

    fn reads(&self) -> Reads {
        if self.one_by_one { Reads::OneByOne } else { Reads::ManyAtOnce }
    }

    fn need(&self) -> Result<Need, Box<dyn Error>> {
        if self.filename.is_empty() {
            return Ok(Need::anything(self.partition.into()));
        }
        let mut objects = Vec::new();
        for file in &self.filename {
            let shown = file.display();
            let found = read(file).and_then(|text| parse(&text));
            let found = found.map_err(|error| format!("{shown}: {error}"))?;
            if found.is_empty() {
                return Err(format!("{shown}: it holds no SesMailFrom of mailfrom.dev").into());
            }
            objects.extend(found);
        }
        let holder = self.role_arn.as_ref().map_or(Holder::Operator, Holder::Role);
        let need = Need::of(&objects, holder)?;
        if need.is_empty() {
            return Err("none of the objects names the role given by --role-arn".into());
        }
        Ok(need)
    }

    /// clap has seen to it that what `trusted` needs is there.
    fn trust(&self, trusted: Trusted) -> Result<Trust, Box<dyn Error>> {
        let given = |value: Option<&str>, flag: &str| {
            value.map(str::to_owned).ok_or_else(|| format!("--{flag} is needed"))
        };
        Ok(match trusted {
            Trusted::Irsa => Trust::Irsa {
                partition: Partition::from(self.partition).as_str().to_owned(),
                account: given(self.account.as_deref(), "account")?,
                issuer: given(self.oidc_provider.as_deref(), "oidc-provider")?,
                service_account: self.service_account.clone(),
            },
            Trusted::PodIdentity => {
                Trust::PodIdentity { service_account: self.service_account.clone() }
            }
            Trusted::AssumedRole => Trust::AssumedRole {
                operator: given(self.operator_role.as_ref().map(RoleArn::as_str), "operator-role")?,
                owner_id: given(self.owner_id.as_deref(), "owner-id")?,
                namespaces: self.namespace.clone(),
            },
        })
    }
}

fn read(file: &Path) -> Result<String, Box<dyn Error>> {
    if file != Path::new("-") {
        return Ok(fs::read_to_string(file)?);
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    Ok(text)
}

/// Every `SesMailFrom` in a file of several documents, lists looked into;
/// objects of other kinds are passed over.
fn parse(text: &str) -> Result<Vec<SesMailFrom>, Box<dyn Error>> {
    let mut objects = Vec::new();
    for document in serde_yaml_ng::Deserializer::from_str(text) {
        let value = Value::deserialize(document)?;
        let items = value.get("items").and_then(Value::as_array);
        for item in items.map_or(slice::from_ref(&value), Vec::as_slice) {
            let text = |field: &str| item.get(field).and_then(Value::as_str).unwrap_or_default();
            if text("kind") == "SesMailFrom" && text("apiVersion").starts_with("mailfrom.dev/") {
                objects.push(serde_json::from_value(item.clone())?);
            }
        }
    }
    Ok(objects)
}

fn service_account(text: &str) -> Result<(String, String), String> {
    let legal = |part: &str| {
        !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"-.".contains(&c))
    };
    match text.split_once('/') {
        Some((namespace, name)) if legal(namespace) && legal(name) => {
            Ok((namespace.to_owned(), name.to_owned()))
        }
        _ => Err("allowed is NAMESPACE/NAME of a ServiceAccount".to_owned()),
    }
}

fn account(text: &str) -> Result<String, String> {
    let ok = text.len() == 12 && text.bytes().all(|c| c.is_ascii_digit());
    if ok { Ok(text.to_owned()) } else { Err("allowed is an account id of 12 digits".to_owned()) }
}

fn issuer(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix("https://").unwrap_or(text);
    let legal = |c: char| c.is_ascii_alphanumeric() || "-._/:".contains(c);
    if !bare.is_empty() && bare.chars().all(legal) {
        Ok(bare.to_owned())
    } else {
        Err("allowed is HOST/PATH, as in oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLE".to_owned())
    }
}

fn role_arn(text: &str) -> Result<RoleArn, String> {
    RoleArn::parse(text).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
