//! What is TraceQL and what is not, and that what is printed means the same.

use proptest::prelude::*;

use super::*;

/// Queries as they are printed again.
const QUERIES: [(&str, &str); 47] = [
    ("{}", "{ true }"),
    ("{ true && false || true }", "{ true && false || true }"),
    ("{ true || (false && true) }", "{ true || (false && true) }"),
    (r#"{ .a = "x" }"#, r#"{ .a = "x" }"#),
    (r#"{ span.a.b-c/d != `x` }"#, r#"{ span.a.b-c/d != "x" }"#),
    (r#"{ resource.service.name =~ "a|b" && name !~ "c.*" }"#, r#"{ resource.service.name =~ "a|b" && name !~ "c.*" }"#),
    (r#"{ span."a b" = 1 }"#, r#"{ span."a b" = 1 }"#),
    (r#"{ ."x\"y\\z" = 1 }"#, r#"{ ."x\"y\\z" = 1 }"#),
    (r#"{ span.a."b c".d = 1 }"#, r#"{ span."a.b c.d" = 1 }"#),
    (r#"{ parent."span.x" = 1 }"#, r#"{ parent."span.x" = 1 }"#),
    ("{ parent.span.x = 1 && parent.resource.x = 1 && parent.x = 1 }", "{ parent.span.x = 1 && parent.resource.x = 1 && parent.x = 1 }"),
    ("{ event.x = 1 && link.x = 1 && instrumentation.x = 1 }", "{ event.x = 1 && link.x = 1 && instrumentation.x = 1 }"),
    ("{ duration > 1.5s && duration<=1h30m&&duration < 100ms }", "{ duration > 1500ms && duration <= 90m && duration < 100ms }"),
    ("{ span:duration > 0s }", "{ duration > 0s }"),
    ("{ status = error && kind != server }", "{ status = error && kind != server }"),
    ("{ span:status = unset || span:kind = unspecified }", "{ status = unset || kind = unspecified }"),
    (r#"{ span:statusMessage = "x" && span:name = "y" }"#, r#"{ statusMessage = "x" && name = "y" }"#),
    (r#"{ trace:duration > 1s && trace:rootName = "a" && trace:rootService = "b" }"#, r#"{ traceDuration > 1s && rootName = "a" && rootServiceName = "b" }"#),
    (r#"{ trace:id = "A1" }"#, r#"{ trace:id = "000000000000000000000000000000a1" }"#),
    (r#"{ "A1" = span:id }"#, r#"{ "00000000000000a1" = span:id }"#),
    ("{ span:parentID = nil && parent != nil }", "{ parent = nil && parent != nil }"),
    ("{ event:timeSinceStart > 5ms && event:name != nil }", "{ event:timeSinceStart > 5ms && event:name != nil }"),
    (r#"{ instrumentation:name = "a" && instrumentation:version = "b" }"#, r#"{ instrumentation:name = "a" && instrumentation:version = "b" }"#),
    ("{ nestedSetParent < 0 && nestedSetLeft > 1 && nestedSetRight = 2 }", "{ nestedSetParent < 0 && nestedSetLeft > 1 && nestedSetRight = 2 }"),
    ("{ !(.a = 1) && !.b }", "{ !(.a = 1) && !.b }"),
    ("{ -.a < -1.5 && -(-2) = 2 }", "{ -.a < -1.5 && 2 = 2 }"),
    ("{ .a + .b * 2 - 3 = 2 ^ 3 ^ 2 }", "{ .a + .b * 2 - 3 = 2 ^ 3 ^ 2 }"),
    ("{ (.a + .b) * 2 > (2 ^ 3) ^ 2 }", "{ (.a + .b) * 2 > (2 ^ 3) ^ 2 }"),
    ("{ (-2) * 3 > .a - (1 - 2) }", "{ (-2) * 3 > .a - (1 - 2) }"),
    ("{ .a = 1 } // words\n && { .b = 2 }", "{ .a = 1 } && { .b = 2 }"),
    ("{.a} && {.b} || {.c}", "{ .a } && { .b } || { .c }"),
    ("{.a} && ({.b} || {.c})", "{ .a } && ({ .b } || { .c })"),
    ("{.a} > {.b} >> {.c} && {.d}", "{ .a } > { .b } >> { .c } && { .d }"),
    ("{.a} > ({.b} >> {.c})", "{ .a } > ({ .b } >> { .c })"),
    ("{.a} < {.b} << {.c} ~ {.d}", "{ .a } < { .b } << { .c } ~ { .d }"),
    ("{.a} !> {.b} !>> {.c} !< {.d} !<< {.e} !~ {.f}", "{ .a } !> { .b } !>> { .c } !< { .d } !<< { .e } !~ { .f }"),
    ("{.a} &> {.b} &>> {.c} &< {.d} &<< {.e} &~ {.f}", "{ .a } &> { .b } &>> { .c } &< { .d } &<< { .e } &~ { .f }"),
    ("({.a} | count() > 2) >> {.b}", "({ .a } | count() > 2) >> { .b }"),
    ("{} | count() > 2 | avg(duration) >= 1s | {.b}", "{ true } | count() > 2 | avg(duration) >= 1s | { .b }"),
    ("{} | (max(.a) + 1) * 2 > min(span.b) - -3", "{ true } | (max(.a) + 1) * 2 > min(span.b) - -3"),
    ("{} | by(resource.service.name, .a + 1) | sum(.x) < 2.5 | coalesce()", "{ true } | by(resource.service.name, .a + 1) | sum(.x) < 2.5 | coalesce()"),
    ("{} | select(name, .a,span.b)", "{ true } | select(name, .a, span.b)"),
    ("by(.a) | count() > 1", "by(.a) | count() > 1"),
    (
        "{} | rate() by (resource.service.name) | topk(5) with (exemplars=true, sample=0.1)",
        "{ true } | rate() by(resource.service.name) | topk(5) with (exemplars=true, sample=0.1)",
    ),
    ("{} | quantile_over_time(duration, .5, 0.99) > 100ms", "{ true } | quantile_over_time(duration, 0.5, 0.99) > 0.1"),
    ("{} | min_over_time(.a) by(.b) | bottomk(2)", "{ true } | min_over_time(.a) by(.b) | bottomk(2)"),
    ("{} | compare({ status = error }, 5, 1, 2)", "{ true } | compare({ status = error }, 5, 1, 2)"),
];

#[test]
fn queries_are_printed_as_what_they_mean() {
    for (text, printed) in QUERIES {
        let parsed = query(text);
        assert_eq!(parsed.to_string(), printed, "{text}");
        assert_eq!(query(printed).to_string(), printed, "{text}");
    }
    for measure in ["count_over_time()", "max_over_time(duration)", "avg_over_time(.a)", "sum_over_time(.a)", "histogram_over_time(duration)"] {
        let text = format!("{{ true }} | {measure}");
        assert_eq!(query(&text).to_string(), text);
    }
}

#[test]
fn errors_name_their_place() {
    let check = |text: &str, expected: &str| assert_eq!(parse(text).map(|q| q.to_string()).unwrap_err().to_string(), format!("parse error at {expected}"));
    check("", "line 1, col 1: syntax error: the query is empty");
    check("{", "line 1, col 2: syntax error: unexpected end of the query, expecting a field");
    check("{ .a = 1", "line 1, col 9: syntax error: unexpected end of the query, expecting \"}\"");
    check("{ .a = 1 }\n x", "line 2, col 2: syntax error: unexpected \"x\", expecting the end of the query");
    check(
        "{ foo = 1 }",
        "line 1, col 3: syntax error: unexpected \"foo\", expecting an attribute (span.x, resource.x, .x) or a field such as name, status, duration",
    );
    check("{ . = 1 }", "line 1, col 3: syntax error: an attribute without a name");
    check("{ span.\"a = 1 }", "line 1, col 3: syntax error: the name of an attribute is not terminated");
    check("{ .a = \"x }", "line 1, col 8: syntax error: literal not terminated");
    check("{ .a = 1x }", "line 1, col 8: syntax error: \"1x\" is neither a number nor a duration");
    check("{ 1 = \"a\" }", "line 1, col 3: binary operations must operate on the same type: 1 = \"a\"");
    check("{ status = 1 }", "line 1, col 3: binary operations must operate on the same type: status = 1");
    check("{ status > error }", "line 1, col 3: \">\" compares numbers or texts, which is not so in status > error");
    check("{ name && true }", "line 1, col 3: \"&&\" needs a condition, which name is not");
    check("{ !name }", "line 1, col 3: \"!\" needs a condition, which name is not");
    check("{ 1 + name = 2 }", "line 1, col 7: \"+\" needs a number, which name is not");
    check("{ duration }", "line 1, col 3: span filter field expressions must resolve to a boolean: { duration }");
    check("{ duration =~ \"x\" }", "line 1, col 3: a regular expression needs a text, which duration is not");
    check("{ .a =~ \"(\" }", "line 1, col 9: cannot compile regular expression \"(\": error: unclosed group");
    check("{ .a =~ 1 }", "line 1, col 9: syntax error: unexpected number 1, expecting a text in quotes");
    check("{} | count()", "line 1, col 13: syntax error: unexpected end of the query, expecting a comparison such as \"> 2\"");
    check("{} | avg(name) > 1", "line 1, col 10: aggregate field expressions must resolve to a number type: name");
    check("{} | foo()", "line 1, col 6: syntax error: unexpected \"foo\", expecting { }, an aggregate such as count(), by(), coalesce() or select()");
    check(
        "{} | count() > \"x\"",
        "line 1, col 16: syntax error: unexpected text \"x\", expecting { }, an aggregate such as count(), by(), coalesce() or select()",
    );
    check("rate()", "line 1, col 1: syntax error: unexpected \"rate\", expecting what selects spans, such as { }, before it");
    check("({} | rate()) && {}", "line 1, col 7: syntax error: unexpected \"rate\", expecting what selects spans, such as { }, before it");
    check("{} | quantile_over_time(duration)", "line 1, col 33: syntax error: unexpected \")\", expecting \",\" and a quantile");
    check("{} | quantile_over_time(duration, 2)", "line 1, col 35: quantiles are numbers from 0 to 1, at most 64 of them");
    check("{} | max_over_time(name)", "line 1, col 20: only numbers are measured, which name is not");
    check("{} | rate() | topk(0)", "line 1, col 20: a number from 1 to 1000 is needed here");
    check("{} | rate() | {}", "line 1, col 15: syntax error: unexpected \"{\", expecting topk or bottomk");
    check("{ § }", "line 1, col 3: syntax error: unexpected character '§'");
}

#[test]
fn fields_alone() {
    for (text, expected) in [
        ("name", "name"),
        ("span:status", "status"),
        ("resource.service.name", "resource.service.name"),
        (r#"span."a b""#, r#"span."a b""#),
        ("span.a b", r#"span."a b""#),
        (".x", ".x"),
        ("x.y", ".x.y"),
        ("", r#"."""#),
    ] {
        assert_eq!(field_of(text).to_string(), expected);
    }
}

#[test]
fn queries_are_limited() {
    let parens = |n: usize| format!("{{ {}true{} }}", "(".repeat(n), ")".repeat(n));
    assert!(parse(&parens(NESTING_MAX - 1)).is_ok());
    assert!(parse(&parens(NESTING_MAX)).unwrap_err().message.contains("nested more than"));
    assert!(parse(&"(".repeat(100_000)).is_err());
    assert!(parse(&format!("{{ {}true }}", "!".repeat(1_000))).unwrap_err().message.contains("nested more than"));
    let chain = |n: usize| format!("{{ true{} }}", " && true".repeat(n));
    let long = query(&chain(OPERATORS_MAX)).to_string();
    assert_eq!(query(&long).to_string(), long, "the longest query is printed so that it parses again");
    assert!(parse(&chain(OPERATORS_MAX + 1)).unwrap_err().message.contains("more than 200 operators"));
    assert!(parse(&vec!["{}"; OPERATORS_MAX + 2].join(" >> ")).is_err());
    assert!(parse(&vec!["{}"; 65].join(" | ")).unwrap_err().message.contains("more than 64 steps"));
    assert!(parse(&format!("{{}} | select({})", vec![".a"; 65].join(","))).unwrap_err().message.contains("more than 64 items"));
    let regexes = vec![".a =~ \"x\""; REGEXES_MAX + 1].join(" && ");
    assert!(parse(&format!("{{ {regexes} }}")).unwrap_err().message.contains("regular expressions"));
    assert!(parse(&" ".repeat(TEXT_BYTES_MAX + 1)).unwrap_err().message.contains("bytes long"));
}

/// Pieces of the language, so that many texts are nearly queries.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "{",
        "}",
        "(",
        ")",
        "|",
        "&&",
        "||",
        "!",
        "=",
        "!=",
        "=~",
        "!~",
        ">",
        ">>",
        "<",
        "<<",
        "~",
        "&>",
        "!>>",
        "+",
        "-",
        "*",
        "/",
        "^",
        "%",
        ".a",
        "span.b",
        "resource.c",
        "event.d",
        "parent.e",
        "name",
        "status",
        "duration",
        "trace:duration",
        "event:name",
        "1",
        "2.5",
        "10ms",
        "\"x\"",
        "\"(\"",
        "true",
        "nil",
        "error",
        "server",
        "count()",
        "avg(",
        "by(",
        "select(",
        "coalesce()",
        "rate()",
        "quantile_over_time(",
        "topk(",
        "compare(",
        "with",
        ",",
        "nestedSetParent",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..40).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn garbage_never_panics_and_what_parses_is_evaluated(text in prop_oneof![pieces(), ".{0,60}", pieces().prop_map(|p| format!("{{ {p} }}"))]) {
        if let Ok(parsed) = parse(&text) {
            let printed = parsed.to_string();
            prop_assert_eq!(parse(&printed).map(|again| again.to_string()), Ok(printed.clone()), "{}", text);
            let source = source();
            if parsed.metrics.is_some() {
                drop(measure(&source, &parsed, &Steps::new(Nanos(0), Nanos(500 * SECOND), 50 * SECOND).unwrap(), &budget()));
            } else {
                drop(search(&source, &parsed, &WANTED, &budget()));
            }
        }
    }
}
