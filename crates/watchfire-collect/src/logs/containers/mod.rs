//! Reads what containers write, through the socket of Docker or Podman: containers are listed now and then, the logs of each are followed.
//! Only questions are asked; nothing is changed. Lines carry the engine's times, so one that is read twice is the same entry.

mod frames;
mod kept;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use tokio::task::{AbortHandle, JoinSet};
use watchfire_ingest::relabel::{self, RelabelConfig, Verdict};
use watchfire_model::labels::LabelsBuilder;
use watchfire_model::logs::Nanos;
use watchfire_net::backoff::Backoff;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::unix::{self, UnixError};

use self::frames::{Frames, Line};
use super::collector::origin;
use super::hand_over::{Cursors, LOG_CURSORS, hand_over};
use super::stages::{Pipeline, Stage, Surroundings as Around};
use super::{Delivery, Entry, Surroundings};
use crate::engine::container::Container;
pub use crate::engine::socket_problem;
use crate::engine::{TIMEOUT, ask, list_path, listed, question};

/// The kind of origin that lines of containers have.
pub(crate) const KIND: &str = "containers";
/// The most containers whose logs are followed at once.
pub const CONTAINERS_MAX: usize = 1_000;
/// The most bytes of lines that go to the sink together.
const DELIVERY_BYTES_MAX: usize = 1 << 20;
/// How long lines wait for others.
const GATHER: Duration = Duration::from_millis(500);
/// How often places in logs of containers that were removed are forgotten.
const TIDY_EVERY: Duration = Duration::from_secs(3_600);
/// Pauses after a failure.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// The label that tells which of its outputs a container used.
const STREAM_LABEL: &str = "__meta_docker_container_log_stream";

/// Containers that are read.
#[derive(Clone, Debug)]
pub struct Source {
    /// Names the source among all; places are kept under it.
    pub name: String,
    /// The engine's socket.
    pub socket: PathBuf,
    /// What the engine is asked to leave out: name → values.
    pub filters: Vec<(String, Vec<String>)>,
    /// How often containers are listed.
    pub refresh: Duration,
    /// Rules over what is known of a container, `__meta_docker_…`, before the labels of all lines come to it.
    pub discovery: Vec<RelabelConfig>,
    /// Labels of all lines.
    pub labels: BTreeMap<String, String>,
    /// Rules over all of that and the container's output, `__meta_docker_container_log_stream`.
    pub relabel: Vec<RelabelConfig>,
    /// The stages.
    pub stages: Vec<Stage>,
}

/// Reads containers until the future is dropped. `names` are those of all sources that are configured.
pub async fn run(source: Source, parts: Surroundings, names: Arc<HashSet<String>>) {
    let mut followed: HashMap<String, AbortHandle> = HashMap::new();
    let mut all = JoinSet::new();
    let mut told = false;
    let mut tidy_at = Duration::ZERO;
    loop {
        if parts.clock.monotonic() >= tidy_at
            && let Ok(all) = ask(&source.socket, "/containers/json?all=1").await.and_then(listed)
        {
            tidy_at = parts.clock.monotonic() + TIDY_EVERY;
            let (name, parts, names) = (source.name.clone(), parts.clone(), names.clone());
            let ids: HashSet<String> = all.into_iter().map(|container| container.id).collect();
            if let Err(error) = spawn_blocking(move || kept::tidy(&parts, &name, &names, &ids)).await {
                tracing::error!(%error, "tidying the places in logs of containers panicked");
            }
        }
        match containers(&source).await {
            Ok(found) => {
                told = false;
                followed.retain(|_, handle| !handle.is_finished());
                for container in found {
                    if followed.contains_key(&container.id) {
                        continue;
                    }
                    if followed.len() >= CONTAINERS_MAX {
                        parts.figures.left_out.inc();
                        continue;
                    }
                    let id = container.id.clone();
                    followed.insert(id, all.spawn(follow(source.clone(), container, parts.clone())));
                }
            }
            Err(error) => {
                parts.figures.failed.inc();
                if !std::mem::replace(&mut told, true) {
                    let error = socket_problem(&source.socket).unwrap_or_else(|| error.to_string());
                    tracing::warn!(source = source.name, error, "containers cannot be listed; it is tried again");
                }
            }
        }
        while all.try_join_next().is_some() {}
        tokio::time::sleep(source.refresh).await;
    }
}

async fn containers(source: &Source) -> Result<Vec<Container>, UnixError> {
    listed(ask(&source.socket, &list_path(&source.filters)).await?)
}

/// The labels of one stream of a container, after the rules.
fn labels(source: &Source, container: &Container, stream: &str) -> Option<BTreeMap<String, String>> {
    let mut builder = LabelsBuilder::new();
    for (name, value) in &container.labels {
        builder.set(name, value);
    }
    if relabel::apply(&source.discovery, &mut builder) == Verdict::Drop {
        return None;
    }
    for (name, value) in &source.labels {
        builder.set(name, value);
    }
    builder.set(STREAM_LABEL, stream);
    (relabel::apply(&source.relabel, &mut builder) == Verdict::Keep)
        .then(|| builder.pairs().filter(|(name, _)| !name.starts_with("__")).map(|(n, v)| (n.to_owned(), v.to_owned())).collect())
}

/// Reads the log of one container until the container ends.
async fn follow(source: Source, container: Container, parts: Surroundings) {
    let streams = [labels(&source, &container, "stdout"), labels(&source, &container, "stderr")];
    if streams.iter().all(Option::is_none) {
        return;
    }
    let key = format!("{}\n{}", source.name, container.id);
    let mut backoff = Backoff::new(AGAIN.0, AGAIN.1, parts.clock.now().millis().unsigned_abs());
    loop {
        match read(&source, &container, &streams, &key, &parts).await {
            // The engine ends the log when the container ends; the next list tells whether it was started again.
            Ok(()) => return,
            Err(error) => {
                parts.figures.failed.inc();
                tracing::warn!(container = container.name, %error, "the log of a container cannot be read; it is tried again");
            }
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

async fn read(
    source: &Source,
    container: &Container,
    streams: &[Option<BTreeMap<String, String>>; 2],
    key: &str,
    parts: &Surroundings,
) -> Result<(), UnixError> {
    // A container that was removed has nothing to say any more.
    let Some(about) = ask(&source.socket, &format!("/containers/{}/json", container.id)).await? else { return Ok(()) };
    let terminal = about.pointer("/Config/Tty").and_then(serde_json::Value::as_bool).unwrap_or(false);
    let kept = parts.state.get(LOG_CURSORS, key).ok().flatten().and_then(|bytes| String::from_utf8(bytes).ok()?.parse::<i64>().ok());
    let since = kept.map_or(String::new(), |at| format!("&since={}.{:09}", at.div_euclid(1_000_000_000), at.rem_euclid(1_000_000_000)));
    let path = format!("/containers/{}/logs?follow=1&stdout=1&stderr=1&timestamps=1{since}", container.id);
    let mut pieces = unix::open(&source.socket, question(&path)?, TIMEOUT).await?;
    if pieces.status == StatusCode::NOT_FOUND {
        return Ok(());
    }
    if !pieces.status.is_success() {
        return Err(UnixError::Exchange(format!("the engine answers {}", pieces.status)));
    }
    let mut frames = Frames::new(terminal);
    let mut pipelines = [Pipeline::new(&source.stages), Pipeline::new(&source.stages)];
    let mut delivery = Delivery::default();
    let mut cursors = Cursors::new(key.to_owned(), parts);
    let (mut newest, mut place) = (i64::MIN, 0);
    loop {
        let got = tokio::time::timeout(GATHER, pieces.next()).await;
        let around = Around { now: parts.clock.now(), monotonic: parts.clock.monotonic(), figures: &parts.figures };
        let (mut out, mut lines) = (Vec::new(), Vec::new());
        let mut result = None;
        let quiet = got.is_err();
        match got {
            Ok(Ok(Some(piece))) => frames.take(&piece, &mut lines),
            Ok(Ok(None)) => result = Some(Ok(())),
            Ok(Err(error)) => result = Some(Err(error)),
            Err(_) => {}
        }
        if result.is_some() {
            frames.end(&mut lines);
        }
        for Line { stream, time, text, shortened } in lines {
            // Some engines know whole seconds only.
            if kept.is_some_and(|kept| time.is_some_and(|time| time < kept)) {
                continue;
            }
            parts.figures.lines.inc();
            parts.figures.bytes.add(text.len() as u64);
            if shortened {
                parts.figures.shortened.inc();
            }
            let Some(labels) = &streams[stream] else { continue };
            let time = time.unwrap_or_else(|| Nanos::from_millis(around.now.millis()).0);
            newest = newest.max(time);
            cursors.note(place, newest.to_string());
            pipelines[stream].process(Entry::new(Nanos(time), text, labels, place), &around, &mut out);
            place += 1;
        }
        pipelines.iter_mut().for_each(|pipeline| pipeline.flush(result.is_some(), &around, &mut out));
        out.into_iter().for_each(|entry| delivery.add(entry));
        if quiet || result.is_some() || delivery.bytes() >= DELIVERY_BYTES_MAX {
            let held = pipelines.iter().filter_map(Pipeline::held).min();
            hand_over(parts, &origin(KIND, &source.name), &mut delivery, &mut cursors, held, result.is_some()).await;
        }
        if let Some(result) = result {
            return result;
        }
    }
}
