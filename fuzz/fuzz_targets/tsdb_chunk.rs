//! libFuzzer's entrance to the target `tsdb_chunk`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("tsdb_chunk").expect("a known target")(bytes));
