//! Who we say we are, as RTSP takes it over from HTTP: Basic (RFC 7617) and Digest (RFC 7616). A camera that offers both gets Digest, in
//! which the password does not travel.

use base64::Engine;
use md5::{Digest as _, Md5};
use sha2::{Digest as _, Sha256};
use watchfire_net::secret::Secret;

/// Bytes of a challenge that are read.
const CHALLENGE_BYTES_MAX: usize = 4 << 10;

/// What a camera asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// The password as it is.
    Basic,
    /// A proof of the password.
    Digest {
        /// For what the password is.
        realm: String,
        /// The camera's number.
        nonce: String,
        /// What is to be handed back.
        opaque: Option<String>,
        /// How the proof is made.
        algorithm: Algorithm,
        /// The algorithm as the camera spells it, if it does.
        spelt: Option<String>,
        /// Whether our requests are counted in the proof.
        counted: bool,
    },
}

/// How proofs are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// MD5, the usual one.
    Md5,
    /// SHA-256.
    Sha256,
}
impl Algorithm {
    fn hash(self, text: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
        match self {
            Algorithm::Md5 => hex(&Md5::digest(text.as_bytes())),
            Algorithm::Sha256 => hex(&Sha256::digest(text.as_bytes())),
        }
    }
}

/// The best of what the headers `WWW-Authenticate` offer.
pub fn choose<'a>(offers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let mut found: Vec<Challenge> = offers.filter(|text| text.len() <= CHALLENGE_BYTES_MAX).filter_map(read).collect();
    let strength = |challenge: &Challenge| match challenge {
        Challenge::Digest { algorithm: Algorithm::Sha256, .. } => 0,
        Challenge::Digest { .. } => 1,
        Challenge::Basic => 2,
    };
    let at = (0..found.len()).min_by_key(|at| strength(&found[*at]))?;
    Some(found.swap_remove(at))
}

fn read(offer: &str) -> Option<Challenge> {
    let (scheme, rest) = offer.trim().split_once(' ').unwrap_or((offer.trim(), ""));
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("digest") {
        return None;
    }
    let parameters = parameters(rest);
    let get = |name: &str| parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let spelt = get("algorithm");
    let algorithm = match spelt.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("MD5") => Algorithm::Md5,
        Some("SHA-256") => Algorithm::Sha256,
        Some(_) => return None,
    };
    let counted = get("qop").is_some_and(|offered| offered.split(',').any(|word| word.trim().eq_ignore_ascii_case("auth")));
    Some(Challenge::Digest { realm: get("realm")?, nonce: get("nonce")?, opaque: get("opaque"), algorithm, spelt, counted })
}

/// `name="value", name=value`; commas within quotation marks do not divide.
fn parameters(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let (mut part, mut quoted, mut escaped) = (String::new(), false, false);
    for c in text.chars().chain([',']) {
        match c {
            _ if escaped => {
                part.push(c);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                if let Some((name, value)) = part.split_once('=') {
                    found.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
                }
                part.clear();
            }
            _ => part.push(c),
        }
    }
    found
}

/// The header `Authorization` of one request; `count` is how often this challenge has been answered, from 1.
pub fn answer(challenge: &Challenge, (user, password): (&Secret, &Secret), (method, url): (&str, &str), count: u32) -> Secret {
    let (user, password) = (user.expose(), password.expose());
    let Challenge::Digest { realm, nonce, opaque, algorithm, spelt, counted } = challenge else {
        return Secret::new(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))));
    };
    let whom = algorithm.hash(&format!("{user}:{realm}:{password}"));
    let what = algorithm.hash(&format!("{method}:{url}"));
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = format!("Digest username=\"{}\", realm=\"{}\", nonce=\"{}\", uri=\"{url}\"", quoted(user), quoted(realm), quoted(nonce));
    if *counted {
        // Our own number only has to differ from request to request.
        let (ours, count) = (algorithm.hash(&format!("{whom}:{nonce}:{count}")), format!("{count:08x}"));
        let proof = algorithm.hash(&format!("{whom}:{nonce}:{count}:{ours}:auth:{what}"));
        text.push_str(&format!(", response=\"{proof}\", qop=auth, nc={count}, cnonce=\"{ours}\""));
    } else {
        let proof = algorithm.hash(&format!("{whom}:{nonce}:{what}"));
        text.push_str(&format!(", response=\"{proof}\""));
    }
    if let Some(opaque) = opaque {
        text.push_str(&format!(", opaque=\"{}\"", quoted(opaque)));
    }
    if let Some(spelt) = spelt {
        text.push_str(&format!(", algorithm={spelt}"));
    }
    Secret::new(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(header: &Secret, name: &str) -> Option<String> {
        let text = header.expose().strip_prefix("Digest ").unwrap();
        parameters(text).into_iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    #[test]
    fn the_strongest_offer_is_taken() {
        let digest = "Digest realm=\"a, b\", nonce=\"n\", algorithm=MD5";
        let chosen = |offers: &[&str]| choose(offers.iter().copied());
        assert_eq!(chosen(&["Basic realm=\"x\""]), Some(Challenge::Basic));
        let Some(Challenge::Digest { realm, algorithm, counted, .. }) = chosen(&["basic realm=x", digest]) else { panic!() };
        assert_eq!((realm.as_str(), algorithm, counted), ("a, b", Algorithm::Md5, false));
        let strong = "DIGEST realm=\"a\", nonce=\"n\", algorithm=SHA-256, qop=\"auth-int,auth\"";
        assert!(matches!(chosen(&[digest, strong]), Some(Challenge::Digest { algorithm: Algorithm::Sha256, counted: true, .. })));
        assert_eq!(chosen(&["Negotiate", "Digest realm=\"no nonce\"", "Digest realm=a, nonce=b, algorithm=MD5-sess"]), None);
    }

    /// The proof for the example of RFC 2069 as its errata give it, and that of RFC 2617 with a count.
    #[test]
    fn proofs_of_the_standards() {
        let offer = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let challenge = choose([offer].into_iter()).unwrap();
        let user = (&Secret::new("Mufasa"), &Secret::new("CircleOfLife"));
        let header = answer(&challenge, user, ("GET", "/dir/index.html"), 1);
        assert_eq!(part(&header, "response").as_deref(), Some("1949323746fe6a43ef61f9606e7febea"));
        assert_eq!(part(&header, "opaque").as_deref(), Some("5ccc069c403ebaf9f0171e9517f40e41"));
        let counted = choose([format!("{offer}, qop=auth").as_str()].into_iter()).unwrap();
        let header = answer(&counted, user, ("GET", "/dir/index.html"), 1);
        let (ours, what) = (part(&header, "cnonce").unwrap(), "39aff3a2bab6126f332b942af96d3366");
        let proof = Algorithm::Md5.hash(&format!("4945ecf42b1bb868634058a845bedde8:dcd98b7102dd2f0e8b11d0f600bfb0c093:00000001:{ours}:auth:{what}"));
        assert_eq!((part(&header, "response"), part(&header, "nc").as_deref()), (Some(proof), Some("00000001")));
        assert_ne!(part(&answer(&counted, user, ("GET", "/dir/index.html"), 2), "cnonce"), Some(ours));
    }

    #[test]
    fn basic_as_everywhere() {
        let header = answer(&Challenge::Basic, (&Secret::new("Aladdin"), &Secret::new("open sesame")), ("GET", "/"), 1);
        assert_eq!(header.expose(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
        assert_eq!(format!("{header:?}"), "<secret>");
    }
}
