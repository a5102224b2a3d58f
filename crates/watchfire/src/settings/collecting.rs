//! What is looked at of this machine beside its own figures: `processes:`, `containers:`, `llm_servers:`. What the sections mean is said where they are carried out.

use std::path::Path;

use watchfire_collect::{containers, llm, process};
use watchfire_model::document::Reader;

/// All of them.
#[derive(Debug)]
pub(crate) struct CollectingSettings {
    /// `processes:`
    pub(crate) processes: process::Settings,
    /// `containers:`
    pub(crate) containers: containers::Settings,
    /// `llm_servers:`
    pub(crate) llm_servers: Vec<llm::Server>,
}

impl CollectingSettings {
    /// Reads the sections.
    pub(super) fn read<'a>(root: &Reader<'a>, section: impl Fn(&'static str) -> Reader<'a>, base: &Path) -> CollectingSettings {
        CollectingSettings {
            processes: process::Settings::read(section("processes")),
            containers: containers::Settings::read(section("containers")),
            llm_servers: llm::read(root, &|path| base.join(path)),
        }
    }
}
