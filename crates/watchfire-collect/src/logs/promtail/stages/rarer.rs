//! Stages that few files have: `pattern`, `eventlogmessage`, `luhn`, `geoip`, `tenant`, `structured_metadata_drop`,
//! as they are configured.

use std::path::Path;

use super::super::super::stages::{About, DropMetadata, EventMessage, Field, GeoIp, JsonPath, Luhn, MetadataMatching, Pattern, Shorten, Truncate};
use super::{Pipeline, Reading};

/// The fewest digits of a card's number.
const CARD_DIGITS_MIN: u64 = 13;

impl Reading<'_> {
    pub(super) fn pattern(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let text = reader.required_text("expression");
        let source = reader.text("source").filter(|s| !s.is_empty());
        let labels = reader.bool("labels_from_groups").unwrap_or(false);
        match Pattern::new(&text, source, labels) {
            Ok(pattern) => {
                pipeline.extracted.extend(pattern.names().map(str::to_owned));
                pipeline.push(pattern);
            }
            Err(error) => reader.error_at("expression", error),
        }
        reader.finish();
    }

    pub(super) fn event_message(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let stage = EventMessage {
            source: reader.text("source").filter(|s| !s.is_empty()).unwrap_or_else(|| "message".to_owned()),
            drop_invalid: reader.bool("drop_invalid_labels").unwrap_or(false),
            overwrite: reader.bool("overwrite_existing").unwrap_or(false),
        };
        reader.finish();
        pipeline.push(stage);
    }

    pub(super) fn luhn(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let stage = Luhn {
            replacement: reader.text("replacement").filter(|s| !s.is_empty()).unwrap_or_else(|| "**REDACTED**".to_owned()),
            source: reader.text("source").filter(|s| !s.is_empty()),
            min_length: reader.u64("min_length").filter(|n| *n > 0).unwrap_or(CARD_DIGITS_MIN) as usize,
            delimiters: reader.text("delimiters").unwrap_or_default(),
        };
        reader.finish();
        pipeline.push(stage);
    }

    pub(super) fn drop_metadata(&self, pipeline: &mut Pipeline) {
        pipeline.push(DropMetadata(self.names()));
    }

    /// `regex` of Alloy's `structured_metadata`.
    pub(super) fn metadata_matching(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        if let Some(regex) = self.expression(&reader, "regex") {
            pipeline.push(MetadataMatching(regex));
        }
        reader.finish();
    }

    pub(super) fn truncate(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let mut rules = Vec::new();
        for rule in reader.maps("rule") {
            let limit = rule.bytes("limit").and_then(|limit| usize::try_from(limit).ok()).unwrap_or(0);
            let suffix = rule.text("suffix").unwrap_or_default();
            if limit <= suffix.len() {
                rule.error_at("limit", "must be longer than the suffix, and at least one byte");
            }
            let kind = rule.word("source_type", &Field::NAMES.map(|(name, _)| name)).unwrap_or("line");
            let field = Field::NAMES.iter().find(|(name, _)| *name == kind).map_or(Field::Line, |(_, field)| *field);
            let names = rule.texts("sources", false);
            if field == Field::Line && !names.is_empty() {
                rule.error_at("sources", "is not possible where source_type is line");
            }
            rule.finish();
            rules.push(Shorten { field, names, limit, suffix });
        }
        if rules.is_empty() {
            self.error("needs at least one rule");
        }
        reader.finish();
        pipeline.extracted.push("truncated".to_owned());
        pipeline.push(Truncate(rules));
    }

    /// A database that cannot be opened is a warning: lines are worth more than where they come from.
    pub(super) fn geoip(&self, pipeline: &mut Pipeline) {
        let reader = self.reader();
        let (path, source) = (reader.required_text("db"), reader.required_text("source"));
        let about = reader.word("db_type", &["city", "country", "asn"]).map(|word| match word {
            "city" => About::City,
            "country" => About::Country,
            _ => About::Asn,
        });
        let mut lookups = Vec::new();
        for (name, text) in reader.text_map("custom_lookups") {
            match JsonPath::parse(if text.is_empty() { &name } else { &text }) {
                Ok(found) => lookups.push((name, found)),
                Err(error) => reader.error_at("custom_lookups", error),
            }
        }
        if about.is_none() && !reader.has("db_type") && lookups.is_empty() {
            self.error("db_type is missing: city, country or asn");
        }
        if let Some(about) = about {
            pipeline.extracted.extend(about.names().map(str::to_owned));
        }
        pipeline.extracted.extend(lookups.iter().map(|(name, _)| name.clone()));
        if !path.is_empty() {
            match GeoIp::open(Path::new(&path), source, about, lookups) {
                Ok(stage) => pipeline.push(stage),
                Err(error) => reader.warning_at("db", format!("cannot open the database {path:?}: {error}; lines pass the stage unchanged")),
            }
        }
        reader.finish();
    }

    /// A stage that Promtail would refuse is an error all the same.
    pub(super) fn tenant(&self) {
        let reader = self.reader();
        let given = ["label", "source", "value"].into_iter().filter(|key| reader.text(key).is_some_and(|text| !text.is_empty())).count();
        if given != 1 {
            self.error("needs one of label, source and value, and only one");
        }
        reader.finish();
        self.warn("there is one tenant here, so all lines are its; where lines go on, tenant_id of the place counts");
    }
}
