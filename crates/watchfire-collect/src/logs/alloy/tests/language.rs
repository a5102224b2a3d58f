//! The language: what can be written, what it comes to, and where an error stands.

use proptest::prelude::*;

use super::*;

/// The text that an expression comes to, seen in a label of a file source.
fn value(expression: &str) -> String {
    let text = format!(
        "loki.write \"w\" {{ endpoint {{ url = \"http://loki:3100/\" }} }}\nloki.source.file \"f\" {{\n  forward_to = [loki.write.w.receiver]\n  targets = [{{__path__ = \"/a\", x = {expression}}}]\n}}\n"
    );
    let Parsed { config, findings } = parsed(&text);
    match config {
        Some(config) => config.files[0].groups[0].labels.get("x").cloned().unwrap_or_default(),
        None => findings[0].message.clone(),
    }
}

#[test]
fn expressions_have_values() {
    let cases = [
        (r#""a" + "b""#, "ab"),
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3", "9"),
        ("2 ^ 3 ^ 2", "512"),
        ("7 / 2", "3"),
        ("7 / 2.0", "3.5"),
        ("7 % 4 == 3 && !false", "true"),
        ("\"a\" < \"b\" || 1 / 0 == 1", "true"),
        ("-1 - -2", "1"),
        ("0x10", "16"),
        ("1e3", "1000"),
        ("[\"a\", \"b\"][1]", "b"),
        ("{ a = 1, \"b c\" = 2 }[\"b c\"]", "2"),
        ("{ a = { b = \"deep\" } }.a.b", "deep"),
        ("`raw \\d \"q\"`", "raw \\d \"q\""),
        (r#""\t\u00e9\x41\101\\""#, "\té\u{41}A\\"),
        ("sys.env(\"LOKI_URL\")", "http://loki:3100/loki/api/v1/push"),
        ("env(\"NOWHERE\") + \"x\"", "x"),
        ("string.format(\"%s-%03d-%.1f%%\", \"a\", 7, 1.25)", "a-007-1.2%"),
        ("coalesce(env(\"NOWHERE\"), \"else\")", "else"),
        ("concat([1], [2, 3])[2]", "3"),
        ("encoding.from_json(`{\"a\": [1, {\"b\": \"c\"}]}`).a[1].b", "c"),
        ("json_decode(\"true\")", "true"),
        ("string.join([\"a\", \"b\"], \"/\")", "a/b"),
        ("string.split(\"a,b\", \",\")[1]", "b"),
        ("string.to_upper(string.trim_space(\" a \"))", "A"),
        ("string.replace(\"aXb\", \"X\", \"-\")", "a-b"),
        ("file.path_join(\"/var/log\", \"../lib\", \"x\")", "/var/lib/x"),
        ("constants.hostname", "pi"),
        ("encoding.to_base64(\"hi\")", "aGk="),
        ("encoding.from_base64(\"aGk=\")", "hi"),
    ];
    for (expression, expected) in cases {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn errors_of_expressions_have_their_places() {
    let at = |text: &str| said(&format!("discovery.docker \"d\" {{\n  host = {text}\n}}\n"))[0].clone();
    assert_eq!(at("1 + \"a\""), "2:10: error: discovery.docker.d: + cannot stand between a number and a text");
    assert_eq!(at("1 / 0"), "2:10: error: discovery.docker.d: nothing can be divided by 0");
    assert_eq!(at("9223372036854775807 + 1"), "2:10: error: discovery.docker.d: the number is too large");
    assert_eq!(at("[1][3]"), "2:14: error: discovery.docker.d: there is no item 3 in a list of 1");
    assert_eq!(at("{a = 1}.b"), "2:18: error: discovery.docker.d: the object has no field \"b\"");
    assert_eq!(at("string.to_loer(\"a\")"), "2:10: error: discovery.docker.d: there is no function \"string.to_loer\"; did you mean string.to_lower?");
    assert_eq!(at("sys.env()"), "2:10: error: discovery.docker.d: sys.env takes 1 arguments, not 0");
    assert_eq!(at("string.format(\"%s\")"), "2:10: error: discovery.docker.d: format: there is no argument for %s");
    assert_eq!(at("local.file.x.content"), "2:10: error: discovery.docker.d: there is no component \"local.file.x\"");
    assert_eq!(
        at("discovery.dockre.d.targets"),
        "2:10: error: discovery.docker.d: there is no component \"discovery.dockre.d\"; did you mean discovery.docker.d?"
    );
}

#[test]
fn errors_of_the_language_have_their_places() {
    check("a.b \"l\" {\n  x = 1 y = 2\n}\n", &["2:9: error: expected the end of the line, not \"y\""]);
    check("a {\n  x = [1,\n  2\n  ]\n}\n", &["3:4: error: expected a comma at the end of the line, or ] on it"]);
    check("a {\n  x = \"open\n}\n", &["2:7: error: the text has no closing \" on its line; texts of several lines stand between backticks"]);
    check("a {\n  x = \"\\q\"\n}\n", &["2:8: error: \\q is no escape; write \\\\ for a backslash, or put the text between backticks"]);
    check("a {\n  x = `open\n}\n", &["2:7: error: the text has no closing backtick"]);
    check("a {\n  x = 1\n  x = 2\n}\n", &["3:3: error: x is set already"]);
    check("a {\n  x = {b = 1, b = 2}\n}\n", &["2:15: error: b is set already"]);
    check("a \"not a name\" {}\n", &["1:3: error: the label \"not a name\" must be a name: letters, digits and _"]);
    check("a.b = 1\n", &["1:5: error: a.b cannot be set: names of attributes have no dots"]);
    check("a {\n", &["2:1: error: expected the name of an attribute or a block, not the end of the file"]);
    check("# comment\n", &["1:1: error: # begins no comment here; write // or /* … */"]);
    check("a {\n  x = 'b'\n}\n", &["2:7: error: texts stand between double quotes or backticks"]);
    check("/* open", &["1:1: error: the comment has no end"]);
    check("x = 1\n", &["1:1: error: x stands outside of a component"]);
    check("a {\n  x = 1e999999999x\n}\n", &["2:7: error: 1e999999999x is no number"]);
    check("loki.write \"w\" { /* one\n line */ endpoint { url = \"http://loki:3100\" } } // end", &["1:1: warning: loki.write.w: nothing is sent here"]);
}

/// What is nested or chained without end is refused before the stack is.
#[test]
fn depth_is_bounded() {
    for (begin, end) in [("[", "]"), ("(", ")"), ("{a=", "}"), ("f(", ")"), ("!", ""), ("-", ""), ("1^", "")] {
        let text = format!("a {{\n x = {}1{}\n}}\n", begin.repeat(100_000), end.repeat(100_000));
        assert!(said(&text)[0].contains("this stands too deep"), "{begin}");
    }
    for step in ["+1", ".a", "[0]", "()"] {
        assert!(said(&format!("a {{\n x = b{}\n}}\n", step.repeat(100_000)))[0].contains("more than 200 steps"), "{step}");
    }
    assert!(said(&format!("{}{}", "a {\n".repeat(100_000), "}\n".repeat(100_000)))[0].contains("this stands too deep"));
    let mut chains = "1".to_owned();
    for _ in 0..50 {
        chains = format!("({chains}{})", "+1".repeat(50));
    }
    assert!(said(&format!("a {{\n x = {chains}\n}}\n"))[0].contains("more than 200 steps"));
}

proptest! {
    #[test]
    fn no_text_breaks_the_parser(text in "[ \\n\\t{}\\[\\]().,=\"`a-z0-9+*/<>!&|^%\\\\-]{0,200}") {
        let _ = parsed(&text);
    }
    #[test]
    fn nothing_breaks_the_components(parts in proptest::collection::vec(proptest::sample::select(vec![
        "loki.process \"a\" {", "}", "\n", "forward_to = ", "[loki.process.a.receiver]", "[loki.write.w.receiver]", "loki.write \"w\" {", "endpoint {",
        "url = \"http://x/\"", "stage.json {", "expressions = {a = \"\"}", "discovery.docker \"d\" {", "host = \"unix:///x\"", "targets = ",
        "discovery.docker.d.targets", "loki.source.docker \"s\" {", "loki.source.file \"f\" {", "[{__path__ = \"/a*\"}]", "discovery.relabel \"r\" {",
        "discovery.relabel.r.output", "rule {", "action = \"drop\"", "stage.match {", "selector = `{a=\"b\"}`", "local.file \"l\" {",
        "filename = local.file.l.content", "sys.env(\"A\")", "null", "1",
    ]), 0..40)) {
        let _ = parsed(&parts.join(" "));
    }
}
