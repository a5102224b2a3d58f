//! Tests of the face of cameras: the shape, and what is null.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::json;
use watchfire_model::camera::{CameraFound, CameraSearch, CameraStatus, StreamServerStatus};
use watchfire_model::time::Timestamp;

use crate::testing::Faces;

fn camera(id: &str, connected: bool, frozen: bool) -> CameraStatus {
    CameraStatus {
        id: id.to_owned(),
        name: format!("Camera {id}"),
        url: "rtsp://10.0.0.5/live".to_owned(),
        transport: "tcp",
        connected,
        frozen,
        codec: connected.then(|| "H264".to_owned()),
        width: connected.then_some(1_920),
        height: connected.then_some(1_080),
        fps: connected.then_some(25.0),
        expected_fps: None,
        bits_per_second: connected.then_some(2e6),
        jitter: connected.then_some(Duration::from_micros(1_500)),
        keyframe_interval: connected.then_some(Duration::from_secs(2)),
        packets: 5,
        packets_lost: 1,
        frames_dropped: 2,
        reconnects: 3,
        last_frame: connected.then_some(Timestamp(1_500)),
        latency: None,
        faults: if frozen { vec!["identical"] } else { Vec::new() },
        picture: frozen,
        error: (!connected).then(|| "the camera closed the connection".to_owned()),
    }
}

#[tokio::test]
async fn cameras_are_listed_with_what_is_known() {
    let faces = Faces::new();
    assert_eq!(faces.get("/api/cameras").await.json()["cameras"], json!([]));
    faces.house.held().cameras = vec![camera("a", true, false), camera("b", true, true), camera("c", false, false)];
    let list = faces.get("/api/cameras").await.json();
    let words: Vec<&str> = list["cameras"].as_array().unwrap().iter().map(|c| c["status"].as_str().unwrap()).collect();
    assert_eq!(words, ["online", "frozen", "offline"]);
    assert_eq!(
        list["cameras"][0],
        json!({
            "id": "a", "name": "Camera a", "status": "online", "url": "rtsp://10.0.0.5/live", "transport": "tcp", "codec": "H264",
            "width": 1920, "height": 1080, "fps": 25.0, "expected_fps": null, "bits_per_second": 2e6, "jitter_ms": 1.5,
            "keyframe_interval_seconds": 2.0, "latency_ms": null, "packets": 5, "packets_lost": 1, "frames_dropped": 2, "reconnects": 3,
            "last_frame_at": "1970-01-01T00:00:01.500Z", "faults": [], "picture": null, "error": null
        })
    );
    assert_eq!((&list["cameras"][2]["fps"], &list["cameras"][2]["error"]), (&json!(null), &json!("the camera closed the connection")));
    assert_eq!((&list["cameras"][1]["faults"], &list["cameras"][1]["picture"]), (&json!(["identical"]), &json!("/api/cameras/b/picture")));
    let picture = faces.get("/api/cameras/b/picture").await;
    assert_eq!(
        (picture.status.as_u16(), picture.headers["content-type"].as_bytes(), picture.body.as_slice()),
        (200, b"image/bmp".as_slice(), b"BM".as_slice())
    );
    assert_eq!((faces.get("/api/cameras/a/picture").await.status.as_u16(), faces.get("/api/cameras/x/picture").await.status.as_u16()), (404, 404));
}

#[tokio::test]
async fn streaming_servers_are_listed_beside_them() {
    let faces = Faces::new();
    faces.house.held().stream_servers = vec![StreamServerStatus {
        name: "media".to_owned(),
        kind: "mediamtx",
        url: "http://mtx:9997/".to_owned(),
        up: false,
        streams: 0,
        viewers: 0,
        error: Some("cannot get it".to_owned()),
    }];
    let list = faces.get("/api/cameras").await.json();
    let expected = json!([{"name": "media", "kind": "mediamtx", "url": "http://mtx:9997/", "up": false, "streams": 0, "viewers": 0, "error": "cannot get it"}]);
    assert_eq!(list["servers"], expected);
}

#[tokio::test]
async fn cameras_are_looked_for_by_administrators_on_request_only() {
    let faces = Faces::new();
    let found = CameraFound {
        address: Ipv4Addr::new(10, 0, 0, 5),
        name: Some("Hall".to_owned()),
        hardware: None,
        location: None,
        service: None,
        watched_as: Some("front".to_owned()),
        snippet: "cameras:\n".to_owned(),
    };
    let search = CameraSearch { found: vec![found], asked_from: vec![Ipv4Addr::LOCALHOST], left_out: 2 };
    faces.house.held().camera_search = search;
    assert_eq!(faces.get("/api/cameras/discover").await.status, 405);
    let answer = faces.post("/api/cameras/discover?seconds=1", "application/json", "").await.json();
    assert_eq!(
        answer["found"],
        json!([{
            "address": "10.0.0.5", "name": "Hall", "hardware": null, "location": null, "service": null, "watched_as": "front", "snippet": "cameras:\n"
        }])
    );
    assert_eq!((&answer["asked_from"], &answer["left_out"]), (&json!(["127.0.0.1"]), &json!(2)));
    for (query, status) in [("?seconds=0", 422), ("?seconds=11", 422), ("?seconds=x", 422), ("?seconds=9", 429), ("?seconds=", 200)] {
        assert_eq!(faces.post(&format!("/api/cameras/discover{query}"), "application/json", "").await.status, status, "{query}");
    }
}
