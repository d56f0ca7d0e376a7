//! Load generator, origin and simulator that treat every proxy, including Outrigger, as a black
//! box.

mod candidate;
pub mod cli;
pub mod compare;
pub mod content;
pub mod load;
mod markdown;
pub mod origin;
mod process;
pub mod scenarios;
pub mod simulator;
pub mod stats;
mod stream;
mod units;
