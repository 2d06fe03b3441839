//! Finding the zones that a name could lie in: answered from what is known of
//! the account's zones, which is read on where that does not tell. One page
//! tells of a hundred zones and of all names between them, so that ten thousand
//! names need neither a call nor an answer each.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use aws_sdk_route53::operation::list_hosted_zones_by_name::ListHostedZonesByNameOutput;
use aws_sdk_route53::types as sdk;
use jiff::{SignedDuration, Timestamp};

use super::super::access::{Access, LaneKey};
use super::super::call::{Operation, Target};
use super::super::clients::Clients;
use super::super::memo::{Backoff, Failures};
use super::super::rank::Rank;
use super::super::{Error, ErrorKind, Reply, lock};
use super::GATHER;
use super::listing::{Listing, Page, Start};
use super::names::plain;
use super::reading::{Look, Reading};
use crate::authority::{Credentials, ObjectKey, Service, Sight};
use crate::mail::{DomainName, HostedZoneId, Zone};

/// The most zones that Route 53 returns at once.
const WHOLE_PAGE: i32 = 100;

/// So many pages are held at most: of a hundred thousand zones.
const PAGES: usize = 1000;

/// What is older than this is forgotten.
const MAX_AGE: SignedDuration = SignedDuration::from_hours(2);

/// The zones that are named like this name or one above it.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
struct ZonesFor(DomainName);

impl Look for ZonesFor {
    type Item = Zone;
    type Told = Vec<Zone>;

    fn go_on(
        &mut self,
        listing: &Listing<Zone>,
        not_before: Timestamp,
    ) -> Result<(Timestamp, Vec<Zone>), String> {
        let mut candidates: Vec<DomainName> = self.0.ancestors_and_self().collect();
        candidates.reverse();
        let (mut oldest, mut found) = (Timestamp::MAX, Vec::new());
        for candidate in &candidates {
            let candidate = candidate.as_str();
            let stretch = listing.telling(candidate, not_before).ok_or(candidate)?;
            oldest = oldest.min(stretch.sent());
            found.extend_from_slice(stretch.at(candidate));
        }
        found.sort_by_cached_key(|zone| (usize::MAX - zone.name.as_str().len(), zone.id.clone()));
        found.dedup();
        Ok((oldest, found))
    }
}

/// The zones of all accounts, by the credentials that see them.
#[derive(Debug)]
pub(in super::super) struct ZoneBook {
    retry: Backoff,
    accounts: Mutex<HashMap<Credentials, Account>>,
}

#[derive(Debug)]
struct Account {
    reading: Reading<ZonesFor>,
    waiting: HashMap<DomainName, Waiting>,
    failures: Failures,
    /// Somebody reads.
    served: bool,
}

/// Who waits for the zones of a name.
#[derive(Debug)]
struct Waiting {
    sight: Arc<Sight>,
    objects: HashSet<ObjectKey>,
}

impl Default for Account {
    fn default() -> Self {
        Self {
            reading: Reading::holding(PAGES),
            waiting: HashMap::new(),
            failures: Failures::default(),
            served: false,
        }
    }
}

/// The zones that are named like `name` or one above it, longest first.
pub(in super::super) fn zones(
    access: &Arc<Access>,
    name: &DomainName,
    (sight, not_before): (Sight, Timestamp),
) -> Reply<Vec<Zone>> {
    let credentials = sight.credentials(Service::Route53).clone();
    let now = access.clock.now();
    let (reply, start) = access.zone_book.look(&credentials, name, sight, not_before, now);
    if start {
        let shared = Arc::clone(access);
        access.spawn(async move { serve(&shared, &credentials).await });
    }
    reply
}

impl ZoneBook {
    pub(in super::super) fn new(retry: Backoff) -> Self {
        Self { retry, accounts: Mutex::default() }
    }

    /// What is known, and whether somebody must begin to read.
    fn look(
        &self,
        credentials: &Credentials,
        name: &DomainName,
        sight: Sight,
        not_before: Timestamp,
        now: Timestamp,
    ) -> (Reply<Vec<Zone>>, bool) {
        let mut accounts = lock(&self.accounts);
        if !accounts.contains_key(credentials) {
            accounts.retain(|_, account| account.served || account.knows_since(now - MAX_AGE));
        }
        let account = accounts.entry(credentials.clone()).or_default();
        let known = ZonesFor(name.clone()).go_on(&account.reading.listing, not_before);
        if let Ok((sent, value)) = known {
            return (Reply::Known { sent, value }, false);
        }
        let failure = account.failures.at(now).filter(|_| !account.served);
        if let Some((error, retry_at)) = failure {
            return (Reply::Failed { error, retry_at }, false);
        }
        account.wait(name, sight, not_before.min(now));
        (Reply::NotYet, !std::mem::replace(&mut account.served, true))
    }

    /// A zone is gone: what tells of it does not count any more.
    pub(in super::super) fn forget(&self, zone: &HostedZoneId) {
        for account in lock(&self.accounts).values_mut() {
            account.reading.listing.retain(|stretch| stretch.items().all(|held| held.id != *zone));
        }
    }

    fn with<T>(&self, credentials: &Credentials, with: impl FnOnce(&mut Account) -> T) -> T {
        with(lock(&self.accounts).entry(credentials.clone()).or_default())
    }
}

impl Account {
    fn knows_since(&self, oldest: Timestamp) -> bool {
        self.reading.listing.newest().is_some_and(|sent| sent >= oldest)
    }

    fn wait(&mut self, name: &DomainName, sight: Sight, not_before: Timestamp) {
        let (object, sight) = (sight.object().clone(), Arc::new(sight));
        let waiting = self.waiting.entry(name.clone()).or_insert_with(|| {
            let rank = if sight.is_urgent() { Rank::Urgent } else { Rank::Asked };
            self.reading.ask(ZonesFor(name.clone()), rank, not_before);
            Waiting { sight: Arc::clone(&sight), objects: HashSet::new() }
        });
        if !waiting.sight.stands() {
            waiting.sight = sight;
        }
        waiting.objects.insert(object);
    }

    /// Where to read next, and for whom. Who may not look any more is woken.
    fn next(&mut self, woken: &mut Vec<ObjectKey>) -> Option<(Start, Arc<Sight>)> {
        let sight = |look: &ZonesFor| {
            let waiting = self.waiting.get(&look.0)?;
            waiting.sight.stands().then(|| Arc::clone(&waiting.sight))
        };
        let mut dropped = Vec::new();
        let next = self.reading.start(sight, &mut dropped);
        self.served = next.is_some();
        woken.extend(self.settle(dropped));
        next
    }

    /// These need not be read any more. Returns who waited for them.
    fn settle(&mut self, looks: impl IntoIterator<Item = ZonesFor>) -> Vec<ObjectKey> {
        let waiting = looks.into_iter().filter_map(|look| self.waiting.remove(&look.0));
        waiting.flat_map(|waiting| waiting.objects).collect()
    }

    fn take_in(&mut self, sent: Timestamp, start: &Start, page: Page<Zone>) -> Vec<ObjectKey> {
        self.failures.forget();
        self.reading.listing.retain(|stretch| stretch.sent() >= sent - MAX_AGE);
        let answered = self.reading.take_in(sent, start, page);
        self.settle(answered.into_iter().map(|answered| answered.look))
    }

    fn fail(&mut self, error: Error, retry: Backoff, now: Timestamp) -> Vec<ObjectKey> {
        self.failures.note(error, retry, &Operation::ListHostedZonesByName, now);
        self.served = false;
        let looks = self.reading.give_up();
        self.settle(looks.into_iter().map(|(_, look)| look))
    }
}

/// Reads until nobody waits.
async fn serve(access: &Arc<Access>, credentials: &Credentials) {
    tokio::time::sleep(GATHER).await;
    let book = &access.zone_book;
    loop {
        let mut woken = Vec::new();
        let next = book.with(credentials, |account| account.next(&mut woken));
        access.wake_all(&woken);
        let Some((start, sight)) = next else { return };
        let read = read_page(access, credentials, &sight, &start).await;
        let now = access.clock.now();
        let woken = book.with(credentials, |account| match read {
            Ok((sent, page)) => account.take_in(sent, &start, page),
            // Others may look still.
            Err(error) if error.kind() == ErrorKind::Revoked => Vec::new(),
            Err(error) => account.fail(error, book.retry, now),
        });
        access.wake_all(&woken);
    }
}

async fn read_page(
    access: &Arc<Access>,
    credentials: &Credentials,
    sight: &Sight,
    start: &Start,
) -> Result<(Timestamp, Page<Zone>), Error> {
    let caller = access.caller(credentials);
    let operation = Operation::ListHostedZonesByName;
    let target = Target::global(operation, "the account's hosted zones");
    let left = Mutex::new(Timestamp::MIN);
    let leaves = || *lock(&left) = access.clock.now();
    let send = |clients: &Clients| {
        let call = clients.route53.list_hosted_zones_by_name().dns_name(&start.name);
        call.set_hosted_zone_id(start.id.clone()).max_items(WHOLE_PAGE).send()
    };
    let answer = access.read(&caller, sight, LaneKey::Route53, &target, leaves, send).await?;
    let page = page(answer);
    if page.next.as_ref() == Some(start) {
        return Err(Error::incomplete(&target, "a next page"));
    }
    Ok((*lock(&left), page))
}

fn page(answer: ListHostedZonesByNameOutput) -> Page<Zone> {
    let (id, truncated) = (answer.next_hosted_zone_id, answer.is_truncated);
    let next = answer.next_dns_name.filter(|_| truncated);
    let items = answer.hosted_zones.into_iter();
    Page {
        items: items.filter_map(|zone| Some((plain(&zone.name), self::zone(zone)?))).collect(),
        next: next.map(|name| Start { name, rtype: None, id }),
    }
}

/// `None` for a zone whose name no MAIL FROM domain can lie in.
fn zone(zone: sdk::HostedZone) -> Option<Zone> {
    let owner = |service: sdk::LinkedService| {
        let known = service.service_principal.or(service.description);
        known.unwrap_or_else(|| "another AWS service".to_owned())
    };
    Some(Zone {
        id: HostedZoneId::parse(&zone.id)?,
        name: DomainName::parse(&plain(&zone.name)).ok()?,
        private: zone.config.is_some_and(|config| config.private_zone),
        linked_service: zone.linked_service.map(owner),
    })
}
