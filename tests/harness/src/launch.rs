use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{ControlPlane, Deployment, Error, Operator, Process, Result, loopback_address};

/// The variables that the AWS SDK takes its endpoints from. All are set, so that
/// no service, known today or not, is looked for at its real address.
const ENDPOINTS: [&str; 5] = [
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_ROUTE_53",
    "AWS_ENDPOINT_URL_SES",
    "AWS_ENDPOINT_URL_SESV2",
    "AWS_ENDPOINT_URL_STS",
];

/// How to run the operator's binary in place of its Deployment. Can be started
/// any number of times.
#[derive(Debug, Clone)]
pub struct Launch {
    deployment: Deployment,
    binary: PathBuf,
    env: BTreeMap<String, String>,
    flags: Vec<Flag>,
    server: Option<String>,
}

#[derive(Debug, Clone)]
struct Flag {
    name: String,
    value: String,
    /// Whether it takes the place of the same flag before it.
    replaces: bool,
}

impl Launch {
    /// As `deployment` says, with `binary` as its program.
    pub fn new(deployment: Deployment, binary: impl Into<PathBuf>) -> Self {
        Self {
            deployment,
            binary: binary.into(),
            env: BTreeMap::new(),
            flags: Vec::new(),
            server: None,
        }
    }

    /// AWS is at `endpoint`, a loopback URL; the keys are those of the simulator's
    /// first account.
    #[must_use]
    pub fn aws(mut self, endpoint: &str) -> Self {
        for name in ENDPOINTS {
            self = self.env(name, endpoint);
        }
        self.env("AWS_ACCESS_KEY_ID", aws_simulator::ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_REGION", "us-east-1")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    }

    /// Recursive questions go to `resolver`, and name servers answer on `port`.
    #[must_use]
    pub fn dns(self, resolver: SocketAddr, port: u16) -> Self {
        self.flag("--dns-resolver", &resolver.to_string()).flag("--dns-port", &port.to_string())
    }

    /// Sees the objects of `namespace` only. May be said more than once.
    #[must_use]
    pub fn watch_namespace(self, namespace: &str) -> Self {
        self.flag_too("--watch-namespace", namespace)
    }

    /// Reaches the API server at `server`: the URL of an [`crate::ApiProxy`] or an
    /// [`crate::ApiGate`].
    #[must_use]
    pub fn through(mut self, server: impl Into<String>) -> Self {
        self.server = Some(server.into());
        self
    }

    /// Sets an environment variable, over the Deployment's.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets a flag, such as `--poll-min`, in place of any before, the
    /// Deployment's included.
    #[must_use]
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.push(name, value, true);
        self
    }

    /// Adds a repeatable flag.
    #[must_use]
    pub fn flag_too(mut self, name: &str, value: &str) -> Self {
        self.push(name, value, false);
        self
    }

    fn push(&mut self, name: &str, value: &str, replaces: bool) {
        self.flags.push(Flag { name: name.to_owned(), value: value.to_owned(), replaces });
    }

    /// The Deployment that it stands for.
    pub fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    /// The arguments that the binary is given, but for `--listen`, which each
    /// start chooses anew where nobody set it.
    pub fn args(&self) -> Result<Vec<String>> {
        let resolved = self.deployment.resolve(&self.deployment.name)?;
        Ok(self.merge(resolved.args))
    }

    fn merge(&self, mut args: Vec<String>) -> Vec<String> {
        for flag in &self.flags {
            if flag.replaces {
                remove(&mut args, &flag.name);
            }
            args.push(format!("{}={}", flag.name, flag.value));
        }
        args
    }

    /// Starts it against `plane`, as the Deployment's ServiceAccount. Refused where
    /// an endpoint of AWS is not on loopback. It is started, not ready: see
    /// [`Operator::ready`].
    pub async fn start(&self, plane: &ControlPlane) -> Result<Operator> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let pod = format!("{}-{number}", self.deployment.name);

        let mut resolved = self.deployment.resolve(&pod)?;
        let kubeconfig = plane.data_dir().join(format!("{pod}.kubeconfig"));
        resolved.env.extend(self.env.clone());
        resolved.env.insert("KUBECONFIG".to_owned(), kubeconfig.display().to_string());
        resolved.env.insert("RUST_BACKTRACE".to_owned(), "1".to_owned());
        refuse_real_aws(&resolved.env)?;
        refuse_missing(&self.binary)?;

        let deployment = &self.deployment;
        let mut access =
            plane.service_account(&deployment.namespace, &deployment.service_account).await?;
        if let Some(server) = &self.server {
            access = access.through(server);
        }
        access.write_kubeconfig(&kubeconfig)?;

        let (launch, address) = self.listening()?;
        let args = launch.merge(resolved.args);
        let process = Process::start(&pod, self.binary.as_os_str(), args, resolved.env)?;
        Ok(Operator::new(process, address))
    }

    /// Itself with an address to listen at, and that address.
    fn listening(&self) -> Result<(Self, SocketAddr)> {
        let set = self.flags.iter().rfind(|flag| flag.name == "--listen");
        let address = match set {
            None => loopback_address()?,
            Some(flag) => flag
                .value
                .parse()
                .map_err(|_| Error::Malformed(format!("--listen={} is not IP:PORT", flag.value)))?,
        };
        let launch = self.clone().flag("--listen", &address.to_string());
        Ok((launch, address))
    }
}

/// Takes a flag out of a command line, whether its value is joined to it by `=` or
/// is the next argument.
fn remove(args: &mut Vec<String>, name: &str) {
    while let Some(at) = args.iter().position(|arg| is_flag(arg, name)) {
        let joined = args.remove(at) != name;
        if !joined && args.get(at).is_some_and(|value| !value.starts_with("--")) {
            args.remove(at);
        }
    }
}

fn is_flag(arg: &str, name: &str) -> bool {
    arg.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
}

fn refuse_real_aws(env: &BTreeMap<String, String>) -> Result<()> {
    for name in ENDPOINTS {
        let Some(url) = env.get(name) else {
            return Err(Error::Unsafe(format!("{name} is not set")));
        };
        let uri: Option<http::Uri> = url.parse().ok();
        let host = uri.as_ref().and_then(http::Uri::host);
        let address = host.and_then(|host| host.parse::<std::net::IpAddr>().ok());
        if !address.is_some_and(|address| address.is_loopback()) {
            let why = format!("{name}={url} is not on a loopback address");
            return Err(Error::Unsafe(why));
        }
    }
    Ok(())
}

fn refuse_missing(binary: &Path) -> Result<()> {
    if binary.is_file() {
        return Ok(());
    }
    let why = format!("{} is no file: build it first", binary.display());
    Err(Error::Unsafe(why))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn launch() -> Launch {
        let yaml = "
kind: Deployment
apiVersion: apps/v1
metadata: {name: op}
spec:
  selector: {}
  template:
    spec:
      containers:
      - {name: op, command: [/op, run], args: [--poll-min, 15s, --listen=:8080, --leader-elect]}
";
        Launch::new(Deployment::from_yaml(yaml).unwrap(), "/bin/true")
    }

    #[test]
    fn a_flag_replaces_the_deployments_in_either_spelling() {
        let launch = launch()
            .flag("--poll-min", "1s")
            .flag("--leader-elect", "false")
            .watch_namespace("a")
            .watch_namespace("b");
        let (launch, address) = launch.listening().unwrap();
        assert!(address.ip().is_loopback());
        let listen = format!("--listen={address}");
        let expected = [
            "run",
            "--poll-min=1s",
            "--leader-elect=false",
            "--watch-namespace=a",
            "--watch-namespace=b",
            &listen,
        ];
        assert_eq!(launch.args().unwrap(), expected);
    }

    #[test]
    fn no_endpoint_may_be_missing_or_real() {
        assert!(refuse_real_aws(&launch().env).is_err());
        let fake = launch().aws("http://127.0.0.1:1");
        assert!(refuse_real_aws(&fake.env).is_ok());
        for name in ENDPOINTS {
            let mut missing = fake.env.clone();
            missing.remove(name);
            let said = refuse_real_aws(&missing).unwrap_err().to_string();
            assert!(said.contains(name), "{said}");
            let real = fake.clone().env(name, "https://email.us-east-1.amazonaws.com");
            assert!(refuse_real_aws(&real.env).is_err());
        }
    }
}
