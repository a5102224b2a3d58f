//! Ways to find out whether a service works: a file for each, one line in [`KINDS`]. A check looks and says what it saw; what follows
//! from it is the policy's business.

mod command;
mod container;
mod http;
mod postgresql;
mod process;
mod redis;
mod systemd;
mod tcp;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use watchfire_model::document::Reader;
use watchfire_net::dial::{self, DialError};

use super::policy::Verdict;
use super::settings::Outside;

/// What a check is doing.
pub type Checking<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// One way to look at a service.
pub trait Check: Send + Sync {
    /// Looks; all of it within the time. Whoever drops the future ends the look.
    fn look(&self, within: Duration) -> Checking<'_>;
    /// What is looked at, without secrets.
    fn target(&self) -> String;
    /// The other machine that is asked; `None` for this one.
    fn remote(&self) -> Option<String> {
        None
    }
}

/// A kind of check and how it is read. The reader is the mapping that holds the kind's key.
pub(super) struct Kind {
    /// Its key.
    pub(super) key: &'static str,
    /// Reads what stands at the key; what is wrong is told to the reader.
    pub(super) read: fn(&Reader<'_>, &Outside<'_>) -> Option<Arc<dyn Check>>,
}

/// All kinds.
pub(super) const KINDS: [Kind; 8] = [http::KIND, tcp::KIND, redis::KIND, postgresql::KIND, process::KIND, container::KIND, systemd::KIND, command::KIND];

/// The plain web check of an address.
pub(super) fn web(url: String) -> Result<Arc<dyn Check>, String> {
    http::Http::plain(url).map(|check| Arc::new(check) as Arc<dyn Check>)
}

/// How long the second look at a place may take that did not work.
const SECOND_LOOK: Duration = Duration::from_secs(1);

/// A failure against a place of the network, after a second look: does anybody answer there, and is it our own fault?
async fn failure(why: String, host: &str, port: u16) -> Verdict {
    match dial::dial(host, port, SECOND_LOOK).await {
        Ok(_) | Err(DialError::Refused { .. } | DialError::NoSuchName { .. }) => Verdict::Failed { why, reached: true },
        Err(DialError::NoAnswer { .. }) => Verdict::Failed { why, reached: false },
        Err(error @ DialError::Ours { .. }) => Verdict::Unknown { why: error.to_string() },
    }
}

/// The verdict on a connection that was not made.
fn undialled(error: DialError) -> Verdict {
    let why = error.to_string();
    match error {
        DialError::Refused { .. } | DialError::NoSuchName { .. } => Verdict::Failed { why, reached: true },
        DialError::NoAnswer { .. } => Verdict::Failed { why, reached: false },
        DialError::Ours { .. } => Verdict::Unknown { why },
    }
}

/// A failure that was seen on this machine.
fn seen(why: impl Into<String>) -> Verdict {
    Verdict::Failed { why: why.into(), reached: true }
}

/// A check that could not be made.
fn unseen(why: impl Into<String>) -> Verdict {
    Verdict::Unknown { why: why.into() }
}

/// The host, when it is not this machine.
fn elsewhere(host: &str) -> Option<String> {
    (!dial::is_here(host)).then(|| host.to_ascii_lowercase())
}

/// Splits `host:port`; brackets around an IPv6 address stay.
fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let fits = !host.is_empty() && (bare.is_some() || !host.contains(':')) && !host.contains(['/', '@', ' ']);
    fits.then(|| Some((host.to_owned(), port.parse().ok().filter(|p| *p > 0)?)))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        for (text, expected) in [
            ("localhost:80", Some(("localhost", 80))),
            ("[::1]:6379", Some(("[::1]", 6379))),
            ("::1:6379", None),
            ("host:0", None),
            ("host:70000", None),
            (":80", None),
            ("host", None),
            ("http://host:80", None),
            ("user@host:80", None),
        ] {
            assert_eq!(host_and_port(text), expected.map(|(h, p)| (h.to_owned(), p)), "{text}");
        }
    }
}
