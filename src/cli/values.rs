//! What a flag's value may be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use jiff::SignedDuration;

use crate::mail::Regions;
use crate::telemetry;

const LONGEST: Duration = Duration::from_hours(24 * 3650);

/// `15s`, `10m`, `72h`, `200ms`, `1h30m`: more than nothing, at most ten years.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    const ALLOWED: &str = "allowed is a duration above zero such as 200ms, 15s, 10m or 72h";
    let parsed: SignedDuration = text.parse().map_err(|_| ALLOWED.to_owned())?;
    let duration = Duration::try_from(parsed).map_err(|_| ALLOWED.to_owned())?;
    if duration.is_zero() || duration > LONGEST { Err(ALLOWED.to_owned()) } else { Ok(duration) }
}

/// Requests per second.
pub(super) fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    let allowed = rate.filter(|rate| (0.001..=10_000.0).contains(rate));
    allowed.ok_or_else(|| "allowed are requests per second from 0.001 to 10000".to_owned())
}

/// `NAME=FEEDBACK-HOST`.
pub(super) fn region(text: &str) -> Result<String, String> {
    Regions::with_overrides([text]).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// Whom the markers speak for. It stands in the external id with which roles
/// are assumed, which takes these characters only (STS API, `AssumeRole`).
pub(super) fn owner_id(text: &str) -> Result<String, String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_+=,.@:/-".contains(c);
    if (1..=253).contains(&text.len()) && text.chars().all(legal) {
        Ok(text.to_owned())
    } else {
        Err("allowed are 1 to 253 ASCII letters, digits and _+=,.@:/-".to_owned())
    }
}

/// A namespace's name: a DNS label (RFC 1123).
pub(super) fn namespace(text: &str) -> Result<String, String> {
    let legal = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let ok = (1..=63).contains(&text.len())
        && text.bytes().all(legal)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if ok {
        Ok(text.to_owned())
    } else {
        Err("allowed is the name of a namespace: at most 63 lower-case letters, digits and '-'"
            .to_owned())
    }
}

/// Where recursive look-ups go.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Resolver {
    /// To the resolvers of the system.
    System,
    /// To this one.
    At(SocketAddr),
}

/// `system`, `IP` or `IP:PORT`.
pub(super) fn resolver(text: &str) -> Result<Resolver, String> {
    if text == "system" {
        return Ok(Resolver::System);
    }
    let address = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    let address = address.or_else(|_| text.parse());
    let allowed = "allowed is IP or IP:PORT, as in 192.0.2.1, 192.0.2.1:5353 or [2001:db8::1]:53";
    address.map(Resolver::At).map_err(|_| allowed.to_owned())
}

/// `:PORT`, or `IP:PORT`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Listen {
    /// On every address.
    Everywhere(u16),
    /// On this one.
    At(SocketAddr),
}

pub(super) fn listen(text: &str) -> Result<Listen, String> {
    let port = text.strip_prefix(':').and_then(|port| port.parse().ok());
    let everywhere = port.map(Listen::Everywhere);
    let at = || text.parse().ok().map(Listen::At);
    everywhere.or_else(at).ok_or_else(|| {
        "allowed is :PORT or IP:PORT, as in :8080, 127.0.0.1:8080 or [::1]:8080".to_owned()
    })
}

impl Listen {
    /// What to bind: the first that can be. `[::]` takes IPv4 as well, but is
    /// not there on machines without IPv6.
    pub(super) fn addresses(self) -> Vec<SocketAddr> {
        match self {
            Self::At(address) => vec![address],
            Self::Everywhere(port) => {
                vec![(Ipv6Addr::UNSPECIFIED, port).into(), (Ipv4Addr::UNSPECIFIED, port).into()]
            }
        }
    }
}

/// A level or directives for the log.
pub(super) fn log(text: &str) -> Result<String, String> {
    let allowed =
        "allowed is error, warn, info, debug, trace, or TARGET=LEVEL, separated by commas";
    telemetry::filter(text).map_err(|error| format!("{error}; {allowed}"))?;
    Ok(text.to_owned())
}
