//! What an object claims, from its spec and its status.

use jiff::Timestamp;

use super::objects::{has_finalizer, key_of};
use crate::api::{Mode, SesMailFrom, TAKE_OVER};
use crate::authority::{Claimant, Credentials, ServiceCredentials};
use crate::mail::{Marker, Owner, Regions, RoleArn, SharedText};
use crate::plan::Places;

/// Whether the object takes what it may have: it is in Manage mode, or is being
/// deleted and still has its finalizer. Any other only looks.
fn manages(object: &SesMailFrom) -> bool {
    object.spec.mode == Mode::Manage || object.metadata.deletion_timestamp.is_some()
}

/// The object's claims, by [`Places`]. `None` for an object that is
/// being deleted and that we do not hold up, and for one that names roles which
/// are none: it must not fall back on the operator's own credentials.
pub fn claimant(object: &SesMailFrom, owner_id: &str, regions: &Regions) -> Option<Claimant> {
    if object.metadata.deletion_timestamp.is_some() && !has_finalizer(object) {
        return None;
    }
    let Places { domain, asked, claimed: places } = Places::of(object, regions)?;
    let key = key_of(object);
    let annotations = object.metadata.annotations.as_ref();
    let take_over = annotations.and_then(|annotations| annotations.get(TAKE_OVER));
    let take_over = take_over.and_then(|text| Marker::parse(text).ok());
    let (spec, namespace) = (&object.spec, key.namespace());
    let credentials = ServiceCredentials {
        ses: credentials(spec.role_arn.as_deref(), namespace)?,
        route53: credentials(spec.dns.role_arn.as_deref(), namespace)?,
    };
    let created = object.metadata.creation_timestamp.as_ref();
    Some(Claimant {
        owner: Owner::of(owner_id, key.namespace(), key.name()),
        key,
        uid: object.metadata.uid.as_deref().unwrap_or_default().into(),
        created: created.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        domain,
        asked,
        places,
        credentials,
        spf_includes: object.spec.dns.spf.include.iter().cloned().collect(),
        manages: manages(object),
        take_over: take_over.map(|marker| marker.owner),
    })
}

/// The role's, or the operator's own where none is named. `None` where what is
/// named is no role.
fn credentials(role: Option<&str>, namespace: &SharedText) -> Option<Credentials> {
    let Some(role) = role else { return Some(Credentials::Ambient) };
    let arn = RoleArn::parse(role).ok()?;
    Some(Credentials::role(arn, namespace.clone()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::controller::testing::object;
    use crate::mail::{Origin, SpfOrigin};

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
    fn each_service_has_the_role_that_the_spec_names_for_it() {
        let mut object = object("a", 1);
        let of = |object: &SesMailFrom| {
            let claimant = claimant(object, "owner", &Regions::default())?;
            Some((claimant.credentials.ses, claimant.credentials.route53))
        };
        assert_eq!(of(&object), Some((Credentials::Ambient, Credentials::Ambient)));
        let arn = "arn:aws:iam::123456789012:role/dns";
        let namespace = object.metadata.namespace.clone().unwrap();
        let role = Credentials::role(RoleArn::parse(arn).unwrap(), namespace);
        object.spec.dns.role_arn = Some(arn.to_owned());
        assert_eq!(of(&object), Some((Credentials::Ambient, role.clone())));
        object.spec.role_arn = object.spec.dns.role_arn.take();
        assert_eq!(of(&object), Some((role, Credentials::Ambient)));
        object.spec.role_arn = Some("dns".to_owned());
        assert_eq!(of(&object), None, "never the operator's own instead");
    }

    #[test]
    fn a_marker_to_be_taken_over_names_its_owner() {
        let mut object = object("a", 1);
        let owner = Owner::of("elsewhere", "mail", "a");
        let marker = Marker {
            owner,
            mx: Origin::Created,
            spf: SpfOrigin::created(),
            regions: [("us-east-1".to_owned(), Origin::Created)].into(),
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
