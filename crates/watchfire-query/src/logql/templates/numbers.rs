//! Functions over numbers. Arguments may be texts; what is no number counts as zero, as in the library that Loki takes them from.

use watchfire_template::{Functions, Kind, Value, text};

use super::super::units;

const ANY: Kind = Kind::Any;

/// A value as whole number.
pub(super) fn int(value: &Value) -> i64 {
    match value {
        Value::Int(number) | Value::Duration(number) => *number,
        Value::Float(number) => *number as i64,
        Value::Bool(truth) => i64::from(*truth),
        other => other.as_text().and_then(|t| t.parse().ok()).unwrap_or(0),
    }
}

/// A value as number.
fn float(value: &Value) -> f64 {
    match value {
        Value::Int(number) | Value::Duration(number) => *number as f64,
        Value::Float(number) => *number,
        Value::Bool(truth) => f64::from(u8::from(*truth)),
        other => other.as_text().and_then(units::number).unwrap_or(0.0),
    }
}

fn whole(all: &mut Functions, name: &'static str, compute: fn(i64, i64) -> Result<i64, String>) {
    all.add_variadic(name, &[ANY], ANY, move |a| {
        let mut total = int(&a[0]);
        for next in &a[1..] {
            total = compute(total, int(next))?;
        }
        Ok(Value::Int(total))
    });
}

fn broken(all: &mut Functions, name: &'static str, compute: fn(f64, f64) -> f64) {
    all.add_variadic(name, &[ANY], ANY, move |a| Ok(Value::Float(a[1..].iter().fold(float(&a[0]), |total, next| compute(total, float(next))))));
}

pub(super) fn add(all: &mut Functions) {
    whole(all, "add", |a, b| Ok(a.wrapping_add(b)));
    whole(all, "sub", |a, b| Ok(a.wrapping_sub(b)));
    whole(all, "mul", |a, b| Ok(a.wrapping_mul(b)));
    whole(all, "div", |a, b| if b == 0 { Err("integer divide by zero".into()) } else { Ok(a.wrapping_div(b)) });
    whole(all, "mod", |a, b| if b == 0 { Err("integer divide by zero".into()) } else { Ok(a.wrapping_rem(b)) });
    whole(all, "max", |a, b| Ok(a.max(b)));
    whole(all, "min", |a, b| Ok(a.min(b)));
    broken(all, "addf", |a, b| a + b);
    broken(all, "subf", |a, b| a - b);
    broken(all, "mulf", |a, b| a * b);
    broken(all, "divf", |a, b| a / b);
    broken(all, "maxf", f64::max);
    broken(all, "minf", f64::min);
    all.add("ceil", &[ANY], |a| Ok(Value::Float(float(&a[0]).ceil())));
    all.add("floor", &[ANY], |a| Ok(Value::Float(float(&a[0]).floor())));
    all.add_variadic("round", &[ANY, ANY], ANY, |a| {
        let scale = 10f64.powi(int(&a[1]).clamp(-300, 300) as i32);
        // Halves go away from zero unless another border is given.
        let border = a.get(2).map_or(0.5, float);
        let scaled = float(&a[0]) * scale;
        let rounded = if scaled.fract().abs() >= border { scaled.trunc() + scaled.signum() } else { scaled.trunc() };
        Ok(Value::Float(rounded / scale))
    });
    all.add("int", &[ANY], |a| Ok(Value::Int(int(&a[0]))));
    all.add("float64", &[ANY], |a| Ok(Value::Float(float(&a[0]))));
    for name in ["duration", "duration_seconds"] {
        all.add(name, &[Kind::Text], |a| {
            let nanos = units::duration_nanos(text(a, 0)).ok_or_else(|| format!("time: invalid duration {:?}", text(a, 0)))?;
            Ok(Value::Float(nanos as f64 / 1e9))
        });
    }
    all.add("bytes", &[Kind::Text], |a| units::bytes(text(a, 0)).map(Value::Float).ok_or_else(|| format!("not a size in bytes: {:?}", text(a, 0))));
}
