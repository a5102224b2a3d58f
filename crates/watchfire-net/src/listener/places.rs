//! How many connections there are, in all and by address. A place is given back when it is dropped.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The places of one listener.
#[derive(Clone)]
pub(crate) struct Places(Arc<Inner>);
struct Inner {
    all_max: usize,
    each_max: usize,
    taken: Mutex<Taken>,
}
#[derive(Default)]
struct Taken {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// One place, taken.
pub(crate) struct Place {
    places: Places,
    address: IpAddr,
}

impl Places {
    pub(crate) fn new(all_max: usize, each_max: usize) -> Places {
        Places(Arc::new(Inner { all_max, each_max, taken: Mutex::default() }))
    }

    /// A place for an address, if there is one.
    pub(crate) fn take(&self, address: IpAddr) -> Option<Place> {
        let address = key_of(address);
        let mut taken = self.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let here = taken.each.get(&address).copied().unwrap_or(0);
        if taken.all >= self.0.all_max || (here >= self.0.each_max && !address.is_loopback()) {
            return None;
        }
        taken.all += 1;
        *taken.each.entry(address).or_insert(0) += 1;
        Some(Place { places: self.clone(), address })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.0.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all = taken.all.saturating_sub(1);
        if let Some(count) = taken.each.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                taken.each.remove(&self.address);
            }
        }
    }
}

/// A household has a whole IPv6 /64, so that counts as one address.
fn key_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_counted_by_address_and_given_back() {
        let places = Places::new(3, 1);
        let far: IpAddr = "192.0.2.1".parse().unwrap();
        let here: IpAddr = "127.0.0.1".parse().unwrap();
        let first = places.take(far).unwrap();
        assert!(places.take(far).is_none(), "one address has one place");
        let _more = [places.take(here).unwrap(), places.take(here).unwrap()];
        assert!(places.take(here).is_none(), "three in all");
        drop(first);
        assert!(places.take(far).is_some());
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one_address() {
        let places = Places::new(10, 2);
        let _taken = [places.take("2001:db8::1".parse().unwrap()).unwrap(), places.take("2001:db8::2".parse().unwrap()).unwrap()];
        assert!(places.take("2001:db8::3".parse().unwrap()).is_none());
        assert!(places.take("2001:db8:0:1::3".parse().unwrap()).is_some());
        let here: Vec<_> = (0..5).map(|_| places.take("::1".parse().unwrap()).unwrap()).collect();
        assert_eq!(here.len(), 5);
    }
}
