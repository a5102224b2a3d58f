//! Expressions → values. What a name stands for is asked of the surroundings; nothing is looked up here, and the same text always comes to
//! the same value.

use super::functions;
use super::syntax::{Body, Expression, Kind, Operator, Place, SyntaxError, Word};
use super::value::{Settings, Value, Valued};

/// What names stand for.
pub(super) trait Names {
    /// The value of `a.b.c`; nothing when nobody has such a name, an error when its owner does not give it.
    fn value(&self, path: &str, at: Place) -> Result<Option<Value>, SyntaxError>;
    /// What to say of a name that nobody has.
    fn unknown(&self, path: &str) -> String;
    /// A variable of the environment.
    fn environment(&self, name: &str) -> Option<String>;
}

type Evaluated<T> = Result<T, SyntaxError>;

/// The values of a body.
pub(super) fn settings(body: &Body, at: Place, names: &dyn Names) -> Evaluated<Settings> {
    let attributes = body.attributes.iter().map(|(word, expression)| Ok((word.clone(), value(expression, names)?)));
    let attributes = attributes.collect::<Evaluated<_>>()?;
    let mut blocks = Vec::new();
    for block in &body.blocks {
        let mut inner = settings(&block.body, block.name.at, names)?;
        if let Some(label) = &block.label {
            // No block within a component has a label that means something.
            inner.attributes.push((Word { text: "label".into(), at: label.at }, text(&label.text, label.at)));
        }
        blocks.push((block.name.clone(), inner));
    }
    Ok(Settings { at, attributes, blocks })
}

fn text(text: &str, at: Place) -> Valued {
    Valued { value: Value::Text { text: text.into(), literal: true }, at }
}

/// The value of an expression.
pub(super) fn value(expression: &Expression, names: &dyn Names) -> Evaluated<Valued> {
    let at = expression.at;
    let value = match &expression.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => Value::Bool(*value),
        Kind::Int(value) => Value::Int(*value),
        Kind::Float(value) => Value::Float(*value),
        Kind::Text(text) => Value::Text { text: text.clone(), literal: true },
        Kind::List(items) => Value::List(items.iter().map(|item| self::value(item, names)).collect::<Evaluated<_>>()?),
        Kind::Object(fields) => {
            let field = |(word, field): &(Word, Expression)| Ok((word.clone(), self::value(field, names)?));
            Value::Object(fields.iter().map(field).collect::<Evaluated<_>>()?)
        }
        Kind::Name(_) | Kind::Member(..) => reference(expression, names)?,
        Kind::Index(of, by) => index(&self::value(of, names)?, &self::value(by, names)?)?,
        Kind::Call(function, arguments) => {
            let arguments = arguments.iter().map(|argument| self::value(argument, names)).collect::<Evaluated<Vec<_>>>()?;
            let name = function.path().unwrap_or_default();
            functions::call(&name, arguments, at, names)?
        }
        Kind::Not(of) => match self::value(of, names)?.value {
            Value::Bool(value) => Value::Bool(!value),
            Value::Unknown(name) => Value::Unknown(name),
            other => return failed(at, format!("! needs true or false, not {}", other.shape())),
        },
        Kind::Minus(of) => match self::value(of, names)?.value {
            Value::Int(value) => Value::Int(value.wrapping_neg()),
            Value::Float(value) => Value::Float(-value),
            Value::Unknown(name) => Value::Unknown(name),
            other => return failed(at, format!("- needs a number, not {}", other.shape())),
        },
        Kind::Binary(operator, left, right) => binary(*operator, left, right, at, names)?,
    };
    Ok(Valued { value, at })
}

pub(super) fn failed<T>(at: Place, message: impl Into<String>) -> Evaluated<T> {
    Err(SyntaxError { at, message: message.into() })
}

/// The longest begin of a chain of names that somebody has, and what is picked of its value.
fn reference(expression: &Expression, names: &dyn Names) -> Evaluated<Value> {
    let mut picked: Vec<&Word> = Vec::new();
    let mut begin = expression;
    loop {
        if let Some(path) = begin.path()
            && let Some(mut found) = names.value(&path, begin.at)?
        {
            for word in picked.iter().rev() {
                found = member(found, word)?;
            }
            return Ok(found);
        }
        match &begin.kind {
            Kind::Member(of, word) => {
                picked.push(word);
                begin = of;
            }
            Kind::Name(_) => return failed(expression.at, names.unknown(&expression.path().unwrap_or_default())),
            _ => {
                let mut found = value(begin, names)?.value;
                for word in picked.iter().rev() {
                    found = member(found, word)?;
                }
                return Ok(found);
            }
        }
    }
}

fn member(of: Value, word: &Word) -> Evaluated<Value> {
    match of {
        Value::Object(fields) => match fields.into_iter().find(|(name, _)| name.text == word.text) {
            Some((_, field)) => Ok(field.value),
            None => failed(word.at, format!("the object has no field {:?}", word.text)),
        },
        Value::Unknown(name) => Ok(Value::Unknown(name)),
        other => failed(word.at, format!("{} has no fields", other.shape())),
    }
}

fn index(of: &Valued, by: &Valued) -> Evaluated<Value> {
    match (&of.value, &by.value) {
        (Value::Unknown(name), _) | (_, Value::Unknown(name)) => Ok(Value::Unknown(name.clone())),
        (Value::List(items), Value::Int(at)) => match usize::try_from(*at).ok().and_then(|at| items.get(at)) {
            Some(item) => Ok(item.value.clone()),
            None => failed(by.at, format!("there is no item {at} in a list of {}", items.len())),
        },
        // A missing field is null, as in the original.
        (Value::Object(fields), Value::Text { text, .. }) => {
            Ok(fields.iter().find(|(name, _)| name.text == *text).map_or(Value::Null, |(_, field)| field.value.clone()))
        }
        (Value::Export(..), _) => failed(of.at, "what is only known at run time cannot be taken apart here"),
        (what, key) => failed(of.at, format!("{} cannot be indexed by {}", what.shape(), key.shape())),
    }
}

fn binary(operator: Operator, left: &Expression, right: &Expression, at: Place, names: &dyn Names) -> Evaluated<Value> {
    let first = value(left, names)?.value;
    // What the first one decides does not need the second one, which may fail.
    match (operator, &first) {
        (Operator::Or, Value::Bool(true)) | (Operator::And, Value::Bool(false)) => return Ok(first),
        _ => {}
    }
    let second = value(right, names)?.value;
    if let Some(name) = first.unknown().or(second.unknown()) {
        return Ok(Value::Unknown(name.clone()));
    }
    let wrong = || failed(at, format!("{} cannot stand between {} and {}", operator.sign(), first.shape(), second.shape()));
    match operator {
        Operator::Or | Operator::And => match second {
            Value::Bool(_) if matches!(first, Value::Bool(_)) => Ok(second),
            _ => wrong(),
        },
        Operator::Equal => Ok(Value::Bool(equal(&first, &second))),
        Operator::Unequal => Ok(Value::Bool(!equal(&first, &second))),
        Operator::Less | Operator::LessOrEqual | Operator::Greater | Operator::GreaterOrEqual => {
            let order = match (&first, &second) {
                (Value::Text { text: a, .. }, Value::Text { text: b, .. }) => a.partial_cmp(b),
                _ => match (number(&first), number(&second)) {
                    (Some(a), Some(b)) => a.partial_cmp(&b),
                    _ => return wrong(),
                },
            };
            Ok(Value::Bool(order.is_some_and(|order| match operator {
                Operator::Less => order.is_lt(),
                Operator::LessOrEqual => order.is_le(),
                Operator::Greater => order.is_gt(),
                _ => order.is_ge(),
            })))
        }
        Operator::Plus if matches!((&first, &second), (Value::Text { .. }, Value::Text { .. })) => match (&first, &second) {
            (Value::Text { text: a, literal: l }, Value::Text { text: b, literal: m }) => {
                functions::text_size(a.len() + b.len(), at)?;
                Ok(Value::Text { text: format!("{a}{b}").into(), literal: *l && *m })
            }
            _ => wrong(),
        },
        _ => match (&first, &second) {
            (Value::Int(a), Value::Int(b)) => whole(operator, *a, *b, at),
            _ => match (number(&first), number(&second)) {
                (Some(a), Some(b)) => Ok(Value::Float(fraction(operator, a, b))),
                _ => wrong(),
            },
        },
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(value) => Some(*value as f64),
        Value::Float(value) => Some(*value),
        _ => None,
    }
}

/// Whether two values are the same, wherever they stand.
pub(super) fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Text { text: a, .. }, Value::Text { text: b, .. }) => a == b,
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(&a.value, &b.value)),
        (Value::Object(a), Value::Object(b)) => {
            let same = |(name, field): &(Word, Valued)| b.iter().any(|(n, f)| n.text == name.text && equal(&field.value, &f.value));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => match (number(a), number(b)) {
            (Some(a), Some(b)) => a == b,
            _ => a == b,
        },
    }
}

fn whole(operator: Operator, a: i64, b: i64, at: Place) -> Evaluated<Value> {
    let found = match operator {
        Operator::Plus => a.checked_add(b),
        Operator::Minus => a.checked_sub(b),
        Operator::Times => a.checked_mul(b),
        Operator::Divide | Operator::Modulo if b == 0 => return failed(at, "nothing can be divided by 0"),
        Operator::Divide => a.checked_div(b),
        Operator::Modulo => a.checked_rem(b),
        _ => match u32::try_from(b) {
            Ok(b) => a.checked_pow(b),
            Err(_) => return Ok(Value::Float((a as f64).powf(b as f64))),
        },
    };
    found.map_or_else(|| failed(at, "the number is too large"), |found| Ok(Value::Int(found)))
}

fn fraction(operator: Operator, a: f64, b: f64) -> f64 {
    match operator {
        Operator::Plus => a + b,
        Operator::Minus => a - b,
        Operator::Times => a * b,
        Operator::Divide => a / b,
        Operator::Modulo => a % b,
        _ => a.powf(b),
    }
}
