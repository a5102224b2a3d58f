//! Searches of devices that are made here, and answers that are none.

use proptest::prelude::*;
use tokio::net::UdpSocket;

use super::*;
use crate::camera::config::tests::read_text;

const ID: &str = "0a1b2c3d-0000-4000-a000-000000000001";

/// What cameras answer; prefixes differ from maker to maker.
fn matches(relates_to: &str, inner: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><SOAP-ENV:Envelope xmlns:SOAP-ENV=\"http://www.w3.org/2003/05/soap-envelope\"><SOAP-ENV:Header>\
         <wsa:MessageID>uuid:1</wsa:MessageID><wsa:RelatesTo>{relates_to}</wsa:RelatesTo></SOAP-ENV:Header><SOAP-ENV:Body><d:ProbeMatches>{inner}\
         </d:ProbeMatches></SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )
}

fn one(types: &str, scopes: &str, services: &str) -> String {
    format!(
        "<d:ProbeMatch><wsa:EndpointReference><wsa:Address>urn:uuid:5</wsa:Address></wsa:EndpointReference><d:Types>{types}</d:Types>\
         <d:Scopes>\n{scopes}\n</d:Scopes><d:XAddrs>{services}</d:XAddrs><d:MetadataVersion>1</d:MetadataVersion></d:ProbeMatch>"
    )
}

const SCOPES: &str = "onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/hardware/DS-2CD2042WD onvif://www.onvif.org/name/HIKVISION%20DS-2CD \
                      onvif://www.onvif.org/location/hall";

#[test]
fn answers_and_what_is_none() {
    let good = one("dn:NetworkVideoTransmitter tds:Device", SCOPES, "http://127.0.0.1/onvif/device_service http://[fe80::1]/onvif");
    let related = format!("urn:uuid:{}", ID.to_uppercase());
    let device = answer::read(matches(&related, &good).as_bytes(), ID).unwrap();
    assert_eq!(
        (device.name.as_deref(), device.hardware.as_deref(), device.location.as_deref()),
        (Some("HIKVISION DS-2CD"), Some("DS-2CD2042WD"), Some("hall"))
    );
    assert_eq!(device.services.len(), 2);
    // A type alone will do, and a scope alone.
    let printer = one("wsdp:Device", "ldap:///ou=printers", "http://127.0.0.1/");
    let bare = one("x:NetworkVideoTransmitter", "", "");
    assert_eq!(answer::read(matches(&related, &format!("{printer}{bare}")).as_bytes(), ID), Some(answer::Device::default()));
    assert!(answer::read(matches(&related, &one("", SCOPES, "")).as_bytes(), ID).is_some());
    for (answer, why) in [
        (matches("uuid:another", &good), "another question"),
        (matches(&related, &printer), "a printer"),
        (matches(&related, ""), "no device"),
        (good.clone(), "no envelope"),
        ("<a".to_owned(), "no document"),
    ] {
        assert_eq!(answer::read(answer.as_bytes(), ID), None, "{why}");
    }
    assert_eq!(answer::read(&[0xff, 0xfe], ID), None);
}

#[test]
fn what_strangers_say_changes_no_line() {
    let scopes = "onvif://www.onvif.org/name/a%0A%20%20evil%3A%20%22x%22%20%23%E2%80%AEb onvif://www.onvif.org/type/video_encoder";
    let device = answer::read(matches(ID, &one("", scopes, "ftp://127.0.0.1/ javascript:x")).as_bytes(), ID).unwrap();
    assert_eq!((device.name.as_deref(), device.services.len()), (Some("a  evil: \"x\" #b"), 0));
    let long = format!("onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/{}", "%C3%A4".repeat(1_000));
    let name = answer::read(matches(ID, &one("", &long, "")).as_bytes(), ID).unwrap().name.unwrap();
    assert_eq!(name, "ä".repeat(64));
    for name in [None, Some("a  evil: \"x\" #b".to_owned()), Some(name), Some("-_- ".to_owned())] {
        let device = answer::Device { name, ..answer::Device::default() };
        let text = suggest::snippet(Ipv4Addr::new(10, 0, 0, 5), &device);
        let (cameras, findings) =
            read_text(&text.replace("    username: USER\n", "").lines().filter(|l| !l.contains("password_file")).collect::<Vec<_>>().join("\n"));
        assert_eq!((findings, cameras.len()), (Vec::new(), 1), "{text}");
        assert!(cameras[0].id.ends_with("-10-0-0-5") && cameras[0].shown == "rtsp://10.0.0.5/PATH", "{text}");
        assert_eq!(cameras[0].name, device.name.unwrap_or_else(|| cameras[0].id.clone()));
    }
}

#[test]
fn the_path_of_a_maker_that_is_known() {
    let device = answer::Device { hardware: Some("RLC-810A".to_owned()), ..answer::Device::default() };
    assert_eq!(
        suggest::snippet(Ipv4Addr::new(10, 0, 0, 7), &device),
        "cameras:\n  - id: rlc-810a-10-0-0-7\n    name: \"RLC-810A\"\n    url: \"rtsp://10.0.0.7/h264Preview_01_main\"  # the maker's usual path; its manual has others\n    \
         username: USER\n    password_file: rlc-810a-10-0-0-7.password\n"
    );
}

#[test]
fn networks_of_the_kernels_table() {
    let table =
        "Iface\tDestination\tGateway \tFlags\nwlan0\t00000000\t0101A8C0\t0003\nwlan0\t0001A8C0\t00000000\t0001\ndocker0\t000011AC\t00000000\t0001\nbad\n";
    let expected = if cfg!(target_endian = "little") { vec![Ipv4Addr::new(192, 168, 1, 1), Ipv4Addr::new(172, 17, 0, 1)] } else { Vec::new() };
    assert_eq!(networks(table), expected);
    assert!(networks("").is_empty());
}

/// A device that answers each question as a test wants.
async fn device(answer: impl Fn(&str) -> Vec<String> + Send + 'static) -> SocketAddrV4 {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let SocketAddr::V4(address) = socket.local_addr().unwrap() else { panic!() };
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            let question = String::from_utf8_lossy(&buffer[..length]).into_owned();
            let id = question.split("uuid:").nth(1).and_then(|rest| rest.split('<').next()).unwrap().to_owned();
            assert!(question.contains(">dn:NetworkVideoTransmitter<"));
            for text in answer(&id) {
                socket.send_to(text.as_bytes(), from).await.unwrap();
            }
        }
    });
    address
}

#[tokio::test]
async fn a_device_that_answers_is_suggested_once() {
    let good = |id: &str| matches(&format!("urn:uuid:{id}"), &one("dn:NetworkVideoTransmitter", SCOPES, "http://127.0.0.1:8000/onvif/device_service"));
    let address = device(move |id| vec![good(id), good(id), good("another"), "<nonsense".to_owned()]).await;
    let watched = BTreeMap::from([("127.0.0.1".to_owned(), "front".to_owned())]);
    let searcher = Searcher::at(address);
    let mut search = CameraSearch::default();
    // A busy machine may be late.
    while search.found.is_empty() || search.left_out < 2 {
        search = searcher.search(Duration::from_millis(300), &watched).await.unwrap();
    }
    assert!(search.asked_from.contains(&Ipv4Addr::LOCALHOST), "{search:?}");
    let [found] = &search.found[..] else { panic!("{search:?}") };
    assert_eq!((found.address, found.watched_as.as_deref()), (Ipv4Addr::LOCALHOST, Some("front")));
    assert_eq!(found.service.as_deref(), Some("http://127.0.0.1:8000/onvif/device_service"));
    assert!(found.snippet.contains("url: \"rtsp://127.0.0.1/Streaming/Channels/101\""), "{}", found.snippet);
    assert!(search.left_out >= 2, "{search:?}");
}

#[tokio::test]
async fn one_search_at_a_time() {
    let address = device(|_| Vec::new()).await;
    let searcher = Searcher::at(address);
    let nobody = BTreeMap::new();
    let (first, second) = tokio::join!(searcher.search(Duration::from_millis(300), &nobody), searcher.search(Duration::from_millis(300), &nobody));
    assert!(first.is_ok_and(|search| search.found.is_empty()));
    assert!(matches!(second, Err(SearchError::Busy)));
    assert!(searcher.search(Duration::from_millis(1), &nobody).await.is_ok());
}

proptest! {
    #[test]
    fn any_answers(text in "(<[a-zA-Z:/ ]{0,12}>|[a-z:/%]{0,9}|ProbeMatch|Header|RelatesTo|&lt;|<|>){0,40}") {
        drop(answer::read(text.as_bytes(), ID));
    }
}

#[tokio::test]
async fn cameras_that_the_configuration_calls_by_name_are_known_by_their_addresses() {
    let hosts = [("localhost", "front"), ("10.0.0.7", "yard"), ("nobody.invalid", "gone"), ("", "odd")];
    let known = addresses_of(hosts.map(|(host, id)| (host.to_owned(), id.to_owned())).to_vec()).await;
    assert_eq!((known.get("127.0.0.1").map(String::as_str), known.get("10.0.0.7").map(String::as_str)), (Some("front"), Some("yard")));
    assert!(!known.values().any(|id| id == "gone" || id == "odd"), "{known:?}");
}
