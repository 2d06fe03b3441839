//! One world: AWS, a cluster or two, operators that may die at any moment, and
//! what happens to them.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_simulator::{
    ACCOUNT, Delegation, Fault, Matching, RecordSet, RecordType, SimClock, Simulator, ZoneSpec,
};
use futures::future::select_all;
use jiff::Timestamp;
use serde_json::json;
use ses_mailfrom::api::{DeletionPolicy, Rollout, SesMailFrom, SesMailFromSpec};
use ses_mailfrom::clock::Clock;
use ses_mailfrom::mail::{BehaviorOnMxFailure, Owner};
use tokio::time::{Instant, sleep_until};

use crate::behalf::Behalf;
use crate::cluster::{Cluster, NAMESPACE};
use crate::forgotten::Forgotten;
use crate::lifeline::Odometer;
use crate::others::{FOREIGN_TXT, Others};
use crate::process::{Process, Setup, access_key};
use crate::schedule::{Edit, Event, REGIONS, Rival, SUBDOMAINS, Setting, Step};

pub(crate) const ZONE: &str = "Z0EXAMPLE";
pub(crate) const DOMAIN: &str = "example.com";
/// An identity of its own below [`DOMAIN`].
pub(crate) const BELOW: &str = "b.example.com";
/// How long a dead process takes to be replaced.
const DOWN: Duration = Duration::from_millis(700);

pub(crate) struct Stage {
    pub aws: Simulator,
    pub setting: Setting,
    pub operators: Vec<Operator>,
    pub actors: Vec<Actor>,
    pub others: Others,
    pub behalf: Behalf,
    pub odometer: Odometer,
    pub forgotten: Forgotten,
}

/// An operator with its cluster.
pub(crate) struct Operator {
    pub setup: Setup,
    process: Process,
}

/// One object, at first as it is said here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Actor {
    /// Whose it is, by the place in [`Stage::operators`].
    pub operator: usize,
    pub owner_id: &'static str,
    pub name: &'static str,
    pub domain: &'static str,
    subdomain: &'static str,
}

impl Actor {
    pub(crate) fn owner(&self) -> Owner {
        Owner::of(self.owner_id, NAMESPACE, self.name)
    }

    pub(crate) fn access_key(&self) -> String {
        access_key(self.owner_id, self.name)
    }
}

fn actors(rival: Rival) -> Vec<Actor> {
    let first = Actor {
        operator: 0,
        owner_id: "cluster",
        name: "example",
        domain: DOMAIN,
        subdomain: SUBDOMAINS[0],
    };
    let same = Actor { name: "rival", ..first };
    match rival {
        Rival::None => vec![first],
        Rival::Identity => vec![first, Actor { subdomain: SUBDOMAINS[1], ..same }],
        // One MAIL FROM domain of two identities: a.b below the one, a below the other.
        Rival::Name => {
            let below = Actor { domain: BELOW, subdomain: "a", ..same };
            vec![Actor { subdomain: SUBDOMAINS[2], ..first }, below]
        }
        Rival::Operator => vec![first, Actor { operator: 1, owner_id: "another", ..first }],
    }
}

impl Stage {
    pub(crate) fn new(setting: &Setting) -> Self {
        let began = Instant::now();
        let origin = Timestamp::constant(1_767_225_600, 500_000_000);
        let clock = Clock::from_fn(move || origin + began.elapsed());
        let aws = Simulator::new(setting.config.clone(), SimClock::scaled(1.0));
        let actors = actors(setting.rival);
        aws.with(|world| {
            for actor in &actors {
                world.add_account(ACCOUNT, &actor.access_key());
            }
            for region in REGIONS {
                world.set_identity(ACCOUNT, region, DOMAIN, true);
                world.set_identity(ACCOUNT, region, BELOW, true);
            }
            let zone = ZoneSpec::public(ACCOUNT, DOMAIN).id(ZONE).delegation(Delegation::Here);
            world.create_zone(zone).unwrap();
            let kept = RecordSet::new("mail.example.com", RecordType::TXT, 900, &[FOREIGN_TXT]);
            world.put_record_set(ZONE, kept.unwrap()).unwrap();
        });
        let (others, odometer) = (Others::new(&aws), Odometer::default());
        let behalf = Behalf::default();
        let owners: BTreeSet<_> = actors.iter().map(|a| (a.operator, a.owner_id)).collect();
        let operator = |(_, owner_id): (usize, &'static str)| {
            let setup = Setup {
                aws: aws.clone(),
                cluster: Cluster::new(clock.clone()),
                clock: clock.clone(),
                odometer: odometer.clone(),
                others: others.clone(),
                behalf: behalf.clone(),
                owner_id,
            };
            Operator { process: Process::start(&setup), setup }
        };
        let operators = owners.into_iter().map(operator).collect();
        let (setting, forgotten) = (setting.clone(), Forgotten::default());
        let stage = Self { aws, setting, operators, actors, others, behalf, odometer, forgotten };
        for actor in &stage.actors {
            stage.create(actor);
        }
        stage
    }

    /// Lets everything of a schedule happen.
    pub(crate) async fn play(&mut self, steps: &[Step]) -> Result<(), String> {
        for Step { who, event, wait } in steps {
            self.happen(self.actors[who % self.actors.len()], event).await;
            self.live(*wait).await?;
        }
        Ok(())
    }

    /// Lets time pass. A process that dies is replaced.
    ///
    /// # Errors
    /// The world goes on and on.
    pub(crate) async fn live(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        loop {
            let watching = self.operators.iter_mut().filter_map(Operator::watch);
            let next = watching.fold(end, Instant::min);
            let deaths = self.operators.iter().map(|op| Box::pin(op.process.lifeline.died()));
            let changes =
                self.operators.iter().map(|op| Box::pin(op.setup.cluster.changed.notified()));
            let (deaths, changes) = (select_all(deaths), select_all(changes));
            let dead = tokio::select! {
                biased;
                ((), dead, _) = deaths => Some(dead),
                _ = changes => None,
                () = sleep_until(next) => if next == end { return Ok(()) } else { None },
            };
            if self.odometer.is_over() {
                return Err("goes on and on".into());
            }
            if let Some(dead) = dead {
                self.operators[dead].restart().await;
            }
        }
    }

    /// The cluster that an object is in.
    pub(crate) fn cluster(&self, actor: &Actor) -> &Cluster {
        &self.operators[actor.operator].setup.cluster
    }

    pub(crate) fn object(&self, actor: &Actor) -> Option<SesMailFrom> {
        self.cluster(actor).get(actor.name)
    }

    /// How many objects there are.
    pub(crate) fn population(&self) -> usize {
        self.actors.iter().filter(|actor| self.object(actor).is_some()).count()
    }

    /// Nothing goes wrong any more, and what a person must set right is right.
    pub(crate) fn heal(&mut self) {
        self.aws.clear_faults();
        self.others.forgo();
        for operator in &self.operators {
            operator.setup.cluster.clear_mishaps();
            operator.setup.cluster.set_lag(Duration::ZERO);
        }
        self.set_delegated(true);
        self.set_silent(false);
        self.others.edit(|world| {
            for region in REGIONS {
                world.set_identity(ACCOUNT, region, DOMAIN, true);
            }
        });
    }

    /// Every operator dies, and another remembers nothing.
    pub(crate) async fn kill_all(&mut self) {
        for operator in &mut self.operators {
            operator.process.lifeline.kill();
            operator.restart().await;
        }
    }

    fn create(&self, actor: &Actor) {
        if self.object(actor).is_some() {
            return;
        }
        let setting = &self.setting;
        let regions: Vec<_> =
            REGIONS[..setting.regions].iter().map(|name| json!({"name": name})).collect();
        let mut spec: SesMailFromSpec = serde_json::from_value(json!({
            "domain": actor.domain, "subdomain": actor.subdomain, "regions": regions,
        }))
        .unwrap();
        spec.deletion_policy = DeletionPolicy::Delete;
        spec.behavior_on_mx_failure = behavior(setting.reject);
        spec.rollout = if setting.immediate { Rollout::Immediate } else { Rollout::WhenVerified };
        self.cluster(actor).create(actor.name, spec);
        self.cluster(actor).changed.notify_one();
    }

    async fn happen(&mut self, actor: Actor, event: &Event) {
        let operator = &mut self.operators[actor.operator];
        let cluster = operator.setup.cluster.clone();
        match event {
            Event::Nothing => {}
            Event::Wake => operator.process.wake(actor.name),
            Event::Kill => {
                operator.process.lifeline.kill();
                tokio::time::sleep(DOWN).await;
                operator.restart().await;
            }
            Event::Cut(cut) => operator.process.lifeline.cut(*cut),
            Event::Edit(edit) => {
                cluster.edit(actor.name, |object| change(&mut object.spec, *edit));
            }
            Event::Label => cluster.edit(actor.name, |object| {
                let labels = object.metadata.labels.get_or_insert_default();
                let number = labels.len();
                labels.insert(format!("l{number}"), "x".into());
            }),
            Event::WipeStatus => {
                self.forgotten.wiped(actor);
                cluster.edit(actor.name, |object| object.status = None);
            }
            Event::Delete => cluster.delete(actor.name),
            Event::Create => self.create(&actor),
            Event::Dns(name, edit) => self.others.edit_dns(*name, *edit),
            Event::Intrude(name, edit) => self.others.intrude(*name, *edit),
            Event::Ses(region, edit) => self.others.edit_ses(REGIONS[*region], *edit),
            Event::Delegated(delegated) => self.set_delegated(*delegated),
            Event::Silent(silent) => self.set_silent(*silent),
            Event::Fault(action, trouble, times) => {
                let fault = Fault::once(Matching::action(action), trouble.clone()).times(*times);
                self.aws.add_fault(fault);
            }
            Event::Mishap(mishap) => cluster.add_mishap(*mishap),
            Event::Lag(lag) => cluster.set_lag(*lag),
        }
        self.forgotten
            .look(&self.aws, |actor| self.operators[actor.operator].setup.cluster.get(actor.name));
    }

    /// Whether the world is sent to the zone's own servers.
    fn set_delegated(&self, delegated: bool) {
        self.others.edit(|world| {
            let servers = world.zone(ZONE).unwrap().servers();
            let servers: Vec<String> = servers.iter().map(|(name, _)| name.to_string()).collect();
            let elsewhere = vec!["ns1.theirs.example.org".to_owned()];
            world.delegate(DOMAIN, if delegated { &servers } else { &elsewhere }).unwrap();
        });
    }

    /// Whether the zone's servers answer nobody.
    fn set_silent(&self, silent: bool) {
        self.others.edit(|world| {
            let servers = world.zone(ZONE).unwrap().servers();
            let addresses: Vec<_> = servers.iter().map(|(_, address)| *address).collect();
            for address in addresses {
                world.silence(address, silent);
            }
        });
    }
}

impl Operator {
    fn watch(&mut self) -> Option<Instant> {
        self.process.watch(&self.setup.cluster)
    }

    async fn restart(&mut self) {
        let anew = Process::start(&self.setup);
        // One process at a time: the new one must do nothing before the old is dead.
        let old = std::mem::replace(&mut self.process, anew);
        old.kill().await;
    }
}

pub(crate) fn behavior(reject: bool) -> BehaviorOnMxFailure {
    if reject { BehaviorOnMxFailure::RejectMessage } else { BehaviorOnMxFailure::UseDefaultValue }
}

/// An edit that the API server would take.
fn change(spec: &mut SesMailFromSpec, edit: Edit) {
    match edit {
        Edit::Subdomain(to) => spec.subdomain = to.into(),
        Edit::ToggleRegion(at) => {
            let name = REGIONS[at];
            let before = spec.regions.len();
            spec.regions.retain(|region| region.name != name);
            if spec.regions.len() == before {
                let region = serde_json::from_value(json!({"name": name})).unwrap();
                spec.regions.push(region);
            } else if spec.regions.is_empty() {
                spec.regions = serde_json::from_value(json!([{"name": name}])).unwrap();
            }
        }
        Edit::ToggleOwnName(at) => {
            if let Some(region) = spec.regions.get_mut(at) {
                let own = format!("own{at}");
                region.subdomain = region.subdomain.take().map_or(Some(own), |_| None);
            }
            // Two regions must not have the same one.
            let mut seen = BTreeSet::new();
            for region in &mut spec.regions {
                if region.subdomain.clone().is_some_and(|own| !seen.insert(own)) {
                    region.subdomain = None;
                }
            }
        }
        Edit::MxRegion(at) => spec.mx_region = Some(REGIONS[at].into()),
        Edit::Reject(reject) => spec.behavior_on_mx_failure = behavior(reject),
        Edit::Ttl(ttl) => spec.dns.ttl_seconds = ttl,
    }
    let shares = |name: &String| {
        spec.regions.iter().any(|region| region.name == *name && region.subdomain.is_none())
    };
    spec.mx_region = spec.mx_region.take().filter(shares);
}
