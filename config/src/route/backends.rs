//! `backendRefs` of a route: upstreams by weight.

use crate::{
    block::{
        At, Either, Int, block,
        field::{narrow, number},
        problem::Report,
        show::Object,
    },
    part::id::UpstreamId,
    route::context::{self, Context},
};

block! {
    /// An upstream and its share.
    BackendRefBlock {
        /// Name of an upstream, or `app`.
        "name" name: String,
        /// Relative share, 0 to 1000000; 0 sends nothing. Default 1.
        "weight" weight: Int<0, 1_000_000>,
    }
    required ["name"]
}

/// One item of `backendRefs`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct WeightedBackend {
    /// The target.
    pub upstream: UpstreamId,
    /// Relative share, 0-1 000 000. Default 1; 0 sends nothing.
    pub weight: u32,
}

impl WeightedBackend {
    /// An upstream and its share.
    pub fn new(upstream: UpstreamId, weight: u32) -> Self {
        Self { upstream, weight }
    }
}

/// The value as written.
pub(crate) type BackendRefs = At<Vec<At<Either<String, BackendRefBlock>>>>;

/// Validates the block.
pub(crate) fn accept(
    references: &BackendRefs,
    context: &Context<'_>,
    report: &mut Report,
) -> Vec<WeightedBackend> {
    if references.value.is_empty() {
        let help = "add an upstream, or remove the key";
        report.error(
            &references.place,
            "empty-list",
            "the list of upstreams is empty",
            help,
        );
        return Vec::new();
    }
    let mut backends = Vec::with_capacity(references.value.len());
    for reference in &references.value {
        let (name, place, weight) = match &reference.value {
            Either::Short(name) => (name, &reference.place, 1),
            Either::Map(block) => match &block.name {
                Some(name) => (&name.value, &name.place, number(&block.weight, 1)),
                None => continue,
            },
        };
        if let Some(upstream) = context::upstream(name, place, context, report) {
            backends.push(WeightedBackend {
                upstream,
                weight: narrow(weight),
            });
        }
    }
    if !backends.is_empty() && backends.iter().all(|backend| backend.weight == 0) {
        let help = "set at least one weight over 0";
        report.error(
            &references.place,
            "no-weight",
            "all weights are 0, so no request can be forwarded",
            help,
        );
    }
    backends
}

/// Shows what was accepted; the upstream by its name.
pub(crate) fn show(backend: &WeightedBackend, name: &str) -> Object {
    Object::new()
        .with("name", name)
        .with("weight", backend.weight)
}
