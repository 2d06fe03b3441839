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
use crate::iam::{self, Holder, Need, Part, Trust};
use crate::mail::{Partition, RoleArn};

/// Characters of a managed policy (IAM quotas).
const MANAGED_MAX: usize = 6_144;

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
        None => iam::policy(&flags.need()?, flags.parts()),
    };
    if document.length() > MANAGED_MAX {
        let hint = "give fewer objects a policy of their own, or print --role ses and --role dns";
        let length = document.length();
        writeln!(
            io::stderr(),
            "warning: {length} characters, more than the {MANAGED_MAX} of a managed policy: {hint}"
        )?;
    }
    io::stdout().write_all(document.to_json()?.as_bytes())?;
    Ok(())
}

impl IamPolicyFlags {
    fn parts(&self) -> &'static [Part] {
        match self.role {
            None => &[Part::Ses, Part::Dns],
            Some(Role::Ses) => &[Part::Ses],
            Some(Role::Dns) => &[Part::Dns],
        }
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
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use clap::Parser as _;
    use serde_json::json;

    use super::super::{Cli, Command};
    use super::*;

    fn flags(arguments: &str) -> Result<IamPolicyFlags, clap::Error> {
        let words = ["ses-mailfrom", "iam-policy"].into_iter().chain(arguments.split_whitespace());
        match Cli::try_parse_from(words)?.command {
            Command::IamPolicy(flags) => Ok(*flags),
            other => panic!("{other:?}"),
        }
    }

    fn object(metadata: &str, spec: &str, status: &str) -> String {
        format!(
            "apiVersion: mailfrom.dev/v1alpha1\nkind: SesMailFrom\nmetadata: {metadata}\nspec: {spec}\n{status}---\n"
        )
    }

    fn policy(objects: &str, parts: &[Part]) -> Value {
        let need = Need::of(&parse(objects).unwrap(), Holder::Operator).unwrap();
        serde_json::to_value(iam::policy(&need, parts)).unwrap()
    }

    /// Statement ids with their resources.
    fn resources(policy: &Value) -> Vec<(String, Vec<String>)> {
        let statements = policy["Statement"].as_array().unwrap();
        let texts = |value: &Value| match value {
            Value::String(text) => vec![text.clone()],
            list => serde_json::from_value(list.clone()).unwrap(),
        };
        let named = |s: &Value| (s["Sid"].as_str().unwrap().to_owned(), texts(&s["Resource"]));
        statements.iter().map(named).collect()
    }

    #[test]
    fn without_objects_the_policy_is_for_any() {
        let flags = flags("--partition aws-us-gov --role dns").unwrap();
        let policy = serde_json::to_value(iam::policy(&flags.need().unwrap(), flags.parts()));
        let expected = ["*", "hostedzone/*", "hostedzone/*", "change/*"].map(|resource| {
            let arn = format!("arn:aws-us-gov:route53:::{resource}");
            vec![if resource == "*" { resource.to_owned() } else { arn }]
        });
        let policy = policy.unwrap();
        assert_eq!(resources(&policy).into_iter().map(|(_, r)| r).collect::<Vec<_>>(), expected);
        assert!(policy["Statement"][2]["Condition"].to_string().contains("RecordTypes"));
        assert!(!policy.to_string().contains("RecordNames"));
    }

    #[test]
    fn objects_narrow_it_to_their_regions_names_zones_and_accounts() {
        let first = object(
            "{name: a, namespace: mail}",
            "{domain: Example.com, subdomain: bounce, regions: [{name: us-east-1}, {name: eu-west-1, subdomain: eu}], dns: {hostedZoneID: Z1}}",
            "status:\n  regions: [{name: us-east-1, account: '123456789012', sending: Unknown}, {name: us-west-2, sending: Unknown}]\n  \
             records: [{name: old.example.com, type: MX, ttlSeconds: 300, values: [], zone: Z2, state: Draining}]\n",
        );
        let second = object(
            "{name: b, namespace: mail}",
            "{domain: example.org, subdomain: m, regions: [{name: us-east-1, subdomain: own}]}",
            "",
        );
        let other = "apiVersion: v1\nkind: Namespace\nmetadata: {name: mail}\n---\n";
        let policy = policy(&(first + other + &second), &[Part::Ses, Part::Dns]);
        let arn = |region: &str, account: &str, name: &str| {
            format!("arn:aws:ses:{region}:{account}:identity/{name}")
        };
        let identities = vec![
            arn("eu-west-1", "*", "example.com"),
            arn("us-east-1", "*", "example.org"),
            arn("us-east-1", "123456789012", "example.com"),
            arn("us-west-2", "*", "example.com"),
        ];
        // A MAIL FROM domain is looked for among the identities of its region.
        let mut read = identities.clone();
        read.extend([
            arn("eu-west-1", "*", "eu.example.com"),
            arn("us-east-1", "*", "own.example.org"),
            arn("us-east-1", "123456789012", "bounce.example.com"),
        ]);
        read.sort();
        let zone = |id: &str| vec![format!("arn:aws:route53:::hostedzone/{id}")];
        let expected = [
            ("ReadIdentities", read),
            ("SetMailFrom", identities),
            ("FindZone", vec!["*".to_owned()]),
            ("ReadRecords", zone("*")),
            ("PublishRecordsInAnyZone", zone("*")),
            ("PublishRecordsInZ1", zone("Z1")),
            ("PublishRecordsInZ2", zone("Z2")),
            ("AwaitSync", vec!["arn:aws:route53:::change/*".to_owned()]),
        ];
        assert_eq!(resources(&policy), expected.map(|(sid, r)| (sid.to_owned(), r)));
        let key = "route53:ChangeResourceRecordSetsNormalizedRecordNames";
        let names = |at: usize| {
            let condition = &policy["Statement"][at]["Condition"]["ForAllValues:StringEquals"];
            condition[key].clone()
        };
        // Nothing stands at spec.subdomain where every region has its own.
        assert_eq!(names(4), json!("own.example.org"));
        assert_eq!(names(5), json!(["bounce.example.com", "eu.example.com"]));
        assert_eq!(names(6), json!("old.example.com"));
    }

    #[test]
    fn each_role_gets_what_objects_name_it_for_and_the_operator_the_rest() {
        let (ses, dns) =
            ("arn:aws:iam::111111111111:role/ses", "arn:aws:iam::222222222222:role/dns");
        let spec = |domain: &str, roles: &str| {
            format!("{{domain: {domain}, subdomain: b, regions: [{{name: us-east-1}}], {roles}}}")
        };
        let objects = [
            spec("example.com", &format!("roleARN: '{ses}', dns: {{roleARN: '{dns}'}}")),
            spec("example.net", &format!("roleARN: '{ses}'")),
            spec("example.org", ""),
        ];
        let objects = objects.map(|spec| object("{name: a}", &spec, "")).concat();
        let objects = parse(&objects).unwrap();
        let sids = |holder: Holder<'_>| {
            let need = Need::of(&objects, holder).unwrap();
            let policy = iam::policy(&need, &[Part::Ses, Part::Dns]);
            let policy = serde_json::to_value(policy).unwrap();
            let shown = policy.to_string();
            let domains = ["example.com", "example.net", "example.org"];
            let of: Vec<_> = domains.into_iter().filter(|domain| shown.contains(domain)).collect();
            (resources(&policy), of)
        };
        let of_role = |arn: &str| sids(Holder::Role(&RoleArn::parse(arn).unwrap()));
        let named = |resources: Vec<(String, Vec<String>)>| {
            resources.into_iter().map(|(sid, _)| sid).collect::<Vec<_>>()
        };
        let (found, domains) = of_role(ses);
        assert_eq!(named(found), ["ReadIdentities", "SetMailFrom"]);
        assert_eq!(domains, ["example.com", "example.net"]);
        let (found, domains) = of_role(dns);
        assert_eq!(named(found), ["FindZone", "ReadRecords", "PublishRecords", "AwaitSync"]);
        assert_eq!(domains, ["example.com"]);
        let (found, _) = sids(Holder::Operator);
        let assumed = found.last().unwrap();
        assert_eq!(*assumed, ("AssumeRoles".to_owned(), vec![ses.to_owned(), dns.to_owned()]));
        assert_eq!(found[0].1.len(), 2, "one identity and its MAIL FROM domain: {found:?}");
        let other = RoleArn::parse("arn:aws:iam::111111111111:role/other").unwrap();
        assert!(Need::of(&objects, Holder::Role(&other)).unwrap().is_empty());
    }

    #[test]
    fn lists_are_looked_into_and_what_would_widen_a_policy_is_refused() {
        let spec = r#""spec": {"domain": "example.com", "subdomain": "b", "regions": [{"name": "us-east-1"}]}"#;
        let item = |spec: &str| {
            format!(
                r#"{{"apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom", "metadata": {{"name": "a"}}, {spec}}}"#
            )
        };
        let list = format!(r#"{{"kind": "List", "items": [{0}, {0}]}}"#, item(spec));
        assert_eq!(parse(&list).unwrap().len(), 2);
        for (bad, part) in [
            (spec.replace("example.com", "*.example.com"), "not a lower-case DNS name"),
            (spec.replace("us-east-1", "*"), "is not a region"),
            (spec.replace("\"b\"", "\"*\""), "not a lower-case DNS name"),
            (
                format!(
                    r#"{spec}, "status": {{"regions": [{{"name": "us-east-1", "account": "*", "sending": "Unknown"}}]}}"#
                ),
                "account id",
            ),
            (
                spec.replace("\"regions\"", r#""dns": {"hostedZoneID": "*"}, "regions""#),
                "hosted zone",
            ),
            (
                spec.replace("us-east-1\"}", "us-east-1\"}, {\"name\": \"us-gov-west-1\"}"),
                "partition",
            ),
        ] {
            let error =
                Need::of(&parse(&item(&bad)).unwrap(), Holder::Operator).unwrap_err().to_string();
            assert!(error.starts_with("default/a: ") && error.contains(part), "{error}");
        }
    }

    #[test]
    fn trust_policies_name_whom_they_trust_under_which_conditions() {
        let trust = |arguments: &str| {
            let flags = flags(arguments).unwrap();
            let document = flags.trust(flags.trust.unwrap()).unwrap().document();
            serde_json::to_value(document).unwrap()["Statement"].clone()
        };
        let irsa =
            trust("--trust irsa --account 123456789012 --oidc-provider https://oidc.example/id/A");
        let provider = "arn:aws:iam::123456789012:oidc-provider/oidc.example/id/A";
        assert_eq!(irsa[0]["Principal"], json!({"Federated": provider}));
        assert_eq!(irsa[0]["Action"], "sts:AssumeRoleWithWebIdentity");
        let subject = "system:serviceaccount:ses-mailfrom-system:ses-mailfrom";
        let keys =
            json!({"oidc.example/id/A:aud": "sts.amazonaws.com", "oidc.example/id/A:sub": subject});
        assert_eq!(irsa[0]["Condition"], json!({"StringEquals": keys}));

        let pod = trust("--trust pod-identity --service-account a/b");
        assert_eq!(pod[0]["Principal"], json!({"Service": "pods.eks.amazonaws.com"}));
        assert_eq!(pod[0]["Action"], json!(["sts:AssumeRole", "sts:TagSession"]));
        let tags = json!({"aws:RequestTag/kubernetes-namespace": "a", "aws:RequestTag/kubernetes-service-account": "b"});
        assert_eq!(pod[0]["Condition"], json!({"StringEquals": tags}));

        let role = "arn:aws:iam::123456789012:role/ses-mailfrom";
        let assumed = trust(&format!(
            "--trust assumed-role --operator-role {role} --owner-id me --namespace mail --namespace ads"
        ));
        assert_eq!(assumed[0]["Principal"], json!({"AWS": role}));
        let ids = json!({"StringEquals": {"sts:ExternalId": ["me/mail", "me/ads"]}});
        assert_eq!(assumed[0]["Condition"], ids);
        assert_eq!(assumed[1]["Action"], "sts:TagSession");
    }

    #[test]
    fn what_a_document_needs_must_be_given() {
        for arguments in [
            "--trust irsa",
            "--trust irsa --account 1 --oidc-provider a",
            "--trust assumed-role --owner-id me --namespace mail",
            "--trust assumed-role --operator-role arn:aws:iam::123456789012:role/* --owner-id me --namespace m",
            "--trust irsa -f a.yaml",
            "--role both",
            "--trust pod-identity --service-account ab",
        ] {
            assert!(flags(arguments).is_err(), "{arguments}");
        }
    }
}
