//! `docs/reference/metrics.md` is made of the catalogs: it says of every family what the program knows of it, and nothing else.

use std::fmt::Write as _;
use std::path::Path;

use watchfire_pack::catalog::{Catalogs, FamilySpec, LabelSpec};

const HEAD: &str = "# Metrics by pack

Every family that the packs declare. This page is made of their catalogs (`packs/*/catalog/*.yml`):
`WATCHFIRE_WRITE_REFERENCE=1 cargo test -p watchfire-pack --test reference` writes it anew, the same test without it compares. *Made by*: `application` is a
watched program, `program` another one that is scraped as it is, the rest are ours; [catalogs](catalogs.md) explains the words.
A label with a list has these values and no other; `?` marks one that a series may come without.
";

fn label(spec: &LabelSpec) -> String {
    let mut text = format!("`{}`{}", spec.name, if spec.optional { "?" } else { "" });
    if !spec.values.is_empty() {
        let _infallible = write!(text, " ({})", spec.values.iter().map(|v| &**v).collect::<Vec<_>>().join(", "));
    }
    text
}

fn row(family: &FamilySpec) -> String {
    let labels = family.labels.iter().map(label).collect::<Vec<_>>().join(", ");
    let buckets = if family.buckets.is_empty() {
        String::new()
    } else {
        format!(" Buckets: {}.", family.buckets.iter().map(f64::to_string).collect::<Vec<_>>().join(", "))
    };
    let help = family.help.replace('|', "\\|");
    format!("| `{}` | {} | {} | {labels} | {help}{buckets} |\n", family.name, family.kind.name(), family.unit)
}

fn page() -> String {
    let catalogs = Catalogs::builtin();
    let mut text = HEAD.to_owned();
    let (mut pack, mut file) = ("", "");
    for family in catalogs.iter() {
        if pack != &*family.pack {
            pack = &family.pack;
            let _infallible = write!(text, "\n## {pack}\n");
        }
        if file != &*family.file {
            file = &family.file;
            let _infallible = write!(
                text,
                "\nFrom `{file}`, made by {}:\n\n| Family | Type | Unit | Labels | What it tells |\n|---|---|---|---|---|\n",
                family.produced_by.name()
            );
        }
        text.push_str(&row(family));
    }
    text
}

#[test]
fn the_reference_lists_every_family() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/metrics.md");
    let wanted = page();
    if std::env::var_os("WATCHFIRE_WRITE_REFERENCE").is_some() {
        std::fs::write(path, wanted).unwrap();
    } else {
        assert!(std::fs::read_to_string(path).unwrap() == wanted, "run: WATCHFIRE_WRITE_REFERENCE=1 cargo test -p watchfire-pack --test reference");
    }
}
