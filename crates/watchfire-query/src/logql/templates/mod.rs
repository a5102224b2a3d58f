//! Templates of `line_format` and `label_format`: Go's language over the labels of an entry. Those that only put labels between
//! texts, which nearly all do, are filled in without it.

mod dates;
mod functions;
mod numbers;

use std::sync::{Arc, Mutex, PoisonError};

use watchfire_model::logs::Nanos;
use watchfire_template::{Form, Functions, MapKind, Templates, Value};

use super::fields::Fields;

/// The longest text that one template may make of a line.
const OUTPUT_BYTES_MAX: usize = 1 << 20;

/// What a step of a template costs beside the bytes of a line that are looked at.
const STEP_BYTES: u64 = 256;

/// What all templates of one entry may do: after this, no further one is begun.
const ENTRY_WORK_MAX: u64 = 64 << 20;

fn too_long() -> String {
    format!("it writes more than {OUTPUT_BYTES_MAX} bytes")
}

/// The entry that a template is about, for the functions that ask for it.
#[derive(Debug, Default)]
pub(super) struct Current {
    line: String,
    time: i64,
}

/// A parsed template.
pub(crate) struct Template(Kind);

enum Kind {
    Pieces(Vec<Piece>),
    Full { templates: Templates, current: Arc<Mutex<Current>> },
}

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Label(String),
    Line,
}

/// Whether a text is a template.
pub(crate) fn check(text: &str) -> Result<(), String> {
    Template::new(text, Nanos(0)).map(drop)
}

impl Template {
    /// Parses a template; `now` is what `now` says in it. The error is a sentence without a place.
    pub(crate) fn new(text: &str, now: Nanos) -> Result<Template, String> {
        if let Some(pieces) = pieces(text) {
            return Ok(Template(Kind::Pieces(pieces)));
        }
        let current = Arc::new(Mutex::new(Current::default()));
        let mut functions = Functions::builtin();
        functions::add(&mut functions);
        numbers::add(&mut functions);
        dates::add(&mut functions, now);
        let line = Arc::clone(&current);
        functions.add("__line__", &[], move |_| Ok(Value::text(&line.lock().unwrap_or_else(PoisonError::into_inner).line)));
        let time = Arc::clone(&current);
        functions.add("__timestamp__", &[], move |_| Ok(Value::Time(dates::moment(time.lock().unwrap_or_else(PoisonError::into_inner).time))));
        let mut templates = Templates::new("", functions);
        templates.parse("line", text).map_err(|error| format!("invalid template: {error}"))?;
        Ok(Template(Kind::Full { templates, current }))
    }

    /// The labels that it looks at; nothing where that is not known.
    pub(crate) fn labels(&self) -> Option<impl Iterator<Item = &str>> {
        match &self.0 {
            Kind::Pieces(pieces) => Some(pieces.iter().filter_map(|piece| match piece {
                Piece::Label(name) => Some(name.as_str()),
                _ => None,
            })),
            Kind::Full { .. } => None,
        }
    }

    /// Whether it may look at the line.
    pub(crate) fn needs_line(&self) -> bool {
        match &self.0 {
            Kind::Pieces(pieces) => pieces.contains(&Piece::Line),
            Kind::Full { .. } => true,
        }
    }

    /// Fills it in for an entry. What it had to do is added to `work`, which begins with each entry, in bytes about.
    pub(crate) fn execute(&self, fields: &Fields<'_>, line: &str, time: Nanos, out: &mut String, work: &mut u64) -> Result<(), String> {
        if *work > ENTRY_WORK_MAX {
            return Err("the templates of this entry do too much".to_owned());
        }
        match &self.0 {
            Kind::Pieces(pieces) => {
                for piece in pieces {
                    out.push_str(match piece {
                        Piece::Text(text) => text,
                        Piece::Label(name) => fields.get(name).unwrap_or(""),
                        Piece::Line => line,
                    });
                    if out.len() > OUTPUT_BYTES_MAX {
                        return Err(too_long());
                    }
                }
                *work += out.len() as u64;
                Ok(())
            }
            Kind::Full { templates, current } => {
                {
                    let mut current = current.lock().unwrap_or_else(PoisonError::into_inner);
                    line.clone_into(&mut current.line);
                    current.time = time.0;
                }
                let mut pairs: Vec<(&str, &str)> = Vec::new();
                fields.each(&mut |name, value, _| pairs.push((name, value)));
                let mut steps = 0;
                let made = templates.execute_counted("line", Value::texts(MapKind::Texts, pairs), Form::Plain, &mut steps);
                *work += steps.saturating_mul(STEP_BYTES);
                let text = made.map_err(|e| e.to_string())?;
                if text.len() > OUTPUT_BYTES_MAX {
                    return Err(too_long());
                }
                *work += text.len() as u64;
                out.push_str(&text);
                Ok(())
            }
        }
    }
}

/// The pieces of a template that has nothing but texts, labels and the line.
fn pieces(text: &str) -> Option<Vec<Piece>> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once("{{") {
        if !before.is_empty() {
            all.push(Piece::Text(before.to_owned()));
        }
        let (action, after) = behind.split_once("}}")?;
        let action = action.trim();
        match action.strip_prefix('.') {
            Some(name) if watchfire_model::labels::is_classic_label_name(name) => all.push(Piece::Label(name.to_owned())),
            None if action == "__line__" => all.push(Piece::Line),
            _ => return None,
        }
        rest = after;
    }
    if !rest.is_empty() {
        all.push(Piece::Text(rest.to_owned()));
    }
    Some(all)
}

#[cfg(test)]
mod tests {
    use super::super::fields::Buffers;
    use super::*;
    use watchfire_model::labels;
    use watchfire_model::labels::Labels;

    fn fill(template: &str) -> Result<String, String> {
        let stream = labels!("app" => "web", "n" => "7", "x" => "-2.5", "size" => "20KiB", "took" => "1.5s", "json" => "{\"a\":[1,{\"b\":\"c\"}]}", "path" => "/a b?c=d&e");
        let mut buffers = Buffers::default();
        let none = Labels::empty();
        let fields = Fields::new(&stream, &none, &mut buffers);
        let mut out = String::new();
        Template::new(template, Nanos(1_700_000_000_000_000_000))?.execute(&fields, "The Line", Nanos(1_600_000_000_123_456_789), &mut out, &mut 0)?;
        Ok(out)
    }

    #[test]
    fn plain_and_full_templates() {
        assert!(matches!(Template::new("a {{.b}} {{ __line__ }}", Nanos(0)).unwrap().0, Kind::Pieces(_)));
        assert!(matches!(Template::new("{{.b | lower}}", Nanos(0)).unwrap().0, Kind::Full { .. }));
        for (template, expected) in [
            ("", ""),
            ("[{{.app}}] {{ .n }}{{.none}} {{__line__}}", "[web] 7 The Line"),
            ("{{ if eq .app \"web\" }}yes{{ else }}no{{ end }}{{- \"!\" }}", "yes!"),
            ("{{ range $i, $e := fromJson .json }}{{ $i }}{{ end }}", "a"),
            ("{{ (index (fromJson .json).a 1).b }}", "c"),
            ("{{ .app | ToUpper }} {{ ToLower __line__ }} {{ .app | upper | lower | title }}", "WEB the line Web"),
            ("{{ Replace .app \"w\" \"W\" -1 }} {{ replace \"e\" \"E\" .app }}", "Web wEb"),
            (
                "{{ Trim \"xxaxx\" \"x\" }} {{ TrimLeft \"xxa\" \"x\" }} {{ TrimRight \"axx\" \"x\" }} {{ TrimPrefix \"ab\" \"a\" }} {{ TrimSuffix \"ab\" \"b\" }} [{{ TrimSpace \" a \" }}]",
                "a a a b a [a]",
            ),
            ("[{{ trim \" a \" }}] {{ trimAll \"$\" \"$5$\" }} {{ trimPrefix \"-\" \"-a\" }} {{ trimSuffix \"-\" \"a-\" }}", "[a] 5 a a"),
            ("{{ trunc 2 .app }} {{ trunc -2 .app }} {{ substr 1 2 .app }} {{ substr 1 -1 .app }} {{ repeat 2 .n }}", "we eb e eb 77"),
            ("{{ contains \"eb\" .app }} {{ hasPrefix \"we\" .app }} {{ hasSuffix \"x\" .app }} {{ count \"e|b\" .app }}", "true true false 2"),
            ("[{{ alignLeft 5 .app }}] [{{ alignRight 5 .app }}] [{{ alignLeft 2 .app }}] [{{ alignRight 2 .app }}]", "[web  ] [  web] [we] [eb]"),
            ("[{{ indent 2 \"a\\nb\" }}] [{{ nindent 1 \"a\" }}]", "[  a\n  b] [\n a]"),
            ("{{ regexReplaceAll \"(w)(e)\" .app \"${2}$1\" }} {{ regexReplaceAllLiteral \"w\" .app \"$1\" }}", "ewb $1eb"),
            ("{{ default \"-\" .none }} {{ .app | default \"-\" }}", "- web"),
            ("{{ add .n 1 2 }} {{ sub 5 2 }} {{ mul .n 2 }} {{ div 7 2 }} {{ mod 7 4 }} {{ max 1 3 2 }} {{ min 2 1 }}", "10 3 14 3 3 3 1"),
            ("{{ addf .x 1 }} {{ subf 1.5 1 }} {{ mulf 1.5 2 }} {{ divf 1 4 }} {{ maxf 1 2.5 }} {{ minf 1 2.5 }}", "-1.5 0.5 3 0.25 2.5 1"),
            ("{{ ceil 1.1 }} {{ floor 1.9 }} {{ round 1.256 2 }} {{ int \"12\" }} {{ float64 \"1.5\" }} {{ int .none }}", "2 1 1.26 12 1.5 0"),
            ("{{ duration .took }} {{ duration_seconds \"1m\" }} {{ bytes .size }}", "1.5 60 20480"),
            (
                "{{ .path | urlencode }} {{ \"%2Fa+b\" | urldecode }} {{ \"hi there\" | b64enc }} {{ \"aGkgdGhlcmU=\" | b64dec }}",
                "%2Fa+b%3Fc%3Dd%26e /a b aGkgdGhlcmU= hi there",
            ),
            ("{{ __timestamp__ | date \"2006-01-02T15:04:05.000Z07:00\" }} {{ __timestamp__ | unixEpoch }}", "2020-09-13T12:26:40.123Z 1600000000"),
            ("{{ unixEpochMillis __timestamp__ }} {{ unixEpochNanos __timestamp__ }} {{ now | unixEpoch }}", "1600000000123 1600000000123456789 1700000000"),
            ("{{ toDate \"2006-01-02 15:04:05\" \"2021-03-04 05:06:07\" | unixEpoch }}", "1614834367"),
            ("{{ toDateInZone \"2006-01-02\" \"Europe/Paris\" \"2021-03-04\" | unixEpoch }}", "1614812400"),
            ("{{ unixToTime \"1600000000\" | date \"15:04\" }} {{ unixToTime \"1600000000123\" | unixEpochMillis }}", "12:26 1600000000123"),
            ("{{ printf \"%-5s|%03d\" .app (int .n) }}", "web  |007"),
        ] {
            assert_eq!(fill(template).as_deref(), Ok(expected), "{template}");
        }
    }

    #[test]
    fn what_fails() {
        for (template, message) in [
            ("{{ .a", "unclosed action"),
            ("{{ nope }}", "function \"nope\" not defined"),
            ("{{ div 1 0 }}", "divide by zero"),
            ("{{ duration .app }}", "web"),
            ("{{ range fromJson .app }}{{ end }}", "range can't iterate"),
            ("{{ toDate \"2006\" \"x\" }}", "cannot parse"),
            ("{{ regexReplaceAll \"(\" .app \"\" }}", "regexp"),
            ("{{ repeat 1000000 __line__ }}", "too"),
            ("{{ b64dec \"!\" }}", "base64"),
        ] {
            let error = fill(template).expect_err(template);
            assert!(error.contains(message), "{template}: {error}");
        }
    }
}
