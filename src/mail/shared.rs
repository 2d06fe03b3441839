//! Texts that are named often: ten thousand objects name each of theirs in a dozen
//! places.

use std::fmt;
use std::ops::Deref;

use internment::ArcIntern;

/// A text in one word. Equal ones are the same, however often each was made, and
/// gone with the last of them.
#[derive(Clone, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SharedText(ArcIntern<Box<str>>);

impl From<&str> for SharedText {
    fn from(text: &str) -> Self {
        Self(ArcIntern::new(text.into()))
    }
}

impl From<String> for SharedText {
    fn from(text: String) -> Self {
        Self(ArcIntern::new(text.into()))
    }
}

impl Default for SharedText {
    fn default() -> Self {
        "".into()
    }
}

impl Deref for SharedText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl PartialEq<&str> for SharedText {
    fn eq(&self, other: &&str) -> bool {
        **self == **other
    }
}

impl fmt::Debug for SharedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for SharedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_word_and_is_what_it_was_made_of() {
        assert_eq!(size_of::<Option<SharedText>>(), size_of::<usize>());
        let (one, same) =
            (SharedText::from("a.example.com"), SharedText::from("a.example.com".to_owned()));
        assert_eq!(one, same);
        assert_eq!(one.as_ptr(), same.as_ptr(), "the text is there once");
        let texts = ["b", "", "a", "é"];
        let mut shared = texts.map(SharedText::from);
        shared.sort();
        assert_eq!(shared.map(|text| text.to_string()), ["", "a", "b", "é"]);
    }
}
