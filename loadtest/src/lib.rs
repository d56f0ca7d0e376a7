//! Load generator, origin and simulator that treat every proxy, ours included, as a black box.

pub mod cli;
pub mod content;
pub mod load;
pub mod origin;
pub mod scenarios;
pub mod simulator;
mod stream;
mod units;
