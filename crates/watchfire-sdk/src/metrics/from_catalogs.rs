//! Makes the modules of names from the catalogs: for the example that writes them and the test that compares them. No part of
//! the library.

use watchfire_model::batch::MetricType;
use watchfire_pack::catalog::{Catalogs, FamilySpec, Producer};

/// The packs with a module of names.
pub(crate) const PACKS: [&str; 3] = ["hsi", "pisovereign", "vms"];

/// The text of the module that a pack's catalog makes.
pub(crate) fn module(pack: &str) -> String {
    let catalogs = Catalogs::builtin();
    let mut families: Vec<&FamilySpec> = catalogs.iter().filter(|f| &*f.pack == pack && f.produced_by == Producer::Application).collect();
    families.sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
    let mut text = format!(
        "//! What programs of the pack `{pack}` record, from its catalog: `cargo run -p watchfire-sdk --example write_names`\n//! makes this file. It holds names and labels only.\n\nuse super::{{USES}};\n"
    );
    let mut used = std::collections::BTreeSet::new();
    for family in families {
        let kind = match family.kind {
            MetricType::Counter => "Counter",
            MetricType::Gauge => "Gauge",
            MetricType::Histogram => "Histogram",
            _ => continue,
        };
        used.insert(kind);
        let constant = family.name.strip_prefix(&format!("{pack}_")).unwrap_or(&family.name).to_uppercase();
        let labels: Vec<String> = family.labels.iter().map(|l| format!("{:?}", l.name)).collect();
        let (count, labels) = (labels.len(), labels.join(", "));
        text += &format!("\n/// {}\npub const {constant}: {kind}<{count}> = {kind}({:?}, [{labels}]);\n", family.help, family.name);
    }
    let uses: Vec<&str> = used.into_iter().collect();
    text.replace("{USES}", &format!("{{{}}}", uses.join(", ")))
}

/// Where it stands.
pub(crate) fn path(pack: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/metrics").join(format!("{pack}.rs"))
}
