//! `Labels`: the immutable, sorted label set that names a series.
//!
//! One allocation per set: names and values are packed into one `Arc<str>`, each preceded by its
//! length in base 64 digits that are themselves ASCII, so the whole stays valid UTF-8. The hash is
//! computed once. It is not a map to edit: use `LabelsBuilder` for that.

use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::{Arc, LazyLock};

/// The label that holds the metric's name.
pub const METRIC_NAME: &str = "__name__";
/// The label that holds the metric's type, where type and unit are kept as labels.
pub const METRIC_TYPE: &str = "__type__";
/// The label that holds the metric's unit, where type and unit are kept as labels.
pub const METRIC_UNIT: &str = "__unit__";

/// An immutable set of labels, sorted by name, without empty values.
#[derive(Clone)]
pub struct Labels {
    hash: u64,
    packed: Arc<str>,
}

/// A fixed seed, so that a set hashes alike everywhere within one process and between processes.
static HASHER: LazyLock<Fixed> = LazyLock::new(|| Fixed);
struct Fixed;
impl BuildHasher for Fixed {
    type Hasher = Folded;
    fn build_hasher(&self) -> Folded {
        Folded(0xcbf2_9ce4_8422_2325)
    }
}
/// A hash over 8-byte words: stable, allocation-free and fast enough for short label sets. Each word is multiplied and both halves of
/// the product are kept, so that words which differ in their last bytes, as numbered labels do, differ everywhere afterwards.
struct Folded(u64);
impl Folded {
    #[inline]
    fn mix(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word) * u128::from(0x9e37_79b9_7f4a_7c15_u64);
        // The sum keeps a product of nothing from staying nothing.
        self.0 = ((product as u64) ^ ((product >> 64) as u64)).wrapping_add(0x2545_f491_4f6c_dd1d);
    }
}
impl Hasher for Folded {
    fn finish(&self) -> u64 {
        let mut last = Folded(self.0);
        last.mix(0xd6e8_feb8_6659_fd93);
        last.0
    }
    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0u8; 8];
            word.copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut word = [0u8; 8];
            word[..rest.len()].copy_from_slice(rest);
            self.mix(u64::from_le_bytes(word) ^ ((rest.len() as u64) << 56));
        }
    }
}

/// So many pairs are searched through for an equal name when one is added; more are sorted, because searching takes the square of their number.
const SEARCHED_MAX: usize = 32;

/// A set of pairs whose names may repeat.
fn sorted_once(mut pairs: Vec<(&str, &str)>) -> Labels {
    // The order is stable, so the last of those with one name is the one that was set last.
    pairs.sort_by_key(|(name, _)| *name);
    let mut set: Vec<(&str, &str)> = Vec::with_capacity(pairs.len());
    for pair in pairs {
        match set.last_mut() {
            Some(last) if last.0 == pair.0 => *last = pair,
            _ => set.push(pair),
        }
    }
    set.retain(|(_, value)| !value.is_empty());
    Labels::from_sorted(&set)
}

/// What a thread's packing buffer may keep.
const SCRATCH_BYTES_MAX: usize = 16 << 10;
thread_local! {
    /// Sets are packed here, so that a set costs the one allocation that holds it.
    static SCRATCH: RefCell<String> = const { RefCell::new(String::new()) };
}

fn push_len(out: &mut String, mut len: usize) {
    loop {
        let digit = (len & 0x3f) as u8;
        len >>= 6;
        // 0x00..=0x3f ends a number, 0x40..=0x7f continues it: both are single ASCII bytes.
        out.push(char::from(if len == 0 { digit } else { digit | 0x40 }));
        if len == 0 {
            return;
        }
    }
}

/// The place of the last digit that a length may have: six digits say up to 64 GiB.
const LENGTH_SHIFT_MAX: u32 = 30;

#[inline]
fn take<'a>(packed: &'a str, at: &mut usize) -> Option<&'a str> {
    let bytes = packed.as_bytes();
    let mut len = 0usize;
    let mut shift = 0u32;
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        len |= usize::from(byte & 0x3f) << shift;
        if byte & 0x40 == 0 {
            break;
        }
        shift += 6;
        // No text is that long: this is no length, and the shift would overflow.
        if shift > LENGTH_SHIFT_MAX {
            return None;
        }
    }
    let end = at.checked_add(len)?;
    let text = packed.get(*at..end)?;
    *at = end;
    Some(text)
}

impl Labels {
    /// The empty set.
    pub fn empty() -> Labels {
        Labels::from_packed("")
    }

    /// Builds a set from pairs in any order. Of two pairs with one name the last wins; an empty value removes the label.
    pub fn from_pairs<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Labels {
        let mut builder = LabelsBuilder::new();
        let mut pairs = pairs.into_iter();
        for (name, value) in pairs.by_ref().take(SEARCHED_MAX) {
            builder.set(name.as_ref(), value.as_ref());
        }
        let more: Vec<(N, V)> = pairs.collect();
        if more.is_empty() { builder.build() } else { sorted_once(builder.pairs().chain(more.iter().map(|(n, v)| (n.as_ref(), v.as_ref()))).collect()) }
    }

    /// Builds a set from pairs that are already strictly ascending by name and have no empty value; falls back to sorting.
    pub fn from_sorted(pairs: &[(&str, &str)]) -> Labels {
        let ascending = pairs.windows(2).all(|w| w[0].0 < w[1].0) && pairs.iter().all(|(_, v)| !v.is_empty());
        if !ascending {
            return Labels::from_pairs(pairs.iter().copied());
        }
        SCRATCH.with_borrow_mut(|packed| {
            packed.clear();
            packed.shrink_to(SCRATCH_BYTES_MAX);
            for (name, value) in pairs {
                push_len(packed, name.len());
                packed.push_str(name);
                push_len(packed, value.len());
                packed.push_str(value);
            }
            Labels::from_packed(packed)
        })
    }

    fn from_packed(packed: &str) -> Labels {
        let mut hasher = HASHER.build_hasher();
        hasher.write(packed.as_bytes());
        Labels { hash: hasher.finish(), packed: packed.into() }
    }

    /// The stored form (see the file's header): what the write-ahead log and segments hold.
    pub fn packed(&self) -> &str {
        &self.packed
    }

    /// Reads the stored form back; `None` when it is damaged, unsorted or holds an empty value.
    pub fn unpack(packed: &str) -> Option<Labels> {
        let mut at = 0;
        let mut last = "";
        while at < packed.len() {
            let name = take(packed, &mut at)?;
            let value = take(packed, &mut at)?;
            if name <= last || value.is_empty() {
                return None;
            }
            last = name;
        }
        Some(Labels::from_packed(packed))
    }

    /// Iterates over a stored form without making a set of it; ends early when it is damaged.
    pub fn iter_packed(packed: &str) -> Iter<'_> {
        Iter { packed, at: 0 }
    }

    /// Appends a pair to a stored form under construction; names must ascend, and no value be empty.
    pub fn push_packed(packed: &mut String, name: &str, value: &str) {
        for text in [name, value] {
            push_len(packed, text.len());
            packed.push_str(text);
        }
    }

    /// The hash of the whole set: equal sets have equal hashes, in every process.
    pub fn hash_value(&self) -> u64 {
        self.hash
    }

    /// All labels in ascending order of name.
    pub fn iter(&self) -> Iter<'_> {
        Iter { packed: &self.packed, at: 0 }
    }

    /// The value of one label, if it is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        for (n, v) in self.iter() {
            if n == name {
                return Some(v);
            }
            if n > name {
                return None;
            }
        }
        None
    }

    /// The metric's name, or the empty string.
    pub fn metric_name(&self) -> &str {
        self.get(METRIC_NAME).unwrap_or("")
    }

    /// The number of labels.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.packed.is_empty()
    }

    /// The same set without one label.
    pub fn without(&self, name: &str) -> Labels {
        if self.get(name).is_none() {
            return self.clone();
        }
        let kept: Vec<_> = self.iter().filter(|(n, _)| *n != name).collect();
        Labels::from_sorted(&kept)
    }

    /// The same set with one label set (an empty value removes it).
    pub fn with(&self, name: &str, value: &str) -> Labels {
        let mut builder = LabelsBuilder::from(self);
        builder.set(name, value);
        builder.build()
    }

    /// Whether somebody else holds this very copy.
    pub fn is_shared(&self) -> bool {
        Arc::strong_count(&self.packed) > 1
    }

    /// Whether both are one copy in memory, not only equal.
    #[inline]
    pub fn is_copy_of(&self, other: &Labels) -> bool {
        Arc::ptr_eq(&self.packed, &other.packed)
    }

    /// Bytes of memory that one such set occupies, shared or not.
    pub fn memory(&self) -> usize {
        self.packed.len() + 16
    }
}

impl Default for Labels {
    fn default() -> Labels {
        Labels::empty()
    }
}
impl PartialEq for Labels {
    fn eq(&self, other: &Labels) -> bool {
        self.hash == other.hash && (Arc::ptr_eq(&self.packed, &other.packed) || self.packed == other.packed)
    }
}
impl Eq for Labels {}
impl Hash for Labels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}
impl PartialOrd for Labels {
    fn partial_cmp(&self, other: &Labels) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Labels {
    /// Prometheus' order: pair by pair, name before value; a prefix comes first.
    fn cmp(&self, other: &Labels) -> std::cmp::Ordering {
        self.iter().cmp(other.iter())
    }
}
impl fmt::Display for Labels {
    /// `name{a="b", c="d"}` with Go-style escapes; names outside the classic charset are quoted inside the braces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.metric_name();
        let plain = is_classic_metric_name(name);
        if plain {
            f.write_str(name)?;
        }
        let mut open = false;
        if !name.is_empty() && !plain {
            write!(f, "{{{}", quoted(name))?;
            open = true;
        }
        for (n, v) in self.iter().filter(|(n, _)| *n != METRIC_NAME) {
            f.write_str(if open { ", " } else { "{" })?;
            open = true;
            if is_classic_label_name(n) {
                f.write_str(n)?;
            } else {
                f.write_str(&quoted(n))?;
            }
            write!(f, "={}", quoted(v))?;
        }
        if open {
            f.write_str("}")?;
        } else if name.is_empty() {
            f.write_str("{}")?;
        }
        Ok(())
    }
}
impl fmt::Debug for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
impl<'a> IntoIterator for &'a Labels {
    type Item = (&'a str, &'a str);
    type IntoIter = Iter<'a>;
    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// Iterates over `(name, value)` in ascending order of name.
#[derive(Clone)]
pub struct Iter<'a> {
    packed: &'a str,
    at: usize,
}
impl<'a> Iterator for Iter<'a> {
    type Item = (&'a str, &'a str);
    #[inline]
    fn next(&mut self) -> Option<(&'a str, &'a str)> {
        let name = take(self.packed, &mut self.at)?;
        let value = take(self.packed, &mut self.at)?;
        Some((name, value))
    }
}

/// A label set under construction.
#[derive(Clone, Debug, Default)]
pub struct LabelsBuilder {
    pairs: Vec<(String, String)>,
}
impl LabelsBuilder {
    /// An empty builder.
    pub fn new() -> LabelsBuilder {
        LabelsBuilder::default()
    }
    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: &str, value: &str) -> &mut Self {
        match self.pairs.iter().position(|(n, _)| n == name) {
            Some(i) if value.is_empty() => {
                self.pairs.remove(i);
            }
            Some(i) => value.clone_into(&mut self.pairs[i].1),
            None if value.is_empty() => {}
            None => self.pairs.push((name.to_owned(), value.to_owned())),
        }
        self
    }
    /// Removes a label.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.pairs.retain(|(n, _)| n != name);
        self
    }
    /// The current value of a label, or the empty string.
    pub fn get(&self, name: &str) -> &str {
        self.pairs.iter().find(|(n, _)| n == name).map_or("", |(_, v)| v.as_str())
    }
    /// The pairs in the order in which they were first set.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
    /// Keeps the labels for which the predicate holds.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.pairs.retain(|(n, v)| keep(n, v));
    }
    /// The finished set.
    pub fn build(&self) -> Labels {
        let mut pairs: Vec<(&str, &str)> = self.pairs().collect();
        pairs.sort_unstable();
        Labels::from_sorted(&pairs)
    }
}
impl From<&Labels> for LabelsBuilder {
    fn from(labels: &Labels) -> LabelsBuilder {
        LabelsBuilder { pairs: labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect() }
    }
}

/// Whether a text is a metric name of the classic charset `[a-zA-Z_:][a-zA-Z0-9_:]*`.
pub fn is_classic_metric_name(name: &str) -> bool {
    classic(name, true)
}
/// Whether a text is a label name of the classic charset `[a-zA-Z_][a-zA-Z0-9_]*`.
pub fn is_classic_label_name(name: &str) -> bool {
    classic(name, false)
}
fn classic(name: &str, colon: bool) -> bool {
    let ok = |(i, b): (usize, u8)| b.is_ascii_alphabetic() || b == b'_' || (colon && b == b':') || (i > 0 && b.is_ascii_digit());
    !name.is_empty() && name.bytes().enumerate().all(ok)
}

/// Quotes a text as Go's `%q` does for printable text: backslash, quote and control characters escaped.
pub fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Builds `Labels` from literal pairs: `labels!("__name__" => "up", "job" => "x")`.
#[macro_export]
macro_rules! labels {
    ($($name:expr => $value:expr),* $(,)?) => {
        $crate::labels::Labels::from_pairs([$(($name, $value)),*] as [(&str, &str); _])
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Allowances are counted, and log entries that come again are known, by hashes alone.
    #[test]
    fn numbered_sets_have_hashes_of_their_own() {
        for name in ["n", "pod", "instance", "a_label_of_some_length"] {
            let sets = (0..200_000).map(|n| Labels::from_pairs([(name, n.to_string())]));
            let more = (0..200_000).map(|n| Labels::from_pairs([("app", format!("a{}", n % 450)), (name, format!("{}", n / 450))]));
            let hashes: std::collections::HashSet<u64> = sets.chain(more).map(|labels| labels.hash_value()).collect();
            assert_eq!(hashes.len(), 400_000, "{name}");
        }
        // Some take the low bits, hash tables the high ones.
        for shift in [0, 32, 57] {
            let parts: std::collections::HashSet<u64> = (0..5_000).map(|n| Labels::from_pairs([("n", n.to_string())]).hash_value() >> shift & 0x7f).collect();
            assert_eq!(parts.len(), 128, "bits from {shift}");
        }
    }

    #[test]
    fn endless_lengths_are_damage() {
        for packed in ["@".repeat(40), format!("{}\x01a", "@".repeat(12)), "\x7f\x7f\x7f\x7f\x7f\x3fa".to_owned()] {
            assert_eq!(Labels::unpack(&packed), None, "{packed:?}");
        }
    }

    #[test]
    fn pairs_are_sorted_and_empty_values_vanish() {
        let set = Labels::from_pairs([("b", "2"), ("a", "1"), ("c", ""), ("b", "3")]);
        assert_eq!(set.iter().collect::<Vec<_>>(), [("a", "1"), ("b", "3")]);
        assert_eq!(set.get("b"), Some("3"));
        assert_eq!(set.get("c"), None);
    }

    #[test]
    fn a_set_of_very_many_pairs_is_made_by_sorting() {
        // Searching for each name would compare ten thousand million names.
        let pairs: Vec<(String, String)> = (0..150_000).map(|i| (format!("n{}", i % 140_000), i.to_string())).collect();
        let set = Labels::from_pairs(pairs.iter().map(|(n, v)| (n, v)));
        assert_eq!((set.len(), set.get("n7"), set.get("n139999")), (140_000, Some("140007"), Some("139999")));
    }

    #[test]
    fn display_quotes_what_needs_quotes() {
        assert_eq!(labels!("__name__" => "up", "job" => "a\"b").to_string(), r#"up{job="a\"b"}"#);
        assert_eq!(labels!("__name__" => "http.dur", "a.b" => "x").to_string(), r#"{"http.dur", "a.b"="x"}"#);
        assert_eq!(Labels::empty().to_string(), "{}");
    }

    proptest! {
        #[test]
        fn packed_form_survives(pairs in proptest::collection::vec((".{1,80}", ".{0,300}"), 0..8)) {
            let set = Labels::from_pairs(pairs.iter().map(|(n, v)| (n.as_str(), v.as_str())));
            let back = Labels::unpack(set.packed()).unwrap();
            prop_assert_eq!(&back, &set);
            prop_assert_eq!(back.hash_value(), set.hash_value());
            for (n, v) in set.iter() { prop_assert_eq!(back.get(n), Some(v)); }
        }

        #[test]
        fn many_pairs_make_the_set_that_few_would(pairs in proptest::collection::vec(("[a-e]{0,2}", "[xy]{0,1}"), 0..120)) {
            let mut builder = LabelsBuilder::new();
            for (name, value) in &pairs {
                builder.set(name, value);
            }
            prop_assert_eq!(Labels::from_pairs(pairs.iter().map(|(n, v)| (n, v))), builder.build());
        }

        #[test]
        fn unpack_never_panics(text in ".{0,200}") {
            let _ignored = Labels::unpack(&text);
        }
    }
}
