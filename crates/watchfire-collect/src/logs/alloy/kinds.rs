//! What blocks there are: components that are carried out, those that Alloy has besides, and blocks that set Alloy itself. A table; what a
//! component does stands elsewhere.

use watchfire_model::document::nearest;

use super::value::Export;

/// What becomes of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    DiscoverDocker,
    DiscoverRelabel,
    FileMatch,
    LocalFile,
    SourceDocker,
    SourceFile,
    SourceJournal,
    SourceApi,
    SourceSyslog,
    Process,
    Relabel,
    Write,
    Echo,
    OtlpReceiver,
    OtelProcessor,
    OtlpExporter,
    OtelToLoki,
    Scrape,
    RemoteWrite,
    MetricRelabel,
    SelfExporter,
    /// Alloy has it, or may have it, and it is not carried out.
    Other,
}

/// The components that are carried out.
const KINDS: [(&str, Kind); 24] = [
    ("discovery.docker", Kind::DiscoverDocker),
    ("discovery.relabel", Kind::DiscoverRelabel),
    ("local.file_match", Kind::FileMatch),
    ("local.file", Kind::LocalFile),
    ("loki.source.docker", Kind::SourceDocker),
    ("loki.source.file", Kind::SourceFile),
    ("loki.source.journal", Kind::SourceJournal),
    ("loki.source.api", Kind::SourceApi),
    ("loki.source.syslog", Kind::SourceSyslog),
    ("loki.process", Kind::Process),
    ("loki.relabel", Kind::Relabel),
    ("loki.write", Kind::Write),
    ("loki.echo", Kind::Echo),
    ("otelcol.receiver.otlp", Kind::OtlpReceiver),
    ("otelcol.processor.batch", Kind::OtelProcessor),
    ("otelcol.processor.memory_limiter", Kind::OtelProcessor),
    ("otelcol.exporter.otlp", Kind::OtlpExporter),
    ("otelcol.exporter.otlphttp", Kind::OtlpExporter),
    ("otelcol.exporter.loki", Kind::OtelToLoki),
    ("prometheus.scrape", Kind::Scrape),
    ("prometheus.remote_write", Kind::RemoteWrite),
    ("prometheus.relabel", Kind::MetricRelabel),
    ("prometheus.exporter.self", Kind::SelfExporter),
    ("prometheus.exporter.unix", Kind::SelfExporter),
];

/// The first parts of the names of Alloy's components.
const FAMILIES: [&str; 12] =
    ["beyla", "database_observability", "discovery", "faro", "local", "loki", "mimir", "otelcol", "prometheus", "pyroscope", "remote", "stage"];

/// Blocks that set Alloy itself, and what is said of them.
pub(super) const GLOBAL: [(&str, Option<&str>); 13] = [
    ("logging", None),
    ("http", None),
    ("livedebugging", None),
    ("tracing", Some("our own spans have settings of their own; nothing is done with this")),
    ("remotecfg", Some("no further configuration is fetched")),
    ("argument", Some("modules are not carried out")),
    ("export", Some("modules are not carried out")),
    ("declare", Some("modules are not carried out")),
    ("foreach", Some("is not carried out; nothing in it is")),
    ("import.file", Some("modules are not carried out")),
    ("import.git", Some("modules are not carried out")),
    ("import.http", Some("modules are not carried out")),
    ("import.string", Some("modules are not carried out")),
];

impl Kind {
    /// The kind by its name; the error tells which name was probably meant.
    pub(super) fn of(name: &str) -> Result<Kind, &'static str> {
        if let Some((_, kind)) = KINDS.iter().find(|(known, _)| *known == name) {
            return Ok(*kind);
        }
        let family = name.split('.').next().unwrap_or(name);
        let all = KINDS.iter().map(|(known, _)| *known).chain(GLOBAL.iter().map(|(known, _)| *known));
        let near = nearest(name, all).filter(|near| near.len().abs_diff(name.len()) <= 2);
        match near {
            Some(near) if is_slip(name, near) => Err(near),
            _ if FAMILIES.contains(&family) => Ok(Kind::Other),
            near => Err(near.unwrap_or("")),
        }
    }

    /// What the component gives under a name; the error lists what there is.
    pub(super) fn export(self, field: &str) -> Result<Option<Export>, &'static str> {
        let (all, found): (&str, Option<Export>) = match (self, field) {
            (Kind::Other, _) => ("", None),
            (Kind::DiscoverDocker | Kind::FileMatch | Kind::SelfExporter, "targets") | (Kind::DiscoverRelabel, "output") => ("", Some(Export::Targets)),
            (Kind::DiscoverRelabel | Kind::Relabel | Kind::MetricRelabel, "rules") => ("", Some(Export::Rules)),
            (Kind::Process | Kind::Relabel | Kind::Write | Kind::Echo | Kind::RemoteWrite | Kind::MetricRelabel, "receiver") => ("", Some(Export::Receiver)),
            (Kind::OtelProcessor | Kind::OtlpExporter | Kind::OtelToLoki, "input") => ("", Some(Export::Input)),
            (Kind::LocalFile, "content") => ("", None),
            (Kind::DiscoverDocker | Kind::FileMatch | Kind::SelfExporter, _) => ("targets", None),
            (Kind::DiscoverRelabel, _) => ("output and rules", None),
            (Kind::Relabel | Kind::MetricRelabel, _) => ("receiver and rules", None),
            (Kind::Process | Kind::Write | Kind::Echo | Kind::RemoteWrite, _) => ("receiver", None),
            (Kind::OtelProcessor | Kind::OtlpExporter | Kind::OtelToLoki, _) => ("input", None),
            (Kind::LocalFile, _) => ("content", None),
            (Kind::SourceDocker | Kind::SourceFile | Kind::SourceJournal | Kind::SourceApi | Kind::SourceSyslog | Kind::OtlpReceiver | Kind::Scrape, _) => {
                ("nothing", None)
            }
        };
        if all.is_empty() { Ok(found) } else { Err(all) }
    }
}

/// Whether one name is the other with a letter wrong, missing, too many or swapped: longer ways lead to names of other components.
fn is_slip(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let begin = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let room = a.len().min(b.len()) - begin;
    let end = a.iter().rev().zip(b.iter().rev()).take(room).take_while(|(a, b)| a == b).count();
    let (left, right) = (a.len() - begin - end, b.len() - begin - end);
    let swapped = left == 2 && right == 2 && a.get(begin) == b.get(begin + 1) && a.get(begin + 1) == b.get(begin);
    (left <= 1 && right <= 1) || swapped
}
