//! The packs' rules with shorter times: `for`, `interval` and ranges are divided, and every alert gets a label that tells it from the pack's
//! own. Conditions and limits stay as they are.

/// By how much times are divided.
pub(crate) const FACTOR: u64 = 60;

/// The shortest time of a rule: that of a scrape.
const SECONDS_MIN: u64 = 1;

/// A duration of one number and one unit in seconds.
fn seconds(text: &str) -> Option<u64> {
    let (number, unit) =
        [('s', 1), ('m', 60), ('h', 3_600), ('d', 86_400)].into_iter().find_map(|(unit, seconds)| Some((text.strip_suffix(unit)?, seconds)))?;
    Some(number.parse::<u64>().ok()? * unit)
}

fn divided(text: &str, factor: u64, seconds_min: u64) -> Option<String> {
    Some(format!("{}s", (seconds(text)? / factor).max(seconds_min)))
}

/// An alert that always fires, in each group: until it is stored, a group that has just begun stores nothing.
pub(crate) const EVALUATED: &str = "Evaluated";

/// A pack's file of rules with times divided. A range is at least three scrapes long, so that there is a rate.
pub(crate) fn accelerated(file: &str, text: &str, factor: u64) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let key = line.trim_start().trim_start_matches("- ");
        let timed = ["for: ", "interval: "].iter().find_map(|name| Some((name, key.strip_prefix(name)?)));
        let line = match timed {
            Some((name, time)) => line.replace(&format!("{name}{time}"), &format!("{name}{}", divided(time, factor, SECONDS_MIN).unwrap())),
            None => line.replace("labels: {", &format!("labels: {{factor: \"{factor}\", ")),
        };
        lines.push(ranges(&line, factor));
        if key == "rules:" {
            let (indent, number) = (line.len() - key.len(), lines.len());
            lines.push(format!("{:indent$}  - {{alert: {EVALUATED}, expr: vector(1), labels: {{factor: \"{factor}\", of: \"{file}:{number}\"}}}}", ""));
        }
    }
    lines.join("\n") + "\n"
}

fn ranges(line: &str, factor: u64) -> String {
    let mut pieces = line.split('[');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (range, rest) = piece.split_once(']').unwrap_or((piece, ""));
        match divided(range, factor, 3 * SECONDS_MIN) {
            Some(shorter) => text.push_str(&format!("[{shorter}]{rest}")),
            None => text.push_str(&format!("[{piece}")),
        }
    }
    text
}

#[test]
fn times_are_divided_and_nothing_else_changes() {
    let text = "groups:\n  - name: a\n    interval: 30s\n    rules:\n      - alert: A\n        expr: rate(x[5m]) / y{z=~\"[ab]\"} > 0.5 and rate(q[1m]) > 300\n        for: 10m\n        labels: {severity: critical}\n";
    let expected = "groups:\n  - name: a\n    interval: 1s\n    rules:\n      - {alert: Evaluated, expr: vector(1), labels: {factor: \"60\", of: \"f:4\"}}\n      - alert: A\n        expr: rate(x[5s]) / y{z=~\"[ab]\"} > 0.5 and rate(q[3s]) > 300\n        for: 10s\n        labels: {factor: \"60\", severity: critical}\n";
    assert_eq!(accelerated("f", text, 60), expected);
    for pack in ["vms/rules/alerts.yml", "pisovereign/rules/alerts.yml", "hsi/rules/warnings.yml"] {
        let text = std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packs").join(pack)).unwrap();
        let shorter = accelerated(pack, &text, FACTOR);
        let groups = text.matches("rules:\n").count();
        assert_eq!(shorter.matches("factor: \"60\"").count(), text.matches("- alert: ").count() + groups, "{pack}");
        assert_eq!(shorter.lines().count(), text.lines().count() + groups, "{pack}");
    }
}
