use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aws_simulator::{Listen, Serving, Simulator};
use harness::{ControlPlane, Deployment, Launch, Operator, Watched};

use crate::Failure;
use crate::aws::{self, QUOTA_SCALE};
use crate::narrate::Narrator;

/// How long one start or stop may take.
const LIMIT: Duration = Duration::from_secs(30);

/// The operator's own durations, as much shorter as the simulated hours are, or
/// short enough to be watched.
const DURATIONS: [(&str, &str); 14] = [
    ("--verification-window", "60s"),
    ("--drain-window", "100s"),
    ("--poll-min", "200ms"),
    ("--poll-max", "1s"),
    ("--resync", "1s"),
    ("--restart-pause-min", "1s"),
    ("--restart-pause-max", "20s"),
    ("--put-hold-off", "500ms"),
    ("--stall-grace", "3s"),
    ("--stale-after", "20s"),
    ("--drift-loop-window", "30s"),
    ("--insync-fallback", "5s"),
    ("--max-observation-age", "5s"),
    ("--zone-cache", "1s"),
];

/// Everything that runs.
pub(crate) struct Setting {
    // Fields are dropped in this order: those who ask before those who answer.
    operator: Operator,
    /// What is told about the objects and AWS as it happens.
    narrator: Narrator,
    /// The objects.
    pub(crate) objects: Arc<Watched>,
    /// AWS.
    pub(crate) simulator: Simulator,
    serving: Serving,
    /// The API server.
    pub(crate) plane: ControlPlane,
}

impl Setting {
    /// Installs the operator into `plane` and starts its binary against a new
    /// simulated AWS.
    pub(crate) async fn build(plane: ControlPlane, binary: &Path) -> Result<Self, Failure> {
        let simulator = aws::world()?;
        let serving = simulator.serve(Listen::default()).await?;
        println!("$ kubectl apply -k crds && kubectl apply -k deploy");
        print!("{}", plane.apply_kustomize("deploy").await?);

        let deployment = Deployment::find(&plane.kustomize("deploy").await?)?;
        let launch = launch(deployment, binary, &serving);
        println!("\nThe operator runs as that Deployment's ServiceAccount, with");
        for arg in launch.args()? {
            println!("    {arg}");
        }
        let client = plane.client().await?;
        let operator = launch.start(&plane).await?;
        operator.ready(LIMIT).await?;
        println!();
        let objects = Watched::start(client, "mailfrom.dev/v1alpha1", "SesMailFrom", None);
        let objects = Arc::new(objects);
        Ok(Self {
            operator,
            narrator: Narrator::start(simulator.clone(), Arc::clone(&objects)),
            objects,
            simulator,
            serving,
            plane,
        })
    }

    /// Begins a chapter, after all that belongs to the one before has been told.
    pub(crate) async fn chapter(&self, title: &str) {
        self.all_is_told().await;
        println!("\n--- {title}");
    }

    /// Waits until every transition up to now has been told of.
    pub(crate) async fn all_is_told(&self) {
        let events = self.simulator.with(|world| world.events().len());
        self.narrator.has_told(events, self.objects.history().len()).await;
    }

    /// A failure with what the operator said last.
    pub(crate) fn explain(&self, failure: &Failure) -> Failure {
        let said = self.operator.output().tail(30);
        format!("{failure}\nThe operator's last lines:\n{said}").into()
    }

    /// Stops the operator as a kubelet does and takes everything down.
    pub(crate) async fn close(self) -> Result<(), Failure> {
        let code = self.operator.stop(LIMIT).await?;
        if code == 0 {
            println!("\nSIGTERM: the operator has ended with exit code 0. Done.");
            Ok(())
        } else {
            let failure = format!("the operator ended on SIGTERM with exit code {code}").into();
            Err(self.explain(&failure))
        }
    }

    /// Leaves everything up until a person interrupts.
    pub(crate) async fn stay(self) -> Result<(), Failure> {
        self.all_is_told().await;
        println!("\nEverything stays up until Ctrl-C. In another terminal:");
        println!("    export KUBECONFIG={}", self.plane.kubeconfig().display());
        println!("    {} get smf -A -w", self.plane.kubectl_path().display());
        println!("AWS answers at {}", self.serving.endpoint());
        println!("The operator serves http://{}/metrics", self.operator.address());
        tokio::signal::ctrl_c().await?;
        Ok(())
    }
}

fn launch(deployment: Deployment, binary: &Path, serving: &Serving) -> Launch {
    let launch = Launch::new(deployment, binary)
        .aws(&serving.endpoint())
        .dns(serving.resolver(), serving.dns_port())
        .flag("--ses-rate", &(0.98 * QUOTA_SCALE).to_string())
        .flag("--route53-rate", &(4.0 * QUOTA_SCALE).to_string());
    DURATIONS.iter().fold(launch, |launch, (flag, value)| launch.flag(flag, value))
}
