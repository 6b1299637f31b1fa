//! Time, chance, and waiting for something to happen.

use std::time::Duration;

use crate::model::id::{Cookie, Now};
use crate::model::wake::Wake;

/// Time and chance.
pub trait Clock {
    /// One look at all services begins: up to its end what many of them ask for (nginx's files) may be read once.
    fn look_begins(&self) {}

    /// It has ended: whoever asks from now on wants to know what is so now.
    fn look_ends(&self) {}

    /// This instant.
    fn now(&self) -> Now;

    /// 128 random bits as text, for a cookie or a nonce.
    fn random(&self) -> Cookie;

    /// Returns when one of the events is seen, or after `at_most`.
    async fn wait(&self, wakes: &[Wake], at_most: Duration);
}
