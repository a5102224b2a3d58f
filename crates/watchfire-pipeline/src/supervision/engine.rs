//! The socket of a container engine (Docker, Podman), as far as supervision may use it: four paths to read and one to restart a
//! container, and only for containers that the configuration names. Off unless the configuration names the socket.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{Method, Request, StatusCode};
use serde::Deserialize;
use watchfire_net::unix::{UnixError, exchange};

/// How long the engine may wait for a container to end before it kills it.
const STOP_PATIENCE_S: u64 = 10;
/// The largest answer that is read.
const BODY_BYTES_MAX: usize = 1 << 20;

/// A container that the configuration names. There is no other way to make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container(String);
impl Container {
    /// Engines take letters, digits, `.`, `_` and `-`, beginning with a letter or digit; so nothing else can stand in a path.
    pub fn named(name: &str) -> Option<Container> {
        let ok = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
        let fits = (1..=128).contains(&name.len()) && name.bytes().all(ok) && name.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
        fits.then(|| Container(name.to_owned()))
    }
}
impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Everything that is ever asked of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Ask<'a> {
    Ping,
    Version,
    List,
    State(&'a Container),
    Restart(&'a Container),
}
impl Ask<'_> {
    fn request(&self) -> (Method, String) {
        match self {
            Ask::Ping => (Method::GET, "/_ping".to_owned()),
            Ask::Version => (Method::GET, "/version".to_owned()),
            Ask::List => (Method::GET, "/containers/json".to_owned()),
            Ask::State(container) => (Method::GET, format!("/containers/{container}/json")),
            Ask::Restart(container) => (Method::POST, format!("/containers/{container}/restart?t={STOP_PATIENCE_S}")),
        }
    }
}

/// How a container is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerState {
    /// Whether it runs.
    pub running: bool,
    /// The engine's word: `running`, `exited`, …
    pub status: String,
    /// What its own health check says, if it has one.
    pub health: Option<String>,
}

/// Why the engine was of no use.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// There is no such container.
    #[error("there is no container {0}")]
    NoSuchContainer(Container),
    /// The engine refused or is not well.
    #[error("the container engine answers with status {0}")]
    Status(u16),
    /// What it said is not understood.
    #[error("cannot read the answer of the container engine")]
    Answer,
    /// The socket did not work.
    #[error(transparent)]
    Socket(#[from] UnixError),
}

/// The engine.
#[derive(Debug)]
pub struct Engine {
    socket: PathBuf,
}

#[derive(Deserialize)]
struct Inspected {
    #[serde(rename = "State")]
    state: InspectedState,
}
#[derive(Deserialize)]
struct InspectedState {
    #[serde(rename = "Status", default)]
    status: String,
    #[serde(rename = "Running", default)]
    running: bool,
    #[serde(rename = "Health", alias = "Healthcheck")]
    health: Option<InspectedHealth>,
}
#[derive(Deserialize)]
struct InspectedHealth {
    #[serde(rename = "Status", default)]
    status: String,
}
#[derive(Deserialize)]
struct EngineVersion {
    #[serde(rename = "Version", default)]
    version: String,
}
#[derive(Deserialize)]
struct Listed {
    #[serde(rename = "Names", default)]
    names: Vec<String>,
}

impl Engine {
    /// The engine behind a socket.
    pub fn at(socket: PathBuf) -> Engine {
        Engine { socket }
    }
    /// Its socket.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    async fn ask(&self, ask: Ask<'_>, within: Duration) -> Result<Vec<u8>, EngineError> {
        let (method, path) = ask.request();
        let request = Request::builder().method(method).uri(path).body(Default::default()).map_err(|_| EngineError::Answer)?;
        let (status, body) = exchange(&self.socket, request, within, BODY_BYTES_MAX).await?;
        match (status, ask) {
            (status, _) if status.is_success() => Ok(body.to_vec()),
            (StatusCode::NOT_FOUND, Ask::State(container) | Ask::Restart(container)) => Err(EngineError::NoSuchContainer(container.clone())),
            (status, _) => Err(EngineError::Status(status.as_u16())),
        }
    }

    /// Whether anybody answers there, and which version.
    pub async fn version(&self, within: Duration) -> Result<String, EngineError> {
        self.ask(Ask::Ping, within).await?;
        let body = self.ask(Ask::Version, within).await?;
        Ok(serde_json::from_slice::<EngineVersion>(&body).map_err(|_| EngineError::Answer)?.version.chars().take(64).collect())
    }

    /// The names of all containers that run.
    pub async fn names(&self, within: Duration) -> Result<Vec<String>, EngineError> {
        let body = self.ask(Ask::List, within).await?;
        let listed: Vec<Listed> = serde_json::from_slice(&body).map_err(|_| EngineError::Answer)?;
        Ok(listed.into_iter().flat_map(|c| c.names).map(|name| name.trim_start_matches('/').to_owned()).collect())
    }

    /// How a container is.
    pub async fn state(&self, container: &Container, within: Duration) -> Result<ContainerState, EngineError> {
        let body = self.ask(Ask::State(container), within).await?;
        let Inspected { state } = serde_json::from_slice(&body).map_err(|_| EngineError::Answer)?;
        let word = |text: String| text.chars().filter(char::is_ascii_graphic).take(32).collect::<String>();
        let health = state.health.map(|h| word(h.status)).filter(|h| !h.is_empty() && h != "none");
        Ok(ContainerState { running: state.running, status: word(state.status), health })
    }

    /// Restarts a container.
    pub async fn restart(&self, container: &Container, within: Duration) -> Result<(), EngineError> {
        self.ask(Ask::Restart(container), within).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn r56_nothing_but_a_name_is_a_container() {
        for name in ["", "-x", ".x", "../x", "a/b", "a?b", "a b", "a%2e", "a\r\nX: y", "ä", "a;b", &"x".repeat(129)] {
            assert_eq!(Container::named(name), None, "{name:?}");
        }
        for name in ["rtdetr", "hsi_backend-1", "a.b"] {
            assert!(Container::named(name).is_some(), "{name}");
        }
    }
}
