//! The prober `dns`: questions and answers over UDP and TCP, rules for records, and messages that no honest server sends.

use std::net::SocketAddr;

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use super::super::tests::{OF_SCRAPING, has, modules, probe, series};
use super::message::{Message, MessageError, encode_name};

/// The answer to a question: its records, each a type and its data; names may point to the question's (offset 12).
fn answer(question: &[u8], rcode: u8, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = question.to_vec();
    bytes[2] |= 0x80;
    bytes[3] = rcode;
    bytes[7] = records.len() as u8;
    for (kind, data) in records {
        bytes.extend([0xc0, 12]);
        bytes.extend(kind.to_be_bytes());
        bytes.extend([0, 1, 0, 0, 0, 60]);
        bytes.extend((data.len() as u16).to_be_bytes());
        bytes.extend(data);
    }
    bytes
}

fn soa() -> Vec<u8> {
    let mut data = encode_name("ns.example").unwrap();
    data.extend(encode_name("hostmaster.example").unwrap());
    for n in [2024u32, 1, 2, 3, 4] {
        data.extend(n.to_be_bytes());
    }
    data
}

fn records_of(question: &[u8]) -> Vec<(u16, Vec<u8>)> {
    let kind = u16::from_be_bytes([question[question.len() - 4], question[question.len() - 3]]);
    match kind {
        1 => vec![(1, vec![10, 0, 0, 1]), (1, vec![10, 0, 0, 2])],
        6 => vec![(6, soa())],
        _ => Vec::new(),
    }
}

/// A name server; over UDP it first says something that nobody asked for.
async fn server(rcode: u8) -> SocketAddr {
    // The port of one kind may be somebody's of the other.
    let (udp, tcp, address) = loop {
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = udp.local_addr().unwrap();
        if let Ok(tcp) = TcpListener::bind(address).await {
            break (udp, tcp, address);
        }
    };
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, peer) = udp.recv_from(&mut buffer).await.unwrap();
            let question = &buffer[..length];
            let mut stray = answer(question, 0, &[]);
            stray[0] ^= 0xff;
            udp.send_to(&stray, peer).await.unwrap();
            udp.send_to(&answer(question, rcode, &records_of(question)), peer).await.unwrap();
        }
    });
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let length = stream.read_u16().await.unwrap();
            let mut question = vec![0; usize::from(length)];
            stream.read_exact(&mut question).await.unwrap();
            let said = answer(&question, rcode, &records_of(&question));
            stream.write_u16(said.len() as u16).await.unwrap();
            stream.write_all(&said).await.unwrap();
        }
    });
    address
}

async fn outcome(rcode: u8, options: &str) -> (bool, String) {
    let address = server(rcode).await;
    let text = probe(&format!("modules: {{m: {{prober: dns, timeout: 5s, dns: {{query_name: camera.example, {options}}}}}}}"), &address.to_string()).await;
    (has(&text, "probe_success 1"), text)
}

#[tokio::test]
async fn prb_02_a_name_is_asked_for() {
    for transport in ["udp", "tcp"] {
        let (good, text) = outcome(0, &format!("query_type: A, transport_protocol: {transport}")).await;
        assert!(good && has(&text, "probe_dns_answer_rrs 2") && has(&text, "probe_dns_query_succeeded 1"), "{text}");
        for phase in ["resolve", "connect", "request"] {
            assert!(text.contains(&format!("probe_dns_duration_seconds{{phase=\"{phase}\"}}")), "{text}");
        }
    }
    let (good, text) = outcome(0, "query_type: SOA").await;
    assert!(good && has(&text, "probe_dns_serial 2024"), "{text}");
    let most = modules("modules: {m: {prober: dns, dns: {query_name: x}}}").list["m"].series_max();
    assert_eq!(series(&text) + OF_SCRAPING, most, "{text}");
    assert!(!outcome(3, "query_type: A").await.0);
    assert!(outcome(3, "query_type: A, valid_rcodes: [NXDOMAIN]").await.0);
}

#[tokio::test]
async fn records_must_follow_the_rules() {
    let rule = |name: &str, expression: &str| format!("query_type: A, validate_answer_rrs: {{{name}: ['{expression}']}}");
    let (one, both, none) = ("10\\.0\\.0\\.1", "camera\\.example\\.\\t60\\tIN\\tA\\t10\\.0\\.0", "192");
    for (name, expression, expected) in [
        ("fail_if_matches_regexp", one, false),
        ("fail_if_matches_regexp", none, true),
        ("fail_if_all_match_regexp", both, true),
        ("fail_if_all_match_regexp", one, false),
        ("fail_if_not_matches_regexp", both, true),
        ("fail_if_not_matches_regexp", one, false),
        ("fail_if_none_matches_regexp", one, true),
        ("fail_if_none_matches_regexp", none, false),
    ] {
        let (good, text) = outcome(0, &rule(name, expression)).await;
        assert_eq!(good, expected, "{name} {expression}: {text}");
    }
    assert!(!outcome(0, "query_type: A, validate_authority_rrs: {fail_if_not_matches_regexp: [x]}").await.0, "there are none");
}

#[test]
fn records_read_like_lines_of_a_zone() {
    let question = super::message::Question { id: 7, name: "camera.example", kind: 1, class: 1, recursion: true }.encode().unwrap();
    let mail = [vec![0, 10], vec![0xc0, 12]].concat();
    let kinds = [
        (1, vec![10, 0, 0, 1], "A\t10.0.0.1"),
        (28, [vec![0xfe, 0x80], vec![0; 13], vec![1]].concat(), "AAAA\tfe80::1"),
        (5, vec![1, b'x', 0xc0, 12], "CNAME\tx.camera.example."),
        (15, mail, "MX\t10 camera.example."),
        (16, vec![2, b'a', b'"', 1, 7], "TXT\t\"a\\\"\" \"\\007\""),
        (6, soa(), "SOA\tns.example. hostmaster.example. 2024 1 2 3 4"),
        (33, [vec![0, 1, 0, 2, 0, 3], vec![0]].concat(), "SRV\t1 2 3 ."),
        (257, [vec![0, 5], b"issueca".to_vec()].concat(), "CAA\t0 issue \"ca\""),
        (9_999, vec![1, 0xab], "TYPE9999\t\\# 2 01ab"),
    ];
    for (kind, data, expected) in kinds {
        let message = Message::read(&answer(&question, 0, &[(kind, data)])).unwrap();
        assert_eq!(message.answers[0].text, format!("camera.example.\t60\tIN\t{expected}"));
    }
}

#[test]
fn names_that_circle_or_end_early_are_refused() {
    let header = |questions: u8| vec![0, 1, 0x80, 0, 0, questions, 0, 0, 0, 0, 0, 0];
    for (name, expected) in [
        (vec![0xc0, 12], MessageError::Name),
        (vec![0xc0, 40], MessageError::Name),
        (vec![0x80, 0], MessageError::Name),
        (vec![5, b'a'], MessageError::Short),
        ([[63; 64].repeat(20), vec![0]].concat(), MessageError::Name),
    ] {
        assert_eq!(Message::read(&[header(1), name].concat()), Err(expected));
    }
    assert_eq!(Message::read(&[0, 1, 0x80, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0]), Err(MessageError::TooMany));
    assert!(encode_name(&"a".repeat(64)).is_err() && encode_name("a..b").is_err() && encode_name(&"ab.".repeat(100)).is_err());
    assert_eq!((encode_name("").unwrap(), encode_name(".").unwrap()), (vec![0], vec![0]));
}

proptest! {
    #[test]
    fn any_bytes_are_survived(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(Message::read(&bytes));
        let mut framed = vec![0, 1, 0x80, 0, 0, 0, 0, 2, 0, 1, 0, 1];
        framed.extend(bytes);
        drop(Message::read(&framed));
    }
}
