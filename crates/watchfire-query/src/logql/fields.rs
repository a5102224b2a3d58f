//! The labels of one entry while it goes through a pipeline: those of its stream, its structured metadata, and what stages set. All
//! texts that stages set lie in one buffer that is used again for every entry, so that most entries cost no allocation.

use watchfire_model::labels::Labels;

use super::pipeline::errors;

/// What the error of too many labels says.
const TOO_MANY_DETAILS: &str = "the line has more than 1000 fields; name those that are wanted, as in json a, b=\"c.d\"";

/// The label that holds the kind of an error.
pub(crate) const ERROR: &str = "__error__";
/// The label that holds what the error says.
pub(crate) const ERROR_DETAILS: &str = "__error_details__";
/// The most labels that parsers set for one entry.
pub(crate) const EXTRACTED_MAX: usize = 1_000;

/// What a name gets that the stream has already.
const DUPLICATE: &str = "_extracted";

/// Where a label comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// The stream.
    Stream,
    /// The structured metadata of the entry.
    Metadata,
    /// A stage of the query.
    Parsed,
}

#[derive(Clone, Copy, Debug)]
struct Span {
    start: usize,
    end: usize,
}

#[derive(Clone, Copy, Debug)]
struct Field {
    name: Span,
    value: Span,
    category: Category,
}

/// What is used again for every entry.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    texts: String,
    fields: Vec<Field>,
    hidden: Vec<Span>,
    error: Option<&'static str>,
    details: String,
    /// Whether the query asks for entries with errors.
    error_is_wanted: bool,
}

impl Buffers {
    fn text(&self, span: Span) -> &str {
        self.texts.get(span.start..span.end).unwrap_or("")
    }
    fn push(&mut self, text: &str) -> Span {
        let start = self.texts.len();
        self.texts.push_str(text);
        Span { start, end: self.texts.len() }
    }
}

/// The labels of one entry.
pub(crate) struct Fields<'a> {
    pub(crate) stream: &'a Labels,
    pub(crate) metadata: &'a Labels,
    buffers: &'a mut Buffers,
}

impl<'a> Fields<'a> {
    /// Begins an entry.
    pub(crate) fn new(stream: &'a Labels, metadata: &'a Labels, buffers: &'a mut Buffers) -> Fields<'a> {
        buffers.texts.clear();
        buffers.fields.clear();
        buffers.hidden.clear();
        buffers.error = None;
        buffers.details.clear();
        buffers.error_is_wanted = false;
        Fields { stream, metadata, buffers }
    }

    /// Whether stages have changed nothing.
    pub(crate) fn untouched(&self) -> bool {
        self.buffers.fields.is_empty() && self.buffers.hidden.is_empty() && self.buffers.error.is_none()
    }

    fn hides(&self, name: &str) -> bool {
        self.buffers.hidden.iter().any(|span| self.buffers.text(*span) == name)
    }

    /// The value of a label; an error is a label, too.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.find(name).map(|(value, _)| value)
    }

    /// The value with where it comes from.
    pub(crate) fn find(&self, name: &str) -> Option<(&str, Category)> {
        if let Some(field) = self.buffers.fields.iter().rev().find(|f| self.buffers.text(f.name) == name) {
            return Some((self.buffers.text(field.value), field.category));
        }
        if name.starts_with("__error") {
            match name {
                ERROR => return self.buffers.error.map(|kind| (kind, Category::Parsed)),
                ERROR_DETAILS => return (!self.buffers.details.is_empty()).then_some((self.buffers.details.as_str(), Category::Parsed)),
                _ => {}
            }
        }
        if !self.buffers.hidden.is_empty() && self.hides(name) {
            return None;
        }
        self.stream.get(name).map(|v| (v, Category::Stream)).or_else(|| self.metadata.get(name).map(|v| (v, Category::Metadata)))
    }

    /// Whether the entry had such a label before the first stage.
    fn given(&self, name: &str) -> bool {
        self.stream.get(name).is_some() || self.metadata.get(name).is_some()
    }

    /// Sets a label.
    pub(crate) fn set(&mut self, category: Category, name: &str, value: &str) {
        let value = self.buffers.push(value);
        let known = self.buffers.fields.iter().position(|f| self.buffers.text(f.name) == name);
        match known {
            Some(at) => {
                self.buffers.fields[at].value = value;
                self.buffers.fields[at].category = category;
            }
            None => {
                let name = self.buffers.push(name);
                self.buffers.fields.push(Field { name, value, category });
            }
        }
    }

    /// Sets what a parser has found. A name that the entry has already is marked; of several finds of one name the first counts. Names
    /// that nobody `wants` are left out.
    pub(crate) fn extract(&mut self, name: &str, value: &str, wanted: Option<&Wanted>) {
        let plain = wanted.is_none_or(|w| w.names.contains(name));
        if !plain && !wanted.is_some_and(|w| w.marked) {
            return;
        }
        if self.given(name) {
            let marked = format!("{name}{DUPLICATE}");
            if wanted.is_none_or(|w| w.names.contains(&marked)) {
                self.set_new(&marked, value);
            }
        } else if plain {
            self.set_new(name, value);
        }
    }

    /// How many labels stages have set.
    pub(crate) fn count(&self) -> usize {
        self.buffers.fields.len()
    }

    /// Sets a label that no stage has set. More than there may be are an error of the entry, so that nobody misses them unknowingly.
    fn set_new(&mut self, name: &str, value: &str) {
        if self.count() >= EXTRACTED_MAX {
            return self.fail(errors::TOO_MANY_LABELS, TOO_MANY_DETAILS);
        }
        if !self.buffers.fields.iter().any(|f| self.buffers.text(f.name) == name) {
            let (name, value) = (self.buffers.push(name), self.buffers.push(value));
            self.buffers.fields.push(Field { name, value, category: Category::Parsed });
        }
    }

    /// Takes a label away.
    pub(crate) fn remove(&mut self, name: &str) {
        match name {
            ERROR => self.buffers.error = None,
            ERROR_DETAILS => self.buffers.details.clear(),
            _ => {}
        }
        let Buffers { texts, fields, .. } = &mut *self.buffers;
        fields.retain(|f| texts.get(f.name.start..f.name.end) != Some(name));
        if self.given(name) && !self.hides(name) {
            let span = self.buffers.push(name);
            self.buffers.hidden.push(span);
        }
    }

    /// Whether something went wrong with the entry.
    pub(crate) fn error(&self) -> Option<&'static str> {
        self.buffers.error
    }
    /// Notes that the query asks for entries with errors.
    pub(crate) fn want_error(&mut self) {
        self.buffers.error_is_wanted = true;
    }
    /// Whether it does.
    pub(crate) fn error_is_wanted(&self) -> bool {
        self.buffers.error_is_wanted
    }
    /// Notes what went wrong; the last error counts.
    pub(crate) fn fail(&mut self, kind: &'static str, details: &str) {
        self.buffers.error = Some(kind);
        self.buffers.details.clear();
        self.buffers.details.push_str(details);
    }

    /// Visits all labels, in no order, each name once. Values may be empty where a stage says so.
    pub(crate) fn each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, &'s str, Category)) {
        let set = |name: &str| self.buffers.fields.iter().any(|f| self.buffers.text(f.name) == name);
        let plain = self.buffers.fields.is_empty() && self.buffers.hidden.is_empty();
        for (name, value) in self.stream {
            if plain || !(set(name) || self.hides(name)) {
                visit(name, value, Category::Stream);
            }
        }
        for (name, value) in self.metadata {
            if self.stream.get(name).is_none() && (plain || !(set(name) || self.hides(name))) {
                visit(name, value, Category::Metadata);
            }
        }
        for field in &self.buffers.fields {
            visit(self.buffers.text(field.name), self.buffers.text(field.value), field.category);
        }
        if let Some(kind) = self.buffers.error {
            visit(ERROR, kind, Category::Parsed);
            if !self.buffers.details.is_empty() {
                visit(ERROR_DETAILS, &self.buffers.details, Category::Parsed);
            }
        }
    }

    /// All labels as a set. Empty values are none.
    pub(crate) fn labels(&self) -> Labels {
        if self.untouched() && self.metadata.is_empty() {
            return self.stream.clone();
        }
        let mut pairs: Vec<(&str, &str)> = Vec::new();
        self.each(&mut |name, value, _| {
            if !value.is_empty() {
                pairs.push((name, value));
            }
        });
        pairs.sort_unstable();
        Labels::from_sorted(&pairs)
    }
}

/// The names of labels that a query looks at, where it is known.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    names: hashbrown::HashSet<String>,
    /// Whether one of them is that of a label which the entry had already.
    marked: bool,
}
impl Wanted {
    pub(crate) fn new(names: Vec<String>) -> Wanted {
        Wanted { marked: names.iter().any(|name| name.ends_with(DUPLICATE)), names: names.into_iter().collect() }
    }
}

/// Writes a name as label names are: what does not belong into one is an underscore. Nothing comes of an empty name.
pub(crate) fn push_name(out: &mut String, name: &str) {
    let name = name.trim();
    if out.is_empty() && name.starts_with(|c: char| c.is_ascii_digit()) {
        out.push('_');
    }
    out.extend(name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::labels;

    #[test]
    fn setting_hiding_and_marking() {
        let (stream, metadata) = (labels!("a" => "1", "b" => "2"), labels!("trace" => "t", "a" => "shadowed"));
        let mut buffers = Buffers::default();
        let mut fields = Fields::new(&stream, &metadata, &mut buffers);
        assert!(fields.untouched());
        assert_eq!(fields.labels(), labels!("a" => "1", "b" => "2", "trace" => "t"));
        fields.extract("a", "9", None);
        fields.extract("new", "3", None);
        fields.extract("new", "4", None);
        fields.remove("b");
        fields.set(Category::Parsed, "trace", "u");
        assert_eq!(fields.labels(), labels!("a" => "1", "a_extracted" => "9", "new" => "3", "trace" => "u"));
        assert_eq!((fields.get("b"), fields.get("a"), fields.get("none")), (None, Some("1"), None));
        fields.set(Category::Parsed, "b", "back");
        assert_eq!(fields.get("b"), Some("back"));
        fields.remove("b");
        fields.fail("SomeErr", "why");
        assert_eq!((fields.get(ERROR), fields.get(ERROR_DETAILS)), (Some("SomeErr"), Some("why")));
        fields.remove(ERROR);
        assert_eq!(fields.error(), None);
        let again = Fields::new(&stream, &metadata, &mut buffers);
        assert!(again.untouched());
        assert_eq!(again.get("b"), Some("2"));
    }

    #[test]
    fn more_labels_than_an_entry_may_have_are_an_error_of_it() {
        let none = Labels::empty();
        let mut buffers = Buffers::default();
        let mut fields = Fields::new(&none, &none, &mut buffers);
        let name = |i: usize| format!("n{i}");
        (0..EXTRACTED_MAX).for_each(|i| fields.extract(&name(i), "v", None));
        assert_eq!((fields.count(), fields.error()), (EXTRACTED_MAX, None));
        (EXTRACTED_MAX..10 * EXTRACTED_MAX).for_each(|i| fields.extract(&name(i), "v", None));
        assert_eq!((fields.count(), fields.error()), (EXTRACTED_MAX, Some("TooManyLabelsErr")));
        assert!(TOO_MANY_DETAILS.contains(&format!(" {EXTRACTED_MAX} ")));
        assert_eq!((fields.get("n999"), fields.get("n1000")), (Some("v"), None));
    }

    #[test]
    fn names() {
        for (given, expected) in [("a.b-c", "a_b_c"), ("1x", "_1x"), ("", ""), (" x ", "x"), ("é", "_")] {
            let mut out = String::new();
            push_name(&mut out, given);
            assert_eq!(out, expected, "{given}");
        }
    }
}
