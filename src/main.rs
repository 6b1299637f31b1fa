//! slotd
fn main() {}
