//! What parses, what does not and where, how it is printed, and that whatever is written never panics.

use proptest::prelude::*;

use super::*;

#[test]
fn queries_are_printed_canonically() {
    for (text, printed) in [
        ("{a=\"b\"}", "{a=\"b\"}"),
        (
            "{ a = \"b\" , c!~`d.*`, }|=\"x\"!=`y`|~\"z\"!~\"w\"|>\"<_>p\"!>\"q<_>\"",
            "{a=\"b\", c!~\"d.*\"} |= \"x\" != \"y\" |~ \"z\" !~ \"w\" |> \"<_>p\" !> \"q<_>\"",
        ),
        ("{a=\"b\"} |= \"x\" or \"y\" or ip(\"10.0.0.0/8\")", "{a=\"b\"} |= \"x\" or \"y\" or ip(\"10.0.0.0/8\")"),
        ("{a=\"b\"} |= \"x\" # a remark\n | json", "{a=\"b\"} |= \"x\" | json"),
        ("{a=\"b\"}|json|logfmt|unpack|decolorize", "{a=\"b\"} | json | logfmt | unpack | decolorize"),
        ("{a=\"b\"}|json x,y=\"z.w[0]\"", "{a=\"b\"} | json x=\"x\", y=\"z.w[0]\""),
        ("{a=\"b\"}|logfmt --strict --keep-empty x, y=\"z\"", "{a=\"b\"} | logfmt --strict --keep-empty x=\"x\", y=\"z\""),
        ("{a=\"b\"}|pattern `<x> <_>`|regexp \"(?P<y>.)\"", "{a=\"b\"} | pattern \"<x> <_>\" | regexp \"(?P<y>.)\""),
        ("{a=\"b\"}|line_format `{{.x}}`|label_format x=y,z=`{{.w}}`", "{a=\"b\"} | line_format \"{{.x}}\" | label_format x=y, z=\"{{.w}}\""),
        ("{a=\"b\"}|drop x,y=\"z\"|keep x,y=~\"z\"", "{a=\"b\"} | drop x, y=\"z\" | keep x, y=~\"z\""),
        (
            "{a=\"b\"}|x=\"y\"|n==5|d>1h30m|s<=20KiB|n!=-1.5|i=ip(\"::1\")",
            "{a=\"b\"} | x=\"y\" | n == 5 | d > 1h30m | s <= 20KiB | n != -1.5 | i = ip(\"::1\")",
        ),
        ("{a=\"b\"}|x=\"1\" and y=\"2\" or z=\"3\"", "{a=\"b\"} | x=\"1\" and y=\"2\" or z=\"3\""),
        ("{a=\"b\"}|(x=\"1\" or y=\"2\"),z=\"3\" w=\"4\"", "{a=\"b\"} | x=\"1\" or y=\"2\" and z=\"3\" and w=\"4\""),
        ("{a=\"b\"}|x=\"1\" or (y=\"2\" and z=\"3\")", "{a=\"b\"} | x=\"1\" or (y=\"2\" and z=\"3\")"),
        ("{a=\"b\"}|json!=\"x\"", "{a=\"b\"} | json != \"x\""),
        ("{a=\"b\"}|(json!=\"x\")", "{a=\"b\"} | (json!=\"x\")"),
        ("{a=\"b\"}|json=\"x\"", "{a=\"b\"} | (json=\"x\")"),
        ("({a=\"b\"}|json)", "{a=\"b\"} | json"),
        ("rate({a=\"b\"}[5m])", "rate({a=\"b\"}[5m])"),
        ("rate({a=\"b\"}[5m]|=\"x\")", "rate({a=\"b\"} |= \"x\"[5m])"),
        ("rate(({a=\"b\"}|=\"x\")[90s] offset 1h)", "rate({a=\"b\"} |= \"x\"[1m30s] offset 1h)"),
        ("rate({a=\"b\"}[5m] offset -1h | json)", "rate({a=\"b\"} | json[5m] offset -1h)"),
        (
            "quantile_over_time(0.99,{a=\"b\"}|json|unwrap duration(x)|__error__=\"\"[1m])by(c)",
            "quantile_over_time(0.99, {a=\"b\"} | json | unwrap duration(x) | __error__=\"\"[1m]) by (c)",
        ),
        ("sum_over_time({a=\"b\"}[1m]|unwrap bytes(x))", "sum_over_time({a=\"b\"} | unwrap bytes(x)[1m])"),
        ("sum by(c)(rate({a=\"b\"}[1m]))", "sum by (c) (rate({a=\"b\"}[1m]))"),
        ("sum(rate({a=\"b\"}[1m]))without(c,d)", "sum without (c, d) (rate({a=\"b\"}[1m]))"),
        ("topk(5,sum(rate({a=\"b\"}[1m]))by(c))", "topk(5, sum by (c) (rate({a=\"b\"}[1m])))"),
        ("sort_desc(count(rate({a=\"b\"}[1m])))", "sort_desc(count(rate({a=\"b\"}[1m])))"),
        ("rate({a=\"b\"}[1m])/on(c)group_left(d)rate({a=\"b\"}[1m])", "rate({a=\"b\"}[1m]) / on (c) group_left (d) rate({a=\"b\"}[1m])"),
        ("rate({a=\"b\"}[1m])>bool 1.50", "rate({a=\"b\"}[1m]) > bool 1.5"),
        ("rate({a=\"b\"}[1m])or vector(0)", "rate({a=\"b\"}[1m]) or vector(0)"),
        ("1+2*3^-2", "1 + 2 * 3 ^ -2"),
        ("(1+2)*3", "(1 + 2) * 3"),
        ("label_replace(rate({a=\"b\"}[1m]),\"x\",\"$1\",\"y\",\"(.*)\")", "label_replace(rate({a=\"b\"}[1m]), \"x\", \"$1\", \"y\", \"(.*)\")"),
        ("{a=\"\\u00e9\\n\"}", "{a=\"é\\n\"}"),
    ] {
        let expr = parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(expr.to_string(), printed, "{text}");
        assert_eq!(parse(printed).unwrap_or_else(|e| panic!("{printed}: {e}")).to_string(), printed);
        assert_eq!(parse(&expr.pretty()).unwrap_or_else(|e| panic!("{}: {e}", expr.pretty())).to_string(), printed);
    }
}

#[test]
fn errors_name_their_place() {
    let mut wrong = Vec::new();
    for (text, line, column, message) in [
        ("", 1, 1, "empty"),
        ("{", 1, 2, "unexpected end of the query"),
        ("{}", 1, 1, "at least one regexp or equality matcher"),
        ("{a=~\".*\"}", 1, 1, "at least one regexp or equality matcher"),
        ("{a=\"\"}", 1, 1, "at least one regexp or equality matcher"),
        ("{a!=\"b\"}", 1, 1, "at least one regexp or equality matcher"),
        ("{a='b'}", 1, 4, "unexpected character '\\''"),
        ("{a=\"b}", 1, 4, "literal not terminated"),
        ("{a=\"\\q\"}", 1, 4, "invalid escape"),
        ("{a=~\"(\"}", 1, 5, "regular expression"),
        ("{a=\"b\"", 1, 7, "unexpected end of the query, expecting \"}\""),
        ("{a=\"b\"} |", 1, 10, "unexpected end of the query"),
        ("{a=\"b\"}\n|~ \"(\"", 2, 4, "error parsing regexp"),
        ("{a=\"b\"} |> \"<x>\"", 1, 12, "<_> only"),
        ("{a=\"b\"} |~ ip(\"::1\")", 1, 12, "ip() is only possible"),
        ("{a=\"b\"} |= ip(\"x\")", 1, 15, "ip: error in parsing"),
        ("{a=\"b\"} | json x=\"a[\"", 1, 18, "invalid json expression"),
        ("{a=\"b\"} | json x,", 1, 18, "expecting a label name"),
        ("{a=\"b\"} | logfmt --nope", 1, 18, "unknown flag"),
        ("{a=\"b\"} | pattern \"x\"", 1, 19, "at least one capture"),
        ("{a=\"b\"} | regexp \"x\"", 1, 18, "at least one named capture"),
        ("{a=\"b\"} | line_format \"{{\"", 1, 23, "invalid template"),
        ("{a=\"b\"} | label_format x=y,x=z", 1, 28, "multiple label name 'x'"),
        ("{a=\"b\"} | label_format __error__=y", 1, 24, "cannot be formatted"),
        ("{a=\"b\"} | x", 1, 12, "expecting a comparison"),
        ("{a=\"b\"} | x > \"y\"", 1, 15, "cannot be compared by >"),
        ("{a=\"b\"} | x > y", 1, 15, "expecting a text in quotes, a number"),
        ("{a=\"b\"} | x > 5zz", 1, 15, "no number, duration or size"),
        ("{a=\"b\"} | unwrap x", 1, 11, "only possible in a range aggregation"),
        ("{a=\"b\"} | drop", 1, 15, "expecting a label name"),
        ("rate({a=\"b\"})", 1, 1, "needs a window"),
        ("rate({a=\"b\"}[])", 1, 14, "expecting a duration"),
        ("rate({a=\"b\"}[5])", 1, 14, "not a valid duration string"),
        ("rate({a=\"b\"}[0s])", 1, 14, "longer than nothing"),
        ("rate({a=\"b\"}[5m:1m])", 1, 16, "subqueries"),
        ("rate({a=\"b\"}[5m] @ 5)", 1, 18, "the @ modifier"),
        ("rate({a=\"b\"}[5m][5m])", 1, 17, "one window"),
        ("count_over_time({a=\"b\"}|unwrap x[5m])", 1, 1, "invalid aggregation count_over_time with unwrap"),
        ("sum_over_time({a=\"b\"}[5m])", 1, 1, "invalid aggregation sum_over_time without unwrap"),
        ("sum_over_time({a=\"b\"}|unwrap x[5m]) by (c)", 1, 37, "grouping not allowed for sum_over_time"),
        ("rate({a=\"b\"}[5m]) by (c)", 1, 19, "grouping not allowed for rate"),
        ("avg_over_time({a=\"b\"}|unwrap nope(x)[5m])", 1, 30, "unknown conversion nope"),
        ("avg_over_time({a=\"b\"}|unwrap x|json[5m])", 1, 31, "only label filters"),
        ("avg_over_time({a=\"b\"}|unwrap x|unwrap y[5m])", 1, 32, "possible once"),
        ("quantile_over_time({a=\"b\"}|unwrap x[5m])", 1, 20, "parameter required"),
        ("max_over_time(1,{a=\"b\"}|unwrap x[5m])", 1, 15, "not supported"),
        ("topk(rate({a=\"b\"}[5m]))", 1, 6, "parameter required"),
        ("topk(0,rate({a=\"b\"}[5m]))", 1, 6, "greater than 0"),
        ("topk(1.5,rate({a=\"b\"}[5m]))", 1, 6, "whole number"),
        ("sort by (a) (rate({a=\"b\"}[5m]))", 1, 6, "grouping not allowed for sort"),
        ("sum(1,rate({a=\"b\"}[5m]))", 1, 5, "unsupported parameter"),
        ("sum({a=\"b\"})", 1, 5, "a log query cannot stand here"),
        ("1 + {a=\"b\"}", 1, 5, "a log query cannot stand here"),
        ("sum(1)", 1, 1, "needs a vector"),
        ("nope(1)", 1, 1, "unknown function"),
        ("1 and rate({a=\"b\"}[5m])", 1, 3, "unexpected literal"),
        ("1 + bool 2", 1, 5, "bool modifier"),
        ("rate({a=\"b\"}[5m]) and on(a) group_left rate({a=\"b\"}[5m])", 1, 19, "no grouping allowed"),
        ("rate({a=\"b\"}[5m]) + on(a) group_left(a) rate({a=\"b\"}[5m])", 1, 37, "at once"),
        ("1 + on(a) rate({a=\"b\"}[5m])", 1, 3, "between two vectors"),
        ("label_replace(rate({a=\"b\"}[5m]),\"x\",\"y\",\"z\",\"(\")", 1, 45, "regular expression"),
        ("1e999", 1, 1, "no number"),
        ("rate({a=\"b\"}[5m]) )", 1, 19, "expecting the end of the query"),
    ] {
        let error = parse(text).expect_err(text);
        if (error.line, error.column) != (line, column) || !error.message.contains(message) {
            wrong.push(format!("{text}: {error}, expected {line}:{column} {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(
        parse("{a=\"b\"} |").unwrap_err().to_string(),
        "parse error at line 1, col 10: syntax error: unexpected end of the query, expecting a label name"
    );
}

#[test]
fn selectors_and_log_queries_alone() {
    assert_eq!(parse_selector("{}").unwrap().len(), 0);
    assert_eq!(parse_selector("{a=\"b\",c=~\"d\"}").unwrap().len(), 2);
    assert!(parse_selector("{a=\"b\"} |= \"x\"").is_err());
    assert!(parse_log("rate({a=\"b\"}[5m])").unwrap_err().message.contains("only log queries"));
    let expr = parse("sum(rate({a=\"b\"}[1m])) / count_over_time({c=\"d\"} | json[1m])").unwrap();
    let all: Vec<String> = expr.selections().iter().map(ToString::to_string).collect();
    assert_eq!(all, ["{a=\"b\"}", "{c=\"d\"} | json"]);
}

#[test]
fn limits_are_enforced() {
    assert!(parse(&" ".repeat(TEXT_BYTES_MAX + 1)).unwrap_err().message.contains("bytes long"));
    let nested = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&nested(NESTING_MAX / 2 - 2)).is_ok());
    assert!(parse(&nested(NESTING_MAX)).unwrap_err().message.contains("nested"));
    assert!(parse(&"(".repeat(10_000)).unwrap_err().message.contains("nested"));
    assert!(parse(&vec!["1"; 90].join("+")).is_ok());
    assert!(parse(&vec!["1"; 5_000].join("+")).unwrap_err().message.contains("operators"));
    assert!(parse(&vec!["1"; 5_000].join("^")).unwrap_err().message.contains("nested"));
    assert!(parse(&format!("{{a=\"b\"}}{}", " | json".repeat(300))).unwrap_err().message.contains("stages"));
    assert!(parse(&format!("{{a=\"b\"}} | {}", vec!["x=\"y\""; 600].join(" and "))).unwrap_err().message.contains("conditions"));
    for (text, more) in [("\"x\"", " or \"x\""), ("ip(\"10.0.0.1\")", " or ip(\"10.0.0.1\")"), ("\"x\"", " |= \"y\" or \"z\"")] {
        assert!(parse(&format!("{{a=\"b\"}} |= {text}{}", more.repeat(200))).is_ok(), "{more}");
        assert!(parse(&format!("{{a=\"b\"}} |= {text}{}", more.repeat(600))).is_err(), "{more}");
    }
    assert!(parse(&format!("{{a=\"b\"}} |= \"x\"{}", " or \"x\"".repeat(CONDITIONS_MAX))).unwrap_err().message.contains("conditions on lines"));
    for (before, one, between) in [
        ("{a=\"b\"} |~ ", "\"x.\"", " or "),
        ("{a=\"b\"} | ", "x=~\"y.\"", " or "),
        ("{a=\"b\"} | drop ", "x=~\"y.\"", ", "),
        ("{a=\"b\"} ", "| regexp \"(?P<n>.)\"", " "),
    ] {
        let query = |count: usize| format!("{before}{}", vec![one; count].join(between));
        assert!(parse(&query(REGEXES_MAX)).is_ok(), "{one}");
        assert!(parse(&query(REGEXES_MAX + 1)).unwrap_err().message.contains("regular expressions"), "{one}");
    }
    assert!(parse(&format!("{{{}}}", vec!["a=~\"b.\""; REGEXES_MAX + 1].join(","))).unwrap_err().message.contains("regular expressions"));
    for (before, one, behind) in [
        ("{a=\"b\"} | logfmt ", "x=\"y\"", ""),
        ("{a=\"b\"} | json ", "x=\"y\"", ""),
        ("{a=\"b\"} | drop ", "x", ""),
        ("sum by (", "x", ") (rate({a=\"b\"}[1m]))"),
        ("{", "x=\"y\"", "}"),
    ] {
        let query = |count: usize| format!("{before}{}{behind}", vec![one; count].join(","));
        assert!(parse(&query(NAMES_MAX - 1)).is_ok(), "{before}");
        assert!(parse(&query(NAMES_MAX + 1)).unwrap_err().message.contains("names more than 1000 labels"), "{before}");
    }
    assert!(parse(&format!("{{a=\"b\"}} | {}", "(".repeat(500))).unwrap_err().message.contains("nested"));
    assert!(parse(&format!("rate({}", "(".repeat(500))).unwrap_err().message.contains("nested"));
}

/// A long chain of conditions within many parentheses is carried out, printed and dropped, too.
#[test]
fn the_highest_conditions_fit_the_stack() {
    let conditions = vec!["x=\"\""; (CONDITIONS_MAX - 1) / 30].join(" or ");
    let nested = (0..30).fold("x=\"\"".to_owned(), |inner, _| format!("{conditions} or ({inner})"));
    for conditions in [nested, vec!["x!=\"y\""; CONDITIONS_MAX].join(" and ")] {
        let log = parse_log(&format!("{{app=\"web\"}} | {conditions}")).unwrap();
        assert_eq!(parse_log(&log.to_string()).unwrap().to_string(), log.to_string());
        let request = LinesRequest { start: Nanos(0), end: Nanos(1), limit: 10, direction: Direction::Forward, interval: Duration::ZERO };
        assert_eq!(Engine::default().lines(&many(1, 1), &log, &request, &budget()).unwrap().list.len(), 1);
    }
}

/// The highest trees are evaluated, printed and dropped on an ordinary thread's stack.
#[test]
fn the_highest_trees_fit_the_stack() {
    let logs = many(1, 1);
    let chain = vec!["vector(1)"; OPERATORS_MAX + 1].join(" + ");
    let both = format!("{}vector(1){}", "(sum(vector(1)) + ".repeat(30), ")".repeat(30));
    let nested = format!("{}vector(1){}", "sum(".repeat(45), ")".repeat(45));
    for query in [chain, nested, both] {
        let expr = parse(&query).unwrap();
        assert_eq!(expr.to_string(), query);
        assert!(expr.pretty().len() >= query.len());
        Engine::default().instant(&logs, &metric(&query), Nanos(0), &budget()).unwrap();
    }
}

#[test]
fn long_queries_are_broken_into_lines() {
    let long = "{container=\"backend\", environment=\"production\"} |= \"error\" | json | status >= 500 | line_format \"{{.message}}\" | drop __error__";
    assert_eq!(
        parse(long).unwrap().pretty(),
        "{container=\"backend\", environment=\"production\"}\n  |= \"error\"\n  | json\n  | status >= 500\n  | line_format \"{{.message}}\"\n  | drop __error__"
    );
    let metric = "sum by (level) (count_over_time({container=\"backend\", environment=\"production\"} | json | level=~\"error|warn|fatal\"[5m])) / 300";
    assert_eq!(
        parse(metric).unwrap().pretty(),
        "  sum by (level) (\n    count_over_time(\n      {container=\"backend\", environment=\"production\"} | json | level=~\"error|warn|fatal\"[5m]\n    )\n  )\n/\n  300"
    );
    assert_eq!(parse("sum(rate({a=\"b\"}[5m]))").unwrap().pretty(), "sum(rate({a=\"b\"}[5m]))");
}

/// Every query over logs that stands in the documents.
#[test]
fn what_people_wrote_parses() {
    let Ok(catalogue) = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/catalogue/queries.tsv")) else {
        println!("SKIPPED: no catalogue of queries here");
        return;
    };
    let logs = many(2, 3);
    let mut count = 0;
    for line in catalogue.lines() {
        let Some(("logql", rest)) = line.split_once('\t') else { continue };
        let query = rest.split('\t').next().unwrap_or("");
        let log = parse_log(query).unwrap_or_else(|e| panic!("{query}: {e}"));
        let request = LinesRequest { start: Nanos(0), end: Nanos(1_000_000_000), limit: 100, direction: Direction::Backward, interval: Duration::ZERO };
        Engine::default().lines(&logs, &log, &request, &budget()).unwrap();
        count += 1;
    }
    assert!(count >= 8, "{count}");
}

/// Pieces that queries are made of, in any order.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "{a=\"b\"}",
        "{a=~\"b|c\"}",
        " |= \"x\"",
        " != \"y\"",
        " | json",
        " | logfmt --strict",
        " | x=\"y\"",
        " | n > 5",
        " | d <= 1m",
        " and ",
        " or ",
        " unless ",
        "(",
        ")",
        "[5m]",
        " offset 1h",
        "rate(",
        "count_over_time(",
        "sum by (a) (",
        "topk(2, ",
        "avg_over_time(",
        " | unwrap x",
        " | line_format \"{{.x}}\"",
        " | label_format a=b",
        "vector(1)",
        "1",
        " + ",
        " / ",
        " > bool ",
        " by (a)",
        " | drop a",
        " | keep a",
        ",",
        " | pattern \"<x> <_>\"",
        "label_replace(",
        "\"x\"",
        " | __error__=\"\"",
        "quantile_over_time(0.5, ",
        "#",
        "\n",
        "|",
        "=",
        "-",
        "ip(\"::1\")",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.concat())
}

fn round_trip(text: &str) -> Result<(), TestCaseError> {
    if let Ok(expr) = parse(text) {
        let printed = expr.to_string();
        let again = parse(&printed).map_err(|e| TestCaseError::fail(format!("{text:?} is printed as {printed:?}, which does not parse: {e}")))?;
        prop_assert_eq!(again.to_string(), printed.clone());
        let pretty = expr.pretty();
        let again = parse(&pretty).map_err(|e| TestCaseError::fail(format!("{text:?} is broken into {pretty:?}, which does not parse: {e}")))?;
        prop_assert_eq!(again.to_string(), printed);
        let logs = many(2, 3);
        match expr {
            Expr::Log(log) => {
                let request = LinesRequest { start: Nanos(0), end: Nanos(1_000_000_000), limit: 100, direction: Direction::Backward, interval: Duration::ZERO };
                drop(Engine::default().lines(&logs, &log, &request, &budget()));
            }
            Expr::Metric(metric) => drop(Engine::default().range(&logs, &metric, Nanos(0), Nanos(5_000_000_000), Duration::from_secs(1), &budget())),
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn pieces_in_any_order_never_panic(text in pieces()) {
        round_trip(&text)?;
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,60}") {
        round_trip(&text)?;
    }
}
