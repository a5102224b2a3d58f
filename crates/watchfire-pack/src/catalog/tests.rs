//! Tests of reading and checking catalogs, and of the shipped ones against the inventory of the seeds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let (catalogs, findings) = Catalogs::read(&[CatalogFile { pack: "p", path: "f.yml", text }]);
    let found: Vec<String> = findings.iter().chain(&catalogs.check()).map(ToString::to_string).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_catalog_is_read_strictly() {
    check("families:\n  a_total: {type: counter, help: A., produced_by: host}\n", &[]);
    check(
        "families:\n  a_total: {type: conter, help: A., produced_by: host}\n",
        &["f.yml:2:19: error: families.a_total.type: must be one of counter, gauge, histogram, summary, unknown, not \"conter\"; did you mean \"counter\"?"],
    );
    check("families:\n  a_total: {help: A., produced_by: host}\n", &["f.yml:2:3: error: family a_total has no type"]);
    check("families:\n  a_total: {type: counter, help: A.}\n", &["f.yml:2:3: error: family a_total does not say who produces it (produced_by)"]);
    check(
        "produced_by: host\nfamilies:\n  a_total: {type: counter, halp: A., help: B.}\n",
        &["f.yml:3:28: error: unknown key \"halp\" in families.a_total; did you mean \"help\"?"],
    );
    check(
        "produced_by: host\nlabels: {x: {}}\nfamilies:\n  a_total: {type: counter, help: A., labels: [y]}\n",
        &["f.yml:4:46: error: families.a_total.labels: there is no definition of label \"y\" in this file; did you mean \"x\"?"],
    );
    check(
        "produced_by: host\nlabels: {x: {max_length: 0, vals: [a]}}\n",
        &[
            "f.yml:2:26: error: labels.x.max_length: must be from 1 to 1024, not 0",
            "f.yml:2:29: error: unknown key \"vals\" in labels.x; did you mean \"values\"?",
        ],
    );
    check(
        "produced_by: host\nfamilies:\n  a: {type: gauge, help: A.}\n  a: {type: gauge, help: A.}\n",
        &["f.yml:4:3: error: key \"a\" stands here twice, first in line 3"],
    );
}

#[test]
fn shapes_are_checked() {
    let check = |family: &str, expected: &[&str]| {
        let text = format!("produced_by: host\nprefix: a\nlabels: {{job: {{}}, x: {{values: [A, b, b]}}}}\nfamilies:\n  {family}\n");
        let expected: Vec<String> = expected.iter().map(|e| format!("f.yml:5:3: error: family {e}")).collect();
        super::tests::check(&text, &expected.iter().map(String::as_str).collect::<Vec<_>>());
    };
    check("a: {type: counter, help: A.}", &["a: a counter must end in _total"]);
    check("a: {type: counter, help: A., irregular: foreign}", &[]);
    check("a_total: {type: counter, help: A., irregular: foreign}", &["a_total: it says that it is irregular, but breaks no rule"]);
    check("a_total: {type: gauge, help: A.}", &["a_total: only a counter may end in _total"]);
    check("b: {type: gauge, help: A.}", &["b: the name lacks the prefix that the file demands"]);
    check("a-b: {type: gauge, help: A.}", &["a-b: the name has characters other than letters, digits, _ and :"]);
    check("a: {type: gauge, help: A, irregular: foreign}", &[]);
    check("a: {type: gauge, help: A}", &["a: the help text must be one line that ends in a full stop"]);
    check("a: {type: histogram, help: A.}", &["a: a histogram needs buckets"]);
    check("a: {type: gauge, help: A., buckets: [1]}", &["a: only a histogram has buckets"]);
    check("a: {type: histogram, help: A., buckets: [1, 1]}", &["a: buckets must be finite and strictly ascending"]);
    check("a: {type: histogram, unit: seconds, help: A., buckets: [1]}", &["a: a histogram of seconds must end in _seconds"]);
    check("a: {type: gauge, help: A., labels: [job]}", &["a: \"job\" cannot be the name of a label here"]);
    check(
        "a: {type: gauge, help: A., labels: [x]}",
        &["a: values of label \"x\" must differ and not be empty", "a: values of label \"x\" must be in lower case, or it needs case: keep"],
    );
}

#[test]
fn packs_may_share_a_name_but_not_contradict() {
    let a = "jobs: [ja]\nproduced_by: host\nfamilies:\n  n: {type: gauge, help: A.}\n";
    let b = "jobs: [jb]\nproduced_by: host\nfamilies:\n  n: {type: gauge, help: B.}\n";
    let c = "produced_by: host\nfamilies:\n  n: {type: unknown, help: C.}\n";
    let file = |pack, path, text| CatalogFile { pack, path, text };
    let (catalogs, findings) = Catalogs::read(&[file("a", "a.yml", a), file("b", "b.yml", b)]);
    assert!(findings.is_empty() && catalogs.check().is_empty());
    assert_eq!(&*catalogs.resolve("n", "jb").unwrap().help, "B.");
    assert_eq!(&*catalogs.resolve("n", "other").unwrap().help, "A.");
    assert_eq!(catalogs.declarations("n").count(), 2);
    let (catalogs, _) = Catalogs::read(&[file("a", "a.yml", a), file("a", "b.yml", b), file("c", "c.yml", c)]);
    let found: Vec<String> = catalogs.check().iter().map(ToString::to_string).collect();
    assert_eq!(
        found,
        [
            "b.yml:4:3: error: family n: it is already declared in a.yml:4",
            "c.yml:3:3: error: family n: it is a gauge in a.yml:4",
            "c.yml:3:3: error: family n: it is a gauge in b.yml:4"
        ]
    );
}

#[test]
fn series_lead_to_their_family() {
    let catalogs = Catalogs::builtin();
    for (series, family) in [
        ("hsi_stage_duration_seconds_bucket", Some("hsi_stage_duration_seconds")),
        ("hsi_stage_duration_seconds_count", Some("hsi_stage_duration_seconds")),
        ("hsi_worker_active_count", Some("hsi_worker_active_count")),
        ("hsi_events_created_total_sum", None),
        ("nothing", None),
    ] {
        assert_eq!(catalogs.family_of_series(series).map(|f| &*f.name), family, "{series}");
    }
}

#[test]
fn shipped_catalogs_have_no_findings() {
    let (catalogs, findings) = Catalogs::read_packed(Catalogs::builtin_files());
    let all: Vec<String> = findings.iter().chain(&catalogs.check()).map(ToString::to_string).collect();
    assert_eq!(all, [""; 0]);
    assert_eq!(catalogs.len(), Catalogs::builtin().len());
    assert!(Catalogs::builtin_files().len() >= 10);
}

/// The inventory of the seeds, where it is present.
fn inventory() -> Option<Vec<Vec<String>>> {
    let folder = std::env::var_os("WATCHFIRE_SEEDS").map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/catalogue"), PathBuf::from);
    let text = std::fs::read_to_string(folder.join("metrics.tsv")).ok();
    if text.is_none() {
        eprintln!("SKIPPED: no inventory of the seeds in {}", folder.display());
    }
    Some(text?.lines().skip(1).map(|l| l.split('\t').map(str::to_owned).collect()).collect())
}

#[test]
fn every_family_of_the_inventory_is_declared_alike() {
    let Some(rows) = inventory() else { return };
    let catalogs = Catalogs::builtin();
    let mut seen = 0;
    for row in rows {
        let [name, kind, labels, allowed, buckets] = &row[..5] else { panic!("{row:?}") };
        let (system, row_kind, value_list) = (&row[6], &row[10], row.get(11).map_or("", String::as_str));
        // The sample of a module that users write themselves names a placeholder.
        if !matches!(row_kind.as_str(), "family" | "series" | "recorded") || name == "my_custom_metric" {
            continue;
        }
        seen += 1;
        let pack = match system.as_str() {
            "vms" if name.starts_with("node_") || name.starts_with("disk_") || name.starts_with("network_") => "host",
            "blackbox" => "probes",
            "json_exporter" => "hsi",
            "redis_exporter" => "redis",
            _ if name == "up" => "watchfire",
            other => other,
        };
        let series = row_kind == "series";
        let base = if series { ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s)).unwrap_or(name) } else { name };
        let family = catalogs.declarations(base).find(|f| &*f.pack == pack).unwrap_or_else(|| panic!("{name} is not declared in pack {pack}"));
        assert!(kind == "unknown" || kind == family.kind.name(), "{name} is a {kind}");
        let expected: BTreeSet<&str> = labels.split(',').filter(|l| !matches!(*l, "" | "le" | "job" | "instance")).collect();
        let all: BTreeSet<&str> = family.labels.iter().map(|l| &*l.name).collect();
        let required: BTreeSet<&str> = family.labels.iter().filter(|l| !l.optional).map(|l| &*l.name).collect();
        assert!(expected.is_subset(&all) && required.is_subset(&expected), "{name} has labels {expected:?}, not {all:?}");
        for (label, values) in allowed.split(';').filter_map(|a| a.trim().split_once('=')).filter(|(l, _)| *l != "job" && *l != "instance") {
            let spec = family.label(label).unwrap();
            for value in values.split('|') {
                assert!(spec.values.is_empty() || spec.values.iter().any(|v| **v == *value), "{name}: {label} lacks {value}");
            }
            if value_list == "complete" {
                assert_eq!(spec.values.len(), values.split('|').count(), "{name}: {label}");
            }
        }
        if !buckets.is_empty() {
            assert_eq!(family.buckets, buckets.split(',').map(|b| b.parse().unwrap()).collect::<Vec<f64>>(), "{name}");
        }
    }
    assert!(seen > 150, "only {seen} rows");
}
