//! Manifests in, manifests out: `tests/cases/NAME.in.yaml` with the flags of `NAME.args` gives `NAME.out.yaml` and
//! `NAME.report.txt`. `UPDATE_GOLDEN=1 cargo test -p outrigger-inject` writes the two anew; read the difference before it is
//! committed.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "tests are named as sentences, and a failure is a panic"
)]

mod component;
mod every_case;
mod golden;
mod large;
mod mutations;
mod rows;
mod schema;
