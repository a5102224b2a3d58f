//! Values as text, as Go's `fmt` package writes them: `%v` and the verbs of `printf`. Also what a template prints by itself.

use watchfire_model::number::{format_exponent, format_short, special};

use super::time::duration;
use super::value::Value;

/// The longest text that a function may make; what builds one stops when it has become longer, and the engine refuses it.
pub const TEXT_RESULT_BYTES_MAX: usize = 4 << 20;

/// `%v`
pub fn print(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => format_short(*value),
        Value::Text(text) | Value::Html(text) => text.to_string(),
        Value::List(list) => format!("[{}]", joined(list.items.iter().map(print))),
        Value::Map(map) => format!("map[{}]", joined(map.entries.iter().map(|(k, v)| format!("{k}:{}", print(v))))),
        Value::Record(record) => format!("{{{}}}", joined(record.fields.iter().map(|(_, v)| print(v)))),
        Value::Time(time) => time.print(),
        Value::Duration(nanos) => duration(*nanos),
    }
}

/// What an action writes.
pub(super) fn action(value: &Value) -> String {
    if matches!(value, Value::Nil) { "<no value>".to_owned() } else { print(value) }
}

/// Parts with blanks between them, up to the one that makes more of it than a text may be.
fn joined(parts: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    for (n, part) in parts.enumerate() {
        if out.len() > TEXT_RESULT_BYTES_MAX {
            break;
        }
        out.push_str(if n == 0 { "" } else { " " });
        out.push_str(&part);
    }
    out
}

/// `fmt.Sprint`: a blank between two operands neither of which is a string. It ends once it is longer than a text may be.
pub fn sprint(values: &[Value]) -> String {
    let mut out = String::new();
    for (n, value) in values.iter().enumerate() {
        if out.len() > TEXT_RESULT_BYTES_MAX {
            break;
        }
        let plain = |v: &Value| !matches!(v, Value::Text(_) | Value::Html(_));
        if n > 0 && plain(value) && plain(&values[n - 1]) {
            out.push(' ');
        }
        out += &print(value);
    }
    out
}

/// `fmt.Sprintln`
pub(super) fn sprintln(values: &[Value]) -> String {
    joined(values.iter().map(print)) + "\n"
}

#[derive(Default)]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

/// Wider fields and longer fractions are cut down to this.
const WIDTH_MAX: usize = 10_000;

/// `fmt.Sprintf`. It ends once it is longer than a text may be.
pub(super) fn sprintf(format: &str, values: &[Value]) -> String {
    let mut out = String::new();
    let (mut next, mut rest) = (0, format);
    while let Some(at) = rest.find('%') {
        if out.len() > TEXT_RESULT_BYTES_MAX {
            return out;
        }
        out.push_str(rest.get(..at).unwrap_or(""));
        rest = rest.get(at + 1..).unwrap_or("");
        let mut flags = Flags::default();
        rest = read_flags(rest, &mut flags, values, &mut next, &mut out);
        let Some(verb) = rest.chars().next() else {
            out.push_str("%!(NOVERB)");
            return out;
        };
        rest = rest.get(verb.len_utf8()..).unwrap_or("");
        if verb == '%' {
            out.push('%');
            continue;
        }
        match values.get(next) {
            None => out.push_str(&format!("%!{verb}(MISSING)")),
            Some(value) => out.push_str(&one(verb, &flags, value)),
        }
        next += 1;
    }
    out.push_str(rest);
    if next < values.len() {
        out.push_str("%!(EXTRA ");
        for (n, value) in values[next..].iter().enumerate() {
            if out.len() > TEXT_RESULT_BYTES_MAX {
                return out;
            }
            out.push_str(if n == 0 { "" } else { ", " });
            match value {
                Value::Nil => out.push_str("<nil>"),
                value => out.push_str(&format!("{}={}", value.type_name(), print(value))),
            }
        }
        out.push(')');
    }
    out
}

fn read_flags<'a>(format: &'a str, flags: &mut Flags, values: &[Value], next: &mut usize, out: &mut String) -> &'a str {
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        match c {
            '-' => flags.minus = true,
            '+' => flags.plus = true,
            '#' => flags.sharp = true,
            ' ' => flags.space = true,
            '0' => flags.zero = true,
            _ => break,
        }
        rest = rest.get(1..).unwrap_or("");
    }
    let mut number = |rest: &'a str, bad: &str| -> (Option<i64>, &'a str) {
        if let Some(behind) = rest.strip_prefix('*') {
            let given = values.get(*next);
            *next += 1;
            let Some(Value::Int(value)) = given else {
                out.push_str(bad);
                return (None, behind);
            };
            return (Some(*value), behind);
        }
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let value = rest.get(..digits).and_then(|d| d.parse().ok());
        (value, rest.get(digits..).unwrap_or(""))
    };
    let (width, behind) = number(rest, "%!(BADWIDTH)");
    rest = behind;
    if let Some(width) = width {
        flags.minus |= width < 0;
        flags.width = Some((width.unsigned_abs() as usize).min(WIDTH_MAX));
    }
    if let Some(behind) = rest.strip_prefix('.') {
        let (precision, behind) = number(behind, "%!(BADPREC)");
        flags.precision = Some(usize::try_from(precision.unwrap_or(0)).unwrap_or(0).min(WIDTH_MAX));
        rest = behind;
    }
    rest
}

fn one(verb: char, flags: &Flags, value: &Value) -> String {
    let text = match (verb, value) {
        ('T', _) => value.type_name().to_owned(),
        ('v', Value::Text(text) | Value::Html(text)) if flags.sharp => quoted(text),
        ('v', Value::Nil) => return pad(flags, "<nil>".into(), false),
        ('v', Value::Float(_)) => return float('g', flags, value),
        ('v', Value::Int(_)) => return integer('d', flags, value),
        ('v' | 's', Value::Time(_) | Value::Duration(_)) => print(value),
        ('v', _) => print(value),
        ('t', Value::Bool(value)) => value.to_string(),
        ('s', Value::Text(text) | Value::Html(text)) => cut(flags, text),
        ('q', Value::Text(text) | Value::Html(text)) => quoted(&cut(flags, text)),
        ('x' | 'X', Value::Text(text) | Value::Html(text)) => hexadecimal(verb, flags, text),
        ('d' | 'b' | 'o' | 'O' | 'x' | 'X' | 'c' | 'q' | 'U', Value::Int(_) | Value::Duration(_)) => return integer(verb, flags, value),
        ('e' | 'E' | 'f' | 'F' | 'g' | 'G', Value::Float(_)) => return float(verb, flags, value),
        ('s' | 'q' | 'd' | 'x' | 'X' | 'f' | 'e' | 'g', Value::List(list)) => {
            return format!("[{}]", joined(list.items.iter().map(|item| one(verb, flags, item))));
        }
        ('s' | 'q' | 'd' | 'x' | 'X' | 'f' | 'e' | 'g', Value::Map(map)) => {
            let entries = map.entries.iter().map(|(k, v)| format!("{}:{}", one(verb, flags, &Value::text(k)), one(verb, flags, v)));
            return format!("map[{}]", joined(entries));
        }
        ('s' | 'd' | 'q', Value::Record(record)) => return format!("{{{}}}", joined(record.fields.iter().map(|(_, v)| one(verb, flags, v)))),
        (_, Value::Nil) => return format!("%!{verb}(<nil>)"),
        _ => return format!("%!{verb}({}={})", value.type_name(), print(value)),
    };
    pad(flags, text, false)
}

fn cut(flags: &Flags, text: &str) -> String {
    match flags.precision {
        Some(most) => text.chars().take(most).collect(),
        None => text.to_owned(),
    }
}

fn hexadecimal(verb: char, flags: &Flags, text: &str) -> String {
    let digits: &[u8; 16] = if verb == 'x' { b"0123456789abcdef" } else { b"0123456789ABCDEF" };
    let mut out = String::new();
    for (n, byte) in text.bytes().take(flags.precision.unwrap_or(usize::MAX)).enumerate() {
        if flags.space && n > 0 {
            out.push(' ');
        }
        out.extend([byte >> 4, byte & 15].map(|nibble| char::from(digits[usize::from(nibble)])));
    }
    out
}

/// Fills up to the width; zeros go behind the sign.
fn pad(flags: &Flags, text: String, number: bool) -> String {
    let Some(missing) = flags.width.and_then(|w| w.checked_sub(text.chars().count())) else { return text };
    if flags.minus {
        return text + &" ".repeat(missing);
    }
    if flags.zero && number {
        let (sign, digits) = match text.strip_prefix(['+', '-', ' ']) {
            Some(digits) => (text.get(..1).unwrap_or(""), digits),
            None => ("", text.as_str()),
        };
        return format!("{sign}{}{digits}", "0".repeat(missing));
    }
    let fill = if flags.zero { "0" } else { " " };
    fill.repeat(missing) + &text
}

fn signed(flags: &Flags, negative: bool, digits: String) -> String {
    match (negative, flags.plus, flags.space) {
        (true, ..) => format!("-{digits}"),
        (_, true, _) => format!("+{digits}"),
        (_, _, true) => format!(" {digits}"),
        _ => digits,
    }
}

fn integer(verb: char, flags: &Flags, value: &Value) -> String {
    let (Value::Int(number) | Value::Duration(number)) = value else { return String::new() };
    let size = number.unsigned_abs();
    let character = || u32::try_from(*number).ok().and_then(char::from_u32).unwrap_or('\u{fffd}');
    let digits = match verb {
        'b' => format!("{size:b}"),
        'o' if flags.sharp => format!("0{size:o}"),
        'o' => format!("{size:o}"),
        'O' => format!("0o{size:o}"),
        'x' if flags.sharp => format!("0x{size:x}"),
        'x' => format!("{size:x}"),
        'X' if flags.sharp => format!("0X{size:X}"),
        'X' => format!("{size:X}"),
        'c' => return pad(flags, character().to_string(), false),
        'q' => return pad(flags, format!("'{}'", character()), false),
        'U' => return pad(flags, format!("U+{size:04X}"), false),
        _ => size.to_string(),
    };
    let digits = match flags.precision {
        Some(least) => format!("{digits:0>least$}"),
        None => digits,
    };
    // With a precision, zeros do not fill.
    pad(flags, signed(flags, *number < 0, digits), flags.precision.is_none())
}

fn float(verb: char, flags: &Flags, value: &Value) -> String {
    let Value::Float(number) = value else { return String::new() };
    if let Some(text) = special(*number) {
        let text = if flags.plus || *number < 0.0 { text } else { text.trim_start_matches('+') };
        // Infinity keeps its sign even where none is asked for.
        let text = if number.is_infinite() && *number > 0.0 { "+Inf" } else { text };
        return pad(&Flags { zero: false, minus: flags.minus, width: flags.width, ..Flags::default() }, text.to_owned(), false);
    }
    let size = number.abs();
    let digits = match verb {
        'e' | 'E' => exponent_with(size, flags.precision.unwrap_or(6)),
        'f' | 'F' => format!("{size:.*}", flags.precision.unwrap_or(6)),
        _ => match flags.precision {
            Some(precision) => general(size, precision),
            None => format_short(size),
        },
    };
    let digits = if verb.is_ascii_uppercase() { digits.to_uppercase() } else { digits };
    pad(flags, signed(flags, number.is_sign_negative(), digits), true)
}

/// `%.3e`
fn exponent_with(size: f64, precision: usize) -> String {
    let text = format!("{size:.precision$e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |d| ('-', d));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// `%.4g` of a number that is not negative.
pub(super) fn general(size: f64, precision: usize) -> String {
    let precision = precision.max(1);
    let text = format!("{size:.*e}", precision - 1);
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits = mantissa.replace('.', "");
    let digits = digits.trim_end_matches('0');
    // An exponent that the digits reach is no reason for scientific notation.
    let reach = if digits.len() < precision && digits.len() as i64 > i64::from(exponent) { digits.len() } else { precision };
    if size == 0.0 {
        return "0".to_owned();
    }
    if exponent < -4 || i64::from(exponent) >= reach as i64 {
        let shortened: f64 = text.parse().unwrap_or(size);
        return format_exponent(shortened);
    }
    let decimals = usize::try_from(precision as i64 - 1 - i64::from(exponent)).unwrap_or(0);
    let fixed = format!("{size:.decimals$}");
    if fixed.contains('.') { fixed.trim_end_matches('0').trim_end_matches('.').to_owned() } else { fixed }
}

/// `%.4g`
pub fn four(value: f64) -> String {
    float('g', &Flags { precision: Some(4), ..Flags::default() }, &Value::Float(value))
}

/// A text in double quotes, as `%q` writes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            '\u{7}' => out.push_str("\\a"),
            '\u{8}' => out.push_str("\\b"),
            '\u{b}' => out.push_str("\\v"),
            '\u{c}' => out.push_str("\\f"),
            c if (c as u32) < 0x20 || c as u32 == 0x7f => out.push_str(&format!("\\x{:02x}", c as u32)),
            '\u{ad}' | '\u{80}'..='\u{9f}' | '\u{200b}'..='\u{200f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
