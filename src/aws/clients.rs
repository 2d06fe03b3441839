//! The SDK's clients: one attempt, a limit of time, and nothing else of their own.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use aws_config::identity::IdentityCache;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::{Builder as HttpClientBuilder, ConnectorBuilder, tls};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::{Clearance, lock};
use crate::mail::{Partition, Region};

/// Credentials, endpoints and HTTP as the environment tells them: the standard
/// chain for containers and the standard `AWS_…` variables.
pub async fn load_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest()).http_client(http_client()).load().await
}

/// What the SDK makes by default for each service and region, made once: each
/// would else hold the system's root certificates and connections of its own.
fn http_client() -> SharedHttpClient {
    HttpClientBuilder::new().build_with_connector_fn(|settings, components| {
        let tls = tls::Provider::Rustls(tls::rustls_provider::CryptoMode::AwsLc);
        let mut connector = ConnectorBuilder::default().tls_provider(tls);
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.set_proxy_config(Some(ProxyConfig::from_env()));
        connector.build()
    })
}

/// Clients made from one [`SdkConfig`], and so with one set of credentials.
#[derive(Debug)]
pub(super) struct Clients {
    base: SdkConfig,
    clearance: Clearance,
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) route53: aws_sdk_route53::Client,
    ses: Mutex<HashMap<Region, aws_sdk_sesv2::Client>>,
    ses_v1: Mutex<HashMap<Region, aws_sdk_ses::Client>>,
}

impl Clients {
    /// With the credentials of `sdk`.
    pub(super) fn new(sdk: &SdkConfig, timeout: Duration, clearance: Clearance) -> Self {
        let timeouts =
            TimeoutConfig::builder().connect_timeout(timeout).operation_timeout(timeout).build();
        let mut base = sdk.clone().into_builder();
        // The queue retries, with a token, so the SDK must not. The time limit
        // covers a stalled stream as well.
        base.set_retry_config(Some(RetryConfig::disabled()));
        base.set_timeout_config(Some(timeouts));
        base.set_stalled_stream_protection(Some(StalledStreamProtectionConfig::disabled()));
        let base = base.build();
        let partition = base.region().map_or(Partition::Aws, |r| Partition::of_name(r.as_ref()));
        Self::made_from(base, partition, clearance)
    }

    /// The same with other credentials, which know themselves when they end.
    pub(super) fn with_credentials(
        &self,
        provider: SharedCredentialsProvider,
        partition: Partition,
    ) -> Self {
        let base = self.base.clone().into_builder().credentials_provider(provider);
        let base = base.identity_cache(IdentityCache::no_cache()).build();
        Self::made_from(base, partition, self.clearance.clone())
    }

    fn made_from(base: SdkConfig, partition: Partition, clearance: Clearance) -> Self {
        let home = || aws_config::Region::from_static(home(partition));
        let sts_region = base.region().cloned().unwrap_or_else(home);
        let sts = aws_sdk_sts::config::Builder::from(&base).region(sts_region);
        let sts = sts.interceptor(clearance.clone()).build();
        let route53 = aws_sdk_route53::config::Builder::from(&base).region(home());
        let route53 = route53.interceptor(clearance.clone()).build();
        Self {
            sts: aws_sdk_sts::Client::from_conf(sts),
            route53: aws_sdk_route53::Client::from_conf(route53),
            ses: Mutex::default(),
            ses_v1: Mutex::default(),
            base,
            clearance,
        }
    }

    /// The client of a region; made once, cheap to clone.
    pub(super) fn ses(&self, region: &Region) -> aws_sdk_sesv2::Client {
        let make = || {
            let name = aws_config::Region::new(region.as_str().to_owned());
            let config = aws_sdk_sesv2::config::Builder::from(&self.base).region(name);
            let config = config.interceptor(self.clearance.clone()).build();
            aws_sdk_sesv2::Client::from_conf(config)
        };
        lock(&self.ses).entry(region.clone()).or_insert_with(make).clone()
    }

    /// The client of a region for the first API; made once, cheap to clone.
    pub(super) fn ses_v1(&self, region: &Region) -> aws_sdk_ses::Client {
        let make = || {
            let name = aws_config::Region::new(region.as_str().to_owned());
            let config = aws_sdk_ses::config::Builder::from(&self.base).region(name);
            let config = config.interceptor(self.clearance.clone()).build();
            aws_sdk_ses::Client::from_conf(config)
        };
        lock(&self.ses_v1).entry(region.clone()).or_insert_with(make).clone()
    }
}

/// Where Route 53's one endpoint of a partition signs; STS answers there as
/// well where no region is configured.
fn home(partition: Partition) -> &'static str {
    match partition {
        Partition::Aws => "us-east-1",
        Partition::UsGov => "us-gov-west-1",
        Partition::Eusc => "eusc-de-east-1",
    }
}
