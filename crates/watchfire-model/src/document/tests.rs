//! Tests of documents: places, duplicates, bounds, unknown keys.

use super::*;

fn check(text: &str, expected: &[&str]) {
    let context = Context::new("f.yml");
    match parse_yaml("f.yml", text) {
        Err(finding) => assert_eq!([finding.to_string().as_str()], expected),
        Ok(node) => {
            let root = Reader::new(&context, &node, "");
            if let Some(server) = root.map("server") {
                server.text("listen");
                server.duration_ms("timeout");
                server.word("mode", &["fast", "safe"]);
                server.u64("count");
                server.finish();
            }
            root.text_map("labels");
            root.finish();
            let found: Vec<String> = context.into_findings().iter().map(ToString::to_string).collect();
            assert_eq!(found, expected);
        }
    }
}

#[test]
fn every_error_has_its_place_and_a_hint() {
    check("server:\n  listen: a\n", &[]);
    check("", &[]);
    check("server:\n  listne: a\n", &["f.yml:2:3: error: unknown key \"listne\" in server; did you mean \"listen\"?"]);
    check(
        "server:\n  timeout: 5x\n  count: -1\n",
        &[
            "f.yml:2:12: error: server.timeout: must be a duration such as 30s or 1h30m, not \"5x\"",
            "f.yml:3:10: error: server.count: must be a whole number from 0, not \"-1\"",
        ],
    );
    check("server:\n  mode: fsat\n", &["f.yml:2:9: error: server.mode: must be one of fast, safe, not \"fsat\"; did you mean \"fast\"?"]);
    check("server: 5\n", &["f.yml:1:9: error: server must be a mapping, not a single value"]);
    check("server:\n  listen: a\n  listen: b\n", &["f.yml:3:3: error: key \"listen\" stands here twice, first in line 2"]);
    check("labels:\n  a: [1]\n", &["f.yml:2:6: error: labels.a must be a text, not a list"]);
}

#[test]
fn anchors_and_merges() {
    let node = parse_yaml("f", "base: &b {x: 1, y: 2}\nmine:\n  <<: *b\n  y: 3\nlist: [*b]\n").unwrap();
    let mine = node.get("mine").unwrap();
    assert_eq!(mine.get("x").unwrap().as_f64(), Some(1.0));
    assert_eq!(mine.get("y").unwrap().as_f64(), Some(3.0));
}

#[test]
fn bombs_are_refused() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for i in 1..9 {
        let refs = vec![format!("*a{}", i - 1); 10].join(",");
        bomb.push_str(&format!("a{i}: &a{i} [{refs}]\n"));
    }
    assert!(parse_yaml("f", &bomb).unwrap_err().message.contains("million"));
    let deep = "[".repeat(70);
    assert!(parse_yaml("f", &deep).is_err());
    assert!(parse_yaml("f", "a:\n\t- b\n").is_err());
}

#[test]
fn nothing_is_ignored_behind_the_first_document() {
    let place = |text: &str| parse_yaml("f", text).unwrap_err().to_string();
    assert_eq!(place("a: 1\n---\nb: 2\n"), "f:2:1: error: a second document begins here; one file holds one document");
    assert_eq!(place("a: 1\nb: x\0y\n"), "f:2:5: error: a NUL byte is not allowed here");
    assert!(parse_yaml("f", "---\na: 1\n...\n").is_ok());
}

#[test]
fn scalars() {
    let node = parse_yaml("f", "a: yes\nb: 'yes'\nc: 1_000\nd: ~\ne: \"5\"\n").unwrap();
    assert_eq!(node.get("a").unwrap().as_bool(), Some(true));
    assert_eq!(node.get("b").unwrap().as_bool(), None);
    assert_eq!(node.get("c").unwrap().as_f64(), Some(1000.0));
    assert!(node.get("d").unwrap().is_null());
    assert_eq!(node.get("e").unwrap().as_f64(), None);
}
