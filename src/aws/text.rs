//! AWS's texts, made fit for a condition: bounded, without control characters,
//! and the same for the same failure, whichever session of a role met it.

/// The most characters kept.
const MAX: usize = 400;

/// `text` on one line, control characters escaped, without words that differ
/// from one request to the next (request ids, times), bounded.
pub(super) fn legible(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| !is_passing(word));
    let words: Vec<String> = words.map(without_session).collect();
    let escaped: String = words.join(" ").chars().flat_map(escape).collect();
    match escaped.char_indices().nth(MAX) {
        Some((cut, _)) => format!("{}…", &escaped[..cut]),
        None => escaped,
    }
}

/// `arn:aws:sts::…:assumed-role/role/session` without the session: of the
/// operator's own, its name is another one after each renewal.
fn without_session(word: &str) -> String {
    const MARK: &str = ":assumed-role/";
    match word.split_once(MARK) {
        Some((head, tail)) => {
            format!("{head}{MARK}{}", tail.split('/').next().unwrap_or_default())
        }
        None => word.to_owned(),
    }
}

fn escape(c: char) -> Box<dyn Iterator<Item = char>> {
    if c.is_control() { Box::new(c.escape_default()) } else { Box::new(std::iter::once(c)) }
}

/// Whether a word is a request id, its label, or a time.
fn is_passing(word: &str) -> bool {
    let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let label = ["RequestID", "RequestId"].iter().any(|label| core.starts_with(label));
    let value = core.rsplit(['=', ':']).next().unwrap_or(core);
    label || is_uuid(core) || is_uuid(value) || is_time(core)
}

/// 8-4-4-4-12 hex digits.
fn is_uuid(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let lengths: Vec<usize> = parts.iter().map(|part| part.len()).collect();
    lengths == [8, 4, 4, 4, 12]
        && parts.iter().all(|part| part.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// `2026-08-01T10:00:00Z` and the like, or `20260801T100000Z`.
fn is_time(word: &str) -> bool {
    let Some((date, time)) = word.split_once('T') else { return false };
    let digits = |text: &str| text.bytes().filter(u8::is_ascii_digit).count();
    let other = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || b"-:.Z+".contains(&b));
    digits(date) == 8 && digits(time) >= 4 && other(date) && other(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_between_requests_is_dropped() {
        let said = "Rate exceeded (RequestId: 0a1b2c3d-0000-1111-2222-333344445555) at 2026-08-01T10:00:00Z: [Tried]";
        assert_eq!(legible(said), "Rate exceeded at [Tried]");
        assert_eq!(legible("id=0a1b2c3d-0000-1111-2222-333344445555, no"), "no");
        assert_eq!(legible("earlier than 20260801T100000Z (x)"), "earlier than (x)");
    }

    #[test]
    fn names_and_quotes_are_kept() {
        let said = "Tried to create resource record set [name='bounce.example.com.', type='MX'] but it already exists";
        assert_eq!(legible(said), said);
    }

    #[test]
    fn control_characters_cannot_pass() {
        assert_eq!(legible("a\u{1b}[31mb\n c"), "a\\u{1b}[31mb c");
    }

    #[test]
    fn no_text_grows_without_bound() {
        assert_eq!(legible(&"é".repeat(1000)).chars().count(), MAX + 1);
    }
}
