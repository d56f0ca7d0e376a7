//! Load generator and origin that treat every proxy, ours included, as a black box.
