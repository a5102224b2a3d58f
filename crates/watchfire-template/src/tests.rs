//! Tests of the limits: what a template may make, how deep it may go, and that it is refused before that costs something. What
//! templates write is tested where they are used.

use super::error::LineStarts;
use super::limits::{MADE_BYTES_MAX, NESTING_MAX, STEPS_MAX};
use super::*;

fn functions() -> Functions {
    let mut all = Functions::builtin();
    all.add("tmpl", &[Kind::Text, Kind::Any], |_| Err("carried out by the engine".into()));
    all.add("fail", &[], |_| Err("on purpose".into()));
    all
}

fn fill(text: &str, line: &str) -> Result<String, TemplateError> {
    let mut templates = Templates::new("", functions());
    templates.parse("t", text)?;
    templates.execute("t", Value::texts(MapKind::Texts, [("line", line)]), Form::Plain)
}

fn limited(text: &str, line: &str) -> &'static str {
    match fill(text, line) {
        Err(TemplateError::Limit { reason, .. }) => reason,
        other => panic!("{:.200}: {:.200}", text, format!("{other:?}")),
    }
}

#[test]
fn a_variable_that_doubles_is_refused() {
    let doubled = |times: usize| format!("{{{{ $x := .line }}}}{{{{ range {times} }}}}{{{{ $x = print $x $x }}}}{{{{ end }}}}{{{{ len $x }}}}");
    assert_eq!(fill(&doubled(10), "ab").as_deref(), Ok("2048"));
    assert_eq!(limited(&doubled(60), "ab"), "it makes a text that is too long");
    let line = "x".repeat(TEXT_RESULT_BYTES_MAX / 2);
    assert_eq!(fill(&doubled(1), &line), Ok(TEXT_RESULT_BYTES_MAX.to_string()));
    assert_eq!(limited(&doubled(2), &line), "it makes a text that is too long");
}

#[test]
fn every_function_is_bounded() {
    let line = "<".repeat(TEXT_RESULT_BYTES_MAX / 2);
    for call in ["html .line", "js .line", "urlquery .line", "println .line .line", "printf \"%s%s|\" .line .line", "printf \"%x%x|\" .line .line"] {
        assert_eq!(limited(&format!("{{{{ $x := {call} }}}}"), &line), "it makes a text that is too long", "{call}");
    }
}

#[test]
fn texts_are_no_longer_built_than_they_may_be() {
    let piece = Value::text("x".repeat(1 << 20));
    let many = vec![piece.clone(); 3_000];
    let most = TEXT_RESULT_BYTES_MAX + (1 << 20) + 100;
    for (name, text) in [
        ("print", sprint(&many)),
        ("println", print::sprintln(&many)),
        ("printf", print::sprintf(&"%s".repeat(3_000), &many)),
        ("wide", print::sprintf(&"%9999d".repeat(3_000), &vec![Value::Int(1); 3_000])),
        ("extra", print::sprintf("", &many)),
        ("list", print::sprintf("%9999d", &[Value::list(vec![Value::Int(1); 3_000])])),
        ("query", query_escape(&"<".repeat(most))),
    ] {
        assert!(text.len() > TEXT_RESULT_BYTES_MAX && text.len() <= most, "{name}: {}", text.len());
    }
}

#[test]
fn all_variables_together_are_bounded() {
    let variables = |count: usize| (0..count).map(|i| format!("{{{{ $v{i} := print .line \"\" }}}}")).collect::<String>();
    let line = "x".repeat(1 << 20);
    let fit = MADE_BYTES_MAX >> 20;
    assert_eq!(fill(&variables(fit), &line).as_deref(), Ok(""));
    assert_eq!(limited(&variables(fit + 1), &line), "it makes too much text");
    // What is written and what is read costs as well.
    assert_eq!(limited("{{ range 100 }}{{ $.line }}{{ end }}", &line), "it writes too much");
    assert_eq!(limited(&format!("{{{{ range {STEPS_MAX} }}}}{{{{ $x := len $.line }}}}{{{{ end }}}}"), &line), "it takes too many steps");
}

#[test]
fn steps_are_counted_also_where_it_fails() {
    let mut templates = Templates::new("", functions());
    templates.parse("t", "{{ range 50 }}{{ . }}{{ end }}").unwrap();
    templates.parse("f", "{{ range 50 }}{{ fail }}{{ end }}").unwrap();
    let mut steps = 0;
    templates.execute_counted("t", Value::Nil, Form::Plain, &mut steps).unwrap();
    assert!((100..400).contains(&steps), "{steps}");
    let before = steps;
    templates.execute_counted("f", Value::Nil, Form::Plain, &mut steps).unwrap_err();
    assert!(steps > before);
}

/// Blocks within a template that calls itself from within all of them.
fn recursive(block: &str, blocks: usize, call: &str) -> String {
    format!("{{{{ define \"r\" }}}}{}{call}{}{{{{ end }}}}{call}", block.repeat(blocks), "{{ end }}".repeat(blocks))
}

#[test]
fn recursion_ends_before_the_stack_does() {
    let wrapped = |open: &str, inner: &str, depth: usize| format!("{{{{ {}{inner}{} }}}}", open.repeat(depth), ")".repeat(depth));
    let calls = ["{{ template \"r\" . }}".to_owned(), wrapped("", "tmpl \"r\" .", 0), wrapped("(", "tmpl \"r\" .", 40), wrapped("print (", "tmpl \"r\" .", 40)];
    let job = move || {
        for depth in [1, 150] {
            assert_eq!(fill(&wrapped("(", "1", depth), "").as_deref(), Ok("1"));
            assert_eq!(fill(&wrapped("print (", "1", depth), "").as_deref(), Ok("1"));
        }
        for block in ["{{ if true }}", "{{ with 1 }}", "{{ range 1 }}"] {
            for (blocks, call) in [0, 1, 20, 150].into_iter().flat_map(|blocks| calls.iter().map(move |call| (blocks, call))) {
                assert!(limited(&recursive(block, blocks, call), "").contains("too deeply"), "{block} {blocks} {call:.40}");
            }
        }
        let blocks = NESTING_MAX / 2;
        assert_eq!(fill(&format!("{}x{}", "{{ if true }}".repeat(blocks), "{{ end }}".repeat(blocks)), "").as_deref(), Ok("x"));
    };
    // What threads have where nothing is said; frames are larger without optimisation, as tests are.
    std::thread::Builder::new().stack_size(2 << 20).spawn(job).unwrap().join().unwrap();
}

#[test]
fn calls_beside_each_other_do_not_nest() {
    let text = format!("{{{{ define \"a\" }}}}.{{{{ end }}}}{}", "{{ template \"a\" }}{{ if true }}{{ end }}".repeat(2 * NESTING_MAX));
    assert_eq!(fill(&text, "").map(|text| text.len()), Ok(2 * NESTING_MAX));
}

#[test]
fn positions_of_lines() {
    for text in ["", "a", "\n", "ab\ncd\n\nef", "\n\n"] {
        let lines = LineStarts::of(text);
        for at in 0..=text.len() {
            assert_eq!(lines.position(at), Position::of(text, at), "{text:?} {at}");
        }
    }
}
