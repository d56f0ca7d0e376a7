//! `requestMirror` of a route: copies of some requests to another upstream.

use crate::{
    block::{
        Either, Percent, Share, block,
        problem::Report,
        show::{Object, percent},
    },
    part::id::UpstreamId,
    route::context::{self, Context},
};

block! {
    /// Mirroring: a copy of some requests is sent to another upstream. Requests do not wait for the
    /// copy, and its response is discarded.
    MirrorBlock {
        /// The upstream: its name, or a map with the name.
        "backendRef" backend_ref: Either<String, MirrorBackendBlock>,
        /// Percentage of requests that are copied. Default 100.
        "percent" percent: Share,
    }
    required ["backendRef"]
}

block! {
    /// An upstream.
    MirrorBackendBlock {
        /// Name of an upstream, or `app`.
        "name" name: String,
    }
    required ["name"]
}

/// `requestMirror`: the target of the copies.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mirror {
    /// The upstream.
    pub upstream: UpstreamId,
    /// Percentage of requests that are copied. Default 100.
    pub percent: Percent,
}

/// As in the Gateway API: by default all requests are copied.
const MIRROR_PER_MILLION: u32 = 1_000_000;

/// Validates the block. `None` when a problem was reported.
pub(crate) fn accept(
    block: &MirrorBlock,
    context: &Context<'_>,
    report: &mut Report,
) -> Option<Mirror> {
    let written = block.backend_ref.as_ref()?;
    let (name, place) = match &written.value {
        Either::Short(name) => (name, &written.place),
        Either::Map(block) => block.name.as_ref().map(|name| (&name.value, &name.place))?,
    };
    let upstream = context::upstream(name, place, context, report)?;
    let percent = block
        .percent
        .as_ref()
        .map_or(MIRROR_PER_MILLION, |share| share.value.0);
    Some(Mirror {
        upstream,
        percent: Percent(percent),
    })
}

/// Shows what was accepted; the upstream by its name.
pub(crate) fn show(mirror: &Mirror, name: &str) -> Object {
    Object::new()
        .with("backendRef", Object::new().with("name", name))
        .with("percent", percent(mirror.percent))
}
