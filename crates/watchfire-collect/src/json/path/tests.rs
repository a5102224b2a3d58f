//! The dialect: what paths select and print, what is refused, and that nothing makes it panic.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{EvalError, Path};

fn document() -> Value {
    json!({
        "a": {"b": {"c": 7}, "odd.name": 1, "list": [1, 2, 3, 4, 5]},
        "cameras": [
            {"id": "front", "fps": 15, "on": true, "zone": {"name": "door"}},
            {"id": "back", "fps": 12.5, "on": false, "note": null},
            {"id": "roof", "fps": 0, "on": true, "odd:key": "a)b"},
        ],
        "list": [[1, 2], [3], []], "kube:id (x)": 9, "dots": {"a.b": 1, "c": {"d": 2}, "e.f": 3, "e": {"f": 4}},
        "mixed": [{"b": 1.0, "a": "<i>", "n": null}, 1e7, 1e21, 1e-7, 123456789012345678u64],
        "big": 12345678, "status": "healthy", "none": null, "yes": true, "text": "say \"hi\"",
    })
}

fn check(cases: &[(&str, Result<&str, &str>)]) {
    for (path, expected) in cases {
        let found = Path::parse(path).map_err(|e| e.to_string()).and_then(|p| p.text(&document()).map_err(|e| e.to_string()));
        assert_eq!(found.as_deref().map_err(String::as_str), *expected, "{path}");
    }
}

#[test]
fn names_lists_and_slices() {
    check(&[
        ("{ .a.b.c }", Ok("7")),
        ("{.a.b.c}", Ok("7")),
        ("{$.a.b.c}", Ok("7")),
        ("{['a']['b'].c}", Ok("7")),
        ("{.a.odd\\.name}", Ok("1")),
        ("{.a['odd.name']}", Ok("1")),
        ("{.cameras[0].id}", Ok("front")),
        ("{.cameras[-1].id}", Ok("roof")),
        ("{.cameras[3].id}", Err("the index 3 is outside of a list of 3")),
        ("{.cameras[*].fps}", Ok("15 12.5 0")),
        ("{.a.list[1:3]}", Ok("2 3")),
        ("{.a.list[:2]}", Ok("1 2")),
        ("{.a.list[3:]}", Ok("4 5")),
        ("{.a.list[::2]}", Ok("1 3 5")),
        ("{.a.list[-2:]}", Ok("4 5")),
        ("{.a.list[2:2]}", Ok("")),
        ("{.a.list[4:2]}", Err("the index 2 is outside of a list of 5")),
        ("{.a.list[0,2]}", Ok("1 3")),
        ("{.cameras[0]['id','fps']}", Ok("front 15")),
        ("{.a.*}", Ok("{\"c\":7} 1 [1,2,3,4,5]")),
        ("{..fps}", Ok("15 12.5 0")),
        ("{..name}", Ok("door")),
        ("{.a.b}", Ok("{\"c\":7}")),
        ("{.missing}", Err("missing is not found")),
        ("{.cameras[*].note}", Ok("<nil>")),
        ("{.status[0]}", Err("a text is no list")),
    ]);
}

#[test]
fn values_print_as_the_original_prints_them() {
    check(&[
        ("{.big}", Ok("1.2345678e+07")),
        ("{.status}", Ok("healthy")),
        ("{.none}", Ok("<nil>")),
        ("{.yes}", Ok("true")),
        ("{.text}", Ok("say \"hi\"")),
        ("plain", Ok("plain")),
        ("0.5", Ok("0.5")),
        (".status", Ok(".status")),
        ("is {.status}!", Ok("is healthy!")),
        ("{.status}{'/'}{.yes}", Ok("healthy/true")),
        ("{.status .yes}", Err("yes is not found")),
        ("{.a .b .c}", Ok("7")),
        ("{.status '/'}", Ok("/")),
        ("{range .cameras[*]}{.id}={.fps};{end}", Ok("front=15;back=12.5;roof=0;")),
        ("{range .cameras[*]}{range .zone}{.name}{end}{end}", Err("zone is not found")),
        ("", Ok("")),
        ("{1.5}", Ok("1.5")),
        ("{@.status}", Ok("healthy")),
    ]);
}

#[test]
fn quoted_names_divide_at_dots_and_bare_ones_end_at_few_characters() {
    check(&[
        ("{.dots['c.d']}", Ok("2")),
        ("{.dots['a.b']}", Ok("1")),
        ("{.dots['e.f']}", Ok("4")),
        ("{.dots['e\\.f']}", Ok("3")),
        ("{.dots['c.x']}", Err("c.x is not found")),
        ("{.cameras[0]['zone.name', 'id']}", Ok("door front")),
        ("{.cameras[*]['id','fps']}", Ok("front back roof 15 12.5 0")),
        ("{.cameras[*]['note','zone']}", Ok("<nil> {\"name\":\"door\"}")),
        ("{.cameras[*]['none','zone']}", Err("none is not found")),
        ("{.kube:id\\ (x)}", Ok("9")),
        ("{['kube:id (x)']}", Ok("9")),
        ("{.it's=\"x\"}", Err("it's=\"x\" is not found")),
    ]);
}

#[test]
fn a_dollar_is_wherever_one_stands() {
    check(&[
        ("{range .cameras[*]}{$.id} {end}", Ok("front back roof ")),
        ("{range .cameras[*]}{@.id} {end}", Ok("front back roof ")),
        ("{$$.status@}", Ok("healthy")),
    ]);
    assert!(Path::parse("{@}").unwrap().text(&json!([1, "a"])).is_ok_and(|text| text == "[1,\"a\"]"));
    assert!(Path::parse("{}").unwrap().text(&json!(5)).is_ok_and(|text| text == "5"));
}

#[test]
fn odd_slices_and_values() {
    check(&[
        ("{.a.list[]}", Ok("1")),
        ("{.list[*][0]}", Err("the index 0 is outside of a list of 0")),
        ("{.list[0:2][*]}", Ok("1 2 3")),
        ("{.list[0:2][-1]}", Ok("2 3")),
        ("{.list[*][:]}", Ok("1 2 3")),
        ("{.a.list[-3:-1]}", Ok("3 4")),
        ("{.a.list[-6]}", Err("the index -6 is outside of a list of 5")),
        ("{.a.list[1:9]}", Err("the index 9 is outside of a list of 5")),
        ("{.mixed}", Ok("[{\"a\":\"\\u003ci\\u003e\",\"b\":1,\"n\":null},10000000,1e+21,1e-7,123456789012345680]")),
        ("{.mixed[*]}", Ok("{\"a\":\"\\u003ci\\u003e\",\"b\":1,\"n\":null} 1e+07 1e+21 1e-07 1.2345678901234568e+17")),
        ("{.list}", Ok("[[1,2],[3],[]]")),
    ]);
}

#[test]
fn conditions_choose_items() {
    check(&[
        ("{.cameras[?(@.id == \"back\")].fps}", Ok("12.5")),
        ("{.cameras[?(@.id=='back')].fps}", Ok("12.5")),
        ("{.cameras[?(@.fps > 12)].id}", Ok("front back")),
        ("{.cameras[?(@.fps>=12.5)].id}", Ok("front back")),
        ("{.cameras[?(@.fps<1)].id}", Ok("roof")),
        ("{.cameras[?(@.fps!=0)].id}", Ok("front back")),
        ("{.cameras[?(@.on==true)].id}", Ok("front roof")),
        ("{.cameras[?(@.zone)].id}", Ok("front")),
        ("{.cameras[?(@.zone.name=='door')].id}", Ok("front")),
        ("{.a.list[?(@ > 3)]}", Ok("4 5")),
        ("{.cameras[?(@.id=='none')].fps}", Ok("")),
        ("is {.cameras[?(@.id=='none')].fps}.", Ok("is .")),
        ("{.cameras[?( @.id == \"back\" )].fps}", Ok("12.5")),
        ("{.cameras[?($.id=='back')].fps}", Ok("12.5")),
        ("{.cameras[?(@.odd:key=='a)b')].id}", Ok("roof")),
        ("{.cameras[?('back'==@.id)].id}", Ok("back")),
        ("{.cameras[?(@.note == null)].id}", Err("cannot read the JSONPath at byte 22: 'n' is not expected here")),
        ("{.a[?(@.b)]}", Err("an object is no list")),
    ]);
}

#[test]
fn what_is_no_path_is_told_with_its_place() {
    for (path, expected) in [
        ("{.a", "cannot read the JSONPath at byte 3: } is missing"),
        ("{.a[}", "cannot read the JSONPath at byte 4: a number, a quoted name, * or ?() is missing"),
        ("{.a[?(@.b == )]}", "cannot read the JSONPath at byte 13: a side of a condition is missing"),
        ("{range .a}", "cannot read the JSONPath at byte 10: {range} without {end}"),
        ("{end}", "cannot read the JSONPath at byte 0: {end} without {range}"),
        ("{.a['b]}", "cannot read the JSONPath at byte 5: a quoted text does not end"),
        ("{.a[::0]}", "cannot read the JSONPath at byte 7: a step must be more than 0"),
        ("{a}", "cannot read the JSONPath at byte 1: 'a' is not expected here"),
        ("{.a[?(@.b == 1 && @.c == 2)]}", "cannot read the JSONPath at byte 15: '&' is not expected here"),
        ("{.a[?(@.b =~ 'x')]}", "cannot read the JSONPath at byte 10: ) is missing"),
    ] {
        assert_eq!(Path::parse(path).unwrap_err().to_string(), expected, "{path}");
    }
    assert!(Path::parse(&"{.a}".repeat(2_000)).is_err() && Path::parse(&"{range .a}".repeat(40)).is_err());
}

#[test]
fn nothing_grows_without_end() {
    let deep = (0..100).fold(json!([1]), |inner, _| json!([inner, [1]]));
    let path = Path::parse(&format!("{{{}[*]}}", "..[*]".repeat(20))).unwrap();
    assert_eq!(path.text(&deep), Err(EvalError::TooMany));
    let long = json!({"x": vec!["y".repeat(1_000); 2_000]});
    assert_eq!(Path::parse("{.x[*]}").unwrap().text(&long), Err(EvalError::TooLong));
    assert_eq!(Path::parse("{.x} {.x}").unwrap().select(&long), Err(EvalError::NotOne));
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "[{}.\\[\\]*?()@$'\"=<>!a-c0-9:, \\\\-]{0,60}") {
        if let Ok(path) = Path::parse(&text) {
            drop(path.text(&document()));
            drop(path.select(&document()));
        }
    }
}
