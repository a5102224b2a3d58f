//! The smallest edit of a Compose file: services that go are cut out, ours stands where the first of them stood, and whoever waited for one
//! of them waits for ours. It works on lines, so that comments and spelling of everything else stay as they are.

use watchfire_model::document::Node;

use super::Report;
use super::component::{Component, Sign};
use super::mounts::MONITORING;
use super::service::Service;
use super::settings::{Given, Taken, variable_of};

/// What our service is called.
const OWN: &str = "watchfire";
/// The port of the page, where no container that goes had one of ours.
const MAIN: &str = "127.0.0.1:8000:8000";

type Known = Option<(&'static Component, Sign)>;

/// The file without the containers that go and with ours; nothing where it is spelled in a way that lines do not show.
pub(super) fn edit(text: &str, root: &Node, services: &[Service<'_>], known: &[Known], taken: &Taken, report: &mut Report<'_>) -> Option<String> {
    let lines: Vec<&str> = text.lines().collect();
    if let Some(own) = services.iter().find(|s| &*s.key.text == OWN) {
        report.warn(own.key.line, own.key.column, format!("a service is called {OWN} already: no edit is offered"));
        return None;
    }
    if text.contains('\r') {
        report.warn(1, 1, "its lines end as on Windows: no edit is offered".to_owned());
        return None;
    }
    if let Some(flow) = services.iter().find(|s| !stands_alone(&lines, s)) {
        report.warn(flow.key.line, flow.key.column, format!("{} stands on one line with others: no edit is offered", flow.key.text));
        return None;
    }
    let going = || services.iter().zip(known).filter(|(_, k)| k.is_some()).map(|(s, _)| s);
    let indent = services.first()?.key.column.saturating_sub(1);
    let mut plan = Plan { cut: vec![false; lines.len()], instead: vec![None; lines.len()], before: vec![None; lines.len() + 1] };
    let mut first = None;
    for service in going() {
        let (from, to) = range(&lines, service.key.line - 1, indent);
        plan.cut[from..to].fill(true);
        first.get_or_insert(from);
    }
    if let Some(at) = lines.iter().enumerate().find_map(|(i, _)| used_elsewhere(&lines, &plan.cut, i)) {
        report.warn(at.0, 1, format!("{} is defined in a service that goes and used by what stays: no edit is offered", at.1));
        return None;
    }
    let waited = waits(services, known, &lines, &mut plan, report);
    let profiles = profiles(services, known, report);
    let own = own_service(taken, &profiles, indent, waited);
    let first = first?;
    // A blank line between services stays between ours and the next one.
    let behind = (first..lines.len()).find(|i| !plan.cut[*i]);
    let gap = behind.is_some_and(|i| !lines[i].trim().is_empty() && lines[i].starts_with(' '))
        || behind.is_some_and(|i| !lines[i].starts_with([' ', '#']) && !lines[i].is_empty());
    plan.before[first] = Some(if gap { format!("{own}\n") } else { own });
    volumes(root, &lines, &mut plan);
    let mut out = plan.carry_out(&lines);
    if !text.ends_with('\n') && !plan_ends_with_addition(&lines, &out) {
        out.pop();
    }
    Some(out)
}

/// The anchor of a line that is cut out, where a line that stays means it; with the number of its line.
fn used_elsewhere(lines: &[&str], cut: &[bool], line: usize) -> Option<(usize, String)> {
    let names = |line: &str, sign: char| -> Vec<String> {
        let ends = |c: char| c.is_whitespace() || matches!(c, ',' | '[' | ']' | '{' | '}');
        line.split(ends).filter_map(|word| word.strip_prefix(sign)).filter(|name| !name.is_empty() && !name.starts_with(sign)).map(str::to_owned).collect()
    };
    if !*cut.get(line)? {
        return None;
    }
    let stays = || lines.iter().zip(cut).filter(|(_, cut)| !**cut).map(|(line, _)| *line);
    names(lines.get(line)?, '&').into_iter().find(|name| stays().any(|line| names(line, '*').contains(name))).map(|name| (line + 1, name))
}

/// Whether the last line of the new text is another one than that of the old, so that it ends like a line of its own.
fn plan_ends_with_addition(lines: &[&str], out: &str) -> bool {
    lines.last().is_none_or(|last| !out.trim_end_matches('\n').ends_with(last))
}

/// What happens to each line.
struct Plan {
    cut: Vec<bool>,
    instead: Vec<Option<String>>,
    /// Text that comes before a line; the last one is behind all.
    before: Vec<Option<String>>,
}
impl Plan {
    fn carry_out(&self, lines: &[&str]) -> String {
        let mut out = String::new();
        for (i, line) in lines.iter().enumerate() {
            out.extend(self.before[i].as_deref());
            if !self.cut[i] {
                out.extend([self.instead[i].as_deref().unwrap_or(line), "\n"]);
            }
        }
        out.extend(self.before[lines.len()].as_deref());
        out
    }
}

/// Whether the key of a service is the first on its line and its value begins below.
fn stands_alone(lines: &[&str], service: &Service<'_>) -> bool {
    let line = lines.get(service.key.line.wrapping_sub(1)).copied().unwrap_or_default();
    let before = line.get(..service.key.column.saturating_sub(1)).unwrap_or("x");
    before.trim().is_empty() && service.key.column > 1 && service.node.line > service.key.line
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// The lines of a block that begins at a key: comments right above it, everything deeper below, and the blank lines behind it.
fn range(lines: &[&str], key: usize, indent: usize) -> (usize, usize) {
    let mut from = key;
    while from > 0 && lines[from - 1].trim_start().starts_with('#') && indent_of(lines[from - 1]) == indent {
        from -= 1;
    }
    let mut to = key + 1;
    // Comments and blank lines belong to the block only when more of it follows them.
    let mut end = to;
    while to < lines.len() {
        let trimmed = lines[to].trim();
        if trimmed.is_empty() || (trimmed.starts_with('#') && indent_of(lines[to]) <= indent) {
            to += 1;
            continue;
        }
        let list = indent_of(lines[to]) == indent && trimmed.starts_with("- ");
        if indent_of(lines[to]) <= indent && !list {
            break;
        }
        to += 1;
        end = to;
    }
    while end < lines.len() && lines[end].trim().is_empty() && from > 0 && (lines[from - 1].trim().is_empty() || lines[from - 1].trim_end().ends_with(':')) {
        end += 1;
    }
    (from, end)
}

/// Services that stay and wait for one that goes wait for ours. Tells whether somebody waits until it is healthy.
fn waits(services: &[Service<'_>], known: &[Known], lines: &[&str], plan: &mut Plan, report: &mut Report<'_>) -> bool {
    let going: Vec<&str> = services.iter().zip(known).filter(|(_, k)| k.is_some()).map(|(s, _)| &*s.key.text).collect();
    let mut healthy = false;
    for (service, _) in services.iter().zip(known).filter(|(_, k)| k.is_none()) {
        let mut done = false;
        for (name, line, column) in service.waits_for().into_iter().filter(|(name, ..)| going.contains(name)) {
            let on = service.node.get("depends_on").and_then(|on| on.get(name));
            healthy |= on.and_then(|on| on.get("condition")).and_then(Node::text) == Some("service_healthy");
            let at = line - 1;
            let (before, behind) = lines[at].split_at_checked(column - 1).unwrap_or((lines[at], ""));
            let alone = matches!(before.trim(), "" | "-");
            match (alone, done) {
                (true, false) => plan.instead[at] = Some(format!("{before}{}", behind.replacen(name, OWN, 1))),
                (true, true) => {
                    let (from, to) = range(lines, at, indent_of(lines[at]));
                    let to = if before.trim() == "-" { at + 1 } else { to };
                    plan.cut[from.max(at)..to].fill(true);
                }
                (false, _) => report.warn(line, column, format!("{}: write {OWN} in place of {name} here; the edit leaves this line alone", service.key.text)),
            }
            done = true;
        }
        for link in crate::document::items(service.node, "links").iter().filter(|l| l.text().is_some_and(|t| going.contains(&t.split(':').next().unwrap_or(t))))
        {
            report.warn(
                link.line,
                link.column,
                format!("{}: a link to {} has no end any more; the name itself is reached without it", service.key.text, link.text().unwrap_or_default()),
            );
        }
    }
    healthy
}

/// Profiles that all share who go, so that ours starts when they did; what only some have is said.
fn profiles(services: &[Service<'_>], known: &[Known], report: &mut Report<'_>) -> Vec<String> {
    let mut going = services.iter().zip(known).filter(|(_, k)| k.is_some()).map(|(s, _)| s);
    let shared = going.clone().next().map(|s| s.profiles.clone()).unwrap_or_default();
    if going.clone().all(|s| s.profiles == shared) {
        return shared;
    }
    if let Some(service) = going.find(|s| !s.profiles.is_empty()) {
        let at = service.node.get("profiles").unwrap_or(service.node);
        report.warn(at.line, at.column, format!("{}: profiles is not carried over: others that go have other ones, and ours starts always", service.key.text));
    }
    Vec::new()
}

/// A volume of ours beside the others.
fn volumes(root: &Node, lines: &[&str], plan: &mut Plan) {
    const NAME: &str = "watchfire_data:";
    let entry = |indent: usize| format!("{:indent$}{NAME}\n", "");
    let key = root.entries().and_then(|entries| entries.iter().find(|(key, _)| &*key.text == "volumes"));
    let Some((key, all)) = key else {
        plan.before[lines.len()].get_or_insert_default().push_str(&format!("\nvolumes:\n{}", entry(2)));
        return;
    };
    let Some((last, _)) = all.entries().and_then(|entries| entries.last()).filter(|_| all.line > key.line) else {
        // On one line with its key, in braces or without anything.
        let at = all.line.max(key.line) - 1;
        let braces = all.entries().and_then(|_| lines.get(at)?.split_at_checked(all.column));
        match braces {
            Some((before, behind)) => {
                let comma = if all.entries().is_some_and(|all| all.is_empty()) { "" } else { ", " };
                plan.instead[at] = Some(format!("{before}watchfire_data: {{}}{comma}{behind}"));
            }
            None => {
                plan.instead[key.line - 1] = Some("volumes:".to_owned());
                plan.before[key.line].get_or_insert_default().push_str(&entry(2));
            }
        }
        return;
    };
    let indent = last.column - 1;
    let (_, mut end) = range(lines, last.line - 1, indent);
    while end > last.line && lines[end - 1].trim().is_empty() {
        end -= 1;
    }
    plan.before[end].get_or_insert_default().push_str(&entry(indent));
}

/// Our service as lines.
fn own_service(taken: &Taken, profiles: &[String], indent: usize, healthy: bool) -> String {
    let mut out = String::new();
    let mut line = |depth: usize, text: &str| out.extend([" ".repeat(indent * depth).as_str(), text, "\n"]);
    line(1, &format!("{OWN}:"));
    line(2, "image: watchfire:latest");
    line(2, "restart: unless-stopped");
    if !profiles.is_empty() {
        line(2, &format!("profiles: [{}]", profiles.iter().map(|p| quoted(p)).collect::<Vec<_>>().join(", ")));
    }
    if taken.root {
        line(2, "# Logs of the machine and sockets of engines are for its administrator.");
        line(2, "user: \"0\"");
    }
    let config = taken.mounts.iter().map(|m| &m.target).chain(taken.configs.iter().map(|(_, target)| target)).any(|t| t.starts_with(MONITORING));
    let directory = if config { format!(", --monitoring-dir, {MONITORING}") } else { String::new() };
    line(2, &format!("command: [serve, --drop-in{directory}]"));
    line(2, "environment:");
    let own = [
        ("server.listen", "0.0.0.0:8000"),
        ("server.data_dir", "/var/lib/watchfire"),
        // Beyond the machine itself an address needs authentication; containers beside ours come in without a token.
        ("auth.enabled", "true"),
        ("server.trusted_networks", "127.0.0.0/8,172.16.0.0/12"),
    ];
    let names: Vec<&str> = taken.names.iter().map(String::as_str).collect();
    let hosts = names.join(",");
    let own = own.into_iter().map(|(key, value)| (variable_of(key), value)).chain([(variable_of("server.allowed_hosts"), &*hosts)]);
    for (name, value) in own.map(|(n, v)| (n, v.to_owned())).chain(taken.environment.iter().cloned()) {
        line(3, &format!("- {}", quoted(&format!("{name}={value}"))));
    }
    line(2, "ports:");
    let main = [MAIN.to_owned()];
    for port in if taken.ports.is_empty() { &main[..] } else { &taken.ports[..] } {
        line(3, &format!("- {}", quoted(port)));
    }
    line(2, "volumes:");
    for Given { source, target, mode } in &taken.mounts {
        let mode = if mode.is_empty() { String::new() } else { format!(":{mode}") };
        line(3, &format!("- {}", quoted(&format!("{source}:{target}{mode}"))));
    }
    line(3, "- watchfire_data:/var/lib/watchfire");
    if !taken.configs.is_empty() {
        line(2, "configs:");
    }
    for (source, target) in &taken.configs {
        line(3, &format!("- {{source: {}, target: {}}}", quoted(source), quoted(target)));
    }
    if !taken.secrets.is_empty() {
        line(2, &format!("secrets: [{}]", taken.secrets.join(", ")));
    }
    for (key, items) in &taken.more {
        line(2, &format!("{key}: [{}]", items.iter().map(|i| quoted(i)).collect::<Vec<_>>().join(", ")));
    }
    if healthy {
        line(2, "healthcheck:");
        line(3, "test: [CMD, watchfire, query, vector(1)]");
    }
    line(2, "networks:");
    let default = ["default".to_owned()];
    for network in if taken.networks.is_empty() { &default[..] } else { &taken.networks[..] } {
        line(3, &format!("{network}:"));
        line(4, &format!("aliases: [{}]", names.join(", ")));
    }
    out
}

/// A text as YAML reads it back as itself: quoted where it has a sign of its own. Ports are always quoted, because two numbers with a
/// colon were a number once.
pub(super) fn quoted(text: &str) -> String {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_=/.,-$".contains(&b)) && !text.bytes().all(|b| b.is_ascii_digit());
    let mount = text.starts_with(['.', '/']) && !text.contains([' ', '#', '{', '}', '"', '\'']) && !text.contains(char::is_control);
    if plain || mount {
        return text.to_owned();
    }
    let escaped = text.chars().map(|c| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    });
    format!("\"{}\"", escaped.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back_as_themselves() {
        for text in ["A=plain", "B=two words: #3", "C=line\nend\ttab", "8000:8000", "./data:/data", "/a\nb:/c", "D=\"quoted\" \\ back"] {
            let document = format!("list:\n  - {}\n", quoted(text));
            let node = watchfire_model::document::parse_yaml("c", &document).unwrap();
            let read = node.get("list").and_then(|list| list.items()).and_then(|items| items[0].text()).map(str::to_owned);
            assert_eq!(read.as_deref(), Some(text), "{document}");
        }
    }
}
