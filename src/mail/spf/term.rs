//! One term of an SPF record: the productions `directive` and `modifier` of RFC
//! 7208 section 12, and those below them. Letters are taken in either case.

use std::net::{Ipv4Addr, Ipv6Addr};

use thiserror::Error;

/// A term that follows the grammar, as far as the rules of merging tell them
/// apart. What it says in full is its text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Term {
    /// `directive = [ qualifier ] mechanism`
    Directive {
        /// The qualifier is `+`, or there is none, which means the same.
        passes: bool,
        mechanism: Mechanism,
    },
    /// `modifier = redirect / explanation / unknown-modifier`
    Modifier(Modifier),
}

/// `mechanism = ( all / include / a / mx / ptr / ip4 / ip6 / exists )`
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Mechanism {
    All,
    /// With its domain-spec, as it is written.
    Include(String),
    A,
    Mx,
    Ptr,
    Ip4,
    Ip6,
    Exists,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Modifier {
    Redirect,
    Exp,
    Unknown,
}

/// Why a text is no term.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TermError {
    /// Neither a known mechanism nor `name=`.
    #[error("is neither a known mechanism nor a modifier")]
    Unknown,
    /// A domain-spec that is missing, ends in no top label, or holds a broken macro.
    #[error("does not name a domain as RFC 7208 section 7.1 writes them")]
    DomainSpec,
    /// A value of a modifier that is no macro-string.
    #[error("holds a character or a macro that RFC 7208 section 7.1 does not allow")]
    MacroString,
    /// Not an address of the mechanism's family.
    #[error("does not name an IP network of its family")]
    Network,
    /// A prefix length out of range or not written as a plain number.
    #[error("has a prefix length out of range")]
    Cidr,
    /// Something behind a mechanism that takes nothing.
    #[error("takes no argument")]
    Argument,
}

impl Term {
    /// Reads one term, which holds no space.
    pub(super) fn parse(text: &str) -> Result<Self, TermError> {
        match text.split_once('=').filter(|(name, _)| is_name(name)) {
            Some((name, value)) => modifier(name, value).map(Self::Modifier),
            None => directive(text),
        }
    }

    /// Whether evaluating it asks DNS (RFC 7208 section 4.6.4).
    pub(super) fn asks_dns(&self) -> bool {
        match self {
            Self::Directive { mechanism, .. } => matches!(
                mechanism,
                Mechanism::Include(_)
                    | Mechanism::A
                    | Mechanism::Mx
                    | Mechanism::Ptr
                    | Mechanism::Exists
            ),
            Self::Modifier(modifier) => *modifier == Modifier::Redirect,
        }
    }
}

/// `name = ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )`
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.".contains(&c))
}

fn modifier(name: &str, value: &str) -> Result<Modifier, TermError> {
    let known = [("redirect", Modifier::Redirect), ("exp", Modifier::Exp)];
    match known.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
        Some((_, modifier)) => domain_spec(value).map(|()| modifier),
        None => last_macro_end(value).map(|_| Modifier::Unknown).ok_or(TermError::MacroString),
    }
}

fn directive(text: &str) -> Result<Term, TermError> {
    let bare = text.strip_prefix(['+', '-', '?', '~']).unwrap_or(text);
    let passes = bare.len() == text.len() || text.starts_with('+');
    let name_end = bare.find([':', '/']).unwrap_or(bare.len());
    let (name, rest) = bare.split_at(name_end);
    let argument = rest.strip_prefix(':');
    let mechanism = match name.to_ascii_lowercase().as_str() {
        "all" if rest.is_empty() => Mechanism::All,
        "all" => return Err(TermError::Argument),
        "include" => Mechanism::Include(domain(argument)?.to_owned()),
        "exists" => domain(argument).map(|_| Mechanism::Exists)?,
        "ptr" if rest.is_empty() => Mechanism::Ptr,
        "ptr" => domain(argument).map(|_| Mechanism::Ptr)?,
        "a" => host(rest).map(|()| Mechanism::A)?,
        "mx" => host(rest).map(|()| Mechanism::Mx)?,
        "ip4" => network::<Ipv4Addr>(argument, 32).map(|()| Mechanism::Ip4)?,
        "ip6" => network::<Ipv6Addr>(argument, 128).map(|()| Mechanism::Ip6)?,
        _ => return Err(TermError::Unknown),
    };
    Ok(Term::Directive { passes, mechanism })
}

fn domain(argument: Option<&str>) -> Result<&str, TermError> {
    let text = argument.ok_or(TermError::DomainSpec)?;
    domain_spec(text).map(|()| text)
}

/// `[ ":" domain-spec ] [ dual-cidr-length ]`. No domain-spec ends in `/` and
/// digits, so a length at the end is never part of one.
fn host(rest: &str) -> Result<(), TermError> {
    let (spec, lengths) = rest.split_at(dual_cidr_start(rest));
    dual_cidr_length(lengths)?;
    match spec.strip_prefix(':') {
        Some(spec) => domain_spec(spec),
        None if spec.is_empty() => Ok(()),
        None => Err(TermError::Cidr),
    }
}

/// Where the longest run at the end starts that looks like a dual-cidr-length.
fn dual_cidr_start(text: &str) -> usize {
    let number_start = |end: usize| {
        let head = text[..end].trim_end_matches(|c: char| c.is_ascii_digit());
        (head.len() < end && head.ends_with('/')).then(|| head.len() - 1)
    };
    let Some(last) = number_start(text.len()) else { return text.len() };
    if !text[..last].ends_with('/') {
        return last;
    }
    // "//" starts the length for IPv6; one for IPv4 may stand before it.
    number_start(last - 1).unwrap_or(last - 1)
}

/// `dual-cidr-length = [ ip4-cidr-length ] [ "/" ip6-cidr-length ]`
fn dual_cidr_length(text: &str) -> Result<(), TermError> {
    let (four, six) = text.split_once("//").map_or((text, None), |(four, six)| (four, Some(six)));
    let four = (!four.is_empty()).then(|| four.strip_prefix('/').unwrap_or(four));
    let fits = |length: Option<&str>, most| length.is_none_or(|text| cidr_length(text, most));
    if fits(four, 32) && fits(six, 128) { Ok(()) } else { Err(TermError::Cidr) }
}

/// `ip4-cidr-length` and `ip6-cidr-length` behind their slash: no leading zero.
fn cidr_length(text: &str, most: u16) -> bool {
    let digits = text.bytes().all(|c| c.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    digits && !leading_zero && text.parse::<u16>().is_ok_and(|length| length <= most)
}

/// `ip4-network [ ip4-cidr-length ]` and the same for IPv6: the standard
/// library reads addresses as the RFCs write them, without leading zeros.
fn network<A: std::str::FromStr>(argument: Option<&str>, most: u16) -> Result<(), TermError> {
    let text = argument.ok_or(TermError::Network)?;
    let (address, length) =
        text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    address.parse::<A>().map_err(|_| TermError::Network)?;
    let fits = length.is_none_or(|length| cidr_length(length, most));
    if fits { Ok(()) } else { Err(TermError::Cidr) }
}

/// `domain-spec = macro-string domain-end`,
/// `domain-end = ( "." toplabel [ "." ] ) / macro-expand`
fn domain_spec(text: &str) -> Result<(), TermError> {
    let literal_tail = &text[last_macro_end(text).ok_or(TermError::DomainSpec)?..];
    let ends_in_macro = literal_tail.is_empty() && !text.is_empty();
    let tail = literal_tail.strip_suffix('.').unwrap_or(literal_tail);
    let top = tail.rsplit_once('.').map(|(_, top)| top);
    let ends_well = ends_in_macro || top.is_some_and(is_toplabel);
    if ends_well { Ok(()) } else { Err(TermError::DomainSpec) }
}

/// `toplabel = ( *alphanum ALPHA *alphanum ) / ( 1*alphanum "-" *( alphanum / "-" ) alphanum )`
pub(super) fn is_toplabel(label: &str) -> bool {
    let inner = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    let numeric = label.bytes().all(|c| c.is_ascii_digit());
    !numeric && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner)
}

/// `macro-string = *( macro-expand / macro-literal )`: where its last macro
/// ends, zero where it has none. `None` where the text is no macro-string.
fn last_macro_end(text: &str) -> Option<usize> {
    let mut at = 0;
    let mut end = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with('%') {
            at += macro_length(rest)?;
            end = at;
        } else {
            let literal = |c: char| matches!(c, '\x21'..='\x24' | '\x26'..='\x7e');
            at += rest.chars().next().filter(|c| literal(*c))?.len_utf8();
        }
    }
    Some(end)
}

/// `macro-expand = ( "%{" macro-letter transformers *delimiter "}" ) / "%%" / "%_" / "%-"`
fn macro_length(text: &str) -> Option<usize> {
    if ["%%", "%_", "%-"].iter().any(|escape| text.starts_with(escape)) {
        return Some(2);
    }
    let (body, _) = text.strip_prefix("%{")?.split_once('}')?;
    let letter = |c: char| "slodiphcrtv".contains(c.to_ascii_lowercase());
    let rest = body.strip_prefix(letter)?;
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let delimiters = rest.strip_prefix(['r', 'R']).unwrap_or(rest);
    let legal = delimiters.chars().all(|c| ".-+,/_=".contains(c));
    legal.then_some(body.len() + "%{}".len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_production_is_read() {
        for good in [
            "all",
            "-ALL",
            "?all",
            "~all",
            "+all",
            "include:_spf.example.com",
            "include:%{d}",
            "include:%{d2r.-}.example.com.",
            "a",
            "a/24",
            "a//64",
            "a/24//64",
            "a/0//0",
            "-a:mail.example.com/32//128",
            "a:a/24.example.com",
            "a:a/24.example.com/24",
            "a:%{i}/24",
            "mx",
            "mx:example.com",
            "MX/24",
            "ptr",
            "ptr:example.com",
            "ip4:192.0.2.1",
            "ip4:192.0.2.0/24",
            "ip6:2001:db8::/32",
            "ip6:::ffff:192.0.2.1",
            "ip6:::/0",
            "exists:%{ir}.%{l1r-}._spf.%{d}",
            "exists:%{L}.%%.%_.%-.example.x-1",
            "exists:a=b.example.com",
            "redirect=_spf.example.com",
            "exp=explain._spf.%{d}",
            "moo=",
            "moo.cow-far_out=man:dog/cat",
            "all=nothing",
            "include=%{d}",
        ] {
            assert!(Term::parse(good).is_ok(), "{good}: {:?}", Term::parse(good));
        }
    }

    #[test]
    fn what_breaks_a_production_is_named() {
        for (bad, error) in [
            ("", TermError::Unknown),
            ("-", TermError::Unknown),
            ("--all", TermError::Unknown),
            ("ipv4:192.0.2.1", TermError::Unknown),
            ("192.0.2.1", TermError::Unknown),
            ("-all=x", TermError::Unknown),
            ("1a=x", TermError::Unknown),
            ("a\tmx", TermError::Unknown),
            ("\u{e9}", TermError::Unknown),
            ("all.", TermError::Unknown),
            ("all:example.com", TermError::Argument),
            ("all/8", TermError::Argument),
            ("include", TermError::DomainSpec),
            ("include:", TermError::DomainSpec),
            ("include:localhost", TermError::DomainSpec),
            ("include:192.0.2.1", TermError::DomainSpec),
            ("include:example.com/24", TermError::DomainSpec),
            ("include:example.-com", TermError::DomainSpec),
            ("include:example..", TermError::DomainSpec),
            ("include:ex\u{e4}mple.com", TermError::DomainSpec),
            ("exists:%{x}.com", TermError::DomainSpec),
            ("exists:%{d", TermError::DomainSpec),
            ("exists:%{dr2}", TermError::DomainSpec),
            ("exists:%d.com", TermError::DomainSpec),
            ("exists", TermError::DomainSpec),
            ("exists:%{d}example", TermError::DomainSpec),
            ("ptr:", TermError::DomainSpec),
            ("ptr/24", TermError::DomainSpec),
            ("a:", TermError::DomainSpec),
            ("a:/24", TermError::DomainSpec),
            ("a:example.com/24/24", TermError::DomainSpec),
            ("a:example.com/", TermError::DomainSpec),
            ("a/", TermError::Cidr),
            ("a/33", TermError::Cidr),
            ("a/024", TermError::Cidr),
            ("a//129", TermError::Cidr),
            ("a//064", TermError::Cidr),
            ("mx/x", TermError::Cidr),
            ("ip4", TermError::Network),
            ("ip4:", TermError::Network),
            ("ip4/24", TermError::Network),
            ("ip4:192.0.2", TermError::Network),
            ("ip4:192.0.2.256", TermError::Network),
            ("ip4:192.0.02.1", TermError::Network),
            ("ip4:2001:db8::", TermError::Network),
            ("ip4:192.0.2.0/33", TermError::Cidr),
            ("ip4:192.0.2.0/", TermError::Cidr),
            ("ip4:192.0.2.0//24", TermError::Cidr),
            ("ip6:192.0.2.1", TermError::Network),
            ("ip6:2001:db8::%eth0", TermError::Network),
            ("ip6:2001:db8::/129", TermError::Cidr),
            ("redirect=", TermError::DomainSpec),
            ("exp=localhost", TermError::DomainSpec),
            ("moo=%cow", TermError::MacroString),
            ("moo=\u{7f}", TermError::MacroString),
        ] {
            assert_eq!(Term::parse(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn terms_that_ask_dns_are_told() {
        for (text, asks) in [
            ("include:a.example", true),
            ("?A", true),
            ("mx/24", true),
            ("ptr", true),
            ("exists:a.example", true),
            ("REDIRECT=a.example", true),
            ("exp=a.example", false),
            ("ip4:192.0.2.1", false),
            ("ip6:::1", false),
            ("all", false),
            ("a=b", false),
        ] {
            assert_eq!(Term::parse(text).map(|term| term.asks_dns()), Ok(asks), "{text}");
        }
    }
}
