//! Arbitrary bytes through the reader, the rules and the printing of findings: no panic, bounded memory.
#![no_main]

use fleet_spec::{Context, Input, check, load};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let loaded = load(&[Input::Bytes { name: "input".to_owned(), bytes: bytes.to_vec() }]);
    let today = fleet_api::text::Day(jiff::civil::date(2026, 11, 24));
    let findings = match check(&loaded, &Context::on(today)) {
        Ok(checked) => checked.findings,
        Err(findings) => findings,
    };
    for finding in findings {
        let text = finding.to_text();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    }
});
