//! Choices out of bytes. A byte that is not there is zero, and zero is the usual choice everywhere: a counterexample shrinks
//! towards the plainest host there is.

use slotd::model::observed::Observation;

/// Where the choices come from.
pub(crate) struct Chance {
    bytes: Vec<u8>,
    at: usize,
    oddness: u8,
}

impl Chance {
    /// The first byte says how odd the host is: not at all, a little, or hardly anything as usual.
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        let mut chance = Self { bytes, at: 0, oddness: 0 };
        chance.oddness = chance.one(&[0, 6, 20, 90]);
        chance
    }

    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    /// Whether something is not as usual.
    pub(crate) fn odd(&mut self) -> bool {
        self.byte() > 255 - self.oddness
    }

    /// Any of them, the first at zero.
    pub(crate) fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::from(self.byte()) % of.len()].clone()
    }

    /// The usual, or where things are odd one of the others.
    pub(crate) fn mostly<T: Clone>(&mut self, usual: T, others: &[T]) -> T {
        if self.odd() { self.one(others) } else { usual }
    }

    /// Known, or where things are odd not there or not readable.
    pub(crate) fn seen<T: Clone>(&mut self, usual: T) -> Observation<T> {
        self.mostly(Observation::Known(usual), &[unknown(), Observation::Absent])
    }

    /// So many milliseconds.
    pub(crate) fn span(&mut self) -> u64 {
        self.one(&[100_000, 0, 1_000, 4_000, 12_000, 31_000, 45_000, 70_000, 130_000, 700_000])
    }
}

/// It could not be read.
pub(crate) fn unknown<T>() -> Observation<T> {
    Observation::Unknown("it cannot be read".to_owned())
}
