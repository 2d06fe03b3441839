//! What an object claims, from its spec and its status.

use jiff::Timestamp;

use super::objects::{has_finalizer, key_of};
use crate::api::{SesMailFrom, TAKE_OVER};
use crate::authority::{Claimant, ServiceCredentials};
use crate::mail::{Marker, Owner, Regions};
use crate::plan::claimed_places;

/// The object's claims, by [`claimed_places`]. `None` for an object that is being deleted and that we do not hold up.
pub fn claimant(object: &SesMailFrom, owner_id: &str, regions: &Regions) -> Option<Claimant> {
    if object.metadata.deletion_timestamp.is_some() && !has_finalizer(object) {
        return None;
    }
    let (domain, places) = claimed_places(object, regions)?;
    let key = key_of(object);
    let annotations = object.metadata.annotations.as_ref();
    let take_over = annotations.and_then(|annotations| annotations.get(TAKE_OVER));
    let take_over = take_over.and_then(|text| Marker::parse(text).ok());
    let created = object.metadata.creation_timestamp.as_ref();
    Some(Claimant {
        owner: Owner::of(owner_id, &key.namespace, &key.name),
        key,
        uid: object.metadata.uid.clone().unwrap_or_default(),
        created: created.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        domain,
        places,
        credentials: ServiceCredentials::default(),
        take_over: take_over.map(|marker| marker.owner),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::controller::testing::object;
    use crate::mail::Origin;

    fn places(object: &SesMailFrom) -> Vec<String> {
        let claimant = claimant(object, "owner", &Regions::default()).unwrap();
        claimant.places.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn claims_what_spec_wants_and_what_status_remembers() {
        let mut object = object("a", 1);
        object.spec.regions = serde_json::from_value(json!([
            {"name": "us-east-1"},
            {"name": "eu-west-1", "subdomain": "eu"},
            {"name": "moon-1"},
        ]))
        .unwrap();
        object.status = serde_json::from_value(json!({
            "regions": [{"name": "us-west-2", "sending": "Unknown"}],
            "records": [{"name": "old.example.com", "type": "MX", "ttlSeconds": 300,
                         "values": [], "zone": "Z1", "state": "Draining"}],
        }))
        .unwrap();
        let expected = [
            "eu-west-1",
            "us-east-1",
            "us-west-2",
            "bounce.example.com",
            "eu.example.com",
            "old.example.com",
        ];
        assert_eq!(places(&object), expected);
    }

    #[test]
    fn a_marker_to_be_taken_over_names_its_owner() {
        let mut object = object("a", 1);
        let owner = Owner::of("elsewhere", "mail", "a");
        let marker = Marker {
            owner: owner.clone(),
            mx: Origin::Created,
            spf: Origin::Created,
            regions: ["us-east-1".to_owned()].into(),
        };
        object.metadata.annotations = Some([(TAKE_OVER.to_owned(), marker.to_string())].into());
        let claimant = claimant(&object, "owner", &Regions::default()).unwrap();
        assert_eq!(claimant.take_over, Some(owner));
    }

    #[test]
    fn a_deleted_object_claims_only_while_our_finalizer_holds_it() {
        let mut object = object("a", 1);
        object.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        assert_eq!(claimant(&object, "owner", &Regions::default()), None);
        object.metadata.finalizers = Some(vec![crate::api::FINALIZER.to_owned()]);
        assert!(claimant(&object, "owner", &Regions::default()).is_some());
    }
}
