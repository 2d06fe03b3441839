use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::{ControlPlane, Error, Result};

impl ControlPlane {
    /// Runs `kubectl` as the administrator and gives its standard output. Fails
    /// with its standard error where it does.
    pub async fn kubectl<A>(&self, args: A) -> Result<String>
    where
        A: IntoIterator<Item: AsRef<OsStr>>,
    {
        self.kubectl_with_input(args, "").await
    }

    /// As [`ControlPlane::kubectl`] with `input` on its standard input, for
    /// `apply -f -`.
    pub async fn kubectl_with_input<A>(&self, args: A, input: &str) -> Result<String>
    where
        A: IntoIterator<Item: AsRef<OsStr>>,
    {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().into()).collect();
        let joined = args.join(OsStr::new(" "));
        let command = format!("kubectl {}", joined.to_string_lossy());
        let mut child = Command::new(self.kubectl_path())
            .args(&args)
            .env_clear()
            .env("KUBECONFIG", self.kubeconfig())
            // Where it caches what the API server can do.
            .env("HOME", self.data_dir())
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io(command.as_str()))?;
        if let Some(mut stdin) = child.stdin.take() {
            let written = stdin.write_all(input.as_bytes()).await;
            // One that fails before it has read all says itself why.
            drop(written);
        }
        let output = child.wait_with_output().await.map_err(Error::io(command.as_str()))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(Error::Command {
                command,
                code: output.status.code().unwrap_or(-1),
                stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            })
        }
    }

    /// `kubectl apply -k`: installs a kustomization. Its CRDs are installed first,
    /// and waited for: `kubectl apply` knows no kinds that it installs itself. A
    /// folder of a relative path is looked for in the workspace.
    pub async fn apply_kustomize(&self, dir: impl AsRef<Path>) -> Result<String> {
        let is_crd = |object: &Value| object["kind"] == "CustomResourceDefinition";
        let crds: Vec<Value> = self.kustomize(&dir).await?.into_iter().filter(is_crd).collect();
        for crd in crds {
            self.apply(&crd.to_string()).await?;
            let name = crd["metadata"]["name"].as_str().unwrap_or_default();
            let name = format!("crd/{name}");
            let wait = ["wait", "--for=condition=Established", "--timeout=60s", &name];
            self.kubectl(wait).await?;
        }
        let dir = in_workspace(dir.as_ref());
        self.kubectl(["apply".as_ref(), "-k".as_ref(), dir.as_os_str()]).await
    }

    /// `kubectl apply -f`: every manifest in a folder, into `namespace` where they
    /// name none.
    pub async fn apply_folder(&self, dir: impl AsRef<Path>, namespace: &str) -> Result<String> {
        let dir = in_workspace(dir.as_ref());
        let args = ["apply", "-n", namespace, "-f"].map(OsStr::new);
        self.kubectl(args.into_iter().chain([dir.as_os_str()])).await
    }

    /// `kubectl apply -f -` with YAML or JSON.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        self.kubectl_with_input(["apply", "-f", "-"], manifests).await
    }

    /// The objects that `kubectl kustomize` renders.
    pub async fn kustomize(&self, dir: impl AsRef<Path>) -> Result<Vec<Value>> {
        let dir = in_workspace(dir.as_ref());
        let rendered = self.kubectl([OsStr::new("kustomize"), dir.as_os_str()]).await?;
        parse_documents(&rendered)
    }
}

/// The objects of a YAML text of several documents; empty ones are left out.
pub(crate) fn parse_documents(yaml: &str) -> Result<Vec<Value>> {
    serde_yaml_ng::Deserializer::from_str(yaml)
        .map(Value::deserialize)
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect::<Result<_, _>>()
        .map_err(|error| Error::Malformed(format!("rendered YAML: {error}")))
}

fn in_workspace(dir: &Path) -> std::path::PathBuf {
    crate::data_dir::workspace_dir().join(dir)
}
