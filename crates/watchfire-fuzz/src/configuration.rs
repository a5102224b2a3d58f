//! Configurations in languages of their own: whatever is written is refused with its place, or becomes what is to be collected.

use watchfire_collect::discovery::glob::Lookup;
use watchfire_collect::logs::alloy::{self, Outside};

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
