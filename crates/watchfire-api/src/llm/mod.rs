//! `/api/llm/*`: how many tokens a text is, whether a prompt fits the model's window, and the prompt made to fit. Counting and
//! cutting are the token counter's; here are shapes and limits.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;
#[cfg(test)]
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use watchfire_model::text::shortened;
use watchfire_net::blocking::spawn_blocking;
use watchfire_net::inflate::Limits;
use watchfire_tokens::{TokenCounter, Truncation, Validation};

use crate::app::App;
use crate::server::{Level, Refusal, Route};

/// The largest body. A prompt that fills the largest windows has a tenth of it.
pub const TEXT_BYTES_MAX: usize = 4 << 20;
/// So many texts are counted at once; others wait, as each takes a core.
const AT_ONCE_MAX: usize = 2;
static AT_ONCE: Semaphore = Semaphore::const_new(AT_ONCE_MAX);

/// The routes. Checks and truncations are told as metrics, so they need the level of those who tell; who has that counts with the same token.
pub fn routes() -> Vec<Route<Arc<App>>> {
    let all = [
        Route::get("/api/llm/budget", Level::Read, budget).senders_too().summary("How many tokens a prompt may have").answers::<BudgetJson>(200, "The budget"),
        Route::post("/api/llm/count", Level::Read, count)
            .senders_too()
            .summary("Counts the tokens of a text")
            .json::<TextJson>()
            .answers::<CountJson>(200, "The count"),
        Route::post("/api/llm/validate", Level::Ingest, validate)
            .summary("Checks whether a prompt fits, and tells it as metrics")
            .json::<PromptJson>()
            .answers::<ValidationJson>(200, "Whether it fits"),
        Route::post("/api/llm/truncate", Level::Ingest, truncate)
            .summary("Shortens a prompt until it fits")
            .description("Named sections go in the order of their priority, then data from the end. Instructions stay whole.")
            .json::<TruncateJson>()
            .answers::<TruncationJson>(200, "The prompt and what was removed"),
    ];
    all.into_iter().map(|route| route.tag("llm").body_limits(Limits::both(TEXT_BYTES_MAX))).collect()
}

/// A text to count.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmText"))]
#[serde(deny_unknown_fields)]
struct TextJson {
    /// The text. What looks like a special token is ordinary text.
    #[serde(alias = "prompt")]
    text: String,
}

/// A prompt to check.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmPrompt"))]
#[serde(deny_unknown_fields)]
struct PromptJson {
    /// The prompt.
    #[serde(alias = "text")]
    prompt: String,
    /// The model it is for, as a label of the newest utilization.
    #[serde(default)]
    model: Option<String>,
}

/// A prompt to shorten.
#[derive(Deserialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmTruncate"))]
#[serde(deny_unknown_fields)]
struct TruncateJson {
    /// The prompt.
    #[serde(alias = "text")]
    prompt: String,
    /// How many tokens it may have; what the budget leaves when nothing is said.
    #[serde(default)]
    max_tokens: Option<usize>,
}

/// The tokens of a text.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmCount"))]
struct CountJson {
    /// How many there are.
    tokens: usize,
    /// The encoding that was counted with.
    encoding: String,
}

/// A model's window, divided between prompt and answer.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmBudget"))]
struct BudgetJson {
    /// All tokens that the model can hold.
    context_window: usize,
    /// What is kept for the answer.
    max_output_tokens: usize,
    /// What a prompt may have.
    available_for_prompt: usize,
    /// Tokens above which a prompt is warned about.
    warning_threshold: usize,
    /// The same as a share of what a prompt may have.
    warning_ratio: f64,
    /// Whether prompts that do not fit are shortened before they are sent.
    truncation_enabled: bool,
    /// The encoding that is counted with.
    encoding: String,
}

/// Whether a prompt fits.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmValidation"))]
struct ValidationJson {
    /// Whether it does.
    is_valid: bool,
    /// Its tokens.
    prompt_tokens: usize,
    /// What it may have.
    available_for_prompt: usize,
    /// All tokens that the model can hold.
    context_window: usize,
    /// The share of what it may have that it fills; above 1 when it does not fit.
    utilization: f64,
    /// A sentence when it fills more than the warning threshold.
    warning: Option<String>,
    /// A sentence when it does not fit.
    error: Option<String>,
}

/// A prompt that was shortened where needed.
#[derive(Serialize)]
#[cfg_attr(test, derive(JsonSchema))]
#[cfg_attr(test, schemars(rename = "LlmTruncation"))]
struct TruncationJson {
    /// The prompt as it is now.
    truncated_prompt: String,
    /// Its tokens before.
    original_tokens: usize,
    /// Its tokens now.
    final_tokens: usize,
    /// The sections that were removed, in the order of their removal.
    sections_removed: Vec<&'static str>,
    /// Whether anything was taken away.
    was_truncated: bool,
    /// Whether it fits now; it does not when its instructions alone are too long.
    fits: bool,
}
impl From<Truncation> for TruncationJson {
    fn from(done: Truncation) -> TruncationJson {
        TruncationJson {
            was_truncated: done.was_truncated(),
            truncated_prompt: done.text,
            original_tokens: done.original_tokens,
            final_tokens: done.final_tokens,
            sections_removed: done.sections_removed,
            fits: done.fits,
        }
    }
}

fn validation(tokens: &TokenCounter, found: Validation) -> ValidationJson {
    ValidationJson {
        is_valid: found.is_valid,
        prompt_tokens: found.tokens,
        available_for_prompt: found.available,
        context_window: tokens.budget().context_window(),
        utilization: found.utilization,
        warning: found.warning(),
        error: found.error(),
    }
}

/// `GET /api/llm/budget`.
async fn budget(State(app): State<Arc<App>>) -> Json<BudgetJson> {
    let tokens = &app.rooms.tokens;
    let budget = tokens.budget();
    Json(BudgetJson {
        context_window: budget.context_window(),
        max_output_tokens: budget.max_output_tokens(),
        available_for_prompt: budget.available_for_prompt(),
        warning_threshold: budget.warning_tokens(),
        warning_ratio: budget.warning_threshold(),
        truncation_enabled: tokens.is_truncating(),
        encoding: tokens.counter().name().to_owned(),
    })
}

/// `POST /api/llm/count`.
async fn count(State(app): State<Arc<App>>, request: Request) -> Result<Json<CountJson>, Refusal> {
    work(app, request, |tokens, asked: TextJson| CountJson { tokens: tokens.count(&asked.text), encoding: tokens.counter().name().to_owned() }).await
}

/// `POST /api/llm/validate`.
async fn validate(State(app): State<Arc<App>>, request: Request) -> Result<Json<ValidationJson>, Refusal> {
    work(app, request, |tokens, asked: PromptJson| validation(tokens, tokens.validate_for(asked.model.as_deref(), &asked.prompt))).await
}

/// `POST /api/llm/truncate`.
async fn truncate(State(app): State<Arc<App>>, request: Request) -> Result<Json<TruncationJson>, Refusal> {
    work(app, request, |tokens, asked: TruncateJson| TruncationJson::from(tokens.truncate(&asked.prompt, asked.max_tokens))).await
}

/// Reads the body and lets the counter work on a thread where that keeps nobody waiting.
async fn work<T, U>(app: Arc<App>, request: Request, answer: impl FnOnce(&TokenCounter, T) -> U + Send + 'static) -> Result<Json<U>, Refusal>
where
    T: DeserializeOwned,
    U: Send + 'static,
{
    let too_large = |_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is larger than {TEXT_BYTES_MAX} bytes or broke off"));
    let body = axum::body::to_bytes(request.into_body(), TEXT_BYTES_MAX).await.map_err(too_large)?;
    let _turn = AT_ONCE.acquire().await.map_err(|_| Refusal::internal())?;
    let done = spawn_blocking(move || {
        let asked = serde_json::from_slice(&body)
            .map_err(|e| Refusal::new(StatusCode::BAD_REQUEST, "malformed_body", format!("cannot read the body: {}", shortened(&e.to_string()))))?;
        drop(body);
        Ok(Json(answer(&app.rooms.tokens, asked)))
    });
    done.await.unwrap_or_else(|error| {
        tracing::error!(%error, "counting tokens ended in a panic");
        Err(Refusal::internal())
    })
}
