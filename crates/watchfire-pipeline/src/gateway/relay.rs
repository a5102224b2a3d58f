//! The way of a request: read, judged, sent when its turn comes, its answer relayed. Nothing is sent twice: only a connection that did
//! not come about is tried once more.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, Response, StatusCode};
use tracing::Instrument;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::client::{CallError, Credentials, Passed, Relayed};

use super::Inner;
use super::body::AnswerBody;
use super::exchange::{Exchange, Outcome, Whose};
use super::failure::{Failure, is_unsent};
use super::names::UNKNOWN;
use super::turns::NoTurn;
use super::upstreams::{Endpoint, Upstream};
use super::watch::Watch;
use super::wire::asked::Asked;
use super::wire::{headers, prompt};

/// How long after a connection that did not come about another one is tried.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A request as it came.
#[derive(Debug)]
pub struct Incoming {
    /// What is asked for.
    pub endpoint: Endpoint,
    /// The upstream that the address names, if it names one.
    pub upstream: Option<String>,
    /// Its headers, all of them.
    pub headers: HeaderMap,
    /// Its body, complete.
    pub body: Bytes,
    /// Who asks, as far as it was proven; nothing when nobody is known.
    pub caller: Option<String>,
}

impl Inner {
    pub(super) async fn relay(self: &Arc<Inner>, incoming: Incoming) -> Result<Response<AnswerBody>, Failure> {
        let asked_at = self.clock.monotonic();
        self.refuse_loop(&incoming.headers)?;
        let mut asked = Asked::read(&incoming.body).map_err(|words| self.refuse("bad_request", None, Failure::bad_request(words)))?;
        let chosen = self.upstreams.choose(incoming.upstream.as_deref(), asked.model.as_deref());
        let upstream = chosen.map_err(|failure| self.refuse("no_upstream", None, failure))?;
        let whose = self.whose(&incoming, asked.model.clone());
        self.within_budget(&whose)?;
        if let Some(left) = upstream.breaker.closed_for() {
            return Err(self.broken(&upstream, &whose, left));
        }
        if self.prompts.check || self.prompts.truncate {
            asked.body = self.fit_prompt(&upstream, asked.body, &whose).await?;
        }
        let holds = self.include_usage && incoming.endpoint.has_stream_options() && asked.stream == Some(true) && !asked.include_usage;
        if holds {
            asked.ask_for_usage();
        }
        let lane = if whose.camera == UNKNOWN { &whose.caller } else { &whose.camera };
        let turn = match self.turns.take(lane).await {
            Ok(turn) => turn,
            Err(refused) => return Err(self.no_turn(refused, &whose)),
        };
        self.tell.waited(self.clock.monotonic().saturating_sub(asked_at));
        // While we waited, others may have found out that nobody answers.
        let pass = upstream.breaker.admit().map_err(|left| self.broken(&upstream, &whose, left))?;
        let passed = Passed {
            method: Method::POST,
            url: upstream.url(incoming.endpoint.path()),
            headers: headers::to_upstream(&incoming.headers, &self.signature),
            credentials: Credentials::None,
            secret_headers: Vec::new(),
            body: asked.body.clone(),
            phases: upstream.settings.phases,
        };
        // From here on the caller may go away at any moment: the exchange accounts for itself when it is dropped.
        let mut under_way = UnderWay(Some(Exchange::begin(self, &upstream, whose, asked.body, asked_at, (turn, pass))));
        let answer = self.call(&upstream, passed).await;
        let Some(exchange) = under_way.0.take() else { return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the exchange is gone")) };
        match answer {
            Ok(answer) => self.answer(&upstream, exchange, answer, holds),
            Err(error) => {
                let failure = Failure::of_call(upstream.name(), &error);
                tracing::warn!(upstream = upstream.name(), %error, "a model call failed");
                exchange.unanswered(failure.error_type());
                Err(failure)
            }
        }
    }

    /// A request that has been here before: an upstream leads back to us. Passed on, it would go round until nobody has a connection left.
    pub(super) fn refuse_loop(&self, headers: &HeaderMap) -> Result<(), Failure> {
        if !self.signature.is_on(headers) {
            return Ok(());
        }
        let failure = Failure::new(StatusCode::LOOP_DETECTED, "loop_detected", "an upstream of this gateway leads back to it");
        tracing::error!("an upstream of the gateway leads back to it");
        Err(self.refuse("loop", None, failure))
    }

    /// Sends. A connection that did not come about is tried once more, as nothing was sent.
    async fn call(&self, upstream: &Upstream, passed: Passed) -> Result<Relayed, CallError> {
        let span = tracing::info_span!("llm_inference", otel.kind = "internal", upstream = upstream.name());
        self.call_untold(upstream, passed).instrument(span).await
    }

    async fn call_untold(&self, upstream: &Upstream, passed: Passed) -> Result<Relayed, CallError> {
        match self.caller.pass(&upstream.settings.options, passed.clone()).await {
            Err(error) if is_unsent(&error) => {
                self.tell.retried(upstream);
                tokio::time::sleep(AGAIN_AFTER).await;
                self.caller.pass(&upstream.settings.options, passed).await
            }
            outcome => outcome,
        }
    }

    fn answer(&self, upstream: &Upstream, mut exchange: Exchange, answer: Relayed, holds: bool) -> Result<Response<AnswerBody>, Failure> {
        let Relayed { status, headers, body } = answer;
        if status.is_redirection() || status.is_informational() {
            // Whoever followed would take the prompt, and perhaps a key, to an address that no configuration names.
            exchange.unanswered("server_error");
            let words = format!("the upstream {} answers {status}, which is not followed", upstream.name());
            return Err(Failure::new(StatusCode::BAD_GATEWAY, "upstream_redirects", words));
        }
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::PROXY_AUTHENTICATION_REQUIRED) {
            // It is our key that is not taken, and such answers like to quote it.
            exchange.unanswered("client_error");
            let words = format!("the upstream {} does not take our key", upstream.name());
            return Err(Failure::new(StatusCode::BAD_GATEWAY, "upstream_refuses_key", words));
        }
        exchange.answered(status);
        let content_type = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
        let watch = Watch::new(content_type, holds && status.is_success());
        let mut response = Response::builder().status(status);
        if let Some(passed) = response.headers_mut() {
            *passed = headers::to_caller(&headers);
            if watch.holds() {
                passed.remove(CONTENT_LENGTH);
            }
        }
        let body = AnswerBody::relayed(body, status, exchange, watch);
        response.body(body).map_err(|_| Failure::new(StatusCode::BAD_GATEWAY, "upstream_broken", "the answer's head cannot be passed on"))
    }

    /// Whose request it is: what its headers say, else who was recognised.
    fn whose(&self, incoming: &Incoming, model: Option<String>) -> Whose {
        let text = |name: &http::HeaderName| incoming.headers.get(name).and_then(|v| v.to_str().ok());
        let camera = text(&self.camera_header).unwrap_or("");
        let caller = text(&self.caller_header).or(incoming.caller.as_deref()).unwrap_or("");
        Whose { model, camera: self.cameras.told(camera, true), caller: self.callers.told(caller, true) }
    }

    fn within_budget(&self, whose: &Whose) -> Result<(), Failure> {
        if !self.budget.refuse {
            return Ok(());
        }
        let (day, month) = self.ledger.spending();
        let used_up = |budget: Option<f64>, spent| budget.is_some_and(|b| super::prices::usd(spent) >= b);
        let period = match (used_up(self.budget.daily_usd, day), used_up(self.budget.monthly_usd, month)) {
            (false, false) => return Ok(()),
            (_, true) => "month",
            (true, false) => "day",
        };
        let words = format!("the budget of this {period} is used up");
        Err(self.refuse("budget", Some(whose), Failure::new(StatusCode::TOO_MANY_REQUESTS, "insufficient_quota", words).after(3600)))
    }

    /// Makes a prompt fit its window, where that is wanted.
    async fn fit_prompt(&self, upstream: &Upstream, body: Bytes, whose: &Whose) -> Result<Bytes, Failure> {
        let (counter, truncates, checks) = (upstream.counter.clone(), self.prompts.truncate, self.prompts.check);
        let observe = self.observe.clone();
        let work = move || {
            let available = counter.budget().available_for_prompt();
            let tokens = prompt::count(counter.counter(), &body);
            if tokens <= available {
                return Ok(body);
            }
            if truncates && let Some((shorter, done)) = prompt::shorten(counter.counter(), &body, available) {
                observe.observe("hsi_prompts_truncated_total", &[], 1.0);
                for section in &done.sections_removed {
                    observe.observe("hsi_prompt_truncated_total", &[("section_name", section)], 1.0);
                }
                tracing::warn!(tokens, available, sections_removed = done.sections_removed.join(","), "a prompt was truncated to fit the context window");
                return Ok(shorter);
            }
            if checks { Err((tokens, available)) } else { Ok(body) }
        };
        let done = spawn_blocking(work).await;
        let internal = |_| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "the prompt cannot be counted");
        done.map_err(internal)?.map_err(|(tokens, available)| {
            let words = format!("the prompt has {tokens} tokens, and {available} are available in the context window");
            self.refuse("prompt_too_long", Some(whose), Failure::new(StatusCode::BAD_REQUEST, "context_length_exceeded", words))
        })
    }

    fn broken(&self, upstream: &Upstream, whose: &Whose, left: Duration) -> Failure {
        let words = format!("the upstream {} failed several times in a row and is not asked for a while", upstream.name());
        let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, "circuit_open", words).after(left.as_secs_f64().ceil() as u64);
        self.refuse("circuit_open", Some(whose), failure)
    }

    fn no_turn(&self, refused: NoTurn, whose: &Whose) -> Failure {
        let (reason, status, words) = match refused {
            NoTurn::Full => ("queue_full", StatusCode::TOO_MANY_REQUESTS, "too many requests wait for a language model"),
            NoTurn::Late => ("queue_deadline", StatusCode::SERVICE_UNAVAILABLE, "no turn within the time that a request waits"),
        };
        self.refuse(reason, Some(whose), Failure::new(status, reason, words).after(self.turns.retry_after_secs()))
    }

    /// Counts a refusal. One with somebody behind it is an inference that failed.
    fn refuse(&self, reason: &'static str, whose: Option<&Whose>, failure: Failure) -> Failure {
        let model = whose.and_then(|w| w.model.as_deref()).unwrap_or("");
        self.tell.refused(reason, &self.models.told(model, false), whose.is_some());
        failure
    }
}

/// An exchange whose caller may go away before there is an answer.
struct UnderWay(Option<Exchange>);
impl Drop for UnderWay {
    fn drop(&mut self) {
        if let Some(exchange) = self.0.take() {
            exchange.finish(Outcome::Left, StatusCode::OK, Watch::new("application/json", false));
        }
    }
}
