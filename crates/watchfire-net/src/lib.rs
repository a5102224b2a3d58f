//! What crosses a socket and is no protocol: HTTP client, listeners with limits, TLS, secrets, backoff, bounded
//! decompression, outgoing-address policy. Nobody else opens a connection. It knows no route, no metric format and no store.
