//! A control plane, a simulated AWS and the objects of one run; the operator
//! comes and goes.

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use aws_simulator::{Listen, Serving, Simulator};
use harness::{ControlPlane, Deployment, Launch, Operator};
use jiff::{SignedDuration, Timestamp};
use tokio::time::sleep;

use crate::Failure;
use crate::figures::{Asked, Logs, Span, number, seconds};
use crate::machine::{CpuTimes, cpu_seconds};
use crate::objects::Objects;
use crate::population::Population;
use crate::report;
use crate::scenario::Scenario;
use crate::world;

/// How long one start or stop may take.
pub(crate) const LIMIT: Duration = Duration::from_mins(1);
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(200);
/// Between two readings of the operator's metrics, as Prometheus would: they are
/// of what it costs.
pub(crate) const SCRAPE: Duration = Duration::from_secs(30);
/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(10);

/// Everything that runs besides the operator.
pub(crate) struct Stage {
    // Fields are dropped in this order: those who ask before those who answer.
    pub(crate) population: Population,
    pub(crate) objects: Objects,
    pub(crate) simulator: Simulator,
    _serving: Serving,
    plane: ControlPlane,
    launch: Launch,
    /// The operator's user name.
    user: String,
    /// The wall's time at zero of the simulator's.
    epoch: Timestamp,
    pub(crate) scenario: Scenario,
}

/// A running operator and when it was started.
pub(crate) struct Running {
    pub(crate) operator: Operator,
    pub(crate) from: f64,
    /// When it first said that it was ready: its caches are synced.
    pub(crate) synced: f64,
    /// When somebody was last told how far it is.
    told: Cell<Instant>,
    /// When its metrics were last read.
    scraped: Cell<Instant>,
    /// Its resident bytes each time that progress was told.
    pub(crate) resident: RefCell<Vec<f64>>,
}

impl Running {
    /// Its resident bytes now.
    pub(crate) fn rss(&self) -> Result<f64, Failure> {
        Ok(number(usize::try_from(self.operator.process().rss_bytes()?)?))
    }
}

/// A part of a run that is measured.
pub(crate) struct Phase {
    from: f64,
    machine: CpuTimes,
    cpu: f64,
}

/// What was measured of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measured {
    pub(crate) span: Span,
    /// CPU-seconds of the operator.
    pub(crate) cpu: f64,
    /// Share of the machine's CPUs that was busy, from 0 to 1.
    pub(crate) busy: f64,
}

/// Whether what is done each `pause` is to be done now; the next is due after another.
fn falls_due(last: &Cell<Instant>, pause: Duration) -> bool {
    let due = last.get().elapsed() >= pause;
    if due {
        last.set(Instant::now());
    }
    due
}

impl Stage {
    /// Starts everything, for objects of the numbers below `count`.
    pub(crate) async fn build(
        scenario: &Scenario,
        binary: &Path,
        flags: &[(String, String)],
        count: usize,
    ) -> Result<Self, Failure> {
        let plane = ControlPlane::start().await?;
        let simulator = world::build(scenario, count)?;
        let now = SignedDuration::try_from(simulator.now())?;
        let epoch = Timestamp::now().checked_sub(now)?;
        let serving = simulator.serve(Listen::default()).await?;
        plane.apply_kustomize("deploy").await?;
        let deployment = Deployment::find(&plane.kustomize("deploy").await?)?;
        let user = deployment.user();
        let launch = Launch::new(deployment, binary)
            .aws(&serving.endpoint())
            .dns(serving.resolver(), serving.dns_port());
        let launch = own_flags(scenario)
            .into_iter()
            .chain(flags.iter().cloned())
            .fold(launch, |launch, (name, value)| launch.flag(&name, &value));
        let objects = Objects::of(plane.client().await?, scenario);
        objects.namespaces().await?;
        let population = Population::watch(plane.client().await?, simulator.clock().clone());
        let scenario = scenario.clone();
        Ok(Self {
            population,
            objects,
            simulator,
            _serving: serving,
            plane,
            launch,
            user,
            epoch,
            scenario,
        })
    }

    /// Seconds on the simulator's clock, which goes with the wall's.
    pub(crate) fn now(&self) -> f64 {
        seconds(self.simulator.now())
    }

    /// Says how far it is.
    pub(crate) fn tell(&self, what: &str) {
        println!("{:7.1}s  {} n={}  {what}", self.now(), self.scenario.name, self.scenario.n);
    }

    /// Creates objects and waits until the watch has seen them.
    pub(crate) async fn create(&self, numbers: Range<usize>) -> Result<(), Failure> {
        let (begin, count) = (Instant::now(), numbers.len());
        let wanted = self.population.len() + count;
        self.objects.create(numbers).await?;
        let all = async || match self.population.len() {
            seen if seen >= wanted => Ok(()),
            seen => Err(format!("{seen} of {wanted} objects")),
        };
        harness::wait_until("every object is seen", LIMIT, all).await?;
        self.tell(&format!("{count} objects created in {:.1} s", begin.elapsed().as_secs_f64()));
        Ok(())
    }

    /// Starts the operator and waits until it is ready.
    pub(crate) async fn start(&self) -> Result<Running, Failure> {
        let from = self.now();
        let operator = self.launch.start(&self.plane).await?;
        operator.ready(LIMIT).await?;
        let told = Cell::new(Instant::now());
        let (scraped, resident) = (told.clone(), RefCell::default());
        Ok(Running { operator, from, synced: self.now(), told, scraped, resident })
    }

    /// Stops the operator with SIGTERM; yields how many seconds that took, none
    /// where it did not end with exit code 0.
    pub(crate) async fn stop(&self, running: &Running) -> Result<Option<f64>, Failure> {
        let begin = Instant::now();
        let code = match running.operator.stop(LIMIT).await {
            Ok(code) => code,
            Err(harness::Error::TimedOut(late)) => {
                self.tell(&late.to_string());
                running.operator.kill();
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        let took = begin.elapsed().as_secs_f64();
        self.tell(&format!("SIGTERM: exit code {code} after {took:.2} s"));
        Ok((code == 0).then_some(took))
    }

    /// Waits until `done` or the limit, telling of the progress; yields whether it
    /// was done.
    pub(crate) async fn wait(
        &self,
        running: &Running,
        limit: f64,
        what: &str,
        mut done: impl FnMut() -> bool,
    ) -> Result<bool, Failure> {
        let end = self.now() + limit;
        loop {
            if done() {
                return Ok(true);
            }
            if self.now() > end {
                self.tell(&format!(
                    "{what}: not within {limit:.0} s: {}",
                    self.population.reasons()
                ));
                return Ok(false);
            }
            running.operator.process().check_running()?;
            if falls_due(&running.scraped, SCRAPE) {
                running.operator.metrics().await?;
            }
            if falls_due(&running.told, PROGRESS) {
                let bytes = running.rss()?;
                running.resident.borrow_mut().push(bytes);
                let (ready, all) = (self.population.ready(), self.population.len());
                let mib = bytes / f64::from(1 << 20);
                self.tell(&format!("{what}: {ready}/{all} Ready, {mib:.0} MiB"));
            }
            sleep(PAUSE).await;
        }
    }

    /// Lets time pass, telling of the progress.
    pub(crate) async fn rest(
        &self,
        running: &Running,
        length: Duration,
        what: &str,
    ) -> Result<(), Failure> {
        let end = self.now() + seconds(length);
        self.wait(running, f64::INFINITY, what, || self.now() >= end).await?;
        Ok(())
    }

    /// Everything that has been seen so far; written beside the report.
    pub(crate) fn logs(&self) -> Result<Logs, Failure> {
        let mut requests = Vec::new();
        for request in self.plane.requests_of(&self.user)? {
            let at = request.at.duration_since(self.epoch).as_secs_f64();
            requests.push(Asked { at, request });
        }
        let logs = self.simulator.with(|world| Logs {
            calls: world.calls().to_vec(),
            events: world.events().to_vec(),
            questions: world.dns_questions().to_vec(),
            requests,
        });
        report::write_logs(&self.scenario, &logs)?;
        Ok(logs)
    }
}

impl Phase {
    /// Begins now.
    pub(crate) fn begin(stage: &Stage, running: &Running) -> Result<Self, Failure> {
        let cpu = cpu_seconds(running.operator.process().pid())?;
        Ok(Self { from: stage.now(), machine: CpuTimes::now()?, cpu })
    }

    /// Ends now.
    pub(crate) fn end(self, stage: &Stage, running: &Running) -> Result<Measured, Failure> {
        let cpu = cpu_seconds(running.operator.process().pid())? - self.cpu;
        let busy = CpuTimes::now()?.busy_since(self.machine);
        Ok(Measured { span: Span { from: self.from, to: stage.now() }, cpu, busy })
    }
}

/// The operator's allowances under the scenario's quotas.
fn own_flags(scenario: &Scenario) -> Vec<(String, String)> {
    let mut flags = vec![
        ("--ses-rate".to_owned(), scenario.ses_allowance().to_string()),
        ("--route53-rate".to_owned(), scenario.route53_allowance().to_string()),
    ];
    let durations = [("--resync", scenario.resync), ("--poll-min", scenario.poll_min)];
    for (name, duration) in durations {
        flags.extend(duration.map(|value| (name.to_owned(), format!("{}s", value.as_secs()))));
    }
    flags
}
