//! Lines for `watchfire.yml` that watch a camera that was found. The path is the maker's usual one where it is known; nobody has tried it.

use std::net::Ipv4Addr;

use super::answer::Device;

/// What names of devices have in them, and the path that these makers' manuals give for the first stream.
const PATHS: [(&[&str], &str); 10] = [
    (&["hikvision", "ds-2", "hilook"], "/Streaming/Channels/101"),
    (&["dahua", "amcrest", "ipc-h", "lorex"], "/cam/realmonitor?channel=1&subtype=0"),
    (&["axis"], "/axis-media/media.amp"),
    (&["reolink", "rlc-"], "/h264Preview_01_main"),
    (&["tapo", "tp-link", "vigi"], "/stream1"),
    (&["uniview", "unv", "ipc2", "ipc3"], "/media/video1"),
    (&["hanwha", "samsung", "wisenet"], "/profile2/media.smp"),
    (&["foscam"], "/videoMain"),
    (&["vivotek"], "/live.sdp"),
    (&["bosch"], "/rtsp_tunnel"),
];
/// What is written where the maker is not known.
const UNKNOWN: &str = "/PATH";
/// Characters of an id, without the address.
const ID_CHARS_MAX: usize = 32;

/// The lines.
pub(super) fn snippet(address: Ipv4Addr, device: &Device) -> String {
    let words = [&device.name, &device.hardware].into_iter().flatten().map(String::as_str).collect::<Vec<_>>();
    let known = words.join(" ").to_ascii_lowercase();
    let path = PATHS.iter().find(|(names, _)| names.iter().any(|name| known.contains(name))).map(|(_, path)| *path);
    let hint = match path {
        Some(_) => "the maker's usual path; its manual has others",
        None => "PATH is in the camera's manual",
    };
    let id = id(words.first().copied().unwrap_or("camera"), address);
    let name = words.first().map(|name| format!("    name: {}\n", quoted(name))).unwrap_or_default();
    let url = format!("rtsp://{address}{}", path.unwrap_or(UNKNOWN));
    format!("cameras:\n  - id: {id}\n{name}    url: {}  # {hint}\n    username: USER\n    password_file: {id}.password\n", quoted(&url))
}

/// Letters, digits and hyphens, and the address, which tells two of a kind apart.
fn id(name: &str, address: Ipv4Addr) -> String {
    let mut id = String::new();
    for c in name.to_ascii_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }) {
        if id.len() < ID_CHARS_MAX && !(c == '-' && (id.is_empty() || id.ends_with('-'))) {
            id.push(c);
        }
    }
    let id = id.trim_end_matches('-');
    format!("{}-{}", if id.is_empty() { "camera" } else { id }, address.to_string().replace('.', "-"))
}

/// YAML reads what stands between double quotes as JSON does.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
