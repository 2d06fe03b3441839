//! What it takes one object to become Ready where DNS and SES answer at once:
//! time, writes to the API server, and then the operator's memory at rest. Writes
//! `bench/life.json` in the target folder and prints it.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a person reads it")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use aws_simulator::{
    ACCOUNT, CheckSchedule, Config, Listen, Quotas, Route53Config, SesConfig, SimClock, Simulator,
    ZoneSpec,
};
use clap::Parser;
use harness::audit::Request;
use harness::{ControlPlane, Deployment, Launch, Operator, Watched, condition};
use serde_json::{Value, json};

type Failure = Box<dyn std::error::Error>;

const LIMIT: Duration = Duration::from_mins(1);
const NAMESPACE: &str = "default";
const REGION: &str = "us-east-1";
const POLL_MIN: &str = "100ms";

/// For how long nothing happens before memory is read.
const REST: Duration = Duration::from_secs(10);

/// Measures the operator on a real API server and simulated AWS.
#[derive(Parser)]
struct Args {
    /// The operator's binary.
    operator: PathBuf,
    /// How many objects to bring to Ready, one after another.
    #[arg(long, default_value_t = 10)]
    objects: usize,
    /// Further flags of the operator, behind `--`, each as `--name=value`.
    #[arg(last = true)]
    flags: Vec<String>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("bench-life: {failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: &Args) -> Result<(), Failure> {
    let plane = ControlPlane::start().await?;
    let simulator = world(args.objects)?;
    let serving = simulator.serve(Listen::default()).await?;
    plane.apply_kustomize("deploy").await?;
    let deployment = Deployment::find(&plane.kustomize("deploy").await?)?;
    let user = deployment.user();
    let launch = Launch::new(deployment, &args.operator)
        .aws(&serving.endpoint())
        .dns(serving.resolver(), serving.dns_port())
        .flag("--poll-min", POLL_MIN);
    let flags = args.flags.iter().filter_map(|flag| flag.split_once('='));
    let launch = flags.fold(launch, |launch, (name, value)| launch.flag(name, value));
    let operator = launch.start(&plane).await?;
    operator.ready(LIMIT).await?;

    let mut lives = Vec::new();
    for number in 0..args.objects {
        let outcome = live(&plane, number).await;
        let said = || operator.output().tail(30);
        lives.push(outcome.map_err(|failure| format!("{failure}\n{}", said()))?);
    }
    tokio::time::sleep(REST).await;
    let mut report = report(lives, &plane.requests_of(&user)?, &operator)?;
    report["parameters"]["flags"] = json!(args.flags);
    report["awsCallsOfAllObjects"] = aws_calls(&simulator);
    let text = serde_json::to_string_pretty(&report)?;
    println!("{text}");
    write(&text)
}

/// One verified identity and one delegated zone for each object; SES looks at
/// once and changes are served at once. Quotas are not in the way here: the
/// operator keeps its own.
fn world(objects: usize) -> Result<Simulator, Failure> {
    let config = Config {
        ses: SesConfig {
            checks: CheckSchedule { first: Duration::ZERO, ..CheckSchedule::eager() },
            ..SesConfig::default()
        },
        route53: Route53Config { in_sync_after: Duration::ZERO, ..Route53Config::default() },
        quotas: Quotas::off(),
        ..Config::default()
    };
    let simulator = Simulator::new(config, SimClock::scaled(1.0));
    simulator.with(|world| {
        for number in 0..objects {
            world.set_identity(ACCOUNT, REGION, &domain(number), true);
            world.create_zone(ZoneSpec::public(ACCOUNT, &domain(number)))?;
        }
        Ok::<_, Failure>(())
    })?;
    Ok(simulator)
}

fn name(number: usize) -> String {
    format!("life-{number}")
}

fn domain(number: usize) -> String {
    format!("{}.example", name(number))
}

/// Creates an object, waits until it is Ready and says how long that took.
async fn live(plane: &ControlPlane, number: usize) -> Result<Duration, Failure> {
    let name = name(number);
    let key = format!("{NAMESPACE}/{name}");
    let client = plane.client().await?;
    let watched =
        Watched::start(client.clone(), "mailfrom.dev/v1alpha1", "SesMailFrom", Some(NAMESPACE));
    let object = json!({
        "apiVersion": "mailfrom.dev/v1alpha1",
        "kind": "SesMailFrom",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"domain": domain(number), "subdomain": "bounce", "regions": [{"name": REGION}]},
    });
    let path = format!("/apis/mailfrom.dev/v1alpha1/namespaces/{NAMESPACE}/sesmailfroms");
    let create = http::Request::post(path)
        .header("content-type", "application/json")
        .body(object.to_string().into_bytes())?;
    let begin = Instant::now();
    client.request::<Value>(create).await?;
    let ready = watched.wait_for("the object is Ready", LIMIT, |objects| {
        let ready = objects.get(&key).and_then(|object| condition(object, "Ready"));
        match ready {
            Some(ready) if ready["status"] == "True" => Ok(()),
            ready => Err(format!("{ready:?}")),
        }
    });
    ready.await?;
    let to_ready = begin.elapsed();
    Ok(to_ready)
}

fn report(
    mut lives: Vec<Duration>,
    requests: &[Request],
    operator: &Operator,
) -> Result<Value, Failure> {
    lives.sort();
    let seconds = |at: usize| lives.get(at).map(Duration::as_secs_f64);
    let events = requests.iter().filter(|request| request.resource == "events").count();
    // No resync falls into this time, so all that was written was on the way.
    let most_patches = |subresource: &str| {
        let names = (0..lives.len()).map(name);
        let count = |name: String| {
            let patches = requests.iter().filter(|request| request.verb == "patch");
            let its = patches.filter(|patch| patch.name == name);
            its.filter(|patch| patch.subresource == subresource).count()
        };
        names.map(count).max()
    };
    Ok(json!({
        "parameters": {
            "objects": lives.len(),
            "regions": 1,
            "behaviorOnMxFailure": "UseDefaultValue",
            "pollMin": POLL_MIN,
            "dnsAndSes": "instant",
            "secondsAtRest": REST.as_secs(),
        },
        "secondsToReady": {
            "least": seconds(0),
            "median": seconds(lives.len() / 2),
            "most": seconds(lives.len().saturating_sub(1)),
        },
        "mostFinalizerPatchesOfAnObject": most_patches(""),
        "mostStatusWritesOfAnObject": most_patches("status"),
        "eventsOfAllObjects": events,
        "rssBytesAtRest": operator.process().rss_bytes()?,
    }))
}

/// How often each action was called.
fn aws_calls(simulator: &Simulator) -> Value {
    let counts = simulator.with(|world| world.counts());
    counts
        .into_iter()
        .map(|((_, region, action), count)| (format!("{region} {action}"), json!(count)))
        .collect()
}

fn write(text: &str) -> Result<(), Failure> {
    let dir = harness::target_dir().join("bench");
    std::fs::create_dir_all(&dir)?;
    let path: &Path = &dir.join("life.json");
    std::fs::write(path, text)?;
    println!("written to {}", path.display());
    Ok(())
}
