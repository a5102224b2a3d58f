//! The questions of the differential test: a list by hand, combinations, and random ones.

use super::data::Random;
use super::lists::HAND;

/// Pairs of texts: ours, and what the older Prometheus calls the same.
pub(crate) fn all() -> Vec<String> {
    let mut queries: Vec<String> = HAND.iter().map(|q| (*q).to_owned()).collect();
    for function in ["rate", "irate", "increase", "delta", "idelta", "deriv", "resets", "changes"] {
        for selector in ["requests_total", "errors_total", "temperature", "sparse", "constant"] {
            for range in ["1m", "5m", "17m"] {
                queries.push(format!("{function}({selector}[{range}])"));
            }
        }
        queries.push(format!("sum by (method) ({function}(requests_total[4m]))"));
        queries.push(format!("max without (code, method) ({function}(requests_total[4m] offset 3m))"));
        queries.push(format!("{function}(requests_total[10m:1m])"));
    }
    for function in ["avg", "min", "max", "sum", "count", "stddev", "stdvar", "last", "present"] {
        for selector in ["temperature", "sparse", "odd", "state"] {
            queries.push(format!("{function}_over_time({selector}[6m])"));
            queries.push(format!("{function}_over_time({selector}[20m:45s] offset 1m)"));
        }
    }
    for function in [
        "abs",
        "ceil",
        "floor",
        "round",
        "sqrt",
        "exp",
        "ln",
        "log2",
        "log10",
        "sgn",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "asinh",
        "acosh",
        "atanh",
        "deg",
        "rad",
        "timestamp",
        "day_of_month",
        "day_of_week",
        "day_of_year",
        "days_in_month",
        "hour",
        "minute",
        "month",
        "year",
        "sort",
        "sort_desc",
    ] {
        queries.push(format!("{function}(temperature)"));
        queries.push(format!("{function}(odd{{instance='a'}})"));
    }
    for function in ["day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"] {
        queries.push(format!("{function}()"));
        queries.push(format!("{function}(vector(time() * 37))"));
    }
    for aggregation in ["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"] {
        for grouping in ["", "by (instance)", "without (instance)", "by (zone, instance)", "by ()", "without ()", "by (nothing)"] {
            queries.push(format!("{aggregation} {grouping} (temperature)"));
        }
        queries.push(format!("{aggregation}(odd)"));
        queries.push(format!("{aggregation}({{instance=~'a|b'}}) by (__name__)"));
    }
    for (k, operator) in [("2", "topk"), ("1", "bottomk"), ("0.3", "quantile"), ("1.5", "quantile"), ("-1", "quantile"), ("100", "topk"), ("0", "topk")] {
        for grouping in ["", "by (zone)", "without (zone)"] {
            queries.push(format!("{operator} {grouping} ({k}, temperature)"));
        }
    }
    for operator in ["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", ">", "<=", ">=", "== bool", "< bool", ">= bool"] {
        queries.push(format!("temperature {operator} limit"));
        queries.push(format!("temperature {operator} 7"));
        queries.push(format!("7 {operator} temperature"));
        queries.push(format!("temperature {operator} on (instance) group_left () state"));
        queries.push(format!("state {operator} ignoring (zone) group_right () temperature"));
        queries.push(format!("odd {operator} 2.5"));
        queries.push(format!("sparse {operator} sparse offset 2m"));
    }
    for operator in ["and", "or", "unless"] {
        queries.push(format!("temperature {operator} limit"));
        queries.push(format!("temperature {operator} on (instance) (state > 0)"));
        queries.push(format!("(temperature > 0) {operator} ignoring (zone) (state == 1)"));
        queries.push(format!("sparse {operator} temperature{{zone='x'}}"));
    }
    for q in ["0", "0.5", "0.9", "1", "-0.5", "1.5", "NaN"] {
        queries.push(format!("histogram_quantile({q}, rate(latency_seconds_bucket[5m]))"));
        queries.push(format!("histogram_quantile({q}, sum by (le) (rate(latency_seconds_bucket[3m])))"));
        queries.push(format!("quantile_over_time({q}, temperature[7m])"));
    }
    queries
}

/// Random expressions of instant vectors. Subqueries are not nested and have odd steps, so that none of them touches a border.
pub(crate) fn random(count: usize, seed: u64) -> Vec<String> {
    let mut random = Random::new(0x0dd_ba11_5eed ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..count).map(|_| vector(&mut random, 4)).collect()
}

fn pick<'a>(random: &mut Random, items: &[&'a str]) -> &'a str {
    items[random.below(items.len())]
}

fn selector(random: &mut Random) -> String {
    let name = pick(
        random,
        &["temperature", "limit", "state", "requests_total", "errors_total", "sparse", "odd", "constant", "build_info", "latency_seconds_bucket", "nothing"],
    );
    let matchers =
        pick(random, &["", "", "", "{instance='a'}", "{instance!='a'}", "{instance=~'a|b'}", "{zone=~'x.*'}", "{method='get',code!='500'}", "{le=''}"]);
    format!("{name}{matchers}")
}

fn modifier(random: &mut Random) -> &'static str {
    pick(random, &["", "", "", "", " offset 7m", " offset -3m", " @ 1700003607", " @ end()"])
}

fn grouping(random: &mut Random) -> String {
    let labels = pick(random, &["", "instance", "zone", "instance, zone", "method", "le", "code, instance", "le, instance"]);
    format!("{} ({labels})", pick(random, &["by", "without"]))
}

fn vector(random: &mut Random, depth: usize) -> String {
    let leaf = depth == 0;
    match if leaf { random.below(4) } else { random.below(25) } {
        0 => format!("{}{}", selector(random), modifier(random)),
        1 => {
            let function = pick(
                random,
                &[
                    "rate",
                    "increase",
                    "delta",
                    "irate",
                    "idelta",
                    "changes",
                    "resets",
                    "avg_over_time",
                    "sum_over_time",
                    "max_over_time",
                    "min_over_time",
                    "count_over_time",
                    "last_over_time",
                    "stddev_over_time",
                    "deriv",
                ],
            );
            format!("{function}({}[{}]{})", selector(random), pick(random, &["2m", "5m", "11m", "90s"]), modifier(random))
        }
        2 => pick(random, &["vector(1)", "vector(time())", "vector(scalar(constant))", "vector(-2.5)"]).to_owned(),
        3 => with_parameter(random),
        16 => format!("({})", vector(random, depth - 1)),
        4 => format!("-{}", vector(random, depth - 1)),
        5 => format!("{}({})", pick(random, &["abs", "ceil", "floor", "round", "sgn", "sqrt", "absent", "timestamp", "deg"]), vector(random, depth - 1)),
        6 | 7 => format!("{} {} ({})", pick(random, &["sum", "avg", "min", "max", "count", "group"]), grouping(random), vector(random, depth - 1)),
        8 => format!("{} {} (0.{}, {})", pick(random, &["quantile"]), grouping(random), random.below(10), vector(random, depth - 1)),
        9 => {
            let operator = pick(random, &["+", "-", "*", "/", "%", ">", "<", "==", "!=", ">= bool"]);
            let number = pick(random, &["2", "-0.5", "7", "100", "scalar(constant)", "time()"]);
            if random.below(2) == 0 {
                format!("{} {operator} {number}", vector(random, depth - 1))
            } else {
                format!("{number} {operator} {}", vector(random, depth - 1))
            }
        }
        10..=12 => {
            let operator = pick(random, &["+", "-", "*", "/", ">", "<", "==", "!=", "> bool"]);
            let matching = pick(
                random,
                &[
                    "",
                    "",
                    "on (instance)",
                    "ignoring (zone)",
                    "on (instance) group_left ()",
                    "on (instance, zone)",
                    "ignoring (method, code) group_right (zone)",
                    "on () group_left (version)",
                    "on (instance) group_left (version)",
                ],
            );
            format!("({}) {operator} {matching} ({})", vector(random, depth - 1), vector(random, depth - 1))
        }
        13 => {
            let operator = pick(random, &["and", "or", "unless"]);
            let matching = pick(random, &["", "", "on (instance)", "ignoring (zone)", "on ()"]);
            format!("({}) {operator} {matching} ({})", vector(random, depth - 1), vector(random, depth - 1))
        }
        17 => {
            let (source, template) = (pick(random, &["instance", "zone", "method", "__name__"]), pick(random, &["$1", "x-$1", "", "${1}$1"]));
            let pattern = pick(random, &["(.*)", "(a|b)", "([a-z]).*", "nothing", ""]);
            format!("label_replace({}, 'new', '{template}', '{source}', '{pattern}')", vector(random, depth - 1))
        }
        18 => format!("label_join({}, '{}', '-', 'instance', 'zone')", vector(random, depth - 1), pick(random, &["new", "zone"])),
        19 => format!("clamp({}, {}, {})", vector(random, depth - 1), pick(random, &["-10", "0", "NaN"]), pick(random, &["5", "Inf", "30"])),
        20 => format!("round({}, {})", vector(random, depth - 1), pick(random, &["1", "0.5", "10", "-3"])),
        // Equal values would be ranked by chance, so only what has none is ranked.
        21 => format!(
            "{} {} ({}, {}{})",
            pick(random, &["topk", "bottomk"]),
            grouping(random),
            random.below(5),
            pick(random, &["temperature", "limit", "sparse", "requests_total"]),
            modifier(random)
        ),
        22 => format!("count_values {} ('v', {}{})", grouping(random), pick(random, &["state", "odd", "build_info", "constant"]), modifier(random)),
        23 => format!("scalar({}) {} vector(time())", vector(random, depth - 1), pick(random, &["+", "*", "<", "== bool"])),
        // Of a single value that is no number 2.42 says 0, 3.x NaN.
        24 => {
            let finite = pick(random, &["temperature", "limit", "state", "sparse", "requests_total{zone=''}", "latency_seconds_bucket"]);
            format!("{} {} ({finite}{})", pick(random, &["stddev", "stdvar"]), grouping(random), modifier(random))
        }
        14 => {
            format!("{}(({})[11m13s:47s])", pick(random, &["max_over_time", "sum_over_time", "count_over_time", "delta", "last_over_time"]), vector(random, 1))
        }
        _ => format!("histogram_quantile(0.{}, {})", random.below(10), vector(random, depth - 1)),
    }
}

/// A function of a window that takes numbers, or looks at the time, or is about absence.
fn with_parameter(random: &mut Random) -> String {
    let (selector, length, modifier) = (selector(random), pick(random, &["2m", "5m", "11m", "90s"]), modifier(random));
    match random.below(8) {
        0 => format!("quantile_over_time(0.{}, {selector}[{length}]{modifier})", random.below(10)),
        1 => format!("absent_over_time({selector}[{length}]{modifier})"),
        2 => format!("present_over_time({selector}[{length}]{modifier})"),
        3 => format!("stdvar_over_time({selector}[{length}]{modifier})"),
        4 => format!("double_exponential_smoothing({selector}[{length}]{modifier}, 0.{}, 0.{})", 1 + random.below(9), 1 + random.below(9)),
        // Pinned, most steps are lost there.
        5 => format!("predict_linear({selector}[{length}], {})", pick(random, &["60", "-600", "3600"])),
        // Numbers that are no time become whatever the processor makes of them.
        6 if !selector.contains("odd") => format!("{}({selector})", pick(random, &["hour", "minute", "day_of_week"])),
        _ => format!("{}({selector})", pick(random, &["exp", "ln", "absent"])),
    }
}
