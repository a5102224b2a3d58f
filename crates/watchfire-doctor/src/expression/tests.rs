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
  fill_ratio: {type: gauge, unit: ratio, help: How full.}
  fill_percent: {type: gauge, unit: percent, help: How full.}
  wait_seconds: {type: histogram, unit: seconds, help: Waiting., labels: [stage], buckets: [0.5, 1, 2.5, 30]}
";
const OTHER: &str = "
about: Another product.
jobs: [mill]
produced_by: application
families:
  grain: {type: gauge, help: Grain.}
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
    finds("60 < histogram_quantile(0.9, sum by (le) (rate(wait_seconds_bucket[5m])))", Code::ConstantCondition, "never");
    clean("histogram_quantile(0.9, sum by (le, stage) (rate(wait_seconds_bucket[5m]))) > 29");
    clean("histogram_quantile(0.9, sum without (instance) (rate(wait_seconds_bucket[5m]))) > 1");
    finds("wait_seconds_bucket{le=\"2\"}", Code::UnknownBucket, "no bucket");
    finds("wait_seconds_bucket{le=\"30\"}", Code::UnknownBucket, "stored as le=\"30.0\"");
    clean("wait_seconds_bucket{le=\"30.0\"}");
    clean("wait_seconds_bucket{le=\"2.5\"} / ignoring (le) wait_seconds_count");
    clean("wait_seconds_bucket{le=~\"2.5|9\"}");
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
    finds("sum(rate(orders_total{status=\"500\"}[5m])) / sum( rate(orders_total{status=\"500\"}[5m]) )", Code::DividedByItself, "same");
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
    clean("up == 0");
    clean("sum(rate(orders_total{status=\"500\"}[5m])) / sum(rate(orders_total[5m])) > 0.05");
    clean("(1 - sum(rate(orders_total{status=\"500\"}[5m])) / sum(rate(orders_total[5m]))) < 0.99");
    clean("absent(up{job=\"x\"})");
    clean("absent(orders_total) == 1");
    clean("stock < 0");
    clean("time() - stock > 60");
}

#[test]
fn series_that_are_judged_alone() {
    finds("rate(orders_total[15m]) == 0", Code::EverySeriesAlone, "status");
    clean("sum(rate(orders_total[15m])) == 0");
    clean("rate(orders_lost_total[15m]) == 0");
}
