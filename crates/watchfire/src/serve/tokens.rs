//! The one token counter of the process, and who takes its vocabulary out of memory when nobody asks. What is counted is decided
//! elsewhere.

use std::sync::Arc;
use std::time::Duration;

use watchfire_ingest::record::Recorder;
use watchfire_net::tasks::Tasks;
use watchfire_tokens::TokenCounter;

use crate::settings::LlmSettings;

/// A vocabulary goes when nobody asked for so long, at most twice.
const IDLE: Duration = Duration::from_secs(300);

/// Makes the counter; what it sees is recorded like what programs report.
pub(super) fn start(settings: &LlmSettings, recorder: &Arc<Recorder>, tasks: &Tasks) -> Arc<TokenCounter> {
    let tokens = Arc::new(TokenCounter::new(settings.counter(), settings.budget(), settings.truncation, recorder.clone()));
    let counter = tokens.counter().clone();
    tasks.spawn("token_vocabulary", async move {
        loop {
            tokio::time::sleep(IDLE).await;
            counter.release_if_idle();
        }
    });
    tokens
}
