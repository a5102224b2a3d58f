//! What is measured over time.

use super::super::ast::{Comparison, Field, Measure, Metrics, Rank, Then};
use super::super::value::Val;
use super::expr::{Type, type_of, type_of_field};
use super::{ITEMS_MAX, Parsed, Parser};

/// How many values of an attribute `compare` tells unless it is said.
const TOP: usize = 10;
/// The most series of a moment, and values of an attribute, that can be asked for.
const TOP_MAX: usize = 1_000;

impl Parser<'_> {
    pub(super) fn metrics(&mut self) -> Parsed<Metrics> {
        let word = self.word();
        self.at += 1;
        let measure = self.measure(word)?;
        let start = self.start();
        let by = if self.accept_word("by") { self.list(Parser::field)? } else { Vec::new() };
        if !by.is_empty() && matches!(measure, Measure::Compare { .. }) {
            return Err(self.fail(start, "compare has no groups"));
        }
        let mut then = Vec::new();
        loop {
            if then.len() >= ITEMS_MAX {
                return Err(self.fail(self.start(), format!("a pipeline has more than {ITEMS_MAX} steps")));
            }
            if let Some(op) = Comparison::from_symbol(self.mark()) {
                self.operator()?;
                then.push(Then::Compare(op, self.plain_number()?));
            } else if self.accept("|") {
                let Some(rank) = Rank::from_symbol(self.word()) else { return Err(self.unexpected("topk or bottomk")) };
                self.at += 1;
                self.expect("(")?;
                then.push(Then::Rank(rank, self.count()?));
                self.expect(")")?;
            } else {
                return Ok(Metrics { measure, by, then });
            }
        }
    }

    fn measure(&mut self, word: &str) -> Parsed<Measure> {
        self.expect("(")?;
        let measure = match word {
            "rate" => Measure::Rate,
            "count_over_time" => Measure::Count,
            "min_over_time" => Measure::Min(self.measured()?),
            "max_over_time" => Measure::Max(self.measured()?),
            "avg_over_time" => Measure::Avg(self.measured()?),
            "sum_over_time" => Measure::Sum(self.measured()?),
            "histogram_over_time" => Measure::Histogram(self.measured()?),
            "quantile_over_time" => {
                let field = self.measured()?;
                let mut quantiles = Vec::new();
                while self.accept(",") {
                    let start = self.start();
                    let quantile = self.plain_number()?;
                    if !(0.0..=1.0).contains(&quantile) || quantiles.len() >= ITEMS_MAX {
                        return Err(self.fail(start, format!("quantiles are numbers from 0 to 1, at most {ITEMS_MAX} of them")));
                    }
                    quantiles.push(quantile);
                }
                if quantiles.is_empty() {
                    return Err(self.unexpected("\",\" and a quantile"));
                }
                Measure::Quantile(field, quantiles)
            }
            _ => self.compared()?,
        };
        self.expect(")")?;
        Ok(measure)
    }

    /// `{ … }, 10, start, end`
    fn compared(&mut self) -> Parsed<Measure> {
        self.expect("{")?;
        let start = self.start();
        let selection = if self.mark() == "}" { super::super::ast::Expr::Literal(Val::Bool(true)) } else { self.nested(|p| p.expr(0))? };
        if !matches!(type_of(&selection), Type::Any | Type::Bool) {
            return Err(self.fail(start, format!("span filter field expressions must resolve to a boolean: {{ {selection} }}")));
        }
        self.expect("}")?;
        let top = if self.accept(",") { self.count()? } else { TOP };
        let (mut from, mut to) = (None, None);
        if self.accept(",") {
            from = Some(self.moment()?);
            self.expect(",")?;
            to = Some(self.moment()?);
        }
        Ok(Measure::Compare { selection: Box::new(selection), top, start: from, end: to })
    }

    fn measured(&mut self) -> Parsed<Field> {
        let start = self.start();
        let field = self.field()?;
        if !matches!(type_of_field(&field), Type::Any | Type::Number) {
            return Err(self.fail(start, format!("only numbers are measured, which {field} is not")));
        }
        Ok(field)
    }

    fn plain_number(&mut self) -> Parsed<f64> {
        let start = self.start();
        // Durations are told in seconds, so they are compared in seconds.
        self.literal()?.measured().ok_or_else(|| self.fail(start, "a number is needed here"))
    }
    fn count(&mut self) -> Parsed<usize> {
        let start = self.start();
        match self.literal()? {
            Val::Int(count) if count > 0 && count <= TOP_MAX as i64 => Ok(count as usize),
            _ => Err(self.fail(start, format!("a number from 1 to {TOP_MAX} is needed here"))),
        }
    }
    fn moment(&mut self) -> Parsed<i64> {
        let start = self.start();
        match self.literal()? {
            Val::Int(nanos) => Ok(nanos),
            _ => Err(self.fail(start, "a moment in nanoseconds is needed here")),
        }
    }
}
