//! What a report says, as numbers: asked of what is stored, for a period and for the one before. What cannot be asked is named, what is not
//! there is left out. It knows no words.

use std::collections::BTreeMap;
use std::time::Duration;

use watchfire_model::labels::Labels;
use watchfire_model::order::Order as _;
use watchfire_model::read::ReadError;
use watchfire_model::time::Timestamp;
use watchfire_query::promql::{QueryError, Value};

use super::errors::{self, Errors};
use super::schedule::Due;
use crate::rules::Asker;

/// The longest that all questions of a report may take.
const TIME_MAX: Duration = Duration::from_secs(120);
/// What is kept of one question.
const ROWS_MAX: usize = 500;
/// Kinds of file systems that hold nothing that grows.
const NO_DISKS: &str = "fstype!~\"tmpfs|ramfs|devtmpfs|overlay|squashfs|iso9660|efivarfs\"";
/// A disk that lasts longer than this does not fill up.
const DAYS_MAX: f64 = 3_650.0;

/// What can be well or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Cameras,
    Services,
    Probes,
    Programs,
}
/// Each with the labels by which it is told apart, and its metric.
const GROUPS: [(Group, &str, &str); 4] = [
    (Group::Cameras, "camera_id", "camera_connection_status"),
    (Group::Services, "service", "watchfire_service_up"),
    (Group::Probes, "job, instance", "probe_success"),
    (Group::Programs, "job, instance", "up"),
];
/// A window with more samples than one question may have is asked in halves, which are not shorter than this.
const PART_MIN_MS: i64 = 3_600_000;

/// The highest value of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Height {
    GpuMemory,
    GpuBusy,
    GpuTemperature,
    Memory,
    Processor,
}
const HEIGHTS: [(Height, &str); 5] = [
    (Height::GpuMemory, "100 * watchfire_gpu_memory_used_bytes / watchfire_gpu_memory_total_bytes"),
    (Height::GpuBusy, "watchfire_gpu_utilization_percent"),
    (Height::GpuTemperature, "watchfire_gpu_temperature_celsius"),
    (Height::Memory, "100 * (1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes)"),
    (Height::Processor, "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])))"),
];

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Count {
    /// Tokens that went through the gateway, by upstream.
    GatewayTokens,
    /// Tokens as servers of models tell them.
    ServerTokens,
    /// Tokens as the watched program tells them.
    ProgramTokens,
    /// The longest that a queue was.
    QueueLength,
    /// Jobs that became dead letters.
    Dead,
    /// Jobs that found no room.
    Dropped,
}
const COUNTS: [(Count, &str); 7] = [
    (Count::GatewayTokens, "sum by (upstream) (increase(watchfire_gateway_tokens_total[$d]))"),
    (Count::ServerTokens, "sum by (server, gen_ai_request_model) (increase(gen_ai_server_tokens_total[$d]))"),
    (Count::ProgramTokens, "sum(increase(hsi_nemotron_tokens_input_total[$d])) + sum(increase(hsi_nemotron_tokens_output_total[$d]))"),
    (Count::QueueLength, "label_replace(max(max_over_time(hsi_detection_queue_depth[$d])), \"queue\", \"detection\", \"\", \"\")"),
    (Count::QueueLength, "label_replace(max(max_over_time(hsi_analysis_queue_depth[$d])), \"queue\", \"analysis\", \"\", \"\")"),
    (Count::Dead, "sum by (queue_name) (increase(hsi_queue_items_moved_to_dlq_total[$d]))"),
    (Count::Dropped, "sum by (queue_name) (increase(hsi_queue_items_dropped_total[$d]))"),
];

const FIRING: &str = "max by (alertname, severity) (ALERTS{alertstate=\"firing\"})";

/// How long something was well.
#[derive(Debug, PartialEq)]
pub(super) struct Share {
    pub(super) name: String,
    /// From 0 to 1.
    pub(super) now: f64,
    pub(super) before: Option<f64>,
}

/// An alert that fired.
#[derive(Debug, PartialEq)]
pub(super) struct Fired {
    pub(super) name: String,
    pub(super) severity: String,
    pub(super) minutes: f64,
    pub(super) minutes_before: Option<f64>,
    /// When it fired for the first time in the period.
    pub(super) first: Option<Timestamp>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Peak {
    pub(super) what: Height,
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) at: Timestamp,
    pub(super) before: Option<f64>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Disk {
    pub(super) name: String,
    /// In percent.
    pub(super) used: f64,
    /// Bytes in a day; negative when it shrinks.
    pub(super) growth: Option<f64>,
    pub(super) days_left: Option<f64>,
}

#[derive(Debug, PartialEq)]
pub(super) struct Amount {
    pub(super) what: Count,
    pub(super) name: String,
    pub(super) now: f64,
    pub(super) before: Option<f64>,
}

/// What language models cost in the present month, in US dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// So far.
    pub month_usd: f64,
    /// What it may be.
    pub budget_usd: Option<f64>,
}

/// All of it.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) groups: Vec<(Group, Vec<Share>)>,
    pub(super) alerts: Vec<Fired>,
    /// Alerts that fired before and not now.
    pub(super) quiet: Vec<String>,
    pub(super) peaks: Vec<Peak>,
    pub(super) disks: Vec<Disk>,
    pub(super) amounts: Vec<Amount>,
    pub(super) spent: Option<Spent>,
    pub(super) errors: Option<Errors>,
    /// Questions that failed, with why.
    pub(super) failed: Vec<String>,
}

/// Asks for everything. Blocks.
pub(super) fn gather(asker: &Asker, due: Due, spent: Option<Spent>) -> Facts {
    let deadline = asker.clock.monotonic() + TIME_MAX;
    let mut asking = Asking { asker, due, deadline, failed: Vec::new() };
    let groups = GROUPS.iter().map(|(group, by, metric)| (*group, asking.shares(by, metric))).filter(|(_, shares)| !shares.is_empty()).collect();
    let (alerts, quiet) = asking.alerts();
    let peaks = HEIGHTS.iter().filter_map(|(what, expr)| asking.peak(*what, expr)).collect();
    let disks = asking.disks();
    let amounts = COUNTS.iter().flat_map(|(what, expr)| asking.amounts(*what, expr)).collect();
    let errors = asker.logs.as_ref().and_then(|logs| {
        let found = errors::find(&**logs, due, &asker.budget(deadline));
        found.map_err(|reason| asking.failed.push(format!("log: {reason}"))).ok()
    });
    Facts { groups, alerts, quiet, peaks, disks, amounts, spent, errors, failed: asking.failed }
}

struct Asking<'a> {
    asker: &'a Asker,
    due: Due,
    deadline: Duration,
    failed: Vec<String>,
}

/// A window as the query language writes it.
fn window(from: Timestamp, to: Timestamp) -> String {
    format!("{}s", (to.millis().saturating_sub(from.millis()) / 1_000).max(1))
}

/// What a row is called: the values of its labels.
fn name_of(labels: &Labels) -> String {
    labels.iter().filter(|(name, _)| *name != "__name__").map(|(_, value)| value).collect::<Vec<_>>().join(" ")
}

/// Rows with those of the period before that have the same labels.
fn beside(now: Vec<(Labels, f64)>, then: &[(Labels, f64)]) -> Vec<(Labels, f64, Option<f64>)> {
    let of = |labels: &Labels| then.iter().find(|(other, _)| other == labels).map(|(_, value)| *value);
    now.into_iter().map(|(labels, value)| (labels.clone(), value, of(&labels))).collect()
}

impl Asking<'_> {
    /// The rows of an expression at a moment, by name. What is no number is none.
    fn ask(&mut self, expr: &str, at: Timestamp) -> Vec<(Labels, f64)> {
        match self.asked(expr, at) {
            Ok(rows) => self.looked_at(expr, rows),
            Err(error) => self.fails(expr, &error),
        }
    }
    fn asked(&self, expr: &str, at: Timestamp) -> Result<Vec<(Labels, f64)>, QueryError> {
        let value = self.asker.engine.instant(&*self.asker.source, expr, at, &self.asker.budget(self.deadline))?.value;
        let Value::Vector(samples) = value else { return Ok(Vec::new()) };
        Ok(samples.into_iter().filter(|s| s.value.is_finite()).map(|s| (s.labels, s.value)).collect())
    }
    fn fails(&mut self, expr: &str, error: &QueryError) -> Vec<(Labels, f64)> {
        self.failed.push(format!("{expr}: {error}"));
        Vec::new()
    }
    fn looked_at(&mut self, expr: &str, mut rows: Vec<(Labels, f64)>) -> Vec<(Labels, f64)> {
        if rows.len() > ROWS_MAX {
            // What is not looked at must not pass for well.
            self.failed.push(format!("{expr}: {} rows, of which {ROWS_MAX} are looked at", rows.len()));
            rows.truncate(ROWS_MAX);
        }
        rows
    }
    /// The means of a metric in a window. More samples than one question may have are asked for in parts of the window: each sample counts
    /// the same, so sums and counts of the parts make the mean of the whole.
    fn means(&mut self, by: &str, metric: &str, from: Timestamp, to: Timestamp) -> Vec<(Labels, f64)> {
        let whole = format!("avg by ({by}) (avg_over_time({metric}[{}]))", window(from, to));
        match self.asked(&whole, to) {
            Err(QueryError::Read(ReadError::TooManySamples(_) | ReadError::TooMuchMemory(_))) => {}
            Err(error) => return self.fails(&whole, &error),
            Ok(rows) => return self.looked_at(&whole, rows),
        }
        let mut totals: BTreeMap<Labels, [f64; 2]> = BTreeMap::new();
        let mut parts = vec![(from, to)];
        while let Some((from, to)) = parts.pop() {
            let of = |function: &str| format!("sum by ({by}) ({function}({metric}[{}]))", window(from, to));
            let both = self.asked(&of("sum_over_time"), to).and_then(|sums| Ok([sums, self.asked(&of("count_over_time"), to)?]));
            match both {
                Ok(both) => {
                    for (at, rows) in both.into_iter().enumerate() {
                        for (labels, value) in rows {
                            if let Some(total) = totals.entry(labels).or_default().get_mut(at) {
                                *total += value;
                            }
                        }
                    }
                }
                Err(QueryError::Read(ReadError::TooManySamples(_) | ReadError::TooMuchMemory(_))) if to.millis() - from.millis() > PART_MIN_MS => {
                    // Whole seconds, as windows are written.
                    let half = from.plus_ms((to.millis() - from.millis()) / 2_000 * 1_000);
                    parts.extend([(from, half), (half, to)]);
                }
                Err(error) => return self.fails(&whole, &error),
            }
        }
        let means = totals.into_iter().filter(|(_, [_, count])| *count > 0.0).map(|(labels, [sum, count])| (labels, sum / count)).collect();
        self.looked_at(&whole, means)
    }
    /// The same for the period and for the one before it; `$d` is its length.
    fn both(&mut self, expr: &str) -> Vec<(Labels, f64, Option<f64>)> {
        let Due { at, from, before } = self.due;
        let now = self.ask(&expr.replace("$d", &window(from, at)), at);
        if now.is_empty() {
            return Vec::new();
        }
        let then = self.ask(&expr.replace("$d", &window(before, from)), from);
        beside(now, &then)
    }
    fn shares(&mut self, by: &str, metric: &str) -> Vec<Share> {
        let Due { at, from, before } = self.due;
        let now = self.means(by, metric, from, at);
        let then = if now.is_empty() { Vec::new() } else { self.means(by, metric, before, from) };
        let mut all: Vec<Share> = beside(now, &then)
            .into_iter()
            .map(|(labels, now, before)| Share { name: name_of(&labels), now: now.clamp(0.0, 1.0), before: before.map(|b| b.clamp(0.0, 1.0)) })
            .collect();
        all.order_by(|a, b| a.now.total_cmp(&b.now).then_with(|| a.name.cmp(&b.name)));
        all
    }
    /// Alerts that fired, the longest first, and those that fired before only. A minute counts in which an alert fired at its end.
    fn alerts(&mut self) -> (Vec<Fired>, Vec<String>) {
        let Due { at, from, before } = self.due;
        let minutes = |length: String| format!("count_over_time(({FIRING})[{length}:1m])");
        let now = self.ask(&minutes(window(from, at)), at);
        let then = self.ask(&minutes(window(before, from)), from);
        let firsts = if now.is_empty() { Vec::new() } else { self.ask(&format!("min_over_time(({FIRING} * 0 + time())[{}:1m])", window(from, at)), at) };
        let found = |list: &[(Labels, f64)], labels: &Labels| list.iter().find(|(other, _)| other == labels).map(|(_, value)| *value);
        let text = |labels: &Labels, name: &str| labels.get(name).unwrap_or_default().to_owned();
        let mut fired: Vec<Fired> = now
            .iter()
            .map(|(labels, minutes)| Fired {
                name: text(labels, "alertname"),
                severity: text(labels, "severity"),
                minutes: *minutes,
                minutes_before: found(&then, labels),
                first: found(&firsts, labels).map(Timestamp::from_secs_f64),
            })
            .collect();
        fired.order_by(|a, b| b.minutes.total_cmp(&a.minutes).then_with(|| a.name.cmp(&b.name)));
        let mut quiet: Vec<String> = then.iter().filter(|(labels, _)| found(&now, labels).is_none()).map(|(labels, _)| text(labels, "alertname")).collect();
        quiet.order();
        quiet.dedup();
        (fired, quiet)
    }
    /// The highest value over the period, and when it was.
    fn peak(&mut self, what: Height, expr: &str) -> Option<Peak> {
        const STEP: Duration = Duration::from_secs(300);
        let Due { at, from, before } = self.due;
        let budget = self.asker.budget(self.deadline);
        let stepped = format!("max_over_time(({expr})[5m:1m])");
        let start = from.plus_ms(STEP.as_millis() as i64);
        let series = match self.asker.engine.range(&*self.asker.source, stepped.as_str(), start.min(at), at, STEP, &budget).map(|a| a.value) {
            Ok(Value::Matrix(series)) => series,
            Ok(_) => return None,
            Err(error) => {
                self.failed.push(format!("{expr}: {error}"));
                return None;
            }
        };
        drop(budget);
        let all = series.iter().flat_map(|s| s.points.iter().map(move |p| (&s.labels, p.time, p.value))).filter(|(.., value)| value.is_finite());
        let (labels, when, value) = all.reduce(|best, next| if next.2 > best.2 { next } else { best })?;
        let name = labels.get("gpu").or_else(|| labels.get("instance")).unwrap_or_default().to_owned();
        let then = self.ask(&format!("max(max_over_time(({expr})[{}:1m]))", window(before, from)), from);
        Some(Peak { what, name, value, at: when, before: then.first().map(|(_, value)| *value) })
    }
    fn disks(&mut self) -> Vec<Disk> {
        let Due { at, from, .. } = self.due;
        let by = "max by (instance, mountpoint)";
        let used = self.ask(&format!("{by} (100 * (1 - node_filesystem_avail_bytes{{{NO_DISKS}}} / (node_filesystem_size_bytes{{{NO_DISKS}}} > 0)))"), at);
        if used.is_empty() {
            return Vec::new();
        }
        let free = self.ask(&format!("min by (instance, mountpoint) (node_filesystem_avail_bytes{{{NO_DISKS}}})"), at);
        // What was seen for a few minutes says nothing of days: a quarter of the period is wanted.
        let free_series = format!("node_filesystem_avail_bytes{{{NO_DISKS}}}");
        let quarter = Timestamp(from.millis() + (at.millis() - from.millis()) / 4);
        let (whole, early, late) = (window(from, at), window(quarter, at), window(from, quarter));
        let slope = format!("deriv({free_series}[{whole}]) and present_over_time({free_series}[{early}] offset {late})");
        let growth = self.ask(&format!("{by} (-86400 * ({slope}))"), at);
        let of = |list: &[(Labels, f64)], labels: &Labels| list.iter().find(|(other, _)| other == labels).map(|(_, value)| *value);
        let disk = |(labels, used): &(Labels, f64)| {
            let growth = of(&growth, labels);
            let days = of(&free, labels).zip(growth.filter(|g| *g > 0.0)).map(|(free, growth)| free / growth);
            Disk { name: name_of(labels), used: *used, growth, days_left: days.filter(|days| *days < DAYS_MAX) }
        };
        let mut all: Vec<Disk> = used.iter().map(disk).collect();
        all.order_by(|a, b| b.used.total_cmp(&a.used).then_with(|| a.name.cmp(&b.name)));
        all
    }
    fn amounts(&mut self, what: Count, expr: &str) -> Vec<Amount> {
        let rows = self.both(expr);
        rows.into_iter()
            .filter(|(_, now, before)| *now > 0.0 || before.is_some_and(|b| b > 0.0))
            .map(|(labels, now, before)| Amount { what, name: name_of(&labels), now, before })
            .collect()
    }
}

/// That all questions can be read, for whoever changes one.
#[cfg(test)]
pub(super) fn expressions() -> Vec<String> {
    let with = |expr: &str| expr.replace("$d", "86400s");
    let of = GROUPS
        .iter()
        .map(|(_, by, metric)| format!("avg by ({by}) (avg_over_time({metric}[86400s]))"))
        .chain(COUNTS.iter().map(|(_, e)| with(e)))
        .chain(HEIGHTS.iter().map(|(_, e)| with(e)));
    of.chain([FIRING.to_owned()]).filter(|e| watchfire_query::promql::parse(e).is_err()).collect()
}
