//! Several objects, of one operator or of two, over one SES and one Route 53.
//! Every turn of one may be cut in two, with turns of the others between.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::small_aws::{self, Records};
use super::super::small_world::{ACCOUNT, ZONE, claimant, minutes, settings};
use super::actors::{Actor, Operator};
use super::ledger::Ledger;
use crate::api::{SesMailFrom, SesMailFromStatus};
use crate::mail::{
    DomainName, HostedZoneId, Identity, MailFromStatus, Marker, RecordSet, RecordType, Routing,
    Zone,
};
use crate::plan::{Memory, Settings};

pub(super) const DOMAIN: &str = "example.com";
/// An identity of its own below [`DOMAIN`].
pub(super) const BELOW: &str = "b.example.com";
pub(super) const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
pub(super) const NAMESPACES: [&str; 2] = ["mail", "else"];
pub(super) const OWNERS: [&str; 2] = ["cluster", "another"];
pub(super) const OTHER_ACCOUNT: &str = "444455556666";

/// Longer than any pause in [`Crowd::settings`].
const QUIET: Duration = Duration::from_mins(50);
/// More turns than any world needs to come to rest.
const TURNS: usize = 400;

/// The MAIL FROM setting of an identity: account, identity, region.
pub(super) type Setting = (String, String, String);

pub(super) struct Crowd {
    pub now: Timestamp,
    pub settings: Settings,
    pub operators: Vec<Operator>,
    pub actors: Vec<Actor>,
    pub versions: Vec<u64>,
    pub identities: BTreeMap<Setting, Identity>,
    pub records: Records,
    pub zones: Vec<Zone>,
    pub ledger: Ledger,
    /// Counts what happens to AWS.
    pub moves: u64,
    /// When each setting was last touched, by that count.
    pub touched: BTreeMap<Setting, u64>,
    /// Status writes so far.
    pub statuses: usize,
    /// Writes to AWS, in order, as text.
    pub done: Vec<String>,
}

impl Crowd {
    pub(super) fn new(operators: Vec<Operator>, actors: Vec<Actor>) -> Self {
        let zone = Zone {
            id: HostedZoneId::parse(ZONE).unwrap(),
            name: DomainName::parse(DOMAIN).unwrap(),
            private: false,
            linked_service: None,
        };
        let mut identities = BTreeMap::new();
        for account in [ACCOUNT, OTHER_ACCOUNT] {
            for identity in [DOMAIN, BELOW] {
                for region in REGIONS {
                    let setting = (account.to_owned(), identity.to_owned(), region.to_owned());
                    identities.insert(setting, Identity { verified: true, mail_from: None });
                }
            }
        }
        let settings = Settings {
            drain_window: minutes(30),
            restart_pause_min: minutes(10),
            restart_pause_max: minutes(20),
            drift_loop_window: minutes(20),
            ..settings()
        };
        let versions = vec![0; actors.len()];
        let mut crowd = Self {
            now: "2026-02-01T00:00:00.5Z".parse().unwrap(),
            settings,
            operators,
            actors,
            versions,
            identities,
            records: vec![(ZONE.into(), record_set(DOMAIN, RecordType::Ns, &["ns1.example.net."]))],
            zones: vec![zone],
            ledger: Ledger::default(),
            moves: 0,
            touched: BTreeMap::new(),
            statuses: 0,
            done: Vec::new(),
        };
        for who in 0..crowd.actors.len() {
            crowd.claim(who);
        }
        crowd
    }

    /// Takes in an object as its operator's watch shows it.
    pub(super) fn claim(&mut self, who: usize) {
        let actor = &self.actors[who];
        let operator = &mut self.operators[actor.operator];
        if actor.gone {
            operator.claims.remove(&actor.key());
            return;
        }
        let (owner_id, credentials) = (operator.owner_id, actor.credentials.clone());
        let claimant = claimant(&actor.object, owner_id, credentials, &self.settings.regions);
        operator.claims.put(claimant);
    }

    /// A new process of an operator.
    pub(super) fn restart(&mut self, operator: usize) {
        self.operators[operator].start();
        for who in 0..self.actors.len() {
            if self.actors[who].operator == operator {
                let actor = &mut self.actors[who];
                actor.memory = Memory::default();
                actor.asked.clear();
                actor.pending = None;
                self.claim(who);
            }
        }
    }

    pub(super) fn edit(&mut self, who: usize, change: impl FnOnce(&mut SesMailFrom)) {
        let object = &mut self.actors[who].object;
        change(object);
        *object.metadata.generation.as_mut().unwrap() += 1;
        self.versions[who] += 1;
        self.claim(who);
    }

    pub(super) fn delete(&mut self, who: usize) {
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now);
        let unheld = self.actors[who].object.metadata.finalizers.is_none();
        self.edit(who, |object| object.metadata.deletion_timestamp = Some(now));
        if unheld {
            self.goes(who);
        }
    }

    pub(super) fn goes(&mut self, who: usize) {
        self.actors[who].object.metadata.finalizers = None;
        self.actors[who].gone = self.actors[who].is_deleting();
        self.actors[who].pending = None;
        self.claim(who);
    }

    /// Somebody, or we, touched a setting.
    pub(super) fn touch(&mut self, setting: &Setting) {
        self.moves += 1;
        self.touched.insert(setting.clone(), self.moves);
    }

    pub(super) fn at(&self, name: &str, rtype: &RecordType) -> Option<&RecordSet> {
        small_aws::at(&self.records, name, rtype)
    }

    /// The marker that stands at a name.
    pub(super) fn marker(&self, name: &str) -> Option<Marker> {
        let texts = small_aws::joined(self.at(name, &RecordType::Txt)?);
        let mut markers = texts.iter().filter(|text| Marker::is_marker(text));
        markers.find_map(|text| Marker::parse(text).ok())
    }

    pub(super) fn held(&self, setting: &Setting) -> Option<&str> {
        let mail_from = self.identities.get(setting)?.mail_from.as_ref()?;
        Some(&mail_from.domain)
    }

    /// SES looks for the MX of every name that it was told.
    fn look(&mut self) {
        let records = &self.records;
        let stands = |name: &str| {
            let mx = small_aws::at(records, name, &RecordType::Mx);
            mx.is_some_and(|set| set.values.len() == 1 && set.values[0].contains("feedback-smtp."))
        };
        for identity in self.identities.values_mut() {
            let Some(held) = &mut identity.mail_from else { continue };
            held.status = match (held.status, stands(&held.domain)) {
                (MailFromStatus::Failed, _) => MailFromStatus::Failed,
                (_, true) => MailFromStatus::Success,
                (MailFromStatus::Success, false) => MailFromStatus::TemporaryFailure,
                (status, false) => status,
            };
        }
    }

    pub(super) fn write_status(&mut self, who: usize, status: &SesMailFromStatus) {
        self.statuses += 1;
        self.versions[who] += 1;
        // As the API server keeps it.
        let text = serde_json::to_string(status).unwrap();
        self.actors[who].object.status = Some(serde_json::from_str(&text).unwrap());
        self.claim(who);
    }

    pub(super) fn wipe_status(&mut self, who: usize) {
        self.actors[who].object.status = None;
        self.versions[who] += 1;
        self.claim(who);
    }

    /// Lets time pass and SES look until nobody has anything to do for
    /// [`QUIET`]. Yields how much was written.
    pub(super) fn rest(&mut self) -> (usize, usize) {
        let before = (self.done.len(), self.statuses);
        let mut quiet_since = self.now;
        let after = |time: Timestamp, by| time.checked_add(by).unwrap();
        for _ in 0..TURNS {
            let mut did = false;
            for who in 0..self.actors.len() {
                did |= self.turn(who, usize::MAX);
            }
            self.look();
            if did {
                self.now = after(self.now, Duration::from_secs(3));
                quiet_since = self.now;
                continue;
            }
            let wakes = self.actors.iter().filter(|actor| !actor.gone).filter_map(|a| a.wake);
            let end = after(quiet_since, QUIET);
            let Some(wake) = wakes.min().filter(|_| self.now < end) else {
                return (self.done.len() - before.0, self.statuses - before.1);
            };
            // An operator may be late, but for what is due within minutes.
            self.now = wake.max(after(self.now, Duration::from_mins(9))).min(end);
        }
        let last: Vec<_> = self.done.iter().rev().take(12).collect();
        panic!("never comes to rest: {last:?}");
    }
}

pub(super) fn record_set(name: &str, rtype: RecordType, values: &[&str]) -> RecordSet {
    RecordSet {
        name: DomainName::parse(name).unwrap(),
        rtype,
        ttl: 300,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
        routing: Routing::Simple,
    }
}
