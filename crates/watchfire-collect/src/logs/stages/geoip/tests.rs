//! Tests with databases that a small writer makes, and with damaged ones.

use std::net::IpAddr;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::tests::run;
use super::super::{Labels, Regex, Stage, compile};
use super::*;

/// Writes a value as a record has it.
fn put(out: &mut Vec<u8>, value: &Value) {
    let control = |out: &mut Vec<u8>, kind: u8, size: usize| {
        let (low, more): (u8, Vec<u8>) = match size {
            0..=28 => (size as u8, vec![]),
            29..=284 => (29, vec![(size - 29) as u8]),
            _ => (30, ((size - 285) as u16).to_be_bytes().to_vec()),
        };
        if kind > 7 {
            out.extend([low, kind - 7])
        } else {
            out.push(kind << 5 | low)
        }
        out.extend(more);
    };
    match value {
        Value::Object(members) => {
            control(out, 7, members.len());
            for (name, value) in members {
                put(out, &json!(name));
                put(out, value);
            }
        }
        Value::Array(items) => {
            control(out, 11, items.len());
            items.iter().for_each(|item| put(out, item));
        }
        Value::String(text) => {
            control(out, 2, text.len());
            out.extend(text.as_bytes());
        }
        Value::Bool(value) => control(out, 14, usize::from(*value)),
        Value::Number(number) => match number.as_u64() {
            Some(number) => {
                let bytes: Vec<u8> = number.to_be_bytes().into_iter().skip_while(|b| *b == 0).collect();
                control(out, if number > u64::from(u32::MAX) { 9 } else { 6 }, bytes.len());
                out.extend(bytes);
            }
            None => {
                control(out, 3, 8);
                out.extend(number.as_f64().unwrap().to_be_bytes());
            }
        },
        Value::Null => control(out, 4, 0),
    }
}

/// What a side of a node leads to while a tree is made.
#[derive(Clone, Copy, PartialEq)]
enum Side {
    Nothing,
    Node(usize),
    Record(usize),
}

/// A database of networks with their records. Records begin with a pointer where they stood before.
fn database(version: u8, bits: usize, networks: &[(&str, Value)]) -> Vec<u8> {
    let (mut tree, mut records) = (vec![[Side::Nothing; 2]], Vec::new());
    // Something to point at.
    put(&mut records, &json!("shared"));
    for (network, record) in networks {
        let (address, length) = network.split_once('/').unwrap();
        let (bits, shift) = match (address.parse().unwrap(), version) {
            (IpAddr::V4(a), 4) => (u128::from(u32::from(a)) << 96, 0),
            (IpAddr::V4(a), _) => (u128::from(u32::from(a)), 96),
            (IpAddr::V6(a), _) => (u128::from(a), 0),
        };
        let length = length.parse::<usize>().unwrap() + shift;
        let mut node = 0;
        for i in 0..length {
            let side = usize::from(bits >> (127 - i) & 1 == 1);
            if i + 1 == length {
                tree[node][side] = Side::Record(records.len());
            } else if let Side::Node(next) = tree[node][side] {
                node = next;
            } else {
                tree.push([Side::Nothing; 2]);
                tree[node][side] = Side::Node(tree.len() - 1);
                node = tree.len() - 1;
            }
        }
        put(&mut records, record);
    }
    let count = tree.len();
    let number = |side: Side| match side {
        Side::Nothing => count,
        Side::Node(node) => node,
        Side::Record(place) => count + 16 + place,
    };
    let mut out = Vec::new();
    for [left, right] in tree {
        let (left, right) = ((number(left) as u32).to_be_bytes(), (number(right) as u32).to_be_bytes());
        match bits {
            24 => out.extend([&left[1..], &right[1..]].concat()),
            28 => out.extend([&left[1..], &[left[0] << 4 | right[0]], &right[1..]].concat()),
            _ => out.extend([left, right].concat()),
        }
    }
    out.extend([0; 16]);
    out.extend(records);
    out.extend(b"\xab\xcd\xefMaxMind.com");
    put(
        &mut out,
        &json!({"binary_format_major_version": 2, "binary_format_minor_version": 0, "ip_version": version, "node_count": count, "record_size": bits}),
    );
    out
}

fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    file
}

fn vienna() -> Value {
    json!({
        "city": {"names": {"de": "Wien", "en": "Vienna"}}, "country": {"iso_code": "AT", "names": {"en": "Austria"}},
        "continent": {"code": "EU", "names": {"en": "Europe"}}, "location": {"latitude": 48.2, "longitude": 16.0, "time_zone": "Europe/Vienna", "accuracy_radius": 20},
        "postal": {"code": "1010"}, "subdivisions": [{"iso_code": "9", "names": {"en": "Vienna State"}}, {"iso_code": "901", "names": {"en": "Inner City"}}],
        "traits": {"is_anycast": true}
    })
}

/// The values that a stage extracts of an address, `name=value`.
fn extracted(bytes: &[u8], about: Option<About>, lookups: &[(&str, &str)], address: &str) -> Vec<String> {
    let file = file(bytes);
    let lookups = lookups.iter().map(|(name, path)| ((*name).to_owned(), JsonPath::parse(path).unwrap())).collect();
    let stages = [
        Stage::step(Regex { expression: compile(r"^(?P<ip>\S*)").unwrap(), source: None, labels: false }),
        Stage::step(GeoIp::open(file.path(), "ip".into(), about, lookups).unwrap()),
    ];
    let entry = run(&stages, &[address]).remove(0);
    entry.extracted.keys().filter(|name| !matches!(name.as_str(), "ip" | "job")).map(|name| format!("{name}={}", entry.text(name).unwrap())).collect()
}

#[test]
fn cities_become_the_values_that_promtail_extracts() {
    let bytes = database(
        6,
        28,
        &[("81.217.0.0/16", vienna()), ("2001:db8::/32", json!({"city": {"names": {"de": "nur Deutsch"}}, "location": {"latitude": 0.0, "longitude": 0.0}}))],
    );
    assert_eq!(
        extracted(&bytes, Some(About::City), &[], "81.217.3.4 said"),
        [
            "geoip_city_name=Vienna",
            "geoip_continent_code=EU",
            "geoip_continent_name=Europe",
            "geoip_country_code=AT",
            "geoip_country_name=Austria",
            "geoip_location_latitude=48.2",
            "geoip_location_longitude=16",
            "geoip_postal_code=1010",
            "geoip_subdivision_code=901",
            "geoip_subdivision_name=Inner City",
            "geoip_timezone=Europe/Vienna",
        ]
    );
    assert_eq!(extracted(&bytes, Some(About::City), &[], "::ffff:81.217.3.4").len(), 11, "an address of version 4 within one of version 6");
    for nothing in ["2001:db8::7", "8.8.8.8", "2001:db9::", "not-an-address", ""] {
        assert_eq!(extracted(&bytes, Some(About::City), &[], nothing), Vec::<String>::new(), "{nothing}");
    }
}

#[test]
fn countries_networks_and_paths() {
    let bytes = database(
        4,
        24,
        &[("81.217.0.0/16", vienna()), ("10.0.0.0/8", json!({"autonomous_system_number": 64_512, "autonomous_system_organization": "Example"}))],
    );
    let country = ["geoip_continent_code=EU", "geoip_continent_name=Europe", "geoip_country_code=AT", "geoip_country_name=Austria"];
    assert_eq!(extracted(&bytes, Some(About::Country), &[], "81.217.255.255"), country);
    assert_eq!(extracted(&bytes, Some(About::Asn), &[], "10.9.8.7"), ["geoip_autonomous_system_number=64512", "geoip_autonomous_system_organization=Example"]);
    let lookups = [
        ("town", "city.names.de"),
        ("radius", "location.accuracy_radius"),
        ("anycast", "traits.is_anycast"),
        ("part", "subdivisions[0].iso_code"),
        ("none", "x.y"),
    ];
    assert_eq!(extracted(&bytes, None, &lookups, "81.217.0.1"), ["anycast=true", "part=9", "radius=20", "town=Wien"]);
    assert_eq!(extracted(&bytes, Some(About::City), &[], "2001:db8::1"), Vec::<String>::new(), "this database has addresses of version 4 only");
}

#[test]
fn every_width_of_nodes_and_pointers_is_read() {
    for bits in [24, 28, 32] {
        for version in [4, 6] {
            let long = "x".repeat(300);
            let networks = [("1.2.3.4/32", json!({"a": long, "b": "y".repeat(40), "n": 5_000_000_000u64})), ("128.0.0.0/1", json!("half"))];
            let file = file(&database(version, bits, &networks));
            let mut database = Database::open(file.path()).unwrap();
            let mut get = |address: &str| database.lookup(address.parse().unwrap()).unwrap();
            assert_eq!(get("1.2.3.4"), Some(networks[0].1.clone()), "{bits} {version}");
            assert_eq!((get("200.1.1.1"), get("1.2.3.5")), (Some(json!("half")), None), "{bits} {version}");
        }
    }
    // The first record, "shared", stands at 0; the second becomes a pointer to it.
    let mut bytes = database(4, 24, &[("0.0.0.0/0", json!("x"))].map(|(_, record)| ("0.0.0.0/1", record)));
    let place = bytes.windows(2).rposition(|pair| pair == [0x41, b'x']).unwrap();
    bytes[place..place + 2].copy_from_slice(&[0x20, 0]);
    let file = file(&bytes);
    assert_eq!(Database::open(file.path()).unwrap().lookup("9.9.9.9".parse().unwrap()).unwrap(), Some(json!("shared")));
    // A pointer to itself ends.
    bytes[place..place + 2].copy_from_slice(&[0x20, 7]);
    std::fs::write(file.path(), &bytes).unwrap();
    assert!(Database::open(file.path()).unwrap().lookup("9.9.9.9".parse().unwrap()).is_err());
}

#[test]
fn what_is_found_becomes_labels() {
    let file = file(&database(6, 24, &[("81.217.0.0/16", vienna())]));
    let stages = [
        Stage::step(Regex { expression: compile(r"^(?P<ip>\S+)").unwrap(), source: None, labels: false }),
        Stage::step(GeoIp::open(file.path(), "ip".into(), Some(About::City), Vec::new()).unwrap()),
        Stage::step(Labels(vec![("city".into(), "geoip_city_name".into())])),
    ];
    // The same address again comes from what is remembered.
    let found = run(&stages, &["81.217.3.4 a", "8.8.8.8 b", "81.217.3.4 c"]);
    assert_eq!(found.iter().map(|entry| entry.labels.get("city").map(String::as_str)).collect::<Vec<_>>(), [Some("Vienna"), None, Some("Vienna")]);
}

#[test]
fn what_is_no_database_says_why() {
    let check = |bytes: &[u8], why: &str| assert!(Database::open(file(bytes).path()).unwrap_err().to_string().contains(why), "{why}");
    check(b"", "no database in MaxMind's format");
    check(b"PK\x03\x04 something else", "no database in MaxMind's format");
    check(b"\xab\xcd\xefMaxMind.com", "behind the end");
    let good = database(4, 24, &[("1.0.0.0/8", json!("x"))]);
    let tail = good.windows(14).rposition(|w| w == b"\xab\xcd\xefMaxMind.com").unwrap();
    check(&good[tail..], "shorter than its tree");
    assert!(Database::open(Path::new("/nowhere/at/all.mmdb")).unwrap_err().to_string().contains("No such file"));
    assert!(Database::open(Path::new("/")).is_err());
    // A pipe that nobody writes into.
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.mmdb");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(Database::open(&pipe).unwrap_err().to_string(), "it is no file");
}

proptest! {
    /// Whatever a damaged database says, nothing panics and everything ends.
    #[test]
    fn damage_is_an_error_or_another_value(places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6), address in any::<u32>()) {
        let mut bytes = database(6, 28, &[("81.217.0.0/16", vienna()), ("0.0.0.0/2", json!([1, "a", {"b": 2.5}]))]);
        for (at, byte) in places {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let file = file(&bytes);
        if let Ok(mut database) = Database::open(file.path()) {
            drop(database.lookup(IpAddr::V4(address.into())));
            drop(database.lookup("81.217.3.4".parse().unwrap()));
            drop(database.lookup("2001:db8::1".parse().unwrap()));
        }
    }
}
