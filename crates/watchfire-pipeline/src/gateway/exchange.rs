//! One exchange with an upstream, from the moment it may begin until it is accounted for. However it ends (answered, refused, broken
//! off, its caller gone), it ends once.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::Inner;
use super::breaker::Pass;
use super::ledger::{Key, Sums};
use super::tell::Account;
use super::turns::Turn;
use super::upstreams::Upstream;
use super::watch::{BYTES_PER_TOKEN, Seen, Watch};
use super::wire::piece::Usage;
use super::wire::prompt;

/// How often a stream says in the journal how far it came.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Whose exchange it is, before its model is settled.
pub(super) struct Whose {
    /// The model that was asked for.
    pub(super) model: Option<String>,
    pub(super) camera: String,
    pub(super) caller: String,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// With an answer.
    Answered,
    /// With an error of the upstream, or with none.
    Failed,
    /// Its caller went away.
    Left,
    /// The upstream broke off, or was too slow.
    Broken,
}
impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Answered => "answered",
            Outcome::Failed => "failed",
            Outcome::Left => "caller_left",
            Outcome::Broken => "broken_off",
        }
    }
}

/// An exchange under way.
pub(super) struct Exchange {
    inner: Arc<Inner>,
    upstream: Arc<Upstream>,
    whose: Whose,
    id: u64,
    pass: Pass,
    _turn: Turn,
    /// The request, for as long as its prompt may have to be counted.
    body: Bytes,
    asked_at: Duration,
    sent_at: Duration,
    first_at: Option<Duration>,
    told_at: Duration,
}

impl Exchange {
    /// It begins: nothing was sent yet.
    pub(super) fn begin(inner: &Arc<Inner>, upstream: &Arc<Upstream>, whose: Whose, body: Bytes, asked_at: Duration, (turn, pass): (Turn, Pass)) -> Exchange {
        let key = inner.key(upstream, &whose, None, false);
        // Images make bodies large and prompts not; more than the window cannot be a prompt.
        let rough = (body.len() / BYTES_PER_TOKEN).min(upstream.counter.budget().available_for_prompt());
        let id = inner.ledger.begin(&key, rough as u64);
        let now = inner.clock.monotonic();
        Exchange { inner: inner.clone(), upstream: upstream.clone(), whose, id, pass, _turn: turn, body, asked_at, sent_at: now, first_at: None, told_at: now }
    }

    /// The head of an answer came.
    pub(super) fn answered(&mut self, status: StatusCode) {
        if status.is_server_error() {
            self.pass.failed()
        } else {
            self.pass.succeeded()
        }
        if !status.is_success() {
            self.body = Bytes::new();
        }
    }

    /// A part of the answer came.
    pub(super) fn came(&mut self, seen: &Seen) {
        if seen.usage.is_some() {
            // Nothing will have to be counted.
            self.body = Bytes::new();
        }
        if seen.pieces == 0 {
            return;
        }
        let now = self.inner.clock.monotonic();
        self.first_at.get_or_insert(now);
        if now.saturating_sub(self.told_at) >= PROGRESS_EVERY {
            self.told_at = now;
            self.inner.ledger.progress(self.id, seen.rough_output());
        }
    }

    /// No answer came at all.
    pub(super) fn unanswered(mut self, error_type: &'static str) {
        self.pass.failed();
        self.inner.tell.pipeline_error(&self.upstream, error_type);
        self.end(Outcome::Failed, false, Seen::default());
    }

    /// It is over.
    pub(super) fn finish(mut self, outcome: Outcome, status: StatusCode, watch: Watch) {
        let streamed = watch.is_stream();
        let seen = watch.into_seen();
        let mut outcome = outcome;
        if !status.is_success() || (outcome == Outcome::Answered && seen.has_error) {
            outcome = Outcome::Failed;
            let kind = if status.is_client_error() { "client_error" } else { "server_error" };
            self.inner.tell.pipeline_error(&self.upstream, kind);
        } else if outcome == Outcome::Broken {
            self.pass.failed();
            self.inner.tell.pipeline_error(&self.upstream, "server_error");
        } else if outcome == Outcome::Answered && seen.garbage > 0 && seen.usage.is_none() && seen.pieces == 0 {
            outcome = Outcome::Failed;
            self.pass.failed();
            self.inner.tell.pipeline_error(&self.upstream, "malformed_response");
        }
        self.end(outcome, streamed, seen);
    }

    fn end(self, outcome: Outcome, streamed: bool, seen: Seen) {
        let ended_at = self.inner.clock.monotonic();
        let Exchange { inner, upstream, whose, id, body, asked_at, sent_at, first_at, .. } = self;
        let done = Done { inner, upstream, whose, id, asked_at, sent_at, first_at, ended_at, outcome, streamed };
        if outcome == Outcome::Failed || seen.usage.is_some() {
            return done.account(seen.usage, None, seen.model.as_deref());
        }
        // The upstream tells nothing, so we count. That may take a while, and the vocabulary may have to be loaded.
        let count = move || {
            let counter = done.upstream.counter.counter();
            let output = counter.count(&seen.text) + seen.text_beyond / BYTES_PER_TOKEN;
            let estimate = Usage { input: prompt::count(counter, &body) as u64, cached: 0, output: output as u64 };
            done.account(None, Some(estimate), seen.model.as_deref());
        };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(count)),
            Err(_) => count(),
        }
    }
}

/// An exchange that is over and not accounted for yet.
struct Done {
    inner: Arc<Inner>,
    upstream: Arc<Upstream>,
    whose: Whose,
    id: u64,
    asked_at: Duration,
    sent_at: Duration,
    first_at: Option<Duration>,
    ended_at: Duration,
    outcome: Outcome,
    streamed: bool,
}

impl Done {
    fn account(self, told: Option<Usage>, estimate: Option<Usage>, model: Option<&str>) {
        let inner = &self.inner;
        let usage = told.or(estimate).unwrap_or_default();
        let key = inner.key(&self.upstream, &self.whose, model, self.outcome != Outcome::Failed);
        let took = self.ended_at.saturating_sub(self.sent_at);
        let exact = told.unwrap_or_default();
        let guessed = if told.is_some() { Usage::default() } else { usage };
        let sums = Sums {
            exchanges: 1,
            failed: u64::from(matches!(self.outcome, Outcome::Failed | Outcome::Broken)),
            partial: u64::from(matches!(self.outcome, Outcome::Left | Outcome::Broken)),
            input: exact.input,
            output: exact.output,
            estimated_input: guessed.input,
            estimated_output: guessed.output,
            cost: inner.prices.of(self.whose.model.as_deref().or(model).unwrap_or(""), usage),
            millis: took.as_millis() as u64,
        };
        inner.turns.took(took.as_secs_f64() * 1000.0);
        let Some(spent) = inner.ledger.end(self.id, &key, &sums) else { return };
        let account = Account {
            key: &key,
            sums: &sums,
            usage,
            is_told: told.is_some(),
            outcome: self.outcome,
            streamed: self.streamed,
            took,
            first: self.first_at.map(|at| at.saturating_sub(self.asked_at)),
            flowed: self.first_at.map_or(took, |at| self.ended_at.saturating_sub(at)),
            spent,
        };
        inner.tell.exchange(&self.upstream, &account);
        inner.tell.flowed(self.ended_at);
    }
}

impl Inner {
    /// Under which names an exchange is added up. A model that no upstream answered for is not told apart.
    pub(super) fn key(&self, upstream: &Upstream, whose: &Whose, answering: Option<&str>, vouched: bool) -> Key {
        let model = whose.model.as_deref().or(answering).unwrap_or("");
        Key { model: self.models.told(model, vouched), upstream: upstream.name().to_owned(), camera: whose.camera.clone(), caller: whose.caller.clone() }
    }
}
