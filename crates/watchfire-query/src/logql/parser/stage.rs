//! The stages of a pipeline: line filters, parsers, formats, and the choice of labels.

use regex::Regex;
use watchfire_model::labels::is_classic_label_name;
use watchfire_model::matcher::{MatchOp, Matcher};

use super::super::ast::{Extraction, LabelChoice, LabelFormat, LineFilter, LineOp, LineTerm, Stage};
use super::super::ip::IpRange;
use super::super::lexer::Kind;
use super::super::paths::Path;
use super::super::pattern::Pattern;
use super::super::regexes::{literal, of_lines, unanchored};
use super::super::{pipeline, templates};
use super::{Parsed, Parser, STAGES_MAX};

impl Parser<'_> {
    /// Whether a line filter or `|` comes next.
    pub(super) fn begins_stage(&self) -> bool {
        self.is("|") || self.line_op().is_some()
    }

    fn line_op(&self) -> Option<LineOp> {
        let token = self.peek();
        if token.kind != Kind::Mark {
            return None;
        }
        [LineOp::Contains, LineOp::NotContains, LineOp::Matches, LineOp::NotMatches, LineOp::Pattern, LineOp::NotPattern]
            .into_iter()
            .find(|op| op.symbol() == token.text)
    }

    /// Reads one stage.
    pub(super) fn stage(&mut self, stages: &mut Vec<Stage>) -> Parsed<()> {
        if stages.len() >= STAGES_MAX {
            return Err(self.fail(self.peek(), format!("pipeline has more than {STAGES_MAX} stages")));
        }
        if let Some(op) = self.line_op() {
            self.at += 1;
            stages.push(Stage::Line(self.line_filter(op)?));
            return Ok(());
        }
        self.expect("|")?;
        let word = self.peek();
        if word.kind != Kind::Word || self.compares_next() {
            stages.push(Stage::Label(self.label_filter()?));
            return Ok(());
        }
        let stage = match word.text {
            "json" => {
                self.at += 1;
                Stage::Json(self.extractions(true)?)
            }
            "logfmt" => {
                self.at += 1;
                self.logfmt()?
            }
            "pattern" => {
                self.at += 1;
                Stage::Pattern(self.pattern()?)
            }
            "regexp" => {
                self.at += 1;
                Stage::Regexp(self.regexp()?)
            }
            "unpack" => {
                self.at += 1;
                Stage::Unpack
            }
            "decolorize" => {
                self.at += 1;
                Stage::Decolorize
            }
            "line_format" => {
                self.at += 1;
                Stage::LineFormat(self.template()?)
            }
            "label_format" => {
                self.at += 1;
                Stage::LabelFormat(self.label_formats()?)
            }
            "drop" => {
                self.at += 1;
                Stage::Drop(self.choices()?)
            }
            "keep" => {
                self.at += 1;
                Stage::Keep(self.choices()?)
            }
            _ => Stage::Label(self.label_filter()?),
        };
        stages.push(stage);
        Ok(())
    }

    /// Whether the word that comes next is compared with something, so that it is a label.
    fn compares_next(&self) -> bool {
        let next = self.ahead(1);
        next.kind == Kind::Mark && matches!(next.text, "=" | "!=" | "=~" | "!~" | "==" | ">" | ">=" | "<" | "<=") && !self.filters_behind()
    }

    /// `| json != "x"` and `| unpack !~ "x"`: a parser without arguments, and a line filter behind it.
    fn filters_behind(&self) -> bool {
        matches!(self.peek().text, "json" | "logfmt" | "unpack" | "decolorize") && matches!(self.ahead(1).text, "!=" | "!~")
    }

    fn line_filter(&mut self, op: LineOp) -> Parsed<LineFilter> {
        let mut any = vec![self.line_term(op)?];
        while self.accept_word("or") {
            any.push(self.line_term(op)?);
        }
        Ok(LineFilter { op, any })
    }

    fn line_term(&mut self, op: LineOp) -> Parsed<LineTerm> {
        self.condition("lines")?;
        if self.is_word("ip") {
            let start = self.take();
            if !matches!(op, LineOp::Contains | LineOp::NotContains) {
                return Err(self.fail(start, format!("ip() is only possible with |= and !=, not with {}", op.symbol())));
            }
            return self.ip_argument().map(LineTerm::Ip);
        }
        let token = self.peek();
        let text = self.string("a text in quotes")?;
        match op {
            LineOp::Matches | LineOp::NotMatches if literal(&text).is_some() => {}
            LineOp::Matches | LineOp::NotMatches => {
                self.regex(token)?;
                drop(of_lines(&text).map_err(|message| self.fail(token, message))?);
            }
            LineOp::Pattern | LineOp::NotPattern => drop(Pattern::filter(&text).map_err(|message| self.fail(token, message))?),
            LineOp::Contains | LineOp::NotContains => {}
        }
        Ok(LineTerm::Text(text))
    }

    /// `("10.0.0.0/8")`
    pub(super) fn ip_argument(&mut self) -> Parsed<String> {
        self.expect("(")?;
        let token = self.peek();
        let range = self.string("an address or a range of addresses in quotes")?;
        IpRange::parse(&range).map_err(|message| self.fail(token, message))?;
        self.expect(")")?;
        Ok(range)
    }

    /// `a="x.y", b, c="z"`; `paths` when the expressions are paths into JSON.
    fn extractions(&mut self, paths: bool) -> Parsed<Vec<Extraction>> {
        let mut all: Vec<Extraction> = Vec::new();
        while self.peek().kind == Kind::Word && !self.begins_range_words() {
            self.name()?;
            let name = self.take();
            let mut at = name;
            let from = if self.accept("=") {
                at = self.peek();
                self.string("an expression in quotes")?
            } else {
                name.text.to_owned()
            };
            if paths {
                Path::parse(&from).map_err(|message| self.fail(at, message))?;
            } else if from.is_empty() {
                return Err(self.fail(at, "invalid logfmt expression: it is empty"));
            }
            all.push(Extraction { name: name.text.to_owned(), from });
            if !self.accept(",") {
                return Ok(all);
            }
        }
        if !all.is_empty() {
            return Err(self.unexpected("a label name"));
        }
        Ok(all)
    }

    /// Words that follow a pipeline and are no labels of a parser.
    fn begins_range_words(&self) -> bool {
        self.is_word("offset") && (self.ahead(1).kind == Kind::Number || self.ahead(1).text == "-")
    }

    fn logfmt(&mut self) -> Parsed<Stage> {
        let (mut strict, mut keep_empty) = (false, false);
        while self.peek().kind == Kind::Flag {
            let flag = self.take();
            match flag.text {
                "--strict" => strict = true,
                "--keep-empty" => keep_empty = true,
                other => return Err(self.fail(flag, format!("unknown flag {other}, expecting --strict or --keep-empty"))),
            }
        }
        Ok(Stage::Logfmt { strict, keep_empty, fields: self.extractions(false)? })
    }

    fn pattern(&mut self) -> Parsed<String> {
        let token = self.peek();
        let text = self.string("a pattern in quotes")?;
        Pattern::parser(&text).map_err(|message| self.fail(token, message))?;
        Ok(text)
    }

    fn regexp(&mut self) -> Parsed<String> {
        let token = self.peek();
        let text = self.string("a regular expression in quotes")?;
        self.regex(token)?;
        let regex = unanchored(&text).map_err(|message| self.fail(token, message))?;
        check_groups(&regex).map_err(|message| self.fail(token, message))?;
        Ok(text)
    }

    fn template(&mut self) -> Parsed<String> {
        let token = self.peek();
        let text = self.string("a template in quotes")?;
        templates::check(&text).map_err(|message| self.fail(token, message))?;
        Ok(text)
    }

    fn label_formats(&mut self) -> Parsed<Vec<LabelFormat>> {
        let mut all: Vec<LabelFormat> = Vec::new();
        loop {
            self.name()?;
            let name = self.peek();
            let to = self.word("a label name")?.to_owned();
            if pipeline::is_error_label(&to) {
                return Err(self.fail(name, format!("{to} cannot be formatted")));
            }
            if all.iter().any(|f| f.to() == to) {
                return Err(self.fail(name, format!("multiple label name '{to}' not allowed in a single format operation")));
            }
            self.expect("=")?;
            let format = if self.peek().kind == Kind::Word {
                LabelFormat::Rename { to, from: self.take().text.to_owned() }
            } else {
                LabelFormat::Template { to, template: self.template()? }
            };
            all.push(format);
            if !self.accept(",") {
                return Ok(all);
            }
        }
    }

    fn choices(&mut self) -> Parsed<Vec<LabelChoice>> {
        let mut all = Vec::new();
        loop {
            self.name()?;
            let name = self.word("a label name")?;
            all.push(match self.match_op() {
                None => LabelChoice::Name(name.to_owned()),
                Some(op) => {
                    let token = self.peek();
                    let value = self.string("a text in quotes")?;
                    if matches!(op, MatchOp::Regex | MatchOp::NotRegex) {
                        self.regex(token)?;
                    }
                    LabelChoice::Matching(Matcher::new(name, op, &value).map_err(|e| self.fail(token, e.to_string()))?)
                }
            });
            if !self.accept(",") {
                return Ok(all);
            }
        }
    }
}

/// The groups of a `regexp` stage are the labels that it sets: at least one, each once.
fn check_groups(regex: &Regex) -> Result<(), String> {
    let names: Vec<&str> = regex.capture_names().flatten().collect();
    if names.is_empty() {
        return Err("at least one named capture must be supplied".to_owned());
    }
    match names.iter().find(|name| !is_classic_label_name(name)) {
        Some(name) => Err(format!("invalid extracted label name '{name}'")),
        None => Ok(()),
    }
}
