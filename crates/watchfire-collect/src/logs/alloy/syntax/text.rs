//! What stands between quotes: escapes as Go has them. It decodes one text.

/// Takes the escapes out of what stands between double quotes; the error says what is wrong, and at which character.
pub(super) fn unescape(inside: &[char]) -> Result<String, (usize, String)> {
    let mut out = String::with_capacity(inside.len());
    let mut bytes: Vec<u8> = Vec::new();
    let mut at = 0;
    while let Some(c) = inside.get(at) {
        if *c != '\\' {
            push_bytes(&mut out, &mut bytes).map_err(|why| (at, why))?;
            out.push(*c);
            at += 1;
            continue;
        }
        let bad = |why: &str| (at, why.to_owned());
        let kind = inside.get(at + 1).copied().ok_or_else(|| bad("the text ends within an escape"))?;
        let simple = match kind {
            'a' => Some('\u{7}'),
            'b' => Some('\u{8}'),
            'f' => Some('\u{c}'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            't' => Some('\t'),
            'v' => Some('\u{b}'),
            '\\' | '"' => Some(kind),
            _ => None,
        };
        if let Some(simple) = simple {
            push_bytes(&mut out, &mut bytes).map_err(|why| (at, why))?;
            out.push(simple);
            at += 2;
            continue;
        }
        let (digits, radix, skip) = match kind {
            'x' => (2, 16, 2),
            'u' => (4, 16, 2),
            'U' => (8, 16, 2),
            '0'..='7' => (3, 8, 1),
            other => return Err((at, format!("\\{other} is no escape; write \\\\ for a backslash, or put the text between backticks"))),
        };
        let text: String = inside.iter().skip(at + skip).take(digits).collect();
        let number = u32::from_str_radix(&text, radix).ok().filter(|_| text.chars().count() == digits && !text.starts_with('+'));
        let number = number.ok_or_else(|| bad(&format!("the escape \\{kind} needs {digits} digits")))?;
        if matches!(kind, 'u' | 'U') {
            push_bytes(&mut out, &mut bytes).map_err(|why| (at, why))?;
            out.push(char::from_u32(number).ok_or_else(|| bad("the escape is no character"))?);
        } else {
            bytes.push(u8::try_from(number).map_err(|_| bad("the escape is more than a byte"))?);
        }
        at += skip + digits;
    }
    push_bytes(&mut out, &mut bytes).map_err(|why| (at, why))?;
    Ok(out)
}

/// Bytes that were written one by one must make characters together.
fn push_bytes(out: &mut String, bytes: &mut Vec<u8>) -> Result<(), String> {
    let taken = std::mem::take(bytes);
    out.push_str(&String::from_utf8(taken).map_err(|_| "the escaped bytes are no UTF-8".to_owned())?);
    Ok(())
}
