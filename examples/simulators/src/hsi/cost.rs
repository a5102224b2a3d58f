//! What the work would cost somewhere else: tokens and seconds of the card times example prices, against a budget. The prices are invented; the
//! amounts are counted.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::clock;
use crate::faults::Known;
use crate::metrics::Registry;

const USD_PER_INPUT_TOKEN: f64 = 0.05 / 1e6;
const USD_PER_OUTPUT_TOKEN: f64 = 0.20 / 1e6;
const USD_PER_CARD_SECOND: f64 = 0.5 / 3_600.0;
/// What may be spent, and the share of it that is left when the budget is cut.
const DAILY_BUDGET_USD: f64 = 0.2;
const MONTHLY_BUDGET_USD: f64 = 5.0;
pub(crate) const CUT: Known = ("budget-cut", "what may be spent becomes a hundred-thousandth of what it was");
const CUT_TO: f64 = 1e-5;
const DAY_MS: u64 = 86_400_000;

#[derive(Default)]
pub(crate) struct Costs(Mutex<Spent>);

#[derive(Default)]
struct Spent {
    day: u64,
    today: f64,
    all: f64,
    /// Periods whose budget is used up.
    exceeded: BTreeSet<&'static str>,
}

impl Costs {
    /// An answer of the model to what a camera saw.
    pub(crate) fn tokens(&self, metrics: &Registry, camera: &str, input: f64, output: f64) {
        let usd = input * USD_PER_INPUT_TOKEN + output * USD_PER_OUTPUT_TOKEN;
        metrics.add("hsi_nemotron_token_cost_usd_total", &[("camera_id", camera)], usd);
        metrics.add("hsi_event_analysis_cost_usd_total", &[("camera_id", camera)], usd);
        self.spend(metrics, "nemotron", usd);
    }
    /// Seconds of the card.
    pub(crate) fn card(&self, metrics: &Registry, service: &str, seconds: f64) {
        metrics.add("hsi_gpu_seconds_total", &[("model", service)], seconds);
        self.spend(metrics, service, seconds * USD_PER_CARD_SECOND);
    }
    /// Says what of the budgets is spent.
    pub(crate) fn tell(&self, metrics: &Registry, is_cut: bool) {
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = if is_cut { CUT_TO } else { 1.0 };
        for (period, ratio) in [("daily", spent.today / (DAILY_BUDGET_USD * left)), ("monthly", spent.all / (MONTHLY_BUDGET_USD * left))] {
            metrics.set("hsi_budget_utilization_ratio", &[("period", period)], ratio);
            let mut times = 0.0;
            if ratio <= 1.0 {
                spent.exceeded.remove(period);
            } else if spent.exceeded.insert(period) {
                times = 1.0;
            }
            metrics.add("hsi_budget_exceeded_total", &[("period", period)], times);
        }
    }
    fn spend(&self, metrics: &Registry, service: &str, usd: f64) {
        metrics.add("hsi_estimated_cost_usd_total", &[("service", service)], usd);
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let day = clock::unix_ms() / DAY_MS;
        if spent.day != day {
            (spent.day, spent.today) = (day, 0.0);
        }
        spent.today += usd;
        spent.all += usd;
        metrics.set("hsi_daily_cost_usd", &[], spent.today);
        metrics.set("hsi_monthly_cost_usd", &[], spent.all);
        for (gauge, count) in [("hsi_cost_per_detection_usd", "hsi_detections_processed_total"), ("hsi_cost_per_event_usd", "hsi_events_created_total")] {
            let count = metrics.total(count);
            if count > 0.0 {
                metrics.set(gauge, &[], spent.all / count);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_add_up() {
        let (costs, metrics) = (Costs::default(), Registry::default());
        metrics.add("hsi_events_created_total", &[], 2.0);
        costs.tokens(&metrics, "a", 1e6, 1e6);
        costs.card(&metrics, "yolo26", 3_600.0);
        assert!((metrics.value("hsi_daily_cost_usd", &[]) - 0.75).abs() < 1e-9);
        assert!((metrics.value("hsi_cost_per_event_usd", &[]) - 0.375).abs() < 1e-9);
        costs.tell(&metrics, false);
        assert!((metrics.value("hsi_budget_utilization_ratio", &[("period", "monthly")]) - 0.15).abs() < 1e-9);
        let exceeded = |period: &str| metrics.value("hsi_budget_exceeded_total", &[("period", period)]);
        assert_eq!((exceeded("daily"), exceeded("monthly")), (1.0, 0.0));
        costs.tell(&metrics, true);
        costs.tell(&metrics, true);
        assert_eq!((exceeded("daily"), exceeded("monthly")), (1.0, 1.0), "each counts once, until there is a budget again");
        assert_eq!(metrics.total("hsi_cost_per_detection_usd"), 0.0);
    }
}
