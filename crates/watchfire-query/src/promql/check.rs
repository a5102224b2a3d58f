//! The type check: what fits together and what does not, with Prometheus' messages. It runs once after parsing.

use watchfire_model::labels::{METRIC_NAME, quoted};

use super::ast::{Aggregate, AggregateOp, Binary, Call, Cardinality, Node, NodeKind, ValueType, VectorSelector};
use super::error::ParseError;

/// Finds the first type error of a tree.
pub(super) fn check(text: &str, node: &Node) -> Result<(), ParseError> {
    Checker { text }.node(node).map(|_| ())
}

struct Checker<'a> {
    text: &'a str,
}

type Checked = Result<ValueType, ParseError>;

impl Checker<'_> {
    fn fail(&self, at: usize, message: String) -> Result<(), ParseError> {
        Err(ParseError::at(self.text, at, message))
    }

    fn expect(&self, node: &Node, want: ValueType, context: &str) -> Result<(), ParseError> {
        let got = self.node(node)?;
        if got == want { Ok(()) } else { self.fail(node.start, format!("expected type {} in {context}, got {}", want.name(), got.name())) }
    }

    fn node(&self, node: &Node) -> Checked {
        match &node.kind {
            NodeKind::Number { .. } | NodeKind::String(_) => {}
            NodeKind::Paren(inner) => {
                self.node(inner)?;
            }
            NodeKind::Vector(selector) => self.selector(node, selector)?,
            NodeKind::Matrix(matrix) => self.selector(node, &matrix.selector)?,
            NodeKind::Subquery(subquery) => {
                let inner = self.node(&subquery.expr)?;
                if inner != ValueType::Vector {
                    self.fail(node.start, format!("subquery is only allowed on instant vector, got {} instead", inner.code()))?;
                }
            }
            NodeKind::Unary(unary) => {
                let inner = self.node(&unary.expr)?;
                if !matches!(inner, ValueType::Scalar | ValueType::Vector) {
                    self.fail(
                        node.start,
                        format!("unary expression only allowed on expressions of type scalar or instant vector, got {}", quoted(inner.name())),
                    )?;
                }
            }
            NodeKind::Aggregate(aggregate) => self.aggregate(aggregate)?,
            NodeKind::Binary(binary) => self.binary(node, binary)?,
            NodeKind::Call(call) => self.call(node, call)?,
        }
        Ok(node.value_type())
    }

    fn aggregate(&self, aggregate: &Aggregate) -> Result<(), ParseError> {
        self.expect(&aggregate.expr, ValueType::Vector, "aggregation expression")?;
        match &aggregate.param {
            Some(param) if aggregate.op == AggregateOp::CountValues => self.expect(param, ValueType::String, "aggregation parameter"),
            Some(param) => self.expect(param, ValueType::Scalar, "aggregation parameter"),
            None => Ok(()),
        }
    }

    fn selector(&self, node: &Node, selector: &VectorSelector) -> Result<(), ParseError> {
        if let Some(name) = &selector.name {
            let inner = selector.matchers.iter().rev().skip(1).find(|m| m.name == METRIC_NAME);
            return match inner {
                Some(m) => self.fail(node.start, format!("metric name must not be set twice: {} or {}", quoted(name), quoted(&m.value))),
                None => Ok(()),
            };
        }
        if selector.matchers.iter().all(|m| m.matches_empty()) {
            return self.fail(node.start, "vector selector must contain at least one non-empty matcher".to_owned());
        }
        Ok(())
    }

    fn binary(&self, node: &Node, binary: &Binary) -> Result<(), ParseError> {
        use ValueType::{Scalar, Vector};
        let left = self.node(&binary.lhs)?;
        let right = self.node(&binary.rhs)?;
        let (op, matching) = (binary.op, &binary.matching);
        if binary.return_bool && !op.is_comparison() {
            self.fail(binary.op_start, "bool modifier can only be used on comparison operators".to_owned())?;
        }
        if op.is_comparison() && !binary.return_bool && left == Scalar && right == Scalar {
            self.fail(binary.op_start, "comparisons between scalars must use BOOL modifier".to_owned())?;
        }
        if matching.on
            && let Some(label) = matching.labels.iter().find(|l| matching.include.contains(l))
        {
            self.fail(binary.op_start, format!("label {} must not occur in ON and GROUP clause at once", quoted(label)))?;
        }
        for (side, operand) in [(left, &binary.lhs), (right, &binary.rhs)] {
            if !matches!(side, Scalar | Vector) {
                self.fail(operand.start, "binary expression must contain only scalar and instant vector types".to_owned())?;
            }
        }
        let fills = matching.fill_left.is_some() || matching.fill_right.is_some();
        if left != Vector || right != Vector {
            if !matching.labels.is_empty() {
                self.fail(node.start, "vector matching only allowed between instant vectors".to_owned())?;
            }
            if fills {
                self.fail(node.start, "filling in missing series only allowed between instant vectors".to_owned())?;
            }
        } else if op.is_set() {
            if matching.cardinality != Cardinality::OneToOne {
                self.fail(node.start, format!("no grouping allowed for {} operation", quoted(op.symbol())))?;
            }
            if fills {
                self.fail(node.start, "filling in missing series not allowed for set operators".to_owned())?;
            }
        }
        if (left == Scalar || right == Scalar) && op.is_set() {
            self.fail(node.start, format!("set operator {} not allowed in binary scalar expression", quoted(op.symbol())))?;
        }
        Ok(())
    }

    fn call(&self, node: &Node, call: &Call) -> Result<(), ParseError> {
        let function = call.function;
        let (wanted, got) = (function.args.len(), call.args.len());
        let name = quoted(function.name);
        if function.variadic == 0 {
            if wanted != got {
                self.fail(node.start, format!("expected {wanted} argument(s) in call to {name}, got {got}"))?;
            }
        } else {
            let least = wanted - 1;
            if got < least {
                self.fail(node.start, format!("expected at least {least} argument(s) in call to {name}, got {got}"))?;
            }
            if let Ok(more) = usize::try_from(function.variadic)
                && got > least + more
            {
                self.fail(node.start, format!("expected at most {} argument(s) in call to {name}, got {got}", least + more))?;
            }
        }
        let labels_only = function.name == "info" && got > 1;
        if labels_only {
            self.label_selector(node, &call.args[1])?;
        }
        for (i, arg) in call.args.iter().enumerate().filter(|(i, _)| !(labels_only && *i == 1)) {
            let Some(want) = function.args.get(i).or(function.args.last()) else { break };
            let type_ = self.node(arg)?;
            if type_ != *want {
                self.fail(arg.start, format!("expected type {} in call to function {name}, got {}", want.name(), type_.name()))?;
            }
        }
        Ok(())
    }

    /// The second argument of `info` is no vector but conditions on labels, which may even be empty.
    fn label_selector(&self, call: &Node, arg: &Node) -> Result<(), ParseError> {
        let got = arg.value_type();
        if got != ValueType::Vector {
            self.fail(call.start, format!("expected type {} in call to function \"info\", got {}", ValueType::Vector.name(), got.name()))?;
        }
        match &arg.kind {
            NodeKind::Vector(selector) if selector.name.is_none() => Ok(()),
            NodeKind::Vector(_) => self.fail(arg.start, "expected label selectors only, got vector selector instead".to_owned()),
            _ => self.fail(arg.start, "expected label selectors only".to_owned()),
        }
    }
}
