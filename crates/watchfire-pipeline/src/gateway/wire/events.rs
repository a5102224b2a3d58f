//! Splits a body into what it is made of, as it comes: events of a stream (SSE), lines of JSON, or one document. Events are found
//! wherever the pieces of the body are cut. What is too large is passed over and counted; nothing here changes a byte.

/// An event, a line or a document that is larger is not looked into.
pub(in crate::gateway) const PART_BYTES_MAX: usize = 8 << 20;

/// What a body is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) enum Format {
    /// `text/event-stream`.
    Events,
    /// `application/x-ndjson`.
    Lines,
    /// One JSON document.
    Document,
    /// Something else.
    Other,
}
impl Format {
    /// The format of a content type.
    pub(in crate::gateway) fn of(content_type: &str) -> Format {
        let media = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        match media.as_str() {
            "text/event-stream" => Format::Events,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Format::Lines,
            media if media == "application/json" || media.ends_with("+json") => Format::Document,
            _ => Format::Other,
        }
    }
}

/// One part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway) struct Part<'a> {
    /// The data of an event, a line, or a whole document.
    pub(in crate::gateway) data: &'a [u8],
    /// All bytes that it took, with everything around the data; only where they are kept.
    pub(in crate::gateway) raw: &'a [u8],
}

/// Splits one body.
pub(in crate::gateway) struct Splitter {
    format: Format,
    /// Whether the bytes of events are kept as they came.
    keeps: bool,
    raw: Vec<u8>,
    line: Vec<u8>,
    /// Whether the present line has any bytes, kept or not.
    line_begun: bool,
    data: Vec<u8>,
    has_data: bool,
    /// A line that ended in CR at the end of a piece may go on with LF.
    after_cr: bool,
    /// Whether the first line of all is over.
    begun: bool,
    /// What is too large is passed over up to its end.
    skips: bool,
    skipped: u64,
}

impl Splitter {
    pub(in crate::gateway) fn new(format: Format) -> Splitter {
        Splitter {
            format,
            keeps: false,
            raw: Vec::new(),
            line: Vec::new(),
            line_begun: false,
            data: Vec::new(),
            has_data: false,
            after_cr: false,
            begun: false,
            skips: false,
            skipped: 0,
        }
    }
    /// A splitter of events that keeps their bytes.
    pub(in crate::gateway) fn keeping() -> Splitter {
        Splitter { keeps: true, ..Splitter::new(Format::Events) }
    }
    /// How many parts were too large to be looked into.
    pub(in crate::gateway) fn skipped(&self) -> u64 {
        self.skipped
    }
    /// The bytes of the event that is not complete yet, where bytes are kept.
    pub(in crate::gateway) fn pending(&self) -> usize {
        self.raw.len()
    }
    /// Keeps no bytes any more and gives those that are there.
    pub(in crate::gateway) fn stop_keeping(&mut self) -> Vec<u8> {
        self.keeps = false;
        std::mem::take(&mut self.raw)
    }

    /// Takes the next bytes.
    pub(in crate::gateway) fn push(&mut self, bytes: &[u8], part: &mut dyn FnMut(Part<'_>)) {
        match self.format {
            Format::Other => {}
            Format::Document => self.extend(bytes),
            Format::Lines => {
                let mut rest = bytes;
                while let Some(at) = memchr::memchr(b'\n', rest) {
                    self.extend(&rest[..at]);
                    self.end_document(part);
                    rest = &rest[at + 1..];
                }
                self.extend(rest);
            }
            Format::Events => self.push_events(bytes, part),
        }
    }

    /// Takes the end of the body. Servers that end without a blank line meant their last event all the same.
    pub(in crate::gateway) fn finish(&mut self, part: &mut dyn FnMut(Part<'_>)) {
        match self.format {
            Format::Other => {}
            Format::Document | Format::Lines => self.end_document(part),
            Format::Events => {
                if self.line_begun {
                    self.end_line();
                }
                self.end_event(part);
            }
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        self.line_begun |= !bytes.is_empty();
        if self.skips {
            return;
        }
        if self.line.len() + self.data.len() + bytes.len() > PART_BYTES_MAX {
            self.skips = true;
            self.skipped += 1;
            (self.line, self.data) = (Vec::new(), Vec::new());
            return;
        }
        self.line.extend_from_slice(bytes);
    }

    fn end_document(&mut self, part: &mut dyn FnMut(Part<'_>)) {
        let text = self.line.trim_ascii();
        if !std::mem::take(&mut self.skips) && !text.is_empty() {
            part(Part { data: text, raw: &[] });
        }
        self.line_begun = false;
        self.line.clear();
    }

    fn push_events(&mut self, bytes: &[u8], part: &mut dyn FnMut(Part<'_>)) {
        let mut rest = bytes;
        if !rest.is_empty() && std::mem::take(&mut self.after_cr) && rest[0] == b'\n' {
            // The second half of the end of a line whose first half came before.
            self.keep(b"\n");
            rest = &rest[1..];
        }
        while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
            let mut end = at + 1;
            if rest[at] == b'\r' {
                end += usize::from(rest.get(end) == Some(&b'\n'));
                self.after_cr = end == rest.len() && end == at + 1;
            }
            self.extend(&rest[..at]);
            self.keep(&rest[..end]);
            rest = &rest[end..];
            match self.line_begun {
                true => self.end_line(),
                false => self.end_event(part),
            }
        }
        self.extend(rest);
        self.keep(rest);
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.keeps {
            self.raw.extend_from_slice(bytes);
        }
    }

    fn end_line(&mut self) {
        let mut line: &[u8] = &self.line;
        if !std::mem::replace(&mut self.begun, true) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        let value = match line.strip_prefix(b"data") {
            Some(b"") => Some(&b""[..]),
            Some([b':', value @ ..]) => Some(value.strip_prefix(b" ").unwrap_or(value)),
            _ => None,
        };
        if let Some(value) = value {
            if std::mem::replace(&mut self.has_data, true) {
                self.data.push(b'\n');
            }
            self.data.extend_from_slice(value);
        }
        self.line_begun = false;
        self.line.clear();
    }

    fn end_event(&mut self, part: &mut dyn FnMut(Part<'_>)) {
        self.begun = true;
        let skipped = std::mem::take(&mut self.skips);
        let has_data = std::mem::take(&mut self.has_data) && !skipped;
        if has_data || !self.raw.is_empty() {
            part(Part { data: if has_data { &self.data } else { &[] }, raw: &self.raw });
        }
        self.data.clear();
        self.raw.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All parts of a body that comes in pieces cut at the given places.
    fn split(mut splitter: Splitter, body: &[u8], cuts: &[usize]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut parts, mut raw) = (Vec::new(), Vec::new());
        let mut take = |part: Part<'_>| {
            if !part.data.is_empty() {
                parts.push(part.data.to_vec());
            }
            raw.extend_from_slice(part.raw);
        };
        let mut from = 0;
        for cut in cuts.iter().map(|c| (*c).min(body.len())).chain([body.len()]) {
            splitter.push(&body[from.min(cut)..cut], &mut take);
            from = from.max(cut);
        }
        splitter.finish(&mut take);
        (parts, raw)
    }

    fn events(body: &str) -> Vec<String> {
        let parts = split(Splitter::new(Format::Events), body.as_bytes(), &[]).0;
        parts.into_iter().map(|p| String::from_utf8(p).unwrap()).collect()
    }

    #[test]
    fn events_as_the_standard_says() {
        let check = |body: &str, expected: &[&str]| assert_eq!(events(body), expected, "{body:?}");
        check("data: a\n\ndata: b\n\n", &["a", "b"]);
        check("data:a\r\n\r\ndata:  b\r\rdata: c\n\n", &["a", " b", "c"]);
        check(": comment\n\nevent: x\nid: 1\ndata: a\ndata\ndata: b\n\n", &["a\n\nb"]);
        check("\u{feff}data: a\n\n", &["a"]);
        check("dat: a\ndatax: b\n\n", &[]);
        check("data: a\n\ndata: [DONE]", &["a", "[DONE]"]);
        check("", &[]);
    }

    #[test]
    fn lines_and_documents() {
        let all = |format, body: &str| split(Splitter::new(format), body.as_bytes(), &[3]).0;
        assert_eq!(all(Format::Lines, "{\"a\":1}\r\n\n{\"b\":2}"), [&b"{\"a\":1}"[..], b"{\"b\":2}"]);
        assert_eq!(all(Format::Document, " {\"a\":\n1} "), [b"{\"a\":\n1}"]);
        assert!(all(Format::Other, "{}").is_empty());
        for (content_type, format) in [
            ("text/event-stream; charset=utf-8", Format::Events),
            ("Application/JSON", Format::Document),
            ("application/problem+json", Format::Document),
            ("application/x-ndjson", Format::Lines),
            ("text/html", Format::Other),
            ("", Format::Other),
        ] {
            assert_eq!(Format::of(content_type), format, "{content_type}");
        }
    }

    #[test]
    fn what_is_too_large_is_passed_over_and_what_follows_is_not() {
        let body = format!("data: {}\ndata: tail\n\ndata: next\n\n", "x".repeat(PART_BYTES_MAX + 1));
        let mut splitter = Splitter::new(Format::Events);
        let mut parts = Vec::new();
        for piece in body.as_bytes().chunks(70_000) {
            splitter.push(piece, &mut |part| parts.push(part.data.to_vec()));
        }
        assert_eq!((parts.as_slice(), splitter.skipped()), (&[b"next".to_vec()][..], 1));
    }

    fn stream() -> impl Strategy<Value = String> {
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\r")];
        let line = prop_oneof![
            "[a-z\\[\\]{}:\" é🦊]{0,12}".prop_map(|t| format!("data: {t}")),
            "[a-z ]{0,6}".prop_map(|t| format!(": {t}")),
            Just("data".to_owned()),
            Just(String::new()),
            Just(String::new()),
            "[a-z:]{0,8}",
        ];
        proptest::collection::vec((line, end), 0..24).prop_map(|lines| lines.into_iter().map(|(l, e)| l + e).collect())
    }

    proptest! {
        #[test]
        fn events_do_not_depend_on_where_the_body_is_cut(body in stream(), mut cuts in proptest::collection::vec(0usize..200, 0..12)) {
            cuts.sort_unstable();
            let whole = split(Splitter::new(Format::Events), body.as_bytes(), &[]).0;
            let single: Vec<usize> = (0..body.len()).collect();
            prop_assert_eq!(&split(Splitter::new(Format::Events), body.as_bytes(), &cuts).0, &whole);
            prop_assert_eq!(&split(Splitter::new(Format::Events), body.as_bytes(), &single).0, &whole);
            // What is kept is the body, byte for byte.
            prop_assert_eq!(split(Splitter::keeping(), body.as_bytes(), &cuts).1, body.as_bytes());
            prop_assert_eq!(split(Splitter::keeping(), body.as_bytes(), &cuts).0, whole);
        }

        #[test]
        fn any_bytes_are_survived(body in proptest::collection::vec(any::<u8>(), 0..400), cut in 0usize..400) {
            for format in [Format::Events, Format::Lines, Format::Document, Format::Other] {
                split(Splitter::new(format), &body, &[cut]);
            }
        }
    }
}
