#![allow(clippy::unwrap_used)]

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// Text in either case, letter by letter.
fn any_case(text: &'static str) -> impl Strategy<Value = String> {
    vec(any::<bool>(), text.len()).prop_map(move |upper| {
        let cased = |(c, up): (char, bool)| if up { c.to_ascii_uppercase() } else { c };
        text.chars().zip(upper).map(cased).collect()
    })
}

fn macro_expand() -> impl Strategy<Value = String> {
    prop_oneof!["%\\{[slodiphcrtvSLODIPHCRTV][0-9]{0,3}[rR]?[.+,/_=-]{0,3}\\}", "%[%_-]"]
}

fn macro_string() -> impl Strategy<Value = String> {
    vec(prop_oneof![macro_expand(), "[!-$&-~]{1,8}"], 0..4).prop_map(|parts| parts.concat())
}

fn domain_spec() -> impl Strategy<Value = String> {
    let toplabel =
        prop_oneof!["[0-9]{0,3}[a-zA-Z][a-zA-Z0-9]{0,5}", "[a-z0-9]{1,4}-[a-z0-9-]{0,4}[a-z0-9]"];
    let domain_end = prop_oneof![
        (toplabel, any::<bool>())
            .prop_map(|(top, dot)| format!(".{top}{}", if dot { "." } else { "" })),
        macro_expand(),
    ];
    let start = prop_oneof![macro_string(), "[a-z0-9_-]{1,12}(\\.[a-z0-9_-]{1,12}){0,2}"];
    (start, domain_end).prop_map(|(start, end)| start + &end)
}

fn length(most: u16) -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), (0..=most).prop_map(|length| format!("/{length}"))]
}

fn host(name: &'static str) -> impl Strategy<Value = String> {
    let domain =
        prop_oneof![Just(String::new()), domain_spec().prop_map(|spec| format!(":{spec}"))];
    let six = length(128)
        .prop_map(|length| if length.is_empty() { length } else { format!("/{length}") });
    (any_case(name), domain, length(32), six)
        .prop_map(|(name, domain, four, six)| name + &domain + &four + &six)
}

fn named(
    name: &'static str,
    argument: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    (any_case(name), argument).prop_map(|(name, argument)| name + &argument)
}

fn mechanism() -> impl Strategy<Value = String> {
    let network = |address: BoxedStrategy<String>, most| {
        (address, length(most)).prop_map(|(address, length)| format!(":{address}{length}"))
    };
    let four = any::<std::net::Ipv4Addr>().prop_map(|address| address.to_string());
    let six = any::<std::net::Ipv6Addr>().prop_map(|address| address.to_string());
    let spec = || domain_spec().prop_map(|spec| format!(":{spec}"));
    prop_oneof![
        1 => any_case("all"),
        2 => named("include", spec()),
        2 => named("include", select(vec![":amazonses.com", ":AmazonSES.com.", ":a.example"]).prop_map(str::to_owned)),
        1 => host("a"),
        1 => host("mx"),
        1 => named("ptr", prop_oneof![Just(String::new()), spec()]),
        1 => named("ip4", network(four.boxed(), 32)),
        1 => named("ip6", network(six.boxed(), 128)),
        1 => named("exists", spec()),
    ]
}

fn unknown_modifier() -> impl Strategy<Value = String> {
    ("[a-zA-Z][a-zA-Z0-9_.-]{0,8}", macro_string())
        .prop_filter("a name of its own", |(name, _)| {
            !name.eq_ignore_ascii_case("redirect") && !name.eq_ignore_ascii_case("exp")
        })
        .prop_map(|(name, value)| format!("{name}={value}"))
}

fn term() -> impl Strategy<Value = String> {
    prop_oneof![4 => ("[+?~-]?", mechanism()).prop_map(|(qualifier, m)| qualifier + &m), 1 => unknown_modifier()]
}

/// Every record that RFC 7208 section 12 allows, `redirect` and `exp` once each.
fn record() -> impl Strategy<Value = String> {
    let once = (named("redirect=", domain_spec()), named("exp=", domain_spec()));
    let once = once.prop_flat_map(|(redirect, exp)| subsequence(vec![redirect, exp], 0..=2));
    let terms =
        (vec(term(), 0..9), once).prop_map(|(terms, once)| [terms, once].concat()).prop_shuffle();
    let spaced = terms.prop_flat_map(|terms| (vec(1..4usize, terms.len()), Just(terms)));
    (any_case("v=spf1"), spaced, 0..3usize).prop_map(|(version, (spaces, terms), trailing)| {
        let terms = spaces.iter().zip(&terms).map(|(spaces, term)| " ".repeat(*spaces) + term);
        version + &terms.collect::<String>() + &" ".repeat(trailing)
    })
}

fn senders() -> impl Strategy<Value = Vec<SpfInclude>> {
    let names = ["amazonses.com", "a.example", "_spf.b.example"];
    let senders: Vec<_> = names.iter().map(|name| SpfInclude::parse(name).unwrap()).collect();
    subsequence(senders, 0..=3)
}

/// What somebody else does to a record of ours between merge and unmerge.
fn edited(record: &Spf, edits: &[(prop::sample::Index, String)]) -> String {
    let mut terms: Vec<String> = record.terms.iter().map(|placed| placed.text.clone()).collect();
    for (at, term) in edits {
        terms.insert(at.index(terms.len() + 1), term.clone());
    }
    format!("v=spf1 {}", terms.join(" "))
}

fn texts(record: &Spf) -> Vec<String> {
    record.terms.iter().map(|placed| placed.text.clone()).collect()
}

proptest! {
    #[test]
    fn a_valid_record_is_understood_and_printed_as_it_was_read(text in record()) {
        let parsed = Spf::parse(&text).unwrap();
        prop_assert_eq!(parsed.syntax_error(), None);
        prop_assert_eq!(parsed.to_string(), text);
    }

    #[test]
    fn any_text_behind_the_version_is_printed_as_it_was_read(text: String) {
        let _ = Spf::parse(&text);
        let text = format!("v=spf1 {text}");
        let parsed = Spf::parse(&text).unwrap();
        let _ = (parsed.syntax_error(), parsed.lookups(), Spf::fault([text.as_str()].into_iter()));
        prop_assert_eq!(parsed.to_string(), text);
    }

    #[test]
    fn what_was_merged_passes_and_goes_again(text in record(), wanted in senders()) {
        let found = Spf::parse(&text).unwrap();
        let Ok(Merged { record, added }) = found.merge(&wanted) else { return Ok(()) };
        prop_assert!(wanted.iter().all(|sender| record.passes(sender)), "{record}");
        prop_assert_eq!(record.syntax_error(), None);
        prop_assert_eq!(record.to_string().len(), text.len() + added.iter().map(|s| s.term().len() + 1).sum::<usize>());
        let again = Merged { record: record.clone(), added: Vec::new() };
        prop_assert_eq!(record.merge(&wanted), Ok(again));
        prop_assert_eq!(Spf::parse(&record.to_string()), Some(record.clone()));
        prop_assert_eq!(record.unmerge(&added).to_string(), text);
    }

    #[test]
    fn edits_around_our_terms_survive_their_leaving(
        text in record(),
        wanted in senders(),
        edits in vec((any::<prop::sample::Index>(), term()), 0..4),
    ) {
        let found = Spf::parse(&text).unwrap();
        let Ok(Merged { record, added }) = found.merge(&wanted) else { return Ok(()) };
        let with_ours = Spf::parse(&edited(&record, &edits)).unwrap();
        let mut left = texts(&with_ours.unmerge(&added));
        let mut gone: Vec<String> = added.iter().map(SpfInclude::term).collect();
        // What is left and what went are together what stood there.
        let mut all = texts(&with_ours);
        left.append(&mut gone);
        left.sort();
        all.sort();
        prop_assert_eq!(left, all);
    }
}

fn fault(values: &[&str]) -> Option<SpfFault> {
    Spf::fault(values.iter().copied())
}

fn sender(name: &str) -> SpfInclude {
    SpfInclude::parse(name).unwrap()
}

#[test]
fn an_spf_record_is_known_by_its_version_alone() {
    for text in ["v=spf1", "V=SPF1 ", "v=spf1 nonsense \u{e9}"] {
        assert!(Spf::is_spf(text), "{text}");
    }
    for text in
        ["", "v=spf", "v=spf10", "v=spf1\t-all", " v=spf1", "v=spf2.0/mfrom", "v=spf\u{e9}1"]
    {
        assert!(!Spf::is_spf(text) && Spf::parse(text).is_none(), "{text}");
    }
}

#[test]
fn the_record_of_the_guide_passes() {
    let created = Spf::create(&[], SpfAll::SoftFail);
    assert_eq!(created.to_string(), "v=spf1 include:amazonses.com ~all");
    assert_eq!(fault(&["google-site-verification=x", &created.to_string()]), None);
    assert_eq!(fault(&["V=SPF1 +Include:AmazonSES.com. -all"]), None);
}

#[test]
fn a_created_record_names_each_sender_once_and_is_known_again() {
    let others = [sender("_spf.b.example"), SpfInclude::amazon_ses(), sender("_spf.b.example")];
    let created = Spf::create(&others, SpfAll::Fail);
    assert_eq!(created.to_string(), "v=spf1 include:amazonses.com include:_spf.b.example -all");
    for (text, all) in [
        ("v=spf1 include:amazonses.com include:_spf.b.example -all", Some(SpfAll::Fail)),
        ("v=spf1 include:amazonses.com ~all", Some(SpfAll::SoftFail)),
        ("v=spf1 include:amazonses.com ?all", None),
        ("v=spf1 include:amazonses.com  ~all", None),
        ("v=spf1 include:amazonses.com ~all ", None),
        ("v=spf1 include:AmazonSES.com ~all", None),
        ("v=spf1 include:b.example include:amazonses.com ~all", None),
        ("v=spf1 include:amazonses.com ip4:192.0.2.1 ~all", None),
        ("v=spf1 ~all", None),
        ("v=spf1", None),
    ] {
        assert_eq!(Spf::parse(text).unwrap().created_all(), all, "{text}");
    }
}

#[test]
fn what_rules_a_pass_out_is_named() {
    assert_eq!(fault(&["v=spf10 include:amazonses.com"]), Some(SpfFault::Missing));
    assert_eq!(fault(&["v=spf1 -all", "v=spf1 ~all"]), Some(SpfFault::Several(2)));
    for text in [
        "v=spf1 ~all include:amazonses.com",
        "v=spf1 -include:amazonses.com ~all",
        "v=spf1 ?include:amazonses.com include:amazonses.com ~all",
        "v=spf1 include=amazonses.com",
        "v=spf1",
    ] {
        assert_eq!(fault(&[text]), Some(SpfFault::NotIncluded(text.to_owned())), "{text}");
    }
    let many = format!("v=spf1 include:amazonses.com{} ~all", " a:x.example".repeat(10));
    assert_eq!(fault(&[&many]), Some(SpfFault::TooManyLookups(11)));
    let ignored = format!("v=spf1 include:amazonses.com ~all{}", " a:x.example".repeat(10));
    assert_eq!(fault(&[&ignored]), None);
}

#[test]
fn a_permanent_error_is_named_wherever_it_stands() {
    let invalid = |text: &str| match fault(&[text]) {
        Some(SpfFault::Invalid(error)) => error.to_string(),
        other => format!("{other:?}"),
    };
    assert_eq!(
        invalid("v=spf1 include:amazonses.com ~all ipv4:192.0.2.1"),
        "its term \"ipv4:192.0.2.1\" is neither a known mechanism nor a modifier"
    );
    assert_eq!(
        invalid("v=spf1 include:amazonses.com redirect=a.example REDIRECT=b.example"),
        "it has more than one \"redirect=\""
    );
    let hostile = format!("v=spf1 include:amazonses.com {}\u{7}\u{202e}", "x".repeat(195));
    let message = invalid(&hostile);
    assert!(message.is_ascii() && message.contains("x??\""), "{message}");
    assert!(invalid(&format!("v=spf1 {}", "x".repeat(4000))).len() < 300);
}

#[test]
fn our_terms_come_before_all_and_the_rest_stays_byte_for_byte() {
    for (found, merged) in [
        ("v=spf1 ip4:192.0.2.0/24 -all", "v=spf1 ip4:192.0.2.0/24 include:amazonses.com -all"),
        ("V=spf1  MX   ?ALL  exp=x.%{d} ", "V=spf1  MX include:amazonses.com   ?ALL  exp=x.%{d} "),
        ("v=spf1 a  ", "v=spf1 a include:amazonses.com  "),
        ("v=spf1", "v=spf1 include:amazonses.com"),
        ("v=spf1 -all redirect=a.example", "v=spf1 include:amazonses.com -all redirect=a.example"),
        (
            "v=spf1 exists:%{ir}.%{v}._spf.%{d} all",
            "v=spf1 exists:%{ir}.%{v}._spf.%{d} include:amazonses.com all",
        ),
    ] {
        let parsed = Spf::parse(found).unwrap();
        let Merged { record, added } = parsed.merge(&[SpfInclude::amazon_ses()]).unwrap();
        assert_eq!((record.to_string().as_str(), added.len()), (merged, 1));
        assert_eq!(record.unmerge(&added).to_string(), found);
    }
}

#[test]
fn only_missing_senders_are_added_and_listed() {
    let found = Spf::parse("v=spf1 include:A.example. ~all").unwrap();
    let wanted = [sender("a.example"), SpfInclude::amazon_ses(), SpfInclude::amazon_ses()];
    let Merged { record, added } = found.merge(&wanted).unwrap();
    assert_eq!(record.to_string(), "v=spf1 include:A.example. include:amazonses.com ~all");
    assert_eq!(added, [SpfInclude::amazon_ses()]);
}

#[test]
fn what_cannot_be_merged_is_refused_with_the_finding() {
    let refusal =
        |text: &str| Spf::parse(text).unwrap().merge(&[SpfInclude::amazon_ses()]).unwrap_err();
    assert_eq!(
        refusal("v=spf1 a redirect=x.example"),
        MergeRefusal::Redirect("redirect=x.example".to_owned())
    );
    for denied in ["-include:amazonses.com", "?Include:AmazonSES.com.", "~include:amazonses.com"] {
        let text = format!("v=spf1 {denied} include:amazonses.com ~all");
        assert_eq!(refusal(&text), MergeRefusal::Denied(denied.to_owned()));
    }
    assert_eq!(
        refusal("v=spf1 -all exp=x.example include:amazonses.com"),
        MergeRefusal::BehindAll("include:amazonses.com".to_owned())
    );
    assert!(matches!(refusal("v=spf1 a:localhost -all"), MergeRefusal::Invalid(_)));
    let ten = format!("v=spf1{} ~all", " a:x.example".repeat(10));
    assert_eq!(refusal(&ten), MergeRefusal::TooManyLookups(11));
    let long = format!("v=spf1 x={} ~all", "y".repeat(3_950));
    assert_eq!(refusal(&long), MergeRefusal::TooLong(3_950 + 36 + 16 * 3 - 1));
}

#[test]
fn ten_terms_that_ask_dns_are_allowed() {
    let nine = format!("v=spf1{} ip4:192.0.2.1 ~all", " a:x.example".repeat(9));
    let merged = Spf::parse(&nine).unwrap().merge(&[SpfInclude::amazon_ses()]).unwrap();
    assert_eq!(merged.record.lookups(), 10);
}

#[test]
fn a_redirect_asks_dns_only_where_there_is_no_all() {
    for (text, lookups) in [
        ("v=spf1 a redirect=x.example", 2),
        ("v=spf1 redirect=x.example a", 2),
        ("v=spf1 a -all redirect=x.example", 1),
        ("v=spf1 redirect=x.example a -all mx", 1),
    ] {
        assert_eq!(Spf::parse(text).unwrap().lookups(), lookups, "{text}");
    }
}

#[test]
fn a_record_that_needs_nothing_is_left_even_where_it_is_broken() {
    for text in [
        "v=spf1 include:amazonses.com redirect=x.example",
        "v=spf1 include:amazonses.com ipv4:192.0.2.1 ~all mx",
    ] {
        let found = Spf::parse(text).unwrap();
        let nothing = Merged { record: found.clone(), added: Vec::new() };
        assert_eq!(found.merge(&[SpfInclude::amazon_ses()]), Ok(nothing), "{text}");
    }
}

#[test]
fn only_what_stands_as_we_wrote_it_is_taken_out_and_once() {
    let ses = [SpfInclude::amazon_ses()];
    for (standing, left) in [
        (
            "v=spf1 include:amazonses.com a include:amazonses.com -all",
            "v=spf1 include:amazonses.com a -all",
        ),
        ("v=spf1 -all   include:amazonses.com", "v=spf1 -all"),
        ("v=spf1 ipv4:broken include:amazonses.com -all", "v=spf1 ipv4:broken -all"),
        ("v=spf1 -include:amazonses.com -all", "v=spf1 -include:amazonses.com -all"),
        ("v=spf1 Include:amazonses.com -all", "v=spf1 Include:amazonses.com -all"),
        (
            "v=spf1 include:amazonses.com \u{fffd} -all",
            "v=spf1 include:amazonses.com \u{fffd} -all",
        ),
    ] {
        assert_eq!(Spf::parse(standing).unwrap().unmerge(&ses).to_string(), left);
    }
}
