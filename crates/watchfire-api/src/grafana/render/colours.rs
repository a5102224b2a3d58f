//! Colours by the names and numbers that dashboards use. A still picture knows no page whose colours it could take, so these are its own,
//! near to the page's. Not which value has which colour.

use super::list::Colour;

const HUES: [(&str, [u8; 3]); 6] = [
    ("green", [0x4f, 0x9d, 0x58]),
    ("yellow", [0xd6, 0xa2, 0x1e]),
    ("orange", [0xe0, 0x7b, 0x28]),
    ("red", [0xd0, 0x43, 0x3f]),
    ("blue", [0x3f, 0x7f, 0xca]),
    ("purple", [0x8e, 0x62, 0xc4]),
];
/// Words of CSS that dashboards were seen with.
const WORDS: [(&str, [u8; 3]); 20] = [
    ("black", [0, 0, 0]),
    ("white", [255, 255, 255]),
    ("gray", [128, 128, 128]),
    ("grey", [128, 128, 128]),
    ("silver", [192, 192, 192]),
    ("maroon", [128, 0, 0]),
    ("olive", [128, 128, 0]),
    ("lime", [0, 255, 0]),
    ("teal", [0, 128, 128]),
    ("aqua", [0, 255, 255]),
    ("cyan", [0, 255, 255]),
    ("turquoise", [64, 224, 208]),
    ("navy", [0, 0, 128]),
    ("magenta", [255, 0, 255]),
    ("fuchsia", [255, 0, 255]),
    ("pink", [255, 192, 203]),
    ("violet", [238, 130, 238]),
    ("brown", [165, 42, 42]),
    ("gold", [255, 215, 0]),
    ("crimson", [220, 20, 60]),
];
/// Shades: how many hundredths of the hue are left, and what the rest is.
const SHADES: [(&str, u32, u8); 4] = [("super-light-", 45, 255), ("light-", 70, 255), ("semi-dark-", 82, 0), ("dark-", 65, 0)];

/// The colour of a name, `#…`, `rgb(…)` or `rgba(…)`; nothing for whatever else stands there. How transparent it is does not count.
pub(super) fn named(name: &str) -> Option<Colour> {
    let name = name.trim();
    if let Some(digits) = name.strip_prefix('#') {
        return hex(digits);
    }
    if let Some(inside) = name.strip_prefix("rgba(").or_else(|| name.strip_prefix("rgb(")).and_then(|rest| rest.strip_suffix(')')) {
        return numbers(inside);
    }
    let name = name.to_ascii_lowercase();
    let known = |list: &[(&str, [u8; 3])], wanted: &str| list.iter().find(|(known, _)| *known == wanted).map(|(_, colour)| *colour);
    if let Some(colour) = known(&HUES, &name).or_else(|| known(&WORDS, &name)) {
        return Some(Colour(colour));
    }
    let (hue, share, other) = SHADES.iter().find_map(|(prefix, share, other)| Some((known(&HUES, name.strip_prefix(prefix)?)?, *share, *other)))?;
    Some(Colour(hue.map(|part| ((u32::from(part) * share + u32::from(other) * (100 - share)) / 100) as u8)))
}

fn hex(digits: &str) -> Option<Colour> {
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let width = match digits.len() {
        3 | 4 => 1,
        6 | 8 => 2,
        _ => return None,
    };
    let part = |index: usize| {
        let value = u8::from_str_radix(digits.get(index * width..(index + 1) * width)?, 16).ok()?;
        Some(if width == 1 { value * 17 } else { value })
    };
    Some(Colour([part(0)?, part(1)?, part(2)?]))
}

fn numbers(inside: &str) -> Option<Colour> {
    let mut parts = inside.split([',', ' ', '/']).filter(|p| !p.is_empty()).map(|part| match part.strip_suffix('%') {
        Some(share) => share.parse::<f64>().ok().map(|n| n * 2.55),
        None => part.parse::<f64>().ok(),
    });
    let mut next = || parts.next().flatten().filter(|n| n.is_finite()).map(|n| n.round().clamp(0.0, 255.0) as u8);
    Some(Colour([next()?, next()?, next()?]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for (name, expected) in [
            ("red", Some("#d0433f")),
            ("dark-red", Some("#872b28")),
            ("super-light-blue", Some("#a8c5e7")),
            ("#abc", Some("#aabbcc")),
            ("#A1B2C3", Some("#a1b2c3")),
            ("#a1b2c380", Some("#a1b2c3")),
            ("rgba(245, 54, 54, 0.9)", Some("#f53636")),
            ("rgb(100% 0% 300)", Some("#ff00ff")),
            ("White", Some("#ffffff")),
            ("", None),
            ("text", None),
            ("transparent", None),
            ("dark-white", None),
            ("#äbc", None),
            ("#12345", None),
            ("rgb(1,2)", None),
            ("rgb(NaN,1,2)", None),
            ("url(#x)\"/><script>", None),
        ] {
            assert_eq!(named(name).map(|c| c.to_string()).as_deref(), expected, "{name}");
        }
    }
}
