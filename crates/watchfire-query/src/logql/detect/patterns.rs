//! Patterns of lines: lines of one shape that share most of their words are one pattern, and the words in which they differ are `<_>`.
//! The idea is Drain's (He et al., 2017): a line is compared only with patterns of the same shape. What comes out can be asked for
//! with `|>`.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use hashbrown::HashMap;
use watchfire_model::level;
use watchfire_model::logs::{LogSelection, LogSource, Nanos};
use watchfire_model::order::Order as _;
use watchfire_model::read::Budget;

use super::super::ast::LogExpr;
use super::super::error::LogqlError;
use super::super::eval::LinePipeline;
use super::super::pipeline::pushed;

/// The most patterns that are told apart; further lines are counted in none.
const PATTERNS_MAX: usize = 2_000;
/// The most words of a line; what is behind them is one more.
const WORDS_MAX: usize = 128;
/// Longer lines are in no pattern.
const LINE_BYTES_MAX: usize = 8 << 10;
/// So large a part of their words must be equal in lines of one pattern.
const ALIKE: f64 = 0.5;
/// What stands for a word that differs.
const ANY: &str = "<_>";

/// A pattern with how often it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePattern {
    /// The pattern, as a line filter takes it.
    pub pattern: String,
    /// The level of its lines.
    pub level: &'static str,
    /// The lines in each step, ascending by its beginning. Steps without lines are left out.
    pub samples: Vec<(Nanos, u64)>,
    /// All its lines.
    pub total: u64,
}

/// The patterns of the selected lines, the most frequent first.
pub fn patterns(source: &dyn LogSource, log: &LogExpr, start: Nanos, end: Nanos, step: Duration, budget: &Budget) -> Result<Vec<LinePattern>, LogqlError> {
    let step = i64::try_from(step.as_nanos()).unwrap_or(i64::MAX).max(1);
    let mut pipeline = LinePipeline::new(log, end)?;
    let pushed = pushed(log);
    let selection = LogSelection { contains: pushed.contains, ..LogSelection::new(pushed.matchers, start, end) };
    let mut found = Found::default();
    let mut charged = 0u64;
    let outcome = source.select_logs(&selection, budget, &mut |entry| {
        budget.check()?;
        if let Some(line) = pipeline.line(entry) {
            let level = level::noted(&line.metadata).unwrap_or_else(|| level::detect(&line.stream, &line.metadata, &line.line));
            let grown = found.add(&line.line, level, line.time.0.div_euclid(step) * step);
            charged += grown;
            budget.charge_memory(grown)?;
        }
        Ok(ControlFlow::Continue(()))
    });
    budget.release_memory(charged);
    outcome?;
    Ok(found.finish())
}

/// A line taken apart: words, and what stands before each and behind the last.
struct Shape<'a> {
    words: Vec<&'a str>,
    between: Vec<&'a str>,
}

fn is_between(c: char) -> bool {
    c.is_whitespace() || matches!(c, '=' | ',' | ':' | ';' | '"' | '\'' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '<' | '>')
}

fn shape(line: &str) -> Shape<'_> {
    let mut shape = Shape { words: Vec::new(), between: Vec::new() };
    let mut rest = line;
    loop {
        let start = rest.find(|c| !is_between(c)).unwrap_or(rest.len());
        let (between, tail) = rest.split_at_checked(start).unwrap_or((rest, ""));
        shape.between.push(between);
        if tail.is_empty() {
            return shape;
        }
        if shape.words.len() == WORDS_MAX {
            shape.words.push(tail);
            shape.between.push("");
            return shape;
        }
        let length = tail.find(is_between).unwrap_or(tail.len());
        let (word, behind) = tail.split_at_checked(length).unwrap_or((tail, ""));
        shape.words.push(word);
        rest = behind;
    }
}

/// Whether a word is nothing that was written by a programmer: numbers, ids, addresses, times.
fn varies(word: &str) -> bool {
    word.bytes().any(|b| b.is_ascii_digit())
}

struct Cluster {
    level: &'static str,
    between: Vec<String>,
    /// Nothing where words differ.
    words: Vec<Option<String>>,
    samples: BTreeMap<i64, u64>,
    total: u64,
}

#[derive(Default)]
struct Found {
    clusters: Vec<Cluster>,
    by_shape: HashMap<String, Vec<usize>>,
    key: String,
}

impl Found {
    /// Counts a line; gives the bytes that are kept of it.
    fn add(&mut self, line: &str, level: &'static str, step: i64) -> u64 {
        if line.is_empty() || line.len() > LINE_BYTES_MAX {
            return 0;
        }
        let shape = shape(line);
        self.key.clear();
        self.key.push_str(level);
        for between in &shape.between {
            self.key.push('\u{0}');
            self.key.push_str(between);
        }
        let alike = self.by_shape.get(&self.key).and_then(|known| {
            known.iter().copied().map(|at| (at, self.clusters[at].alike(&shape.words))).filter(|(_, alike)| *alike >= ALIKE).max_by(|a, b| a.1.total_cmp(&b.1))
        });
        if let Some((at, _)) = alike {
            let cluster = &mut self.clusters[at];
            for (known, word) in cluster.words.iter_mut().zip(&shape.words) {
                if known.as_deref().is_some_and(|k| k != *word) {
                    *known = None;
                }
            }
            cluster.count(step);
            return 0;
        }
        if self.clusters.len() >= PATTERNS_MAX {
            return 0;
        }
        let words = shape.words.iter().map(|word| (!varies(word)).then(|| (*word).to_owned())).collect();
        let between = shape.between.iter().map(|b| (*b).to_owned()).collect();
        let mut cluster = Cluster { level, between, words, samples: BTreeMap::new(), total: 0 };
        cluster.count(step);
        self.clusters.push(cluster);
        self.by_shape.entry(self.key.clone()).or_default().push(self.clusters.len() - 1);
        (line.len() * 2 + shape.words.len() * 48 + 256) as u64
    }

    fn finish(self) -> Vec<LinePattern> {
        let mut all: BTreeMap<(String, &'static str), LinePattern> = BTreeMap::new();
        for cluster in self.clusters {
            let pattern = cluster.pattern();
            let empty = LinePattern { pattern: pattern.clone(), level: cluster.level, samples: Vec::new(), total: 0 };
            let into = all.entry((pattern, cluster.level)).or_insert(empty);
            into.total += cluster.total;
            let mut samples: BTreeMap<i64, u64> = into.samples.iter().map(|(time, count)| (time.0, *count)).collect();
            cluster.samples.iter().for_each(|(time, count)| *samples.entry(*time).or_default() += count);
            into.samples = samples.into_iter().map(|(time, count)| (Nanos(time), count)).collect();
        }
        let mut list: Vec<LinePattern> = all.into_values().collect();
        list.order_by(|a, b| b.total.cmp(&a.total).then_with(|| a.pattern.cmp(&b.pattern)));
        list
    }
}

impl Cluster {
    fn count(&mut self, step: i64) {
        *self.samples.entry(step).or_default() += 1;
        self.total += 1;
    }

    /// Which part of the words is equal; those that differ anyway count half.
    fn alike(&self, words: &[&str]) -> f64 {
        if words.is_empty() {
            return 1.0;
        }
        let points = self.words.iter().zip(words).map(|(known, word)| match known {
            None => 0.5,
            Some(known) if known == word => 1.0,
            Some(_) => 0.0,
        });
        points.sum::<f64>() / words.len() as f64
    }

    /// The pattern as text. Words that differ and have only a blank between them are one.
    fn pattern(&self) -> String {
        let mut out = String::new();
        for (i, between) in self.between.iter().enumerate() {
            let word = i.checked_sub(1).and_then(|before| self.words.get(before));
            let differs = |word: Option<&Option<String>>| matches!(word, Some(None));
            let next = self.words.get(i);
            if !(differs(word) && differs(next) && between.trim().is_empty()) {
                out.push_str(between);
            }
            match next {
                Some(Some(text)) => out.push_str(text),
                Some(None) if out.ends_with(ANY) => {}
                Some(None) => out.push_str(ANY),
                None => {}
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::pattern::Pattern;
    use super::*;
    use proptest::prelude::*;

    fn found(lines: &[&str]) -> Vec<(String, u64)> {
        let mut found = Found::default();
        for line in lines {
            found.add(line, "info", 0);
        }
        found.finish().into_iter().map(|p| (p.pattern, p.total)).collect()
    }

    #[test]
    fn lines_of_one_pattern() {
        let check = |lines: &[&str], expected: &[(&str, u64)]| {
            let expected: Vec<_> = expected.iter().map(|(p, n)| ((*p).to_owned(), *n)).collect();
            assert_eq!(found(lines), expected, "{lines:?}");
        };
        check(&["user ann logged in", "user bob logged in", "user cyd logged in"], &[("user <_> logged in", 3)]);
        check(&["took 15ms", "took 20ms"], &[("took <_>", 2)]);
        check(&["level=info msg=\"a b\" n=1", "level=info msg=\"a b\" n=2"], &[("level=info msg=\"a b\" n=<_>", 2)]);
        check(&["GET /a 200 1 2", "GET /b 404 3 4"], &[("GET <_>", 2)]);
        check(&["start", "a quite different line", "start"], &[("start", 2), ("a quite different line", 1)]);
        check(&["{\"id\":1,\"ok\":true}", "{\"id\":2,\"ok\":true}"], &[("{\"id\":<_>,\"ok\":true}", 2)]);
        check(&[""], &[]);
    }

    proptest! {
        /// A pattern is worth something when a line filter finds with it what it stands for.
        #[test]
        fn every_line_fits_a_pattern(lines in prop::collection::vec("[ab1 =:\"]{1,12}|(a|bb|c1|d) (x|yy|3) (p|q|r)", 1..12)) {
            let mut found = Found::default();
            for line in &lines { found.add(line, "info", 0); }
            let patterns = found.finish();
            prop_assert_eq!(patterns.iter().map(|p| p.total).sum::<u64>(), lines.len() as u64);
            for line in &lines {
                let fits = patterns.iter().any(|p| Pattern::filter(&p.pattern).is_ok_and(|pattern| pattern.fits(line)));
                prop_assert!(fits, "{:?} in {:?}", line, patterns);
            }
        }
    }
}
