//! A world small enough to hold in one's head: SES as a table, zones as lists,
//! DNS that shows what it is told to. It answers a plan's questions and carries
//! out its effects, and never decides anything itself.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;

use super::small_aws;
use crate::api::{FINALIZER, Reason, RegionSpec, SesMailFrom, SesMailFromStatus};
use crate::authority::{Claimant, Claims, ObjectKey, Place, ServiceCredentials};
use crate::mail::{
    BehaviorOnMxFailure, Change, ChangeState, Delegation, DomainName, HostedZoneId, Identity,
    MailFrom, MailFromDomain, MailFromStatus, NameView, Owner, RecordSet, RecordType, Region,
    Regions, Routing, Seen, Surroundings, Verification, Zone,
};
use crate::plan::{
    Answer, Effect, Facts, Fault, Memory, Notice, Plan, Question, Said, Settings, Upkeep, Value,
    World, WriteFault, plan,
};

pub(super) const ACCOUNT: &str = "111122223333";
pub(super) const ZONE: &str = "Z1";

/// Everything outside the object, and what was done to it.
pub(super) struct SmallWorld {
    pub now: Timestamp,
    pub object: SesMailFrom,
    pub settings: Settings,
    pub claims: Claims,
    pub memory: Memory,
    pub account: String,
    pub identities: BTreeMap<(String, String), Identity>,
    pub zones: Vec<Zone>,
    pub records: small_aws::Records,
    pub delegation: Delegation,
    pub change: ChangeState,
    /// `None`: the servers answer with what the zone holds.
    pub seen: Option<Seen>,
    pub wildcard: Option<String>,
    pub failing: BTreeMap<Question, Fault>,
    /// So many changes of records are not made, whatever becomes of their answers.
    pub lost_changes: u32,
    /// Not answered yet.
    pub silent: BTreeSet<Question>,
    /// Where a put has no permit.
    pub no_permit: BTreeSet<Region>,
    /// When what cannot be read was last read without a plan.
    pub kept_up: BTreeMap<Question, Timestamp>,
    /// What was done, in order, as text.
    pub done: Vec<String>,
    pub notices: Vec<Notice>,
    /// Reads of SES show the state before the put until this passes.
    pub stale_reads: Option<BTreeMap<(String, String), Identity>>,
    pub finalizer_gone: bool,
    /// Whether a put starts a Failed setup again.
    pub put_restarts: bool,
    pub last: Plan,
}

pub(super) fn object(spec: &str) -> SesMailFrom {
    let text = format!(
        "apiVersion: mailfrom.dev/v1alpha1\nkind: SesMailFrom\nmetadata:\n  name: example\n  namespace: mail\n  uid: u1\n  generation: 1\n  creationTimestamp: '2026-01-01T00:00:00Z'\nspec:\n{spec}"
    );
    serde_yaml_ng::from_str(&text).unwrap()
}

pub(super) const TWO_REGIONS: &str = "  domain: example.com\n  subdomain: bounce\n  regions: [{name: us-east-1}, {name: eu-west-1}]\n";
pub(super) const ONE_REGION: &str =
    "  domain: example.com\n  subdomain: bounce\n  regions: [{name: us-east-1}]\n";

pub(super) fn settings() -> Settings {
    let (minute, hour) = (60, 3600);
    let seconds = Duration::from_secs;
    Settings {
        verification_window: seconds(72 * hour),
        drain_window: seconds(120 * hour),
        poll_min: seconds(15),
        poll_max: seconds(10 * minute),
        resync: seconds(10 * minute),
        restart_pause_min: seconds(hour),
        restart_pause_max: seconds(24 * hour),
        put_hold_off: seconds(minute),
        authority_grace: seconds(5 * minute),
        stall_grace: seconds(15 * minute),
        stale_after: seconds(2 * hour),
        drift_loop_window: seconds(hour),
        insync_fallback: seconds(2 * minute),
        max_observation_age: seconds(2 * minute),
        zone_cache: seconds(hour),
        regions: Regions::default(),
    }
}

pub(super) fn owner() -> Owner {
    Owner::of("cluster", "mail", "example")
}

impl SmallWorld {
    /// A verified identity in every region of the spec, and its delegated zone.
    pub(super) fn new(spec: &str) -> Self {
        let object = object(spec);
        let regions = object.spec.regions.iter();
        let verified = Identity { verified: true, mail_from: None };
        let identities = regions
            .map(|r| ((object.spec.domain.clone(), r.name.clone()), verified.clone()))
            .collect();
        let zone = Zone {
            id: HostedZoneId::parse(ZONE).unwrap(),
            name: DomainName::parse(&object.spec.domain).unwrap(),
            private: false,
            linked_service: None,
        };
        let ns = RecordSet {
            name: zone.name.clone(),
            rtype: RecordType::Ns,
            ttl: 172_800,
            values: vec!["ns1.example.net.".into()],
            routing: Routing::Simple,
        };
        let mut world = Self {
            now: "2026-01-01T00:00:00.5Z".parse().unwrap(),
            object,
            settings: settings(),
            claims: allowing(&json!({"takeOver": "Allow"})),
            memory: Memory::default(),
            account: ACCOUNT.into(),
            identities,
            zones: vec![zone],
            records: vec![(ZONE.into(), ns)],
            delegation: Delegation::Delegated,
            change: ChangeState::Insync,
            seen: None,
            wildcard: None,
            failing: BTreeMap::new(),
            lost_changes: 0,
            silent: BTreeSet::new(),
            no_permit: BTreeSet::new(),
            kept_up: BTreeMap::new(),
            done: Vec::new(),
            notices: Vec::new(),
            stale_reads: None,
            finalizer_gone: false,
            put_restarts: true,
            last: Plan::default(),
        };
        world.claim();
        world
    }

    pub(super) fn claim(&mut self) {
        let credentials = ServiceCredentials::default();
        self.claims.put(claimant(&self.object, "cluster", credentials, &self.settings.regions));
    }

    pub(super) fn status(&self) -> &SesMailFromStatus {
        self.object.status.as_ref().expect("a status")
    }

    pub(super) fn condition(&self, kind: &str) -> String {
        let all = &self.status().conditions;
        let found = all.iter().find(|condition| condition.type_ == kind);
        found.map_or("absent".into(), |c| format!("{} {}", c.status, c.reason))
    }

    pub(super) fn message(&self) -> String {
        let ready = self.status().conditions.iter().find(|c| c.type_ == "Ready").unwrap();
        ready.message.clone()
    }

    pub(super) fn region(&self, name: &str) -> &crate::api::RegionStatus {
        self.status().regions.iter().find(|region| region.name == name).unwrap()
    }

    pub(super) fn ses(&mut self, region: &str) -> &mut Identity {
        let domain = self.object.spec.domain.clone();
        self.identities.get_mut(&(domain, region.into())).unwrap()
    }

    pub(super) fn mail_from(&mut self, region: &str) -> &mut MailFrom {
        self.ses(region).mail_from.as_mut().expect("a MAIL FROM domain")
    }

    pub(super) fn set_all(&mut self, status: MailFromStatus) {
        for identity in self.identities.values_mut() {
            if let Some(mail_from) = &mut identity.mail_from {
                mail_from.status = status;
            }
        }
    }

    pub(super) fn edit(&mut self, change: impl FnOnce(&mut SesMailFrom)) {
        change(&mut self.object);
        *self.object.metadata.generation.as_mut().unwrap() += 1;
        self.claim();
    }

    /// Names one more region in the spec.
    pub(super) fn add_region(&mut self, name: &str) {
        let region = RegionSpec { name: name.into(), subdomain: None };
        self.edit(|object| object.spec.regions.push(region));
    }

    /// What the setting of `example.com` in a region is asked with.
    pub(super) fn setting_in(&self, region: &str) -> Question {
        let region = self.settings.regions.get(region).unwrap();
        Question::MailFrom(DomainName::parse("example.com").unwrap(), region)
    }

    pub(super) fn delete(&mut self) {
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now);
        self.edit(|object| object.metadata.deletion_timestamp = Some(now));
    }

    pub(super) fn at(&self, name: &str, rtype: &RecordType) -> Option<&RecordSet> {
        small_aws::at(&self.records, name, rtype)
    }

    pub(super) fn remove(&mut self, name: &str, rtype: &RecordType) {
        self.records.retain(|(_, set)| set.name.as_str() != name || set.rtype != *rtype);
    }

    pub(super) fn put_record(&mut self, name: &str, rtype: RecordType, values: &[&str]) {
        self.remove(name, &rtype);
        let set = RecordSet {
            name: DomainName::parse(name).unwrap(),
            rtype,
            ttl: 300,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            routing: Routing::Simple,
        };
        self.records.push((ZONE.into(), set));
    }

    pub(super) fn put_record_at(
        &mut self,
        name: &str,
        rtype: RecordType,
        ttl: u32,
        values: &[&str],
    ) {
        self.put_record(name, rtype, values);
        self.records.last_mut().unwrap().1.ttl = ttl;
    }

    pub(super) fn texts(&self, name: &str) -> Vec<String> {
        self.at(name, &RecordType::Txt).map(small_aws::joined).unwrap_or_default()
    }

    pub(super) fn pass(&mut self, duration: Duration) {
        self.now = self.now.checked_add(duration).unwrap();
    }

    /// Plans and carries out until nothing is left to do now. Answers are
    /// always fresh.
    pub(super) fn settle(&mut self) {
        for _ in 0..40 {
            if !self.step() {
                return;
            }
        }
        panic!("never comes to rest; last done: {:?}", self.done.iter().rev().take(8));
    }

    /// Lets time pass, waking the object whenever it asked to be woken.
    pub(super) fn live(&mut self, duration: Duration) {
        let end = self.now.checked_add(duration).unwrap();
        for _ in 0..20_000 {
            self.settle();
            let Some(wake) = self.next_look().filter(|wake| *wake <= end) else { break };
            self.now = wake.max(self.now.checked_add(Duration::from_millis(100)).unwrap());
        }
        self.now = end;
        self.settle();
    }

    /// Lets time pass in which no write to AWS is given a permit.
    pub(super) fn wait_for_a_permit(&mut self, duration: Duration) {
        let end = self.now.checked_add(duration).unwrap();
        while self.now < end {
            let plan = self.planned();
            self.memory = plan.memory.clone();
            assert!(!plan.effects.is_empty(), "nothing waits for a permit");
            if let Some(report) = &plan.report {
                self.write_status(report);
            }
            self.pass(Duration::from_secs(1));
        }
    }

    /// When the object asked to be woken, or something that it watches is read.
    fn next_look(&self) -> Option<Timestamp> {
        self.last.watch.values().map(Upkeep::due).chain(self.last.wake).min()
    }

    pub(super) fn settle_and_report(&mut self) {
        self.settle();
        self.pass(Duration::from_secs(3));
        self.settle();
    }

    /// One plan, with all its questions answered, and its effects. False where
    /// nothing was done.
    pub(super) fn step(&mut self) -> bool {
        let plan = self.planned();
        self.memory = plan.memory.clone();
        let mut did = false;
        let mut told = BTreeSet::new();
        for effect in &plan.effects {
            did = true;
            if !self.apply(effect) {
                break;
            }
            if let Effect::ChangeRecords { grant, .. } | Effect::PutMailFrom { grant, .. } = effect
            {
                told.insert(grant.place().clone());
            }
        }
        let announced = plan.announcements.iter().filter(|(place, _)| told.contains(place));
        self.notices.extend(announced.flat_map(|(_, notices)| notices.clone()));
        if let Some(report) = plan.report.as_ref().filter(|_| plan.effects.is_empty()) {
            did = true;
            self.write_status(report);
        }
        self.notices.extend(plan.notices.clone());
        self.last = plan;
        did
    }

    pub(super) fn planned(&self) -> Plan {
        let mut facts = Facts { no_permit: self.no_permit.clone(), ..Facts::default() };
        for _ in 0..12 {
            let plan = self.plan_with(&facts);
            let open: BTreeSet<_> =
                plan.questions.keys().filter(|q| !facts.answers.contains_key(q)).cloned().collect();
            if open.is_empty() {
                return plan;
            }
            for question in open {
                let answer = self.answer(&question);
                let unread = !matches!(answer, Answer::Known { .. });
                if let Some(at) = self.kept_up.get(&question).filter(|_| unread) {
                    facts.last_read.insert(question.clone(), *at);
                }
                facts.answers.insert(question, answer);
            }
        }
        panic!("never stops asking");
    }

    pub(super) fn plan_with(&self, facts: &Facts) -> Plan {
        let key = ObjectKey::new("mail", "example");
        let standing = self.claims.standing(&key).unwrap();
        plan(&World {
            now: self.now,
            settings: &self.settings,
            object: &self.object,
            standing: &standing,
            facts,
            memory: &self.memory,
        })
    }

    fn read(&self, name: &DomainName, region: &Region) -> Option<&Identity> {
        let key = (name.to_string(), region.to_string());
        self.stale_reads.as_ref().unwrap_or(&self.identities).get(&key)
    }

    fn answer(&self, question: &Question) -> Answer {
        if self.silent.contains(question) {
            return Answer::NotYet;
        }
        if let Some(fault) = self.failing.get(question) {
            let retry_at = self.now.checked_add(Duration::from_secs(30)).unwrap();
            return Answer::Failed { fault: fault.clone(), retry_at };
        }
        let value = match question {
            Question::Account(_) => Value::Account(self.account.clone()),
            Question::Verification(name, region) => {
                Value::Verification(match self.read(name, region) {
                    None => Verification::Missing,
                    Some(identity) if identity.verified => Verification::Verified,
                    Some(_) => Verification::Unverified,
                })
            }
            Question::MailFrom(name, region) => {
                let identity = self.read(name, region);
                Value::MailFrom(identity.and_then(|identity| identity.mail_from.clone()))
            }
            Question::Zones(name) => Value::Zones(small_aws::zones_above(&self.zones, name)),
            Question::Delegation(..) => Value::Delegation(self.delegation.clone()),
            Question::Name(zone, name) => {
                let here =
                    |(id, set): &&(String, RecordSet)| id == zone.as_str() && set.name == *name;
                let sets = self.records.iter().filter(here).map(|(_, set)| set.clone()).collect();
                Value::Name(NameView { sets })
            }
            Question::Surroundings(..) => Value::Surroundings(Surroundings {
                exists: false,
                wildcard: self.wildcard.clone(),
                delegated_at: None,
            }),
            Question::Change(_) => Value::Change(self.change),
            Question::Seen(name, _) => Value::Seen(self.seen.clone().unwrap_or_else(|| {
                let mx = self.at(name.as_str(), &RecordType::Mx).map(|set| set.values.clone());
                Seen::Answered { mx: mx.unwrap_or_default(), txt: self.texts(name.as_str()) }
            })),
        };
        Answer::Known { sent: self.now, value }
    }

    fn apply(&mut self, effect: &Effect) -> bool {
        match effect {
            Effect::AddFinalizer => {
                self.object.metadata.finalizers = Some(vec![FINALIZER.into()]);
            }
            Effect::RemoveFinalizer => {
                self.object.metadata.finalizers = None;
                self.finalizer_gone = true;
            }
            Effect::LeaveInPlace { what } => {
                self.done.push(format!("leave in place: {what}"));
                self.object.metadata.finalizers = None;
                self.finalizer_gone = true;
            }
            Effect::WriteStatus(status) => self.write_status(status),
            Effect::ChangeRecords { batch, repair, .. } => {
                return self.change_records(batch, *repair);
            }
            Effect::PutMailFrom { region, mail_from, behavior, .. } => {
                let name = mail_from.as_ref().map_or("none", |name| name.as_str());
                self.done.push(format!("put {region} {name} {}", behavior.as_str()));
                let before = self.ses(region.as_str()).mail_from.take();
                let restarts = self.put_restarts;
                let set = small_aws::put(before.as_ref(), mail_from.as_ref(), *behavior, restarts);
                self.ses(region.as_str()).mail_from = set;
            }
        }
        true
    }

    fn write_status(&mut self, status: &SesMailFromStatus) {
        self.done.push("status".into());
        // As the API server keeps it.
        let text = serde_json::to_string(status).unwrap();
        self.object.status = Some(serde_json::from_str(&text).unwrap());
        self.claim();
    }

    fn change_records(&mut self, batch: &crate::mail::ChangeBatch, repair: bool) -> bool {
        if self.lost_changes > 0 {
            self.lost_changes -= 1;
            self.lose(batch, repair);
            return false;
        }
        if let Err(change) = small_aws::submit(&mut self.records, batch) {
            panic!("a lost compare-and-swap that nobody else can have caused: {change:?}");
        }
        let mut said = Vec::new();
        for change in &batch.changes {
            let (Change::Create(set) | Change::Delete(set)) = change;
            self.memory.changes.insert(set.name.clone(), ("C1".into(), self.now));
            let verb = if matches!(change, Change::Create(_)) { "+" } else { "-" };
            said.push(format!("{verb}{}", set.rtype));
        }
        self.done.push(format!("change {}", said.join(" ")));
        true
    }

    fn domain(&self) -> DomainName {
        DomainName::parse(&self.object.spec.domain).unwrap()
    }

    /// A change that Route 53 did not answer.
    fn lose(&mut self, batch: &crate::mail::ChangeBatch, repair: bool) {
        let (Change::Create(set) | Change::Delete(set)) = &batch.changes[0];
        let place = Place::Name(MailFromDomain::below(set.name.as_str(), &self.domain()).unwrap());
        let count = self.memory.faults.get(&place).map_or(0, |before| before.count) + 1;
        let fault = WriteFault { fault: unavailable(), at: self.now, count, repair };
        self.memory.faults.insert(place, fault);
        self.done.push("lost".into());
    }

    /// What was done to AWS, without the status writes.
    pub(super) fn writes(&self) -> Vec<&str> {
        self.done.iter().map(String::as_str).filter(|done| *done != "status").collect()
    }

    /// An object that has come to Ready.
    pub(super) fn ready(spec: &str) -> Self {
        let mut world = Self::new(spec);
        world.settle_and_report();
        world.pass(Duration::from_secs(30));
        world.set_all(MailFromStatus::Success);
        world.live(Duration::from_mins(3));
        assert_eq!(world.condition("Ready"), "True Succeeded", "{}", world.message());
        world.done.clear();
        world.notices.clear();
        world
    }
}

/// What an object of the operator with this owner id claims.
pub(super) fn claimant(
    object: &SesMailFrom,
    owner_id: &str,
    credentials: ServiceCredentials,
    regions: &Regions,
) -> Claimant {
    let metadata = &object.metadata;
    let key = ObjectKey::new(metadata.namespace.clone().unwrap(), metadata.name.clone().unwrap());
    let places = crate::plan::Places::of(object, regions).unwrap();
    let take_over = metadata.annotations.as_ref().and_then(|a| a.get(crate::api::TAKE_OVER));
    let take_over = take_over.and_then(|text| crate::mail::Marker::parse(text).ok());
    let deleting = metadata.deletion_timestamp.is_some();
    Claimant {
        owner: Owner::of(owner_id, key.namespace(), key.name()),
        key,
        uid: metadata.uid.clone().unwrap().into(),
        created: metadata.creation_timestamp.as_ref().unwrap().0,
        domain: places.domain,
        asked: places.asked,
        places: places.claimed,
        credentials,
        spf_includes: object.spec.dns.spf.include.iter().cloned().collect(),
        manages: object.spec.mode == crate::api::Mode::Manage || deleting,
        take_over: take_over.map(|marker| marker.owner),
    }
}

pub(super) const REJECT: BehaviorOnMxFailure = BehaviorOnMxFailure::RejectMessage;
pub(super) const DEFAULT: BehaviorOnMxFailure = BehaviorOnMxFailure::UseDefaultValue;
pub(super) const NAME: &str = "bounce.example.com";

/// AWS does not answer.
pub(super) fn unavailable() -> Fault {
    Fault {
        reason: Reason::AwsUnavailable,
        transient: true,
        outdated: false,
        said: Said::Nothing,
        message: "no answer".into(),
    }
}

pub(super) fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

pub(super) fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// Claims under one policy for everybody, with `changes` to its spec.
pub(super) fn allowing(changes: &serde_json::Value) -> Claims {
    let mut claims = Claims::default();
    for namespace in ["mail", "else"] {
        claims.put_namespace(namespace, crate::authority::Labels::new());
    }
    claims.put_policy("default", policy(changes));
    claims
}

/// A policy that allows everything but take-over and roles, with `changes` to its spec.
pub(super) fn policy(changes: &serde_json::Value) -> crate::authority::Policy {
    let mut spec = json!({
        "namespaceSelector": {}, "domains": ["*"], "spfIncludes": ["*"],
        "ambientCredentials": "Allow",
    });
    spec.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    crate::authority::Policy::parse(&serde_json::from_value(spec).unwrap()).unwrap()
}
