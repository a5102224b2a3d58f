//! libFuzzer's entrance to the target `dns_message`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("dns_message").expect("a known target")(bytes));
