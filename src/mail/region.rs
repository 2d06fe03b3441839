//! SES's regions and their feedback endpoints.

use std::collections::BTreeMap;
use std::fmt;

use thiserror::Error;

use super::name::DomainName;
use super::shared::SharedText;

/// The name of an AWS region that is known to have SES.
///
/// Only [`Regions::get`] makes one, so that no other region ever reaches AWS.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Region(SharedText);

impl Region {
    /// As AWS writes it, `us-east-1`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of regions with accounts, names and credentials of its own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Partition {
    /// Commercial.
    Aws,
    /// GovCloud (US).
    UsGov,
    /// European Sovereign Cloud.
    Eusc,
}

impl Partition {
    /// By the region's name.
    pub fn of(region: &Region) -> Self {
        Self::of_name(region.as_str())
    }

    /// By the name of a region that need not have SES.
    pub fn of_name(region: &str) -> Self {
        match region {
            name if name.starts_with("us-gov-") => Self::UsGov,
            name if name.starts_with("eusc-") => Self::Eusc,
            _ => Self::Aws,
        }
    }

    /// As ARNs write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::UsGov => "aws-us-gov",
            Self::Eusc => "aws-eusc",
        }
    }
}

/// Why a region cannot be used.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum RegionError {
    /// Not in the table and not given by `--region`.
    #[error("{given} is not a region known to have SES{}; if it is new, start the operator with --region {given}=FEEDBACK-HOST", .nearest.as_ref().map(|n| format!(" (did you mean {n}?)")).unwrap_or_default())]
    Unknown {
        /// What was given.
        given: String,
        /// The known name most like it.
        nearest: Option<String>,
    },
    /// AWS has not published the suffix of its mail hosts.
    #[error(
        "the feedback endpoint of {0} is not published: give it with --region {0}=FEEDBACK-HOST"
    )]
    NoFeedbackHost(String),
    /// `--region` is not `NAME=HOST`.
    #[error(
        "\"{0}\" is not NAME=FEEDBACK-HOST, for example us-east-9=feedback-smtp.us-east-9.amazonses.com"
    )]
    Override(String),
}

/// SES's regions as of August 2026 (AWS General Reference, SES endpoints).
const KNOWN: [&str; 30] = [
    "af-south-1",
    "ap-northeast-1",
    "ap-northeast-2",
    "ap-northeast-3",
    "ap-south-1",
    "ap-south-2",
    "ap-southeast-1",
    "ap-southeast-2",
    "ap-southeast-3",
    "ap-southeast-5",
    "ca-central-1",
    "ca-west-1",
    "eu-central-1",
    "eu-central-2",
    "eu-north-1",
    "eu-south-1",
    "eu-west-1",
    "eu-west-2",
    "eu-west-3",
    "eusc-de-east-1",
    "il-central-1",
    "me-central-1",
    "me-south-1",
    "sa-east-1",
    "us-east-1",
    "us-east-2",
    "us-gov-east-1",
    "us-gov-west-1",
    "us-west-1",
    "us-west-2",
];

/// The regions that this operator may speak to.
#[derive(Clone, Debug, Default)]
pub struct Regions {
    overrides: BTreeMap<String, DomainName>,
}

impl Regions {
    /// The built-in table, with `NAME=FEEDBACK-HOST` additions.
    pub fn with_overrides<'a>(
        overrides: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, RegionError> {
        let parse = |text: &'a str| {
            let bad = || RegionError::Override(text.to_owned());
            let (name, host) = text.split_once('=').ok_or_else(bad)?;
            let host = DomainName::parse(host).map_err(|_| bad())?;
            let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let shaped = name.len() <= 32 && name.contains('-') && name.chars().all(legal);
            if shaped { Ok((name.to_owned(), host)) } else { Err(bad()) }
        };
        let overrides = overrides.into_iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { overrides })
    }

    /// The region by its name.
    pub fn get(&self, name: &str) -> Result<Region, RegionError> {
        if self.overrides.contains_key(name) {
            return Ok(Region(name.into()));
        }
        if !KNOWN.contains(&name) {
            return Err(RegionError::Unknown {
                given: name.chars().take(32).collect(),
                nearest: self.nearest(name),
            });
        }
        if name.starts_with("eusc-") {
            return Err(RegionError::NoFeedbackHost(name.to_owned()));
        }
        Ok(Region(name.into()))
    }

    /// The host that an MX must name for SES in `region` to accept it
    /// (SES developer guide, "custom MAIL FROM"; SES's API never returns it).
    pub fn feedback_host(&self, region: &Region) -> DomainName {
        let pattern = || DomainName::parse(&format!("feedback-smtp.{region}.amazonses.com"));
        match self.overrides.get(region.as_str()) {
            Some(host) => host.clone(),
            // A region's name is letters, digits and '-', so the pattern always parses.
            None => pattern().unwrap_or_else(|_| unreachable!("region names are DNS labels")),
        }
    }

    /// Whether `host` is a feedback endpoint of any region known here.
    pub fn is_feedback_host(&self, host: &DomainName) -> bool {
        let known =
            KNOWN.iter().any(|r| host.as_str() == format!("feedback-smtp.{r}.amazonses.com"));
        known || self.overrides.values().any(|h| h == host)
    }

    fn nearest(&self, given: &str) -> Option<String> {
        let names = KNOWN.iter().copied().chain(self.overrides.keys().map(String::as_str));
        let best = names.map(|name| (distance(given, name), name)).min()?;
        (best.0 <= 3).then(|| best.1.to_owned())
    }
}

/// Levenshtein distance: how many letters to add, drop or change.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let cost = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_feedback_host_follows_the_region() {
        let regions = Regions::default();
        let host = |name| regions.feedback_host(&regions.get(name).unwrap()).to_string();
        assert_eq!(host("us-east-1"), "feedback-smtp.us-east-1.amazonses.com");
        assert_eq!(host("us-gov-west-1"), "feedback-smtp.us-gov-west-1.amazonses.com");
    }

    #[test]
    fn a_misspelt_region_is_told_its_nearest_name() {
        let text = Regions::default().get("eu-wst-1").unwrap_err().to_string();
        assert!(text.contains("did you mean eu-west-1?"), "{text}");
        assert!(text.contains("--region eu-wst-1=FEEDBACK-HOST"), "{text}");
    }

    #[test]
    fn a_region_unlike_all_others_is_told_none() {
        let error = Regions::default().get("moon-1").unwrap_err();
        assert_eq!(error, RegionError::Unknown { given: "moon-1".into(), nearest: None });
    }

    #[test]
    fn the_sovereign_cloud_needs_its_host_spelt_out() {
        let error = Regions::default().get("eusc-de-east-1").unwrap_err();
        assert_eq!(error, RegionError::NoFeedbackHost("eusc-de-east-1".into()));
        let given = Regions::with_overrides(["eusc-de-east-1=feedback.example.eu"]).unwrap();
        let region = given.get("eusc-de-east-1").unwrap();
        assert_eq!(given.feedback_host(&region).as_str(), "feedback.example.eu");
        assert_eq!(Partition::of(&region), Partition::Eusc);
    }

    #[test]
    fn an_override_must_be_name_and_host() {
        for bad in ["us-east-9", "us-east-9=", "US=host.example", "a b=host.example", "x-1=a..b"] {
            assert_eq!(
                Regions::with_overrides([bad]).unwrap_err(),
                RegionError::Override(bad.to_owned())
            );
        }
    }
}
