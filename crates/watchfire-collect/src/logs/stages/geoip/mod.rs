//! The stage `geoip`: what a database of places or networks says about an address becomes extracted values, under the names that
//! Promtail and Alloy give them. Where databases come from it does not know.

mod database;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

use super::{JsonPath, Step, Surroundings, Verdict};
use crate::logs::Entry;
pub use database::{Database, DatabaseError};

/// How many addresses are remembered with what was found of them.
const REMEMBERED_MAX: usize = 1_024;

/// What a database is about, as configurations name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Cities, with their countries and continents.
    City,
    /// Countries.
    Country,
    /// Networks and who runs them.
    Asn,
}
impl About {
    /// The names of what may be extracted.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let (places, more): (&[(&str, &'static str)], &[&'static str]) = match self {
            About::City => (&PLACES, &["geoip_location_latitude", "geoip_location_longitude", SUBDIVISION[0].1, SUBDIVISION[1].1]),
            About::Country => (&PLACES[OF_COUNTRIES], &[]),
            About::Asn => (&NETWORKS, &[]),
        };
        places.iter().map(|(_, name)| *name).chain(more.iter().copied())
    }
}

/// Where names of records stand, and what they are called afterwards.
const PLACES: [(&str, &str); 7] = [
    ("/city/names/en", "geoip_city_name"),
    ("/country/names/en", "geoip_country_name"),
    ("/country/iso_code", "geoip_country_code"),
    ("/continent/names/en", "geoip_continent_name"),
    ("/continent/code", "geoip_continent_code"),
    ("/postal/code", "geoip_postal_code"),
    ("/location/time_zone", "geoip_timezone"),
];
const NETWORKS: [(&str, &str); 2] =
    [("/autonomous_system_number", "geoip_autonomous_system_number"), ("/autonomous_system_organization", "geoip_autonomous_system_organization")];
/// Of the smallest part of a country.
const SUBDIVISION: [(&str, &str); 2] = [("/names/en", "geoip_subdivision_name"), ("/iso_code", "geoip_subdivision_code")];
/// A country has no city, no post and no time of its own.
const OF_COUNTRIES: std::ops::Range<usize> = 1..5;

/// What is extracted of one address.
type Found = Arc<[(String, Value)]>;

/// Looks addresses up.
#[derive(Debug)]
pub struct GeoIp {
    source: String,
    about: Option<About>,
    lookups: Vec<(String, JsonPath)>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    database: Database,
    remembered: HashMap<IpAddr, Found>,
}

impl GeoIp {
    /// Opens the database. `source` is the extracted value that is an address; `lookups` are further values, by the names that they get.
    pub fn open(path: &Path, source: String, about: Option<About>, lookups: Vec<(String, JsonPath)>) -> Result<GeoIp, DatabaseError> {
        let state = State { database: Database::open(path)?, remembered: HashMap::new() };
        Ok(GeoIp { source, about, lookups, state: Mutex::new(state) })
    }

    fn find(&self, address: IpAddr) -> Result<Found, DatabaseError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = state.remembered.get(&address) {
            return Ok(Arc::clone(found));
        }
        let found: Found = match state.database.lookup(address)? {
            Some(record) => self.values(&record).into(),
            None => Arc::new([]),
        };
        if state.remembered.len() >= REMEMBERED_MAX {
            state.remembered.clear();
        }
        state.remembered.insert(address, Arc::clone(&found));
        Ok(found)
    }

    fn values(&self, record: &Value) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        match self.about {
            Some(About::City) => {
                put(&mut found, record, &PLACES);
                let [latitude, longitude] = ["/location/latitude", "/location/longitude"].map(|place| record.pointer(place).and_then(Value::as_f64));
                // The place where both are zero is where nobody knows.
                if latitude.unwrap_or(0.0) != 0.0 || longitude.unwrap_or(0.0) != 0.0 {
                    let both = [("geoip_location_latitude", latitude), ("geoip_location_longitude", longitude)];
                    found.extend(both.map(|(name, value)| (name.to_owned(), Value::from(value.unwrap_or(0.0)))));
                }
                // The last subdivision is the smallest.
                if let Some(smallest) = record.get("subdivisions").and_then(Value::as_array).and_then(|all| all.last()) {
                    put(&mut found, smallest, &SUBDIVISION);
                }
            }
            Some(About::Country) => put(&mut found, record, &PLACES[OF_COUNTRIES]),
            Some(About::Asn) => put(&mut found, record, &NETWORKS),
            None => {}
        }
        let looked_up = self.lookups.iter().filter_map(|(name, path)| path.get(record).map(|value| (name.clone(), value.clone())));
        found.extend(looked_up);
        found
    }
}

/// Adds what stands at these places, where it says something.
fn put(found: &mut Vec<(String, Value)>, record: &Value, places: &[(&str, &str)]) {
    for (place, name) in places {
        if let Some(value) = record.pointer(place).filter(|value| says_something(value)) {
            found.push(((*name).to_owned(), value.clone()));
        }
    }
}

fn says_something(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty()) || value.as_u64().is_some_and(|number| number > 0)
}

impl Step for GeoIp {
    fn name(&self) -> &'static str {
        "geoip"
    }
    fn apply(&self, entry: &mut Entry, around: &Surroundings<'_>) -> Verdict {
        let Some(text) = entry.text(&self.source) else { return Verdict::Keep };
        let found = text.trim().parse::<IpAddr>().ok().map(|address| self.find(address));
        match found {
            Some(Ok(found)) => entry.extracted.extend(found.iter().cloned()),
            // It is no address, or the database is damaged there.
            Some(Err(_)) | None => around.figures.stage_failed("geoip"),
        }
        Verdict::Keep
    }
}
