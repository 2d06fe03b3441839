use std::net::SocketAddr;
use std::path::Path;

use crate::data_dir::DataDir;
use crate::key::service_account_key;
use crate::{Error, Result};

/// Who the token of the administrator speaks for, as RBAC sees it.
const ADMIN: &str = "harness-admin,harness-admin,system:masters";

/// What the audit log holds: a line for each request that was answered, with user,
/// verb and resource, without bodies. The API server's own requests are left out,
/// and a watch counts when it begins.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: None, users: ['system:apiserver', 'system:anonymous']}
- {level: Metadata}
";

/// The files that kube-apiserver reads at its start.
pub(crate) struct Files {
    tokens: String,
    key: String,
    audit_policy: String,
    audit_log: String,
    certificates: String,
}

impl Files {
    /// Writes them, with `token` as the administrator's.
    pub(crate) fn write(data: &DataDir, token: &str) -> Result<Self> {
        let write = |name: &str, text: &str| {
            let path = data.file(name);
            std::fs::write(&path, text).map_err(Error::io(format!("write {}", path.display())))?;
            Ok::<_, Error>(text_of(&path))
        };
        Ok(Self {
            tokens: write("tokens.csv", &format!("{token},{ADMIN}\n"))?,
            key: write("service-account.key", &service_account_key()?)?,
            audit_policy: write("audit-policy.yaml", AUDIT_POLICY)?,
            audit_log: text_of(&data.file("audit.log")),
            certificates: text_of(&data.file("certificates")),
        })
    }
}

/// etcd without its durability: what it holds is thrown away.
pub(crate) fn etcd(data: &DataDir, client: SocketAddr) -> Vec<String> {
    let folder = text_of(&data.file("etcd"));
    vec![
        format!("--data-dir={folder}"),
        "--unsafe-no-fsync".to_owned(),
        format!("--listen-client-urls=http://{client}"),
        format!("--advertise-client-urls=http://{client}"),
        // There are no peers, so it may be any port and need not be known.
        "--listen-peer-urls=http://127.0.0.1:0".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

/// kube-apiserver alone: no controllers, no nodes, RBAC.
pub(crate) fn kube_apiserver(files: &Files, etcd: SocketAddr, address: SocketAddr) -> Vec<String> {
    vec![
        format!("--etcd-servers=http://{etcd}"),
        format!("--bind-address={}", address.ip()),
        format!("--secure-port={}", address.port()),
        // Without these two it does not start on a machine with no default route.
        "--advertise-address=127.0.0.1".to_owned(),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--cert-dir={}", files.certificates),
        "--authorization-mode=RBAC".to_owned(),
        format!("--token-auth-file={}", files.tokens),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={}", files.key),
        format!("--service-account-key-file={}", files.key),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        // Nobody makes the `default` ServiceAccount that it would wait for.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        format!("--audit-policy-file={}", files.audit_policy),
        format!("--audit-log-path={}", files.audit_log),
        // Megabytes: one file, never rotated.
        "--audit-log-maxsize=100000".to_owned(),
    ]
}

fn text_of(path: &Path) -> String {
    path.display().to_string()
}
