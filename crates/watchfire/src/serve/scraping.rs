//! The thread that scrapes: one small runtime of its own, where a target is fetched, parsed and written without changing
//! threads. A disk that hangs then holds up scraping, which could not store anything anyway, and nothing else.

use std::time::Duration;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// The running thread. It ends when this is dropped.
pub(super) struct Thread {
    runtime: Handle,
    _end: oneshot::Sender<()>,
}

impl Thread {
    /// Starts it.
    pub(super) fn start() -> Result<Thread> {
        let runtime = Builder::new_current_thread()
            .max_blocking_threads(16)
            .thread_keep_alive(Duration::from_secs(5))
            .thread_name("watchfire-scrape")
            .enable_all()
            .build()
            .context("cannot start the scraping runtime")?;
        let (end, ended) = oneshot::channel::<()>();
        let handle = runtime.handle().clone();
        let work = move || {
            // Ends with an error when the sender goes, which is all that ever happens to it.
            runtime.block_on(ended).ok();
            runtime.shutdown_background();
        };
        std::thread::Builder::new().name("watchfire-scrape".to_owned()).spawn(work).context("cannot start the scraping thread")?;
        Ok(Thread { runtime: handle, _end: end })
    }

    /// Where tasks of scraping are spawned.
    pub(super) fn runtime(&self) -> Handle {
        self.runtime.clone()
    }
}
