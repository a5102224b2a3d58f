//! The name of a program as `/ingest` has it: `app.cpu{env=prod,host=a}`. The last part may be a type; the rest is the service.

use watchfire_model::profiles::{ProfileType, key};

use super::DecodeError;
use crate::label_bytes::LABELS_MAX;

/// What a program is called where it does not say so.
pub(super) const UNKNOWN_SERVICE: &str = "unknown_service";

/// A name in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// The name before the labels.
    pub(super) full: &'a str,
    labels: Vec<(&'a str, &'a str)>,
}

/// Types that a name may end in, and what they are. Times are counted in samples and become nanoseconds.
const SUFFIXES: [(&str, [&str; 3]); 21] = [
    ("cpu", ["process_cpu", "cpu", "nanoseconds"]),
    ("itimer", ["process_cpu", "cpu", "nanoseconds"]),
    ("wall", ["wall", "wall", "nanoseconds"]),
    ("inuse_objects", ["memory", "inuse_objects", "count"]),
    ("inuse_space", ["memory", "inuse_space", "bytes"]),
    ("alloc_objects", ["memory", "alloc_objects", "count"]),
    ("alloc_space", ["memory", "alloc_space", "bytes"]),
    ("alloc_in_new_tlab_objects", ["memory", "alloc_in_new_tlab_objects", "count"]),
    ("alloc_in_new_tlab_bytes", ["memory", "alloc_in_new_tlab_bytes", "bytes"]),
    ("alloc_outside_tlab_objects", ["memory", "alloc_outside_tlab_objects", "count"]),
    ("alloc_outside_tlab_bytes", ["memory", "alloc_outside_tlab_bytes", "bytes"]),
    ("live", ["memory", "live", "count"]),
    ("bytes", ["memory", "samples", "bytes"]),
    ("goroutines", ["goroutine", "goroutines", "count"]),
    ("mutex_count", ["mutex", "contentions", "count"]),
    ("mutex_duration", ["mutex", "delay", "nanoseconds"]),
    ("block_count", ["block", "contentions", "count"]),
    ("block_duration", ["block", "delay", "nanoseconds"]),
    ("lock_count", ["block", "contentions", "count"]),
    ("lock_duration", ["block", "delay", "nanoseconds"]),
    ("exceptions", ["exceptions", "samples", "count"]),
];

impl<'a> Name<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Name<'a>, DecodeError> {
        let text = text.trim();
        let (full, rest) = text.split_once('{').unwrap_or((text, ""));
        let full = full.trim();
        if full.is_empty() {
            return Err(DecodeError::Malformed("the parameter name is needed: app, or app{label=value}".to_owned()));
        }
        let mut labels = Vec::new();
        for pair in rest.strip_suffix('}').unwrap_or(rest).split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(DecodeError::Malformed("in the parameter name a label has no value: app{label=value}".to_owned()));
            };
            if labels.len() >= LABELS_MAX {
                return Err(DecodeError::TooMany("256 labels"));
            }
            labels.push((name.trim(), value.trim().trim_matches('"')));
        }
        Ok(Name { full, labels })
    }

    /// The type that the name ends in, and the service; a name without a type is that of a CPU profile.
    pub(super) fn folded_type(&self) -> (ProfileType<'static>, &'a str) {
        let found = self.full.rsplit_once('.').and_then(|(service, suffix)| Some((service, SUFFIXES.iter().find(|(known, _)| *known == suffix)?)));
        let (service, [name, sample_type, sample_unit]) = match found {
            Some((service, (_, parts))) if !service.is_empty() => (service, *parts),
            _ => (self.full, SUFFIXES[0].1),
        };
        let (period_type, period_unit) = if matches!(name, "process_cpu" | "wall") { ("cpu", "nanoseconds") } else { (sample_type, sample_unit) };
        (ProfileType { name, sample_type, sample_unit, period_type, period_unit }, service)
    }

    /// The labels of the series of a service. A label that says what the service is counts more than the name.
    pub(super) fn labels_for(&self, service: &'a str) -> Vec<(&'a str, &'a str)> {
        let mut labels = self.labels.clone();
        let has = |labels: &[(&str, &str)], wanted: &str| labels.iter().any(|(name, value)| *name == wanted && !value.is_empty());
        let own = if has(&labels, key::SERVICE) { "app_name" } else { key::SERVICE };
        if !has(&labels, own) {
            labels.push((own, service));
        }
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_a_service_a_type_and_labels() {
        for (text, kind, labels) in [
            ("backend", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", vec![("service_name", "backend")]),
            ("backend.cpu{env=prod,}", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", vec![("env", "prod"), ("service_name", "backend")]),
            ("a.b.alloc_space{}", "memory:alloc_space:bytes:alloc_space:bytes", vec![("service_name", "a.b")]),
            ("my.app", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", vec![("service_name", "my.app")]),
            (".cpu{ x = \"y\" }", "process_cpu:cpu:nanoseconds:cpu:nanoseconds", vec![("x", "y"), ("service_name", ".cpu")]),
            ("x.wall{service_name=y}", "wall:wall:nanoseconds:cpu:nanoseconds", vec![("service_name", "y"), ("app_name", "x")]),
        ] {
            let name = Name::parse(text).unwrap();
            let (found, service) = name.folded_type();
            assert_eq!((found.to_string().as_str(), name.labels_for(service)), (kind, labels), "{text}");
        }
        for text in ["", "{a=b}", "app{a}"] {
            assert!(Name::parse(text).is_err(), "{text}");
        }
    }
}
