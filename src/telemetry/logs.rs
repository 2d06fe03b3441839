//! Logs to standard error: a short message that stays the same, and fields.

use std::io;

use tracing_subscriber::filter::{ParseError, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

/// How log lines look.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For reading at a terminal.
    Text,
}

/// A filter from a level (`info`) or directives (`info,ses_mailfrom=debug`).
///
/// # Errors
/// What is wrong with the text.
pub fn filter(text: &str) -> Result<Targets, ParseError> {
    // The client logs each failed request as an error; who asked for it says
    // what it means.
    format!("{text},kube_client::client::builder=off").parse()
}

/// Starts to log.
///
/// # Errors
/// Logging was started before.
pub fn init(format: LogFormat, filter: Targets) -> Result<(), TryInitError> {
    let (logs, filtered) = (fmt::layer().with_writer(io::stderr), registry().with(filter));
    match format {
        LogFormat::Json => {
            let json = logs.json().flatten_event(true).with_span_list(false);
            filtered.with(json).try_init()
        }
        LogFormat::Text => filtered.with(logs).try_init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_or_directives_make_a_filter_and_nonsense_does_not() {
        assert!(filter("info").is_ok());
        assert!(filter("warn,ses_mailfrom=debug").is_ok());
        assert!(filter("ses_mailfrom=loud").is_err());
    }
}
