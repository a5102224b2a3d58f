//! The answer to `INFO` → metrics under redis_exporter's names. It comes from a server that may say anything; what cannot be read is left
//! out.

use watchfire_model::batch::MetricType;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter::Family;

use super::names::{COUNTERS, GAUGES, INSTANCE, help};

/// Lines that are read.
const LINES_MAX: usize = 10_000;

/// Families by name, in the order in which they come.
#[derive(Debug, Default)]
pub struct Sheet(Vec<Family>);

impl Sheet {
    pub(super) fn family(&mut self, name: &str, kind: MetricType) -> &mut Family {
        let at = self.0.iter().position(|f| &*f.name == name).unwrap_or_else(|| {
            self.0.push(Family::new(name, kind, &help(name)));
            self.0.len() - 1
        });
        &mut self.0[at]
    }
    pub(super) fn gauge(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.family(name, MetricType::Gauge).point(labels, value);
    }
    pub(super) fn counter(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        self.family(name, MetricType::Counter).point(labels, value);
    }
    /// The families, sorted.
    pub fn into_families(mut self) -> Vec<Family> {
        self.0.sort_by(|a, b| a.name.cmp(&b.name));
        self.0
    }
}

/// The lines of an answer.
pub struct Info<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Info<'a> {
    /// Reads the lines.
    pub fn read(text: &'a str) -> Info<'a> {
        let lines = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.trim_end().split_once(':'));
        Info(lines.take(LINES_MAX).collect())
    }
    /// What a line says.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
    fn number(&self, name: &str) -> Option<f64> {
        value(self.get(name)?)
    }
    /// Lines whose name is this with a number behind it, each with its parts.
    pub(super) fn numbered<'n>(&'n self, name: &'n str) -> impl Iterator<Item = Parts<'a>> + 'n {
        let is = move |line: &str| line.strip_prefix(name).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        self.0.iter().filter(move |(line, _)| is(line)).map(|(_, text)| Parts(text))
    }

    /// Everything that it says, as metrics; `databases` is how many there are, those without keys included.
    pub fn metrics(&self, databases: usize, now: f64, sheet: &mut Sheet) {
        for (line, name) in GAUGES {
            if let Some(value) = self.number(line) {
                sheet.gauge(name, &[], value);
            }
        }
        for (line, name) in COUNTERS {
            if let Some(value) = self.number(line) {
                sheet.counter(name, &[], value);
            }
        }
        if let Some(fork) = self.number("latest_fork_usec") {
            sheet.gauge("redis_latest_fork_seconds", &[], fork / 1e6);
        }
        if let Some(uptime) = self.number("uptime_in_seconds") {
            sheet.gauge("redis_start_time_seconds", &[], (now - uptime).floor());
        }
        let info: Vec<(&str, &str)> = INSTANCE.iter().filter_map(|label| Some((*label, self.get(label)?))).collect();
        sheet.gauge("redis_instance_info", &info, 1.0);
        self.databases(databases, sheet);
        self.commands(sheet);
        self.replication(sheet);
    }

    fn databases(&self, databases: usize, sheet: &mut Sheet) {
        let shown = |n: &str| n.strip_prefix("db").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
        for (db, text) in self.0.iter().filter(|(name, _)| shown(name)) {
            let parts = Parts(text);
            let Some(keys) = parts.number("keys") else { continue };
            sheet.gauge("redis_db_keys", &[("db", db)], keys);
            sheet.gauge("redis_db_keys_expiring", &[("db", db)], parts.number("expires").unwrap_or(0.0));
            // KeyDB tells how many of them are in memory.
            if let Some(cached) = parts.number("cached_keys") {
                sheet.gauge("redis_db_keys_cached", &[("db", db)], cached);
            }
            if let Some(ttl) = parts.number("avg_ttl") {
                sheet.gauge("redis_db_avg_ttl_seconds", &[("db", db)], ttl / 1e3);
            }
        }
        for number in 0..databases {
            let db = format!("db{number}");
            if self.get(&db).is_none() {
                sheet.gauge("redis_db_keys", &[("db", &db)], 0.0);
                sheet.gauge("redis_db_keys_expiring", &[("db", &db)], 0.0);
            }
        }
    }

    fn commands(&self, sheet: &mut Sheet) {
        for (line, text) in &self.0 {
            let parts = Parts(text);
            if let Some(command) = line.strip_prefix("cmdstat_") {
                let labels = [("cmd", command)];
                for (part, name, scale) in [
                    ("calls", "redis_commands_total", 1.0),
                    ("usec", "redis_commands_duration_seconds_total", 1e6),
                    ("rejected_calls", "redis_commands_rejected_calls_total", 1.0),
                    ("failed_calls", "redis_commands_failed_calls_total", 1.0),
                ] {
                    if let Some(value) = parts.number(part) {
                        sheet.counter(name, &labels, value / scale);
                    }
                }
            } else if let Some(error) = line.strip_prefix("errorstat_") {
                if let Some(count) = parts.number("count") {
                    sheet.counter("redis_errors_total", &[("err", error)], count);
                }
            } else if let Some(command) = line.strip_prefix("latency_percentiles_usec_") {
                self.percentiles(command, &parts, sheet);
            }
        }
    }

    fn percentiles(&self, command: &str, parts: &Parts<'_>, sheet: &mut Sheet) {
        const NAME: &str = "redis_latency_percentiles_usec";
        let family = sheet.family(NAME, MetricType::Summary);
        for (part, text) in parts.all() {
            if let (Some(quantile), Some(value)) = (part.strip_prefix('p'), value(text)) {
                family.point(&[("cmd", command), ("quantile", quantile)], value);
            }
        }
        let Some(stats) = self.get(&format!("cmdstat_{command}")).map(Parts) else { return };
        for (suffix, part) in [("_sum", "usec"), ("_count", "calls")] {
            if let Some(value) = stats.number(part) {
                let name = format!("{NAME}{suffix}");
                family.points.push((Labels::from_pairs([("cmd", command), (METRIC_NAME, &name)]), value));
            }
        }
    }

    fn replication(&self, sheet: &mut Sheet) {
        for parts in self.numbered("slave") {
            let labels = [("slave_ip", parts.get("ip")), ("slave_port", parts.get("port")), ("slave_state", parts.get("state"))];
            let labels = labels.map(|(name, value)| (name, value.unwrap_or("")));
            if let Some(offset) = parts.number("offset") {
                sheet.gauge("redis_connected_slave_offset_bytes", &labels, offset);
            }
            if let Some(lag) = parts.number("lag") {
                sheet.gauge("redis_connected_slave_lag_seconds", &labels, lag);
            }
        }
        if self.get("role") != Some("slave") {
            return;
        }
        let master = [("master_host", self.get("master_host").unwrap_or("")), ("master_port", self.get("master_port").unwrap_or(""))];
        for (line, name) in [
            ("master_link_status", "redis_master_link_up"),
            ("master_last_io_seconds_ago", "redis_master_last_io_seconds_ago"),
            ("master_sync_in_progress", "redis_master_sync_in_progress"),
            ("slave_repl_offset", "redis_slave_repl_offset"),
        ] {
            if let Some(value) = self.number(line) {
                sheet.gauge(name, &master, value);
            }
        }
        let read_only = self.get("slave_read_only").unwrap_or("0");
        sheet.gauge("redis_slave_info", &[master[0], master[1], ("read_only", read_only)], 1.0);
    }
}

/// `keys=3,expires=0`.
pub(super) struct Parts<'a>(&'a str);
impl<'a> Parts<'a> {
    fn all(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.split(',').filter_map(|part| part.split_once('='))
    }
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        self.all().find(|(known, _)| *known == name).map(|(_, value)| value)
    }
    pub(super) fn number(&self, name: &str) -> Option<f64> {
        value(self.get(name)?)
    }
}

/// A value: a number, or a word that stands for one.
fn value(text: &str) -> Option<f64> {
    match text {
        "ok" | "up" | "true" => Some(1.0),
        "err" | "fail" | "down" | "false" => Some(0.0),
        _ => text.trim_end_matches('%').parse().ok().filter(|v: &f64| v.is_finite()),
    }
}
