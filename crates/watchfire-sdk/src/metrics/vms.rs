//! What programs of the pack `vms` record, from its catalog: `cargo run -p watchfire-sdk --example write_names`
//! makes this file. It holds names and labels only.

use super::{Counter, Gauge, Histogram};

/// AI jobs waiting, by kind.
pub const AI_JOBS_QUEUED_TOTAL: Gauge<1> = Gauge("ai_jobs_queued_total", ["job_type"]);

/// AI jobs finished, by kind and outcome.
pub const AI_JOBS_PROCESSED_TOTAL: Counter<2> = Counter("ai_jobs_processed_total", ["job_type", "status"]);

/// Duration of the latest AI job of a kind.
pub const AI_PROCESSING_DURATION_SECONDS: Gauge<1> = Gauge("ai_processing_duration_seconds", ["job_type"]);

/// Share of number plates that are read correctly.
pub const LPR_DETECTION_ACCURACY: Gauge<1> = Gauge("lpr_detection_accuracy", ["camera_id"]);

/// Motion events seen by a camera.
pub const MOTION_EVENTS_DETECTED_TOTAL: Counter<1> = Counter("motion_events_detected_total", ["camera_id"]);

/// HTTP requests answered, by method, endpoint and status code.
pub const HTTP_REQUESTS_TOTAL: Counter<3> = Counter("http_requests_total", ["method", "endpoint", "status"]);

/// Time taken to answer an HTTP request, by method and endpoint.
pub const HTTP_REQUEST_DURATION_SECONDS: Histogram<2> = Histogram("http_request_duration_seconds", ["method", "endpoint"]);

/// Connections open now.
pub const ACTIVE_CONNECTIONS_TOTAL: Gauge<0> = Gauge("active_connections_total", []);

/// WebSocket connections open now.
pub const WEBSOCKET_CONNECTIONS_TOTAL: Gauge<0> = Gauge("websocket_connections_total", []);

/// Tokens that were checked, by result.
pub const JWT_TOKEN_VALIDATIONS_TOTAL: Counter<1> = Counter("jwt_token_validations_total", ["result"]);

/// Time of a database query, by its kind.
pub const DATABASE_QUERY_DURATION_SECONDS: Histogram<1> = Histogram("database_query_duration_seconds", ["query_type"]);

/// Camera connection status (1=up, 0=down)
pub const CAMERA_CONNECTION_STATUS: Gauge<2> = Gauge("camera_connection_status", ["camera_id", "status"]);

/// Current FPS of camera
pub const CAMERA_FPS: Gauge<1> = Gauge("camera_fps", ["camera_id"]);

/// Bits a camera delivers per second.
pub const CAMERA_BITRATE: Gauge<1> = Gauge("camera_bitrate", ["camera_id"]);

/// The same figure as camera_frames_dropped_total, under its older name.
pub const CAMERA_FRAMES_DROPPED: Gauge<1> = Gauge("camera_frames_dropped", ["camera_id"]);

/// Total frames dropped
pub const CAMERA_FRAMES_DROPPED_TOTAL: Counter<1> = Counter("camera_frames_dropped_total", ["camera_id"]);

/// When the latest frame of a camera arrived (Unix time).
pub const CAMERA_LAST_FRAME_TIMESTAMP: Gauge<1> = Gauge("camera_last_frame_timestamp", ["camera_id"]);

/// CPU share of a camera's FFmpeg process.
pub const FFMPEG_PROCESS_CPU_PERCENT: Gauge<1> = Gauge("ffmpeg_process_cpu_percent", ["camera_id"]);

/// Memory of a camera's FFmpeg process.
pub const FFMPEG_PROCESS_MEMORY_MB: Gauge<1> = Gauge("ffmpeg_process_memory_mb", ["camera_id"]);

/// Time since a camera's FFmpeg process was started.
pub const FFMPEG_PROCESS_UPTIME_SECONDS: Gauge<1> = Gauge("ffmpeg_process_uptime_seconds", ["camera_id"]);

/// Times a camera's FFmpeg process was started again.
pub const FFMPEG_PROCESS_RESTARTS_TOTAL: Counter<1> = Counter("ffmpeg_process_restarts_total", ["camera_id"]);

/// Time to process segment
pub const SEGMENT_PROCESSING_SECONDS: Histogram<1> = Histogram("segment_processing_seconds", ["camera_id"]);

/// Streams running now.
pub const ACTIVE_STREAMS_TOTAL: Gauge<0> = Gauge("active_streams_total", []);

/// Viewers of a camera now.
pub const STREAM_VIEWERS_COUNT: Gauge<1> = Gauge("stream_viewers_count", ["camera_id"]);

/// Bits a stream sends per second.
pub const STREAM_BITRATE: Gauge<2> = Gauge("stream_bitrate", ["camera_id", "quality"]);

/// Delay between camera and viewer.
pub const STREAM_LATENCY_MS: Gauge<2> = Gauge("stream_latency_ms", ["camera_id", "protocol"]);

/// WebRTC connections that could not be made.
pub const WEBRTC_CONNECTION_FAILURES_TOTAL: Counter<0> = Counter("webrtc_connection_failures_total", []);

/// WebRTC connections that were tried.
pub const WEBRTC_CONNECTION_ATTEMPTS_TOTAL: Counter<0> = Counter("webrtc_connection_attempts_total", []);

/// The same figure as webrtc_connection_attempts_total under its second spelling.
pub const WEBRTC_CONNECTIONS_ATTEMPTS_TOTAL: Counter<0> = Counter("webrtc_connections_attempts_total", []);

/// WebRTC connections that were made.
pub const WEBRTC_CONNECTIONS_SUCCESS_TOTAL: Counter<0> = Counter("webrtc_connections_success_total", []);

/// Bytes sent to viewers.
pub const STREAM_BYTES_SENT_TOTAL: Counter<0> = Counter("stream_bytes_sent_total", []);

/// HLS playlists handed out.
pub const HLS_PLAYLIST_REQUESTS_TOTAL: Counter<0> = Counter("hls_playlist_requests_total", []);
