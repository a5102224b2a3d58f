//! What stands in a range aggregation: a selection with its window, in any of the orders that people write, and `unwrap`.

use super::super::ast::{Conversion, LabelFilter, LogExpr, RangeAggregation, RangeOp, Stage, Unwrap};
use super::super::lexer::{Kind, Token};
use super::super::units;
use super::{Parsed, Parser};

/// The longest window or offset, in nanoseconds: a hundred years.
const SPAN_NANOS_MAX: i64 = 100 * 365 * 86_400 * 1_000_000_000;

struct Partial {
    selection: LogExpr,
    unwrap: Option<Unwrap>,
    range: Option<i64>,
    offset: Option<i64>,
}

impl Parser<'_> {
    /// `op(param, selection[range] offset …) by (…)`; the name of the operator comes next.
    pub(super) fn range_aggregation(&mut self, op: RangeOp) -> Parsed<RangeAggregation> {
        let name = self.take();
        self.expect("(")?;
        let mut param = None;
        if self.peek().kind == Kind::Number || self.is("-") || self.is("+") {
            let at = self.peek();
            let value = self.signed_number()?;
            if op != RangeOp::Quantile {
                return Err(self.fail(at, format!("parameter {value} not supported for operation {}", op.name())));
            }
            param = Some(value);
            self.expect(",")?;
        } else if op == RangeOp::Quantile {
            return Err(self.fail(self.peek(), format!("parameter required for operation {}", op.name())));
        }
        let partial = self.nested(Parser::partial)?;
        self.expect(")")?;
        let grouping_at = self.peek();
        let grouping = self.grouping()?;
        let Some(range) = partial.range else {
            return Err(self.fail(name, format!("{} needs a window: {{…}}[5m]", op.name())));
        };
        match &partial.unwrap {
            Some(_) if !op.takes_values() => return Err(self.fail(name, format!("invalid aggregation {} with unwrap", op.name()))),
            None if !op.takes_lines() => return Err(self.fail(name, format!("invalid aggregation {} without unwrap", op.name()))),
            _ => {}
        }
        if grouping.is_some() && !(op.groups() && partial.unwrap.is_some()) {
            return Err(self.fail(grouping_at, format!("grouping not allowed for {} aggregation", op.name())));
        }
        Ok(RangeAggregation { op, param, selection: partial.selection, unwrap: partial.unwrap, range, offset: partial.offset.unwrap_or(0), grouping })
    }

    /// A selection with its window, which nothing is computed of.
    pub(super) fn windowed_selection(&mut self) -> Parsed<()> {
        let at = self.peek();
        match self.nested(Parser::partial)?.range {
            Some(_) => Ok(()),
            None => Err(self.fail(at, "a selection with a window is needed: {…}[5m]")),
        }
    }

    fn partial(&mut self) -> Parsed<Partial> {
        let mut partial = if self.accept("(") {
            let inner = self.nested(Parser::partial)?;
            self.expect(")")?;
            inner
        } else {
            if !self.is("{") {
                return Err(self.unexpected("a selector: {…}"));
            }
            let matchers = self.checked_selector()?;
            Partial { selection: LogExpr { matchers, stages: Vec::new() }, unwrap: None, range: None, offset: None }
        };
        loop {
            let token = self.peek();
            if self.is("[") {
                if partial.range.is_some() {
                    return Err(self.fail(token, "syntax error: a selection has one window"));
                }
                partial.range = Some(self.window()?);
            } else if self.is_word("offset") {
                if partial.range.is_none() || partial.offset.is_some() {
                    return Err(self.unexpected("one offset behind a window"));
                }
                self.at += 1;
                partial.offset = Some(self.signed_duration()?);
            } else if self.is("@") {
                return Err(self.fail(token, "the @ modifier does not exist in LogQL"));
            } else if self.begins_stage() {
                self.partial_stage(&mut partial)?;
            } else {
                return Ok(partial);
            }
        }
    }

    fn partial_stage(&mut self, partial: &mut Partial) -> Parsed<()> {
        if self.unwraps_next() {
            if partial.unwrap.is_some() {
                return Err(self.fail(self.ahead(1), "unwrap is possible once"));
            }
            self.at += 2;
            partial.unwrap = Some(self.unwrap()?);
            return Ok(());
        }
        let at = self.peek();
        let mut stages = Vec::new();
        match &mut partial.unwrap {
            None => self.stage(&mut partial.selection.stages),
            Some(unwrap) => {
                self.stage(&mut stages)?;
                let filters = stages.into_iter().map(|stage| match stage {
                    Stage::Label(filter) => Ok(filter),
                    _ => Err(self.fail(at, "only label filters are possible behind unwrap")),
                });
                unwrap.filters.extend(filters.collect::<Parsed<Vec<LabelFilter>>>()?);
                Ok(())
            }
        }
    }

    fn unwrap(&mut self) -> Parsed<Unwrap> {
        let name = self.peek();
        let word = self.word("a label name or a conversion")?;
        if !self.is("(") {
            return Ok(Unwrap { label: word.to_owned(), conversion: Conversion::Number, filters: Vec::new() });
        }
        let known = [Conversion::Duration, Conversion::DurationSeconds, Conversion::Bytes].into_iter().find(|c| c.name() == word);
        let Some(conversion) = known else {
            return Err(self.fail(name, format!("unknown conversion {word}, expecting duration, duration_seconds or bytes")));
        };
        self.expect("(")?;
        let label = self.word("a label name")?.to_owned();
        self.expect(")")?;
        Ok(Unwrap { label, conversion, filters: Vec::new() })
    }

    /// `[5m]`
    fn window(&mut self) -> Parsed<i64> {
        self.expect("[")?;
        let token = self.peek();
        let nanos = self.duration(token)?;
        if nanos <= 0 {
            return Err(self.fail(token, "the window must be longer than nothing"));
        }
        if self.is(":") {
            return Err(self.fail(self.peek(), "subqueries do not exist in LogQL"));
        }
        self.expect("]")?;
        if self.is("@") {
            return Err(self.fail(self.peek(), "the @ modifier does not exist in LogQL"));
        }
        Ok(nanos)
    }

    fn duration(&mut self, token: Token<'_>) -> Parsed<i64> {
        if token.kind != Kind::Number {
            return Err(self.unexpected("a duration"));
        }
        self.at += 1;
        match units::duration_nanos(token.text) {
            Some(nanos) if nanos <= SPAN_NANOS_MAX => Ok(nanos),
            Some(_) => Err(self.fail(token, format!("duration {} is too long", token.text))),
            None => Err(self.fail(token, format!("not a valid duration string: {:?}", token.text))),
        }
    }

    fn signed_duration(&mut self) -> Parsed<i64> {
        let negative = self.accept("-");
        let nanos = self.duration(self.peek())?;
        Ok(if negative { -nanos } else { nanos })
    }

    pub(super) fn signed_number(&mut self) -> Parsed<f64> {
        let negative = self.accept("-");
        if !negative {
            self.accept("+");
        }
        let token = self.peek();
        if token.kind != Kind::Number {
            return Err(self.unexpected("a number"));
        }
        self.at += 1;
        match units::number(token.text) {
            Some(value) if value.is_finite() => Ok(if negative { -value } else { value }),
            _ => Err(self.fail(token, format!("syntax error: {} is no number", token.text))),
        }
    }
}
