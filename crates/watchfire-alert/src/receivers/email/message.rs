//! A mail as it is sent: headers in encoded words where they are not plain ASCII, bodies in quoted-printable, so that no line of
//! it is long, and none can be read as something else. It knows no server.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use watchfire_model::time::Timestamp;

use super::address::{LIST_BYTES_MAX, parse_list};
use crate::template::GoTime;

/// What a line of a body has at most, before its end.
const LINE_BYTES_MAX: usize = 76;
/// Where headers are broken, at a space.
const HEADER_BYTES: usize = 76;
/// The longest word that stands in a header as it is.
const WORD_BYTES_MAX: usize = 400;
/// Bytes of text in one encoded word, which has 75 with everything around.
const ENCODED_BYTES: usize = 42;
/// The largest header text; a subject of a million bytes says no more. People are all of a list: half an address is nobody's.
const HEADER_CHARS_MAX: usize = 4_000;
/// Headers whose values are people.
const PEOPLE: [&str; 6] = ["To", "From", "Cc", "Bcc", "Reply-To", "Sender"];

/// A header's name with its parts in capitals: `reply-to` is `Reply-To`.
pub(super) fn canonical(name: &str) -> String {
    let part = |part: &str| {
        let mut chars = part.chars();
        chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars.map(|c| c.to_ascii_lowercase())).collect::<String>()
    };
    name.split('-').map(part).collect::<Vec<_>>().join("-")
}

/// Whether a text can be a header's name.
pub(super) fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= 64 && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
}

/// Headers that describe the body and are made with it.
pub(super) fn is_ours(name: &str) -> bool {
    matches!(name, "Content-Type" | "Content-Transfer-Encoding" | "Mime-Version" | "Date" | "Message-Id")
}

/// A picture that stands within the HTML of a mail.
pub(crate) struct Picture {
    /// What the HTML calls it: `cid:<name>`. Letters, digits and hyphens.
    pub(crate) name: String,
    /// A PNG.
    pub(crate) png: Vec<u8>,
}

/// A mail that is being written.
pub(crate) struct Mail {
    headers: String,
    boundary: String,
    body: String,
    day: String,
}

impl Mail {
    /// A mail whose identity is the notification's, so that a second try is recognised as the same mail.
    pub(crate) fn new(id: &str, now: Timestamp) -> Mail {
        let id: String = id.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
        let now = GoTime::from_millis(now.millis());
        let headers = format!("Date: {}\r\nMessage-Id: <{id}@watchfire>\r\nMIME-Version: 1.0\r\n", now.format("Mon, 02 Jan 2006 15:04:05 -0700"));
        Mail { headers, boundary: format!("=_{id}"), body: String::new(), day: now.format("2006-01-02") }
    }

    /// Adds a header. Line ends in it become spaces.
    pub(crate) fn header(&mut self, name: &str, value: &str) {
        let is_people = PEOPLE.contains(&name);
        let longest = if is_people { LIST_BYTES_MAX } else { HEADER_CHARS_MAX };
        let value: String = value.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).take(longest).collect();
        let written = if is_people { people(&value) } else { words(&value) };
        self.headers.push_str(&folded(name, &written));
    }

    /// Ties the mail to those of the same group, or of the same group and day.
    pub(super) fn thread(&mut self, group: &str, by_day: bool) {
        let day = if by_day { format!(".{}", self.day) } else { String::new() };
        for name in ["References", "In-Reply-To"] {
            self.headers.push_str(&format!("{name}: <{group}{day}@watchfire>\r\n"));
        }
    }

    /// Adds a body; the one that is preferred comes last.
    pub(crate) fn part(&mut self, kind: &str, text: &str) {
        let text = quoted_printable(text);
        let headers = format!("Content-Type: {kind}; charset=UTF-8\r\nContent-Transfer-Encoding: quoted-printable");
        self.body.push_str(&format!("--{}\r\n{headers}\r\n\r\n{text}\r\n", self.boundary));
    }

    /// Adds a body in HTML with pictures in it.
    pub(crate) fn html_with_pictures(&mut self, html: &str, pictures: &[Picture]) {
        if pictures.is_empty() {
            return self.part("text/html", html);
        }
        let outer = std::mem::take(&mut self.body);
        let inner = format!("{}_related", self.boundary);
        let own = std::mem::replace(&mut self.boundary, inner);
        self.part("text/html", html);
        for Picture { name, png } in pictures {
            let headers = format!(
                "Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\nContent-ID: <{name}>\r\nContent-Disposition: inline; filename=\"{name}.png\""
            );
            self.body.push_str(&format!("--{}\r\n{headers}\r\n\r\n", self.boundary));
            for line in STANDARD.encode(png).as_bytes().chunks(LINE_BYTES_MAX) {
                self.body.push_str(&String::from_utf8_lossy(line));
                self.body.push_str("\r\n");
            }
        }
        let related = std::mem::replace(&mut self.body, outer);
        let inner = std::mem::replace(&mut self.boundary, own);
        self.body.push_str(&format!(
            "--{}\r\nContent-Type: multipart/related; type=\"text/html\"; boundary=\"{inner}\"\r\n\r\n{related}--{inner}--\r\n",
            self.boundary
        ));
    }

    /// The whole mail, with line ends as mail has them.
    pub(crate) fn finish(self) -> String {
        let Mail { headers, boundary, body, .. } = self;
        format!("{headers}Content-Type: multipart/alternative; boundary=\"{boundary}\"\r\n\r\n{body}--{boundary}--\r\n")
    }
}

/// A header with line breaks where it is long.
fn folded(name: &str, value: &str) -> String {
    let mut header = format!("{name}:");
    let mut length = header.len();
    for word in value.split(' ') {
        if length + 1 + word.len() > HEADER_BYTES && length > name.len() + 1 {
            header.push_str("\r\n");
            length = 0;
        }
        header.push(' ');
        header.push_str(word);
        length += 1 + word.len();
    }
    header.push_str("\r\n");
    header
}

/// Free text: as it is when it is plain, else in encoded words.
pub(crate) fn words(text: &str) -> String {
    let is_plain = text.bytes().all(|b| matches!(b, b' '..=b'~')) && !text.contains("=?") && text.split(' ').all(|word| word.len() <= WORD_BYTES_MAX);
    if is_plain { text.to_owned() } else { encoded(text) }
}

/// Encoded words, each of whole characters.
fn encoded(text: &str) -> String {
    let mut words = vec![String::new()];
    for c in text.chars() {
        if words.last().is_some_and(|word| word.len() + c.len_utf8() > ENCODED_BYTES) {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.push(c);
        }
    }
    words.iter().map(|word| format!("=?utf-8?B?{}?=", STANDARD.encode(word))).collect::<Vec<_>>().join(" ")
}

/// People: only their names are encoded, because nobody finds an encoded address.
fn people(text: &str) -> String {
    let Some(list) = parse_list(text) else { return words(text) };
    let person = |name: &str, address: &str| match name {
        "" => address.to_owned(),
        name if !name.bytes().all(|b| matches!(b, b' '..=b'~')) => format!("{} <{address}>", encoded(name)),
        name => format!("\"{}\" <{address}>", name.replace('\\', "\\\\").replace('"', "\\\"")),
    };
    list.iter().map(|mailbox| person(&mailbox.name, &mailbox.address)).collect::<Vec<_>>().join(", ")
}

/// A body in quoted-printable. A line that begins with a dot or with `From ` is encoded as well, so that nobody on the way takes
/// it for an end.
fn quoted_printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + text.len() / 8);
    for (at, line) in text.replace("\r\n", "\n").split('\n').enumerate() {
        if at > 0 {
            out.push_str("\r\n");
        }
        encode_line(line, &mut out);
    }
    out
}

fn encode_line(line: &str, out: &mut String) {
    let mut length = 0;
    let bytes = line.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        let last = at + 1 == bytes.len();
        let plain = match byte {
            b'=' => false,
            b' ' | b'\t' => !last,
            b'.' => length > 0,
            b'F' => length > 0 || !line.starts_with("From "),
            b'!'..=b'~' => true,
            _ => false,
        };
        let needed = if plain { 1 } else { 3 };
        // One place stays free for the `=` that breaks a line.
        if length + needed > LINE_BYTES_MAX - 1 {
            out.push_str("=\r\n");
            length = 0;
        }
        // After a break, a dot is the first of its line.
        if plain && !(length == 0 && *byte == b'.') {
            out.push(char::from(*byte));
            length += 1;
        } else {
            // Writing to a text cannot fail.
            let _written = write!(out, "={byte:02X}");
            length += 3;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        for (text, expected) in
            [("plain\ntext", "plain\r\ntext"), ("a=b", "a=3Db"), ("ü", "=C3=BC"), ("end \nx", "end=20\r\nx"), (".\nFrom x", "=2E\r\n=46rom x"), ("", "")]
        {
            assert_eq!(quoted_printable(text), expected, "{text}");
        }
        for text in ["x".repeat(200), "ü.".repeat(99), ".".repeat(500), "a ".repeat(99)] {
            let written = quoted_printable(&text);
            assert!(written.split("\r\n").all(|line| line.len() <= LINE_BYTES_MAX && !line.starts_with('.')), "{written}");
            assert_eq!(decoded(&written), text);
        }
    }

    fn decoded(text: &str) -> String {
        let joined = text.replace("=\r\n", "");
        let mut bytes = Vec::new();
        let mut rest = joined.as_bytes();
        while let [first, more @ ..] = rest {
            if *first == b'=' {
                bytes.push(u8::from_str_radix(std::str::from_utf8(&more[..2]).unwrap(), 16).unwrap());
                rest = &more[2..];
            } else {
                bytes.push(*first);
                rest = more;
            }
        }
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn headers() {
        let check = |name: &str, value: &str, expected: &str| {
            let mut mail = Mail::new("id", Timestamp(0));
            mail.headers.clear();
            mail.header(name, value);
            assert_eq!(mail.headers, expected);
        };
        check("Subject", "[FIRING:1] X", "Subject: [FIRING:1] X\r\n");
        check("Subject", "a\r\nBcc: x@y\0", "Subject: a Bcc: x@y\r\n");
        check("Subject", "ä", "Subject: =?utf-8?B?w6Q=?=\r\n");
        check("Subject", "=?x?=", "Subject: =?utf-8?B?PT94Pz0=?=\r\n");
        check("To", "Jürgen <a@b.c>, \"X, Y\" <d@e.f>", "To: =?utf-8?B?SsO8cmdlbg==?= <a@b.c>, \"X, Y\" <d@e.f>\r\n");
        check("X-A", &format!("{} b", "a".repeat(80)), &format!("X-A: {}\r\n b\r\n", "a".repeat(80)));
        // A hundred people are all written to.
        let all: Vec<String> = (0..100).map(|n| format!("Person {n} <{}{n}@example.com>", "x".repeat(50))).collect();
        let mut mail = Mail::new("id", Timestamp(0));
        mail.header("To", &all.join(", "));
        assert!(all.iter().all(|person| mail.headers.contains(person.split_once('<').unwrap().1)) && mail.headers.split("\r\n").all(|line| line.len() <= 90));
        let mut mail = Mail::new("id", Timestamp(0));
        mail.header("Subject", &"ö".repeat(3_000));
        assert!(mail.headers.split("\r\n").all(|line| line.len() <= 78));
        for (name, expected) in [("reply-to", "Reply-To"), ("SUBJECT", "Subject"), ("x", "X")] {
            assert_eq!(canonical(name), expected);
        }
    }

    #[test]
    fn pictures_stand_beside_the_html_that_shows_them() {
        let mut mail = Mail::new("ab12", Timestamp(0));
        mail.part("text/plain", "x");
        mail.html_with_pictures("<img src=\"cid:one\">", &[Picture { name: "one".to_owned(), png: vec![0xff; 100] }]);
        let text = mail.finish();
        let related =
            "--=_ab12\r\nContent-Type: multipart/related; type=\"text/html\"; boundary=\"=_ab12_related\"\r\n\r\n--=_ab12_related\r\nContent-Type: text/html;";
        assert!(text.contains(related), "{text}");
        assert!(text.contains("Content-ID: <one>\r\n") && text.contains(&format!("\r\n\r\n{}\r\n{}w==\r\n", "/".repeat(76), "/".repeat(57))), "{text}");
        assert!(text.ends_with("--=_ab12_related--\r\n--=_ab12--\r\n"), "{text}");
        let mut plain = Mail::new("ab12", Timestamp(0));
        plain.html_with_pictures("<p>", &[]);
        assert!(!plain.finish().contains("related"));
    }

    #[test]
    fn a_mail_is_the_same_at_every_try() {
        let write = || {
            let mut mail = Mail::new("ab12", Timestamp(86_400_000));
            mail.thread("g", true);
            mail.part("text/plain", "x");
            mail.finish()
        };
        assert_eq!(write(), write());
        let text = write();
        assert!(text.starts_with("Date: Fri, 02 Jan 1970 00:00:00 +0000\r\nMessage-Id: <ab12@watchfire>\r\n"), "{text}");
        assert!(text.contains("\r\nReferences: <g.1970-01-02@watchfire>\r\n") && text.ends_with("\r\n--=_ab12--\r\n"), "{text}");
    }
}
