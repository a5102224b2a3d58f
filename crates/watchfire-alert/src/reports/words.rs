//! The words of reports in English and German, and how numbers, moments and lengths are written in each.

use jiff::tz::TimeZone;
use watchfire_model::time::Timestamp;

use super::config::Language;
use super::facts::{Count, Group, Height};

/// What one language calls things.
pub(super) struct Words {
    pub(super) code: &'static str,
    pub(super) daily: &'static str,
    pub(super) weekly: &'static str,
    /// Between the two ends of a period.
    pub(super) until: &'static str,
    pub(super) all_right: &'static str,
    pub(super) nothing_recorded: &'static str,
    pub(super) to_look_at: &'static str,
    pub(super) availability: &'static str,
    pub(super) all_well: &'static str,
    pub(super) name: &'static str,
    pub(super) share: &'static str,
    pub(super) before: &'static str,
    pub(super) alerts: &'static str,
    pub(super) no_alerts: &'static str,
    pub(super) alert: &'static str,
    pub(super) severity: &'static str,
    pub(super) fired_for: &'static str,
    pub(super) first: &'static str,
    pub(super) peaks: &'static str,
    pub(super) what: &'static str,
    pub(super) highest: &'static str,
    pub(super) when: &'static str,
    pub(super) disks: &'static str,
    pub(super) disk: &'static str,
    pub(super) used: &'static str,
    pub(super) growth: &'static str,
    pub(super) full_in: &'static str,
    pub(super) days: &'static str,
    pub(super) models: &'static str,
    pub(super) spent: &'static str,
    pub(super) budget: &'static str,
    pub(super) queues: &'static str,
    pub(super) amount: &'static str,
    pub(super) logs: &'static str,
    pub(super) log_errors: &'static str,
    pub(super) message: &'static str,
    pub(super) changes: &'static str,
    pub(super) no_changes: &'static str,
    pub(super) new_alert: &'static str,
    pub(super) quiet_alert: &'static str,
    pub(super) pictures: &'static str,
    pub(super) no_picture: &'static str,
    pub(super) not_asked: &'static str,
    pub(super) more: &'static str,
    pub(super) month_over_budget: &'static str,
    pub(super) footer: &'static str,
    comma: char,
    day_first: bool,
}

const ENGLISH: Words = Words {
    code: "en",
    daily: "Daily report",
    weekly: "Weekly report",
    until: "to",
    all_right: "Everything was all right.",
    nothing_recorded: "Nothing was recorded in this period, so nothing can be said about it.",
    to_look_at: "Worth a look",
    availability: "Availability",
    all_well: "all of the time",
    name: "Name",
    share: "Well",
    before: "Period before",
    alerts: "Alerts",
    no_alerts: "No alert fired.",
    alert: "Alert",
    severity: "Severity",
    fired_for: "Fired for",
    first: "First at",
    peaks: "Peaks",
    what: "What",
    highest: "Highest",
    when: "When",
    disks: "Disks",
    disk: "Disk",
    used: "Used",
    growth: "Growth a day",
    full_in: "Full in",
    days: "days",
    models: "Language models",
    spent: "This month so far",
    budget: "of a budget of",
    queues: "Queues",
    amount: "Amount",
    logs: "Errors in logs",
    log_errors: "Lines with errors",
    message: "Message",
    changes: "What has changed",
    no_changes: "Nothing that stands out.",
    new_alert: "fired and had not in the period before",
    quiet_alert: "had fired in the period before and did not",
    pictures: "Dashboards",
    no_picture: "cannot be shown",
    not_asked: "Could not be found out",
    more: "more",
    month_over_budget: "the month's budget for language models is spent",
    footer: "Sent by Watchfire.",
    comma: '.',
    day_first: false,
};
const GERMAN: Words = Words {
    code: "de",
    daily: "Tagesbericht",
    weekly: "Wochenbericht",
    until: "bis",
    all_right: "Alles war in Ordnung.",
    nothing_recorded: "In diesem Zeitraum wurde nichts aufgezeichnet; es lässt sich nichts darüber sagen.",
    to_look_at: "Einen Blick wert",
    availability: "Verfügbarkeit",
    all_well: "die ganze Zeit",
    name: "Name",
    share: "In Ordnung",
    before: "Zeitraum davor",
    alerts: "Alarme",
    no_alerts: "Kein Alarm wurde ausgelöst.",
    alert: "Alarm",
    severity: "Stufe",
    fired_for: "Dauer",
    first: "Zuerst um",
    peaks: "Höchstwerte",
    what: "Was",
    highest: "Höchstens",
    when: "Wann",
    disks: "Datenträger",
    disk: "Datenträger",
    used: "Belegt",
    growth: "Zuwachs am Tag",
    full_in: "Voll in",
    days: "Tagen",
    models: "Sprachmodelle",
    spent: "Diesen Monat bisher",
    budget: "von einem Budget von",
    queues: "Warteschlangen",
    amount: "Menge",
    logs: "Fehler in Protokollen",
    log_errors: "Zeilen mit Fehlern",
    message: "Meldung",
    changes: "Was sich geändert hat",
    no_changes: "Nichts Auffälliges.",
    new_alert: "wurde ausgelöst, im Zeitraum davor nicht",
    quiet_alert: "war im Zeitraum davor ausgelöst, jetzt nicht",
    pictures: "Dashboards",
    no_picture: "kann nicht gezeigt werden",
    not_asked: "Ließ sich nicht ermitteln",
    more: "weitere",
    month_over_budget: "das Monatsbudget für Sprachmodelle ist ausgegeben",
    footer: "Gesendet von Watchfire.",
    comma: ',',
    day_first: true,
};

/// The words of a language.
pub(super) fn words(language: Language) -> &'static Words {
    match language {
        Language::English => &ENGLISH,
        Language::German => &GERMAN,
    }
}

impl Words {
    fn choose(&self, english: &'static str, german: &'static str) -> &'static str {
        if self.day_first { german } else { english }
    }
    pub(super) fn group(&self, group: Group) -> &'static str {
        match group {
            Group::Cameras => self.choose("Cameras", "Kameras"),
            Group::Services => self.choose("Services", "Dienste"),
            Group::Probes => self.choose("Probes", "Prüfungen"),
            Group::Programs => self.choose("Watched programs", "Überwachte Programme"),
        }
    }
    pub(super) fn height(&self, height: Height) -> &'static str {
        match height {
            Height::GpuMemory => self.choose("GPU memory", "Grafikspeicher"),
            Height::GpuBusy => self.choose("GPU load", "Grafikkarte, Auslastung"),
            Height::GpuTemperature => self.choose("GPU temperature", "Grafikkarte, Temperatur"),
            Height::Memory => self.choose("Memory", "Arbeitsspeicher"),
            Height::Processor => self.choose("Processor load", "Prozessor, Auslastung"),
        }
    }
    pub(super) fn count(&self, count: Count) -> &'static str {
        match count {
            Count::GatewayTokens => self.choose("Tokens through the gateway", "Tokens über das Gateway"),
            Count::ServerTokens => self.choose("Tokens of model servers", "Tokens der Modellserver"),
            Count::ProgramTokens => self.choose("Tokens as the program counts", "Tokens laut Programm"),
            Count::QueueLength => self.choose("Longest queue", "Längste Warteschlange"),
            Count::Dead => self.choose("Dead letters", "Unzustellbare Aufträge"),
            Count::Dropped => self.choose("Jobs without room", "Aufträge ohne Platz"),
        }
    }

    /// A number with decimals.
    pub(super) fn number(&self, value: f64, decimals: usize) -> String {
        let text = format!("{value:.decimals$}").replace('.', &self.comma.to_string());
        // What rounds to nothing has no sign.
        text.strip_prefix('-').filter(|rest| rest.bytes().all(|b| !b.is_ascii_digit() || b == b'0')).map_or(text.clone(), str::to_owned)
    }
    /// A whole number, with its thousands apart.
    pub(super) fn whole(&self, value: f64) -> String {
        let digits = format!("{:.0}", value.abs());
        let mut out = String::new();
        for (at, digit) in digits.chars().enumerate() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                out.push(if self.day_first { '.' } else { ',' });
            }
            out.push(digit);
        }
        if value < 0.0 && digits != "0" { format!("-{out}") } else { out }
    }
    /// A share in percent; what is not all never looks like all.
    pub(super) fn percent(&self, share: f64) -> String {
        let percent = share * 100.0;
        let shown = if percent < 100.0 { percent.min(99.99) } else { percent };
        format!("{} %", self.number(shown, 2))
    }
    /// A length of time in minutes.
    pub(super) fn length(&self, minutes: f64) -> String {
        let all = minutes.max(0.0).round() as u64;
        let (days, hours, minutes) = (all / 1_440, all / 60 % 24, all % 60);
        let day = self.choose("d", "Tg.");
        let hour = self.choose("h", "Std.");
        let minute = self.choose("min", "Min.");
        match (days, hours) {
            (0, 0) => format!("{minutes} {minute}"),
            (0, _) => format!("{hours} {hour} {minutes} {minute}"),
            _ => format!("{days} {day} {hours} {hour}"),
        }
    }
    /// Bytes.
    pub(super) fn bytes(&self, bytes: f64) -> String {
        const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
        let mut value = bytes;
        let mut unit = 0;
        while value.abs() >= 1_024.0 && unit + 1 < UNITS.len() {
            value /= 1_024.0;
            unit += 1;
        }
        format!("{} {}", self.number(value, usize::from(unit > 0)), UNITS.get(unit).copied().unwrap_or_default())
    }
    /// A moment, to the minute.
    pub(super) fn moment(&self, at: Timestamp, zone: &TimeZone) -> String {
        let Ok(moment) = jiff::Timestamp::from_millisecond(at.millis()) else { return at.rfc3339() };
        moment.to_zoned(zone.clone()).strftime(if self.day_first { "%d.%m.%Y %H:%M" } else { "%Y-%m-%d %H:%M" }).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_both_languages() {
        for (language, number, whole, percent, length, bytes, moment) in [
            (Language::English, "1.50", "1,234,567", "99.99 %", "1 h 5 min", "1.5 KiB", "2025-03-30 00:30"),
            (Language::German, "1,50", "1.234.567", "99,99 %", "1 Std. 5 Min.", "1,5 KiB", "30.03.2025 00:30"),
        ] {
            let it = words(language);
            assert_eq!((it.number(1.5, 2), it.whole(1_234_567.2), it.percent(0.999_999)), (number.to_owned(), whole.to_owned(), percent.to_owned()));
            assert_eq!((it.length(65.0), it.bytes(1_536.0)), (length.to_owned(), bytes.to_owned()));
            let berlin = TimeZone::get("Europe/Berlin").unwrap();
            assert_eq!(it.moment(Timestamp::parse("2025-03-29T23:30:00Z").unwrap(), &berlin), moment);
        }
        let it = words(Language::English);
        assert_eq!((it.percent(1.0).as_str(), it.percent(0.0).as_str()), ("100.00 %", "0.00 %"));
        assert_eq!((it.whole(0.4).as_str(), it.whole(-1_000.0).as_str(), it.whole(-0.2).as_str(), it.number(-0.001, 2).as_str()), ("0", "-1,000", "0", "0.00"));
        assert_eq!((it.length(0.0).as_str(), it.length(3_000.0).as_str()), ("0 min", "2 d 2 h"));
        assert_eq!((it.bytes(12.0).as_str(), it.bytes(-2_097_152.0).as_str()), ("12 B", "-2.0 MiB"));
    }
}
