//! Which headers pass. Towards an upstream only those that say something about the request itself; back to the caller everything
//! but what belongs to one connection or one site.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// What passes to an upstream. Who the caller is, where it thinks it calls, and by which way it came are not among it.
const TO_UPSTREAM: [&str; 9] =
    ["accept", "accept-language", "content-type", "idempotency-key", "openai-beta", "traceparent", "tracestate", "user-agent", "x-request-id"];

/// What does not come back.
const NOT_BACK: [&str; 18] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "proxy-status",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "set-cookie",
    "www-authenticate",
    "alt-svc",
    "strict-transport-security",
    "server",
    "date",
    "via",
    "location",
];

/// How this gateway signs what it passes on, so that it knows a request that comes back to it (RFC 9110, 7.6.3).
pub(in crate::gateway) struct Signature(HeaderValue);

impl Signature {
    /// One that no other gateway has.
    pub(in crate::gateway) fn new() -> Signature {
        let mut bytes = [0; 8];
        // Without randomness, two gateways in a row would be taken for one: nothing worse.
        getrandom::fill(&mut bytes).unwrap_or_default();
        let text = format!("1.1 watchfire-{:016x}", u64::from_le_bytes(bytes));
        Signature(HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("1.1 watchfire")))
    }
    /// Whether a request has been here before.
    pub(in crate::gateway) fn is_on(&self, headers: &HeaderMap) -> bool {
        let hops = headers.get_all(header::VIA).iter().flat_map(|v| v.as_bytes().split(|b| *b == b','));
        hops.map(<[u8]>::trim_ascii).any(|hop| hop == self.0.as_bytes())
    }
}

/// The headers that a request takes along.
pub(in crate::gateway) fn to_upstream(headers: &HeaderMap, signature: &Signature) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for name in TO_UPSTREAM {
        for value in headers.get_all(name) {
            passed.append(HeaderName::from_static(name), value.clone());
        }
    }
    // What is packed could not be read on its way.
    passed.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    for hop in headers.get_all(header::VIA) {
        passed.append(header::VIA, hop.clone());
    }
    passed.append(header::VIA, signature.0.clone());
    passed
}

/// The headers that an answer brings back.
pub(in crate::gateway) fn to_caller(headers: &HeaderMap) -> HeaderMap {
    let named = headers.get_all(header::CONNECTION).iter().filter_map(|v| v.to_str().ok());
    let of_connection: Vec<String> = named.flat_map(|v| v.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
    let mut passed = HeaderMap::new();
    for (name, value) in headers {
        let word = name.as_str();
        let stays = NOT_BACK.contains(&word) || word.starts_with("access-control-") || of_connection.iter().any(|n| n == word);
        if !stays {
            passed.append(name.clone(), value.clone());
        }
    }
    passed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(n, v)| (HeaderName::from_static(n), HeaderValue::from_static(v))).collect()
    }

    #[test]
    fn r58_nothing_of_the_caller_or_its_way_reaches_an_upstream() {
        let asked = headers(&[
            ("host", "evil.example"),
            ("authorization", "Bearer canary"),
            ("api-key", "canary"),
            ("x-api-key", "canary"),
            ("cookie", "canary"),
            ("x-forwarded-for", "1.2.3.4"),
            ("x-forwarded-host", "evil"),
            ("forwarded", "for=1"),
            ("proxy-authorization", "canary"),
            ("proxy-connection", "x"),
            ("connection", "x"),
            ("content-length", "7"),
            ("transfer-encoding", "chunked"),
            ("accept-encoding", "br"),
            ("openai-organization", "canary"),
            ("content-type", "application/json"),
            ("user-agent", "OpenAI/Python"),
        ]);
        let passed = to_upstream(&asked, &Signature::new());
        let names: Vec<&str> = passed.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "user-agent", "accept-encoding", "via"]);
        assert_eq!(passed["accept-encoding"], "identity");
    }

    #[test]
    fn a_request_that_comes_back_is_known_by_its_signature() {
        let (here, elsewhere) = (Signature::new(), Signature::new());
        let once = to_upstream(&headers(&[("via", "1.0 fred, 1.1 p.example")]), &elsewhere);
        assert!(elsewhere.is_on(&once) && !here.is_on(&once));
        let twice = to_upstream(&once, &here);
        assert!(elsewhere.is_on(&twice) && here.is_on(&twice));
        // Proxies may write all hops into one header.
        let joined = twice.get_all("via").iter().filter_map(|v| v.to_str().ok()).collect::<Vec<_>>().join(" ,");
        let joined: HeaderMap = [(header::VIA, HeaderValue::from_str(&joined).unwrap())].into_iter().collect();
        assert!(elsewhere.is_on(&joined) && here.is_on(&joined));
    }

    #[test]
    fn what_belongs_to_one_connection_does_not_come_back() {
        let answered = headers(&[
            ("connection", "close, X-Hop"),
            ("x-hop", "1"),
            ("set-cookie", "a=b"),
            ("access-control-allow-origin", "*"),
            ("transfer-encoding", "chunked"),
            ("content-type", "text/event-stream"),
            ("x-ratelimit-remaining-requests", "9"),
            ("content-length", "12"),
        ]);
        let back = to_caller(&answered);
        let names: Vec<&str> = back.keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["content-type", "x-ratelimit-remaining-requests", "content-length"]);
    }
}
