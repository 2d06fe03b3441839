//! What others do to the world, and what of it counts in the end.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use aws_simulator::{ACCOUNT, Behavior, MailFromStatus, RecordSet, RecordType, Simulator, World};

use crate::schedule::{DnsEdit, SUBDOMAINS, SesEdit};
use crate::stage::{DOMAIN, ZONE};

/// What a person set up before, and what nobody but others would publish.
pub(crate) const FOREIGN_NAME: &str = "theirs.example.com";
const FOREIGN_MX: &str = "5 mx.theirs.example.org";
pub(crate) const FOREIGN_TXT: &str = "\"token=theirs\"";
const FOREIGN_SPF: &str = "\"v=spf1 -all\"";
pub(crate) const FOREIGN_TERM: &str = "include:theirs.example.org";

/// What excuses an end that is not the plain one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Mark {
    /// Somebody else's value stands in the way.
    Foreign,
    /// Somebody took a marker away, and with it the proof that a value is ours.
    Unmarked,
    /// SES dropped a Success without being told anything.
    Dropped,
}

/// All others, wherever they act from.
#[derive(Clone, Debug)]
pub(crate) struct Others {
    aws: Simulator,
    deeds: Arc<Mutex<Deeds>>,
}

#[derive(Debug, Default)]
struct Deeds {
    /// The world's events that others caused, by their places in its log.
    events: Vec<Range<usize>>,
    marks: BTreeSet<Mark>,
    /// Each is done when the next change batch comes in, just before it is looked
    /// at: between the operator's reading and its write.
    intrusions: Vec<(usize, DnsEdit)>,
}

impl Others {
    pub(crate) fn new(aws: &Simulator) -> Self {
        Self { aws: aws.clone(), deeds: Arc::default() }
    }

    /// Edits the world as nobody of ours.
    pub(crate) fn edit(&self, edit: impl FnOnce(&mut World)) {
        let range = self.aws.with(|world| {
            let from = world.events().len();
            edit(world);
            from..world.events().len()
        });
        lock(&self.deeds).events.push(range);
    }

    pub(crate) fn did(&self, event: usize) -> bool {
        lock(&self.deeds).events.iter().any(|range| range.contains(&event))
    }

    pub(crate) fn mark(&self, mark: Mark) {
        lock(&self.deeds).marks.insert(mark);
    }

    pub(crate) fn has(&self, mark: Mark) -> bool {
        lock(&self.deeds).marks.contains(&mark)
    }

    /// Edits DNS once the operator has made up its mind.
    pub(crate) fn intrude(&self, name: usize, edit: DnsEdit) {
        lock(&self.deeds).intrusions.push((name, edit));
    }

    /// A change batch has come in.
    pub(crate) fn see_change(&self) {
        let next = lock(&self.deeds).intrusions.pop();
        if let Some((name, edit)) = next {
            self.edit_dns(name, edit);
        }
    }

    pub(crate) fn forgo(&self) {
        lock(&self.deeds).intrusions.clear();
    }

    pub(crate) fn edit_dns(&self, name: usize, edit: DnsEdit) {
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
            lock(&self.deeds).marks.extend(mark);
        }
        self.edit(|world| {
            if let Some(set) = put {
                world.put_record_set(ZONE, set).unwrap();
            }
            if let Some(kind) = remove {
                world.delete_record_set(ZONE, &name, kind).unwrap();
            }
        });
    }

    pub(crate) fn edit_ses(&self, region: &str, edit: SesEdit) {
        let held = self.aws.with(|world| world.mail_from(ACCOUNT, region, DOMAIN).cloned());
        let Some(held) = held else {
            if matches!(edit, SesEdit::Verify) {
                self.edit(|world| world.set_identity(ACCOUNT, region, DOMAIN, true));
            }
            return;
        };
        if matches!(edit, SesEdit::Foreign) {
            self.mark(Mark::Foreign);
        }
        let name = held.domain.as_ref().map(|(name, _)| name.clone());
        self.edit(|world| {
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
                    self.mark(Mark::Dropped);
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

fn lock(deeds: &Mutex<Deeds>) -> MutexGuard<'_, Deeds> {
    deeds.lock().unwrap()
}
