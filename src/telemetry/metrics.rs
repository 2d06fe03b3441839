//! What is counted. Every metric's name and labels stand here or, for those
//! read from the objects, in `population.rs`.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::population::{ByObject, Population};

/// How a reconcile ended, in a word.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verdict {
    /// Nothing is left to do now.
    Settled,
    /// An answer or a permit is on its way.
    Waiting,
    /// Gave way to others; goes on at once.
    Requeued,
    /// Somebody else changed the object first.
    Raced,
    /// A write to Kubernetes failed.
    KubernetesError,
    /// A write to AWS failed.
    WriteFailed,
    /// The object does not parse.
    Unreadable,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        match self {
            Self::Settled => "settled",
            Self::Waiting => "waiting",
            Self::Requeued => "requeued",
            Self::Raced => "raced",
            Self::KubernetesError => "kubernetes_error",
            Self::WriteFailed => "write_failed",
            Self::Unreadable => "unreadable",
        }
    }
}

/// What drifted and was repaired.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Drift {
    /// Records at a MAIL FROM domain.
    Records,
    /// The MAIL FROM setting of an identity.
    MailFrom,
}

impl Drift {
    fn as_str(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::MailFrom => "mail_from",
        }
    }
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct CallLabels {
    service: String,
    operation: String,
    region: String,
    code: String,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct DurationLabels {
    service: String,
    operation: String,
    region: String,
}

/// The operator's metrics.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ResultLabel, Counter<u64, AtomicU64>>,
    reconcile_duration: Histogram,
    aws_requests: Family<CallLabels, Counter<u64, AtomicU64>>,
    aws_duration: Family<DurationLabels, Histogram, fn() -> Histogram>,
    drift: Family<KindLabel, Counter<u64, AtomicU64>>,
    left_in_place: Counter<u64, AtomicU64>,
    leader: Gauge,
    /// Bytes of the last text.
    length: AtomicUsize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new(None)
    }
}

impl Metrics {
    /// All metrics, those of each object included where a population is given.
    pub fn new(population: Option<Box<dyn Population>>) -> Self {
        let mut registry = Registry::with_prefix("sesmailfrom");
        let reconciles = Family::default();
        registry.register("reconcile", "Reconciles by how they ended", reconciles.clone());
        let reconcile_duration = Histogram::new(exponential_buckets(0.001, 2.0, 15));
        registry.register_with_unit(
            "reconcile_duration",
            "How long a reconcile took",
            Unit::Seconds,
            reconcile_duration.clone(),
        );
        let aws_requests = Family::default();
        registry.register(
            "aws_requests",
            "Requests to AWS by what came back: ok, or the kind of error",
            aws_requests.clone(),
        );
        let aws_duration = Family::new_with_constructor(call_histogram as fn() -> Histogram);
        registry.register_with_unit(
            "aws_request_duration",
            "How long a request to AWS took",
            Unit::Seconds,
            aws_duration.clone(),
        );
        let drift = Family::default();
        registry.register("drift_corrected", "Repairs of what others changed", drift.clone());
        let left_in_place = Counter::default();
        registry.register(
            "left_in_place",
            "Objects that went without cleaning up because no policy allowed it any more",
            left_in_place.clone(),
        );
        let leader = Gauge::default();
        registry.register("leader", "1 where this process leads, and so acts", leader.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The operator's version", build);
        if let Some(population) = population {
            registry.register_collector(Box::new(ByObject(population)));
        }
        Self {
            registry,
            reconciles,
            reconcile_duration,
            aws_requests,
            aws_duration,
            drift,
            left_in_place,
            leader,
            length: AtomicUsize::new(0),
        }
    }

    /// A reconcile has ended.
    pub fn reconciled(&self, verdict: Verdict, took: Duration) {
        self.reconciles.get_or_create(&ResultLabel { result: verdict.as_str() }).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    /// An object was seen that does not parse.
    pub fn unreadable(&self) {
        let result = Verdict::Unreadable.as_str();
        self.reconciles.get_or_create(&ResultLabel { result }).inc();
    }

    /// A request to AWS has ended. All four texts are bounded.
    pub fn aws_request(
        &self,
        service: &str,
        operation: &str,
        region: &str,
        code: &str,
        took: Duration,
    ) {
        let [service, operation, region] = [service, operation, region].map(str::to_owned);
        let duration = DurationLabels { service, operation, region };
        self.aws_duration.get_or_create(&duration).observe(took.as_secs_f64());
        let DurationLabels { service, operation, region } = duration;
        let call = CallLabels { service, operation, region, code: code.to_owned() };
        self.aws_requests.get_or_create(&call).inc();
    }

    /// Drift was repaired.
    pub fn drift_corrected(&self, drift: Drift) {
        self.drift.get_or_create(&KindLabel { kind: drift.as_str() }).inc();
    }

    /// An object went although things of it stand.
    pub fn left_in_place(&self) {
        self.left_in_place.inc();
    }

    /// This process leads from now on, to its end.
    pub fn leads(&self) {
        self.leader.set(1);
    }

    /// In the OpenMetrics text format.
    ///
    /// # Errors
    /// A label that cannot be written, which no label here is.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        // Ten thousand objects take some 2 MiB, and three times as much on the way of a
        // text that grows by doubling.
        let last = self.length.load(Ordering::Relaxed);
        let mut text = String::with_capacity(last + last / 32);
        text::encode(&mut text, &self.registry)?;
        self.length.store(text.len(), Ordering::Relaxed);
        Ok(text)
    }
}

fn call_histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.0, 13))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn names_and_labels_are_those_that_dashboards_know() {
        let metrics = Metrics::default();
        metrics.reconciled(Verdict::Settled, Duration::from_millis(3));
        metrics.unreadable();
        metrics.aws_request("ses", "GetEmailIdentity", "us-east-1", "ok", Duration::from_secs(1));
        metrics.drift_corrected(Drift::Records);
        metrics.left_in_place();
        let standby = metrics.render().unwrap();
        let room = standby.len() + standby.len() / 32;
        assert_eq!(metrics.render().unwrap().capacity(), room, "the next one does not grow");
        assert!(standby.contains("\nsesmailfrom_leader 0\n"), "{standby}");
        metrics.leads();
        let text = metrics.render().unwrap();
        let call = r#"service="ses",operation="GetEmailIdentity",region="us-east-1""#;
        let version = env!("CARGO_PKG_VERSION");
        for line in [
            r#"sesmailfrom_reconcile_total{result="settled"} 1"#.to_owned(),
            r#"sesmailfrom_reconcile_total{result="unreadable"} 1"#.to_owned(),
            "sesmailfrom_reconcile_duration_seconds_count 1".to_owned(),
            format!(r#"sesmailfrom_aws_requests_total{{{call},code="ok"}} 1"#),
            format!("sesmailfrom_aws_request_duration_seconds_count{{{call}}} 1"),
            r#"sesmailfrom_drift_corrected_total{kind="records"} 1"#.to_owned(),
            "sesmailfrom_left_in_place_total 1".to_owned(),
            "sesmailfrom_leader 1".to_owned(),
            format!(r#"sesmailfrom_build_info{{version="{version}"}} 1"#),
        ] {
            assert!(text.lines().any(|found| found == line), "no {line} in\n{text}");
        }
    }
}
