//! `queues:`, where jobs lie and when they are tried again. `REDIS_URL`, `REDIS_ADDR` and `REDIS_PASSWORD` are the watched pipeline's
//! variables: a value of theirs that we cannot use is a warning, not an end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use watchfire_model::document::{Node, Reader};
use watchfire_net::secret::Secret;
use watchfire_pipeline::queue::backend::Overflow;
use watchfire_pipeline::queue::name::QueueName;
use watchfire_pipeline::queue::redis::Place;
use watchfire_pipeline::queue::retry::RetryPolicy;
use watchfire_pipeline::queue::{self, LEASE_MAX, QUEUES_MAX};

/// `queues:`
#[derive(Debug)]
pub(crate) struct QueueSettings {
    /// How queues work; where undo files go is filled in later.
    pub(crate) queues: queue::Settings,
    /// The Redis that jobs lie in; our own store when there is none.
    pub(crate) redis: Option<Place>,
}

impl QueueSettings {
    /// Reads the section.
    pub(super) fn read(reader: Reader<'_>, base: &Path) -> QueueSettings {
        let mut queues = queue::Settings::new(PathBuf::new());
        read_names(&reader, &mut queues.names);
        let number = |key, range: (u64, u64), default| ranged(&reader, key, reader.u64(key), range, default);
        queues.room.jobs = number("max_size", (100, 100_000), queues.room.jobs);
        queues.room.dead = number("dead_max_size", (100, 100_000), queues.room.dead);
        queues.room.bytes = reader.bytes("max_bytes").unwrap_or(queues.room.bytes);
        queues.room.dead_bytes = reader.bytes("dead_max_bytes").unwrap_or(queues.room.dead_bytes);
        queues.undo_bytes = reader.bytes("undo_max_bytes").unwrap_or(queues.undo_bytes);
        queues.room.overflow = read_policy(&reader);
        let backpressure = reader.f64("backpressure").unwrap_or(queues.backpressure);
        queues.backpressure = backpressure.clamp(0.5, 1.0);
        if backpressure != queues.backpressure {
            complain(&reader, "backpressure", "must be between 0.5 and 1");
        }
        if let Some(lease) = span(&reader, "lease", Duration::from_secs(1), LEASE_MAX) {
            queues.lease = lease;
        }
        if let Some(retry) = reader.map("retry") {
            queues.retry = read_retry(retry);
        }
        let redis = reader.map("redis").and_then(|redis| read_redis(redis, base, &mut queues.refresh));
        reader.finish();
        QueueSettings { queues, redis }
    }
}

/// Variables have no line. Those of the watched pipeline may hold what only its own programs understand.
fn complain(reader: &Reader<'_>, key: &'static str, message: impl Into<String>) {
    match reader.raw(key) {
        Some(Node { line: 0, .. }) => reader.warning_at(key, message),
        _ => reader.error_at(key, message),
    }
}

fn ranged(reader: &Reader<'_>, key: &'static str, value: Option<u64>, (least, most): (u64, u64), default: u64) -> u64 {
    let value = value.unwrap_or(default);
    if !(least..=most).contains(&value) {
        complain(reader, key, format!("must be between {least} and {most}"));
    }
    value.clamp(least, most)
}

fn span(reader: &Reader<'_>, key: &'static str, least: Duration, most: Duration) -> Option<Duration> {
    let wanted = Duration::from_millis(reader.duration_ms(key)?);
    if wanted < least || wanted > most {
        complain(reader, key, format!("must be between {}s and {}s", least.as_secs_f64(), most.as_secs()));
    }
    Some(wanted.clamp(least, most))
}

fn read_names(reader: &Reader<'_>, names: &mut Vec<QueueName>) {
    for text in reader.texts("names", true) {
        match QueueName::new(&text) {
            Some(name) if names.contains(&name) => {}
            Some(_) if names.len() >= QUEUES_MAX => reader.error_at("names", format!("there can be {QUEUES_MAX} queues at most")),
            Some(name) => names.push(name),
            None => reader.error_at("names", format!("must be letters, digits, \"_\", \"-\" and \".\", 64 at most, not {text:?}")),
        }
    }
}

fn read_policy(reader: &Reader<'_>) -> Overflow {
    let Some(word) = reader.text("overflow") else { return Overflow::Dlq };
    Overflow::from_word(&word).unwrap_or_else(|| {
        let known = Overflow::WORDS.join(", ");
        complain(reader, "overflow", format!("must be one of {known}, not {word:?}; reject is used, as the pipeline does"));
        Overflow::Reject
    })
}

fn read_retry(retry: Reader<'_>) -> RetryPolicy {
    let mut policy = RetryPolicy::default();
    let attempts = ranged(&retry, "attempts", retry.u64("attempts"), (1, 100), u64::from(policy.attempts));
    policy.attempts = u32::try_from(attempts).unwrap_or(policy.attempts);
    let day = Duration::from_secs(86_400);
    policy.base = span(&retry, "base", Duration::ZERO, day).unwrap_or(policy.base);
    policy.cap = span(&retry, "cap", Duration::ZERO, day).unwrap_or(policy.cap);
    let jitter = retry.f64("jitter").unwrap_or(policy.jitter);
    policy.jitter = jitter.clamp(0.0, 1.0);
    if jitter != policy.jitter {
        complain(&retry, "jitter", "must be between 0 and 1");
    }
    if retry.has("never") {
        policy.never = retry.texts("never", true);
    }
    retry.finish();
    policy
}

fn read_redis(redis: Reader<'_>, base: &Path, refresh: &mut Duration) -> Option<Place> {
    let password = redis.text("password").filter(|p| !p.is_empty()).map(Secret::new);
    let url = redis.text("url").filter(|u| !u.trim().is_empty());
    if let Some(interval) = span(&redis, "refresh_interval", Duration::from_secs(1), Duration::from_secs(3_600)) {
        *refresh = interval;
    }
    let ca_pem = redis.text("ca_file").and_then(|file| match Secret::from_file(&base.join(file)) {
        Ok(pem) => Some(pem),
        Err(error) => {
            redis.error_at("ca_file", error.to_string());
            None
        }
    });
    let place = url.and_then(|url| match Place::parse(&url) {
        Ok(place) => Some(Place { password: place.password.clone().or(password), ca_pem, ..place }),
        Err(error) => {
            complain(&redis, "url", error);
            None
        }
    });
    redis.finish();
    place
}
