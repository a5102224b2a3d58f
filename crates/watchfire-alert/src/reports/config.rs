//! `reports:`, what the configuration says of reports. It sends none.

use std::path::PathBuf;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use watchfire_model::document::Reader;

use super::schedule::{Every, Schedule};
use crate::manager::config::Smtp;
use crate::receivers::email::{Post, overlay, parse_addresses};

/// The most reports, dashboards of one and people who get it.
const REPORTS_MAX: usize = 50;
const DASHBOARDS_MAX: usize = 10;
const PEOPLE_MAX: usize = 100;
const NAME_BYTES_MAX: usize = 64;

const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Monday),
    ("tuesday", Weekday::Tuesday),
    ("wednesday", Weekday::Wednesday),
    ("thursday", Weekday::Thursday),
    ("friday", Weekday::Friday),
    ("saturday", Weekday::Saturday),
    ("sunday", Weekday::Sunday),
];

/// The language of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
}

/// One report.
#[derive(Clone, Debug)]
pub struct Report {
    /// What it is called in addresses.
    pub name: String,
    /// When it is due.
    pub schedule: Schedule,
    /// Who gets it, as a list of mail addresses.
    pub to: String,
    /// What language it is in.
    pub language: Language,
    /// The dashboards whose pictures are in it, by uid.
    pub dashboards: Vec<String>,
    /// How it is sent, where it says so itself; else as the configuration of alerts says.
    pub smtp: Option<Smtp>,
}

/// Reads the list `reports`; errors go to the reader's context.
pub fn read_list(root: &Reader<'_>, locate: &dyn Fn(&str) -> PathBuf) -> Vec<Report> {
    let mut all: Vec<Report> = Vec::new();
    let list = root.maps("reports");
    if list.len() > REPORTS_MAX {
        root.error_at("reports", format!("more than {REPORTS_MAX} reports"));
        return all;
    }
    for reader in list {
        let (context, node) = (reader.context(), reader.node());
        let report = read(reader, locate);
        if all.iter().any(|other| other.name == report.name) {
            context.error(node.line, node.column, format!("there is a report {:?} already", report.name));
        }
        all.push(report);
    }
    all
}

fn read(reader: Reader<'_>, locate: &dyn Fn(&str) -> PathBuf) -> Report {
    let name = reader.required_text("name");
    let fits = name.len() <= NAME_BYTES_MAX && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if !fits {
        reader.error_at("name", format!("must be letters, digits, hyphens and underscores, {NAME_BYTES_MAX} at most: it is part of an address"));
    }
    let language = reader.word("language", &["en", "de"]).unwrap_or("en");
    let dashboards = reader.texts("dashboards", true);
    if dashboards.len() > DASHBOARDS_MAX {
        reader.error_at("dashboards", format!("must be {DASHBOARDS_MAX} at most"));
    }
    let report = Report {
        schedule: read_schedule(&reader),
        to: read_people(&reader),
        language: if language == "de" { Language::German } else { Language::English },
        dashboards,
        smtp: read_smtp(&reader, locate),
        name,
    };
    reader.finish();
    report
}

fn read_schedule(reader: &Reader<'_>) -> Schedule {
    let schedule = reader.word("schedule", &["daily", "weekly"]);
    if schedule.is_none() && reader.raw("schedule").is_none() {
        reader.context().error(reader.node().line, reader.node().column, format!("{} is missing: daily or weekly", reader.path_of("schedule")));
    }
    let words: [&'static str; 7] = DAYS.map(|(word, _)| word);
    let day = reader.word("day", &words);
    if day.is_some() && schedule == Some("daily") {
        reader.error_at("day", "is for weekly reports");
    }
    let weekday = DAYS.iter().find(|(word, _)| Some(*word) == day).map_or(Weekday::Monday, |(_, weekday)| *weekday);
    let time = reader.text("time").unwrap_or_else(|| "07:00".to_owned());
    let time = read_time(&time).unwrap_or_else(|| {
        reader.error_at("time", format!("must be a time of day such as 07:00, not {time:?}"));
        Time::midnight()
    });
    let zone = reader.text("timezone").unwrap_or_else(|| "UTC".to_owned());
    let zone = TimeZone::get(&zone).unwrap_or_else(|_| {
        reader.error_at("timezone", format!("there is no time zone {zone:?}; one is Europe/Berlin"));
        TimeZone::UTC
    });
    Schedule { every: if schedule == Some("weekly") { Every::Week(weekday) } else { Every::Day }, time, zone }
}

/// `HH:MM`.
fn read_time(text: &str) -> Option<Time> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str, digits: std::ops::RangeInclusive<usize>| {
        text.parse::<i8>().ok().filter(|_| digits.contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()))
    };
    Time::new(number(hour, 1..=2)?, number(minute, 2..=2)?, 0, 0).ok()
}

/// A text with addresses, or a list of them.
fn read_people(reader: &Reader<'_>) -> String {
    let all = reader.texts("to", true);
    if all.is_empty() {
        reader.context().error(reader.node().line, reader.node().column, format!("{} is missing: who gets the report", reader.path_of("to")));
    }
    let joined = all.join(", ");
    match parse_addresses(&joined) {
        Some(people) if people.len() > PEOPLE_MAX => reader.error_at("to", format!("must be {PEOPLE_MAX} people at most")),
        None if !all.is_empty() => reader.error_at("to", "must be addresses such as a@example.com, Name <b@example.com>"),
        _ => {}
    }
    joined
}

fn read_smtp(reader: &Reader<'_>, locate: &dyn Fn(&str) -> PathBuf) -> Option<Smtp> {
    let own = reader.map("smtp")?;
    let from = own.required_text("from");
    if !from.is_empty() && parse_addresses(&from).is_none_or(|list| list.len() != 1) {
        own.error_at("from", "must be one address such as watchfire@example.com");
    }
    own.required_text("smarthost");
    let smtp = Smtp { from: Some(from), ..overlay(&own, &Smtp { require_tls: true, ..Smtp::default() }, locate) };
    match Post::of(&smtp) {
        Err(message) if smtp.smarthost.is_some() => own.error_at("smarthost", message),
        Ok(post) if post.is_exposed() => own.warning_at("require_tls", "is false: user name, password and mails may cross the network in the clear"),
        _ => {}
    }
    own.finish();
    Some(smtp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use watchfire_model::document::{Context, parse_yaml};

    fn check(text: &str) -> (Vec<Report>, Vec<String>) {
        let node = parse_yaml("watchfire.yml", text).unwrap();
        let context = Context::new("watchfire.yml");
        let root = Reader::new(&context, &node, "");
        let reports = read_list(&root, &|path| PathBuf::from(path));
        root.finish();
        (reports, context.into_findings().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn reports_are_read() {
        let (reports, findings) = check(
            "reports:\n- name: week\n  schedule: weekly\n  day: friday\n  time: 06:30\n  timezone: Europe/Berlin\n  to: [a@example.com, 'Anna <b@example.com>']\n  language: de\n  dashboards: [host, gpu]\n\
             - {name: day, schedule: daily, to: a@example.com, smtp: {from: w@example.com, smarthost: 'mail.example.com:465', auth_username: w, auth_password: secret}}\n",
        );
        assert_eq!(findings, [""; 0]);
        let [week, day] = reports.as_slice() else { panic!("{reports:?}") };
        assert_eq!((week.schedule.every, week.schedule.time), (Every::Week(Weekday::Friday), Time::constant(6, 30, 0, 0)));
        assert_eq!((week.to.as_str(), week.language, week.dashboards.len()), ("a@example.com, Anna <b@example.com>", Language::German, 2));
        assert_eq!((day.schedule.every, day.schedule.time, day.language), (Every::Day, Time::constant(7, 0, 0, 0), Language::English));
        assert!(week.smtp.is_none() && day.smtp.as_ref().is_some_and(|s| s.require_tls && s.from.as_deref() == Some("w@example.com")));
        assert!(!format!("{day:?}").contains("secret\""), "a password has no printable form");
    }

    #[test]
    fn what_is_wrong_is_said_at_its_place() {
        for (text, expected) in [
            ("reports: 1\n", "watchfire.yml:1:10: error: reports"),
            ("reports:\n- {schedule: daily, to: a@b.c}\n", "watchfire.yml:2:3: error: reports[0].name"),
            ("reports:\n- {name: 'a/b', schedule: daily, to: a@b.c}\n", "watchfire.yml:2:10: error: reports[0].name: must be letters"),
            ("reports:\n- {name: a, to: a@b.c}\n", "watchfire.yml:2:3: error: reports[0].schedule is missing"),
            ("reports:\n- {name: a, schedule: hourly, to: a@b.c}\n", "watchfire.yml:2:23: error: reports[0].schedule"),
            ("reports:\n- {name: a, schedule: daily, day: monday, to: a@b.c}\n", "watchfire.yml:2:35: error: reports[0].day: is for weekly"),
            ("reports:\n- {name: a, schedule: weekly, day: moonday, to: a@b.c}\n", "watchfire.yml:2:36: error: reports[0].day"),
            ("reports:\n- {name: a, schedule: daily, time: '25:00', to: a@b.c}\n", "watchfire.yml:2:36: error: reports[0].time: must be a time of day"),
            ("reports:\n- {name: a, schedule: daily, time: '7:5', to: a@b.c}\n", "error: reports[0].time"),
            ("reports:\n- {name: a, schedule: daily, time: '+7:05', to: a@b.c}\n", "error: reports[0].time"),
            ("reports:\n- {name: a, schedule: daily, timezone: Mars, to: a@b.c}\n", "watchfire.yml:2:40: error: reports[0].timezone: there is no time zone"),
            ("reports:\n- {name: a, schedule: daily}\n", "watchfire.yml:2:3: error: reports[0].to is missing"),
            ("reports:\n- {name: a, schedule: daily, to: nobody}\n", "watchfire.yml:2:34: error: reports[0].to: must be addresses"),
            ("reports:\n- {name: a, schedule: daily, to: a@b.c, language: fr}\n", "watchfire.yml:2:51: error: reports[0].language"),
            ("reports:\n- {name: a, schedule: daily, to: a@b.c, too: b}\n", "reports[0]"),
            (
                "reports:\n- {name: a, schedule: daily, to: a@b.c}\n- {name: a, schedule: daily, to: a@b.c}\n",
                "watchfire.yml:3:3: error: there is a report \"a\" already",
            ),
            (
                "reports:\n- {name: a, schedule: daily, to: a@b.c, smtp: {from: w@b.c, smarthost: mail}}\n",
                "watchfire.yml:2:72: error: reports[0].smtp.smarthost: smarthost must be host:port",
            ),
            ("reports:\n- {name: a, schedule: daily, to: a@b.c, smtp: {smarthost: 'mail:25'}}\n", "reports[0].smtp.from"),
            ("reports:\n- {name: a, schedule: daily, to: a@b.c, smtp: {from: 'a@b.c, d@e.f', smarthost: 'mail:25'}}\n", "must be one address"),
        ] {
            let (_, findings) = check(text);
            assert!(findings.len() == 1 && findings[0].contains(expected), "{text}: {findings:?}");
        }
        let (_, findings) = check(&format!("reports:\n{}", "- {name: a, schedule: daily, to: a@b.c}\n".repeat(51)));
        assert!(findings.len() == 1 && findings[0].contains("more than 50"), "{findings:?}");
    }
}
