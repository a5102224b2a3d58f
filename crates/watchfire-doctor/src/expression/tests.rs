//! What is found in expressions, and what is not.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_pack::catalog::{CatalogFile, Catalogs};
use watchfire_query::promql::parse;

use super::*;
use crate::knowledge::{Job, Knowledge};
use crate::report::Code;

const CATALOG: &str = "
about: A made-up product.
jobs: [shop]
produced_by: application
labels:
  status: {charset: id, values_max: 70}
  stage: {values: [pick, pack, ship]}
  room: {charset: id, values_max: 9}
families:
  orders_total: {type: counter, help: Orders., labels: [status]}
  orders_lost_total: {type: counter, help: Lost orders.}
  parcels_total: {type: counter, help: Parcels., labels: [stage]}
  stock: {type: gauge, help: Things., labels: [room]}
  boxes_of_both: {type: gauge, help: Boxes., labels: [room]}
  fill_ratio: {type: gauge, unit: ratio, help: How full.}
  fill_percent: {type: gauge, unit: percent, help: How full.}
  boxes_used_bytes: {type: gauge, unit: bytes, help: Used., labels: [room]}
  boxes_size_bytes: {type: gauge, unit: bytes, help: All., labels: [room]}
  busy_seconds_total: {type: counter, unit: seconds, help: Time at work.}
  pause_seconds: {type: summary, unit: seconds, help: Pauses.}
  wait_seconds: {type: histogram, unit: seconds, help: Waiting., labels: [stage], buckets: [0.5, 1, 2.5, 30]}
";
const OTHER: &str = "
about: Another product.
jobs: [mill]
produced_by: application
labels:
  sack: {charset: id, values_max: 9}
families:
  grain: {type: gauge, help: Grain.}
  boxes_of_both: {type: gauge, help: Boxes., labels: [sack]}
  stock_of_grain: {type: gauge, help: Grain.}
";

fn knowledge() -> Knowledge {
    let files = [CatalogFile { pack: "shop", path: "shop.yml", text: CATALOG }, CatalogFile { pack: "mill", path: "mill.yml", text: OTHER }];
    let (catalogs, findings) = Catalogs::read(&files);
    assert!(findings.is_empty(), "{findings:?}");
    Knowledge::new(Arc::new(catalogs))
}

fn problems(text: &str) -> Vec<Problem> {
    diagnose(&parse(text).unwrap(), &knowledge()).1
}

#[track_caller]
fn finds(text: &str, code: Code, words: &str) {
    let found = problems(text);
    assert!(found.iter().any(|p| p.code == code && p.message.contains(words)), "{text}: {found:?}");
}
#[track_caller]
fn clean(text: &str) {
    let found = problems(text);
    assert!(found.is_empty(), "{text}: {found:?}");
}

#[test]
fn labels_and_values() {
    finds("orders_total{state=\"5xx\"}", Code::UnknownLabel, "no label state");
    finds("sum by (colour) (rate(orders_total[5m]))", Code::UnknownLabel, "no label colour");
    finds("parcels_total{stage=\"sell\"}", Code::UnknownLabelValue, "never \"sell\"");
    finds("parcels_total{stage=~\"sel.*\"}", Code::UnknownLabelValue, "never");
    clean("parcels_total{stage=~\"pick|sell\"}");
    clean("parcels_total{stage!=\"sell\"}");
    clean("orders_total{state=\"\"}");
    clean("sum by (status, instance, job) (rate(orders_total[5m]))");
    clean("whatever{state=\"x\"} > 5");
    clean("label_replace(stock, \"site\", \"$1\", \"room\", \"(.*)\") * on (site) group_left () whatever");
}

#[test]
fn jobs_of_the_configuration() {
    let jobs: BTreeMap<String, Job> = [("shop".to_owned(), Job::default()), ("node".to_owned(), Job::default())].into();
    let knowledge = knowledge().with_jobs(jobs);
    let found = |text: &str| diagnose(&parse(text).unwrap(), &knowledge).1;
    let wrong = found("up{job=\"node-exporter\"} == 0");
    assert_eq!((wrong[0].code, wrong[0].suggestion.as_deref()), (Code::UnknownJob, Some("did you mean job=\"node\"?")), "{wrong:?}");
    for good in ["up{job=\"shop\"} == 0", "up == 0", "up{job=~\"shop|x\"} == 0", "up{job!=\"x\"} == 0"] {
        assert!(found(good).is_empty(), "{good}: {:?}", found(good));
    }
}

#[test]
fn quantiles() {
    finds("histogram_quantile(0.9, wait_seconds)", Code::MissingLe, "wait_seconds_bucket carry le");
    finds("histogram_quantile(0.9, sum(rate(wait_seconds_bucket[5m])))", Code::MissingLe, "aggregated away");
    finds("histogram_quantile(0.9, sum by (stage) (rate(wait_seconds_bucket[5m])))", Code::MissingLe, "aggregated away");
    finds("histogram_quantile(0.9, rate(orders_total[5m]))", Code::NotAHistogram, "no histogram");
    finds("histogram_quantile(0.9, sum by (le) (rate(wait_seconds_bucket[5m]))) > 30", Code::BeyondTopBucket, "highest finite bucket is 30");
    finds("60 < histogram_quantile(0.9, sum by (le) (rate(wait_seconds_bucket[5m])))", Code::BeyondTopBucket, "never");
    finds("histogram_quantile(0.9, sum by (le) (rate(wait_seconds_bucket[5m]))) * 1000 > 30000", Code::BeyondTopBucket, "30000");
    finds("max_over_time(histogram_quantile(0.9, sum by (le) (rate(wait_seconds_bucket[5m])))[1h:5m]) > 30", Code::BeyondTopBucket, "30");
    clean("histogram_quantile(0.9, sum by (le, stage) (rate(wait_seconds_bucket[5m]))) > 29");
    clean("histogram_quantile(0.9, sum without (instance) (rate(wait_seconds_bucket[5m]))) > 1");
    finds("histogram_quantile(0.9, rate(wait_seconds_sum[5m]))", Code::MissingLe, "only the series wait_seconds_bucket carry le");
    finds("wait_seconds_bucket{le=\"2\"}", Code::UnknownBucket, "no bucket");
    finds("wait_seconds_bucket{le=\"30\"}", Code::UnknownBucket, "stored as le=\"30.0\"");
    clean("wait_seconds_bucket{le=\"30.0\"}");
    clean("wait_seconds_bucket{le=\"2.5\"} / ignoring (le) wait_seconds_count");
    clean("wait_seconds_bucket{le=~\"2.5|9\"}");
    clean("max by (quantile) (pause_seconds{quantile=\"0.9\"}) > 3");
    clean("rate(pause_seconds_sum[5m]) / rate(pause_seconds_count[5m]) > 3");
    finds("pause_seconds_count{quantile=\"0.9\"}", Code::UnknownLabel, "quantile");
}

#[test]
fn joins() {
    finds("rate(orders_lost_total[5m]) / rate(orders_total[5m]) > 0.05", Code::NeverMatches, "always has the label status");
    finds("stock > 5 and rate(orders_total[5m]) > 1", Code::NeverMatches, "room");
    finds("stock_of_grain / fill_ratio", Code::NeverMatches, "job mill");
    clean("rate(orders_lost_total[5m]) / ignoring (status) group_right () rate(orders_total[5m])");
    clean("sum(rate(orders_lost_total[5m])) / sum(rate(orders_total[5m]))");
    clean("rate(orders_lost_total[5m]) / on (instance) sum by (instance) (rate(orders_total[5m]))");
    clean("sum(stock_of_grain) / sum(fill_ratio)");
    clean("stock or rate(orders_total[5m])");
    clean("wait_seconds_sum / wait_seconds_count");
    clean("stock / on (room) group_left () something_unknown");
    // The name tells nothing of its job, but the other side does.
    finds("grain / boxes_of_both", Code::NeverMatches, "sack");
    clean("stock / boxes_of_both");
    finds("sum(rate(orders_total{status=\"500\"}[5m])) / sum( rate(orders_total{status=\"500\"}[5m]) )", Code::DividedByItself, "same");
}

#[test]
fn pairs_that_are_not_one_to_one() {
    finds("rate(orders_total[5m]) / ignoring (status) rate(orders_lost_total[5m])", Code::AmbiguousMatch, "left side has a series for every status");
    finds("sum by (room) (stock) / on () sum(fill_ratio)", Code::AmbiguousMatch, "room");
    finds("sum(fill_ratio) < on () sum by (room) (stock)", Code::AmbiguousMatch, "right side has a series for every room");
    clean("rate(orders_total[5m]) / ignoring (status) group_left () rate(orders_lost_total[5m])");
    clean("rate(orders_total{status=\"500\"}[5m]) / ignoring (status) rate(orders_lost_total[5m])");
    clean("sum by (room) (stock) > on (room) boxes_used_bytes");
    clean("sum by (room) (stock) > 5 and on () sum(fill_ratio) > 1");
    finds("stock / on (colour) boxes_used_bytes", Code::UnknownLabel, "neither side has the label colour");
    finds("stock * on (room) group_left (colour) boxes_used_bytes", Code::UnknownLabel, "bring the label colour");
}

#[test]
fn counters_gauges_and_units() {
    finds("rate(stock[5m]) > 1", Code::RateOfGauge, "gauge stock");
    finds("orders_total > 100", Code::CounterWithoutRate, "only rises");
    clean("increase(orders_total[1h]) > 100");
    clean("orders_total > 0");
    finds("fill_ratio > 90", Code::UnitMismatch, "is a ratio");
    finds("fill_percent > 0.9", Code::UnitMismatch, "in percent");
    clean("fill_ratio > 0.9");
    clean("sum(fill_ratio) > 20");
    finds("fill_ratio < 10", Code::UnitMismatch, "is a ratio");
    finds("boxes_used_bytes / boxes_size_bytes > 90", Code::UnitMismatch, "between 0 and 1");
    finds("1 - boxes_used_bytes / boxes_size_bytes < 5", Code::UnitMismatch, "between 0 and 1");
    clean("boxes_used_bytes / boxes_size_bytes * 100 > 90");
    clean("boxes_used_bytes / boxes_size_bytes > 1.2");
    clean("boxes_size_bytes / boxes_used_bytes > 20");
    clean("rate(busy_seconds_total[5m]) > 0.9");
    clean("rate(wait_seconds_sum[5m]) / rate(wait_seconds_count[5m]) > 20");
    clean("fill_ratio * 100 > 90");
    clean("fill_percent > 90");
}

#[test]
fn constant_conditions() {
    finds("vector(1) == 1", Code::ConstantCondition, "always true");
    finds("rate(orders_total[5m]) < 0", Code::ConstantCondition, "never true");
    finds("rate(orders_total[5m]) >= 0", Code::ConstantCondition, "always true");
    finds("up > 1", Code::ConstantCondition, "never");
    finds("sum(rate(orders_total{status=\"500\"}[5m])) / sum(rate(orders_total[5m])) > 1", Code::ConstantCondition, "never");
    finds("sum(rate(orders_total{status=\"}\"}[5m])) / sum(rate(orders_total{}[5m])) > 1", Code::ConstantCondition, "never");
    clean("sum(rate(orders_total{status=\"}\"}[5m])) / sum(rate(orders_total[5m] offset 1h)) > 1");
    clean("up == 0");
    clean("count(up == 0) > 0");
    clean("count(stock > 5) >= 1");
    finds("count(stock) > 0", Code::ConstantCondition, "always true");
    // Nobody knows which of these there are.
    clean("count(ALERTS{alertstate=\"firing\"}) > 0");
    clean("count(ALERTS) >= 1");
    clean("count(shop:busy) > 0");
    clean("count(of_somebody_else) > 0");
    clean("count(stock or shop:busy) > 0");
    finds("count(up) > 0", Code::ConstantCondition, "always true");
    clean("resets(stock[1h]) > 2");
    clean("sum(rate(orders_total{status=\"500\"}[5m])) / sum(rate(orders_total[5m])) > 0.05");
    clean("(1 - sum(rate(orders_total{status=\"500\"}[5m])) / sum(rate(orders_total[5m]))) < 0.99");
    clean("absent(up{job=\"x\"})");
    clean("absent(orders_total) == 1");
    clean("absent(orders_total) > 0");
    clean("absent(orders_total) or stock > 5");
    finds("absent(orders_total) == 0", Code::ConstantCondition, "never true");
    finds("count(stock > 5) == 0", Code::ConstantCondition, "never true");
    clean("stock < 0");
    clean("time() - stock > 60");
}

#[test]
fn series_that_are_judged_alone() {
    finds("rate(orders_total[15m]) == 0", Code::EverySeriesAlone, "status");
    clean("sum(rate(orders_total[15m])) == 0");
    clean("rate(orders_lost_total[15m]) == 0");
}
