//! What reading the settings of services needs from outside: the environment for `${NAME}`, whether commands may be taken from the
//! file, the container engine, `systemctl`. It reads single values for the kinds of checks and restarts.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use watchfire_model::document::Reader;

use crate::supervision::argv::Argv;
use crate::supervision::engine::{Container, Engine};

/// Where distributions keep `systemctl`.
const SYSTEMCTL: [&str; 2] = ["/usr/bin/systemctl", "/bin/systemctl"];

/// The surroundings of a `services:` section.
pub struct Outside<'a> {
    /// Variables of the environment.
    pub environment: &'a dyn Fn(&str) -> Option<String>,
    /// Whether commands may be taken from where the section stands, and why not.
    pub commands: Result<(), String>,
    /// What relative paths begin at.
    pub base: &'a Path,
    /// Where the file system of the machine is seen, usually `/`.
    pub root: &'a Path,
    /// The container engine, when the section names its socket.
    pub engine: Option<Arc<Engine>>,
    /// Another `systemctl` than the usual one.
    pub systemctl: Option<PathBuf>,
}

impl Outside<'_> {
    /// A text with every `${NAME}` replaced by a variable, which must be set. The message never holds a value.
    pub fn expanded(&self, text: &str) -> Result<String, String> {
        let (mut out, mut rest) = (String::new(), text);
        while let Some((before, after)) = rest.split_once("${") {
            let (name, tail) = after.split_once('}').ok_or("has a ${ without a }")?;
            let fits = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            let value = (self.environment)(name).filter(|_| fits).ok_or_else(|| format!("needs the environment variable {name:?}, which is not set"))?;
            out.push_str(before);
            out.push_str(&value);
            rest = tail;
        }
        out.push_str(rest);
        Ok(out)
    }

    /// The expanded text of a key that is there.
    pub(crate) fn text(&self, reader: &Reader<'_>, key: &'static str) -> Option<String> {
        match self.expanded(&reader.text(key)?) {
            Ok(text) => Some(text),
            Err(why) => {
                reader.error_at(key, why);
                None
            }
        }
    }

    /// A command, a list of words. Nothing in it is expanded.
    pub(crate) fn command(&self, reader: &Reader<'_>, key: &'static str) -> Option<Argv> {
        let words = reader.texts(key, false);
        if reader.raw(key).is_none_or(|node| node.items().is_none()) {
            return None;
        }
        if let Err(why) = &self.commands {
            reader.error_at(key, why.clone());
            return None;
        }
        Argv::new(words).map_err(|error| reader.error_at(key, error.to_string())).ok()
    }

    /// A unit of systemd, and the command that does something with it.
    pub(crate) fn systemctl(&self, reader: &Reader<'_>, key: &'static str, verb: &[&str]) -> Option<(String, Argv)> {
        let unit = reader.text(key)?;
        if !is_unit(&unit) {
            reader.error_at(key, "must be the name of a unit such as rtdetr.service");
            return None;
        }
        let found = self.systemctl.clone().or_else(|| SYSTEMCTL.iter().map(PathBuf::from).find(|path| path.exists()));
        let program = found.unwrap_or_else(|| PathBuf::from(SYSTEMCTL[0])).display().to_string();
        let words = std::iter::once(program).chain(verb.iter().map(|w| (*w).to_owned())).chain(["--".to_owned(), unit.clone()]).collect();
        Some((unit, Argv::new(words).map_err(|error| reader.error_at(key, error.to_string())).ok()?))
    }

    /// A container, and the engine that runs it.
    pub(crate) fn container(&self, reader: &Reader<'_>, key: &'static str) -> Option<(Arc<Engine>, Container)> {
        let name = reader.text(key)?;
        let Some(container) = Container::named(&name) else {
            reader.error_at(key, "must be the name of a container: letters, digits, '.', '_' and '-'");
            return None;
        };
        let Some(engine) = self.engine.clone() else {
            reader.error_at(key, "needs services.container_socket, the socket of the container engine, which is off unless it is named");
            return None;
        };
        Some((engine, container))
    }
}

/// Whether a text is the name of a unit. It never begins like an option, and it names one unit only.
fn is_unit(text: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || b":_.\\@-".contains(&b);
    (1..=255).contains(&text.len()) && text.bytes().all(ok) && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_put_in_and_must_be_there() {
        let environment = |name: &str| (name == "PASSWORD").then(|| "hunter2 ${X}".to_owned());
        let outside = Outside { environment: &environment, commands: Ok(()), base: Path::new(""), root: Path::new("/"), engine: None, systemctl: None };
        assert_eq!(outside.expanded("a${PASSWORD}b$c").as_deref(), Ok("ahunter2 ${X}b$c"));
        for text in ["${OTHER}", "${", "${}", "${PASS WORD}"] {
            assert!(outside.expanded(text).is_err(), "{text}");
        }
    }

    #[test]
    fn r54_units_are_names_and_never_options() {
        for text in ["-H=evil", "--root=/x", "", "a b", "a;b", "*.service", "a\nb", "$(id)"] {
            assert!(!is_unit(text), "{text:?}");
        }
        for text in ["rtdetr.service", "getty@tty1.service", "dev-disk\\x2d1.mount"] {
            assert!(is_unit(text), "{text}");
        }
    }
}
