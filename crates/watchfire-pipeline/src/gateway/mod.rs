//! The gateway before language models: passes requests in the shape of OpenAI's interface (and llama.cpp's and Ollama's) to configured
//! upstreams and their answers back byte for byte, and on the way counts tokens, money and time, keeps to a number of exchanges that
//! follows the GPU's memory, and gives an upstream that fails a rest. It keeps no prompt and serves no route itself.

mod body;
mod breaker;
mod costs;
mod exchange;
mod failure;
mod ledger;
mod listing;
mod names;
mod prices;
mod relay;
mod settings;
mod tell;
#[cfg(test)]
mod tests;
mod turns;
mod upstreams;
mod watch;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, Response};
use jiff::tz::TimeZone;
use watchfire_model::live::MemoryPressure;
use watchfire_model::meter::Meter;
use watchfire_model::observe::Observe;
use watchfire_model::state::{StateError, StateStore};
use watchfire_model::time::SharedClock;
use watchfire_net::client::Caller;
use watchfire_tokens::TokenCounter;

pub use body::AnswerBody;
pub use breaker::State as BreakerState;
pub use costs::{Costs, Line, PeriodCosts, UpstreamState};
pub use failure::Failure;
pub use listing::Question;
pub use relay::Incoming;
pub use settings::{BreakerSettings, Price, PromptSettings, Settings, Spending, TurnSettings, UpstreamSettings};
pub use tell::Total;
pub use upstreams::Endpoint;

use ledger::{Keeping, Ledger, Period};
use names::{CALLERS_MAX, CAMERAS_MAX, MODELS_MAX, Names};
use prices::Prices;
use tell::Tell;
use turns::Turns;
use upstreams::Upstreams;
use wire::headers::Signature;

/// What the gateway needs of the rest of the house.
pub struct Parts {
    /// What it is told.
    pub settings: Settings,
    /// What opens connections. Its pool should give idle ones up before servers do.
    pub caller: Arc<Caller>,
    /// What counts tokens.
    pub counter: Arc<TokenCounter>,
    /// Who hears of declared metrics.
    pub observe: Arc<dyn Observe>,
    /// Sums of recorded families.
    pub total: Total,
    /// Small durable state.
    pub state: Arc<dyn StateStore>,
    /// The file of the journal.
    pub journal: PathBuf,
    /// The time.
    pub clock: SharedClock,
    /// The name of the time zone in which days begin; `None` for the system's.
    pub zone: Option<String>,
    /// Our own meter.
    pub meter: Meter,
}

/// The gateway. Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Inner>);

struct Inner {
    upstreams: Upstreams,
    prices: Prices,
    budget: Spending,
    prompts: PromptSettings,
    include_usage: bool,
    camera_header: HeaderName,
    caller_header: HeaderName,
    models: Names,
    cameras: Names,
    callers: Names,
    signature: Signature,
    turns: Turns,
    ledger: Ledger,
    tell: Tell,
    caller: Arc<Caller>,
    observe: Arc<dyn Observe>,
    clock: SharedClock,
}

impl Gateway {
    /// Opens the ledger and stands ready. Blocks.
    pub fn open(parts: Parts) -> Result<Gateway, StateError> {
        let Parts { settings, caller, counter, observe, total, state, journal, clock, zone, meter } = parts;
        let upstreams = Upstreams::new(&settings.upstreams, &counter, &observe, &clock, &meter);
        let keeping = Keeping { state, journal, clock: clock.clone(), zone: time_zone(zone.as_deref()) };
        let ledger = Ledger::open(keeping, &meter)?;
        let prices = Prices::new(&settings.prices);
        let known = |part: fn(&ledger::Key) -> &String| -> Vec<String> {
            ledger.look(|books| books.rows(Period::Ever).map(|(key, _)| part(key).clone()).filter(|n| n != names::OTHER && n != names::UNKNOWN).collect())
        };
        let configured = settings.upstreams.iter().flat_map(|u| &u.models).filter(|m| !m.contains('*')).cloned();
        let models: Vec<String> = configured.chain(prices.models().map(str::to_owned)).chain(known(|k| &k.model)).map(|m| names::clean(&m)).collect();
        let tell = Tell::new(observe.clone(), &meter, settings.budget, total);
        if !upstreams.is_empty() {
            ledger.look(|books| tell.resume(books, &upstreams));
        }
        Ok(Gateway(Arc::new(Inner {
            models: Names::new(MODELS_MAX, models),
            cameras: Names::new(CAMERAS_MAX, known(|k| &k.camera)),
            callers: Names::new(CALLERS_MAX, known(|k| &k.caller)),
            signature: Signature::new(),
            turns: Turns::new(settings.turns, &meter),
            budget: settings.budget,
            prompts: settings.prompts,
            include_usage: settings.include_usage,
            camera_header: settings.camera_header,
            caller_header: settings.caller_header,
            upstreams,
            prices,
            ledger,
            tell,
            caller,
            observe,
            clock,
        })))
    }

    /// Whether there is anything to pass requests to.
    pub fn is_configured(&self) -> bool {
        !self.0.upstreams.is_empty()
    }

    /// Passes a request on and gives the answer, which goes on as it comes.
    pub async fn relay(&self, incoming: Incoming) -> Result<Response<AnswerBody>, Failure> {
        self.0.relay(incoming).await
    }

    /// Asks the named upstream, the one that has what is asked for, or all of them.
    pub async fn ask(&self, headers: &HeaderMap, question: &Question, upstream: Option<&str>) -> Result<Response<AnswerBody>, Failure> {
        self.0.ask(headers, question, upstream).await
    }

    /// Takes over the level of the GPU's memory pressure.
    pub fn set_pressure(&self, level: MemoryPressure) {
        self.0.turns.set_pressure(level);
    }

    /// Whether there is nothing to tend: no server of models, and sums that are kept.
    pub fn rests(&self) -> bool {
        self.0.upstreams.is_empty() && self.0.ledger.is_folded()
    }

    /// What is done every few seconds: sums are kept, what only time changes is told. Blocks.
    pub fn tend(&self) {
        let inner = &self.0;
        if let Err(error) = inner.ledger.fold() {
            tracing::warn!(%error, "what model calls came to is not kept yet; the next try holds it too");
        }
        if !inner.upstreams.is_empty() {
            let is_healthy = inner.upstreams.iter().any(|u| u.breaker.state() != BreakerState::Open);
            inner.tell.now_and_then(inner.clock.monotonic(), inner.ledger.spending(), is_healthy);
        }
    }

    /// What was spent, and how the upstreams are.
    pub fn costs(&self, days: usize, months: usize) -> Costs {
        costs::of(&self.0, days, months)
    }
}

fn time_zone(name: Option<&str>) -> TimeZone {
    match name.map(TimeZone::get) {
        Some(Ok(zone)) => zone,
        Some(Err(error)) => {
            tracing::warn!(%error, "days of the budget begin by the system's time zone");
            TimeZone::try_system().unwrap_or(TimeZone::UTC)
        }
        None => TimeZone::try_system().unwrap_or(TimeZone::UTC),
    }
}
