//! The executable specification of our PromQL and LogQL, run wherever it can be asked: scripts of load, eval and expectation
//! (`crates/watchfire-query/testdata/*.test`) against a source in memory, the real store, and the real binary over HTTP.
//!
//! `script` reads the language of the scripts, `runner` compares, `subject` says what can be asked, the other files are the subjects.
//! It is a tool for tests: nothing of it is in the product.

pub mod http;
pub mod local;
pub mod logs;
mod remote_write;
pub mod runner;
pub mod script;
pub mod subject;

use std::path::PathBuf;

/// The scripts in the order of their names: family and text.
pub fn scripts() -> std::io::Result<Vec<(String, String)>> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../watchfire-query/testdata");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "test") {
            let family = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            found.push((family, std::fs::read_to_string(&path)?));
        }
    }
    found.sort();
    Ok(found)
}
