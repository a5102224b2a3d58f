//! Catalogs of metric families, and `Catalogs`, all of them together. Families are declared here and nowhere else; what is
//! done with a declaration (sanitising, exposition, findings) is other rooms' business.

mod check;
mod read;

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use watchfire_model::batch::MetricType;
use watchfire_model::document::Finding;

use crate::packed::PackedText;

/// One catalog file: the pack it belongs to, the name it is known by, and its text.
#[derive(Clone, Copy, Debug)]
pub struct CatalogFile<'a> {
    /// The pack's name.
    pub pack: &'a str,
    /// The file's path as findings show it.
    pub path: &'a str,
    /// The YAML text.
    pub text: &'a str,
}

/// The catalogs of the shipped packs.
const BUILTIN: &[PackedText] = include!(concat!(env!("OUT_DIR"), "/builtin.rs"));

/// Who makes the series of a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Producer {
    /// A watched program, which exposes it itself or records it with us.
    Application,
    /// The JSON exporter's face.
    JsonExporter,
    /// The Blackbox exporter's face.
    BlackboxExporter,
    /// The Redis exporter's face.
    RedisExporter,
    /// The host collector.
    Host,
    /// The GPU monitor.
    Gpu,
    /// The scrape loop.
    Scrape,
    /// A recording rule.
    Rule,
    /// Watchfire about itself.
    Watchfire,
    /// Another program that is scraped as it is.
    Program,
}
impl Producer {
    /// All producers.
    pub const ALL: [Producer; 10] = [
        Producer::Application,
        Producer::JsonExporter,
        Producer::BlackboxExporter,
        Producer::RedisExporter,
        Producer::Host,
        Producer::Gpu,
        Producer::Scrape,
        Producer::Rule,
        Producer::Watchfire,
        Producer::Program,
    ];
    /// The word in the file.
    pub fn name(self) -> &'static str {
        match self {
            Producer::Application => "application",
            Producer::JsonExporter => "json_exporter",
            Producer::BlackboxExporter => "blackbox_exporter",
            Producer::RedisExporter => "redis_exporter",
            Producer::Host => "host",
            Producer::Gpu => "gpu",
            Producer::Scrape => "scrape",
            Producer::Rule => "rule",
            Producer::Watchfire => "watchfire",
            Producer::Program => "program",
        }
    }
}

/// Which characters a label value may have; any other becomes an underscore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Charset {
    /// Letters, digits, space and `_ - . / :`; runs of underscores are one, outer ones are cut.
    Text,
    /// Letters, digits, `_` and `-`.
    Id,
}

/// What values a label may have and what becomes of others.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelSpec {
    /// The label's name.
    pub name: Arc<str>,
    /// Whether a series may come without it.
    pub optional: bool,
    /// The only values there are; empty when any value within the other limits will do.
    pub values: Vec<Arc<str>>,
    /// What a value outside `values`, or beyond `values_max`, becomes.
    pub otherwise: Arc<str>,
    /// What an empty value becomes.
    pub empty: Arc<str>,
    /// The longest value, in characters.
    pub max_length: usize,
    /// The most different values, `otherwise` not counted.
    pub values_max: usize,
    /// The characters of a value.
    pub charset: Charset,
    /// Whether values are written in lower case.
    pub lowercase: bool,
}

/// The declaration of one family.
#[derive(Clone, Debug, PartialEq)]
pub struct FamilySpec {
    /// Its name (for counters, with `_total`).
    pub name: Arc<str>,
    /// Its type.
    pub kind: MetricType,
    /// Its help text.
    pub help: Arc<str>,
    /// Its unit, or the empty text.
    pub unit: Arc<str>,
    /// Its labels, without those a scrape adds.
    pub labels: Vec<LabelSpec>,
    /// The upper bounds of a histogram's buckets, ascending, without `+Inf`.
    pub buckets: Vec<f64>,
    /// Who makes its series.
    pub produced_by: Producer,
    /// Why the name breaks the naming rules, when it does.
    pub irregular: Option<Arc<str>>,
    /// The pack that declares it.
    pub pack: Arc<str>,
    /// The file that declares it.
    pub file: Arc<str>,
    /// Where in the file, from 1.
    pub line: usize,
    /// Where in the line, from 1.
    pub column: usize,
    pub(crate) jobs: Arc<[String]>,
    pub(crate) prefix: Option<Arc<str>>,
}
impl FamilySpec {
    /// The declaration of one of its labels.
    pub fn label(&self, name: &str) -> Option<&LabelSpec> {
        self.labels.iter().find(|l| &*l.name == name)
    }
    /// The jobs whose series this declaration describes; empty for any job.
    pub fn jobs(&self) -> &[String] {
        &self.jobs
    }
}

/// All catalogs.
#[derive(Clone, Debug, Default)]
pub struct Catalogs {
    families: Vec<FamilySpec>,
    by_name: HashMap<Arc<str>, Vec<usize>>,
}
impl Catalogs {
    /// The catalogs of the shipped packs; read once.
    pub fn builtin() -> Arc<Catalogs> {
        static CATALOGS: LazyLock<Arc<Catalogs>> = LazyLock::new(|| Arc::new(Catalogs::read_packed(BUILTIN).0));
        Arc::clone(&CATALOGS)
    }

    /// The files behind `builtin`.
    pub const fn builtin_files() -> &'static [PackedText] {
        BUILTIN
    }

    /// Reads packed files as `read` does; their texts are not kept.
    fn read_packed(files: &[PackedText]) -> (Catalogs, Vec<Finding>) {
        let texts: Vec<String> = files.iter().map(PackedText::text).collect();
        let files: Vec<CatalogFile<'_>> = files.iter().zip(&texts).map(|(f, text)| CatalogFile { pack: f.pack, path: f.path, text }).collect();
        Catalogs::read(&files)
    }

    /// Reads files; what is wrong with them is told, what is right is taken.
    pub fn read(files: &[CatalogFile<'_>]) -> (Catalogs, Vec<Finding>) {
        let mut catalogs = Catalogs::default();
        let mut findings = Vec::new();
        for file in files {
            let (families, mut problems) = read::file(file);
            findings.append(&mut problems);
            for family in families {
                catalogs.by_name.entry(Arc::clone(&family.name)).or_default().push(catalogs.families.len());
                catalogs.families.push(family);
            }
        }
        (catalogs, findings)
    }

    /// All declarations, in the order of the files.
    pub fn iter(&self) -> impl Iterator<Item = &FamilySpec> {
        self.families.iter()
    }
    /// The number of declarations.
    pub fn len(&self) -> usize {
        self.families.len()
    }
    /// Whether nothing is declared.
    pub fn is_empty(&self) -> bool {
        self.families.is_empty()
    }
    /// All declarations of one name.
    pub fn declarations(&self, name: &str) -> impl Iterator<Item = &FamilySpec> {
        self.by_name.get(name).into_iter().flatten().map(|i| &self.families[*i])
    }
    /// The first declaration of a name.
    pub fn family(&self, name: &str) -> Option<&FamilySpec> {
        self.declarations(name).next()
    }
    /// The declaration of a name that is meant for a job, or else the first.
    pub fn resolve(&self, name: &str, job: &str) -> Option<&FamilySpec> {
        self.declarations(name).find(|f| f.jobs.iter().any(|j| j == job)).or_else(|| self.family(name))
    }
    /// The family to which a series of this name belongs: itself, or the histogram or summary behind `_bucket`, `_sum`, `_count`.
    pub fn family_of_series(&self, name: &str) -> Option<&FamilySpec> {
        self.family(name).or_else(|| {
            let base = ["_bucket", "_sum", "_count"].into_iter().find_map(|suffix| name.strip_suffix(suffix))?;
            self.declarations(base).find(|f| matches!(f.kind, MetricType::Histogram | MetricType::Summary))
        })
    }
    /// What breaks the rules of shape: names, buckets, contradictions between packs.
    pub fn check(&self) -> Vec<Finding> {
        check::all(self)
    }
}

#[cfg(test)]
mod tests;
