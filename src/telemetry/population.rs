//! Metrics of each object, read from the objects when they are asked for: only
//! what is so now is a series.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::api::{ConditionType, SesMailFrom};

/// All objects that are known.
pub trait Population: fmt::Debug + Send + Sync + 'static {
    /// Shows each object to `visit`.
    fn each(&self, visit: &mut dyn FnMut(&SesMailFrom));
}

#[derive(Debug)]
pub(super) struct ByObject(pub(super) Box<dyn Population>);

impl Collector for ByObject {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "1 for what the Ready condition of the object is now: True, False or Unknown";
        self.series(&mut encoder, "resource_ready_status", help, |object, emit| {
            let [namespace, name] = identity(object);
            emit(&[("namespace", namespace), ("name", name), ("condition", ready(object))])
        })?;
        let help = "1 for what SES says of the object's MAIL FROM domain in the region now";
        self.series(&mut encoder, "region_mail_from_status", help, |object, emit| {
            let [namespace, name] = identity(object);
            let regions = object.status.iter().flat_map(|status| &status.regions);
            for region in regions {
                emit(&[
                    ("namespace", namespace),
                    ("name", name),
                    ("region", &region.name),
                    ("status", region.mail_from_status.as_str()),
                ])?;
            }
            Ok(())
        })
    }
}

type Emit<'a> = dyn FnMut(&[(&str, &str)]) -> fmt::Result + 'a;

impl ByObject {
    fn series(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        labels_of: impl Fn(&SesMailFrom, &mut Emit<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        let mut result = Ok(());
        self.0.each(&mut |object| {
            let mut emit = |labels: &[(&str, &str)]| {
                ConstGauge::new(1_i64).encode(family.encode_family(&labels)?)
            };
            result = result.and_then(|()| labels_of(object, &mut emit));
        });
        result
    }
}

fn identity(object: &SesMailFrom) -> [&str; 2] {
    [&object.metadata.namespace, &object.metadata.name]
        .map(|text| text.as_deref().unwrap_or_default())
}

fn ready(object: &SesMailFrom) -> &str {
    let ready = ConditionType::Ready.as_str();
    let mut conditions = object.status.iter().flat_map(|status| &status.conditions);
    conditions.find(|condition| condition.type_ == ready).map_or("Unknown", |found| &found.status)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::telemetry::Metrics;

    #[derive(Debug)]
    struct Two(Vec<SesMailFrom>);

    impl Population for Two {
        fn each(&self, visit: &mut dyn FnMut(&SesMailFrom)) {
            self.0.iter().for_each(visit);
        }
    }

    #[test]
    fn shows_each_object_as_it_is_now() {
        let spec = json!({"domain": "example.com", "subdomain": "bounce", "regions": []});
        let object = |name, status| {
            serde_json::from_value(json!({
                "apiVersion": "mailfrom.dev/v1alpha1", "kind": "SesMailFrom",
                "metadata": {"namespace": "mail", "name": name}, "spec": spec, "status": status,
            }))
            .unwrap()
        };
        let condition = json!({
            "type": "Ready", "status": "False", "reason": "Pending", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        let region = |name, status| json!({"name": name, "mailFromStatus": status, "sending": "DefaultMailFrom"});
        let status = json!({
            "conditions": [condition],
            "regions": [region("us-east-1", "Pending"), region("eu-west-1", "Success")],
        });
        let population = Two(vec![object("a", status), object("b", json!(null))]);
        let text = Metrics::new(Some(Box::new(population))).render().unwrap();
        let series: Vec<_> =
            text.lines().filter(|line| line.contains(r#"namespace="mail""#)).collect();
        assert_eq!(
            series,
            [
                r#"sesmailfrom_resource_ready_status{namespace="mail",name="a",condition="False"} 1"#,
                r#"sesmailfrom_resource_ready_status{namespace="mail",name="b",condition="Unknown"} 1"#,
                r#"sesmailfrom_region_mail_from_status{namespace="mail",name="a",region="us-east-1",status="Pending"} 1"#,
                r#"sesmailfrom_region_mail_from_status{namespace="mail",name="a",region="eu-west-1",status="Success"} 1"#,
            ]
        );
    }
}
