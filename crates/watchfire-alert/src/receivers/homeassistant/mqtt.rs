//! The publisher's side of MQTT 3.1.1: connects, publishes a few messages that the broker keeps, waits until it has each of them,
//! and goes. It subscribes to nothing and stays for nothing.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use watchfire_net::dial::{dial, encrypt_by};
use watchfire_net::secret::Secret;
use watchfire_net::tls::ClientTls;

use crate::receivers::{DELIVERY_TIME_MAX, DeliveryError};

/// What a broker may say to a publisher; longer packets are for others.
const PACKET_BYTES_MAX: usize = 1024;
/// Packets that are not the one that is waited for.
const STRANGE_PACKETS_MAX: usize = 32;
/// The largest message of ours.
const MESSAGE_BYTES_MAX: usize = 256 << 10;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
/// A message that the broker keeps, at least once.
const PUBLISH_RETAINED_QOS1: u8 = 0x33;
const PUBACK: u8 = 0x40;
const DISCONNECT: u8 = 0xe0;

/// A broker, and who we are there.
pub(super) struct Broker<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) tls: Option<ClientTls>,
    pub(super) client_id: &'a str,
    pub(super) username: Option<&'a str>,
    pub(super) password: Option<Secret>,
}

/// A message that stays at its topic.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: String,
}

fn later(reason: impl Into<String>) -> DeliveryError {
    DeliveryError::Later { reason: reason.into(), after: None }
}
fn broken(error: &std::io::Error) -> DeliveryError {
    later(format!("the connection to the MQTT broker broke: {error}"))
}

impl Broker<'_> {
    /// Publishes all messages; they are with the broker when this is well.
    pub(super) async fn publish(&self, messages: &[Message]) -> Result<(), DeliveryError> {
        if messages.iter().any(|message| message.payload.len() + message.topic.len() > MESSAGE_BYTES_MAX) {
            return Err(DeliveryError::Never(format!("cannot publish: a message has more than {MESSAGE_BYTES_MAX} bytes")));
        }
        let stream = dial(self.host, self.port, DELIVERY_TIME_MAX).await.map_err(|error| later(error.to_string()))?;
        match &self.tls {
            Some(tls) => {
                let stream = encrypt_by(stream, self.host, tls).await.map_err(|error| later(error.to_string()))?;
                self.exchange(stream, messages).await
            }
            None => self.exchange(stream, messages).await,
        }
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(&self, mut stream: S, messages: &[Message]) -> Result<(), DeliveryError> {
        send(&mut stream, CONNECT, &self.connect()).await?;
        let answer = wait_for(&mut stream, CONNACK).await?;
        check_connack(answer.get(1).copied())?;
        for (at, message) in messages.iter().enumerate() {
            // Numbers of packets begin at 1.
            let number = (at as u16).saturating_add(1).to_be_bytes();
            let mut packet = Vec::new();
            add_text(&mut packet, &message.topic);
            packet.extend_from_slice(&number);
            packet.extend_from_slice(message.payload.as_bytes());
            send(&mut stream, PUBLISH_RETAINED_QOS1, &packet).await?;
            if wait_for(&mut stream, PUBACK).await?.get(..2) != Some(number.as_slice()) {
                return Err(later("the MQTT broker confirmed another message"));
            }
        }
        // Everything is with the broker; whether goodbye is heard changes nothing.
        let _heard = send(&mut stream, DISCONNECT, &[]).await;
        Ok(())
    }

    fn connect(&self) -> Vec<u8> {
        const CLEAN_SESSION: u8 = 0x02;
        const WITH_USERNAME: u8 = 0x80;
        const WITH_PASSWORD: u8 = 0x40;
        const LEVEL_3_1_1: u8 = 4;
        const KEEP_ALIVE_S: u16 = 60;
        let mut flags = CLEAN_SESSION;
        if self.username.is_some() {
            flags |= WITH_USERNAME;
        }
        if self.password.is_some() {
            flags |= WITH_PASSWORD;
        }
        let mut packet = Vec::new();
        add_text(&mut packet, "MQTT");
        packet.extend_from_slice(&[LEVEL_3_1_1, flags]);
        packet.extend_from_slice(&KEEP_ALIVE_S.to_be_bytes());
        add_text(&mut packet, self.client_id);
        for text in [self.username, self.password.as_ref().map(Secret::expose)].into_iter().flatten() {
            add_text(&mut packet, text);
        }
        packet
    }
}

/// Texts have their length in front. One that is too long is cut; topics are checked where they are read.
fn add_text(packet: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    let bytes = bytes.get(..usize::from(u16::MAX)).unwrap_or(bytes);
    packet.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
    packet.extend_from_slice(bytes);
}

fn check_connack(code: Option<u8>) -> Result<(), DeliveryError> {
    match code {
        Some(0) => Ok(()),
        Some(1) => Err(DeliveryError::Never("the MQTT broker does not speak version 3.1.1".to_owned())),
        Some(2) => Err(DeliveryError::Never("the MQTT broker does not take our name".to_owned())),
        Some(3) => Err(later("the MQTT broker is not available")),
        // Rights may be given and passwords put right while the notification waits.
        Some(4) => Err(later("the MQTT broker does not know this user name and password")),
        Some(5) => Err(later("the MQTT broker does not let us in")),
        _ => Err(later("what answers is no MQTT broker")),
    }
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, kind: u8, packet: &[u8]) -> Result<(), DeliveryError> {
    let mut bytes = vec![kind];
    let mut length = packet.len();
    loop {
        let low = (length % 128) as u8;
        length /= 128;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(packet);
    stream.write_all(&bytes).await.map_err(|error| broken(&error))?;
    stream.flush().await.map_err(|error| broken(&error))
}

/// The next packet of a kind.
async fn wait_for<S: AsyncRead + Unpin>(stream: &mut S, wanted: u8) -> Result<Vec<u8>, DeliveryError> {
    for _ in 0..STRANGE_PACKETS_MAX {
        let kind = stream.read_u8().await.map_err(|error| broken(&error))?;
        let mut packet = vec![0; length(stream).await?];
        stream.read_exact(&mut packet).await.map_err(|error| broken(&error))?;
        if kind & 0xf0 == wanted {
            return Ok(packet);
        }
    }
    Err(later("what answers is no MQTT broker"))
}

/// A length in up to four bytes of seven bits.
async fn length<S: AsyncRead + Unpin>(stream: &mut S) -> Result<usize, DeliveryError> {
    let mut length = 0;
    for place in 0..4 {
        let byte = stream.read_u8().await.map_err(|error| broken(&error))?;
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return if length <= PACKET_BYTES_MAX {
                Ok(length)
            } else {
                Err(later(format!("a packet of the MQTT broker has more than {PACKET_BYTES_MAX} bytes")))
            };
        }
    }
    Err(later("what answers is no MQTT broker"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lengths() {
        for size in [0, 1, 127, 128, 16_383, 16_384, 70_000] {
            let mut bytes = Vec::new();
            send(&mut bytes, CONNECT, &vec![0; size]).await.unwrap();
            let read = length(&mut bytes.get(1..).unwrap()).await;
            assert_eq!(read.ok(), (size <= PACKET_BYTES_MAX).then_some(size));
        }
        assert!(length(&mut [0xff; 4].as_slice()).await.is_err());
    }

    #[tokio::test]
    async fn garbage_is_no_broker() {
        for bytes in [b"HTTP/1.1 400 Bad Request\r\n\r\n".as_slice(), &[0x20], &[], &[0x40, 0x80, 0x80, 0x80, 0x80]] {
            assert!(matches!(wait_for(&mut { bytes }, CONNACK).await, Err(DeliveryError::Later { .. })), "{bytes:?}");
        }
    }
}
