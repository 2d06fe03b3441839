//! The record in the Lease, and how the API has it.

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

/// What a Lease says.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Record {
    /// Who holds it; empty where nobody does.
    pub holder: String,
    /// How long it holds from its first sight, in seconds, as the API has it.
    pub seconds: i32,
    /// How often the holder has changed.
    pub transitions: i32,
    /// When the holder got it, by the holder's wall clock; for people. `None`
    /// means the time of the write.
    pub acquired: Option<Timestamp>,
}

impl Record {
    /// The version of a Lease, and what it says. The wall times in it decide
    /// nothing, so that of the renewal is not even read.
    pub(super) fn read(lease: Lease) -> (String, Self) {
        let version = lease.metadata.resource_version.unwrap_or_default();
        let spec = lease.spec.unwrap_or_default();
        let record = Self {
            holder: spec.holder_identity.unwrap_or_default(),
            seconds: spec.lease_duration_seconds.unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or_default(),
            acquired: spec.acquire_time.map(|MicroTime(time)| time),
        };
        (version, record)
    }

    /// A Lease that says this as of `now`. With a version it replaces exactly
    /// that one.
    pub(super) fn write(&self, name: &str, version: Option<String>, now: Timestamp) -> Lease {
        Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                resource_version: version,
                ..Default::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.holder.clone()),
                lease_duration_seconds: Some(self.seconds),
                lease_transitions: Some(self.transitions),
                acquire_time: Some(MicroTime(self.acquired.unwrap_or(now))),
                renew_time: Some(MicroTime(now)),
                ..Default::default()
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;

    fn lease(spec: &Value) -> Lease {
        serde_json::from_value(json!({"metadata": {"resourceVersion": "7"}, "spec": spec})).unwrap()
    }

    #[test]
    fn the_times_in_a_lease_make_no_difference() {
        let at = |renewed: &str| {
            let spec = json!({
                "holderIdentity": "a", "leaseDurationSeconds": 15, "leaseTransitions": 3,
                "acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": renewed,
            });
            Record::read(lease(&spec))
        };
        let (past, future) = ("1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z");
        assert_eq!(at(past), at(future));
        assert_eq!((at(past).1.seconds, at(past).1.transitions), (15, 3));
    }

    #[test]
    fn an_empty_lease_has_no_holder() {
        let (version, record) = Record::read(lease(&Value::Null));
        assert_eq!((version.as_str(), record), ("7", Record::default()));
    }

    #[test]
    fn a_renewal_keeps_the_time_of_acquisition() {
        let (then, now) = (Timestamp::UNIX_EPOCH, Timestamp::from_second(99).unwrap());
        let record = Record { acquired: Some(then), ..Record::default() };
        let written = record.write("x", Some("7".into()), now);
        assert_eq!(written.metadata.resource_version.as_deref(), Some("7"));
        let spec = written.spec.unwrap();
        assert_eq!(
            (spec.acquire_time, spec.renew_time),
            (Some(MicroTime(then)), Some(MicroTime(now)))
        );
    }
}
