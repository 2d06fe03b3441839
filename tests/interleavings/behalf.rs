//! On whose behalf records are changed: a batch holds the changes of several
//! objects, so each is looked for among what the objects handed over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use ses_mailfrom::authority::{Grant, ObjectKey, Sight};
use ses_mailfrom::aws::Handed;
use ses_mailfrom::controller::{Endings, Live, Outside};
use ses_mailfrom::mail::{
    BehaviorOnMxFailure, Change, ChangeBatch, DomainName, MailFromDomain, Region,
};
use ses_mailfrom::plan::{Answer, Fault, Question, Upkeep};

use crate::process::access_key;

/// Who made a change that no object had handed over.
pub(crate) const NOBODY: &str = "nobody";

/// All batches of a world. Each is sent with an access key of its own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Behalf(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// By operator: the access key of an object, and what it handed over.
    handed: BTreeMap<&'static str, Vec<(String, Vec<Line>)>>,
    /// By access key of a batch: the access key of the object of each name.
    batches: BTreeMap<String, BTreeMap<String, String>>,
}

/// One change as a request says it.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Line {
    action: &'static str,
    name: String,
    kind: String,
    ttl: String,
    values: Vec<String>,
}

impl Behalf {
    fn hands_over(&self, owner_id: &'static str, object: &ObjectKey, batch: &ChangeBatch) {
        let lines = batch.changes.iter().map(Line::of).collect();
        let mut state = self.0.lock().unwrap();
        let handed = state.handed.entry(owner_id).or_default();
        handed.push((access_key(owner_id, object.name()), lines));
    }

    /// The access key with which to send a batch.
    pub(crate) fn sends(&self, owner_id: &'static str, request: &[u8]) -> String {
        let lines = Line::all(std::str::from_utf8(request).expect("XML"));
        let mut state = self.0.lock().unwrap();
        let names: BTreeSet<&String> = lines.iter().map(|line| &line.name).collect();
        let handed = state.handed.get(owner_id).map(Vec::as_slice).unwrap_or_default();
        let writer = |name: &String| {
            let here: Vec<&Line> = lines.iter().filter(|line| line.name == *name).collect();
            let same = |handed: &&(String, Vec<Line>)| handed.1.iter().eq(here.iter().copied());
            let found = handed.iter().rev().find(same).map(|(writer, _)| writer.clone());
            (name.clone(), found.unwrap_or_else(|| NOBODY.to_owned()))
        };
        let writers = names.into_iter().map(writer).collect();
        let key = format!("{owner_id}-batch-{}", state.batches.len());
        state.batches.insert(key.clone(), writers);
        key
    }

    /// The access key of the object on whose behalf the batch with this one
    /// changed the records of a name.
    pub(crate) fn writer(&self, batch: &str, name: &str) -> Option<String> {
        self.0.lock().unwrap().batches.get(batch)?.get(name).cloned()
    }
}

impl Line {
    fn of(change: &Change) -> Self {
        let (action, set) = match change {
            Change::Create(set) => ("CREATE", set),
            Change::Delete(set) => ("DELETE", set),
        };
        Self {
            action,
            name: set.name.to_string(),
            kind: set.rtype.to_string(),
            ttl: set.ttl.to_string(),
            values: set.values.clone(),
        }
    }

    fn all(request: &str) -> Vec<Self> {
        let changes = request.split("<Change>").skip(1);
        let line = |text| Self {
            action: if tagged(text, "Action") == ["CREATE"] { "CREATE" } else { "DELETE" },
            name: tagged(text, "Name").concat(),
            kind: tagged(text, "Type").concat(),
            ttl: tagged(text, "TTL").concat(),
            values: tagged(text, "Value"),
        };
        changes.map(line).collect()
    }
}

/// The texts of all elements with a tag.
fn tagged(text: &str, tag: &str) -> Vec<String> {
    let (open, close) = (format!("<{tag}>"), format!("</{tag}>"));
    let elements = text.split(&open).skip(1).map(|rest| rest.split(&close).next().unwrap());
    let plain = |text: &str| {
        text.replace("&quot;", "\"")
            .replace("&lt;", "<")
            .replace("&gt;", ">")
            .replace("&apos;", "'")
            .replace("&amp;", "&")
    };
    elements.map(plain).collect()
}

/// AWS and DNS, with an ear for what is handed over.
pub(crate) struct Overheard {
    pub live: Live,
    pub behalf: Behalf,
    pub owner_id: &'static str,
}

impl Outside for Overheard {
    type PutPermit = <Live as Outside>::PutPermit;

    fn open(&self) {
        self.live.open();
    }

    fn ask(&self, sight: Sight, question: &Question, not_before: Timestamp) -> Answer {
        self.live.ask(sight, question, not_before)
    }

    fn last_read(&self, sight: &Sight, question: &Question) -> Option<Timestamp> {
        self.live.last_read(sight, question)
    }

    fn watch(&self, sight: Sight, watch: &BTreeMap<Question, Upkeep>) -> Option<Timestamp> {
        self.live.watch(sight, watch)
    }

    fn unwatch(&self, object: &ObjectKey) {
        self.live.unwatch(object);
    }

    fn put_permit(&self, grant: &Grant, region: &Region) -> Option<Self::PutPermit> {
        self.live.put_permit(grant, region)
    }

    fn reserve_put_permit(&self, grant: &Grant, region: &Region) -> bool {
        self.live.reserve_put_permit(grant, region)
    }

    fn change_records(&self, grant: Grant, batch: &Arc<ChangeBatch>) -> Handed {
        self.behalf.hands_over(self.owner_id, grant.object(), batch);
        self.live.change_records(grant, batch)
    }

    fn withdraw(&self, object: &ObjectKey, but: &BTreeSet<DomainName>) -> bool {
        self.live.withdraw(object, but)
    }

    fn endings(&self, object: &ObjectKey) -> Endings {
        self.live.endings(object)
    }

    fn forget(&self, object: &ObjectKey) {
        self.live.forget(object);
    }

    async fn close(&self) {
        self.live.close().await;
    }

    async fn put_mail_from(
        &self,
        permit: Self::PutPermit,
        grant: Grant,
        region: &Region,
        mail_from: Option<&MailFromDomain>,
        behavior: BehaviorOnMxFailure,
    ) -> Result<(), Fault> {
        self.live.put_mail_from(permit, grant, region, mail_from, behavior).await
    }
}
