//! What the doctor says: a stable code, a place, the reason and what to write instead. How it is shown is others' business.

use std::sync::Arc;

use watchfire_model::document::{Finding, Severity};

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Kinds of findings. The names are stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $variant),* }
        impl Code {
            /// All of them.
            pub const ALL: &[Code] = &[$(Code::$variant),*];
            /// The name.
            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name),* }
            }
        }
    };
}
codes! {
    /// No catalog and no rule knows the metric.
    UnknownMetric = "unknown-metric",
    /// The family has no such label.
    UnknownLabel = "unknown-label",
    /// The label never has this value.
    UnknownLabelValue = "unknown-label-value",
    /// No scrape job has this name.
    UnknownJob = "unknown-job",
    /// A quantile of series without `le`.
    MissingLe = "missing-le",
    /// The histogram has no such bucket.
    UnknownBucket = "unknown-bucket",
    /// A quantile over what is no histogram.
    NotAHistogram = "not-a-histogram",
    /// A threshold that the quantile cannot pass.
    BeyondTopBucket = "beyond-top-bucket",
    /// Both sides of an operator never have the same labels.
    NeverMatches = "never-matches",
    /// Several series of one side meet one of the other, which makes a query fail.
    AmbiguousMatch = "ambiguous-match",
    /// The same on both sides of a division.
    DividedByItself = "divided-by-itself",
    /// `rate` and its like over a gauge.
    RateOfGauge = "rate-of-gauge",
    /// A counter compared without `rate` or its like.
    CounterWithoutRate = "counter-without-rate",
    /// Text and expression speak of different units.
    UnitMismatch = "unit-mismatch",
    /// A comparison that is always or never true.
    ConstantCondition = "constant-condition",
    /// Every series stands alone where the whole is meant.
    EverySeriesAlone = "every-series-alone",
    /// Several jobs have series of this name.
    SeveralSources = "several-sources",
    /// Two rules of one name.
    DuplicateName = "duplicate-name",
    /// Two alerts for one condition.
    DuplicateCondition = "duplicate-condition",
    /// Two alerts of one severity for one quantity.
    OverlappingAlerts = "overlapping-alerts",
    /// The name of a histogram, whose series are called otherwise.
    HistogramBaseName = "histogram-base-name",
    /// A name that promises another kind of number.
    MisleadingName = "misleading-name",
    /// A query of a panel that cannot be parsed.
    BadExpression = "bad-expression",
    /// Rule files that no configuration loads.
    RulesNotLoaded = "rules-not-loaded",
    /// A scrape target that is an address of a page.
    TargetIsUrl = "target-is-url",
    /// A scrape target that means the scraping container itself, or nobody.
    TargetNotThere = "target-not-there",
    /// A route that no alert takes.
    RouteNeverMatches = "route-never-matches",
    /// One alert reaches one receiver by two routes.
    DeliveredTwice = "delivered-twice",
    /// An inhibition that no pair of alerts meets.
    InhibitionNeverMatches = "inhibition-never-matches",
    /// Alerts end where nobody is told.
    SilentReceiver = "silent-receiver",
    /// The one to be told is the one that is watched.
    ReceiverIsWatched = "receiver-is-watched",
    /// A field that no stage extracts.
    FieldNotExtracted = "field-not-extracted",
    /// Fields that queries find under another name.
    FieldsBelow = "fields-below",
    /// A retention that nobody applies.
    RetentionNotApplied = "retention-not-applied",
    /// A schema that newer versions refuse.
    SchemaRefused = "schema-refused",
    /// A setting that has no effect.
    SettingIgnored = "setting-ignored",
    /// Nobody keeps the clock right.
    ClockNotSynced = "clock-not-synced",
    /// Containers are to be read through a socket that is none.
    NoContainerSocket = "no-container-socket",
    /// The disk is nearly full.
    DiskNearlyFull = "disk-nearly-full",
    /// Strangers can reach it without a log-in.
    OpenToAll = "open-to-all",
    /// More is written than a flash card bears.
    WritesWearFlash = "writes-wear-flash",
    /// More is written than a small flash card bears.
    WritesMuch = "writes-much",
    /// The disk is synced too often for a flash card.
    SyncsOften = "syncs-often",
    /// A source has more series than it may, so that some are refused.
    SourceSeriesLimit = "source-series-limit",
    /// Data were set aside because no start survived reading them.
    DataOffline = "data-offline",
    /// A configuration that cannot be read, so that nothing in it is carried out.
    CannotBeRead = "cannot-be-read",
    /// A file that nobody needs, and that cannot be read.
    NotLookedAt = "not-looked-at",
}
impl Code {
    /// How bad it is.
    pub fn severity(self) -> Severity {
        if self == Code::CannotBeRead { Severity::Error } else { Severity::Warning }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq)]
pub struct Diagnosis {
    /// What kind.
    pub code: Code,
    /// The file as the user knows it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// The rule, panel or route that it is about.
    pub subject: String,
    /// What is wrong and why.
    pub message: String,
    /// What to write instead.
    pub suggestion: Option<String>,
}
impl Diagnosis {
    /// What is wrong with a file itself, as whoever reads it says.
    pub fn of_file(code: Code, finding: &Finding) -> Diagnosis {
        let Finding { file, line, column, message, .. } = finding;
        Diagnosis { code, file: file.clone(), line: *line, column: *column, subject: "file".to_owned(), message: message.clone(), suggestion: None }
    }
    /// As `watchfire check` prints it, beside findings of shape.
    pub fn finding(&self) -> Finding {
        let hint = self.suggestion.as_ref().map(|s| format!("; {s}")).unwrap_or_default();
        Finding {
            severity: self.code.severity(),
            file: self.file.clone(),
            line: self.line,
            column: self.column,
            message: format!("{}: {}{hint} [{}]", self.subject, self.message, self.code.name()),
        }
    }
}
