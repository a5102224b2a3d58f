//! The questions of the differential test: a list by hand, combinations, and random ones.

use super::data::Random;

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
pub(crate) fn random(count: usize) -> Vec<String> {
    let mut random = Random::new(0x0dd_ba11_5eed);
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
    match if leaf { random.below(3) } else { random.below(16) } {
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
        3 => format!("({})", vector(random, depth - 1)),
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
        14 => {
            format!("{}(({})[11m13s:47s])", pick(random, &["max_over_time", "sum_over_time", "count_over_time", "delta", "last_over_time"]), vector(random, 1))
        }
        _ => format!("histogram_quantile(0.{}, {})", random.below(10), vector(random, depth - 1)),
    }
}

const HAND: &[&str] = &[
    "1",
    "-1",
    "1 + 2 * 3 ^ 2 ^ 0.5 % 7",
    "-1 ^ 2",
    "(-1) ^ 2",
    "2 ^ -1",
    "1 / 0",
    "-1 / 0",
    "0 / 0",
    "5 % 3",
    "-5 % 3",
    "1 == bool 1",
    "1 > bool 2",
    "NaN",
    "-Inf",
    "+Inf",
    "0x1F",
    "010",
    "1e3",
    ".5",
    "pi()",
    "time()",
    "time() - 1e9",
    "vector(1)",
    "vector(time())",
    "scalar(temperature)",
    "scalar(constant)",
    "scalar(nothing)",
    "vector(scalar(constant)) + 1",
    "temperature",
    "temperature{zone='x'}",
    "temperature{zone!='x'}",
    "temperature{zone=~'x|y', instance!~'a'}",
    "{__name__=~'temp.*'}",
    "{__name__='limit', zone=''}",
    "temperature{nothing=''}",
    "nothing",
    "constant{text=~'disk.*'}",
    "temperature offset 10m",
    "temperature offset -10m",
    "temperature @ 1700003607",
    "temperature @ start()",
    "temperature @ end()",
    "temperature @ 1700003607 offset 5m",
    "temperature offset 5m @ 1700003607",
    "rate(requests_total[5m] @ 1700003607)",
    "rate(requests_total[5m] @ end() offset 2m)",
    "sum(rate(requests_total[5m] @ start()))",
    "sum_over_time(temperature[10m:1m] @ 1700004007)",
    "max_over_time(rate(requests_total[2m])[15m:30s])",
    "max_over_time((temperature @ 1700003607)[5m:30s])",
    "avg_over_time(avg_over_time(temperature[3m:23s11ms])[10m:1m])",
    "sum_over_time(temperature[5m:])",
    "count_over_time((temperature > 0)[30m:1m])",
    "sum_over_time(vector(1)[10m:1m])",
    "sum_over_time(time()[10m:1m])",
    "rate(requests_total[5m:])",
    "increase(errors_total[1h])",
    "predict_linear(temperature[10m], 600)",
    "predict_linear(temperature[10m] offset 5m, -60)",
    "predict_linear(constant[10m], 600)",
    "predict_linear(temperature[10m] @ 1700003607, 600)",
    "double_exponential_smoothing(temperature[10m], 0.3, 0.7)",
    "double_exponential_smoothing(temperature[10m], 2, 0.7)",
    "double_exponential_smoothing(temperature[10m], 0.5, 0)",
    "absent(nothing)",
    "absent(nothing{a='b',c=~'d'})",
    "absent(nothing{a='b',a='c'})",
    "absent(temperature)",
    "absent(sparse)",
    "absent(sum(nothing))",
    "absent_over_time(sparse[1m])",
    "absent_over_time(nothing{x='y'}[5m])",
    "absent_over_time(sparse[6m:1m])",
    "absent((nothing{a='b'}))",
    "clamp(temperature, -5, 5)",
    "clamp(temperature, 5, -5)",
    "clamp_min(temperature, 0)",
    "clamp_max(temperature, scalar(constant))",
    "clamp(odd, -1, 1)",
    "clamp_min(odd, NaN)",
    "clamp_max(odd, 1)",
    "round(temperature, 0.5)",
    "round(temperature, 7)",
    "round(odd)",
    "label_replace(temperature, 'new', '$1-$2', 'instance', '(.)(.*)')",
    "label_replace(temperature, 'instance', '', 'zone', 'x')",
    "label_replace(temperature, 'zone', 'z', 'zone', '.*')",
    "label_replace(temperature, 'new', '${name}', 'instance', '(?P<name>a)')",
    "label_replace(temperature, 'n', 'v', 'nothing', '')",
    "label_replace(temperature, '__name__', 'renamed', 'zone', 'x')",
    "label_join(temperature, 'new', '-', 'instance', 'zone', 'nothing')",
    "label_join(temperature, 'instance', '')",
    "label_replace(temperature, 'x', 'y', 'z', '(')",
    "sort(temperature)",
    "sort_desc(limit)",
    "topk(3, temperature)",
    "bottomk(2, limit)",
    "topk(2, odd)",
    "bottomk(1, odd)",
    "topk(scalar(constant), temperature)",
    "quantile(scalar(state{instance='a'}) / 3, temperature)",
    "topk(-1, temperature)",
    "count_values('v', state)",
    "count_values by (instance) ('v', state)",
    "count_values without (instance) ('v', state)",
    "count_values('v', odd)",
    "count_values('instance', state)",
    "histogram_quantile(0.9, latency_seconds_bucket)",
    "histogram_quantile(0.5, latency_seconds_bucket{le!='+Inf'})",
    "histogram_quantile(0.5, latency_seconds_bucket{le='+Inf'})",
    "histogram_quantile(0.5, temperature)",
    "histogram_quantile(scalar(constant) / 100, rate(latency_seconds_bucket[5m]))",
    "histogram_quantile(0.5, latency_seconds_bucket - on (instance, le) latency_seconds_bucket offset 10m)",
    "histogram_quantile(0.9, sum without (instance) (rate(latency_seconds_bucket[10m])))",
    "histogram_quantile(0.5, label_replace(rate(latency_seconds_bucket[5m]), 'le', '-1', 'le', '0.1'))",
    "histogram_quantile(0.01, label_replace(rate(latency_seconds_bucket[5m]), 'le', '-1', 'le', '0.1'))",
    "rate(latency_seconds_sum[5m]) / rate(latency_seconds_count[5m])",
    "sum(rate(requests_total{code=~'5..'}[5m])) / sum(rate(requests_total[5m]))",
    "100 - avg by (instance) (irate(errors_total[5m])) * 100",
    "sum by (method) (rate(requests_total[5m])) / ignoring (method) group_left sum(rate(requests_total[5m]))",
    "requests_total / on (instance, method) group_left errors_total",
    "requests_total * on (instance) group_left (version) build_info",
    "build_info * on (instance) group_right (version) requests_total",
    "sum by (version) (rate(requests_total[5m]) * on (instance) group_left (version) build_info)",
    "temperature * on (instance, zone) limit",
    "temperature + ignoring (zone) state",
    "state + on (instance) temperature",
    "temperature > on (instance, zone) limit",
    "temperature > bool on (instance) group_left state",
    "requests_total * on (instance) group_left requests_total",
    "requests_total + on (instance) requests_total",
    "state * on () group_left constant",
    "temperature / on () group_left () sum(temperature)",
    "temperature == temperature",
    "temperature != bool temperature",
    "odd == odd",
    "odd != odd",
    "odd + odd",
    "-temperature",
    "+temperature",
    "-(temperature > 0)",
    "- - temperature",
    "-{__name__=~'temperature|limit'}",
    "abs({__name__=~'temperature|limit'})",
    "rate({__name__=~'errors_total|requests_total'}[5m])",
    "sum({__name__=~'temperature|limit'})",
    "{__name__=~'temperature|limit'} > 0",
    "{__name__=~'temperature|limit'} > bool 0",
    "{__name__=~'temperature|state'} * 2",
    "temperature and on () (vector(1) == 1)",
    "temperature and on () vector(hour() > 30)",
    "temperature unless on (zone) temperature{instance='a', zone='x'}",
    "vector(1) or temperature",
    "temperature or vector(0)",
    "temperature or on (instance) limit",
    "sum(nothing) or vector(0)",
    "(temperature > 1000) or (limit < 22)",
    "temperature{zone='x'} or temperature{zone='y'} and state",
    "timestamp(temperature)",
    "timestamp(temperature offset 5m)",
    "timestamp(temperature @ 1700003607)",
    "timestamp(temperature + 0)",
    "timestamp(vector(1))",
    "timestamp(timestamp(temperature))",
    "timestamp((temperature))",
    "minute(vector(1700003607))",
    "time() - timestamp(temperature)",
    "avg(temperature) by (zone) > 0",
    "sum(temperature) without (zone)",
    "sum by (zone) (count by (zone, instance) (temperature))",
    "count(temperature > 0) or vector(0)",
    "avg_over_time(temperature[5m]) - avg_over_time(temperature[5m] offset 1h)",
    "max(temperature) - min(temperature)",
    "stddev_over_time(temperature[10m]) / avg_over_time(limit[10m])",
    "{__name__='constant'}",
    "state == 1",
    "1 == state",
    "state == bool 1",
    "1 < bool state",
    "state ^ 2",
    "2 ^ state",
    "2 ^ state ^ 2",
    "-state ^ 2",
    "state * -1",
    "state % 2",
    "state / 0",
    "0 / state",
    "group(temperature) by (instance)",
    "count by (instance) ({__name__=~'.+', instance!=''})",
    "temperature[5m]",
    "temperature{instance='a',zone='x'}[1m]",
    "sum(temperature)[5m:1m]",
    "'text'",
    "\"a\\nb\"",
    "temperature[5m] offset 1m",
    "temperature[5m] @ 1700003607",
];

/// Texts that must fail in both with the very same message.
pub(crate) const ERRORS: &[&str] = &[
    "",
    "#comment",
    "1 +",
    "foo bar",
    "foo{",
    "foo{a}",
    "foo{a=}",
    "foo{a=b}",
    "foo{a='b'",
    "foo{a='b' c='d'}",
    "foo{a='b',,}",
    "foo{a~'b'}",
    "{}",
    "{a=''}",
    "{a=~'.*'}",
    "foo{__name__='bar'}",
    "(1",
    "1)",
    "sum(",
    "sum(foo",
    "sum",
    "sum()",
    "sum(foo, bar)",
    "topk(foo)",
    "topk(foo, bar)",
    "topk('a', foo)",
    "count_values(1, foo)",
    "sum by foo (bar)",
    "sum by (a b) (c)",
    "sum by (1) (c)",
    "sum foo",
    "rate(foo)",
    "rate(foo[5m], 1)",
    "rate()",
    "rate(foo[5m],)",
    "unknown(foo)",
    "unknown()",
    "abs(1)",
    "abs('x')",
    "abs(foo[5m])",
    "round(foo, 1, 2)",
    "round()",
    "label_replace(foo, 1, 2, 3, 4)",
    "time(1)",
    "1 == 1",
    "foo and 1",
    "1 or 1",
    "1 unless foo",
    "foo + bool bar",
    "1 + bool 2",
    "foo + on (a) 1",
    "1 + on (a) 2",
    "foo and on (a) group_left bar",
    "foo + on (a) group_left (a) bar",
    "foo[5m] + 1",
    "-foo[5m]",
    "-'x'",
    "'x' + 1",
    "foo[5m][5m]",
    "(foo)[5m]",
    "foo offset 5m offset 5m",
    "1 offset 5m",
    "foo @ 5 @ 5",
    "1 @ 5",
    "foo @ bar",
    "foo offset 1m[5m]",
    "foo @ 1 [5m]",
    "foo[5m",
    "'abc",
    "\"abc",
    "`abc",
    "'\\q'",
    "foo = 1",
    "foo =~ 'a'",
    "foo ! 1",
    "$",
    "foo$",
    "foo{a=\"b\"$}",
    "foo}",
    "foo]",
    "sum(foo[5m])",
    "foo[5m:1m][5m]",
    "1[5m:]",
    "0x",
    "1m2",
    "5mm",
    "foo{a=\"\\xz\"}",
    "quantile(foo)",
    "foo == on (a)",
    "foo group_left bar",
    "foo bool",
    "by (a)",
    "sum(foo) by",
    "sum(foo) by (",
    "avg_over_time(foo)",
    "histogram_quantile(foo, bar)",
    "scalar(1)",
    "vector(foo)",
    "absent()",
    "foo @",
    "foo @ start",
    "foo{a='b'} {c='d'}",
    "foo{a='b'}[5m] [5m]",
    "1 2",
    "\"a\" \"b\"",
    "(foo",
    "((foo)",
    "foo)(",
    "sum(sum",
    "rate(rate(foo[5m])[5m])",
    "sum by (a) foo",
    "sum by (a)",
    "sum by (a) {b='c'}",
    "sum(foo bar)",
    "sum by (a) (foo bar)",
    "sum(1 2)",
    "rate(foo bar)",
    "rate(foo[5m] bar)",
    "sum(rate(foo bar))",
    "1 + sum(foo bar)",
    "sum(foo + )",
    "sum({a b})",
    "(foo bar)",
    "sum((foo bar))",
    "abs((foo bar))",
    "abs(sum(foo) bar)",
    "sum(foo) bar",
    "sum(foo) by (a) by (b)",
    "sum by (a) (foo) by (b)",
    "foo + + ",
    "foo and",
    "foo == bool",
    "sum(foo,)",
    "sum(,foo)",
    "abs(,)",
    "abs(foo bar, 1)",
    "foo on (a) bar",
    "foo + on bar",
    "foo + on (a,) bar",
    "foo + on (a b) bar",
    "foo + on (a) group_left (b c) bar",
    "foo + group_left bar",
    "foo + ignoring bar",
    "foo{a='b'}{c='d'}",
    "foo{a='b', c}",
    "foo{a=~}",
    "foo{a!~'b' c}",
    "foo{a='b'",
    "foo{a=",
    "foo{a",
    "sum(foo{a",
    "foo @ -",
    "foo @ 1e400",
    "foo[5m:1x]",
    "foo[5m:5m",
    "foo[5m:",
    "foo[5m:]",
    "rate(foo[5m:])",
    "foo[0s]",
    "sum(foo) offset 5m",
    "abs(foo) offset 5m",
    "(foo) offset 5m",
    "foo[5m:1m]",
    "sum(foo[5m:1m])",
    "1 + foo[5m:1m]",
    "topk(1, 2)",
    "topk(1, foo, 3)",
    "quantile('a', foo)",
    "label_join(foo)",
    "label_join(foo, 'a')",
    "label_join(foo, 'a', 1)",
    "round(foo, bar)",
    "clamp(foo, 1)",
    "day_of_month(1)",
    "day_of_month(foo, bar)",
    "pi(1)",
    "vector('a')",
    "scalar(foo[5m])",
    "time() == 1",
    "foo == 'a'",
    "'a' == 'b'",
    "-time(foo)",
    "foo ^ ",
    "foo ^ bool 1",
    "foo atan2",
    "atan2",
    "bool",
    "on",
    "ignoring (a)",
    "group_left",
    "offset",
    "offset 5m",
    "and or unless",
    "sum sum",
    "sum + sum",
    "avg(avg)",
    "start",
    "foo @ start() @ end()",
    "foo @ start(1)",
    "\"\\u12\"",
    "foo # comment\nbar",
    "foo\n  +\n  bar baz",
    "foo{a='\n'}",
    "1h30",
    "1y1y",
    "foo[1h1h]",
];

/// Texts whose message is another one since 3.x.
pub(crate) const ERRORS_OF_3: &[(&str, &str)] = &[
    ("foo[5x]", "1:5: parse error: bad number or duration syntax: \"5\""),
    ("1e", "1:1: parse error: bad number or duration syntax: \"1e\""),
    ("1.2.3", "1:1: parse error: bad number or duration syntax: \"1.2.\""),
    ("foo offset", "1:11: parse error: unexpected end of input in offset, expected number, duration, step(), or range()"),
    ("foo[5m] offset", "1:15: parse error: unexpected end of input in offset, expected number, duration, step(), or range()"),
    ("1m1h", "1:1: parse error: not a valid duration string: \"1m1h\""),
    ("foo anchored", "1:1: parse error: anchored modifier is experimental and not enabled"),
    ("foo[", "1:5: parse error: unexpected end of input in duration expression"),
    ("foo[bar]", "1:5: parse error: unexpected character in duration expression: 'b'"),
    ("foo[5m:1m:1m]", "1:10: parse error: unexpected colon ':'"),
];
