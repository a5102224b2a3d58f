//! What exchanges are told as: the metrics that the watched programs document, with no change to them, and our own about the gateway.
//! Spans of exchanges, when there are traces, begin here too: an `Account` holds all that one needs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use watchfire_model::meter::Meter;
use watchfire_model::observe::Observe;

use super::exchange::Outcome;
use super::ledger::{Books, Key, Period, Spent, Sums};
use super::names::UNKNOWN;
use super::prices::{Pico, usd};
use super::settings::Spending;
use super::upstreams::{Upstream, Upstreams};
use super::wire::piece::Usage;

/// The service whose exchanges are told as Nemotron's.
pub(super) const NEMOTRON: &str = "nemotron";
/// After so long without an exchange nothing flows any more.
const QUIET: Duration = Duration::from_secs(60);
/// Bounds of waiting times and of times to the first token, in seconds.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// The sum over all series of a recorded family, if it has any.
pub type Total = Arc<dyn Fn(&str) -> Option<f64> + Send + Sync>;

/// An exchange that is over and added up.
pub(super) struct Account<'a> {
    pub(super) key: &'a Key,
    pub(super) sums: &'a Sums,
    pub(super) usage: Usage,
    /// Whether the upstream told the usage; else we counted.
    pub(super) is_told: bool,
    pub(super) outcome: Outcome,
    pub(super) streamed: bool,
    /// From the request to the end of its answer.
    pub(super) took: Duration,
    /// From the moment the caller asked to the first token of a stream.
    pub(super) first: Option<Duration>,
    /// From the first token to the last; the whole time where nothing streams.
    pub(super) flowed: Duration,
    pub(super) spent: Spent,
}

/// Tells.
pub(super) struct Tell {
    observe: Arc<dyn Observe>,
    meter: Meter,
    budget: Spending,
    total: Total,
    lately: Mutex<Lately>,
}

#[derive(Default)]
struct Lately {
    /// Answers and their time, for the mean.
    answers: u64,
    millis: f64,
    /// When the last exchange ended.
    last: Option<Duration>,
    /// What was spent since the start, for the cost of detections and events, which are counted since the start as well.
    cost: Pico,
}

impl Tell {
    pub(super) fn new(observe: Arc<dyn Observe>, meter: &Meter, budget: Spending, total: Total) -> Tell {
        Tell { observe, meter: meter.clone(), budget, total, lately: Mutex::default() }
    }
    fn say(&self, family: &str, labels: &[(&str, &str)], value: f64) {
        self.observe.observe(family, labels, value);
    }

    /// Counters go on where they were, so that their sums in the store are those of the ledger.
    pub(super) fn resume(&self, books: &Books, upstreams: &Upstreams) {
        for (key, sums) in books.rows(Period::Ever) {
            let service = upstreams.iter().find(|u| u.name() == key.upstream).map_or(NEMOTRON, |u| u.settings.service.as_str());
            self.counters(key, sums, service);
        }
        for period in ["daily", "monthly"] {
            self.say("hsi_budget_exceeded_total", &[("period", period)], 0.0);
        }
    }

    /// What exchanges add to counters.
    fn counters(&self, key: &Key, sums: &Sums, service: &str) {
        let (input, output) = (sums.input + sums.estimated_input, sums.output + sums.estimated_output);
        let (model, camera) = ([("model", key.model.as_str())], [("camera_id", key.camera.as_str())]);
        let cost = usd(sums.cost);
        self.say("inference_requests_total", &model, sums.exchanges as f64);
        self.say("inference_requests_success_total", &[], sums.exchanges.saturating_sub(sums.failed) as f64);
        self.say("inference_requests_failed_total", &[], sums.failed as f64);
        self.say("inference_tokens_total", &model, output as f64);
        self.say("hsi_gpu_seconds_total", &model, sums.millis as f64 / 1000.0);
        self.say("hsi_estimated_cost_usd_total", &[("service", service)], cost);
        if key.camera != UNKNOWN {
            self.say("hsi_event_analysis_cost_usd_total", &camera, cost);
        }
        if service == NEMOTRON {
            self.say("hsi_nemotron_tokens_input_total", &camera, input as f64);
            self.say("hsi_nemotron_tokens_output_total", &camera, output as f64);
            self.say("hsi_nemotron_token_cost_usd_total", &camera, cost);
        }
    }

    /// An exchange is over.
    pub(super) fn exchange(&self, upstream: &Upstream, account: &Account<'_>) {
        let service = upstream.settings.service.as_str();
        self.counters(account.key, account.sums, service);
        self.say("hsi_ai_request_duration_seconds", &[("service", service)], account.took.as_secs_f64());
        if account.outcome != Outcome::Failed {
            self.answer(upstream, account);
        }
        self.spending(account.spent.day.1, account.spent.month.1);
        self.crossed("daily", self.budget.daily_usd, account.spent.day);
        self.crossed("monthly", self.budget.monthly_usd, account.spent.month);
        self.own(upstream, account);
    }

    fn answer(&self, upstream: &Upstream, account: &Account<'_>) {
        let millis = account.took.as_secs_f64() * 1000.0;
        self.say("inference_time_ms", &[], millis);
        let mean = {
            let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
            lately.answers += 1;
            lately.millis += millis;
            lately.cost = lately.cost.saturating_add(account.sums.cost);
            lately.millis / lately.answers as f64
        };
        self.say("inference_time_avg_ms", &[], mean);
        let Usage { input, output, .. } = account.usage;
        if upstream.settings.service == NEMOTRON {
            self.say("hsi_nemotron_inference_seconds", &[], account.took.as_secs_f64());
            let flowed = account.flowed.as_secs_f64();
            if output > 0 && flowed > 0.0 {
                self.say("hsi_nemotron_tokens_per_second", &[], output as f64 / flowed);
            }
        }
        if input > 0 {
            let used = upstream.counter.budget().validate(input as usize);
            self.say("hsi_llm_context_utilization_ratio", &[("model", &account.key.model)], used.utilization);
            self.say("hsi_llm_context_utilization", &[], used.utilization);
            self.say("hsi_prompt_tokens", &[], input as f64);
            if used.is_high {
                self.say("hsi_prompts_high_utilization_total", &[], 1.0);
                let (tokens, available) = (used.tokens, used.available);
                tracing::warn!(model = account.key.model, tokens, available, "context utilization is above the warning threshold");
            }
        }
    }

    /// Our own figures about the gateway.
    fn own(&self, upstream: &Upstream, account: &Account<'_>) {
        let name = [("upstream", upstream.name())];
        let labels = [name[0], ("outcome", account.outcome.word())];
        self.meter.counter("watchfire_gateway_exchanges_total", "Exchanges with language models, by upstream and how they ended.", &labels).inc();
        let source = if account.is_told { "upstream" } else { "estimate" };
        for (kind, count) in [("input", account.usage.input), ("output", account.usage.output)] {
            let labels = [name[0], ("kind", kind), ("source", source)];
            let help = "Tokens of exchanges, as the upstream told them or as we counted them.";
            self.meter.counter("watchfire_gateway_tokens_total", help, &labels).add(count);
        }
        if let (true, Some(first)) = (account.streamed, account.first) {
            let help = "From a request to the first token of its stream.";
            self.meter.histogram("watchfire_gateway_first_token_seconds", help, &SECONDS, &name).observe(first.as_secs_f64());
        }
    }

    /// Remembers that something flowed.
    pub(super) fn flowed(&self, now: Duration) {
        self.lately.lock().unwrap_or_else(PoisonError::into_inner).last = Some(now);
    }

    fn spending(&self, day: Pico, month: Pico) {
        self.say("hsi_daily_cost_usd", &[], usd(day));
        self.say("hsi_monthly_cost_usd", &[], usd(month));
        for (period, budget, spent) in [("daily", self.budget.daily_usd, day), ("monthly", self.budget.monthly_usd, month)] {
            if let Some(budget) = budget {
                self.say("hsi_budget_utilization_ratio", &[("period", period)], usd(spent) / budget);
            }
        }
    }

    /// Tells once when a budget is used up.
    fn crossed(&self, period: &str, budget: Option<f64>, (before, after): (Pico, Pico)) {
        if let Some(budget) = budget
            && usd(before) <= budget
            && usd(after) > budget
        {
            self.say("hsi_budget_exceeded_total", &[("period", period)], 1.0);
            tracing::warn!(period, budget_usd = budget, spent_usd = usd(after), "the budget for language models is used up");
        }
    }

    /// What is told now and then: spending, which a midnight changes, and what has become quiet.
    pub(super) fn now_and_then(&self, now: Duration, (day, month): (Pico, Pico), is_healthy: bool) {
        self.spending(day, month);
        self.say("inference_healthy", &[], f64::from(u8::from(is_healthy)));
        let (quiet, cost) = {
            let mut lately = self.lately.lock().unwrap_or_else(PoisonError::into_inner);
            let quiet = lately.last.is_some_and(|last| now.saturating_sub(last) > QUIET);
            if quiet {
                lately.last = None;
            }
            (quiet, usd(lately.cost))
        };
        if quiet {
            self.say("hsi_nemotron_tokens_per_second", &[], 0.0);
        }
        for (counted, family) in [("hsi_detections_processed_total", "hsi_cost_per_detection_usd"), ("hsi_events_created_total", "hsi_cost_per_event_usd")] {
            if let Some(count) = (self.total)(counted).filter(|count| *count > 0.0) {
                self.say(family, &[], cost / count);
            }
        }
    }

    /// An error of the watched pipeline, by its documented names. Only Nemotron's are among them.
    pub(super) fn pipeline_error(&self, upstream: &Upstream, kind: &str) {
        if upstream.settings.service == NEMOTRON {
            let error = if kind == "malformed_response" { kind.to_owned() } else { format!("nemotron_{kind}") };
            self.say("hsi_pipeline_errors_total", &[("error_type", &error)], 1.0);
        }
    }

    /// A request was refused before anything was sent. To the program that asked it is an inference that failed.
    pub(super) fn refused(&self, reason: &'static str, model: &str, is_inference: bool) {
        self.meter.counter("watchfire_gateway_refused_total", "Requests that were refused unsent, by reason.", &[("reason", reason)]).inc();
        if is_inference {
            self.say("inference_requests_total", &[("model", model)], 1.0);
            self.say("inference_requests_failed_total", &[], 1.0);
        }
    }

    /// A connection did not come about and is tried once more.
    pub(super) fn retried(&self, upstream: &Upstream) {
        let help = "Requests of which nothing had been sent and that were tried once more.";
        self.meter.counter("watchfire_gateway_retries_total", help, &[("upstream", upstream.name())]).inc();
    }

    /// A request got its turn after so long.
    pub(super) fn waited(&self, waited: Duration) {
        self.meter.histogram("watchfire_gateway_wait_seconds", "How long requests waited for their turn.", &SECONDS, &[]).observe(waited.as_secs_f64());
    }
}
