//! The prober `tcp`: connections, conversations, TLS from the beginning and on request.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use watchfire_net::secret::Secret;
use watchfire_net::tls::server_config;

use super::super::tests::{OF_SCRAPING, has, modules, probe, series};

pub(in crate::probe) fn acceptor() -> tokio_rustls::TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let config = server_config(&Secret::new(made.cert.pem()), &Secret::new(made.signing_key.serialize_pem())).unwrap();
    tokio_rustls::TlsAcceptor::from(Arc::new(config))
}

/// Greets like a mail server and offers encryption.
async fn mail(listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(b"noise\r\n220 mail.example ESMTP ready\r\n").await.unwrap();
        let mut heard = String::new();
        while stream.read_line(&mut heard).await.is_ok_and(|n| n > 0) && !heard.contains("STARTTLS") {
            stream.write_all(b"250-mail.example\r\n250 STARTTLS\r\n").await.unwrap();
        }
        if heard.contains("STARTTLS") {
            stream.write_all(b"220 go\r\n").await.unwrap();
            if let Ok(stream) = acceptor.accept(stream.into_inner()).await {
                talk(BufReader::new(stream)).await;
            }
        }
    }
}

async fn talk(mut stream: BufReader<impl AsyncRead + AsyncWrite + Unpin>) {
    let mut heard = String::new();
    if stream.read_line(&mut heard).await.is_ok_and(|n| n > 0) {
        drop(stream.write_all(format!("heard {heard}").as_bytes()).await);
    }
}

async fn listening() -> (SocketAddr, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    (listener.local_addr().unwrap(), listener)
}

async fn outcome(address: SocketAddr, options: &str) -> (bool, String) {
    let text = probe(&format!("modules: {{m: {{prober: tcp, timeout: 5s, tcp: {{{options}}}}}}}"), &address.to_string()).await;
    (has(&text, "probe_success 1"), text)
}

#[tokio::test]
async fn prb_10_a_port_that_takes_connections_passes() {
    let (address, listener) = listening().await;
    let (good, text) = outcome(address, "").await;
    assert!(good && has(&text, "probe_failed_due_to_regex 0") && has(&text, "probe_ip_protocol 4"), "{text}");
    drop(listener);
    assert!(!outcome(address, "").await.0);
    assert!(!outcome(address, "preferred_ip_protocol: ip6, ip_protocol_fallback: false").await.0);
}

#[tokio::test]
async fn prb_07_tls_is_checked_and_told() {
    let (address, listener) = listening().await;
    let acceptor = acceptor();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                talk(BufReader::new(stream)).await;
            }
        }
    });
    assert!(!outcome(address, "tls: true").await.0, "nobody vouches for the certificate");
    let anybody = "tls: true, tls_config: {insecure_skip_verify: true}";
    let (good, text) = outcome(address, anybody).await;
    assert!(good && has(&text, "probe_tls_version_info{version=\"TLS 1.3\"} 1"), "{text}");
    assert!(text.contains("probe_ssl_last_chain_info{") && text.contains("subjectalternative=\"localhost\""), "{text}");
    assert!(has(&text, "probe_ssl_last_chain_expiry_timestamp_seconds -6.21355968e+10"), "{text}");
    let talked = format!("{anybody}, query_response: [{{send: hello}}, {{expect: '^heard hello'}}]");
    assert!(outcome(address, &talked).await.0);
}

#[tokio::test]
async fn a_conversation_goes_step_by_step() {
    let (address, listener) = listening().await;
    tokio::spawn(mail(listener, acceptor()));
    let greeting = "{expect: '^220 ([^ ]+) ESMTP', labels: [{name: server, value: '${1}'}]}";
    let steps = format!(
        "tls_config: {{insecure_skip_verify: true}}, query_response: [{greeting}, {{send: 'EHLO ${{1}}'}}, {{expect: '^250 STARTTLS'}}, {{send: STARTTLS}}, {{expect: '^220'}}, {{starttls: true}}, {{send: secret}}, {{expect: '^heard secret$'}}]"
    );
    let (good, text) = outcome(address, &steps).await;
    assert!(good && has(&text, "probe_expect_info{server=\"mail.example\"} 1") && text.contains("probe_ssl_earliest_cert_expiry"), "{text}");
    let module = format!("modules: {{m: {{prober: tcp, tcp: {{{steps}}}}}}}");
    assert_eq!(series(&text) + OF_SCRAPING, modules(&module).list["m"].series_max(), "{text}");
    let (good, text) = outcome(address, "query_response: [{expect: '^220'}, {send: x}, {expect: '^999'}]").await;
    assert!(!good, "the server says other things until the time is over: {text}");
    let (address, listener) = listening().await;
    tokio::spawn(async move { drop(listener.accept().await.unwrap().0.write_all(b"x\n").await) });
    let (good, text) = outcome(address, "query_response: [{expect: '^y'}]").await;
    assert!(!good && has(&text, "probe_failed_due_to_regex 1"), "{text}");
}
