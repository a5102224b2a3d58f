//! Who callers are: tokens, users, sessions, trusted networks, and the open mode of a machine of one's own. It keeps hashes
//! only, in the state store, and decides nothing about routes: that is the pipeline's business.

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use serde::Serialize;
use serde::de::DeserializeOwned;
use subtle::ConstantTimeEq;
use watchfire_model::live::ViewFuture;
use watchfire_model::order::Order as _;
use watchfire_model::state::{Change, SESSIONS, StateError, StateStore, TOKENS, USERS};
use watchfire_model::time::SharedClock;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::listener::Peer;
use watchfire_net::policy::Network;
use watchfire_net::secret::Secret;

use super::level::{Level, Rights};
use super::password::{self, Turns};
use super::records::{SessionRecord, Subject, TokenRecord, UserRecord, VERSION, is_name, sha256_hex};
use super::settings::{PasswordSource, Settings};
use super::throttle::Throttle;
use super::{Caller, Via};
use crate::server::{Identify, Refusal};

/// The name of the token that is made at the first start.
pub const ADMIN_TOKEN: &str = "admin";
/// The caller who is this process itself.
const OWN: &str = "watchfire";
/// The cookie of the page.
pub(super) const COOKIE_NAME: &str = "watchfire_session";
/// A session's last use is written at most this often, which spares the disk.
const SEEN_EVERY_MS: i64 = 5 * 60_000;
/// Sessions at once; the one that has been idle longest makes room.
const SESSIONS_MAX: usize = 1_000;
/// The file in the data directory that holds the first admin token, for its owner alone.
pub const TOKEN_FILE: &str = "admin.token";
/// Tokens and users at once.
pub(super) const NAMES_MAX: usize = 1_000;

/// Why authentication cannot start, or a name cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The state store failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The token file cannot be written.
    #[error("cannot write the admin token to {path}")]
    TokenFile {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A network of `server.trusted_networks` is none.
    #[error("cannot read the trusted network {text:?}: {reason}")]
    Network {
        /// What was written.
        text: String,
        /// What is wrong.
        reason: String,
    },
    /// A configured password cannot be read or used.
    #[error("cannot use the password of user {user:?}: {reason}")]
    Password {
        /// Whose password.
        user: String,
        /// What is wrong.
        reason: String,
    },
    /// The system gives no random bytes.
    #[error("cannot get random bytes")]
    Random,
}

/// Knows who callers are.
pub struct Auth {
    settings: Settings,
    insecure: bool,
    trusted: Vec<Network>,
    state: Arc<dyn StateStore>,
    pub(super) clock: SharedClock,
    /// All tokens, so that a request costs no read of the state store.
    tokens: Mutex<Vec<(String, TokenRecord)>>,
    /// Held over every change of records, so that two of them never cross.
    changing: Mutex<()>,
    throttle: Mutex<Throttle>,
    turns: Turns,
    /// With which we ask ourselves (a scraped component that is us); it lives as long as the process and is never kept.
    own: Secret,
}

/// 256 random bits in hexadecimal.
pub(super) fn random_token() -> Result<Secret, AuthError> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| AuthError::Random)?;
    Ok(Secret::new(bytes.iter().map(|b| format!("{b:02x}")).collect::<String>()))
}

impl Auth {
    /// Reads what is known, makes the admin token at the first start and, with authentication on, refreshes configured
    /// users. Blocks.
    pub fn start(
        settings: Settings,
        insecure: bool,
        trusted: &[String],
        data_dir: &Path,
        state: Arc<dyn StateStore>,
        clock: SharedClock,
    ) -> Result<Arc<Auth>, AuthError> {
        let network = |text: &String| text.parse::<Network>().map_err(|e| AuthError::Network { text: text.clone(), reason: e.to_string() });
        let trusted = trusted.iter().map(network).collect::<Result<_, _>>()?;
        let auth = Auth {
            settings,
            insecure,
            trusted,
            state,
            clock,
            tokens: Mutex::default(),
            changing: Mutex::default(),
            throttle: Mutex::default(),
            turns: Turns::new(),
            own: random_token()?,
        };
        auth.load_tokens()?;
        // The token waits for the day on which authentication is switched on.
        if !auth.tokens().iter().any(|(name, _)| name == ADMIN_TOKEN) {
            auth.make_admin_token(&data_dir.join(TOKEN_FILE))?;
        }
        if auth.settings.enabled {
            password::warm_up();
            auth.refresh_configured_users()?;
        }
        Ok(Arc::new(auth))
    }

    fn tokens(&self) -> std::sync::MutexGuard<'_, Vec<(String, TokenRecord)>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn changing(&self) -> std::sync::MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn throttle(&self) -> std::sync::MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token with which this process reads its own faces.
    pub fn own_token(&self) -> &Secret {
        &self.own
    }

    /// Whether callers must prove who they are.
    pub fn is_enabled(&self) -> bool {
        self.settings.enabled
    }
    /// Whether everybody is let in although the address may be open.
    pub fn is_insecure(&self) -> bool {
        !self.settings.enabled && self.insecure
    }

    fn load_tokens(&self) -> Result<(), AuthError> {
        let rows = self.state.scan(TOKENS, "")?;
        *self.tokens() = rows.into_iter().filter_map(|(name, bytes)| Some((name, parse(&bytes)?))).collect();
        Ok(())
    }

    /// The file is written before the hash is kept, so that a crash in between makes a new token and not a lost one.
    fn make_admin_token(&self, path: &Path) -> Result<(), AuthError> {
        let token = random_token()?;
        let failed = |source| AuthError::TokenFile { path: path.display().to_string(), source };
        write_secret(path, &token).map_err(failed)?;
        self.put_token(ADMIN_TOKEN, &token, Level::Admin)?;
        tracing::info!(path = %path.display(), "admin token written");
        Ok(())
    }

    /// Users that the configuration named before and no longer names are removed; those that it names are made as it says.
    fn refresh_configured_users(&self) -> Result<(), AuthError> {
        for (name, bytes) in self.state.scan(USERS, "")? {
            let gone = !self.settings.users.iter().any(|u| u.name == name);
            if gone && parse::<UserRecord>(&bytes).is_some_and(|u| u.configured) {
                self.remove_user(&name)?;
                tracing::info!(name, "user removed: the configuration no longer names it");
            }
        }
        for user in &self.settings.users {
            let bad = |reason: String| AuthError::Password { user: user.name.clone(), reason };
            let password = match &user.password {
                PasswordSource::Inline(secret) => secret.clone(),
                PasswordSource::File(path) => Secret::from_file(path).map_err(|e| bad(e.to_string()))?,
            };
            if !is_name(&user.name) {
                return Err(bad("the name must be 1 to 64 letters, digits, dots, hyphens, underscores or @".to_owned()));
            }
            let length = password.expose().len();
            if !(1..=password::PASSWORD_BYTES_MAX).contains(&length) {
                return Err(bad(format!("it must have 1 to {} bytes", password::PASSWORD_BYTES_MAX)));
            }
            if length < password::PASSWORD_BYTES_MIN {
                // Whoever writes the configuration decides; Grafana's own default is shorter than ours allows.
                tracing::warn!(name = user.name, "the configured password is short");
            }
            let known = self.user(&user.name)?;
            let same = known.as_ref().is_some_and(|k| k.configured && k.level == user.level && password::matches(&password, Some(&k.hash)));
            if !same {
                let hash = password::hash(&password).ok_or(AuthError::Random)?;
                self.keep_user(&user.name, UserRecord { v: VERSION, hash, level: user.level, created_ms: self.clock.now().millis(), configured: true })?;
            }
        }
        Ok(())
    }

    // --- tokens ---

    /// Keeps a token under a name, replacing one of the same name and ending its sessions.
    pub(crate) fn put_token(&self, name: &str, token: &Secret, level: Level) -> Result<(), AuthError> {
        let record = TokenRecord { v: VERSION, sha256: sha256_hex(token.expose()), level, created_ms: self.clock.now().millis() };
        let _changing = self.changing();
        let mut changes = self.ends_of_sessions(&Subject::Token(name.to_owned()))?;
        changes.push(Change::Put(TOKENS, name.to_owned(), render(&record)));
        self.state.commit(&changes)?;
        self.load_tokens()
    }
    /// Forgets a token and the sessions that it opened.
    pub(super) fn remove_token(&self, name: &str) -> Result<bool, AuthError> {
        let _changing = self.changing();
        let known = self.tokens().iter().any(|(n, _)| n == name);
        let mut changes = self.ends_of_sessions(&Subject::Token(name.to_owned()))?;
        changes.push(Change::Delete(TOKENS, name.to_owned()));
        self.state.commit(&changes)?;
        self.load_tokens()?;
        Ok(known)
    }
    /// Names, levels and ages of all tokens.
    pub(super) fn token_list(&self) -> Vec<(String, Level, i64)> {
        self.tokens().iter().map(|(name, t)| (name.clone(), t.level, t.created_ms)).collect()
    }
    fn token(&self, text: &str) -> Option<(String, Level)> {
        let sha256 = sha256_hex(text);
        // Every record is compared in full, so that time says nothing about which one is near.
        let mut found = (Secret::new(text) == self.own).then(|| (OWN.to_owned(), Level::Read));
        for (name, record) in self.tokens().iter() {
            if bool::from(record.sha256.as_bytes().ct_eq(sha256.as_bytes())) {
                found = Some((name.clone(), record.level));
            }
        }
        found
    }

    // --- users ---

    fn user(&self, name: &str) -> Result<Option<UserRecord>, AuthError> {
        if !is_name(name) {
            return Ok(None);
        }
        Ok(self.state.get(USERS, name)?.and_then(|bytes| parse(&bytes)))
    }
    /// Writes a user and ends the user's sessions, both or neither.
    fn keep_user(&self, name: &str, record: UserRecord) -> Result<(), AuthError> {
        let _changing = self.changing();
        let mut changes = self.ends_of_sessions(&Subject::User(name.to_owned()))?;
        changes.push(Change::Put(USERS, name.to_owned(), render(&record)));
        Ok(self.state.commit(&changes)?)
    }
    /// Keeps a user; a changed password ends the user's sessions. Blocks for the hash.
    pub(super) fn put_user(&self, name: &str, password: &Secret, level: Level) -> Result<(), Refusal> {
        if !is_name(name) {
            return Err(Refusal::unprocessable("a name has 1 to 64 letters, digits, dots, hyphens, underscores or @"));
        }
        let len = password.expose().len();
        if !(password::PASSWORD_BYTES_MIN..=password::PASSWORD_BYTES_MAX).contains(&len) {
            return Err(Refusal::unprocessable(format!("a password has {} to {} bytes", password::PASSWORD_BYTES_MIN, password::PASSWORD_BYTES_MAX)));
        }
        let hash = password::hash(password).ok_or_else(Refusal::internal)?;
        let record = UserRecord { v: VERSION, hash, level, created_ms: self.clock.now().millis(), configured: false };
        self.keep_user(name, record).map_err(|_| Refusal::internal())
    }
    /// Forgets a user and ends the user's sessions.
    pub(super) fn remove_user(&self, name: &str) -> Result<bool, AuthError> {
        let _changing = self.changing();
        let known = self.user(name)?.is_some();
        let mut changes = self.ends_of_sessions(&Subject::User(name.to_owned()))?;
        changes.push(Change::Delete(USERS, name.to_owned()));
        self.state.commit(&changes)?;
        Ok(known)
    }
    /// Names, levels and ages of all users.
    pub(super) fn user_list(&self) -> Result<Vec<(String, Level, i64)>, AuthError> {
        let rows = self.state.scan(USERS, "")?;
        Ok(rows.into_iter().filter_map(|(name, bytes)| parse::<UserRecord>(&bytes).map(|u| (name, u.level, u.created_ms))).collect())
    }

    /// Judges a name and a password, at most five wrong ones a minute from one address.
    /// Gives the level, and the fingerprint of what was proven.
    pub(super) async fn check_password(&self, name: &str, password: Secret, from: Option<IpAddr>) -> Result<(Level, String), Refusal> {
        let wrong = || Refusal::new(http::StatusCode::UNAUTHORIZED, "wrong_credentials", "name or password is wrong");
        if password.expose().len() > password::PASSWORD_BYTES_MAX {
            return Err(wrong());
        }
        let Some(turn) = self.turns.take().await else { return Err(Refusal::unavailable("too many log-ins at once", 1)) };
        // Asked when it is one's turn: guesses that were sent at once would all pass before the first one is counted.
        self.check_throttle(from)?;
        let record = self.user(name).map_err(|_| Refusal::internal())?;
        let hash = record.as_ref().map(|r| r.hash.clone());
        // The turn goes along: a caller who hangs up meanwhile must not let a second computation begin beside this one.
        let work = spawn_blocking(move || (password::matches(&password, hash.as_deref()), turn));
        let (matched, _turn) = work.await.map_err(|_| Refusal::internal())?;
        match record {
            Some(record) if matched => Ok((record.level, sha256_hex(&record.hash))),
            _ => {
                self.failed(from);
                Err(wrong())
            }
        }
    }
    fn check_throttle(&self, from: Option<IpAddr>) -> Result<(), Refusal> {
        let wait = from.and_then(|ip| self.throttle().wait(ip, self.clock.monotonic()));
        match wait {
            Some(wait) => Err(Refusal::too_many("too many wrong passwords or tokens from this address", wait.as_secs() + 1)),
            None => Ok(()),
        }
    }
    fn failed(&self, from: Option<IpAddr>) {
        if let Some(ip) = from {
            // At most five a minute from one address come this far, so the log cannot be flooded. The name stays out of it:
            // people type passwords into the wrong field.
            tracing::warn!(peer = %ip, "a wrong password or token was shown");
            self.throttle().failed(ip, self.clock.monotonic());
        }
    }

    /// Judges a token. A right one always passes: 256 bits are not guessed, and a neighbour behind the same address must not
    /// be able to lock its owner out. Wrong ones count like wrong passwords.
    pub(super) fn check_token(&self, token: &Secret, from: Option<IpAddr>) -> Result<(String, Level), Refusal> {
        if let Some(found) = self.token(token.expose()) {
            return Ok(found);
        }
        self.check_throttle(from)?;
        self.failed(from);
        Err(Refusal::new(http::StatusCode::UNAUTHORIZED, "wrong_credentials", "the token is not known"))
    }

    // --- sessions ---

    /// Opens a session and gives the cookie's value.
    /// `proof` is the fingerprint of the password or token that was shown: the session lives as long as it is current.
    pub(super) fn open_session(&self, subject: Subject, proof: String) -> Result<Secret, AuthError> {
        let cookie = random_token()?;
        let _changing = self.changing();
        let now = self.clock.now().millis();
        let mut all = self.sessions()?;
        all.order_by_key(|(_, s)| s.seen_ms);
        let idle = self.settings.session_idle.as_millis() as i64;
        let gone = all.iter().enumerate().filter(|(i, (_, s))| s.seen_ms + idle < now || i + SESSIONS_MAX <= all.len());
        let mut changes: Vec<Change> = gone.map(|(_, (key, _))| Change::Delete(SESSIONS, key.clone())).collect();
        let record = SessionRecord { v: VERSION, subject, proof, created_ms: now, seen_ms: now };
        changes.push(Change::Put(SESSIONS, sha256_hex(cookie.expose()), render(&record)));
        self.state.commit(&changes)?;
        Ok(cookie)
    }
    /// Ends the session of a cookie.
    pub(super) fn end_session(&self, cookie: &str) -> Result<(), AuthError> {
        let _changing = self.changing();
        Ok(self.state.commit(&[Change::Delete(SESSIONS, sha256_hex(cookie))])?)
    }
    fn sessions(&self) -> Result<Vec<(String, SessionRecord)>, AuthError> {
        let rows = self.state.scan(SESSIONS, "")?;
        Ok(rows.into_iter().filter_map(|(key, bytes)| Some((key, parse(&bytes)?))).collect())
    }
    /// What must be written to end all sessions of somebody.
    fn ends_of_sessions(&self, subject: &Subject) -> Result<Vec<Change>, AuthError> {
        let theirs = self.sessions()?.into_iter().filter(|(_, s)| s.subject == *subject);
        Ok(theirs.map(|(key, _)| Change::Delete(SESSIONS, key)).collect())
    }
    /// The caller of a session that is alive; its level is looked up anew, so that a demotion holds at once.
    fn session(&self, cookie: &str) -> Option<Caller> {
        let key = sha256_hex(cookie);
        let record: SessionRecord = parse(&self.state.get(SESSIONS, &key).ok()??)?;
        let now = self.clock.now().millis();
        let idle = self.settings.session_idle.as_millis() as i64;
        if record.seen_ms + idle < now {
            return None;
        }
        let (name, level, proof) = match &record.subject {
            Subject::User(name) => self.user(name).ok()?.map(|u| (name.clone(), u.level, sha256_hex(&u.hash)))?,
            Subject::Token(name) => self.tokens().iter().find(|(n, _)| n == name).map(|(_, t)| (name.clone(), t.level, t.sha256.clone()))?,
        };
        if proof != record.proof {
            return None;
        }
        if now - record.seen_ms > SEEN_EVERY_MS.min(idle / 4) {
            self.prolong(&key, now);
        }
        Some(Caller { name: name.as_str().into(), rights: Rights::of(level), via: Via::Session })
    }
    /// A session that cannot be prolonged now ends earlier; that is all.
    fn prolong(&self, key: &str, now: i64) {
        let _changing = self.changing();
        // Read again under the lock: a session that was ended meanwhile must stay ended.
        let record = self.state.get(SESSIONS, key).ok().flatten().and_then(|bytes| parse::<SessionRecord>(&bytes));
        if let Some(mut record) = record {
            record.seen_ms = now;
            drop(self.state.commit(&[Change::Put(SESSIONS, key.to_owned(), render(&record))]));
        }
    }

    async fn prove(&self, headers: &HeaderMap, peer: Option<Peer>, foreign: bool) -> Result<Caller, Refusal> {
        let known = |name: &str, rights, via| Caller { name: name.into(), rights, via };
        if !self.settings.enabled {
            let here = peer.is_some_and(|p| p.is_loopback());
            return Ok(match (foreign, here, self.insecure) {
                (false, true, _) => known("local", Rights::ALL, Via::Loopback),
                (false, false, true) => known("anybody", Rights::ALL, Via::Insecure),
                _ => Caller::anonymous(),
            });
        }
        let from = peer.map(|p| p.remote.ip());
        if let Some(value) = headers.get(AUTHORIZATION) {
            let text = value.to_str().unwrap_or("");
            let wrong = || Refusal::new(http::StatusCode::UNAUTHORIZED, "wrong_credentials", "the Authorization header proves nothing");
            return match text.split_once(' ') {
                // `Token` is the word of Influx clients.
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("token") => {
                    let (name, level) = self.check_token(&Secret::new(token.trim()), from)?;
                    Ok(known(&name, Rights::of(level), Via::Token))
                }
                Some((scheme, pair)) if scheme.eq_ignore_ascii_case("basic") => {
                    let (name, password) = decode_basic(pair).ok_or_else(wrong)?;
                    // Programs that know only Basic may send a token as the password, at the price of one hash.
                    if let Some((name, level)) = self.token(password.expose()) {
                        return Ok(known(&name, Rights::of(level), Via::Token));
                    }
                    let (level, _) = self.check_password(&name, password, from).await?;
                    Ok(known(&name, Rights::of(level), Via::Password))
                }
                _ => Err(wrong()),
            };
        }
        if !foreign
            && let Some(cookie) = cookie(headers)
            && let Some(caller) = self.session(cookie)
        {
            return Ok(caller);
        }
        if !foreign && from.is_some_and(|ip| self.trusted.iter().any(|n| n.contains(ip))) {
            return Ok(known("trusted network", Rights::READ_AND_INGEST, Via::TrustedNetwork));
        }
        Ok(Caller::anonymous())
    }
}

impl Identify for Auth {
    fn identify<'a>(&'a self, headers: &'a HeaderMap, peer: Option<Peer>, foreign: bool) -> ViewFuture<'a, Result<Caller, Refusal>> {
        Box::pin(self.prove(headers, peer, foreign))
    }
    fn challenge(&self) -> Option<&'static str> {
        // Bearer only: an offer of Basic would make browsers open their own password window over our log-in page.
        self.settings.enabled.then_some("Bearer realm=\"watchfire\"")
    }
}

/// The session cookie of a request.
pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(';'));
    all.filter_map(|pair| pair.trim().split_once('=')).find(|(name, _)| *name == COOKIE_NAME).map(|(_, value)| value)
}

fn decode_basic(pair: &str) -> Option<(String, Secret)> {
    let text = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    let (name, password) = text.split_once(':')?;
    Some((name.to_owned(), Secret::new(password)))
}

/// Creates a file that only its owner can read. An old one is replaced.
fn write_secret(path: &Path, secret: &Secret) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", secret.expose())?;
    file.sync_all()
}

fn render<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("BUG: records are plain JSON")
}
fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}
