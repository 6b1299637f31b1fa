//! A set that numbers its members: exact, and no larger than the members and one word each.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher};

/// Multiplies and turns: quick on the many small fields of a state. A collision costs a comparison, never a state.
#[derive(Default, Clone, Copy)]
pub(crate) struct Quick(u64);

impl Hasher for Quick {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn write_u16(&mut self, word: u16) {
        self.write_u64(u64::from(word));
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

/// The set.
pub(crate) struct Interner<T> {
    pub(crate) items: Vec<T>,
    table: Vec<u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { items: Vec::new(), table: vec![u32::MAX; 1024] }
    }
}

impl<T: Hash + Eq + Copy> Interner<T> {
    /// The number of an item, and whether it is new.
    pub(crate) fn put(&mut self, item: T) -> (u32, bool) {
        if self.items.len() * 2 > self.table.len() {
            self.grow();
        }
        let place = self.place(&item);
        let known = self.table[place];
        if known != u32::MAX {
            return (known, false);
        }
        let at = u32::try_from(self.items.len()).unwrap_or(u32::MAX);
        self.table[place] = at;
        self.items.push(item);
        (at, true)
    }

    fn place(&self, item: &T) -> usize {
        let mask = self.table.len() - 1;
        let hash = BuildHasherDefault::<Quick>::default().hash_one(item);
        let mut place = usize::try_from(hash).unwrap_or(0) & mask;
        while self.table[place] != u32::MAX && self.items[self.table[place] as usize] != *item {
            place = (place + 1) & mask;
        }
        place
    }

    fn grow(&mut self) {
        self.table = vec![u32::MAX; self.table.len() * 2];
        for at in 0..self.items.len() {
            let place = self.place(&self.items[at]);
            self.table[place] = u32::try_from(at).unwrap_or(u32::MAX);
        }
    }
}
