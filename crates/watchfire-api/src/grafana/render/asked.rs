//! What is asked of a picture: panel, range, size, scale, theme, time zone, format. The names are those of Grafana's renderer; what it has
//! beside them (organisation, time limit, kiosk) changes nothing here. It runs no query.

use http::HeaderMap;
use http::header::ACCEPT;
use jiff::ToSpan as _;
use jiff::tz::TimeZone;
use jiff::{Span, Zoned};
use serde_json::{Map, Value};
use url::form_urlencoded;
use watchfire_model::time::Timestamp;

use super::super::error::GrafanaError;
use super::draw::{DARK, LIGHT, Theme, View};

/// Bounds of a picture's sides, and what they are unless it is said.
const SIDE: [f64; 2] = [50.0, 3_000.0];
pub(super) const SIZE: [f64; 2] = [1_000.0, 500.0];
/// What a picture is of when nobody says anything else, and how long that is.
const USUAL: [&str; 2] = ["now-1h", "now"];
const HOUR: i64 = 3_600_000;
/// Pixels for a point.
const SCALE: [f64; 2] = [0.25, 4.0];

/// What a picture is sent as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Svg,
    Png,
}
impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::Svg => "image/svg+xml; charset=utf-8",
            Format::Png => "image/png",
        }
    }
}

/// What is asked for.
pub(super) struct Asked {
    pub(super) panel: Option<i64>,
    /// From when and until when, as it was asked for; a dashboard has times of its own.
    times: Option<[String; 2]>,
    now: i64,
    pub(super) size: [Option<f64>; 2],
    pub(super) scale: f64,
    pub(super) theme: Theme,
    /// As it was asked for; a dashboard has one of its own.
    pub(super) zone: Option<TimeZone>,
    /// As it was asked for by the query.
    pub(super) format: Option<Format>,
    pub(super) variables: Vec<(String, String)>,
}
impl Asked {
    pub(super) fn read(query: &str, now: i64) -> Result<Asked, GrafanaError> {
        let mut asked = Asked { panel: None, times: None, now, size: [None; 2], scale: 1.0, theme: LIGHT, zone: None, format: None, variables: Vec::new() };
        let [mut from, mut to] = [None, None];
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let bad = |what: &str| GrafanaError::bad(format!("{name} must be {what}, not {value:?}"));
            let within = |[low, high]: [f64; 2], what| value.parse::<f64>().ok().filter(|v| (low..=high).contains(v)).ok_or_else(|| bad(what));
            match &*name {
                "panelId" | "viewPanel" => asked.panel = Some(value.trim_start_matches("panel-").parse().map_err(|_| bad("the number of a panel"))?),
                "from" => from = Some(value.into_owned()),
                "to" => to = Some(value.into_owned()),
                "width" => asked.size[0] = Some(within(SIDE, "a number from 50 to 3000")?),
                // All there is, as Grafana writes it.
                "height" if value == "-1" => asked.size[1] = None,
                "height" => asked.size[1] = Some(within(SIDE, "a number from 50 to 3000")?),
                "scale" | "deviceScaleFactor" => asked.scale = within(SCALE, "a number from 0.25 to 4")?,
                "theme" => {
                    asked.theme = match &*value {
                        "dark" => DARK,
                        // The theme of whoever looks is nobody's here.
                        "" | "light" | "current" | "system" => LIGHT,
                        _ => return Err(bad("light or dark")),
                    };
                }
                "tz" | "timezone" => asked.zone = zone(&value).map_err(|()| bad("a time zone such as Europe/Berlin"))?,
                "format" | "encoding" => asked.format = Some(format(&value).ok_or_else(|| bad("svg or png"))?),
                other => {
                    if let Some(variable) = other.strip_prefix("var-") {
                        asked.variables.push((variable.to_owned(), value.into_owned()));
                    }
                }
            }
        }
        if from.is_some() || to.is_some() {
            let or = |given: Option<String>, usual: &str| given.unwrap_or_else(|| usual.to_owned());
            let times = [or(from, USUAL[0]), or(to, USUAL[1])];
            range(&times, now, &asked.zone.clone().unwrap_or(TimeZone::UTC))?;
            asked.times = Some(times);
        }
        Ok(asked)
    }
    /// With what a dashboard says of itself, where nothing else is asked for.
    pub(super) fn view(&self, model: &Map<String, Value>) -> View {
        let said = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let zone = self.zone.clone().or_else(|| zone(&said(model.get("timezone"))).ok().flatten()).unwrap_or(TimeZone::UTC);
        let own = model.get("time").map(|time| [said(time.get("from")), said(time.get("to"))]);
        let wanted = [self.times.as_ref(), own.as_ref()].into_iter().flatten().find_map(|times| range(times, self.now, &zone).ok());
        let range = wanted.unwrap_or([self.now - HOUR, self.now]);
        View { range, step_ms: 1_000, theme: self.theme, zone }
    }
}

fn range(times: &[String; 2], now: i64, zone: &TimeZone) -> Result<[i64; 2], GrafanaError> {
    let mut range = [0; 2];
    for ((slot, name), text) in range.iter_mut().zip(["from", "to"]).zip(times) {
        let bad = || GrafanaError::bad(format!("{name} must be a time: milliseconds, now-1h, now/d, RFC 3339, not {text:?}"));
        *slot = moment(text, now, zone, name == "to").ok_or_else(bad)?;
    }
    if range[1] <= range[0] {
        return Err(GrafanaError::bad("the range ends before it begins"));
    }
    Ok(range)
}

fn format(name: &str) -> Option<Format> {
    match name.to_ascii_lowercase().as_str() {
        "svg" => Some(Format::Svg),
        "png" => Some(Format::Png),
        _ => None,
    }
}

/// A time zone by its name. The browser's is nobody's here, so it is left open.
fn zone(name: &str) -> Result<Option<TimeZone>, ()> {
    match name.trim() {
        "" | "browser" => Ok(None),
        name if name.eq_ignore_ascii_case("utc") => Ok(Some(TimeZone::UTC)),
        name => TimeZone::get(name).map(Some).map_err(|_| ()),
    }
}

/// The format at the end of an address's last part, and what is before it.
pub(super) fn ending(last: &str) -> (&str, Option<Format>) {
    let ended = last.rsplit_once('.').and_then(|(before, ending)| Some((before, format(ending)?)));
    ended.map_or((last, None), |(before, format)| (before, Some(format)))
}

/// The format that a header wants more than the other; nothing when it does not care.
pub(super) fn accepted(headers: &HeaderMap) -> Option<Format> {
    let mut weights = [0.0f32; 2];
    for (weight, kind) in weights.iter_mut().zip(["image/svg+xml", "image/png"]) {
        // The most exact range counts, not the one of most weight.
        let mut exactness = 0;
        for range in headers.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')) {
            let mut parts = range.split(';').map(str::trim);
            let here = match parts.next().unwrap_or_default().to_ascii_lowercase().as_str() {
                exact if exact == kind => 3,
                "image/*" => 2,
                "*/*" => 1,
                _ => continue,
            };
            let q = parts.find_map(|p| p.strip_prefix("q=").or_else(|| p.strip_prefix("Q="))).map_or(Some(1.0), |q| q.trim().parse::<f32>().ok());
            if here > exactness {
                exactness = here;
                *weight = q.unwrap_or(0.0);
            }
        }
    }
    match weights {
        [svg, png] if svg > png => Some(Format::Svg),
        [svg, png] if png > svg => Some(Format::Png),
        _ => None,
    }
}

/// A time as the page's addresses have it: `now-6h`, `now/d`, `now-1M/M`, milliseconds, RFC 3339. What is rounded is the beginning of its
/// unit, or for the end of a range its end.
pub(in super::super) fn moment(text: &str, now: i64, zone: &TimeZone, is_end: bool) -> Option<i64> {
    let Some(mut rest) = text.strip_prefix("now") else {
        return text.parse::<i64>().ok().filter(|ms| ms.unsigned_abs() < 1 << 53).or_else(|| Timestamp::parse(text).map(|t| t.millis()));
    };
    /// Steps of one expression.
    const STEPS_MAX: usize = 10;
    let mut at = jiff::Timestamp::from_millisecond(now).ok()?.to_zoned(zone.clone());
    let mut sign = '/';
    for _ in 0..STEPS_MAX {
        let Some(first) = rest.chars().next() else { return Some(at.timestamp().as_millisecond()) };
        // `now-1h30m`: the second number goes the way of the first.
        let goes_on = first.is_ascii_digit() && sign != '/';
        let after = if goes_on { rest } else { rest.get(first.len_utf8()..)? };
        sign = if goes_on { sign } else { first };
        let digits = if sign == '/' { 0 } else { after.bytes().take_while(u8::is_ascii_digit).count() };
        let (number, tail) = after.split_at_checked(digits)?;
        let letters = tail.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, next) = tail.split_at_checked(letters)?;
        at = match sign {
            '-' => at.checked_sub(span(number.parse().ok()?, unit)?).ok()?,
            '+' => at.checked_add(span(number.parse().ok()?, unit)?).ok()?,
            '/' => rounded(&at, unit, is_end)?,
            _ => return None,
        };
        rest = next;
    }
    None
}

fn span(count: i64, unit: &str) -> Option<Span> {
    let empty = Span::new();
    match unit {
        "ms" => empty.try_milliseconds(count),
        "s" => empty.try_seconds(count),
        "m" => empty.try_minutes(count),
        "h" => empty.try_hours(count),
        "d" => empty.try_days(count),
        "w" => empty.try_weeks(count),
        "M" => empty.try_months(count),
        "y" => empty.try_years(count),
        _ => return None,
    }
    .ok()
}

/// The beginning of the unit in which a moment lies, or the last millisecond of it.
fn rounded(at: &Zoned, unit: &str, is_end: bool) -> Option<Zoned> {
    let date = at.date();
    let beginning = match unit {
        "s" => at.with().subsec_nanosecond(0).build(),
        "m" => at.with().second(0).subsec_nanosecond(0).build(),
        "h" => at.with().minute(0).second(0).subsec_nanosecond(0).build(),
        "d" => at.start_of_day(),
        "w" => date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days()).ok()?.to_zoned(at.time_zone().clone()),
        "M" => date.first_of_month().to_zoned(at.time_zone().clone()),
        "y" => date.first_of_year().to_zoned(at.time_zone().clone()),
        _ => return None,
    };
    let beginning = beginning.ok()?;
    if is_end { beginning.checked_add(span(1, unit)?).ok()?.checked_sub(1.millisecond()).ok() } else { Some(beginning) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// 2024-02-29T12:34:56.789Z, a Thursday.
    const NOW: i64 = 1_709_210_096_789;

    #[test]
    fn moments() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let told = |text: &str, is_end: bool| {
            let ms = moment(text, NOW, &berlin, is_end)?;
            Some(jiff::Timestamp::from_millisecond(ms).unwrap().to_string())
        };
        for (text, is_end, expected) in [
            ("now", false, Some("2024-02-29T12:34:56.789Z")),
            ("now-6h", false, Some("2024-02-29T06:34:56.789Z")),
            ("now-1h30m", false, Some("2024-02-29T11:04:56.789Z")),
            ("now-1d/d", false, Some("2024-02-27T23:00:00Z")),
            ("now-1d/d", true, Some("2024-02-28T22:59:59.999Z")),
            ("now/w", false, Some("2024-02-25T23:00:00Z")),
            ("now/M", true, Some("2024-02-29T22:59:59.999Z")),
            ("now-1y/y", false, Some("2022-12-31T23:00:00Z")),
            ("now-1y", false, Some("2023-02-28T12:34:56.789Z")),
            ("now+1h-30m", false, Some("2024-02-29T13:04:56.789Z")),
            ("now/h", false, Some("2024-02-29T12:00:00Z")),
            ("now-1M/M+8h", false, Some("2024-01-01T07:00:00Z")),
            ("1709210096789", false, Some("2024-02-29T12:34:56.789Z")),
            ("2024-02-29T12:00:00Z", false, Some("2024-02-29T12:00:00Z")),
            ("now-", false, None),
            ("now/", false, None),
            ("now/x", false, None),
            ("now-5", false, None),
            ("now-99999999999999999999d", false, None),
            ("now5m", false, None),
            ("now-9999999y", false, None),
            ("nowä", false, None),
            ("yesterday", false, None),
            ("now-1s-1s-1s-1s-1s-1s-1s-1s-1s-1s-1s", false, None),
        ] {
            assert_eq!(told(text, is_end).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn formats() {
        for (accept, expected) in [
            ("image/png", Some(Format::Png)),
            ("image/svg+xml", Some(Format::Svg)),
            ("image/svg+xml;q=0.5, image/png;q=0.4", Some(Format::Svg)),
            ("text/html, image/svg+xml, image/*, */*;q=0.1", None),
            ("image/*;q=0.5, image/svg+xml;q=0.1", Some(Format::Png)),
            ("*/*", None),
            ("", None),
            ("image/png;q=nonsense", None),
        ] {
            let headers = [(ACCEPT, accept.parse().unwrap())].into_iter().collect();
            assert_eq!(accepted(&headers), expected, "{accept}");
        }
        for (last, expected) in [
            ("a.png", ("a", Some(Format::Png))),
            ("a.SVG", ("a", Some(Format::Svg))),
            ("a.b", ("a.b", None)),
            ("png", ("png", None)),
            (".png", ("", Some(Format::Png))),
        ] {
            assert_eq!(ending(last), expected);
        }
    }

    #[test]
    fn what_cannot_be_asked() {
        for (query, words) in [
            ("width=49", "width must be a number from 50 to 3000"),
            ("width=NaN", "width must be"),
            ("height=-2", "height must be"),
            ("scale=5", "scale must be a number from 0.25 to 4"),
            ("theme=neon", "theme must be light or dark"),
            ("tz=Mars/Phobos", "tz must be a time zone"),
            ("format=pdf", "format must be svg or png"),
            ("panelId=x", "panelId must be"),
            ("from=now&to=now-1h", "ends before"),
            ("from=yesterday", "from must be a time"),
        ] {
            let message = Asked::read(query, NOW).err().map(|e| e.message).unwrap_or_default();
            assert!(message.contains(words), "{query}: {message}");
        }
        let asked = Asked::read("panelId=panel-7&width=400&height=-1&scale=2&theme=dark&tz=browser&orgId=1&timeout=60&kiosk&var-a=1&var-a=2", NOW).unwrap();
        assert_eq!((asked.panel, asked.size, asked.scale, asked.variables.len()), (Some(7), [Some(400.0), None], 2.0, 2));
        let view = |asked: &Asked, board: serde_json::Value| asked.view(board.as_object().unwrap());
        let zone = |board| view(&asked, board).zone;
        assert!(asked.zone.is_none() && zone(json!({"timezone": "Europe/Berlin"})) == TimeZone::get("Europe/Berlin").unwrap());
        assert!(zone(json!({"timezone": "nowhere"})) == TimeZone::UTC && zone(json!({})) == TimeZone::UTC);
        // The times of a dashboard count where none are asked for, in its time zone.
        let range = |query: &str, board| view(&Asked::read(query, NOW).unwrap(), board).range;
        let today = json!({"timezone": "Europe/Berlin", "time": {"from": "now/d", "to": "now"}});
        assert_eq!(range("", today.clone()), [1_709_161_200_000, NOW]);
        assert_eq!(range("from=now-5m", today), [NOW - 300_000, NOW]);
        for odd in [json!({"time": {"from": "now", "to": "now-1h"}}), json!({"time": {"from": 5}}), json!({"time": []}), json!({})] {
            assert_eq!(range("", odd), [NOW - HOUR, NOW]);
        }
    }
}
