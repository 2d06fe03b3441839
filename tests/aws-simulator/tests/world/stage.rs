//! A served world, with real SDK clients and real resolvers for it.
use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};
use aws_sdk_sts::config::Credentials;
use aws_simulator::{
    ACCESS_KEY, ACCOUNT, Config, Listen, MailFromStatus, Quotas, Serving, SimClock, Simulator,
    ZoneSpec,
};
use hickory_resolver::{
    Resolver, TokioResolver,
    config::{ConnectionConfig, NameServerConfig, ResolverConfig},
    net::runtime::TokioRuntimeProvider,
};

pub(crate) const REGION: &str = "us-east-1";
pub(crate) const MX: &str = "10 feedback-smtp.us-east-1.amazonses.com";
/// Wall time after which something that should come is given up.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Stage {
    pub(crate) simulator: Simulator,
    pub(crate) serving: Serving,
}

/// A world without quotas, its clock moved by hand.
pub(crate) fn quiet() -> Config {
    Config { quotas: Quotas::off(), ..Config::default() }
}

impl Stage {
    pub(crate) async fn with(config: Config) -> Self {
        Self::timed(config, SimClock::manual()).await
    }

    pub(crate) async fn timed(config: Config, clock: SimClock) -> Self {
        let simulator = Simulator::new(config, clock);
        let serving = simulator.serve(Listen::default()).await.unwrap();
        Self { simulator, serving }
    }

    pub(crate) async fn quiet() -> Self {
        Self::with(quiet()).await
    }

    /// A verified identity `example.com` and its delegated zone, whose id is returned.
    pub(crate) async fn example(config: Config) -> (Self, String) {
        let stage = Self::with(config).await;
        let zone = stage.simulator.with(|world| {
            world.set_identity(ACCOUNT, REGION, "example.com", true);
            world.create_zone(ZoneSpec::public(ACCOUNT, "example.com")).unwrap()
        });
        (stage, zone)
    }

    pub(crate) fn ses(&self, region: &str) -> aws_sdk_sesv2::Client {
        self.ses_with(user(ACCESS_KEY), region)
    }

    pub(crate) fn ses_with(&self, credentials: Credentials, region: &str) -> aws_sdk_sesv2::Client {
        use aws_sdk_sesv2::config::{BehaviorVersion, Builder, Region, retry::RetryConfig};
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(self.serving.endpoint())
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .build();
        aws_sdk_sesv2::Client::from_conf(config)
    }

    pub(crate) fn route53(&self) -> aws_sdk_route53::Client {
        self.route53_as(ACCESS_KEY)
    }

    pub(crate) fn route53_as(&self, access_key: &str) -> aws_sdk_route53::Client {
        self.route53_with(user(access_key))
    }

    pub(crate) fn route53_with(&self, credentials: Credentials) -> aws_sdk_route53::Client {
        use aws_sdk_route53::config::{BehaviorVersion, Builder, Region, retry::RetryConfig};
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(self.serving.endpoint())
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .build();
        aws_sdk_route53::Client::from_conf(config)
    }

    pub(crate) fn sts(&self, access_key: &str) -> aws_sdk_sts::Client {
        self.sts_with(user(access_key))
    }

    pub(crate) fn sts_with(&self, credentials: Credentials) -> aws_sdk_sts::Client {
        use aws_sdk_sts::config::{BehaviorVersion, Builder, Region, retry::RetryConfig};
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(self.serving.endpoint())
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .build();
        aws_sdk_sts::Client::from_conf(config)
    }

    /// Asks one server only, and remembers nothing.
    pub(crate) fn dns(&self, server: Ipv4Addr) -> TokioResolver {
        let mut udp = ConnectionConfig::udp();
        udp.port = self.serving.dns_port();
        let mut tcp = ConnectionConfig::tcp();
        tcp.port = self.serving.dns_port();
        let name_server = NameServerConfig::new(IpAddr::V4(server), true, vec![udp, tcp]);
        let config = ResolverConfig::from_parts(None, vec![], vec![name_server]);
        let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
        let options = builder.options_mut();
        options.cache_size = 0;
        options.attempts = 1;
        options.timeout = Duration::from_secs(2);
        options.recursion_desired = server == self.simulator.resolver();
        builder.build().unwrap()
    }

    pub(crate) fn status(&self) -> Option<MailFromStatus> {
        self.simulator.with(|world| world.mail_from_status(ACCOUNT, REGION, "example.com"))
    }

    /// The servers of a zone.
    pub(crate) fn server_of(&self, zone: &str) -> Ipv4Addr {
        self.simulator.with(|world| world.zone(zone).unwrap().servers()[0].1)
    }
}

pub(crate) fn set(name: &str, kind: RrType, ttl: i64, values: &[&str]) -> ResourceRecordSet {
    let record = |value: &&str| ResourceRecord::builder().value(*value).build().unwrap();
    ResourceRecordSet::builder()
        .name(name)
        .r#type(kind)
        .ttl(ttl)
        .set_resource_records(Some(values.iter().map(record).collect()))
        .build()
        .unwrap()
}

pub(crate) fn batch(
    changes: impl IntoIterator<Item = (ChangeAction, ResourceRecordSet)>,
) -> ChangeBatch {
    let change =
        |(action, set)| Change::builder().action(action).resource_record_set(set).build().unwrap();
    ChangeBatch::builder()
        .set_changes(Some(changes.into_iter().map(change).collect()))
        .build()
        .unwrap()
}

/// A user's credentials: any secret will do.
pub(crate) fn user(access_key: &str) -> Credentials {
    Credentials::new(access_key, "any", None, None, "test")
}

/// Code and message of a failed SDK call.
pub(crate) fn code_of<E, R>(error: &aws_sdk_sesv2::error::SdkError<E, R>) -> (String, String)
where
    E: aws_sdk_sesv2::error::ProvideErrorMetadata,
{
    let meta = error.as_service_error().expect("an answer from the service").meta();
    (meta.code().unwrap_or_default().to_owned(), meta.message().unwrap_or_default().to_owned())
}
