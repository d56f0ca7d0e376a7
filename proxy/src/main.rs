//! The Outrigger binary.

fn main() {}
