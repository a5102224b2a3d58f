//! What the state store keeps about tokens, users and sessions: JSON with a version, hashes only. See `docs/formats/access.md`.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::level::Level;

/// The version that is written.
pub(super) const VERSION: u8 = 1;

/// A named token.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct TokenRecord {
    pub(super) v: u8,
    /// SHA-256 of the token, in hexadecimal.
    pub(super) sha256: String,
    pub(super) level: Level,
    pub(super) created_ms: i64,
}

/// A user.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct UserRecord {
    pub(super) v: u8,
    /// Argon2id in PHC form.
    pub(super) hash: String,
    pub(super) level: Level,
    pub(super) created_ms: i64,
    /// Whether the configuration made the user; then it also removes it.
    #[serde(default)]
    pub(super) configured: bool,
}

/// Whose session it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Subject {
    /// A user by name.
    User(String),
    /// A token by name: logging in with a token gives a session too.
    Token(String),
}

/// A session; its key is the SHA-256 of the cookie.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SessionRecord {
    pub(super) v: u8,
    pub(super) subject: Subject,
    /// SHA-256 of the user's hash, or of the token: a session ends with the secret that opened it.
    pub(super) proof: String,
    pub(super) created_ms: i64,
    pub(super) seen_ms: i64,
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

/// Names of tokens and users: they stand in labels, logs and paths.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_@".contains(&b))
}
