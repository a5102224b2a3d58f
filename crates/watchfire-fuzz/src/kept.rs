//! What inputs are handed to, kept for many of them: to make a receiver with all its counts takes longer than to read most inputs. Made anew
//! now and then, so that what it has stored does not grow. It reads nothing itself.

use std::cell::RefCell;
use std::thread::LocalKey;

/// So many inputs are handed to one. An input that fails because of those before it is found with at most so many.
const INPUTS: u32 = 100;

/// One of a kind, with the number of inputs that it may still have.
pub(crate) type Kept<T> = RefCell<Option<(T, u32)>>;

/// Hands an input to the kept one, or to a new one.
pub(crate) fn with<T>(kept: &'static LocalKey<Kept<T>>, make: fn() -> T, take: impl FnOnce(&T)) {
    kept.with_borrow_mut(|kept| {
        let (one, left) = match kept.take() {
            Some((one, left)) if left > 0 => (one, left - 1),
            _ => (make(), INPUTS),
        };
        take(&one);
        *kept = Some((one, left));
    });
}
