//! Request paths: the canonical form, and how a configured change replaces part of one.

mod canonical;
mod replace;

pub use canonical::canonical;
pub(crate) use replace::push_replaced;
