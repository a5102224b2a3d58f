//! How OTLP metrics become Prometheus series: the `otlp` section of a `prometheus.yml`, and two switches of our own.
//! Only what the section means; reading the file is the business of whoever reads the whole of it.

/// How names are translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TranslationStrategy {
    /// Characters outside the classic set become underscores; unit and type are appended to metric names.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// Characters outside the classic set become underscores; nothing is appended.
    UnderscoreEscapingWithoutSuffixes,
    /// Names stay as they are; unit and type are appended to metric names.
    NoUtf8EscapingWithSuffixes,
    /// Names stay as they are.
    NoTranslation,
}
impl TranslationStrategy {
    /// All strategies with the names that the configuration has for them.
    pub const NAMES: [(&'static str, TranslationStrategy); 4] = [
        ("UnderscoreEscapingWithSuffixes", TranslationStrategy::UnderscoreEscapingWithSuffixes),
        ("UnderscoreEscapingWithoutSuffixes", TranslationStrategy::UnderscoreEscapingWithoutSuffixes),
        ("NoUTF8EscapingWithSuffixes", TranslationStrategy::NoUtf8EscapingWithSuffixes),
        ("NoTranslation", TranslationStrategy::NoTranslation),
    ];
    /// The strategy of a name.
    pub fn from_name(name: &str) -> Option<TranslationStrategy> {
        Self::NAMES.into_iter().find(|(n, _)| *n == name).map(|(_, strategy)| strategy)
    }
    /// Whether names are reduced to the classic characters.
    pub fn escapes(self) -> bool {
        matches!(self, TranslationStrategy::UnderscoreEscapingWithSuffixes | TranslationStrategy::UnderscoreEscapingWithoutSuffixes)
    }
    /// Whether unit and type are appended to metric names.
    pub fn adds_suffixes(self) -> bool {
        matches!(self, TranslationStrategy::UnderscoreEscapingWithSuffixes | TranslationStrategy::NoUtf8EscapingWithSuffixes)
    }
}

/// Which resource attributes become labels of every series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promoted {
    /// These.
    Only(Vec<String>),
    /// All but these.
    AllBut(Vec<String>),
}
impl Promoted {
    /// Whether an attribute is one of them.
    pub(super) fn contains(&self, attribute: &str) -> bool {
        match self {
            Promoted::Only(names) => names.iter().any(|n| n == attribute),
            Promoted::AllBut(names) => !names.iter().any(|n| n == attribute),
        }
    }
}

/// Everything that can be set about the translation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `translation_strategy`.
    pub strategy: TranslationStrategy,
    /// `promote_resource_attributes`, `promote_all_resource_attributes` and `ignore_resource_attributes`.
    pub promoted: Promoted,
    /// `keep_identifying_resource_attributes`: `target_info` keeps the attributes that `job` and `instance` are made of.
    pub keep_identifying: bool,
    /// `convert_histograms_to_nhcb`: explicit histograms become native ones with custom buckets instead of classic ones.
    pub convert_to_custom_buckets: bool,
    /// `promote_scope_metadata`: the name, version, schema and attributes of the scope become labels.
    pub promote_scope: bool,
    /// `label_name_underscore_sanitization`: a label that begins with one underscore gets `key` before it.
    pub label_underscore_prefix: bool,
    /// `label_name_preserve_multiple_underscores`: runs of underscores in label names stay.
    pub label_keep_underscores: bool,
    /// Whether a start time that is not known yet is stored as a sample of value zero.
    pub start_time_zero_samples: bool,
    /// Whether type and unit of a metric become the labels `__type__` and `__unit__`.
    pub type_and_unit_labels: bool,
    /// How far back a query looks for the newest sample, in milliseconds: `target_info` is repeated twice as often.
    pub lookback_ms: i64,
}
impl Default for Settings {
    fn default() -> Settings {
        Settings {
            strategy: TranslationStrategy::default(),
            promoted: Promoted::Only(Vec::new()),
            keep_identifying: false,
            convert_to_custom_buckets: false,
            promote_scope: false,
            label_underscore_prefix: true,
            label_keep_underscores: true,
            start_time_zero_samples: false,
            type_and_unit_labels: false,
            lookback_ms: 300_000,
        }
    }
}
