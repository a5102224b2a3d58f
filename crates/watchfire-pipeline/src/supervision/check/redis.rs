//! The check `redis`: a connection, `AUTH` where there is a password, and `PING`. It reads and changes nothing there.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use watchfire_model::document::{Node, Reader};
use watchfire_net::dial;
use watchfire_net::secret::Secret;

use super::{Check, Checking, Kind, elsewhere, failure, host_and_port, seen, undialled};
use crate::supervision::policy::Verdict;
use crate::supervision::settings::Outside;

pub(super) const KIND: Kind = Kind { key: "redis", read };

/// The longest answer line that is read.
const LINE_BYTES_MAX: usize = 512;

#[derive(Debug)]
struct Redis {
    host: String,
    port: u16,
    encrypted: bool,
    user: Option<Secret>,
    password: Option<Secret>,
}

impl Redis {
    /// Reads `redis://user:password@host:port/db`, `rediss://…`, or `host:port`. No message quotes the text, which may hold a password.
    fn parse(text: &str) -> Result<Redis, String> {
        let wrong = || "must be an address such as redis://localhost:6379 or localhost:6379".to_owned();
        let (encrypted, rest) = match text.split_once("://") {
            Some(("redis", rest)) => (false, rest),
            Some(("rediss", rest)) => (true, rest),
            Some(_) => return Err(wrong()),
            None => (false, text),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or(rest);
        // A password may hold a slash or an at sign; a host may not.
        let (userinfo, place) = rest.rsplit_once('@').map_or((None, rest), |(userinfo, place)| (Some(userinfo), place));
        let place = place.split('/').next().unwrap_or(place);
        let with_port = if place.rsplit_once(':').is_some_and(|(_, port)| port.bytes().all(|b| b.is_ascii_digit())) && !place.ends_with(']') {
            place.to_owned()
        } else {
            format!("{place}:6379")
        };
        let (host, port) = host_and_port(&with_port).ok_or_else(wrong)?;
        let (user, password) = match userinfo.map(|u| u.split_once(':').unwrap_or(("", u))) {
            Some((user, password)) => (decoded(user)?, decoded(password)?),
            None => (None, None),
        };
        Ok(Redis { host, port, encrypted, user, password })
    }

    async fn ask(&self, within: Duration) -> Verdict {
        let stream = match dial::dial(&self.host, self.port, within).await {
            Ok(stream) => stream,
            Err(error) => return undialled(error),
        };
        let talk = async {
            if self.encrypted {
                let stream = dial::encrypt(stream, &self.host).await.map_err(|error| error.to_string())?;
                self.talk(stream).await
            } else {
                self.talk(stream).await
            }
        };
        match tokio::time::timeout(within, talk).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(why)) => failure(format!("{}: {why}", self.target()), &self.host, self.port).await,
            Err(_) => failure(format!("{} does not answer", self.target()), &self.host, self.port).await,
        }
    }

    async fn talk(&self, mut stream: impl AsyncRead + tokio::io::AsyncWrite + Unpin) -> Result<Verdict, String> {
        let io = |error: std::io::Error| error.to_string();
        if let Some(password) = &self.password {
            let words: Vec<&[u8]> =
                [Some(&b"AUTH"[..]), self.user.as_ref().map(|u| u.expose().as_bytes()), Some(password.expose().as_bytes())].into_iter().flatten().collect();
            stream.write_all(&command(&words)).await.map_err(io)?;
            let answer = line(&mut stream).await.map_err(io)?;
            // Without a password of its own the server says so; the ping will show whether that matters.
            if !answer.starts_with("+OK") && !answer.contains("without any password configured") {
                return Ok(seen(format!("{} refuses the password: {}", self.target(), error_word(&answer))));
            }
        }
        stream.write_all(&command(&[b"PING"])).await.map_err(io)?;
        let answer = line(&mut stream).await.map_err(io)?;
        Ok(match answer.as_str() {
            "+PONG" => Verdict::Healthy,
            other => seen(format!("{} answers PING with {}", self.target(), error_word(other))),
        })
    }
}

/// The first word of an error, such as `NOAUTH`; the rest may quote what was sent.
fn error_word(answer: &str) -> String {
    answer.trim_start_matches('-').split_whitespace().next().unwrap_or("nothing").chars().filter(char::is_ascii_graphic).take(32).collect()
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}

async fn line(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    loop {
        match stream.read_u8().await? {
            b'\n' => break,
            _ if bytes.len() >= LINE_BYTES_MAX => return Err(std::io::Error::other("the answer is no line of Redis")),
            byte => bytes.push(byte),
        }
    }
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

/// Undoes the percent signs of a user name or password; an empty one is none.
fn decoded(text: &str) -> Result<Option<Secret>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16));
        match digit(rest.next()).zip(digit(rest.next())) {
            Some((high, low)) => bytes.push((high * 16 + low) as u8),
            None => return Err("has a % that is followed by no two hexadecimal digits".to_owned()),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| "has a name or password that is not UTF-8".to_owned())?;
    Ok(Some(text).filter(|t| !t.is_empty()).map(Secret::new))
}

impl Check for Redis {
    fn look(&self, within: Duration) -> Checking<'_> {
        Box::pin(self.ask(within))
    }
    fn target(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
    fn remote(&self) -> Option<String> {
        elsewhere(&self.host)
    }
}

fn read(reader: &Reader<'_>, outside: &Outside<'_>) -> Option<Arc<dyn Check>> {
    let parse = |reader: &Reader<'_>, key: &'static str| {
        let text = outside.text(reader, key)?;
        Redis::parse(&text).map_err(|why| reader.error_at(key, why)).ok()
    };
    if reader.raw("redis").and_then(Node::text).is_some() {
        return Some(Arc::new(parse(reader, "redis")?));
    }
    let more = reader.map("redis")?;
    let check = parse(&more, "url");
    if more.raw("url").is_none() {
        more.error_at("url", "is missing");
    }
    let user = outside.text(&more, "user").map(Secret::new);
    let password = match more.text("password_file") {
        Some(path) => Secret::from_file(&outside.base.join(path)).map_err(|error| more.error_at("password_file", error.to_string())).ok(),
        None => outside.text(&more, "password").map(Secret::new),
    };
    more.finish();
    let mut check = check?;
    check.user = user.or(check.user);
    check.password = password.or(check.password);
    Some(Arc::new(check))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_redis() {
        let check = |text: &str, expected: Option<(&str, u16, &str, &str)>| {
            let parsed = Redis::parse(text);
            let shown = |s: &Option<Secret>| s.as_ref().map(|s| s.expose().to_owned()).unwrap_or_default();
            let found = parsed.as_ref().ok().map(|r| (r.host.clone(), r.port, shown(&r.user), shown(&r.password)));
            assert_eq!(found, expected.map(|(h, p, u, s)| (h.to_owned(), p, u.to_owned(), s.to_owned())), "{text}");
            assert!(!format!("{parsed:?}").contains("hunter2"), "{text}");
        };
        check("redis://localhost:6379", Some(("localhost", 6379, "", "")));
        check("localhost:7000", Some(("localhost", 7000, "", "")));
        check("redis", Some(("redis", 6379, "", "")));
        check("redis://redis/0", Some(("redis", 6379, "", "")));
        check("redis://:hunter2@redis:6379/1?x=y", Some(("redis", 6379, "", "hunter2")));
        check("redis://me:hunter2%40%2f@[::1]:7000", Some(("[::1]", 7000, "me", "hunter2@/")));
        check("redis://:hunter2/@h:1", Some(("h", 1, "", "hunter2/")));
        check("http://hunter2@x", None);
        check("redis://:hunter2%zz@x", None);
        check("redis://:hunter2@", None);
    }

    #[tokio::test]
    async fn every_answer_has_a_verdict() {
        let verdict = async |password: Option<&str>, answers: &'static [u8]| {
            let (ours, mut theirs) = tokio::io::duplex(4096);
            theirs.write_all(answers).await.unwrap();
            let mut check = Redis::parse("h").unwrap();
            check.password = password.map(Secret::from);
            check.talk(ours).await
        };
        assert_eq!(verdict(None, b"+PONG\r\n").await, Ok(Verdict::Healthy));
        assert_eq!(verdict(Some("x"), b"+OK\r\n+PONG\r\n").await, Ok(Verdict::Healthy));
        assert_eq!(verdict(Some("x"), b"-ERR AUTH <password> called without any password configured\r\n+PONG\r\n").await, Ok(Verdict::Healthy));
        assert_eq!(verdict(None, b"-NOAUTH Authentication required.\r\n").await, Ok(seen("h:6379 answers PING with NOAUTH")));
        assert_eq!(verdict(Some("x"), b"-WRONGPASS x\r\n").await, Ok(seen("h:6379 refuses the password: WRONGPASS")));
        assert_eq!(verdict(None, b"-LOADING x\r\n").await, Ok(seen("h:6379 answers PING with LOADING")));
        assert!(verdict(None, &[b'x'; 2000]).await.is_err());
    }
}
