//! What is asked about the names of one zone.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::listing::Listing;
use super::reading::Look;
use super::records::Set;
use super::surroundings::Survey;
use crate::mail::{DomainName, NameView, Surroundings};

/// A question about a zone.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(in super::super) enum InZone {
    /// What stands at a name.
    At(DomainName),
    /// What stands around a name, up to the zone's apex.
    Around {
        /// The name.
        name: DomainName,
        /// The zone's.
        apex: DomainName,
    },
}

/// Its answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(in super::super) enum Told {
    /// To [`InZone::At`].
    At(NameView),
    /// To [`InZone::Around`].
    Around(Surroundings),
}

/// A question on its way to its answer.
#[derive(Debug)]
pub(super) enum Inspection {
    At(DomainName),
    Around(Survey),
}

impl From<InZone> for Inspection {
    fn from(question: InZone) -> Self {
        match question {
            InZone::At(name) => Self::At(name),
            InZone::Around { name, apex } => Self::Around(Survey::new(name, apex)),
        }
    }
}

impl Inspection {
    pub(super) fn is(&self, question: &InZone) -> bool {
        match (self, question) {
            (Self::At(name), InZone::At(other)) => name == other,
            (Self::Around(survey), InZone::Around { name, apex }) => {
                (&survey.name, &survey.apex) == (name, apex)
            }
            _ => false,
        }
    }

    pub(super) fn question(&self) -> InZone {
        match self {
            Self::At(name) => InZone::At(name.clone()),
            Self::Around(Survey { name, apex, .. }) => {
                InZone::Around { name: name.clone(), apex: apex.clone() }
            }
        }
    }
}

impl Look for Inspection {
    type Item = Set;
    type Told = Told;

    fn go_on(
        &mut self,
        listing: &Listing<Set>,
        not_before: Timestamp,
    ) -> Result<(Timestamp, Told), String> {
        match self {
            Self::At(name) => {
                let place = name.as_str();
                let stretch = listing.telling(place, not_before).ok_or(place)?;
                let sets = stretch.at(place).iter().map(|set| set.named(name)).collect();
                Ok((stretch.sent(), Told::At(NameView { sets })))
            }
            Self::Around(survey) => {
                let found = survey.advance(listing, not_before);
                found.map(|(sent, found)| (sent, Told::Around(found)))
            }
        }
    }
}
