//! Whom Route 53 means when it refuses a batch. Its message is a list in
//! brackets, one clause for each fault: `[Tried to create resource record set
//! [name='bounce.example.com.', type='MX'] but it already exists, …]`.

use super::names::plain;

/// What comes before a name in a clause, and what ends the name.
const MARKS: [(&str, [char; 2]); 2] = [("name='", ['\'', '\'']), ("DNS name ", [' ', ','])];

/// How clauses begin of which the end of the one before cannot be told by brackets.
const BEGINNING: &str = "Tried to ";

/// The clauses of a message.
pub(in super::super) fn clauses(message: &str) -> Vec<String> {
    let message = message.trim();
    let inner = message.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let mut rest = inner.unwrap_or(message);
    let mut clauses = Vec::new();
    while let Some(end) = end_of_first(rest) {
        clauses.push(rest[..end].to_owned());
        rest = &rest[end + 2..];
    }
    clauses.push(rest.to_owned());
    clauses
}

/// Where the comma after the first clause is: not within brackets, which the
/// clause may hold, unless another clause surely begins there.
fn end_of_first(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    text.char_indices().find_map(|(at, c)| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let next = text[at..].strip_prefix(", ")?;
        (depth == 0 || next.starts_with(BEGINNING)).then_some(at)
    })
}

/// The names that a clause is about, plain.
pub(super) fn names(clause: &str) -> Vec<String> {
    let after = |(mark, ends): (&'static str, [char; 2])| {
        let starts = clause.match_indices(mark).map(move |(at, _)| &clause[at + mark.len()..]);
        starts.map(move |rest| plain(rest.split(ends).next().unwrap_or(rest)))
    };
    MARKS.into_iter().flat_map(after).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXISTS: &str = "Tried to create resource record set [name='bounce.example.com.', type='MX'] but it already exists";
    const GONE: &str = "Tried to delete resource record set [name='a.example.com.', type='TXT'] but it was not found";

    #[test]
    fn a_message_is_a_list_of_clauses() {
        assert_eq!(clauses(&format!("[{EXISTS}]")), [EXISTS]);
        assert_eq!(clauses(&format!("[{EXISTS}, {GONE}]")), [EXISTS, GONE]);
        assert_eq!(clauses(EXISTS), [EXISTS]);
        let text = "Invalid Resource Record: 'FATAL problem: [ in '\"x[\"''";
        assert_eq!(clauses(&format!("[{text}, {GONE}]")), [text, GONE]);
        assert_eq!(clauses(""), [""]);
    }

    #[test]
    fn names_are_found_however_they_are_written() {
        assert_eq!(names(EXISTS), ["bounce.example.com"]);
        assert_eq!(names(r"[name='\052.Mail.EXAMPLE.com.', type='A']"), ["*.mail.example.com"]);
        let beside = "RRSet of type CNAME with DNS name b.example.com. is not permitted";
        assert_eq!(names(beside), ["b.example.com"]);
        let routed = "RRSet with DNS name c.example.com., type MX cannot be created";
        assert_eq!(names(routed), ["c.example.com"]);
        assert!(names("Exceeded limit MAX_RRSETS_BY_ZONE for zone: Z1").is_empty());
    }
}
