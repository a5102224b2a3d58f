//! Configurations in languages of their own, and what probes are answered: whatever is written is refused with its place, or becomes what is to be collected.

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::json::path::Path;
use watchfire_collect::logs::alloy::{self, Outside};
use watchfire_collect::probe::DnsMessage;
use watchfire_collect::redis::info::{Info, Sheet};

pub(crate) fn alloy(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let environment = |name: &str| Some(format!("value of {name}"));
    // Paths of the file lead nowhere: what lies on this machine must not matter.
    let lookup = Lookup { directory: "/nonexistent".into(), monitoring_dir: None };
    let parsed = alloy::parse("config.alloy", text, &Outside { environment: &environment, host: "host", lookup });
    for finding in parsed.findings {
        assert!(finding.line > 0 && finding.column > 0, "a finding without a place: {finding}");
    }
}

/// The first line is a path, the rest a document.
pub(crate) fn jsonpath(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (path, document) = text.split_once('\n').unwrap_or((text, "{}"));
    let (Ok(path), Ok(document)) = (Path::parse(path), serde_json::from_str::<serde_json::Value>(document)) else { return };
    // What is found is not judged: that it ends is.
    drop(path.text(&document));
    drop(path.select(&document));
}

/// The answer of a name server.
pub(crate) fn dns_message(bytes: &[u8]) {
    if let Ok(message) = DnsMessage::read(bytes) {
        assert!(message.answers.iter().all(|record| record.text.split('\t').count() >= 4), "a record without its parts");
    }
}

/// The answer to `INFO`.
pub(crate) fn redis_info(bytes: &[u8]) {
    let mut sheet = Sheet::default();
    Info::read(&String::from_utf8_lossy(bytes)).metrics(4, 1e9, &mut sheet);
    assert!(sheet.into_families().iter().flat_map(|f| &f.points).all(|(_, value)| !value.is_infinite()), "a value without end");
}
