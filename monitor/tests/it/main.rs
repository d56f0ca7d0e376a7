//! Readings of fixture trees: folders that look like `/proc` and `/sys/fs/cgroup` in pods of several kinds.
#![allow(clippy::unwrap_used, reason = "a failure of a test is a panic")]
#![allow(unreachable_pub, reason = "what files of one test share")]

mod cgroups;
mod exposition;
mod fixture;
mod live;
mod processes;
mod sockets;
