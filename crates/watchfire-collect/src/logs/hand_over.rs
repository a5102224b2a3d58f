//! Handing lines over for sources that know a cursor: until the sink has taken the lines, nothing more is read, and only then the cursor
//! is kept.

use std::time::Duration;

use watchfire_model::batch::Origin;
use watchfire_model::state::{Change, Table};
use watchfire_net::backoff::Backoff;

use super::{Delivery, Surroundings};

/// How far journals and containers were read: source → cursor.
pub(super) const LOG_CURSORS: Table = Table("log_cursors");
/// Pauses while the sink takes nothing.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// Hands lines over until they are taken, then keeps the cursor.
pub(super) async fn hand_over(parts: &Surroundings, origin: &str, delivery: &mut Delivery, change: Option<Change>) {
    let batch = (!delivery.is_empty()).then(|| delivery.take(&Origin::new(origin)));
    let mut backoff = Backoff::new(AGAIN.0, AGAIN.1, parts.clock.now().millis().unsigned_abs());
    loop {
        let (batch, change, parts) = (batch.clone(), change.clone(), parts.clone());
        let work = move || {
            if let Some(batch) = batch
                && let Err(error) = parts.sink.write(batch)
            {
                parts.figures.refused.inc();
                tracing::warn!(%error, "log lines wait; they are handed over again");
                return false;
            }
            if let Some(change) = change
                && let Err(error) = parts.state.commit(&[change])
            {
                parts.figures.positions_failed.inc();
                tracing::error!(%error, "the place in a log cannot be kept");
            }
            true
        };
        if tokio::task::spawn_blocking(work).await.unwrap_or(true) {
            return;
        }
        tokio::time::sleep(backoff.next_wait()).await;
    }
}
