//! The core by table. Keys are made when the tests run; tokens are put together by hand, so that they can be wrong.

mod accepted;
mod cache;
mod claims;
mod extract;
mod forge;
mod refused;
mod requirement;
mod vectors;
