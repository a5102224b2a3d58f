//! What searches that go on over several requests keep: scrolls and points in time, each for as long as it was asked for. They hold
//! questions and places, no documents. All are bounded and counted, and gone after a restart.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use watchfire_model::meter::{Counter, Gauge, Meter};
use watchfire_query::documents::Request as Search;

use super::answer::EsError;

/// The most that are open at once.
const OPEN_MAX: usize = 500;
/// The most bytes that their questions have together.
const BYTES_MAX: usize = 16 << 20;
/// The longest time that one may be kept without being used.
const KEEP_MAX: Duration = Duration::from_secs(86_400);
/// The most indices that were created and have no document yet.
const CREATED_MAX: usize = 1_000;

/// What goes on.
#[derive(Clone)]
pub(super) struct Open {
    /// In which indices.
    pub(super) index: Option<String>,
    /// Of a scroll: the search behind the last page, and how many documents it finds.
    pub(super) scroll: Option<(Box<Search>, u64)>,
    /// Bytes of the question, roughly.
    pub(super) bytes: usize,
}

struct Held {
    open: Open,
    keep: Duration,
    until: Duration,
}

#[derive(Default)]
struct State {
    open: HashMap<String, Held>,
    created: BTreeSet<String>,
}

/// All of them.
pub(crate) struct Contexts {
    state: Mutex<State>,
    now_open: Gauge,
    opened: Counter,
    refused: Counter,
    expired: Counter,
}

impl Contexts {
    pub(crate) fn new(meter: &Meter) -> Contexts {
        let ended = "Scrolls and points in time of Elasticsearch's interface that nobody used for as long as they were to be kept.";
        Contexts {
            state: Mutex::default(),
            now_open: meter.gauge("watchfire_search_contexts_open", "Scrolls and points in time of Elasticsearch's interface that are open.", &[]),
            opened: meter.counter("watchfire_search_contexts_opened_total", "Scrolls and points in time of Elasticsearch's interface that were opened.", &[]),
            refused: meter.counter("watchfire_search_contexts_refused_total", "Scrolls and points in time that were refused because too many are open.", &[]),
            expired: meter.counter("watchfire_search_contexts_expired_total", ended, &[]),
        }
    }

    /// The state without what is over.
    fn state(&self, now: Duration) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let before = state.open.len();
        state.open.retain(|_, held| held.until > now);
        self.expired.add((before - state.open.len()) as u64);
        self.now_open.set(state.open.len() as f64);
        state
    }

    /// Keeps one for a while and gives its name.
    pub(super) fn open(&self, open: Open, keep: Duration, now: Duration) -> Result<String, EsError> {
        let mut state = self.state(now);
        let bytes: usize = state.open.values().map(|held| held.open.bytes).sum();
        if state.open.len() >= OPEN_MAX || bytes + open.bytes > BYTES_MAX {
            self.refused.inc();
            let message =
                format!("Trying to create too many scroll contexts. Must be less than or equal to: [{OPEN_MAX}], and [{BYTES_MAX}] bytes of searches");
            return Err(EsError::new(StatusCode::TOO_MANY_REQUESTS, "es_rejected_execution_exception", message));
        }
        let mut random = [0u8; 16];
        getrandom::fill(&mut random).map_err(|_| EsError::new(StatusCode::SERVICE_UNAVAILABLE, "exception", "cannot get random bytes for a name"))?;
        let name = format!("{:032x}", u128::from_be_bytes(random));
        state.open.insert(name.clone(), Held { open, keep, until: now.saturating_add(keep) });
        self.opened.inc();
        self.now_open.set(state.open.len() as f64);
        Ok(name)
    }

    /// Looks one up, which is then kept for a while again.
    pub(super) fn used(&self, name: &str, keep: Option<Duration>, now: Duration) -> Result<Open, EsError> {
        let mut state = self.state(now);
        let held = state.open.get_mut(name).ok_or_else(|| missing(name))?;
        held.keep = keep.unwrap_or(held.keep);
        held.until = now.saturating_add(held.keep);
        Ok(held.open.clone())
    }

    /// Notes where a scroll goes on.
    pub(super) fn goes_on(&self, name: &str, search: Box<Search>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((kept, _)) = state.open.get_mut(name).and_then(|held| held.open.scroll.as_mut()) {
            *kept = search;
        }
    }

    /// Ends those with these names, or all scrolls; tells how many.
    pub(super) fn close(&self, names: &[String], now: Duration) -> usize {
        let mut state = self.state(now);
        let before = state.open.len();
        let all = names.iter().any(|name| name == "_all");
        state.open.retain(|name, held| !(names.contains(name) || (all && held.open.scroll.is_some())));
        self.now_open.set(state.open.len() as f64);
        before - state.open.len()
    }

    /// Notes that an index was created; the oldest names by the alphabet go when there are too many.
    pub(super) fn create(&self, index: &str) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.created.insert(index.to_owned());
        if state.created.len() > CREATED_MAX {
            state.created.pop_first();
        }
    }
    /// Whether an index was created, documents or not.
    pub(super) fn is_created(&self, index: &str) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).created.contains(index)
    }
    /// Forgets that an index was created.
    pub(super) fn remove(&self, index: &str) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).created.remove(index);
    }
}

fn missing(name: &str) -> EsError {
    let name: String = name.chars().take(64).collect();
    EsError::new(StatusCode::NOT_FOUND, "search_context_missing_exception", format!("No search context found for id [{name}]"))
}

/// How long something is to be kept: `30s`, `5m`, `1h`, `1d`, `500ms`.
pub(super) fn keep(text: &str) -> Result<Duration, EsError> {
    let bad = || EsError::bad(format!("failed to parse setting [keep_alive] with value [{}] as a time value", text.chars().take(64).collect::<String>()));
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(bad()),
    };
    let keep = Duration::from_millis(number.parse::<u64>().map_err(|_| bad())?.saturating_mul(unit));
    if keep > KEEP_MAX {
        return Err(EsError::bad(format!("Keep alive for request ({text}) is too large. It must be less than (1d)")));
    }
    Ok(keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(bytes: usize) -> Open {
        Open { index: None, scroll: None, bytes }
    }

    #[test]
    fn contexts_end_when_nobody_uses_them_and_are_bounded() {
        let (meter, seconds) = (Meter::new(), Duration::from_secs);
        let contexts = Contexts::new(&meter);
        let name = contexts.open(open(1), seconds(10), seconds(0)).unwrap();
        assert!(contexts.used(&name, None, seconds(9)).is_ok());
        assert!(contexts.used(&name, Some(seconds(2)), seconds(18)).is_ok(), "use keeps it");
        assert_eq!(contexts.used(&name, None, seconds(20)).err().unwrap().status, StatusCode::NOT_FOUND);
        assert_eq!(contexts.expired.get(), 1);
        let names: Vec<String> = (0..OPEN_MAX).map(|_| contexts.open(open(1), seconds(10), seconds(30)).unwrap()).collect();
        assert_eq!(contexts.open(open(1), seconds(10), seconds(30)).err().unwrap().status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(contexts.close(&names[..2], seconds(31)), 2);
        assert!(contexts.open(open(BYTES_MAX), seconds(10), seconds(31)).is_err(), "their questions have a bound, too");
        assert!(contexts.open(open(1), seconds(10), seconds(31)).is_ok());
        assert_eq!((contexts.now_open.get(), contexts.refused.get()), (OPEN_MAX as f64 - 1.0, 2));
        assert_eq!(contexts.close(&["_all".to_owned()], seconds(31)), 0, "points in time are no scrolls");
    }

    #[test]
    fn times_of_keeping() {
        for (text, millis) in
            [("30s", Some(30_000)), ("5m", Some(300_000)), ("1d", Some(86_400_000)), ("500ms", Some(500)), ("2d", None), ("m", None), ("1", None), ("1w", None)]
        {
            assert_eq!(keep(text).ok().map(|keep| keep.as_millis()), millis, "{text}");
        }
    }
}
