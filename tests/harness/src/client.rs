use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Api;
use kube::api::PostParams;

use crate::{Access, ControlPlane, Error, Result};

/// Seconds that a token holds: longer than any test or benchmark.
const TOKEN_LIFE: i64 = 24 * 60 * 60;

impl ControlPlane {
    /// How the ServiceAccount `name` of `namespace`, which must exist, reaches the
    /// API server: with a token of its own, from a TokenRequest.
    pub async fn service_account(&self, namespace: &str, name: &str) -> Result<Access> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await?, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(TOKEN_LIFE),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let what = format!("a token for ServiceAccount {namespace}/{name}");
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .map_err(Error::kube(what.as_str()))?;
        let token = answer
            .status
            .and_then(|status| status.token)
            .ok_or_else(|| Error::Malformed(format!("{what} came back empty")))?;
        Ok(Access { token, namespace: namespace.to_owned(), ..self.admin().clone() })
    }

    /// A new client for that ServiceAccount.
    pub async fn client_as(&self, namespace: &str, name: &str) -> Result<kube::Client> {
        self.service_account(namespace, name).await?.client().await
    }
}
