//! Limits of the text languages. What they find is tested with the documents.

use watchfire_model::logs::Nanos;

use super::*;

#[test]
fn limits_are_enforced() {
    let context = Context::new(Nanos(0));
    type Read = fn(&str, &Context) -> Result<Filter, SearchError>;
    for read in [parse as Read, parse_kql as Read] {
        let error = |text: &str| read(text, &context).unwrap_err().to_string();
        assert!(error(&"a".repeat(TEXT_BYTES_MAX + 1)).contains("bytes long"));
        assert!(error(&"(".repeat(10_000)).contains("nested"));
        let nested = |n: usize| format!("{}a{}", "(".repeat(n), ")".repeat(n));
        assert!(read(&nested(NESTING_MAX - 1), &context).is_ok());
        assert!(error(&nested(NESTING_MAX + 1)).contains("nested"));
        assert!(
            error(&vec!["a"; CLAUSES_MAX + 1].join(" or ").replace("or", if read as usize == parse as Read as usize { "OR" } else { "or" }))
                .contains("conditions")
        );
    }
    // What fails nearly never does not exhaust the stack either.
    for mark in ["(", "-"] {
        let read = parse_simple(&mark.repeat(60_000), &context);
        assert!(read.is_err_and(|message| message.contains("conditions")), "{mark}");
    }
    assert!(parse_simple(&"a ".repeat(CLAUSES_MAX), &context).is_ok());
    assert!(parse_simple(&"a ".repeat(CLAUSES_MAX + 1), &context).unwrap_err().contains("conditions"));
}
