//! What one target's scrapes have in common: the raw text of a series (or another key for it) → its labels after
//! relabelling, and which series are alive. In the steady state a sample costs one comparison of its text with the one
//! expected at this place, and no allocation. It holds no samples.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use hashbrown::{HashMap, HashTable};
use watchfire_model::batch::MetricType;
use watchfire_model::labels::Labels;

/// Texts that no longer appear are swept out when there are more of them than this and than the living ones.
const SWEEP_AT: usize = 1_000;
const NONE: u32 = u32::MAX;
const CREATED: u32 = u32::MAX - 1;

/// One raw text, known by its number.
struct Text {
    raw: Box<[u8]>,
    /// The type decides how bounds are written, so it belongs to the key.
    kind: MetricType,
    /// The series it stands for, `NONE` when relabelling drops it, `CREATED` when it says when counts began.
    series: u32,
    /// The text that followed it in the last scrape.
    next: u32,
    /// The turn in which it was last seen.
    turn: u64,
    /// Whether a good scrape came without it: the next time it counts as added.
    forgotten: bool,
    /// Tells the exemplars that came with it last from others; 0 when there were none.
    exemplars: u32,
}

impl Text {
    /// What it stands for, given its metric.
    fn known(&self, group: u64) -> Known {
        match self.series {
            NONE => Known::Dropped,
            CREATED => Known::Created(group),
            series => Known::Series(SeriesNumber(series)),
        }
    }
}

/// One series, known by its number.
struct Series {
    labels: Labels,
    /// The turn in which a sample came last.
    turn: u64,
    /// The turn in which a sample that is tracked for staleness came last.
    tracked: u64,
    /// Whether it had a tracked sample at the last commit.
    alive: bool,
    /// Whether its last sample was a native histogram.
    histogram: bool,
    /// Whether it says how the target is doing.
    vital: bool,
}

/// What a raw text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// This series.
    Series(SeriesNumber),
    /// Nothing: relabelling drops it.
    Dropped,
    /// When the counts of this metric began.
    Created(u64),
}

/// A series of this cache. Valid until the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeriesNumber(u32);

/// The cache of one target.
pub(super) struct Cache {
    texts: Vec<Text>,
    by_text: HashTable<u32>,
    series: Vec<Series>,
    by_labels: HashTable<u32>,
    hasher: RandomState,
    turn: u64,
    /// The text before the one that is looked up, to learn the order and to guess by it.
    last: u32,
    forgotten: usize,
    /// The metrics whose `_created` lines speak for texts, by their numbers; empty unless somebody wants to know.
    groups: HashMap<u32, u64>,
    /// The latest beginning of the counts of series that was passed on, in milliseconds; likewise.
    created: HashMap<u32, i64>,
}

impl Cache {
    pub(super) fn new() -> Cache {
        Cache {
            texts: Vec::new(),
            by_text: HashTable::new(),
            series: Vec::new(),
            by_labels: HashTable::new(),
            hasher: RandomState::new(),
            turn: 1,
            last: NONE,
            forgotten: 0,
            groups: HashMap::new(),
            created: HashMap::new(),
        }
    }

    /// The number of series that are known, alive or not.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// The text that should come next: the one that followed the last time. Empty when there is none.
    pub(super) fn expected(&self) -> &[u8] {
        self.texts.get(self.next() as usize).map_or(&[], |text| &text.raw)
    }

    /// Looks a raw text up. `expected` says that it was compared with [`Cache::expected`] already. The flag says whether it counts
    /// as added (new, or gone for at least one good scrape).
    pub(super) fn find(&mut self, raw: &[u8], kind: MetricType, expected: bool) -> Option<(Known, bool)> {
        let at = self.guess(raw, kind, expected).or_else(|| self.search(raw, kind))?;
        let turn = self.turn;
        let text = &mut self.texts[at as usize];
        text.turn = turn;
        let added = std::mem::take(&mut text.forgotten);
        let series = text.series;
        self.forgotten -= usize::from(added);
        self.follow(at);
        let group = if series == CREATED { self.group() } else { 0 };
        Some((self.texts[at as usize].known(group), added))
    }
    fn next(&self) -> u32 {
        match self.texts.get(self.last as usize) {
            Some(text) => text.next,
            None => 0,
        }
    }
    fn guess(&self, raw: &[u8], kind: MetricType, expected: bool) -> Option<u32> {
        let next = self.next();
        self.texts.get(next as usize).filter(|t| t.kind == kind && (expected || *t.raw == *raw)).map(|_| next)
    }
    fn search(&self, raw: &[u8], kind: MetricType) -> Option<u32> {
        let is = |at: &u32| {
            let text = &self.texts[*at as usize];
            *text.raw == *raw && text.kind == kind
        };
        self.by_text.find(self.hasher.hash_one(raw), is).copied()
    }
    fn follow(&mut self, at: u32) {
        if let Some(last) = self.texts.get_mut(self.last as usize) {
            last.next = at;
        }
        self.last = at;
    }

    /// Notes what a new raw text stands for: these labels, or nothing when they were dropped. The group is that of its metric, or 0.
    pub(super) fn insert(&mut self, raw: &[u8], kind: MetricType, labels: Option<Labels>, group: u64) -> Known {
        let series = labels.map_or(NONE, |labels| self.series_of(labels));
        self.insert_text(raw, kind, series, group)
    }
    /// Notes a new raw text that says when the counts of a metric began.
    pub(super) fn insert_created(&mut self, raw: &[u8], kind: MetricType, group: u64) -> Known {
        self.insert_text(raw, kind, CREATED, group)
    }
    fn insert_text(&mut self, raw: &[u8], kind: MetricType, series: u32, group: u64) -> Known {
        let at = self.texts.len() as u32;
        let text = Text { raw: raw.into(), kind, series, next: NONE, turn: self.turn, forgotten: false, exemplars: 0 };
        let known = text.known(group);
        self.texts.push(text);
        if group != 0 {
            self.groups.insert(at, group);
        }
        let (texts, hasher) = (&self.texts, &self.hasher);
        self.by_text.insert_unique(hasher.hash_one(raw), at, |i| hasher.hash_one(&*texts[*i as usize].raw));
        self.follow(at);
        known
    }
    fn series_of(&mut self, labels: Labels) -> u32 {
        let hash = labels.hash_value();
        if let Some(found) = self.by_labels.find(hash, |i| self.series[*i as usize].labels == labels) {
            return *found;
        }
        let at = self.series.len() as u32;
        self.series.push(Series { labels, turn: 0, tracked: 0, alive: false, histogram: false, vital: false });
        let series = &self.series;
        self.by_labels.insert_unique(hash, at, |i| series[*i as usize].labels.hash_value());
        at
    }

    /// The labels of a series.
    pub(super) fn labels(&self, number: SeriesNumber) -> &Labels {
        &self.series[number.0 as usize].labels
    }
    /// Notes that a series says how the target is doing.
    pub(super) fn set_vital(&mut self, number: SeriesNumber) {
        self.series[number.0 as usize].vital = true;
    }
    /// Whether a series says how the target is doing.
    pub(super) fn is_vital(&self, number: SeriesNumber) -> bool {
        self.series[number.0 as usize].vital
    }
    /// Notes a sample of a series; `false` when the series already had one in this turn.
    pub(super) fn touch(&mut self, number: SeriesNumber, tracked: bool, histogram: bool) -> bool {
        let turn = self.turn;
        let series = &mut self.series[number.0 as usize];
        let first = series.turn != turn;
        series.turn = turn;
        if tracked {
            series.tracked = turn;
        }
        series.histogram = histogram;
        first
    }
    /// The metric of the text that was looked up last, for `_created` lines; 0 when it has none.
    pub(super) fn group(&self) -> u64 {
        self.groups.get(&self.last).copied().unwrap_or(0)
    }
    /// Notes the exemplars of the text that was looked up last; says whether they are others than the last time.
    pub(super) fn note_exemplars<'a>(&mut self, exemplars: impl Iterator<Item = &'a [u8]>) -> bool {
        let mut hasher = self.hasher.build_hasher();
        exemplars.for_each(|bytes| bytes.hash(&mut hasher));
        let found = (hasher.finish() as u32).max(1);
        self.texts.get_mut(self.last as usize).is_some_and(|text| std::mem::replace(&mut text.exemplars, found) != found)
    }
    /// Notes when the counts of a series began; says whether that is later than what was known.
    pub(super) fn note_created(&mut self, number: SeriesNumber, created: i64) -> bool {
        let known = self.created.entry(number.0).or_insert(i64::MIN);
        let news = created > *known;
        *known = created.max(*known);
        news
    }

    /// Ends a turn that went well: names every series that was alive and had no sample, and whether it is one of histograms.
    pub(super) fn commit(&mut self, mut ended: impl FnMut(&Labels, bool)) {
        for series in &mut self.series {
            let alive = series.tracked == self.turn;
            if series.alive && !alive {
                ended(&series.labels, series.histogram);
            }
            series.alive = alive;
        }
        self.forget();
        self.fit();
        self.begin();
    }
    /// Gives room back that nobody needs: a list that grew has up to twice its size, and there are thousands of caches.
    fn fit(&mut self) {
        let is_wide = |room: usize, taken: usize| room > taken + taken / 4 + 4;
        if is_wide(self.texts.capacity(), self.texts.len()) {
            self.texts.shrink_to_fit();
        }
        if is_wide(self.series.capacity(), self.series.len()) {
            self.series.shrink_to_fit();
        }
    }
    /// Ends a turn that failed: what came in it does not count, and every series that was alive has ended.
    pub(super) fn fail(&mut self, mut ended: impl FnMut(&Labels, bool)) {
        for series in &mut self.series {
            if std::mem::take(&mut series.alive) {
                ended(&series.labels, series.histogram);
            }
        }
        // Texts that only failed scrapes bring must not pile up.
        if self.texts.len() > 2 * self.series.len() + SWEEP_AT {
            self.forget();
        }
        self.begin();
    }
    /// Forgets what every text stands for and keeps which series are alive: for new relabelling rules.
    pub(super) fn clear_texts(&mut self) {
        self.texts = Vec::new();
        self.by_text = HashTable::new();
        self.groups = HashMap::new();
        self.last = NONE;
        self.forgotten = 0;
    }

    fn begin(&mut self) {
        self.turn += 1;
        self.last = NONE;
    }
    fn forget(&mut self) {
        for text in self.texts.iter_mut().filter(|t| t.turn != self.turn && !t.forgotten) {
            text.forgotten = true;
            self.forgotten += 1;
        }
        if self.forgotten > SWEEP_AT && self.forgotten > self.texts.len() / 2 {
            self.sweep();
        }
    }

    /// Rebuilds everything from the living texts and series.
    fn sweep(&mut self) {
        let mut swept = Cache { turn: self.turn, hasher: self.hasher.clone(), ..Cache::new() };
        let mut numbers = vec![NONE; self.series.len()];
        for (i, series) in self.series.iter().enumerate() {
            if series.alive || series.turn == self.turn {
                let at = swept.series_of(series.labels.clone());
                swept.series[at as usize] = Series { labels: series.labels.clone(), ..*series };
                numbers[i] = at;
                if let Some(created) = self.created.get(&(i as u32)) {
                    swept.created.insert(at, *created);
                }
            }
        }
        for (number, text) in self.texts.drain(..).enumerate().filter(|(_, t)| !t.forgotten) {
            let series = if text.series == CREATED { CREATED } else { numbers.get(text.series as usize).copied().unwrap_or(NONE) };
            let at = swept.texts.len() as u32;
            swept.by_text.insert_unique(swept.hasher.hash_one(&*text.raw), at, |i| swept.hasher.hash_one(&*swept.texts[*i as usize].raw));
            swept.texts.push(Text { series, next: NONE, ..text });
            if let Some(group) = self.groups.get(&(number as u32)) {
                swept.groups.insert(at, *group);
            }
        }
        *self = swept;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use watchfire_model::labels;

    const G: MetricType = MetricType::Gauge;

    /// Runs one scrape over texts `name` or `name@` (own timestamp); gives what was added and what ended.
    fn scrape(cache: &mut Cache, texts: &[&str], ok: bool) -> (usize, Vec<String>) {
        let mut added = 0;
        for raw in texts {
            let (known, new) = match cache.find(raw.as_bytes(), G, raw.as_bytes() == cache.expected()) {
                Some(found) => found,
                None => (cache.insert(raw.as_bytes(), G, (!raw.starts_with('!')).then(|| labels!("__name__" => raw.trim_end_matches('\''))), 0), true),
            };
            added += usize::from(new);
            if let Known::Series(number) = known {
                cache.touch(number, true, false);
            }
        }
        let mut ended = Vec::new();
        let note = |l: &Labels, _| ended.push(l.metric_name().to_owned());
        if ok {
            cache.commit(note)
        } else {
            cache.fail(note)
        }
        ended.sort();
        (added, ended)
    }

    #[test]
    fn series_begin_and_end() {
        let mut cache = Cache::new();
        assert_eq!(scrape(&mut cache, &["a", "b", "!c"], true), (3, vec![]));
        assert_eq!(scrape(&mut cache, &["a", "b", "!c"], true), (0, vec![]));
        assert_eq!(scrape(&mut cache, &["b", "a"], true), (0, vec![]));
        assert_eq!(scrape(&mut cache, &["a"], true), (0, vec!["b".to_owned()]));
        assert_eq!(scrape(&mut cache, &["b", "a"], true), (1, vec![]));
        assert_eq!(scrape(&mut cache, &["a"], false), (0, vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(scrape(&mut cache, &[], false), (0, vec![]));
        assert_eq!(scrape(&mut cache, &["a", "b"], true), (0, vec![]));
    }

    proptest::proptest! {
        /// Whatever comes in whatever order, the cache says the same as sets do.
        #[test]
        fn the_cache_is_a_pair_of_sets(scrapes in proptest::collection::vec((proptest::collection::vec(0u8..9, 0..14), proptest::bool::weighted(0.8)), 1..30)) {
            let mut cache = Cache::new();
            let (mut alive, mut remembered) = (BTreeSet::new(), BTreeSet::new());
            for (names, ok) in scrapes {
                let texts: Vec<String> = names.iter().map(|n| if n % 4 == 3 { format!("!{n}") } else { format!("s{n}") }).collect();
                let now: BTreeSet<String> = texts.iter().cloned().collect();
                let series: BTreeSet<String> = now.iter().filter(|t| !t.starts_with('!')).cloned().collect();
                let gone: BTreeSet<String> = if ok { alive.difference(&series).cloned().collect() } else { alive };
                let new = now.difference(&remembered).count();
                let found = scrape(&mut cache, &texts.iter().map(String::as_str).collect::<Vec<_>>(), ok);
                proptest::prop_assert_eq!(found, (new, gone.into_iter().collect()));
                alive = if ok { series } else { BTreeSet::new() };
                remembered = if ok { now } else { remembered.union(&now).cloned().collect() };
            }
        }
    }

    #[test]
    fn two_texts_of_one_series_are_one_series() {
        let mut cache = Cache::new();
        let one = cache.insert(b"a", G, Some(labels!("__name__" => "a")), 0);
        let two = cache.insert(b"a'", G, Some(labels!("__name__" => "a")), 0);
        assert_eq!(one, two);
        let Known::Series(number) = one else { panic!("dropped") };
        assert!(cache.touch(number, true, true));
        assert!(!cache.touch(number, true, true));
        assert_eq!(cache.find(b"a", MetricType::Histogram, false), None);
    }

    #[test]
    fn what_texts_and_series_remember() {
        let mut cache = Cache::new();
        let Known::Series(number) = cache.insert(b"a", G, Some(labels!("__name__" => "a")), 7) else { panic!("dropped") };
        assert_eq!(cache.group(), 7);
        let exemplars = |cache: &mut Cache, all: &[&[u8]]| cache.note_exemplars(all.iter().copied());
        assert!(exemplars(&mut cache, &[b"x"]) && !exemplars(&mut cache, &[b"x"]) && exemplars(&mut cache, &[b"x", b"y"]));
        assert!(cache.note_created(number, 5) && !cache.note_created(number, 5) && !cache.note_created(number, 4) && cache.note_created(number, 6));
        assert_eq!(cache.insert_created(b"b", G, 7), Known::Created(7));
        cache.touch(number, true, true);
        let mut ended = Vec::new();
        cache.commit(|_, _| {});
        assert_eq!(cache.find(b"b", G, false), Some((Known::Created(7), false)));
        cache.commit(|labels, histogram| ended.push((labels.metric_name().to_owned(), histogram)));
        assert_eq!(ended, [("a".to_owned(), true)]);
        // What is known moves along when others are swept out.
        for round in 0..20 {
            let texts: Vec<String> = (0..300).map(|i| format!("m{round}_{i}")).collect();
            scrape(&mut cache, &texts.iter().map(String::as_str).chain(["a", "b"]).collect::<Vec<_>>(), true);
        }
        assert_eq!(cache.find(b"b", G, false), Some((Known::Created(7), false)));
        let Some((Known::Series(number), _)) = cache.find(b"a", G, false) else { panic!("gone") };
        assert!(cache.group() == 7 && !cache.note_created(number, 6) && cache.note_created(number, 7) && cache.texts.len() < 2_500);
    }

    #[test]
    fn what_is_gone_is_swept_out() {
        let mut cache = Cache::new();
        for round in 0..20 {
            let texts: Vec<String> = (0..300).map(|i| format!("m{round}_{i}")).chain(["stays".to_owned()]).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (added, ended) = scrape(&mut cache, &texts, true);
            assert_eq!((added, ended.len()), if round == 0 { (301, 0) } else { (300, 300) });
        }
        assert!(cache.texts.len() < 2_500 && cache.len() < 2_500, "{} {}", cache.texts.len(), cache.len());
        assert_eq!(scrape(&mut cache, &["stays"], true).0, 0);
    }

    #[test]
    fn new_rules_keep_what_is_alive() {
        let mut cache = Cache::new();
        scrape(&mut cache, &["a", "b"], true);
        cache.clear_texts();
        assert_eq!(scrape(&mut cache, &["a"], true), (1, vec!["b".to_owned()]));
    }

    #[test]
    fn room_that_nobody_needs_is_given_back() {
        let mut cache = Cache::new();
        for many in [33, 400, 401, 65] {
            let texts: Vec<String> = (0..many).map(|n| format!("m{n}")).collect();
            scrape(&mut cache, &texts.iter().map(String::as_str).collect::<Vec<_>>(), true);
            for (room, taken) in [(cache.texts.capacity(), cache.texts.len()), (cache.series.capacity(), cache.series.len())] {
                assert!(taken >= many && room <= taken + taken / 4 + 4, "{room} for {taken}");
            }
        }
    }
}
