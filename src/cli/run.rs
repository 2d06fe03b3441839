//! `ses-mailfrom run`.

use std::env;
use std::error::Error;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use clap::CommandFactory as _;
use clap::error::ErrorKind;
use futures::future::OptionFuture;
use kube::Config;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tracing::info;

use super::Cli;
use super::flags::RunFlags;
use super::values::Resolver;
use crate::aws::{self, Aws, Call, Clearance};
use crate::clock::Clock;
use crate::controller::{self, Live, Options};
use crate::dns::{self, Dns};
use crate::lease::{Candidate, Leadership, Place};
use crate::plan::Settings;
use crate::telemetry::{self, Listener, Metrics};

type Ended = Result<(), Box<dyn Error>>;

/// The Lease that the operators of one namespace contend for.
const LEASE: &str = "ses-mailfrom";

/// Threads that run tasks, at most.
const WORKERS: usize = 4;
/// Threads for what blocks, at most: the system's look-ups of host names, and one to
/// render metrics.
const BLOCKING: usize = 17;

/// How long tasks that outlive the operator may take to end.
const LEAVE: Duration = Duration::from_secs(1);

/// Runs the operator until it is told to stop.
pub(super) fn run(flags: RunFlags) -> Ended {
    if let Err(refusal) = flags.check() {
        Cli::command().error(ErrorKind::ValueValidation, refusal).exit();
    }
    let settings = flags.settings()?;
    let dns = dns_settings(&flags)?;
    telemetry::init(flags.logs.log_format.into(), telemetry::filter(&flags.logs.log)?)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(operate(flags, settings, dns));
    // Look-ups and metrics under way are of no use any more.
    runtime.shutdown_timeout(LEAVE);
    ended
}

/// Everything waits for quotas, so a few threads are enough on any machine; each
/// more costs memory.
fn runtime() -> io::Result<Runtime> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(cores.min(WORKERS)).max_blocking_threads(BLOCKING).enable_all().build()
}

async fn operate(flags: RunFlags, settings: Settings, dns: dns::Settings) -> Ended {
    let stop = on_signal()?;
    let listener = Listener::bind(&flags.listen.addresses()).await?;
    let address = listener.address()?.to_string();
    info!(version = env!("CARGO_PKG_VERSION"), address, "Started");
    let kubernetes = Config::infer().await?;
    let sdk = aws::load_config().await;
    let clock = Clock::system();
    let mut candidate = candidate(&flags, &kubernetes)?;
    let leadership = match &candidate {
        Some(candidate) => candidate.leadership(),
        None => Leadership::without_election(),
    };
    let leads = leadership.clone();
    let (linger, linger_max) = flags.linger();
    let rates = aws::Settings {
        ses_rate: flags.ses_rate,
        route53_rate: flags.route53_rate,
        linger,
        linger_max,
        clearance: Clearance::from_fn(move || leads.leads()),
        ..aws::Settings::default()
    };
    let outside = |wake: controller::Wake, metrics: &Arc<Metrics>, owner_id: &str| {
        let rates = aws::Settings { owner_id: owner_id.to_owned(), ..rates };
        let (counted, woken) = (Arc::clone(metrics), Arc::clone(&wake));
        let observer = Arc::new(move |call: &Call| count(&counted, call));
        let aws = Aws::new(&sdk, rates, clock.clone(), woken, observer);
        Live::new(aws, Dns::new(dns), clock.clone(), wake)
    };
    let options = Options {
        namespaces: flags.watch_namespace,
        owner_id: flags.owner_id,
        max_concurrent_reconciles: flags.max_concurrent_reconciles.into(),
        kube_api_rate: flags.kube_api_rate,
        instance: pod_name(),
        leadership,
        settings,
    };
    let work = controller::run(options, &kubernetes, listener, outside, stop);
    let ended = tokio::select! {
        ended = work => ended,
        // Whatever is under way is dropped with the work.
        Some(loss) = OptionFuture::from(candidate.as_mut().map(Candidate::run)) => {
            return Err(format!("lost the lease, so another may act: {loss}").into());
        }
    };
    if let Some(candidate) = candidate {
        candidate.resign().await;
    }
    ended?;
    info!("Stopped");
    Ok(())
}

/// Takes part in the election, if there is one.
fn candidate(flags: &RunFlags, kubernetes: &Config) -> kube::Result<Option<Candidate>> {
    let Some(timing) = flags.election.timing() else { return Ok(None) };
    // In a pod, the configuration has the namespace of the pod as well; outside,
    // that of the kubeconfig's context.
    let namespace = env::var("POD_NAMESPACE").ok().filter(|namespace| !namespace.is_empty());
    let namespace = namespace.unwrap_or_else(|| kubernetes.default_namespace.clone());
    let place = Place { namespace, name: LEASE.into(), process: pod_name() };
    Candidate::new(kubernetes, place, timing).map(Some)
}

/// Names this process to people.
fn pod_name() -> String {
    let mut names = ["POD_NAME", "HOSTNAME"].into_iter().filter_map(|name| env::var(name).ok());
    names.find(|name| !name.is_empty()).unwrap_or_else(|| "ses-mailfrom".into())
}

fn count(metrics: &Metrics, call: &Call) {
    let Call { service, operation, region, code, duration } = call;
    metrics.aws_request(service, operation, region, code, *duration);
}

/// # Errors
/// The system's resolvers cannot be read.
fn dns_settings(flags: &RunFlags) -> Result<dns::Settings, Box<dyn Error>> {
    let resolvers = flags.dns_resolver.iter().filter_map(|resolver| match resolver {
        Resolver::System => None,
        Resolver::At(address) => Some(*address),
    });
    let resolvers: Vec<_> = resolvers.collect();
    let settings = if resolvers.is_empty() {
        dns::Settings::system().map_err(|error| format!("--dns-resolver system: {error}"))?
    } else {
        dns::Settings { resolvers, ..dns::Settings::default() }
    };
    Ok(dns::Settings { port: flags.dns_port, ..settings })
}

/// Turns true on SIGTERM or SIGINT.
fn on_signal() -> Result<watch::Receiver<bool>, Box<dyn Error>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (told, stop) = watch::channel(false);
    tokio::spawn(async move {
        let name = first(&mut terminate, &mut interrupt).await;
        info!(signal = name, "Stopping");
        // Fails only if nobody listens, and then all has stopped.
        let _ = told.send(true);
        // Held, so that a second signal changes nothing.
        told.closed().await;
    });
    Ok(stop)
}

async fn first(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
