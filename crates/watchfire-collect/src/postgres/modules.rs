//! A `postgres_exporter.yml`: names and passwords for targets of `/probe`, and how a target becomes an address. It connects to nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use watchfire_model::document::{Context, Finding, Node, Reader, Severity, parse_yaml};
use watchfire_net::postgres::Address;
use watchfire_net::secret::Secret;
use watchfire_net::tls::{ClientTls, client_config};

/// Modules of one file.
const MODULES_MAX: usize = 1_000;

/// All modules.
pub type Modules = BTreeMap<String, Module>;

/// How to get in.
#[derive(Clone, Debug)]
pub struct Module {
    username: String,
    password: Secret,
    /// Parameters of the address, such as `sslmode`.
    options: Vec<(String, String)>,
}

/// Reads a file from its text.
pub fn parse(file: &str, text: &str) -> (Option<Modules>, Vec<Finding>) {
    let (modules, findings) = match parse_yaml(file, text) {
        Ok(root) => read(file, &root),
        Err(finding) => return (None, vec![*finding]),
    };
    let failed = findings.iter().any(|f| f.severity == Severity::Error);
    ((!failed).then_some(modules), findings)
}

/// What is wrong with a file, and nothing else.
pub fn check(file: &str, root: &Node) -> Vec<Finding> {
    read(file, root).1
}

fn read(file: &str, root: &Node) -> (Modules, Vec<Finding>) {
    let context = Context::new(file);
    let reader = Reader::new(&context, root, "");
    let mut modules = Modules::new();
    if let Some(listed) = reader.map("auth_modules") {
        for (key, node) in listed.entries() {
            if modules.len() >= MODULES_MAX {
                context.error(key.line, key.column, format!("more than {MODULES_MAX} modules"));
                break;
            }
            modules.insert(key.text.to_string(), read_module(Reader::new(&context, node, &listed.path_of(&key.text))));
        }
    }
    reader.finish();
    (modules, context.into_findings())
}

fn read_module(module: Reader<'_>) -> Module {
    module.required_text("type");
    module.word("type", &["userpass"]);
    let (mut username, mut password) = (String::new(), String::new());
    match module.map("userpass") {
        Some(login) => {
            (username, password) = (login.required_text("username"), login.required_text("password"));
            login.finish();
        }
        None => module.context().error(module.node().line, module.node().column, format!("{} is missing", module.path_of("userpass"))),
    }
    let options = module.text_map("options");
    if options.iter().any(|(name, _)| ["host", "hostaddr", "port", "user", "password"].contains(&name.as_str())) {
        module.error_at("options", "the target and userpass say where and who");
    }
    module.finish();
    Module { username, password: Secret::new(password), options }
}

/// The address that a target means. What it says about secrets is in no error.
pub(super) fn address(target: &str, module: Option<&Module>) -> Result<Address, String> {
    let options = module.map(|module| module.options.as_slice()).unwrap_or_default();
    let mut text = target.to_owned();
    let words = text.split_once('=').is_some_and(|(name, _)| name.trim().bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_'));
    if words {
        for (name, value) in options {
            text.push_str(&format!(" {name}='{}'", value.replace('\\', "\\\\").replace('\'', "\\'")));
        }
    } else {
        if !text.contains("://") {
            text.insert_str(0, "postgresql://");
        }
        for (name, value) in options {
            text.push(if text.contains('?') { '&' } else { '?' });
            text.extend([name.as_str(), "="]);
            text.extend(url::form_urlencoded::byte_serialize(value.as_bytes()));
        }
    }
    // The system's authorities cost memory, so they are loaded only for a target that insists on them.
    let tls = Address::insists_on_encryption(&text).then(|| client_config(&ClientTls::default())).transpose().map_err(|e| e.to_string())?;
    let address = Address::parse(&text, tls.map(Arc::new)).map_err(|e| e.to_string())?;
    Ok(match module {
        Some(module) => address.with_login(&module.username, module.password.expose()),
        None => address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "auth_modules:\n  first:\n    type: userpass\n    userpass: {username: me, password: 'can@ry'}\n    options: {sslmode: disable}\n";

    #[test]
    fn targets_become_addresses() {
        let (modules, findings) = parse("p.yml", FILE);
        let modules = modules.unwrap_or_else(|| panic!("{findings:?}"));
        let shown = format!("{modules:?}");
        assert!(!shown.contains("can@ry"), "{shown}");
        for (target, expected) in [
            ("db:6543/all", "db:6543/all"),
            ("db/all?sslmode=require", "db:5432/all"),
            ("postgresql://db/all?connect_timeout=3", "db:5432/all"),
            ("postgres://other:secret@db", "db:5432/me"),
            ("host=db dbname=all", "db:5432/all"),
            ("[::1]:5433/all", "[::1]:5433/all"),
        ] {
            let address = address(target, modules.get("first")).unwrap();
            assert_eq!(address.to_string(), expected, "{target}");
            let login = (address.user().map(str::to_owned), address.place().contains("can@ry"));
            assert_eq!(login, (Some("me".to_owned()), false), "{target}");
        }
        for wrong in ["http://db", "db:port", "host=db sslmode=often"] {
            assert!(address(wrong, None).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_wrong_has_its_place() {
        for (text, expected) in [
            ("auth_modules:\n  a: {type: oauth, userpass: {username: u, password: p}}\n", "p.yml:2:13: error: auth_modules.a.type: must be one of userpass"),
            ("auth_modules:\n  a: {type: userpass}\n", "auth_modules.a.userpass is missing"),
            ("auth_modules:\n  a: {type: userpass, userpass: {username: u}}\n", "auth_modules.a.userpass.password is missing"),
            ("auth_modules:\n  a: {type: userpass, userpass: {username: u, password: p}, options: {host: x}}\n", "say where and who"),
            ("modules: {}\n", "p.yml:1:1: error: unknown key \"modules\""),
        ] {
            let (modules, findings) = parse("p.yml", text);
            assert!(modules.is_none() && findings.iter().any(|f| f.to_string().contains(expected)), "{text}: {findings:?}");
        }
    }
}
