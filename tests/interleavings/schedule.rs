//! What a world is like, and what happens in it: generated.

use std::time::Duration;

use aws_simulator::{
    BehaviorPut, CheckSchedule, Config, DnsConfig, EqualPut, ForeignMx, MailFromStatus,
    PutInFailed, Quotas, Route53Config, SesConfig, SeveralMx, Trouble, UnknownIdentity,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::cluster::Mishap;
use crate::lifeline::Cut;

pub(crate) const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "us-west-2"];
pub(crate) const SUBDOMAINS: [&str; 3] = ["bounce", "mail", "a.b"];

/// A step of a schedule: something happens, and then some time passes.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// To which object, where there are two.
    pub who: usize,
    pub event: Event,
    pub wait: Duration,
}

/// A change of the spec.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Edit {
    Subdomain(&'static str),
    /// The `n`th region comes, or goes unless it is the last.
    ToggleRegion(usize),
    /// The `n`th region listed gets a subdomain of its own, or loses it.
    ToggleOwnName(usize),
    MxRegion(usize),
    Reject(bool),
    Ttl(i32),
}

/// What others do to DNS, at the name of one of [`SUBDOMAINS`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum DnsEdit {
    RemoveMx,
    RemoveTxt,
    RemoveMarker,
    ForeignMx,
    SecondMx,
    AddTxt,
    AddSpf,
    /// Another sender joins the SPF record that stands.
    ExtendSpf,
    MxTtl,
}

/// What others do in SES, in the `n`th of [`REGIONS`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum SesEdit {
    Clear,
    Foreign,
    Raise,
    Force(MailFromStatus),
    Unverify,
    Verify,
    LoseIdentity,
}

#[derive(Clone, Debug)]
pub(crate) enum Event {
    Nothing,
    /// The object is planned again.
    Wake,
    /// The process dies at once and a new one starts.
    Kill,
    /// The process dies at a call to come.
    Cut(Cut),
    Edit(Edit),
    /// A write that changes no generation, for others to lose a race against.
    Label,
    WipeStatus,
    Delete,
    /// The object is made anew, if it is gone.
    Create,
    Dns(usize, DnsEdit),
    /// The same, between a reading and the write that rests on it.
    Intrude(usize, DnsEdit),
    Ses(usize, SesEdit),
    /// Whether the parent sends the world to the zone's own servers.
    Delegated(bool),
    /// Whether those servers answer nobody: a setting stays Pending.
    Silent(bool),
    /// So many calls of an action go wrong.
    Fault(&'static str, Trouble, usize),
    Mishap(Mishap),
    /// The watch takes so long from now on.
    Lag(Duration),
}

/// What a world is like: AWS's switches where its behaviour is not documented,
/// and what the object asks for at first.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub config: Config,
    pub reject: bool,
    /// The rollout.
    pub immediate: bool,
    pub regions: usize,
    pub rival: Rival,
}

/// A second object, and what it wants too.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Rival {
    None,
    /// The same identity in the same regions.
    Identity,
    /// The same MAIL FROM domain, for another identity.
    Name,
    /// All the same, under another operator.
    Operator,
}

pub(crate) fn setting() -> impl Strategy<Value = Setting> {
    let switches = (any::<[bool; 6]>(), prop::bool::weighted(0.1), any::<[bool; 3]>());
    let times = (select(vec![0, 5, 45]), select(vec![0, 30, 90]), select(vec![0, 4]));
    let rival = prop_oneof![
        6 => Just(Rival::None),
        1 => Just(Rival::Identity),
        1 => Just(Rival::Name),
        1 => Just(Rival::Operator),
    ];
    let wanted = (any::<bool>(), prop::bool::weighted(0.2), 1..=2usize, rival);
    (switches, times, wanted).prop_map(|(switches, times, wanted)| {
        let ([equal, behavior, failed, several, unknown, shares], foreign, [eager, quotas, neg]) =
            switches;
        let (stale, in_sync, submission) = times;
        let (reject, immediate, regions, rival) = wanted;
        let ses = SesConfig {
            window: Duration::from_mins(90),
            checks: if eager { CheckSchedule::eager() } else { slow() },
            stale_reads: Duration::from_secs(stale),
            equal_put: if equal { EqualPut::Resets } else { EqualPut::Keeps },
            behavior_put: if behavior { BehaviorPut::Resets } else { BehaviorPut::Keeps },
            put_in_failed: if failed { PutInFailed::Ignored } else { PutInFailed::Restarts },
            foreign_mx: if foreign { ForeignMx::Refused } else { ForeignMx::Accepted },
            several_mx: if several { SeveralMx::FailsAtOnce } else { SeveralMx::WindowRunsOut },
            unknown_identity: if unknown {
                UnknownIdentity::NotFound
            } else {
                UnknownIdentity::BadRequest
            },
            ..SesConfig::default()
        };
        let config = Config {
            ses,
            route53: Route53Config {
                in_sync_after: Duration::from_secs(in_sync),
                submission: Duration::from_secs(submission),
                soa_minimum: if neg { 86_400 } else { 60 },
                ..Route53Config::default()
            },
            dns: DnsConfig { ses_shares_resolver: shares, ..DnsConfig::default() },
            quotas: if quotas { Quotas::default() } else { Quotas::off() },
            ..Config::default()
        };
        Setting { config, reject, immediate, regions, rival }
    })
}

/// SES that looks ever less often, within its window.
fn slow() -> CheckSchedule {
    let longest = Duration::from_mins(15);
    CheckSchedule { longest, keep: longest, ..CheckSchedule::default() }
}

pub(crate) fn schedule() -> impl Strategy<Value = Vec<Step>> {
    let who = prop_oneof![2 => Just(0usize), 1 => Just(1)];
    let step = (who, event(), wait()).prop_map(|(who, event, wait)| Step { who, event, wait });
    prop::collection::vec(step, 0..16)
}

fn wait() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => Just(Duration::ZERO),
        4 => (1..500u64).prop_map(Duration::from_millis),
        4 => (1..100u64).prop_map(Duration::from_secs),
        2 => (2..30u64).prop_map(Duration::from_mins),
        1 => (1..3u64).prop_map(Duration::from_hours),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Nothing),
        2 => Just(Event::Wake),
        2 => Just(Event::Kill),
        6 => cut().prop_map(Event::Cut),
        6 => edit().prop_map(Event::Edit),
        1 => Just(Event::Label),
        1 => Just(Event::WipeStatus),
        1 => Just(Event::Delete),
        1 => Just(Event::Create),
        3 => (0..2usize, dns_edit()).prop_map(|(name, edit)| Event::Dns(name, edit)),
        2 => (0..2usize, dns_edit()).prop_map(|(name, edit)| Event::Intrude(name, edit)),
        1 => any::<bool>().prop_map(Event::Delegated),
        1 => any::<bool>().prop_map(Event::Silent),
        4 => (0..2usize, ses_edit()).prop_map(|(region, edit)| Event::Ses(region, edit)),
        4 => (action(), trouble(), 1..4usize).prop_map(|(a, t, n)| Event::Fault(a, t, n)),
        2 => select(vec![Mishap::Refused, Mishap::LostAnswer]).prop_map(Event::Mishap),
        1 => select(vec![0, 300, 5000]).prop_map(|ms| Event::Lag(Duration::from_millis(ms))),
    ]
}

fn cut() -> impl Strategy<Value = Cut> {
    (0..12usize, any::<bool>(), any::<bool>()).prop_map(|(after, writes_only, carried_out)| {
        let after = if writes_only { after / 2 } else { after };
        Cut { after, writes_only, carried_out }
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        3 => select(SUBDOMAINS.to_vec()).prop_map(Edit::Subdomain),
        3 => (0..3usize).prop_map(Edit::ToggleRegion),
        2 => (0..2usize).prop_map(Edit::ToggleOwnName),
        1 => (0..3usize).prop_map(Edit::MxRegion),
        2 => any::<bool>().prop_map(Edit::Reject),
        1 => select(vec![300, 600]).prop_map(Edit::Ttl),
    ]
}

fn dns_edit() -> impl Strategy<Value = DnsEdit> {
    use DnsEdit::*;
    select(vec![
        RemoveMx,
        RemoveMx,
        RemoveTxt,
        RemoveMarker,
        ForeignMx,
        SecondMx,
        AddTxt,
        AddTxt,
        AddSpf,
        ExtendSpf,
        MxTtl,
        MxTtl,
    ])
}

fn ses_edit() -> impl Strategy<Value = SesEdit> {
    use MailFromStatus::{Failed, Pending, Success, TemporaryFailure};
    use SesEdit::*;
    select(vec![
        Clear,
        Clear,
        Foreign,
        Raise,
        Force(Pending),
        Force(Failed),
        Force(Failed),
        Force(TemporaryFailure),
        Force(Success),
        Unverify,
        Verify,
        LoseIdentity,
    ])
}

fn action() -> impl Strategy<Value = &'static str> {
    select(vec![
        "ChangeResourceRecordSets",
        "ChangeResourceRecordSets",
        "PutEmailIdentityMailFromAttributes",
        "PutEmailIdentityMailFromAttributes",
        "GetIdentityMailFromDomainAttributes",
        "GetIdentityVerificationAttributes",
        "ListResourceRecordSets",
        "ListHostedZonesByName",
        "GetChange",
        "GetCallerIdentity",
    ])
}

fn trouble() -> impl Strategy<Value = Trouble> {
    select(vec![
        Trouble::LoseAnswer,
        Trouble::LoseAnswer,
        Trouble::FailAfter(500),
        Trouble::Fail(503),
        Trouble::Hang,
        Trouble::HangAfter,
        Trouble::Throttle,
        Trouble::AccessDenied,
        Trouble::Malformed,
    ])
}
