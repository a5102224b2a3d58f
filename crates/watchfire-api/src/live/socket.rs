//! One WebSocket connection: sends what the hub gives, answers what the client says, and ends with a reason. It never
//! waits for a client longer than it must.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message as Frame, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{IntoResponse, Response};

use super::{Listener, listen, messages};
use crate::app::App;
use crate::server::Refusal;

/// The largest message from a client, in bytes.
const INCOMING_BYTES_MAX: usize = 64 << 10;
/// The largest message to a client, in bytes.
const WRITE_BUFFER_BYTES_MAX: usize = 1 << 20;
/// How often the connection is tried.
const PING_EVERY: Duration = Duration::from_secs(30);
/// A client that says nothing at all (not even pong) for so long is gone.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// A client that takes longer to read one message is dropped.
const SEND_MAX: Duration = Duration::from_secs(10);

/// `GET /ws/system` with an upgrade.
pub(super) async fn connect(State(app): State<Arc<App>>, upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>) -> Response {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return Refusal::bad_request(rejection.body_text()).into_response(),
    };
    let Some(listener) = listen(&app) else {
        return Refusal::unavailable("too many listeners", 30).into_response();
    };
    upgrade
        .max_message_size(INCOMING_BYTES_MAX)
        .max_frame_size(INCOMING_BYTES_MAX)
        .write_buffer_size(0)
        .max_write_buffer_size(WRITE_BUFFER_BYTES_MAX)
        .on_upgrade(move |socket| serve(socket, listener))
}

/// Why a connection ends.
enum End {
    /// The client left or broke off.
    Gone,
    /// It reads too slowly.
    Slow,
    /// It said nothing for too long.
    Idle,
}

async fn serve(mut socket: WebSocket, mut listener: Listener) {
    let end = converse(&mut socket, &mut listener).await;
    drop(listener);
    let (code, reason) = match end {
        End::Gone => return,
        End::Slow => (close_code::POLICY, "reads too slowly"),
        End::Idle => (close_code::NORMAL, "idle"),
    };
    let farewell = socket.send(Frame::Close(Some(CloseFrame { code, reason: reason.into() })));
    // The connection ends either way; the farewell is a courtesy.
    if tokio::time::timeout(Duration::from_secs(1), farewell).await.is_err() {
        tracing::debug!("a websocket client did not read its farewell");
    }
}

async fn converse(socket: &mut WebSocket, listener: &mut Listener) -> End {
    for message in std::mem::take(&mut listener.first) {
        if let Err(end) = send(socket, Frame::Text(message.as_ref().into())).await {
            return end;
        }
    }
    let mut ping = tokio::time::interval_at(tokio::time::Instant::now() + PING_EVERY, PING_EVERY);
    let mut heard = tokio::time::Instant::now();
    loop {
        let outgoing = tokio::select! {
            message = listener.messages.recv() => match message {
                Some(message) => Some(Frame::Text(message.as_ref().into())),
                None => return End::Slow,
            },
            frame = socket.recv() => {
                heard = tokio::time::Instant::now();
                match frame {
                    Some(Ok(Frame::Text(text))) => reply(listener, text.as_str()),
                    Some(Ok(Frame::Binary(_))) => Some(Frame::Text(messages::error("invalid_message_format", "only text messages are understood").into())),
                    Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => None,
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => return End::Gone,
                }
            },
            _ = ping.tick() => {
                if heard.elapsed() > IDLE_MAX {
                    return End::Idle;
                }
                Some(Frame::Ping(bytes::Bytes::new()))
            },
        };
        if let Some(frame) = outgoing
            && let Err(end) = send(socket, frame).await
        {
            return end;
        }
    }
}

/// What a client's message is answered with. A resync is answered through the client's own queue.
fn reply(listener: &Listener, text: &str) -> Option<Frame> {
    let app = &listener.app;
    if messages::is_resync(text) {
        app.hub.repeat(listener.id);
    }
    messages::answer(text, app.now()).map(|answer| Frame::Text(answer.into()))
}

async fn send(socket: &mut WebSocket, frame: Frame) -> Result<(), End> {
    match tokio::time::timeout(SEND_MAX, socket.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Slow),
    }
}
