//! When a report is due: daily or weekly at a time of day in a time zone. Days are days of the calendar, so a report's period has 23 or 25
//! hours where clocks are changed. It remembers nothing.

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp as Instant};
use watchfire_model::time::Timestamp;

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// Each day.
    Day,
    /// Each week on a day.
    Week(Weekday),
}

/// When.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// How often.
    pub every: Every,
    /// The time of day. One that a day does not have, because clocks are put forward, is as much later.
    pub time: Time,
    /// Whose time.
    pub zone: TimeZone,
}

impl Schedule {
    fn days(&self) -> i64 {
        match self.every {
            Every::Day => 1,
            Every::Week(_) => 7,
        }
    }
    fn on(&self, date: Date) -> Option<Timestamp> {
        let moment = date.to_datetime(self.time).to_zoned(self.zone.clone()).ok()?;
        Some(Timestamp(moment.timestamp().as_millisecond()))
    }
    fn back(&self, date: Date, days: i64) -> Option<Date> {
        date.checked_sub(Span::new().try_days(days).ok()?).ok()
    }
    /// The latest moment up to now at which a report was due, and the beginnings of the period that it is about and of the one before.
    /// Nothing at the ends of the calendar.
    pub fn latest(&self, now: Timestamp) -> Option<Due> {
        let today = Instant::from_millisecond(now.millis()).ok()?.to_zoned(self.zone.clone()).date();
        // The day of a week may be up to six days ago, and today's time may be yet to come.
        let mut date = match self.every {
            Every::Day => today,
            Every::Week(weekday) => self.back(today, i64::from(today.weekday().since(weekday)))?,
        };
        let mut at = self.on(date)?;
        if at > now {
            date = self.back(date, self.days())?;
            at = self.on(date)?;
        }
        let from = self.back(date, self.days())?;
        let before = self.back(from, self.days())?;
        Some(Due { at, from: self.on(from)?, before: self.on(before)? })
    }
}

/// A moment at which a report is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The moment: the end of the period.
    pub at: Timestamp,
    /// Where the period begins.
    pub from: Timestamp,
    /// Where the period before it begins, with which it is compared.
    pub before: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(every: Every, time: &str, zone: &str, now: &str, expected: [&str; 3]) {
        let schedule = Schedule { every, time: time.parse().unwrap(), zone: TimeZone::get(zone).unwrap() };
        let due = schedule.latest(Timestamp::parse(now).unwrap()).unwrap();
        assert_eq!([due.at, due.from, due.before].map(Timestamp::rfc3339), expected, "{time} {zone} {now}");
    }

    #[test]
    fn days() {
        let day = Every::Day;
        check(day, "07:00", "UTC", "2025-03-10T07:00:00Z", ["2025-03-10T07:00:00Z", "2025-03-09T07:00:00Z", "2025-03-08T07:00:00Z"]);
        check(day, "07:00", "UTC", "2025-03-10T06:59:59.999Z", ["2025-03-09T07:00:00Z", "2025-03-08T07:00:00Z", "2025-03-07T07:00:00Z"]);
        // The day after the 29th of February, and the one after a year that has none.
        check(day, "00:00", "UTC", "2024-03-01T00:00:01Z", ["2024-03-01T00:00:00Z", "2024-02-29T00:00:00Z", "2024-02-28T00:00:00Z"]);
        check(day, "00:00", "UTC", "2025-03-01T12:00:00Z", ["2025-03-01T00:00:00Z", "2025-02-28T00:00:00Z", "2025-02-27T00:00:00Z"]);
        // East of Greenwich the day has begun already.
        check(day, "06:00", "Asia/Tokyo", "2025-03-09T22:00:00Z", ["2025-03-09T21:00:00Z", "2025-03-08T21:00:00Z", "2025-03-07T21:00:00Z"]);
    }

    #[test]
    fn days_on_which_clocks_are_changed() {
        let day = Every::Day;
        // Forward at two: half past two is not there and comes an hour later; the day before has 23 hours at seven.
        check(day, "02:30", "Europe/Berlin", "2025-03-30T01:29:59Z", ["2025-03-29T01:30:00Z", "2025-03-28T01:30:00Z", "2025-03-27T01:30:00Z"]);
        check(day, "02:30", "Europe/Berlin", "2025-03-30T01:30:00Z", ["2025-03-30T01:30:00Z", "2025-03-29T01:30:00Z", "2025-03-28T01:30:00Z"]);
        check(day, "07:00", "Europe/Berlin", "2025-03-30T05:00:00Z", ["2025-03-30T05:00:00Z", "2025-03-29T06:00:00Z", "2025-03-28T06:00:00Z"]);
        // Back at three: half past two comes twice, and the first counts.
        check(day, "02:30", "Europe/Berlin", "2025-10-26T00:30:00Z", ["2025-10-26T00:30:00Z", "2025-10-25T00:30:00Z", "2025-10-24T00:30:00Z"]);
        check(day, "02:30", "Europe/Berlin", "2025-10-26T01:45:00Z", ["2025-10-26T00:30:00Z", "2025-10-25T00:30:00Z", "2025-10-24T00:30:00Z"]);
        check(day, "02:30", "Europe/Berlin", "2025-10-27T02:00:00Z", ["2025-10-27T01:30:00Z", "2025-10-26T00:30:00Z", "2025-10-25T00:30:00Z"]);
    }

    #[test]
    fn weeks() {
        let monday = Every::Week(Weekday::Monday);
        check(monday, "07:00", "UTC", "2025-03-10T07:00:00Z", ["2025-03-10T07:00:00Z", "2025-03-03T07:00:00Z", "2025-02-24T07:00:00Z"]);
        check(monday, "07:00", "UTC", "2025-03-10T06:00:00Z", ["2025-03-03T07:00:00Z", "2025-02-24T07:00:00Z", "2025-02-17T07:00:00Z"]);
        check(monday, "07:00", "UTC", "2025-03-16T23:59:00Z", ["2025-03-10T07:00:00Z", "2025-03-03T07:00:00Z", "2025-02-24T07:00:00Z"]);
        let thursday = Every::Week(Weekday::Thursday);
        check(thursday, "12:00", "UTC", "2024-02-29T12:00:00Z", ["2024-02-29T12:00:00Z", "2024-02-22T12:00:00Z", "2024-02-15T12:00:00Z"]);
        // A week with a change of clocks in it has an hour less.
        check(monday, "07:00", "Europe/Berlin", "2025-03-31T06:00:00Z", ["2025-03-31T05:00:00Z", "2025-03-24T06:00:00Z", "2025-03-17T06:00:00Z"]);
    }

    #[test]
    fn the_ends_of_the_calendar_are_no_panic() {
        let schedule = Schedule { every: Every::Day, time: Time::midnight(), zone: TimeZone::UTC };
        for ms in [i64::MIN, i64::MAX, -377_705_116_800_000, -377_705_000_000_000] {
            assert!(schedule.latest(Timestamp(ms)).is_none(), "{ms}");
        }
        assert!(schedule.latest(Timestamp(0)).is_some());
    }
}
