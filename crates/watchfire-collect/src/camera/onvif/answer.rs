//! One answer to a search: what the device says of itself, if it says that it sends video. Bytes come from strangers: what is read is
//! bounded, and what is shown has no characters that change a page or a file.

use url::Url;
use watchfire_model::text::cut;

use crate::xml::{Event, events};

/// Bytes of a text that is shown.
const SHOWN_BYTES_MAX: usize = 128;
/// Scopes and addresses of one device that are looked at.
const WORDS_MAX: usize = 64;
/// Where scopes of cameras begin.
const SCOPES: &str = "onvif://www.onvif.org/";

/// What a device says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// What it calls itself.
    pub name: Option<String>,
    /// The model.
    pub hardware: Option<String>,
    /// Where it hangs.
    pub location: Option<String>,
    /// Its pages for programs.
    pub services: Vec<Url>,
}

/// Reads an answer to our question; the first device in it that sends video.
pub fn read(bytes: &[u8], question: &str) -> Option<Device> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (mut open, mut ours, mut found): (Vec<&str>, bool, Option<Device>) = (Vec::new(), false, None);
    let (mut types, mut scopes, mut services) = (String::new(), String::new(), String::new());
    for event in events(text) {
        match event {
            Event::Begin(name) => open.push(local(name)),
            Event::Text(words) => match open.as_slice() {
                [.., "Header", "RelatesTo"] => ours |= words.to_ascii_lowercase().ends_with(question),
                [.., "ProbeMatch", "Types"] => types = plain(words),
                [.., "ProbeMatch", "Scopes"] => scopes = plain(words),
                [.., "ProbeMatch", "XAddrs"] => services = plain(words),
                _ => {}
            },
            Event::End(_) => {
                if open.pop() == Some("ProbeMatch") {
                    found = found.or_else(|| device(&types, &scopes, &services));
                    [&mut types, &mut scopes, &mut services].into_iter().for_each(|text| text.clear());
                }
            }
        }
    }
    found.filter(|_| ours)
}

fn device(types: &str, scopes: &str, services: &str) -> Option<Device> {
    let video = types.split_ascii_whitespace().any(|one| local(one) == "NetworkVideoTransmitter");
    let scopes: Vec<(&str, String)> = scopes.split_ascii_whitespace().take(WORDS_MAX).filter_map(scope).collect();
    let says = |kind: &str, value: &str| scopes.iter().any(|(known, said)| *known == kind && said.eq_ignore_ascii_case(value));
    if !video && !says("type", "video_encoder") && !says("type", "Network_Video_Transmitter") {
        return None;
    }
    let of = |kind: &str| scopes.iter().find(|(known, said)| *known == kind && !said.is_empty()).map(|(_, said)| said.clone());
    let services = services.split_ascii_whitespace().take(WORDS_MAX).filter_map(|text| Url::parse(text).ok());
    let services = services.filter(|url| matches!(url.scheme(), "http" | "https"));
    Some(Device { name: of("name"), hardware: of("hardware"), location: of("location"), services: services.collect() })
}

/// `onvif://www.onvif.org/name/Front%20door` is `name` and `Front door`.
fn scope(text: &str) -> Option<(&str, String)> {
    let (kind, value) = text.strip_prefix(SCOPES)?.split_once('/')?;
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8_lossy();
    // Some write `location/country/germany`, some fill names with underscores.
    Some((kind, shown(&decoded.replace('_', if kind == "type" { "_" } else { " " }))))
}

/// A foreign text as it may be shown: short, of one line, without what turns a line around.
pub(super) fn shown(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    let clean: String = text.chars().filter(|c| !c.is_control() && !turns(*c)).collect();
    cut(clean.trim(), SHOWN_BYTES_MAX).to_owned()
}

/// The name of an element without its prefix.
fn local(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

/// Text without the five entities of XML.
fn plain(text: &str) -> String {
    [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")].iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}
