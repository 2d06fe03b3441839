//! Whose part of a value is whose: what others wrote into an SPF record, without
//! the term that the operator merged in.

use ses_mailfrom::mail::{Spf, SpfInclude, decode_txt, encode_txt};

/// The part of a TXT value that is not the operator's. Of any other value, all.
pub(crate) fn theirs_of(value: &str) -> String {
    let text = decode_txt(value).ok().and_then(|octets| String::from_utf8(octets).ok());
    let spf = text.and_then(|text| Spf::parse(&text));
    spf.map_or_else(
        || value.to_owned(),
        |spf| encode_txt(spf.unmerge(&[SpfInclude::amazon_ses()]).to_string().as_bytes()),
    )
}
