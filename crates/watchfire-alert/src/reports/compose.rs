//! Makes a page of facts: what was not well first, then section by section what was found. What is not there has no section. It asks nothing.

use jiff::tz::TimeZone;
use watchfire_model::time::Timestamp;

use super::config::Report;
use super::facts::{Amount, Count, Facts, Share};
use super::page::{Block, Page};
use super::schedule::{Due, Every};
use super::words::{Words, words};

/// What is less of the time well is worth a look; so is what has changed by so much.
const WELL: f64 = 0.995;
const CHANGE: f64 = 0.005;
/// Rows of a table.
const ROWS: usize = 15;
/// A disk that is full in fewer days, or has less room than this share, is worth a look.
const DAYS_LEFT: f64 = 14.0;
const USED: f64 = 90.0;
/// Growth by such a factor, of an amount that is worth speaking of, has changed.
const FACTOR: f64 = 1.5;
const AMOUNT: f64 = 10.0;
/// Severities of alerts that only tell.
const TELLING: [&str; 3] = ["info", "none", "debug"];

/// The page of a report. `pictures` are the sources of pictures with their titles, or why there is none.
pub(super) fn compose(report: &Report, due: Due, facts: &Facts, pictures: Vec<(String, Result<String, String>)>) -> Page {
    let it = words(report.language);
    let zone = &report.schedule.zone;
    let kind = if report.schedule.every == Every::Day { it.daily } else { it.weekly };
    let title = format!("{kind}: {} {} {}", it.moment(due.from, zone), it.until, it.moment(due.at, zone));
    let mut page = Page { title, language: it.code, blocks: Vec::new() };
    verdict(&mut page, it, facts);
    changes(&mut page, it, facts);
    availability(&mut page, it, facts);
    alerts(&mut page, it, facts, zone);
    peaks(&mut page, it, facts, zone);
    disks(&mut page, it, facts);
    amounts(&mut page, it, facts);
    logs(&mut page, it, facts);
    if !pictures.is_empty() {
        page.heading(it.pictures);
    }
    for (title, picture) in pictures {
        match picture {
            Ok(source) => page.blocks.push(Block::Picture(source, title)),
            Err(reason) => page.line(format!("{title} {}: {reason}", it.no_picture)),
        }
    }
    if !facts.failed.is_empty() {
        page.heading(it.not_asked);
        facts.failed.iter().take(ROWS).for_each(|reason| page.item(reason.as_str()));
    }
    page.line(it.footer);
    page
}

/// The subject of the mail: what the report is, and whether there is something to look at.
pub(super) fn subject(report: &Report, due: Due, facts: &Facts) -> String {
    let it = words(report.language);
    let kind = if report.schedule.every == Every::Day { it.daily } else { it.weekly };
    let day = it.moment(due.at, &report.schedule.zone);
    let all = concerns(it, facts);
    let end = if !has_data(facts) {
        it.nothing_recorded.to_owned()
    } else if all.is_empty() {
        it.all_right.to_owned()
    } else {
        format!("{} ({})", it.to_look_at, all.len())
    };
    format!("{kind} {day}: {end}")
}

fn has_data(facts: &Facts) -> bool {
    let has_errors = facts.errors.as_ref().is_some_and(|errors| errors.count > 0);
    !facts.groups.is_empty() || !facts.peaks.is_empty() || !facts.disks.is_empty() || !facts.alerts.is_empty() || !facts.amounts.is_empty() || has_errors
}

/// What is worth a look, a sentence each.
fn concerns(it: &Words, facts: &Facts) -> Vec<String> {
    let mut all = Vec::new();
    for (group, shares) in &facts.groups {
        let bad = shares.iter().filter(|share| share.now < WELL);
        all.extend(bad.map(|share| format!("{} – {}: {}", it.group(*group), share.name, it.percent(share.now))));
    }
    let loud = facts.alerts.iter().filter(|alert| !TELLING.contains(&alert.severity.to_ascii_lowercase().as_str()));
    all.extend(loud.map(|alert| format!("{}: {}, {}", it.alert, alert.name, it.length(alert.minutes))));
    for disk in &facts.disks {
        match disk.days_left {
            Some(days) if days < DAYS_LEFT => all.push(format!("{} {}: {} {} {}", it.disk, disk.name, it.full_in, it.number(days, 1), it.days)),
            _ if disk.used >= USED => all.push(format!("{} {}: {}", it.disk, disk.name, it.percent(disk.used / 100.0))),
            _ => {}
        }
    }
    let lost = facts.amounts.iter().filter(|a| matches!(a.what, Count::Dead | Count::Dropped) && a.now >= 0.5);
    all.extend(lost.map(|a| format!("{} {}: {}", it.count(a.what), a.name, it.whole(a.now))));
    if facts.spent.is_some_and(|spent| spent.budget_usd.is_some_and(|budget| spent.month_usd >= budget)) {
        all.push(it.month_over_budget.to_owned());
    }
    // Whoever could not look must not say that all was well.
    if !facts.failed.is_empty() {
        all.push(format!("{}: {}", it.not_asked, facts.failed.len()));
    }
    all
}

fn verdict(page: &mut Page, it: &Words, facts: &Facts) {
    let all = concerns(it, facts);
    if !has_data(facts) {
        page.line(it.nothing_recorded);
    } else if all.is_empty() {
        page.line(it.all_right);
    }
    if !all.is_empty() {
        page.heading(it.to_look_at);
        let left = all.len().saturating_sub(ROWS);
        all.into_iter().take(ROWS).for_each(|text| page.item(text));
        more(page, it, left);
    }
}

fn more(page: &mut Page, it: &Words, left: usize) {
    if left > 0 {
        page.line(format!("{left} {}", it.more));
    }
}

fn changes(page: &mut Page, it: &Words, facts: &Facts) {
    let mut all = Vec::new();
    for (group, shares) in &facts.groups {
        let changed = |share: &Share| share.before.filter(|before| (share.now - before).abs() >= CHANGE);
        let told = |share: &Share| Some(format!("{} – {}: {} → {}", it.group(*group), share.name, it.percent(changed(share)?), it.percent(share.now)));
        all.extend(shares.iter().filter_map(told));
    }
    all.extend(facts.alerts.iter().filter(|a| a.minutes_before.is_none()).map(|a| format!("{} {}", a.name, it.new_alert)));
    all.extend(facts.quiet.iter().map(|name| format!("{name} {}", it.quiet_alert)));
    let far = |now: f64, before: f64| now.max(before) >= AMOUNT && (now > before * FACTOR || before > now * FACTOR);
    let told = |a: &Amount| {
        let before = a.before.filter(|before| far(a.now, *before))?;
        Some(format!("{}: {} → {}", [it.count(a.what), &a.name].join(" ").trim_end(), it.whole(before), it.whole(a.now)))
    };
    all.extend(facts.amounts.iter().filter_map(told));
    if let Some(errors) = facts.errors.as_ref().filter(|e| far(e.count as f64, e.before as f64)) {
        all.push(format!("{}: {} → {}", it.log_errors, it.whole(errors.before as f64), it.whole(errors.count as f64)));
    }
    if !has_data(facts) && all.is_empty() {
        return;
    }
    page.heading(it.changes);
    if all.is_empty() {
        page.line(it.no_changes);
    }
    let left = all.len().saturating_sub(ROWS);
    all.into_iter().take(ROWS).for_each(|text| page.item(text));
    more(page, it, left);
}

/// Groups in which all was well are a line; else the worst are a table.
fn availability(page: &mut Page, it: &Words, facts: &Facts) {
    if !facts.groups.is_empty() {
        page.heading(it.availability);
    }
    for (group, shares) in &facts.groups {
        let mean = shares.iter().map(|s| s.now).sum::<f64>() / shares.len().max(1) as f64;
        let bad: Vec<&Share> = shares.iter().filter(|share| share.now < 1.0).collect();
        if bad.is_empty() {
            page.line(format!("{} ({}): {}", it.group(*group), shares.len(), it.all_well));
            continue;
        }
        page.line(format!("{} ({}): {}", it.group(*group), shares.len(), it.percent(mean)));
        let row = |share: &&Share| vec![share.name.clone(), it.percent(share.now), share.before.map_or_else(|| "–".to_owned(), |before| it.percent(before))];
        page.table(&[it.name, it.share, it.before], bad.iter().take(ROWS).map(row).collect());
        more(page, it, bad.len().saturating_sub(ROWS));
    }
}

fn alerts(page: &mut Page, it: &Words, facts: &Facts, zone: &TimeZone) {
    if !has_data(facts) {
        return;
    }
    page.heading(it.alerts);
    if facts.alerts.is_empty() {
        page.line(it.no_alerts);
    }
    let moment = |at: Option<Timestamp>| at.map_or_else(|| "–".to_owned(), |at| it.moment(at, zone));
    let rows = facts.alerts.iter().take(ROWS).map(|alert| {
        let before = alert.minutes_before.map_or_else(|| "–".to_owned(), |minutes| it.length(minutes));
        vec![alert.name.clone(), alert.severity.clone(), it.length(alert.minutes), moment(alert.first), before]
    });
    page.table(&[it.alert, it.severity, it.fired_for, it.first, it.before], rows.collect());
    more(page, it, facts.alerts.len().saturating_sub(ROWS));
}

fn peaks(page: &mut Page, it: &Words, facts: &Facts, zone: &TimeZone) {
    if facts.peaks.is_empty() {
        return;
    }
    page.heading(it.peaks);
    let rows = facts.peaks.iter().map(|peak| {
        let unit = if peak.what == super::facts::Height::GpuTemperature { "°C" } else { "%" };
        let shown = |value: f64| format!("{} {unit}", it.number(value, 1));
        let name = [it.height(peak.what), &peak.name].join(" ");
        vec![name.trim_end().to_owned(), shown(peak.value), it.moment(peak.at, zone), peak.before.map_or_else(|| "–".to_owned(), shown)]
    });
    page.table(&[it.what, it.highest, it.when, it.before], rows.collect());
}

fn disks(page: &mut Page, it: &Words, facts: &Facts) {
    if facts.disks.is_empty() {
        return;
    }
    page.heading(it.disks);
    let rows = facts.disks.iter().take(ROWS).map(|disk| {
        let growth = disk.growth.map_or_else(|| "–".to_owned(), |bytes| it.bytes(bytes));
        let left = disk.days_left.map_or_else(|| "–".to_owned(), |days| format!("{} {}", it.number(days, 0), it.days));
        vec![disk.name.clone(), it.percent(disk.used / 100.0), growth, left]
    });
    page.table(&[it.disk, it.used, it.growth, it.full_in], rows.collect());
    more(page, it, facts.disks.len().saturating_sub(ROWS));
}

fn amounts(page: &mut Page, it: &Words, facts: &Facts) {
    let is_tokens = |a: &&Amount| matches!(a.what, Count::GatewayTokens | Count::ServerTokens | Count::ProgramTokens);
    let row =
        |a: &Amount| vec![it.count(a.what).to_owned(), a.name.clone(), it.whole(a.now), a.before.map_or_else(|| "–".to_owned(), |before| it.whole(before))];
    let head = [it.what, it.name, it.amount, it.before];
    let tokens: Vec<_> = facts.amounts.iter().filter(is_tokens).take(ROWS).map(row).collect();
    let spent = facts.spent.filter(|spent| spent.month_usd > 0.0 || spent.budget_usd.is_some());
    if !tokens.is_empty() || spent.is_some() {
        page.heading(it.models);
        page.table(&head, tokens);
    }
    if let Some(spent) = spent {
        let budget = spent.budget_usd.map(|usd| format!(" {} {} US-$", it.budget, it.number(usd, 2))).unwrap_or_default();
        page.line(format!("{}: {} US-${budget}", it.spent, it.number(spent.month_usd, 2)));
    }
    let queues: Vec<_> = facts.amounts.iter().filter(|a| !is_tokens(a)).take(ROWS).map(row).collect();
    if !queues.is_empty() {
        page.heading(it.queues);
        page.table(&head, queues);
    }
}

fn logs(page: &mut Page, it: &Words, facts: &Facts) {
    let Some(errors) = facts.errors.as_ref().filter(|e| e.count > 0 || e.before > 0) else { return };
    page.heading(it.logs);
    page.line(format!("{}: {} ({}: {})", it.log_errors, it.whole(errors.count as f64), it.before, it.whole(errors.before as f64)));
    let rows = errors.top.iter().map(|(text, count)| vec![it.whole(*count as f64), text.clone()]);
    page.table(&[it.amount, it.message], rows.collect());
}
