//! Looks for cameras in the networks of this machine, when somebody asks for it: one question by multicast (WS-Discovery, as ONVIF has
//! it), answers for a few seconds. What answers is shown as a suggestion; no address in an answer is ever asked for anything. `answer`
//! reads, `suggest` writes lines for the configuration.

pub mod answer;
mod suggest;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use watchfire_model::camera::{CameraFound, CameraSearch};
use watchfire_net::multicast::{self, PLACES_MAX, Question, ask};
use watchfire_net::policy::{Class, class_of};

use self::answer::Device;

/// The group and the port of WS-Discovery.
pub const GROUP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 3702);
/// Datagrams of one search.
const ANSWERS_MAX: usize = 512;
/// Devices of one search.
pub const DEVICES_MAX: usize = 256;
/// How long answers may be waited for.
pub const WAIT_MAX: Duration = Duration::from_secs(10);
/// How long looking a camera's name up may take.
const NAME_TIME_MAX: Duration = Duration::from_secs(2);

/// Why nothing was looked for.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Somebody else looks.
    #[error("cannot look for cameras: another search is under way")]
    Busy,
    /// The system gives no random bytes, by which answers are known.
    #[error("cannot look for cameras: the system gives no random bytes")]
    Random,
    /// No network could be asked.
    #[error("cannot ask any network for cameras: {0}")]
    Network(String),
}

/// Looks for cameras, one search at a time.
pub struct Searcher {
    group: SocketAddrV4,
    turn: Semaphore,
}

impl Default for Searcher {
    fn default() -> Searcher {
        Searcher { group: GROUP, turn: Semaphore::new(1) }
    }
}

impl Searcher {
    /// One that asks at another address, for tests.
    #[cfg(test)]
    fn at(group: SocketAddrV4) -> Searcher {
        Searcher { group, turn: Semaphore::new(1) }
    }

    /// Asks and waits so long. `watched` tells the id of the camera that is watched at an address.
    pub async fn search(&self, wait: Duration, watched: &BTreeMap<String, String>) -> Result<CameraSearch, SearchError> {
        let Ok(_turn) = self.turn.try_acquire() else { return Err(SearchError::Busy) };
        let id = message_id()?;
        let question = Question {
            to: self.group,
            from: places(Path::new("/proc/net/route")).await,
            bytes: Bytes::from(probe(&id)),
            wait: wait.min(WAIT_MAX),
            answers_max: ANSWERS_MAX,
        };
        let answers = ask(&question).await;
        if answers.asked_from.is_empty() {
            let reason = answers.failed.first().map_or_else(|| "this machine has no address".to_owned(), |(from, reason)| format!("{from}: {reason}"));
            return Err(SearchError::Network(reason));
        }
        let mut search = CameraSearch { asked_from: answers.asked_from, left_out: u64::from(answers.full), ..CameraSearch::default() };
        let mut devices: BTreeMap<Ipv4Addr, Device> = BTreeMap::new();
        for (from, bytes) in &answers.answers {
            let device = sender(*from).and_then(|from| Some((from, answer::read(bytes, &id)?)));
            match device {
                // One device answers each of our addresses that it hears.
                Some((from, _)) if devices.contains_key(&from) => {}
                Some((from, device)) if devices.len() < DEVICES_MAX => drop(devices.insert(from, device)),
                _ => search.left_out += 1,
            }
        }
        search.found = devices.into_iter().map(|(from, device)| found(from, device, watched)).collect();
        Ok(search)
    }
}

/// The ids of cameras by their addresses; the names of those that the configuration calls by name are looked up, all at once.
pub(super) async fn addresses_of(hosts: Vec<(String, String)>) -> BTreeMap<String, String> {
    let mut asked = JoinSet::new();
    let mut known = BTreeMap::new();
    for (host, id) in hosts {
        if host.parse::<IpAddr>().is_ok() {
            known.insert(host, id);
        } else if !host.is_empty() {
            asked.spawn(async move {
                let found = tokio::time::timeout(NAME_TIME_MAX, tokio::net::lookup_host((host.as_str(), 0))).await;
                (id, found.ok().and_then(Result::ok).map(|all| all.map(|to| to.ip().to_string()).collect::<Vec<String>>()).unwrap_or_default())
            });
        }
    }
    while let Some(one) = asked.join_next().await {
        // A name that nobody knows now is no camera that answers now.
        let Ok((id, addresses)) = one else { continue };
        for address in addresses {
            known.entry(address).or_insert_with(|| id.clone());
        }
    }
    known
}

fn found(address: Ipv4Addr, device: Device, watched: &BTreeMap<String, String>) -> CameraFound {
    let snippet = suggest::snippet(address, &device);
    let Device { name, hardware, location, services } = device;
    let service = services.into_iter().find(|service| service.host_str() == Some(&address.to_string()) && service.username().is_empty());
    let watched_as = watched.get(&address.to_string()).cloned();
    CameraFound { address, name, hardware, location, service: service.map(|url| answer::shown(url.as_str())), watched_as, snippet }
}

/// The sender, if it is somebody that could be watched.
fn sender(from: SocketAddr) -> Option<Ipv4Addr> {
    match (from.ip(), class_of(from.ip())) {
        (IpAddr::V4(ip), Class::Private | Class::Global | Class::LinkLocal | Class::Loopback | Class::Reserved) => Some(ip),
        _ => None,
    }
}

/// A number that nobody can guess, so that only answers to our question count.
fn message_id() -> Result<String, SearchError> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes).map_err(|_| SearchError::Random)?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    Ok(format!("{}-{}-4{}-a{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32)))
}

/// The question: which devices here send video?
fn probe(id: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:d=\"http://schemas.xmlsoap.org/ws/2005/04/discovery\" xmlns:dn=\"http://www.onvif.org/ver10/network/wsdl\">\
         <s:Header><a:Action s:mustUnderstand=\"1\">http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</a:Action>\
         <a:MessageID>uuid:{id}</a:MessageID>\
         <a:ReplyTo><a:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous</a:Address></a:ReplyTo>\
         <a:To s:mustUnderstand=\"1\">urn:schemas-xmlsoap-org:ws:2005:04:discovery</a:To></s:Header>\
         <s:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></s:Body></s:Envelope>"
    )
}

/// Our address in each network that this machine is in, and that of the loopback, where simulated cameras are.
async fn places(routes: &Path) -> Vec<Ipv4Addr> {
    let text = std::fs::read_to_string(routes).unwrap_or_default();
    let mut places = Vec::new();
    for there in networks(&text).into_iter().chain([*GROUP.ip(), Ipv4Addr::LOCALHOST]) {
        if let Some(ours) = multicast::way_to(there).await
            && !ours.is_unspecified()
            && !places.contains(&ours)
            && places.len() < PLACES_MAX
        {
            places.push(ours);
        }
    }
    places
}

/// An address in each network that is reached without a gateway, in the order of the kernel's table.
fn networks(table: &str) -> Vec<Ipv4Addr> {
    let read = |line: &str| {
        let mut cells = line.split_ascii_whitespace().skip(1);
        // The bytes of an address stand as the machine has them.
        let mut address = || Some(Ipv4Addr::from(u32::from_str_radix(cells.next()?, 16).ok()?.to_ne_bytes()));
        let (network, gateway) = (address()?, address()?);
        (gateway.is_unspecified() && !network.is_unspecified()).then(|| Ipv4Addr::from_bits(network.to_bits() | 1))
    };
    table.lines().skip(1).filter_map(read).take(PLACES_MAX).collect()
}
