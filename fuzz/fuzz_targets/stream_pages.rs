//! libFuzzer's entrance to the target `stream_pages`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("stream_pages").expect("a known target")(bytes));
