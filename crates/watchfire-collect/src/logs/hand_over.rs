//! Handing lines over for sources that know a cursor: until the sink has taken the lines, nothing more is read, and only when they are on
//! the medium is the cursor behind them kept.

use std::collections::VecDeque;
use std::time::Duration;

use watchfire_model::batch::Origin;
use watchfire_model::state::{Change, Table};
use watchfire_net::backoff::Backoff;
use watchfire_net::blocking::spawn_blocking;

use super::{Delivery, Surroundings};

/// How far journals and containers were read: source → cursor.
pub(super) const LOG_CURSORS: Table = Table("log_cursors");
/// Pauses while the sink takes nothing.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How often a cursor is kept, after a sync.
const KEEP_EVERY: Duration = Duration::from_secs(5);
/// The most cursors that wait for lines before them; of more, every second one goes.
const WAITING_MAX: usize = 4_096;

/// The cursors of one source.
pub(super) struct Cursors {
    /// Under what the cursor is kept.
    key: String,
    /// Cursors behind lines, by the places of these; stages may hold some of them.
    waiting: VecDeque<(u64, String)>,
    /// The sink has everything before this one.
    taken: Option<String>,
    kept_at: Duration,
}

impl Cursors {
    pub(super) fn new(key: String, parts: &Surroundings) -> Cursors {
        Cursors { key, waiting: VecDeque::new(), taken: None, kept_at: parts.clock.monotonic() }
    }
    /// Notes the cursor behind a line. Places ascend.
    pub(super) fn note(&mut self, place: u64, cursor: String) {
        if self.waiting.len() >= WAITING_MAX {
            let mut at = 0;
            self.waiting.retain(|_| {
                at += 1;
                at % 2 == 0
            });
        }
        self.waiting.push_back((place, cursor));
    }
    /// The sink has all lines but those from a place on that stages hold.
    fn take(&mut self, held: Option<u64>) {
        while let Some((_, cursor)) = self.waiting.pop_front_if(|(place, _)| held.is_none_or(|held| *place < held)) {
            self.taken = Some(cursor);
        }
    }
}

/// Hands lines over until they are taken. `held` is the place of the first line that stages hold; `last` says that nothing follows soon.
pub(super) async fn hand_over(parts: &Surroundings, origin: &str, delivery: &mut Delivery, cursors: &mut Cursors, held: Option<u64>, last: bool) {
    for batch in delivery.take(&[Origin::new(origin)]) {
        let mut backoff = Backoff::new(AGAIN.0, AGAIN.1, parts.clock.now().millis().unsigned_abs());
        loop {
            let (batch, parts) = (batch.clone(), parts.clone());
            let written = spawn_blocking(move || {
                parts.sink.write(batch).inspect_err(|error| {
                    parts.figures.refused.inc();
                    tracing::warn!(%error, "log lines wait; they are handed over again");
                })
            });
            // What panics once does so again.
            if !matches!(written.await, Ok(Err(_))) {
                break;
            }
            tokio::time::sleep(backoff.next_wait()).await;
        }
    }
    cursors.take(held);
    let now = parts.clock.monotonic();
    if let Some(cursor) = &cursors.taken
        && (last || now.saturating_sub(cursors.kept_at) >= KEEP_EVERY)
    {
        cursors.kept_at = now;
        let (parts, change) = (parts.clone(), Change::Put(LOG_CURSORS, cursors.key.clone(), cursor.clone().into_bytes()));
        if spawn_blocking(move || keep(&parts, change)).await.unwrap_or(false) {
            cursors.taken = None;
        }
    }
}

/// Keeps a cursor behind lines that are on the medium; whether that went well.
fn keep(parts: &Surroundings, change: Change) -> bool {
    let synced = parts.sink.sync().map_err(|error| error.to_string());
    let kept = synced.and_then(|()| parts.state.commit(&[change]).map_err(|error| error.to_string()));
    kept.inspect_err(|error| {
        parts.figures.positions_failed.inc();
        tracing::error!(error, "the place in a log cannot be kept");
    })
    .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_waits_for_what_stages_hold_and_for_nothing_else() {
        let mut cursors = Cursors { key: String::new(), waiting: VecDeque::new(), taken: None, kept_at: Duration::ZERO };
        (0..10).for_each(|place| cursors.note(place, place.to_string()));
        cursors.take(Some(0));
        assert_eq!(cursors.taken, None);
        cursors.take(Some(4));
        assert_eq!(cursors.taken.as_deref(), Some("3"));
        (10..100_000).for_each(|place| cursors.note(place, place.to_string()));
        assert!(cursors.waiting.len() <= WAITING_MAX);
        cursors.take(Some(99_999));
        assert!(cursors.taken.as_ref().is_some_and(|taken| taken.parse::<u64>().unwrap() > 50_000));
        cursors.take(None);
        assert_eq!(cursors.taken.as_deref(), Some("99999"));
    }
}
