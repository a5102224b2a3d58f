//! `grafana.ini`: what stands in it, and which of it has no effect here. It carries nothing out.

use crate::report::{Code, Diagnosis};

/// A setting of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// The section, without brackets; empty before the first one.
    pub section: &'a str,
    /// The key; empty for the section itself.
    pub key: &'a str,
    /// The value, without quotation marks.
    pub value: &'a str,
    /// Where it stands, from 1.
    pub line: usize,
    /// The same.
    pub column: usize,
}

/// The settings of a text in its form: sections and `key = value`; lines that begin with `;` or `#` are remarks.
pub fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut all = Vec::new();
    let mut section = "";
    for (number, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        let (line_number, column) = (number + 1, line.len() - line.trim_start().len() + 1);
        if trimmed.is_empty() || trimmed.starts_with([';', '#']) {
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
            all.push(Entry { section, key: "", value: "", line: line_number, column });
        } else if let Some((key, value)) = trimmed.split_once('=') {
            let value = value.trim();
            let quoted = ["\"\"\"", "\"", "'", "`"].iter().find_map(|q| value.strip_prefix(q)?.strip_suffix(q));
            all.push(Entry { section, key: key.trim(), value: quoted.unwrap_or(value), line: line_number, column });
        }
    }
    all
}

/// Sections that newer versions do not know any more: name, since when, instead of it.
const GONE_SECTIONS: [(&str, &str, &str); 1] = [("session", "6.2", "remote_cache for what is shared between servers, auth for how long a log-in lasts")];

/// What is carried out, or comes to the same here whatever it says.
const CARRIED_OUT: [(&str, &str); 5] =
    [("security", "admin_user"), ("security", "admin_password"), ("paths", "provisioning"), ("database", "path"), ("caching", "enabled")];

/// Settings that are not carried out: section, key (all of them when it is empty), the value at which they come to the same here, what to do instead.
const NOT_CARRIED_OUT: [(&str, &str, &str, &str); 20] = [
    ("server", "http_port", "", "server.listen of watchfire.yml names the address and port"),
    ("server", "http_addr", "", "server.listen of watchfire.yml names the address and port"),
    ("server", "protocol", "http", "server.tls of watchfire.yml names the certificate"),
    ("server", "", "", "server of watchfire.yml says where the page is"),
    ("database", "type", "sqlite3", "dashboards are kept in the data directory, and no other database is asked"),
    ("database", "", "", "dashboards are kept in the data directory, and no other database is asked"),
    ("users", "allow_sign_up", "false", "nobody signs up here; auth.users of watchfire.yml names users"),
    ("users", "", "", "auth.users of watchfire.yml names users and their levels"),
    ("auth.anonymous", "enabled", "false", "server.trusted_networks of watchfire.yml says who may look without a log-in"),
    ("auth.anonymous", "", "", "server.trusted_networks of watchfire.yml says who may look without a log-in"),
    ("auth.basic", "enabled", "true", "basic authentication is always taken"),
    ("auth", "disable_login_form", "false", "the page has one way to log in"),
    ("smtp", "enabled", "false", "alertmanager.yml names who is told by mail"),
    ("smtp", "", "", "alertmanager.yml names who is told by mail"),
    ("alerting", "enabled", "false", "rules over metrics and logs stand in files of Prometheus and Loki"),
    ("unified_alerting", "enabled", "false", "rules over metrics and logs stand in files of Prometheus and Loki"),
    ("analytics", "", "", ""),
    ("log", "", "", "log of watchfire.yml says what is logged"),
    ("dashboards", "versions_to_keep", "20", "20 versions of a dashboard are kept"),
    ("dashboards", "", "", "the first page is ours; a dashboard's own refresh counts"),
];

/// What has no effect.
pub(crate) fn check(name: &str, text: &str, found: &mut Vec<Diagnosis>) {
    let mut say = |entry: &Entry<'_>, subject: String, message: String, suggestion: Option<String>| {
        found.push(Diagnosis { code: Code::SettingIgnored, file: name.into(), line: entry.line, column: entry.column, subject, message, suggestion });
    };
    for entry in entries(text) {
        let Entry { section, key, value, .. } = entry;
        let gone = GONE_SECTIONS.iter().find(|(gone, ..)| *gone == section);
        if let Some((_, since, instead)) = gone {
            if key.is_empty() {
                let message = format!("Grafana ignores this section since version {since}");
                say(&entry, format!("[{section}]"), message, Some(format!("take it out; see {instead}")));
            }
            continue;
        }
        if key.is_empty() || CARRIED_OUT.contains(&(section, key)) {
            continue;
        }
        let known = NOT_CARRIED_OUT.iter().find(|(s, k, ..)| *s == section && (*k == key || k.is_empty()));
        let Some((.., same, instead)) = known else {
            say(&entry, format!("[{section}] {key}"), "this setting of Grafana means nothing here".to_owned(), None);
            continue;
        };
        if (*same).is_empty() || value != *same {
            let suggestion = Some((*instead).to_owned()).filter(|s| !s.is_empty());
            say(&entry, format!("[{section}] {key}"), "this setting of Grafana is not carried out".to_owned(), suggestion);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_remarks() {
        let found = entries("top = 1\n; a = b\n# c = d\n\n [ paths ]\n  provisioning = \"\"\"a b\"\"\"\nx='y'\nnonsense\n");
        let entry = |section, key, value, line, column| Entry { section, key, value, line, column };
        let expected = [entry("", "top", "1", 1, 1), entry("paths", "", "", 5, 2), entry("paths", "provisioning", "a b", 6, 3), entry("paths", "x", "y", 7, 1)];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_has_no_effect_is_said_with_its_place() {
        let check = |text: &str, expected: &[&str]| {
            let mut found = Vec::new();
            super::check("grafana.ini", text, &mut found);
            assert_eq!(found.iter().map(|d| d.finding().to_string()).collect::<Vec<_>>(), expected, "{text}");
        };
        check("[database]\ntype = sqlite3\npath = /x\n[caching]\nenabled = false\n[users]\nallow_sign_up = false\n[security]\nadmin_password = x\n", &[]);
        check(
            "[server]\nhttp_port = 3001\n",
            &[
                "grafana.ini:2:1: warning: [server] http_port: this setting of Grafana is not carried out; server.listen of watchfire.yml names the address and port [setting-ignored]",
            ],
        );
        check(
            "[users]\n allow_sign_up = true\n",
            &[
                "grafana.ini:2:2: warning: [users] allow_sign_up: this setting of Grafana is not carried out; nobody signs up here; auth.users of watchfire.yml names users [setting-ignored]",
            ],
        );
        check(
            "[panels]\ndisable_sanitize_html = true\n",
            &["grafana.ini:2:1: warning: [panels] disable_sanitize_html: this setting of Grafana means nothing here [setting-ignored]"],
        );
        check(
            "[session]\nprovider = memory\n",
            &[
                "grafana.ini:1:1: warning: [session]: Grafana ignores this section since version 6.2; take it out; see remote_cache for what is shared between servers, auth for how long a log-in lasts [setting-ignored]",
            ],
        );
        check("[auth.basic]\nenabled = true\n", &[]);
    }
}
