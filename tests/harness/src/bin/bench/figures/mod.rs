//! The figures, each a pure function of what was seen from outside: the
//! simulator's logs, the API server's audit log, and /proc.

pub(crate) mod culprit;
pub(crate) mod dns;
pub(crate) mod growth;
pub(crate) mod kubernetes;
pub(crate) mod people;
pub(crate) mod quota;
pub(crate) mod route53;
pub(crate) mod ses;

use std::time::Duration;

use aws_simulator::{Call, DnsQuestion, Event, Outcome, Service};
use harness::audit::Request;
use serde::Serialize;

/// One measured figure. It is good where `value` ≤ `bound`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Figure {
    pub(crate) name: &'static str,
    pub(crate) scenario: String,
    pub(crate) n: usize,
    /// None where it could not be measured, which is never good.
    pub(crate) value: Option<f64>,
    pub(crate) unit: &'static str,
    /// The least that is possible, in the same unit, where that is known.
    pub(crate) floor: Option<f64>,
    /// None where it is told for what it is.
    pub(crate) bound: Option<f64>,
}

impl Figure {
    /// Whether it keeps its bound.
    pub(crate) fn is_good(&self) -> bool {
        match (self.value, self.bound) {
            (_, None) => true,
            (None, Some(_)) => false,
            // What is counted and divided may miss by a rounding.
            (Some(value), Some(bound)) => value <= bound + 1e-9,
        }
    }
}

/// A time on the simulator's clock, which goes with the wall's.
pub(crate) fn seconds(at: Duration) -> f64 {
    at.as_secs_f64()
}

/// A count as a number to reckon with.
#[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// Part of a run, in seconds of the simulator's clock, the end excluded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl Span {
    /// How long it is.
    pub(crate) fn length(self) -> f64 {
        self.to - self.from
    }

    fn holds(self, at: f64) -> bool {
        self.from <= at && at < self.to
    }
}

/// A request to the API server with its time on the simulator's clock.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    pub(crate) at: f64,
    pub(crate) request: Request,
}

/// Everything that was seen of one run, or of a part of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Logs {
    pub(crate) calls: Vec<Call>,
    pub(crate) events: Vec<Event>,
    pub(crate) questions: Vec<DnsQuestion>,
    /// Of the operator alone.
    pub(crate) requests: Vec<Asked>,
}

impl Logs {
    /// What falls into a span.
    pub(crate) fn within(&self, span: Span) -> Self {
        let holds = |at: Duration| span.holds(seconds(at));
        Self {
            calls: self.calls.iter().filter(|call| holds(call.at)).cloned().collect(),
            events: self.events.iter().filter(|event| holds(event.at)).cloned().collect(),
            questions: self.questions.iter().filter(|asked| holds(asked.at)).cloned().collect(),
            requests: self.requests.iter().filter(|asked| span.holds(asked.at)).cloned().collect(),
        }
    }

    /// Calls of one action.
    pub(crate) fn of<'a>(&'a self, action: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.action == action)
    }
}

/// Whether a call only reads.
pub(crate) fn is_read(call: &Call) -> bool {
    call.service != Service::Sts && !call.action.starts_with("Put") && call.action != CHANGE
}

/// The write to Route 53.
pub(crate) const CHANGE: &str = "ChangeResourceRecordSets";
/// The poll of a write.
pub(crate) const POLL: &str = "GetChange";
/// The write to SES.
pub(crate) const PUT: &str = "PutEmailIdentityMailFromAttributes";

/// Whether a service said that there were too many requests.
pub(crate) fn is_throttled(call: &Call) -> bool {
    let codes = ["Throttling", "ThrottlingException", "TooManyRequestsException"];
    codes.iter().any(|code| call.outcome.is_error(code))
}

/// Whether it was answered with success.
pub(crate) fn succeeded(call: &Call) -> bool {
    call.outcome == Outcome::Ok
}

/// Calls and logs made by hand, for the tests of the figures.
#[cfg(test)]
pub(crate) mod by_hand {
    use super::*;

    /// A successful call at that second.
    pub(crate) fn call(at: f64, action: &str, targets: &[&str]) -> Call {
        let service = match action {
            "AssumeRole" | "GetCallerIdentity" => Service::Sts,
            "ChangeResourceRecordSets" | "GetChange" | "GetHostedZone" => Service::Route53,
            action if action.starts_with("ListHosted") => Service::Route53,
            "ListResourceRecordSets" => Service::Route53,
            _ => Service::Ses,
        };
        Call {
            order: 0,
            at: Duration::from_secs_f64(at),
            account: "1".to_owned(),
            access_key: "AKIA".to_owned(),
            region: "us-east-1".to_owned(),
            service,
            action: action.to_owned(),
            targets: targets.iter().map(|&target| target.to_owned()).collect(),
            parameters: String::new(),
            outcome: Outcome::Ok,
        }
    }

    /// The same, answered with an error.
    pub(crate) fn refused(at: f64, action: &str, targets: &[&str], code: &str) -> Call {
        let outcome = Outcome::Error { status: 400, code: code.to_owned() };
        Call { outcome, ..call(at, action, targets) }
    }

    pub(crate) fn logs(calls: Vec<Call>) -> Logs {
        Logs { calls, ..Logs::default() }
    }

    /// A request to the API server, at the beginning.
    pub(crate) fn asked(verb: &str, resource: &str, subresource: &str) -> Asked {
        let text = str::to_owned;
        let request = Request {
            at: jiff::Timestamp::UNIX_EPOCH,
            user: text("operator"),
            verb: text(verb),
            group: String::new(),
            resource: text(resource),
            subresource: text(subresource),
            namespace: text("a"),
            name: text("x"),
            uri: String::new(),
            code: 200,
        };
        Asked { at: 0.0, request }
    }

    /// Equal but for rounding.
    pub(crate) fn same(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9
    }
}

#[cfg(test)]
mod tests {
    use super::by_hand::{call, logs, refused};
    use super::*;

    #[test]
    fn a_figure_that_was_not_measured_is_good_only_without_a_bound() {
        let figure = |value, bound| Figure {
            name: "x",
            scenario: "s".to_owned(),
            n: 1,
            value,
            unit: "",
            floor: None,
            bound,
        };
        assert!(figure(Some(1.0), Some(1.0)).is_good());
        assert!(!figure(Some(1.01), Some(1.0)).is_good());
        assert!(!figure(None, Some(1.0)).is_good());
        assert!(figure(None, None).is_good());
    }

    #[test]
    fn a_span_takes_its_beginning_and_leaves_its_end() {
        let all = logs(vec![call(1.0, PUT, &[]), call(2.0, PUT, &[]), call(3.0, POLL, &[])]);
        let within = all.within(Span { from: 1.0, to: 3.0 });
        assert_eq!(within.calls.len(), 2);
        assert_eq!(within.of(PUT).count(), 2);
    }

    #[test]
    fn each_services_own_word_for_throttling_counts() {
        for code in ["Throttling", "TooManyRequestsException"] {
            assert!(is_throttled(&refused(0.0, PUT, &[], code)));
        }
        assert!(!is_throttled(&refused(0.0, PUT, &[], "AccessDenied")));
        assert!(!is_throttled(&call(0.0, PUT, &[])));
    }
}
