//! Tests of both parsers and of rendering, side by side because they must agree.

use proptest::prelude::*;
use watchfire_model::batch::MetricType;
use watchfire_model::labels;
use watchfire_model::labels::{Labels, METRIC_NAME};
use watchfire_model::meter::Family;

use super::*;

fn show(entry: &Entry<'_>) -> String {
    match entry {
        Entry::Sample(s) => {
            let labels = s.labels().map_or_else(|e| format!("<{e}>"), |l| l.to_string());
            let time = s.time.map(|t| format!(" @{}", t.0)).unwrap_or_default();
            format!("{labels} {}{time}{}", format_value(s.value), if s.exemplar.is_some() { " #" } else { "" })
        }
        Entry::Type { family, kind } => format!("TYPE {family} {}", kind.name()),
        Entry::Help { family, help } => format!("HELP {family} {help:?}"),
        Entry::Unit { family, unit } => format!("UNIT {family} {unit}"),
    }
}

#[track_caller]
fn check(format: Format, text: &str, expected: &[&str]) {
    let found: Vec<String> = Parser::new(format, text).map(|e| e.map_or_else(|e| e.to_string(), |e| show(&e))).collect();
    assert_eq!(found, expected, "{text:?}");
}

#[test]
fn text_format_is_read_as_prometheus_reads_it() {
    let check = |text: &str, expected: &[&str]| check(Format::PrometheusText, text, expected);
    check("", &[]);
    check("up 1", &["up 1"]);
    check("\n\n  up 1 \n\t\n", &["up 1"]);
    check("a{b=\"c\"} 2 1700000000000\n", &["a{b=\"c\"} 2 @1700000000000"]);
    check("a { b = \"c\" , d=\"e\" , } 2\n", &["a{b=\"c\", d=\"e\"} 2"]);
    check("a{b=\"c\" d=\"e\"}2\n", &["a{b=\"c\", d=\"e\"} 2"]);
    check("a{} -1.5e3\na{z=\"1\",b=\"\"} .5\n", &["a -1500", "a{z=\"1\"} 0.5"]);
    check("a NaN\na nan\na +Inf\na -inf\na Infinity\n", &["a NaN", "a NaN", "a +Inf", "a -Inf", "a +Inf"]);
    check("a{b=\"x\\\\y\\\"z\\nw\\t\"} 1\n", &["a{b=\"x\\\\y\\\"z\\nw\\\\t\"} 1"]);
    check("a{b=\"two\nlines\"} 1\n", &["a{b=\"two\\nlines\"} 1"]);
    check("# HELP a x\\ny \\\\ \\\"q\n# TYPE a counter\na 1\n", &["HELP a \"x\\ny \\\\ \\\\\\\"q\"", "TYPE a counter", "a 1"]);
    check("#\n#x\n# some words\n# HELPER a\n# HELP\n# TYPE\na 1\n", &["a 1"]);
    check("# HELP a\na 1\n", &["HELP a \"\"", "a 1"]);
    check("# TYPE a untyped\n", &["TYPE a unknown"]);
    check("{\"my.name\",\"a.b\"=\"c\"} 1\n{x=\"y\",\"n\"} 2\n", &["{\"my.name\", \"a.b\"=\"c\"} 1", "n{x=\"y\"} 2"]);
    check("# TYPE \"my.name\" gauge\n", &["TYPE my.name gauge"]);
    check("a::b 1e6\n", &["a::b 1e+06"]);
}

#[test]
fn text_format_refuses_what_prometheus_refuses() {
    let check = |text: &str, expected: &[&str]| check(Format::PrometheusText, text, expected);
    check("a 1\nb\n", &["a 1", "line 2, column 2: expected a value"]);
    check("a 0x1p2\n", &["line 1, column 3: cannot read the value \"0x1p2\""]);
    check("a 0x10\n", &["line 1, column 3: cannot read the value \"0x10\""]);
    check("a 1_000\n", &["line 1, column 3: cannot read the value \"1_000\""]);
    check("a 1e999\n", &["line 1, column 3: cannot read the value \"1e999\""]);
    check("a +nan\n", &["line 1, column 3: cannot read the value \"+nan\""]);
    check("a 1\r\n", &["line 1, column 3: cannot read the value \"1\\r\""]);
    check("a 1 -5\n", &["line 1, column 5: expected the end of the line"]);
    check("a 1 5x\n", &["line 1, column 6: expected the end of the line"]);
    check("a 1 99999999999999999999\n", &["line 1, column 5: cannot read the timestamp \"99999999999999999999\""]);
    check("a{b=\"c\n", &["line 1, column 5: expected a closing quote"]);
    check("a{b} 1\n", &["line 1, column 4: expected an equals sign"]);
    check("a{b=c} 1\n", &["line 1, column 5: expected a quoted label value"]);
    check("a{,} 1\n", &["line 1, column 3: expected a label name or a closing brace"]);
    check("a{b=\"c\"}{d=\"e\"} 1\n", &["line 1, column 9: expected a value"]);
    check("9a 1\n", &["line 1, column 1: expected a metric name, a comment or an empty line"]);
    check("{a=\"b\"} 1\n", &["line 1, column 1: there is no metric name"]);
    check("a{\"b\"} 1\n", &["line 1, column 3: a metric name stands there twice"]);
    check("# TYPE a unknown\n", &["line 1, column 9: \"unknown\" is not a metric type of this format"]);
    check("# TYPE a  gauge\n", &["line 1, column 9: \" gauge\" is not a metric type of this format"]);
    check("# HELP 1a x\n", &["line 1, column 8: expected a metric name"]);
    check("x 1\na{b=\"c\",b=\"d\"} 1\n", &["x 1", "<line 2, column 1: label \"b\" stands there twice> 1"]);
    check("{\"\"} 1\n", &["<line 1, column 1: there is no metric name> 1"]);
}

#[test]
fn openmetrics_is_read_by_the_letter() {
    let check = |text: &str, expected: &[&str]| check(Format::OpenMetrics, text, expected);
    check("# EOF", &[]);
    check("# EOF\n", &[]);
    check("a 1\n", &["a 1", "line 2, column 1: data does not end with # EOF"]);
    check("a 1", &["line 1, column 4: data does not end with # EOF"]);
    check("# EOF\nx", &["line 2, column 1: there is data after # EOF"]);
    check(
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds x\\\"y\na_seconds_total{b=\"c\"} 1 1.5\na_seconds_created{b=\"c\"} 1600000000.25\n# EOF\n",
        &[
            "TYPE a_seconds counter",
            "UNIT a_seconds seconds",
            "HELP a_seconds \"x\\\"y\"",
            "a_seconds_total{b=\"c\"} 1 @1500",
            "a_seconds_created{b=\"c\"} 1.60000000025e+09",
        ],
    );
    check("a_bucket{le=\"1\"} 1 # {trace_id=\"x\"} 0.5 1.25\na 1 2 # {} 1\n# EOF\n", &["a_bucket{le=\"1\"} 1 #", "a 1 @2000 #"]);
    check(
        "# TYPE a unknown\n# TYPE b stateset\n# TYPE c info\n# TYPE d gaugehistogram\n# EOF\n",
        &["TYPE a unknown", "TYPE b stateset", "TYPE c info", "TYPE d gaugehistogram"],
    );
    check("a -1 -0.5\n# EOF\n", &["a -1 @-500"]);
    check("\n# EOF\n", &["line 1, column 1: expected a metric name, a comment or an empty line"]);
    check("# words\n# EOF\n", &["line 1, column 1: expected # HELP, # TYPE, # UNIT or # EOF"]);
    check("a  1\n", &["line 1, column 3: expected a space and a value"]);
    check("a{b=\"c\", d=\"e\"} 1\n", &["line 1, column 9: expected a label name or a closing brace"]);
    check("a{b=\"c\"d=\"e\"} 1\n", &["line 1, column 8: expected a comma or a closing brace"]);
    check("a{b=\"c\nd\"} 1\n", &["line 1, column 5: expected a closing quote in the same line"]);
    check("a 1 NaN\n", &["line 1, column 5: cannot read the timestamp \"NaN\""]);
    check("a 1 # {\"x\"} 1\n", &["line 1, column 8: expected labels in the exemplar"]);
    check("a 1 # {x=\"y\"}\n", &["line 1, column 14: expected a space and a value"]);
    check("# UNIT a_seconds ms\n", &["line 1, column 17: unit \"ms\" is not the end of the name \"a_seconds\""]);
    check("# TYPE a untyped\n", &["line 1, column 9: \"untyped\" is not a metric type of this format"]);
    check("# HELP a\n", &["line 1, column 9: expected a space and a text"]);
}

#[test]
fn bounds_have_one_spelling() {
    check(
        Format::PrometheusText,
        "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"0.90\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_bucket{le=\"1e6\"} 2\nh_bucket{le=\"x\"} 2\n# TYPE g gauge\ng{le=\"1\"} 1\n",
        &[
            "TYPE h histogram",
            "h_bucket{le=\"1.0\"} 1",
            "h_bucket{le=\"0.9\"} 1",
            "h_bucket{le=\"+Inf\"} 2",
            "h_bucket{le=\"1e+06\"} 2",
            "h_bucket{le=\"x\"} 2",
            "TYPE g gauge",
            "g{le=\"1\"} 1",
        ],
    );
    check(Format::PrometheusText, "# TYPE s summary\ns{quantile=\"1\"} 1\n", &["TYPE s summary", "s{quantile=\"1.0\"} 1"]);
}

#[test]
fn values_are_written_as_go_writes_them() {
    for (value, text) in [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.25, "0.25"),
        (100_000.0, "100000"),
        (1e6, "1e+06"),
        (1_234_567.0, "1.234567e+06"),
        (1e21, "1e+21"),
        (1e-4, "0.0001"),
        (1e-5, "1e-05"),
        (1.5e-10, "1.5e-10"),
        (123456.789, "123456.789"),
        (1e100, "1e+100"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "+Inf"),
        (f64::NEG_INFINITY, "-Inf"),
    ] {
        assert_eq!(format_value(value), text);
    }
}

#[test]
fn families_are_rendered_in_both_formats() {
    let families = [
        Family::new("hits_total", MetricType::Counter, "Hits \"so far\"\\\nreally.").with(&[("path", "/a\"b\\c\nd")], 1e6),
        Family::new("empty_seconds", MetricType::Histogram, "Nothing yet."),
        Family::new("o.dd", MetricType::Unknown, "").with(&[("l.l", "x")], f64::NAN),
        Family { unit: "bytes".into(), ..Family::new("size_bytes", MetricType::Gauge, "Size.") }.with(&[], 2.5),
    ];
    assert_eq!(
        render(Format::PrometheusText, &families),
        "# HELP hits_total Hits \"so far\"\\\\\\nreally.\n# TYPE hits_total counter\nhits_total{path=\"/a\\\"b\\\\c\\nd\"} 1e+06\n# HELP empty_seconds Nothing yet.\n# TYPE empty_seconds histogram\n# HELP \"o.dd\" \n# TYPE \"o.dd\" untyped\n{\"o.dd\",\"l.l\"=\"x\"} NaN\n# HELP size_bytes Size.\n# TYPE size_bytes gauge\nsize_bytes 2.5\n"
    );
    let open = render(Format::OpenMetrics, &families);
    assert_eq!(
        open,
        "# HELP hits Hits \\\"so far\\\"\\\\\\nreally.\n# TYPE hits counter\nhits_total{path=\"/a\\\"b\\\\c\\nd\"} 1e+06\n# HELP empty_seconds Nothing yet.\n# TYPE empty_seconds histogram\n# HELP \"o.dd\" \n# TYPE \"o.dd\" unknown\n{\"o.dd\",\"l.l\"=\"x\"} NaN\n# HELP size_bytes Size.\n# TYPE size_bytes gauge\n# UNIT size_bytes bytes\nsize_bytes 2.5\n# EOF\n"
    );
    assert!(Parser::new(Format::OpenMetrics, &open).all(|e| e.is_ok()));
}

#[test]
fn formats_are_negotiated() {
    for (accept, format) in [
        ("", Format::PrometheusText),
        ("*/*", Format::PrometheusText),
        ("text/html,application/xhtml+xml,*/*;q=0.8", Format::PrometheusText),
        (
            "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            Format::OpenMetrics,
        ),
        ("application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3", Format::OpenMetrics),
        ("text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.4", Format::PrometheusText),
        ("application/openmetrics-text; version=2.0.0", Format::PrometheusText),
        ("application/openmetrics-text;q=0", Format::PrometheusText),
    ] {
        assert_eq!(Format::negotiate(accept), format, "{accept}");
    }
    assert_eq!(Format::from_content_type("text/plain; version=0.0.4; charset=utf-8"), Some(Format::PrometheusText));
    assert_eq!(Format::from_content_type("application/openmetrics-text; version=1.0.0"), Some(Format::OpenMetrics));
    assert_eq!(Format::from_content_type("text/html"), None);
}

#[test]
fn bytes_that_are_no_utf8_have_a_place() {
    let error = Parser::from_bytes(Format::PrometheusText, b"a 1\nb{c=\"\xff\"} 1\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 6: text is not valid UTF-8");
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-zA-Z_:][a-zA-Z0-9_:]{0,12}", ".{1,8}"]
}

proptest! {
    /// What a caller expects changes nothing of what is found.
    #[test]
    fn expectations_change_nothing(text in "([ab]( |\\{x=\"[12]\"\\}| ?\\{\\})[ \\t]{0,2}[12\\{]?( 5)?\n?|# TYPE a gauge\n){0,6}", expected in "[ab]?( |\\{x=\"[12]\"\\}| ?\\{\\})?") {
        let plain: Vec<_> = Parser::new(Format::PrometheusText, &text).map(|e| e.map(|e| show(&e))).collect();
        let mut parser = Parser::new(Format::PrometheusText, &text);
        let mut found = Vec::new();
        while let Some(entry) = parser.next_expecting(expected.as_bytes()) {
            if let Ok(Entry::Sample(sample)) = &entry {
                prop_assert!(!sample.expected || sample.series == expected);
            }
            found.push(entry.map(|e| show(&e)));
        }
        prop_assert_eq!(found, plain);
    }
}

proptest! {
    #[test]
    fn what_is_rendered_is_read_back(
        series in proptest::collection::vec((name(), proptest::collection::btree_map("[a-z][a-z0-9_]{0,6}|.{1,6}", ".{0,12}", 0..5), any::<f64>()), 0..8),
        open: bool,
    ) {
        let mut expected = Vec::new();
        let mut families = Vec::new();
        for (name, pairs, value) in &series {
            let labels = Labels::from_pairs(pairs.iter().filter(|(n, _)| *n != METRIC_NAME).map(|(n, v)| (n.as_str(), v.as_str())).chain([(METRIC_NAME, name.as_str())]));
            let mut family = Family::new(name, MetricType::Gauge, name);
            family.points.push((labels.clone(), *value));
            families.push(family);
            expected.push((labels, value.is_nan(), if value.is_nan() { 0 } else { value.to_bits() }));
        }
        let format = if open { Format::OpenMetrics } else { Format::PrometheusText };
        let text = render(format, &families);
        let mut found = Vec::new();
        for entry in Parser::new(format, &text) {
            if let Entry::Sample(s) = entry.unwrap() {
                found.push((s.labels().unwrap(), s.value.is_nan(), if s.value.is_nan() { 0 } else { s.value.to_bits() }));
            }
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn no_bytes_make_a_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), open: bool) {
        let format = if open { Format::OpenMetrics } else { Format::PrometheusText };
        if let Ok(parser) = Parser::from_bytes(format, &bytes) {
            for entry in parser { if let Ok(Entry::Sample(s)) = entry { let _unused = s.labels(); } }
        }
    }

    #[test]
    fn nearly_valid_text_makes_no_parser_panic(text in "([a-z{}\"\\\\=,# .0-9\n]|# HELP |# TYPE |# EOF| counter|\\{a=\"){0,40}", open: bool) {
        let format = if open { Format::OpenMetrics } else { Format::PrometheusText };
        for entry in Parser::new(format, &text) { if let Ok(Entry::Sample(s)) = entry { let _unused = s.labels(); } }
    }
}

#[test]
fn the_raw_text_of_a_series_is_stable() {
    let raw: Vec<_> = Parser::new(Format::PrometheusText, "  a{b=\"c\"}  1\na 2\n")
        .map(|e| match e.unwrap() {
            Entry::Sample(s) => s.series.to_owned(),
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(raw, ["a{b=\"c\"}", "a"]);
    let sample = Parser::new(Format::PrometheusText, "a{z=\"1\",b=\"2\"} 1").next().unwrap().unwrap();
    let Entry::Sample(sample) = sample else { unreachable!() };
    assert_eq!(sample.labels().unwrap(), labels!("__name__" => "a", "b" => "2", "z" => "1"));
    assert_eq!(sample.builder().unwrap().get("z"), "1");
}
