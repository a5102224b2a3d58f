//! The ids of a request: one that no other request has, and one for everything that belongs together, whichever program it reaches.

use std::sync::atomic::{AtomicU64, Ordering};

/// The header with the id of a request.
pub const REQUEST_ID: &str = "x-request-id";
/// The header with the id of what belongs together.
pub const CORRELATION_ID: &str = "x-correlation-id";
/// The longest id that is taken from outside.
pub const ID_BYTES_MAX: usize = 128;

/// An id that nobody else has.
pub fn new_id() -> String {
    static MADE: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // Without randomness it is at least not another one of this process.
        bytes[8..].copy_from_slice(&MADE.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An id from outside as it may stand in log lines and headers: letters, digits and `-_.:`.
pub fn sane_id(text: &str) -> Option<&str> {
    let sane = (1..=ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b));
    sane.then_some(text)
}
