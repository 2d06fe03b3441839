//! What Route 53's own log of changes says of a batch.

use super::super::writers::Member;

/// The most characters that Route 53 keeps.
const MAX: usize = 256;
/// So many objects are named.
const NAMED: usize = 3;

/// Of one object, its own comment; of several, that of the first and the names
/// of a few others, as far as they fit.
pub(super) fn comment<'a>(members: impl IntoIterator<Item = &'a Member>) -> String {
    let mut objects: Vec<String> = Vec::new();
    let mut first = "";
    for Member { grant, batch, .. } in members {
        let object = grant.object().to_string();
        if objects.is_empty() {
            first = &batch.comment;
        }
        if !objects.contains(&object) {
            objects.push(object);
        }
    }
    list(first, objects.get(1..).unwrap_or_default())
}

/// The comment of the first object, and the others.
fn list(first: &str, others: &[String]) -> String {
    let mut named = others.len().min(NAMED - 1);
    loop {
        let (shown, more) = others.split_at(named);
        let mut text = [&[first.to_owned()], shown].concat().join(", ");
        if !more.is_empty() {
            text = format!("{text} and {} more", more.len());
        }
        if text.chars().count() <= MAX || named == 0 {
            return text.chars().take(MAX).collect();
        }
        named -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn others(count: usize, length: usize) -> Vec<String> {
        (0..count).map(|n| format!("mail/{n}{}", "x".repeat(length))).collect()
    }

    #[test]
    fn a_few_objects_are_named_and_the_rest_counted() {
        let first = "ses-mailfrom: SesMailFrom mail/a";
        assert_eq!(list(first, &[]), first);
        assert_eq!(list(first, &others(2, 0)), format!("{first}, mail/0, mail/1"));
        assert_eq!(list(first, &others(3, 0)), format!("{first}, mail/0, mail/1 and 1 more"));
    }

    #[test]
    fn no_more_than_route_53_keeps() {
        let long = list("first", &others(9, 200));
        assert!(long.chars().count() <= MAX && long.ends_with(" and 8 more"), "{long}");
        assert_eq!(list("first", &others(9, 300)), "first and 9 more");
        assert_eq!(list(&"x".repeat(300), &others(1, 1)).chars().count(), MAX);
    }
}
