//! libFuzzer's entrance to the target `otlp_logs_protobuf`; see crates/watchfire-fuzz.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| watchfire_fuzz::target("otlp_logs_protobuf").expect("a known target")(bytes));
