//! The tree as text over several lines: what is longer than a line is broken after parentheses and around operators, as
//! Prometheus' formatter does. Short expressions stay on one line, in the form of `display`.

use std::fmt::from_fn;

use super::ast::{Binary, Expr, Node, NodeKind};
use super::display::{write_aggregate_head, write_matching, write_window};

/// Longer expressions are broken.
const LINE_BYTES_MAX: usize = 100;

impl Expr {
    /// The expression with line breaks and indentation. It parses to the same tree again.
    pub fn pretty(&self) -> String {
        pretty(&self.root, 0)
    }
}

fn indent(level: usize) -> String {
    "  ".repeat(level)
}

fn pretty(node: &Node, level: usize) -> String {
    let margin = indent(level);
    let line = node.to_string();
    let breaks = line.len() > LINE_BYTES_MAX;
    match &node.kind {
        NodeKind::Aggregate(aggregate) if breaks => {
            let head = from_fn(|f| write_aggregate_head(f, aggregate));
            let param = aggregate.param.as_ref().map(|p| format!("{},\n", pretty(p, level + 1))).unwrap_or_default();
            format!("{margin}{head}(\n{param}{}\n{margin})", pretty(&aggregate.expr, level + 1))
        }
        NodeKind::Binary(binary) if breaks => {
            format!("{}\n{margin}{}\n{}", pretty(&binary.lhs, level + 1), operator(binary), pretty(&binary.rhs, level + 1))
        }
        NodeKind::Call(call) if breaks => {
            let args: Vec<String> = call.args.iter().map(|arg| pretty(arg, level + 1)).collect();
            format!("{margin}{}(\n{}\n{margin})", call.function.name, args.join(",\n"))
        }
        NodeKind::Paren(inner) if breaks => format!("{margin}(\n{}\n{margin})", pretty(inner, level + 1)),
        NodeKind::Subquery(subquery) if breaks => format!("{}{}", pretty(&subquery.expr, level), from_fn(|f| write_window(f, subquery))),
        // Prometheus does not indent a short subquery.
        NodeKind::Subquery(_) => line,
        NodeKind::Unary(unary) => format!("{margin}{}{}", if unary.negative { "-" } else { "+" }, pretty(&unary.expr, level).trim()),
        _ => format!("{margin}{line}"),
    }
}

/// The operator with `bool` and the words about matching.
fn operator(binary: &Binary) -> String {
    let bool = if binary.return_bool { " bool" } else { "" };
    format!("{}{bool}{}", binary.op.symbol(), from_fn(|f| write_matching(f, &binary.matching)))
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    /// Expected texts are those of Prometheus 2.42.
    #[test]
    fn long_expressions_are_broken() {
        let check = |text: &str, expected: &str| {
            let expr = parse(text).unwrap();
            assert_eq!(expr.pretty(), expected);
            assert_eq!(parse(&expr.pretty()).unwrap().to_string(), expr.to_string(), "the same query");
        };
        check("sum(foo)by(job)", "sum by (job) (foo)");
        let long = "a_metric_with_a_name_that_fills_nearly_all_of_a_line_by_itself_and_then_some_more";
        check(
            &format!("sum by(job)(rate({long}{{job=\"a\"}}[10m]))/on(job) group_left(x) count({long})"),
            &format!("  sum by (job) (\n    rate(\n      {long}{{job=\"a\"}}[10m]\n    )\n  )\n/ on (job) group_left (x)\n  count({long})"),
        );
        check(&format!("topk(3, -({long} > bool {long}))"), &format!("topk(\n  3,\n  -(\n      {long}\n    > bool\n      {long}\n  )\n)"));
        check(&format!("max_over_time(deriv({long}[5m])[30m:1m] offset 5m)"), &format!("max_over_time(\n  deriv({long}[5m])[30m:1m] offset 5m\n)"));
        let longer = format!("{long}{{a=\"1234567890123456789\"}}");
        check(
            &format!("max_over_time(deriv({longer}[5m])[30m:1m] offset 5m)"),
            &format!("max_over_time(\n  deriv(\n    {longer}[5m]\n  )[30m:1m] offset 5m\n)"),
        );
        check(
            &format!("quantile_over_time(0.9, up[5m:1m]) + absent({long}{{a=\"b\"}} unless on() up)"),
            &format!("  quantile_over_time(0.9, up[5m:1m])\n+\n  absent(\n      {long}{{a=\"b\"}}\n    unless on ()\n      up\n  )"),
        );
    }
}
