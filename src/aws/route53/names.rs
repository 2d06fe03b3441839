//! Names as Route 53 returns them, and their order.

/// A returned name without its trailing dot, in lower case, with those escapes
/// undone that stand for a character a [`crate::mail::DomainName`] may have
/// (`\052` is `*`). All others stay, so that no escaped dot becomes a label's end.
pub(super) fn plain(name: &str) -> String {
    let name = name.strip_suffix('.').unwrap_or(name);
    let mut out = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(c) = rest.chars().next() {
        let (text, after) = match rest.strip_prefix('\\').and_then(escaped) {
            Some((octet, after)) if is_plain(octet) => (char::from(octet), after),
            _ => (c, &rest[c.len_utf8()..]),
        };
        out.push(text.to_ascii_lowercase());
        rest = after;
    }
    out
}

/// The octet of three octal digits, and what follows them.
fn escaped(text: &str) -> Option<(u8, &str)> {
    let digits = text.get(..3)?;
    let octet = u8::from_str_radix(digits, 8).ok()?;
    digits.bytes().all(|b| b.is_ascii_digit()).then_some((octet, &text[3..]))
}

fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'*')
}

/// Whether `name` surely comes before `other` in Route 53's order. It is
/// documented as that of the labels from the last to the first, each followed
/// by a dot, which counts where a label goes on with a lesser character; only
/// what holds with and without it is relied on.
pub(super) fn is_before(name: &str, other: &str) -> bool {
    let [name, other] = [name, other].map(|n| n.strip_suffix('.').unwrap_or(n));
    let labels = name.split('.').rev().lt(other.split('.').rev());
    labels && dotted(name) < dotted(other)
}

fn dotted(name: &str) -> String {
    name.split('.').rev().flat_map(|label| [label, "."]).collect()
}

/// Whether `name` is `other` or a name below it, both plain.
pub(super) fn is_at_or_below(name: &str, other: &str) -> bool {
    name.strip_suffix(other).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_escapes_are_undone() {
        assert_eq!(plain(r"\052.Example.COM."), "*.example.com");
        assert_eq!(plain(r"a\056b.example.com."), r"a\056b.example.com");
        assert_eq!(plain(r"a\100b.example.com."), r"a\100b.example.com");
        assert_eq!(plain(r"a\+05.example.com"), r"a\+05.example.com");
        assert_eq!(plain("\\"), "\\");
        assert_eq!(plain("é\\05"), "é\\05");
    }

    #[test]
    fn the_order_is_by_reversed_labels() {
        assert!(is_before("com", "example.com."));
        assert!(is_before("example.com.", "a.example.com"));
        assert!(is_before("z.a.example.com", "b.example.com"));
        assert!(!is_before("b.example.com", "b.example.com."));
        for (one, other) in [("a.example.com", "a-b.example.com"), ("x.a.com", "a-b.com")] {
            assert!(!is_before(one, other) && !is_before(other, one), "{one} {other}");
        }
    }

    #[test]
    fn a_name_that_merely_ends_alike_is_not_below() {
        assert!(is_at_or_below("a.example.com", "example.com"));
        assert!(is_at_or_below("example.com", "example.com"));
        assert!(!is_at_or_below("anexample.com", "example.com"));
    }
}
