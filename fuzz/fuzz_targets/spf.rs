//! Any TXT value: an SPF record is printed as it was read, what was merged into
//! it passes and goes again without a trace, and nothing falls over.
#![no_main]

use libfuzzer_sys::fuzz_target;

// The room of the mail rules alone: the operator's other dependencies would
// take minutes to build under the fuzzer's instrumentation.
#[allow(dead_code, unused_imports, unreachable_pub)]
#[path = "../../src/mail/mod.rs"]
mod mail;

use mail::{Merged, Spf, SpfInclude};

fuzz_target!(|octets: &[u8]| {
    let text = String::from_utf8_lossy(octets);
    let _ = mail::decode_txt(&text);
    let _ = Spf::fault([&*text].into_iter());
    let Some(found) = Spf::parse(&text) else { return };
    assert_eq!(found.to_string(), text);
    let wanted = [SpfInclude::amazon_ses(), SpfInclude::parse("_spf.b.example").expect("a name")];
    let _ = found.unmerge(&wanted).to_string();
    let Ok(Merged { record, added }) = found.merge(&wanted) else { return };
    assert!(wanted.iter().all(|sender| record.passes(sender)));
    assert_eq!(Spf::parse(&record.to_string()).as_ref(), Some(&record));
    assert_eq!(record.merge(&wanted).map(|again| again.added), Ok(Vec::new()));
    if !added.is_empty() {
        assert_eq!(record.syntax_error(), None);
        assert_eq!(record.unmerge(&added).to_string(), text);
    }
});
