//! One service of a Compose file, read in all the spellings that Compose allows: ports, mounts, variables, command lines, limits.
//! It judges nothing.

use watchfire_model::document::{Key, Node};
use watchfire_model::duration::parse_bytes;

use super::variables::defaulted;
use crate::document::{items, text};

/// A service.
pub(super) struct Service<'a> {
    pub(super) key: &'a Key,
    pub(super) node: &'a Node,
    pub(super) image: String,
    /// Entry point and command, word by word.
    pub(super) words: Vec<(String, &'a Node)>,
    pub(super) environment: Vec<Variable<'a>>,
    pub(super) ports: Vec<Port<'a>>,
    pub(super) mounts: Vec<Mount<'a>>,
    /// Everything that others may call it.
    pub(super) names: Vec<String>,
    pub(super) networks: Vec<String>,
    /// Files that the Compose file itself holds or names: those of `configs`.
    pub(super) configs: Vec<Held<'a>>,
    /// Profiles without which it is not started.
    pub(super) profiles: Vec<String>,
    /// What a limit says, in bytes.
    pub(super) memory: Option<u64>,
}

/// An entry of `configs`: its name in the file, and where the container sees it.
pub(super) struct Held<'a> {
    pub(super) source: String,
    pub(super) target: String,
    pub(super) at: &'a Node,
}

/// A variable of the environment.
pub(super) struct Variable<'a> {
    pub(super) name: String,
    /// As written, with `${…}`.
    pub(super) value: Option<String>,
    pub(super) at: &'a Node,
}

/// A published port.
pub(super) struct Port<'a> {
    /// Address and port of the machine as written, with a colon behind: `127.0.0.1:9090:`; empty where only the container's stands.
    pub(super) outside: String,
    pub(super) inside: Option<u16>,
    pub(super) udp: bool,
    pub(super) written: String,
    pub(super) at: &'a Node,
}

/// A mount.
pub(super) struct Mount<'a> {
    pub(super) source: String,
    pub(super) target: String,
    /// What stands behind: `ro`.
    pub(super) mode: String,
    pub(super) at: &'a Node,
}
impl Mount<'_> {
    /// Whether the source is a path of the machine and no volume.
    pub(super) fn is_path(&self) -> bool {
        self.source.starts_with(['.', '/', '~', '$']) || self.source.contains(['/', '\\'])
    }
}

impl<'a> Service<'a> {
    /// Reads one.
    pub(super) fn read(key: &'a Key, node: &'a Node) -> Service<'a> {
        let mut words = command(node, "entrypoint");
        words.extend(command(node, "command"));
        let words = in_a_shell(words);
        let (networks, aliases) = networks(node);
        let mut names = vec![key.text.to_string()];
        for name in ["container_name", "hostname"].iter().filter_map(|k| text(node, k)).map(str::to_owned).chain(aliases) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Service {
            key,
            node,
            image: defaulted(text(node, "image").unwrap_or_default()),
            words,
            environment: environment(node),
            ports: items(node, "ports").iter().map(port).collect(),
            mounts: items(node, "volumes").iter().filter_map(mount).collect(),
            names,
            networks,
            configs: items(node, "configs").iter().filter_map(held).collect(),
            profiles: items(node, "profiles").iter().filter_map(|n| n.text().map(str::to_owned)).collect(),
            memory: memory(node),
        }
    }
    /// The value of a variable, with defaults in place of `${NAME:-default}`.
    pub(super) fn variable(&self, name: &str) -> Option<String> {
        self.environment.iter().find(|v| v.name == name)?.value.as_deref().map(defaulted)
    }
    /// Names of its labels, those for a swarm included.
    pub(super) fn labels(&self) -> Vec<(String, &'a Node)> {
        let both = [self.node.get("labels"), self.node.get("deploy").and_then(|deploy| deploy.get("labels"))];
        let listed = |all: &'a Node| all.items().unwrap_or(&[]).iter().filter_map(|at| Some((pair(at.text()?).0.to_owned(), at)));
        let mapped = |all: &'a Node| all.entries().unwrap_or(&[]).iter().map(|(key, at)| (key.text.to_string(), at));
        both.into_iter().flatten().flat_map(|all| listed(all).chain(mapped(all))).collect()
    }
    /// The services that it waits for: the name, and where it stands.
    pub(super) fn waits_for(&self) -> Vec<(&'a str, usize, usize)> {
        let Some(on) = self.node.get("depends_on") else { return Vec::new() };
        let listed = on.items().unwrap_or(&[]).iter().filter_map(|n| Some((n.text()?, n.line, n.column)));
        listed.chain(on.entries().unwrap_or(&[]).iter().map(|(k, _)| (&*k.text, k.line, k.column))).collect()
    }
}

/// A command line as a list, or as a text with quotes.
fn command<'a>(node: &'a Node, key: &str) -> Vec<(String, &'a Node)> {
    let Some(at) = node.get(key) else { return Vec::new() };
    match at.items() {
        Some(list) => list.iter().filter_map(|n| Some((n.text()?.to_owned(), n))).collect(),
        None => split(at.text().unwrap_or_default()).into_iter().map(|word| (word, at)).collect(),
    }
}

/// Words as a shell splits them: quotes hold blanks together.
fn split(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match (c, quote) {
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_with(String::new);
            }
            (c, Some(q)) if c == q => quote = None,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}

/// What `sh -c TEXT` starts, as words; the shell stays the first of them, so that nobody takes it for the program itself.
fn in_a_shell(words: Vec<(String, &Node)>) -> Vec<(String, &Node)> {
    let shell = words.first().is_some_and(|(first, _)| is_shell(first));
    let Some(at) = words.iter().position(|(word, _)| word == "-c").filter(|_| shell) else { return words };
    let Some((text, node)) = words.get(at + 1) else { return words };
    let inside = split(text).into_iter().map(|word| (word, *node));
    words.first().cloned().into_iter().chain(inside).collect()
}

/// Whether a word starts a shell.
pub(super) fn is_shell(word: &str) -> bool {
    ["sh", "bash", "ash"].contains(&word.rsplit('/').next().unwrap_or(word))
}

/// A name and what stands behind its first sign of equality.
pub(super) fn pair(text: &str) -> (&str, Option<&str>) {
    text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)))
}

fn environment(node: &Node) -> Vec<Variable<'_>> {
    let Some(all) = node.get("environment") else { return Vec::new() };
    let listed = all.items().unwrap_or(&[]).iter().filter_map(|at| {
        let (name, value) = pair(at.text()?);
        Some(Variable { name: name.to_owned(), value: value.map(str::to_owned), at })
    });
    let mapped = all.entries().unwrap_or(&[]).iter().map(|(k, at)| Variable { name: k.text.to_string(), value: at.text().map(str::to_owned), at });
    listed.chain(mapped).collect()
}

/// `3000`, `3001:3000`, `127.0.0.1:3001:3000/udp`, or a mapping.
fn port(at: &Node) -> Port<'_> {
    if at.entries().is_some() {
        let inside = text(at, "target").and_then(|t| defaulted(t).parse().ok());
        let published = text(at, "published").map(|p| format!("{}{p}:", text(at, "host_ip").map(|ip| format!("{ip}:")).unwrap_or_default()));
        let outside = published.unwrap_or_default();
        let written = format!("{outside}{}", text(at, "target").unwrap_or_default());
        return Port { outside, inside, udp: text(at, "protocol") == Some("udp"), written, at };
    }
    let written = at.text().unwrap_or_default();
    let (address, protocol) = written.rsplit_once('/').unwrap_or((written, "tcp"));
    // A colon within `${…}` separates no port.
    let mut depth = 0_i32;
    let mut last = None;
    for (i, c) in address.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ':' if depth == 0 => last = Some(i),
            _ => {}
        }
    }
    let (outside, inside) = last.map_or(("", address), |i| address.split_at(i + 1));
    Port { outside: outside.to_owned(), inside: defaulted(inside).parse().ok(), udp: protocol == "udp", written: written.to_owned(), at }
}

/// `source:target[:mode]`, or a mapping. A lone path is an anonymous volume.
pub(super) fn mount(at: &Node) -> Option<Mount<'_>> {
    if at.entries().is_some() {
        let read_only = (text(at, "read_only") == Some("true")).then_some("ro");
        let propagation = at.get("bind").and_then(|bind| text(bind, "propagation"));
        let mode = read_only.into_iter().chain(propagation).collect::<Vec<_>>().join(",");
        let source = text(at, "source").filter(|_| text(at, "type") != Some("tmpfs")).unwrap_or_default();
        return Some(Mount { source: source.to_owned(), target: bare(text(at, "target")?), mode, at });
    }
    let written = at.text()?;
    // The target begins with a slash behind a colon, whatever the source holds. A letter before the first colon may be a disk of Windows, when
    // another colon follows.
    let disk = written.get(1..3).is_some_and(|sign| [":/", ":\\"].contains(&sign)).then(|| written.get(2..)?.split_once(":/")).flatten();
    let (source, rest) = match (disk, written.split_once(":/")) {
        (Some((path, target)), _) => (written.get(..2 + path.len()).unwrap_or_default(), format!("/{target}")),
        (None, Some((source, target))) => (source, format!("/{target}")),
        (None, None) => ("", written.to_owned()),
    };
    let (target, mode) = rest.split_once(':').unwrap_or((&rest, ""));
    Some(Mount { source: source.to_owned(), target: bare(target), mode: mode.to_owned(), at })
}

/// A path without a slash at its end.
fn bare(path: &str) -> String {
    match path.trim_end_matches('/') {
        "" => path.to_owned(),
        bare => bare.to_owned(),
    }
}

/// `name`, or a mapping with `source` and `target`.
fn held(at: &Node) -> Option<Held<'_>> {
    let source = at.text().or_else(|| text(at, "source"))?;
    let target = text(at, "target").map_or_else(|| format!("/{source}"), str::to_owned);
    Some(Held { source: source.to_owned(), target, at })
}

/// Networks, and the names that the service has there.
fn networks(node: &Node) -> (Vec<String>, Vec<String>) {
    let Some(all) = node.get("networks") else { return (Vec::new(), Vec::new()) };
    let listed = all.items().unwrap_or(&[]).iter().filter_map(|n| n.text().map(str::to_owned));
    let entries = all.entries().unwrap_or(&[]);
    let aliases = entries.iter().flat_map(|(_, network)| items(network, "aliases")).filter_map(|n| n.text().map(str::to_owned)).collect();
    (listed.chain(entries.iter().map(|(k, _)| k.text.to_string())).collect(), aliases)
}

fn memory(node: &Node) -> Option<u64> {
    let limit = text(node, "mem_limit").or_else(|| node.get("deploy")?.get("resources")?.get("limits")?.get("memory")?.text());
    parse_bytes(&defaulted(limit?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_compose() {
        assert_eq!(split("-a=1 'b c' \"\"  d"), ["-a=1", "b c", "", "d"]);
    }

    #[test]
    fn ports_and_mounts() {
        let of = |text: &str| {
            let node = watchfire_model::document::parse_yaml("c", text).unwrap();
            let key = Key { text: "s".into(), line: 1, column: 1 };
            let service = Service::read(&key, &node);
            let ports: Vec<_> = service.ports.iter().map(|p| (p.outside.clone(), p.inside, p.udp)).collect();
            let mounts: Vec<_> = service.mounts.iter().map(|m| (m.source.clone(), m.target.clone(), m.mode.clone(), m.is_path())).collect();
            (ports, mounts)
        };
        let (ports, mounts) = of(
            "ports: ['127.0.0.1:3001:3000', 9090, '6831:6831/udp', '${P:-9}:${Q:-90}', {target: 80, published: '8080', host_ip: 127.0.0.1}]\nvolumes: ['./a:/b:ro', 'data:/c', /anonymous, {type: bind, source: ./x, target: /y, read_only: true, bind: {propagation: rslave}}, 'C:\\w:/z', {type: tmpfs, source: x, target: /t}, 'd:/e']",
        );
        let p = |outside: &str, inside, udp| (outside.to_owned(), inside, udp);
        assert_eq!(
            ports,
            [
                p("127.0.0.1:3001:", Some(3000), false),
                p("", Some(9090), false),
                p("6831:", Some(6831), true),
                p("${P:-9}:", Some(90), false),
                p("127.0.0.1:8080:", Some(80), false)
            ]
        );
        let m = |s: &str, t: &str, mode: &str, path| (s.to_owned(), t.to_owned(), mode.to_owned(), path);
        assert_eq!(
            mounts,
            [
                m("./a", "/b", "ro", true),
                m("data", "/c", "", false),
                m("", "/anonymous", "", false),
                m("./x", "/y", "ro,rslave", true),
                m("C:\\w", "/z", "", true),
                m("", "/t", "", false),
                m("d", "/e", "", false)
            ]
        );
    }
}
