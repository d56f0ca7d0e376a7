//! No code: one set of features for the libraries that the tests of several members share
//! (`Cargo.toml`).
