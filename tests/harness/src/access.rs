use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::json;

use crate::{Error, Result};

/// How someone reaches an API server: where, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The server's URL, `https://<address>:<port>` or a proxy's.
    pub server: String,
    /// The file with the certificate that the server's own chains to.
    pub certificate_authority: PathBuf,
    /// A bearer token.
    pub token: String,
    /// The namespace that is meant where none is named.
    pub namespace: String,
}

impl Access {
    /// The same user through another address.
    #[must_use]
    pub fn through(mut self, server: impl Into<String>) -> Self {
        self.server = server.into();
        self
    }

    /// A kubeconfig, in JSON, which is YAML.
    pub fn kubeconfig(&self) -> String {
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "contexts": [{
                "name": "test",
                "context": {"cluster": "test", "user": "test", "namespace": self.namespace},
            }],
            "clusters": [{
                "name": "test",
                "cluster": {
                    "server": self.server,
                    "certificate-authority": self.certificate_authority,
                },
            }],
            "users": [{"name": "test", "user": {"token": self.token}}],
        })
        .to_string()
    }

    /// Writes the kubeconfig to `path`.
    pub fn write_kubeconfig(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.kubeconfig())
            .map_err(Error::io(format!("write {}", path.display())))
    }

    /// A client of its own: a client lives on the runtime that made it, and each
    /// test has another.
    pub async fn client(&self) -> Result<kube::Client> {
        let malformed = |error| Error::Malformed(format!("kubeconfig: {error}"));
        let kubeconfig = Kubeconfig::from_yaml(&self.kubeconfig()).map_err(malformed)?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .map_err(malformed)?;
        kube::Client::try_from(config).map_err(Error::kube(format!("a client of {}", self.server)))
    }
}
