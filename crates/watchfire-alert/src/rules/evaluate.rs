//! One evaluation of a group: its rules one after another, each result written before the next rule looks.

use std::collections::HashSet;
use std::time::Duration;

use watchfire_model::batch::{Batch, SeriesHistograms, SeriesSamples};
use watchfire_model::labels::Labels;
use watchfire_model::read::ReadError;
use watchfire_model::sample::{HistogramSample, stale_nan};
use watchfire_model::time::Timestamp;
use watchfire_model::write::WriteError;
use watchfire_query::logql::LogqlError;
use watchfire_query::promql::{QueryError, Sample};

use super::alerting::{self, Texts, outgoing, raise};
use super::ask::AskError;
use super::file::RuleKind;
use super::group::{Group, Health, RuleAtWork, Surroundings, sample};
use super::recording;
use super::schedule::Tick;
use super::state::{LimitExceeded, Terms};

/// Why an evaluation of a rule failed.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// The query.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Two of its series are one after the rule's labels are set.
    #[error("vector contains metrics with the same labelset after applying {0} labels")]
    SameLabels(&'static str),
    /// There are more series than the group allows.
    #[error("exceeded limit of {limit} with {series} series")]
    TooManySeries {
        /// The limit.
        limit: usize,
        /// How many there were.
        series: usize,
    },
    /// The same for alerts.
    #[error(transparent)]
    TooManyAlerts(#[from] LimitExceeded),
    /// Nothing of the result was stored.
    #[error("cannot store the result: {0}")]
    Write(#[from] WriteError),
    /// Some of it was not stored.
    #[error("{count} samples of the result were not stored: {example}")]
    Refused {
        /// How many.
        count: u64,
        /// One of the reasons in words.
        example: String,
    },
}

impl Group {
    /// Evaluates every rule. It reads and writes, so it blocks.
    pub fn evaluate(&self, tick: &Tick, surroundings: &Surroundings) {
        let begin = surroundings.clock.monotonic();
        let mut samples = 0;
        let mut rules_duration = Duration::ZERO;
        for (at, rule) in self.rules.iter().enumerate() {
            let rule_begin = surroundings.clock.monotonic();
            let outcome = self.evaluate_rule(at, rule, tick, surroundings);
            let duration = surroundings.clock.monotonic().saturating_sub(rule_begin);
            rules_duration += duration;
            surroundings.durations.rule(rule_begin, duration);
            self.figures.evaluated(outcome.is_err());
            samples += *outcome.as_ref().unwrap_or(&0);
            note(rule, outcome.err(), tick.at, duration, self);
        }
        self.end_orphaned(tick.at, surroundings);
        let took = surroundings.clock.monotonic().saturating_sub(begin);
        surroundings.durations.group(begin, took);
        self.figures.finished(tick.at, took, rules_duration, samples);
    }

    /// Tells again of everything that fires, without looking at anything: the clock jumped, and what lies in the store is elsewhere.
    pub fn tell_again(&self, tick: &Tick, surroundings: &Surroundings) {
        for rule in &self.rules {
            let mut progress = rule.progress();
            progress.skew_ms = tick.skew_ms();
            let firing = progress.alerts.firing_again(tick.line, self.common.resend_ms, self.interval_ms as i64);
            drop(progress);
            if !firing.is_empty() {
                surroundings.notify.notify(firing.into_iter().map(|(a, ends)| outgoing(&rule.rule, &self.common, a, ends, tick.skew_ms())).collect());
            }
        }
    }

    /// How many samples the rule gave.
    fn evaluate_rule(&self, at: usize, rule: &RuleAtWork, tick: &Tick, surroundings: &Surroundings) -> Result<usize, RuleError> {
        let behind = tick.at.plus_ms(-(self.query_offset_ms as i64));
        let deadline = surroundings.asker.deadline();
        let samples = surroundings.asker.ask(&rule.rule.expr, behind, deadline)?;
        let results = match &rule.rule.kind {
            RuleKind::Record => recording::named(&rule.rule, samples, self.limit)?,
            RuleKind::Alert { annotations, .. } => {
                let ask = surroundings.asker.for_texts(rule.rule.expr.language(), behind, deadline);
                let texts = Texts { templates: &*surroundings.templates, ask: &ask, common: &self.common, time: tick.at };
                let raised = raise(&rule.rule, annotations, samples, &texts, &surroundings.asker.budget(deadline))?;
                self.alert(rule, raised, tick, behind, surroundings)?
            }
        };
        let count = results.len();
        self.store(at, results, behind, surroundings)?;
        Ok(count)
    }

    /// Lets alerts live one step, tells of those that are due, and gives the series of those that are active.
    fn alert(
        &self,
        rule: &RuleAtWork,
        raised: Vec<super::state::Raised>,
        tick: &Tick,
        behind: Timestamp,
        surroundings: &Surroundings,
    ) -> Result<Vec<Sample>, RuleError> {
        let mut progress = rule.progress();
        progress.skew_ms = tick.skew_ms();
        let active = progress.alerts.step(tick.line, raised, terms(rule, self.limit))?;
        let due = progress.alerts.due(tick.line, self.common.resend_ms, self.interval_ms as i64);
        drop(progress);
        if !due.is_empty() {
            surroundings.notify.notify(due.into_iter().map(|(a, ends)| outgoing(&rule.rule, &self.common, a, ends, tick.skew_ms())).collect());
        }
        if !self.is_restored() {
            return Ok(Vec::new());
        }
        let series = active.iter().flat_map(|(labels, state, since)| alerting::series(labels, *state, Timestamp(since.saturating_add(tick.skew_ms()))));
        Ok(series.map(|(labels, value)| Sample { labels, time: behind, value, histogram: None }).collect())
    }

    /// Writes a result, and ends the series that the rule gave the last time and does not give now.
    fn store(&self, at: usize, results: Vec<Sample>, time: Timestamp, surroundings: &Surroundings) -> Result<(), RuleError> {
        let given: HashSet<Labels> = results.iter().map(|s| s.labels.clone()).collect();
        let mut batch = Batch::new(self.origin.clone());
        for result in results {
            match result.histogram {
                Some(value) => batch.histograms.push(SeriesHistograms { labels: result.labels, samples: vec![HistogramSample { time, value }] }),
                None => batch.series.push(SeriesSamples { labels: result.labels, samples: sample(time, result.value) }),
            }
        }
        let written = if batch.is_empty() { Default::default() } else { surroundings.sink.write(batch)? };
        let vanished: Vec<Labels> = {
            let mut living = self.living();
            let before = std::mem::replace(&mut living.by_rule[at], given);
            before.into_iter().filter(|labels| !living.by_rule[at].contains(labels)).collect()
        };
        self.end(vanished, time, surroundings);
        match written.rejected_total() {
            0 => Ok(()),
            count => Err(RuleError::Refused { count, example: written.example.unwrap_or_default() }),
        }
    }

    /// Marks series as ended. Another rule may have taken one over, so a refusal means nothing.
    fn end(&self, series: Vec<Labels>, time: Timestamp, surroundings: &Surroundings) {
        if series.is_empty() {
            return;
        }
        let mut batch = Batch::new(self.origin.clone());
        batch.series = series.into_iter().map(|labels| SeriesSamples { labels, samples: sample(time, stale_nan()) }).collect();
        if let Err(error) = surroundings.sink.write(batch) {
            tracing::warn!(group = self.name, %error, "cannot mark series of rules as ended");
        }
    }

    fn end_orphaned(&self, at: Timestamp, surroundings: &Surroundings) {
        let orphaned = std::mem::take(&mut self.living().orphaned);
        self.end(orphaned, at.plus_ms(-(self.query_offset_ms as i64)), surroundings);
    }

    /// Marks all its series as ended, because the group is gone.
    pub fn end_all(&self, at: Timestamp, surroundings: &Surroundings) {
        let living = std::mem::take(&mut *self.living());
        let all = living.orphaned.into_iter().chain(living.by_rule.into_iter().flatten()).collect();
        self.end(all, at.plus_ms(-(self.query_offset_ms as i64)), surroundings);
    }
}

fn terms(rule: &RuleAtWork, limit: usize) -> Terms {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    match rule.rule.kind {
        RuleKind::Alert { for_ms, keep_firing_for_ms, .. } => Terms { for_ms: ms(for_ms), keep_firing_for_ms: ms(keep_firing_for_ms), limit },
        RuleKind::Record => Terms { limit, ..Terms::default() },
    }
}

/// Notes how an evaluation went; a failure is told once, not at every evaluation.
fn note(rule: &RuleAtWork, error: Option<RuleError>, at: Timestamp, duration: Duration, group: &Group) {
    let mut progress = rule.progress();
    progress.last_evaluation = Some(at);
    progress.duration = duration;
    let health = if error.is_some() { Health::Err } else { Health::Ok };
    let text = error.as_ref().map(ToString::to_string);
    let closed = matches!(
        &error,
        Some(
            RuleError::Write(WriteError::Closed)
                | RuleError::Ask(AskError::Query(QueryError::Read(ReadError::Cancelled)) | AskError::Logs(LogqlError::Read(ReadError::Cancelled)))
        )
    );
    if text.is_some() && text != progress.last_error && !closed {
        tracing::warn!(file = &*group.file, group = group.name, rule = rule.rule.name, error = text, "a rule failed");
    }
    progress.failing_since = error.map(|_| progress.failing_since.unwrap_or(at));
    progress.health = health;
    progress.last_error = text;
}
