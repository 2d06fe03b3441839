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

/// Whether `name` surely comes before `other` in Route 53's order, both plain.
/// It is documented as that of the labels from the last to the first, each
/// followed by a dot, which counts where a label goes on with a lesser
/// character; whether `\052` sorts as itself or as the star is not. Only what
/// holds however it is read is relied on.
pub(super) fn is_before(name: &str, other: &str) -> bool {
    let [name, other] = [name, other].map(|n| n.strip_suffix('.').unwrap_or(n));
    if ![name, other].iter().any(|name| name.contains(['*', '\\'])) {
        let [name, other] = [name, other].map(|name| name.rsplit('.').map(str::as_bytes));
        return in_order(name, other);
    }
    [raw, escapes].into_iter().all(|form| {
        let [name, other] = [name, other].map(|name| name.rsplit('.').map(form).collect());
        let [name, other]: [Vec<Vec<u8>>; 2] = [name, other];
        in_order(name.iter().map(Vec::as_slice), other.iter().map(Vec::as_slice))
    })
}

/// Whether reversed labels come before others, with and without their dots.
fn in_order<'a>(
    name: impl Iterator<Item = &'a [u8]> + Clone,
    other: impl Iterator<Item = &'a [u8]> + Clone,
) -> bool {
    let dotted = |label: &'a [u8]| label.iter().chain(b".");
    name.clone().lt(other.clone()) && name.flat_map(dotted).lt(other.flat_map(dotted))
}

/// A label with its escapes undone.
fn raw(label: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(label.len());
    let mut rest = label;
    while let Some(c) = rest.chars().next() {
        let (first, after) = rest.split_at(c.len_utf8());
        match escaped(after).filter(|_| c == '\\') {
            Some((octet, after)) => (out.push(octet), rest = after).1,
            None => (out.extend(first.bytes()), rest = after).1,
        }
    }
    out
}

/// A label with everything escaped that Route 53 escapes.
fn escapes(label: &str) -> Vec<u8> {
    label.replace('*', "\\052").into_bytes()
}

/// What sorts a name right before all that are below it.
pub(super) fn dotted(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 1);
    for label in name.rsplit('.') {
        out.push_str(label);
        out.push('.');
    }
    out
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
        assert!(is_before("*.example.com", "a.example.com"));
        assert!(is_before(r"a\100.example.com", "b.example.com"));
        let either_way = [
            ("a.example.com", "a-b.example.com"),
            ("x.a.com", "a-b.com"),
            ("*.example.com", "0.example.com"),
            (r"a\176.example.com", "ab.example.com"),
        ];
        for (one, other) in either_way {
            assert!(!is_before(one, other) && !is_before(other, one), "{one} {other}");
        }
    }

    #[test]
    fn a_name_sorts_right_before_those_below_it() {
        let mut names = ["ab.com", "x.a.com", "a.com", "b.com", "y.x.a.com", "a-b.com"];
        names.sort_by_cached_key(|name| dotted(name));
        assert_eq!(names, ["a-b.com", "a.com", "x.a.com", "y.x.a.com", "ab.com", "b.com"]);
    }

    #[test]
    fn a_name_that_merely_ends_alike_is_not_below() {
        assert!(is_at_or_below("a.example.com", "example.com"));
        assert!(is_at_or_below("example.com", "example.com"));
        assert!(!is_at_or_below("anexample.com", "example.com"));
    }
}
