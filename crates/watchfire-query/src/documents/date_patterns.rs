//! Formats of dates that requests bring, in Java's letters (`dd/MM/yyyy HH:mm`): a text in such a format becomes an ISO one, and moments are
//! written so. What a date means as a span stands in `dates`.

use jiff::Zoned;

/// One part of a format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    /// A letter, so many times.
    Field(char, usize),
    Text(&'a str),
}

/// The parts of a format; none where it has letters that are not understood.
fn parts(format: &str) -> Option<Vec<Part<'_>>> {
    let mut out = Vec::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        let (part, behind) = match c {
            '\'' => {
                let (quoted, behind) = rest.get(1..)?.split_once('\'')?;
                (Part::Text(if quoted.is_empty() { "'" } else { quoted }), behind)
            }
            c if c.is_ascii_alphabetic() => {
                let length = rest.len() - rest.trim_start_matches(c).len();
                let known = match c {
                    'y' | 'u' => matches!(length, 2 | 4),
                    'M' | 'd' | 'H' | 'm' | 's' => length <= 2,
                    'S' => length <= 9,
                    'X' | 'x' | 'Z' => length <= 3,
                    _ => false,
                };
                known.then_some((Part::Field(c, length), rest.get(length..)?))?
            }
            _ => {
                let length = rest.find(|c: char| c.is_ascii_alphabetic() || c == '\'').unwrap_or(rest.len());
                (Part::Text(rest.get(..length)?), rest.get(length..)?)
            }
        };
        out.push(part);
        rest = behind;
    }
    (!out.is_empty()).then_some(out)
}

/// Whether a format is one of Elasticsearch's by name; texts in them are read without it.
fn is_named(format: &str) -> bool {
    format.contains('_') || matches!(format, "date" | "time" | "iso8601" | "ordinal")
}

/// What is wrong with a format, if something is.
pub(super) fn problem(format: &str) -> Option<String> {
    let bad = format.split("||").find(|one| !is_named(one) && parts(one).is_none())?;
    Some(format!("Invalid format: [{bad}]: the letters y, M, d, H, m, s, S and X are understood"))
}

/// A text in one of some formats as the ISO text that it means, as precise as it is; date math stays behind it.
pub(super) fn iso(text: &str, formats: &str) -> Option<String> {
    let (date, math) = text.split_once("||").map_or((text, None), |(date, math)| (date, Some(math)));
    if date.starts_with("now") {
        return None;
    }
    let found = formats.split("||").find_map(|format| match format {
        "epoch_second" => date.parse::<i64>().ok().map(|seconds| seconds.saturating_mul(1_000).to_string()),
        format if is_named(format) => None,
        format => read(date, &parts(format)?),
    })?;
    Some(math.map_or_else(|| found.clone(), |math| format!("{found}||{math}")))
}

fn read(text: &str, parts: &[Part<'_>]) -> Option<String> {
    let mut rest = text;
    // Year, month, day, hour, minute, second, fraction.
    let mut found: [Option<String>; 7] = Default::default();
    let mut offset = "";
    for (at, part) in parts.iter().enumerate() {
        rest = match *part {
            Part::Text(text) => rest.strip_prefix(text)?,
            Part::Field('X' | 'x' | 'Z', _) => {
                offset = rest;
                ""
            }
            Part::Field(letter, length) => {
                // A field whose neighbour is no field may have more digits than letters.
                let most = if matches!(parts.get(at + 1), Some(Part::Field(..))) || matches!(letter, 'y' | 'u') { length } else { length.max(2) };
                let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
                let (digits, behind) = rest.split_at_checked(digits).filter(|(digits, _)| !digits.is_empty())?;
                let place = "yMdHmsS".find(if letter == 'u' { 'y' } else { letter })?;
                let value = match (letter, length) {
                    ('S', _) => digits.to_owned(),
                    ('y' | 'u', 2) => format!("20{digits:0>2}"),
                    ('y' | 'u', _) => format!("{digits:0>4}"),
                    _ => format!("{digits:0>2}"),
                };
                *found.get_mut(place)? = Some(value);
                behind
            }
        };
    }
    let [Some(year), month, day, hour, minute, second, fraction] = found else { return None };
    let mut out = year;
    for (value, mark) in [(month, '-'), (day, '-'), (hour, 'T'), (minute, ':'), (second, ':'), (fraction, '.')] {
        let Some(value) = value else { break };
        out.push(mark);
        out.push_str(&value);
    }
    out.push_str(offset);
    rest.is_empty().then_some(out)
}

/// A moment in the first of some formats that is no name; nothing where all are.
pub(super) fn shown(time: &Zoned, formats: &str) -> Option<String> {
    let format = formats.split("||").next().filter(|format| !is_named(format))?;
    let mut out = String::new();
    for part in parts(format)? {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Field('y' | 'u', 2) => out.push_str(&format!("{:02}", time.year().rem_euclid(100))),
            Part::Field('y' | 'u', _) => out.push_str(&format!("{:04}", time.year())),
            Part::Field('S', length) => out.push_str(format!("{:09}", time.subsec_nanosecond()).get(..length).unwrap_or_default()),
            Part::Field('X' | 'x' | 'Z', _) => out.push_str(&time.strftime("%:z").to_string()),
            Part::Field(letter, length) => {
                let value = match letter {
                    'M' => time.month(),
                    'd' => time.day(),
                    'H' => time.hour(),
                    'm' => time.minute(),
                    _ => time.second(),
                };
                out.push_str(&format!("{value:0length$}"));
            }
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_iso_ones() {
        let check = |text: &str, format: &str, expected: Option<&str>| assert_eq!(iso(text, format).as_deref(), expected, "{text} {format}");
        check("15/05/2024", "dd/MM/yyyy", Some("2024-05-15"));
        check("5/1/24 7:03", "d/M/yy H:mm", Some("2024-01-05T07:03"));
        check("20240515103000", "yyyyMMddHHmmss", Some("2024-05-15T10:30:00"));
        check("2024-05-15 10:30:00.5", "yyyy-MM-dd HH:mm:ss.S", Some("2024-05-15T10:30:00.5"));
        check("15.05.2024||+1d/d", "dd.MM.yyyy", Some("2024-05-15||+1d/d"));
        check("2024-05-15T10:00:00+0200", "yyyy-MM-dd'T'HH:mm:ssZ", Some("2024-05-15T10:00:00+0200"));
        check("1715772600", "epoch_second", Some("1715772600000"));
        check("2024", "strict_date_optional_time||dd/MM/yyyy", None);
        check("01/02/2024", "strict_date_optional_time||dd/MM/yyyy", Some("2024-02-01"));
        check("now-1d", "dd/MM/yyyy", None);
        check("15-05-2024", "dd/MM/yyyy", None);
        check("15/05/2024 x", "dd/MM/yyyy", None);
        check("15/05", "dd/MM", None);
        assert!(problem("dd/MM/yyyy").is_none() && problem("epoch_millis||yyyy").is_none());
        assert!(problem("EEE, d MMM").is_some() && problem("''").is_none() && problem("'x").is_some());
    }

    #[test]
    fn moments_are_written() {
        let time: Zoned = "2024-05-05T07:08:09.012+02:00[+02:00]".parse().unwrap();
        for (format, expected) in [("yyyy-MM", "2024-05"), ("d.M.yy H 'o''clock'", "5.5.24 7 o"), ("HH:mm:ss.SSSXXX", "07:08:09.012+02:00")] {
            assert!(shown(&time, format).unwrap().starts_with(expected), "{format}: {:?}", shown(&time, format));
        }
        assert_eq!(shown(&time, "epoch_millis"), None);
    }
}
