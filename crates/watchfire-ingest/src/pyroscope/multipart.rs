//! Forms with files, as far as profiles come in them: the boundary, and the parts by their names. Nothing of a part is copied.

use memchr::memmem;

use super::DecodeError;

/// More parts than this has no form of ours.
const PARTS_MAX: usize = 16;

/// The boundary of a form, if the body is one.
pub(super) fn boundary(content_type: &str) -> Option<String> {
    let (media, parameters) = content_type.split_once(';')?;
    if !media.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let value = parameters.split(';').find_map(|p| {
        let (name, value) = p.split_once('=')?;
        name.trim().eq_ignore_ascii_case("boundary").then(|| value.trim().trim_matches('"'))
    })?;
    (!value.is_empty() && value.len() <= 200).then(|| value.to_owned())
}

/// The names of the parts and their content.
pub(super) fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<(&'a str, &'a [u8])>, DecodeError> {
    let broken = || DecodeError::Malformed("the form has no end, or not the boundary that its type names".to_owned());
    let delimiter = format!("--{boundary}");
    let finder = memmem::Finder::new(&delimiter);
    let first = finder.find(body).ok_or_else(broken)?;
    let mut rest = body.get(first + delimiter.len()..).unwrap_or_default();
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        rest = rest.strip_prefix(b"\r\n").or_else(|| rest.strip_prefix(b"\n")).ok_or_else(broken)?;
        let end = finder.find(rest).ok_or_else(broken)?;
        let (part, after) = rest.split_at(end);
        rest = after.get(delimiter.len()..).unwrap_or_default();
        let part = part.strip_suffix(b"\r\n").or_else(|| part.strip_suffix(b"\n")).unwrap_or(part);
        if parts.len() >= PARTS_MAX {
            return Err(DecodeError::TooMany("16 parts of a form"));
        }
        let (head, content) = memmem::find(part, b"\r\n\r\n").map_or_else(|| (part, &part[part.len()..]), |at| (&part[..at], &part[at + 4..]));
        parts.push((name_of(head), content));
    }
    Ok(parts)
}

/// The name in `Content-Disposition: form-data; name="profile"; …`.
fn name_of(head: &[u8]) -> &str {
    let head = std::str::from_utf8(head).unwrap_or("");
    let line = head.lines().find(|line| line.get(..20).is_some_and(|start| start.eq_ignore_ascii_case("content-disposition:")));
    let values = line.unwrap_or("").split(';').filter_map(|p| p.trim().strip_prefix("name="));
    values.map(|value| value.trim_matches('"')).next().unwrap_or("")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_have_names() {
        let body = b"--b\r\nContent-Disposition: form-data; name=\"profile\"; filename=\"p.pprof\"\r\nContent-Type: x\r\n\r\n\x1f\x8b\r\n--b\r\ncontent-disposition: form-data; name=\"sample_type_config\"\r\n\r\n{}\r\n--b--\r\n";
        assert_eq!(parts(body, "b").unwrap(), [("profile", &b"\x1f\x8b"[..]), ("sample_type_config", b"{}")]);
        assert!(parts(body, "c").is_err() && parts(&body[..60], "b").is_err());
        assert_eq!(boundary("multipart/form-data; boundary=\"b\"").as_deref(), Some("b"));
        assert_eq!([boundary("multipart/form-data"), boundary("text/plain; boundary=b"), boundary("multipart/form-data; boundary=")], [None, None, None]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parts_or_not(body in prop::collection::vec(prop::sample::select(b"-b\r\n:x;=\"".to_vec()), 0..80)) {
            drop(parts(&body, "b"));
        }
    }
}
