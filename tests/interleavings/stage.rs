//! One world: AWS, a cluster, an operator that may die at any moment, and what
//! happens to them.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use aws_simulator::{
    ACCOUNT, Behavior, Delegation, Fault, MailFromStatus, Matching, RecordSet, RecordType,
    SimClock, Simulator, World, ZoneSpec,
};
use jiff::Timestamp;
use serde_json::json;
use ses_mailfrom::api::{DeletionPolicy, SesMailFrom, SesMailFromSpec};
use ses_mailfrom::clock::Clock;
use ses_mailfrom::mail::BehaviorOnMxFailure;
use tokio::time::{Instant, sleep_until};

use crate::cluster::Cluster;
use crate::lifeline::Odometer;
use crate::process::Process;
use crate::schedule::{DnsEdit, Edit, Event, REGIONS, SUBDOMAINS, SesEdit, Setting, Step};

pub(crate) const ZONE: &str = "Z0EXAMPLE";
pub(crate) const DOMAIN: &str = "example.com";
pub(crate) const OBJECT: &str = "example";
/// What a person set up before, and what nobody but others would publish.
pub(crate) const FOREIGN_NAME: &str = "theirs.example.com";
const FOREIGN_MX: &str = "5 mx.theirs.example.org";
const FOREIGN_TXT: &str = "\"token=theirs\"";
const FOREIGN_SPF: &str = "\"v=spf1 -all\"";
pub(crate) const FOREIGN_TERM: &str = "include:theirs.example.org";
/// How long a dead process takes to be replaced.
const DOWN: Duration = Duration::from_millis(700);

pub(crate) struct Stage {
    pub aws: Simulator,
    pub cluster: Cluster,
    clock: Clock,
    process: Process,
    pub odometer: Odometer,
    reject: bool,
    regions: usize,
    /// The world's events that others caused, by their places in its log.
    pub theirs: Vec<Range<usize>>,
    /// What happened that the operator must not undo, or cannot know of.
    pub marks: BTreeSet<Mark>,
}

/// What excuses an end that is not the plain one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Mark {
    /// Somebody else's value stands in the way.
    Foreign,
    /// Somebody took a marker away, and with it the proof that a value is ours.
    Unmarked,
    /// A person wiped the status.
    Wiped,
    /// The object was made anew.
    Anew,
}

impl Stage {
    pub(crate) fn new(setting: &Setting) -> Self {
        let began = Instant::now();
        let origin = Timestamp::constant(1_767_225_600, 500_000_000);
        let clock = Clock::from_fn(move || origin + began.elapsed());
        let aws = Simulator::new(setting.config.clone(), SimClock::scaled(1.0));
        aws.with(|world| {
            for region in REGIONS {
                world.set_identity(ACCOUNT, region, DOMAIN, true);
            }
            let zone = ZoneSpec::public(ACCOUNT, DOMAIN).id(ZONE).delegation(Delegation::Here);
            world.create_zone(zone).unwrap();
            let kept = RecordSet::new("mail.example.com", RecordType::TXT, 900, &[FOREIGN_TXT]);
            world.put_record_set(ZONE, kept.unwrap()).unwrap();
        });
        let cluster = Cluster::new(clock.clone());
        let odometer = Odometer::default();
        let process = Process::start(&aws, &cluster, &clock, &odometer);
        let (reject, regions) = (setting.reject, setting.regions);
        let (theirs, marks) = (Vec::new(), BTreeSet::new());
        let mut stage =
            Self { aws, cluster, clock, process, odometer, reject, regions, theirs, marks };
        stage.create();
        stage
    }

    /// Lets everything of a schedule happen.
    pub(crate) async fn play(&mut self, steps: &[Step]) -> Result<(), String> {
        for Step { event, wait } in steps {
            self.happen(event).await;
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
            let next = self.process.watch(&self.cluster).map_or(end, |due| due.min(end));
            tokio::select! {
                biased;
                () = self.process.lifeline.died() => {
                    if self.odometer.is_over() {
                        return Err("goes on and on".into());
                    }
                    self.restart().await;
                }
                () = self.cluster.changed.notified() => {}
                () = sleep_until(next) => if next == end { return Ok(()) },
            }
        }
    }

    async fn restart(&mut self) {
        let anew = Process::start(&self.aws, &self.cluster, &self.clock, &self.odometer);
        // One process at a time: the new one must do nothing before the old is dead.
        let old = std::mem::replace(&mut self.process, anew);
        old.kill().await;
    }

    pub(crate) fn object(&self) -> Option<SesMailFrom> {
        self.cluster.get(OBJECT)
    }

    /// Nothing goes wrong any more, and what a person must set right is right.
    pub(crate) fn heal(&mut self) {
        self.aws.clear_faults();
        self.cluster.clear_mishaps();
        self.cluster.set_lag(Duration::ZERO);
        self.others(|world| {
            for region in REGIONS {
                world.set_identity(ACCOUNT, region, DOMAIN, true);
            }
        });
    }

    fn create(&mut self) {
        if self.object().is_some() {
            return;
        }
        let regions: Vec<_> =
            REGIONS[..self.regions].iter().map(|name| json!({"name": name})).collect();
        let mut spec: SesMailFromSpec = serde_json::from_value(json!({
            "domain": DOMAIN, "subdomain": SUBDOMAINS[0], "regions": regions,
        }))
        .unwrap();
        spec.deletion_policy = DeletionPolicy::Delete;
        spec.behavior_on_mx_failure = behavior(self.reject);
        self.cluster.create(OBJECT, spec);
        self.cluster.changed.notify_one();
    }

    /// What others do to the world.
    fn others(&mut self, edit: impl FnOnce(&mut World)) {
        let range = self.aws.with(|world| {
            let from = world.events().len();
            edit(world);
            from..world.events().len()
        });
        self.theirs.push(range);
    }

    async fn happen(&mut self, event: &Event) {
        match event {
            Event::Nothing => {}
            Event::Wake => self.process.wake(OBJECT),
            Event::Kill => {
                self.process.lifeline.kill();
                tokio::time::sleep(DOWN).await;
                self.restart().await;
            }
            Event::Cut(cut) => self.process.lifeline.cut(*cut),
            Event::Edit(edit) => {
                self.cluster.edit(OBJECT, |object| change(&mut object.spec, *edit));
            }
            Event::Label => self.cluster.edit(OBJECT, |object| {
                let labels = object.metadata.labels.get_or_insert_default();
                let number = labels.len();
                labels.insert(format!("l{number}"), "x".into());
            }),
            Event::WipeStatus => {
                self.marks.insert(Mark::Wiped);
                self.cluster.edit(OBJECT, |object| object.status = None);
            }
            Event::Delete => self.cluster.delete(OBJECT),
            Event::Create => {
                if self.object().is_none() {
                    self.marks.insert(Mark::Anew);
                    self.create();
                }
            }
            Event::Dns(name, edit) => self.edit_dns(*name, *edit),
            Event::Ses(region, edit) => self.edit_ses(REGIONS[*region], *edit),
            Event::Fault(action, trouble, times) => {
                let fault = Fault::once(Matching::action(action), trouble.clone()).times(*times);
                self.aws.add_fault(fault);
            }
            Event::Mishap(mishap) => self.cluster.add_mishap(*mishap),
            Event::Lag(lag) => self.cluster.set_lag(*lag),
        }
    }

    fn edit_dns(&mut self, name: usize, edit: DnsEdit) {
        let name = format!("{}.{DOMAIN}", SUBDOMAINS[name]);
        let at = |kind| self.aws.with(|world| world.record_set(ZONE, &name, kind).cloned());
        let (mx, txt) = (at(RecordType::MX), at(RecordType::TXT));
        let set = |kind, values: &[&str]| RecordSet::new(&name, kind, 300, values).unwrap();
        let mut put = None;
        let mut remove = None;
        let mut mark = None;
        match edit {
            DnsEdit::RemoveMx => remove = Some(RecordType::MX),
            DnsEdit::RemoveTxt => {
                (remove, mark) = (Some(RecordType::TXT), Some(Mark::Unmarked));
            }
            DnsEdit::ForeignMx => {
                (put, mark) = (Some(set(RecordType::MX, &[FOREIGN_MX])), Some(Mark::Foreign));
            }
            DnsEdit::SecondMx => {
                put = mx.map(|mut mx| {
                    add(&mut mx, FOREIGN_MX);
                    mx
                });
                mark = Some(Mark::Foreign);
            }
            DnsEdit::MxTtl => {
                put = mx.map(|mut mx| {
                    mx.ttl = Some(77);
                    mx
                });
            }
            DnsEdit::RemoveMarker => {
                put = txt.map(|mut txt| {
                    txt.values.retain(|value| !value.contains("ses-mailfrom-owner"));
                    txt
                });
                mark = Some(Mark::Unmarked);
                if put.as_ref().is_some_and(|txt| txt.values.is_empty()) {
                    (put, remove) = (None, Some(RecordType::TXT));
                }
            }
            DnsEdit::AddTxt | DnsEdit::AddSpf => {
                let spf = matches!(edit, DnsEdit::AddSpf);
                let value = if spf { FOREIGN_SPF } else { FOREIGN_TXT };
                let mut txt = txt.unwrap_or_else(|| set(RecordType::TXT, &[]));
                add(&mut txt, value);
                put = Some(txt);
                mark = spf.then_some(Mark::Foreign);
            }
            DnsEdit::ExtendSpf => {
                put = txt.map(|mut txt| {
                    for value in &mut txt.values {
                        if value.contains("include:amazonses.com") && !value.contains(FOREIGN_TERM)
                        {
                            *value = value.replacen(" ~all", &format!(" {FOREIGN_TERM} ~all"), 1);
                        }
                    }
                    txt
                });
            }
        }
        if put.is_some() || remove.is_some() {
            self.marks.extend(mark);
        }
        self.others(|world| {
            if let Some(set) = put {
                world.put_record_set(ZONE, set).unwrap();
            }
            if let Some(kind) = remove {
                world.delete_record_set(ZONE, &name, kind).unwrap();
            }
        });
    }

    fn edit_ses(&mut self, region: &str, edit: SesEdit) {
        let held = self.aws.with(|world| world.mail_from(ACCOUNT, region, DOMAIN).cloned());
        let Some(held) = held else {
            if matches!(edit, SesEdit::Verify) {
                self.others(|world| world.set_identity(ACCOUNT, region, DOMAIN, true));
            }
            return;
        };
        if matches!(edit, SesEdit::Foreign) {
            self.marks.insert(Mark::Foreign);
        }
        let name = held.domain.as_ref().map(|(name, _)| name.clone());
        self.others(|world| {
            let put = |world: &mut World, name: &str, behavior| {
                // SES refuses where the identity is not verified.
                let _ = world.put_mail_from(ACCOUNT, region, DOMAIN, name, behavior);
            };
            match edit {
                SesEdit::Clear => put(world, "", Behavior::UseDefaultValue),
                SesEdit::Foreign => put(world, FOREIGN_NAME, Behavior::UseDefaultValue),
                SesEdit::Raise => {
                    if let Some(name) = &name {
                        put(world, name, Behavior::RejectMessage);
                    }
                }
                SesEdit::Force(status) => {
                    if let Some(name) = &name {
                        let _ = world.force_mail_from(
                            ACCOUNT,
                            region,
                            DOMAIN,
                            Some((name, status)),
                            held.behavior,
                        );
                        if status == MailFromStatus::Success {
                            world.check_mail_from(ACCOUNT, region, DOMAIN);
                        }
                    }
                }
                SesEdit::Unverify => world.set_identity(ACCOUNT, region, DOMAIN, false),
                SesEdit::Verify => world.set_identity(ACCOUNT, region, DOMAIN, true),
                SesEdit::LoseIdentity => world.delete_identity(ACCOUNT, region, DOMAIN),
            }
        });
    }
}

fn add(set: &mut RecordSet, value: &str) {
    if !set.values.iter().any(|held| held == value) {
        set.values.push(value.to_owned());
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
