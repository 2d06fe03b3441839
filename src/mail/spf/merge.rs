//! How our senders come into an SPF record, and out of it again.

use thiserror::Error;

use super::super::txt;
use super::term::Modifier;
use super::{MAX_LOOKUPS, Placed, Spf, SpfAll, SpfInclude, SpfSyntaxError, VERSION, shown};

/// The most characters of one TXT value in Route 53, quotes and escapes counted.
const MAX_VALUE: usize = 4_000;

/// A record with every wanted sender in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Merged {
    /// The record.
    pub record: Spf,
    /// The senders that were not in it before, in the order of their terms.
    /// The ownership marker lists them, because they alone may be taken out.
    pub added: Vec<SpfInclude>,
}

/// Why a record is left as it is although a wanted sender is not in it.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum MergeRefusal {
    /// Already a permanent error.
    #[error("it is not a valid SPF record: {0}")]
    Invalid(SpfSyntaxError),
    /// A sender before it would pass where the author sends all to another record.
    #[error("it hands over to another record with \"{0}\" and has no \"all\" of its own")]
    Redirect(String),
    /// The author excluded what is to be let in.
    #[error("its term \"{0}\" says that the sender does not pass")]
    Denied(String),
    /// RFC 7208 section 5.1: mechanisms behind `all` are never looked at.
    #[error("its term \"{0}\" stands behind \"all\", where it is never looked at")]
    BehindAll(String),
    /// RFC 7208 section 4.6.4.
    #[error(
        "it would have {0} terms that ask DNS, more than the 10 that RFC 7208 section 4.6.4 allows"
    )]
    TooManyLookups(usize),
    /// More characters than Route 53 takes in one value.
    #[error("it would take {0} characters, more than the 4000 that Route 53 allows a value")]
    TooLong(usize),
}

impl Spf {
    /// The record that we create where there is none: `v=spf1
    /// include:amazonses.com`, the others in order, and `all`.
    pub fn create(others: &[SpfInclude], all: SpfAll) -> Self {
        let mut senders = vec![SpfInclude::amazon_ses()];
        for other in others {
            if !senders.contains(other) {
                senders.push(other.clone());
            }
        }
        let mut terms: Vec<Placed> = senders.iter().map(our_term).collect();
        terms.push(Placed::new(all.term()));
        Self { version: VERSION.to_owned(), terms, trailing: 0 }
    }

    /// The `all` of a record that stands exactly as [`Spf::create`] writes it,
    /// whatever senders it names: one that nobody else has edited beyond that.
    pub fn created_all(&self) -> Option<SpfAll> {
        let (_, senders) = self.terms.split_last()?;
        let named = senders.iter().map(|placed| {
            SpfInclude::parse(placed.text.strip_prefix("include:")?)
                .ok()
                .filter(|sender| sender.term() == placed.text)
        });
        let named: Vec<SpfInclude> = named.collect::<Option<_>>()?;
        let (ses, others) = named.split_first()?;
        let all = [SpfAll::SoftFail, SpfAll::Fail];
        let stands = |all: &SpfAll| Self::create(others, *all) == *self;
        all.into_iter().find(stands).filter(|_| *ses == SpfInclude::amazon_ses())
    }

    /// The record with every wanted sender before its first `all`, or at its
    /// end where it has none. All else stays byte for byte. A record in which
    /// every one of them passes already is returned as it is, whatever else may
    /// be wrong with it: nothing of it is to be changed.
    pub fn merge(&self, wanted: &[SpfInclude]) -> Result<Merged, MergeRefusal> {
        let mut added: Vec<SpfInclude> = Vec::new();
        for sender in wanted.iter().filter(|sender| !self.passes(sender)) {
            if !added.contains(sender) {
                added.push(sender.clone());
            }
        }
        if added.is_empty() {
            return Ok(Merged { record: self.clone(), added });
        }
        self.refusal(&added).map_or(Ok(()), Err)?;
        let at = self.all_at().unwrap_or(self.terms.len());
        let mut record = self.clone();
        record.terms.splice(at..at, added.iter().map(our_term));
        record.outgrown().map_or(Ok(Merged { record, added }), Err)
    }

    /// The record without the terms that were added for these senders, each
    /// taken out once and only where it stands as it was written; a term that
    /// somebody has rewritten since is theirs. A record that holds more than
    /// ASCII is returned as it is: its octets are not known from text.
    #[must_use]
    pub fn unmerge(&self, added: &[SpfInclude]) -> Self {
        let mut record = self.clone();
        if !self.terms.iter().all(|placed| placed.text.is_ascii()) {
            return record;
        }
        for sender in added {
            if let Some(at) = record.where_added(sender) {
                record.terms.remove(at);
            }
        }
        record
    }

    /// Where our term for a sender stands: the last before `all`, which is
    /// where it was put, or the first behind it if the `all` was moved.
    fn where_added(&self, sender: &SpfInclude) -> Option<usize> {
        let text = sender.term();
        let (before, behind) = self.terms.split_at(self.all_at().unwrap_or(self.terms.len()));
        let ours = |placed: &Placed| placed.text == text;
        let moved = || behind.iter().position(ours).map(|at| before.len() + at);
        before.iter().rposition(ours).or_else(moved)
    }

    /// Why these senders, none of which passes, cannot be added.
    fn refusal(&self, added: &[SpfInclude]) -> Option<MergeRefusal> {
        if let Some(error) = self.syntax_error() {
            return Some(MergeRefusal::Invalid(error));
        }
        let text = |placed: &Placed| shown(&placed.text);
        let denied = added.iter().find_map(|sender| self.first_naming(sender)).map(text);
        let Some(all) = self.all_at() else {
            let redirects = |placed: &&Placed| placed.modifier() == Some(Modifier::Redirect);
            let redirect = self.terms.iter().find(redirects).map(text);
            return redirect.map(MergeRefusal::Redirect).or(denied.map(MergeRefusal::Denied));
        };
        let behind = self.terms[all + 1..].iter().find(|placed| placed.mechanism().is_some());
        denied.map(MergeRefusal::Denied).or(behind.map(text).map(MergeRefusal::BehindAll))
    }

    /// Which limit a record that was added to goes beyond.
    fn outgrown(&self) -> Option<MergeRefusal> {
        let length = txt::encode(self.to_string().as_bytes()).len();
        if self.lookups() > MAX_LOOKUPS {
            Some(MergeRefusal::TooManyLookups(self.lookups()))
        } else {
            (length > MAX_VALUE).then_some(MergeRefusal::TooLong(length))
        }
    }
}

fn our_term(sender: &SpfInclude) -> Placed {
    Placed::new(&sender.term())
}
