//! Command line of the load generator and origin.

fn main() {}
