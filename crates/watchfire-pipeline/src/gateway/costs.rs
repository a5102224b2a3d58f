//! What was spent, as it is shown: by day and month, and of the present month by model, upstream, camera and caller.

use std::collections::BTreeMap;

use super::Inner;
use super::breaker::State;
use super::ledger::{Books, Key, Period, Sums};
use super::prices::usd;
use watchfire_model::order::Order as _;

/// Sums of exchanges, as they are shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Line {
    /// What they are the sums of.
    pub name: String,
    /// Exchanges, failed and partial ones included.
    pub exchanges: u64,
    /// Those that were answered with an error or not at all.
    pub failed: u64,
    /// Those that broke off on the way.
    pub partial: u64,
    /// Tokens of prompts, as upstreams told them.
    pub input_tokens: u64,
    /// Tokens of answers, as upstreams told them.
    pub output_tokens: u64,
    /// Tokens of prompts that we counted ourselves.
    pub estimated_input_tokens: u64,
    /// The same of answers.
    pub estimated_output_tokens: u64,
    /// What they cost.
    pub cost_usd: f64,
    /// How long upstreams worked on them.
    pub seconds: f64,
}

/// A period with its budget.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PeriodCosts {
    /// Its sums; the name is its date.
    pub line: Line,
    /// What may be spent in it.
    pub budget_usd: Option<f64>,
    /// The share of it that is.
    pub utilization: Option<f64>,
}

/// How an upstream is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamState {
    /// Its name.
    pub name: String,
    /// Its breaker.
    pub breaker: State,
}

/// What is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Costs {
    /// The present day.
    pub today: PeriodCosts,
    /// The present month.
    pub month: PeriodCosts,
    /// All time.
    pub ever: Line,
    /// Days that have sums, the newest first.
    pub days: Vec<Line>,
    /// Months that have sums, the newest first.
    pub months: Vec<Line>,
    /// The present month by model, the dearest first.
    pub models: Vec<Line>,
    /// The same by upstream.
    pub upstreams: Vec<Line>,
    /// The same by camera.
    pub cameras: Vec<Line>,
    /// The same by caller.
    pub callers: Vec<Line>,
    /// How the upstreams are.
    pub states: Vec<UpstreamState>,
    /// How many exchanges may run at once now, do run, and wait.
    pub turns: (usize, usize, usize),
    /// Exchanges that are not over.
    pub under_way: usize,
}

pub(super) fn of(inner: &Inner, days: usize, months: usize) -> Costs {
    let today = inner.ledger.today();
    let (day, month) = (Period::Day(today), Period::month(today));
    let mut costs = inner.ledger.look(|books| {
        let recent = |count: usize, is: fn(&Period) -> bool| {
            let newest_first = books.periods().rev().filter(is).take(count);
            newest_first.map(|period| line(name(period), &books.total(period))).collect()
        };
        Costs {
            today: period(books, day, inner.budget.daily_usd),
            month: period(books, month, inner.budget.monthly_usd),
            ever: line("ever".to_owned(), &books.total(Period::Ever)),
            days: recent(days, |p| matches!(p, Period::Day(_))),
            months: recent(months, |p| matches!(p, Period::Month(..))),
            models: by(books, month, |key| &key.model),
            upstreams: by(books, month, |key| &key.upstream),
            cameras: by(books, month, |key| &key.camera),
            callers: by(books, month, |key| &key.caller),
            ..Costs::default()
        }
    });
    costs.states = inner.upstreams.iter().map(|u| UpstreamState { name: u.name().to_owned(), breaker: u.breaker.state() }).collect();
    costs.turns = inner.turns.figures();
    costs.under_way = inner.ledger.under_way();
    costs
}

fn name(period: Period) -> String {
    match period {
        Period::Ever => "ever".to_owned(),
        Period::Month(year, month) => format!("{year:04}-{month:02}"),
        Period::Day(date) => date.to_string(),
    }
}

fn period(books: &Books, period: Period, budget_usd: Option<f64>) -> PeriodCosts {
    let line = line(name(period), &books.total(period));
    PeriodCosts { utilization: budget_usd.map(|budget| line.cost_usd / budget), budget_usd, line }
}

fn by(books: &Books, period: Period, part: fn(&Key) -> &String) -> Vec<Line> {
    let mut sums: BTreeMap<&str, Sums> = BTreeMap::new();
    for (key, more) in books.rows(period) {
        sums.entry(part(key)).or_default().add(more);
    }
    let mut lines: Vec<Line> = sums.into_iter().map(|(name, sums)| line(name.to_owned(), &sums)).collect();
    lines.order_by(|a, b| b.cost_usd.total_cmp(&a.cost_usd));
    lines
}

fn line(name: String, sums: &Sums) -> Line {
    Line {
        name,
        exchanges: sums.exchanges,
        failed: sums.failed,
        partial: sums.partial,
        input_tokens: sums.input,
        output_tokens: sums.output,
        estimated_input_tokens: sums.estimated_input,
        estimated_output_tokens: sums.estimated_output,
        cost_usd: usd(sums.cost),
        seconds: sums.millis as f64 / 1000.0,
    }
}
