//! Editing the text of a TXT value that somebody else wrote: what is not edited
//! stays byte for byte, the borders of its strings included, and taking out what
//! was put in leaves the value as it was.

use super::txt::{decode, encode};

/// The most octets that one character-string holds (RFC 1035 section 3.3).
const STRING_MAX: usize = 255;

/// `value` with `text` as its joined text. What both have in common at the
/// beginning and at the end keeps its form. `text` put in at one place and taken
/// out again restores the value exactly as long as it is at most 127 octets.
pub fn edit(value: &str, text: &str) -> String {
    let (Ok(old), Some(mut strings)) = (decode(value), Strings::parse(value)) else {
        return encode(text.as_bytes());
    };
    let new = text.as_bytes();
    let shorter = old.len().min(new.len());
    let head = (0..shorter).take_while(|&at| old[at] == new[at]).count();
    let tail = (0..shorter - head)
        .take_while(|&back| old[old.len() - 1 - back] == new[new.len() - 1 - back])
        .count();
    if head + tail == 0 {
        return encode(new);
    }
    strings.remove(head, old.len() - tail);
    strings.insert(head, &new[head..new.len() - tail]);
    strings.to_value()
}

/// A TXT value taken apart: each string with what separates it from the one
/// before, and each octet as it was written.
struct Strings(Vec<(String, Vec<String>)>);

impl Strings {
    /// Takes a value that `decode` accepts.
    fn parse(value: &str) -> Option<Self> {
        let mut strings = Vec::new();
        let mut rest = value;
        while let Some((separator, opened)) = rest.split_once('"') {
            let mut octets = Vec::new();
            let mut left = opened;
            loop {
                let length = match left.as_bytes() {
                    [] => return None,
                    [b'"', ..] => break,
                    [b'\\', digit, ..] if digit.is_ascii_digit() => 4,
                    [b'\\', ..] => 2,
                    _ => 1,
                };
                octets.push(left.get(..length)?.to_owned());
                left = &left[length..];
            }
            strings.push((separator.to_owned(), octets));
            rest = &left[1..];
        }
        rest.is_empty().then_some(Self(strings))
    }

    fn to_value(&self) -> String {
        let string = |(separator, octets): &(String, Vec<String>)| {
            format!("{separator}\"{}\"", octets.concat())
        };
        self.0.iter().map(string).collect()
    }

    /// Takes out the octets from `from` up to, not including, `to`. A string
    /// that this empties goes, and the two that it parted are one again where
    /// they fit into one.
    fn remove(&mut self, from: usize, to: usize) {
        let mut start = 0;
        let mut emptied = Vec::new();
        for (index, (_, octets)) in self.0.iter_mut().enumerate() {
            let length = octets.len();
            let inside = |at: usize| at.clamp(start, start + length) - start;
            let range = inside(from)..inside(to);
            if !range.is_empty() && range.len() == length {
                emptied.push(index);
            }
            octets.drain(range);
            start += length;
        }
        for index in emptied.into_iter().rev() {
            self.drop_string(index);
        }
    }

    fn drop_string(&mut self, index: usize) {
        let (separator, _) = self.0.remove(index);
        let Some((_, after)) = self.0.get(index) else { return };
        let before = index.checked_sub(1).map_or(0, |before| self.0[before].1.len());
        if before > 0 && !after.is_empty() && before + after.len() <= STRING_MAX {
            let (_, after) = self.0.remove(index);
            self.0[index - 1].1.extend(after);
        } else if index == 0 {
            self.0[0].0 = separator;
        }
    }

    /// Puts octets in at `at`: into a string there that has room, else as a
    /// string, or strings, of their own.
    fn insert(&mut self, at: usize, octets: &[u8]) {
        let written = written(octets);
        if written.is_empty() {
            return;
        }
        let (mut start, mut behind, last) = (0, None, self.0.len());
        for (index, (_, string)) in self.0.iter_mut().enumerate() {
            let end = start + string.len();
            let here = (start..=end).contains(&at) && !string.is_empty();
            if here && string.len() + written.len() <= STRING_MAX {
                let offset = at - start;
                string.splice(offset..offset, written);
                return;
            }
            behind = behind.or(here.then_some(index));
            start = end;
        }
        self.insert_strings(behind.unwrap_or(last), at, &written);
    }

    fn insert_strings(&mut self, index: usize, at: usize, written: &[String]) {
        let start: usize = self.0[..index].iter().map(|(_, octets)| octets.len()).sum();
        let Some((_, string)) = self.0.get_mut(index) else { return };
        let rest = string.split_off(at - start);
        let space = || " ".to_owned();
        let mut new: Vec<(String, Vec<String>)> =
            written.chunks(STRING_MAX).map(|chunk| (space(), chunk.to_vec())).collect();
        if !rest.is_empty() {
            new.push((space(), rest));
        }
        if self.0[index].1.is_empty() {
            let (separator, _) = self.0.remove(index);
            new[0].0 = separator;
            self.0.splice(index..index, new);
        } else {
            self.0.splice(index + 1..=index, new);
        }
    }
}

/// Each octet as Route 53 writes it.
fn written(octets: &[u8]) -> Vec<String> {
    let bare = |quoted: String| quoted[1..quoted.len() - 1].to_owned();
    octets.iter().map(|octet| bare(encode(&[*octet]))).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: &str) -> String {
        String::from_utf8(decode(value).unwrap()).unwrap()
    }

    #[test]
    fn what_is_not_edited_keeps_its_form() {
        let value = r#""v=spf1 " "exists:%{i}\052.x.example"  " -all""#;
        let merged = edit(value, "v=spf1 exists:%{i}*.x.example include:amazonses.com -all");
        assert_eq!(
            merged,
            r#""v=spf1 " "exists:%{i}\052.x.example"  " include:amazonses.com -all""#
        );
        assert_eq!(edit(&merged, "v=spf1 exists:%{i}*.x.example -all"), value);
    }

    #[test]
    fn a_string_without_room_is_parted_and_joined_again() {
        let long = format!("\"v=spf1 {} -all\"", "a".repeat(243));
        let text_of = |middle: &str| format!("v=spf1 {} {middle}-all", "a".repeat(243));
        let merged = edit(&long, &text_of("include:amazonses.com "));
        assert_eq!(merged.matches("\" \"").count(), 2, "{merged}");
        assert_eq!(text(&merged), text_of("include:amazonses.com "));
        assert_eq!(edit(&merged, &text_of("")), long);
    }

    proptest! {
        #[test]
        fn what_is_put_in_and_taken_out_leaves_the_value_as_it_was(
            lengths in proptest::collection::vec(1..=255usize, 1..5),
            at in 0..1000usize,
            put in "[a-z:. ]{1,127}",
        ) {
            let mut letters = ('A'..='Z').cycle();
            let strings: Vec<String> =
                lengths.iter().map(|length| letters.by_ref().take(*length).collect()).collect();
            let whole = strings.concat();
            let value = strings.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(" ");
            let (head, tail) = whole.split_at(at % (whole.len() + 1));
            let edited = edit(&value, &format!("{head}{put}{tail}"));
            prop_assert_eq!(text(&edited), format!("{head}{put}{tail}"));
            let legal = edited.split("\" \"").all(|s| s.trim_matches('"').len() <= 255);
            prop_assert!(legal, "{}", edited);
            prop_assert_eq!(edit(&edited, &whole), value);
        }

        #[test]
        fn any_edit_of_any_value_says_what_is_asked(old: Vec<u8>, new in "[ -~]{0,600}") {
            prop_assert_eq!(text(&edit(&encode(&old), &new)), new);
        }
    }
}
