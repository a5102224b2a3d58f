//! Metric queries: operators by binding strength, aggregations over series, `label_replace`, `vector`, numbers.

use watchfire_model::matcher::anchored;

use super::super::ast::{Binary, Grouping, LabelReplace, Metric, RangeOp, VectorAggregation, VectorOp};
use super::super::lexer::{Kind, Token};
use super::{OPERATORS_MAX, Operand, Parsed, Parser};
use crate::promql::{BinaryOp, Cardinality, Matching};

/// The label that tells variants apart.
const VARIANT: &str = "__variant__";

/// Binding strength, from 1; only `^` is right-associative.
fn precedence(op: BinaryOp) -> u8 {
    match op {
        BinaryOp::Or => 1,
        BinaryOp::And | BinaryOp::Unless => 2,
        BinaryOp::Add | BinaryOp::Sub => 4,
        BinaryOp::Mul | BinaryOp::Div | BinaryOp::Mod => 5,
        BinaryOp::Pow => 6,
        _ => 3,
    }
}

impl Parser<'_> {
    /// An expression whose operators bind more strongly than `least`.
    pub(super) fn expr(&mut self, least: u8) -> Parsed<Operand> {
        let start = self.peek();
        let mut left = self.nested(Parser::operand)?;
        while let Some(op) = self.binary_op().filter(|op| precedence(*op) > least) {
            let at = self.take();
            self.operators += 1;
            if self.operators > OPERATORS_MAX {
                return Err(self.fail(at, format!("query has more than {OPERATORS_MAX} operators")));
            }
            let (return_bool, matching) = self.modifiers(op)?;
            let right_start = self.peek();
            let below = if op == BinaryOp::Pow { precedence(op) - 1 } else { precedence(op) };
            let right = self.nested(|parser| parser.expr(below))?;
            let (lhs, rhs) = (self.metric(left, start)?, self.metric(right, right_start)?);
            self.check_binary(at, op, &lhs, &rhs, &matching)?;
            left = Operand::Metric(Metric::Binary(Box::new(Binary { op, lhs, rhs, return_bool, matching })));
        }
        Ok(left)
    }

    fn metric(&self, operand: Operand, at: Token<'_>) -> Parsed<Metric> {
        match operand {
            Operand::Metric(metric) => Ok(metric),
            Operand::Log(_) => Err(self.fail(at, "a log query cannot stand here; make numbers of it, for example by count_over_time(…[5m])")),
        }
    }

    fn binary_op(&self) -> Option<BinaryOp> {
        let token = self.peek();
        match token.kind {
            Kind::Mark if !matches!(token.text, "=" | "|") => BinaryOp::from_name(token.text).filter(|op| !op.is_trim()),
            Kind::Word => BinaryOp::from_name(&token.text.to_ascii_lowercase()).filter(|op| op.is_set()),
            _ => None,
        }
    }

    fn check_binary(&self, at: Token<'_>, op: BinaryOp, lhs: &Metric, rhs: &Metric, matching: &Matching) -> Parsed<()> {
        let number = lhs.is_number() || rhs.is_number();
        if number && op.is_set() {
            return Err(self.fail(at, format!("unexpected literal for a side of logical/set binary operation ({})", op.symbol())));
        }
        if number && (matching.on || !matching.labels.is_empty() || matching.cardinality != Cardinality::OneToOne) {
            return Err(self.fail(at, "vector matching is only possible between two vectors"));
        }
        if op.is_set() && matching.cardinality != Cardinality::OneToOne {
            return Err(self.fail(at, format!("no grouping allowed for {:?} operation", op.symbol())));
        }
        Ok(())
    }

    /// `bool`, `on (…)`, `ignoring (…)`, `group_left (…)`, `group_right (…)`
    fn modifiers(&mut self, op: BinaryOp) -> Parsed<(bool, Matching)> {
        let mut matching = Matching::default();
        let bool_at = self.peek();
        let return_bool = self.accept_word("bool");
        if return_bool && !op.is_comparison() {
            return Err(self.fail(bool_at, "bool modifier can only be used on comparison operators"));
        }
        if self.is_word("on") || self.is_word("ignoring") {
            matching.on = self.take().text.eq_ignore_ascii_case("on");
            matching.labels = self.label_list()?;
            if self.is_word("group_left") || self.is_word("group_right") {
                let left = self.take().text.eq_ignore_ascii_case("group_left");
                matching.cardinality = if left { Cardinality::ManyToOne } else { Cardinality::OneToMany };
                if self.is("(") {
                    let at = self.peek();
                    matching.include = self.label_list()?;
                    if let Some(label) = matching.include.iter().find(|label| matching.on && matching.labels.contains(label)) {
                        return Err(self.fail(at, format!("label {label:?} must not occur in ON and GROUP clause at once")));
                    }
                }
            }
        }
        Ok((return_bool, matching))
    }

    /// `(a, b)`
    fn label_list(&mut self) -> Parsed<Vec<String>> {
        self.expect("(")?;
        let mut labels = Vec::new();
        while !self.is(")") {
            self.name()?;
            labels.push(self.word("a label name or \")\"")?.to_owned());
            if !self.accept(",") {
                break;
            }
        }
        self.expect(")")?;
        Ok(labels)
    }

    /// `by (…)` or `without (…)`, if it comes next.
    pub(super) fn grouping(&mut self) -> Parsed<Option<Grouping>> {
        if !self.is_word("by") && !self.is_word("without") {
            return Ok(None);
        }
        let without = self.take().text.eq_ignore_ascii_case("without");
        Ok(Some(Grouping { without, labels: self.label_list()? }))
    }

    fn operand(&mut self) -> Parsed<Operand> {
        let token = self.peek();
        match (token.kind, token.text) {
            (Kind::Mark, "{") => self.log_expr().map(Operand::Log),
            (Kind::Mark, "(") => {
                self.at += 1;
                let inner = self.expr(0)?;
                self.expect(")")?;
                Ok(match inner {
                    Operand::Metric(metric) => Operand::Metric(Metric::Paren(Box::new(metric))),
                    log @ Operand::Log(_) => log,
                })
            }
            (Kind::Number, _) | (Kind::Mark, "+" | "-") => Ok(Operand::Metric(Metric::Number(self.signed_number()?))),
            (Kind::Word, name) => self.call(name).map(Operand::Metric),
            _ => Err(self.unexpected("a selector, an aggregation or a number")),
        }
    }

    fn call(&mut self, name: &str) -> Parsed<Metric> {
        if let Some(op) = RangeOp::from_name(name) {
            return self.range_aggregation(op).map(|range| Metric::Range(Box::new(range)));
        }
        if let Some(op) = VectorOp::from_name(name) {
            return self.vector_aggregation(op).map(|vector| Metric::Vector(Box::new(vector)));
        }
        match name {
            "vector" => {
                self.at += 1;
                self.expect("(")?;
                let value = self.signed_number()?;
                self.expect(")")?;
                Ok(Metric::Constant(value))
            }
            "label_replace" => self.label_replace(),
            "variants" if self.ahead(1).text == "(" => self.variants(),
            _ if self.ahead(1).text == "(" => Err(self.fail(self.peek(), format!("unknown function {name:?}"))),
            _ => Err(self.unexpected("a selector, an aggregation or a number")),
        }
    }

    fn vector_aggregation(&mut self, op: VectorOp) -> Parsed<VectorAggregation> {
        let name = self.take();
        let mut grouping_at = self.peek();
        let mut grouping = self.grouping()?;
        self.expect("(")?;
        let mut param = None;
        if op.has_param() {
            let at = self.peek();
            let value = self.signed_number().map_err(|_| self.fail(at, format!("parameter required for operation {}", op.name())))?;
            if value.fract() != 0.0 || !(1.0..=f64::from(u32::MAX)).contains(&value) {
                return Err(self.fail(at, format!("invalid parameter (must be greater than 0 and a whole number) {}({}", op.name(), at.text)));
            }
            param = Some(value as u32);
            self.expect(",")?;
        }
        let start = self.peek();
        let inner = self.expr(0)?;
        if self.is(",") {
            return Err(self.fail(start, format!("unsupported parameter for operation {}", op.name())));
        }
        let expr = self.metric(inner, start)?;
        self.expect(")")?;
        if grouping.is_none() {
            grouping_at = self.peek();
            grouping = self.grouping()?;
        }
        if grouping.is_some() && !op.groups() {
            return Err(self.fail(grouping_at, format!("grouping not allowed for {} aggregation", op.name())));
        }
        if expr.is_number() {
            return Err(self.fail(name, format!("{} needs a vector, not a number", op.name())));
        }
        Ok(VectorAggregation { op, param, expr, grouping })
    }

    /// `variants(a, b) of ({…}[5m])`: each of them, told apart by a label. What they are said to be of stands in each of them, too.
    fn variants(&mut self) -> Parsed<Metric> {
        let name = self.take();
        self.expect("(")?;
        let mut all: Option<Metric> = None;
        for number in 0.. {
            let start = self.peek();
            let inner = self.nested(|parser| parser.expr(0))?;
            let expr = self.metric(inner, start)?;
            if expr.is_number() {
                return Err(self.fail(name, "variants needs vectors, not a number"));
            }
            self.operators += 1;
            if self.operators > OPERATORS_MAX {
                return Err(self.fail(name, format!("query has more than {OPERATORS_MAX} operators")));
            }
            let told = LabelReplace { expr, to: VARIANT.to_owned(), replacement: number.to_string(), from: String::new(), regex: String::new() };
            let rhs = Metric::LabelReplace(Box::new(told));
            all = Some(match all {
                None => rhs,
                Some(lhs) => Metric::Binary(Box::new(Binary { op: BinaryOp::Or, lhs, rhs, return_bool: false, matching: Matching::default() })),
            });
            if !self.accept(",") {
                break;
            }
        }
        self.expect(")")?;
        if !self.accept_word("of") {
            return Err(self.unexpected("of"));
        }
        self.expect("(")?;
        self.windowed_selection()?;
        self.expect(")")?;
        all.ok_or_else(|| self.fail(name, "variants needs at least one aggregation"))
    }

    fn label_replace(&mut self) -> Parsed<Metric> {
        let name = self.take();
        self.expect("(")?;
        let start = self.peek();
        let inner = self.expr(0)?;
        let expr = self.metric(inner, start)?;
        if expr.is_number() {
            return Err(self.fail(name, "label_replace needs a vector, not a number"));
        }
        let mut argument = |what: &str| {
            self.expect(",")?;
            let at = self.peek();
            self.string(what).map(|text| (text, at))
        };
        let (to, to_at) = argument("the name of the label that is set")?;
        let (replacement, _) = argument("the replacement")?;
        let (from, _) = argument("the name of the label that is looked at")?;
        let (regex, regex_at) = argument("the regular expression")?;
        self.expect(")")?;
        if !watchfire_model::labels::is_classic_label_name(&to) {
            return Err(self.fail(to_at, format!("invalid label name {to:?} in label_replace")));
        }
        anchored(&regex).map_err(|e| self.fail(regex_at, e.to_string()))?;
        Ok(Metric::LabelReplace(Box::new(LabelReplace { expr, to, replacement, from, regex })))
    }
}
