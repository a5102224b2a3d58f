//! The documents of a bucket that come first in an order, with what of them is asked for. How they are kept stands in `hits`.

use serde_json::{Map, Value, json};
use watchfire_model::read::Budget;

use super::super::document::Document;
use super::super::error::SearchError;
use super::super::hits::{self, NAMELESS, Page, Wanted};
use super::super::request::{FieldChoice, SourceChoice, count, field_choices, source};
use super::super::sort::Sort;
use super::fail;

/// The farthest document of a bucket that can be asked for by `from` and `size`.
const WINDOW_MAX: usize = 100;

/// `top_hits`
#[derive(Clone, Debug)]
pub(super) struct TopHits {
    from: usize,
    size: usize,
    sort: Sort,
    source: SourceChoice,
    fields: Vec<FieldChoice>,
}

/// What was seen so far.
#[derive(Default)]
pub(super) struct Hits {
    page: Page,
    total: u64,
}

impl TopHits {
    pub(super) fn read(name: &str, body: &Map<String, Value>) -> Result<TopHits, SearchError> {
        let sort = Sort::read(body.get("sort"), None, false)?;
        let mut top = TopHits { from: 0, size: 3, sort, source: SourceChoice::All, fields: Vec::new() };
        for (key, value) in body {
            match key.as_str() {
                "from" => top.from = count(key, value)?,
                "size" => top.size = count(key, value)?,
                "_source" => top.source = source(value)?,
                "fields" | "docvalue_fields" => field_choices(key, value, &mut top.fields)?,
                // What changes nothing about which documents are found, as with searches.
                "sort" | "track_scores" | "version" | "seq_no_primary_term" | "explain" | "stored_fields" | "script_fields" | "highlight" => {}
                other => return fail(format!("unknown key [{other}] in the [top_hits] aggregation [{name}]")),
            }
        }
        let window = top.from.saturating_add(top.size);
        if window > WINDOW_MAX {
            return fail(format!(
                "Top hits result window is too large, the top hits aggregator [{name}]'s from + size must be less than or equal to: [{WINDOW_MAX}] but was [{window}]"
            ));
        }
        Ok(top)
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted { from: self.from, size: self.size, sort: &self.sort, source: &self.source, fields: &self.fields }
    }

    pub(super) fn collect(&self, document: &Document<'_>, hits: &mut Hits, budget: &Budget) -> Result<(), SearchError> {
        hits.page.offer(self.wanted(), document, hits.total, budget)?;
        hits.total += 1;
        Ok(())
    }

    /// What is written stays charged: it is part of the answer.
    pub(super) fn finish(&self, hits: &mut Hits, budget: &Budget) -> Value {
        let found = hits.page.finish(self.wanted(), budget);
        json!({ "hits": hits::json(&found, Some(hits.total), NAMELESS) })
    }
}
