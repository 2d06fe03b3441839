//! The simulator as a process: says where it listens, in one line of JSON, and
//! ends when its standard input does, so that it never outlives its parent.

use std::{
    error::Error,
    io::{Write, copy, sink, stdin, stdout},
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use aws_simulator::{
    ACCESS_KEY, BehaviorPut, Config, EqualPut, ForeignMx, Listen, OmittedMember, PutInFailed,
    Quotas, Scenario, SeveralMx, SimClock, Simulator,
};
use clap::Parser;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// SES, Route 53, STS and DNS on loopback addresses, for tests and demos.
///
/// Every flag overrides the configuration file.
#[derive(Debug, Parser)]
#[command(version)]
struct Flags {
    /// Where AWS requests are served
    #[arg(long, value_name = "IP:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Port of all name servers and the resolver; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    dns_port: u16,
    /// How many times faster than the wall simulated time runs
    #[arg(long, value_name = "FACTOR", default_value_t = 1.0)]
    time_scale: f64,
    /// By what AWS's request quotas are multiplied; 0 turns them off
    #[arg(long, value_name = "FACTOR")]
    quota_scale: Option<f64>,
    /// Configuration of the world, as JSON
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Accounts, zones and identities to begin with, as JSON
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Simulated seconds from PENDING to INSYNC
    #[arg(long, value_name = "SECONDS")]
    in_sync_after: Option<u64>,
    /// Simulated seconds for which reads after a put return the old state
    #[arg(long, value_name = "SECONDS")]
    stale_reads: Option<u64>,
    /// What a put of the values that stand does to Success
    #[arg(long)]
    equal_put: Option<EqualPut>,
    /// What a put of another behaviour does to Success
    #[arg(long)]
    behavior_put: Option<BehaviorPut>,
    /// What a put does in Failed
    #[arg(long)]
    put_in_failed: Option<PutInFailed>,
    /// What another region's MX is to SES
    #[arg(long)]
    foreign_mx: Option<ForeignMx>,
    /// When several MX records make the setup fail
    #[arg(long)]
    several_mx: Option<SeveralMx>,
    /// What a put without MailFromDomain is
    #[arg(long)]
    omitted_member: Option<OmittedMember>,
}

impl Flags {
    fn config(&self) -> Result<Config, Box<dyn Error>> {
        let mut config: Config = match &self.config {
            Some(path) => read(path)?,
            None => Config::default(),
        };
        let ses = &mut config.ses;
        set(&mut config.quotas, self.quota_scale.map(Quotas::scaled));
        let seconds = |seconds: Option<u64>| seconds.map(Duration::from_secs);
        set(&mut config.route53.in_sync_after, seconds(self.in_sync_after));
        set(&mut ses.stale_reads, seconds(self.stale_reads));
        set(&mut ses.equal_put, self.equal_put);
        set(&mut ses.behavior_put, self.behavior_put);
        set(&mut ses.put_in_failed, self.put_in_failed);
        set(&mut ses.foreign_mx, self.foreign_mx);
        set(&mut ses.several_mx, self.several_mx);
        set(&mut ses.omitted_member, self.omitted_member);
        Ok(config)
    }
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

fn read<T: serde::de::DeserializeOwned>(path: &PathBuf) -> Result<T, Box<dyn Error>> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    serde_json::from_str(&text).map_err(|error| format!("{name}: {error}").into())
}

/// `RUST_LOG`: a level, or TARGET=LEVEL by commas.
fn start_logs() -> Result<(), Box<dyn Error>> {
    let asked = std::env::var("RUST_LOG").unwrap_or_else(|_| "error".to_owned());
    let filter: Targets = asked.parse().map_err(|error| format!("RUST_LOG: {error}"))?;
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    Ok(tracing_subscriber::registry().with(filter).with(logs).try_init()?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::parse();
    let ended = match start_logs() {
        Ok(()) => run(&flags).await,
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whatever the log filter says, the reason must be seen.
            let _ = writeln!(std::io::stderr(), "aws-simulator: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(flags: &Flags) -> Result<(), Box<dyn Error>> {
    if !flags.listen.ip().is_loopback() {
        return Err(format!("--listen {}: must be a loopback address", flags.listen).into());
    }
    let simulator = Simulator::new(flags.config()?, SimClock::scaled(flags.time_scale));
    if let Some(path) = &flags.scenario {
        let scenario: Scenario = read(path)?;
        simulator.with(|world| world.apply(&scenario))?;
    }
    let listen = Listen { http: flags.listen, dns_port: flags.dns_port };
    let serving = simulator.serve(listen).await?;
    let here = serde_json::json!({
        "endpoint": serving.endpoint(),
        "accessKeyId": ACCESS_KEY,
        "dnsPort": serving.dns_port(),
        "resolver": serving.resolver(),
    });
    writeln!(stdout(), "{here}")?;
    stdout().flush()?;
    until_stdin_ends().await?;
    let counts = simulator.with(|world| world.counts());
    for ((account, region, action), count) in counts {
        writeln!(stdout(), "{account} {region} {action} {count}")?;
    }
    Ok(())
}

/// What is written to it is not looked at.
async fn until_stdin_ends() -> std::io::Result<()> {
    let read = tokio::task::spawn_blocking(|| copy(&mut stdin().lock(), &mut sink()));
    read.await.map_err(std::io::Error::other)??;
    Ok(())
}
