//! Ranges of server versions as `runonserver` of a `queries.yaml` has them: `>=10.0.0 <12.0.0 || 13.x`.

/// Words of one range.
const WORDS_MAX: usize = 100;

/// Alternatives, each of bounds that all hold.
#[derive(Clone, Debug)]
pub(super) struct Versions(Vec<Vec<Bound>>);

#[derive(Clone, Debug)]
struct Bound {
    sign: &'static str,
    parts: [u32; 3],
    /// How many of the parts count; those after an `x` do not.
    count: usize,
}

/// Longer ones first.
const SIGNS: [&str; 8] = [">=", "<=", "==", "!=", ">", "<", "=", "!"];

impl Versions {
    pub(super) fn parse(text: &str) -> Result<Versions, String> {
        // A sign may stand apart from its version.
        let (mut alternatives, mut bounds, mut sign) = (Vec::new(), Vec::new(), None);
        let spaced = text.replace("||", " || ");
        for (at, word) in spaced.split_whitespace().enumerate() {
            if at >= WORDS_MAX {
                return Err(format!("has more than {WORDS_MAX} words"));
            }
            if word == "||" {
                if bounds.is_empty() || sign.is_some() {
                    return Err("lacks a version before ||".to_owned());
                }
                alternatives.push(std::mem::take(&mut bounds));
                continue;
            }
            let signed = SIGNS.iter().find_map(|known| Some((Some(*known), word.strip_prefix(known)?)));
            let (found, rest) = signed.unwrap_or((None, word));
            match (sign.take(), found, rest) {
                (Some(_), Some(found), _) => return Err(format!("has two signs before a version, the second is {found}")),
                (None, Some(found), "") => sign = Some(found),
                (before, found, rest) => bounds.push(bound(before.or(found).unwrap_or("="), rest)?),
            }
        }
        if bounds.is_empty() || sign.is_some() {
            return Err("ends without a version".to_owned());
        }
        alternatives.push(bounds);
        Ok(Versions(alternatives))
    }

    /// Whether a server's `server_version_num` is among them.
    pub(super) fn have(&self, number: u32) -> bool {
        // Since 10 a version has two parts.
        let major = number / 10_000;
        let version = if major >= 10 { [major, number % 10_000, 0] } else { [major, number / 100 % 100, number % 100] };
        self.0.iter().any(|bounds| bounds.iter().all(|bound| bound.holds(version)))
    }
}

impl Bound {
    fn holds(&self, version: [u32; 3]) -> bool {
        let order = version[..self.count].cmp(&self.parts[..self.count]);
        match self.sign {
            ">=" => order.is_ge(),
            "<=" => order.is_le(),
            ">" => order.is_gt(),
            "<" => order.is_lt(),
            "!=" | "!" => order.is_ne(),
            _ => order.is_eq(),
        }
    }
}

fn bound(sign: &'static str, text: &str) -> Result<Bound, String> {
    let wrong = || format!("{text:?} is no version such as 13.0.0 or 13.x");
    let (mut parts, mut count) = ([0; 3], 3);
    for (at, part) in text.split('.').enumerate() {
        match part {
            _ if at >= 3 => return Err(wrong()),
            "x" | "X" | "*" if at > 0 => count = count.min(at),
            _ => parts[at] = part.parse().map_err(|_| wrong())?,
        }
    }
    Ok(Bound { sign, parts, count })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_have_their_versions() {
        for (range, inside, outside) in [
            (">=10.0.0", &[100_000, 150_003][..], &[90_605][..]),
            (">= 9.6.2 <10.0.0", &[90_602, 90_623], &[90_601, 100_000]),
            ("<9.5.0 || >13.0.0", &[90_424, 130_001], &[90_500, 130_000]),
            ("13.x||15.2.x", &[130_009, 150_002], &[140_000, 150_003]),
            (">13.x", &[140_000], &[130_009]),
            ("!=14.1.0", &[140_000], &[140_001]),
            ("=16", &[160_000], &[160_001]),
        ] {
            let read = Versions::parse(range).unwrap();
            for (numbers, expected) in [(inside, true), (outside, false)] {
                numbers.iter().for_each(|number| assert_eq!(read.have(*number), expected, "{number} in {range}"));
            }
        }
        for wrong in ["", "||", "> > 1.0.0", ">=", "13.0.0 ||", "x", "1.2.3.4", "13.a", "~13"] {
            assert!(Versions::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Versions::parse(&"1.0.0 ".repeat(WORDS_MAX + 1)).is_err());
    }
}
