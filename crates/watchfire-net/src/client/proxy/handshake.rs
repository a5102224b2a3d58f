//! What is said to a proxy before a connection through it can be used: `CONNECT` (RFC 9110) and SOCKS 5 (RFC 1928, 1929).
//! Nothing is read beyond the proxy's own words.

use std::net::IpAddr;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};

use super::Server;
use crate::secret::Secret;

/// The most bytes of an answer to `CONNECT`.
const ANSWER_BYTES_MAX: u64 = 16 * 1024;
/// The longest text that SOCKS has room for.
const SOCKS_TEXT_MAX: usize = 255;

/// Why a proxy does not let us through.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    #[error("it answered {0:?} to CONNECT")]
    Refused(String),
    #[error("it does not speak HTTP")]
    NotHttp,
    #[error("it does not speak SOCKS 5")]
    NotSocks,
    #[error("it wants other credentials")]
    Credentials,
    #[error("it cannot reach the target: {0}")]
    Unreachable(&'static str),
    #[error("a name or a password is longer than {SOCKS_TEXT_MAX} bytes")]
    TooLong,
}

/// Asks an HTTP proxy for a connection to `host:port`.
pub(super) async fn connect<S>(stream: &mut BufReader<S>, to: (&str, u16), server: &Server, headers: &[(String, Secret)]) -> Result<(), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (host, port) = to;
    let mut words = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\nUser-Agent: {}\r\n", crate::client::AGENT);
    let authorization = server.authorization();
    for (name, value) in headers {
        // Credentials of the address win over a header of the same name.
        if authorization.is_none() || !name.eq_ignore_ascii_case("proxy-authorization") {
            words.push_str(&format!("{name}: {}\r\n", value.expose()));
        }
    }
    if let Some(value) = authorization {
        words.push_str(&format!("Proxy-Authorization: {}\r\n", value.expose()));
    }
    words.push_str("\r\n");
    stream.write_all(words.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = stream.take(ANSWER_BYTES_MAX);
    let first = line(&mut answer).await?;
    let status = first.split_once(' ').filter(|(version, _)| version.starts_with("HTTP/1.")).map(|(_, status)| status.to_owned());
    let status = status.ok_or(HandshakeError::NotHttp)?;
    while !line(&mut answer).await?.is_empty() {}
    if status.split(' ').next() == Some("200") { Ok(()) } else { Err(HandshakeError::Refused(status)) }
}

/// One line without its end.
async fn line(answer: &mut (impl AsyncBufReadExt + Unpin + Send)) -> Result<String, HandshakeError> {
    let mut bytes = Vec::new();
    answer.read_until(b'\n', &mut bytes).await?;
    let text = String::from_utf8_lossy(&bytes);
    text.strip_suffix('\n').map(|line| line.trim_end_matches('\r').to_owned()).ok_or(HandshakeError::NotHttp)
}

/// Asks a SOCKS 5 proxy for a connection; names are looked up by the proxy.
pub(super) async fn socks<S>(stream: &mut BufReader<S>, to: (&str, u16), server: &Server) -> Result<(), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (host, port) = to;
    let methods: &[u8] = if server.user.is_some() { &[5, 2, 0, 2] } else { &[5, 1, 0] };
    stream.write_all(methods).await?;
    stream.flush().await?;
    match (read::<2>(stream).await?, &server.user) {
        ([5, 0], _) => {}
        ([5, 2], Some((user, password))) => log_in(stream, user, password).await?,
        ([5, _], _) => return Err(HandshakeError::Credentials),
        _ => return Err(HandshakeError::NotSocks),
    }
    let mut words = vec![5, 1, 0];
    match host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            words.push(1);
            words.extend(ip.octets());
        }
        Ok(IpAddr::V6(ip)) => {
            words.push(4);
            words.extend(ip.octets());
        }
        Err(_) => {
            words.push(3);
            push_text(&mut words, host)?;
        }
    }
    words.extend(port.to_be_bytes());
    stream.write_all(&words).await?;
    stream.flush().await?;
    let [version, code, _, kind] = read::<4>(stream).await?;
    if version != 5 {
        return Err(HandshakeError::NotSocks);
    }
    if code != 0 {
        return Err(HandshakeError::Unreachable(reason(code)));
    }
    // The address that the proxy bound, which nobody needs, and its port.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(stream.read_u8().await?),
        _ => return Err(HandshakeError::NotSocks),
    };
    let mut bound = vec![0; length + 2];
    stream.read_exact(&mut bound).await?;
    Ok(())
}

async fn log_in<S>(stream: &mut BufReader<S>, user: &Secret, password: &Secret) -> Result<(), HandshakeError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut words = vec![1];
    push_text(&mut words, user.expose())?;
    push_text(&mut words, password.expose())?;
    stream.write_all(&words).await?;
    stream.flush().await?;
    if read::<2>(stream).await?[1] == 0 { Ok(()) } else { Err(HandshakeError::Credentials) }
}

fn push_text(words: &mut Vec<u8>, text: &str) -> Result<(), HandshakeError> {
    words.push(u8::try_from(text.len()).map_err(|_| HandshakeError::TooLong)?);
    words.extend(text.as_bytes());
    Ok(())
}

async fn read<const N: usize>(stream: &mut (impl AsyncReadExt + Unpin + Send)) -> Result<[u8; N], HandshakeError> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn reason(code: u8) -> &'static str {
    match code {
        2 => "its rules forbid it",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "it took too long",
        _ => "general failure",
    }
}
