//! What the kernel knows about how well its clock is disciplined: one system call, read only. It neither sets nor steers anything.

use std::io;

/// Bits and values of `adjtimex(2)`.
const STATUS_NANOSECONDS: i32 = 0x2000;
const STATE_ERROR: i32 = 5;

/// One answer of the kernel.
pub(crate) struct KernelClock {
    raw: libc::timex,
    state: i32,
}

impl KernelClock {
    /// Asks the kernel.
    pub(crate) fn read() -> io::Result<KernelClock> {
        // All fields are numbers, and a `modes` of zero makes it a question.
        #[expect(unsafe_code, reason = "no safe interface to adjtimex(2) is known to us")]
        // SAFETY: every field of `timex` may be zero, and the call gets a pointer to a whole one that lives as long as the call.
        let (raw, state) = unsafe {
            let mut raw: libc::timex = std::mem::zeroed();
            let state = libc::adjtimex(&raw mut raw);
            (raw, state)
        };
        if state < 0 { Err(io::Error::last_os_error()) } else { Ok(KernelClock { raw, state }) }
    }
    /// Whether somebody keeps the clock right.
    pub(crate) fn is_synced(&self) -> bool {
        self.state != STATE_ERROR
    }
    pub(crate) fn raw(&self) -> &libc::timex {
        &self.raw
    }
    /// In how many parts of a second offsets are told.
    pub(crate) fn parts(&self) -> f64 {
        if self.raw.status & STATUS_NANOSECONDS == 0 { 1e6 } else { 1e9 }
    }
}
