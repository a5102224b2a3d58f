//! Deleting entries: what is to go moves into segments first; then each segment that has such entries is written anew without them.
//! So what is written later is not touched.

use std::io;

use watchfire_model::labels::Labels;
use watchfire_model::logs::{LogLine, LogSelection, Nanos};
use watchfire_model::matcher::Matcher;

use crate::engine::Engine;
use crate::logs::Signal;
use crate::logs::block::Row;
use crate::logs::choose::Query;
use crate::logs::compact::Gone;
use crate::stats::LogDeletion;

/// Says whether an entry that is selected is to go.
pub type LogFilter<'a> = dyn Fn(LogLine<'_>) -> bool + 'a;

impl Engine {
    /// See `Store::delete_logs`, for any signal.
    pub(crate) fn delete_entries(
        &self,
        signal: Signal,
        sets: &[Vec<Matcher>],
        start: i64,
        end: i64,
        filter: Option<&LogFilter<'_>>,
    ) -> io::Result<LogDeletion> {
        if sets.is_empty() || start >= end {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "nothing is selected: give matchers, and a start that is before the end"));
        }
        self.still_open()?;
        let mut next = self.building();
        if self.read().entries[signal].head.range().is_some_and(|(min, max)| min < end && max >= start) {
            self.flush_entries_now(signal, &mut next)?;
        }
        let selections: Vec<LogSelection> = sets.iter().map(|matchers| LogSelection::new(matchers.clone(), Nanos(start), Nanos(end))).collect();
        let queries: Vec<Query<'_>> = selections.iter().map(Query::new).collect();
        let stream = |labels: &Labels| queries.iter().any(|query| query.stream(labels, |_| true).is_some());
        let entry = |labels: &Labels, row: Row<'_>| {
            let selected = |query: &Query<'_>| {
                let wanted = query.stream(labels, |_| true);
                query.is_in_range(row.time) && wanted.is_some_and(|wanted| query.checks_hold(&wanted.checks, row.metadata))
            };
            queries.iter().any(selected) && filter.is_none_or(|filter| wants(filter, labels, row))
        };
        let gone = Gone { stream: &stream, entry: &entry };
        let segments: Vec<_> = self.read().entries[signal].segments.iter().filter(|s| s.overlaps(start, end)).cloned().collect();
        let mut deletion = LogDeletion::default();
        for segment in segments {
            let Some(index) = segment.index(self.moment())? else { continue };
            if queries.iter().all(|query| query.streams_of(&index, &segment.footer).is_empty()) {
                continue;
            }
            let (replaced, went) = self.rewrite_entries(signal, &mut next, &[segment], Some(&gone))?;
            deletion.segments += replaced as u64;
            deletion.entries += went;
        }
        Ok(deletion)
    }
}

fn wants(filter: &LogFilter<'_>, labels: &Labels, row: Row<'_>) -> bool {
    let metadata = Labels::unpack(row.metadata).unwrap_or_default();
    filter(LogLine { labels, time: Nanos(row.time), line: row.line, metadata: &metadata })
}
