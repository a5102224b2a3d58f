//! Pipelines: what selects spans, relations between them, aggregates, groups.

use super::super::ast::{Aggregate, Arithmetic, Comparison, Expr, Pipeline, Relation, Scalar, ScalarFilter, Side, Spans, Stage};
use super::super::lexer::Kind;
use super::super::value::{Val, negative};
use super::expr::{Type, type_of};
use super::{ITEMS_MAX, Parsed, Parser};

/// Words that begin what is measured over time; they end the pipeline.
pub(super) const MEASURES: [&str; 9] =
    ["rate", "count_over_time", "min_over_time", "max_over_time", "avg_over_time", "sum_over_time", "quantile_over_time", "histogram_over_time", "compare"];

/// Which operators between selections bind how: and, or bind alike, relations more tightly.
fn strength(mark: &str) -> Option<u8> {
    match mark {
        "&&" | "||" => Some(1),
        mark => relation(mark).map(|_| 2),
    }
}
fn relation(mark: &str) -> Option<(Relation, Side)> {
    let side = |prefix: &str, side| Some((Relation::from_symbol(mark.strip_prefix(prefix)?)?, side));
    side("", Side::Right).or_else(|| side("!", Side::Not)).or_else(|| side("&", Side::Both))
}

impl Parser<'_> {
    /// Steps up to the end, or to what is measured if that may follow.
    pub(super) fn pipeline(&mut self, measured: bool) -> Parsed<Pipeline> {
        let mut stages = vec![self.stage()?];
        while self.mark() == "|" {
            let next = self.ahead(1);
            if measured && next.kind == Kind::Word && MEASURES.contains(&next.text) {
                break;
            }
            if stages.len() >= ITEMS_MAX {
                return Err(self.fail(self.start(), format!("a pipeline has more than {ITEMS_MAX} steps")));
            }
            self.at += 1;
            stages.push(self.stage()?);
        }
        Ok(Pipeline { stages })
    }

    fn stage(&mut self) -> Parsed<Stage> {
        match self.word() {
            "by" => {
                self.at += 1;
                return Ok(Stage::By(self.list(|p| p.expr(0))?));
            }
            "coalesce" => {
                self.at += 1;
                self.expect("(")?;
                self.expect(")")?;
                return Ok(Stage::Coalesce);
            }
            "select" => {
                self.at += 1;
                return Ok(Stage::Select(self.list(Parser::field)?));
            }
            word if MEASURES.contains(&word) => return Err(self.unexpected("what selects spans, such as { }, before it")),
            _ => {}
        }
        // Parentheses may be around either; what they begin with tells.
        let parentheses = (0..).take_while(|n| self.ahead(*n).text == "(" && self.ahead(*n).kind == Kind::Mark).count();
        if self.ahead(parentheses).text == "{" { Ok(Stage::Spans(self.spans(0)?)) } else { Ok(Stage::Scalar(self.scalar_filter()?)) }
    }

    fn spans(&mut self, least: u8) -> Parsed<Spans> {
        let mut left = self.spans_operand()?;
        while let Some(found) = strength(self.mark()).filter(|found| *found >= least) {
            let mark = self.mark();
            self.operator()?;
            let right = Box::new(self.nested(|p| p.spans(found + 1))?);
            let before = Box::new(left);
            left = match relation(mark) {
                Some((relation, side)) => Spans::Related(relation, side, before, right),
                None if mark == "&&" => Spans::And(before, right),
                None => Spans::Or(before, right),
            };
        }
        Ok(left)
    }

    fn spans_operand(&mut self) -> Parsed<Spans> {
        if self.accept("(") {
            let mut pipeline = self.nested(|p| p.pipeline(false))?;
            if self.mark() == ")" {
                self.at += 1;
                let only = (pipeline.stages.len() == 1).then(|| pipeline.stages.pop()).flatten();
                return Ok(match only {
                    Some(Stage::Spans(spans)) => spans,
                    Some(other) => Spans::Pipeline(Pipeline { stages: vec![other] }),
                    None => Spans::Pipeline(pipeline),
                });
            }
            return Err(self.unexpected("\")\" or \"|\""));
        }
        self.expect("{")?;
        if self.accept("}") {
            return Ok(Spans::Filter(Expr::Literal(Val::Bool(true))));
        }
        let start = self.start();
        let filter = self.nested(|p| p.expr(0))?;
        if !matches!(type_of(&filter), Type::Any | Type::Bool) {
            return Err(self.fail(start, format!("span filter field expressions must resolve to a boolean: {{ {filter} }}")));
        }
        self.expect("}")?;
        Ok(Spans::Filter(filter))
    }

    fn scalar_filter(&mut self) -> Parsed<ScalarFilter> {
        let left = self.scalar(0)?;
        let Some(op) = Comparison::from_symbol(self.mark()) else { return Err(self.unexpected("a comparison such as \"> 2\"")) };
        self.operator()?;
        Ok(ScalarFilter { op, left, right: self.scalar(0)? })
    }

    fn scalar(&mut self, least: u8) -> Parsed<Scalar> {
        let mut left = self.scalar_operand()?;
        while let Some(op) = Arithmetic::from_symbol(self.mark()) {
            let found = match op {
                Arithmetic::Add | Arithmetic::Subtract => 1,
                Arithmetic::Power => 3,
                _ => 2,
            };
            if found < least {
                break;
            }
            self.operator()?;
            let right = self.nested(|p| p.scalar(if op == Arithmetic::Power { found } else { found + 1 }))?;
            left = Scalar::Compute(op, Box::new(left), Box::new(right));
        }
        Ok(left)
    }

    fn scalar_operand(&mut self) -> Parsed<Scalar> {
        if self.accept("(") {
            let inner = self.nested(|p| p.scalar(0))?;
            self.expect(")")?;
            return Ok(inner);
        }
        if let Some(aggregate) = Aggregate::from_symbol(self.word()) {
            self.at += 1;
            self.expect("(")?;
            let of = if aggregate == Aggregate::Count { None } else { Some(self.aggregated()?) };
            self.expect(")")?;
            return Ok(Scalar::Aggregate(aggregate, of));
        }
        let start = self.start();
        if self.mark() != "-" && self.peek().kind != Kind::Number {
            return Err(self.unexpected("{ }, an aggregate such as count(), by(), coalesce() or select()"));
        }
        let minus = self.accept("-");
        let value = self.literal()?;
        if value.number().is_none() {
            return Err(self.fail(start, "a set of spans is compared with a number or a duration"));
        }
        Ok(Scalar::Literal(if minus { negative(value) } else { value }))
    }

    fn aggregated(&mut self) -> Parsed<Expr> {
        let start = self.start();
        let of = self.nested(|p| p.expr(0))?;
        if !matches!(type_of(&of), Type::Any | Type::Number) {
            return Err(self.fail(start, format!("aggregate field expressions must resolve to a number type: {of}")));
        }
        Ok(of)
    }
}
