//! Asks a container engine, Docker or Podman, through its socket. Only questions are asked; nothing is changed. Whose answers mean what is
//! known where they are asked for.

pub(crate) mod container;

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use serde_json::Value;
use watchfire_net::unix::{self, UnixError};

use self::container::Container;

/// The largest answer: a list of some thousand containers.
pub(crate) const ANSWER_BYTES_MAX: usize = 16 << 20;
/// How long the engine may take for an answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// Why no containers can be read through a path, in a sentence; nothing when a socket is there.
pub fn socket_problem(path: &Path) -> Option<String> {
    use std::os::unix::fs::FileTypeExt;
    let shown = path.display();
    let cannot = format!("cannot connect to the container engine at unix://{shown}");
    match std::fs::metadata(path) {
        Ok(about) if about.file_type().is_socket() => None,
        Ok(about) if about.is_dir() => Some(format!(
            "{cannot}: it is a directory, not a socket; an engine makes one where a socket to mount was not there yet: remove it, start the socket \
             (systemctl --user enable --now podman.socket), then what mounts it"
        )),
        Ok(_) => Some(format!("{cannot}: it is a file, not a socket")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(format!("{cannot}: there is nothing at this path; start the engine's socket (systemctl --user enable --now podman.socket, or docker.socket)"))
        }
        Err(error) => Some(format!("{cannot}: {error}")),
    }
}

/// A question without a body.
pub(crate) fn question(path: &str) -> Result<Request<Bytes>, UnixError> {
    Request::get(path).body(Bytes::new()).map_err(|error| UnixError::Exchange(error.to_string()))
}

/// The answer; nothing for what is not there.
pub(crate) async fn ask(socket: &Path, path: &str) -> Result<Option<Value>, UnixError> {
    let (status, body) = unix::exchange(socket, question(path)?, TIMEOUT, ANSWER_BYTES_MAX).await?;
    if status == StatusCode::NOT_FOUND {
        return Ok(None);
    }
    if !status.is_success() {
        return Err(UnixError::Exchange(format!("the engine answers {status}")));
    }
    serde_json::from_slice(&body).map(Some).map_err(|error| UnixError::Exchange(format!("the engine's answer is no JSON: {error}")))
}

/// The path of the list of running containers, with what the engine is asked to leave out.
pub(crate) fn list_path(filters: &[(String, Vec<String>)]) -> String {
    let filters: serde_json::Map<String, Value> = filters.iter().map(|(name, values)| (name.clone(), values.as_slice().into())).collect();
    format!("/containers/json?filters={}", watchfire_template::query_escape(&Value::Object(filters).to_string()))
}

/// The containers of a list.
pub(crate) fn listed(answer: Option<Value>) -> Result<Vec<Container>, UnixError> {
    let answer = answer.ok_or_else(|| UnixError::Exchange("the engine knows no list of containers".to_owned()))?;
    Ok(answer.as_array().map(|all| all.iter().filter_map(Container::read).collect()).unwrap_or_default())
}
