//! The state of the world, and how time changes it.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::{
    clock::{SimTime, WallClock},
    config::Config,
    dns::{self, Dns},
    faults::Script,
    iam::Iam,
    log::{Call, DnsQuestion, Event, EventKind, IdentityKey, MailFromStatus, Outcome, Sending},
    name::Name,
    record::{RecordSet, RecordType},
    route53::{self, Edit, Route53, Zone},
    ses::{self, Identity, MailFromView, Ses},
    sts::{Keys, Role},
    throttle::Buckets,
};

/// Something that falls due.
#[derive(Clone, Debug)]
pub(crate) enum Timer {
    /// A change comes in sync.
    InSync(String),
    /// SES looks for an MX, for the setup of that epoch.
    MxCheck(IdentityKey, u64),
}

/// AWS and the DNS. Reading it shows the truth, past every cache and stale read.
#[derive(Debug)]
pub struct World {
    config: Config,
    now: SimTime,
    order: u64,
    timers: BTreeMap<(SimTime, u64), Timer>,
    wall: WallClock,
    roles: BTreeMap<String, Role>,
    calls: Vec<Call>,
    events: Vec<Event>,
    dns_questions: Vec<DnsQuestion>,
    pub(crate) ses: Ses,
    pub(crate) route53: Route53,
    pub(crate) dns: Dns,
    pub(crate) buckets: Buckets,
    pub(crate) script: Script,
    pub(crate) keys: Keys,
    pub(crate) iam: Iam,
}

impl World {
    pub(crate) fn new(config: Config, wall: WallClock) -> Self {
        let mut world = Self {
            config,
            now: SimTime::ZERO,
            order: 0,
            timers: BTreeMap::new(),
            wall,
            roles: BTreeMap::new(),
            calls: Vec::new(),
            events: Vec::new(),
            dns_questions: Vec::new(),
            ses: Ses::default(),
            route53: Route53::default(),
            dns: Dns::default(),
            buckets: Buckets::default(),
            script: Script::default(),
            keys: Keys::default(),
            iam: Iam::default(),
        };
        world.dns.registries.insert(Name::root());
        world.dns.hosts.extend(Name::parse("a.root-servers.net").map(|host| (host, dns::PARENT)));
        world
    }

    /// What was set.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Changes what was set, from now on.
    pub fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    /// Simulated time since the world began.
    pub fn now(&self) -> SimTime {
        self.now
    }

    /// Every call, in the order in which they came in.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Calls of one action.
    pub fn calls_of<'a>(&'a self, action: &'a str) -> impl Iterator<Item = &'a Call> {
        self.calls.iter().filter(move |call| call.action == action)
    }

    /// How often each action was called, by account and region.
    pub fn counts(&self) -> BTreeMap<(String, String, String), usize> {
        let mut counts = BTreeMap::new();
        for call in &self.calls {
            *counts
                .entry((call.account.clone(), call.region.clone(), call.action.clone()))
                .or_default() += 1;
        }
        counts
    }

    /// Every change of state, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// Every question that came to a name server or resolver, in order; what
    /// resolvers and SES ask among themselves is not of it.
    pub fn dns_questions(&self) -> &[DnsQuestion] {
        &self.dns_questions
    }

    /// A zone by its id.
    pub fn zone(&self, id: &str) -> Option<&Zone> {
        self.route53.zones.get(id)
    }

    /// What the API shows of a record set without routing; none for what is no
    /// name.
    pub fn record_set(&self, zone: &str, name: &str, kind: RecordType) -> Option<&RecordSet> {
        let key = (Name::parse(name).ok()?, kind, None);
        self.zone(zone)?.records.get(&key)
    }

    /// What the name servers serve of it.
    pub fn served_record_set(
        &self,
        zone: &str,
        name: &str,
        kind: RecordType,
    ) -> Option<&RecordSet> {
        let key = (Name::parse(name).ok()?, kind, None);
        self.zone(zone)?.served.get(&key)
    }

    /// What holds in SES for an identity, whatever reads still show; none if
    /// there is no such identity.
    pub fn mail_from(&self, account: &str, region: &str, identity: &str) -> Option<&MailFromView> {
        self.ses
            .identities
            .get(&IdentityKey::new(account, region, identity))
            .map(|identity| &identity.state)
    }

    /// The status that holds; none where no MAIL FROM is set.
    pub fn mail_from_status(
        &self,
        account: &str,
        region: &str,
        identity: &str,
    ) -> Option<MailFromStatus> {
        self.mail_from(account, region, identity)?.domain.as_ref().map(|(_, status)| *status)
    }

    /// What happens to a message sent now from a domain or an address: the most
    /// granular identity decides, and one of its own inherits nothing.
    pub fn would_send(&self, account: &str, region: &str, from: &str) -> Sending {
        let domain = from.rsplit_once('@').map_or(from, |(_, domain)| domain);
        let domains = Name::parse(domain).into_iter().flat_map(|name| {
            let ancestors: Vec<String> = name.ancestors().map(|above| above.plain()).collect();
            ancestors
        });
        let found = std::iter::once(from.to_owned())
            .chain(domains)
            .find_map(|name| self.ses.identities.get(&IdentityKey::new(account, region, &name)));
        ses::sending(found)
    }

    /// When the next thing falls due by itself.
    pub fn next_due(&self) -> Option<SimTime> {
        self.timers.first_key_value().map(|((due, _), _)| *due)
    }

    /// Lets everything up to that time happen, each at its own time.
    pub(crate) fn tick(&mut self, to: SimTime) -> bool {
        let mut fired = false;
        while let Some(entry) = self.timers.first_entry() {
            let due = entry.key().0;
            if due > to {
                break;
            }
            let timer = entry.remove();
            self.now = self.now.max(due);
            fired = true;
            match timer {
                Timer::InSync(change) => route53::put_in_sync(self, &change),
                Timer::MxCheck(identity, epoch) => ses::check(self, &identity, epoch),
            }
        }
        self.now = self.now.max(to);
        fired
    }

    pub(crate) fn schedule(&mut self, due: SimTime, timer: Timer) {
        let order = self.next_order();
        self.timers.insert((due, order), timer);
    }

    pub(crate) fn next_order(&mut self) -> u64 {
        self.order += 1;
        self.order
    }

    pub(crate) fn record_question(&mut self, server: Ipv4Addr, name: &Name, kind: RecordType) {
        let order = self.next_order();
        let name = name.clone();
        self.dns_questions.push(DnsQuestion { order, at: self.now, server, name, kind });
    }

    pub(crate) fn record(&mut self, kind: EventKind) {
        let order = self.next_order();
        self.events.push(Event { order, at: self.now, kind });
    }

    /// Notes a call; the place in the log is for [`World::finish`].
    pub(crate) fn begin(&mut self, mut call: Call) -> usize {
        call.order = self.next_order();
        call.at = self.now;
        self.calls.push(call);
        self.calls.len() - 1
    }

    pub(crate) fn finish(&mut self, index: usize, outcome: Outcome) {
        if let Some(call) = self.calls.get_mut(index) {
            call.outcome = outcome;
        }
    }

    /// The ARN of whom an access key belongs to.
    pub(crate) fn principal(&self, access_key: &str, account: &str) -> String {
        let known = self.keys.arn(access_key).map(str::to_owned);
        known.unwrap_or_else(|| format!("arn:aws:iam::{account}:root"))
    }

    pub(crate) fn add_role_entry(&mut self, arn: &str, role: Role) {
        self.iam.forget_role(arn);
        self.roles.insert(arn.to_owned(), role);
    }

    pub(crate) fn remove_role_entry(&mut self, arn: &str) {
        self.iam.forget_role(arn);
        self.roles.remove(arn);
    }

    pub(crate) fn role(&self, arn: &str) -> Option<&Role> {
        self.roles.get(arn)
    }

    /// The clock that sessions and quotas go by.
    pub(crate) fn wall(&self) -> &WallClock {
        &self.wall
    }

    /// Changes what the API shows of a record set; what is served stays.
    pub(crate) fn edit_record_set(&mut self, zone_id: &str, edit: &Edit, change: Option<&str>) {
        let Some(zone) = self.route53.zones.get_mut(zone_id) else {
            return;
        };
        let key = edit.key();
        let before = match edit {
            Edit::Set(set) => zone.records.insert(key.clone(), set.clone()),
            Edit::Remove(_) => zone.records.remove(&key),
        };
        let from = before.map(|set| set.values);
        let to = zone.records.get(&key).map(|set| set.values.clone());
        let (name, kind, _) = key;
        let (zone, change) = (zone_id.to_owned(), change.map(str::to_owned));
        self.record(EventKind::RecordSet { zone, name, kind, from, to, change });
    }

    /// Counts a change of a zone that is being submitted, or is no more.
    pub(crate) fn submit(&mut self, zone: &str, begins: bool) {
        if let Some(zone) = self.route53.zones.get_mut(zone) {
            let others = if begins {
                zone.in_submission.checked_add(1)
            } else {
                zone.in_submission.checked_sub(1)
            };
            zone.in_submission = others.unwrap_or_default();
        }
    }

    /// Changes an identity and notes what that means for mail.
    pub(crate) fn change_identity(
        &mut self,
        key: &IdentityKey,
        change: impl FnOnce(&mut Identity),
    ) {
        let Some(identity) = self.ses.identities.get_mut(key) else {
            return;
        };
        let (before, sent) = (identity.state.domain.clone(), ses::sending(Some(identity)));
        change(identity);
        let (after, sends) = (identity.state.domain.clone(), ses::sending(Some(identity)));
        if before != after {
            let named = after.as_ref().or(before.as_ref());
            let domain = named.map(|(domain, _)| domain.clone()).unwrap_or_default();
            let same_name =
                before.as_ref().map(|(name, _)| name) == after.as_ref().map(|(name, _)| name);
            let from = before.filter(|_| same_name || after.is_none()).map(|(_, status)| status);
            let to = after.map(|(_, status)| status);
            self.record(EventKind::MailFromStatus { identity: key.clone(), domain, from, to });
        }
        self.note_sending(key, sent, sends);
    }

    pub(crate) fn note_sending(&mut self, key: &IdentityKey, from: Sending, to: Sending) {
        if from != to {
            self.record(EventKind::Sending { identity: key.clone(), from, to });
        }
    }
}
