//! Metrics of each object, read from the objects when they are asked for: only
//! what is so now is a series.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::Deserialize;

use crate::authority::ObjectKey;
use crate::mail::{MailFromStatus, SharedText};

/// All objects that are known.
pub trait Population: fmt::Debug + Send + Sync + 'static {
    /// Shows each object to `visit`.
    fn each(&self, visit: &mut dyn FnMut(&ObjectKey, Shown));
}

/// What metrics show of an object, read from it as it is: ten thousand are read each
/// time that somebody scrapes.
#[derive(Debug, Deserialize)]
pub struct Shown {
    status: Option<Status>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    conditions: Vec<Condition>,
    regions: Vec<InRegion>,
}

#[derive(Debug, Deserialize)]
struct Condition {
    #[serde(rename = "type")]
    kind: Kind,
    status: Truth,
}

#[derive(Debug, Deserialize, Eq, PartialEq)]
enum Kind {
    Ready,
    #[serde(other)]
    Another,
}

#[derive(Debug, Deserialize)]
enum Truth {
    True,
    False,
    #[serde(other)]
    Unknown,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct InRegion {
    name: String,
    #[serde(default)]
    mail_from_status: MailFromStatus,
}

#[derive(Debug)]
pub(super) struct ByObject(pub(super) Box<dyn Population>);

/// What all series need, in one look at each object.
#[derive(Debug, Default)]
struct Seen {
    ready: Vec<(ObjectKey, &'static str)>,
    regions: Vec<(ObjectKey, SharedText, MailFromStatus)>,
}

impl Collector for ByObject {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let mut seen = Seen::default();
        self.0.each(&mut |object, shown| seen.take(object, shown));
        let help = "1 for what the Ready condition of the object is now: True, False or Unknown";
        let rows = seen.ready.iter().map(|(object, ready)| (object, [("condition", *ready)]));
        series(&mut encoder, "resource_ready_status", help, rows)?;
        let help = "1 for what SES says of the object's MAIL FROM domain in the region now";
        let rows = seen.regions.iter().map(|(object, region, status)| {
            (object, [("region", &**region), ("status", status.as_str())])
        });
        series(&mut encoder, "region_mail_from_status", help, rows)
    }
}

impl Seen {
    fn take(&mut self, object: &ObjectKey, Shown { status }: Shown) {
        let Status { conditions, regions } = status.unwrap_or_default();
        let mut conditions = conditions.into_iter();
        let ready = conditions.find(|condition| condition.kind == Kind::Ready);
        let ready = match ready.map(|condition| condition.status) {
            Some(Truth::True) => "True",
            Some(Truth::False) => "False",
            Some(Truth::Unknown) | None => "Unknown",
        };
        self.ready.push((object.clone(), ready));
        let regions = regions.into_iter();
        self.regions.extend(
            regions.map(|region| (object.clone(), region.name.into(), region.mail_from_status)),
        );
    }
}

/// One family of series, each of an object and labels of its own.
fn series<'a, L: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    rows: impl Iterator<Item = (&'a ObjectKey, L)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (object, labels) in rows {
        let identity = [("namespace", &**object.namespace()), ("name", object.name())];
        ConstGauge::new(1_i64).encode(family.encode_family(&(identity, labels))?)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::api::{ConditionType, SesMailFrom};
    use crate::compact::Compact;
    use crate::telemetry::Metrics;

    #[derive(Debug)]
    struct Held(Vec<(ObjectKey, Compact<SesMailFrom>)>);

    impl Population for Held {
        fn each(&self, visit: &mut dyn FnMut(&ObjectKey, Shown)) {
            self.0.iter().for_each(|(key, held)| visit(key, held.open_part().unwrap()));
        }
    }

    #[test]
    fn shows_each_object_as_it_is_now() {
        let spec = json!({"domain": "example.com", "subdomain": "bounce", "regions": []});
        let object = |name: &str, status| {
            let object = serde_json::from_value(json!({
                "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
                "metadata": {"namespace": "mail", "name": name}, "spec": spec, "status": status,
            }));
            (ObjectKey::new("mail", name), Compact::of(&object.unwrap()))
        };
        let condition = |kind: ConditionType, status| {
            json!({
                "type": kind.as_str(), "status": status, "reason": "Pending", "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            })
        };
        let region = |name, status| json!({"name": name, "mailFromStatus": status, "sending": "DefaultMailFrom"});
        let status = json!({
            "conditions": [condition(ConditionType::Reconciling, "True"), condition(ConditionType::Ready, "False")],
            "regions": [region("us-east-1", "Pending"), region("eu-west-1", "Success")],
        });
        let ready = |truth| json!({"conditions": [condition(ConditionType::Ready, truth)]});
        let population = Held(vec![
            object("a", status),
            object("b", json!(null)),
            object("c", ready("True")),
            object("d", ready("Unknown")),
        ]);
        let text = Metrics::new(Some(Box::new(population))).render().unwrap();
        let series: Vec<_> =
            text.lines().filter(|line| line.contains(r#"namespace="mail""#)).collect();
        assert_eq!(
            series,
            [
                r#"sesmailfrom_resource_ready_status{namespace="mail",name="a",condition="False"} 1"#,
                r#"sesmailfrom_resource_ready_status{namespace="mail",name="b",condition="Unknown"} 1"#,
                r#"sesmailfrom_resource_ready_status{namespace="mail",name="c",condition="True"} 1"#,
                r#"sesmailfrom_resource_ready_status{namespace="mail",name="d",condition="Unknown"} 1"#,
                r#"sesmailfrom_region_mail_from_status{namespace="mail",name="a",region="us-east-1",status="Pending"} 1"#,
                r#"sesmailfrom_region_mail_from_status{namespace="mail",name="a",region="eu-west-1",status="Success"} 1"#,
            ]
        );
    }
}
