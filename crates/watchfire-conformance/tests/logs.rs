//! LogQL's specification holds in memory and on the real store.

use std::path::Path;

use watchfire_conformance::logs::run;

#[test]
fn log_queries_hold_in_memory_and_on_the_store() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../watchfire-query/testdata/logql");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "logtest")).collect();
    files.sort();
    assert!(files.len() >= 12, "{files:?}");
    let mut wrong = Vec::new();
    let cases: usize = files.iter().map(|path| run(path, &mut wrong)).sum();
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(cases > 330, "{cases} cases");
}
