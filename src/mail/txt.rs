//! TXT values in Route 53's form: quoted strings of up to 255 octets, several a
//! value, with `\"`, `\\` and `\ooo` octal escapes inside.

use std::fmt::Write as _;

use thiserror::Error;

/// The most octets that one character-string holds (RFC 1035 section 3.3).
const STRING_MAX: usize = 255;

/// Why a text is not a TXT value.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum TxtError {
    /// Text outside quotes, or a quote that never ends.
    #[error("quotes do not match")]
    Quotes,
    /// A backslash with neither `"`, `\` nor three octal digits behind it.
    #[error("a backslash escapes nothing")]
    Escape,
}

/// The octets of a TXT value, its strings joined as RFC 7208 section 3.3 joins them.
pub fn decode(value: &str) -> Result<Vec<u8>, TxtError> {
    let mut octets = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    let mut strings = 0;
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => {}
            b'"' => {
                decode_string(&mut bytes, &mut octets)?;
                strings += 1;
            }
            _ => return Err(TxtError::Quotes),
        }
    }
    if strings == 0 { Err(TxtError::Quotes) } else { Ok(octets) }
}

fn decode_string(
    bytes: &mut impl Iterator<Item = u8>,
    octets: &mut Vec<u8>,
) -> Result<(), TxtError> {
    loop {
        match bytes.next().ok_or(TxtError::Quotes)? {
            b'"' => return Ok(()),
            b'\\' => octets.push(decode_escape(bytes)?),
            byte => octets.push(byte),
        }
    }
}

fn decode_escape(bytes: &mut impl Iterator<Item = u8>) -> Result<u8, TxtError> {
    let first = bytes.next().ok_or(TxtError::Escape)?;
    if !first.is_ascii_digit() {
        return if matches!(first, b'"' | b'\\') { Ok(first) } else { Err(TxtError::Escape) };
    }
    let mut code = 0u16;
    for digit in [Some(first), bytes.next(), bytes.next()] {
        let digit = digit.filter(|d| (b'0'..=b'7').contains(d)).ok_or(TxtError::Escape)?;
        code = code * 8 + u16::from(digit - b'0');
    }
    u8::try_from(code).map_err(|_| TxtError::Escape)
}

/// Octets as a TXT value: strings of 255 octets, printable ASCII as it is.
pub fn encode(octets: &[u8]) -> String {
    if octets.is_empty() {
        return "\"\"".to_owned();
    }
    let strings: Vec<String> = octets.chunks(STRING_MAX).map(encode_string).collect();
    strings.join(" ")
}

fn encode_string(octets: &[u8]) -> String {
    let mut out = String::with_capacity(octets.len() + 2);
    out.push('"');
    for &octet in octets {
        match octet {
            b'"' | b'\\' => {
                out.push('\\');
                out.push(char::from(octet));
            }
            0x20..=0x7e => out.push(char::from(octet)),
            other => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\{other:03o}");
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn strings_are_joined_without_a_space() {
        assert_eq!(decode(r#""v=spf1 inc" "lude:a ~all""#).unwrap(), b"v=spf1 include:a ~all");
    }

    #[test]
    fn escapes_are_octal() {
        assert_eq!(decode(r#""a\"b\\c\052""#).unwrap(), b"a\"b\\c*");
    }

    #[test]
    fn what_is_not_quoted_is_refused() {
        for (bad, error) in [
            ("", TxtError::Quotes),
            ("v=spf1", TxtError::Quotes),
            ("\"open", TxtError::Quotes),
            (r#""\x""#, TxtError::Escape),
            (r#""\9""#, TxtError::Escape),
            (r#""\777""#, TxtError::Escape),
        ] {
            assert_eq!(decode(bad), Err(error), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(octets: Vec<u8>) {
            let value = encode(&octets);
            prop_assert!(value.is_ascii());
            prop_assert_eq!(decode(&value).unwrap(), octets);
        }
    }

    #[test]
    fn no_string_is_longer_than_255_octets() {
        assert_eq!(encode(&[b'a'; 300]), format!("\"{}\" \"{}\"", "a".repeat(255), "a".repeat(45)));
    }
}
