use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::Api;
use kube::api::PostParams;
use tokio::sync::OnceCell;

use crate::binaries::Binaries;
use crate::data_dir::DataDir;
use crate::flags::{self, Files};
use crate::{Access, Error, Process, Result, loopback_address, wait_until};

/// How long a start may take on a machine that is busy compiling. Idle it is 3 s.
const START: Duration = Duration::from_mins(2);

/// How often a start is tried when a port was taken before its server came to it.
const STARTS: usize = 5;

/// etcd and kube-apiserver on loopback addresses of their own. There is no controller
/// manager: nothing is garbage-collected, namespaces stay Terminating, and no pod
/// runs. Dropped, or its process ended in any way, it leaves nothing behind but
/// the audit log (see [`crate::audit`]).
#[derive(Debug)]
pub struct ControlPlane {
    // Fields are dropped in this order: the folder last.
    api_server: Process,
    etcd: Process,
    admin: Access,
    kubectl: PathBuf,
    namespaces: AtomicU32,
    data: DataDir,
}

impl ControlPlane {
    /// The control plane that all tests of one test binary share, started by the
    /// first that asks.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
        SHARED.get_or_try_init(Self::start).await
    }

    /// Starts one and waits until it is ready to serve.
    pub async fn start() -> Result<Self> {
        let binaries = Binaries::find()?;
        let mut tries = 1;
        loop {
            match Self::try_start(&binaries).await {
                Err(error) if tries < STARTS && is_port_taken(&error) => tries += 1,
                outcome => return outcome,
            }
        }
    }

    async fn try_start(binaries: &Binaries) -> Result<Self> {
        let data = DataDir::new()?;
        let etcd_address = loopback_address()?;
        let etcd = start_etcd(binaries, &data, etcd_address)?;
        wait_for_etcd(&etcd, etcd_address).await?;

        let admin_token = random_token()?;
        let files = Files::write(&data, &admin_token)?;
        let address = loopback_address()?;
        let api_server = Process::start(
            "kube-apiserver",
            binaries.kube_apiserver.as_os_str(),
            flags::kube_apiserver(&files, etcd_address, address),
            environment(),
        )?;
        let certificate_authority = data.file("certificates/apiserver.crt");
        let admin = Access {
            server: format!("https://{address}"),
            certificate_authority,
            token: admin_token,
            namespace: "default".to_owned(),
        };
        wait_for_api_server(&api_server, &admin).await?;
        admin.write_kubeconfig(&data.file("admin.kubeconfig"))?;
        Ok(Self {
            api_server,
            etcd,
            admin,
            kubectl: binaries.kubectl.clone(),
            namespaces: AtomicU32::new(0),
            data,
        })
    }

    /// How the administrator (`system:masters`) reaches it.
    pub fn admin(&self) -> &Access {
        &self.admin
    }

    /// The administrator's kubeconfig, for `kubectl` and people.
    pub fn kubeconfig(&self) -> PathBuf {
        self.data.file("admin.kubeconfig")
    }

    /// A new client for the administrator.
    pub async fn client(&self) -> Result<kube::Client> {
        self.admin.client().await
    }

    /// Where the API server listens, for proxies.
    pub fn address(&self) -> Result<SocketAddr> {
        self.admin
            .server
            .trim_start_matches("https://")
            .parse()
            .map_err(|_| Error::Malformed(format!("{} has no address", self.admin.server)))
    }

    /// Makes a namespace that no other test of this control plane has, named
    /// `<prefix>-<number>`.
    pub async fn namespace(&self, prefix: &str) -> Result<String> {
        let number = self.namespaces.fetch_add(1, Ordering::Relaxed);
        let name = format!("{prefix}-{number}");
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(name.clone());
        Api::all(self.client().await?)
            .create(&PostParams::default(), &namespace)
            .await
            .map_err(Error::kube(format!("create namespace {name}")))?;
        Ok(name)
    }

    /// The folder of this control plane's files, gone when it is.
    pub fn data_dir(&self) -> &Path {
        self.data.path()
    }

    /// The API server's process.
    pub fn api_server(&self) -> &Process {
        &self.api_server
    }

    /// etcd's process.
    pub fn etcd(&self) -> &Process {
        &self.etcd
    }

    /// The `kubectl` that [`ControlPlane::kubectl`] runs.
    pub fn kubectl_path(&self) -> &Path {
        &self.kubectl
    }
}

fn start_etcd(binaries: &Binaries, data: &DataDir, address: SocketAddr) -> Result<Process> {
    Process::start("etcd", binaries.etcd.as_os_str(), flags::etcd(data, address), environment())
}

async fn wait_for_etcd(etcd: &Process, address: SocketAddr) -> Result<()> {
    let healthy = wait_until("etcd is healthy", START, async || {
        if etcd.exit_code().is_some() {
            return Ok(());
        }
        match crate::http_get(address, "/health").await {
            Ok((200, _)) => Ok(()),
            Ok((status, body)) => Err(format!("{status} {body}")),
            Err(error) => Err(error.to_string()),
        }
    });
    healthy.await?;
    etcd.check_running()
}

async fn wait_for_api_server(api_server: &Process, admin: &Access) -> Result<()> {
    let ready = wait_until("kube-apiserver is ready", START, async || {
        if api_server.exit_code().is_some() {
            return Ok(());
        }
        // The token is this one's alone, so another server cannot answer for it.
        let readyz = http::Request::get("/readyz").body(Vec::new());
        let readyz = readyz.map_err(|error| error.to_string())?;
        let client = admin.client().await.map_err(|error| error.to_string())?;
        let answer = client.request_text(readyz).await;
        answer.map(drop).map_err(|error| error.to_string())
    });
    ready.await?;
    api_server.check_running()
}

fn is_port_taken(error: &Error) -> bool {
    matches!(error, Error::Died { tail, .. } if tail.contains("address already in use"))
}

/// Servers find their own programs by nothing else, and collect garbage rarely as
/// long as there is little: the CPUs are shared with what is tested.
fn environment() -> [(&'static str, &'static str); 3] {
    [("PATH", "/usr/bin:/bin"), ("GOGC", "400"), ("GOMEMLIMIT", "4GiB")]
}

/// 128 bits in hexadecimal.
fn random_token() -> Result<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| Error::Malformed("no random bytes".to_owned()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
