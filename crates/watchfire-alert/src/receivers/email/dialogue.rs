//! The client's side of SMTP: what is said to one mail server for one mail, and what its answers mean. Every answer is bounded,
//! and nothing that stands in a mail can become a command. It writes no mail.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use watchfire_net::dial::{dial, encrypt_by, is_here};
use watchfire_net::secret::Secret;
use watchfire_net::tls::ClientTls;

use super::login::{Login, Way};
use crate::receivers::exchange::{hide, shown};
use crate::receivers::{DELIVERY_TIME_MAX, DeliveryError};

/// Lines of one answer.
const LINES_MAX: usize = 100;
/// Bytes of one line.
const LINE_BYTES_MAX: usize = 4096;

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Security {
    /// Not at all.
    Open,
    /// By STARTTLS, or there is no mail.
    Upgrade,
    /// From the first byte.
    Implicit,
}

/// Who gets a mail, and who sent it.
pub(crate) struct Envelope {
    pub(crate) from: String,
    pub(crate) to: Vec<String>,
}

/// A mail server, and how to talk to it.
pub(super) struct Server<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) hello: &'a str,
    pub(super) security: Security,
    pub(super) tls: ClientTls,
    pub(super) login: Option<Login>,
}

/// An answer.
struct Answer {
    code: u16,
    lines: Vec<String>,
}
impl Answer {
    fn is_good(&self) -> bool {
        (200..400).contains(&self.code)
    }
    /// What stands behind a word that the server offers.
    fn offer(&self, word: &str) -> Option<&str> {
        let is_it = |line: &&String| line.split([' ', '=']).next().is_some_and(|first| first.eq_ignore_ascii_case(word));
        self.lines.iter().skip(1).find(is_it).map(|line| line.get(word.len() + 1..).unwrap_or_default().trim())
    }
    fn said(&self) -> String {
        format!("{} {}", self.code, shown(self.lines.join(" ").as_bytes()))
    }
}

fn later(reason: impl Into<String>) -> DeliveryError {
    DeliveryError::Later { reason: reason.into(), after: None }
}

impl Server<'_> {
    /// Sends a mail. Gives what the server said of recipients that it refused while it took others.
    pub(super) async fn send(&self, envelope: &Envelope, message: &str) -> Result<Vec<String>, DeliveryError> {
        let stream = dial(self.host, self.port, DELIVERY_TIME_MAX).await.map_err(|error| later(error.to_string()))?;
        if self.security == Security::Implicit {
            let stream = encrypt_by(stream, self.host, &self.tls).await.map_err(|error| later(error.to_string()))?;
            let mut wire = Wire::new(stream);
            self.greeting(&mut wire).await?;
            return self.mail(&mut wire, true, envelope, message).await;
        }
        let mut wire = Wire::new(stream);
        self.greeting(&mut wire).await?;
        if self.security == Security::Open {
            return self.mail(&mut wire, is_here(self.host), envelope, message).await;
        }
        let offers = self.hello(&mut wire).await?;
        if offers.offer("STARTTLS").is_none() {
            return Err(later(format!("require_tls is set, and {} does not offer STARTTLS", self.host)));
        }
        expect(wire.say("STARTTLS").await?, "STARTTLS", false)?;
        // What came before the encryption could be anybody's.
        if !wire.buffer.is_empty() {
            return Err(later("the mail server went on talking before the encryption"));
        }
        let stream = encrypt_by(wire.stream, self.host, &self.tls).await.map_err(|error| later(error.to_string()))?;
        self.mail(&mut Wire::new(stream), true, envelope, message).await
    }

    async fn greeting<S: AsyncRead + AsyncWrite + Unpin>(&self, wire: &mut Wire<S>) -> Result<(), DeliveryError> {
        expect(wire.answer().await?, "the connection", false).map(drop)
    }

    async fn hello<S: AsyncRead + AsyncWrite + Unpin>(&self, wire: &mut Wire<S>) -> Result<Answer, DeliveryError> {
        let answer = wire.say(&format!("EHLO {}", self.hello)).await?;
        if answer.is_good() {
            return Ok(answer);
        }
        // A server of before 1995 offers nothing.
        expect(wire.say(&format!("HELO {}", self.hello)).await?, "HELO", false)
    }

    async fn mail<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        wire: &mut Wire<S>,
        is_private: bool,
        envelope: &Envelope,
        message: &str,
    ) -> Result<Vec<String>, DeliveryError> {
        let offers = self.hello(wire).await?;
        if let (Some(login), Some(ways)) = (&self.login, offers.offer("AUTH")) {
            log_in(wire, login, ways, is_private).await?;
        }
        let is_ascii = envelope.from.is_ascii() && envelope.to.iter().all(|address| address.is_ascii());
        if !is_ascii && offers.offer("SMTPUTF8").is_none() {
            return Err(DeliveryError::Never("cannot send mail: the server takes no addresses beyond ASCII".to_owned()));
        }
        let extra = if is_ascii { "" } else { " SMTPUTF8" };
        expect(wire.say(&format!("MAIL FROM:<{}>{extra}", envelope.from)).await?, "the sender", true)?;
        let refused = recipients(wire, &envelope.to).await?;
        expect(wire.say("DATA").await?, "the mail", true)?;
        wire.write(&stuffed(message)).await?;
        expect(wire.answer().await?, "the mail", true)?;
        // The mail is delivered; whether goodbye is heard changes nothing.
        let _heard = wire.write("QUIT\r\n").await;
        Ok(refused)
    }
}

/// Names the recipients; as long as one is taken, the others do not hold up the mail.
async fn recipients<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, to: &[String]) -> Result<Vec<String>, DeliveryError> {
    let mut refused: Vec<Answer> = Vec::new();
    for address in to {
        let answer = wire.say(&format!("RCPT TO:<{address}>")).await?;
        if !answer.is_good() {
            refused.push(answer);
        }
    }
    if refused.len() == to.len() {
        let worth_a_try = refused.iter().any(|answer| answer.code < 500);
        let reason = format!("the mail server refused every recipient: {}", refused.first().map(Answer::said).unwrap_or_default());
        return Err(if worth_a_try { later(reason) } else { DeliveryError::Never(reason) });
    }
    Ok(refused.iter().map(Answer::said).collect())
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(wire: &mut Wire<S>, login: &Login, ways: &str, is_private: bool) -> Result<(), DeliveryError> {
    let failed = |reason: String| later(format!("cannot log in to the mail server: {reason}"));
    let way = login.choose(ways, is_private).map_err(failed)?;
    let (answer, secret) = match way {
        Way::Plain(password) => {
            let word = login.plain(password);
            (wire.say(&format!("AUTH PLAIN {}", word.expose())).await?, vec![word, password.clone()])
        }
        Way::Login(password) => {
            let mut answer = wire.say("AUTH LOGIN").await?;
            // Servers ask for both in turn, in their own words.
            for word in [login.username.as_str(), password.expose()] {
                if answer.code != 334 {
                    break;
                }
                answer = wire.say(&STANDARD.encode(word)).await?;
            }
            (answer, vec![password.clone(), Secret::new(STANDARD.encode(password.expose()))])
        }
        Way::CramMd5(secret) => {
            let question = wire.say("AUTH CRAM-MD5").await?;
            let asked = STANDARD.decode(question.lines.first().map_or("", |line| line.trim()));
            match (question.code, asked) {
                (334, Ok(asked)) => (wire.say(&login.cram_md5(&asked, secret)).await?, vec![secret.clone()]),
                (334, Err(_)) => return Err(failed("its question cannot be read".to_owned())),
                _ => (question, Vec::new()),
            }
        }
    };
    // A password may be put right while the notification waits.
    if answer.code == 235 { Ok(()) } else { Err(failed(hide(&secret, &answer.said()))) }
}

/// An answer that lets us go on. A refusal for good ends the notification only where it is about this mail.
fn expect(answer: Answer, what: &str, about_the_mail: bool) -> Result<Answer, DeliveryError> {
    if answer.is_good() {
        return Ok(answer);
    }
    let reason = format!("the mail server refused {what}: {}", answer.said());
    Err(if about_the_mail && answer.code >= 500 { DeliveryError::Never(reason) } else { later(reason) })
}

/// A mail as it goes over the wire: lines that begin with a dot get another, and a lonely dot ends it.
fn stuffed(message: &str) -> String {
    let mut out = String::with_capacity(message.len() + 8);
    for line in message.strip_suffix("\r\n").unwrap_or(message).split("\r\n") {
        if line.starts_with('.') {
            out.push('.');
        }
        // A line end that is none would let servers disagree on where the mail ends.
        out.extend(line.chars().filter(|c| !matches!(c, '\r' | '\n')));
        out.push_str("\r\n");
    }
    out.push_str(".\r\n");
    out
}

/// A connection, and what came and was not read yet.
struct Wire<S> {
    stream: S,
    buffer: Vec<u8>,
}
impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    fn new(stream: S) -> Wire<S> {
        Wire { stream, buffer: Vec::new() }
    }

    async fn write(&mut self, text: &str) -> Result<(), DeliveryError> {
        let write = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        };
        write.await.map_err(|error| later(format!("the connection to the mail server broke: {error}")))
    }

    /// Says one line and hears the answer.
    async fn say(&mut self, line: &str) -> Result<Answer, DeliveryError> {
        if line.contains(['\r', '\n', '\0']) {
            return Err(DeliveryError::Never("cannot send mail: a line end stands in a command".to_owned()));
        }
        self.write(&format!("{line}\r\n")).await?;
        self.answer().await
    }

    async fn answer(&mut self) -> Result<Answer, DeliveryError> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            let code = line.get(..3).and_then(|code| code.parse::<u16>().ok()).filter(|code| (200..600).contains(code));
            let Some(code) = code else { return Err(later(format!("what answers is no mail server: {}", shown(line.as_bytes())))) };
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Answer { code, lines });
            }
            if lines.len() >= LINES_MAX {
                return Err(later(format!("the mail server's answer has more than {LINES_MAX} lines")));
            }
        }
    }

    async fn line(&mut self) -> Result<String, DeliveryError> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned());
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(later(format!("the mail server's answer has a line of more than {LINE_BYTES_MAX} bytes")));
            }
            let mut chunk = [0; 1024];
            let read = self.stream.read(&mut chunk).await.map_err(|error| later(format!("the connection to the mail server broke: {error}")))?;
            match chunk.get(..read) {
                None | Some([]) => return Err(later("the mail server closed the connection")),
                Some(bytes) => self.buffer.extend_from_slice(bytes),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_mail_ends_it() {
        for (message, expected) in
            [("a\r\n.\r\nQUIT\r\n", "a\r\n..\r\nQUIT\r\n.\r\n"), ("a\n.\nQUIT\r\n", "a.QUIT\r\n.\r\n"), ("..\r\n", "...\r\n.\r\n"), ("a\r\r\n", "a\r\n.\r\n")]
        {
            assert_eq!(stuffed(message), expected);
        }
    }

    #[test]
    fn offers() {
        let answer = Answer { code: 250, lines: ["mail.example.com", "AUTH=LOGIN", "auth PLAIN LOGIN", "STARTTLS"].map(String::from).into() };
        assert_eq!((answer.offer("AUTH"), answer.offer("STARTTLS"), answer.offer("SIZE")), (Some("LOGIN"), Some(""), None));
    }
}
