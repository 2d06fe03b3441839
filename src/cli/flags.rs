//! The flags of `ses-mailfrom run`. Each is an environment variable too.

use std::time::Duration;

use clap::{Args, ValueEnum, value_parser};

use super::election::ElectionFlags;
use super::values::{
    Listen, Resolver, duration, listen, log, namespace, owner_id, rate, region, resolver,
};
use crate::mail::{RegionError, Regions};
use crate::plan::Settings;
use crate::telemetry::LogFormat;

/// How the operator runs.
#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_field_names)]
pub struct RunFlags {
    /// A namespace to watch; may be given several times. Without it, all are.
    #[arg(long, value_name = "NAME", value_parser = namespace, value_delimiter = ',', env = "SES_MAILFROM_WATCH_NAMESPACE")]
    pub(super) watch_namespace: Vec<String>,
    /// Whom the ownership markers in DNS speak for. Must never live in two clusters at once. Default: the UID of the namespace kube-system.
    #[arg(long, value_name = "TEXT", value_parser = owner_id, env = "SES_MAILFROM_OWNER_ID")]
    pub(super) owner_id: Option<String>,
    /// How many objects are reconciled at once.
    #[arg(long, value_name = "COUNT", default_value = "64", value_parser = value_parser!(u16).range(1..), env = "SES_MAILFROM_MAX_CONCURRENT_RECONCILES")]
    pub(super) max_concurrent_reconciles: u16,
    /// Requests per second to SES, per account, region and action.
    #[arg(long, value_name = "RATE", default_value = "0.98", value_parser = rate, env = "SES_MAILFROM_SES_RATE")]
    pub(super) ses_rate: f64,
    /// Requests per second to Route 53, per account.
    #[arg(long, value_name = "RATE", default_value = "4", value_parser = rate, env = "SES_MAILFROM_ROUTE53_RATE")]
    pub(super) route53_rate: f64,
    /// Writes per second to the API server; after a pause, those of two seconds leave at once.
    #[arg(long, value_name = "RATE", default_value = "150", value_parser = rate, env = "SES_MAILFROM_KUBE_API_RATE")]
    pub(super) kube_api_rate: f64,
    /// A region newer than this program, or another feedback host; may be given several times.
    #[arg(long, value_name = "NAME=FEEDBACK-HOST", value_parser = region, value_delimiter = ',', env = "SES_MAILFROM_REGION")]
    pub(super) region: Vec<String>,
    /// Where name servers are looked up: `system`, or IP[:PORT], which may be given several times.
    #[arg(long, value_name = "IP[:PORT]", default_value = "system", value_parser = resolver, value_delimiter = ',', env = "SES_MAILFROM_DNS_RESOLVER")]
    pub(super) dns_resolver: Vec<Resolver>,
    /// Where name servers answer.
    #[arg(long, value_name = "PORT", default_value = "53", value_parser = value_parser!(u16).range(1..), env = "SES_MAILFROM_DNS_PORT")]
    pub(super) dns_port: u16,
    /// Where /livez, /readyz and /metrics answer.
    #[arg(long, value_name = "[IP]:PORT", default_value = ":8080", value_parser = listen, env = "SES_MAILFROM_LISTEN")]
    pub(super) listen: Listen,
    /// The operator's durations.
    #[command(flatten)]
    pub(super) durations: DurationFlags,
    /// Which of several processes acts.
    #[command(flatten)]
    pub(super) election: ElectionFlags,
    /// What is logged.
    #[command(flatten)]
    pub(super) logs: LogFlags,
}

/// The operator's durations: `200ms`, `15s`, `10m`, `72h`.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Durations")]
pub(super) struct DurationFlags {
    /// How long SES looks for the MX.
    #[arg(long, value_name = "DURATION", default_value = "72h", value_parser = duration, env = "SES_MAILFROM_VERIFICATION_WINDOW")]
    verification_window: Duration,
    /// How long the records of an abandoned name stay for late bounces.
    #[arg(long, value_name = "DURATION", default_value = "120h", value_parser = duration, env = "SES_MAILFROM_DRAIN_WINDOW")]
    drain_window: Duration,
    /// How often a pending setup is looked at, at first.
    #[arg(long, value_name = "DURATION", default_value = "15s", value_parser = duration, env = "SES_MAILFROM_POLL_MIN")]
    poll_min: Duration,
    /// How often a pending setup is looked at, at last.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, env = "SES_MAILFROM_POLL_MAX")]
    poll_max: Duration,
    /// How often a settled object is looked at, at least: jittered.
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = duration, env = "SES_MAILFROM_RESYNC")]
    resync: Duration,
    /// The first pause before a failed setup is restarted.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration, env = "SES_MAILFROM_RESTART_PAUSE_MIN")]
    restart_pause_min: Duration,
    /// The longest pause before a failed setup is restarted.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration, env = "SES_MAILFROM_RESTART_PAUSE_MAX")]
    restart_pause_max: Duration,
    /// No second put to an identity and region within this.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, env = "SES_MAILFROM_PUT_HOLD_OFF")]
    put_hold_off: Duration,
    /// How long a person has to act before an object is Stalled.
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration, env = "SES_MAILFROM_STALL_GRACE")]
    stall_grace: Duration,
    /// How long no policy must have allowed an object what it asks for before it may go without cleaning up.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration, env = "SES_MAILFROM_AUTHORITY_GRACE")]
    authority_grace: Duration,
    /// How old the last good reading may be before Ready is Unknown.
    #[arg(long, value_name = "DURATION", default_value = "2h", value_parser = duration, env = "SES_MAILFROM_STALE_AFTER")]
    stale_after: Duration,
    /// Three repairs of one value within this are a loop.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration, env = "SES_MAILFROM_DRIFT_LOOP_WINDOW")]
    drift_loop_window: Duration,
    /// How long to wait for DNS where neither the change nor the name servers tell.
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = duration, env = "SES_MAILFROM_INSYNC_FALLBACK")]
    insync_fallback: Duration,
    /// The oldest reading that a put may rest on.
    #[arg(long, value_name = "DURATION", default_value = "120s", value_parser = duration, env = "SES_MAILFROM_MAX_OBSERVATION_AGE")]
    max_observation_age: Duration,
    /// How long hosted zones are remembered.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration, env = "SES_MAILFROM_ZONE_CACHE")]
    zone_cache: Duration,
    /// How long a Route 53 change batch waits for company after its last newcomer; behind another batch of its zone a tenth of --linger-max, if that is longer.
    #[arg(long, value_name = "DURATION", default_value = "200ms", value_parser = duration, env = "SES_MAILFROM_LINGER")]
    linger: Duration,
    /// How long a Route 53 change batch waits at most after its first member; where no other has left its zone for so long, a tenth of that, but --linger at least.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration, env = "SES_MAILFROM_LINGER_MAX")]
    linger_max: Duration,
}

/// What is logged.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Logs")]
pub struct LogFlags {
    /// One JSON object a line, or text to read.
    #[arg(long, default_value = "json", env = "SES_MAILFROM_LOG_FORMAT")]
    pub(super) log_format: Format,
    /// A level, or TARGET=LEVEL, separated by commas.
    #[arg(long, value_name = "FILTER", default_value = "info", value_parser = log, env = "SES_MAILFROM_LOG")]
    pub(super) log: String,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Format {
    Json,
    Text,
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Text => Self::Text,
        }
    }
}

impl RunFlags {
    /// What no flag can tell alone.
    ///
    /// # Errors
    /// The flags, their values, and what is allowed.
    pub(super) fn check(&self) -> Result<(), String> {
        let DurationFlags { poll_min, poll_max, .. } = self.durations;
        let DurationFlags { restart_pause_min, restart_pause_max, .. } = self.durations;
        let (linger, linger_max) = self.linger();
        for (min, least, max, most) in [
            ("--poll-min", poll_min, "--poll-max", poll_max),
            ("--restart-pause-min", restart_pause_min, "--restart-pause-max", restart_pause_max),
            ("--linger", linger, "--linger-max", linger_max),
        ] {
            if least > most {
                return Err(format!(
                    "{min} {least:?} is more than {max} {most:?}: allowed is at most {most:?}"
                ));
            }
        }
        if self.dns_resolver.contains(&Resolver::System) && self.dns_resolver.len() > 1 {
            return Err("--dns-resolver system stands beside addresses: allowed is system alone, or addresses".into());
        }
        self.election.check()
    }

    /// How long a change batch waits for company: after its last newcomer, and
    /// after its first member.
    pub(super) fn linger(&self) -> (Duration, Duration) {
        (self.durations.linger, self.durations.linger_max)
    }

    /// What decisions go by.
    ///
    /// # Errors
    /// A region that is not `NAME=FEEDBACK-HOST`, which parsing has ruled out.
    pub(super) fn settings(&self) -> Result<Settings, RegionError> {
        let DurationFlags {
            verification_window,
            drain_window,
            poll_min,
            poll_max,
            resync,
            restart_pause_min,
            restart_pause_max,
            put_hold_off,
            stall_grace,
            authority_grace,
            stale_after,
            drift_loop_window,
            insync_fallback,
            max_observation_age,
            zone_cache,
            linger: _,
            linger_max: _,
        } = self.durations;
        Ok(Settings {
            verification_window,
            drain_window,
            poll_min,
            poll_max,
            resync,
            restart_pause_min,
            restart_pause_max,
            put_hold_off,
            stall_grace,
            authority_grace,
            stale_after,
            drift_loop_window,
            insync_fallback,
            max_observation_age,
            zone_cache,
            regions: Regions::with_overrides(self.region.iter().map(String::as_str))?,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clap::Parser;

    use super::*;
    use crate::lease::Timing;

    #[derive(Debug, Parser)]
    struct Bench {
        #[command(flatten)]
        run: RunFlags,
    }

    fn parse(flags: &[&str]) -> Result<RunFlags, String> {
        let flags = ["ses-mailfrom"].iter().chain(flags);
        let parsed = Bench::try_parse_from(flags).map_err(|error| error.to_string())?;
        parsed.run.check().map(|()| parsed.run)
    }

    #[test]
    fn the_defaults_are_those_that_are_documented() {
        let flags = parse(&[]).unwrap();
        let settings = flags.settings().unwrap();
        assert_eq!(settings.verification_window, Duration::from_hours(72));
        assert_eq!(settings.poll_min, Duration::from_secs(15));
        assert_eq!(settings.restart_pause_max, Duration::from_hours(24));
        assert_eq!(flags.linger(), (Duration::from_millis(200), Duration::from_secs(10)));
        assert_eq!(flags.dns_resolver, [Resolver::System]);
        assert_eq!(flags.listen, Listen::Everywhere(8080));
        assert_eq!(flags.max_concurrent_reconciles, 64);
        assert!(flags.watch_namespace.is_empty());
        let seconds = Duration::from_secs;
        let timing = Timing {
            lease_duration: seconds(15),
            renew_deadline: seconds(10),
            retry_period: seconds(2),
        };
        assert_eq!(flags.election.timing(), Some(timing));
        assert_eq!(parse(&["--leader-elect=false"]).unwrap().election.timing(), None);
        assert_eq!(parse(&["--leader-elect"]).unwrap().election.timing(), Some(timing));
    }

    #[test]
    fn repeatable_flags_repeat_and_values_are_taken() {
        let flags = parse(&[
            "--watch-namespace=a",
            "--watch-namespace=b",
            "--dns-resolver=127.53.0.1:5353",
            "--dns-resolver=192.0.2.1",
            "--region=us-east-9=feedback.example.com",
            "--poll-min=100ms",
            "--poll-max=1m30s",
            "--listen=127.0.0.1:0",
        ])
        .unwrap();
        assert_eq!(flags.watch_namespace, ["a", "b"]);
        let resolvers =
            ["127.53.0.1:5353", "192.0.2.1:53"].map(|a| Resolver::At(a.parse().unwrap()));
        assert_eq!(flags.dns_resolver, resolvers);
        let settings = flags.settings().unwrap();
        assert!(settings.regions.get("us-east-9").is_ok());
        assert_eq!(settings.poll_min, Duration::from_millis(100));
        assert_eq!(settings.poll_max, Duration::from_secs(90));
        assert_eq!(flags.listen.addresses(), ["127.0.0.1:0".parse().unwrap()]);
    }

    #[test]
    fn what_is_refused_is_named_with_what_is_allowed() {
        for (flags, named) in [
            (&["--poll-min=fast"][..], &["--poll-min", "fast", "15s"][..]),
            (&["--resync=0s"], &["--resync", "0s", "above zero"]),
            (&["--resync=-5s"], &["--resync", "-5s", "above zero"]),
            (&["--poll-min=11m"], &["--poll-min", "660s", "--poll-max", "at most 600s"]),
            (
                &["--restart-pause-min=25h"],
                &["--restart-pause-min", "--restart-pause-max", "at most 86400s"],
            ),
            (&["--linger=11s"], &["--linger", "11s", "--linger-max", "at most 10s"]),
            (&["--leader-elect=maybe"], &["--leader-elect", "maybe", "true, false"]),
            (
                &["--lease-duration=10s"],
                &["--renew-deadline 10s", "--lease-duration 10s", "less than 10s"],
            ),
            (
                &["--retry-period=9s"],
                &["--retry-period 9s", "--renew-deadline 10s", "less than 8.333s"],
            ),
            (
                &["--renew-deadline=2400ms"],
                &["--retry-period 2s", "--renew-deadline 2.4s", "less than 2.000s"],
            ),
            (&["--ses-rate=0"], &["--ses-rate", "'0'", "from 0.001"]),
            (&["--route53-rate=-1"], &["--route53-rate", "-1", "from 0.001"]),
            (&["--kube-api-rate=0"], &["--kube-api-rate", "'0'", "from 0.001"]),
            (&["--ses-rate=NaN"], &["--ses-rate", "NaN", "from 0.001"]),
            (&["--region=us-east-9"], &["--region", "us-east-9", "NAME=FEEDBACK-HOST"]),
            (&["--dns-resolver=dns.example"], &["--dns-resolver", "dns.example", "IP:PORT"]),
            (&["--dns-resolver=system,192.0.2.1"], &["--dns-resolver", "system alone"]),
            (&["--dns-port=0"], &["--dns-port", "0", "1..=65535"]),
            (&["--max-concurrent-reconciles=0"], &["--max-concurrent-reconciles", "1..=65535"]),
            (&["--watch-namespace=Mail"], &["--watch-namespace", "Mail", "lower-case"]),
            (&["--owner-id=a b"], &["--owner-id", "a b", "letters, digits and"]),
            (&["--listen=8080"], &["--listen", "8080", ":PORT"]),
            (&["--log=ses_mailfrom=loud"], &["--log", "loud", "TARGET=LEVEL"]),
            (&["--log-format=xml"], &["--log-format", "xml", "json"]),
        ] {
            let error = parse(flags).unwrap_err();
            for part in named {
                assert!(error.contains(part), "no {part} in: {error}");
            }
        }
    }
}
