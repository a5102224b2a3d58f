//! Constants of a template → numbers, as Go's compiler reads them. No formatting.

use super::value::Value;

/// A number, or nothing where Go finds none.
pub(super) fn parse(text: &str) -> Option<Value> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if body.is_empty() || !body.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let (digits, radix) = match body.get(..2).map(str::to_ascii_lowercase).as_deref() {
        Some("0x") => (body.get(2..)?, 16),
        Some("0b") => (body.get(2..)?, 2),
        Some("0o") => (body.get(2..)?, 8),
        _ if body.len() > 1 && body.starts_with('0') && body.bytes().all(|b| b.is_ascii_digit() || b == b'_') => (body.get(1..)?, 8),
        _ => (body, 10),
    };
    let plain = digits.replace('_', "");
    if digits.starts_with('_') && radix == 10 || digits.ends_with('_') || digits.contains("__") {
        return None;
    }
    if let Ok(magnitude) = i128::from_str_radix(&plain, radix) {
        let value = if negative { -magnitude } else { magnitude };
        return i64::try_from(value).ok().map(Value::Int).or_else(|| u64::try_from(value).ok().map(|v| Value::Float(v as f64)));
    }
    let float: f64 = match radix {
        10 if plain.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) => plain.parse().ok()?,
        16 => hexadecimal(&plain)?,
        _ => return None,
    };
    Some(Value::Float(if negative { -float } else { float }))
}

/// `1.8p3` behind `0x`.
fn hexadecimal(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let value = u64::from_str_radix(&digits, 16).ok()? as f64;
    let exponent: i32 = exponent.parse().ok()?;
    Some(value * 2f64.powi(exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?))
}

/// The text between quotes with its escapes resolved; `None` where Go refuses it.
pub fn unquote(quoted: &str) -> Option<String> {
    let quote = quoted.chars().next()?;
    let inner = quoted.get(1..quoted.len().checked_sub(1)?)?;
    if quote == '`' {
        return Some(inner.replace('\r', ""));
    }
    let mut out: Vec<u8> = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(c) = rest.chars().next() {
        rest = rest.get(c.len_utf8()..)?;
        if c != '\\' {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        let escape = rest.chars().next()?;
        rest = rest.get(escape.len_utf8()..)?;
        let (digits, radix) = match escape {
            'x' => (2, 16),
            'u' => (4, 16),
            'U' => (8, 16),
            '0'..='7' => (2, 8),
            _ => (0, 0),
        };
        if digits == 0 {
            out.push(match escape {
                'a' => 7,
                'b' => 8,
                'f' => 12,
                'n' => b'\n',
                'r' => b'\r',
                't' => b'\t',
                'v' => 11,
                '\\' => b'\\',
                _ if escape == quote => quote as u8,
                _ => return None,
            });
            continue;
        }
        let text = rest.get(..digits).filter(|t| t.bytes().all(|b| b.is_ascii_hexdigit()))?;
        rest = rest.get(digits..)?;
        let number = match radix {
            8 => u32::from_str_radix(&format!("{escape}{text}"), 8).ok()?,
            _ => u32::from_str_radix(text, 16).ok()?,
        };
        match escape {
            'u' | 'U' => out.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => out.push(u8::try_from(number).ok()?),
        }
    }
    // Go strings may hold any bytes; texts of ours are UTF-8.
    Some(String::from_utf8_lossy(&out).into_owned())
}

/// The one character between quotes.
pub(super) fn character(quoted: &str) -> Option<char> {
    let text = unquote(quoted)?;
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}
