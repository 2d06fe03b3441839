//! The SPF record at a MAIL FROM domain (RFC 7208), as far as its text shows.
//!
//! Grammar (RFC 7208 section 12; letters in either case, `SP` is one space):
//!
//! ```text
//! record           = version terms *SP
//! version          = "v=spf1"
//! terms            = *( 1*SP ( directive / modifier ) )
//! directive        = [ qualifier ] mechanism
//! qualifier        = "+" / "-" / "?" / "~"
//! mechanism        = "all"
//!                  / "include" ":" domain-spec
//!                  / "a"  [ ":" domain-spec ] [ dual-cidr-length ]
//!                  / "mx" [ ":" domain-spec ] [ dual-cidr-length ]
//!                  / "ptr" [ ":" domain-spec ]
//!                  / "ip4" ":" ip4-network [ ip4-cidr-length ]
//!                  / "ip6" ":" ip6-network [ ip6-cidr-length ]
//!                  / "exists" ":" domain-spec
//! modifier         = "redirect" "=" domain-spec
//!                  / "exp" "=" domain-spec
//!                  / name "=" macro-string      ; any other name
//! name             = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )
//! ip4-cidr-length  = "/" number                 ; 0 to 32, no leading zero
//! ip6-cidr-length  = "/" number                 ; 0 to 128, no leading zero
//! dual-cidr-length = [ ip4-cidr-length ] [ "/" ip6-cidr-length ]
//! domain-spec      = macro-string domain-end
//! domain-end       = ( "." toplabel [ "." ] ) / macro-expand
//! macro-string     = *( macro-expand / %x21-24 / %x26-7E )
//! macro-expand     = ( "%{" macro-letter *DIGIT [ "r" ] *delimiter "}" ) / "%%" / "%_" / "%-"
//! macro-letter     = one of s l o d i p h c r t v
//! delimiter        = one of . - + , / _ =
//! ```
//!
//! A record is cut into terms without losing a byte, whether or not each term
//! follows the grammar: what others wrote is printed as it was read, and our
//! term can be taken out of a record that others have since broken.

mod include;
mod merge;
mod term;
#[cfg(test)]
mod tests;

use std::fmt;

use thiserror::Error;

pub use include::{SpfAll, SpfInclude};
pub use merge::{MergeRefusal, Merged};
pub use term::TermError;
use term::{Mechanism, Modifier, Term};

/// What SES's own senders are found under.
pub const AMAZON_SES: &str = "amazonses.com";

/// The most terms that ask DNS (RFC 7208 section 4.6.4).
const MAX_LOOKUPS: usize = 10;

const VERSION: &str = "v=spf1";

/// An SPF record, byte for byte: the version as it is written, the terms in
/// order with the spaces before each, and the spaces at the end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Spf {
    version: String,
    terms: Vec<Placed>,
    trailing: usize,
}

#[derive(Clone, Debug, Eq, PartialEq)]
struct Placed {
    /// How many spaces stand before it.
    spaces: usize,
    text: String,
    term: Result<Term, TermError>,
}

/// Why a record is a permanent error whoever sends (RFC 7208 section 4.6).
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SpfSyntaxError {
    /// A term outside the grammar, as a message shows it.
    #[error("its term \"{0}\" {1}")]
    Term(String, TermError),
    /// RFC 7208 section 6: `redirect` and `exp` may stand once each.
    #[error("it has more than one \"{0}=\"")]
    Repeated(&'static str),
}

/// Why mail sent now does not pass SPF at this name, from the text alone.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
pub enum SpfFault {
    /// RFC 7208 section 4.5: no record, result `none`.
    #[error("there is no SPF record")]
    Missing,
    /// RFC 7208 section 4.5: more than one record is a permanent error.
    #[error(
        "there are {0} SPF records where one may be, which is a permanent error (RFC 7208 section 4.5)"
    )]
    Several(usize),
    /// RFC 7208 section 4.6: a syntax error anywhere is a permanent error.
    #[error("the SPF record is a permanent error (RFC 7208 section 4.6): {0}")]
    Invalid(SpfSyntaxError),
    /// Amazon SES is not among the senders.
    #[error("the SPF record \"{0}\" does not include amazonses.com before its `all`")]
    NotIncluded(String),
    /// RFC 7208 section 4.6.4.
    #[error(
        "the SPF record has {0} terms that ask DNS, more than the 10 that RFC 7208 section 4.6.4 allows"
    )]
    TooManyLookups(usize),
}

impl Spf {
    /// Whether a joined TXT value is an SPF record (RFC 7208 section 4.5).
    pub fn is_spf(text: &str) -> bool {
        let version = text.get(..VERSION.len()).is_some_and(|v| v.eq_ignore_ascii_case(VERSION));
        version && matches!(text.as_bytes().get(VERSION.len()), None | Some(b' '))
    }

    /// Reads a joined TXT value; `None` where it is no SPF record. Terms that
    /// do not follow the grammar are kept: [`Spf::syntax_error`] names them.
    pub fn parse(text: &str) -> Option<Self> {
        if !Self::is_spf(text) {
            return None;
        }
        let (version, mut rest) = text.split_at(VERSION.len());
        let mut terms = Vec::new();
        loop {
            let bare = rest.trim_start_matches(' ');
            let spaces = rest.len() - bare.len();
            if bare.is_empty() {
                return Some(Self { version: version.to_owned(), terms, trailing: spaces });
            }
            let (term, behind) = bare.split_at(bare.find(' ').unwrap_or(bare.len()));
            terms.push(Placed { spaces, ..Placed::new(term) });
            rest = behind;
        }
    }

    /// The first place where the record leaves the grammar, if any.
    pub fn syntax_error(&self) -> Option<SpfSyntaxError> {
        let broken = self.terms.iter().find_map(|placed| {
            let error = placed.term.as_ref().err()?;
            Some(SpfSyntaxError::Term(shown(&placed.text), *error))
        });
        let repeated = |(modifier, name): (Modifier, &'static str)| {
            let terms = self.terms.iter();
            let count = terms.filter(|placed| placed.modifier() == Some(modifier)).count();
            (count > 1).then_some(SpfSyntaxError::Repeated(name))
        };
        let once = [(Modifier::Redirect, "redirect"), (Modifier::Exp, "exp")];
        broken.or_else(|| once.into_iter().find_map(repeated))
    }

    /// What is wrong for mail that SES sends, among the joined TXT values of a name.
    pub fn fault<'a>(values: impl Iterator<Item = &'a str>) -> Option<SpfFault> {
        let records: Vec<Self> = values.filter_map(Self::parse).collect();
        let one = match records.as_slice() {
            [] => return Some(SpfFault::Missing),
            [one] => one,
            several => return Some(SpfFault::Several(several.len())),
        };
        if let Some(error) = one.syntax_error() {
            return Some(SpfFault::Invalid(error));
        }
        if !one.includes_ses() {
            return Some(SpfFault::NotIncluded(shown(&one.to_string())));
        }
        Some(one.lookups()).filter(|count| *count > MAX_LOOKUPS).map(SpfFault::TooManyLookups)
    }

    /// Whether SES passes before an `all` ends the evaluation.
    pub fn includes_ses(&self) -> bool {
        self.passes(&SpfInclude::amazon_ses())
    }

    /// Whether a sender passes before an `all` ends the evaluation. Of several
    /// terms that name it the first one decides.
    pub fn passes(&self, sender: &SpfInclude) -> bool {
        self.first_naming(sender).is_some_and(Placed::passes)
    }

    /// How many terms ask DNS before an `all` ends the evaluation. What stands
    /// behind them in other zones is not seen here.
    pub fn lookups(&self) -> usize {
        let asks = |placed: &&Placed| placed.term.as_ref().is_ok_and(Term::asks_dns);
        self.evaluated().filter(asks).count()
    }

    /// The terms that are evaluated: mechanisms before the first `all`, and a
    /// `redirect` anywhere where there is none (RFC 7208 sections 5.1 and 6.1).
    fn evaluated(&self) -> impl Iterator<Item = &Placed> {
        let all = self.all_at();
        let counts = move |(at, placed): &(usize, &Placed)| {
            let redirects = placed.modifier() == Some(Modifier::Redirect);
            if redirects { all.is_none() } else { all.is_none_or(|all| *at < all) }
        };
        self.terms.iter().enumerate().filter(counts).map(|(_, placed)| placed)
    }

    fn first_naming(&self, sender: &SpfInclude) -> Option<&Placed> {
        self.evaluated().find(|placed| placed.names(sender))
    }

    /// Where the first `all` stands among the terms.
    fn all_at(&self) -> Option<usize> {
        self.terms.iter().position(|placed| placed.mechanism() == Some(&Mechanism::All))
    }
}

impl Placed {
    /// A term with one space before it.
    fn new(text: &str) -> Self {
        Self { spaces: 1, text: text.to_owned(), term: Term::parse(text) }
    }

    fn mechanism(&self) -> Option<&Mechanism> {
        match &self.term {
            Ok(Term::Directive { mechanism, .. }) => Some(mechanism),
            _ => None,
        }
    }

    fn modifier(&self) -> Option<Modifier> {
        match self.term {
            Ok(Term::Modifier(modifier)) => Some(modifier),
            _ => None,
        }
    }

    fn passes(&self) -> bool {
        matches!(self.term, Ok(Term::Directive { passes: true, .. }))
    }

    fn names(&self, sender: &SpfInclude) -> bool {
        match self.mechanism() {
            Some(Mechanism::Include(domain_spec)) => sender.is_named_by(domain_spec),
            _ => false,
        }
    }
}

impl fmt::Display for Spf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { version, terms, trailing } = self;
        f.write_str(version)?;
        for Placed { spaces, text, .. } in terms {
            write!(f, "{:spaces$}{text}", "")?;
        }
        write!(f, "{:trailing$}", "")
    }
}

/// Text of DNS as a message shows it: bounded, printable ASCII alone.
fn shown(text: &str) -> String {
    const MOST: usize = 200;
    let printable = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    let mut shown: String = text.chars().take(MOST).map(printable).collect();
    if text.chars().count() > MOST {
        shown.push_str("...");
    }
    shown
}
