//! Argon2id, one computation at a time: 19 MiB and two passes (OWASP's least), so that a guess costs an attacker and a
//! log-in does not cost a Pi its memory. Results are never cached.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use watchfire_net::secret::Secret;

const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
/// Longest password; anything longer only costs time.
pub(super) const PASSWORD_BYTES_MAX: usize = 256;
/// Shortest password that a new user may have.
pub(super) const PASSWORD_BYTES_MIN: usize = 8;
/// Checks that wait for their turn; more are turned away.
const WAITING_MAX: usize = 16;

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(MEMORY_KIB, PASSES, 1, None).expect("BUG: the parameters are constants"))
}

/// Hashes a password. Blocks for tens of milliseconds.
pub(super) fn hash(password: &Secret) -> Option<String> {
    let mut salt = [0u8; 16];
    getrandom::fill(&mut salt).ok()?;
    let hash: argon2::password_hash::phc::PasswordHash = argon2().hash_password_with_salt(password.expose().as_bytes(), &salt).ok()?;
    Some(hash.to_string())
}

/// The hash that an unknown user's password is compared with.
fn decoy() -> &'static str {
    static DECOY: OnceLock<String> = OnceLock::new();
    DECOY.get_or_init(|| hash(&Secret::new("decoy")).unwrap_or_default())
}

/// Makes the decoy, so that the first unknown user does not take longer than a known one. Blocks.
pub(super) fn warm_up() {
    decoy();
}

/// Whether a password belongs to a hash. Without a hash (an unknown user) the same time is spent. Blocks.
pub(super) fn matches(password: &Secret, hash_of_user: Option<&str>) -> bool {
    let phc = hash_of_user.unwrap_or_else(|| decoy());
    let Ok(parsed) = PasswordHash::new(phc) else { return false };
    argon2().verify_password(password.expose().as_bytes(), &parsed).is_ok() && hash_of_user.is_some()
}

/// The turn-taking of password checks.
pub(super) struct Turns {
    one: Arc<Semaphore>,
    waiting: AtomicUsize,
}
impl Turns {
    pub(super) fn new() -> Turns {
        Turns { one: Arc::new(Semaphore::new(1)), waiting: AtomicUsize::new(0) }
    }
    /// Waits for a turn; `None` when too many wait already.
    pub(super) async fn take(&self) -> Option<OwnedSemaphorePermit> {
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        if before >= WAITING_MAX {
            return None;
        }
        self.one.clone().acquire_owned().await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_matches() {
        let stored = hash(&Secret::new("correct horse")).unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{stored}");
        assert!(matches(&Secret::new("correct horse"), Some(&stored)));
        assert!(!matches(&Secret::new("wrong horse"), Some(&stored)));
        assert!(!matches(&Secret::new("decoy"), None));
        assert!(!matches(&Secret::new("x"), Some("not a hash")));
        assert_ne!(stored, hash(&Secret::new("correct horse")).unwrap());
    }
}
