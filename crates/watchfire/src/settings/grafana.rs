//! What `grafana.ini` and Grafana's variables say of its administrator, and what else they say. Dashboards and data sources are read elsewhere.

use std::path::Path;

use watchfire_doctor::grafana_ini;
use watchfire_model::document::{Finding, Severity};

use super::{Environment, ForeignFile, Settings};

/// Variables that are carried out, or come to the same here.
const CARRIED_OUT: [&str; 6] = [
    "GF_SECURITY_ADMIN_USER",
    "GF_SECURITY_ADMIN_USER__FILE",
    "GF_SECURITY_ADMIN_PASSWORD",
    "GF_SECURITY_ADMIN_PASSWORD__FILE",
    "GF_PATHS_PROVISIONING",
    "GF_PATHS_DATA",
];

/// Takes over Grafana's administrator: a variable counts before the file, so does the content of a file that a variable names (`…__FILE`), and `GRAFANA_PASSWORD`, out of which installations make the
/// variable, where neither says anything. Nobody gets a password that everybody knows.
pub(super) fn complete(settings: &mut Settings, environment: &Environment) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ini = match settings.foreign_of("grafana").map(|f| &f.source) {
        Some(ForeignFile::Path(path)) if path.extension().is_some_and(|e| e == "ini") => read(path, &mut findings),
        Some(ForeignFile::Content(node)) => node.text().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let entries = grafana_ini::entries(&ini);
    let said = |key: &str| {
        let value = entries.iter().find(|e| e.section == "security" && e.key == key)?.value;
        // `${NAME}` and `$__env{NAME}` are variables.
        let name = value.strip_prefix("$__env{").or_else(|| value.strip_prefix("${")).and_then(|rest| rest.strip_suffix('}'));
        Some(name.map_or(value, |name| environment.get(name).unwrap_or_default()).to_owned()).filter(|v| !v.is_empty())
    };
    // A file of a secret ends with a line end that is none of its own.
    let mut variable = |name: &str| match (environment.get(name), environment.get(&format!("{name}__FILE"))) {
        (None, Some(path)) => Some(read(Path::new(path), &mut findings).trim_end_matches(['\n', '\r']).to_owned()).filter(|text| !text.is_empty()),
        (said, _) => said.map(str::to_owned),
    };
    let user = variable("GF_SECURITY_ADMIN_USER").or_else(|| said("admin_user"));
    let password = variable("GF_SECURITY_ADMIN_PASSWORD").or_else(|| said("admin_password")).or_else(|| variable("GRAFANA_PASSWORD"));
    settings.auth.grafana_admin(user.as_deref(), password.as_deref());
    findings.extend(variables(environment));
    findings
}

fn read(path: &Path, findings: &mut Vec<Finding>) -> String {
    crate::text_file::read(path).unwrap_or_else(|finding| {
        findings.push(*finding);
        String::new()
    })
}

/// What there is to say of variables of Grafana's that change nothing. Their values are not told.
fn variables(environment: &Environment) -> Option<Finding> {
    let same = |name: &str| name == "GF_USERS_ALLOW_SIGN_UP" && environment.get(name).is_some_and(|v| v.eq_ignore_ascii_case("false"));
    let set: Vec<&str> = environment.names("GF_").filter(|name| !CARRIED_OUT.contains(name) && !same(name)).collect();
    if set.is_empty() {
        return None;
    }
    let message = format!("{} of Grafana set nothing here (docs/reference/grafana.md)", set.join(", "));
    Some(Finding { severity: Severity::Warning, file: "environment".into(), line: 0, column: 0, message })
}

#[cfg(test)]
mod tests {
    use super::super::{Flags, load};
    use super::*;

    fn loaded(dir: &Path, environment: &[(&str, &str)]) -> (Settings, Vec<String>) {
        let flags = Flags { monitoring_dir: Some(dir.to_path_buf()), ..Flags::default() };
        let loaded = load(&flags, &Environment::of(environment)).unwrap_or_else(|f| panic!("{f:?}"));
        (loaded.settings, loaded.findings.iter().map(ToString::to_string).collect())
    }
    fn users(settings: &Settings) -> Vec<&str> {
        settings.auth.users.iter().map(|u| u.name.as_str()).collect()
    }

    #[test]
    fn pis_09_the_administrator_comes_from_grafana_password_and_nobody_signs_up() {
        let dir = tempfile::tempdir().unwrap();
        let (settings, findings) = loaded(dir.path(), &[]);
        assert_eq!((users(&settings), findings), (vec![], vec![]), "nobody has a password that everybody knows");
        let compose = [("GF_SECURITY_ADMIN_USER", "admin"), ("GRAFANA_PASSWORD", "canary-1"), ("GF_USERS_ALLOW_SIGN_UP", "false")];
        let (settings, findings) = loaded(dir.path(), &compose);
        assert_eq!((users(&settings), findings), (vec!["admin"], vec![]));
        assert!(format!("{:?}", settings.auth) != format!("{:?}", loaded(dir.path(), &[]).0.auth) && !format!("{:?}", settings.auth).contains("canary"));
        // As the compose file starts it: on this machine only.
        assert!(settings.server.listen.ip().is_loopback());
        let (_, findings) = loaded(dir.path(), &[("GF_USERS_ALLOW_SIGN_UP", "true"), ("GF_SERVER_HTTP_PORT", "3001")]);
        assert_eq!(findings, ["environment: warning: GF_SERVER_HTTP_PORT, GF_USERS_ALLOW_SIGN_UP of Grafana set nothing here (docs/reference/grafana.md)"]);
    }

    #[test]
    fn a_file_that_a_variable_names_holds_the_password() {
        let dir = tempfile::tempdir().unwrap();
        let (password, user) = (dir.path().join("pw"), dir.path().join("user"));
        std::fs::write(&password, "canary-2\n").unwrap();
        std::fs::write(&user, "eva\r\n").unwrap();
        let (password, user) = (password.to_str().unwrap(), user.to_str().unwrap());
        let (settings, findings) = loaded(dir.path(), &[("GF_SECURITY_ADMIN_PASSWORD__FILE", password), ("GF_SECURITY_ADMIN_USER__FILE", user)]);
        assert_eq!((users(&settings), findings), (vec!["eva"], vec![]));
        let plain = loaded(dir.path(), &[("GF_SECURITY_ADMIN_PASSWORD", "canary-2"), ("GF_SECURITY_ADMIN_USER", "eva")]).0;
        assert_eq!(format!("{:?}", settings.auth), format!("{:?}", plain.auth));
        let missing = [("GF_SECURITY_ADMIN_PASSWORD__FILE", "/nonexistent/pw")];
        let flags = Flags { monitoring_dir: Some(dir.path().to_path_buf()), ..Flags::default() };
        let refused = load(&flags, &Environment::of(&missing)).err().unwrap_or_default();
        assert!(format!("{refused:?}").contains("/nonexistent/pw"), "an administrator without a password must not be missed: {refused:?}");
    }

    #[test]
    fn the_file_names_an_administrator_too() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("grafana.ini"), "[security]\nadmin_user = eva\nadmin_password = $__env{SECRET}\n").unwrap();
        assert_eq!(users(&loaded(dir.path(), &[("SECRET", "canary")]).0), ["eva"]);
        assert_eq!(users(&loaded(dir.path(), &[]).0), [""; 0], "an empty variable is no password");
        let both = loaded(dir.path(), &[("SECRET", "canary"), ("GF_SECURITY_ADMIN_USER", "admin")]);
        assert_eq!(users(&both.0), ["admin"], "a variable counts before the file");
    }
}
